"""Models that begin with layers of strings: trained, evaluated, saved and loaded on every engine."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import tensorflow as tf
import torch

import cornu
from cornu import layers, ops
from tests.engines_tested import ENGINES

WORDS = np.array([["a", "b"], ["c", "q"], ["a", "c"], ["b", "b"], ["q", "a"]])
NUMBERS = np.arange(5, dtype="float32")[:, None]
Y = np.array([0, 1, 0, 1, 1])


def two_inputs() -> Any:
    """A model of strings and numbers, compiled."""
    words, numbers = cornu.Input((2,), dtype="string", name="w"), cornu.Input((1,), name="n")
    x = layers.Flatten()(
        layers.Embedding(4, 3)(layers.StringLookup(vocabulary=["a", "b", "c"])(words))
    )
    x = layers.Dense(2, activation="softmax")(layers.Concatenate()([x, numbers]))
    model = cornu.Model({"w": words, "n": numbers}, x)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("engine", ENGINES)
def test_training_and_files(engine: str, tmp_path: Path) -> None:
    cornu.utils.set_random_seed(0)
    with cornu.backend.use(engine):
        x, model = {"w": WORDS, "n": NUMBERS}, two_inputs()
        before = model.predict(x, batch_size=2, verbose=0)
        np.testing.assert_allclose(ops.convert_to_numpy(model(x)), before, 1e-5)
        history = model.fit(x, Y, epochs=2, batch_size=2, verbose=0, validation_data=(x, Y)).history
        assert history["loss"][1] < history["loss"][0]
        np.testing.assert_allclose(model.evaluate(x, Y, verbose=0)[0], history["val_loss"][1], 1e-5)
        model.train_on_batch(x, Y)
        wanted = model.predict_on_batch(x)
        model.save(tmp_path / "model.keras")
        again = cornu.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(again.predict(x, verbose=0), wanted, 1e-5)
        clone = cornu.models.clone_model(again)
        clone.set_weights(again.get_weights())
        np.testing.assert_allclose(clone.predict(x, verbose=0), wanted, 1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_models_of_strings_and_weights_in_others(engine: str, tmp_path: Path) -> None:
    """Both parts of a nested model run where those of the model around it do, on what comes from a layer too."""
    with cornu.backend.use(engine):
        inner, dense, last = two_inputs(), layers.Dense(1), layers.Dense(3)
        words, numbers = cornu.Input((2,), dtype="string"), cornu.Input((1,))
        middle = cornu.Model([words, numbers], inner({"w": words, "n": dense(numbers)}))
        again, n = cornu.Input((2,), dtype="string"), cornu.Input((1,))
        model = cornu.Model([again, n], last(middle([again, n])))
        made = inner.predict({"w": WORDS, "n": ops.convert_to_numpy(dense(NUMBERS))}, verbose=0)
        wanted = ops.convert_to_numpy(last(made))
        found = model.predict([WORDS, NUMBERS], batch_size=2, verbose=0)
        np.testing.assert_allclose(found, wanted, 1e-5, 1e-6)
        np.testing.assert_allclose(
            ops.convert_to_numpy(model([WORDS, NUMBERS])), wanted, 1e-5, 1e-6
        )
        model.compile("sgd", "mse")
        before = inner.get_weights()[0]
        model.fit([WORDS, NUMBERS], np.ones((5, 3)), verbose=0)
        assert not np.allclose(inner.get_weights()[0], before)
        model.save(tmp_path / "model.keras")
        loaded = cornu.models.load_model(tmp_path / "model.keras")
        wanted = model.predict([WORDS, NUMBERS], verbose=0)
        np.testing.assert_allclose(loaded.predict([WORDS, NUMBERS], verbose=0), wanted, 1e-5)


def test_a_stack_in_a_stack_is_built_by_strings() -> None:
    lookup = layers.StringLookup(vocabulary=["a", "b", "c"])
    inner = cornu.Sequential([lookup, layers.Embedding(4, 3), layers.Flatten()])
    model = cornu.Sequential([inner, layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(WORDS, np.ones((5, 2)), verbose=0)
    wanted = model.layers[1](inner.layers[2](inner.layers[1](lookup(WORDS))))
    np.testing.assert_allclose(model.predict(WORDS, verbose=0), ops.convert_to_numpy(wanted), 1e-5)


class Batches(cornu.utils.PyDataset):
    """Words and classes in two batches."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return WORDS[index::2, 0], Y[index::2]


SOURCES: dict[str, Callable[[], dict[str, Any]]] = {
    "an array": lambda: {"x": WORDS[:, :1], "y": Y},
    "a vector": lambda: {"x": WORDS[:, 0], "y": Y},
    "a pandas column": lambda: {"x": pd.Series(WORDS[:, 0]), "y": Y},
    "a dataset": lambda: {"x": Batches()},
    "a generator": lambda: {"x": ((WORDS[i : i + 2, 0], Y[i : i + 2]) for i in (0, 2, 3))},
    "a loader": lambda: {
        "x": torch.utils.data.DataLoader(
            list(zip(WORDS[:, 0].tolist(), Y.tolist(), strict=True)), 3
        )
    },
    "tf.data": lambda: {"x": tf.data.Dataset.from_tensor_slices((WORDS[:, 0], Y)).batch(2)},
}


@pytest.mark.parametrize("engine", sorted({"jax", "torch"} & set(ENGINES)))
@pytest.mark.parametrize("source", SOURCES)
def test_sources(source: str, engine: str) -> None:
    with cornu.backend.use(engine):
        text = layers.TextVectorization(output_mode="multi_hot", vocabulary=["a", "b", "c"])
        model = cornu.Sequential([text, layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse")
        model.fit(**SOURCES[source](), verbose=0)
        assert np.isfinite(model.evaluate(**SOURCES[source](), verbose=0))
        assert model.predict(WORDS[:, 0], verbose=0).shape == (5, 1)
        assert model(WORDS[:, 0]).shape == (5, 1)


def test_what_layers_of_strings_need_runs_on_the_host_too() -> None:
    """A crossing of bins and strings: bins, which compute on the engine elsewhere, are made before the step."""
    ages, words = cornu.Input((1,)), cornu.Input((1,), dtype="string")
    bins = layers.Discretization([18.0, 65.0])(ages)
    crossed = layers.HashedCrossing(16, output_mode="one_hot")([bins, words])
    inner = cornu.Model([ages, words], crossed)
    model = cornu.Model([ages, words], layers.Dense(1)(inner([ages, words])))
    model.compile("sgd", "mse")
    x = [np.array([[3.0], [70.0], [20.0]]), np.array([["a"], ["b"], ["a"]])]
    model.fit(x, np.ones(3), verbose=0)
    expected = layers.HashedCrossing(16)([np.array([[0], [2], [1]]), x[1]])
    found = inner.predict(x, verbose=0)
    assert found.argmax(-1).tolist() == ops.convert_to_numpy(expected)[:, 0].tolist()


def test_a_model_that_begins_with_strings_may_be_called_twice() -> None:
    """Two towers of one encoder, which has weights."""
    lookup = layers.StringLookup(vocabulary=["a", "b", "c"])
    encoder = cornu.Sequential(
        [cornu.Input((1,), dtype="string"), lookup, layers.Embedding(4, 3), layers.Flatten()]
    )
    left, right = (cornu.Input((1,), dtype="string") for _ in range(2))
    model = cornu.Model([left, right], layers.Dense(1)(encoder(left) - encoder(right)))
    model.compile("sgd", "mse")
    x, before = [WORDS[:, :1], WORDS[:, 1:]], encoder.get_weights()[0]
    model.fit(x, Y, verbose=0)
    assert np.any(encoder.get_weights()[0] != before)
    expected = encoder.predict(x[0], verbose=0) - encoder.predict(x[1], verbose=0)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(model.predict(x, verbose=0), expected @ kernel + bias, 1e-5, 1e-6)


def test_large_integers_stay_what_they_are() -> None:
    """They are looked up before JAX makes 32 bits of them."""
    big = [1 << 40, (1 << 40) + 1]
    model = cornu.Sequential(
        [cornu.Input((1,), dtype="int64"), layers.IntegerLookup(vocabulary=big)]
    )
    assert model.predict(np.array(big)[:, None], verbose=0).ravel().tolist() == [1, 2]
    assert np.asarray(model(np.array(big)[:, None])).ravel().tolist() == [1, 2]


class Own(cornu.Model):
    """A model whose call begins with a layer of strings."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text = layers.TextVectorization(output_mode="multi_hot", vocabulary=["a", "b", "c"])
        self.dense = layers.Dense(2, activation="softmax")

    def call(self, inputs: Any) -> Any:
        """The classes' probabilities."""
        return self.dense(ops.concatenate([self.text(inputs["w"]), inputs["n"]], -1))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["U1", object])
def test_a_call_of_ones_own_takes_strings(
    engine: str, dtype: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Its steps run eagerly, and the log says what leaves them compiled."""
    x = {"w": WORDS[:, :1].astype(dtype), "n": NUMBERS}
    with cornu.backend.use(engine), caplog.at_level("INFO", "cornu"):
        model = Own(name="own")
        before = model.predict(x, batch_size=2, verbose=0)
        np.testing.assert_allclose(ops.convert_to_numpy(model(x)), before, 1e-5)
        assert "'own' run eagerly, as its call takes strings" in caplog.text
        model.compile("sgd", "sparse_categorical_crossentropy")
        history = model.fit(x, Y, epochs=2, batch_size=2, verbose=0, validation_data=(x, Y)).history
        assert history["val_loss"][1] == pytest.approx(model.evaluate(x, Y, verbose=0), 1e-5)
        assert not np.allclose(model.predict_on_batch(x), before)


@pytest.mark.parametrize("engine", ENGINES)
def test_strings_that_a_model_gives(engine: str, tmp_path: Path) -> None:
    """Layers at the end that make them run on the host, on what the compiled rest gives."""
    with cornu.backend.use(engine):
        x, classes = cornu.Input((3,)), ["a", "b", "c"]
        scores = layers.Dense(3)(x)
        names = layers.StringLookup(vocabulary=classes, invert=True, num_oov_indices=0)
        model = cornu.Model(x, {"name": names(ops.argmax(scores, -1)), "score": scores})
        given = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
        found = model.predict(given, batch_size=2, verbose=0)
        best = found["score"].argmax(-1)
        assert found["name"].tolist() == [classes[i] for i in best]
        assert model.predict_on_batch(given)["name"].tolist() == found["name"].tolist()
        assert list(model(given)["name"]) == found["name"].tolist()
        outer = cornu.Model(y := cornu.Input((3,)), model(y))
        assert outer.predict(given, verbose=0)["name"].tolist() == found["name"].tolist()
        assert (
            outer._ending is not None and len(outer._ending[0].weights) == 2
        )  # of the compiled rest
        model.compile("sgd", {"score": "mse"})
        with pytest.raises(ValueError, match="Outputs are numbers in training and evaluation"):
            model.fit(given, {"score": given}, verbose=0)
        copy.deepcopy(model).save(tmp_path / "model.keras")
        loaded = cornu.models.load_model(tmp_path / "model.keras")
        again = loaded.predict(given, verbose=0)
        assert again["name"].tolist() == found["name"].tolist()
        there_and_back = cornu.Sequential(
            [cornu.Input((), dtype="string"), layers.StringLookup(vocabulary=classes)]
            + [layers.StringLookup(vocabulary=classes, invert=True)]
        )
        assert there_and_back.predict(WORDS[:, 0], verbose=0).tolist() == [
            "a",
            "c",
            "a",
            "b",
            "[UNK]",
        ]


@pytest.mark.parametrize("run", ["predict", "fit"])
def test_strings_that_no_layer_takes(run: str) -> None:
    model = cornu.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="must be numbers or booleans. Received: dtype=<U1"):
        getattr(model, run)(*[WORDS, Y][: 1 + (run == "fit")], verbose=0)
    with pytest.raises(ValueError, match="must be numbers or booleans. Received: dtype=object"):
        getattr(model, run)(np.array([{}, 1, 2]), verbose=0)


@pytest.mark.parametrize("given", [None, "path"])
@pytest.mark.parametrize(
    "kind, mode", [(layers.StringLookup, "multi_hot"), (layers.TextVectorization, "count")]
)
def test_the_size_of_a_vocabulary_is_known_before_its_tokens(
    kind: Any, mode: str, given: str | None, tmp_path: Path
) -> None:
    """They come with a file's assets; the path that a config has is not opened."""
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("a\nb\nc\n")
    layer = kind(output_mode=mode, vocabulary=str(tokens) if given else None)
    if not given:
        layer.adapt(np.array(["a", "b", "c"]))
    words = cornu.Input((1,), dtype="string")
    model = cornu.Model(words, layers.Dense(2)(layer(words)))
    model.save(tmp_path / "a.keras")
    expected = model.predict(WORDS[:, :1], verbose=0)
    tokens.unlink()
    loaded = cornu.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(loaded.predict(WORDS[:, :1], verbose=0), expected)
    tokens.write_text("x\ny\nz\n")
    bare = cornu.models.model_from_json(model.to_json())
    if given:
        with pytest.raises(ValueError, match="a path in a saved model, which is not read"):
            bare.predict(WORDS[:, :1], verbose=0)


@pytest.mark.parametrize("special", [{}, {"mask_token": ""}])
def test_look_ups_of_strings_in_an_onnx_file(special: dict[str, Any], tmp_path: Path) -> None:
    words, numbers = cornu.Input((3,), dtype="string", name="w"), cornu.Input((1,), name="n")
    lookup = layers.StringLookup(vocabulary=["a", "b", "\u00fc"], **special)
    x = layers.Flatten()(layers.Embedding(6, 3)(lookup(words)))
    model = cornu.Model({"w": words, "n": numbers}, layers.Concatenate()([x, numbers]))
    model.export(tmp_path / "model.onnx", verbose=False)
    given = np.array([["a", "", "\u00fc"], ["[UNK]", "b", "q"]], object), NUMBERS[:2]
    inputs = dict(zip("wn", given, strict=True))
    (found,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, inputs)
    np.testing.assert_allclose(found, model.predict(inputs, verbose=0), 1e-6)
    with pytest.raises(NotImplementedError, match="A page has no fields for strings"):
        model.export(tmp_path / "model.html", verbose=False)


def test_look_ups_of_integers_in_an_onnx_file(tmp_path: Path) -> None:
    lookup = layers.IntegerLookup(vocabulary=[5, 1 << 40, 7], mask_token=0)
    model = cornu.Sequential([cornu.Input((2,), dtype="int64", name="x"), lookup])
    model.export(tmp_path / "model.onnx", verbose=False)
    x = np.array([[5, 1 << 40], [0, 9], [7, -1]])
    (found,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"x": x})
    assert found.tolist() == model.predict(x, verbose=0).tolist() == [[2, 3], [0, 1], [4, 1]]


@pytest.mark.parametrize(
    "layer, given",
    [
        ("StringLookup", {"vocabulary": ["a"], "num_oov_indices": 2}),
        ("StringLookup", {"vocabulary": ["a"], "output_mode": "multi_hot"}),
        ("IntegerLookup", {"vocabulary": [1], "num_oov_indices": 0}),
        ("TextVectorization", {"vocabulary": ["a"], "output_mode": "count"}),
        ("Hashing", {"num_bins": 3}),
    ],
)
def test_what_an_onnx_file_can_not_hold(layer: str, given: dict[str, Any], tmp_path: Path) -> None:
    """It holds what comes after such layers."""
    first = getattr(layers, layer)(**given)
    dtype = "int64" if layer == "IntegerLookup" else "string"
    model = cornu.Sequential([cornu.Input((1,), dtype=dtype), first, layers.Rescaling(2.0)])
    with pytest.raises(NotImplementedError, match="A file has no functions of NumPy's"):
        model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    rest = cornu.Model(first.output, model.output)
    rest.export(tmp_path / "model.onnx", format="onnx", verbose=False)
