"""Data says where it is, and goes on from there: the same batches come, in this pass and in the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from cornu.core import tree
from cornu.core.positions import go_on, is_plain, position
from cornu.data import make_source
from cornu.data.pipelines import Dataset as Pipeline
from cornu.data.pipelines import Elements
from cornu.utils import PyDataset, set_random_seed
from tests.training.test_sources import SOURCES, TENSORS, X, Y, batches


class Dataset(PyDataset):
    """Batches in an order that it shuffles itself, and knows."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.order = [0, 1, 2, 3, 4]

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        return X[self.order[index]][None], np.float32([[index]])

    def on_epoch_end(self) -> None:
        self.order = self.order[1:] + self.order[:1]

    def state_dict(self) -> Any:
        return {"order": self.order}

    def load_state_dict(self, state: Any) -> None:
        self.order = state["order"]


class Stream:
    """An iterator that says where it is."""

    def __init__(self) -> None:
        self.at = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.at += 1
        if self.at > 8:
            raise StopIteration
        return X[self.at % 10][None], Y[self.at % 10][None]

    def get_state(self) -> bytes:
        return bytes([self.at])

    def set_state(self, state: bytes) -> None:
        self.at = state[0]


def shuffled() -> Iterator[Any]:
    """Draws its order when it is begun."""
    for i in np.random.permutation(8):
        yield X[i][None], Y[i][None]


def loader(**kwargs: Any) -> Any:
    return (torch.utils.data.DataLoader(TENSORS, batch_size=3, **kwargs),)


def staged() -> Any:
    data = Elements((X, Y))
    return Pipeline(data).shuffle(seed=1).map(lambda x, y: (x + 1, y)).batch(3).prefetch(workers=2)


def tf_shuffled() -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(10, seed=1).batch(3)


Made = Callable[[Any], tuple[Any, ...]]
POSITIONS: dict[str, tuple[Made, dict[str, Any]]] = {
    **{f"{name}, in order": (make, {"batch_size": 4}) for name, make in SOURCES.items()},
    "NumPy": (lambda path: (X, Y), {"shuffle": True, "batch_size": 3}),
    "NumPy, within batches": (lambda path: (X, Y), {"shuffle": "batch", "batch_size": 3}),
    "HDF5": (SOURCES["HDF5"], {"shuffle": True, "batch_size": 3}),
    "PyDataset": (lambda path: (Dataset(),), {"shuffle": True}),
    "PyDataset, threads": (lambda path: (Dataset(workers=3),), {"shuffle": True}),
    "generator": (lambda path: (shuffled(),), {}),
    "stream": (lambda path: (Stream(),), {}),
    "DataLoader, its generator": (
        lambda path: loader(shuffle=True, generator=torch.Generator().manual_seed(3)),
        {},
    ),
    "tf.data, shuffled": (lambda path: (tf_shuffled(),), {}),
    "stages, shuffled": (lambda path: (staged(),), {}),
    "DataLoader, PyTorch's generator": (lambda path: loader(shuffle=True), {}),
    "a list's iterator": (lambda path: (iter(list(batches())),), {}),
}


@pytest.mark.parametrize("ahead", [False, True], ids=["", "ahead"])
@pytest.mark.parametrize("given", [0, 2])
@pytest.mark.parametrize("name", POSITIONS)
def test_data_goes_on(name: str, given: int, ahead: bool, tmp_path: Any) -> None:
    make, options = POSITIONS[name]

    def made() -> Any:
        set_random_seed(7)  # as a script that is run again does
        (folder := tmp_path / str(len(list(tmp_path.iterdir())))).mkdir()
        return make_source(*make(folder), **options)

    def rest(source: Any, opened: Any) -> Any:
        found = list(opened)
        source.on_epoch_end()
        return tree.map_structure(np.asarray, found + list(iter(source)))

    source = made()
    opened = iter(source)
    for _ in range(given):
        next(opened)
    if ahead:
        opened.peek()
    said = source.state(), opened.state()
    assert is_plain(list(said))
    expected = rest(source, opened)
    other = made()
    again = iter(other)
    again.peek()  # a model is built by it
    again.close()
    other.restore(said[0])
    again.restore(said[1])
    found = rest(other, again)
    assert len(found) == len(expected)
    tree.map_structure(np.testing.assert_array_equal, found, expected)


def test_what_has_no_position() -> None:
    class Odd:
        def state(self) -> Any:
            return {"model": object()}

        def restore(self, state: Any) -> None: ...

    assert position(Odd()) is None
    assert position(np.ones(2)) is None
    with pytest.raises(TypeError, match="load_state_dict"):
        go_on([1], {})
