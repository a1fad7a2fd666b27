"""The engine of shapes against what JAX gives for the same shapes, known and unknown."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optree
import pytest
from jax import lax

from cornu.engines import get
from cornu.engines.contract import Engine
from cornu.engines.spec import Dimension, Spec, SpecEngine, dimension
from cornu.testing.primitives import method

ENGINES = {"direct": get("spec"), "default bodies": get("spec", overrides=False)}
engine: Any = ENGINES["direct"]


class Size(int):
    """A size that is unknown in half of the runs."""


BATCH, TIME = Size(7), Size(5)


class T:
    """A tensor among a row's arguments."""

    def __init__(self, *shape: Any, dtype: str = "float32") -> None:
        self.shape, self.dtype = shape, dtype

    def __repr__(self) -> str:
        return f"T{self.shape}"


@dataclass
class Row:
    """A primitive, its arguments, and a function that JAX evaluates in the same way."""

    name: str
    args: tuple[Any, ...]
    reference: Callable[..., Any]
    unknown_result: bool = False

    def __str__(self) -> str:
        shapes = [arg.shape if isinstance(arg, T) else arg for arg in self.args]
        return f"{self.name}{shapes}".replace(" ", "")


INT, BOOL, COMPLEX = {"dtype": "int32"}, {"dtype": "bool"}, {"dtype": "complex64"}
KEY = T(2, dtype="uint32")


def same(x: Any, *_: Any) -> Any:
    return x


def table(names: str, args: tuple[Any, ...], reference: Any = None) -> list[Row]:
    """A row for each name; the reference is `jax.numpy`'s function of that name."""
    return [Row(name, args, reference or getattr(jnp, name)) for name in names.split()]


def reduction(name: str) -> Callable[..., Any]:
    return lambda x, axes, keepdims: getattr(jnp, name)(x, axis=axes, keepdims=keepdims)


def index_vectors(x: Any, size: int | None, fill: int) -> Any:
    return (jnp.zeros(size or 3, "int32"),) * x.ndim


def uniques(x: Any, size: int | None, fill: Any) -> Any:
    count = jnp.zeros(size or 3, "int32")
    return count.astype(x.dtype), count, jnp.zeros(x.shape, "int32"), count


def convolve(x: Any, kernel: Any, strides: Any, pads: Any, dilation: Any, groups: int) -> Any:
    spatial = "DHW"[-len(strides) :]
    numbers = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    return lax.conv_general_dilated(
        x, kernel, strides, pads, None, dilation, numbers, feature_group_count=groups
    )


def convolve_transposed(x: Any, kernel: Any, strides: Any, pads: Any, dilation: Any) -> Any:
    spatial = "DHW"[-len(strides) :]
    numbers = (f"N{spatial}C", f"{spatial}OI", f"N{spatial}C")
    ones = (1,) * len(strides)
    return lax.conv_general_dilated(x, kernel, ones, pads, strides, dilation, numbers)


def pool(x: Any, window: Any, strides: Any, pads: Any) -> Any:
    window, strides, pads = (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, pads)


def scattered(x: Any, indices: Any, updates: Any, reduction: str) -> Any:
    return x.at[tuple(jnp.moveaxis(indices, -1, 0))].set(updates)


X, Y, SCALAR = T(BATCH, TIME, 3), T(TIME, 1), T()
COMPLEXES = T(BATCH, TIME, 3, **COMPLEX)
KERNEL = T(3, 2, 4, 6)
IMAGES = T(BATCH, Size(11), 12, 4)
ALL, FIRST = slice(None), T(4, **INT)

ROWS = [
    *table("negative sign ceil floor round trunc sqrt exp expm1 log log1p sin cos tan", (X,)),
    *table("arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh i0 log2 log10", (X,)),
    *table("erf erfinv lgamma sigmoid erfc rsqrt stop_gradient", (X,), same),
    *table("abs isnan isinf isfinite", (X,)),
    *table("abs real imag conj negative", (COMPLEXES,)),
    *table("fft ifft", (COMPLEXES,), same),
    *table("logical_not", (T(BATCH, **BOOL),)),
    *table("bitwise_not", (T(BATCH, **INT),)),
    *table("add subtract multiply divide floor_divide mod fmod power maximum minimum", (X, Y)),
    *table("arctan2 nextafter equal less less_equal not_equal greater greater_equal", (X, Y)),
    *table("add multiply less", (Y, T(2, 1, 1, 4))),
    *table("add", (T(BATCH, 1), T(1, TIME))),
    *table("add", (T(BATCH, 3), SCALAR)),
    *table("add", (T(1), T(0))),
    *table("bitwise_and bitwise_or bitwise_xor left_shift right_shift", (T(3, **INT), T(1, **INT))),
    *table("logical_and logical_or logical_xor", (T(BATCH, 3, **BOOL), T(3, **BOOL))),
    *table("complex", (X, Y), lambda real, imag: real + 1j * imag),
    *table("where", (T(BATCH, 1, **BOOL), T(3), SCALAR)),
    *table("cast", (X, "float16"), lambda x, dtype: x.astype(dtype)),
    *table("view", (X, "int32"), lambda x, dtype: x.view(dtype)),
    *table("view", (T(BATCH, 4), "int8"), lambda x, dtype: x.view(dtype)),
    *table("view", (T(BATCH, 4, dtype="int8"), "float16"), lambda x, dtype: x.view(dtype)),
    *table("full", ((BATCH, 3), 1, "int32"), jnp.full),
    *table("full", ((), 1.5, "bfloat16"), jnp.full),
    *table("arange", (0, 5, 2, "int32")),
    *table("arange", (5, 0, -1.5, "float32")),
    *table("arange", (4, 1, 1, "float32")),
    *table("arange", (0, TIME, 1, "int32")),
    *table("arange", (2.0, TIME, 1, "float32")),
    *table("arange", (0, TIME, 2, "int32")),
    *[
        Row(name, (X, axes, keepdims), reduction(name))
        for name in ("sum", "prod", "max", "min", "mean", "var")
        for axes, keepdims in [((0,), False), ((0, 2), True), ((0, 1, 2), False), ((), False)]
    ],
    *[Row(name, (T(BATCH, 2, **BOOL), (0,), True), reduction(name)) for name in ("all", "any")],
    *table("argmax argmin", (X, 1)),
    *table("argsort", (X, 1)),
    *table("sort cumsum cumprod", (X, 1)),
    *table("flip", (X, (0, 1))),
    *table("top_k", (T(BATCH, 6), 2), lax.top_k),
    *table("top_k", (T(6, TIME), 2), lax.top_k),
    *table("searchsorted", (T(9), T(BATCH), "left")),
    *table("searchsorted", (T(9), T(BATCH, 2), "right")),
    Row("unique", (T(9), 4, 0), uniques),
    Row("unique", (T(TIME, **INT), None, None), uniques, unknown_result=True),
    Row("nonzero", (T(BATCH, 2), 4, -1), index_vectors),
    Row("nonzero", (T(BATCH, 2), None, -1), index_vectors, unknown_result=True),
    *table("reshape", (X, (BATCH, -1))),
    *table("reshape", (X, (-1, 15))),
    *table("reshape", (X, (BATCH, TIME, 1, 3))),
    *table("reshape", (T(BATCH, 0), (0, 3))),
    *table("reshape", (T(4, 6), (-1,))),
    *table("reshape", (SCALAR, (1, 1))),
    *table("transpose", (X, (2, 0, 1))),
    *table("broadcast_to", (T(BATCH, 1), (2, BATCH, 4))),
    *table("broadcast_to", (T(1, 3), (BATCH, 3))),
    *table("broadcast_to", (SCALAR, ())),
    *table("concatenate", ([T(BATCH, 2), T(BATCH, 3)], 1)),
    *table("concatenate", ([T(BATCH, 3), T(2, 3), T(TIME, 3)], 0)),
    *table("concatenate", ([T(BATCH)], 0)),
    *table("pad", (X, ((0, 0), (1, 2), (0, 3)), 0.0), lambda x, pads, value: jnp.pad(x, pads)),
    *table("take", (X, T(4, 2, **INT), 1)),
    *table("take", (X, T(BATCH, **INT), 0)),
    *table("take", (X, T(**INT), 2)),
    *table("take_along_axis", (X, T(BATCH, 2, 3, **INT), 1)),
    *table("take_along_axis", (T(3, 4), T(1, 9, **INT), 1)),
    *[
        Row("get_item", (X, key), operator.getitem)
        for key in [
            (0,),
            (-1, ALL, 2),
            (ALL, 1),
            (None, ..., None, 0),
            (slice(None, None, -1),),
            (ALL, ALL, slice(2, None, -2)),
            (ALL, ALL, slice(-2, 10)),
            (ALL, ALL, slice(3, 1)),
            (ALL, slice(1, None, 2)),
            (slice(None, -1), slice(-2, None)),
            (slice(0, BATCH), slice(None, TIME)),
            (ALL, slice(TIME - 1)),
            (..., slice(None, 1)),
            (),
            (...,),
            (FIRST,),
            (ALL, FIRST, FIRST),
            (ALL, FIRST, ..., FIRST),
            (FIRST, ALL, FIRST),
            (0, ALL, FIRST),
            (ALL, FIRST, 0),
            (ALL, FIRST, None, T(2, 1, **INT)),
            (T(**INT), ALL, FIRST),
            (T(**INT),),
            (..., np.array([True, False, True])),
            (0, ALL, [0, 2]),
            (..., np.array([[0], [1]])),
            (T(BATCH, **INT), T(BATCH, **INT)),
        ]
    ],
    *table("gather", (X, T(4, BATCH, 2, **INT)), lambda x, at: x[at[..., 0], at[..., 1]]),
    *table(
        "slice", (X, (0, 1, T(**INT)), (2, 2, 1)), lambda x, start, s: lax.slice(x, (0,) * 3, s)
    ),
    *table("slice_update", (X, (0, 1, T(**INT)), T(2, 2, 1)), lambda x, *_: x),
    *table("scatter", (T(BATCH, 3), T(4, 1, **INT), T(4, 3), "set"), scattered),
    *table("scatter", (X, T(4, 2, 2, **INT), T(4, 2, 3), "add"), scattered),
    *table("scatter", (T(6), T(BATCH, 1, **INT), T(BATCH), "max"), scattered),
    *table("matmul", (T(BATCH, 3), T(3, 4))),
    *table("matmul", (T(3), T(3))),
    *table("matmul", (T(BATCH, 3), T(3))),
    *table("matmul", (T(3), T(BATCH, 3, 4))),
    *table("matmul", (T(BATCH, 1, TIME, 3), T(2, 3, TIME))),
    *[
        Row("einsum", (subscripts, operands), lambda s, xs: jnp.einsum(s, *xs))
        for subscripts, operands in [
            ("btf,fo->bto", [X, T(3, 4)]),
            ("...f,fo->...o", [X, T(3, 4)]),
            ("b...,b->...b", [X, T(BATCH)]),
            ("ii->i", [T(4, 4)]),
            ("btf->", [X]),
            ("bqh,bkh->bqk", [X, T(BATCH, 4, 3)]),
            ("ab,bc->ac", [T(2, 1), T(BATCH, 4)]),
            ("...a,...b->...ab", [T(BATCH, 1, 2), T(TIME, 3)]),
        ]
    ],
    *[
        Row("conv", args, convolve)
        for args in [
            (IMAGES, KERNEL, (1, 1), ((1, 1), (0, 1)), (1, 1), 1),
            (IMAGES, KERNEL, (2, 3), ((0, 0), (0, 0)), (1, 2), 1),
            (IMAGES, T(3, 2, 2, 6), (1, 2), ((2, 0), (1, 1)), (2, 1), 2),
            (IMAGES, T(3, 2, 1, 8), (1, 1), ((0, 0), (0, 0)), (1, 1), 4),
            (T(BATCH, TIME, 4), T(2, 4, 3), (1,), ((1, 0),), (1,), 1),
            (T(BATCH, 5, 6, TIME, 2), T(2, 2, 2, 2, 3), (1, 2, 1), ((0, 1),) * 3, (1, 1, 2), 1),
        ]
    ],
    *[
        Row("conv_transpose", args, convolve_transposed)
        for args in [
            (IMAGES, T(3, 2, 6, 4), (2, 2), ((1, 1), (0, 1)), (1, 1)),
            (IMAGES, T(3, 3, 6, 4), (1, 3), ((2, 2), (2, 2)), (1, 2)),
            (T(BATCH, TIME, 4), T(3, 2, 4), (2,), ((1, 2),), (1,)),
        ]
    ],
    *table("max_pool average_pool", (IMAGES, (2, 3), (2, 1), ((0, 1), (1, 1))), pool),
    *table("max_pool average_pool", (T(BATCH, TIME, 3), (2,), (1,), ((0, 0),)), pool),
    *table("cholesky", (T(BATCH, 3, 3),), jnp.linalg.cholesky),
    *table("solve", (T(BATCH, 3, 3), T(BATCH, 3, 2)), jnp.linalg.solve),
    *table("solve", (T(TIME, TIME), T(TIME, 2)), jnp.linalg.solve),
    *table("solve_triangular", (T(3, 3), T(3, 2), True), lambda a, b, lower: b),
    *[
        Row("qr", (T(BATCH, *shape), mode), lambda x, mode: tuple(jnp.linalg.qr(x, mode)))
        for shape in [(3, 5), (5, 3)]
        for mode in ("reduced", "complete")
    ],
    *[
        Row("svd", (T(BATCH, *shape, **kind), full), lambda x, f: tuple(jnp.linalg.svd(x, f)))
        for shape in [(3, 5), (5, 3), (TIME, 3)]
        for full in (True, False)
        for kind in ({}, COMPLEX)
    ],
    *table("eigh", (T(BATCH, 3, 3),), lambda x: tuple(jnp.linalg.eigh(x))),
    *table("eigh", (T(3, 3, **COMPLEX),), lambda x: tuple(jnp.linalg.eigh(x))),
    *table("eig", (T(BATCH, 3, 3),), lambda x: tuple(jnp.linalg.eig(x))),
    *table("lu_factor", (T(BATCH, 3, 5),), lambda x: lax.linalg.lu(x)[:2]),
    *table("rfft", (T(BATCH, 6),), jnp.fft.rfft),
    *table("rfft", (T(2, TIME),), jnp.fft.rfft),
    *table("irfft", (T(BATCH, 4, **COMPLEX), 6), lambda x, n: jnp.fft.irfft(x, n)),
    *table("random_gamma", (KEY, (BATCH, 3), T(3), "float32"), lambda k, s, a, d: jnp.zeros(s, d)),
    *table(
        "random_binomial",
        (KEY, (2, 3), T(3), T(), "float32"),
        lambda k, shape, n, p, dtype: jnp.zeros(shape, dtype),
    ),
]

#: Primitives that are no rule of shapes or have tests of their own below.
OTHERS = (
    "convert_to_tensor convert_to_numpy is_tensor dtype_of shape_of weak_type canonical_dtype device "
    "synchronize container read write stand_in cond while_loop scan vectorized_map custom_gradient "
    "watch_gradient send is_ready is_out_of_memory scope profile "
    "value_and_grad vjp jvp compile compose remat eval_shape slice_axis patches spread "
    "from_dlpack received each module adopt share leaves stream save_functions shape_alone dtype_name sparse_parts "
    "on_host renewed container_of dataset place constrain untraced is_traced set_trainable "
    "devices connect joined rows of_all own_parts gathered agreed barrier"
)


def replaced(arg: Any, tensor: Callable[[T], Any], size: Callable[[Size], Any]) -> Any:
    """A row's argument with its tensors and sizes replaced."""
    if isinstance(arg, T):
        return tensor(arg)
    if isinstance(arg, Size):
        return size(arg)
    if isinstance(arg, slice):
        return slice(*[replaced(x, tensor, size) for x in (arg.start, arg.stop, arg.step)])
    if isinstance(arg, (tuple, list)):
        return type(arg)([replaced(x, tensor, size) for x in arg])
    return arg


def expected(row: Row) -> list[Any]:
    """What JAX gives, as shapes and dtypes."""
    tensors: list[Any] = []

    def collect(t: T) -> int:
        tensors.append(jax.ShapeDtypeStruct(tuple(map(int, t.shape)), t.dtype))
        return 0

    replaced(row.args, collect, int)

    def call(*values: Any) -> Any:
        given = iter(values)
        return row.reference(*replaced(row.args, lambda t: next(given), int))

    return jax.tree.leaves(jax.eval_shape(call, *tensors))


def run_row(name: str, row: Row, size: Callable[[Size], Any]) -> list[Any]:
    def tensor(t: T) -> Spec:
        return Spec([replaced(s, tensor, size) for s in t.shape], t.dtype)

    return optree.tree_leaves(method(ENGINES[name], row.name)(*replaced(row.args, tensor, size)))


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_primitive(row: Row, name: str) -> None:
    known: dict[int, Dimension] = {}
    wanted = [(x.shape, str(x.dtype)) for x in expected(row)]
    results = run_row(name, row, int)
    assert [x.dtype for x in results] == [dtype for _, dtype in wanted]
    if not row.unknown_result:
        assert [x.shape for x in results] == [shape for shape, _ in wanted]
    shared = run_row(name, row, lambda size: known.setdefault(size, Dimension()))
    distinct = run_row(name, row, lambda size: Dimension())
    for results in (shared, distinct):
        assert [x.dtype for x in results] == [dtype for _, dtype in wanted]
        for x, (shape, _) in zip(results, wanted, strict=True):
            assert x.ndim == len(shape)
            assert all(a in (None, b) for a, b in zip(x.shape, shape, strict=True))


def test_every_primitive_has_a_row() -> None:
    names = {
        name for name in vars(Engine) if not name.startswith("_") and callable(vars(Engine)[name])
    }
    assert {row.name for row in ROWS} | set(OTHERS.split()) == names


def test_the_engine_adds_no_names_to_the_contract() -> None:
    names = {name for name in vars(SpecEngine) if not name.startswith("_")}
    assert names - set(vars(Engine)) == {"tensor", "name"}


# ---------------------------------------------------------- which dimensions stay the same

B, S = Dimension(), Dimension()


@pytest.mark.parametrize(
    ("name", "args", "dims"),
    [
        ("reshape", (Spec((B, 4, 5)), (B, -1)), (B, 20)),
        ("reshape", (Spec((B, 4, 5)), (-1, 20)), (B, 20)),
        ("reshape", (Spec((B, 4, 5)), (None, 20)), (B, 20)),
        ("reshape", (Spec((B, S, 6)), (B, S, 2, -1)), (B, S, 2, 3)),
        ("reshape", (Spec((B, S, 6)), (-1, 6)), (B * S, 6)),
        ("reshape", (Spec((B * S, 6)), (B, -1, 6)), (B, S, 6)),
        ("reshape", (Spec((B, 6)), (-1, 2)), (B * 3, 2)),
        ("add", (Spec((B, 1)), Spec((B, 3))), (B, 3)),
        ("add", (Spec((1, S)), Spec((B, 1))), (B, S)),
        ("add", (Spec((B, 3)), 1.0), (B, 3)),
        ("add", (Spec((B,)), Spec((4,))), (4,)),
        ("where", (Spec((B, 1), "bool"), Spec((S,)), 0.0), (B, S)),
        ("pad", (Spec((B, 2)), ((0, 0), (1, 0)), 0), (B, 3)),
        ("concatenate", ([Spec((B, S)), Spec((B, S))], 1), (B, S * 2)),
        ("concatenate", ([Spec((B, S)), Spec((4, S))], 1), (4, S * 2)),
        ("matmul", (Spec((B, S, 3)), Spec((B, 3, S))), (B, S, S)),
        ("einsum", ("bqd,bkd->bqk", [Spec((B, S, 3)), Spec((None, 4, 3))]), (B, S, 4)),
        ("get_item", (Spec((B, S, 3)), (slice(None), slice(None, None, -1))), (B, S, 3)),
        ("get_item", (Spec((B, 9)), (slice(0, B), slice(0, S))), (B, S)),
        ("get_item", (Spec((B, 9)), (Spec((S, 2), "int32"),)), (S, 2, 9)),
        ("get_item", (Spec((B, 9)), (S - 1,)), (9,)),
        ("broadcast_to", (Spec((1, B)), (S, None)), (S, B)),
        ("conv", (Spec((B, S, 2)), Spec((3, 2, 4)), (1,), ((1, 1),), (1,), 1), (B, S, 4)),
        (
            "conv_transpose",
            (Spec((B, S, 2)), Spec((3, 4, 2)), (2,), ((1, 2),), (1,)),
            (B, S * 2, 4),
        ),
        ("max_pool", (Spec((B, S, 2)), (2,), (1,), ((0, 1),)), (B, S, 2)),
        ("arange", (0, B, 1, "int32"), (B,)),
        ("arange", (0.0, B, 1.0, "float32"), (B,)),
        ("full", ((B, 2, np.int64(3)), 0, "float32"), (B, 2, 3)),
        ("solve", (Spec((B, S, S)), Spec((B, S, 1))), (B, S, 1)),
    ],
)
def test_dimension_is_kept(name: str, args: tuple[Any, ...], dims: tuple[Any, ...]) -> None:
    assert method(engine, name)(*args).dims == dims


def test_dimension_arithmetic() -> None:
    assert B * 4 // 4 == B and B * S // S == B and 4 * B * S // (2 * S) == 2 * B
    assert B // B == 1 and 0 // B == 0 and 0 * B == 0 and B - B == 0 and B * 3 - B == B * 2
    assert B + 0 == B and 0 + B == B and B - 0 == B and B + B == 2 * B and 0 - B == -B
    assert B * S == S * B and hash(B * S) == hash(S * B) and math.prod([2, B, 3]) == B * 6
    assert B * 6 % 3 == 0 and repr(B) == str(B) == f"{B}" == "None"
    assert np.int64(3) * B == 3 * B and B * np.int32(3) // np.int8(3) == B
    for unknown in (B + 1, 3 - B, B // 2, B % 2, 8 // B, B // S, B + S):
        assert isinstance(unknown, Dimension) and unknown != B and unknown.coefficient == 1
    assert B != S and B != 1 and B != 0
    assert 1 not in (B, S) and dimension(B) is B and dimension(None) != dimension(None)
    assert dimension(np.int64(3)) == 3 and isinstance(dimension(Spec((), "int32")), Dimension)
    with pytest.raises(ZeroDivisionError):
        B // 0


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda: B < 3, "compared with < or >"),
        (lambda: B > 3, "compared with < or >"),
        (lambda: max(B, 1), "compared with < or >"),
        (lambda: int(B), "turned into a number"),
        (lambda: list(range(B)), "turned into a number"),
        (lambda: float(B), "turned into a number"),
        (lambda: bool(B), "decide a condition"),
        (lambda: B / 2, "divided with /"),
        (lambda: 1 / B, "divided with /"),
    ],
)
def test_dimension_has_no_value(use: Callable[[], Any], says: str) -> None:
    with pytest.raises(TypeError, match=f"unknown dimension .* can't .*{says}.*None.*reshape"):
        use()


# ------------------------------------------------------------------------------- windows


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("pads", [(0, 0), (1, 2), (3, 3)])
def test_windows_of_every_size(stride: int, dilation: int, pads: tuple[int, int]) -> None:
    for size in range(1, 9):
        for window in range(1, 5):
            x, kernel = T(2, size, 3), T(window, 3, 4)
            row = Row("conv", (x, kernel, (stride,), (pads,), (dilation,), 1), convolve)
            counts = size + sum(pads) - (window - 1) * dilation
            if counts > 0:
                assert run_row("direct", row, int)[0].shape == expected(row)[0].shape
            else:
                with pytest.raises(ValueError, match="The input is too small"):
                    run_row("direct", row, int)
            args = (x, T(window, 4, 3), (stride,), (pads,), (dilation,))
            row = Row("conv_transpose", args, convolve_transposed)
            if (size - 1) * stride + 1 + sum(pads) - (window - 1) * dilation > 0:
                assert run_row("direct", row, int)[0].shape == expected(row)[0].shape


def test_patches_are_those_of_the_default_body() -> None:
    args = (Spec((2, 8, 9, 3)), (2, 3), (1, 2), ((0, 1), (1, 1)), (2, 1), 0.0)
    assert engine.patches(*args).shape == Engine.patches(engine, *args).shape == (2, 7, 5, 6, 3)
    unknown = (Spec((None, None, 9, 3)), *args[1:])
    assert engine.patches(*unknown).shape == (None, None, 5, 6, 3)
    assert Engine.patches(engine, *unknown).shape == (None, None, 5, 6, 3)


# ---------------------------------------------------------------------------- conversion


@pytest.mark.parametrize(
    ("value", "shape", "dtype"),
    [
        (True, (), "bool"),
        (1, (), "int32"),
        (1.5, (), "float32"),
        (1j, (), "complex64"),
        ([[1, 2], [3, 4]], (2, 2), "int32"),
        ([1, 2.5], (2,), "float32"),
        ([], (0,), "float32"),
        (np.zeros((2, 3)), (2, 3), "float64"),
        (np.float16(1), (), "float16"),
        (jnp.zeros((2,), "bfloat16"), (2,), "bfloat16"),
        (SimpleNamespace(shape=(2, None), dtype="torch.int8"), (2, None), "int8"),
        ([Spec((None, 3)), Spec((4, 3))], (2, 4, 3), "float32"),
        (B, (), "int32"),
    ],
    ids=repr,
)
def test_convert_to_tensor(value: Any, shape: Any, dtype: str) -> None:
    x = engine.convert_to_tensor(value)
    assert (x.shape, x.dtype, x.ndim) == (shape, dtype, len(shape))
    assert engine.convert_to_tensor(value, "int8").dtype == "int8"
    assert engine.dtype_of(value) == dtype and engine.is_tensor(x) and not engine.is_tensor(value)


def test_python_numbers_adapt() -> None:
    half = Spec((2,), "float16")
    assert engine.add(1.0, half).dtype == engine.where(True, half, 0).dtype == "float16"
    assert [engine.weak_type(x) for x in (1, 1.0, True, B, half)] == [
        int,
        float,
        bool,
        int,
        "float16",
    ]
    variable = SimpleNamespace(stored_shape=(3,), stored_dtype="int8")
    assert repr(Spec(engine.stand_in(variable).dims, "int8")) == "<Spec shape=(3,), dtype=int8>"
    assert engine.real(Spec((), "complex128")).dtype == "float64"
    assert engine.canonical_dtype("float64") == "float64"


# ---------------------------------------------------------------------------- transforms


def test_cond() -> None:
    def result(left: Any, right: Any) -> Any:
        return engine.cond(Spec((), "bool"), lambda: left, lambda: right)

    x = result({"a": Spec((B, 2)), "b": (1, None)}, {"a": Spec((B, 2)), "b": (2, None)})
    assert x["a"].dims == (B, 2) and x["b"][0].dtype == "int32" and x["b"][1] is None
    assert result(Spec((B,)), Spec((3,))).shape == (None,)
    for left, right in [
        (Spec((2,)), Spec((3,))),
        (Spec((2,)), Spec((2, 1))),
        (Spec((2,)), Spec((2,), "int32")),
        ([Spec((2,))], (Spec((2,)),)),
    ]:
        with pytest.raises(ValueError, match="branches must give the same .* in `cond`. Received"):
            result(left, right)


def test_while_loop() -> None:
    x = Spec((B, 2))
    calls = []

    def grow(i: Spec, x: Spec, y: Spec) -> Any:
        calls.append(x.shape)
        return [engine.add(i, 1), engine.concatenate([x, x], 1), engine.negative(x)]

    i, grown, y = engine.while_loop(lambda *state: True, grow, (0, x, x))
    assert i.shape == () and grown.shape == y.shape == (None, None)
    assert grown.dims[0] == y.dims[0] == B
    assert calls[0] == (None, 2) and len(calls) == 3
    (kept,) = engine.while_loop(lambda x: True, engine.negative, (x,))
    assert kept.dims == (B, 2)
    with pytest.raises(ValueError, match="body must keep .* in `while_loop`"):
        engine.while_loop(lambda x: True, lambda x: engine.cast(x, "int32"), (x,))


def test_scan_and_vectorized_map() -> None:
    def step(carry: Any, x: Any) -> Any:
        assert x["x"].dims == (B, 3)
        return {"h": engine.add(carry["h"], x["x"])}, (carry["h"], None)

    xs, init = {"x": Spec((S, B, 3))}, {"h": Spec((B, 3))}
    carry, (ys, nothing) = engine.scan(step, init, xs, None, False)
    assert carry["h"].dims == (B, 3) and ys.dims == (S, B, 3) and nothing is None
    assert engine.scan(step, init, xs, 6, True)[1][0].dims == (6, B, 3)
    assert engine.scan(lambda c, _: (c, c), Spec((2,)), None, 4, False)[1].shape == (4, 2)
    assert engine.vectorized_map(lambda x: engine.sum(x, (0,), False), Spec((B, 3))).dims == (B,)
    both = engine.vectorized_map(lambda xs: engine.add(*xs), [Spec((B, 3)), Spec((4, 1))])
    assert both.dims == (4, 3)
    with pytest.raises(ValueError, match="keep the structure, shapes and dtypes of the carry"):
        engine.scan(lambda c, x: (x, x), Spec((2,)), Spec((4, 3)), None, False)
    for xs, length in [(None, None), (Spec(()), None), (Spec((3,)), 4)]:
        with pytest.raises(ValueError, match="leading axes of one size in `scan`.*length="):
            engine.scan(lambda c, x: (c, c), Spec((2,)), xs, length, False)


def test_derivatives_have_the_shapes_of_what_they_belong_to() -> None:
    w, x = Spec((3, 4)), Spec((B, 3))

    def loss(values: list[Any]) -> Any:
        return engine.sum(engine.matmul(x, values[0]), (0, 1), False), "aux"

    (value, aux), gradients = engine.value_and_grad(loss)([w])
    assert value.shape == () and aux == "aux" and [g.dims for g in gradients] == [(3, 4)]
    y, back = engine.vjp(engine.matmul, x, w)
    assert y.dims == (B, 4) and [g.dims for g in back(y)] == [(B, 3), (3, 4)]
    y, tangent = engine.jvp(engine.matmul, (x, w), (x, w))
    assert y.dims == tangent.dims == (B, 4)
    call = engine.custom_gradient(lambda x: (engine.exp(x), lambda cotangent: cotangent))
    assert call(x).dims == (B, 3)
    assert engine.compile(engine.exp, None)(x).dims == engine.remat(engine.exp)(x).dims == (B, 3)


# -------------------------------------------------------------------------------- errors

A23, A4 = Spec((2, 3)), Spec((4,))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: engine.add(A23, A4),
            (
                "Shapes must broadcast in `add`. Received: x1.shape=(2, 3), x2.shape=(4,). "
                "Make each dimension equal or 1, counted from the last axis."
            ),
        ),
        (
            lambda: engine.where(A4, A23, 1.0),
            (
                "Shapes must broadcast in `where`. Received: condition.shape=(4,), x1.shape=(2, 3), "
                "x2.shape=(). Make each dimension equal or 1, counted from the last axis."
            ),
        ),
        (
            lambda: engine.reshape(Spec((B, 4, 5)), (B, 3, -1)),
            (
                "The elements must fit in `reshape`. Received: x.shape=(None, 4, 5), "
                "target.shape=(None, 3, -1). Give a shape of as many elements; one dimension may be -1."
            ),
        ),
        (lambda: engine.reshape(Spec((B,)), (-1, -1)), "target.shape=(-1, -1)"),
        (lambda: engine.reshape(A4, (3,)), "in `reshape`. Received: x.shape=(4,)"),
        (lambda: engine.reshape(Spec((0,)), (0, -1)), "in `reshape`. Received: x.shape=(0,)"),
        (
            lambda: engine.matmul(A23, A4),
            (
                "The last axis of x1 must be as long as the last but one of x2 in `matmul`. "
                "Received: x1.shape=(2, 3), x2.shape=(4,). Transpose or reshape one."
            ),
        ),
        (
            lambda: engine.matmul(A23, Spec(())),
            "in `matmul`. Received: x1.shape=(2, 3), x2.shape=()",
        ),
        (
            lambda: engine.einsum("ab,b->a", [A23, A4]),
            (
                "Axes of one letter must be equal in `einsum`. Received: subscripts='ab,b->a', "
                "shapes=[(2, 3), (4,)]. Reshape, or use other letters."
            ),
        ),
        (
            lambda: engine.einsum("abc->a", [A23]),
            "There must be a letter for each axis in `einsum`",
        ),
        (
            lambda: engine.conv(Spec((B, 2, 3)), Spec((3, 3, 4)), (1,), ((0, 0),), (1,), 1),
            (
                "The input is too small: it must be as large as the window in `conv`. Received: "
                "x.shape=(None, 2, 3), window=[3], pads=[(0, 0)], dilation=[1]. "
                "Give a larger input, a smaller window or dilation, or padding='same'."
            ),
        ),
        (
            lambda: engine.conv(Spec((B, 9, 5)), Spec((3, 3, 4)), (1,), ((0, 0),), (1,), 1),
            "Received: x.shape=(None, 9, 5), kernel.shape=(3, 3, 4), groups=1.",
        ),
        (
            lambda: engine.conv_transpose(Spec((B, 9, 5)), Spec((3, 4, 3)), (1,), ((0, 0),), (1,)),
            "Channels must be the kernel's in `conv_transpose`. Received: x.shape=(None, 9, 5)",
        ),
        (
            lambda: engine.max_pool(A23, (2, 2), (1, 1), ((0, 0),) * 2),
            "Rank must be the window's plus 2 in `max_pool`. Received: x.shape=(2, 3)",
        ),
        (
            lambda: engine.concatenate([A23, Spec((2, 4))], 0),
            "Shapes must be equal but for axis 0 in `concatenate`. Received: shapes=[(2, 3), (2, 4)]",
        ),
        (lambda: engine.concatenate([A23, A4], 0), "Received: shapes=[(2, 3), (4,)]"),
        (lambda: engine.broadcast_to(A23, (2, 4)), "x.shape=(2, 3), target.shape=(2, 4)"),
        (lambda: engine.transpose(A23, (0, 0)), "Axes must be a permutation in `transpose`"),
        (lambda: engine.take_along_axis(A23, A4, 0), "Ranks must be equal in `take_along_axis`"),
        (lambda: engine.slice(A23, (0, 0), (3, 1)), "The block must lie in x in `slice`"),
        (lambda: engine.slice_update(A23, (0,), A4), "must lie in x in `slice_update`"),
        (
            lambda: engine.scatter(A23, Spec((5, 1), "int32"), Spec((5, 4)), "add"),
            "Received: x.shape=(2, 3), indices.shape=(5, 1), updates.shape=(5, 4).",
        ),
        (lambda: engine.top_k(A4, 5), "must be at most the size of the last axis in `top_k`"),
        (lambda: engine.cholesky(A23), "must be a square matrix in `cholesky`. Received: x.shape="),
        (lambda: engine.solve(A23, A23), "square matrices, b as many rows in `solve`"),
        (lambda: engine.view(Spec((3,), "int8"), "int16"), "must hold whole int16s in `view`"),
        (lambda: engine.convert_to_tensor([[1], [1, 2]]), "must have one shape to make a tensor"),
        (lambda: Spec((-1, 2)), "A dimension must be an integer that is not negative, or None."),
    ],
)
def test_error(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert text in str(caught.value)


def test_values_are_refused() -> None:
    with pytest.raises(TypeError, match="no values.*Received: x=<"):
        engine.convert_to_numpy(A23)
    with pytest.raises(TypeError, match="A tensor holds numbers. Received: 'text'"):
        engine.convert_to_tensor("text")
    with pytest.raises(TypeError, match="A tensor holds numbers"):
        engine.convert_to_tensor(object())
