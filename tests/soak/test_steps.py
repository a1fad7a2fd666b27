"""A step of training of every layer of the table, as an ONNX graph that ONNX Runtime runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu import engines, layers, optimizers
from cornu.core import tree
from cornu.export._training import check_step, traced_learner
from tests.layers.rows import ROWS
from tests.ops.rows import A

pytestmark = pytest.mark.soak


class Scaled(layers.Layer):
    """A weight before each layer: gradients reach what it takes."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.factor


def model_of(row: Any) -> Any:
    """A model of a row's layer, with weights that are all different from zero."""
    inputs = []

    def entered(x: Any) -> Any:
        if not isinstance(x, A):
            return x
        inputs.append(cornu.Input(x.shape[1:], dtype=x.dtype))
        return Scaled()(inputs[-1]) if "float" in str(x.dtype) else inputs[-1]

    first, rest = tree.map_structure(entered, (row.inputs, list(row.call.values())))
    layer = getattr(layers, row.layer)(**row.arguments(layers))
    outputs = layer(first, **dict(zip(row.call, rest, strict=True)))
    generator = np.random.default_rng(3)
    for weight in layer.weights:
        weight.assign(generator.uniform(0.2, 1.0, weight.shape).astype(weight.dtype))
    return cornu.Model(inputs, [x for x in tree.flatten(outputs) if x is not None])


@pytest.mark.filterwarnings("ignore:There is nothing to train")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.layer)
def test_a_layer_trains_elsewhere(row: Any) -> None:
    generator = np.random.default_rng(0)
    with engines.use("numpy"):
        model = model_of(row)
        model.compile(optimizers.SGD(0.01), loss=["mse"] * len(model.outputs))
        shapes = [(4, *(7 if n is None else n for n in x.shape[1:])) for x in model.inputs]
        x = [
            generator.integers(0, 2, shape).astype(spec.dtype)
            if "int" in spec.dtype or spec.dtype == "bool"
            else generator.normal(size=shape).astype("float32")
            for shape, spec in zip(shapes, model.inputs, strict=True)
        ]
        outputs = tree.flatten(model.predict_on_batch(x if len(x) > 1 else x[0]))
        y = [np.zeros(output.shape, "float32") for output in outputs]
        examples = (x if len(x) > 1 else x[0], y if len(y) > 1 else y[0])
        learner = traced_learner(model, examples=examples)
        assert check_step(model, learner, learner.files(), examples)
