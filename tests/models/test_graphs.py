"""Graphs of layers against Keras: structure, config in both directions, masks, training, Sequential."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np
import pytest

import cornu
from tests.training.models_for_fit import draw, labels, recurrent, twins, two_by_two

# ------------------------------------------------------------------ architectures


def plain(k: Any) -> Any:
    x = k.Input((6,))
    return k.Model(x, k.layers.Dense(3)(k.layers.Dense(4, activation="relu")(x)), name="plain")


def shared(k: Any) -> Any:
    left, right = k.Input((6,)), k.Input((6,))
    dense = k.layers.Dense(4)
    joined = k.layers.Subtract()([dense(left), dense(right)])
    return k.Model([left, right], k.layers.Dense(2)(dense_again(k, joined)))


def dense_again(k: Any, x: Any) -> Any:
    dense = k.layers.Dense(4, name="again")
    return dense(dense(dense(x)))


def crossing(k: Any) -> Any:
    """Two layers that are each called twice, in turns."""
    x = k.Input((4,))
    a, b = k.layers.Dense(4, name="a"), k.layers.Dense(4, name="b")
    return k.Model(x, k.layers.Add()([b(a(x)), a(b(x))]))


def nested(k: Any) -> Any:
    inner_input = k.Input((4,))
    hidden = k.layers.Dense(5, activation="tanh")(inner_input)
    inner = k.Model(inner_input, [hidden, k.layers.Dense(2)(hidden)], name="inner")
    x = k.Input((4,))
    first, second = inner(x)
    third, _ = inner(k.layers.Dense(4)(first))
    return k.Model(x, k.layers.Concatenate()([first, second, third]))


def sequential_inside(k: Any) -> Any:
    x = k.Input((4,))
    stack = k.Sequential([k.layers.Dense(5), k.layers.BatchNormalization(), k.layers.ReLU()])
    return k.Model(x, k.layers.Dense(2)(stack(x)))


def operations(k: Any) -> Any:
    x = k.Input((4, 6))
    y = k.ops.concatenate([x + 1.0, 2.0 * x, -x], axis=-1)
    y = y[:, 1:3, ::2]
    y = k.ops.relu(k.ops.transpose(y, (0, 2, 1)))
    return k.Model(x, k.layers.Dense(2)(k.ops.mean(y, axis=1) ** 2))


def indices(k: Any) -> Any:
    x = k.Input((4, 6))
    return k.Model(
        x, [x[..., 0], x[:, None, -1], x[:, 0], k.ops.max(x, axis=(1, 2)), x * 2.0 > 0.1]
    )


def by_name(k: Any) -> Any:
    return two_by_two(k)


def in_lists(k: Any) -> Any:
    return two_by_two(k, as_dict=False)


def dict_of_one(k: Any) -> Any:
    x = k.Input((6,), name="x")
    return k.Model({"x": x}, {"y": k.layers.Dense(2, name="y")(x)})


def nested_structures(k: Any) -> Any:
    a, b, c = (k.Input((3,), name=name) for name in "abc")
    total = k.layers.Add(name="total")([a, b, c])
    return k.Model([a, {"b": b, "c": c}], {"z": [total, a * 2.0], "w": (b - c)})


def feature_extractor(k: Any) -> Any:
    """A model on the inside of another one."""
    model = plain(k)
    return k.Model(model.input, [model.layers[1].output, model.output])


def from_the_inside(k: Any) -> Any:
    """A model that starts within another one."""
    x = k.Input((6,))
    hidden = k.layers.Dense(4, name="before")(x)
    y = k.layers.Dense(3, name="after")(hidden)
    k.Model(x, y)
    return k.Model(hidden, y)


def list_of_one(k: Any) -> Any:
    x = k.Input((4,))
    return k.Model(x, [k.layers.Dense(2)(x)])


def with_call_arguments(k: Any) -> Any:
    x, y = k.Input((5, 8)), k.Input((5, 8))
    attended = k.layers.MultiHeadAttention(2, 4)(x, y, use_causal_mask=True)
    dropped = k.layers.Dropout(0.0)(attended, training=True)
    _, *states = k.layers.LSTM(3, return_state=True)(dropped)
    out = k.layers.LSTM(3)(y, initial_state=states, training=False)
    return k.Model([x, y], out)


def input_as_output(k: Any) -> Any:
    x = k.Input((4,))
    return k.Model(x, [x, k.layers.Dense(2)(x)])


def masks(k: Any) -> Any:
    x = k.Input((7,), dtype="int32")
    y = k.layers.Dropout(0.0)(k.layers.Embedding(11, 4, mask_zero=True)(x))
    y = k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True))(y)
    return k.Model(
        x, k.layers.GlobalAveragePooling1D()(k.layers.TimeDistributed(k.layers.Dense(2))(y))
    )


def filled_in(k: Any) -> Any:
    """Calls whose nodes hold the training and the masks that were filled in, and calls that don't."""
    x, state = k.Input((7,), dtype="int32"), k.Input((3,))
    y = k.layers.Embedding(11, 3, mask_zero=True)(x)
    mask = k.ops.not_equal(x, 0)  # which Keras drops beside states where it is the tensor's alone
    found = [
        k.layers.GRU(3)(y),
        k.layers.GRU(3)(y, initial_state=state, mask=mask),
        k.layers.LSTM(3)(y, [state, state], mask=mask),
        k.layers.SimpleRNN(3)(y, training=False),
        k.ops.sum(k.layers.Attention()([y, y]), axis=1),
        k.layers.Dense(3)(k.layers.UnitNormalization()(state, training=False)),
    ]
    return k.Model([x, state], k.layers.Concatenate()(found))


def integers(k: Any) -> Any:
    return recurrent(k)


def stack(k: Any) -> Any:
    return k.Sequential(
        [k.Input((8, 8, 2)), k.layers.Conv2D(3, 3), k.layers.Flatten(), k.layers.Dense(2)]
    )


def stack_of_stacks(k: Any) -> Any:
    inner = k.Sequential([k.layers.Dense(3), k.layers.Dense(4)], name="inner")
    return k.Sequential([k.Input((5,)), inner, k.layers.Dense(2)])


def data(*shapes: tuple[int, ...]) -> list[Any]:
    return [draw(5, *shape, seed=i) for i, shape in enumerate(shapes)]


CASES: dict[Callable[[Any], Any], Any] = {
    plain: draw(5, 6),
    shared: data((6,), (6,)),
    crossing: draw(5, 4),
    nested: draw(5, 4),
    sequential_inside: draw(5, 4),
    operations: draw(5, 4, 6),
    indices: draw(5, 4, 6),
    by_name: dict(zip(("left", "right"), data((4,), (3,)), strict=True)),
    in_lists: data((4,), (3,)),
    dict_of_one: {"x": draw(5, 6)},
    nested_structures: [draw(5, 3), {"b": draw(5, 3, seed=1), "c": draw(5, 3, seed=2)}],
    feature_extractor: draw(5, 6),
    from_the_inside: draw(5, 4),
    list_of_one: draw(5, 4),
    with_call_arguments: data((5, 8), (5, 8)),
    input_as_output: draw(5, 4),
    masks: labels(5, 7, classes=3),
    filled_in: [labels(5, 7, classes=11), draw(5, 3)],
    integers: labels(5, 7, classes=11),
    stack: draw(5, 8, 8, 2),
    stack_of_stacks: draw(5, 5),
}


def host(outputs: Any) -> list[np.ndarray[Any, Any]]:
    return [np.array(x) for x in cornu.tree.flatten(outputs)]


def assert_close(actual: Any, expected: Any) -> None:
    assert cornu.tree.flatten_with_path(
        cornu.tree.map_structure(lambda _: 0, actual)
    ) == keras.tree.flatten_with_path(keras.tree.map_structure(lambda _: 0, expected))
    for a, b in zip(host(actual), host(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def as_json(config: Any) -> Any:
    # What Keras calls an input that it puts in the place of a tensor.
    return json.loads(json.dumps(config).replace("keras_tensor_1CLONE", "keras_tensor"))


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_equals_keras(build: Callable[[Any], Any]) -> None:
    x = CASES[build]
    ours, theirs = twins(build, (cornu, keras), x)
    if build is not from_the_inside:
        assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    assert ours.count_params() == theirs.count_params()
    assert ours.output_shape == theirs.output_shape
    assert ours.input_shape == theirs.input_shape
    expected = theirs(x)
    assert_close(ours(x), expected)
    assert_close(ours.predict(x, verbose=0), theirs.predict(x, verbose=0))
    assert_close(ours(x, training=True), theirs(x, training=True))
    config = as_json(cornu.saving.serialize_keras_object(ours))
    assert config == as_json(keras.saving.serialize_keras_object(theirs))
    weights = theirs.get_weights()
    for given, k in ((config, cornu), (as_json(keras.saving.serialize_keras_object(theirs)), cornu),
                     (config, keras)):  # fmt: skip
        again = k.saving.deserialize_keras_object(given)
        if not again.built:
            again(x)
        again.set_weights(weights)
        assert_close(again(x), theirs(x))
    for again in (
        cornu.models.model_from_json(ours.to_json()),
        type(ours).from_config(ours.get_config()),
    ):
        assert as_json(again.get_config()) == as_json(ours.get_config())


# ------------------------------------------------------------------- where a graph starts


def test_a_function_has_what_lies_between_its_inputs_and_outputs_and_no_more() -> None:
    for k in (cornu, keras):
        x, y = k.Input((4,), name="x"), k.Input((2,))
        a = k.layers.Dense(2, name="a")(x)
        b, c = k.layers.Add(name="b")([a, y]), k.layers.Dense(2, name="c")(x)
        function = k.Function([b, x], k.layers.Add(name="d")([b, c]))
        assert sorted(operation.name for operation in function.operations) == ["c", "d", "x"]
        model = k.Model([b, x], k.layers.Add(name="d")([b, c]))
        assert {layer.name for layer in model.layers} >= {"c", "d", "x"}
        assert (len(model.layers), len(model.weights)) == (4, 2)
        ones = np.ones((3, 2), "float32")
        np.testing.assert_array_equal(function([ones, np.zeros((3, 4))]), ones)
        with pytest.raises(ValueError):
            k.Function(b, a)


def test_an_input_that_the_graph_computes_too_keeps_the_value_that_is_given() -> None:
    x = cornu.Input((4,))
    a, b = cornu.ops.split(x, 2, axis=1)
    function = cornu.Function([a, x], [a, b])
    given, computed = function([np.full((1, 2), 7.0), np.zeros((1, 4))])
    assert given[0, 0] == 7
    assert computed[0, 0] == 0


def test_a_single_output_in_a_list() -> None:
    for k in (cornu, keras):
        model = list_of_one(k)
        assert isinstance(model.output, list)
        assert isinstance(model(k.Input((4,))), list)
        assert k.Function(model.input, model.output)(draw(5, 4))[0].shape == (5, 2)
        for weights in (2.0, [2.0]):
            model.compile("sgd", "mse", loss_weights=weights)
            zeros = np.zeros((5, 2), "float32")
            losses = [model.evaluate(draw(5, 4), y, verbose=0) for y in (zeros, [zeros])]
            twice = 2 * np.mean(np.square(model(draw(5, 4))))
            np.testing.assert_allclose(losses, [twice, twice], rtol=1e-5)


def test_a_model_of_its_input_alone_gives_tensors() -> None:
    x = cornu.Input((4,))
    model = cornu.Model(x, x)
    assert isinstance(model.call(draw(5, 4)), jax.Array)
    assert model.layers[0].call() is None


@pytest.mark.parametrize(
    "said",
    [
        {"shape": (4,)},
        {"batch_shape": (7, 3)},
        {"batch_size": 7},
        {"dtype": "int32"},
        {"sparse": True},
    ],
    ids=str,
)
def test_an_input_is_as_its_tensor(said: dict[str, Any]) -> None:
    for k in (cornu, keras):
        tensor = k.KerasTensor((2, 3))
        with pytest.raises(ValueError, match=next(iter(said))):
            k.Input(tensor=tensor, **said)
        fits = k.Input((3,), batch_size=2, dtype="float32", sparse=False, tensor=tensor)
        assert fits.shape == (2, 3)


# ---------------------------------------------------------------------- unknown sizes


def test_unknown_sizes() -> None:
    for k in (cornu, keras):
        x = k.Input((None, 4))
        y = k.layers.LSTM(3, return_sequences=True)(k.layers.Conv1D(5, 3, padding="same")(x))
        model = k.Model(x, [y, k.layers.GlobalMaxPooling1D()(y)])
        assert model.output_shape == [(None, None, 3), (None, 3)]
        for length in (4, 9):
            outputs = model(draw(2, length, 4))
            assert [tuple(o.shape) for o in outputs] == [(2, length, 3), (2, 3)]
        assert model.compute_output_shape((7, 5, 4)) == [(7, 5, 3), (7, 3)]


# --------------------------------------------------------------------------- training


def test_training_reaches_the_layers_as_in_keras() -> None:
    """Which value of `training` a layer sees, for each way to say it."""

    def run(k: Any) -> list[Any]:
        seen: list[Any] = []

        class Spy(k.layers.Layer):  # type: ignore[misc]
            def call(self, x: Any, training: Any = None) -> Any:
                seen.append((self.name, training))
                return x

        class Outer(k.layers.Layer):  # type: ignore[misc]
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.inner = Spy(name=f"{self.name}_inner")

            def call(self, x: Any) -> Any:
                return self.inner(x)

        x = k.Input((2,))
        y = Outer(name="outer")(Spy(name="free")(x))
        y = k.Sequential([Spy(name="stacked")], name="stack")(y)
        model = k.Model(x, y)
        wrapped = k.Sequential([model], name="wrapped")
        seen.clear()
        for called in (model, wrapped):
            called(draw(1, 2))
            called(draw(1, 2), training=True)
            called(draw(1, 2), training=False)
        model.compile("sgd", "mse", run_eagerly=True)
        model.predict(draw(1, 2), verbose=0)
        return seen

    assert run(cornu) == run(keras)


@pytest.mark.parametrize("said", [True, False])
def test_training_said_in_the_graph_holds_whatever_the_model_is_called_with(said: bool) -> None:
    ones = np.ones((4, 200), "float32")
    x = cornu.Input((200,))
    base = cornu.Sequential([x, cornu.layers.Dropout(0.5), cornu.layers.BatchNormalization()])
    model = cornu.Model(x, base(x, training=said))
    for one in (
        model,
        cornu.models.clone_model(model),
        cornu.Model.from_config(model.get_config()),
    ):
        for training in (None, True, False):
            assert (np.array(one(ones, training=training)) == 0).any() == said
        assert (one.predict(ones, verbose=0) == 0).any() == said
        one.compile("sgd", "mse")
        before = one.get_weights()
        one.fit(ones, ones, verbose=0)
        assert np.array_equal(before[2], one.get_weights()[2]) != said


def test_dropout_drops_in_training() -> None:
    for k in (cornu, keras):
        x = k.Input((200,))
        model = k.Model(x, k.layers.Dropout(0.5)(x))
        assert (np.array(model(np.ones((1, 200), "float32"))) == 1).all()
        assert (np.array(model(np.ones((1, 200), "float32"), training=True)) == 0).any()


# ------------------------------------------------------------------------------ masks


def test_masks_go_through_the_graph() -> None:
    tokens = np.array([[3, 1, 0, 0], [2, 0, 0, 0]])

    def run(k: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}

        class Spy(k.layers.Layer):  # type: ignore[misc]
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.supports_masking = True

            def call(self, x: Any, mask: Any = None) -> Any:
                if isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer):
                    found[self.name] = None if mask is None else np.array(mask).tolist()
                return x

        x = k.Input((4,), dtype="int32")
        embedded = Spy()(k.layers.Embedding(5, 3, mask_zero=True)(x))
        doubled = Spy()(k.layers.Dropout(0.1)(embedded))
        joined = Spy()(k.layers.Concatenate(axis=1)([doubled, embedded]))
        inner = k.Sequential([k.layers.Masking(mask_value=9.0), Spy()])
        masked = Spy()(inner(joined))
        added = Spy()(k.layers.Add()([embedded, doubled]))
        kept = Spy()(k.layers.LSTM(2, return_sequences=True)(added))
        gone = Spy()(k.layers.LSTM(2)(kept))
        timed = Spy()(k.layers.TimeDistributed(k.layers.Dense(2))(kept))
        model = k.Model(x, [masked, gone, timed])
        found.clear()
        model(tokens)
        given = np.array([[True, True, True, False]] * 2)
        y = k.Input((4, 3))
        second = k.Model(y, Spy()(k.layers.Activation("relu")(y)))
        second(draw(2, 4, 3), mask=given)
        return found

    found = run(cornu)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer .* was passed an input with a mask")
        assert found == run(keras)


# ------------------------------------------------------------------------- subclassing


def test_a_subclass_that_makes_a_graph() -> None:
    def build(k: Any) -> Any:
        class Net(k.Model):  # type: ignore[misc]
            def __init__(self, units: int = 3, **kwargs: Any) -> None:
                x = k.Input((6,))
                y = k.layers.Dense(units, name="out")(x)
                super().__init__(inputs=x, outputs=y, **kwargs)
                self.units = units

            def get_config(self) -> dict[str, Any]:
                return {"units": self.units, "name": self.name}

        return Net(4, name="net")

    ours, theirs = twins(build, (cornu, keras), draw(5, 6))
    assert_close(ours(draw(5, 6)), theirs(draw(5, 6)))
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert ours.get_config() == theirs.get_config()
    assert type(ours).from_config(ours.get_config()).output_shape == (None, 4)
    assert isinstance(
        ours, cornu.models.Functional if hasattr(cornu.models, "Functional") else object
    )
    ours.compile("sgd", "mse")
    ours.fit(draw(5, 6), draw(5, 4), verbose=0)


def test_two_arguments_of_a_subclass_are_its_own() -> None:
    class Autoencoder(cornu.Model):
        def __init__(self, encoder: Any, decoder: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.encoder, self.decoder = encoder, decoder

        def call(self, x: Any) -> Any:
            return self.decoder(self.encoder(x))

    class Deeper(Autoencoder):
        pass

    for kind in (Autoencoder, Deeper):
        for parts in (
            {"encoder": cornu.layers.Dense(2), "decoder": cornu.layers.Dense(3)},
            {
                "encoder": cornu.Sequential([cornu.layers.Dense(2)]),
                "decoder": cornu.layers.Dense(3),
            },
        ):
            assert kind(**parts)(np.ones((1, 3))).shape == (1, 3)
            model = kind(*parts.values(), name="two")
            assert model(np.ones((1, 3))).shape == (1, 3)
            assert not isinstance(model, cornu.models.Functional)


def test_a_subclass_with_layers_in_containers() -> None:
    def build(k: Any) -> Any:
        class Net(k.Model):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.blocks = [k.layers.Dense(4, name=f"block_{i}") for i in range(2)]
                self.heads = {"b": k.layers.Dense(2, name="b"), "a": k.layers.Dense(3, name="a")}
                self.pair = (k.layers.Dense(1, name="p"), 5)
                self.blocks.append(k.layers.LayerNormalization(name="norm"))
                self.offset = self.add_weight(shape=(4,), initializer="ones", name="offset")

            def call(self, x: Any) -> Any:
                for block in self.blocks:
                    x = block(x)
                x = x + self.offset
                return {key: head(x) for key, head in self.heads.items()}, self.pair[0](x)

        return Net()

    x = draw(5, 6)
    ours, theirs = twins(build, (cornu, keras), x)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    assert_close(ours(x), theirs(x))
    assert ours.blocks[0] is ours.layers[0]
    assert len(ours.blocks) == 3


def test_a_subclass_is_built_by_shapes() -> None:
    class Net(cornu.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = cornu.layers.Dense(3)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    net = Net()
    assert not net.built
    net.build((None, 5))
    assert net.built
    assert net.count_params() == 18
    assert net.compute_output_shape((2, 5)) == (2, 3)


# --------------------------------------------------------------------------- Sequential


def test_sequential_is_built_late() -> None:
    for k in (cornu, keras):
        model = k.Sequential(name="late")
        model.add(k.layers.Dense(4, name="one"))
        model.add(k.layers.Dense(3, name="two"))
        assert not model.built
        assert model.weights == []
        with pytest.raises((ValueError, AttributeError)):
            _ = model.output_shape
        model.build((None, 6))
        assert model.built
        assert [w.path for w in model.weights] == [
            "late/one/kernel", "late/one/bias", "late/two/kernel", "late/two/bias"
        ]  # fmt: skip
        assert model.output_shape == (None, 3)
        kernel = model.layers[0].kernel
        model.add(k.layers.Dense(2, name="three"))
        assert model.output_shape == (None, 2)
        assert len(model.weights) == 6
        assert model.layers[0].kernel is kernel
        assert model.pop().name == "three" if k is cornu else model.pop() or True
        assert model.output_shape == (None, 3)
        assert tuple(model(draw(2, 6)).shape) == (2, 3)
        assert [layer.name for layer in model.layers] == ["one", "two"]


def test_sequential_is_built_where_its_first_model_is() -> None:
    def made(k: Any) -> list[tuple[bool, Any, int]]:
        inputs = k.Input((2,))
        graph = k.Model(inputs, k.layers.Dense(3)(inputs))
        inner = k.Sequential([k.Input((2,)), k.layers.Dense(2)])
        outer = [k.Sequential([first, k.layers.Dense(1)]) for first in (graph, inner)]
        return [(model.built, model.input_shape, len(model.weights)) for model in outer]

    assert made(cornu) == made(keras) == [(True, (None, 2), 4)] * 2


def test_sequential_by_data_and_empty() -> None:
    for k in (cornu, keras):
        model = k.Sequential([k.layers.Dense(4), k.layers.Dense(3)])
        assert tuple(model(draw(2, 6)).shape) == (2, 3)
        assert model.input_shape == (2, 6) or model.input_shape == (None, 6)
        assert tuple(model(draw(7, 6)).shape) == (7, 3)
        with pytest.raises(ValueError):
            k.Sequential().build((None, 3))
        with pytest.raises(ValueError):
            k.Sequential([k.layers.Dense(1, name="x"), k.layers.Dense(1, name="x")])
        with pytest.raises(ValueError):
            k.Sequential([3])


def test_sequential_configs() -> None:
    for build in (
        lambda k: k.Sequential([k.layers.Dense(4), k.layers.Dense(3)]),
        lambda k: k.Sequential(name="empty"),
        lambda k: _built(k.Sequential([k.layers.Dense(4), k.layers.Dropout(0.1)])),
    ):
        cornu.core.naming.reset()
        keras.backend.clear_session(free_memory=False)
        ours, theirs = build(cornu), build(keras)
        assert as_json(ours.get_config()) == as_json(theirs.get_config())
        assert ours.trainable == theirs.trainable
        again = cornu.Sequential.from_config(as_json(theirs.get_config()))
        assert as_json(again.get_config()) == as_json(ours.get_config())
        assert again.built == theirs.built


def _built(model: Any) -> Any:
    model.build((None, 6))
    return model


# ------------------------------------------------------------------------ a large graph


def resnet50(k: Any) -> Any:
    """ResNet50 (He et al., 2015), with the padding and names of Keras's applications."""
    layers = k.layers

    def convolution(
        x: Any, filters: int, size: int, name: str, strides: int = 1, pad: str = "same"
    ) -> Any:
        x = layers.Conv2D(filters, size, strides=strides, padding=pad, name=f"{name}_conv")(x)
        return layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(x)

    def block(x: Any, filters: int, name: str, strides: int = 1, shortcut: bool = False) -> Any:
        kept = convolution(x, 4 * filters, 1, f"{name}_0", strides) if shortcut else x
        x = layers.Activation("relu")(convolution(x, filters, 1, f"{name}_1", strides))
        x = layers.Activation("relu")(convolution(x, filters, 3, f"{name}_2"))
        x = convolution(x, 4 * filters, 1, f"{name}_3")
        return layers.Activation("relu")(layers.Add()([kept, x]))

    inputs = k.Input((224, 224, 3))
    x = layers.ZeroPadding2D(3)(inputs)
    x = layers.Activation("relu")(convolution(x, 64, 7, "conv1", 2, "valid"))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=2):
        for i in range(blocks):
            strides = 2 if i == 0 and stage > 2 else 1
            x = block(x, filters, f"conv{stage}_block{i + 1}", strides, shortcut=i == 0)
    x = layers.Dense(1000, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return k.Model(inputs, x)


def test_building_resnet50_compiles_nothing(compilations: Callable[[], int]) -> None:
    cornu.ops.zeros((1,))
    compilations()
    start = time.perf_counter()
    model = resnet50(cornu)
    seconds = time.perf_counter() - start
    print(f"ResNet50 is built in {seconds:.2f} s.")
    assert compilations() == 0
    assert model.count_params() == 25_636_712
    assert len(model.layers) == 177
    assert model.output_shape == (None, 1000)
