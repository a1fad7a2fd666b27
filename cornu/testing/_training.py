"""`check_model`, `check_loss`, `check_metric`, `check_optimizer`: the rest of what users write."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .. import saving
from ..core import tree
from ..core.state import CompiledStep, value_and_grad
from ..core.variable import Variable
from ._checks import (
    CONFIGS,
    Checks,
    Fault,
    arrays,
    close,
    described_again,
    each_engine,
    finite,
    host,
    own,
    written,
)

MODEL, LOSS, METRIC, OPTIMIZER = Checks(), Checks(), Checks(), Checks()


def check_model(
    make: Callable[[], Any],
    x: Any,
    y: Any = None,
    *,
    engines: Sequence[str] | None = None,
    skip: Iterable[str] = (),
    tolerance: float = 1e-4,
) -> None:
    """Check a model: calls, training, copies, files, engines, export.

    Args:
        make: Gives a new model; a compiled one is trained as it is, another by the mean square.
        x: A batch of inputs, as the model takes them.
        y: Targets for them; ones where they are left out.
        engines: The engines to run on; all that are installed where they are left out.
        skip: The names of checks that don't apply.
        tolerance: How far values may differ, absolute and relative.

    Raises:
        CheckError: With each way in which the model fails, and what to change.

    >>> from cornu import layers, models
    >>> make = lambda: models.Sequential([layers.Input((3,)), layers.Dense(2)])
    >>> check_model(make, np.ones((4, 3), "float32"), engines=["numpy"], skip=["export"])
    """
    MODEL.run("The model", _Model(make, arrays(x), arrays(y), engines, tolerance), skip)


def check_loss(
    loss: type,
    arguments: Mapping[str, Any] | None = None,
    y_true: Any = None,
    y_pred: Any = None,
    *,
    engines: Sequence[str] | None = None,
    skip: Iterable[str] = (),
    tolerance: float = 1e-4,
) -> None:
    """Check a loss: reductions, weights, gradients, config, engines.

    Args:
        loss: The class.
        arguments: The constructor's arguments.
        y_true, y_pred: Targets and predictions `(batch, ...)`.
        engines, skip, tolerance: As in `check_layer`.

    Raises:
        CheckError: With each way in which the loss fails, and what to change.

    >>> from cornu import losses
    >>> y = np.array([[1.0], [2.0]], "float32")
    >>> check_loss(losses.Huber, {"delta": 0.5}, y, y + 1, engines=["numpy"])
    """
    case = _Measure(loss, dict(arguments or {}), engines, tolerance, arrays(y_true), arrays(y_pred))
    LOSS.run(loss, case, skip)


def check_metric(
    metric: type,
    arguments: Mapping[str, Any] | None = None,
    y_true: Any = None,
    y_pred: Any = None,
    *,
    engines: Sequence[str] | None = None,
    skip: Iterable[str] = (),
    tolerance: float = 1e-4,
) -> None:
    """Check a metric: its state, weights, config, engines, compiled steps.

    Args:
        metric: The class.
        arguments: The constructor's arguments.
        y_true, y_pred: Targets and predictions `(batch, ...)`.
        engines, skip, tolerance: As in `check_layer`.

    Raises:
        CheckError: With each way in which the metric fails, and what to change.

    >>> from cornu import metrics
    >>> y = np.array([[1.0], [2.0]], "float32")
    >>> check_metric(metrics.MeanSquaredError, {}, y, y + 1, engines=["numpy"])
    """
    case = _Measure(
        metric, dict(arguments or {}), engines, tolerance, arrays(y_true), arrays(y_pred)
    )
    METRIC.run(metric, case, skip)


def check_optimizer(
    optimizer: type,
    arguments: Mapping[str, Any] | None = None,
    *,
    engines: Sequence[str] | None = None,
    skip: Iterable[str] = (),
    tolerance: float = 1e-4,
) -> None:
    """Check an optimizer: that it goes down, its state, config, engines, compiled steps.

    Args:
        optimizer: The class.
        arguments: The constructor's arguments.
        engines, skip, tolerance: As in `check_layer`.

    Raises:
        CheckError: With each way in which the optimizer fails, and what to change.

    >>> from cornu import optimizers
    >>> check_optimizer(optimizers.SGD, {"learning_rate": 0.1}, engines=["numpy"])
    """
    case = _Optimizer(optimizer, dict(arguments or {}), engines, tolerance)
    OPTIMIZER.run(optimizer, case, skip)


# -------------------------------------------------------------------------- models


@dataclass
class _Model:
    make: Callable[[], Any]
    x: Any
    y: Any
    engines: Sequence[str] | None
    tolerance: float

    @functools.cached_property
    def model(self) -> Any:
        """A model that has been called."""
        model = self.make()
        model(self.x)
        return model

    @functools.cached_property
    def outputs(self) -> Any:
        """What it predicts, the whole batch at once."""
        return host(self.model(self.x, training=False))

    def trained(self, model: Any) -> float:
        """The loss of a step of training."""
        if not model.compiled:
            model.compile("sgd", "mse")
        y = self.y
        if y is None:
            y = tree.map_structure(
                lambda x: np.ones(x.shape, "float32"), model(self.x, training=False)
            )
        logs = model.train_on_batch(self.x, y, return_dict=True)
        return float(logs["loss"])


@MODEL.add("A model is called on a batch of inputs, and gives tensors.", first=True)
def call(case: _Model) -> None:
    """It runs, and gives finite numbers."""
    finite(case.outputs, "The output")
    close(
        case.model(case.x, training=False),
        case.outputs,
        case.tolerance,
        "A second call gives something else",
    )


@MODEL.add(
    "`call` may look at no value of a tensor: use `ops.where`, `ops.cond`, `ops.while_loop`."
)
def compiled(case: _Model) -> None:
    """`predict` gives what a call gives."""
    size = len(tree.flatten(case.x)[0])
    found = case.model.predict(case.x, batch_size=size, verbose=0)
    close(found, case.outputs, case.tolerance, "`predict` gives something else than a call")


@MODEL.add(
    "A subclass has a `get_config`; a class of your own layers, functions and losses is registered."
)
def files(case: _Model) -> None:
    """It is the same after a file."""
    with tempfile.TemporaryDirectory() as folder, saving.custom_object_scope(own(type(case.model))):
        path = Path(folder, "model.keras")
        case.model.save(path)
        again = saving.load_model(path)
        close(again(case.x, training=False), case.outputs, 1e-6, "Loaded, it gives something else")
        case.model.save_weights(Path(folder, "a.weights.h5"))
        again.load_weights(Path(folder, "a.weights.h5"))


@MODEL.add(
    "Compute with `cornu.ops`; look at shapes by `ops.shape`; give a loss that fits the outputs."
)
def training(case: _Model) -> None:
    """A step of training changes its weights, to finite ones."""
    model = case.make()
    model(case.x)
    before = [w.numpy() for w in model.trainable_weights]
    loss = case.trained(model)
    if not np.isfinite(loss):
        raise Fault(f"The loss of a step is {loss}.")
    after = [w.numpy() for w in model.trainable_weights]
    finite(after, "A weight after a step")
    if before and all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)):
        raise Fault("A step of training changes no weight.")


@MODEL.add("Use `cornu.ops` in place of a library's functions.")
def engines(case: _Model) -> None:
    """It predicts the same on every engine, and trains there."""
    outputs, model = case.outputs, case.make()
    model(case.x)
    model.set_weights(case.model.get_weights())
    for engine in each_engine(case.engines):
        found = case.model(case.x, training=False)
        close(
            found, outputs, case.tolerance, f"On the {engine.name} engine it gives something else"
        )
        if engine.trains and not np.isfinite(case.trained(model)):
            raise Fault(f"On the {engine.name} engine the loss of a step is no number.")


@MODEL.add("Use `cornu.ops`, whose ops have their counterparts in ONNX.")
def export(case: _Model) -> None:
    """It can be written as ONNX, if that is installed."""
    if all(map(find_spec, ("onnx", "onnxruntime"))):
        with tempfile.TemporaryDirectory() as folder:  # which runs the file, and compares
            case.model.export(Path(folder, "model.onnx"), format="onnx", verbose=False)


# -------------------------------------------------------------- losses and metrics


@dataclass
class _Made:
    """A class, and how it is made."""

    kind: Any
    arguments: dict[str, Any]
    engines: Sequence[str] | None
    tolerance: float

    def made(self, **more: Any) -> Any:
        return self.kind(**{**self.arguments, **more})


@dataclass
class _Measure(_Made):
    y_true: Any
    y_pred: Any

    def loss(self, **more: Any) -> Any:
        """The loss of the predictions."""
        return self.made(**more)(self.y_true, self.y_pred)

    def result(self, metric: Any) -> list[Any]:
        """What a metric gives after the batch."""
        metric.update_state(self.y_true, self.y_pred)
        return host(metric.result())


@LOSS.add(
    "Let `__init__` take `name`, `reduction` and `dtype`, and pass them to `super().__init__`.",
    first=True,
)
@METRIC.add(
    "Let `__init__` take `name` and `dtype`, and pass them to `super().__init__`.", first=True
)
def constructor(case: _Measure) -> None:
    """It takes what all take."""
    made = case.made(name="checked", dtype="float32")
    if made.name != "checked":
        raise Fault(f"`name` is lost: it is {made.name!r}.")


@LOSS.add(
    "`call(y_true, y_pred)` gives a loss for each sample: reduce the last axis alone.", first=True
)
def values(case: _Measure) -> None:
    """There is a finite loss for each sample, and the reductions follow from them."""
    each = host(case.loss(reduction=None))[0]
    finite(each, "The loss")
    batch = len(tree.flatten(case.y_pred)[0])
    if each.shape[:1] != (batch,):
        raise Fault(f"Without reduction the losses of {batch} samples have the shape {each.shape}.")
    close(case.loss(reduction="sum"), each.sum(), case.tolerance, "The sum is something else")
    close(case.loss(), each.mean(), case.tolerance, "The mean is something else")


@LOSS.add("`call` takes no weights: the base multiplies what it gives, and averages.")
def weights(case: _Measure) -> None:
    """Samples of weight 0 don't count, those of weight 2 twice."""
    loss = case.made(reduction="sum")
    each = host(case.loss(reduction=None))[0]
    weight = np.arange(len(each), dtype="float32") % 3
    found = loss(case.y_true, case.y_pred, sample_weight=weight)
    wanted = (each.reshape(len(each), -1).sum(1) * weight).sum()
    close(found, wanted, case.tolerance, "With weights it is something else")


@LOSS.add("Compute with `cornu.ops`; keep roots and logarithms away from 0.")
def gradients(case: _Measure) -> None:
    """There is a finite gradient by the predictions, which isn't 0 everywhere."""
    predictions = [Variable(x) for x in tree.flatten(case.y_pred)]
    loss = case.made()

    def value() -> Any:
        given = tree.pack_sequence_as(case.y_pred, [v.value for v in predictions])
        return loss(case.y_true, given)

    found = value_and_grad(value, predictions)()[1]
    if any(gradient is None for gradient in found) or not any(map(np.any, host(found))):
        raise Fault("No gradient reaches the predictions.")
    finite(found, "The gradient")


@LOSS.add(CONFIGS)
@METRIC.add(CONFIGS)
@OPTIMIZER.add(CONFIGS)
def config(case: _Made) -> None:
    """What its config describes is the same."""
    made = case.made()
    written(made, case.arguments)
    described_again(made)


@LOSS.add("Use `cornu.ops` in place of a library's functions.")
def on_engines(case: _Measure) -> None:
    """It is the same on every engine."""
    wanted = host(case.loss())
    for engine in each_engine(case.engines):
        close(
            case.loss(), wanted, case.tolerance, f"On the {engine.name} engine it is something else"
        )


@METRIC.add(
    "Make state by `add_variable` in `__init__`, change it by `assign`, and return a tensor.",
    first=True,
)
def result(case: _Measure) -> None:
    """It gives finite numbers, of the state alone."""
    metric = case.made()
    found = case.result(metric)
    if not found:
        raise Fault("The result is None.")
    finite(found, "The result")
    close(metric.result(), found, 0, "A second `result` without an update is something else")
    if not metric.variables:
        raise Fault("It has no variables, so that nothing is kept from batch to batch.")


@METRIC.add("`reset_state` sets each variable to what it was at first.")
def reset(case: _Measure) -> None:
    """After `reset_state` it is as new."""
    metric = case.made()
    first = case.result(metric)
    metric.reset_state()
    close(
        [v.numpy() for v in metric.variables],
        [v.numpy() for v in case.made().variables],
        0,
        "State that is reset is not that of a new one",
    )
    close(
        case.result(metric),
        first,
        case.tolerance,
        "After `reset_state` the result is something else",
    )


@METRIC.add("Take `sample_weight=None` in `update_state`; what has weight 1 counts once.")
def sample_weights(case: _Measure) -> None:
    """Weights of 1 change nothing."""
    metric = case.made()
    wanted = case.result(metric)
    metric.reset_state()
    ones = np.ones(len(tree.flatten(case.y_pred)[0]), "float32")
    metric.update_state(case.y_true, case.y_pred, sample_weight=ones)
    close(metric.result(), wanted, case.tolerance, "With weights of 1 it is something else")


@METRIC.add("Use `cornu.ops`, keep state in variables, and look at no value of a tensor.")
def compiled_and_engines(case: _Measure) -> None:
    """It is the same on every engine, within a compiled step too."""
    wanted = case.result(case.made())
    for engine in each_engine(case.engines):
        metric = case.made()
        found = case.result(metric)
        close(found, wanted, case.tolerance, f"On the {engine.name} engine it is something else")
        metric.reset_state()
        step = CompiledStep(lambda *given: metric.update_state(*given), metric.variables)  # noqa: B023
        step(case.y_true, case.y_pred)
        close(
            metric.result(),
            wanted,
            case.tolerance,
            f"Compiled on {engine.name} it is something else",
        )


# ---------------------------------------------------------------------- optimizers


class _Optimizer(_Made):
    def run(self, optimizer: Any, variables: list[Any], steps: int, compiled: bool = False) -> None:
        """Steps down the square of the distance from 1."""

        def step() -> None:
            gradients = [2 * (v.value - 1) for v in variables]
            optimizer.apply(gradients, variables)

        optimizer.build(variables) if not optimizer.built else None
        run = CompiledStep(step, [*variables, *optimizer.variables]) if compiled else step
        for _ in range(steps):
            run()


def _variables() -> list[Any]:
    values = np.random.default_rng(0).normal(size=(4, 3)), np.zeros(2)
    return [Variable(x.astype("float32"), name=f"checked_{i}") for i, x in enumerate(values)]


def _distance(variables: list[Any]) -> float:
    return float(sum(np.square(v.numpy() - 1).sum() for v in variables))


@OPTIMIZER.add(
    "`update_step(gradient, variable, learning_rate)` moves the variable against the gradient.",
    first=True,
)
def goes_down(case: _Optimizer) -> None:
    """After twenty steps the loss is smaller, and every variable has moved."""
    variables = _variables()
    before = [v.numpy() for v in variables]
    case.run(case.made(), variables, 20)
    finite([v.numpy() for v in variables], "A variable after twenty steps")
    if any(np.array_equal(v.numpy(), x) for v, x in zip(variables, before, strict=True)):
        raise Fault("A variable is where it was after twenty steps.")
    if _distance(variables) >= _distance(_variables()):
        raise Fault(
            f"The loss is {_distance(variables):.3g} after twenty steps, {_distance(_variables()):.3g} before."
        )


@OPTIMIZER.add(
    "Make state in `build(variables)` by `add_variable_from_reference`, and change it by `assign`."
)
def state(case: _Optimizer) -> None:
    """One that takes over the state of another goes on as it would."""
    one, variables = case.made(), _variables()
    case.run(one, variables, 3)
    two, others = case.made(), _variables()
    two.build(others)
    store: dict[str, Any] = {}
    one.save_own_variables(store)
    two.load_own_variables(store)
    for mine, theirs in zip(others, variables, strict=True):
        mine.assign(theirs.numpy())
    for optimizer, own_variables in ((one, variables), (two, others)):
        case.run(optimizer, own_variables, 3)
    close(
        [v.numpy() for v in others],
        [v.numpy() for v in variables],
        case.tolerance,
        "Loaded, it goes elsewhere",
    )


@OPTIMIZER.add("Use `cornu.ops`, keep state in variables, and look at no value of a tensor.")
def the_same_everywhere(case: _Optimizer) -> None:
    """It goes the same way on every engine, within a compiled step too."""
    variables = _variables()
    case.run(case.made(), variables, 3)
    wanted = [v.numpy() for v in variables]
    for engine in each_engine(case.engines):
        for compiled in (False, True):
            variables = _variables()
            case.run(case.made(), variables, 3, compiled)
            how = "Compiled" if compiled else "Run"
            close(
                [v.numpy() for v in variables],
                wanted,
                case.tolerance,
                f"{how} on the {engine.name} engine it goes elsewhere",
            )
