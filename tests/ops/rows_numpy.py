"""Rows of the op table for `cornu.ops.numpy`."""

from __future__ import annotations

import numpy as np
from rows import A, Row

FLOATS = ("float16", "bfloat16")
NUMBERS = ("int8", "uint8", "int32", "uint32", *FLOATS)
ALL = ("bool", *NUMBERS)
INTEGERS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32")

POSITIVE = A(2, 3, low=0.2, high=3)
MATRIX = A(2, 3)
NAN = float("nan")
INF = float("inf")


def _unary() -> list[Row]:
    domains = {
        "exp exp2 expm1 sin cos tanh sinh cosh arctan arcsinh square": A(2, 3),
        "log log1p log2 log10 sqrt reciprocal cbrt i0 sinc": POSITIVE,
        "arcsin arccos arctanh tan": A(2, 3, low=-0.9, high=0.9),
        "arccosh": A(2, 3, low=1.2, high=3),
        "deg2rad rad2deg": A(2, 3),
    }
    rows = [Row(name, (x,), dtypes=ALL) for names, x in domains.items() for name in names.split()]
    edges = A.of([0.0, -0.0, 1.0, -2.5, 2.5, NAN, INF, -INF])
    for name in "isnan isinf isfinite isposinf isneginf isreal signbit".split():
        rows += [Row(name, (edges,)), Row(name, (MATRIX,), dtypes=ALL)]
    rows += [
        Row(name, (edges,), gradient=False) for name in ("nan_to_num", "sign", "cbrt", "angle")
    ]
    rows += [
        Row(name, (A(2, 3),), dtypes=ALL, gradient=False) for name in "ceil floor trunc".split()
    ]
    rows += [Row(name, (A(2, 3),), dtypes=NUMBERS) for name in ("negative", "abs", "absolute")]
    rows += [
        Row(name, (A(2, 3),), dtypes=ALL) for name in ("fabs", "angle", "real", "imag", "conj")
    ]
    rows += [Row("sign", (A(2, 3),), dtypes=NUMBERS, gradient=False)]
    return rows


def _binary() -> list[Row]:
    rows = []
    for name in "add multiply maximum minimum fmax fmin".split():
        rows += [Row(name, (A(2, 3), A(3)), dtypes=ALL)]
    rows += [Row("subtract", (A(2, 3), A(3)), dtypes=NUMBERS)]
    for name in "divide true_divide divide_no_nan arctan2 hypot logaddexp logaddexp2".split():
        rows += [Row(name, (A(2, 3), POSITIVE), dtypes=ALL)]
    for name in "floor_divide mod fmod".split():
        rows += [
            Row(name, (A(2, 3, low=-9, high=9), A(3, low=1, high=4)), dtypes=ALL, gradient=False),
            Row(name, (A(4, dtype="int32", low=-9, high=9), 4)),
        ]
    rows += [
        Row("power", (POSITIVE, A(3)), dtypes=FLOATS),
        Row("power", (A(3, dtype="int32"), 2)),
        Row("power", (A(3), 2)),
        Row("divide_no_nan", (A(3), A.of([0.0, 1.0, 0.0])), gradient=False),
        Row("heaviside", (A.of([-1.0, 0.0, 2.0, NAN]), 0.5), gradient=False),
        Row("heaviside", (A(3), 0.5), dtypes=ALL, gradient=False),
        Row("hypot", (A.of([0.0, 3e30]), A.of([0.0, 4e30])), gradient=False),
        Row("logaddexp", (A.of([-INF, INF, 0.0]), A.of([-INF, 1.0, -INF])), gradient=False),
        Row("fmax", (A.of([NAN, 1.0, NAN]), A.of([1.0, NAN, NAN])), gradient=False),
        Row("fmin", (A.of([NAN, 1.0, NAN]), A.of([1.0, NAN, NAN])), gradient=False),
        Row("maximum", (A.of([NAN, 1.0]), 0.5), gradient=False),
        Row("ldexp", (A(2, 3), A(3, dtype="int32", low=-3, high=4)), dtypes=FLOATS),
        Row("nextafter", (A(2, 3), A(3)), tolerance=0, gradient=False),
        Row("gcd", (A(6, dtype="int32", low=-30, high=30), 12)),
        Row("lcm", (A(6, dtype="int32", low=-30, high=30), A(6, dtype="int32", low=0, high=9))),
        Row("gcd", (A(2, 1, dtype="uint8", low=0, high=30), A(3, dtype="int8", low=0, high=9))),
        Row("add", (A(2, 3), 1.5), dtypes=ALL),
        Row("add", (2, A(2, 3)), dtypes=ALL),
        Row("add", (A(2, 3), A(3, dtype="int32")), dtypes=ALL),
        Row("multiply", (A(2, 3), A(3, dtype="bool")), dtypes=ALL),
        Row(
            "multiply",
            (A(2, 3), A(3, dtype="bfloat16")),
            dtypes=ALL,
            tolerance=1e-2,
            gradient=False,
        ),
        Row("isclose", (A.of([1.0, 2.0, NAN, INF]), A.of([1.0, 2.1, NAN, INF]))),
        Row("isclose", (A.of([1.0, NAN]), A.of([1.0, NAN])), {"equal_nan": True, "rtol": 0.1}),
        Row("isclose", (A(3), A(3)), dtypes=ALL),
        Row("allclose", (A(3), A(3)), dtypes=ALL),
        Row("clip", (A(2, 3), -0.5, 1.0), dtypes=ALL),
        Row("clip", (A(2, 3), 0, 1), dtypes=ALL),
        Row("clip", (A(2, 3), None, 0.5)),
        Row("round", (A(2, 3),), dtypes=NUMBERS, gradient=False),
        Row("round", (A(2, 3), 2), gradient=False),
        Row("round", (A(5, dtype="int32", low=-90, high=90), -1), gradient=False),
        Row("nan_to_num", (A.of([NAN, INF, -INF]), 1.0, 2.0, 3.0), gradient=False),
        Row("nan_to_num", (MATRIX,), dtypes=ALL),
    ]
    for name in "equal not_equal greater greater_equal less less_equal".split():
        rows += [
            Row(name, (A(2, 3), A.of([0.5, NAN, 1.0]))),
            Row(name, (A(2, 3), A(3)), dtypes=NUMBERS),
        ]
    for name in "logical_and logical_or logical_xor".split():
        rows += [
            Row(name, (A(2, 3, dtype="bool"), A(3, dtype="bool"))),
            Row(name, (A(2, 3), A(3)), dtypes=ALL),
        ]
    rows += [Row("logical_not", (A(2, 3),), dtypes=ALL)]
    for name in "bitwise_and bitwise_or bitwise_xor".split():
        rows += [
            Row(name, (A(2, 3, dtype=d, low=0, high=9), A(3, dtype=e, low=0, high=9)))
            for d, e in (("int32", "int32"), ("uint8", "int8"), ("bool", "bool"))
        ]
    for name in "bitwise_left_shift bitwise_right_shift left_shift right_shift".split():
        rows += [
            Row(name, (A(3, dtype=d, low=0, high=9), A(3, dtype=d, low=0, high=3)))
            for d in ("int32", "uint8")
        ]
    for name in "bitwise_not bitwise_invert".split():
        rows += [Row(name, (A(3, dtype=d),)) for d in ("int32", "uint8", "bool")]
    z = A(3, dtype="complex64")
    rows += [
        Row(name, (z,)) for name in "real imag conj conjugate angle abs exp isreal square".split()
    ]
    rows += [Row("multiply", (z, z)), Row("isfinite", (z,))]
    return rows


def _reductions() -> list[Row]:
    rows = []
    x = A(2, 3, 4)
    for name in "sum mean prod var std".split():
        rows += [
            Row(name, (x,), dtypes=ALL),
            Row(name, (x,), {"axis": (0, -1), "keepdims": True}),
            Row(name, (x, 1)),
        ]
    for name in "max min amax amin".split():
        rows += [Row(name, (x,), dtypes=ALL), Row(name, (x, (0, 2)), {"keepdims": True})]
    for name in "max min".split():
        rows += [Row(name, (x, 1), {"initial": 0.5}), Row(name, (A(0, 3), 0), {"initial": 2.0})]
    for name in "all any".split():
        rows += [
            Row(name, (A(2, 3, dtype="bool"), 1)),
            Row(name, (x,), {"keepdims": True}, dtypes=ALL),
        ]
    for name in "argmax argmin".split():
        rows += [
            Row(name, (x,), dtypes=ALL),
            Row(name, (x, -2), {"keepdims": True}),
            Row(name, (x,), {"keepdims": True}),
            Row(name, (A.of([[1.0, 3.0, 3.0], [NAN, 1, 2]]), 1)),
        ]
    rows += [
        Row("count_nonzero", (A(2, 3, dtype="int32"), 1)),
        Row("count_nonzero", (x,), dtypes=ALL),
        Row("ptp", (x, 1), dtypes=NUMBERS),
        Row("average", (x, 1), dtypes=ALL),
        Row("average", (x, 1), {"weights": A(3, low=0.5)}),
        Row("average", (A(2, 3),), {"weights": A(2, 3, low=0.5)}),
        Row("prod", (x, 0), {"dtype": "float32"}, dtypes=("int32", "bool")),
        Row("cumsum", (x, 1), dtypes=ALL),
        Row("cumsum", (x,), {"dtype": "float32"}, dtypes=("int32",)),
        Row("cumprod", (x, -1), dtypes=ALL),
        Row("cumprod", (A(2, 3),)),
        Row("trace", (x,), dtypes=ALL),
        Row("trace", (x, 1, 2, 0)),
    ]
    holes = A.of([[1.0, NAN, 3.0, -2.0], [NAN, NAN, 2.5, 0.5]])
    blank = A.of([[NAN, NAN], [1.0, NAN]])
    for name in "nansum nanprod nanmean nanvar nanstd nanmax nanmin".split():
        rows += [
            Row(name, (holes, 1), gradient=False),
            Row(name, (blank, 1), {"keepdims": True}, gradient=False),
            Row(name, (x, (0, 2)), dtypes=ALL),
        ]
    for name in "nanargmax nanargmin".split():
        rows += [
            Row(name, (holes, 1)),
            Row(name, (blank, 1), {"keepdims": True}),
            Row(name, (x,), dtypes=ALL),
        ]
    for name in "nancumsum nancumprod".split():
        rows += [Row(name, (holes, 1), gradient=False), Row(name, (x,), dtypes=ALL)]
    return rows


def _statistics() -> list[Row]:
    x = A(3, 4)
    holes = A.of([[1.0, NAN, 3.0, -2.0], [NAN, NAN, NAN, NAN]])
    rows = [
        Row("median", (x,), dtypes=ALL),
        Row("median", (A(2, 3, 4), (0, 2)), {"keepdims": True}),
        Row("nanmedian", (holes, 1), gradient=False),
        Row("nanmedian", (x,), dtypes=ALL),
        Row("median", (holes, 1), gradient=False),
    ]
    for method in "linear lower higher midpoint nearest".split():
        rows += [
            Row("quantile", (x, 0.3, 1), {"method": method}),
            Row("nanquantile", (holes, [0.3, 0.8], 1), {"method": method}, gradient=False),
        ]
    rows += [
        Row("quantile", (x, [0.1, 0.5], 0), {"keepdims": True}, dtypes=ALL, gradient=False),
        Row("quantile", (x, 0.5, (0, 1))),
        Row(
            "quantile",
            (A.of([-INF, 1.0, INF]), [0.0, 0.5, 1.0]),
            reference=lambda x, q: np.asarray(x),
            gradient=False,
        ),
        Row("percentile", (x, [10.0, 50.0], 1), dtypes=ALL, gradient=False),
        Row("nanpercentile", (holes, 40, 1), gradient=False),
        Row("histogram", (A(20),), dtypes=("int32", "float16"), gradient=False),
        Row("histogram", (A(20), 4), {"range": (-1.0, 1.0)}, gradient=False),
        Row("histogram", (A.of([2.0, 2.0]), 3), gradient=False),
        Row("digitize", (A(5), [-1.0, 0.0, 1.0]), dtypes=("int32",)),
        Row("digitize", (A(2, 3), A.of([1.0, 0.0, -1.0]))),
        Row("corrcoef", (A(3, 5),), tolerance=1e-4),
        Row("corrcoef", (A(5),), gradient=False),
    ]
    labels = A(6, dtype="int32", low=0, high=5)
    rows += [
        Row(
            "bincount",
            (labels,),
            excluded={
                "compiled": "the shape depends on values",
                "static": "the shape depends on values",
            },
        ),
        Row(
            "bincount",
            (labels,),
            {"minlength": 9},
            excluded={
                "compiled": "the shape depends on values",
                "static": "the shape depends on values",
            },
        ),
    ]
    return rows


def _shapes() -> list[Row]:
    x = A(2, 3, 4)
    rows = [
        Row("reshape", (x, (4, -1)), dtypes=ALL),
        Row("reshape", (x, -1)),
        Row("ravel", (x,), dtypes=ALL),
        Row("transpose", (x,), dtypes=ALL),
        Row("transpose", (x, (1, -1, 0))),
        Row("swapaxes", (x, 0, -1)),
        Row("moveaxis", (x, 0, -1)),
        Row("moveaxis", (x, (0, 1), (2, 0))),
        Row("expand_dims", (x, 1), dtypes=ALL),
        Row("expand_dims", (x, (0, -1))),
        Row("squeeze", (A(1, 3, 1),), excluded={"unknown": "axes of size 1 can't be told"}),
        Row("squeeze", (A(1, 3, 1), 0), dtypes=ALL),
        Row("squeeze", (A(1, 3, 1), (0, -1))),
        Row("broadcast_to", (A(3, 1), (2, 3, 4)), dtypes=ALL),
        Row("flip", (x,), dtypes=ALL),
        Row("flip", (x, (0, -1))),
        Row("fliplr", (x,)),
        Row("flipud", (x,)),
        *[Row("rot90", (x, k), {"axes": (0, 2)}) for k in (-1, 0, 1, 2, 3)],
        Row("rot90", (A(2, 3),)),
        Row("roll", (x, 2)),
        Row("roll", (x, -1, 1), dtypes=ALL),
        Row("roll", (x, (1, 5), (0, 2))),
        Row("repeat", (x, 2), dtypes=ALL),
        Row("repeat", (x, 3, 1)),
        Row("repeat", (x, np.array([1, 0, 2]), 1), excluded={"symbolic": "arrays don't compare"}),
        Row("tile", (x, 2), dtypes=ALL),
        Row("tile", (A(2, 3), (2, 1, 3))),
        Row("pad", (x, 1), dtypes=ALL),
        Row("pad", (A(2, 3), ((1, 2), (0, 3))), {"constant_values": 1.5}),
        Row("pad", (A(5), (2, 1))),
        Row("pad", (A(2, 3), ((1, 0), (2, 1))), {"mode": "reflect"}, dtypes=ALL),
        Row("pad", (A(3), ((7, 8),)), {"mode": "reflect"}),
        Row("pad", (A(2, 3), ((1, 0), (2, 1))), {"mode": "symmetric"}),
        Row("pad", (A(2, 3), ((1, 0), (2, 1))), {"mode": "edge"}),
        Row("pad", (A(2, 3), ((1, 0), (2, 1))), {"mode": "wrap"}),
        Row("view", (A(2, 4, dtype="int32"), "float32"), reference=lambda x, d: x.view(d)),
        Row("view", (A(2, 4, dtype="int32"), "uint8"), reference=lambda x, d: x.view(d)),
        Row("view", (A(2, 4, dtype="uint8"), "int16"), reference=lambda x, d: x.view(d)),
        Row("copy", (x,), dtypes=ALL),
        Row("concatenate", ([A(2, 3), A(2, 1)],), {"axis": -1}, dtypes=ALL),
        Row("concatenate", ([A(2, 3), A(2, 3, dtype="int32")],), {"axis": None}),
        Row("stack", ([A(2, 3), A(2, 3)],), dtypes=ALL),
        Row("stack", ([A(2, 3), A(2, 3)], -1)),
        Row("append", (A(2, 3), A(2, 3), 1), dtypes=ALL),
        Row("append", (A(2, 3), A(2))),
        Row("ndim", (x,), excluded={"dtypes": "a Python integer"}),
        Row("size", (x,), excluded={"dtypes": "a Python integer"}),
        Row("array", (A(2, 3),), dtypes=ALL),
        Row("array", (A(2, 3), "int32"), gradient=False),
    ]
    for name, shapes in {
        "hstack": ((2, 3), (3,), ()),
        "vstack": ((2, 3), (3,), ()),
        "dstack": ((2, 3, 1), (2, 3), (3,), ()),
    }.items():
        rows += [Row(name, ([A(*shape), A(*shape)],), dtypes=("int32",)) for shape in shapes]
    rows += [
        Row("split", (A(4, 6), 2)),
        Row("split", (A(4, 6), [1, 4], 1), dtypes=ALL),
        Row("array_split", (A(5, 2), 3), dtypes=ALL),
        Row("array_split", (A(2, 6), 4, 1)),
        Row("hsplit", (A(4, 6), 3)),
        Row("hsplit", (A(6), 3)),
        Row("vsplit", (A(4, 6), [1, 2])),
        Row("dsplit", (A(1, 2, 4), 2)),
    ]
    return rows


def _indexing() -> list[Row]:
    x, indices = A(3, 4), A.of([[0, 2, -1]], "int32")
    dynamic = {
        "compiled": "the shape depends on values",
        "static": "the shape depends on values",
    }
    rows = [
        Row("take", (x, indices), dtypes=ALL),
        Row("take", (x, indices, 0)),
        Row("take", (x, -1, 1)),
        Row("take", (A(200), np.array([-1, 3], "int8")), reference=np.take),
        Row("take", (x, [0, 1], -1)),
        Row("take_along_axis", (x, A(3, 2, dtype="int32"), 1), dtypes=ALL),
        Row("take_along_axis", (x, A(1, 4, dtype="int32", low=-3, high=3), 0)),
        Row("take_along_axis", (x, A(5, dtype="int32", low=0, high=9))),
        Row("where", (A(2, 3, dtype="bool"), A(2, 3), A(3)), dtypes=ALL),
        Row("where", (A(3, 1, dtype="bool"), A(3, 4), A(3, 4))),
        Row("where", (A(2, 3), 1, A(3)), dtypes=ALL, gradient=False),
        Row("where", (A(2, 3, dtype="int32"), 1, 2.5)),
        Row("where", (A(2, 3, dtype="bool"),), excluded=dynamic),
        Row("nonzero", (A(2, 3, dtype="int32"),), excluded=dynamic),
        Row("select", ([A(3, dtype="bool"), A(3, dtype="bool")], [A(3), A(3)], 5), dtypes=ALL),
        Row("unravel_index", (A.of([0, 5, -1, 11], "int32"), (3, 4))),
        Row("tril", (A(2, 3, 4),), dtypes=ALL),
        Row("triu", (A(3, 4), 1), dtypes=ALL),
        Row("tril", (A(3, 4), -1)),
        Row("diag", (A(3),), dtypes=ALL),
        *[Row("diag", (A(3), k)) for k in (-2, 1)],
        *[Row("diag", (x, k)) for k in (-3, -1, 0, 1, 3, 4)],
        Row("diagflat", (A(2, 2), -1)),
        *[Row("diagonal", (A(5, 3), k)) for k in (-4, -2, 0, 2)],
        Row("diagonal", (A(2, 3, 4), 1, 2, 0), dtypes=ALL),
        Row("sort", (x,), dtypes=ALL),
        Row("sort", (x, 0)),
        Row("sort", (x, None)),
        Row("sort", (A.of([2.0, NAN, -INF, 1.0]),), gradient=False),
        Row("argsort", (x,), dtypes=ALL),
        Row("argsort", (A.of([[2, 1, 2, 1]], "int32"), 1)),
        Row("argsort", (x, None)),
        Row("argpartition", (A(7), 3), reference=lambda x, k: np.argsort(x)),
        Row("searchsorted", (A.of([-1.0, 0.0, 0.0, 1.0]), A(2, 3)), dtypes=("int32", "float16")),
        Row("searchsorted", (A.of([-1.0, 0.0, 0.0, 1.0]), 0), {"side": "right"}),
        Row("isin", (A(2, 3, dtype="int32"), [0, 1])),
        Row("isin", (A(4, dtype="int32"), A(3, dtype="int32")), {"invert": True}),
    ]
    ties = A.of([3, 1, 2, 3, 1], "int32")
    slices = A.of([[3, 1], [2, 5], [3, 1], [2, 4]], "int32")
    extras = {"return_index": True, "return_inverse": True, "return_counts": True}
    rows += [
        Row("unique", (ties,), excluded=dynamic),
        Row("unique", (slices,), extras, excluded=dynamic),
        Row("unique", (slices,), {**extras, "axis": 0}, excluded=dynamic),
        Row("unique", (slices,), {**extras, "axis": 1}, excluded=dynamic),
        Row("unique", (ties,), {**extras, "size": 5}),
        Row("unique", (ties,), {**extras, "size": 2}),
        Row("unique", (ties,), {**extras, "size": 4, "fill_value": 9}),
        Row("unique", (slices,), {"axis": 0, "size": 5, "fill_value": 7}, excluded=dynamic),
    ]
    for key in (
        0,
        -1,
        slice(1, None),
        slice(None, None, -2),
        (slice(None), 1),
        (Ellipsis, None, 2),
        (None, slice(0, 2)),
        ([0, 2],),
        (np.array([0, 2]), np.array([1, 3])),
        (slice(None), np.array([[0, 3]])),
    ):
        rows.append(Row("get_item", (x, key), excluded={"symbolic": "arrays don't compare"}))
    mask = np.array([True, False, True])
    rows.append(
        Row("get_item", (x, mask), excluded={**dynamic, "unknown": "as static"}, gradient=False)
    )
    return rows


def _creation() -> list[Row]:
    x = A(2, 3)
    rows = [
        Row("arange", (3,)),
        Row("arange", (1, 2.5, 0.5)),
        Row("arange", (5, 0, -2)),
        Row("arange", (3,), {"dtype": "float16"}),
        Row("full", ((2, 3), 4)),
        Row("full", ((2, 3), A(3))),
        Row("full", ((2,), 1.5), {"dtype": "int32"}),
        Row("zeros", ((2, 3),)),
        Row("ones", (2,), {"dtype": "int32"}),
        Row("empty", ((2, 3),), excluded={"value": "anything"}),
        Row("full_like", (x, 2), dtypes=ALL, gradient=False),
        Row("full_like", (x, A(3, dtype="int32")), gradient=False),
        *[Row(f"{name}_like", (x,), dtypes=ALL, gradient=False) for name in ("zeros", "ones")],
        Row("zeros_like", (x, "int32"), gradient=False),
        Row("empty_like", (x,), excluded={"value": "anything"}, gradient=False),
        Row("eye", (3,)),
        Row("eye", (2, 4), {"k": 1, "dtype": "int32"}),
        Row("identity", (3,)),
        Row("tri", (3, 4, -1)),
        Row("tri", (3,), {"dtype": "bool"}),
        Row("linspace", (0, 1, 5)),
        Row("linspace", (A(2), A(2), 4), {"axis": -1, "endpoint": False}, dtypes=ALL),
        Row("linspace", (A(2), 3.0, 3), {"retstep": True}),
        Row("linspace", (0, 10, 4), {"dtype": "int32"}),
        Row("linspace", (0, 10, 0)),
        Row("logspace", (A(2), 2, 4), tolerance=1e-4, dtypes=ALL, gradient=False),
        Row("logspace", (0, 2, 3), {"base": 2, "dtype": "int32"}),
        Row("geomspace", (A(2, low=1), 20.0, 4), tolerance=1e-4, dtypes=FLOATS, gradient=False),
        Row("geomspace", (-1.0, A(2, low=-9, high=-2), 4), {"endpoint": False, "axis": 1}),
        Row("meshgrid", (A(2), A(3), A(4)), dtypes=ALL),
        Row("meshgrid", (A(2), A(3, dtype="int32")), {"indexing": "ij"}),
        Row("meshgrid", (A(2),)),
    ]
    for name in ("bartlett", "blackman", "hamming", "hanning"):
        rows += [Row(name, (size,)) for size in (0, 1, 5, 6)]
    return [*rows, Row("kaiser", (5, 2.0))]


def _products() -> list[Row]:
    a, b = A(3, 4), A(4, 2)
    shapes = [
        ((4,), (4,)),
        ((3, 4), (4,)),
        ((4,), (4, 2)),
        ((5, 3, 4), (4, 2)),
        ((5, 1, 3, 4), (2, 4, 6)),
    ]
    integers = ("int8", "uint8", "int32", *FLOATS)
    rows = [Row("matmul", (A(*s), A(*t))) for s, t in shapes]
    rows += [
        Row("dot", (A(*s), A(*t))) for s, t in [*shapes[:-1], ((), (3,)), ((2, 3, 4), (5, 4, 2))]
    ]
    rows += [
        Row("matmul", (a, b), dtypes=("bool", *integers)),
        Row("dot", (a, b), dtypes=integers),
        Row("inner", (a, A(2, 4)), dtypes=integers),
        Row("inner", (A(), A(2, 4))),
        Row("vdot", (a, A(4, 3)), dtypes=integers),
        Row("vdot", (A(3, dtype="complex64"), A(3, dtype="complex64"))),
        Row("outer", (a, A(2)), dtypes=integers),
        Row("tensordot", (a, b, 1), dtypes=integers),
        Row("tensordot", (A(2, 3, 4), A(3, 4, 5))),
        Row("tensordot", (A(2, 3, 4), A(4, 2, 5)), {"axes": [[0, 2], [1, 0]]}),
        Row("tensordot", (A(2), A(3), 0)),
        Row("kron", (A(2, 3), A(2)), dtypes=integers),
        Row("kron", (A(2), A(2, 3))),
        Row("einsum", ("ij,jk->ik", a, b), dtypes=integers),
        Row("einsum", ("ij,jk", a, b)),
        Row("einsum", ("...ij,...j->...i", A(2, 3, 4), A(4))),
        Row("einsum", ("bij,bjk,k->bi", A(2, 3, 4), A(2, 4, 5), A(5))),
        Row("einsum", ("ii->i", A(3, 3))),
        Row("einsum", ("ij->", a)),
        Row("einsum", ("b...a,ab->b...", A(2, 3, 4), A(4, 2))),
        Row("cross", (A(2, 3), A(2, 3)), dtypes=integers, excluded={"unknown": "of two or three"}),
        Row("cross", (A(2, 3), A(3))),
        Row("cross", (A(2, 2), A(2, 3)), excluded={"unknown": "of two or three"}),
        Row("cross", (A(2, 2), A(2, 2)), excluded={"unknown": "of two or three"}),
        Row("cross", (A(3, 2), A(3, 2)), {"axis": 0}),
        Row("cross", (A(3, 2), A(2, 3)), {"axisa": 0, "axisc": 0}),
        Row("slogdet", (A(3, 3),), tolerance=1e-4),
        Row("slogdet", (A(2, 4, 4),), tolerance=1e-4),
        Row("vander", (A(3),), dtypes=FLOATS),
        Row("vander", (A(3, dtype="int32"), 2), {"increasing": True}),
        Row("diff", (a,), dtypes=ALL),
        Row("diff", (a, 2, 0)),
        Row("trapezoid", (a,), dtypes=ALL),
        Row("trapezoid", (a,), {"dx": 0.5, "axis": 0}),
        Row("trapezoid", (a, [0.0, 1.0, 3.0, 4.0])),
        Row("correlate", (A(5), A(3)), dtypes=integers),
    ]
    for mode in ("valid", "same", "full"):
        rows += [Row("correlate", (A(n), A(m), mode)) for n, m in ((5, 2), (5, 3), (2, 5), (3, 3))]
    z = A(4, dtype="complex64")
    return [*rows, Row("correlate", (z, A(2, dtype="complex64"), "full"))]


ROWS = [
    Row("matmul", (A(2, 3, 0), A(0, 4)), gradient=False),
    Row("matmul", (A(3, 3, 1, dtype="bool"), A(1, 3, dtype="bool"))),
    Row("less", (A(3, dtype="bool"), A(3, dtype="bool"))),
    Row("tile", (A(2, 3, 2), (2, 1, 2))),
    *_unary(),
    *_binary(),
    *_reductions(),
    *_statistics(),
    *_shapes(),
    *_indexing(),
    *_creation(),
    *_products(),
]
