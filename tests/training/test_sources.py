"""Data of every library trains one model to the loss of the arrays."""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import torch

from cornu import layers
from cornu.data import make_source, train_validation_split
from cornu.data._iterables import IterableSource, _several
from cornu.engines import use
from cornu.models import Sequential
from cornu.utils import PyDataset
from tests.engines_tested import ENGINES

X = np.arange(20, dtype="float32").reshape(10, 2) / 20
Y = X[:, :1] * 2 - 1
FRAME = {"a": X[:, 0], "b": X[:, 1]}
ROWS = [{"x": x, "y": y} for x, y in zip(X.tolist(), Y[:, 0].tolist(), strict=True)]


def library(name: str) -> Any:
    """A library, whose import warns or not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


def batches() -> Iterator[Any]:
    return ((X[i : i + 4], Y[i : i + 4]) for i in range(0, 10, 4))


class Batches(PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return list(batches())[index]


def hdf5(path: Any) -> tuple[Any, Any]:
    file = h5py.File(path / "data.h5", "w")
    file["x"], file["y"] = X, Y
    return file["x"], file["y"]


def zarr(path: Any) -> tuple[Any, Any]:
    file = library("zarr").open_group(path / "data.zarr", mode="w")
    for name, array in (("x", X), ("y", Y)):
        file.create_array(name, shape=array.shape, dtype=array.dtype, chunks=(3, 1))[:] = array
    return file["x"], file["y"]


def arrow(path: Any) -> tuple[Any, Any]:
    pa = library("pyarrow")
    return pa.table(FRAME), pa.array(Y[:, 0])


def arrow_lists(path: Any) -> tuple[Any, Any]:
    pa = library("pyarrow")
    table = pa.Table.from_pylist(ROWS, pa.schema({"x": pa.list_(pa.float32()), "y": pa.float32()}))
    return table["x"], table["y"]


def polars(path: Any) -> tuple[Any, Any]:
    pl = library("polars")
    return pl.DataFrame(FRAME), pl.Series(Y[:, 0])


def rows_dataset(rows: list[dict[str, Any]]) -> Any:
    """A data set of rows. It has a name: `datasets` 5.2 finds none, for it can't pickle a class of pyarrow's."""
    table = library("datasets.table").InMemoryTable(library("pyarrow").Table.from_pylist(rows))
    return library("datasets").Dataset(table, fingerprint="rows")


def hugging_face(path: Any) -> tuple[Any, Any]:
    data = rows_dataset(ROWS)
    return data["x"], data["y"]


def grain(make: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    def source(path: Any) -> tuple[Any]:
        library_ = library("grain")
        samples = list(zip(X, Y, strict=True))
        return (make(library_, library_.MapDataset.source(samples)),)

    return source


def grain_loader(grain: Any, data: Any) -> Any:
    sampler = grain.samplers.IndexSampler(10, shuffle=False, num_epochs=1, seed=0)
    return grain.DataLoader(
        data_source=data, sampler=sampler, operations=[grain.transforms.Batch(4)]
    )


TENSORS = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))

#: `x`, or `x` and `y`, given a folder.
SOURCES: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "NumPy": lambda path: (X, Y),
    "pandas": lambda path: (pd.DataFrame(FRAME), pd.Series(Y[:, 0])),
    "pandas, a column of lists": lambda path: (pd.Series(X.tolist()), pd.DataFrame(Y)),
    "polars": polars,
    "pyarrow": arrow,
    "pyarrow, columns": arrow_lists,
    "Hugging Face": hugging_face,
    "HDF5": hdf5,
    "zarr": zarr,
    "PyDataset": lambda path: (Batches(),),
    "PyDataset, threads": lambda path: (Batches(workers=3),),
    "generator": lambda path: ((batch for _ in range(2) for batch in batches()),),
    "torch tensors": lambda path: (torch.tensor(X), torch.tensor(Y)),
    "DataLoader": lambda path: (torch.utils.data.DataLoader(TENSORS, batch_size=4),),
    "tf.data": lambda path: (tf.data.Dataset.from_tensor_slices((X, Y)).batch(4),),
    "grain, map": grain(lambda grain, data: data.batch(4)),
    "grain, iter": grain(lambda grain, data: data.to_iter_dataset().batch(4)),
    "grain, loader": grain(grain_loader),
}


@functools.cache
def made(engine: str) -> Any:
    """A model whose steps are compiled once."""
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def losses(data: tuple[Any, ...], engine: str, steps: int | None = None, **kwargs: Any) -> Any:
    model = made(engine)
    model.set_weights([np.ones((2, 1)), np.zeros(1)])
    history = model.fit(*data, epochs=2, shuffle=False, steps_per_epoch=steps, verbose=0, **kwargs)
    return history.history["loss"]


@functools.cache
def expected(engine: str) -> Any:
    return losses((X, Y), engine, batch_size=4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SOURCES)
def test_sources_train_alike(name: str, engine: str, tmp_path: Any) -> None:
    data = SOURCES[name](tmp_path)
    arrays = {"batch_size": 4} if len(data) == 2 else {}
    with use(engine):
        found = losses(data, engine, 3 if name == "generator" else None, **arrays)
        np.testing.assert_allclose(found, expected(engine), rtol=1e-6)


@pytest.mark.parametrize("name", ["HDF5", "zarr", "Hugging Face"])
def test_what_is_stored_is_read_by_batch(name: str, tmp_path: Any) -> None:
    parts = train_validation_split((*SOURCES[name](tmp_path), None), 0.3)
    for part, rows in zip(parts, (slice(0, 7), slice(7, 10)), strict=True):
        assert not isinstance(part[0], np.ndarray)
        found = list(make_source(*part, batch_size=2, shuffle=True))
        x, y = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        order = np.argsort(x[:, 0])
        np.testing.assert_array_equal(x[order], X[rows])
        np.testing.assert_array_equal(y[order].reshape(-1, 1), Y[rows])


def test_a_hugging_face_dataset_is_its_columns(tmp_path: Any) -> None:
    data = rows_dataset(ROWS)
    ((x, y),) = make_source(data, data["y"])
    np.testing.assert_array_equal(x["x"], X)
    np.testing.assert_array_equal(x["y"], y)


def test_grain_that_repeats_has_no_end() -> None:
    data = library("grain").MapDataset.source(X).repeat()
    assert len(data) == sys.maxsize and make_source(data).num_batches is None


RAGGED: dict[str, Callable[[], Any]] = {
    "lists": lambda: [[1.0, 2.0], [3.0]],
    "objects": lambda: np.array([[1, 2], [3]], dtype=object),
    "a series": lambda: pd.Series([[1, 2], [3]]),
    "polars": lambda: library("polars").Series([[1, 2], [3]]),
    "pyarrow": lambda: library("pyarrow").array([[1, 2], [3]]),
    "TensorFlow": lambda: tf.ragged.constant([[1, 2], [3]]),
    "Hugging Face": lambda: rows_dataset([{"x": [1, 2]}, {"x": [3]}])["x"],
}


@pytest.mark.parametrize("name", RAGGED)
def test_ragged_data_is_to_be_padded(name: str) -> None:
    with pytest.raises(ValueError, match=r"lengths 1, 2\. Pad them.*pad_sequences"):
        list(make_source(RAGGED[name](), Y[:2]))


def test_batches_of_tf_data_before_an_error_come_first() -> None:
    """They are read several together."""
    numbers = tf.data.Dataset.range(1, 20)
    checked = numbers.map(lambda x: tf.debugging.check_numerics(11 / (11 - x), "no number"))
    seen = []
    with pytest.raises(tf.errors.InvalidArgumentError, match="no number"):
        seen.extend(float(batch) for batch in IterableSource(checked))
    assert len(seen) == 10
    assert [int(x) for x in IterableSource(numbers)] == list(range(1, 20))


def test_what_is_late_is_not_waited_for_by_others() -> None:
    """Two, four, ... are read together, and one where one was late."""
    now, read = [0.0], []

    def get() -> list[np.ndarray[Any, Any]]:
        now[0] += 1.0 if len(read) == 4 else 0.0
        read.append(np.zeros(1))
        return read[-1:]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cornu.data._iterables.time.perf_counter", lambda: now[0])
        batches = _several(get)
        ahead = [len(read) for _ in range(10) if next(batches)]
    assert ahead == [1, 3, 3, 5, 5, 6, 8, 8, 12, 12]
