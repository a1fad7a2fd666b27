"""Speed choices: how they are made, what deterministic mode keeps, and what the log says."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops, tuning
from cornu.core.state import CompiledStep
from cornu.engines import use
from tests.engines_tested import ENGINES

#: A run of four epochs in one process, or its first and its second half in two.
TRAIN = """
import sys, hashlib
import numpy as np
import cornu
from cornu import layers
half, file = sys.argv[1:]
cornu.utils.set_random_seed(3)
x = np.random.default_rng(0).normal(size=(96, 6, 5)).astype("float32")
y = x.sum((1, 2))[:, None]
if half == "second":
    model = cornu.models.load_model(file)
else:
    model = cornu.Sequential([layers.LSTM(8), layers.Dropout(0.2), layers.BatchNormalization(), layers.Dense(1)])
    model.compile("adam", "mse")
start, end = {"whole": (0, 4), "first": (0, 2), "second": (2, 4)}[half]
model.fit(x, y, batch_size=8, initial_epoch=start, epochs=end, verbose=0)
if half == "first":
    model.save(file)
values = [*model.get_weights(), *[np.asarray(v) for v in model.optimizer.variables]]
print(hashlib.sha256(b"".join(w.tobytes() for w in values)).hexdigest())
"""


def trained(engine: str, half: str, file: Path) -> str:
    """A digest of weights and optimizer after a run in deterministic mode."""
    chosen = {"CORNU_BACKEND": engine, "CORNU_DETERMINISTIC": "1"}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, half, str(file)],
        env={**os.environ, **chosen},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_again_or_in_halves_gives_the_same_bits(engine: str, tmp_path: Path) -> None:
    whole, again = (trained(engine, "whole", tmp_path / "a.keras") for _ in range(2))
    assert whole == again
    trained(engine, "first", tmp_path / "a.keras")
    assert trained(engine, "second", tmp_path / "a.keras") == whole


def test_nothing_is_chosen_by_clock_or_call_in_deterministic_mode() -> None:
    timed = (tuning.several_steps, tuning.whole_calls, tuning.xla_from, tuning.interpreted_calls)
    with tuning.xla_from(32):
        assert [choice() for choice in timed] == [True, 8, 32, 3]
        with tuning.deterministic(True):
            assert [choice() for choice in timed] == [False, 0, 0, 0]
            with tuning.whole_calls(2):
                assert tuning.whole_calls() == 0
        assert [choice() for choice in timed] == [True, 8, 32, 3]


def test_a_choice_is_made_followed_and_undone() -> None:
    seen: list[Any] = []
    choice = tuning.Choice("pace", 2, "How fast.")
    choice.follow(seen.append)
    with choice(3):
        assert choice() == 3
    choice(5)
    choice.prefer(6)
    assert seen == [2, 3, 2, 5]
    assert (choice.__doc__, repr(choice)) == ("How fast.", "<tuning.pace: 5>")


@pytest.mark.parametrize(
    ("choice", "value"),
    [(tuning.memory, "much"), (tuning.deterministic, 1), (tuning.whole_calls, -1)],
    ids=str,
)
def test_other_values_are_refused(choice: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Received: {choice.name}={value!r}"):
        choice(value)


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [(False, "1", True), (True, "0", False), (32, "0", 0), (32, "1", 1), (8, "40", 40)]
    + [("fit", "keep", "keep"), (None, "none", None), (None, "1", True)],
)
def test_what_the_environment_says(
    default: Any, text: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORNU_PACE", text)
    found = tuning.Choice("pace", default, "How fast.")()
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "name", [name for name in ENGINES if name in ("jax", "torch", "tensorflow")]
)
def test_the_log_says_what_was_compiled_and_why_again(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with use(name), caplog.at_level(logging.INFO, "cornu"):
        step = CompiledStep(lambda x: ops.sum(x), [])
        for size in (2, 2, 3):
            step(np.ones((size, 4), "float32"))
        step({"x": np.ones((2, 4), "float32")}["x"])
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "argument 0, " in said[1]
    assert "(3, 4) after " in said[1]


@pytest.mark.skipif("torch" not in ENGINES, reason="another engine is tested")
def test_a_step_that_is_not_recorded_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with use("torch"), caplog.at_level(logging.INFO, "cornu"):
        step = CompiledStep(lambda x: x * 2 if ops.sum(x) > 0 else x, [])
        for _ in range(3):
            step(np.ones(3, "float32"))
        with pytest.raises(KeyError):
            CompiledStep(lambda x: {}["x"], [])(np.ones(3))
    (record,) = caplog.records
    assert record.getMessage() == "A step runs unrecorded, which is slower: it looks at values."


@pytest.mark.skipif("torch" not in ENGINES, reason="another engine is tested")
def test_a_step_runs_as_it_is_while_another_thread_records_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(x: Any) -> Any:
        entered.set()
        assert leave.wait(60)
        return x * 2

    def in_another_thread() -> None:
        with use("torch"):
            CompiledStep(slow, [])(np.ones(3))

    thread = threading.Thread(target=in_another_thread)
    with use("torch"), caplog.at_level(logging.INFO, "cornu"):
        thread.start()
        assert entered.wait(60)
        step = CompiledStep(lambda x: x * 3, [])
        found = [step(np.ones(3)).tolist()]
        leave.set()
        thread.join()
        assert len(caplog.records) == 1
        found.append(step(np.ones(3)).tolist())
    assert found == [[3.0] * 3] * 2
    assert len(caplog.records) == 2


@pytest.mark.skipif("tensorflow" not in ENGINES, reason="another engine is tested")
def test_a_compiler_that_was_asked_for_and_can_not_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    import tensorflow as tf

    def step(x: Any) -> Any:
        return tf.numpy_function(np.sin, [x], tf.float32)

    with use("tensorflow"), caplog.at_level(logging.WARNING, "cornu"):
        for jit, count in ((None, 0), (True, 1)):
            assert CompiledStep(step, [], jit=jit)(np.zeros(2, "float32")).numpy().tolist() == [
                0,
                0,
            ]
            assert len(caplog.records) == count


@pytest.mark.skipif("torch" not in ENGINES, reason="another engine is tested")
def test_a_fault_of_the_recording_is_logged_or_raised(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users' steps run all the same; tests see it."""
    monkeypatch.setattr("cornu.engines.torch.graph._join_lerps", lambda graph: graph.missing)
    with use("torch"), caplog.at_level(logging.INFO, "cornu"):
        with pytest.raises(AttributeError, match="missing"):
            CompiledStep(lambda x: x * 2, [])(np.ones(3))
        with tuning.strict(False):
            assert CompiledStep(lambda x: x * 2, [])(np.ones(3)).tolist() == [2, 2, 2]
    assert ["missing" in record.getMessage() for record in caplog.records] == [True]


def test_the_log_is_shown_and_hidden(capfd: pytest.CaptureFixture[str]) -> None:
    tuning.say("unseen")
    with tuning.log("info"):
        tuning.say("seen %d", 3)
    tuning.say("unseen")
    assert capfd.readouterr().err == "cornu: seen 3\n"


@pytest.mark.filterwarnings("ignore:There is nothing to train")
def test_a_model_made_again_says_why(caplog: pytest.LogCaptureFixture) -> None:
    model = cornu.Sequential([layers.Dense(2)], name="small")
    model.compile("sgd", "mse")
    with use("jax"), caplog.at_level(logging.INFO, "cornu"):
        model.train_on_batch(np.ones((2, 3)), np.ones((2, 2)))
        model.layers[0].trainable = False
        model.train_on_batch(np.ones((2, 3)), np.ones((2, 2)))
        model.layers[0].dtype_policy = "mixed_bfloat16"
        model.evaluate(np.ones((2, 3)), np.ones((2, 2)), verbose=0)
        model.layers[0].dtype_policy = "float32"
        model.evaluate(np.ones((2, 3)), np.ones((2, 2)), verbose=0)
        with use("numpy"):
            model.evaluate(np.ones((2, 3)), np.ones((2, 2)), verbose=0)
        model.compile("sgd", "mse")
    said = [record.getMessage() for record in caplog.records]
    assert (
        "The train step of 'small' is made again, for other trainable layers, those of 'small/dense'; "
        "trainable variables, those of 'small/dense/bias', 'small/dense/kernel'." in said
    )
    assert (
        "The test step of 'small' is made again, for other dtypes, those of 'small/dense'." in said
    )
    assert "A step is compiled for another engine, numpy." in said
    assert said[-1] == "The steps of 'small' are made again, for `compile` was called again."
