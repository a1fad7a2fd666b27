"""Rows of the op table for `cornu.ops.numpy`."""

from __future__ import annotations

import numpy as np

from rows import A, Row

FLOATS = ("float16", "bfloat16")
NUMBERS = ("int8", "uint8", "int32", "uint32", *FLOATS)
ALL = ("bool", *NUMBERS)
INTEGERS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32")

NO_KINK = {"gradient": "piecewise constant"}
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
    rows = [
        Row(name, (x,), dtypes=ALL) for names, x in domains.items() for name in names.split()
    ]
    edges = A.of([0.0, -0.0, 1.0, -2.5, 2.5, NAN, INF, -INF])
    for name in "isnan isinf isfinite isposinf isneginf isreal signbit".split():
        rows += [Row(name, (edges,)), Row(name, (MATRIX,), dtypes=ALL)]
    rows += [Row(name, (edges,), gradient=False) for name in ("nan_to_num", "sign", "cbrt", "angle")]
    rows += [Row(name, (A(2, 3),), dtypes=ALL, gradient=False) for name in "ceil floor trunc".split()]
    rows += [Row(name, (A(2, 3),), dtypes=NUMBERS) for name in ("negative", "abs", "absolute")]
    rows += [Row(name, (A(2, 3),), dtypes=ALL) for name in ("fabs", "angle", "real", "imag", "conj")]
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
        Row("heaviside", (A.of([-1.0, 0.0, 2.0, NAN]), 0.5), dtypes=ALL, gradient=False),
        Row("hypot", (A.of([0.0, 3e30]), A.of([0.0, 4e30])), gradient=False),
        Row("logaddexp", (A.of([-INF, INF, 0.0]), A.of([-INF, 1.0, -INF])), gradient=False),
        Row("fmax", (A.of([NAN, 1.0, NAN]), A.of([1.0, NAN, NAN])), gradient=False),
        Row("fmin", (A.of([NAN, 1.0, NAN]), A.of([1.0, NAN, NAN])), gradient=False),
        Row("maximum", (A.of([NAN, 1.0]), 0.5), gradient=False),
        Row("ldexp", (A(2, 3), A(3, dtype="int32", low=-3, high=4)), dtypes=FLOATS),
        Row("nextafter", (A(2, 3), A(3)), tolerance=0, gradient=False),
        Row("gcd", (A(6, dtype="int32", low=-30, high=30), 12)),
        Row("lcm", (A(6, dtype="int32", low=-30, high=30), A(6, dtype="int32", low=0, high=9))),
        Row("gcd", (A(2, 1, low=0, high=30), A(3, dtype="uint8", low=0, high=9)), dtypes=("int8",),
            excluded={"value": "of integers", "static": "of integers", "unknown": "of integers",
                      "symbolic": "of integers", "default": "of integers", "dtypes": "of integers",
                      "compiled": "of integers", "gradient": "of integers"}),
        Row("add", (A(2, 3), 1.5), dtypes=ALL),
        Row("add", (2, A(2, 3)), dtypes=ALL),
        Row("add", (A(2, 3), A(3, dtype="int32")), dtypes=ALL),
        Row("multiply", (A(2, 3), A(3, dtype="bool")), dtypes=ALL),
        Row("multiply", (A(2, 3), A(3, dtype="bfloat16")), dtypes=ALL, tolerance=1e-2, gradient=False),
        Row("isclose", (A.of([1.0, 2.0, NAN, INF]), A.of([1.0, 2.1, NAN, INF]))),
        Row("isclose", (A.of([1.0, NAN]), A.of([1.0, NAN])), {"equal_nan": True, "rtol": 0.1}),
        Row("isclose", (A(3), A(3)), dtypes=ALL),
        Row("allclose", (A(3), A(3)), dtypes=ALL),
        Row("clip", (A(2, 3), -0.5, 1.0), dtypes=ALL),
        Row("clip", (A(2, 3), -1, 1), dtypes=ALL),
        Row("clip", (A(2, 3), None, 0.5)),
        Row("round", (A(2, 3),), dtypes=NUMBERS, gradient=False),
        Row("round", (A(2, 3), 2), gradient=False),
        Row("round", (A(5, dtype="int32", low=-90, high=90), -1), gradient=False),
        Row("nan_to_num", (A.of([NAN, INF, -INF]), 1.0, 2.0, 3.0), gradient=False),
        Row("nan_to_num", (MATRIX,), dtypes=ALL),
    ]
    for name in "equal not_equal greater greater_equal less less_equal".split():
        rows += [Row(name, (A(2, 3), A.of([0.5, NAN, 1.0])), dtypes=NUMBERS)]
    for name in "logical_and logical_or logical_xor".split():
        rows += [Row(name, (A(2, 3, dtype="bool"), A(3, dtype="bool"))), Row(name, (A(2, 3), A(3)), dtypes=ALL)]
    rows += [Row("logical_not", (A(2, 3),), dtypes=ALL)]
    for name in "bitwise_and bitwise_or bitwise_xor".split():
        rows += [Row(name, (A(2, 3, dtype=d, low=0, high=9), A(3, dtype=e, low=0, high=9)))
                 for d, e in (("int32", "int32"), ("uint8", "int8"), ("bool", "bool"))]
    for name in "bitwise_left_shift bitwise_right_shift left_shift right_shift".split():
        rows += [Row(name, (A(3, dtype=d, low=0, high=9), A(3, dtype=d, low=0, high=3)))
                 for d in ("int32", "uint8")]
    for name in "bitwise_not bitwise_invert".split():
        rows += [Row(name, (A(3, dtype=d),)) for d in ("int32", "uint8", "bool")]
    z = A(3, dtype="complex64")
    rows += [Row(name, (z,)) for name in "real imag conj conjugate angle abs exp isreal square".split()]
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
        rows += [Row(name, (A(2, 3, dtype="bool"), 1)), Row(name, (x,), {"keepdims": True}, dtypes=ALL)]
    for name in "argmax argmin".split():
        rows += [Row(name, (x,), dtypes=ALL), Row(name, (x, -2), {"keepdims": True}),
                 Row(name, (x,), {"keepdims": True}), Row(name, (A.of([[1.0, 3.0, 3.0], [NAN, 1, 2]]), 1))]
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
        rows += [Row(name, (holes, 1), gradient=False), Row(name, (blank, 1), {"keepdims": True}, gradient=False),
                 Row(name, (x, (0, 2)), dtypes=ALL)]
    for name in "nanargmax nanargmin".split():
        rows += [Row(name, (holes, 1)), Row(name, (blank, 1), {"keepdims": True}), Row(name, (x,), dtypes=ALL)]
    for name in "nancumsum nancumprod".split():
        rows += [Row(name, (holes, 1), gradient=False), Row(name, (x,), dtypes=ALL)]
    return rows


def _statistics() -> list[Row]:
    x = A(3, 4)
    holes = A.of([[1.0, NAN, 3.0, -2.0], [NAN, NAN, NAN, NAN]])
    rows = [Row("median", (x,), dtypes=ALL), Row("median", (A(2, 3, 4), (0, 2)), {"keepdims": True}),
            Row("nanmedian", (holes, 1), gradient=False), Row("nanmedian", (x,), dtypes=ALL),
            Row("median", (holes, 1), gradient=False)]
    for method in "linear lower higher midpoint nearest".split():
        rows += [Row("quantile", (x, 0.3, 1), {"method": method}),
                 Row("nanquantile", (holes, [0.3, 0.8], 1), {"method": method}, gradient=False)]
    rows += [
        Row("quantile", (x, [0.1, 0.5], 0), {"keepdims": True}, dtypes=ALL, gradient=False),
        Row("quantile", (x, 0.5, (0, 1))),
        Row("quantile", (A.of([-INF, 1.0, INF]), [0.0, 0.5, 1.0]), gradient=False),
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
    dynamic = {"compiled": "the shape depends on values", "symbolic": "nothing to compare"}
    labels = A(6, dtype="int32", low=0, high=5)
    rows += [Row("bincount", (labels,), excluded={"compiled": "the shape depends on values",
                                                  "static": "the shape depends on values"}),
             Row("bincount", (labels,), {"minlength": 9}, excluded={"compiled": "the shape depends on values",
                                                  "static": "the shape depends on values"})]
    del dynamic
    return rows


ROWS = [*_unary(), *_binary(), *_reductions(), *_statistics()]
del np
