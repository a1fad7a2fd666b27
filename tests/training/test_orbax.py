"""OrbaxCheckpoint: trees of arrays that Orbax and Keras read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import callbacks

orbax = pytest.importorskip("orbax.checkpoint", reason="pip install orbax-checkpoint")
X, Y = np.random.default_rng(0).normal(size=(2, 16, 3)).astype("float32")
#: What Orbax says of arrays without a sharding.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*[Ss]harding.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def net(library: Any = cornu) -> Any:
    layers = library.layers
    stack = [layers.Dense(4, "relu", name="hidden"), layers.BatchNormalization(name="norm")]
    stack = [library.Input((3,)), *stack, layers.Dense(3, name="out")]
    model = library.Sequential(stack, name="net")
    model.compile(library.optimizers.Adam(name="adam"), "mse")
    return model


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir())


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({}, [2]),
        ({"max_to_keep": 2, "save_on_background": False}, [1, 2]),
        ({"max_to_keep": None, "save_freq": 3}, [3, 6, 9, 12]),
        ({"save_best_only": True, "monitor": "loss", "mode": "max"}, [0]),
    ],
)
def test_which_ones_stay(arguments: dict[str, Any], wanted: list[int], tmp_path: Path) -> None:
    callback = callbacks.OrbaxCheckpoint(tmp_path / "runs", **arguments)
    net().fit(X, Y, batch_size=4, epochs=3, callbacks=[callback], verbose=0)
    callback.wait_until_finished()
    assert steps(tmp_path / "runs") == wanted


@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_what_they_hold(engine: str, tmp_path: Path) -> None:
    """A tree that goes into a model of either library, and the config that Keras reads."""
    with cornu.backend.use(engine):
        model = net(cornu)
        model.fit(X, Y, callbacks=[callbacks.OrbaxCheckpoint(tmp_path)], verbose=0)
        wanted = model.predict(X, verbose=0)
        manager = orbax.CheckpointManager(tmp_path)
        kept = manager.restore(0, args=orbax.args.Composite(pytree=orbax.args.StandardRestore()))
        for library in (cornu, keras):
            again = net(library)
            again.optimizer.build(again.trainable_variables)
            again.set_state_tree(kept.pytree)
            np.testing.assert_allclose(again.predict(X, verbose=0), wanted, 1e-5, 1e-6)
            assert int(again.optimizer.iterations.numpy()) == 1
    read = keras.saving.load_model(tmp_path)
    assert [layer.name for layer in read.layers] == ["hidden", "norm", "out"]


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="`save_freq` must be 'epoch' or a number of batches"):
        callbacks.OrbaxCheckpoint("runs", save_freq="often")
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'cornu\[orbax\]'"):
        callbacks.OrbaxCheckpoint("runs")
