"""The files of the data sets: where they are, their hashes, and how they are read without running what is in them."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..core.config import image_data_format
from ..utils import get_file

Array = np.ndarray[Any, Any]
#: Arrays to train on and to test with, x and y each.
Split = tuple[tuple[Array, Array], tuple[Array, Array]]

_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"
#: The URL and the hash of each file: SHA-256, or MD5 of the indices; none is published of Fashion-MNIST's.
FILES = {
    "boston_housing.npz": (
        f"{_KERAS}boston_housing.npz",
        "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
    ),
    "california_housing.npz": (
        f"{_KERAS}california_housing.npz",
        "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
    ),
    "cifar-10-batches-py-target": (
        f"{_TORONTO}cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar-100-python-target": (
        f"{_TORONTO}cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
    "imdb.npz": (
        f"{_KERAS}imdb.npz",
        "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    ),
    "imdb_word_index.json": (
        f"{_KERAS}imdb_word_index.json",
        "bfafd718b763782e994055a2d397834f",
    ),
    "mnist.npz": (
        f"{_KERAS}mnist.npz",
        "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    ),
    "reuters.npz": (
        f"{_KERAS}reuters.npz",
        "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
    ),
    "reuters_word_index.json": (
        f"{_KERAS}reuters_word_index.json",
        "4d44cc38712099c9e383dc6e5f11a921",
    ),
    **{
        name: (f"{_KERAS}{name}", None)
        for part in ("train", "t10k")
        for name in (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz")
    },
}


def fetched(name: str, path: str | None = None, **options: Any) -> Path:
    """Where a file is, or the folder of an archive, once it is there.

    Args:
        name: Its name in `FILES`.
        path: Its name in the cache folder, where that is another one.
        **options: As of `get_file`.
    """
    url, digest = FILES[name]
    return Path(get_file(path or name, url, file_hash=digest, **options))


def arrays(path: Path) -> dict[str, Array]:
    """The arrays of an `.npz` file by name; those of objects are lists of integers."""
    found = {}
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            with file.open(name) as member:
                found[name.removesuffix(".npy")] = _array(member)
    return found


def _array(file: Any) -> Array:
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        return unpickled(file)
    array = np.frombuffer(file.read(), dtype).copy()
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


class _Plain(pickle.Unpickler):
    """Reads arrays, lists, dictionaries and numbers, and calls nothing else that a file may name."""

    def find_class(self, module: str, name: str) -> Any:
        known = {"_reconstruct", "ndarray", "dtype", "scalar"}
        if module.partition(".")[0] == "numpy" and name in known:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(
            f"A data set holds arrays, lists and numbers. Received: {module}.{name}. "
            "Remove the file, and fetch it again."
        )


def unpickled(file: Any) -> Any:
    """What a file of Python's objects holds, if that is plain."""
    return _Plain(file, encoding="bytes").load()


def word_index(name: str, path: str) -> dict[str, int]:
    """The number of each word."""
    index: dict[str, int] = json.loads(fetched(name, path).read_text())
    return index


def as_images(rows: Array) -> Array:
    """Rows of 3072 numbers as images of 32 x 32, with the channels where the configuration says."""
    planes = rows.reshape(-1, 3, 32, 32)
    return planes if image_data_format() == "channels_first" else planes.transpose(0, 2, 3, 1)


def split(x: Array, y: Array, test_split: float, seed: int) -> Split:
    """Samples in the order that a seed gives, the last ones to test with."""
    order = shuffled(len(x), np.random.RandomState(seed))
    return parted(x[order], y[order], test_split)


def parted(x: Array, y: Array, test_split: float) -> Split:
    """Samples as they are, a share of the last ones to test with."""
    if not 0 <= test_split < 1:
        raise ValueError(
            f"`test_split` is a share from 0 to less than 1. Received: test_split={test_split}."
        )
    count = int(len(x) * (1 - test_split))
    return (x[:count], y[:count]), (x[count:], y[count:])


def shuffled(count: int, draw: np.random.RandomState) -> Array:
    """The order of so many samples that Keras's loaders have."""
    order = np.arange(count)
    draw.shuffle(order)
    return order


def numbered(
    x: Array,
    y: Array,
    num_words: int | None,
    skip_top: int,
    maxlen: int | None,
    start_char: int | None,
    oov_char: int | None,
    index_from: int,
) -> tuple[Array, Array]:
    """Texts with the numbers of their words as a loader's arguments say, and the targets of those that are left."""
    first = [] if start_char is None else [start_char]
    texts = [first + [word + (index_from or 0) for word in text] for text in x]
    if maxlen:
        kept = [place for place, text in enumerate(texts) if len(text) < maxlen]
        if not kept:
            raise ValueError(
                f"Some texts must be shorter than `maxlen`. Received: maxlen={maxlen}. Raise it."
            )
        texts, y = [texts[place] for place in kept], y[kept]
    # As in Keras, whose limit is no number that counts: where none is given, the rarest word is unknown.
    limit = num_words or max(max(text) for text in texts)
    known = range(skip_top, limit)
    if oov_char is None:
        texts = [[word for word in text if word in known] for text in texts]
    else:
        texts = [[word if word in known else oov_char for word in text] for text in texts]
    result = np.empty(len(texts), object)
    result[:] = texts
    return result, y
