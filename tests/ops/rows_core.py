"""Rows of the op table: `cornu.ops` on tensors as such, and `cornu.ops.math`."""

from __future__ import annotations

import numpy as np
from rows import A, Row

HALVES = ("float16", "bfloat16")
FOUR = A(4)
MATRIX = A(4, 5)
CUBE = A(2, 3, 4)
INTS = A(4, 5, dtype="int32", low=-9, high=9)
PLACES = np.array([[0, 1], [2, 0], [3, 4], [0, 1]])
APART = np.array([[0, 1], [2, 0], [3, 4], [1, 1]])
IDS = np.array([0, 2, 0, 1])
WINDOW = A.of(np.linspace(0.1, 1, 8))
TIES = A.of([[1, 1, 1], [3, 1, 1]])
LENGTH = {"unknown": "the length of a list must be known"}
VALUES_DECIDE = dict.fromkeys(
    ("dtypes", "static", "unknown", "compiled", "gradient"),
    "the number of segments depends on values",
)
NOT_IN_KERAS = {"dtypes": "Keras can't do it on JAX, or not while it is compiled"}
PRODUCTS = {"gradient": "JAX can't differentiate products of what is scattered"}


def _segments(data, ids, count, reduce, empty):
    ids = np.asarray(ids)
    found = [
        reduce(data[ids == i], axis=0) if (ids == i).any() else np.full_like(data[0], empty)
        for i in range(count)
    ]
    return np.stack(found)


def _put(x, indices, updates):
    x = x.copy()
    x[tuple(indices.T)] = updates
    return x


CONVERSION = [
    Row("convert_to_tensor", (MATRIX,), dtypes=HALVES),
    Row("convert_to_tensor", ([1.5, 2.0],)),
    Row("convert_to_tensor", ([[1, 2], [3, 4]], "float16")),
    *(Row("cast", (MATRIX, dtype), gradient=False) for dtype in ("float16", "int32", "bool")),
    Row("cast", (INTS, "float32")),
    Row("cast", (INTS, float)),
    Row("saturate_cast", (A(4, 5, low=-300, high=300), "uint8"), gradient=False),
    Row("saturate_cast", (A(4, 5, low=-300, high=300), "int8"), gradient=False),
    Row(
        "saturate_cast",
        (A(4, 5, low=-1e10, high=1e10), "int32"),
        # The largest float32 within int32.
        reference=lambda x, dtype: np.clip(x, -(2.0**31), 2.0**31 - 128).astype(dtype),
        gradient=False,
    ),
    Row("saturate_cast", (A(4, 5, low=-9e4, high=9e4), "float16"), gradient=False),
    Row("saturate_cast", (A(4, 5, dtype="int32", low=-300, high=300), "int8")),
    Row("stop_gradient", (MATRIX,), gradient=False, dtypes=HALVES),
]

BLOCKS = [
    Row("slice", (MATRIX, [1, 2], [2, 3])),
    Row("slice", (MATRIX, np.array([1, 2]), (2, 2)), dtypes=HALVES),
    Row("slice", (CUBE, [0, 1, 0], [2, -1, 3])),
    # A block that sticks out is moved into the tensor.
    Row("slice", (MATRIX, [3, 4], [2, 3])),
    Row("slice_update", (MATRIX, [1, 2], A(2, 3)), dtypes=HALVES),
    Row("slice_update", (MATRIX, np.array([3, 4]), A(2, 3))),
    Row("scatter", (PLACES, FOUR, (4, 5)), dtypes=HALVES),
    Row("scatter", (PLACES[:, :1], A(4, 3), (4, 3))),
    Row("scatter", (PLACES, A(4, dtype="int32", low=-5, high=5), (4, 5))),
    Row("scatter_update", (MATRIX, APART, FOUR), dtypes=HALVES),
    Row("scatter_update", (A(4, 3), np.array([[0], [2]]), A(2, 3))),
    Row(
        "scatter_update",
        (MATRIX, APART.reshape(2, 2, 2), A(2, 2)),
        # Keras on JAX transposes indices of more than two axes.
        reference=lambda x, indices, updates: _put(x, indices.reshape(4, 2), updates.ravel()),
        excluded=NOT_IN_KERAS,
    ),
    *(
        Row("scatter_update", (MATRIX, PLACES, FOUR), {"reduction": how})
        for how in ("add", "max", "min")
    ),
    Row("scatter_update", (MATRIX, PLACES, FOUR), {"reduction": "mul"}, excluded=PRODUCTS),
    Row("unstack", (MATRIX,), excluded=LENGTH),
    Row("unstack", (CUBE,), {"axis": -1}, excluded=LENGTH),
    Row("unstack", (CUBE,), {"num": 3, "axis": 1}),
]

REARRANGED = [
    Row("rearrange", (CUBE, "a b c -> c (a b)")),
    Row(
        "rearrange",
        (A(2, 12), "a (b c) -> b a c"),
        {"c": 4},
        reference=lambda x, _, c: x.reshape(2, 3, c).transpose(1, 0, 2),
        excluded=NOT_IN_KERAS,
    ),
    Row(
        "rearrange",
        (CUBE, "a ... -> ... a"),
        reference=lambda x, _: np.moveaxis(x, 0, -1),
        excluded=NOT_IN_KERAS,
    ),
    Row(
        "rearrange",
        (CUBE, "a ... -> a (...)"),
        reference=lambda x, _: x.reshape(2, 12),
        excluded=NOT_IN_KERAS,
    ),
    Row(
        "rearrange",
        (A(3, 1, 2), "a 1 b -> b a ()"),
        reference=lambda x, _: x.transpose(2, 0, 1),
        excluded=NOT_IN_KERAS,
    ),
]

SPECIAL = [
    Row("erf", (MATRIX,), dtypes=HALVES),
    Row("erfc", (MATRIX,), dtypes=HALVES),
    Row("erfinv", (A(4, 5, low=-0.9, high=0.9),), dtypes=HALVES),
    Row("erfinv", (A.of([-1.0, 0.0, 1.0]),), gradient=False),
    Row("rsqrt", (A(4, 5, low=0.1, high=9),), dtypes=HALVES),
    Row("logsumexp", (MATRIX,), dtypes=HALVES),
    Row("logsumexp", (MATRIX,), {"axis": -1}),
    Row("logsumexp", (CUBE,), {"axis": (0, 2), "keepdims": True}),
    Row("logsumexp", (A(3, 4, low=900, high=1000),), {"axis": 0}),
    Row("logsumexp", (INTS,), {"axis": 1}),
    Row(
        "logsumexp",
        (A.of([[-np.inf, -np.inf], [0, -np.inf], [np.inf, 0]]), 1),
        gradient=False,
    ),
    Row("logdet", (A.of([[4.0, 1.0], [1.0, 3.0]]),)),
    Row("logdet", (A(3, 4, 4),), tolerance=1e-4),
    Row("cdist", (A(4, 3), A(5, 3)), dtypes=HALVES, tolerance=1e-4),
    Row("cdist", (A(2, 1, 4, 3), A(3, 5, 3)), tolerance=1e-4),
]

SEGMENTS = [
    Row("segment_sum", (MATRIX, IDS), {"num_segments": 4}, dtypes=HALVES),
    Row("segment_sum", (FOUR, np.array([0, 9, -1, 1])), {"num_segments": 3}),
    Row("segment_sum", (INTS, IDS), {"num_segments": 3}),
    Row("segment_max", (MATRIX, IDS), {"num_segments": 4}, gradient=False),
    Row("segment_max", (INTS, IDS), {"num_segments": 4}),
    Row("segment_min", (MATRIX, IDS), {"num_segments": 4}, gradient=False),
    Row("segment_prod", (MATRIX, IDS), {"num_segments": 4}, excluded=PRODUCTS),
    Row(
        "segment_sum",
        (MATRIX, IDS),
        reference=lambda data, ids: _segments(data, ids, 3, np.sum, 0),
        excluded=VALUES_DECIDE,
    ),
    Row(
        "segment_max",
        (MATRIX, IDS),
        reference=lambda data, ids: _segments(data, ids, 3, np.max, -np.inf),
        excluded=VALUES_DECIDE,
    ),
]

LARGEST = [
    Row("top_k", (MATRIX, 2), dtypes=HALVES),
    Row("top_k", (INTS, 5)),
    Row("top_k", (CUBE, 1), {"sorted": False}),
    # Of equal elements the first comes first.
    Row("top_k", (A.of([[1, 3, 3, 2, 3]]), 4), gradient=False),
    Row("in_top_k", (np.array([0, 2, 1, 4]), MATRIX), {"k": 2}, gradient=False),
    Row("in_top_k", (np.array([0, 1]), TIES, 2), gradient=False),
    Row(
        "in_top_k",
        (np.array([7, -1, 0]), A.of([[3, 1, 1], [3, 1, 1], [np.nan, 1, 1]]), 2),
        reference=lambda targets, predictions, k: np.array([False, False, False]),
        gradient=False,
    ),
]

FOURIER = [
    Row("extract_sequences", (A(3, 10), 4, 3)),
    Row("extract_sequences", (A(10, dtype="int32", low=0, high=9), 5, 5)),
    Row("extract_sequences", (A(3, 2), 4, 3), gradient=False),
    Row("fft", ((A(3, 6), A(3, 6)),), tolerance=1e-4),
    Row("fft", ((A(3, 7), A(3, 7)),), tolerance=1e-4),
    Row("fft2", ((A(2, 3, 4), A(2, 3, 4)),), tolerance=1e-4),
    Row("ifft2", ((A(2, 3, 4), A(2, 3, 4)),), tolerance=1e-4),
    *(Row("rfft", (A(3, 6),), {"fft_length": n}, tolerance=1e-4) for n in (None, 4, 5, 9)),
    *(
        Row("irfft", ((A(3, 4), A(3, 4)),), {"fft_length": n}, tolerance=1e-4)
        for n in (None, 4, 5, 9)
    ),
    Row("stft", (A(2, 40), 8, 4, 8), tolerance=1e-4),
    Row("stft", (A(2, 40), 8, 4, 16), {"window": "hamming"}, tolerance=1e-4),
    Row("stft", (A(40), 8, 3, 8), {"window": None, "center": False}, tolerance=1e-4),
    Row(
        "stft",
        (A(2, 40), 8, 4, 16),
        {"window": WINDOW},
        tolerance=1e-4,
        excluded={"symbolic": "a window is no input of a model"},
    ),
    Row("istft", ((A(2, 11, 9), A(2, 11, 9)), 8, 4, 16), tolerance=1e-4),
    Row("istft", ((A(2, 11, 9), A(2, 11, 9)), 8, 4, 16), {"length": 30}, tolerance=1e-4),
    Row(
        "istft",
        ((A(11, 9), A(11, 9)), 16, 4, 16),
        {"window": "hamming", "center": False},
        tolerance=1e-4,
    ),
]

COMPLEX = [
    Row("view_as_complex", (A(4, 2),), gradient=False),
    Row("view_as_real", (A(4, dtype="complex64"),), gradient=False),
    Row("view_as_real", (MATRIX,), gradient=False),
]

QUANTIZED = [
    Row(
        "quantizers.fake_quant_with_min_max_vars",
        (A(3, 4), low, high),
        {"num_bits": bits, "narrow_range": narrow},
        dtypes=HALVES,
        tolerance=1e-6,
        gradient=False,
    )
    for low, high, bits, narrow in (
        (0.1, 1.5, 8, True),
        (np.float32([-1, -0.5, -2, 0.1]), np.float32([1, 0.2, -0.5, 0.5]), 4, False),
    )
]

ROWS = [
    *CONVERSION,
    *BLOCKS,
    *REARRANGED,
    *SPECIAL,
    *SEGMENTS,
    *LARGEST,
    *FOURIER,
    *COMPLEX,
    *QUANTIZED,
]
