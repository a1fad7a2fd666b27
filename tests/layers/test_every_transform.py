"""Every transform on every layer with kernels: trained, as with the transformed weights baked in, on another engine, in
files, as a config, and stripped."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import optimization
from cornu.core import tree
from cornu.core.transforms import Transform
from tests.engines_tested import ENGINES
from tests.layers.rows import ROWS
from tests.layers.test_table import assert_close, drawn, host, made

TRANSFORMS: dict[str, Callable[[], Transform]] = {
    "mask": lambda: optimization.Mask(optimization.ConstantSparsity(0.5, 0, frequency=1)),
    "cluster": lambda: optimization.Cluster(3, "linear"),
    "fake quantization": lambda: optimization.LastValueQuantizer(4, symmetric=True),
    "low rank": lambda: optimization.LowRank(1, b_initializer="ones"),
    "dora": lambda: optimization.LowRank(1, b_initializer="ones", dora=True),
}
#: Of each the first row of the table of layers.
LAYERS = (
    "Dense EinsumDense Embedding ReversibleEmbedding PReLU Conv1D Conv2D Conv2DTranspose DepthwiseConv2D "
    "SeparableConv2D SimpleRNN LSTM GRU Bidirectional ConvLSTM2D TimeDistributed MultiHeadAttention GroupQueryAttention"
).split()
#: Those that have the code of one above, for another number of axes: by value and by product.
OTHERS = "Conv3D Conv1DTranspose Conv3DTranspose DepthwiseConv1D SeparableConv1D ConvLSTM1D ConvLSTM3D".split()
#: Those that run on the engines beside PyTorch, on which a call compiles nothing.
EVERYWHERE = ("Dense", "Conv2D", "Embedding")
CASES = [
    (name, engine, transform)
    for name in (*LAYERS, *OTHERS)
    for engine in ENGINES
    for transform in TRANSFORMS
    if engine == "torch" or (name in EVERYWHERE and engine != "pytensor")
    if name in LAYERS or transform in ("mask", "low rank")
]


class Holder(cornu.Model):
    """A layer with the arguments of its calls."""

    def __init__(self, layer: Any, call: dict[str, Any]) -> None:
        super().__init__()
        self.layer, self._called_with = layer, call

    def call(self, x: Any) -> Any:
        return self.layer(x, **self._called_with)


def built(name: str) -> tuple[Holder, Any]:
    row = next(row for row in ROWS if row.layer == name)
    model, x = Holder(made(row, cornu), drawn(row.call, 50)), drawn(row.inputs)
    model(x)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    return model, x


def step(model: Holder, x: Any) -> None:
    """One step of training, which moves something."""
    own = model.trainable_variables
    before = [v.numpy() for v in own]

    def loss() -> Any:
        outputs = tree.flatten(model(x, training=True))
        return cornu.ops.sum(cornu.ops.square(cornu.ops.add(outputs[0], 0.5)))

    _, gradients = cornu.value_and_grad(loss, own)()
    assert all(gradient is not None for gradient in gradients)
    cornu.optimizers.SGD(0.01).apply(gradients, own)
    assert any(not np.array_equal(a, v.numpy()) for a, v in zip(before, own, strict=True))


@pytest.mark.parametrize(("name", "engine", "transform"), CASES)
def test_every_transform(name: str, engine: str, transform: str, tmp_path: Path) -> None:
    with cornu.backend.use(engine):
        model, x = built(name)
        plain, _ = built(name)
        for part in model._flatten_layers():
            for kernel in part._transformable():
                if len(kernel.shape) > 1 and kernel.trainable and kernel.name != "bias":
                    part.add_transform(kernel, TRANSFORMS[transform]())
        assert len(model.weights) > len(plain.weights) or transform == "fake quantization"
        step(model, x)
        own = [v for part in model._flatten_layers() for v in part._transformable()]
        read = {v.path: host(v.effective())[0] for v in own}
        plain.set_weights([read[v.path] for v in model.weights if v.path in read])
        expected = host(plain(x))
        assert_close(model(x), expected, 1e-4)
        with cornu.backend.use("numpy" if engine == "torch" else "torch"):
            assert_close(model(x), expected, 1e-4)
        described, _ = built(name)
        for one, other in zip(model._flatten_layers(), described._flatten_layers(), strict=True):
            other.transform_from_config(one.get_transforms_config())
        assert [v.shape for v in described.weights] == [v.shape for v in model.weights]
        again = copy.deepcopy(model)
        model.save_weights(tmp_path / "model.weights.h5")
        for variable in again.weights:
            variable.assign(np.zeros(variable.shape))
        again.load_weights(tmp_path / "model.weights.h5")
        assert_close(again(x), expected, 1e-4)
        model.strip_transforms()
        assert [v.shape for v in model.weights] == [v.shape for v in plain.weights]
        assert_close(model(x), expected, 1e-4)
