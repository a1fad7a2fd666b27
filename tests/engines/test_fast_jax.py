"""On JAX: fast formulations give what the plain ones give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from cornu import ops
from cornu.engines import get
from cornu.ops import _recurrent
from tests.engines import fast
from tests.engines_tested import ENGINES

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.skipif("jax" not in ENGINES, reason="another engine is tested")


def blocks() -> Iterator[fast.Row]:
    """Attention over more queries than fit in one block, some blocks larger than others."""
    for length in (64, 70, 131):
        shapes = [(1, length, 2, 3)] * 3
        yield fast.Row(
            f"causal, {length}", ops.dot_product_attention, shapes, named={"is_causal": True}
        )


def products() -> Iterator[fast.Row]:
    """Products by tall and by wide kernels, of many rows and of few."""
    for rows in (3, 1024):
        for kernel in ((7, 3), (3, 7)):
            shapes = [(rows // 3 + 1, 3, kernel[0]), kernel]
            yield fast.Row(f"{rows} rows, {kernel}", ops.matmul, shapes)
    yield fast.Row(
        "einsum", lambda x, w: ops.einsum("abc,cde->abde", x, w), [(600, 2, 9), (9, 2, 3)]
    )


def pooling() -> Iterator[fast.Row]:
    """Pooling by slices, and by windows that are too large for that."""
    for op in (ops.max_pool, ops.average_pool):
        for window, stride, padding in ((2, 2, "valid"), (3, 2, "same"), (5, 1, "same")):
            named = {"pool_size": window, "strides": stride, "padding": padding}
            yield fast.Row(f"{op.__name__} {window}", op, [(2, 9, 8, 3)], named=named)


def convolutions() -> Iterator[fast.Row]:
    """Convolutions as slices, as patches and as they are: ranks, strides, dilations, paddings."""
    kinds = {
        "alone": ((2, 9, 8, 6), (3, 3, 1, 6), 6),
        "alone, two filters each": ((2, 9, 8, 3), (3, 2, 1, 6), 3),
        "alone, in one dimension": ((2, 9, 4), (3, 1, 4), 4),
        "alone, in three dimensions": ((1, 5, 5, 6, 2), (3, 2, 2, 1, 2), 2),
        "one element": ((2, 9, 8, 3), (1, 1, 3, 5), 1),
        "one channel": ((2, 9, 8, 1), (3, 3, 1, 5), 1),
        "few places": ((3, 4, 4, 12), (3, 3, 12, 5), 1),
        "many places": ((2, 12, 12, 12), (3, 3, 12, 5), 1),
        "groups": ((2, 9, 8, 4), (3, 3, 2, 6), 2),
    }
    ways = {"": {}, "same": {"padding": "same"}, "strided": {"strides": 2, "padding": "same"}}
    ways["dilated"] = {"dilation_rate": 2, "padding": "same"}
    for kind, (x, kernel, groups) in kinds.items():
        for way, named in ways.items():
            yield fast.Row(f"{kind}, {way}", conv, [x, kernel], named={"groups": groups, **named})


def conv(x: Any, kernel: Any, groups: int, **named: Any) -> Any:
    if groups == x.shape[-1] > 1:
        shape = (*kernel.shape[:-2], groups, kernel.shape[-1] // groups)
        return ops.depthwise_conv(x, ops.reshape(kernel, shape), **named)
    return ops.conv(x, kernel, **named)


def activations() -> Iterator[fast.Row]:
    """GELU, of numbers far from zero too."""
    for dtype in ("float32", "bfloat16"):
        for approximate in (False, True):
            named = {"approximate": approximate}
            yield fast.Row(
                f"gelu {named}", lambda x, **n: ops.gelu(x * 4, **n), [(50,)], dtype, named
            )


ROWS = [
    *blocks(),
    *products(),
    *pooling(),
    *convolutions(),
    *activations(),
    *fast.layer_rows(),
    *fast.attention_rows(),
    *fast.recurrent_rows(),
]


@pytest.mark.parametrize("row", [row for row in ROWS if row.dtype != "float64"], ids=str)
def test_overrides_equal_default_bodies(row: fast.Row) -> None:
    fast.agree("jax", row, compiled=True)


#: A row of each kind: uncompiled the same functions run, each of whose calls is compiled alone, which
#: takes four times as long.
UNCOMPILED = "3 rows, (7, 3); max_pool 2; one element, ; masked; gamma; gru, backwards=True".split(
    "; "
)


@pytest.mark.parametrize("name", UNCOMPILED)
def test_overrides_equal_default_bodies_uncompiled(name: str) -> None:
    (row,) = (row for row in ROWS if row.name == name and row.dtype == "float32")
    fast.agree("jax", row, compiled=False)


def recurrent(op: Callable[..., Any]) -> Callable[..., Any]:
    gates = {"lstm": 4, "gru": 3}[op.__name__]
    draw = np.random.default_rng(0)
    kernels = [draw.normal(size=(3, gates * 4)), draw.normal(size=(4, gates * 4)) / 2]
    kernel, recurrent_kernel = (k.astype("float32") for k in kernels)
    states = [np.ones((2, 4), "float32")] * (2 if gates == 4 else 1)
    return lambda x: op(x, *states, kernel, recurrent_kernel, return_sequences=True)[0]


@pytest.mark.parametrize("op", [_recurrent.lstm, _recurrent.gru])
def test_written_out_gradients_have_derivatives(op: Callable[..., Any]) -> None:
    """Forward mode, and reverse mode twice, through a loop whose gradient is written out."""
    engine, plain = get("jax"), get("jax", overrides=False)
    draw = np.random.default_rng(1)
    x, v = (engine.convert_to_tensor(draw.normal(size=(2, 5, 3)), "float32") for _ in range(2))
    found = []
    for each in (engine, plain):
        with fast.engines.use(each):
            call = recurrent(op)
            value, along = each.jvp(call, (x,), (v,))
            grad = jax.grad(lambda x, call=call: (call(x) ** 2).sum())
            twice = jax.grad(lambda x, grad=grad: (grad(x) * v).sum())(x)
            mixed = jax.jvp(grad, (x,), (v,))[1]
            found.append([value, along, twice, mixed])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_other_errors_of_forward_mode_are_told() -> None:
    with pytest.raises(TypeError, match="tangent dtype"):
        get("jax").jvp(lambda x: x * 2, (np.arange(3),), (np.arange(3),))
