"""Kernels in few bits with the scales of groups: what GPTQ and AWQ find, and Keras's layers read."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest

from cornu import engines, layers, ops, quantizers
from cornu.quantizers.codes import GroupedCodes, as_matrix
from cornu.quantizers.grouped import Grid, awq, gptq, nearest
from cornu.quantizers.samples import samples
from tests.engines_tested import ENGINES

_random = np.random.default_rng(0)
WEIGHT = _random.normal(size=(5, 32)).astype("float32")
#: Inputs that go together, and of different sizes: what fitting is for.
X = _random.normal(size=(60, 6)) @ _random.normal(size=(6, 32))
X = ((X + 0.3 * _random.normal(size=X.shape)) * np.linspace(0.1, 2, 32)).astype("float32")
MOMENTS, SIZES = X.T @ X / len(X), np.abs(X).mean(0)
GRIDS = [
    Grid(),
    Grid(8, symmetric=True),
    Grid(2, 8),
    Grid(3, 5),
    Grid(4, 8, per_channel=False),
    Grid(4, 200),
]


def plain(grid: Grid, order: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """GPTQ as it is written down, an input at a time."""
    left, moments = (
        WEIGHT[:, order].astype("float64"),
        MOMENTS[np.ix_(order, order)].astype("float64"),
    )
    moments += 0.01 * np.diag(moments).mean() * np.eye(32)
    factor = np.linalg.cholesky(np.linalg.inv(moments)).T
    codes = np.zeros_like(left)
    for i in range(32):
        if i in (groups := grid.starts(32)):
            scale, zero = grid.ranges(left[:, i : i + groups.step])
        codes[:, i : i + 1] = code = grid.codes(left[:, i : i + 1], scale, zero)
        error = (left[:, i : i + 1] - (code - zero) * scale) / factor[i, i]
        left[:, i:] -= error * factor[i, i:]
    return codes[:, np.argsort(order)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_what_is_found_is_what_the_papers_say_and_changes_outputs_less(grid: Grid) -> None:
    def loss(found: Any) -> float:
        return float(np.square((found.value() - WEIGHT) @ X.T).mean())

    for by_size in (False, True):
        order = np.argsort(-np.diag(MOMENTS)) if by_size else np.arange(32)
        found = gptq(WEIGHT, MOMENTS, grid, by_size=by_size)
        assert (found.codes == plain(grid, order)).mean() > 0.99
        assert loss(found) < 0.6 * loss(nearest(WEIGHT, grid))
    assert loss(awq(WEIGHT, MOMENTS, SIZES, grid)) < loss(nearest(WEIGHT, grid))


def test_inputs_that_have_nothing_to_do_with_each_other_leave_the_nearest() -> None:
    """And so does an input that is never there; what is 0 stays 0, also in a group of one sign."""
    for moments in (np.eye(32), np.diag([0.0, *range(31)]), np.zeros((32, 32))):
        for grid in GRIDS:
            found, expected = gptq(WEIGHT, moments, grid), nearest(WEIGHT, grid)
            assert all(
                np.array_equal(one, two) for one, two in zip(found[:4], expected[:4], strict=True)
            )
    whole = awq(WEIGHT, np.eye(32), np.zeros(32), Grid())
    assert np.array_equal(whole.codes, nearest(WEIGHT, Grid()).codes)
    for weight in ([[0.0, 1.0, 3.0]], [[0.0, -1.0, -3.0]], [[0.0, 0.0, 0.0]]):
        assert nearest(np.array(weight, "float32"), Grid(2)).value().tolist() == weight
    with pytest.raises(ValueError, match="must be positive definite. Received: damping=0"):
        gptq(WEIGHT, np.ones((32, 32)), Grid(), damping=0)


#: A layer's class and arguments, the shape of its input, and which axes of its kernel go away.
LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = [
    ("Dense", {"units": 5}, (2, 12), (0,)),
    ("Dense", {"units": 4, "use_bias": False}, (2, 12), (0,)),
    (
        "EinsumDense",
        {"equation": "abc,cde->abde", "output_shape": (None, 3, 5), "bias_axes": "de"},
        (2, 3, 12),
        (0,),
    ),
    (
        "EinsumDense",
        {"equation": "abcd,cde->abe", "output_shape": (None, 7), "bias_axes": "e"},
        (2, 3, 2, 3),
        (0, 1),
    ),
]
#: A policy of Keras's, and the arguments of the transform that it means.
POLICIES = [
    ("gptq/4/-1", (4, -1), False),
    ("gptq/2/4", (2, 4), False),
    ("gptq/4/5", (4, 5), False),
    ("gptq/8/128", (8, 128), False),
    ("awq/4/-1", (4, -1), True),
    ("awq/4/5", (4, 5), True),
]


@pytest.mark.parametrize("at", range(len(POLICIES)), ids=lambda at: POLICIES[at][0])
def test_kerass_layers_read_the_codes(at: int) -> None:
    name, arguments, shape, axes = LAYERS[at % len(LAYERS)]
    mode, grid, scaled = POLICIES[at]
    theirs = getattr(keras.layers, name)(**arguments, dtype=f"{mode}_from_float32")
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    theirs.build(shape)
    expected = None
    for engine in ENGINES:
        with engines.use(engine):
            ours = getattr(layers, name)(**arguments, kernel_initializer=drawn)
            ours.build(shape)
            weight = as_matrix(ours.kernel.numpy(), axes)
            sizes = np.linspace(0.5, 2, weight.shape[1]).astype("float32") if scaled else None
            found = nearest(weight * (1 if sizes is None else sizes), Grid(*grid))._replace(
                sizes=sizes
            )
            codes = GroupedCodes(*grid, axes, scaled, found)
            ours.add_transform(ours.kernel, codes)
            if expected is None:
                store: dict[str, Any] = {}
                ours.save_own_variables(store)
                theirs.load_own_variables(store)
                expected = np.asarray(theirs(x))
            kept = [(v.shape, v.dtype) for v in theirs.weights]
            assert [(v.shape, v.dtype) for v in ours.weights] == kept
            read = ops.convert_to_numpy(ours.kernel.effective())
            np.testing.assert_allclose(as_matrix(read, axes), found.value(), 1e-5, 1e-6)
            y = ops.convert_to_numpy(ours(x))
            np.testing.assert_allclose(y, expected, 1e-4, 1e-4)
            ours.remove_transform(ours.kernel, codes)
            assert (
                len(ours.weights) == 1 + arguments.get("use_bias", True) and ours.kernel.trainable
            )


def drawn(shape: Any, dtype: Any = None) -> Any:
    return np.random.default_rng(2).normal(size=shape).astype("float32")


def test_samples_are_windows_of_tokens_or_what_is_given() -> None:
    """At equal distances, of data that is repeated as is needed."""
    assert samples([np.arange(4), np.arange(4, 8)], None, 2, 3).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert samples([np.arange(2)], None, 3, 2).shape == (3, 2)
    floats = iter(np.ones((5, 2, 3)))
    assert samples(floats, None, 4, 512).shape == (4, 2, 3)
    for dataset, kind, message in (
        ("text", TypeError, "must be strings or arrays to calibrate on. Received: dataset='text'"),
        (None, TypeError, "Received: dataset=None of type NoneType"),
        ([], ValueError, "must have tokens. Received: 0 items"),
        (["text"], ValueError, "a method `tokenize`. Received: tokenizer=None"),
    ):
        with pytest.raises(kind, match=message):
            samples(dataset, None, 2, 3)


def test_keras_leaves_the_zeros_out_of_files() -> None:
    """Which it can't read itself then. They are known of symmetric codes."""
    theirs = keras.layers.Dense(4, dtype="gptq/4/3_from_float32")
    theirs.build((None, 6))
    found = nearest(WEIGHT[:4, :6], Grid(4, 3, symmetric=True))
    ours = layers.Dense(4)
    ours.build((None, 6))
    codes = GroupedCodes(4, 3, found=found)
    ours.add_transform(ours.kernel, codes)
    whole: dict[str, Any] = {}
    ours.save_own_variables(whole)
    theirs.load_own_variables(whole)
    written: dict[str, Any] = {}
    theirs.save_own_variables(written)
    written = {key: np.asarray(array) for key, array in written.items()}
    assert len(written) == 4
    codes.parts["zero"].assign(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="zeros, which Keras 3.15 writes into no file"):
        ours.load_own_variables(written)
    ours.quantization_config = quantizers.GPTQConfig(None, None, symmetric=True)
    ours.load_own_variables(written)
    np.testing.assert_allclose(ops.convert_to_numpy(ours.kernel.effective()).T, found.value(), 1e-6)
    written["4"] = written["5"] = written["3"]
    with pytest.raises(ValueError, match="has 5 weights. Received: 6"):
        ours.load_own_variables(written)
