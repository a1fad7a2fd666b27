"""The engine of `examples/engines/tinygrad`, found as an installed package's would be.

It runs on tinygrad's CPU device where clang is, else on its interpreter. The suite's windows (20 s to
compile) and its training models (a minute) are left to `python -m cornu.testing.conformance tinygrad`:
a dense model is trained here, and a convolutional one predicts.
"""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import engines, layers, models
from cornu.testing import conformance
from cornu.testing.primitives import ROWS

PACKAGE = Path(__file__).parents[2] / "examples" / "engines" / "tinygrad"
WINDOWS = {"conv", "conv_transpose", "max_pool", "average_pool"}
HELD_ELSEWHERE = {"primitives", "training"}


def installed(folder: Path) -> None:
    """What pip leaves of the example in a folder: its metadata, beside a path to the module."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = ["[cornu.engines]", *map(" = ".join, project["entry-points"]["cornu.engines"].items())]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: Any) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("site")
    installed(folder)
    with pytest.MonkeyPatch.context() as patch:
        if "DEV" not in os.environ and shutil.which("clang") is None:
            patch.setenv("DEV", "PYTHON")
        patch.setattr(sys, "path", [str(folder), str(PACKAGE), *sys.path])
        yield engines.get("tinygrad")
        engines._loaded.pop(("tinygrad", True))


def test_it_is_found_by_its_entry_point(engine: Any) -> None:
    assert "tinygrad" in engines.names() and "tinygrad" not in engines.BUILTIN
    assert type(engine).__module__ == "cornu_tinygrad"
    with cornu.backend.use("tinygrad"):
        assert type(cornu.ops.ones(2)).__module__.startswith("tinygrad")


@pytest.mark.parametrize("title", sorted(conformance.GROUPS.keys() - HELD_ELSEWHERE))
def test_conformance(engine: Any, title: str) -> None:
    results = list(conformance.run(engine, [title]))
    assert results
    assert not [f"{r.name}: {r.error}" for r in results if r.error is not None]


@pytest.mark.parametrize("name", sorted(ROWS.keys() - WINDOWS))
def test_primitive(engine: Any, name: str) -> None:
    for row in ROWS[name]:
        row.check(engine)


def on_each(run: Callable[[], Any]) -> list[Any]:
    """What a function gives on tinygrad and on NumPy, from one seed."""
    results = []
    for name in ("tinygrad", "numpy"):
        with cornu.backend.use(name):
            cornu.utils.set_random_seed(7)
            results.append(run())
    return results


def test_a_model_learns_as_it_does_on_numpy(engine: Any) -> None:
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    y = (x.sum(1) > 0).astype("int32")

    def trained() -> tuple[list[float], Any, str]:
        model = models.Sequential(
            [layers.Input((4,)), layers.Dense(8, "tanh"), layers.Dropout(0.2), layers.Dense(2)]
        )
        loss = cornu.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(cornu.optimizers.Adam(0.05), loss)
        history = model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        return history.history["loss"], model.predict(x, verbose=0), type(model.weights[0].value)

    (losses, predicted, kind), (expected, reference, _) = on_each(trained)
    assert kind.__module__.startswith("tinygrad")
    assert losses[1] < losses[0]
    np.testing.assert_allclose(losses, expected, 1e-4)
    np.testing.assert_allclose(predicted, reference, 1e-3, 1e-4)


def test_a_convolutional_model_predicts_as_on_numpy(engine: Any) -> None:
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype("float32")

    def predicted() -> Any:
        pooling = [layers.MaxPooling2D(2), layers.Conv2D(2, 2), layers.AveragePooling2D(2)]
        convolution = layers.Conv2D(4, 3, padding="same", activation="relu")
        model = models.Sequential([layers.Input((8, 8, 2)), convolution, *pooling])
        return model.predict(x, verbose=0)

    np.testing.assert_allclose(*on_each(predicted), 1e-5, 1e-5)
