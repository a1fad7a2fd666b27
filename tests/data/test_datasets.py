"""Data sets: files of their formats on a local server, read as Keras reads them."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import pickle
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import cornu
import cornu.datasets
from cornu.datasets import _files
from tests.serving_files import Server, serving

RNG = np.random.default_rng(0)


def npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def texts(count: int) -> Any:
    result = np.empty(count, object)
    result[:] = [RNG.integers(1, 40, RNG.integers(3, 12)).tolist() for _ in range(count)]
    return result


def idx(array: Any) -> bytes:
    sizes = struct.pack(f">{array.ndim}i", *array.shape)
    return gzip.compress(b"\0\0\x08" + bytes([array.ndim]) + sizes + array.tobytes())


def tar(files: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        for name, value in files.items():
            packed = pickle.dumps(value, protocol=3)
            info = tarfile.TarInfo(name)
            info.size = len(packed)
            file.addfile(info, io.BytesIO(packed))
    return content.getvalue()


def rows(count: int) -> Any:
    return RNG.integers(0, 256, (count, 3072), dtype="uint8")


def digits(*shape: int) -> Any:
    return RNG.integers(0, 10, shape, dtype="uint8")


def split_texts(count: int) -> dict[str, Any]:
    parts = {name: texts(count) for name in ("x_train", "x_test")}
    return parts | {name: RNG.integers(0, 2, count) for name in ("y_train", "y_test")}


FILES: dict[str, Callable[[], bytes]] = {
    "boston_housing.npz": lambda: npz(x=RNG.random((30, 13)), y=RNG.random(30)),
    "california_housing.npz": lambda: npz(
        x=RNG.random((700, 8)).astype("float32"), y=RNG.random(700).astype("float32")
    ),
    "cifar-100-python-target": lambda: tar(
        {
            f"cifar-100-python/{name}": {
                b"data": rows(4),
                b"fine_labels": [1, 99, 3, 4],
                b"coarse_labels": [1, 19, 3, 4],
            }
            for name in ("train", "test")
        }
    ),
    "imdb.npz": lambda: npz(**split_texts(20)),
    "imdb_word_index.json": lambda: json.dumps({"the": 1, "film": 19}).encode(),
    "mnist.npz": lambda: npz(
        x_train=digits(6, 28, 28), y_train=digits(6), x_test=digits(2, 28, 28), y_test=digits(2)
    ),
    "reuters.npz": lambda: npz(x=texts(20), y=RNG.integers(0, 46, 20)),
    "reuters_word_index.json": lambda: json.dumps({"the": 1}).encode(),
    **{
        f"{part}-{kind}-ubyte.gz": (lambda count=count, shape=shape: idx(digits(count, *shape)))
        for part, count in (("train", 6), ("t10k", 2))
        for kind, shape in (("images-idx3", (28, 28)), ("labels-idx1", ()))
    },
}
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("boston_housing", "load_data", {}),
    ("boston_housing", "load_data", {"test_split": 0.5, "seed": 3}),
    ("california_housing", "load_data", {}),
    ("california_housing", "load_data", {"version": "small"}),
    ("cifar100", "load_data", {}),
    ("cifar100", "load_data", {"label_mode": "coarse"}),
    ("fashion_mnist", "load_data", {}),
    ("imdb", "load_data", {}),
    ("imdb", "load_data", {"num_words": 30, "skip_top": 5}),
    ("imdb", "load_data", {"oov_char": None, "num_words": 20, "start_char": None}),
    ("imdb", "load_data", {"start_char": None, "index_from": None}),
    ("imdb", "get_word_index", {}),
    ("mnist", "load_data", {}),
    ("reuters", "load_data", {}),
    ("reuters", "load_data", {"maxlen": 9, "num_words": 25, "test_split": 0.4}),
    ("reuters", "get_word_index", {}),
    ("reuters", "get_label_names", {}),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture
def published(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """A server of the files, an empty cache, and Keras reading what is in it."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name, (_, digest) in _files.FILES.items():
        url = server.url(name)
        monkeypatch.setitem(_files.FILES, name, (url, None))
        assert digest is None or len(digest) in (32, 64)

    def theirs(fname: str, origin: str, **options: Any) -> str:
        options.pop("file_hash", None)
        return cornu.utils.get_file(fname, server.url(fname), **options)

    for name in ("mnist", "fashion_mnist", "cifar10", "cifar100", "imdb", "reuters"):
        monkeypatch.setattr(
            importlib.import_module(f"keras.src.datasets.{name}"), "get_file", theirs
        )
    for name in ("boston_housing", "california_housing"):
        monkeypatch.setattr(
            importlib.import_module(f"keras.src.datasets.{name}"), "get_file", theirs
        )
    return server


@pytest.mark.parametrize(("name", "function", "given"), CALLS)
def test_keras_reads_the_same(
    published: Server, name: str, function: str, given: dict[str, Any]
) -> None:
    marks = {"cifar100": "cifar-100", "fashion_mnist": "ubyte"}
    for file, make in FILES.items():
        if marks.get(name, name) in file:
            published.files.setdefault(file, make())
    ours, theirs = (getattr(getattr(m.datasets, name), function)(**given) for m in (cornu, keras))
    if function != "load_data":
        assert ours == theirs
        return
    for mine, his in zip(ours, theirs, strict=True):
        for x, y in zip(mine, his, strict=True):
            assert (x.shape, x.dtype) == (y.shape, y.dtype)
            assert x.tolist() == y.tolist()


def test_cifar10(published: Server) -> None:
    """Batches of any size: Keras wants those of 10,000."""
    pixels = rows(4)
    published.files["cifar-10-batches-py-target"] = tar(
        {
            f"cifar-10-batches-py/{name}": {b"data": pixels, b"labels": [1, 2, 3, place]}
            for place, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"])
        }
    )
    for channels in ("channels_last", "channels_first"):
        cornu.config.set_image_data_format(channels)
        try:
            (x, y), (x_test, y_test) = cornu.datasets.cifar10.load_data()
        finally:
            cornu.config.set_image_data_format("channels_last")
        planes = pixels.reshape(4, 3, 32, 32)
        expected = planes if channels == "channels_first" else planes.transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(x, np.tile(expected, (5, 1, 1, 1)))
        np.testing.assert_array_equal(x_test, expected)
        assert y.dtype == y_test.dtype == "uint8" and y_test.tolist() == [[1], [2], [3], [5]]
        assert y[3::4, 0].tolist() == [0, 1, 2, 3, 4]


class Evil:
    def __reduce__(self) -> Any:
        return print, ("run",)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda d: d.cifar100.load_data("x"), ValueError, "`label_mode` must be one of"),
        (lambda d: d.california_housing.load_data("x"), ValueError, "`version` must be one of"),
        (lambda d: d.boston_housing.load_data(test_split=1), ValueError, "`test_split` is a share"),
        (lambda d: d.imdb.load_data(nb_words=3), TypeError, "Received: .'nb_words'"),
        (lambda d: d.imdb.load_data(maxlen=2), ValueError, "must be shorter than `maxlen`"),
        (lambda d: d.reuters.load_data("evil"), pickle.UnpicklingError, "Received: builtins.print"),
        (lambda d: d.mnist.load_data("wrong"), ValueError, "hash that is known"),
    ],
)
def test_what_is_wrong(
    published: Server, monkeypatch: pytest.MonkeyPatch, call: Any, error: Any, text: str
) -> None:
    for file in ("boston_housing.npz", "imdb.npz", "mnist.npz"):
        published.files.setdefault(file, FILES[file]())
    evil = np.empty(1, object)
    evil[0] = Evil()
    published.files["reuters.npz"], before = npz(x=evil), published.files.get("reuters.npz")
    monkeypatch.setitem(_files.FILES, "mnist.npz", (published.url("mnist.npz"), "0" * 64))
    with pytest.raises(error, match=text):
        call(cornu.datasets)
    del published.files["reuters.npz"]
    if before is not None:
        published.files["reuters.npz"] = before
