"""Schedules of pruning and the masks that they ask for, against NumPy."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import ops, optimization
from cornu.optimization import _masks
from cornu.saving import deserialize_keras_object, serialize_keras_object
from tests.engines_tested import ENGINES

SCHEDULES: list[tuple[str, dict[str, Any], Any]] = [
    ("ConstantSparsity", {"target_sparsity": 0.5, "begin_step": 3, "frequency": 4}, None),
    (
        "ConstantSparsity",
        {"target_sparsity": 0.25, "begin_step": 0, "end_step": 8, "frequency": 2},
        None,
    ),
    (
        "PolynomialDecay",
        {
            "initial_sparsity": 0.2,
            "final_sparsity": 0.8,
            "begin_step": 2,
            "end_step": 12,
            "power": 2,
            "frequency": 5,
        },
        lambda t: 0.8 + (0.2 - 0.8) * (1 - t) ** 2,
    ),
    (
        "PolynomialDecay",
        {"initial_sparsity": 0.0, "final_sparsity": 0.9, "begin_step": 0, "end_step": 9},
        lambda t: 0.9 - 0.9 * (1 - t) ** 3,
    ),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "arguments", "curve"), SCHEDULES)
def test_schedules(engine: str, name: str, arguments: dict[str, Any], curve: Any) -> None:
    """At numbers and at tensors, as a config gives them back."""
    schedule = deserialize_keras_object(
        serialize_keras_object(getattr(optimization, name)(**arguments))
    )
    given = {"end_step": -1, "frequency": 100, **arguments}
    begin, end, frequency = (given[key] for key in ("begin_step", "end_step", "frequency"))
    for step in range(16):
        due = step >= begin and (step - begin) % frequency == 0 and (end == -1 or step <= end)
        share = (
            curve(min(max((step - begin) / (end - begin), 0), 1))
            if curve
            else arguments["target_sparsity"]
        )
        with cornu.backend.use(engine):
            for given_step in (step, ops.convert_to_tensor(step, "int32")):
                found = schedule(given_step)
                assert bool(found[0]) == due
                assert float(found[1]) == pytest.approx(share, abs=1e-6)


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def in_blocks(w: np.ndarray, block: tuple[int, int], pool: Any) -> np.ndarray:
    """The magnitude of each block, by slices."""
    (rows, columns), (height, width) = w.shape, block
    return np.array(
        [
            [pool(np.abs(w[i : i + height, j : j + width])) for j in range(0, columns, width)]
            for i in range(0, rows, height)
        ]
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_masks(engine: str) -> None:
    with cornu.backend.use(engine):
        for sparsity in (0.0, 0.3, 0.5, 0.99):
            w = np.abs(weights(7, 3))
            kept = max(round(w.size * (1 - sparsity)), 1)
            mask = ops.convert_to_numpy(_masks.largest(w, sparsity))
            np.testing.assert_array_equal(mask, w >= np.sort(w, axis=None)[-kept])
        tied = np.array([1.0, 2.0, 2.0, 2.0], "float32")  # those at the threshold stay
        assert ops.convert_to_numpy(_masks.largest(tied, 0.5)).tolist() == [False, True, True, True]
        for block, name, pool in (((2, 3), "AVG", np.mean), ((4, 1), "MAX", np.max)):
            w = weights(7, 4)
            found = ops.convert_to_numpy(_masks.pooled(w, block, name))
            np.testing.assert_allclose(found, in_blocks(w, block, pool), rtol=1e-6)
            mask = _masks.spread(found > 0.8, block, w.shape)
            wanted = np.repeat(np.repeat(found > 0.8, block[0], 0), block[1], 1)[:7, :4]
            np.testing.assert_array_equal(ops.convert_to_numpy(mask), wanted)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("shape", "axis"), [((8, 3), 0), ((3, 3, 8, 2), 2), ((6, 2), 0), ((3, 2), 0)]
)
def test_m_by_n(engine: str, shape: tuple[int, ...], axis: int) -> None:
    """Of each four inputs two go; of the two or three of a last group those beyond the zeros that it lacks."""
    w = weights(*shape)
    with cornu.backend.use(engine):
        mask = ops.convert_to_numpy(_masks.m_by_n(w, 2, 4, axis))
    lines = np.moveaxis(np.abs(w), axis, -1).reshape(-1, shape[axis])
    for line, kept in zip(lines, np.moveaxis(mask, axis, -1).reshape(lines.shape), strict=True):
        for start in range(0, len(line), 4):
            group = line[start : start + 4]
            goes = max(2 - (4 - len(group)), 0)
            np.testing.assert_array_equal(
                np.sort(np.argsort(group)[goes:]), np.nonzero(kept[start : start + 4])[0]
            )


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("ConstantSparsity", {"target_sparsity": 1, "begin_step": 0}, "target_sparsity=1"),
    ("ConstantSparsity", {"target_sparsity": math.nan, "begin_step": 0}, "target_sparsity=nan"),
    ("ConstantSparsity", {"target_sparsity": 0.5, "begin_step": -1}, "begin_step=-1"),
    ("ConstantSparsity", {"target_sparsity": 0.5, "begin_step": 5, "end_step": 4}, "end_step=4"),
    ("ConstantSparsity", {"target_sparsity": 0.5, "begin_step": 0, "frequency": 0}, "frequency=0"),
    (
        "PolynomialDecay",
        {"initial_sparsity": 0.0, "final_sparsity": 0.5, "begin_step": 0, "end_step": -1},
        "end_step=-1",
    ),
    (
        "PolynomialDecay",
        {"initial_sparsity": "0", "final_sparsity": 0.5, "begin_step": 0, "end_step": 9},
        "initial_sparsity='0'",
    ),
]


@pytest.mark.parametrize(("name", "arguments", "received"), REFUSED)
def test_refused(name: str, arguments: dict[str, Any], received: str) -> None:
    with pytest.raises(ValueError, match=rf"Received: .*{received}"):
        getattr(optimization, name)(**arguments)


def test_a_users_schedule_is_described_by_its_arguments() -> None:
    assert "step" in inspect.signature(optimization.PruningSchedule.__call__).parameters
    with pytest.raises(NotImplementedError, match="__call__"):
        optimization.PruningSchedule()(0)
