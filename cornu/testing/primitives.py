"""What the primitives of an engine must give: rows of arguments, beside NumPy's and SciPy's results.

The arguments are unusual ones: edges of dtypes, empty axes, negative pads, windows of every form.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import optree
from scipy import linalg, special

from ..engines.host import numpy_dtype
from ..engines.indexing import indexed

words = str.split
random = np.random.default_rng(0)


def draw(*shape: int, dtype: Any = "float32", low: float = -3, high: float = 3) -> Any:
    """An array that can't be written to."""
    values = random.uniform(low, high, shape)
    array = np.asarray(values > 0 if dtype == "bool" else values.astype(dtype))
    array.flags.writeable = False
    return array


@dataclass
class Row:
    """A primitive, its arguments, what NumPy gives for them, and the dtype of the results."""

    name: str
    args: Sequence[Any]
    reference: Callable[..., Any]
    dtypes: str | None = None
    tolerance: float = 1e-5
    traced: bool = True

    def __str__(self) -> str:
        return self.name

    def arrays(self) -> list[Any]:
        """The arguments that are tensors."""
        return [leaf for leaf in _leaves(list(self.args)) if isinstance(leaf, np.ndarray)]

    def expected_dtypes(self) -> Iterator[str]:
        """The dtypes of the results."""
        given = (self.dtypes or self.arrays()[0].dtype.name).split()
        return itertools.cycle(given)

    def run(self, engine: Any) -> Any:
        """The results on an engine, as NumPy arrays; traced where the engine traces."""
        given: Any = list(self.args)
        leaves, structure = optree.tree_flatten(given, none_is_leaf=True)
        places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, np.ndarray)]

        def call(*tensors: Any) -> Any:
            given = list(leaves)
            for place, tensor in zip(places, tensors, strict=True):
                given[place] = tensor
            return method(engine, self.name)(*optree.tree_unflatten(structure, given))

        body = engine.compose(call, (), self.name) if self.traced else call
        result = body(*(engine.convert_to_tensor(leaves[place]) for place in places))
        return optree.tree_map(engine.convert_to_numpy, result)

    def check(self, engine: Any) -> None:
        """Compare an engine with the reference."""
        with np.errstate(all="ignore"):
            expected = self.reference(*(wide(arg) for arg in self.args))
        assert_close(engine, self.run(engine), expected, self.expected_dtypes(), self.tolerance)


def method(engine: Any, name: str) -> Callable[..., Any]:
    """A primitive of an engine; `get_item` with any key, as `indexing` works it out."""
    return functools.partial(indexed, engine) if name == "get_item" else getattr(engine, name)


def _leaves(tree: Any) -> list[Any]:
    return list(optree.tree_leaves(tree))


def wide(x: Any) -> Any:
    """Narrow floats as float32, for a reference that would be too coarse in them."""
    return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype.itemsize == 2 else x


def assert_close(
    engine: Any, results: Any, expected: Any, dtypes: Iterator[str], tolerance: float
) -> None:
    """Check the shape, the dtype and the values of each result.

    Values are compared in the dtype asked for; an engine may compute in a wider one.
    """
    found, wanted = _leaves(results), _leaves(expected)
    assert len(found) == len(wanted), f"{len(found)} results, {len(wanted)} expected"
    for result, reference, dtype in zip(found, wanted, dtypes, strict=False):
        canonical = engine.canonical_dtype(dtype)
        assert result.dtype.name == canonical, f"dtype {result.dtype.name}, {canonical} expected"
        shape = np.shape(reference)
        assert result.shape == shape, f"shape {result.shape}, {shape} expected"
        kind = np.complex128 if result.dtype.kind == "c" else np.float64
        with np.errstate(over="ignore"):
            narrowed = result.astype(numpy_dtype(dtype)).astype(kind)
        wanted_here = np.asarray(reference).astype(kind)
        np.testing.assert_allclose(narrowed, wanted_here, tolerance, tolerance)


F, G = draw(3, 4), draw(3, 4)
VECTOR, CUBE = draw(7), draw(2, 3, 4)
INTS, MORE = draw(3, 4, dtype="int32", low=-9, high=9), draw(3, 4, dtype="int32", low=1, high=6)
B, C = draw(3, 4, dtype="bool"), draw(3, 4, dtype="bool")
Z = np.asarray(draw(3, 4) + 1j * draw(3, 4)).astype("complex64")
EDGES = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 100.0, -100.0], "f")


def unary_rows() -> Iterator[Row]:
    plain = {
        (-3, 3): "negative abs sign ceil floor round trunc exp expm1 sin cos tan arctan sinh cosh "
        "tanh arcsinh isnan isinf isfinite real imag conj",
        (0.1, 9): "sqrt log log1p log2 log10",
        (-0.9, 0.9): "arcsin arccos arctanh",
        (1.1, 9): "arccosh",
    }
    others: dict[str, tuple[Callable[..., Any], float, float]] = {
        "rsqrt": (lambda x: 1 / np.sqrt(x), 0.1, 9),
        "sigmoid": (special.expit, -9, 9),
        "erf": (special.erf, -3, 3),
        "erfc": (special.erfc, -3, 3),
        "erfinv": (special.erfinv, -0.99, 0.99),
        "i0": (special.i0, -3, 3),
        "lgamma": (special.gammaln, -3.4, 9),
    }
    for (low, high), names in plain.items():
        others |= {name: (getattr(np, name), low, high) for name in names.split()}
    for name, (reference, low, high) in others.items():
        for dtype, tolerance in ("float32", 2e-5), ("float16", 4e-3), ("bfloat16", 3e-2):
            found = "bool" if name in ("isnan", "isinf", "isfinite") else dtype
            x = draw(3, 4, dtype=numpy_dtype(dtype), low=low, high=high)
            yield Row(name, (x,), reference, found, tolerance)
        yield Row(name, (draw(low=low, high=high),), reference, found if found == "bool" else None)
        if name not in ("i0", "lgamma", "tan", "sin", "cos"):  # trigonometry of 100 differs
            yield Row(name, (EDGES,), reference, found if found == "bool" else None, 2e-5)
    for name in words("negative abs sign conj real"):
        yield Row(name, (INTS,), getattr(np, name))
        yield Row(name, (Z,), getattr(np, name), "float32" if name in ("abs", "real") else None)
    for name in words("exp log sqrt sin tanh"):
        yield Row(name, (Z,), getattr(np, name), tolerance=1e-4)
    yield Row("imag", (Z,), np.imag, "float32")
    yield Row("logical_not", (B,), np.logical_not)
    yield Row("bitwise_not", (INTS,), np.bitwise_not)
    yield Row("bitwise_not", (B,), np.bitwise_not)
    yield Row("lgamma", (np.array([1.0, 2.0, np.inf, 1e30], "f"),), special.gammaln)
    yield Row("erfinv", (np.array([1.0, -1.0, 0.0, 0.9999999], "f"),), special.erfinv)


def binary_rows() -> Iterator[Row]:
    column = draw(3, 1)
    small = draw(3, 4, dtype="bfloat16")
    floats = "add subtract multiply divide maximum minimum arctan2 floor_divide mod fmod"
    for name in words(floats):
        reference = getattr(np, name)
        yield Row(name, (F, G), reference)
        yield Row(name, (VECTOR[:4], column), reference)
        yield Row(name, (small, small[:1]), reference, tolerance=2e-2)
    for name in words("add subtract multiply maximum minimum floor_divide mod fmod"):
        yield Row(name, (INTS, MORE), getattr(np, name))
        yield Row(name, (INTS.astype("int8"), MORE.astype("int8")), getattr(np, name))
    for name in words("equal not_equal less less_equal greater greater_equal"):
        yield Row(name, (INTS, MORE), getattr(np, name), "bool")
        yield Row(name, (EDGES, EDGES[:, None]), getattr(np, name), "bool")
    for name in words("logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor"):
        yield Row(name, (B, C), getattr(np, name))
    for name in words("bitwise_and bitwise_or bitwise_xor left_shift right_shift"):
        yield Row(name, (INTS, MORE), getattr(np, name))
    yield Row("maximum", (EDGES, EDGES[:, None]), np.maximum)
    yield Row("minimum", (EDGES, EDGES[:, None]), np.minimum)
    yield Row("divide", (EDGES, EDGES[:, None]), np.divide)
    yield Row("power", (np.abs(F), G), np.power)
    yield Row("power", (INTS, MORE), np.power)
    yield Row("power", (EDGES, EDGES[:, None]), np.power)
    yield Row("nextafter", (F, G), np.nextafter, tolerance=0)
    yield Row("complex", (F, column), lambda x, y: x + 1j * y, "complex64")
    yield Row("complex", (small, small), lambda x, y: x + 1j * y, "complex64")
    yield Row("multiply", (Z, Z), np.multiply)


def reduction_rows() -> Iterator[Row]:
    def over(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, axes, keepdims: function(x, axis=axes, keepdims=keepdims)

    cases: list[tuple[tuple[int, ...], bool]] = [((0, 2), False), ((1,), True), ((), False)]
    half = draw(2, 3, 4, dtype="float16")
    many = draw(70000, dtype="float16", low=0.5, high=1.5)
    for axes, keepdims in [*cases, ((0, 1, 2), False)]:
        for name in words("sum prod max min mean var"):
            reference = over(getattr(np, name))
            yield Row(name, (CUBE, axes, keepdims), reference)
            yield Row(name, (half, axes, keepdims), reference, tolerance=4e-3)
            small = half.astype(ml_dtypes.bfloat16)
            yield Row(name, (small, axes, keepdims), reference, tolerance=4e-2)
        for name in ("all", "any"):
            yield Row(name, (CUBE > 0, axes, keepdims), over(getattr(np, name)))
    for name in words("sum prod max min"):
        yield Row(name, (INTS, (0,), False), over(getattr(np, name)))
    yield Row("sum", (Z, (0,), False), over(np.sum))
    yield Row("sum", (np.zeros((3, 0), "f"), (1,), False), over(np.sum))
    yield Row("prod", (np.zeros((3, 0), "f"), (1,), False), over(np.prod))
    yield Row("any", (np.zeros((3, 0), "bool"), (1,), False), over(np.any))
    yield Row("sum", (np.full(5, 100, "int8"), (0,), False), lambda *_: np.int8(500 - 512))
    yield Row("max", (EDGES, (0,), False), over(np.max))
    yield Row("sum", (many[:6000], (0,), False), over(np.sum), tolerance=2e-3)
    ties = np.array([[1, 3, 3], [2, 2, 0]], "f")
    for name in ("argmax", "argmin"):
        for x in (F, INTS, B, ties, EDGES[:, None]):
            for axis in range(x.ndim):
                yield Row(name, (x, axis), getattr(np, name), "int32")
    for name in ("cumsum", "cumprod"):
        for x in (CUBE, CUBE.astype("int32"), CUBE.astype("float16")):
            tolerance = 1e-2 if x.dtype == np.float16 else 1e-5
            yield Row(name, (x, 1), getattr(np, name), tolerance=tolerance)
    yield Row("where", (B, F, G[:1]), np.where, "float32")
    yield Row("where", (B, INTS, INTS[:1]), np.where, "int32")


def movement_rows() -> Iterator[Row]:
    index = np.array([[2, 0], [1, 1]], "int32")
    mask = np.array([True, False, True])
    first = np.array([0, 1], "int32")
    keys: list[Any] = [
        (1,),
        (-1, slice(None, None, -1)),
        (Ellipsis, slice(3, 0, -2)),
        (None, slice(1, None), None, 0),
        (slice(None), index),
        (index, slice(None), None, index),
        (slice(5, 9),),
        (Ellipsis, -4, None),
        (slice(None), slice(None, None, 2), slice(-3, -1)),
        (slice(np.int64(4), None, np.int64(-2)), np.uint8(1)),
    ]
    big = np.concatenate([CUBE, CUBE[::-1] + 1])
    for key in keys:
        yield Row("get_item", (big, key), lambda x, key: x[key])
    yield Row("get_item", (F, (mask,)), lambda x, key: x[key], traced=False)
    for depth in (1, 2, 3):
        places = np.array([[1, 2, 0], [0, 1, 3]], "int32")[:, :depth]
        yield Row("gather", (CUBE, places), lambda x, at: x[tuple(at.T)])
    yield Row("gather", (CUBE[..., :0], places[:, :2]), lambda x, at: x[tuple(at.T)])
    yield Row("get_item", (F, (slice(None), first)), lambda x, key: x[key])
    yield Row("reshape", (CUBE, (-1, 2)), np.reshape)
    yield Row("reshape", (np.zeros((0, 3), "f"), (3, 0, 2)), np.reshape)
    yield Row("transpose", (CUBE, (2, 0, 1)), np.transpose)
    yield Row("broadcast_to", (F[:, None], (2, 3, 5, 4)), np.broadcast_to)
    yield Row("concatenate", ([CUBE, CUBE[:, :0], CUBE[:, 1:]], 1), np.concatenate)
    yield Row("flip", (CUBE, (0, 2)), np.flip)
    for x, value in ((F, 2.5), (INTS, -7), (B, True), (draw(3, 4, dtype="float16"), -1e9)):
        low = -np.inf if value == -1e9 else value
        pads = ((1, 0), (0, 2))
        yield Row("pad", (x, pads, value), lambda x, p, _, v=low: np.pad(x, p, constant_values=v))
    yield Row(
        "pad",
        (F, ((-1, 2), (1, -2)), 9),
        lambda x, *_: np.pad(x[1:, :-2], ((0, 2), (1, 0)), constant_values=9),
    )
    yield Row("take", (CUBE, index, 1), np.take)
    yield Row("take", (CUBE, np.array(2, "int32"), 2), np.take)
    yield Row("take_along_axis", (F, index[:, :1].repeat(2, 0)[:3], 1), np.take_along_axis)
    yield Row("take_along_axis", (F, np.array([[2, 0, 1, 1]], "int32"), 0), np.take_along_axis)
    one = np.array(1, "int32")
    yield Row("slice", (CUBE, (0, one, 2), (2, 2, 1)), lambda x, *_: x[:2, 1:3, 2:3])
    yield Row("slice", (CUBE, (0, 2, 9), (2, 2, 1)), lambda x, *_: x[:2, 1:3, 3:])

    def updated(x: Any, _: Any, updates: Any) -> Any:
        x = x.copy()
        x[:, 1:3, 2:3] = updates
        return x

    yield Row("slice_update", (CUBE, (0, one, 2), CUBE[:, :2, :1] * 5), updated)
    yield from scatter_rows()
    yield Row("cast", (F, "int32"), lambda x, _: x.astype("int32"), "int32")
    yield Row("cast", (F, "float16"), lambda x, _: x.astype("float16"), "float16", 0)
    yield Row("cast", (F, "bfloat16"), lambda x, _: x.astype("bfloat16"), "bfloat16", 0)
    yield Row("cast", (F, "float8_e4m3fn"), lambda x, _: x.astype("float8_e4m3fn"), "float8_e4m3fn")
    yield Row("cast", (INTS, "bool"), lambda x, _: x != 0, "bool")
    yield Row("cast", (B, "float32"), lambda x, _: x, "float32")
    yield Row("cast", (Z, "float32"), lambda x, _: x.real, "float32")
    yield Row("cast", (F, "complex64"), lambda x, _: x, "complex64")
    yield Row(
        "cast",
        (np.array([1e9, -1e9, 0.5], "f"), "float16"),
        lambda *_: np.array([np.inf, -np.inf, 0.5]),
        "float16",
    )
    yield Row("view", (F, "uint8"), lambda x, _: x.view("uint8"), "uint8", 0)
    yield Row("view", (F, "int32"), lambda x, _: x.view("int32"), "int32", 0)
    yield Row("view", (INTS.view("uint8"), "int32"), lambda x, _: x.view("int32"), "int32", 0)
    yield Row("full", ((2, 3), 7.5, "float32"), np.full, "float32")
    yield Row("full", ((), np.array(3, "int32"), "float32"), np.full, "float32")
    yield Row("full", ((2,), -1e9, "float16"), lambda *_: np.full(2, -np.inf), "float16")
    yield Row("full", ((0, 2), True, "bool"), np.full, "bool")
    yield Row("arange", (2, 11, 3, "int32"), lambda *a: np.arange(*a[:3]), "int32")
    yield Row("arange", (5, 0, -1, "float32"), lambda *a: np.arange(*a[:3]), "float32")
    yield Row("arange", (0.5, 3, 0.25, "float32"), lambda *a: np.arange(*a[:3]), "float32")
    yield Row("stop_gradient", (F,), lambda x: x)


def scatter_rows() -> Iterator[Row]:
    functions = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
    pairs = np.array([[0, 1], [2, 3], [0, 1], [-1, 0]], "int32")
    for x in (F, INTS, F.astype("bfloat16")):
        updates = (np.arange(4) - 1).astype(x.dtype)
        tolerance = 2e-2 if x.dtype.itemsize == 2 else 1e-5
        for reduction, function in functions.items():

            def scattered(x: Any, places: Any, updates: Any, _: Any, f: Any = function) -> Any:
                x = np.array(x)
                f.at(x, tuple(np.moveaxis(places, -1, 0)), updates)
                return x

            yield Row("scatter", (x, pairs, updates, reduction), scattered, tolerance=tolerance)

    def placed(x: Any, places: Any, updates: Any, _: Any) -> Any:
        x = np.array(x)
        x[places[..., 0]] = updates
        return x

    rows = np.array([[[2]], [[0]]], "int32")
    yield Row("scatter", (F, rows, G[:2, None], "set"), placed)


def order_rows() -> Iterator[Row]:
    ties = np.array([[3, 1, 3, 2, 1], [0, 0, 5, 5, -1]], "int32")
    holes = np.array([2.0, np.nan, -np.inf, 2.0, np.inf], "f")
    for x in (CUBE, ties, holes, B, ties.astype("bfloat16")):
        for axis in range(x.ndim):
            yield Row("sort", (x, axis), np.sort)
            yield Row(
                "argsort", (x, axis), lambda x, a: np.argsort(x, a, kind="stable"), "int32", 0
            )

    def largest(x: Any, k: int) -> Any:
        x = np.flip(x, -1)
        order = x.shape[-1] - 1 - np.flip(np.argsort(x, -1, kind="stable"), -1)[..., :k]
        return np.take_along_axis(np.flip(x, -1), order, -1), order

    for x in (CUBE, ties, ties.astype("uint8"), holes, B, CUBE.astype("float16")):
        yield Row("top_k", (x, 3), largest, f"{x.dtype.name} int32", 0)
    steps = np.sort(draw(9, low=-2, high=2))
    for side in ("left", "right"):
        yield Row("searchsorted", (steps, F, side), np.searchsorted, "int32", 0)
        levels = np.array([1, 1, 2, 5], "int32")
        yield Row("searchsorted", (levels, INTS, side), np.searchsorted, "int32", 0)
    found = "int32 int32 int32 int32"
    x = np.array([3, 1, 1, 2, 3, 3], "int32")
    yield Row(
        "unique", (x, None, None), lambda x, *_: np.unique(x, True, True, True), found, 0, False
    )
    fixed = {
        (5, 9): ([1, 2, 3, 9, 9], [1, 3, 0, 1, 1], [2, 0, 0, 1, 2, 2], [2, 1, 3, 0, 0]),
        (4, None): ([1, 2, 3, 1], [1, 3, 0, 1], [2, 0, 0, 1, 2, 2], [2, 1, 3, 0]),
        (2, None): ([1, 2], [1, 3], [2, 0, 0, 1, 2, 2], [2, 1]),
    }
    for (size, fill), parts in fixed.items():
        expected = tuple(np.array(part) for part in parts)
        yield Row("unique", (x, size, fill), lambda *_, e=expected: e, found, 0)
    spots = np.array([[0, 2, 0], [3, 0, 4]], "int32")
    yield Row("nonzero", (spots, None, 0), lambda x, *_: np.nonzero(x), "int32", 0, False)
    expected = (np.array([0, 1, 1, -1]), np.array([1, 0, 2, -1]))
    yield Row("nonzero", (spots, 4, -1), lambda *_: expected, "int32", 0)
    expected_cut = (np.array([0, 1]), np.array([1, 0]))
    yield Row("nonzero", (spots, 2, -1), lambda *_: expected_cut, "int32", 0)


def contraction_rows() -> Iterator[Row]:
    def summed(subscripts: str, operands: list[Any]) -> Any:
        return np.einsum(subscripts, *map(wide, operands))

    pairs = [
        (draw(4), draw(4)),
        (draw(4), draw(4, 5)),
        (draw(3, 4), draw(4)),
        (draw(2, 3, 4), draw(4, 5)),
        (draw(2, 1, 3, 4), draw(6, 4, 5)),
        (draw(0, 3, 4), draw(4, 5)),
        (INTS, MORE.T),
    ]
    for x, y in pairs:
        yield Row("matmul", (x, y), np.matmul, tolerance=2e-5)
    for dtype, tolerance in (("float16", 1e-2), ("bfloat16", 8e-2)):
        x, y = draw(2, 3, 4, dtype=dtype), draw(4, 5, dtype=dtype)
        yield Row("matmul", (x, y), np.matmul, tolerance=tolerance)
        yield Row("einsum", ("abc,cd->abd", [x, y]), summed, tolerance=tolerance)
    shapes = {
        "abc,cde->abde": ((2, 3, 4), (4, 5, 6)),
        "abhd,hdc->abc": ((2, 3, 4, 5), (4, 5, 6)),
        "abhd,dhc->abc": ((2, 3, 5, 4), (4, 5, 6)),
        "abc,cd->dab": ((2, 3, 4), (4, 5)),
        "abc,cb->a": ((2, 3, 4), (4, 3)),
        "bthd,bshd->bhts": ((2, 3, 4, 5), (2, 6, 4, 5)),
        "ab,bc,cd->ad": ((2, 3), (3, 4), (4, 5)),
        "...ab,...b->...a": ((2, 3, 4), (2, 4)),
        "aab->ab": ((3, 3, 4),),
        "ab->": ((3, 4),),
        "a,b->ab": ((3,), (4,)),
    }
    for subscripts, operands in shapes.items():
        arrays = [draw(*shape) for shape in operands]
        yield Row("einsum", (subscripts, arrays), summed, tolerance=3e-5)


# --------------------------------------------------------------------- windows


def windows(x: Any, window: Any, strides: Any, pads: Any, dilation: Any, fill: float) -> Any:
    """(places, window) -> what of x (n, *spatial, i) they see: (n, *places, i, *window)."""
    rank = len(window)
    x = np.pad(wide(x), ((0, 0), *pads, (0, 0)), constant_values=fill)
    spans = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    seen = np.lib.stride_tricks.sliding_window_view(x, spans, tuple(range(1, rank + 1)))
    places = (slice(None), *(slice(None, None, s) for s in strides), slice(None))
    return seen[(*places, *(slice(None, None, d) for d in dilation))]


def correlated(x: Any, kernel: Any, strides: Any, pads: Any, dilation: Any, groups: int) -> Any:
    *window, depth, filters = kernel.shape
    seen = windows(x, window, strides, pads, dilation, 0)
    parts = []
    for group in range(groups):
        inputs = slice(group * depth, (group + 1) * depth)
        outputs = slice(group * filters // groups, (group + 1) * filters // groups)
        rank = len(window)
        channels = seen[(slice(None),) * (rank + 1) + (inputs,)]
        weights = np.moveaxis(wide(kernel)[..., outputs], -2, 0)
        parts.append(np.tensordot(channels, weights, rank + 1))
    return np.concatenate(parts, -1)


def transposed(x: Any, kernel: Any, strides: Any, pads: Any, dilation: Any) -> Any:
    """By the definition: zeros between the elements, then a correlation with the flipped kernel."""
    rank = len(strides)
    sizes = [(n - 1) * s + 1 for n, s in zip(x.shape[1:-1], strides, strict=True)]
    spread = np.zeros((len(x), *sizes, x.shape[-1]), x.dtype)
    spread[(slice(None), *(slice(None, None, s) for s in strides))] = x
    flipped = np.flip(np.swapaxes(kernel, -1, -2), tuple(range(rank)))
    kept = [
        slice(max(-low, 0), n - max(-high, 0)) for (low, high), n in zip(pads, sizes, strict=True)
    ]
    pads = tuple((max(low, 0), max(high, 0)) for low, high in pads)
    return correlated(spread[(slice(None), *kept)], flipped, (1,) * rank, pads, dilation, 1)


def pooled(reduce: Callable[..., Any], fill: float) -> Callable[..., Any]:
    def pool(x: Any, window: Any, strides: Any, pads: Any) -> Any:
        seen = windows(x, window, strides, pads, (1,) * len(window), fill)
        return reduce(seen, axis=tuple(range(-len(window), 0)))

    return pool


def window_rows() -> Iterator[Row]:
    cases: list[tuple[Any, ...]] = [
        (draw(2, 9, 3), draw(3, 3, 4), (2,), ((2, 0),), (1,), 1),
        (draw(2, 9, 8, 3), draw(3, 2, 3, 4), (2, 1), ((1, 2), (0, 1)), (1, 1), 1),
        (draw(2, 9, 8, 3), draw(3, 2, 3, 4), (1, 1), ((0, 0), (3, 0)), (2, 3), 1),
        (draw(2, 9, 8, 6), draw(3, 2, 2, 9), (2, 3), ((1, 1), (1, 0)), (1, 2), 3),
        (draw(2, 5, 5, 4), draw(3, 3, 1, 8), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
        (draw(2, 5, 5, 4), draw(1, 1, 4, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
        (draw(2, 5, 5, 4), draw(1, 1, 4, 3), (3, 2), ((0, 0), (0, 0)), (1, 1), 1),
        (
            draw(1, 5, 6, 4, 2),
            draw(2, 3, 2, 2, 3),
            (1, 2, 2),
            ((0, 1), (1, 1), (0, 0)),
            (2, 1, 1),
            1,
        ),
        (draw(0, 5, 2), draw(3, 2, 3), (1,), ((1, 1),), (1,), 1),
    ]
    for case in cases:
        yield Row("conv", case, correlated, tolerance=3e-5)
    for dtype, tolerance in (("float16", 2e-2), ("bfloat16", 2e-1)):
        x, kernel = (part.astype(dtype) for part in cases[1][:2])
        yield Row("conv", (x, kernel, *cases[1][2:]), correlated, tolerance=tolerance)
    opposite: list[tuple[Any, ...]] = [
        (draw(2, 5, 3), draw(3, 4, 3), (2,), ((2, 2),), (1,)),
        (draw(2, 5, 4, 3), draw(3, 2, 4, 3), (2, 3), ((2, 1), (1, 0)), (1, 1)),
        (draw(2, 5, 4, 3), draw(2, 3, 4, 3), (1, 2), ((1, 0), (2, 3)), (2, 1)),
        (draw(2, 5, 4, 3), draw(1, 1, 4, 3), (3, 3), ((0, 2), (0, 2)), (1, 1)),
        (draw(2, 5, 4, 3), draw(3, 3, 4, 3), (2, 2), ((-1, 3), (1, -2)), (1, 1)),
        (draw(1, 3, 2, 4, 2), draw(2, 2, 3, 3, 2), (2, 1, 2), ((1, 1), (1, 1), (2, 2)), (1, 1, 1)),
    ]
    for case in opposite:
        yield Row("conv_transpose", case, transposed, tolerance=3e-5)
    pools: list[tuple[Any, ...]] = [
        (draw(2, 9, 3), (2,), (2,), ((0, 0),)),
        (draw(2, 9, 8, 3), (3, 2), (2, 1), ((1, 1), (0, 1))),
        (draw(2, 9, 8, 3), (2, 2), (3, 3), ((0, 0), (0, 0))),
        (draw(2, 9, 8, 3), (5, 6), (1, 2), ((2, 2), (2, 3))),
        (draw(1, 4, 5, 6, 2), (2, 2, 3), (2, 1, 3), ((0, 1), (1, 0), (0, 0))),
    ]
    lowest = -np.inf
    mean = pooled(lambda seen, axis: np.nanmean(seen, axis), np.nan)
    for case in pools:
        yield Row("max_pool", case, pooled(np.max, lowest))
        yield Row("average_pool", case, mean)
        for dtype, tolerance in (("float16", 4e-3), ("bfloat16", 4e-2)):
            x = case[0].astype(dtype)
            yield Row("max_pool", (x, *case[1:]), pooled(np.max, lowest), tolerance=tolerance)
            yield Row("average_pool", (x, *case[1:]), mean, tolerance=tolerance)
    image = draw(2, 9, 8, 3, dtype="int32", low=-90, high=90)
    yield Row("max_pool", (image, *pools[1][1:]), pooled(np.max, np.iinfo("int32").min))
    image = draw(2, 9, 8, 3, dtype="uint8", low=0, high=90)
    yield Row("max_pool", (image, *pools[3][1:]), pooled(np.max, 0))


def linalg_rows() -> Iterator[Row]:
    square = draw(2, 4, 4)
    symmetric = square @ np.swapaxes(square, 1, 2) + 4 * np.eye(4, dtype="f")
    right = draw(2, 4, 3)

    def triangular(a: Any, b: Any, lower: bool) -> Any:
        return np.stack(
            [linalg.solve_triangular(*pair, lower=lower) for pair in zip(a, b, strict=True)]
        )

    def factored(x: Any) -> Any:
        pairs = [linalg.lu_factor(part) for part in x.reshape(-1, *x.shape[-2:])]
        lu, pivots = (np.stack(parts) for parts in zip(*pairs, strict=True))
        return lu.reshape(x.shape), pivots.reshape(*x.shape[:-2], -1)

    yield Row("cholesky", (symmetric,), np.linalg.cholesky, tolerance=1e-4)
    yield Row("solve", (symmetric, right), np.linalg.solve, tolerance=1e-4)
    for lower in (True, False):
        a = square + 9 * np.eye(4, dtype="f")
        yield Row("solve_triangular", (a, right, lower), triangular, tolerance=1e-4)
    for x in (square, draw(5, 3), draw(2, 3, 5)):
        yield Row("lu_factor", (x,), factored, f"{x.dtype.name} int32", 1e-4)
    for length in (7, 8):
        signal = draw(3, length)
        yield Row("fft", (signal.astype("complex64"),), np.fft.fft, tolerance=2e-5)
        yield Row("ifft", (signal.astype("complex64"),), np.fft.ifft, tolerance=2e-5)
        yield Row("rfft", (signal,), np.fft.rfft, "complex64", 2e-5)
        half = np.fft.rfft(signal).astype("complex64")
        yield Row("irfft", (half, length), np.fft.irfft, "float32", 2e-5)


FAMILIES = [
    unary_rows,
    binary_rows,
    reduction_rows,
    movement_rows,
    order_rows,
    contraction_rows,
    window_rows,
    linalg_rows,
]
ROWS: dict[str, list[Row]] = {}
for row in itertools.chain.from_iterable(family() for family in FAMILIES):
    ROWS.setdefault(row.name, []).append(row)
