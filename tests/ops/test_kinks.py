"""Gradients at points where a root or a quotient meets zero: finite on every engine, not NaN.

One such number in a batch turns all weights into NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import constraints, engines, layers, losses, ops
from tests.engines_tested import ENGINES

ZERO = np.zeros((2, 3), "float32")
HALF = np.array([[0, 0, 0], [1, 2, 2]], "float32")
ONES = np.ones((2, 3), "float32")

#: Name: a function of one tensor, and the point.
KINKS: dict[str, tuple[Callable[[Any], Any], np.ndarray[Any, Any]]] = {
    **{
        f"normalize_{order}": (lambda x, order=order: ops.normalize(x, order=order), HALF)
        for order in (1, 2, 3, 8)
    },
    **{
        f"norm_{order}": (lambda x, order=order: ops.norm(x, ord=order, axis=-1), HALF)
        for order in (None, 1, 2, 3, np.inf)
    },
    "norm_of_matrix": (lambda x: ops.norm(x, ord="fro", axis=(0, 1)), ZERO),
    "std": (lambda x: ops.std(x, axis=-1), HALF),
    "cdist": (lambda x: ops.math.cdist(x, x), HALF),
    "hypot": (lambda x: ops.hypot(x, x), HALF),
    "divide_no_nan_by": (lambda x: ops.divide_no_nan(ONES, x), HALF),
    "divide_no_nan_of": (lambda x: ops.divide_no_nan(x, x), HALF),
    "sinc": (ops.sinc, HALF),
    "var": (ops.var, ONES),
    "nanmean": (lambda x: ops.nanmean(ops.where(x > 0, x, float("nan"))), HALF),
    "nanstd": (lambda x: ops.nanstd(x, axis=-1), ONES),
    "quantile": (lambda x: ops.quantile(x, 0.5), HALF),
    "moments": (lambda x: ops.moments(x, axes=[-1])[1], ONES),
    "logaddexp": (lambda x: ops.logaddexp(x, x), HALF),
    "softmax": (lambda x: ops.softmax(x), HALF),
    "unit_normalization": (layers.UnitNormalization(), HALF),
    "layer_normalization": (layers.LayerNormalization(epsilon=1e-12), HALF),
    "rms_normalization": (layers.RMSNormalization(epsilon=1e-12), HALF),
    "mean_of_no_step": (
        lambda x: layers.GlobalAveragePooling1D()(x[..., None], mask=HALF > 0),
        HALF,
    ),
    "dot": (lambda x: layers.Dot(axes=1, normalize=True)([x, x]), HALF),
    **{
        name: (lambda x, name=name: getattr(constraints, name)(axis=-1)(x), HALF)
        for name in ("UnitNorm", "MaxNorm", "MinMaxNorm")
    },
    **{
        name: (lambda x, name=name: getattr(losses, name)()(HALF, x), HALF)
        for name in (
            "CosineSimilarity Dice Tversky Poisson KLDivergence MeanSquaredLogarithmicError Huber "
            "LogCosh MeanAbsolutePercentageError BinaryCrossentropy CategoricalCrossentropy "
            "CategoricalFocalCrossentropy"
        ).split()
    },
    "sparse_crossentropy": (
        lambda x: ops.sparse_categorical_crossentropy(np.array([0, 1]), x),
        HALF,
    ),
}


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_are_finite_where_a_root_or_a_quotient_meets_zero(engine: str, name: str) -> None:
    """The value there is finite, and so is the gradient."""
    function, point = KINKS[name]
    with engines.use(engine):
        variable = cornu.Variable(point)
        value, (gradient,) = cornu.value_and_grad(
            lambda: ops.sum(function(variable.value)), [variable]
        )()
        assert np.isfinite(ops.convert_to_numpy(value)), name
        assert np.isfinite(ops.convert_to_numpy(gradient)).all(), name
