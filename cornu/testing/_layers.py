"""`check_layer`: a user's own layer, in every way in which the library's are checked."""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend, layers, models, ops, saving
from ..core import naming, tree
from ..core.dtypes import is_float
from ..core.state import value_and_grad
from ..engines import current
from ._checks import (
    CONFIGS,
    Checks,
    Fault,
    arrays,
    close,
    described_again,
    dtype_of,
    each_engine,
    finite,
    host,
    own,
    specs,
    written,
)

CHECKS = Checks()


def check_layer(
    layer: type,
    arguments: Mapping[str, Any] | None = None,
    inputs: Any = None,
    *,
    call: Mapping[str, Any] | None = None,
    engines: Sequence[str] | None = None,
    skip: Iterable[str] = (),
    tolerance: float = 1e-4,
) -> None:
    """Check a layer in every way in which the library checks its own.

    Args:
        layer: The class.
        arguments: The constructor's arguments.
        inputs: What the layer is called on: an array `(batch, ...)`, or a structure of them.
        call: More arguments of the call, by name.
        engines: The engines to run on; all that are installed where they are left out.
        skip: The names of checks that don't apply.
        tolerance: How far values may differ, absolute and relative.

    Raises:
        CheckError: With each way in which the layer fails, and what to change.

    >>> class Scale(layers.Layer):
    ...     def build(self, input_shape):
    ...         self.scale = self.add_weight(shape=input_shape[-1:], initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.scale
    >>> check_layer(Scale, {}, np.ones((2, 3), "float32"), engines=["numpy"])
    """
    case = _Case(layer, dict(arguments or {}), arrays(inputs), dict(call or {}), engines, tolerance)
    CHECKS.run(layer, case, skip)


@dataclass
class _Case:
    """A layer's class, how it is made, and what it is called on."""

    kind: Any
    arguments: dict[str, Any]
    inputs: Any
    call: dict[str, Any]
    engines: Sequence[str] | None
    tolerance: float
    _kept: list[Any] = field(default_factory=list)

    def made(self, **more: Any) -> Any:
        """A new layer; layers among the arguments are its own."""
        return self.kind(**{**copy.deepcopy(self.arguments), **more})

    @functools.cached_property
    def layer(self) -> Any:
        """One that is built."""
        layer = self.made()
        self.run(layer)
        return layer

    @functools.cached_property
    def outputs(self) -> list[np.ndarray[Any, Any]]:
        """What it gives."""
        return host(self.run(self.layer))

    def run(self, layer: Any, **more: Any) -> Any:
        """A call of a layer on the inputs."""
        return layer(self.inputs, **{**self.call, **more})

    @functools.cached_property
    def varies(self) -> bool:
        """Whether it gives something else each time: then `repeated` says so, and no other check compares."""
        try:
            close(self.run(self.layer), self.outputs, self.tolerance, "")
        except Fault:
            return True
        return False

    def close(
        self, found: Any, what: str, wanted: Any = None, tolerance: float | None = None
    ) -> None:
        """A fault where a result isn't that of the layer, or the one that is wanted."""
        if not self.varies:
            wanted = self.outputs if wanted is None else wanted
            close(found, wanted, tolerance or self.tolerance, what)

    def model(self, layer: Any) -> Any:
        """A model that is the layer alone, called on inputs of any number."""
        symbolic = tree.map_structure(
            lambda x: layers.Input(x.shape[1:], dtype=dtype_of(x)), self.inputs
        )
        return models.Model(symbolic, layer(symbolic, **self.call))

    @property
    def takes_arrays_alone(self) -> bool:
        """Whether a model can have all inputs: no more tensors are given by name."""
        return not any(hasattr(x, "shape") for x in tree.flatten(self.call))


# ------------------------------------------------------------------- made, called


@CHECKS.add(
    "Let `__init__` take `**kwargs` and call `super().__init__(**kwargs)` before all else.",
    first=True,
)
def constructor(case: _Case) -> None:
    """It takes what every layer takes."""
    given = {"name": "checked", "dtype": "float32", "trainable": False}
    if naming.is_ours(case.kind):  # some, as Keras's, have no `trainable`
        given = {name: x for name, x in given.items() if name in case.made().get_config()}
    layer = case.made(**given)
    if layer.name != "checked" or layer.trainable != given.get("trainable", True):
        raise Fault(f"`name` and `trainable` are lost: {layer.name!r}, {layer.trainable}.")


@CHECKS.add("`build(input_shape)` makes the weights, `call(inputs)` gives tensors.", first=True)
def call(case: _Case) -> None:
    """It runs, and leaves its inputs alone."""
    outputs = case.run(case.made())
    if not tree.flatten(outputs) or not all(map(current().is_tensor, tree.flatten(outputs))):
        raise Fault(f"A call gives {outputs!r}, which is no tensor, nor a structure of tensors.")
    finite(outputs, "The output")


@CHECKS.add(
    "Make weights in `__init__` or `build`; what is random belongs to `training`; keep no state "
    "but in weights that the call assigns in training."
)
def repeated(case: _Case) -> None:
    """A second call gives the same, and makes nothing."""
    layer = case.made()
    first, count, losses = host(case.run(layer)), len(layer.variables), len(layer.losses)
    close(case.run(layer), first, case.tolerance, "A second call gives something else")
    if len(layer.variables) != count:
        raise Fault(f"A second call made {len(layer.variables) - count} more variable(s).")
    if len(layer.losses) != losses:
        raise Fault(f"There were {losses} losses after a call, {len(layer.losses)} after another.")


# -------------------------------------------------------------------------- shapes


@CHECKS.add(
    "Leave `compute_output_shape` out, or let it say what `call` does; in `call` use `cornu.ops`."
)
def static_shapes(case: _Case) -> None:
    """On symbolic tensors it gives the shapes and dtypes of what it gives on values."""
    found = tree.flatten(case.made()(specs(case.inputs), **specs(case.call)))
    native = current().canonical_dtype
    shapes = [
        (tuple(x.shape), x.dtype if x.dtype == "string" else native(x.dtype))
        for x in found
        if x is not None
    ]
    ran = [(x.shape, dtype_of(x)) for x in case.outputs]
    if shapes != ran:
        raise Fault(f"Symbolic outputs are {shapes}, those of values {ran}.")


@CHECKS.add(
    "A size may be None: take it by `ops.shape(x)[0]`, or let `ops.reshape` find it by -1; "
    "keep axis 0 for the batch."
)
def unknown_batch(case: _Case) -> None:
    """It can be called with a batch whose size isn't known."""
    layer = case.made()
    found = tree.flatten(layer(specs(case.inputs, True), **specs(case.call, True)))
    inputs, call = tree.map_structure(_one_more, [case.inputs, case.call])
    larger = host(layer(inputs, **call))
    for spec, one, two in zip(
        [x for x in found if x is not None], case.outputs, larger, strict=True
    ):
        sizes = zip(spec.shape, one.shape, two.shape, strict=False)
        if len(spec.shape) != one.ndim or not all(s == a == b or s is None for s, a, b in sizes):
            raise Fault(
                f"A symbolic output is {spec.shape}, those of values {one.shape}, and {two.shape} for one "
                "sample more."
            )


def _one_more(x: Any) -> Any:
    """A batch with its last sample once more."""
    return np.concatenate([x, x[-1:]]) if isinstance(x, np.ndarray) and x.ndim else x


# -------------------------------------------------------------------------- dtypes


@CHECKS.add("Make weights by `add_weight` without a dtype, and constants in `self.compute_dtype`.")
def dtype_policies(case: _Case) -> None:
    """It computes in the policy's compute dtype, and keeps weights in its variable dtype."""
    if any(isinstance(x, layers.Layer) for x in tree.flatten(case.arguments)):
        return  # which have policies of their own
    for policy, compute, variable in (
        ("mixed_bfloat16", "bfloat16", "float32"),
        ("float16", "float16", "float16"),
    ):
        layer = case.made(dtype=policy)
        wanted = [_in_place_of_float32(x.dtype.name, compute) for x in case.outputs]
        found = [current().dtype_of(x) for x in tree.flatten(case.run(layer)) if x is not None]
        if found != wanted:
            raise Fault(f"With dtype={policy!r} outputs are {found} in place of {wanted}.")
        dtypes = {w.dtype for w in layer.weights if is_float(w.dtype)}
        if dtypes - {variable}:
            raise Fault(f"With dtype={policy!r} weights are {sorted(dtypes)}.")


def _in_place_of_float32(dtype: str, other: str) -> str:
    return other if dtype == "float32" else dtype


# ------------------------------------------------------------------- configs, files


@CHECKS.add(CONFIGS)
def config(case: _Case) -> None:
    """What its config describes is the same layer."""
    layer = case.layer
    written(layer, case.arguments)
    again = described_again(layer)
    case.run(again)
    shapes = [[w.shape for w in x.weights] for x in (layer, again)]
    if shapes[0] != shapes[1]:
        raise Fault(f"Its weights are {shapes[0]}, those of what its config makes {shapes[1]}.")
    again.set_weights(layer.get_weights())
    case.close(case.run(again), "What its config makes gives something else")


@CHECKS.add(
    "What a layer computes with and learns must be weights, in attributes or from `add_weight`; "
    "weights of one layer have different names."
)
def files(case: _Case) -> None:
    """A model of it is the same after a file, and so are its weights."""
    paths = [w.path for w in case.layer.weights]
    if twice := {path for path in paths if paths.count(path) > 1}:
        raise Fault(f"Several weights have one path: {sorted(twice)}.")
    if not case.takes_arrays_alone:
        return
    model = case.model(case.made())
    wanted = host(model(case.inputs))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        with saving.custom_object_scope(own(case.kind)):
            again = saving.load_model(path)
        what = "A model that was saved and loaded gives something else"
        case.close(again(case.inputs), what, wanted, 1e-6)


@CHECKS.add("Keep what can't be copied out of attributes; make it when it is needed.")
def copies(case: _Case) -> None:
    """A deep copy gives the same."""
    case.close(copy.deepcopy(case.layer)(case.inputs, **case.call), "A copy gives something else")


# --------------------------------------------------------------------------- masks


@CHECKS.add(
    "Set `self.supports_masking = True` where the mask goes on as it is; give `compute_mask` where "
    "the output has other steps; take `mask=None` in `call` where it counts."
)
def masks(case: _Case) -> None:
    """A mask of sequences (batch, time, ...) changes nothing where it leaves nothing out, and fits the output."""

    def outputs_for(axes: int | None) -> Any:
        def masked(x: Any) -> Any:
            if not isinstance(x, np.ndarray) or x.ndim < 3 or not x.size:
                return x
            tensor = ops.convert_to_tensor(x)
            backend.set_keras_mask(tensor, ops.ones(x.shape[:axes], "bool"))
            return tensor

        return case.layer(tree.map_structure(masked, case.inputs), **case.call)

    try:
        outputs = outputs_for(2)
    except ValueError:
        outputs = outputs_for(None)  # some, as Softmax, have masks of elements
    case.close(outputs, "With a mask that leaves nothing out it gives something else")
    for output in tree.flatten(outputs):
        mask = None if output is None else backend.get_keras_mask(output)
        if mask is not None and tuple(mask.shape) != tuple(output.shape)[: len(mask.shape)]:
            raise Fault(f"An output {tuple(output.shape)} has a mask {tuple(mask.shape)}.")


# ------------------------------------------------------------------------ training


@CHECKS.add(
    "Compute with `cornu.ops` from the weights' values; give weights that are not trained "
    "`trainable=False`."
)
def training(case: _Case) -> None:
    """Every trainable weight has a finite gradient, and frozen ones stay as they are."""
    layer = case.made()
    case.run(layer)
    weights = layer.trainable_variables

    def loss() -> Any:
        outputs = [x for x in tree.flatten(case.run(layer, training=True)) if x is not None]
        return sum(ops.mean(ops.square(ops.cast(x, "float32") - 0.37)) for x in outputs)

    missed = [weight.path for weight in weights] if current().trains else []
    for _ in range(2):  # a factor may be 0 at first
        if not missed:
            break
        value, gradients = value_and_grad(loss, weights)()
        finite(value, "The output in training")
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None and np.any(host(gradient)[0]):
                finite(gradient, f"The gradient of the weight {weight.path!r}")
                missed = [path for path in missed if path != weight.path]
                weight.assign_sub(1e-3 * gradient)
    if missed:
        raise Fault(f"No gradient reaches the weight {missed[0]!r}.")
    layer.trainable = False
    if layer.trainable_variables:
        raise Fault(f"Frozen, it trains {[v.path for v in layer.trainable_variables]}.")


@CHECKS.add(
    "`call` may look at no value of a tensor: use `ops.where`, `ops.cond`, `ops.while_loop`."
)
def compiled(case: _Case) -> None:
    """A compiled call gives what a call gives."""
    if case.takes_arrays_alone:
        model = case.model(case.layer)
        with_all = model.predict(
            case.inputs, batch_size=len(tree.flatten(case.inputs)[0]), verbose=0
        )
        case.close(with_all, "`predict` gives something else than a call", model(case.inputs))


@CHECKS.add("Keep state in weights alone, and change them by `assign`.")
def stateless(case: _Case) -> None:
    """As a function of its variables' values it gives the same, and changes nothing."""
    layer = case.layer
    groups = [
        [v.value for v in g] for g in (layer.trainable_variables, layer.non_trainable_variables)
    ]
    before = [v.numpy() for v in layer.variables]
    outputs, _ = layer.stateless_call(*groups, case.inputs, **case.call)
    case.close(outputs, "`stateless_call` gives something else")
    close([v.numpy() for v in layer.variables], before, 0, "`stateless_call` changes variables")


# ------------------------------------------------------------------ engines, export


@CHECKS.add(
    "Use `cornu.ops` in place of a library's functions, and `ops.convert_to_numpy` for arrays."
)
def engines(case: _Case) -> None:
    """It gives the same on every engine."""
    case.outputs  # noqa: B018  # on the engine that is current
    for engine in each_engine(case.engines):
        case.close(case.run(case.layer), f"On the {engine.name} engine it gives something else")


@CHECKS.add("Use `cornu.ops`, whose ops have their counterparts in ONNX.")
def export(case: _Case) -> None:
    """A model of it can be written as ONNX, if that is installed."""
    missing = not all(map(find_spec, ("onnx", "onnxruntime")))
    if missing or not case.takes_arrays_alone or case.varies:
        return
    with tempfile.TemporaryDirectory() as folder:  # which runs the file, and compares
        case.model(case.layer).export(Path(folder, "model.onnx"), format="onnx", verbose=False)
