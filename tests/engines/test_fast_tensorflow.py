"""On TensorFlow: fast formulations give what the plain ones give."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import tuning
from cornu.engines import get, use
from cornu.ops import _normalization
from tests.engines import fast
from tests.engines_tested import ENGINES

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif("tensorflow" not in ENGINES, reason="another engine is tested")

ROWS = [*fast.batch_rows(), *fast.layer_rows(), *fast.attention_rows()]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_overrides_equal_default_bodies(row: fast.Row, compiled: bool) -> None:
    fast.agree("tensorflow", row, compiled)


@pytest.mark.parametrize("by_xla", [False, True])
@pytest.mark.parametrize("name", [name for name in fast.CHANNELS if name.startswith("last")])
def test_normalization_by_a_batch_of_unknown_size(name: str, by_xla: bool) -> None:
    shape, axis = fast.CHANNELS[name]
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    found = []
    for overrides in (True, False):
        engine = get("tensorflow", overrides)

        def step(x: Any) -> Any:
            with use(engine):  # noqa: B023 (called in this turn)
                return _normalization.batch_normalized(x, axis, None, None, 1e-3)

        spec = tf.TensorSpec((None, *shape[1:]), "float32")
        function = tf.function(step, input_signature=[spec], autograph=False, jit_compile=by_xla)
        found.append([part.numpy() for part in function(tf.constant(x))])
        assert function.get_concrete_function().structured_outputs[0].shape[1:] == shape[1:]
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def adam(gradient: Any, weight: Any, m: Any, v: Any) -> tuple[Any, ...]:
    m = m + (gradient - m) * 0.1
    v = v + (gradient * gradient - v) * 0.001
    return weight - 0.01 * m / (cornu.ops.sqrt(v) + 1e-7), m, v


def with_a_reduction(gradient: Any, weight: Any, m: Any, v: Any) -> tuple[Any, ...]:
    return weight - gradient * cornu.ops.mean(gradient), m, v


def without_a_slot(gradient: Any, weight: Any, m: Any, v: Any) -> tuple[Any, ...]:
    return weight - 0.1 * gradient, None, v


@pytest.mark.parametrize("rule", [adam, with_a_reduction, without_a_slot])
def test_many_weights_are_updated_as_few_are(
    rule: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    rows = [[np.abs(generator.normal(size=n)).astype("float32") for _ in "gwmv"] for n in (3, 5)]
    if rule is without_a_slot:
        rows = [[gradient, weight, None, v] for gradient, weight, _, v in rows]
    found = []
    with use("tensorflow") as engine:
        for limit in (0, 10**9):
            monkeypatch.setattr("cornu.engines.tensorflow.engine._MANY", limit)
            given = [[None if x is None else tf.constant(x) for x in row] for row in rows]
            step = tf.function(lambda given: engine.each(rule, given), autograph=False)
            found.append(tf.nest.flatten(step(given)))
            operations = step.get_concrete_function(given).graph.get_operations()
            called = any("PartitionedCall" in operation.type for operation in operations)
            assert called == (limit == 0 and rule is not with_a_reduction)
    for ours, theirs in zip(*found, strict=True):
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def test_long_steps_are_left_to_kernels_but_for_loops() -> None:
    from cornu.engines.tensorflow.steps import _suits_xla

    def plain(x: Any) -> Any:
        return tf.matmul(x, x)

    def looping(x: Any) -> Any:
        return tf.while_loop(lambda i, x: i < 9, lambda i, x: (i + 1, plain(x)), (0, x))[1]

    spec = tf.TensorSpec((3, 3), "float32")
    for function, seconds, wanted in (
        (plain, 0.001, True),
        (plain, 1.0, False),
        (looping, 1.0, True),
    ):
        graph = tf.function(function, autograph=False).get_concrete_function(spec)
        assert _suits_xla(graph, seconds) == wanted


def test_keras_stays_unloaded_until_it_is_used() -> None:
    code = (
        "import sys, cornu; cornu.config.set_backend('tensorflow'); "
        "print('heard', file=sys.stderr); "
        "assert not {'keras', 'jax'} & sys.modules.keys(), 'loaded'; "
        "from tensorflow.keras import layers; import keras, tensorflow; "
        "assert tensorflow.keras.layers.Dense is layers.Dense is keras.layers.Dense"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("heard")  # `tuning.quiet_import`: and nothing while it loads


def test_a_step_by_xla_gives_what_the_graph_gives(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which other tests go without (conftest.py), and models that come and go, and more than some."""
    x = np.random.default_rng(0).normal(size=(48, 5, 3)).astype("float32")

    def losses(chosen: int) -> list[float]:
        cornu.utils.set_random_seed(1)
        model = cornu.Sequential([cornu.layers.LSTM(4), cornu.layers.Dense(1)])
        model.compile("adam", "mse", steps_per_execution=1)
        with tuning.xla_from(chosen):
            found = model.fit(x, x[:, 0, :1], batch_size=8, epochs=2, verbose=0).history["loss"]
        return [float(loss) for loss in found]

    with use("tensorflow"), caplog.at_level(logging.INFO, "cornu"):
        plain = losses(0)
        assert "XLA" not in caplog.text
        losses(4)
        monkeypatch.setattr(tuning, "XLA_SECONDS", 0.0)
        with monkeypatch.context() as none:
            none.setattr(tuning, "XLA_PROGRAMS", 0)
            losses(4)
        assert "XLA" not in caplog.text
        np.testing.assert_allclose(losses(4), plain, rtol=1e-5)
        assert "XLA compiles a step" in caplog.text
