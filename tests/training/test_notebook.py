"""Progress in a real notebook, which nbclient runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

CODE = """
import time
import numpy as np
import cornu
from cornu import layers

cornu.utils.set_random_seed(1)
model = cornu.Sequential([layers.Dense(1)])
model.compile("sgd", "mse")
x = np.ones((64, 2), "float32")
with cornu.backend.use("numpy"):
    slow = cornu.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.15))
    history = model.fit(x, x[:, 0], epochs=2, validation_data=(x, x[:, 0]), callbacks=[slow])
    model.evaluate(x, x[:, 0])
"""


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the cell has shown in the end."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("JUPYTER_PATH", str(Path(sys.prefix, "share", "jupyter")))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
    NotebookClient(notebook, timeout=120).execute()
    return list(notebook.cells[0].outputs)


def test_a_notebook_keeps_one_line_an_epoch(outputs: list[Any]) -> None:
    """The line is drawn in its place; what stays has no control codes."""
    texts = [output.data["text/plain"] for output in outputs]
    bar, time, losses = "━" * 20, r"2/2 \ds \d+[mu]s/step [\d,]+ samples/s", r"loss: \d+\.\d{4}"
    for epoch, text in enumerate(texts[:2], start=1):
        assert re.fullmatch(f"Epoch {epoch}/2 {bar} {time} - {losses} - val_{losses}", text)
    assert re.fullmatch(rf"{bar} {time}( - \d+% waiting for data)? - {losses}", texts[2])
    assert len(texts) == 3 and all("<pre" in output.data["text/html"] for output in outputs)
