"""A model that is called again and again runs as one compiled step, and nobody can tell."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops, tuning
from cornu.core.scopes import StatelessScope
from cornu.engines import get, use
from cornu.layers import Layer
from cornu.models._whole import WholeCalls
from tests.engines_tested import ENGINES

WHOLE = [name for name in ENGINES if get(name).whole_calls]
X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
TOKENS = np.arange(12, dtype="int32").reshape(2, 6) % 5


def dense() -> Any:
    return cornu.Sequential([layers.Dense(8, activation="relu"), layers.Dense(3)])


def recurrent() -> Any:
    return cornu.Sequential([layers.Embedding(5, 4), layers.LSTM(4), layers.BatchNormalization()])


def stateful() -> Any:
    return cornu.Sequential(
        [layers.Input(batch_shape=(2, 6)), layers.Embedding(5, 4), layers.GRU(3, stateful=True)]
    )


def several() -> Any:
    x = cornu.Input((6,))
    y = layers.Dropout(0.5)(layers.LayerNormalization()(x))
    return cornu.Model(x, {"sum": layers.Add()([x, y]), "square": ops.square(y)})


def masking() -> Any:
    return cornu.Sequential([layers.Embedding(5, 4, mask_zero=True)])


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("build", [dense, recurrent, stateful, several, masking])
def test_calls_give_the_same_from_the_first_to_the_last(name: str, build: Any) -> None:
    x = TOKENS if build in (recurrent, stateful, masking) else X
    with use(name):
        cornu.utils.set_random_seed(1)
        model, plain = build(), build()
        model(x), plain(x)
        for one, other in zip(plain.variables, model.variables, strict=True):
            one.assign(other)
        for _ in range(2 * tuning.whole_calls()):
            ours, theirs = model(x), Layer.__call__(plain, x)
            cornu.tree.map_structure(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs
            )
            masks = [getattr(y, "_keras_mask", None) is None for y in (ours, theirs)]
            assert masks[0] == masks[1]


def warm(model: Any) -> Any:
    for _ in range(2 * tuning.whole_calls()):
        y = model(X)
    return y


def is_whole(model: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a call runs no layer by itself."""
    seen: list[Any] = []
    with monkeypatch.context() as patch:
        call = Layer.__call__
        patch.setattr(
            Layer, "__call__", lambda self, *a, **k: (seen.append(self), call(self, *a, **k))[1]
        )
        model(X)
    return not seen


def test_changes_are_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with use("jax"):
        model = dense()
        before = warm(model)
        assert is_whole(model, monkeypatch)
        model.layers[-1].activation = cornu.activations.tanh
        np.testing.assert_allclose(model(X), np.tanh(before), rtol=1e-5)
        warm(model)
        model.layers[-1].bias.assign([10.0, 10.0, 10.0])
        np.testing.assert_allclose(model(X), np.tanh(np.asarray(before) + 10), rtol=1e-5)
        assert is_whole(model, monkeypatch)
        model.compile("sgd", "mse")
        model.fit(X, X[:, :3], verbose=0)
        np.testing.assert_allclose(model(X), model.predict(X, verbose=0), rtol=1e-5)


def test_training_is_not_inference() -> None:
    with use("jax"):
        model = cornu.Sequential([layers.Dropout(0.5)])
        np.testing.assert_array_equal(warm(model), X)
        assert (np.asarray(model(X, training=True)) == 0).any()


class Counting(layers.Layer):
    """A layer whose Python code does more than compute."""

    calls = 0

    def call(self, x: Any) -> Any:
        type(self).calls += 1
        return x


def doubled(x: Any) -> Any:
    Counting.calls += 1
    return x * 2


class Doubled:
    """An object that is called."""

    def __call__(self, x: Any) -> Any:
        return doubled(x)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: Counting(),
        lambda: layers.Dense(2, activation=Doubled()),
        lambda: layers.Lambda(doubled),
        lambda: layers.Dense(2, activation=doubled),
        lambda: cornu.Sequential([Counting()]),
    ],
)
def test_python_code_of_others_runs_at_each_call(layer: Any) -> None:
    with use("jax"):
        model = cornu.Sequential([layer()])
        model(X)
        Counting.calls = 0
        warm(model)
    assert Counting.calls == 2 * tuning.whole_calls()


def test_losses_of_layers_are_kept() -> None:
    with use("jax"):
        model = cornu.Sequential([layers.ActivityRegularization(l2=1.0)])
        warm(model)
        np.testing.assert_allclose(model.losses[0], np.sum(X**2) / 4, rtol=1e-5)


def test_values_of_a_scope_are_used_and_gradients_taken() -> None:
    jax = pytest.importorskip("jax")
    with use("jax"):
        model = dense()
        warm(model)
        zeros = [(v, ops.zeros_like(v)) for v in model.trainable_variables]
        with StatelessScope(zeros):
            np.testing.assert_array_equal(model(X), np.zeros((4, 3)))
        values = [v.value for v in model.trainable_variables]
        np.testing.assert_allclose(
            jax.grad(lambda values: model.stateless_call(values, [], X)[0].sum())(values)[-1],
            [4.0, 4.0, 4.0],
        )
        np.testing.assert_allclose(jax.jit(model)(X), model(X), rtol=1e-5)
        assert jax.grad(lambda x: model(x).sum())(ops.array(X)).shape == X.shape


@pytest.mark.parametrize("convert", [np.float64, np.asfortranarray, "torch", "variable"])
def test_inputs_of_other_kinds(convert: Any) -> None:
    if convert == "torch":
        x = pytest.importorskip("torch").tensor(X)
    elif convert == "variable":
        x = cornu.Variable(X)
    else:
        x = convert(X)
    with use("jax"):
        model = dense()
        expected = model(X)
        for _ in range(2 * tuning.whole_calls()):
            np.testing.assert_allclose(model(x), expected, rtol=1e-5)


def test_other_shapes_and_errors() -> None:
    with use("jax"):
        model = dense()
        warm(model)
        assert model(X[:2]).shape == (2, 3)
        for _ in range(3 * tuning.whole_calls()):
            with pytest.raises(ValueError, match="Received"):
                model(X[:, :5])


def test_a_model_that_was_called_is_copied_and_kept() -> None:
    with use("jax"):
        model = dense()
        expected = warm(model)
        for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert isinstance(copied._whole_calls, WholeCalls)
            assert copied._whole_calls.model is copied
            np.testing.assert_allclose(warm(copied), expected, rtol=1e-6)
