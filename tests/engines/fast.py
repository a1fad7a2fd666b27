"""What tests of fast formulations share: a row, and the comparison with the plain formulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optree

from cornu import config, engines, ops
from cornu.core.state import CompiledStep
from cornu.ops import _normalization, _recurrent

Shape = tuple[int, ...]

CHANNELS = {
    "last of four": ((4, 5, 6, 3), -1),
    "last of two": ((7, 3), -1),
    "last of three": ((4, 6, 3), 2),
    "last of five": ((2, 3, 4, 2, 3), -1),
    "first of four": ((4, 3, 5, 6), 1),
    "first of three": ((4, 3, 6), 1),
    "one element": ((1, 3), -1),
}


@dataclass(frozen=True)
class Row:
    """An op on drawn arguments: arrays of those shapes, then others."""

    name: str
    call: Callable[..., Any]
    shapes: Sequence[Shape]
    dtype: str = "float32"
    named: dict[str, Any] = field(default_factory=dict)

    def inputs(self) -> list[Any]:
        """The arrays, some elements of which are large."""
        generator = np.random.default_rng(3)
        return [generator.normal(size=shape).astype("float32") for shape in self.shapes]

    def __str__(self) -> str:
        return f"{self.name}-{self.dtype}"


def batch_rows() -> Iterator[Row]:
    """Normalization by the batch: axes, ranks, with and without scale and offset, in every dtype."""

    def both(x: Any, offset: Any, scale: Any, axis: int) -> Any:
        return _normalization.batch_normalized(x, axis, offset, scale, 1e-3)

    def neither(x: Any, axis: int) -> Any:
        return _normalization.batch_normalized(x, axis, None, None, 0.01)

    def scaled(x: Any, scale: Any, axis: int) -> Any:
        return _normalization.batch_normalized(x * 3 + 40, axis, None, scale, 1e-3)

    for name, (shape, axis) in CHANNELS.items():
        for dtype in ("float32", "float64", "float16", "bfloat16"):
            yield Row(f"both, {name}", both, [shape, (3,), (3,)], dtype, {"axis": axis})
        yield Row(f"neither, {name}", neither, [shape], named={"axis": axis})
        yield Row(f"scale, far from zero, {name}", scaled, [shape, (3,)], named={"axis": axis})


def layer_rows() -> Iterator[Row]:
    """Normalization of each sample."""

    def call(x: Any, gamma: Any = None, beta: Any = None, **named: Any) -> Any:
        return ops.layer_normalization(x, gamma, beta, epsilon=1e-3, **named)

    for dtype in ("float32", "float64", "float16", "bfloat16"):
        yield Row("both", call, [(3, 4, 5), (5,), (5,)], dtype)
    yield Row("gamma", call, [(3, 4, 5), (5,)])
    yield Row("neither", call, [(3, 4, 5)])
    yield Row("two axes", call, [(3, 4, 5), (4, 5), (4, 5)], named={"axis": (1, 2)})
    yield Row("first axis", call, [(3, 4, 5), (4,), (4,)], named={"axis": 1})


def attention_rows() -> Iterator[Row]:
    """Attention with masks, a row of which leaves all keys out, with a bias, with fewer heads of keys."""
    shapes = [(2, 5, 4, 3), (2, 5, 4, 3), (2, 5, 4, 3)]
    longer = [shapes[0], (2, 7, 4, 3), (2, 7, 4, 3)]
    grouped = [shapes[0], (2, 5, 2, 3), (2, 5, 2, 3)]
    mask = np.random.default_rng(4).random((2, 1, 5, 5)) < 0.6
    mask[0, 0, 2] = False
    bias = np.random.default_rng(5).normal(size=(1, 4, 5, 5)).astype("float32")
    settings: dict[str, dict[str, Any]] = {
        "plain": {},
        "scaled": {"scale": 0.3},
        "causal": {"is_causal": True},
        "masked": {"mask": mask},
        "masked and causal": {"mask": mask, "is_causal": True},
        "biased": {"bias": bias},
        "biased, masked and causal": {"bias": bias, "mask": mask, "is_causal": True},
    }
    for name, named in settings.items():
        for dtype in ("float32", "float16", "bfloat16"):
            yield Row(name, ops.dot_product_attention, shapes, dtype, named)
    for name in ("plain", "causal"):
        yield Row(f"longer, {name}", ops.dot_product_attention, longer, named=settings[name])
    for name in ("plain", "causal", "masked"):
        yield Row(f"grouped, {name}", ops.dot_product_attention, grouped, named=settings[name])


def recurrent_rows() -> Iterator[Row]:
    """The recurrent ops whose activations are those that libraries have."""

    def over(op: Callable[..., Any], gates: int, states: int, **named: Any) -> Callable[..., Any]:
        names = {"activation": "tanh", "recurrent_activation": "sigmoid", **named}
        return lambda *xs: op(*xs[: 3 + states], **{"bias": xs[3 + states], **names})

    kinds = {"lstm": (_recurrent.lstm, 4, 2, (4 * 4,)), "gru": (_recurrent.gru, 3, 1, (2, 3 * 4))}
    for name, (op, gates, states, bias) in kinds.items():
        weights = [(3, gates * 4), (4, gates * 4), bias]
        for backwards in (False, True):
            call = over(op, gates, states, go_backwards=backwards)
            shapes = [(2, 6, 3), *[(2, 4)] * states, *weights]
            yield Row(f"{name}, backwards={backwards}", call, shapes)


@contextmanager
def _floatx(dtype: str) -> Iterator[None]:
    """Promotion gives 64-bit floats only where that is the configured dtype."""
    before = config.floatx()
    config.set_floatx(dtype)
    try:
        yield
    finally:
        config.set_floatx(before)


def agree(name: str, row: Row, compiled: bool) -> None:
    """Assert that values and gradients of the engine are those of its twin without overrides."""
    fast, plain = (_ran(engines.get(name, overrides), row, compiled) for overrides in (True, False))
    exact = {"float64": 1e-9, "float32": 2e-5}.get(row.dtype, 0.03)
    for ours, theirs in zip(fast, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=exact, atol=exact * 10)


def _ran(engine: engines.Engine, row: Row, compiled: bool) -> list[Any]:
    """Values, and cotangents of the inputs, as arrays of 64-bit floats."""

    def step(*given: Any) -> Any:
        results, pull = engine.vjp(lambda *xs: row.call(*xs, **row.named), *given)
        leaves, structure = optree.tree_flatten(results)
        draw = np.random.default_rng(6)
        upstream = [engine.cast(draw.normal(size=x.shape), engine.dtype_of(x)) for x in leaves]
        return leaves, list(pull(optree.tree_unflatten(structure, upstream)))

    with engines.use(engine), _floatx("float64" if row.dtype == "float64" else "float32"):
        inputs = [engine.convert_to_tensor(x, row.dtype) for x in row.inputs()]
        found = CompiledStep(step, [])(*inputs) if compiled else step(*inputs)
        return [
            np.asarray(engine.convert_to_numpy(x)).astype("float64")
            for x in optree.tree_leaves(found)
        ]
