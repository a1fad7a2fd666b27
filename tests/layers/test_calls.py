"""The fast path of a layer's call, against the plain one; what users' arrays are kept apart from."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np
import pytest

import cornu
from cornu import layers, ops
from cornu.core.masks import get_keras_mask, set_keras_mask
from cornu.engines import current
from tests.engines_tested import ENGINES

X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


class Seen(layers.Layer):
    """A layer that notes what its call was given."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.dense = layers.Dense(3)
        self.seen: dict[str, Any] = {}

    def call(self, x: Any, training: bool = False, mask: Any = None) -> Any:
        dtype = cornu.backend.standardize_dtype(x.dtype)
        self.seen.update(training=training, masked=mask is not None, dtype=dtype)
        return self.dense(x)


class Open(layers.Layer):
    """A layer whose call takes anything by name."""

    def call(self, x: Any, **options: Any) -> Any:
        return x * len(options)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_fast_call_is_the_plain_call(engine: str) -> None:
    cases = itertools.product(
        ("float32", "mixed_bfloat16"),
        (False, True),
        ({}, {"training": True}, {"training": False}, {"training": None}),
    )
    with cornu.backend.use(engine):
        for policy, masked, named in cases:
            layer = Seen(dtype=policy)
            layer(X)
            tensor = ops.convert_to_tensor(X.copy())
            if masked:
                set_keras_mask(tensor, ops.convert_to_tensor(X[:, 0] > 0))
            fast, *plain = (
                outcome(layer, layer(tensor, **named)),
                outcome(layer, layer._call_on_arguments(current(), (tensor,), dict(named))),
                outcome(layer, layer(x=tensor, **named)),
            )
            assert fast[1] == {
                "training": bool(named.get("training")),
                "masked": masked,
                "dtype": current().canonical_dtype(
                    "bfloat16" if policy == "mixed_bfloat16" else "float32"
                ),
                "passed on": masked,
            }
            for output, seen in plain:
                np.testing.assert_array_equal(output, fast[0])
                assert seen == fast[1]


def outcome(layer: Seen, output: Any) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """What a call gave, and what the layer's `call` was given."""
    seen = {**layer.seen, "passed on": get_keras_mask(output) is not None}
    return ops.convert_to_numpy(output).astype("float32"), seen


@pytest.mark.parametrize("engine", ENGINES)
def test_arrays_are_tensors_to_a_layer(engine: str) -> None:
    with cornu.backend.use(engine):
        layer = layers.Dense(3)
        expected = ops.convert_to_numpy(layer(ops.convert_to_tensor(X)))
        np.testing.assert_array_equal(ops.convert_to_numpy(layer(X)), expected)
        wide = layer(X.astype("float64"))
        np.testing.assert_allclose(ops.convert_to_numpy(wide), expected, rtol=1e-5, atol=1e-5)
        assert cornu.backend.standardize_dtype(wide.dtype) == "float32"
        with pytest.raises(ValueError, match=r"size 5 along axis -1, not 4"):
            layer(X[:, :4])


def test_training_goes_to_a_call_that_takes_anything() -> None:
    layer = Open()
    assert float(ops.sum(layer(np.ones(2, "float32"), training=True))) == 2.0
    assert float(ops.sum(layer(np.ones(2, "float32")))) == 0.0


def test_training_holds_within_a_call() -> None:
    inner = Seen()
    outer = layers.Lambda(lambda x: inner(x))
    for training in (True, False):
        outer(ops.convert_to_tensor(X), training=training)
        assert inner.seen["training"] is training


def aligned(*shape: int) -> np.ndarray[Any, Any]:
    """An array whose memory an engine could use as its own: it begins at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * 4
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view("float32").reshape(shape)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(4, 5), (512, 512)])
def test_a_tensor_does_not_share_the_callers_memory(engine: str, shape: tuple[int, int]) -> None:
    array = aligned(*shape)
    with cornu.backend.use(engine):
        tensors = [ops.convert_to_tensor(array), ops.convert_to_tensor([array, array])]
        array[...] = 1
        if engine != "numpy":
            assert [float(ops.max(tensor)) for tensor in tensors] == [0.0, 0.0]
        dense = layers.Dense(2, use_bias=False)
        expected = ops.convert_to_numpy(dense(array))
        output = dense(array)
        array[...] = 7
        np.testing.assert_array_equal(ops.convert_to_numpy(output), expected)


@pytest.mark.parametrize(
    ("layer", "args", "negative", "calls"),
    [
        ("PReLU", {"shared_axes": [1]}, {"shared_axes": [-2]}, 1),
        (
            "MultiHeadAttention",
            {"num_heads": 2, "key_dim": 3, "attention_axes": (1, 2)},
            {"attention_axes": (-3, -2)},
            2,
        ),
    ],
)
def test_negative_axes_count_from_the_end_of_the_input(layer, args, negative, calls):
    x = (
        np.arange(-12, 12, dtype="float32").reshape(1, 2, 3, 4)
        if calls == 2
        else -np.ones((2, 3, 4))
    )
    first, second = (getattr(layers, layer)(**{**args, **given}) for given in ({}, negative))
    expected = first(*[x] * calls)
    second.build(*[x.shape] * calls)
    second.set_weights(first.get_weights())
    np.testing.assert_allclose(second(*[x] * calls), expected, rtol=1e-5)


S, I = np.ones((2, 6, 4), "float32"), np.ones((2, 7, 8, 3), "float32")  # noqa: E741
V = np.ones((2, 5, 6, 4, 2), "float32")


@pytest.mark.parametrize(
    "layer, sizes, data",
    [
        ("RepeatVector", (0, -1, 2.5, "3"), X),
        ("UpSampling1D", (0, -1, 2.5, "a", (2, 3)), S),
        ("UpSampling2D", (0, 2.5, (2,), (2, 0), (2, 2.5), "ab"), I),
        ("UpSampling3D", (0, (2, 2), (1, 0, 2)), V),
        ("Cropping1D", (-1, 1.5, (1, -1), (1, 2, 3), (3, 3), "a"), S),
        ("Cropping2D", (-1, 2.0, (4, 0), ((1, 2), (1,))), I),
        ("Cropping3D", (-1, 3, ((1, 2), (1, 1))), V),
        ("ZeroPadding1D", (-1, 1.5, (1, -1), (1, 2, 3)), S),
        ("ZeroPadding2D", (-1, 1.5, ((1, 1), (1, -2))), I),
        ("ZeroPadding3D", (-1, (1, 2)), V),
        ("Reshape", ((5, 5), (-1, 5), (-1, -1), (0, -1), (-2, 12), (24.0,), ("a",), ()), S),
    ],
)
def test_sizes_that_can_not_be(layer: str, sizes: tuple[Any, ...], data: Any) -> None:
    for size in sizes:
        with pytest.raises((ValueError, TypeError), match="Received: "):
            getattr(layers, layer)(size)(data)


def test_scales_along_any_axes() -> None:
    """Keras's scale broadcasts from the last axis, and fails on others."""
    layer = layers.RMSNormalization(axis=[3, 1], epsilon=0.0)
    layer.build(I.shape)
    layer.scale.assign(np.arange(21.0).reshape(7, 3))
    wanted = np.broadcast_to(np.arange(21.0).reshape(1, 7, 1, 3), I.shape)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(I)), wanted, 1e-6)
    for axis in (4, -5, [1, -3]):
        for cls in (layers.LayerNormalization, layers.RMSNormalization):
            with pytest.raises(ValueError, match="Received: axis="):
                cls(axis=axis)(I)


def test_integers_of_numpy_are_sizes() -> None:
    two = np.int64(2)
    for layer in (
        layers.RepeatVector(two),
        layers.UpSampling1D(two),
        layers.Cropping1D((two, 1)),
        layers.ZeroPadding2D(two),
        layers.Conv2D(3, np.array([2, 1])),
        layers.ZeroPadding2D(np.array([[1, 2], [0, 1]])),
        layers.Reshape(np.array([2, -1])),
        layers.Dropout(0.5, noise_shape=np.array([2, 1])),
        layers.Conv2D(two, two),
        layers.Dense(two),
        layers.LSTM(two),
        layers.MultiHeadAttention(two, two),
    ):
        assert layer.from_config(json.loads(json.dumps(layer.get_config()))).name == layer.name
    assert ops.max_pool(np.ones((1, 4, 4, 1)), two, np.array([2, 2])).shape == (1, 2, 2, 1)


@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_shapes_of_noise_and_masks(engine: str) -> None:
    with cornu.backend.use(engine):
        for cls in (layers.Dropout, layers.AlphaDropout):
            for shape in ((2, 1, 4), (None, 1, None), (6, 1), (1,)):
                assert cls(0.5, noise_shape=shape)(S, training=True).shape == S.shape
            for shape in ((2, 6), (2, 6, 4, 1), (2, 5, 4), (3, 6, 4)):
                with pytest.raises(ValueError, match="must broadcast to the inputs"):
                    cls(0.5, noise_shape=shape)(S, training=True)
            for shape in (3, "ab", (0, 1, 1), (2.0, 1, 1)):
                with pytest.raises(ValueError, match="a size or None for each axis"):
                    cls(0.5, noise_shape=shape)
        for shape in ((6, 4), (2, 6, 1), (4,)):
            assert layers.Softmax()(S, mask=np.ones(shape, bool)).shape == S.shape
        for shape in ((2, 6), (3, 6, 4), (2, 6, 4, 1), (1, 2, 6, 4)):
            with pytest.raises(ValueError, match="must broadcast to the inputs"):
                layers.Softmax()(S, mask=np.ones(shape, bool))


ANYTHING = [
    "word",
    ["a", "b"],
    {"b": "x", "a": [np.ones(2)]},
    object(),
    np.ones(2),
    np.array(["a"]),
]


class Untouched(layers.Layer):
    """A layer that takes anything, as tokenizers do."""

    seen: ClassVar[list[Any]] = []

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True

    def build(self, given_shape: Any = None) -> None:
        """Nothing to make, with or without a shape."""

    def call(self, given: Any, x: Any = None) -> Any:
        self.seen[:] = [given]
        return ops.ones((2,)) if x is None else x * 2.0


@pytest.mark.parametrize("given", ANYTHING, ids=lambda given: type(given).__name__)
def test_a_layer_that_asks_for_it_is_given_what_the_caller_gave(given: Any) -> None:
    layer = Untouched()
    for _ in range(2):  # not built, and built
        assert layer(given).shape == (2,)
        assert layer.seen[0] is given
        layer(given=given)
        assert layer.seen[0] is given
    x = cornu.Input((3,))
    model = cornu.Model(x, layer(given, x))
    np.testing.assert_array_equal(model.predict(np.ones((2, 3)), verbose=0), np.full((2, 3), 2.0))
    assert type(layer.seen[0]) is type(given)


class Kept(layers.Layer):
    """A layer whose outputs are what it keeps: a variable, a tensor, an array."""

    def build(self, input_shape: Any) -> None:
        self.weight = self.add_weight(shape=(3,), initializer="ones")
        self.tensor = ops.ones((3,))

    def call(self, x: Any) -> Any:
        return self.weight, self.tensor, np.ones(3, "float32"), x


@pytest.mark.parametrize("engine", ["jax", "torch", "tensorflow"])
@pytest.mark.parametrize("in_a_graph", [False, True])
def test_what_a_layer_keeps_may_be_its_output(engine: str, in_a_graph: bool) -> None:
    class Net(cornu.Model):
        def __init__(self) -> None:
            super().__init__()
            self.kept, self.dense = Kept(), layers.Dense(3)

        def call(self, x: Any) -> Any:
            weight, tensor, array, x = self.kept(x)
            return {"weight": weight, "array": array, "sum": self.dense(x) + weight + tensor}

    with cornu.backend.use(engine):
        x, net = cornu.Input((5,)), Net()
        model = cornu.Model(x, net.call(x)) if in_a_graph else net
        model.compile("sgd", {"sum": "mse"})
        model.fit(X, {"sum": X[:, :3]}, verbose=0)
        outputs = model.predict(X, verbose=0)
        shapes = {key: x.shape for key, x in outputs.items()}
        assert shapes == {"weight": (3,), "array": (3,), "sum": (4, 3)}
        assert np.any(outputs["weight"] != 1)
        assert type(model(X)["weight"]) is cornu.Variable


def stateless(k: Any) -> dict[str, Callable[[Any], Any]]:
    """Calls as pure functions of values, each with values that don't fit at the end."""
    layer = k.layers.BatchNormalization()
    layer(X)
    metric, optimizer = k.metrics.Mean(), k.optimizers.SGD()
    optimizer.build(layer.trainable_variables)
    weights, averages = layer.get_weights()[:2], layer.get_weights()[2:]
    state = [np.asarray(variable) for variable in optimizer.variables]
    return {
        "trainable_variables": lambda end: layer.stateless_call([*weights, *end], averages, X),
        "non_trainable_variables": lambda end: layer.stateless_call(weights, [*averages, *end], X),
        "metric_variables": lambda end: metric.stateless_result([np.ones(()), *end]),
        "optimizer_variables": lambda end: optimizer.stateless_apply(
            [*state, *end], weights, weights
        ),
    }


@pytest.mark.parametrize("name", stateless(cornu))
def test_values_are_one_for_each_variable(name: str) -> None:
    for k in (cornu, keras):
        with pytest.raises(ValueError, match=name):
            stateless(k)[name]([np.ones(()), np.ones(())])


def test_values_have_their_variables_shapes_and_dtypes() -> None:
    for k in (cornu, keras):
        variable = k.Variable(np.zeros(3), dtype="float32")
        with k.StatelessScope(state_mapping=[(variable, np.arange(3))]):
            assert k.backend.standardize_dtype(variable.value.dtype) == "float32"
        with pytest.raises(ValueError, match="shape"):
            k.StatelessScope(state_mapping=[(variable, np.zeros(4))])
        with pytest.raises(ValueError, match="3"):
            k.StatelessScope(state_mapping=[(3, np.zeros(4))])


def test_an_embedding_leads_back_by_a_matrix_of_its_own() -> None:
    """As in Keras, with a table and a way back that are apart; the mask goes along."""
    options = {"tie_weights": False, "reverse_dtype": "float32", "logit_soft_cap": 1.5}
    ours, theirs = (k.layers.ReversibleEmbedding(5, 3, **options) for k in (cornu, keras))
    words = np.array([[1, 2, 0]])
    theirs(words)
    ours(words)
    ours.set_weights(theirs.get_weights())
    vectors = np.asarray(theirs(words)) * 20
    found, wanted = (layer(vectors, reverse=True) for layer in (ours, theirs))
    np.testing.assert_allclose(found, wanted, 1e-5, 1e-6)
    inputs = layers.Input((3,), dtype="int32")
    masked = layers.ReversibleEmbedding(5, 3, mask_zero=True)
    scores = masked(masked(inputs), reverse=True)
    assert get_keras_mask(scores).shape == (None, 3)


def test_signatures_of_users_classes_are_their_own() -> None:
    """Classes of the library say a default for each axis; those that inherit from them say what they take."""

    class Mine(layers.Conv2D):
        def __init__(self, width: int = 3) -> None:
            super().__init__(width, 3)

    assert str(inspect.signature(Mine)) == "(width: 'int' = 3) -> 'None'"
    assert inspect.signature(layers.Conv2D).parameters["strides"].default == (1, 1)
    assert layers.Conv2D(2, 3).strides == (1, 1)


def test_weights_are_cast_where_inputs_are_not() -> None:
    """A layer that takes its inputs as they are computes with weights of the compute dtype."""

    class Plain(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(shape=(2,))

        def call(self, x: Any) -> Any:
            assert [str(v.dtype) for v in (x, self.w.value)] == ["float32", "float16"]
            return self.w

    Plain(dtype="mixed_float16", autocast=False)(np.ones((1, 2), "float32"))


def test_attention_whose_inner_methods_are_somebody_else_s() -> None:
    """What inherits from Keras's attention finds the names that this has within, and is asked for what it overrides."""

    class Own(layers.MultiHeadAttention):
        def _compute_attention(self, query: Any, key: Any, value: Any, *mask: Any) -> Any:
            scores = ops.einsum(self._dot_product_equation, query, key) * self._inverse_sqrt_key_dim
            scores = self._masked_softmax(scores, mask[0])
            return ops.einsum(self._combine_equation, self._dropout_layer(scores), value), scores

    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    own, plain = Own(2, 4, seed=1), layers.MultiHeadAttention(2, 4, seed=1)
    found = own(x, x, use_causal_mask=True)
    plain.build(x.shape, x.shape)
    plain.set_weights(own.get_weights())
    wanted = ops.convert_to_numpy(plain(x, x, use_causal_mask=True))
    np.testing.assert_allclose(ops.convert_to_numpy(found), wanted, 1e-5, 1e-6)
    own._use_bias = False
    assert (own._num_heads, own._key_dim, own._value_dim, own.use_bias) == (2, 4, 4, False)
    assert own._get_common_kwargs_for_sublayer().keys() >= {"kernel_initializer", "dtype"}
