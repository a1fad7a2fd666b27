"""Rows of the op table: `cornu.ops.nn`."""

from __future__ import annotations

import numpy as np
from rows import A, Row

HALVES = ("float16", "bfloat16")
VALUES = A(3, 5, low=-4.0, high=4.0)
#: The values at which a piecewise function changes, and far from there.
KINKS = np.array([-100.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0, 100.0], "float32")
IMAGES = A(2, 7, 6, 4)

ELEMENTWISE = (
    *("celu", "elu", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh"),
    *("leaky_relu", "log_sigmoid", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink"),
    *(
        "softplus",
        "softsign",
        "sparse_plus",
        "sparse_sigmoid",
        "squareplus",
        "swish",
        "tanh_shrink",
    ),
)
#: Keras refuses integers or booleans here, or keeps them: no dtype to compare with.
FLOATS_ONLY = ("sigmoid", "silu", "swish", "log_sigmoid")


def _nearest_in_simplex(x: np.ndarray, axis: int) -> np.ndarray:
    """The projection by bisection on the offset; Keras's rows don't sum to 1."""
    low, high = x.min(axis, keepdims=True) - 1, x.max(axis, keepdims=True)
    for _ in range(60):
        middle = (low + high) / 2
        above = np.maximum(x - middle, 0).sum(axis, keepdims=True) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.maximum(x - high, 0)


ACTIVATIONS = [
    *(Row(name, (VALUES,), dtypes=HALVES) for name in ELEMENTWISE),
    *(Row(name, (KINKS,)) for name in ELEMENTWISE),
    *(Row(name, (A(3, 5, dtype="int32"),)) for name in ELEMENTWISE if name not in FLOATS_ONLY),
    Row("celu", (VALUES,), {"alpha": 0.7}),
    Row("elu", (VALUES,), {"alpha": 0.7}),
    Row("gelu", (VALUES,), {"approximate": False}, dtypes=HALVES),
    Row("gelu", (KINKS,), {"approximate": False}),
    Row("hard_shrink", (VALUES, 1.5)),
    Row("soft_shrink", (VALUES, 1.5)),
    Row("leaky_relu", (VALUES, 0.5)),
    Row("squareplus", (VALUES, 2)),
    Row("threshold", (VALUES, 0.5, 7.0), dtypes=HALVES),
    Row("threshold", (A(4, dtype="int32"), 1, 9)),
    Row("glu", (A(3, 4),), dtypes=HALVES),
    Row("glu", (A(6, 3),), {"axis": 0}),
    *(
        Row(name, (A(2, 3, 4, low=-20, high=20),), {"axis": axis})
        for name in ("softmax", "log_softmax")
        for axis in (-1, 0, (1, 2), (0, 2), None)
    ),
    Row("softmax", (A(3, 5),), dtypes=HALVES),
    Row("softmax", (np.array([[1e4, 0.0, -1e4]], "float32"),)),
    Row("softmax", (A(2, 3, dtype="int32"),)),
    Row("log_softmax", (A(3, 5),), dtypes=HALVES),
    *(
        Row("sparsemax", (A(3, 5, 4),), {"axis": axis}, reference=_nearest_in_simplex)
        for axis in (-1, 1, 0)
    ),
    Row("polar", (A(3, low=0), A(3)), gradient=False),
]

CONVOLUTIONS = [
    Row("conv", (A(2, 9, 3), A(3, 3, 5))),
    Row("conv", (A(2, 9, 3), A(3, 3, 5)), dtypes=HALVES),
    Row("conv", (IMAGES, A(3, 2, 4, 5)), {"strides": 2, "padding": "same"}),
    Row("conv", (IMAGES, A(3, 2, 4, 5)), {"strides": (1, 3), "padding": "SAME"}),
    Row("conv", (IMAGES, A(3, 2, 4, 5)), {"dilation_rate": 2, "padding": "same"}),
    Row("conv", (IMAGES, A(3, 2, 4, 5)), {"dilation_rate": 2, "strides": 2}),
    Row("conv", (IMAGES, A(3, 3, 2, 6))),
    Row("conv", (IMAGES, A(1, 1, 4, 6)), {"strides": 2, "padding": "same"}),
    Row("conv", (A(2, 3, 8, 6), A(2, 2, 3, 5)), {"data_format": "channels_first"}),
    Row("conv", (A(2, 4, 5, 6, 2), A(2, 2, 2, 2, 3)), {"padding": "same"}),
    Row("conv", (A(2, 5, 3, dtype="int32"), A(3, 3, 5, dtype="int32"))),
    *(
        Row("depthwise_conv", (IMAGES, A(3, 3, 4, 2)), settings)
        for settings in (
            {"strides": 1},
            {"strides": 2, "padding": "same"},
            {"dilation_rate": (1, 2), "padding": "same"},
        )
    ),
    Row("depthwise_conv", (A(2, 4, 8), A(3, 4, 2)), {"data_format": "channels_first"}),
    Row("separable_conv", (A(2, 8, 3), A(3, 3, 2), A(1, 6, 5)), {"strides": 2}),
    Row("separable_conv", (IMAGES, A(3, 3, 4, 2), A(1, 1, 8, 5)), {"padding": "same"}),
    *(
        Row("conv_transpose", (A(2, 5, 3), A(window, 4, 3)), {"strides": stride, **settings})
        for window in (2, 3)
        for stride in (1, 2, 3)
        for settings in (
            {"padding": "valid"},
            {"padding": "same"},
            {"padding": "valid", "output_padding": 1},
            {"padding": "same", "output_padding": 0},
            {"padding": "same", "output_padding": 1},
        )
    ),
    Row("conv_transpose", (A(2, 5, 3), A(1, 4, 3)), {"strides": 3, "padding": "same"}),
    Row("conv_transpose", (A(2, 5, 3), A(5, 4, 3)), {"strides": 2, "padding": "same"}),
    Row("conv_transpose", (IMAGES, A(3, 2, 5, 4)), {"strides": (2, 3), "padding": "same"}),
    Row("conv_transpose", (IMAGES, A(3, 2, 5, 4)), {"dilation_rate": 2, "padding": "same"}),
    Row("conv_transpose", (IMAGES, A(3, 2, 5, 4)), {"dilation_rate": 2, "strides": 1}),
    Row(
        "conv_transpose",
        (A(2, 3, 5, 4), A(3, 3, 2, 3)),
        {"strides": 2, "data_format": "channels_first"},
    ),
]

POOLS = [
    Row(name, (IMAGES, *sizes), settings)
    for name in ("max_pool", "average_pool")
    for sizes, settings in (
        (((2, 2), (2, 2)), {}),
        (((2, 2), (2, 2)), {"padding": "same"}),
        (((3, 2), 1), {"padding": "same"}),
        (((3, 3), (2, 1)), {"padding": "same"}),
        (((3, 3), 2), {}),
        ((3, 2), {"padding": "same"}),
    )
] + [
    Row("max_pool", (A(2, 3, 8), 3, 2), {"data_format": "channels_first"}),
    Row("average_pool", (A(2, 3, 8), 3, 2), {"data_format": "channels_first", "padding": "same"}),
    Row("average_pool", (A(2, 5, 4, 6, 2), 2, 2), {"padding": "same"}),
    Row("max_pool", (A(2, 8, 3), 2, 2), dtypes=HALVES),
    Row("average_pool", (A(2, 8, 3), 2, 2), dtypes=HALVES),
    Row("max_pool", (A(2, 8, 3, dtype="int32"), 2, 2)),
    *(
        Row(name, (x, sizes), {"data_format": layout})
        for name in ("adaptive_max_pool", "adaptive_average_pool")
        for x, sizes, layout in (
            (IMAGES, 3, "channels_last"),
            (IMAGES, (2, 6), "channels_last"),
            (IMAGES, (1, 9), "channels_last"),
            (A(2, 3, 7), 2, "channels_first"),
            (A(2, 5, 4, 6, 2), 3, "channels_last"),
        )
    ),
    Row("unfold", (A(2, 3, 5, 6), 2)),
    Row("unfold", (A(2, 3, 5, 6), (2, 3)), {"dilation": 2, "padding": (1, 2), "stride": (2, 1)}),
    Row("fold", (A(2, 12, 20), (5, 6), 2)),
    Row("fold", (A(2, 8, 9), 5, 2), {"dilation": 1, "padding": 1, "stride": 2}),
    *(
        Row(name, (A(2, 8, 4, 12), 2), {"data_format": layout})
        for name in ("depth_to_space", "space_to_depth")
        for layout in ("channels_last", "channels_first")
    ),
]

ENCODINGS = [
    *(
        Row("one_hot", (np.array([[0, 1, 5], [2, -1, 1]]), 3), settings, gradient=False)
        for settings in (
            {},
            {"axis": 0},
            {"axis": 1},
            {"axis": -2},
            {"dtype": "int8"},
            {"dtype": "bool"},
        )
    ),
    Row("one_hot", (np.array([0.0, 1.5], "float32"), 3), gradient=False),
    Row("one_hot", (np.int32(1), 3), gradient=False),
    *(
        Row("multi_hot", (np.array([[0, 1, 5], [2, 2, 1]]), 4), settings, gradient=False)
        for settings in ({}, {"axis": 0}, {"axis": 1}, {"dtype": "int32"})
    ),
    Row("multi_hot", (np.array([0, 2]), 4), gradient=False),
    Row("multi_hot", (np.zeros((2, 3, 4), "int32"), 5), gradient=False),
]

PROBABILITIES = A(4, 5, low=0.1, high=1.0)
CLASSES = np.array([0, 2, 4, 1])
LOSSES = [
    *(
        Row(name, (target, output), {"from_logits": from_logits}, tolerance=2e-5)
        for name, target, output in (
            ("categorical_crossentropy", PROBABILITIES, PROBABILITIES),
            ("categorical_crossentropy", np.eye(5, dtype="float32")[CLASSES], A(4, 5, low=0.0)),
            ("sparse_categorical_crossentropy", CLASSES, PROBABILITIES),
            ("sparse_categorical_crossentropy", CLASSES[:, None], PROBABILITIES),
            ("sparse_categorical_crossentropy", np.array([-1, 5, 2, 0]), PROBABILITIES),
            ("binary_crossentropy", A(4, 5, low=0.0, high=1.0), PROBABILITIES),
        )
        for from_logits in (False, True)
    ),
    Row("categorical_crossentropy", (PROBABILITIES, PROBABILITIES), {"axis": 0}, dtypes=HALVES),
    Row("sparse_categorical_crossentropy", (CLASSES, PROBABILITIES), dtypes=HALVES),
    Row("binary_crossentropy", (PROBABILITIES, PROBABILITIES), dtypes=HALVES),
    Row("binary_crossentropy", (A(4), A(4, low=-90, high=90)), {"from_logits": True}),
    Row("binary_crossentropy", (np.eye(2, dtype="float32"), np.eye(2, dtype="float32"))),
    Row("psnr", (A(3, 4), A(3, 4), 2.0), tolerance=1e-4),
    *(
        Row(
            "ctc_loss",
            (labels, A(3, 6, 5), lengths, np.array([6, 5, 4])),
            settings,
            tolerance=1e-4,
            gradient=possible,
        )
        # The last labels need five steps: the loss is 1e5, which hides small differences.
        for labels, lengths, possible in (
            (np.array([[1, 2, 3], [2, 2, 0], [1, 3, 1]]), np.array([3, 2, 3]), True),
            (np.array([[1, 2, 3], [2, 2, 0], [1, 1, 1]]), np.array([0, 1, 3]), False),
        )
        for settings in ({}, {"mask_index": 4})
    ),
]

DECODINGS = [
    *(
        Row("ctc_decode", (A(3, 6, 5), np.array([6, 5, 4])), settings, gradient=False)
        for settings in (
            {},
            {"merge_repeated": False},
            {"mask_index": None},
            {"strategy": "beam_search", "beam_width": 3, "top_paths": 2},
            {"strategy": "beam_search", "top_paths": 3, "mask_index": 4},
        )
    ),
]

NORMALIZATIONS = [
    *(
        Row("moments", (A(3, 4, 5), axes), {"keepdims": keepdims})
        for axes in (-1, (0, 1), None)
        for keepdims in (False, True)
    ),
    Row(
        "moments",
        (A(3, 4, low=-6e4, high=6e4, dtype="float16"), 0),
        gradient=False,
        excluded={"pytensor value": "in float32 the result isn't rounded to float16"},
    ),
    Row("moments", (A(3, 4), 0), dtypes=HALVES),
    Row("moments", (A(3, 4, dtype="int32"), 0)),
    Row(
        "batch_normalization", (A(2, 3, 4), A(4), A(4, low=0.1)), {"axis": -1}, dtypes=("float16",)
    ),
    Row(
        "batch_normalization",
        (A(2, 3, 4), A(3), A(3, low=0.1)),
        {"axis": 1, "offset": A(3), "scale": A(3), "epsilon": 0.1},
    ),
    *(
        Row("layer_normalization", (A(2, 3, 4),), settings, dtypes=HALVES, tolerance=2e-5)
        for settings in (
            {},
            {"axis": 1},
            {"axis": (1, 2)},
            {"gamma": A(4), "beta": A(4)},
            {"gamma": A(3), "beta": A(3), "axis": 1, "epsilon": 0.1},
            {"gamma": A(3, 4), "beta": A(3, 4), "axis": (-2, -1)},
            {"gamma": A(4), "rms_scaling": True},
        )
    ),
    *(
        Row("rms_normalization", (A(2, 3, 4),), settings, dtypes=HALVES)
        for settings in (
            {},
            {"axis": 1},
            {"axis": (1, 2), "epsilon": 0.1},
            {"scale": A(4)},
            {"scale": 2.0},
        )
    ),
    *(
        Row("normalize", (A(3, 4),), {"order": order, "axis": axis}, dtypes=HALVES)
        for order in (1, 2, 3)
        for axis in (-1, 0)
    ),
    *(Row("normalize", (A(2, 3, 4),), {"axis": axis}) for axis in ((1, 2), None)),
    *(Row("normalize", (np.zeros((1, 3), "float32"),), {"order": order}) for order in (1, 2, 3)),
]

QUERY, KEY, VALUE = A(2, 5, 4, 8), A(2, 7, 2, 8), A(2, 7, 2, 8)
MASK = A(2, 4, 5, 7, dtype="bool")
ATTENTIONS = [
    Row("dot_product_attention", (QUERY, *keys), settings)
    for keys in ((KEY, VALUE), (A(2, 7, 4, 8), A(2, 7, 4, 8)), (A(2, 7, 1, 8), A(2, 7, 1, 8)))
    for settings in (
        {},
        {"is_causal": True},
        {"mask": MASK},
        {"bias": A(2, 4, 5, 7), "scale": 0.3},
        {"bias": A(1, 1, 5, 7), "mask": MASK, "is_causal": True},
        {"mask": np.zeros((2, 4, 5, 7), bool)},
    )
] + [
    Row("dot_product_attention", (QUERY, KEY, VALUE), dtypes=HALVES),
    Row("dot_product_attention", (QUERY, QUERY, QUERY), {"is_causal": True}),
    Row("dot_product_attention", (QUERY, KEY, VALUE), {"mask": A(5, 7, dtype="bool")}),
]

ROWS = [
    *ACTIVATIONS,
    *CONVOLUTIONS,
    *POOLS,
    *ENCODINGS,
    *LOSSES,
    *DECODINGS,
    *NORMALIZATIONS,
    *ATTENTIONS,
]
