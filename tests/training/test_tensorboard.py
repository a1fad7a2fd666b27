"""TensorBoard: files of events without TensorFlow, as TensorBoard's own reader reads them."""

from __future__ import annotations

import gzip
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.util.tensor_util import make_ndarray

import cornu
from cornu import callbacks, layers

X, Y = np.arange(64).reshape(16, 4) % 10, np.arange(16) % 2


def net() -> Any:
    stack = [layers.Embedding(10, 3, name="words"), layers.Flatten(), layers.Dense(2, name="head")]
    model = cornu.Sequential([cornu.Input((4,), dtype="int32", name="text"), *stack], name="net")
    loss = cornu.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def written(run: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of each tag, by step, and what shows it."""
    reader = EventAccumulator(str(run), size_guidance={"tensors": 0})
    reader.Reload()
    tags = reader.Tags()["tensors"]
    values = {
        tag: [(one.step, make_ndarray(one.tensor_proto)) for one in reader.Tensors(tag)]
        for tag in tags
    }
    return values, {tag: reader.SummaryMetadata(tag).plugin_data.plugin_name for tag in tags}


def test_scalars_are_those_of_keras(tmp_path: Path) -> None:
    """Tags and steps are Keras's; values are those of the logs."""
    board = callbacks.TensorBoard(tmp_path, update_freq=3, write_steps_per_second=True)
    model = net()
    fit = {"batch_size": 4, "validation_data": (X, Y), "verbose": 0}
    history = model.fit(X, Y, epochs=2, callbacks=[board], **fit).history
    train, plugins = written(tmp_path / "train")
    validation, _ = written(tmp_path / "validation")
    steps = {tag: [step for step, _ in found] for tag, found in train.items() if "__" not in tag}
    epochs, batches = [0, 1], [3, 6]
    assert steps == {
        **dict.fromkeys(("epoch_loss", "epoch_accuracy", "epoch_learning_rate"), epochs),
        **dict.fromkeys(("batch_loss", "batch_accuracy", "batch_steps_per_second"), batches),
        "epoch_steps_per_second": epochs,
    }
    assert {plugins[tag] for tag in steps} == {"scalars"}
    for tag, found in {"loss": train, "val_loss": validation}.items():
        values = [float(value) for _, value in found["epoch_loss"]]
        assert values == pytest.approx(history[tag], rel=1e-6)
    assert [s for s, _ in validation["evaluation_loss_vs_iterations"]] == [4, 8]
    model.evaluate(X, Y, callbacks=[board], verbose=0)
    assert len(written(tmp_path / "validation")[0]["evaluation_accuracy_vs_iterations"]) == 3


def test_weights_and_the_graph(tmp_path: Path) -> None:
    metadata = tmp_path / "names.tsv"
    board = callbacks.TensorBoard(
        tmp_path / "logs",
        histogram_freq=1,
        write_images=True,
        embeddings_freq=1,
        embeddings_metadata={"words": metadata},
        profile_batch="2,3",
    )
    model = net()
    before = model.get_weights()
    model.fit(X, Y, batch_size=4, epochs=1, callbacks=[board], verbose=0, shuffle=False)
    values, plugins = written(tmp_path / "logs" / "train")
    (weight,) = [w for w in model.weights if w.path.endswith("head/kernel")]
    ((_, buckets),) = values[f"{weight.path}/histogram"]
    assert buckets.shape == (30, 3) and buckets[:, 2].sum() == math.prod(weight.shape)
    assert (buckets[0, 0], buckets[-1, 1]) == pytest.approx(
        (weight.numpy().min(), weight.numpy().max())
    )
    ((_, (width, height, picture)),) = values[f"{weight.path}/image"]
    assert (width, height, picture[:8]) == (b"12", b"2", b"\x89PNG\r\n\x1a\n")
    graph = GraphDef.FromString(values["__run_graph__"][0][1].item())
    found = {node.name: (node.op, list(node.input)) for node in graph.node}
    assert found["words"] == ("Embedding", ["input"]) and found["head"] == ("Dense", ["flatten"])
    folder = tmp_path / "logs" / "train"
    rows = np.loadtxt(folder / "words.tsv")
    np.testing.assert_allclose(rows, model.layers[0].embeddings.numpy(), rtol=1e-5)
    assert f'metadata_path: "{metadata}"' in (folder / "projector_config.pbtxt").read_text()
    # What is profiled leaves nothing behind.
    assert "| layer | type | forward ms |" in values["profile"][0][1].item().decode()
    (trace,) = (tmp_path / "logs" / "plugins" / "profile").glob("*/*.trace.json.gz")
    assert json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    plain = net()
    plain.set_weights(before)
    plain.fit(X, Y, batch_size=4, epochs=1, verbose=0, shuffle=False)
    for one, two in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_pictures_are_what_they_show(tmp_path: Path) -> None:
    """Grey, red, green and blue, with transparency, as Pillow reads them."""
    from io import BytesIO

    from PIL import Image

    from cornu.callbacks._events import _png

    for channels in (1, 3, 4):
        pixels = np.arange(2 * 3 * channels, dtype="uint8").reshape(2, 3, channels)
        read = np.asarray(Image.open(BytesIO(_png(pixels))))
        np.testing.assert_array_equal(read.reshape(pixels.shape), pixels)


def test_nothing_of_tensorflow_is_loaded(tmp_path: Path) -> None:
    code = f"""
import sys, numpy as np, cornu
model = cornu.Sequential([cornu.layers.Dense(1)])
model.compile("sgd", "mse")
board = cornu.callbacks.TensorBoard({str(tmp_path)!r}, histogram_freq=1, write_images=True)
board.summary.text("note", "hello", 0)
model.fit(np.ones((4, 2)), np.ones(4), callbacks=[board], verbose=0)
print("tensorflow" in sys.modules)
"""
    environment = {**os.environ, "CORNU_BACKEND": "numpy"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]
    assert written(tmp_path / "train")[0]["note"][0][1].item() == b"hello"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile_batch": -1}, "`profile_batch` must be a step, the first and the last one"),
        ({"profile_batch": (3, 2)}, r"Received: profile_batch=\(3, 2\)"),
        ({"profile_batch": "first"}, "profile_batch='first'"),
        ({"update_freq": "never"}, "`update_freq` must be 'epoch', 'batch' or a number"),
        ({"update_freq": 0}, "update_freq=0"),
        (
            {"embeddings_freq": 1, "embeddings_metadata": {"head": "x"}},
            r"\['head'\]; the model has",
        ),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        net().fit(X, Y, callbacks=[callbacks.TensorBoard(tmp_path, **arguments)], verbose=0)


def test_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cornu.callbacks._events.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'cornu\[tensorboard\]'"):
        callbacks.TensorBoard()
