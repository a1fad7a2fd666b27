"""Masks through layers: what a padded sequence gives is what it gives without its padding."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import layers, ops
from cornu.core.masks import get_keras_mask

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 3)).astype("float32")
#: Padded on the left, and on the right.
MASK = np.array([[False, False, True, True, True], [True, True, True, False, False]])

engines = pytest.mark.parametrize("engine", ["jax", "torch"])
recurrent = pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])


def host(x: Any) -> np.ndarray[Any, Any]:
    return ops.convert_to_numpy(x)


@engines
@recurrent
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_padding_changes_no_last_output(
    engine: str, kind: str, zeros: bool, backwards: bool
) -> None:
    with cornu.backend.use(engine):
        layer = getattr(layers, kind)(4, go_backwards=backwards, zero_output_for_mask=zeros)
        got = host(layer(X, mask=MASK))
        for row in (0, 1):
            alone = host(layer(X[row : row + 1, MASK[row]]))
            np.testing.assert_allclose(got[row], alone[0], rtol=1e-4, atol=1e-5)


@recurrent
def test_outputs_in_reversed_order_have_a_mask_in_that_order(kind: str) -> None:
    layer = getattr(layers, kind)(4, go_backwards=True, return_sequences=True)
    masked = layers.Masking()(np.where(MASK[..., None], X, 0).astype("float32"))
    got = layer(masked)
    np.testing.assert_array_equal(host(get_keras_mask(got)), MASK[:, ::-1])
    both = layers.Bidirectional(layer)(masked)
    np.testing.assert_array_equal(host(get_keras_mask(both)), MASK[:, ::-1])


@engines
def test_a_mask_holds_beside_first_states(engine: str) -> None:
    with cornu.backend.use(engine):
        masked = layers.Masking()(np.where(MASK[..., None], X, 0).astype("float32"))
        states = [np.ones((2, 4), "float32")] * 2
        layer = layers.LSTM(4)
        np.testing.assert_array_equal(
            host(layer(masked, initial_state=states)),
            host(layer(masked, initial_state=states, mask=MASK)),
        )


@engines
def test_masks_within_a_step_of_time(engine: str) -> None:
    words = np.array([[[1, 2, 0], [3, 0, 0]], [[1, 0, 0], [0, 0, 0]]])
    with cornu.backend.use(engine):
        embedding = layers.Embedding(5, 4, mask_zero=True)
        vectors = layers.TimeDistributed(embedding)(words)
        np.testing.assert_array_equal(host(get_keras_mask(vectors)), words != 0)
        lstm = layers.LSTM(3)
        sentences = layers.TimeDistributed(lstm)(vectors)
        np.testing.assert_array_equal(host(get_keras_mask(sentences)), (words != 0).any(-1))
        alone = lstm(embedding(words[:1, 0, :2]))
        np.testing.assert_allclose(host(sentences)[0, 0], host(alone)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 4), (2, 6), (3, 5), (2,)])
@pytest.mark.parametrize("layer", [layers.LSTM(2), layers.TimeDistributed(layers.Dense(2))])
def test_a_mask_of_another_shape_is_refused(layer: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="mask must have the inputs' batch and time"):
        layer(X, mask=np.ones(shape, bool))


@engines
@recurrent
@pytest.mark.parametrize("rows", [1, 3, 5])
def test_states_are_of_as_many_sequences(engine: str, kind: str, rows: int) -> None:
    count = 2 if kind == "LSTM" else 1
    with cornu.backend.use(engine):
        given = {"initial_state": [np.zeros((rows, 4), "float32")] * count}
        with pytest.raises(ValueError, match="a row for every sequence"):
            getattr(layers, kind)(4, return_sequences=True)(X, **given)
        kept = getattr(layers, kind)(4, stateful=True)
        kept(X[[0] * rows])
        with pytest.raises(ValueError, match="keeps the batch size"):
            kept(X)


@pytest.mark.parametrize("sizes", [{"h": 9}, {"kernel": 7}, {"recurrent": 9}, {"bias": 6}])
def test_native_recurrences_read_what_is_there(sizes: dict[str, int]) -> None:
    from cornu.ops import _recurrent

    with cornu.backend.use("torch"):
        h = np.zeros((2, sizes.get("h", 4)), "float32")
        kernel = np.zeros((sizes.get("kernel", 3), 16), "float32")
        recurrent_kernel = np.zeros((sizes.get("recurrent", 4), 16), "float32")
        bias = np.zeros(sizes.get("bias", 16), "float32")
        with pytest.raises(ValueError, match="Received"):
            _recurrent.lstm(X, h, h, kernel, recurrent_kernel, bias)


def test_native_attention_and_norms_read_what_is_there() -> None:
    from cornu.ops._normalization import batch_normalized

    def zeros(*shape: int) -> Any:
        return np.zeros(shape, "float32")

    with cornu.backend.use("torch"):
        with pytest.raises(ValueError, match="Received"):
            ops.dot_product_attention(zeros(1, 5, 2, 4), zeros(1, 60, 2, 4), zeros(1, 3, 2, 4))
        with pytest.raises(ValueError, match="Received"):
            batch_normalized(zeros(4, 3), -1, zeros(2), zeros(2), 1e-3)


def test_cells_whose_state_is_one_tensor() -> None:
    class Sum(layers.Layer):
        state_size = 3

        def call(self, x: Any, states: Any) -> Any:
            return x + states[0], x + states[0]

    stacked = layers.RNN([layers.GRUCell(3), Sum(), Sum()], return_state=True)
    last, *states = stacked(X)
    assert [np.shape(state) for state in states] == [(1, 2, 3), (2, 3), (2, 3)]
    np.testing.assert_array_equal(host(last), host(states[-1]))
    assert np.isfinite(host(stacked(X, initial_state=states)[0])).all()


@pytest.mark.parametrize("engine", ["jax", "torch", "tensorflow", "numpy"])
def test_a_mask_comes_through_differentiation(engine: str) -> None:
    """In a step of one's own, and in `fit`, whose metrics leave out what those of `evaluate` do."""
    with cornu.backend.use(engine):
        tokens, tags = np.where(MASK, 1, 0), np.where(MASK, [[0], [1]], 2)
        model = cornu.Sequential(
            [layers.Embedding(2, 3, mask_zero=True), layers.Dense(3, activation="softmax")]
        )

        def loss_for() -> Any:
            y = model(tokens)
            return ops.sum(y), {"all": [y, (ops.ones(2), None)], "none": ()}

        (_, aux), _ = cornu.value_and_grad(loss_for, model.trainable_variables, has_aux=True)()
        np.testing.assert_array_equal(host(get_keras_mask(aux["all"][0])), MASK)
        assert get_keras_mask(aux["all"][1][0]) is None

        still = cornu.optimizers.SGD(0.0)
        model.compile(still, "sparse_categorical_crossentropy", metrics=["accuracy"])
        for y in (tags, tags[..., None]):
            seen = model.fit(tokens, y, verbose=0).history
            want = model.evaluate(tokens, y, verbose=0, return_dict=True)
            right = (model.predict(tokens, verbose=0).argmax(-1) == tags)[MASK].mean()
            np.testing.assert_allclose(seen["accuracy"][0], right, rtol=1e-5)
            np.testing.assert_allclose(want["accuracy"], right, rtol=1e-5)
            np.testing.assert_allclose(seen["loss"][0], want["loss"], rtol=1e-5)


@pytest.mark.parametrize("engine", ["jax", "torch", "tensorflow", "numpy"])
def test_a_mask_comes_into_and_out_of_remat(engine: str) -> None:
    with cornu.backend.use(engine):
        x = layers.Masking()(np.where(MASK[..., None], X, 0).astype("float32"))
        scale = cornu.Variable(2.0)

        def loss_for() -> Any:
            y = cornu.remat(layers.Activation("relu"))(x)
            pooled = cornu.remat(layers.GlobalAveragePooling1D())(x)
            return ops.sum(pooled * scale), (y, pooled)

        (_, (y, pooled)), _ = cornu.value_and_grad(loss_for, [scale], has_aux=True)()
        np.testing.assert_array_equal(host(get_keras_mask(y)), MASK)
        np.testing.assert_allclose(
            host(pooled), host(layers.GlobalAveragePooling1D()(x)), rtol=1e-5
        )


@pytest.mark.parametrize("cls", [layers.Attention, layers.AdditiveAttention])
def test_attention_over_more_axes_shares_a_mask_of_steps(cls: type[layers.Layer]) -> None:
    """Masks (batch, time) beside (batch, heads, time, features) are those of each head."""
    generator = np.random.default_rng(0)
    query, value = generator.normal(size=(2, 3, 6, 4)), generator.normal(size=(2, 3, 5, 4))
    masks = [np.arange(6) < np.array([[4], [6]]), np.arange(5) < np.array([[5], [2]])]
    layer = cls()
    found = layer([query, value], mask=masks)
    for head in range(3):
        wanted = layer([query[:, head], value[:, head]], mask=masks)
        np.testing.assert_allclose(found[:, head], wanted, 1e-5, 1e-6)


def test_masks_go_by_the_names_that_keras_has() -> None:
    def names(cls: Any) -> list[str]:
        return [n for n in inspect.signature(cls.compute_mask).parameters if n != "self"][1:]

    checked = 0
    for name, cls in vars(keras.layers).items():
        own = getattr(layers, name, None)
        if hasattr(cls, "compute_mask") and own is not None:
            assert names(own) == names(cls), name
            checked += 1
    assert checked > 100
    for name in ("Model", "Sequential"):
        assert names(getattr(cornu, name)) == names(getattr(keras, name))


def test_a_step_counts_as_a_whole() -> None:
    layer = layers.GRU(3, return_sequences=True)
    np.testing.assert_array_equal(layer(X, mask=MASK[..., None]), layer(X, mask=MASK))
    with pytest.raises(ValueError, match=r"Received: mask.shape=\(2, 5, 3\)"):
        layer(X, mask=np.ones((2, 5, 3), bool))
