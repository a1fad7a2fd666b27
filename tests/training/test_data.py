"""Data sources: the batches and the kinds of errors are those of Keras."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from typing import Any
from unittest.mock import Mock

import h5py
import jax.numpy as jnp
import keras
import numpy as np
import pandas as pd
import pytest
from dataset_for_processes import Large, Mishap, Squares
from keras.src.trainers import data_adapters
from keras.src.trainers.data_adapters import array_slicing

from cornu import layers, tuning
from cornu.callbacks import LambdaCallback
from cornu.core import tree
from cornu.core.config import set_floatx
from cornu.core.seeding import make_default_seed, set_random_seed
from cornu.data import (
    _workers,
    make_source,
    pack_x_y_sample_weight,
    train_validation_split,
    unpack_x_y_sample_weight,
)
from cornu.data._waiting import note
from cornu.engines import use
from cornu.models import Sequential
from cornu.training._batches import Batches
from cornu.utils import _labels
from cornu.utils._pydataset import PyDataset


def read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


X = read_only(np.arange(20, dtype="float64").reshape(10, 2))
Y = read_only(np.arange(10))
W = read_only(np.linspace(0.0, 1.0, 10))
ONE_HOT = np.eye(3)[Y % 3]
FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1, 2, 3]})
SERIES = pd.Series([1, 2, 3])


class OnlyArray:
    """Something that NumPy can read."""

    shape = (10, 2)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return X


def keras_batches(*args: Any, **kwargs: Any) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapter = data_adapters.get_data_adapter(*args, **kwargs)
        batches = list(adapter.get_numpy_iterator())
    return tree.map_structure(np.asarray, batches, none_is_leaf=False)


def assert_same_batches(ours: list[Any], theirs: list[Any]) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        tree.assert_same_structure(a, b)
        for left, right in zip(tree.flatten(a), tree.flatten(b), strict=True):
            assert type(left) is type(right)
            if left is not None:
                assert left.dtype == right.dtype
                np.testing.assert_array_equal(left, right)


ARRAYS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "x, y": ((X, Y), {}),
    "x": ((X,), {}),
    "tuple x alone": (((X, X),), {}),
    "integers": ((X.astype("int64"), Y.astype("uint8")), {}),
    "booleans": ((X > 3, Y > 3), {}),
    "float16": ((X.astype("float16"), Y), {}),
    "bfloat16": ((jnp.ones((10, 2), "bfloat16"), Y), {}),
    "complex": ((X.astype("complex128"),), {}),
    "list": (([X, X], Y), {}),
    "dictionaries": (({"a": X, "b": X}, {"out": Y}), {}),
    "nested": (({"a": (X, [X])}, [Y, {"b": Y}]), {}),
    "None in x": (([X, None], Y), {}),
    "x is None": ((None, Y), {}),
    "one dimension": ((X[:, 0], Y), {}),
    "Fortran order": ((np.asfortranarray(X), Y), {}),
    "strided": ((X[:, ::-1], Y), {}),
    "tensors": ((jnp.ones((10, 2)), jnp.arange(10)), {}),
    "an array-like": ((OnlyArray(), Y), {}),
    "frame": ((FRAME, SERIES), {}),
    "columns": ((dict(FRAME), SERIES), {"sample_weight": SERIES.astype("float64")}),
    "sample weights": ((X, Y), {"sample_weight": W}),
    "weights without targets": ((X, None), {"sample_weight": W}),
    "weights in two dimensions": ((X, Y), {"sample_weight": X}),
    "weights of each output": ((X, [Y, Y]), {"sample_weight": [W, W]}),
    "one weight for all outputs": ((X, {"a": Y, "b": Y}), {"sample_weight": W}),
    "no weight for one output": ((X, [Y, Y]), {"sample_weight": [W, None]}),
    "classes": ((X, Y % 3), {"class_weight": {0: 1, 1: 2.5, 2: 3}}),
    "classes of one-hot rows": ((X, ONE_HOT), {"class_weight": {0: 1, 1: 2}}),
    "classes of a column": ((X, (Y % 3)[:, None]), {"class_weight": {0: 1, 1: 2}}),
    "classes of floats": ((X, (Y % 3) + 0.1), {"class_weight": {0: 1, 1: 2}}),
    "classes of a series": ((FRAME, SERIES), {"class_weight": {1: 2.0, 2: 3.0}}),
    "classes below zero": ((X, Y - 1), {"class_weight": {0: 2.0}}),
    "no class has a weight": ((X, Y), {"class_weight": {}}),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("batch_size", [4, 5, None, 1])
def test_arrays(name: str, batch_size: int | None) -> None:
    args, kwargs = ARRAYS[name]
    source = make_source(*args, batch_size=batch_size, **kwargs)
    ours = list(source)
    assert_same_batches(ours, keras_batches(*args, batch_size=batch_size, **kwargs))
    assert source.num_batches == len(ours)
    size = len(next(leaf for leaf in tree.flatten(ours[-1]) if leaf is not None))
    assert source.has_partial_batch == (size != source.batch_size)
    assert_same_batches(list(source), ours)


def test_batches_are_views_where_the_order_is_kept() -> None:
    x = read_only(np.zeros((10, 3), "float32"))
    assert all(np.shares_memory(batch, x) for batch in make_source(x, batch_size=4))


@pytest.mark.parametrize(("shuffle", "within"), [(True, 10), (1, 10), ("batch", 4)])
def test_shuffle(shuffle: Any, within: int) -> None:
    """All samples come once, x beside its y; with "batch" each stays in its batch."""
    source = make_source(X, Y, W, batch_size=4, shuffle=shuffle)
    passes = [list(source) for _ in range(4)]
    for batches in passes:
        x, y, w = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        np.testing.assert_array_equal(x, X[y])
        np.testing.assert_allclose(w, W[y])
        np.testing.assert_array_equal(np.sort(y), Y)
        np.testing.assert_array_equal(np.sort(y // within), Y // within)
    orders = {tuple(np.concatenate([y for _, y, _ in batches])) for batches in passes}
    assert len(orders) > 1


def test_shuffle_follows_the_seed() -> None:
    def order() -> list[int]:
        set_random_seed(3)
        return [int(y[0]) for _, y in make_source(X, Y, batch_size=1, shuffle=True)]

    assert order() == order() != sorted(order())


@pytest.mark.parametrize(("steps", "epoch", "number"), [(None, 3, 3), (5, 4, 2), (20, 1, 1)])
def test_an_epoch_has_its_order_in_deterministic_mode(
    steps: int | None, epoch: int, number: int
) -> None:
    with tuning.deterministic(True):
        set_random_seed(3)
        whole = make_source(X, Y, batch_size=1, shuffle=True)
        orders = [[int(y[0]) for _, y in whole] for _ in range(number + 1)]
        make_default_seed()  # another model was made in between, say
        batches = Batches(make_source(X, Y, batch_size=1, shuffle=True), steps, 1)
        batches.first()
        batches.begin(epoch)
        assert int(batches.first()[1][0]) == orders[number][0]
        count = min(steps or 10, 10)
        found = [data for *_, group in itertools.islice(batches, count) for data in group]
        assert [int(y[0]) for _, y in found] == orders[number][:count]


@pytest.mark.filterwarnings("ignore:The data ended")
@pytest.mark.parametrize("shuffle", [True, False])
def test_an_epoch_begins_within_a_pass_in_deterministic_mode(shuffle: bool) -> None:
    def seen(first: int) -> list[list[int]]:
        set_random_seed(3)
        batches = Batches(make_source(X, Y, batch_size=1, shuffle=shuffle), 4, 1)
        batches.begin(first)
        epochs = [list(batches) for _ in range(first, 5)]
        return [[int(y[0]) for *_, group in epoch for _, y in group] for epoch in epochs]

    with tuning.deterministic(True):
        assert [seen(first) for first in range(5)] == [seen(0)[first:] for first in range(5)]
    assert seen(1)[0] == [0, 1, 2, 3] or shuffle  # as in Keras


def test_floats_follow_floatx() -> None:
    set_floatx("float16")
    try:
        (batch,) = make_source(X, Y)
    finally:
        set_floatx("float32")
    assert batch[0].dtype == "float16" and batch[1].dtype == "int64"


@pytest.mark.parametrize("shuffle", [False, True, "batch"])
def test_files_are_read_batch_by_batch(tmp_path: Any, shuffle: Any) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"], file["y"] = X, Y
        for x, y in make_source(file["x"], file["y"], batch_size=4, shuffle=shuffle):
            assert x.dtype == "float32"
            np.testing.assert_array_equal(x, X[y])


BAD_ARRAYS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "numbers": (([1.0, 2.0], Y[:2]), {}),
    "nested numbers": (([[1.0], [2.0]],), {}),
    "y is a list": ((X, list(range(10))), {}),
    "weights in a list": ((X, Y), {"sample_weight": [1.0] * 10}),
    "lengths of x and y": ((X, Y[:5]), {}),
    "lengths of everything": (({"a": X},), {"y": {"b": Y[:5]}, "sample_weight": Y[:3]}),
    "weights of another structure": ((X, {"a": Y, "b": Y}), {"sample_weight": [Y, Y]}),
    "weights of some outputs": ((X, {"a": Y, "b": Y}), {"sample_weight": {"a": Y}}),
    "too many weights": ((X, [Y, Y]), {"sample_weight": [Y, Y, Y]}),
    "class and sample weights": ((X, Y), {"sample_weight": W, "class_weight": {0: 1.0}}),
    "classes of two outputs": ((X, [Y, Y]), {"class_weight": {0: 1.0}}),
    "classes of a dictionary": ((X, {"a": Y}), {"class_weight": {0: 1.0}}),
    "objects": ((np.array([{}, {}]),), {}),
    "dates": ((np.array(["2020-01-01"], dtype="datetime64[D]"),), {}),
    "a string": (("abc",), {}),
    "a number": ((3,), {}),
    "an object": ((object(),), {}),
    "a range": ((range(3),), {}),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_arrays(name: str) -> None:
    args, kwargs = BAD_ARRAYS[name]
    with pytest.raises(ValueError):
        keras_batches(*args, **kwargs)
    with pytest.raises(ValueError, match="Received"):
        list(make_source(*args, **kwargs))


@pytest.mark.parametrize(
    ("args", "kwargs", "error"),
    [
        ((X, Y), {"steps": -1}, ValueError),
        ((X, Y), {"steps": 1.5}, TypeError),
        ((X, Y), {"batch_size": -1}, ValueError),
        ((X, Y), {"batch_size": 0}, ValueError),
        ((X, Y), {"batch_size": 2.5}, TypeError),
        ((np.float32(3.0),), {}, ValueError),
        ((None,), {}, ValueError),
        ((X,), {"class_weight": {0: 1.0}}, ValueError),
        ((X, Y), {"sample_weight": [W, W]}, ValueError),
    ],
)
def test_bad_arguments(args: Any, kwargs: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Received"):
        make_source(*args, **kwargs)


def test_lengths_are_named() -> None:
    with pytest.raises(ValueError, match=r"Data cardinality.*x: \[10\]; y: \[10, 5\]"):
        make_source(X, [Y, Y[:5]])


def test_no_samples() -> None:
    source = make_source(X[:0], Y[:0])
    assert (source.num_batches, list(source)) == (0, [])


# ------------------------------------------------------------------- generators and iterables


def pairs(count: int = 5) -> Iterator[Any]:
    for step in range(count):
        yield X[:4] + step, Y[:4]


GENERATORS: dict[str, Any] = {
    "pairs": pairs,
    "inputs": lambda: ((x,) for x, _ in pairs()),
    "weights": lambda: ((x, y, y) for x, y in pairs()),
    "four parts": lambda: ((x, y, y, y) for x, y in pairs()),
    "structures": lambda: (({"a": x, "b": [x]}, y) for x, y in pairs()),
    "no targets": lambda: ((x, None) for x, _ in pairs()),
    "numbers": lambda: ((1.0, [2, 3]) for _ in range(3)),
    "sizes that change": lambda: ((X[:n], Y[:n]) for n in (3, 4, 1)),
    "tensors": lambda: ((jnp.asarray(x), y) for x, y in pairs()),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_generators(name: str) -> None:
    source = make_source(GENERATORS[name](), shuffle=True)
    assert source.num_batches is None
    assert_same_batches(list(source), keras_batches(GENERATORS[name]()))


def test_a_generator_goes_on_where_it_stopped() -> None:
    source = make_source(pairs(5))
    first = iter(source)
    values = [next(first)[0][0, 0], next(first)[0][0, 0]]
    first.close()  # type: ignore[attr-defined]
    values += [x[0, 0] for x, _ in source]
    assert values == [0, 1, 2, 3, 4]
    assert list(source) == []


@pytest.mark.parametrize(
    ("make", "kwargs"),
    [
        (pairs, {"y": Y}),
        (pairs, {"sample_weight": W}),
        (pairs, {"class_weight": {0: 1.0}}),
        (lambda: pairs(0), {}),
        (lambda: (x for x, _ in pairs()), {}),
        (lambda: ([x, y] for x, y in pairs()), {}),
        (lambda: ({"a": x} for x, _ in pairs()), {}),
    ],
)
def test_bad_generators(make: Any, kwargs: Any) -> None:
    with pytest.raises(ValueError):
        keras_batches(make(), **kwargs)
    with pytest.raises(ValueError, match="Received"):
        make_source(make(), **kwargs)


def test_an_error_in_a_generator_shows_its_line() -> None:
    def failing() -> Iterator[Any]:
        yield X, Y
        raise RuntimeError("bad sample")

    with pytest.raises(RuntimeError, match="bad sample") as caught:
        list(make_source(failing()))
    assert "in failing" in "".join(traceback.format_tb(caught.value.__traceback__))


def test_iterators_and_iterables() -> None:
    class Loader:
        batch_size = 4

        def __iter__(self) -> Iterator[Any]:
            return ([x, y] for x, y in pairs(3))

        def __len__(self) -> int:
            return 3

    source = make_source(Loader(), class_weight={1: 2.0})
    assert (source.num_batches, source.batch_size) == (3, 4)
    for _ in range(2):
        batches = list(source)
        assert [x[0, 0] for x, _, _ in batches] == [0, 1, 2]
        assert batches[0][2].tolist() == [1, 2, 1, 1]
    dictionaries = [{"ids": X}, {"ids": Y}]
    assert [list(b) for b in make_source(filter(None, [(X,)]))] and dictionaries
    with pytest.raises(ValueError, match="Received"):
        make_source(Loader(), Y)


# ------------------------------------------------------------------------------------ PyDataset


class Counting:
    """A dataset of three batches that keeps what happened to it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.events: list[str] = []

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return X[:4] + index, Y[:4]

    def on_epoch_begin(self) -> None:
        self.events.append("begin")

    def on_epoch_end(self) -> None:
        self.events.append("end")


class Ours(Counting, PyDataset):
    pass


class Theirs(Counting, keras.utils.PyDataset):
    pass


def no_data_threads() -> bool:
    return not any(thread.name.startswith("cornu-data") for thread in threading.enumerate())


@pytest.mark.parametrize("kind", [Ours, Theirs])
@pytest.mark.parametrize("kwargs", [{}, {"workers": 0}, {"workers": 3, "max_queue_size": 1}])
def test_datasets(kind: Any, kwargs: Any) -> None:
    source = make_source(kind(**kwargs))
    assert source.num_batches == 3
    for _ in range(2):
        source.on_epoch_begin()
        assert_same_batches(list(source), keras_batches(Theirs()))
        source.on_epoch_end()
    assert source.dataset.events == ["begin", "end"] * 2  # type: ignore[attr-defined]
    assert no_data_threads()


ITEMS: dict[str, Any] = {
    "tuple of one": (X,),
    "array": X,
    "list": [X, Y],
    "weights": (X, Y, W),
    "numbers": ([1.0, 2.0], [1, 2]),
    "dictionary": {"a": X},
    "None": None,
    "four parts": (X, Y, Y, Y),
}


@pytest.mark.parametrize("name", ITEMS)
def test_items_of_datasets(name: str) -> None:
    def dataset(base: Any) -> Any:
        return type("D", (base,), {"__getitem__": lambda self, index: ITEMS[name]})()

    try:
        expected = keras_batches(dataset(Theirs))
    except ValueError:
        with pytest.raises(ValueError, match="Received"):
            list(make_source(dataset(Ours)))
    else:
        assert_same_batches(list(make_source(dataset(Ours))), expected)


def test_weights_of_classes_in_a_dataset() -> None:
    kwargs = {"class_weight": {0: 1.0, 1: 2.0}}
    assert_same_batches(list(make_source(Ours(), **kwargs)), keras_batches(Theirs(), **kwargs))
    weighted = type("D", (Ours,), {"__getitem__": lambda self, index: (X, Y, W)})
    with pytest.raises(ValueError, match="exclude"):
        list(make_source(weighted(), **kwargs))


def test_a_shuffled_dataset_gives_each_batch_once() -> None:
    source = make_source(Ours(), shuffle=True)
    orders = [tuple(int(x[0, 0]) for x, _ in source) for _ in range(20)]
    assert {tuple(sorted(order)) for order in orders} == {(0, 1, 2)}
    assert len(set(orders)) > 1


def test_a_first_batch_begins_the_epoch() -> None:
    """Workers don't read before the dataset knows of the epoch, whoever asks first."""
    source = make_source(Ours())
    batches = iter(source)
    next(batches)
    source.on_epoch_begin()
    list(batches)
    source.on_epoch_end()
    assert source.dataset.events == ["begin", "end"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kwargs", [{}, {"workers": 0}])
def test_a_dataset_stays_in_its_thread_unless_it_has_workers(kwargs: dict[str, Any]) -> None:
    """A connection to a database may be bound to the thread that opened it."""
    seen = []

    class Bound(Ours):
        def __getitem__(self, index: int) -> Any:
            seen.append(threading.get_ident())
            return super().__getitem__(index)

    assert len(list(make_source(Bound(**kwargs)))) == 3
    assert set(seen) == {threading.get_ident()}


def test_threads_end_when_reading_is_broken_off() -> None:
    endless = type("D", (Ours,), {"num_batches": None})(workers=2)
    batches = iter(make_source(endless, steps=4))
    assert [int(next(batches)[0][0, 0]) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert not no_data_threads()
    batches.close()  # type: ignore[attr-defined]
    assert no_data_threads()


def test_a_note_is_added_once() -> None:
    error = ValueError()
    for _ in range(2):
        note(error, "Raised.")
    assert error.__notes__ == ["Raised."]


def test_an_error_in_a_dataset_shows_its_line() -> None:
    class Failing(Ours):
        def __getitem__(self, index: int) -> Any:
            return (X, 1 // (1 - index))

    with pytest.raises(ZeroDivisionError) as caught:
        list(make_source(Failing(workers=2)))
    assert "(1 - index)" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert caught.value.__notes__ == ["Raised by a worker thread, for index 1."]
    assert no_data_threads()


def mistaken() -> Iterator[Any]:
    for index in range(3):
        yield X, X[:, index]  # a mistake


class Mistaken(Ours):
    def __getitem__(self, index: int) -> Any:
        return X, X[:, index]  # a mistake


@pytest.mark.parametrize("make", [mistaken, Mistaken, lambda: Mistaken(workers=2)])
def test_a_mistake_in_data_is_the_last_line_of_a_traceback(make: Any) -> None:
    model = Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    with use("numpy"), pytest.raises(IndexError) as caught:
        model.fit(make(), steps_per_epoch=3, verbose=0)
    assert "# a mistake" in str(traceback.extract_tb(caught.value.__traceback__)[-1].line)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C is an exception here: in a process of the suite it ends that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("timeout", [0.4, None])
@pytest.mark.usefixtures("interruptible")
def test_a_stuck_thread_holds_nothing_up(
    timeout: float | None, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named after its time limit; Ctrl-C ends the waiting without one. Nor does it hold up who has left."""
    free = threading.Event()

    class Stuck(Ours):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(index) if index != 1 else free.wait(20)

    dataset = Stuck(workers=2)
    dataset.timeout = timeout
    if timeout is None:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    start, error = time.monotonic(), KeyboardInterrupt if timeout is None else TimeoutError
    with pytest.raises(error) as caught, caplog.at_level("WARNING", "cornu"):
        list(make_source(dataset))
    assert time.monotonic() - start < 5
    assert ("waiting for index 1 of a dataset" in caplog.text) == (timeout is not None)
    assert ("thread that has index 1" in str(caught.value)) == (timeout is not None)
    monkeypatch.setattr("cornu.data._threads.PATIENCE", 0.3)
    left = iter(make_source(dataset))
    next(left)
    left.close()
    assert time.monotonic() - start < 5
    free.set()


def processes() -> set[int | None]:
    """The processes of this one that are alive: of whatever runs in it."""
    return {process.pid for process in multiprocessing.active_children()}


@pytest.fixture
def memories(monkeypatch: Any) -> Iterator[list[str]]:
    """The names of the shared memory that a test uses: none may be left, and no process."""
    names: list[str] = []
    before = processes()
    make = _workers._memory

    def named(size: int) -> Any:
        memory = make(size)
        names.append(memory.name)
        return memory

    monkeypatch.setattr(_workers, "_memory", named)
    yield names
    assert processes() <= before
    for name in names:
        with pytest.raises(FileNotFoundError):
            SharedMemory(name=name)


@pytest.mark.parametrize("room", [True, False])
def test_processes(memories: list[str], room: bool, monkeypatch: Any) -> None:
    """They keep order, and come back for the next pass with the dataset as it is then."""
    if not room:
        monkeypatch.setattr(_workers, "_memory", Mock(side_effect=OSError))
    workers = 8 if room else 2
    source = make_source(Large(workers=workers, use_multiprocessing=True))
    expected = make_source(Large(workers=0))
    before, found = processes(), []
    for _ in range(2):
        assert_same_batches(list(source), list(expected))
        found.append(processes() - before)
        source.on_epoch_end()
        expected.on_epoch_end()
    assert len(found[0]) == workers and found[0] == found[1] and bool(memories) == room
    source.close()


ENDS: dict[str, tuple[type[BaseException], str | None]] = {
    "raises": (KeyError, "no sample at 5"),
    "raises what can't be sent": (RuntimeError, "Unpicklable: half of 5"),
    "is killed": (RuntimeError, "signal 9 at index 5"),
    "exits": (RuntimeError, "exit code 7 at index 5"),
    "leaves": (RuntimeError, "exit code 0 at index 5"),
    "is stuck": (TimeoutError, "process that has index 5"),
    "is stuck and Ctrl-C": (KeyboardInterrupt, None),
}


@pytest.mark.parametrize("what", ENDS)
@pytest.mark.usefixtures("interruptible")
def test_a_mishap_in_a_process_ends_all(what: str, memories: list[str], caplog: Any) -> None:
    count, (error, message) = 0, ENDS[what]
    source = make_source(Mishap(what, workers=2, use_multiprocessing=True))
    with pytest.raises(error, match=message) as caught, caplog.at_level("WARNING", "cornu"):
        for count, _ in enumerate(source, 1):
            if count == 5 and error is KeyboardInterrupt:
                threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    assert count <= 5
    assert ("index 5 of a dataset" in caplog.text) == (error is TimeoutError)
    if what.startswith("raises"):
        assert "in fail" in str(caught.value.__cause__)
        assert caught.value.__notes__ == ["Raised by a worker process, for index 5."]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dataset_does_not_end_by_its_item(workers: int) -> None:
    class Ending(Ours):
        def __getitem__(self, index: int) -> Any:
            return (X, next(iter([])))

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(make_source(Ending(workers=workers)))


@pytest.mark.parametrize("in_build", [False, True])
def test_an_error_in_the_loop_ends_processes(memories: list[str], in_build: bool) -> None:
    def stop(*_: Any) -> None:
        raise ZeroDivisionError

    model = Sequential([layers.Lambda(stop) if in_build else layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.raises(ZeroDivisionError):
        model.fit(
            Squares(workers=2, use_multiprocessing=True),
            callbacks=LambdaCallback(on_train_batch_end=stop),
            verbose=0,
        )


def test_a_dataset_for_processes_is_picklable() -> None:
    class Local(Squares):
        pass

    before = processes()
    with pytest.raises(TypeError, match=r"Received: Local.*use_multiprocessing=False"):
        list(make_source(Local(workers=1, use_multiprocessing=True)))
    assert processes() <= before


@pytest.mark.parametrize("kwargs", [{"y": Y}, {"sample_weight": W}])
def test_bad_arguments_with_a_dataset(kwargs: Any) -> None:
    with pytest.raises(ValueError):
        keras_batches(Theirs(), **kwargs)
    with pytest.raises(ValueError, match="Received"):
        make_source(Ours(), **kwargs)


def test_a_dataset_must_say_its_length() -> None:
    class Bare(PyDataset):
        def __init__(self) -> None:
            pass  # the base's constructor may be left out

        def __getitem__(self, index: int) -> Any:
            return X, Y

    with pytest.raises(NotImplementedError, match="num_batches"):
        make_source(Bare())
    Bare.num_batches = None  # type: ignore[assignment, method-assign]
    with pytest.raises(ValueError, match="needs a number of steps"):
        make_source(Bare())
    sized = type("D", (Bare,), {"num_batches": 2})()
    assert (sized.workers, sized.use_multiprocessing, sized.max_queue_size) == (1, False, 10)
    assert len(list(make_source(sized))) == len(list(sized)) == 2
    with pytest.raises(NotImplementedError, match="__getitem__"):
        PyDataset()[0]


# --------------------------------------------------------------------------- splitting, packing


@pytest.mark.parametrize("fraction", [0.2, 0.3, 0.5, 0.05, 0.9, 0.0, 1.0, 0.95])
@pytest.mark.parametrize("arrays", [(X, Y, None), ({"a": X}, [Y], W), ([X, X], None, None)])
def test_validation_split(arrays: Any, fraction: float) -> None:
    try:
        expected = array_slicing.train_validation_split(arrays, fraction)
    except ValueError:
        with pytest.raises(ValueError, match="Received: 10 samples"):
            train_validation_split(arrays, fraction)
        return
    for part, other in zip(train_validation_split(arrays, fraction), expected, strict=True):
        assert_same_batches(list(make_source(*part)), keras_batches(*other))


@pytest.mark.parametrize(
    ("arrays", "fraction"),
    [
        ((pairs(), None, None), 0.2),
        (([1.0, 2.0], Y, None), 0.2),
        ((X, Y[:4], None), 0.2),
        ((X, Y, None), -0.1),
        ((X, Y, None), 1.5),
        ((None, None, None), 0.2),
    ],
)
def test_bad_validation_split(arrays: Any, fraction: float) -> None:
    with pytest.raises(ValueError, match="Received"):
        train_validation_split(arrays, fraction)


def test_validation_split_of_frames() -> None:
    (train, *_), (held_out, y, _) = train_validation_split((FRAME, SERIES, None), 0.4)
    assert (train.shape, held_out.shape, y.tolist()) == ((1, 2), (2, 2), [[2], [3]])


@pytest.mark.parametrize(
    "data", [(1,), (1, 2), (1, 2, 3), [1, 2], [1], 5, None, {"a": 1}, (1, None, 3)]
)
def test_unpack(data: Any) -> None:
    expected = keras.utils.unpack_x_y_sample_weight(data)
    assert unpack_x_y_sample_weight(data) == expected


@pytest.mark.parametrize("data", [(1, 2, 3, 4), ()])
def test_unpack_too_much(data: Any) -> None:
    with pytest.raises(ValueError, match="Received"):
        unpack_x_y_sample_weight(data)


@pytest.mark.parametrize(
    "data", [(1,), (1, 2), (1, 2, 3), ([1],), ((1, 2),), (1, None, 3), ({"a": 1},), ([1], 2)]
)
def test_pack(data: Any) -> None:
    assert pack_x_y_sample_weight(*data) == keras.utils.pack_x_y_sample_weight(*data)


# ------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "labels", [[0, 1, 2], [[0], [1]], [[0, 1], [1, 2]], 1, [0.0, 1.0], [0, 1, -1], [5], []]
)
@pytest.mark.parametrize("num_classes", [None, 4])
def test_to_categorical(labels: Any, num_classes: int | None) -> None:
    labels = np.asarray(labels)
    try:
        expected = keras.utils.to_categorical(labels, num_classes)
    except (ValueError, IndexError) as error:
        with pytest.raises(type(error)):
            _labels.to_categorical(labels, num_classes)
        return
    found = _labels.to_categorical(labels, num_classes)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kwargs", [{}, {"axis": 1}, {"order": 1}, {"order": np.inf}])
@pytest.mark.parametrize("x", [X, X.astype("float32"), Y.reshape(5, 2), np.zeros((2, 3))])
def test_normalize(x: Any, kwargs: Any) -> None:
    found, expected = _labels.normalize(x, **kwargs), keras.utils.normalize(x, **kwargs)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected)


def test_normalize_along_the_first_axis() -> None:
    np.testing.assert_allclose(np.linalg.norm(_labels.normalize(X, axis=0), axis=0), 1)
