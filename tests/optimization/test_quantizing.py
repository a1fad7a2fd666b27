"""Quantization-aware training: ranges, where numbers are quantized, and what is trained by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops, optimization
from cornu.core.scopes import here, within
from cornu.optimization._choice import kernels
from cornu.optimization._weights import channel_axes
from tests.engines_tested import ENGINES
from tests.optimization.test_clustering import LAYERS, values_of

#: Those whose programs are cheap to make.
QUICK = [name for name in ENGINES if name in ("torch", "numpy")]


def quantized(x: np.ndarray, low: Any, high: Any, bits: int = 8, narrow: bool = False) -> Any:
    """The nearest of the numbers between two ends, 0 among them."""
    steps = 2**bits - 1 - narrow
    scale = (high - low) / steps
    zero = np.clip(np.round(-low / scale), 0, steps)
    return (np.clip(np.floor(x / scale + zero + 0.5), 0, steps) - zero) * scale


def per_channel(kernel: np.ndarray, axes: tuple[int, ...], bits: int = 8) -> Any:
    over = tuple(axis for axis in range(kernel.ndim) if axis not in axes)
    most = np.abs(kernel).max(over, keepdims=True)
    return quantized(kernel, -most, most, bits, narrow=True)


@pytest.mark.parametrize(
    ("engine", "row"),
    [*((name, 3) for name in ENGINES), *(("numpy", i) for i in range(len(LAYERS)))],
)
def test_weights(engine: str, row: int) -> None:
    """They read as the nearest numbers of their channel's range as they are, wherever the channels lie."""
    make, shape, axes = LAYERS[row]
    with cornu.backend.use(engine):
        layer = make()
        layer.build((None, *shape))
        for part in layer._flatten_layers():
            for kernel in kernels(part):
                quantizer = optimization.LastValueQuantizer(3, True, True, True)
                part.add_transform(kernel, quantizer)
                for factor in (1.0, 4.0):
                    kernel.assign(kernel.numpy() * factor)
                    want = per_channel(kernel.numpy(), axes[kernel.name], 3)
                    got = ops.convert_to_numpy(kernel.effective())
                    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
                assert not quantizer.parts


BATCHES = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32") + 1


def ranges(name: str, symmetric: bool = False) -> list[Any]:
    """The range after each of the batches, as NumPy finds it."""
    found: list[Any] = []
    for count, batch in enumerate(BATCHES):
        low, high = min(batch.min(), 0), max(batch.max(), 0)
        if symmetric:
            high = np.abs(batch).max()
            low = -high * 128 / 127
        if found and name == "AllValuesQuantizer":
            low, high = min(low, found[-1][0]), max(high, found[-1][1])
        if found and name == "MovingAverageQuantizer":
            low, high = (
                a + (b - a) / (count + 1) for a, b in zip(found[-1], (low, high), strict=True)
            )
        found.append((low, high))
    return found


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["LastValue", "MovingAverage", "AllValues"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_activations(engine: str, name: str, symmetric: bool) -> None:
    """Their range follows from those of the steps of training, and holds after it."""
    name += "Quantizer"
    with cornu.backend.use(engine):
        layer = layers.Activation("linear")
        layer.build((None, 3))
        quantizer = getattr(optimization, name)(symmetric=symmetric)
        layer.add_transform("outputs", quantizer)
        before = ops.convert_to_numpy(layer(BATCHES[0]))
        np.testing.assert_allclose(before, quantized(BATCHES[0], -6, 6), atol=1e-5)
        for batch, (low, high) in zip(BATCHES, ranges(name, symmetric), strict=True):
            for training in (True, False):
                with within(here.training, training):
                    got = ops.convert_to_numpy(layer(batch))
                np.testing.assert_allclose(got, quantized(batch, low, high), rtol=1e-4, atol=1e-5)
        found = [float(quantizer.parts[end]) for end in ("min", "max")]
        np.testing.assert_allclose(found, (low, high), rtol=1e-5)


def test_a_moving_average_forgets() -> None:
    from cornu.optimization._ranges import moving_average

    found = 0.0
    for count in range(4000):
        found = moving_average(found, 1.0 if count < 2000 else 3.0, float(count), 0.999)
    want = 3 - 2 * 0.999**2000
    assert float(found) == pytest.approx(want, rel=1e-3)


@pytest.mark.parametrize("engine", QUICK)
def test_ranges_of_weights_that_remember(engine: str) -> None:
    """They are taken notice of after each update."""
    with cornu.backend.use(engine):
        model = cornu.Sequential([cornu.Input((2,)), layers.Dense(2, use_bias=False)])
        layer = model.layers[0]
        layer.kernel.assign([[-1.0, 0.5], [3.0, 1.0]])
        last = layer.add_transform(layer.kernel, optimization.AllValuesQuantizer(per_axis=True))
        assert last.parts["max"].numpy().tolist() == [[3.0, 1.0]]
        model.compile(cornu.optimizers.SGD(1.0), "mse")
        model.fit(np.ones((1, 2)), -np.ones((1, 2)), verbose=0)
        low = np.minimum(layer.kernel.numpy().min(0), [-1, 0])
        np.testing.assert_allclose(last.parts["min"].numpy(), [low], rtol=1e-6)
        np.testing.assert_allclose(last.parts["max"].numpy(), [[3.0, 1.0]], rtol=1e-6)


class Subclassed(cornu.Model):
    """Two convolutions with a normalization between, which no graph shows."""

    def __init__(self) -> None:
        super().__init__()
        self.first = layers.Conv2D(2, 3, padding="same", name="first")
        self.norm = layers.BatchNormalization(name="norm")
        self.last = layers.Conv2D(2, 3, padding="same", name="last")

    def call(self, x: Any) -> Any:
        return x + ops.relu(self.last(self.norm(self.first(x))))


def residual() -> Any:
    x = cornu.Input((4, 4, 2))
    y = layers.Conv2D(2, 3, padding="same", name="conv")(x)
    y = layers.ReLU(name="relu")(
        layers.Add(name="add")([layers.BatchNormalization(name="bn")(y), x])
    )
    y = layers.Dropout(0.5)(layers.MaxPooling2D()(y))
    y = layers.Flatten()(y)
    return cornu.Model(x, layers.Dense(3, "softmax", name="head")(y))


def recurrent() -> Any:
    x = cornu.Input((5,), dtype="int32")
    y = layers.Embedding(7, 4, name="table")(x)
    y = layers.Bidirectional(layers.LSTM(3), name="both")(y)
    return cornu.Model(x, layers.Dense(2, name="head")(ops.tanh(y)))


def nested() -> Any:
    inner = cornu.Sequential([cornu.Input((3,)), layers.Dense(3, "relu", name="inner")])
    x = cornu.Input((3,))
    return cornu.Model(x, layers.Dense(1, name="head")(inner(inner(x))))


def subclassed() -> Any:
    model = Subclassed()
    model.build((None, 4, 4, 2))
    return model


#: Models, the shapes of their samples, the layers that quantize what they read, and those that quantize what they give.
MODELS: list[tuple[Any, Any, str, str]] = [
    (residual, (4, 4, 2), "conv", "bn relu"),
    (recurrent, (5,), "head", "table forward_lstm backward_lstm"),
    (nested, (3,), "inner", "inner"),
    (subclassed, (4, 4, 2), "first", "norm last"),
]


@pytest.mark.parametrize(
    ("engine", "row"), [*(("numpy", i) for i in range(len(MODELS))), ("torch", 2)]
)
def test_models(engine: str, row: int) -> None:
    """Each number is quantized once, on every kind of model; it trains, and strips to weights of few values."""
    make, shape, reads, gives = MODELS[row]
    with cornu.backend.use(engine):
        model = make()
        x = np.random.default_rng(0).integers(0, 7, (6, *shape))
        y = np.ones_like(model.predict(x, verbose=0))
        model.compile(cornu.optimizers.Adam(0.01), "mse")
        model.fit(x, y, verbose=0)
        assert optimization.quantize_model(model) is model
        found = {
            of: {x.name for x in model._flatten_layers() for f, _ in x.transforms if f == of}
            for of in ("inputs", "outputs")
        }
        assert found == {"inputs": set(reads.split()), "outputs": set(gives.split())}
        before = model.get_weights()
        model.fit(x, y, epochs=2, verbose=0)
        assert all(np.isfinite(w).all() for w in model.get_weights())
        owners = [(part, kernel) for part in model._flatten_layers() for kernel in kernels(part)]
        assert all(len(kernel.transforms) == 1 for _, kernel in owners)
        read = [ops.convert_to_numpy(kernel.effective()) for _, kernel in owners]
        assert len(before) > len(optimization.strip_quantization(model).get_weights())
        for (owner, kernel), value in zip(owners, read, strict=True):
            np.testing.assert_array_equal(kernel.numpy(), value)
            assert max(values_of(value, channel_axes(owner, kernel))) <= 255
        assert not any(layer.transforms for layer in model._flatten_layers())
        model.fit(x, y, verbose=0)


@pytest.mark.parametrize("make", [layers.Conv2D, layers.DepthwiseConv2D])
def test_a_normalization_is_folded_into_the_kernel_before_it(make: Any) -> None:
    """What a model computes is a convolution by the folded kernel, quantized, before and after it is stripped."""
    arguments = {"depth_multiplier": 2} if make is layers.DepthwiseConv2D else {"filters": 4}
    with cornu.backend.use("numpy"):
        conv = make(kernel_size=3, use_bias=False, **arguments)
        model = cornu.Sequential([cornu.Input((5, 5, 2)), conv, layers.BatchNormalization()])
        draws = np.random.default_rng(0)
        gamma, beta, mean, variance = draws.normal(size=(4, 4))
        model.layers[1].set_weights([gamma, beta, mean, variance**2])
        x = draws.normal(size=(3, 5, 5, 2)).astype("float32")
        optimization.quantize_apply(
            optimization.quantize_annotate_layer(conv) and model,
            optimization.DefaultNBitQuantizeScheme(3),
            calibration=x,
        )
        scale = gamma / np.sqrt(variance**2 + 1e-3)
        axes = channel_axes(conv, conv.kernel)
        shape = [conv.kernel.shape[axis] for axis in axes]
        folded = per_channel(conv.kernel.numpy() * scale.reshape(shape), axes, 3)
        quantizer = dict(conv.transforms)["inputs"]
        low, high = (float(quantizer.parts[end]) for end in ("min", "max"))
        op = ops.depthwise_conv if make is layers.DepthwiseConv2D else ops.conv
        want = (
            op(quantized(x, low, high).astype("float32"), folded.astype("float32"))
            + beta
            - mean * scale
        )
        np.testing.assert_allclose(model.predict(x, verbose=0), want, rtol=1e-4, atol=1e-4)
        kernel = optimization.strip_quantization(model).layers[0].kernel.numpy()
        np.testing.assert_allclose(kernel * scale.reshape(shape), folded, rtol=1e-4, atol=1e-5)


class Fixed(optimization.QuantizeConfig):
    """As a program for TensorFlow Model Optimization has it."""

    def get_weights_and_quantizers(self, layer: Any) -> Any:
        return [(layer.kernel, optimization.LastValueQuantizer(4, False, True, False))]

    def get_activations_and_quantizers(self, layer: Any) -> Any:
        return [(layer.activation, optimization.FixedQuantizer(2, 0.0, 3.0))]


def test_a_config_says_how_its_layer_is_quantized() -> None:
    x = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")

    def annotated(layer: Any) -> Any:
        return (
            optimization.quantize_annotate_layer(layer, Fixed()) if layer.name == "own" else layer
        )

    with cornu.backend.use("numpy"):
        plain = cornu.Sequential([cornu.Input((3,)), layers.Dense(4, name="own"), layers.Dense(2)])
        model = cornu.models.clone_model(plain, clone_function=annotated)
        optimization.quantize_apply(model)
        assert [[of for of, _ in layer.transforms] for layer in model.layers] == [
            ["kernel", "outputs"],
            [],
        ]
        own = model.layers[0]
        most = np.abs(own.kernel.numpy()).max()
        kernel = quantized(own.kernel.numpy(), -most * 8 / 7, most, 4)
        np.testing.assert_allclose(own(x), quantized(x @ kernel, 0.0, 3.0, 2), atol=1e-5)
        for transform in (t for _, t in own.transforms):
            again = type(transform).from_config(transform.get_config())
            assert again.get_config() == transform.get_config()


@pytest.mark.parametrize(
    ("engine", "stripped"), [("numpy", False), ("numpy", True), ("torch", False)]
)
def test_zeros_and_clusters_are_kept(engine: str, stripped: bool) -> None:
    """Of kernels that were pruned and clustered, and whose chain was stripped or not."""
    x, y = np.random.default_rng(0).normal(size=(2, 8, 6))
    schemes = {
        "prune": optimization.Default8BitPrunePreserveQuantizeScheme(),
        "cluster": optimization.Default8BitClusterPreserveQuantizeScheme(),
    }
    with cornu.backend.use(engine):
        for name, scheme in schemes.items():
            model = cornu.Sequential([cornu.Input((6,)), layers.Dense(6)])
            kernel = model.layers[0].kernel
            optimization.prune_low_magnitude(model, optimization.ConstantSparsity(0.5, 0))
            if name == "cluster":
                optimization.cluster_weights(model, 5, preserve_sparsity=True)
            if stripped:
                (
                    optimization.strip_clustering
                    if name == "cluster"
                    else optimization.strip_pruning
                )(model)
            zero = ops.convert_to_numpy(kernel.effective()) == 0
            assert zero.mean() == 0.5
            optimization.quantize_model(model, scheme=scheme)
            model.compile(cornu.optimizers.Adam(0.01), "mse")
            model.fit(x, y, epochs=3, batch_size=4, verbose=0)
            optimization.strip_quantization(model)
            assert (kernel.numpy()[zero] == 0).all()
            assert name == "prune" or len(np.unique(kernel.numpy())) <= 5


@pytest.mark.parametrize("method", ["prune_low_magnitude", "cluster_weights", "quantize_model"])
@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_mixed_precision(engine: str, method: str) -> None:
    """What is stored, and found from it, has 32 bits; layers compute with the value in 16."""
    with cornu.backend.use(engine):
        dense = layers.Dense(4, dtype="mixed_bfloat16")
        model = cornu.Sequential([cornu.Input((6,)), dense])
        options = {"number_of_clusters": 4} if method == "cluster_weights" else {}
        getattr(optimization, method)(model, **options)
        model.compile("sgd", "mse")
        before = dense.kernel.numpy()
        model.fit(np.ones((4, 6)), np.ones((4, 4)), verbose=0)
        assert not np.array_equal(before, dense.kernel.numpy())
        value = ops.convert_to_numpy(dense.kernel.effective())
        assert {value.dtype, dense.kernel.numpy().dtype} == {np.dtype("float32")}
        found = dense(np.eye(6, dtype="float32") * 2)
        assert str(found.dtype).endswith("bfloat16")
        if method != "quantize_model":  # which rounds the inputs
            found = ops.convert_to_numpy(ops.cast(found, "float32"))
            want = 2 * value + dense.bias.numpy()
            np.testing.assert_allclose(found, want, rtol=0.02, atol=0.02)


def test_what_is_refused() -> None:
    model = cornu.Sequential([cornu.Input((3,)), layers.Dense(2)])
    with pytest.raises(
        ValueError, match="annotated are quantized. Received: the model 'sequential'"
    ):
        optimization.quantize_apply(model)
    with pytest.raises(ValueError, match="Received: num_bits=17"):
        optimization.DefaultNBitQuantizeScheme(8, 17)
    with pytest.raises(ValueError, match="init_min=3, init_max=2"):
        optimization.FixedQuantizer(8, 3, 2)
    with pytest.raises(ValueError, match="Activations have one range. Received: per_axis=True"):
        model.layers[0].add_transform("outputs", optimization.LastValueQuantizer(8, True))
    with pytest.raises(ValueError, match="A layer is annotated. Received: to_annotate=3"):
        optimization.quantize_annotate_layer(3)
    with pytest.raises(ValueError, match="methods of a `QuantizeConfig`. Received: .*='int8'"):
        optimization.quantize_annotate_layer(layers.Dense(2), "int8")
    with pytest.raises(ValueError, match="scheme='int8'"):
        optimization.quantize_model(model, scheme="int8")
    with pytest.raises(ValueError, match="A built model is quantized"):
        optimization.quantize_model(cornu.Sequential([layers.Dense(2)]))
    for wrong in ({"scheme": "int8"}, {"calibration": np.ones((4, 5))}):  # nothing is half done
        with pytest.raises(ValueError, match=r"scheme='int8'|must have size 3"):
            optimization.quantize_model(model, **wrong)
        assert not model.layers[0].transforms and len(model.weights) == 2
        with pytest.raises(ValueError, match="annotated are quantized"):
            optimization.quantize_apply(model)
    optimization.quantize_model(model)
    with pytest.raises(
        ValueError, match="quantized once. Received: .* of which 'sequential/dense' is"
    ):
        optimization.quantize_model(model)
