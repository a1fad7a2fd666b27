"""What `compile` says of a model, and what follows from it: the loss and the metrics of a batch."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import metrics as metrics_module
from .. import optimizers as optimizers_module
from .. import tuning
from ..core.scopes import given_values
from ..core.serialization import deserialize_keras_object, serialize_keras_object
from ..core.variable import Variable
from ._compiled import CompiledLoss, CompiledMetrics

if TYPE_CHECKING:
    from ..layers import Layer

    _Base = Layer
else:
    _Base = object


class Compiling(_Base):
    """A model's optimizer, loss and metrics, for a trainer to inherit."""

    def __init__(self) -> None:
        self.history: Any = None
        self.optimizer: Any = None
        self.compiled = False
        self.stop_training = False
        self.loss: Any = None
        self.run_eagerly = False
        self.jit_compile: Any = None
        self.steps_per_execution: Any = 1
        self.auto_scale_loss = True
        self._compile_loss: CompiledLoss | None = None
        self._compile_metrics: CompiledMetrics | None = None
        self._loss_tracker: Any = None
        self._compile_config: dict[str, Any] | None = None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: Any = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained.

        Args:
            optimizer: The optimizer, or its name.
            loss: A loss, its name, or a structure of them in that of the outputs.
            loss_weights: The weight of each output's loss.
            metrics: Metrics, their names, or structures of them in that of the outputs.
            weighted_metrics: Metrics that take sample weights into account.
            run_eagerly: Whether steps run operation by operation, for debugging.
            steps_per_execution: How many steps run in one native call, of which callbacks see the last.
                With 1 they see each step; where none looks, short steps run several in a call all the
                same. With `"auto"` short ones do so wherever callbacks look.
            jit_compile: Whether steps use the library's compiler (XLA); with `"auto"` where it wins.
            auto_scale_loss: Whether a float16 policy gets a loss scale.
        """
        given = {key: value for key, value in locals().items() if key != "self"}
        counted = isinstance(steps_per_execution, int) and steps_per_execution >= 1
        if not counted and steps_per_execution != "auto":
            raise ValueError(
                "`steps_per_execution` must be a positive integer or 'auto'. Received: "
                f"steps_per_execution={steps_per_execution!r}. Pass 1 for a call a step."
            )
        optimizer = optimizers_module.get(optimizer)
        if (
            auto_scale_loss
            and getattr(self, "dtype_policy", None) is not None
            and self.dtype_policy.name == "mixed_float16"
            and optimizer is not None
            and not isinstance(optimizer, optimizers_module.LossScaleOptimizer)
        ):
            optimizer = optimizers_module.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
        has_metrics = metrics is not None or weighted_metrics is not None
        # Not by `setattr`: what training holds is no part of the layer, and stays as it was given.
        vars(self).update(
            optimizer=optimizer,
            loss=loss,
            run_eagerly=run_eagerly,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
            auto_scale_loss=auto_scale_loss,
            stop_training=False,
            compiled=True,
            _compile_loss=None if loss is None else CompiledLoss(loss, loss_weights),
            _compile_metrics=CompiledMetrics(metrics, weighted_metrics) if has_metrics else None,
            _loss_tracker=metrics_module.Mean(name="loss"),
            _compile_config=given,
        )
        if vars(self).pop("_programs", None):  # those of what was said before
            tuning.say("The steps of %r are made again, for `compile` was called again.", self.name)

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was given, as what a file can hold; empty without it."""
        if not self.compiled or self._compile_config is None:
            return {}
        config = {**self._compile_config, "optimizer": self.optimizer}
        config.pop("auto_scale_loss")
        config["jit_compile"] = bool(config["jit_compile"])
        config = {key: serialize_keras_object(value) for key, value in config.items()}
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config` said."""
        if type(self).compile is not Compiling.compile and "optimizer" not in config:
            warnings.warn(
                f"{type(self).__name__} has a `compile` of its own: call it after loading, or define "
                "`compile_from_config`.",
                stacklevel=2,
            )
            return
        given = {key: deserialize_keras_object(value) for key, value in config.items()}
        if given.get("jit_compile"):
            given["jit_compile"] = "auto"  # of which files say True, as Keras's do
        self.compile(**given)
        if self.optimizer is not None and self.built:
            self.optimizer.follow(self)

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(
                f"A model must be compiled before `{method}()`. Received: the model "
                f"{self.name!r}, never compiled. Call `model.compile(optimizer, loss)` first."
            )

    # ---------------------------------------------------------------- metrics

    @property
    def metrics(self) -> list[Any]:
        """All metrics: the loss, those of `compile`, and those of the layers."""
        found = [self._loss_tracker] if self._loss_tracker is not None else []
        found += [metric for layer in self._flatten_layers() for metric in layer._owned("metrics")]
        if self._compile_metrics is not None:
            found += self._compile_metrics.metrics
        if self._compile_loss is not None:
            found += self._compile_loss.metrics
        return list({id(metric): metric for metric in found}.values())

    @property
    def metrics_names(self) -> list[str]:
        """The names of the metrics, as in the logs."""
        return [metric.name for metric in self.metrics]

    @property
    def metrics_variables(self) -> list[Variable]:
        """The state of the metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    @property
    def _metrics_built(self) -> bool:
        """Whether the metrics of `compile` have the variables that a first batch makes."""
        made = (self._compile_loss, self._compile_metrics)
        return all(container is None or container.built for container in made)

    def reset_metrics(self) -> None:
        """Start all metrics again."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The values of all metrics, by name."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            value = metric.result()
            results.update(value if isinstance(value, dict) else {metric.name: value})
        return results

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the metrics of `compile`; the values of all metrics, by name."""
        if self._compile_metrics is not None and y is not None:
            self._compile_metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of `compile` plus the losses that layers added, a scalar."""
        from .. import ops

        parts = []
        if self._compile_loss is not None:
            parts.append(self._compile_loss(y, y_pred, sample_weight))
        parts += [ops.sum(ops.cast(loss, "float32")) for loss in self.losses]
        if not parts:
            if self._compile_loss is None and type(self).compute_loss is Compiling.compute_loss:
                raise ValueError(
                    "Training needs a loss. Received: a model compiled without one, whose layers "
                    f"add none ({self.name!r}). Give `compile` a `loss`, or `add_loss` in a layer."
                )
            return ops.zeros(())
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def _loss_of(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Any:
        """`compute_loss`, which a user's class may define without `training`."""
        parts = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
        if "training" in inspect.signature(self.compute_loss).parameters:
            parts["training"] = training
        return self.compute_loss(**parts)

    def stateless_compute_loss(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        metrics_variables: Sequence[Any],
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple[Any, tuple[list[Any], list[Any], list[Any]]]:
        """The loss as a pure function of the variables' values; the values come back with it."""
        groups = (self.trainable_variables, self.non_trainable_variables, self.metrics_variables)
        with given_values(
            self.name,
            trainable_variables=(groups[0], trainable_variables),
            non_trainable_variables=(groups[1], non_trainable_variables),
            metrics_variables=(groups[2], metrics_variables),
        ) as scope:
            loss = self._loss_of(x, y, y_pred, sample_weight, training=training)
        after = [[scope.get_current_value(variable) for variable in group] for group in groups]
        return loss, (after[0], after[1], after[2])
