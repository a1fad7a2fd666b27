"""Models that Keras 2 and Keras 1 wrote load, predict and train on as they did there."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import saving
from cornu.core import tree
from tests.saving.models import REGISTERED

ARCHIVE = zipfile.ZipFile(Path(__file__).parent / "keras2.zip")
FILES = sorted(name for name in ARCHIVE.namelist() if name.endswith((".h5", ".keras")))
WHOLE = [name for name in FILES if "alone" not in name]
for register in REGISTERED:
    register(cornu)


def extracted(name: str, folder: Path) -> Path:
    return Path(ARCHIVE.extract(name, folder))


def arrays(name: str) -> tuple[list[Any], list[Any], list[Any]]:
    """Inputs, what the model of a file predicts, and what it does after one more step."""
    found = np.load(io.BytesIO(ARCHIVE.read(f"{name.partition('.')[0]}.npz")))
    x, y, z = ([found[key] for key in sorted(found.files) if key[0] == kind] for kind in "xyz")
    return x, y, z


#: Of Nadam, Keras 2 takes the product of the momenta along once for each weight, and does not keep it.
LIMITS = {"trained_nadam": 1e-3}


def check(model: Any, inputs: list[Any], expected: list[Any], limit: float = 1e-6) -> None:
    """That a model predicts the same, up to a share of the largest value."""
    outputs = tree.flatten(model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0))
    assert len(outputs) == len(expected)
    for one, other in zip(outputs, expected, strict=True):
        share = 1e-3 if one.dtype == "float16" else limit
        near = share * max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(np.asarray(one, "float32"), other, rtol=0, atol=near)


@pytest.mark.parametrize(
    ("name", "engine"),
    [(name, "jax") for name in WHOLE if name.endswith(".keras") or "trained" in name]
    + [(name, "torch") for name in WHOLE if name.endswith(".h5") or "trained" not in name],
)
def test_models_of_keras_2(name: str, engine: str, tmp_path: Path) -> None:
    inputs, expected, later = arrays(name)
    with cornu.backend.use(engine):
        model = saving.load_model(extracted(name, tmp_path))
        check(model, inputs, expected)
        assert (model.optimizer is not None) == bool(later)
        if later:
            model.train_on_batch(inputs[0], np.zeros((8, 2), "float32"))
            check(model, inputs, later, LIMITS.get(name.partition(".")[0], 1e-6))
