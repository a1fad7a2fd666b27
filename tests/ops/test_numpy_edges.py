"""Errors of `cornu.ops.numpy`, gradients at the edges, and ops that are no row of the table."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import engines, ops
from cornu.core.keras_tensor import KerasTensor
from cornu.core.op import operation_class

X = np.ones((2, 3), "float32")
BOOLS = np.ones(3, "bool")

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: ops.sum(X, axis=2), ValueError, "axis=2 for a tensor of rank 2"),
    (lambda: ops.mean(KerasTensor((None, 3)), axis=-3), ValueError, "axis=-3"),
    (lambda: ops.sum(X, axis=(0, -2)), ValueError, "axis=(0, -2)"),
    (lambda: ops.max(X[:0], axis=0), ValueError, "x.shape=(0, 3)"),
    (lambda: ops.argmax(X[:0], axis=0), ValueError, "no elements"),
    (lambda: ops.negative(BOOLS), TypeError, "only booleans"),
    (lambda: ops.subtract(BOOLS, BOOLS), TypeError, "only booleans"),
    (lambda: ops.bitwise_and(X, X), TypeError, "dtype=float32"),
    (lambda: ops.gcd(X, X), ValueError, "dtype=float32"),
    (lambda: ops.round(BOOLS), ValueError, "x.dtype=bool"),
    (lambda: ops.transpose(X, (0, 0)), ValueError, "axes=(0, 0)"),
    (lambda: ops.moveaxis(X, (0, 1), (0,)), ValueError, "destination=(0,)"),
    (lambda: ops.squeeze(X, 0), ValueError, "shape (2, 3)"),
    (lambda: ops.split(X, 2, axis=1), ValueError, "`array_split`"),
    (lambda: ops.roll(X, (1, 2, 3), (0, 1)), ValueError, "shift=(1, 2, 3)"),
    (lambda: ops.repeat(X, [1, 2, 3], 0), ValueError, "2 elements along axis 0"),
    (lambda: ops.pad(X, ((1, 1), (1, 1), (1, 1))), ValueError, "pad_width="),
    (lambda: ops.pad(X, 1, "reflect", 2.0), ValueError, "mode='reflect' and constant_values"),
    (lambda: ops.pad(X, 1, "zork"), ValueError, "mode='zork'"),
    (lambda: ops.slogdet(X), ValueError, "shape (2, 3)"),
    (lambda: ops.slogdet(KerasTensor((None, 2, 3))), ValueError, "2, 3)"),
    (lambda: ops.take_along_axis(X, [0], 0), ValueError, "indices.shape=(1,)"),
    (lambda: ops.where(X, X), ValueError, "x2=None"),
    (lambda: ops.nonzero(np.float32(1)), ValueError, "a scalar"),
    (lambda: ops.tril(BOOLS), ValueError, "x.shape=(3,)"),
    (lambda: ops.diag(np.ones((1, 1, 1))), ValueError, "x.shape=(1, 1, 1)"),
    (lambda: ops.searchsorted(X, 1.0), ValueError, "sorted_sequence.shape=(2, 3)"),
    (lambda: ops.searchsorted([1], 1, side="zork"), ValueError, "side='zork'"),
    (lambda: ops.quantile(X, 0.5, method="zork"), ValueError, "method='zork'"),
    (lambda: ops.histogram([1.0], range=(2, 1)), ValueError, "range=(2, 1)"),
    (lambda: ops.histogram([1.0], bins=[0, 1]), TypeError, "bins="),
    (lambda: ops.take(X, 0.5), ValueError, "indices=0.5"),
    (lambda: ops.take(X, np.array([0.0, np.nan])), ValueError, "`take` takes integers"),
    (lambda: ops.take_along_axis(X, ops.convert_to_tensor([[0.5]]), 1), ValueError, "whole"),
    (lambda: ops.ldexp(X, -1.5), ValueError, "x2=-1.5"),
    (lambda: ops.slice(X, [0, 0], [1]), ValueError, "one size for each axis"),
    (
        lambda: ops.slice(X, [0, KerasTensor((), "int32")], [9, 1]),
        ValueError,
        "start=[0, 'a tensor']",
    ),
    (lambda: ops.bincount([1.0]), TypeError, "x.dtype="),
    (lambda: ops.linspace(0, 1, -1), ValueError, "num=-1"),
    (lambda: ops.eye(2.5), TypeError, "N=2.5"),
    (lambda: ops.meshgrid(X), ValueError, "shape (2, 3)"),
    (lambda: ops.matmul(X, 2.0), ValueError, "x2 is a scalar"),
    (lambda: ops.tensordot(X, X, axes=1), ValueError, "x1.shape=(2, 3)"),
    (lambda: ops.cross(np.ones(4), np.ones(4)), ValueError, "x1.shape=(4,)"),
    (lambda: ops.einsum("ij->ji", X, zork=1), TypeError, "'zork'"),
    (lambda: ops.correlate(X, X), ValueError, "x1.shape=(2, 3)"),
    (lambda: ops.clip(X, KerasTensor((3,)), 1), TypeError, "constant of a model"),
    (lambda: ops.vectorize(3), ValueError, "pyfunc=3"),
    (lambda: ops.vectorize(abs, signature="n->n"), ValueError, "signature='n->n'"),
]


@pytest.mark.parametrize("engine", ["jax", "numpy"])
@pytest.mark.parametrize("at", range(len(ERRORS)))
def test_errors(at: int, engine: str) -> None:
    """An error names what was received."""
    call, kind, text = ERRORS[at]
    with engines.use(engine), pytest.raises(kind, match=re.escape(text)):
        result = call()
        if callable(result):
            result(1)


#: What Keras 3.15 refuses or gets wrong somewhere, and the value that it has on every engine here.
INF, NAN = float("inf"), float("nan")
CORNERS = np.array([[[0, 0], [4, 0], [0, 3], [4, 3]]])
VALUES: dict[str, tuple[Callable[[], Any], Any]] = {
    "argsort of a scalar": (lambda: ops.argsort(3.0), [0]),
    "argpartition of a scalar": (lambda: ops.argpartition(3.0, 0), [0]),
    "hypot of infinities": (
        lambda: ops.hypot([INF, NAN, -INF, INF, 3.0], [NAN, INF, INF, 1.0, 4.0]),
        [INF, INF, INF, INF, 5.0],
    ),
    "where of numbers": (lambda: ops.where(True, 1.5, 2), 1.5),
    "top_k(is_stable)": (lambda: ops.top_k([1.0, 1.0, 3.0], 2, is_stable=True)[1], [2, 0]),
    "take at floats": (lambda: ops.take([5, 6, 7], [0.0, -1.0]), [5, 7]),
    "take_along_axis at floats": (lambda: ops.take_along_axis([5, 6, 7], [0.0, 2.0]), [5, 7]),
    "take at floats of a mapped function": (
        lambda: ops.vectorized_map(
            lambda at: ops.take([5, 6, 7], at), ops.convert_to_tensor([0.0, 2.0])
        ),
        [5, 7],
    ),
    "bincount leaves negative numbers out": (lambda: ops.bincount([1, 2, -5]), [0, 1, 1]),
    "ldexp by floats": (lambda: ops.ldexp([1.0, 2.0], [1.0, 2.0]), [2.0, 8.0]),
    **{
        f"hanning of a scalar {dtype}": (
            lambda dtype=dtype: ops.hanning(ops.cast(3, dtype)),
            [0, 1, 0],
        )
        for dtype in ("int64", "uint8", "float32")
    },
    "a median of nothing": (lambda: ops.median(np.zeros((2, 0), "float32"), 1), [np.nan, np.nan]),
    "a quantile of nothing": (lambda: ops.nanquantile(np.zeros((0, 1)), 0.3, 0), [np.nan]),
    "logsumexp of nothing": (lambda: ops.logsumexp(np.zeros((0, 3), "float32"), 0), [-np.inf] * 3),
    "points of one image, with a batch axis": (
        lambda: ops.image.perspective_transform(np.eye(4, 5)[..., None], CORNERS, CORNERS),
        np.eye(4, 5)[..., None].tolist(),
    ),
}


@pytest.mark.parametrize("engine", ["jax", "torch", "numpy"])
@pytest.mark.parametrize("name", VALUES)
def test_values(name: str, engine: str) -> None:
    call, expected = VALUES[name]
    with engines.use(engine):
        found = ops.convert_to_numpy(call())
        np.testing.assert_allclose(found, expected, atol=1e-5)
        # What is given out may be written into.
        found[...] = 0


@pytest.mark.parametrize("engine", ["jax", "torch", "tensorflow", "pytensor", "numpy"])
def test_an_array_that_is_given_out_is_nobody_elses(engine: str) -> None:
    with engines.use(engine):
        variable = cornu.Variable([1.0, 1.0])
        for x in (ops.ones((2,)), variable):
            ops.convert_to_numpy(x)[0] = 5
            assert ops.convert_to_numpy(x).tolist() == [1, 1]
        for given in (variable.numpy(), np.array(variable)):
            given[0] = 5
        assert variable.numpy().tolist() == [1, 1]


@pytest.mark.parametrize("engine", ["jax", "numpy"])
def test_vectorize(engine: str) -> None:
    with engines.use(engine):
        scaled = ops.vectorize(lambda x, factor: x * factor, excluded={1})
        assert ops.convert_to_numpy(scaled(X, 3.0)).tolist() == (3 * X).tolist()
        product = ops.vectorize(ops.matmul, signature="(m,n),(n)->(m)")
        a, b = np.ones((4, 1, 2, 3), "float32"), np.ones((5, 3), "float32")
        assert product(a, b).shape == (4, 5, 2)
        assert np.asarray(product(a, b)).tolist() == np.full((4, 5, 2), 3.0).tolist()


def test_size_of_a_symbolic_tensor() -> None:
    """It is a number where it is known, and a scalar of the model where it isn't."""
    assert ops.size(KerasTensor((2, 3))) == 6
    assert ops.ndim(KerasTensor((None, 3))) == 2
    unknown = ops.size(KerasTensor((None, 3)))
    assert (unknown.shape, unknown.dtype) == ((), "int32")
    assert unknown._keras_history.operation(X) == 6


def test_shapes_take_unknown_dimensions() -> None:
    """What `ops.shape` gives within a shape-inferring call can be calculated with."""

    def body(x: Any) -> Any:
        batch, steps, width = ops.shape(x)
        return ops.reshape(ops.tile(x, (1, 2, 1)), (batch, steps * 2 * width))

    with engines.use("spec"):
        assert body(KerasTensor((None, 5, 4))).shape == (None, 40)
        assert body(KerasTensor((None, None, 4))).shape == (None, None)
    assert body(np.ones((2, 5, 4))).shape == (2, 40)


def test_other_names_of_operations() -> None:
    """Keras's files mention operations by further names."""
    for name, ours in (
        ("Abs", "Absolute"),
        ("LeftShift", "BitwiseLeftShift"),
        ("Conjugate", "Conj"),
    ):
        found = operation_class("keras.src.ops.numpy", name)
        assert found is not None and found.__name__ == ours


def test_operation_takes_arguments_by_name() -> None:
    clip = operation_class("keras.src.ops.numpy", "Clip")
    assert clip is not None
    operation = clip(x_min=0.0, x_max=2.0)
    assert operation.get_config() == {"name": "clip", "x_min": 0.0, "x_max": 2.0}
    assert operation(x=np.array([3.0])).tolist() == [2.0]
    with pytest.raises(TypeError, match="x_max"):
        clip(x_mid=1.0)


def test_arrays_of_64_bits_become_32() -> None:
    assert ops.add(np.ones(2), 1).dtype == "float32"
    assert ops.sum(np.ones(2, "int64")).dtype == "int32"
    assert cornu.ops.full((2,), 3).dtype == "float32"
