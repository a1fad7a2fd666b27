"""On PyTorch: fast formulations give what the plain ones give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers
from cornu.engines import get, use
from tests.engines import fast
from tests.engines_tested import ENGINES

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif("torch" not in ENGINES, reason="another engine is tested")

ROWS = [
    *fast.batch_rows(),
    *fast.layer_rows(),
    *fast.attention_rows(),
    *fast.recurrent_rows(),
]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_overrides_equal_default_bodies(row: fast.Row, compiled: bool) -> None:
    fast.agree("torch", row, compiled)


@pytest.mark.parametrize(
    ("shape", "order"), [((3, 3, 2, 4), (3, 0, 1, 2)), ((3, 2, 2, 2, 4), (4, 0, 1, 2, 3))]
)
def test_kernels_lie_in_memory_as_onednn_reads_them(
    shape: tuple[int, ...], order: tuple[int, ...]
) -> None:
    engine = get("torch")
    value = np.random.default_rng(0).normal(size=shape).astype("float32")
    container = engine.container(engine.convert_to_tensor(value), True)
    for _ in range(2):
        assert container.detach().permute(order).is_contiguous()
        np.testing.assert_array_equal(engine.convert_to_numpy(container), value)
        container = engine.write(container, engine.convert_to_tensor(value))


def convolutional() -> Any:
    """A small residual network with every kind of layer that a recording treats apart."""
    x = inputs = cornu.Input((8, 8, 3))
    for stride in (1, 2):
        y = layers.Conv2D(4, 3, strides=stride, padding="same", use_bias=False)(x)
        y = layers.BatchNormalization(momentum=0.9)(y)
        y = layers.DepthwiseConv2D(3, padding="same")(layers.ReLU()(y))
        shortcut = layers.Conv2D(4, 1, strides=stride)(x)
        x = layers.MaxPooling2D(3, strides=1, padding="same")(layers.Add()([shortcut, y]))
    x = layers.Conv2DTranspose(3, 2, strides=2)(x)
    return cornu.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


def attending() -> Any:
    """A decoder's block over embedded tokens."""
    inputs = cornu.Input((6,), dtype="int32")
    x = layers.Embedding(11, 8)(inputs)
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)
    x = x + layers.Dense(8)(layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x)))
    return cornu.Model(inputs, layers.Dense(2)(layers.LSTM(5)(x)))


OPTIMIZERS: dict[str, Any] = {
    "adam": cornu.optimizers.Adam,
    "amsgrad": lambda: cornu.optimizers.Adam(amsgrad=True, clipnorm=1.0),
    "decayed": lambda: cornu.optimizers.AdamW(ema_momentum=0.9, use_ema=True),
    "sgd": cornu.optimizers.SGD,
    "nesterov": lambda: cornu.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "rmsprop": lambda: cornu.optimizers.RMSprop(momentum=0.5, centered=True),
    "accumulating": lambda: cornu.optimizers.Adam(gradient_accumulation_steps=2),
    "lion": cornu.optimizers.Lion,
}


@pytest.mark.parametrize("build", [convolutional, attending])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_recorded_step_trains_as_the_eager_one(
    build: Any, optimizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(1)
    images, tokens = generator.normal(size=(12, 8, 8, 3)), generator.integers(0, 11, (12, 6))
    x = images.astype("float32") if build is convolutional else tokens.astype("int32")
    y = generator.integers(0, 2, 12).astype("int32")
    found = []
    with use("torch"):
        for eager in (True, False):
            if not eager:  # a step that can't be recorded would run so
                monkeypatch.delattr("cornu.engines.torch.graph.RecordedStep._run")
            cornu.utils.set_random_seed(2)
            model = build()
            loss = cornu.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(OPTIMIZERS[optimizer](), loss, run_eagerly=eager)
            model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
            found.append(model.get_weights())
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


def test_what_is_written_in_place_is_made_at_each_call_and_other_constants_once() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    from cornu.engines.torch.graph import _fixed, _replay

    def step(x: Any) -> Any:
        counted = torch.zeros(3)
        counted.view(-1).add_(x)
        return [counted * torch.tensor(2.0)]

    module = make_fx(step, tracing_mode="fake")(torch.ones(3))
    kept = {str(getattr(node.target, "_opname", "")) for node in _fixed(module.graph)}
    call, _ = _replay(module, [torch.ones(3)], 0)
    assert "lift_fresh_copy" in kept and not kept & {"zeros", "view", "add_"}
    assert [call(torch.ones(3))[0].tolist() for _ in range(2)] == [[2.0] * 3] * 2


def test_gradients_of_rounding_are_written_over_those_they_come_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from cornu.engines.torch import graph

    written: list[str] = []

    def spy(name: str, xs: Any, keep: bool) -> Any:
        written.append(name)
        return write(name, xs, keep)

    write = graph.call_over
    monkeypatch.setattr(graph, "call_over", spy)
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype("float32")
    found = []
    with use("torch"):
        for eager in (True, False):
            cornu.utils.set_random_seed(3)
            model = cornu.Sequential(
                [cornu.Input((6, 6, 2)), layers.Conv2D(4, 3, activation="relu6")]
            )
            model.add(layers.Conv2D(3, 3, activation="relu"))
            model.add(layers.GlobalAveragePooling2D())
            cornu.optimization.quantize_model(model)
            model.compile("adam", "mse", run_eagerly=eager)
            model.fit(x, np.ones((8, 3), "float32"), batch_size=4, epochs=2, verbose=0)
            found.append(model.get_weights())
            assert set(written) == (set() if eager else {"_passed"})
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
