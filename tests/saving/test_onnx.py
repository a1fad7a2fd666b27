"""ONNX files that others wrote, read as models: numbers, training, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import engines, layers
from cornu.core import tree
from cornu.engines.onnxruntime import open_session
from cornu.saving import load_model
from tests.saving.torch_networks import NETWORKS, exported


def ran(path: str, inputs: dict[str, Any]) -> list[np.ndarray]:
    """What ONNX Runtime gives."""
    session = open_session(path, threads=1)
    return session.run(None, {value.name: inputs[value.name] for value in session.get_inputs()})


def given(model: Any, inputs: dict[str, Any]) -> list[np.ndarray]:
    """What a model gives for inputs by name."""
    outputs = model.predict(inputs if len(inputs) > 1 else next(iter(inputs.values())), verbose=0)
    return tree.flatten(outputs)


def assert_same(found: Any, wanted: Any) -> None:
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, two, 1e-4, 1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_pytorch(name: str, tmp_path: Path) -> None:
    """The same numbers; it trains, is saved, and exported again."""
    path, inputs = exported(name, tmp_path), NETWORKS[name][1]
    with engines.use("numpy"):
        model = load_model(path)
        assert_same(given(model, inputs), ran(path, inputs))
        x = inputs if len(inputs) > 1 else next(iter(inputs.values()))
        y = np.array([0, 1, 2, 0])
        losses = cornu.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(cornu.optimizers.SGD(0.05), losses)
        before = model.evaluate(x, y, verbose=0)
        weights = [weight.numpy() for weight in model.trainable_weights]
        model.fit(x, y, verbose=0)
        assert model.evaluate(x, y, verbose=0) < before
        pairs = zip(model.trainable_weights, weights, strict=True)
        moved = [not np.array_equal(weight.numpy(), old) for weight, old in pairs]
        assert (
            np.mean(moved) > 0.9
        )  # but a key's bias, what the last step of time has of the one before
        wanted = given(model, inputs)
        model.save(tmp_path / "again.keras")
        assert_same(given(load_model(tmp_path / "again.keras"), inputs), wanted)
        model.export(tmp_path / "again.onnx", verbose=False)
        assert_same(ran(str(tmp_path / "again.onnx"), inputs), wanted)


def test_layers_and_their_names(tmp_path: Path) -> None:
    with engines.use("numpy"):
        found = {
            layer.name: type(layer) for layer in load_model(exported("mobilenet", tmp_path)).layers
        }
    assert found["squeeze"] is layers.Conv2D
    assert found["classifier.1"] is layers.Dense
    assert layers.DepthwiseConv2D in found.values()
