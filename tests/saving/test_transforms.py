"""Models with transforms: in files, copies, checkpoints and summaries they are all that they were."""

from __future__ import annotations

import copy
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import layers
from cornu.core.transforms import Transform
from cornu.optimization import LowRank
from cornu.saving._checkpoints import Checkpoints

RNG = np.random.default_rng(0)
X, Y = (RNG.normal(size=shape).astype("float32") for shape in ((8, 6, 4), (8, 1)))


class Scaled(Transform):
    """What is stored by a factor that is kept beside it, and is no part of a plain layer."""

    def __init__(self, start: float = 2.0) -> None:
        super().__init__()
        self.start = start

    def get_config(self) -> dict[str, Any]:
        return {"start": self.start}

    def build(self, owner: Any, variable: Any) -> None:
        self.factor = self.part("factor", (), np.float32(self.start))

    def value(self, stored: Any) -> Any:
        return stored * self.factor


def trained() -> Any:
    """A model that is trained with transforms on weights and outputs, LoRA merged on one of them."""
    first, last = layers.Conv1D(3, 2, name="first"), layers.Dense(1, name="last")
    model = cornu.Sequential([cornu.Input((6, 4)), first, layers.LSTM(3, name="middle"), last])
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.enable_lora(2, lora_alpha=3, dora=True, targets=["middle/*", "first/*"], alone=True)
    last.add_transform(last.kernel, Scaled())
    last.add_transform(last.kernel, LowRank(1))
    last.add_transform("outputs", Scaled(3.0))
    model.fit(X, Y, verbose=0)
    last.transforms[0][1].factor.assign(1.5)
    first.transforms[0][1].merge()
    model.compile("adam", "mse")  # anew, without what there was for what is merged
    model.fit(X, Y, verbose=0)
    return model


def through_a_file(model: Any, folder: Path) -> Any:
    model.save(folder / "model.keras")
    return cornu.models.load_model(folder / "model.keras", custom_objects={"Scaled": Scaled})


def through_a_checkpoint(model: Any, folder: Path) -> Any:
    written, again = Checkpoints(folder), trained()
    written.write(model, {}, 1, None)
    written.close()
    checkpoint = written.last()
    assert checkpoint is not None
    checkpoint.restore(again)
    return again


WAYS: dict[str, Callable[[Any, Path], Any]] = {
    "file": through_a_file,
    "checkpoint": through_a_checkpoint,
    "deepcopy": lambda model, folder: copy.deepcopy(model),
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
}


def state(model: Any) -> list[np.ndarray]:
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


@pytest.mark.parametrize("way", WAYS)
def test_comes_through_exactly(way: str, tmp_path: Path) -> None:
    model = trained()
    again = WAYS[way](model, tmp_path)
    for _ in range(2):
        for a, b in zip(state(model), state(again), strict=True):
            np.testing.assert_array_equal(a, b)
        names = [[v.name for v in m.trainable_variables] for m in (model, again)]
        assert names[0] == names[1]
        np.testing.assert_array_equal(model.predict(X, verbose=0), again.predict(X, verbose=0))
        for one in (model, again):  # and trains on as it would
            one.layers[0].unmerge_lora()
            one.fit(X, Y, verbose=0, shuffle=False)


def test_a_clone_has_the_transforms() -> None:
    model = trained()
    again = cornu.models.clone_model(model)
    assert [v.path for v in again.weights] == [v.path for v in model.weights]
    for one, other in zip(model._flatten_layers(), again._flatten_layers(), strict=True):
        assert one.get_transforms_config() == other.get_transforms_config()


def test_a_summary_lists_them() -> None:
    shown: list[str] = []
    trained().summary(print_fn=shown.append)
    for text in ("kernel (LowRank)", "lstm_cell/recurrent_kernel (LowRank)", "outputs (Scaled)"):
        assert text in shown[0]


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_products_beside_codes_are_new_codes_in_files(mode: str, tmp_path: Path) -> None:
    """As in Keras, whose files load here, and ours there; in a `.keras` file all is exact here."""
    x = X.reshape(-1, 4)
    for library, other in ((cornu, keras), (keras, cornu)):
        model = library.Sequential([library.Input((4,)), library.layers.Dense(5)])
        model.layers[0].quantize(mode)
        model.layers[0].enable_lora(2)
        model.layers[0].lora_kernel_b.assign(RNG.normal(size=(2, 5)))
        model.save(tmp_path / "model.keras")
        again, there = (lib.saving.load_model(tmp_path / "model.keras") for lib in (library, other))
        found, expected = np.asarray(there(x)), np.asarray(model(x))
        np.testing.assert_allclose(found, expected, atol=0.1 if mode == "int8" else 1.5)
        if library is cornu:
            np.testing.assert_array_equal(np.asarray(again(x)), expected)
        else:  # which has new codes by then
            np.testing.assert_allclose(found, np.asarray(again(x)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: {**config, "layers/nothing": {}}, "which is none"),
        (lambda config: {**config, "layers/dense": {"7": []}}, "something is missing"),
        (lambda config: {**config, "layers/dense": {"0": [{"class_name": "dict"}]}}, "Received"),
    ],
)
def test_files_that_say_something_else(change: Any, message: str, tmp_path: Path) -> None:
    trained().save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as old:
        files = {name: old.read(name) for name in old.namelist()}
    files["transforms.json"] = json.dumps(change(json.loads(files["transforms.json"]))).encode()
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as new:
        for name, content in files.items():
            new.writestr(name, content)
    with pytest.raises((ValueError, TypeError), match=message):
        cornu.models.load_model(tmp_path / "other.keras", custom_objects={"Scaled": Scaled})
