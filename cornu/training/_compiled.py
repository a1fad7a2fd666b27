"""What `compile` was told of losses and metrics, matched with a model's outputs.

`Outputs` knows the structure of the outputs and gives for each of them its part of any structure:
targets, sample weights, losses, metrics. Matching happens once, when the shapes are first known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import losses as losses_module
from .. import metrics as metrics_module
from .. import ops
from ..core import naming, tree
from ..core.keras_tensor import KerasTensor
from ..core.scopes import SymbolicScope
from ..losses import Loss, LossFunctionWrapper
from ..metrics import Mean, MeanMetricWrapper, Metric
from ._padding import samples

_ACCURACY = ("accuracy", "acc")
_CROSSENTROPY = ("crossentropy", "ce")


# --------------------------------------------------------------------- outputs


class Outputs:
    """The structure of a model's outputs.

    Args:
        structure: The outputs: tensors, arrays or specs.
        names: The names of the outputs, in the order of the structure's leaves.
    """

    def __init__(self, structure: Any, names: Sequence[str] | None) -> None:
        self.structure = structure
        found = tree.flatten_with_path(structure)
        self.paths = [path for path, _ in found]
        self.count = len(found)
        self.names = list(names) if names is not None and len(names) == self.count else None

    def label(self, index: int) -> str:
        """What errors call an output."""
        path = self.paths[index]
        if self.names is not None and not (path and isinstance(path[-1], str)):
            path = (*path[:-1], self.names[index])
        return "/".join(map(str, path)) or "output"

    def part(self, what: str, value: Any, shared: bool = False) -> list[Any]:
        """The part of a structure that belongs to each output; None where there is none.

        Args:
            what: The structure's name, for errors.
            value: A structure like the outputs, or a list or a dictionary by the outputs' names.
            shared: Whether a single value stands for all outputs.

        Raises:
            ValueError: If the structure is another one.
        """
        if value is None:
            return [None] * self.count
        if not _is_container(value):
            if shared or self.count == 1:
                return [value] * self.count
            raise self._mismatch(what, value)
        if self._is_by_name(value):
            return [value.get(name) for name in self.names or ()]
        if self.count == 1:
            return [self._single(what, value)]
        if isinstance(self.structure, dict) and isinstance(value, (list, tuple)):
            if len(value) == self.count:
                return list(value)
            raise self._mismatch(what, value)
        return list(self._walk(what, self.structure, value, value))

    def targets(self, y: Any, wanted: Iterable[int]) -> list[Any]:
        """The target of each output; a single array is that of the only output that wants one."""
        only = set(wanted)
        one = y[0] if isinstance(y, (list, tuple)) and len(y) == 1 else y
        if self.count > 1 and len(only) == 1 and one is not None and not _is_container(one):
            return [one if i in only else None for i in range(self.count)]
        return self.part("y", y)

    def _is_by_name(self, value: Any) -> bool:
        if not isinstance(value, dict) or self.names is None:
            return False
        by_key = isinstance(self.structure, dict) and set(value) <= set(self.structure)
        return not by_key and set(value) <= set(self.names)

    def _single(self, what: str, value: Any) -> Any:
        """The one entry of a structure for the only output."""
        if isinstance(value, dict):
            keys = set(self.paths[0][:1]) | set(self.names or value)
            if len(value) != 1 or not set(value) <= keys:
                raise self._mismatch(what, value)
            return next(iter(value.values()))
        if len(value) != 1:
            raise self._mismatch(what, value)
        return value[0]

    def _walk(self, what: str, structure: Any, value: Any, whole: Any) -> Iterator[Any]:
        if not _is_container(structure):
            yield value
        elif value is None:
            yield from [None] * len(tree.flatten(structure))
        elif isinstance(structure, dict):
            if not isinstance(value, dict) or not set(value) <= set(structure):
                raise self._mismatch(what, whole)
            for path in dict.fromkeys(path[0] for path, _ in tree.flatten_with_path(structure)):
                yield from self._walk(what, structure[path], value.get(path), whole)
        else:
            if not isinstance(value, (list, tuple)) or len(value) != len(structure):
                raise self._mismatch(what, whole)
            for inner, part in zip(structure, value, strict=True):
                yield from self._walk(what, inner, part, whole)

    def _mismatch(self, what: str, value: Any) -> ValueError:
        known = self.names or [self.label(i) for i in range(self.count)]
        return ValueError(
            f"`{what}` must have an entry for each output of the model. Received: "
            f"{what}={_outline(value)}, while the model gives {_outline(self.structure)}. Give it "
            f"the structure of the outputs, or a dictionary by their names: {known}."
        )


def _is_container(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict))


def _outline(value: Any) -> Any:
    """A structure whose arrays show as their shapes."""
    if isinstance(value, dict):
        inner = ", ".join(f"{key!r}: {_outline(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(str(_outline(item)) for item in value)}]"
    shape = getattr(value, "shape", None)
    if shape is None or isinstance(value, Metric):
        return repr(value)
    return f"({', '.join(str(size) for size in shape)})"


# -------------------------------------------------------------------- the loss


class CompiledLoss:
    """The loss of all outputs: the weighted sum of their losses.

    Args:
        loss: A loss, its name, a function, or a structure of them in that of the outputs.
        loss_weights: The weight of each loss, in the structure of the losses.
    """

    def __init__(self, loss: Any, loss_weights: Any = None) -> None:
        _check_weights(loss, loss_weights)
        for leaf in tree.flatten(loss):
            _resolve_loss(leaf)
        self.loss = loss
        self.loss_weights = loss_weights
        self.built = False
        self.outputs: Outputs | None = None
        self._losses: list[Loss | None] = []
        self._weights: list[Any] = []
        self._trackers: list[Mean | None] = []

    @property
    def metrics(self) -> list[Metric]:
        """The mean loss of each output, where there are several losses; in the order of those."""
        found = [(i, tracker) for i, tracker in enumerate(self._trackers) if tracker is not None]
        if isinstance(self.loss, dict) and self.outputs is not None:
            given = {name: place for place, name in enumerate(self.loss)}
            outputs = self.outputs
            found.sort(key=lambda entry: given.get(outputs.label(entry[0]), len(given)))
        return [tracker for _, tracker in found]

    def build(self, y: Any, y_pred: Any, output_names: Sequence[str] | None = None) -> None:
        """Match the losses with the outputs.

        Args:
            y: The targets, or their specs.
            y_pred: The outputs, or their specs.
            output_names: The names of the outputs.
        """
        outputs = self.outputs = Outputs(y_pred, output_names)
        given = outputs.part("loss", self.loss, shared=True)
        self._losses = [_resolve_loss(loss) for loss in given]
        weights = self.loss_weights
        if weights is not None and not _is_container(self.loss):
            weights = [weights] if not _is_container(weights) else weights
        self._weights = outputs.part("loss_weights", weights)
        self._trackers = [None] * outputs.count
        if sum(loss is not None for loss in self._losses) > 1:
            names = _unique_names(
                [f"{self._output_name(i, loss)}_loss" for i, loss in enumerate(given)]
            )
            self._trackers = [
                None if loss is None else _tracker(name)
                for name, loss in zip(names, self._losses, strict=True)
            ]
        self.built = True
        self._check(y, y_pred)

    def _output_name(self, index: int, loss: Any) -> str:
        """The output's name in the logs; where outputs have none, the loss's."""
        outputs = self.outputs
        assert outputs is not None
        if outputs.names is not None or isinstance(outputs.paths[index][-1], str):
            return outputs.label(index)
        parent = "".join(f"{key}/" for key in outputs.paths[index][:-1])
        return parent + (loss if isinstance(loss, str) else _name_of(loss))

    def _check(self, y: Any, y_pred: Any) -> None:
        """Run this package's losses on shapes, so that shapes that don't fit are seen at once."""
        for index, loss, target, prediction in self._pairs(y, y_pred):
            if isinstance(loss, LossFunctionWrapper) and naming.is_ours(loss.fn):
                specs = _spec_of(target), _spec_of(prediction)
                if None in specs:
                    continue
                with SymbolicScope():
                    self._loss_of(index, loss, *specs, None)

    def _pairs(self, y: Any, y_pred: Any) -> Iterator[tuple[int, Loss, Any, Any]]:
        """Index, loss, targets and predictions of each output that has a loss."""
        assert self.outputs is not None
        wanted = (i for i, loss in enumerate(self._losses) if loss is not None)
        targets = self.outputs.targets(y, wanted)
        predictions = tree.flatten(y_pred)
        for index, loss in enumerate(self._losses):
            if loss is None:
                continue
            if targets[index] is None:
                raise ValueError(
                    "An output with a loss must have a target. Received: y="
                    f"{_outline(y)} without one for the output {self.outputs.label(index)!r}. Add "
                    "it to y, or give the output the loss None."
                )
            yield index, loss, targets[index], predictions[index]

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of a batch, a scalar.

        Args:
            y: The targets, in the structure of the outputs.
            y_pred: The outputs.
            sample_weight: Weights in that structure, or one tensor for all outputs.
        """
        if not self.built:
            self.build(y, y_pred)
        assert self.outputs is not None
        weights = self.outputs.part("sample_weight", sample_weight, shared=True)
        total: Any = None
        for index, loss, target, prediction in self._pairs(y, y_pred):
            value = self._loss_of(index, loss, target, prediction, weights[index])
            tracker = self._trackers[index]
            if tracker is not None:
                tracker.update_state(value, sample_weight=samples(prediction))
            if self._weights[index] is not None:
                value = value * self._weights[index]
            total = value if total is None else total + value
        return ops.zeros(()) if total is None else total

    def _loss_of(self, index: int, loss: Loss, target: Any, prediction: Any, weight: Any) -> Any:
        try:
            return ops.cast(loss(target, prediction, sample_weight=weight), "float32")
        except (TypeError, ValueError) as error:
            raise self._located(error, index, loss, target, prediction, weight) from error

    def _located(
        self, error: Exception, index: int, loss: Loss, target: Any, prediction: Any, weight: Any
    ) -> Exception:
        assert self.outputs is not None
        shapes = f"y of shape {_outline(target)}, y_pred of shape {_outline(prediction)}"
        if weight is not None:
            shapes += f", sample_weight of shape {_outline(weight)}"
        label = self.outputs.label(index)
        if not (isinstance(loss, LossFunctionWrapper) and naming.is_ours(loss.fn)):
            error.add_note(f"Raised by the loss {loss.name!r} of the output {label!r}: {shapes}.")
            return error
        return ValueError(
            f"The loss {_name_of(loss.fn)!r} must be given targets and predictions that fit. "
            f"Received: {shapes}, for the output {label!r}. {error}"
        )


def _tracker(name: str) -> Mean:
    tracker = Mean(name=name.replace("/", "_"))
    tracker.name = name
    return tracker


def _check_weights(loss: Any, loss_weights: Any) -> None:
    if loss_weights is None:
        return
    losses, weights = (tree.flatten(part) for part in (loss, loss_weights))
    if any(isinstance(weight, str) for weight in weights):
        raise ValueError(
            f"`loss_weights` are numbers. Received: loss_weights={loss_weights!r}. Names of metrics go to `metrics=`."
        )
    alike = _is_container(loss) == _is_container(loss_weights) or len(losses) == 1
    if not alike or len(losses) != len(weights):
        raise ValueError(
            "`loss_weights` must have one weight for each loss. Received: "
            f"loss={_outline(loss)}, loss_weights={loss_weights!r}. Give both the same structure."
        )


def _resolve_loss(loss: Any) -> Loss | None:
    found = losses_module.get(loss)
    if found is None or isinstance(found, Loss):
        return found
    return LossFunctionWrapper(found, name=_name_of(found))


# ----------------------------------------------------------------- the metrics


class LoggedMetric(Metric):
    """A metric under the name that it has in the logs of a model.

    Args:
        metric: The metric, which keeps its own name.
        name: The name in the logs.
    """

    def __init__(self, metric: Metric, name: str) -> None:
        super().__init__(dtype=metric.dtype, name=name)
        self.metric = metric
        self._direction = metric._direction

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take a batch into account."""
        self.metric.update_state(*args, **kwargs)

    def reset_state(self) -> None:
        """Start again."""
        self.metric.reset_state()

    def result(self) -> Any:
        """The value of the metric."""
        return self.metric.result()


class CompiledMetrics:
    """The metrics of all outputs.

    Args:
        metrics: Metrics, their names or functions: a list for a single output, else a structure in
            that of the outputs, with one of them or a list at each.
        weighted_metrics: The same, for metrics that take sample weights into account.
    """

    def __init__(self, metrics: Any, weighted_metrics: Any = None) -> None:
        for name, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given is not None and not _is_container(given):
                raise ValueError(
                    f"`{name}` must be a list, a tuple or a dictionary. "
                    f"Received: {name}={given!r}. Write `{name}=[{given!r}]`."
                )
            for leaf in tree.flatten(given):
                if isinstance(leaf, str) and leaf.lower() not in _ACCURACY + _CROSSENTROPY:
                    metrics_module.get(leaf)
        self.given = {"metrics": metrics, "weighted_metrics": weighted_metrics}
        self.built = False
        self.outputs: Outputs | None = None
        #: Index of the output, whether sample weights count, and the metric, in the logs' order.
        self._entries: list[tuple[int, bool, Metric]] = []
        #: The outputs that have metrics.
        self._wanted: set[int] = set()

    @property
    def metrics(self) -> list[Metric]:
        """All metrics, under their names in the logs."""
        return [metric for _, _, metric in self._entries]

    def build(self, y: Any, y_pred: Any, output_names: Sequence[str] | None = None) -> None:
        """Match the metrics with the outputs and make their state.

        Args:
            y: The targets, or their specs.
            y_pred: The outputs, or their specs.
            output_names: The names of the outputs.
        """
        outputs = self.outputs = Outputs(y_pred, output_names)
        found = {key: self._per_output(outputs, key, given) for key, given in self.given.items()}
        self._wanted = {i for parts in found.values() for i, part in enumerate(parts) if part}
        targets, predictions = outputs.targets(y, self._wanted), tree.flatten(y_pred)
        names: list[str] = []
        for key, parts in found.items():
            for index, identifiers in enumerate(parts):
                for identifier in identifiers:
                    metric = _resolve_metric(identifier, targets[index], predictions[index])
                    name = self._log_name(outputs, index, metric.name, key, names)
                    names.append(name)
                    if name != metric.name:
                        metric = _renamed(metric, name, identifier)
                    self._entries.append((index, key == "weighted_metrics", metric))
        self.built = True
        self._make_state(targets, predictions)

    @staticmethod
    def _per_output(outputs: Outputs, key: str, given: Any) -> list[list[Any]]:
        """The identifiers of each output's metrics."""
        if outputs.count == 1 and isinstance(given, (list, tuple)):
            return [[leaf for leaf in tree.flatten(given) if leaf is not None]]
        parts = outputs.part(key, given)
        return [[leaf for leaf in tree.flatten(part) if leaf is not None] for part in parts]

    @staticmethod
    def _log_name(outputs: Outputs, index: int, name: str, key: str, taken: list[str]) -> str:
        prefix = ""
        if outputs.count > 1:
            path = outputs.paths[index]
            if outputs.names is not None or any(isinstance(step, str) for step in path):
                prefix = f"{outputs.label(index)}_"
        if key == "weighted_metrics" and prefix + name in taken:
            name = f"weighted_{name}"
        return _unused(prefix + name, taken)

    def _make_state(self, targets: list[Any], predictions: list[Any]) -> None:
        """Update on shapes, where metrics make their state for what they are first given.

        An error of a user's metric is left to the real update: its code may not run on shapes.
        """
        for index, _, metric in self._entries:
            if metric.variables:
                continue
            specs = _spec_of(targets[index]), _spec_of(predictions[index])
            if None in specs:
                continue
            try:
                with SymbolicScope():
                    metric.update_state(*specs)
            except Exception:
                if naming.is_ours(type(metric)) and not isinstance(metric, LoggedMetric):
                    raise

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account.

        Args:
            y: The targets, in the structure of the outputs.
            y_pred: The outputs.
            sample_weight: Weights in that structure, or one tensor for all outputs.
        """
        if not self.built:
            self.build(y, y_pred)
        assert self.outputs is not None
        targets, predictions = self.outputs.targets(y, self._wanted), tree.flatten(y_pred)
        weights = self.outputs.part("sample_weight", sample_weight, shared=True)
        for index, weighted, metric in self._entries:
            arguments = targets[index], predictions[index]
            if arguments[0] is None:
                continue
            try:
                if weighted and weights[index] is not None:
                    metric.update_state(*arguments, sample_weight=weights[index])
                else:
                    metric.update_state(*arguments)
            except (TypeError, ValueError) as error:
                error.add_note(
                    f"Raised by the metric {metric.name!r} of the output "
                    f"{self.outputs.label(index)!r}: y of shape {_outline(arguments[0])}, "
                    f"y_pred of shape {_outline(arguments[1])}."
                )
                raise

    def result(self) -> dict[str, Any]:
        """The values of all metrics, by their names in the logs."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            value = metric.result()
            results.update(value if isinstance(value, dict) else {metric.name: value})
        return results

    def reset_state(self) -> None:
        """Start all metrics again."""
        for metric in self.metrics:
            metric.reset_state()


def _renamed(metric: Metric, name: str, identifier: Any) -> Metric:
    if isinstance(identifier, Metric):
        return LoggedMetric(metric, name)
    metric.name = name
    return metric


def _resolve_metric(identifier: Any, y: Any, y_pred: Any) -> Metric:
    """The metric that an identifier means for targets and predictions of these shapes."""
    if isinstance(identifier, str) and identifier.lower() in _ACCURACY + _CROSSENTROPY:
        functions = _by_kind(identifier.lower() in _ACCURACY)
        return _mean_of(functions[_kind_of_target(y, y_pred)], identifier)
    metric = metrics_module.get(identifier)
    if isinstance(metric, Metric):
        if isinstance(identifier, str):
            metric.name = identifier
        return metric
    return _mean_of(metric, _name_of(metric))


def _mean_of(function: Callable[..., Any], name: str) -> Metric:
    metric = MeanMetricWrapper(function, name=name)
    if metric._direction is None and naming.is_ours(function):
        metric._direction = "up"  # the losses among the functions are known already
    return metric


def _by_kind(accuracy: bool) -> dict[str, Callable[..., Any]]:
    """The function for each kind of target."""
    kind = "accuracy" if accuracy else "crossentropy"
    prefixes = ("binary", "categorical", "sparse_categorical")
    return {prefix: getattr(metrics_module, f"{prefix}_{kind}") for prefix in prefixes}


def _kind_of_target(y: Any, y_pred: Any) -> str:
    """Whether targets are zeros and ones, one-hot classes or classes as integers, by the shapes."""
    target, prediction = _shape_of(y), _shape_of(y_pred)
    if len(prediction) < 2 or prediction[-1] == 1:
        return "binary"
    if len(target) < len(prediction) or target[-1] == 1:
        return "sparse_categorical"
    return "categorical"


# --------------------------------------------------------------------- helpers


def _shape_of(x: Any) -> tuple[Any, ...]:
    return tuple(x.shape if hasattr(x, "shape") else np.shape(x))


def _spec_of(x: Any) -> KerasTensor | None:
    """The shape and dtype of an array, with the batch left open; None for anything else."""
    if x is None or isinstance(x, KerasTensor):
        return x
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        return None
    return KerasTensor((None, *tuple(x.shape)[1:]) if len(x.shape) else (), ops.dtype(x))


def _name_of(target: Any) -> str:
    name = getattr(target, "name", None) or getattr(target, "__name__", None)
    return naming.to_snake_case(name or type(target).__name__)


def _unused(name: str, taken: Sequence[str]) -> str:
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _unique_names(names: Sequence[str]) -> list[str]:
    unique: list[str] = []
    for name in names:
        unique.append(_unused(name, unique))
    return unique
