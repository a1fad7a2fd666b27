"""Methods beside each other, and what a file's bytes are spent on."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, optimization

PAGE = Path(__file__).parents[2] / "docs" / "optimization.md"
#: The examples of the guide but the first, which is `test_every_method_is_measured`.
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1:]


def blobs() -> tuple[Any, Any]:
    """Three kinds of points, which lie apart."""
    y = np.arange(96) % 3
    x = np.random.default_rng(0).normal(0, 0.1, (96, 48)) + np.eye(3).repeat(16, 1)[y]
    return x.astype("float32"), y


class Halves(cornu.utils.PyDataset):
    """They, in two batches."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        x, y = blobs()
        return x[index::2], y[index::2]


@pytest.fixture(scope="module")
def trained() -> Any:
    cornu.utils.set_random_seed(0)
    model = cornu.Sequential(
        [layers.Input((48,)), layers.Dense(64, "relu"), layers.Dense(3, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*blobs(), epochs=5, verbose=0)
    return model


def test_every_method_is_measured(trained: Any, tmp_path: Path) -> None:
    before = trained.get_weights()
    found = optimization.report(trained, blobs(), epochs=2)
    assert list(found.rows) == list(optimization.METHODS)
    float32 = found.rows["float32"]
    for name, row in found.rows.items():
        assert row.scores["accuracy"] >= 0.95, name
        assert row.zipped < float32.zipped or name == "float32", name
    assert (
        found.rows["int4"].size
        < found.rows["int8"].size
        < found.rows["float16"].size
        < float32.size
    )
    assert all(map(np.array_equal, trained.get_weights(), before))
    lines = str(found).splitlines()
    assert found.processor in lines[0]
    assert sum(name in line for name in found.rows for line in lines) >= len(found.rows)
    found.plot(tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("code", EXAMPLES, ids=[code.splitlines()[0] for code in EXAMPLES])
def test_an_example_of_the_guide_runs(
    code: str, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = blobs()
    model = copy.deepcopy(trained)
    known = {"cornu": cornu, "optimization": optimization, "model": model, "x": x, "y": y}
    exec(code, known)
    if "Ternary" in known:
        assert {len(np.unique(layer.kernel)) for layer in model.layers} == {3}
        again = cornu.saving.load_model("ternary.keras")
        outputs = (each.predict(x, verbose=0) for each in (again, model))
        np.testing.assert_allclose(*outputs, atol=1e-5)


def test_what_a_report_needs(trained: Any) -> None:
    with pytest.raises(
        ValueError, match="`method` must be one of .*'int8'.* Received: method='int3'"
    ):
        optimization.report(trained, blobs(), methods=["int3"])
    pruned = optimization.prune_low_magnitude(cornu.models.clone_model(trained))
    with pytest.raises(ValueError, match="smaller. Received: .*/kernel' has a Mask already"):
        optimization.report(pruned, blobs())


def test_what_fit_takes_is_reported_on(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs()
    for data in ((x, y, np.ones(96)), Halves()):
        assert list(optimization.report(trained, data, methods="pruned", epochs=1).rows) == [
            "float32",
            "pruned",
        ]
    with pytest.raises(ValueError, match="2 arrays"):
        optimization.report(trained, ([x, x], y), methods="pruned")
    plain = cornu.models.clone_model(trained)
    plain.compile("sgd", "mse")
    monkeypatch.setattr(type(trained), "fit", None)  # nothing is trained in vain
    with pytest.raises(ValueError, match="compiled with metrics"):
        optimization.report(plain, blobs())


def test_sizes_of_a_file(trained: Any, tmp_path: Path) -> None:
    trained.export(tmp_path / "model.onnx", quantize="int4", verbose=False)
    found = optimization.size_report(tmp_path / "model.onnx")
    assert found.bytes == (tmp_path / "model.onnx").stat().st_size
    kinds = {
        part.name.partition(":")[0].split("/")[-1]: part
        for part in found.parts
        if part.dtype == "int4"
    }
    assert kinds["kernel"].bytes in (64 * 3 // 2, 48 * 64 // 2)
    assert "int4" in str(found) and f"{found.bytes:,}" in str(found)
    more = {"quantize": "int8", "representative_data": blobs()[0]}
    for name, options in {"int8": more, "outside": {"external_data": True}}.items():
        trained.export(tmp_path / f"{name}.onnx", verbose=False, **options)
        found = optimization.size_report(tmp_path / f"{name}.onnx")
        assert all(part.bytes for part in found.parts)
        assert found.bytes >= sum(part.bytes for part in found.parts)
    trained.save_weights(tmp_path / "model.weights.h5")
    assert optimization.size_report(tmp_path / "model.weights.h5").parts == ()


@pytest.mark.parametrize(("mode", "share"), [("int8", 4), ("int4", 8), ("float8", 1)])
def test_what_codes_consist_of(trained: Any, mode: str, share: int) -> None:
    model = cornu.models.clone_model(trained)
    before = optimization.sparsity_report(model)
    model.quantize(mode)
    found = optimization.sparsity_report(model)
    assert [row.path for row in found.rows] == [row.path for row in before.rows]
    assert [row.shape for row in found.rows] == [row.shape for row in before.rows]
    assert found.rows[0].bytes == before.rows[0].bytes // share
