"""Layers of tables and text against Keras's, by a table: values, shapes, configs, files, bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf
import torch

import cornu
from cornu import layers, ops
from tests.engines_tested import ENGINES

WORDS = np.array([["a", "c", "d"], ["d", "ü", "b"]])
IDS = np.array([[10, 30, 5], [20, 7, -(1 << 40)]])
DOCS = np.array(["The cat, sat. On the MAT!", "A dog's life; the cat", "Été naïve ÀB", " "])
NUMBERS = np.array([[-1.0, 0.0, 0.5], [1.0, 2.0, np.nan]], "float32")
ABC, INTS = {"vocabulary": ["a", "b", "c"]}, {"vocabulary": [10, 20, 30]}
LONG = np.array([["x" * n] for n in (0, 1, 3, 4, 7, 8, 16, 17, 32, 33, 64, 65, 128, 200)])
IDF = {"output_mode": "tf_idf", "idf_weights": [0.5, 1.0, 2.0]}


class Row(NamedTuple):
    """A layer, its arguments, what it is called on, and the data that it adapts to before, if to any."""

    layer: str
    args: dict[str, Any]
    inputs: Any
    data: Any = None


ROWS = [
    Row("StringLookup", ABC, WORDS),
    Row("StringLookup", ABC, ["a", "q", ""]),
    Row("StringLookup", {**ABC, "mask_token": "m"}, ["m", "a", "q"]),
    Row("StringLookup", {"vocabulary": ["m", "[UNK]", "a"], "mask_token": "m"}, ["m", "a", "q"]),
    Row("StringLookup", {**ABC, "num_oov_indices": 3}, [*map(str, range(40))]),
    Row("StringLookup", {**ABC, "num_oov_indices": 3, "salt": 7}, [*map(str, range(40))]),
    Row("StringLookup", {**ABC, "num_oov_indices": 0}, ["c", "a"]),
    *[
        Row("StringLookup", {**ABC, "output_mode": mode, **more}, WORDS[:, :n])
        for mode in ("one_hot", "multi_hot", "count")
        for more, n in (
            ({}, 3),
            ({}, 1),
            ({"mask_token": "d"}, 3),
            ({"num_oov_indices": 2}, 3),
            ({"max_tokens": 7, "pad_to_max_tokens": True}, 3),
        )
    ],
    Row("StringLookup", {**ABC, "output_mode": "count"}, WORDS[0]),
    Row("StringLookup", {**ABC, **IDF}, WORDS),
    Row("StringLookup", {**ABC, **IDF, "max_tokens": 6, "pad_to_max_tokens": True}, WORDS),
    Row("StringLookup", {}, WORDS, np.array(["b", "b", "a", "a", "c", "z", "[UNK]", "É", "ü"])),
    Row("StringLookup", {"max_tokens": 4, "mask_token": "z"}, WORDS, ["b", "b", "a", "z", "c"]),
    Row("StringLookup", {"output_mode": "tf_idf"}, WORDS, [["b", "b"], ["a", "b"], ["c", "c"]]),
    Row("IntegerLookup", INTS, IDS),
    Row("IntegerLookup", {**INTS, "mask_token": 7}, IDS),
    Row("IntegerLookup", {**INTS, "num_oov_indices": 3}, IDS),
    Row("IntegerLookup", {**INTS, "num_oov_indices": 3, "oov_method": "farmhash"}, IDS),
    Row("IntegerLookup", {**INTS, "num_oov_indices": 3, "oov_method": "farmhash", "salt": 3}, IDS),
    Row("IntegerLookup", {**INTS, "invert": True}, np.array([[0, 1, 4, 3]])),
    Row("IntegerLookup", {**INTS, "output_mode": "multi_hot"}, IDS),
    Row("IntegerLookup", {}, IDS, np.array([3, 5, 5, 20, 7, 7, -1])),
    *[
        Row("TextVectorization", args, DOCS, DOCS)
        for args in (
            {},
            {"output_sequence_length": 3},
            {"output_sequence_length": 9},
            {"output_mode": "multi_hot"},
            {"output_mode": "count", "max_tokens": 20, "pad_to_max_tokens": True},
            {"output_mode": "tf_idf"},
            {"ngrams": 2},
            {"ngrams": (2, 3)},
            {"split": "character", "ngrams": 2},
            {"split": None},
            {"standardize": None},
            {"standardize": "lower"},
            {"standardize": "strip_punctuation"},
            {"max_tokens": 5},
        )
    ],
    Row("TextVectorization", {"vocabulary": ["cat", "the"]}, DOCS[:, None]),
    Row(
        "TextVectorization", {"vocabulary": ["a", "b"]}, ["a\u00a0b", "a\tb\nb", "a\x1eb", "a\x0bb"]
    ),
    Row("TextVectorization", {"vocabulary": ["a", "b"], "split": None}, WORDS),
    Row("Hashing", {"num_bins": 7}, LONG),
    Row("Hashing", {"num_bins": 1000}, [["Été"], ["ü"]]),
    Row("Hashing", {"num_bins": 7}, IDS),
    Row("Hashing", {"num_bins": 1000, "salt": 133}, LONG),
    Row("Hashing", {"num_bins": 1000, "salt": [133, 137]}, IDS),
    Row("Hashing", {"num_bins": 5, "mask_value": "x"}, LONG),
    Row("Hashing", {"num_bins": 5, "mask_value": 7}, IDS),
    Row("Hashing", {"num_bins": 4, "output_mode": "multi_hot"}, WORDS),
    Row("Hashing", {"num_bins": 4, "output_mode": "one_hot"}, WORDS),
    Row("HashedCrossing", {"num_bins": 1 << 30}, (WORDS[0], WORDS[1])),
    Row("HashedCrossing", {"num_bins": 5}, (LONG, np.arange(len(LONG))[:, None])),
    Row("HashedCrossing", {"num_bins": 99}, (IDS[0], IDS[1], WORDS[0])),
    Row("HashedCrossing", {"num_bins": 5, "output_mode": "one_hot"}, (LONG, LONG)),
    *[
        Row("CategoryEncoding", {"num_tokens": 4, "output_mode": mode}, inputs)
        for mode in ("one_hot", "multi_hot", "count")
        for inputs in (np.array([[0, 1, 1], [3, 2, 9]]), np.array([[0], [1]]), np.array([1, 2]))
    ],
    *[
        Row("Discretization", {"bin_boundaries": [0.0, 1.0, 2.0], "output_mode": mode}, NUMBERS)
        for mode in ("int", "one_hot", "multi_hot", "count")
    ],
    Row("Discretization", {"num_bins": 2}, NUMBERS, np.arange(7.0)),
]
EACH = pytest.mark.parametrize("row", ROWS, ids=[f"{i}-{row.layer}" for i, row in enumerate(ROWS)])
OF_ONE, OF_SEVERAL = (
    [row for row in ROWS if isinstance(row.inputs, tuple) is several] for several in (False, True)
)


def made(row: Row, library: Any, **more: Any) -> Any:
    layer = getattr(library.layers, row.layer)(**row.args, **more)
    if row.data is not None:
        layer.adapt(row.data)
    return layer


def host(x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(ops.convert_to_numpy(x) if not isinstance(x, list) else x)


def without_names(config: Any) -> Any:
    return json.loads(json.dumps({k: v for k, v in config.items() if k != "name"}, default=str))


@pytest.mark.filterwarnings("ignore:.*Explicitly requested dtype")  # Keras's
@EACH
def test_values(row: Row) -> None:
    ours, theirs = made(row, cornu), made(row, keras)
    expected = np.asarray(theirs(row.inputs))
    for engine in {"jax", "torch"} & set(ENGINES):
        with cornu.backend.use(engine):
            found = ours(row.inputs)
            assert host(found).shape == expected.shape
            np.testing.assert_allclose(host(found), expected, 1e-5)
            arrays = row.inputs if isinstance(row.inputs, tuple) else (np.asarray(row.inputs),)
            specs = [cornu.KerasTensor(x.shape, _dtype(x)) for x in arrays]
            spec = ours(specs if isinstance(row.inputs, tuple) else specs[0])
            sizes = zip(spec.shape, expected.shape, strict=True)
            assert all(a in (b, None) for a, b in sizes)
            assert cornu.backend.standardize_dtype(found.dtype) in (spec.dtype, "int32")


def _dtype(x: Any) -> str:
    return "string" if x.dtype.kind == "U" else x.dtype.name


@EACH
def test_configs(row: Row) -> None:
    ours, theirs = made(row, cornu), made(row, keras)
    config = theirs.get_config()
    assert without_names(ours.get_config()) == without_names(config)
    again = type(ours).from_config(config)
    assert again.get_config() == {**ours.get_config(), "name": again.name} or row.data is not None
    if hasattr(theirs, "get_vocabulary"):
        for special in (True, False):
            assert ours.get_vocabulary(special) == list(theirs.get_vocabulary(special))


@pytest.mark.parametrize("row", OF_ONE, ids=[row.layer for row in OF_ONE])
def test_files(row: Row, tmp_path: Path) -> None:
    """A file that either library writes opens in both, and gives the same."""
    inputs = np.asarray(row.inputs)
    inputs = (
        inputs[:, None] if inputs.ndim == 1 and row.args.get("split", 0) is not None else inputs
    )
    wanted = None
    for writer in (cornu, keras):
        if writer is keras and row.args.get("output_mode") == "tf_idf" and row.data is not None:
            continue  # Keras does not read what it writes
        first = writer.Input(inputs.shape[1:], dtype=_dtype(inputs))
        path = tmp_path / f"{writer.__name__}.keras"
        writer.Sequential([first, made(row, writer)]).save(path)
        for reader in (cornu, keras):
            if row.args.get("invert") and keras in (reader, writer):
                continue  # Keras calls it on no symbolic tensor
            loaded = reader.saving.load_model(path).layers[0]
            found = np.asarray(loaded(inputs))
            wanted = found if wanted is None else wanted
            np.testing.assert_allclose(found, wanted, 1e-5)
    assert wanted is not None


@pytest.mark.parametrize("data", ["a\nb\n", "a\rb\r\r"], ids=repr)
def test_tokens_that_are_line_breaks(data: str, tmp_path: Path) -> None:
    """Of a file they come back as they were; Keras's lines can't hold the first."""
    layer = layers.TextVectorization(split="character", standardize=None)
    layer.adapt([data])
    cornu.Sequential([cornu.Input((1,), dtype="string"), layer]).save(tmp_path / "m.keras")
    again = cornu.saving.load_model(tmp_path / "m.keras").layers[0]
    assert again.get_vocabulary() == layer.get_vocabulary() == ["", "[UNK]", data[-1], "b", "a"]


@pytest.mark.parametrize(
    ("arguments", "shape", "wanted"),
    [
        ({}, (0,), (0, 0)),
        ({"ragged": True}, (0,), (0,)),
        ({"split": None}, (0,), (0,)),
        ({"split": None, "ngrams": 2}, (2, 0), (2, 0)),
    ],
    ids=repr,
)
def test_no_documents_and_no_tokens(arguments: Any, shape: Any, wanted: Any) -> None:
    found = layers.TextVectorization(**arguments, vocabulary=["a"])(np.empty(shape, object))
    assert np.shape(found) == wanted


def test_boundaries_of_frequent_numbers() -> None:
    """Several are the same number, in Keras too, and come back from a config."""
    data = np.array([1.0, 1, 1, 1, 1, 2])
    found = []
    for library in (cornu, keras):
        layer = library.layers.Discretization(num_bins=4)
        layer.adapt(data)
        again = layers.Discretization.from_config(layer.get_config())
        found += [layer.bin_boundaries, again.bin_boundaries]
    assert found == [[1.0, 1.0, 1.0]] * 4
    one = layers.Discretization(num_bins=1)
    one.adapt(data)
    assert layers.Discretization.from_config(one.get_config()).bin_boundaries == []


@pytest.mark.parametrize("row", OF_SEVERAL, ids=[row.layer for row in OF_SEVERAL])
def test_configs_of_several(row: Row) -> None:
    layer = made(row, cornu)
    again = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    np.testing.assert_array_equal(host(again(row.inputs)), host(layer(row.inputs)))


@pytest.mark.parametrize(
    ("data", "bins"),
    [([3.0], 4), ([0.0, 1, 1, 0, 1], 5), ([1.0, np.nan, 2], 3), ([1.0, 2.0], 1)],
)
def test_boundaries_of_few_numbers_come_back(data: Any, bins: int, tmp_path: Path) -> None:
    """Equal ones, and none at all."""
    layer = layers.Discretization(num_bins=bins)
    layer.adapt(np.array(data))
    assert len(layer.bin_boundaries) == bins - 1 and np.isfinite(layer.bin_boundaries).all()
    cornu.Sequential([cornu.Input((1,)), layer]).save(tmp_path / "model.keras")
    again = cornu.saving.load_model(tmp_path / "model.keras").layers[0]
    assert again.bin_boundaries == layer.bin_boundaries


#: The same strings, however they come.
STRINGS: dict[str, Callable[[], Any]] = {
    "a list": lambda: ["a", "q", "c"],
    "bytes": lambda: np.array([b"a", b"q", b"c"]),
    "objects": lambda: np.array(["a", b"q", "c"], object),
    "a pandas column": lambda: pd.Series(["a", "q", "c"]),
    "a pyarrow column": lambda: pa.array(["a", "q", "c"]),
    "a chunked pyarrow column": lambda: pa.chunked_array([["a"], ["q", "c"]]),
    "a tensor of TensorFlow's": lambda: tf.constant(["a", "q", "c"]),
}


@pytest.mark.parametrize("given", STRINGS)
def test_forms_of_strings(given: str) -> None:
    layer = layers.StringLookup(**ABC)
    assert host(layer(STRINGS[given]())).ravel().tolist() == [1, 0, 3]
    layer = layers.StringLookup()
    layer.adapt(STRINGS[given]())
    assert layer.get_vocabulary() == ["[UNK]", "q", "c", "a"]
    assert host(layers.Hashing(9)(STRINGS[given]())).ravel().tolist() == [3, 5, 7]


class Documents(cornu.utils.PyDataset):
    """The documents in two batches."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return DOCS[2 * index : 2 * index + 2], np.zeros(2)


SOURCES: dict[str, Callable[[], Any]] = {
    "an array": lambda: DOCS,
    "a list": lambda: DOCS.tolist(),
    "batches": lambda: [DOCS[:1], DOCS[1:]],
    "a generator": lambda: (DOCS[i : i + 1] for i in range(4)),
    "a dataset": Documents,
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices(DOCS).batch(3),
    "a loader": lambda: torch.utils.data.DataLoader(DOCS.tolist(), 3),
}


@pytest.mark.parametrize("source", SOURCES)
def test_adapting_to_sources(source: str) -> None:
    layer = layers.TextVectorization(output_mode="tf_idf")
    layer.adapt(SOURCES[source]())
    whole = layers.TextVectorization(output_mode="tf_idf")
    whole.adapt(DOCS)
    assert layer.get_vocabulary() == whole.get_vocabulary()
    np.testing.assert_array_equal(host(layer(DOCS)), host(whole(DOCS)))


def test_several_passes_and_processes() -> None:
    """What was seen is added up, in one layer or in several, before it becomes a vocabulary."""
    whole, first, second = (layers.TextVectorization(output_mode="tf_idf") for _ in range(3))
    whole.adapt([DOCS, DOCS[:2]])
    first.update_state(DOCS)
    second.update_state(DOCS[:2])
    first.merge_state([second])
    first.finalize_state()
    np.testing.assert_array_equal(host(first(DOCS)), host(whole(DOCS)))
    bins = [layers.Discretization(num_bins=4) for _ in range(3)]
    data = np.random.default_rng(0).normal(size=5000)
    bins[0].update_state(data[:3000])
    bins[1].update_state(data[3000:])
    bins[0].merge_state(bins[1:])
    bins[0].finalize_state()
    bins[2].adapt(np.split(data, 10))
    for layer in (first, layers.StringLookup(), bins[0]):
        with pytest.raises(TypeError, match="seen the same: .* Received: <IntegerLookup"):
            layer.merge_state([layers.IntegerLookup()])
    for layer in bins[::2]:
        shares = (data[:, None] < layer.bin_boundaries).mean(0)
        np.testing.assert_allclose(shares, [0.25, 0.5, 0.75], atol=layer.epsilon)


def test_functions_of_users() -> None:
    """They take arrays of strings; those of TensorFlow's functions run as they did."""
    args = {"vocabulary": ["cat", "dog"]}
    own = layers.TextVectorization(
        standardize=lambda x: np.char.lower(x.astype(str)),
        split=lambda x: [y.split("-") for y in x],
        **args,
    )
    theirs = layers.TextVectorization(
        standardize=tf.strings.lower, split=lambda x: tf.strings.split(x, "-"), **args
    )
    for layer in (own, theirs):
        assert host(layer(["CAT-dog-bird", "dog"])).tolist() == [[2, 3, 1], [3, 0, 0]]


def test_ragged_outputs() -> None:
    layer = layers.TextVectorization(vocabulary=["the", "cat"], ragged=True)
    assert layer(DOCS) == [[2, 3, 1, 1, 2, 1], [1, 1, 1, 2, 3], [1, 1, 1], []]


def test_strings_from_indices() -> None:
    layer = layers.StringLookup(vocabulary=["a", "b"], invert=True, mask_token="")
    for engine in ENGINES:
        with cornu.backend.use(engine):
            found = layer(ops.convert_to_tensor([[0, 1, 2, 3, 9, -1]]))
            assert found.tolist() == [["", "[UNK]", "a", "b", "[UNK]", "[UNK]"]]
    assert layer(cornu.KerasTensor((None, 2), "int64")).dtype == "string"


@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_within_pipelines_of_other_libraries(engine: str) -> None:
    """In `tf.data.Dataset.map`, and where a `DataLoader` makes batches."""
    with cornu.backend.use(engine):
        text = layers.TextVectorization(vocabulary=["the", "cat"], output_sequence_length=4)
        wanted = host(text(DOCS))
        data = tf.data.Dataset.from_tensor_slices(DOCS).batch(2).map(text)
        assert data.element_spec.shape.as_list() == [None, 4]
        np.testing.assert_array_equal(np.concatenate([x.numpy() for x in data]), wanted)
        loader = torch.utils.data.DataLoader(DOCS.tolist(), 2, collate_fn=lambda x: host(text(x)))
        np.testing.assert_array_equal(np.concatenate(list(loader)), wanted)


def test_within_a_step_that_jax_traces() -> None:
    ids = layers.IntegerLookup(**INTS, output_mode="multi_hot")
    found = jax.jit(lambda x: ids(x) * 2)(np.array([[10, 5]]))
    assert found.tolist() == [[2.0, 2.0, 0.0, 0.0]]


def _lookup(**args: Any) -> Any:
    return layers.StringLookup(**{**ABC, "name": "words", **args})


@pytest.mark.parametrize(
    "run, error, message",
    [
        (
            lambda: _lookup(vocabulary=[]),
            ValueError,
            "has tokens. Received: an empty one for the layer 'words'",
        ),
        (
            lambda: _lookup(num_oov_indices=0)(["a", "q"]),
            ValueError,
            r"Received: \['q'\] in the layer 'words'",
        ),
        (lambda: _lookup(vocabulary=["a", "a"]), ValueError, r"Received: \['a'\] more than once"),
        (
            lambda: _lookup(vocabulary=["b", "a"], mask_token="a"),
            ValueError,
            "mask_token='a' among the others",
        ),
        (
            lambda: _lookup(max_tokens=2),
            ValueError,
            "3 tokens and 1 special ones with max_tokens=2",
        ),
        (lambda: _lookup(max_tokens=1), ValueError, "Received: max_tokens=1"),
        (
            lambda: _lookup(vocabulary="/no/file"),
            ValueError,
            "vocabulary='/no/file', where there is no file",
        ),
        (
            lambda: _lookup(vocabulary=None)(["a"]),
            ValueError,
            "needs a vocabulary before it is called",
        ),
        (lambda: _lookup()(IDS), TypeError, "takes strings. Received: dtype=int64"),
        (lambda: _lookup(output_mode="ints"), ValueError, "Received: output_mode='ints'"),
        (
            lambda: _lookup(output_mode="tf_idf"),
            ValueError,
            "idf_weights=None for the layer 'words'",
        ),
        (lambda: _lookup(**{**IDF, "idf_weights": [1.0]}), ValueError, "1 weights for 3 tokens"),
        (lambda: _lookup(idf_weights=[1.0]), ValueError, "Received: output_mode='int'"),
        (lambda: _lookup(pad_to_max_tokens=True), ValueError, "max_tokens=None"),
        (lambda: _lookup(num_oov_indices=-1), ValueError, "num_oov_indices=-1"),
        (lambda: _lookup(invert=True, num_oov_indices=2), ValueError, "num_oov_indices=2"),
        (lambda: _lookup(salt="x"), ValueError, "Received: salt='x'"),
        (lambda: _lookup(vocabulary=None).adapt([]), ValueError, "`adapt` needs tokens"),
        (lambda: _lookup(vocabulary=None).adapt(None), TypeError, "Received: None"),
        (
            lambda: layers.IntegerLookup(**INTS)(WORDS),
            TypeError,
            "takes integers. Received: dtype=<U1",
        ),
        (lambda: layers.IntegerLookup(salt=1), ValueError, "oov_method='floormod'"),
        (lambda: layers.TextVectorization(split="lines"), ValueError, "Received: split='lines'"),
        (lambda: layers.TextVectorization(ngrams="x"), ValueError, "Received: ngrams='x'"),
        (
            lambda: layers.TextVectorization(output_mode="count", ragged=True),
            ValueError,
            "ragged=True",
        ),
        (
            lambda: layers.TextVectorization(output_sequence_length=0),
            ValueError,
            "output_sequence_length=0",
        ),
        (
            lambda: layers.TextVectorization(vocabulary=["a"])(WORDS),
            ValueError,
            r"Received: shape=\(2, 3\)",
        ),
        (lambda: layers.TextVectorization()(["a"]), ValueError, "needs a vocabulary"),
        (lambda: layers.Hashing(0), ValueError, "num_bins=0"),
        (lambda: layers.Hashing(5)([1.0, 2.5]), ValueError, "Received: 2.5 for"),
        (lambda: layers.IntegerLookup(**INTS)([np.nan]), ValueError, "Received: nan for"),
        (lambda: layers.IntegerLookup().adapt([1.5]), ValueError, "Received: 1.5 for"),
        (lambda: _lookup()(["a", 1]), TypeError, r"Received: 1 \(of int\)"),
        (lambda: layers.Hashing(5)(np.array(["a", None])), TypeError, "Received: None .*fillna"),
        *(
            (partial(kind, *first, sparse=True), ValueError, "sparse=True, output_mode='int'")
            for kind, *first in (
                [_lookup],
                [layers.TextVectorization],
                [layers.Hashing, 5],
                [layers.Discretization, [1.0]],
            )
        ),
        (lambda: layers.Hashing(2, salt=[1, 2, 3]), ValueError, r"salt=\[1, 2, 3\]"),
        (lambda: layers.HashedCrossing(5)(WORDS[0]), ValueError, "at least two features"),
        (lambda: layers.HashedCrossing(5)((WORDS, WORDS)), ValueError, r"shapes=\[\(2, 3\)"),
        (lambda: layers.HashedCrossing(5)((WORDS[0], NUMBERS[0])), ValueError, "dtype=float32"),
        (lambda: layers.CategoryEncoding(), ValueError, "num_tokens=None"),
        (
            lambda: layers.CategoryEncoding(3)([[1]], count_weights=[[1]]),
            ValueError,
            "output_mode='multi_hot'",
        ),
        (lambda: layers.Discretization(), ValueError, "bin_boundaries=None, num_bins=None"),
        (lambda: layers.Discretization([2.0, 1.0]), ValueError, r"bin_boundaries=\[2.0, 1.0\]"),
        (lambda: layers.Discretization(num_bins=3)(NUMBERS), ValueError, "needs boundaries"),
        (
            lambda: layers.Discretization([1.0]).adapt(NUMBERS),
            ValueError,
            "Pass `num_bins` instead",
        ),
    ],
)
def test_bad_input(run: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run()


@pytest.mark.filterwarnings("ignore:A whole model as HDF5")
@pytest.mark.parametrize("mode", ["multi_hot", "tf_idf"])
@pytest.mark.parametrize(
    ("kind", "data"),
    [("StringLookup", WORDS), ("IntegerLookup", IDS), ("TextVectorization", WORDS[0])],
)
def test_copies_and_old_files_have_the_vocabulary(
    kind: str, data: np.ndarray[Any, Any], mode: str, tmp_path: Path
) -> None:
    layer = getattr(layers, kind)(output_mode=mode)
    layer.adapt(data)
    x = cornu.Input(data.shape[1:], dtype=layer.input_dtype)
    model = cornu.Model(x, layer(x))
    model.save(tmp_path / "old.h5")
    loaded = cornu.models.load_model(tmp_path / "old.h5")
    for copy in (loaded, cornu.models.clone_model(cornu.Sequential([model]))):
        np.testing.assert_array_equal(copy.predict(data, verbose=0), model.predict(data, verbose=0))
    theirs = keras.models.load_model(tmp_path / "old.h5").layers[-1]
    assert theirs.get_vocabulary() == layer.get_vocabulary()
