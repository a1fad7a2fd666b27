"""The file editor: what it shows, compares and changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import layers
from cornu.saving import KerasFileEditor


def make(k: Any, width: int = 3) -> Any:
    inner = k.Sequential([k.layers.Dense(2)], name="inner")
    return k.Sequential([k.Input((4,)), k.layers.Dense(width, name="one"), inner])


@pytest.fixture
def editor(tmp_path: Path) -> KerasFileEditor:
    make(cornu).save(tmp_path / "a.keras")
    return KerasFileEditor(tmp_path / "a.keras")


def test_summary(editor: KerasFileEditor, capsys: pytest.CaptureFixture[str]) -> None:
    editor.summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-10:] == [
        "Weights structure",
        "└── layers",
        "    ├── dense",
        "    │   ├── 0: shape=(4, 3), dtype=float32",
        "    │   └── 1: shape=(3,), dtype=float32",
        "    └── sequential",
        "        └── layers",
        "            └── dense",
        "                ├── 0: shape=(3, 2), dtype=float32",
        "                └── 1: shape=(2,), dtype=float32",
    ]
    assert "Saved with Keras 3.15.1 - date: " in "".join(lines)


def test_compare(editor: KerasFileEditor, capsys: pytest.CaptureFixture[str]) -> None:
    same = editor.compare(make(cornu))
    assert same == {"status": "success", "error_count": 0, "match_count": 4}
    other = editor.compare(make(cornu, width=5))
    assert other == {"status": "error", "error_count": 3, "match_count": 1}
    flat = cornu.Sequential([cornu.Input((4,)), layers.Dense(3, use_bias=False), layers.Dense(2)])
    capsys.readouterr()
    editor.compare(flat)
    assert capsys.readouterr().out.splitlines() == [
        "...Weight layers/dense/1 is in the file and not in the model.",
        "...Object 'layers/dense_1' is in the model, with ['0', '1'], and not in the file.",
        "...Object 'layers/sequential/layers/dense' is in the file, with ['0', '1'], and not in the "
        "model.",
        "Found 3 errors: the file is not compatible with the reference model.",
    ]


def test_states_of_draws_are_kept_and_not_compared(editor: KerasFileEditor, tmp_path: Path) -> None:
    drawing = make(cornu)
    drawing.add(layers.Dropout(0.5, seed=3))
    assert editor.compare(drawing)["status"] == "success"
    drawing.save_weights(tmp_path / "a.weights.h5")
    drawn = KerasFileEditor(tmp_path / "a.weights.h5")
    assert drawn.compare(make(cornu))["status"] == "success"
    drawn.save(tmp_path / "b.weights.h5")
    drawing.layers[-1].seed_generator.state.assign([5, 5])
    drawing.load_weights(tmp_path / "b.weights.h5")
    assert drawing.layers[-1].seed_generator.state.numpy().tolist() == [3, 0]


@pytest.mark.parametrize("ending", [".weights.h5", ".weights.json", ".safetensors"])
def test_each_format_is_opened_and_saved(ending: str, tmp_path: Path) -> None:
    model, fresh = make(cornu), make(cornu)
    model.save_weights(tmp_path / f"a{ending}", max_shard_size=1 if "json" in ending else None)
    editor = KerasFileEditor(tmp_path / f"a{ending}")
    assert editor.compare(model) == {"status": "success", "error_count": 0, "match_count": 4}
    for name in (f"b{ending}", "c.safetensors") if "json" not in ending else ("b.weights.h5",):
        editor.save(tmp_path / name)
        fresh.load_weights(tmp_path / name)
        np.testing.assert_array_equal(fresh.get_weights()[0], model.get_weights()[0])


def test_edited_weights_load_into_the_model_they_then_fit(
    editor: KerasFileEditor, tmp_path: Path
) -> None:
    kernel = np.ones((2, 2), "float32")
    editor.rename_object("sequential", "dense_1x")
    editor.rename_object("layers/dense_1x/layers/dense", "moved")
    moved = editor.weights_dict["layers/dense_1x/layers/moved"]
    editor.delete_object("dense_1x")
    editor.add_object("layers/dense_1", moved)
    editor.add_object("layers/dense_2", {"0": kernel, "1": np.zeros(2), "extra": np.zeros(1)})
    editor.delete_weight("dense_2", "extra")
    editor.add_weights("layers/dense_2", {"1": np.full(2, 7.0, "float32")})
    path = tmp_path / "b.weights.h5"
    editor.save(path)
    for k in (cornu, keras):
        la = k.layers
        model = k.Sequential([k.Input((4,)), la.Dense(3), la.Dense(2), la.Dense(2)])
        model.load_weights(path)
        np.testing.assert_array_equal(np.asarray(model.layers[2].get_weights()[0]), kernel)
        np.testing.assert_array_equal(np.asarray(model.layers[2].get_weights()[1]), [7.0, 7.0])
    assert KerasFileEditor(path).weights_dict.keys() == editor.weights_dict.keys()


def test_refused(editor: KerasFileEditor, tmp_path: Path) -> None:
    for call, message in (
        (lambda: editor.rename_object("dense", "x"), "which fits .'layers/dense', 'layers/seq"),
        (lambda: editor.delete_object("nowhere"), "which fits none. There are"),
        (lambda: editor.rename_object("layers/dense", "sequential"), "must be free"),
        (lambda: editor.add_object("away/dense", {}), "below one that there is"),
        (lambda: editor.delete_weight("layers/dense", "9"), r"which has \['0', '1'\]"),
        (lambda: editor.save(tmp_path / "a.keras"), "saves weights, in `.weights.h5` and"),
        (
            lambda: KerasFileEditor("a.txt"),
            "opens `.keras` and `.weights.h5` and `.safetensors` files",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(FileNotFoundError, match=r"Did you mean 'a\.keras'"):
        KerasFileEditor(tmp_path / "aa.keras")
