"""The one trainer: what `fit`, `evaluate` and `predict` do on every engine.

A step is written with objects: it calls the model, takes gradients, applies them, updates metrics.
`core.state.CompiledStep` makes it one native call of the current engine.
"""

from __future__ import annotations

import functools
import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .. import callbacks as callbacks_module
from .. import metrics as metrics_module
from .. import optimizers as optimizers_module
from .. import tuning
from ..core import seeding, tree
from ..core.config import max_epochs, max_steps_per_epoch
from ..core.keras_tensor import KerasTensor
from ..core.scopes import SymbolicScope, given_values, here, within
from ..core.serialization import deserialize_keras_object, serialize_keras_object
from ..core.state import CompiledStep, value_and_grad
from ..core.tracebacks import shorten
from ..core.variable import Variable
from ..data import make_source, train_validation_split, unpack_x_y_sample_weight
from ..engines import current, use
from ..engines.memory import while_fitting
from ._batches import Batches, Kept
from ._compiled import CompiledLoss, CompiledMetrics
from ._steps import AccumulatingSteps, Steps

if TYPE_CHECKING:
    from ..layers import Layer

    _Base = Layer
else:
    _Base = object

_EMPTY = inspect.Parameter.empty
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
Method = TypeVar("Method", bound=Callable[..., Any])


def at_home(method: Method) -> Method:
    """The method of a model, run on the engine that the model was moved to; its errors show the user's frames."""

    @functools.wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            if self.home is None:
                return method(self, *args, **kwargs)
            with use(self.home):
                return method(self, *args, **kwargs)
        except Exception as error:
            shorten(error)
            raise

    return run  # type: ignore[return-value]


class Trainer(_Base):
    """Training, evaluation and prediction, for a model to inherit."""

    #: The engine that the model was moved to; None for the one that is current.
    home: str | None = None

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
        self._predicting: Any = None
        self._functions: dict[Any, Callable[..., Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: all but compiled functions, which hold the variables of this model."""
        return {**super().__getstate__(), "_functions": {}, "_predicting": None}

    # ---------------------------------------------------------------- compile

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
            _functions={},
        )

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
        if type(self).compile is not Trainer.compile and "optimizer" not in config:
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
            self.optimizer.build(self.trainable_variables)

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
            if self._compile_loss is None and type(self).compute_loss is Trainer.compute_loss:
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

    # ------------------------------------------------------------------ steps

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of training on a batch `(x, y, sample_weight)`; the metrics' values, by name.

        Subclasses override it for a training of their own; it runs on every engine.
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)

        def loss_for() -> tuple[Any, Any]:
            y_pred = self._predicted(x, training=True)
            loss = self._loss_of(x, y, y_pred, sample_weight, training=True)
            self._loss_tracker.update_state(loss, sample_weight=_batch_size(x))
            return self.optimizer.scale_loss(loss), y_pred

        (_, y_pred), gradients = value_and_grad(loss_for, self.trainable_variables, has_aux=True)()
        self.optimizer.apply(gradients, self.trainable_variables)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of evaluation on a batch `(x, y, sample_weight)`."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self._predicted(x, training=False)
        loss = self._loss_of(x, y, y_pred, sample_weight, training=False)
        self._loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """One step of prediction on a batch `(x,)`."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self._predicted(x, training=False)

    def _predicted(self, x: Any, training: bool) -> Any:
        if self._call_signature.has_training:
            return self(x, training=training)
        with within(here.training, training):
            return self(x)

    # ------------------------------------------------------- compiled functions

    def make_train_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that trains on the batches of one execution."""
        return self._function("train", force)

    def make_test_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that evaluates the batches of one execution."""
        return self._function("test", force)

    def make_predict_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that predicts the batches of one execution."""
        return self._function("predict", force)

    def _function(self, which: str, force: bool = False) -> Callable[..., Any]:
        """The native call for a step. It is made again where other variables or layers train."""
        known = self._functions.get(which)
        model = self.variables
        optimizer = self.optimizer.variables if self.optimizer is not None else []
        metrics = self.metrics_variables
        # The states of random generators count as constant outside training, where few models draw:
        # with one that is taken and given back, `predict` of a sample takes 28 us in place of 22.
        groups: dict[str, tuple[list[Variable], list[Variable]]] = {
            "train": ([*model, *optimizer, *metrics], []),
            "test": (metrics, model),
            "predict": ([], model),
        }
        changing, constant = groups[which]
        trained = (
            *(id(variable) for variable in self.trainable_variables),
            *(layer.trainable for layer in self._flatten_layers()),
        )
        held = tuple(id(variable) for variable in [*changing, *constant])
        # A step that draws without a seed has found the generator of its time by itself.
        key = (which, self.run_eagerly, trained, held, seeding.generation())
        if known is not None and not force and known[0] == key:  # type: ignore[index]
            return known[1]  # type: ignore[index]
        if known is not None and known[0] != key:  # type: ignore[index]
            names = ("step", "`run_eagerly`", "trainable parts", "variables", "seeds")
            parts = zip(names, known[0], key, strict=True)  # type: ignore[index]
            changed = " and ".join(name for name, before, now in parts if before != now)
            tuning.say("The step of %r is made again, for other %s.", self.name, changed)
        step = self._step(which)

        def execution(batches: Sequence[Any]) -> Any:
            """Run the step on each batch of one execution."""
            results = [step(data) for data in batches]
            return _joined(results) if which == "predict" else self._logs_of(results[-1])

        jit = None if self.jit_compile == "auto" else self.jit_compile
        function: Callable[..., Any] = execution
        if which == "train" and self._accumulates():
            function = AccumulatingSteps(
                lambda data: self._logs_of(step(data)),
                self.optimizer,
                lambda run: run if self.run_eagerly else CompiledStep(run, changing, constant, jit),
            )
        elif not self.run_eagerly:
            function = (
                CompiledStep(execution, changing, constant, jit)
                if which == "predict"
                else Steps(lambda data: self._logs_of(step(data)), changing, constant, jit)
            )
        self._functions[which] = (key, function)  # type: ignore[assignment]
        return function

    def _accumulates(self) -> bool:
        """Whether the optimizer accumulates gradients, which a step is known to give it once."""
        own = type(self).train_step is Trainer.train_step and "train_step" not in vars(self)
        return own and bool(getattr(self.optimizer, "gradient_accumulation_steps", None))

    def _batches(self, source: Any, steps: int | None) -> Batches:
        counted = isinstance(self.steps_per_execution, int)
        most, known = max_steps_per_epoch(), steps or source.num_batches
        if most and (known is None or most < known):
            steps = most
        return Batches(source, steps, self.steps_per_execution if counted else 1)

    def _set_pace(
        self, batches: Batches, function: Callable[..., Any], epochs: int, seen: bool
    ) -> None:
        """Let several steps run in one call where that was asked for, or where it is faster and the single
        steps are not seen."""
        count = self.steps_per_execution
        if not isinstance(function, Steps) or not current().repeats_steps:
            return
        if count not in (1, "auto"):
            batches.together = lambda left: count if left >= count else 1
        elif count == "auto" or not seen:
            leaves = [x for x in tree.flatten(batches.first()) if x is not None]
            size = sum(getattr(x, "nbytes", 0) for x in leaves)
            steps = batches.steps or 1
            epoch = min(steps, batches.source.num_batches or steps)
            function.pace.begin(steps * epochs, epoch, size)
            batches.together = function.pace.count

    def _fast_predict(self) -> Callable[..., Any]:
        """`make_predict_function`, looked up again only if some layer's parts have changed."""
        version = (self._family(), seeding.generation(), self.run_eagerly)
        if self._predicting is None or self._predicting[0] != version:
            self._predicting = (version, self.make_predict_function())
        return self._predicting[1]

    def _step(self, which: str) -> Callable[..., Any]:
        step = getattr(self, f"{which}_step")
        if self._takes_state(f"{which}_step"):
            return self._stateful(step, which)

        def cleared(data: Any) -> Any:
            result = step(data)
            self._clear_losses()
            return result

        return cleared

    def _takes_state(self, name: str) -> bool:
        """Whether a step is a `step(state, data)`. One of `*args` is what it passes them on to."""
        above = (getattr(super(cls, self), name, None) for cls in type(self).__mro__)
        for step in (getattr(self, name), *above):
            parameters = inspect.signature(step).parameters.values() if step else ()
            if not any(p.kind is p.VAR_POSITIONAL for p in parameters):
                return [p.default for p in parameters if p.kind in _POSITIONAL].count(_EMPTY) == 2
        return False

    def _logs_of(self, result: Any) -> dict[str, Any]:
        """What a step gave as values by name: the first of a tuple, or a bare value, is the loss."""
        if result is None or isinstance(result, dict):
            return _flat_logs(result)
        values = result if isinstance(result, (tuple, list)) else [result]
        names = ["loss", *(f"value_{i}" for i in range(1, len(values)))]
        if len(values) == len(self.metrics_names):
            names = self.metrics_names
        return _flat_logs(dict(zip(names, values, strict=True)))

    def _stateful(self, step: Callable[..., Any], which: str) -> Callable[..., Any]:
        """A `step(state, data)`, which takes and gives all values, as a step over the variables."""

        def over_variables(data: Any) -> Any:
            groups = [self.trainable_variables, self.non_trainable_variables]
            if which == "train":
                groups.append(self.optimizer.variables)
            if which != "predict":
                groups.append(self.metrics_variables)
            state = tuple([variable.value for variable in group] for group in groups)
            found = step(state, data)
            if found is None:
                return None
            result, state = found if len(found) == 2 else (None, found)
            if which == "predict":  # only what the model itself changes comes back
                groups, state = groups[1:], (state,)
            for group, values in zip(groups, state, strict=True):
                for variable, value in zip(group, values, strict=True):
                    variable.assign(value)
            return result

        return over_variables

    def _prepare_for(self, batches: Batches, training: bool) -> None:
        """Make what a step needs from the first batch; the data is closed if that fails."""
        try:
            self._prepare(batches.first(), training)
        except BaseException:
            batches.close()
            raise

    def _prepare(self, data: Any, training: bool) -> None:
        """Make every variable that a step needs, from the shapes of a first batch."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        has_call = self._call_signature.first is not None  # a model of models may have steps alone
        if has_call and not self.built:
            specs = tree.map_structure(_spec, x)
            with SymbolicScope():
                self(specs)
        if self.optimizer is not None and training and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        containers = [c for c in (self._compile_loss, self._compile_metrics) if c is not None]
        if has_call and y is not None and any(not container.built for container in containers):
            y_spec = tree.map_structure(_spec, y)
            with SymbolicScope():
                y_pred = self._predicted(tree.map_structure(_spec, x), training=False)
            for container in containers:
                container.build(y_spec, y_pred, self._output_names())
        self._clear_losses()

    def _output_names(self) -> list[str] | None:
        return getattr(self, "output_names", None)

    # -------------------------------------------------------------------- fit

    @at_home
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> Any:
        """Train the model.

        Args:
            x: The inputs: arrays, structures of arrays, or a source of batches (a generator, a
                `PyDataset`, a data loader) that gives `(x, y)` or `(x, y, sample_weight)`.
            y: The targets, where x is arrays.
            batch_size: The number of samples in a step, 32 where it is left out.
            epochs: The number of the last epoch.
            verbose: 0 is silent, 1 draws progress, 2 prints a line an epoch.
            callbacks: Callbacks, which see the course of training.
            validation_split: The share of the samples, from the end, that is held out.
            validation_data: The data that is evaluated after each epoch.
            shuffle: Whether samples come in a new order each epoch.
            class_weight: The weight of each class, by its index.
            sample_weight: The weight of each sample.
            initial_epoch: The number of epochs that are done already.
            steps_per_epoch: The number of steps of an epoch, where the source has no end.
            validation_steps: The number of steps of a validation.
            validation_batch_size: The number of samples in a step of validation.
            validation_freq: After how many epochs to validate, or after which.

        Returns:
            A `History`: what the metrics were, epoch by epoch.
        """
        self._require_compiled("fit")
        epochs = min(epochs, max_epochs() or epochs)
        self.stop_training = False
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = train_validation_split(
                (x, y, sample_weight), validation_split=validation_split
            )
        source = make_source(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps_per_epoch,
            shuffle=shuffle,
            class_weight=class_weight,
        )
        batches = self._batches(source, steps_per_epoch)
        events = self._events(callbacks, verbose, batches.steps, epochs, history=True)
        validate = self._validation(
            validation_data, validation_batch_size or batch_size, validation_steps, events
        )
        batches.begin(initial_epoch)
        self._prepare_for(batches, training=True)
        function = self.make_train_function()
        self._set_pace(batches, function, epochs - initial_epoch, events.sees_each("train"))
        self._initial_epoch = initial_epoch  # a callback that restores a backup moves it
        events.on_train_begin()
        if self._initial_epoch != initial_epoch:
            batches.begin(self._initial_epoch)
        logs: dict[str, Any] = {}
        try:
            with while_fitting():
                for epoch in range(self._initial_epoch, epochs):
                    self.reset_metrics()
                    events.on_epoch_begin(epoch)
                    epoch_logs = self._epoch(batches, function, events)
                    logs = dict(epoch_logs)
                    if validate is not None and _due(epoch, validation_freq):
                        logs.update({f"val_{name}": value for name, value in validate().items()})
                    logs = dict(sorted(logs.items()))
                    events.on_epoch_end(epoch, logs)
                    _warn_of_nan(self, epoch, logs)
                    if self.stop_training:
                        break
                if epochs > 0 and hasattr(self.optimizer, "finalize_variable_values"):
                    self.optimizer.finalize_variable_values(self.trainable_weights)
        finally:
            batches.close()
            events.close()
        events.on_train_end(logs)
        return self.history

    def _epoch(
        self, batches: Batches, function: Callable[..., Any], events: Any
    ) -> dict[str, float]:
        """Train on every batch once; the metrics at the end."""
        results: Any = {}
        if isinstance(function, AccumulatingSteps):
            function.begin()
        for first, last, execution in batches:
            events.on_train_batch_begin(first)
            results = function(execution)
            events.on_train_batch_end(last, results)
            if self.stop_training:
                break
        return _numbers(results)

    def _validation(
        self, data: Any, batch_size: int | None, steps: int | None, events: Any
    ) -> Callable[[], dict[str, float]] | None:
        if data is None:
            return None
        x, y, sample_weight = (
            unpack_x_y_sample_weight(data)
            if isinstance(data, (tuple, list))
            else (data, None, None)
        )
        if hasattr(x, "__next__"):
            x = Kept(x)

        def validate() -> dict[str, float]:
            result: dict[str, float] = self.evaluate(
                x,
                y,
                sample_weight=sample_weight,
                batch_size=batch_size,
                steps=steps,
                callbacks=events,
                return_dict=True,
                verbose=0,
            )
            return result

        return validate

    @at_home
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics on data, in batches.

        Args:
            x, y, sample_weight, batch_size, steps, callbacks, verbose: As in `fit`.
            return_dict: Whether the values come by name.

        Returns:
            The values by name, else in the order of `metrics_names`; the loss alone as a number.
        """
        self._require_compiled("evaluate")
        source = make_source(x, y, sample_weight, batch_size=batch_size, steps=steps)
        batches = self._batches(source, steps)
        events = self._events(callbacks, verbose, batches.steps)
        self._prepare_for(batches, training=False)
        function = self.make_test_function()
        self._set_pace(batches, function, 1, events.sees_each("test"))
        self.reset_metrics()
        events.on_test_begin()
        results: Any = {}
        try:
            for first, last, execution in batches:
                events.on_test_batch_begin(first)
                results = function(execution)
                events.on_test_batch_end(last, results)
        finally:
            batches.close()
            if events is not callbacks:
                events.close()
        logs = _numbers(results)
        events.on_test_end(logs)
        return self._answer(logs, return_dict)

    def _in_order(self, logs: dict[str, Any]) -> list[Any]:
        """The values of logs in the order of the metrics; those named after outputs by their name."""
        compiled = self._compile_metrics
        by_name = (
            compiled is not None and compiled.outputs is not None and compiled.outputs.count > 1
        )
        last = (
            {id(metric) for metric in compiled.metrics} if compiled is not None and by_name else ()
        )
        names = [metric.name for metric in self.metrics if id(metric) not in last]
        first = {name: logs[name] for name in names if name in logs}
        return list({**first, **dict(sorted(logs.items()))}.values())

    @at_home
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The model's outputs for data, in batches, as NumPy arrays."""
        plain = callbacks is None and steps is None and type(x) is np.ndarray and self.built
        plain = plain and x.ndim > 0 and x.dtype.kind in "biuf" and _verbosity(verbose) == 0
        if plain and 0 < len(x) <= (batch_size or 32):
            return _to_numpy(self._fast_predict()([(x,)]))
        source = make_source(x, batch_size=batch_size, steps=steps)
        batches = self._batches(source, steps)
        events = self._events(callbacks, verbose, batches.steps)
        self._prepare_for(batches, training=False)
        function = self.make_predict_function()
        events.on_predict_begin()
        collected: list[Any] = []
        try:
            for first, last, execution in batches:
                events.on_predict_batch_begin(first)
                outputs = function([(unpack_x_y_sample_weight(data)[0],) for data in execution])
                collected.append(outputs)
                events.on_predict_batch_end(last, {"outputs": outputs})
        finally:
            batches.close()
            if events is not callbacks:
                events.close()
        events.on_predict_end()
        if not collected:
            raise ValueError(
                "`predict` needs data. Received: a source that gave no batch. Check its length."
            )
        return _to_numpy(collected[0]) if len(collected) == 1 else _concatenated(collected)

    def _events(
        self,
        callbacks: Any,
        verbose: Any,
        steps: int | None,
        epochs: int = 1,
        history: bool = False,
    ) -> Any:
        if isinstance(callbacks, callbacks_module.CallbackList):
            return callbacks
        return callbacks_module.CallbackList.wrap(
            callbacks,
            model=self,
            add_history=history,
            add_progbar=_verbosity(verbose) != 0,
            verbose=_verbosity(verbose),
            epochs=epochs,
            steps=steps,
        )

    # -------------------------------------------------------------- one batch

    @at_home
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Train on one batch; the metrics of this batch."""
        self._require_compiled("train_on_batch")
        (data,) = _one_batch(x, y, sample_weight, class_weight)
        self._prepare(data, training=True)
        self.reset_metrics()
        function = self.make_train_function()
        if isinstance(function, AccumulatingSteps):
            function.begin()
        return self._answer(function([data]), return_dict)

    @at_home
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluate one batch; the metrics of this batch."""
        self._require_compiled("test_on_batch")
        (data,) = _one_batch(x, y, sample_weight, None)
        self._prepare(data, training=False)
        self.reset_metrics()
        return self._answer(self.make_test_function()([data]), return_dict)

    @at_home
    def predict_on_batch(self, x: Any) -> Any:
        """The model's outputs for one batch, as NumPy arrays."""
        (data,) = _one_batch(x, None, None, None)
        self._prepare(data, training=False)
        x, _, _ = unpack_x_y_sample_weight(data)
        return _to_numpy(self.make_predict_function()([(x,)]))

    def _answer(self, results: Any, return_dict: bool) -> Any:
        logs = _numbers(results)
        if return_dict:
            return logs
        values = self._in_order(logs)
        return values[0] if len(values) == 1 else values


def _one_batch(x: Any, y: Any, sample_weight: Any, class_weight: Any) -> list[Any]:
    size = int(tree.flatten(x)[0].shape[0])
    source = make_source(x, y, sample_weight, batch_size=size, class_weight=class_weight)
    return list(source)


def _spec(x: Any) -> Any:
    """An array's spec, with the batch left open."""
    if x is None or isinstance(x, KerasTensor):
        return x
    engine = current()
    dtype = engine.dtype_of(x) if engine.is_tensor(x) else engine.canonical_dtype(str(x.dtype))
    return KerasTensor((None, *tuple(x.shape)[1:]), dtype)


def _batch_size(x: Any) -> Any:
    from .. import ops

    return ops.shape(next(leaf for leaf in tree.flatten(x) if leaf is not None))[0]


def _flat_logs(logs: Any) -> dict[str, Any]:
    """The values of a step by name, in the order of the names; dictionaries within are opened."""
    flat: dict[str, Any] = {}
    for name, value in dict(logs or {}).items():
        flat.update(_flat_logs(value) if isinstance(value, dict) else {name: _value(value)})
    return dict(sorted(flat.items()))


def _value(x: Any) -> Any:
    """What a step gives is no variable: those are bound to traced values while it runs."""
    return x.value if isinstance(x, Variable) else x


def _joined(results: list[Any]) -> Any:
    from .. import ops

    results = [tree.map_structure(_value, result) for result in results]
    if len(results) == 1:
        return results[0]
    return tree.map_structure(lambda *parts: ops.concatenate(parts, axis=0), *results)


def _to_numpy(structure: Any) -> Any:
    """Outputs as arrays that are the caller's own."""
    from .. import ops

    if current().is_tensor(structure):
        return ops.convert_to_numpy(structure)
    return tree.map_structure(ops.convert_to_numpy, structure)


def _concatenated(parts: list[Any]) -> Any:
    engine = current()
    return tree.map_structure(
        lambda *arrays: np.concatenate([engine.convert_to_numpy(x) for x in arrays]), *parts
    )


def _numbers(results: Any) -> dict[str, Any]:
    """Metrics as Python numbers: here the loop waits for the device."""
    engine = current()
    numbers = {}
    for name, value in dict(results or {}).items():
        host = np.asarray(engine.convert_to_numpy(value) if engine.is_tensor(value) else value)
        numbers[name] = float(host) if host.ndim == 0 else host
    return numbers


def _verbosity(verbose: Any) -> int:
    return 1 if verbose == "auto" else int(verbose)


def _due(epoch: int, frequency: Any) -> bool:
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency


def _warn_of_nan(model: Any, epoch: int, logs: dict[str, Any]) -> None:
    loss = logs.get("loss")
    if isinstance(loss, float) and math.isnan(loss) and not model.stop_training:
        warnings.warn(
            f"The loss is NaN after epoch {epoch + 1}. Received: loss=nan of the model "
            f"{model.name!r}. Look for NaN in the data, lower the learning rate, set `clipnorm`, or "
            "stop early with `cornu.callbacks.TerminateOnNaN()`.",
            stacklevel=3,
        )
