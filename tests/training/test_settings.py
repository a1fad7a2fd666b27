"""Settings of the process: each is read, and does what it says."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import config, layers, ops
from cornu.engines import Engine, get, use

X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
#: By setting: what stands in the code that goes by it.
READ_AS = {
    "image_data_format": "standardize_data_format(",
    "is_flash_attention_enabled": "self.flash_attention if",  # engines read it off themselves
}
READERS = [name for name in vars(config) if re.match(r"is_|max_|floatx|epsilon|image_", name)]
READERS.remove("is_nnx_enabled")  # always False


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)
    Engine.flash_attention = None


@pytest.mark.parametrize("name", READERS)
def test_every_setting_is_read(name: str) -> None:
    root = Path(cornu.__file__).parent
    sources = [path for path in root.rglob("*.py") if path.name != "config.py"]
    assert any(READ_AS.get(name, f"{name}()") in path.read_text() for path in sources)


class Counting(cornu.callbacks.Callback):
    """Which batches callbacks are told of, by method."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: dict[str, list[int]] = {"train": [], "test": [], "predict": []}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.heard["train"].append(batch)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.heard["test"].append(batch)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.heard["predict"].append(batch)


def test_limits_of_epochs_and_steps() -> None:
    model = cornu.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    config.set_max_epochs(2)
    config.set_max_steps_per_epoch(3)
    heard = Counting()
    more: dict[str, Any] = {"batch_size": 4, "verbose": 0, "callbacks": [heard]}
    history = model.fit(X, X[:, :1], epochs=5, **more)
    model.evaluate(X, X[:, :1], **more)
    assert len(model.predict(X, **more)) == 12
    assert history.epoch == [0, 1]
    assert heard.heard == {"train": [0, 1, 2] * 2, "test": [0, 1, 2], "predict": [0, 1, 2]}
    model.evaluate(X, X[:, :1], batch_size=24, verbose=0)  # fewer steps than the limit


def test_no_fused_attention() -> None:
    with use("torch"):
        x = ops.convert_to_tensor(X.reshape(2, 6, 2, 3))
        fused = get("torch").dot_product_attention
        arguments = (x, x, x, None, None, None, False)
        assert fused(*arguments, None, None) is not NotImplemented
        assert fused(*arguments, False, None) is NotImplemented
        config.disable_flash_attention()
        assert config.is_flash_attention_enabled() is False
        assert fused(*arguments, None, None) is NotImplemented
        assert fused(*arguments, True, None) is not NotImplemented


class Broken(layers.Layer):
    def call(self, x: Any) -> Any:
        return self.part(x)

    def part(self, x: Any) -> Any:
        raise RuntimeError("of the user")


@pytest.mark.parametrize("how", ["a call", "fit", "an error of ours"])
def test_tracebacks_show_the_users_frames(how: str) -> None:
    model = cornu.Sequential([Broken() if how != "an error of ours" else layers.Dense(1)])
    model.compile("sgd", "mse")
    targets = X if how != "an error of ours" else X[:5]
    frames = {}
    for filtering in (True, False):
        (config.enable_traceback_filtering if filtering else config.disable_traceback_filtering)()
        with pytest.raises((RuntimeError, ValueError)) as caught:
            model(X) if how == "a call" else model.fit(X, targets, verbose=0)
        trace = traceback.extract_tb(caught.value.__traceback__)
        frames[filtering] = [(Path(frame.filename).name, frame.name) for frame in trace]
    here = [frame for frame in frames[False] if frame[0] == "test_settings.py"]
    assert frames[True] == here
    assert len(here) == (1 if how == "an error of ours" else 3)
    assert len(frames[False]) > len(here) + 1
