"""Datasets of stages: what each method gives, in order, whatever computes ahead; and where a training goes on."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import cornu
from cornu import layers
from cornu.data import make_source
from cornu.data._stages import Elements, Turn
from cornu.data.pipelines import Dataset


def numbers(count: int = 10) -> Dataset:
    return Dataset(Elements(range(count)))


def plain(dataset: Any) -> Any:
    return [x.tolist() if isinstance(x, np.ndarray) else x for x in dataset.as_numpy_iterator()]


def square(x: Any) -> Any:
    return x * x


#: Methods that are TensorFlow's too, of elements 0 to 9.
ALIKE: dict[str, Callable[[Any], Any]] = {
    "map": lambda d: d.map(square),
    "map, ahead": lambda d: d.map(square, num_parallel_calls=3),
    "batch": lambda d: d.batch(3),
    "batch, drop": lambda d: d.batch(3, drop_remainder=True),
    "take": lambda d: d.take(4),
    "take all": lambda d: d.take(-1),
    "skip": lambda d: d.skip(7),
    "skip all": lambda d: d.skip(-1),
    "skip, take, too many": lambda d: d.skip(7).take(9),
    "take of a skip of batches": lambda d: d.batch(2).skip(1).take(2),
    "shard": lambda d: d.shard(3, 1),
    "shard of a part": lambda d: d.skip(1).shard(4, 2),
    "repeat": lambda d: d.take(2).repeat(3),
    "repeat, take": lambda d: d.take(3).repeat().take(8),
    "repeat, skip, batch": lambda d: d.take(3).repeat().skip(4).take(6).batch(4),
    "filter": lambda d: d.filter(lambda x: x % 3 == 0),
    "filter, batch": lambda d: d.filter(lambda x: x % 2 == 0).batch(2),
    "filter, skip, take": lambda d: d.filter(lambda x: x > 2).skip(2).take(3),
    "filter, repeat": lambda d: d.filter(lambda x: x > 7).repeat(2),
    "unbatch": lambda d: d.batch(4).unbatch(),
    "unbatch, batch": lambda d: d.batch(4).map(square).unbatch().skip(1).batch(3),
    "cache": lambda d: d.map(square).cache().repeat(2),
    "cache of a stream": lambda d: d.filter(lambda x: x > 7).cache().repeat(3),
    "prefetch": lambda d: d.map(square).prefetch(2).batch(3).prefetch(-1),
    "prefetch of a stream": lambda d: d.filter(lambda x: x > 3).prefetch(2).batch(2),
    "parts": lambda d: d.map(lambda x: (x, x + 1)).map(lambda x, y: x * y).batch(5),
}


@pytest.mark.parametrize("name", ALIKE)
def test_methods_are_tensorflow_s(name: str) -> None:
    """A second pass gives the same, and each pass goes on from any of its elements."""
    ours = ALIKE[name](numbers())
    theirs = plain(ALIKE[name](tf.data.Dataset.range(10)))
    assert plain(ours) == plain(ours) == theirs
    assert ours.cardinality() in (-2, len(theirs))
    if ours.cardinality() >= 0:
        assert len(ours) == len(theirs)
        assert [np.asarray(ours[i]).tolist() for i in range(-len(ours), 0)] == theirs
    for start in range(len(theirs) + 1):
        found = iter(ours)
        found.restore({"pass": 0, "batch": start})
        assert [np.asarray(x).tolist() for x in found] == theirs[start:]


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d.shuffle(),
        lambda d: d.shuffle(seed=5).batch(4),
        lambda d: d.batch(2).shuffle().prefetch(workers=2),
        lambda d: d.filter(lambda x: x >= 0).shuffle(4),
        lambda d: d.shuffle().repeat(2).take(15),
    ],
)
def test_orders(make: Any) -> None:
    """Each pass has its own; a pass that goes on has that in which it began."""
    cornu.utils.set_random_seed(1)
    data = make(numbers())
    passes = [plain(data) for _ in range(3)]
    flat = [np.concatenate([np.atleast_1d(x) for x in each]).tolist() for each in passes]
    assert flat[0] != flat[1] != flat[2]
    assert set(flat[0]) == set(range(10))
    again = make(numbers())
    again.orders.seed = data.orders.seed
    for number in (1, 2):
        reading = iter(again)
        reading.restore({"pass": number, "batch": 2})
        assert [np.asarray(x).tolist() for x in reading] == passes[number][2:]


def test_a_layer_draws_in_a_pipeline_and_in_the_step_beside_it() -> None:
    """Two threads get two keys, and none reads a state that a step has taken."""
    noise = layers.GaussianNoise(0.1, seed=1)
    model = cornu.Sequential([cornu.Input((4,)), noise, layers.Dense(1)])
    model.compile("sgd", "mse")
    samples = Dataset(Elements([(np.ones(4, "float32"), np.ones(1))] * 200)).batch(2)
    drawn = samples.map(lambda x, y: (noise(x, training=True), y), num_parallel_calls=2)
    model.fit(drawn, epochs=2, verbose=0)
    assert noise.seed_generator.state.numpy().tolist()[1] >= 400
    assert repr(drawn) == "<Dataset of 100 elements, by Ahead>"


def test_a_fixed_order() -> None:
    data = numbers().shuffle(seed=1, reshuffle_each_iteration=False)
    assert plain(data) == plain(data) != list(range(10))
    streams = (
        numbers().filter(lambda x: x >= 0).shuffle(100, seed=1, reshuffle_each_iteration=False)
    )
    assert plain(streams) == plain(streams) and sorted(plain(streams)) == list(range(10))


@pytest.mark.parametrize("filtered", [False, True])
def test_passes_share_a_cache(filtered: bool) -> None:
    """Each has all elements, wherever others are; all have the order of the first, whoever reads them."""
    data = numbers().shuffle()
    data = (data.filter(lambda x: x >= 0) if filtered else data).cache()
    one, other = iter(data), iter(data.map(float))
    begun = [next(one), *(next(other) for _ in range(6))]
    assert [begun[0], *one] == [*begun[1:], *other] == plain(data)
    assert sorted(plain(data)) == list(range(10))


def test_a_cache_in_another_process() -> None:
    data = numbers().shuffle().cache()
    first = plain(data)
    worker = pickle.loads(pickle.dumps(data.stage))
    assert list(worker.all(Turn(5, 3, ahead=False), 4)) == first[4:]


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d.shuffle().cache(),
        lambda d: d.cache().shuffle(),
        lambda d: d.filter(lambda x: x >= 0).shuffle(4).cache(),
        lambda d: d.filter(lambda x: x >= 0).cache().shuffle(4),
    ],
)
def test_a_cache_and_a_pass_that_goes_on_without_it(make: Any) -> None:
    data, resumed = make(numbers()), make(numbers())
    passes = [plain(data) for _ in range(3)]
    resumed.orders.seed = data.orders.seed
    rest = iter(resumed)
    rest.restore({"pass": 2, "batch": 4})
    assert list(rest) == passes[2][4:]


def test_passes_without_elements_end() -> None:
    assert plain(numbers(0).repeat()) == plain(numbers().filter(lambda x: x > 9).repeat()) == []


def test_nothing_in_the_place_of_targets() -> None:
    data = numbers(3).map(lambda x: (x, None))
    for batched in (data.batch(2), data.batch(2, pad=True)):
        assert [y for _, y in batched] == [None, None] and plain(batched.unbatch()) == plain(data)


def slow(x: int) -> tuple[int, str]:
    time.sleep(0.02 * (x % 3))
    return x, f"{os.getpid()} {threading.get_ident()}"


def test_workers_keep_the_order() -> None:
    for options, places in (({"workers": 4}, 4), ({"workers": 2, "processes": True}, 2)):
        data = numbers(24).map(slow).prefetch(8, **options)
        for _ in range(2):
            found = list(data)
            assert [x for x, _ in found] == list(range(24))
            assert 1 < len({where for _, where in found}) <= places
        assert [x for x, _ in data.skip(20)] == list(range(20, 24))


def test_an_error_says_where() -> None:
    data = numbers().map(lambda x: 1 / (x - 3)).prefetch(4, workers=2)
    with pytest.raises(ZeroDivisionError) as caught:
        list(data)
    assert caught.value.__notes__ == ["Raised by a worker thread, for index 3."]


def test_a_layer_computes_with_numpy() -> None:
    """Whichever engine is current; its results are arrays."""
    seen = []
    data = Dataset(Elements(np.arange(12.0, dtype="float32").reshape(6, 2)))

    def scaled(x: Any) -> Any:
        seen.append(cornu.backend.backend())
        return layers.Rescaling(0.5)(x)

    x = np.arange(12.0).reshape(6, 2) / 2
    for found in (
        data.map(scaled),
        data.filter(lambda x: np.all(scaled(x) >= 0)).map(layers.Rescaling(0.5)),
        data.map(layers.Rescaling(0.5)),
        data.batch(2).map(layers.Rescaling(0.5)),
    ):
        assert all(type(element) is np.ndarray for element in found)
        np.testing.assert_array_equal(np.reshape(list(found), (6, 2)), x)
    assert set(seen) == {"numpy"} and cornu.backend.backend() != "numpy"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda d: d.batch(0), ValueError, "`batch_size` must be a positive integer"),
        (lambda d: d[0:2], TypeError, r"by its place, .*take\(count\)"),
        (lambda d: d.shuffle(0), ValueError, "`buffer_size` must be a positive integer"),
        (lambda d: d.prefetch(workers=0), ValueError, "`workers` must be a positive integer"),
        (lambda d: len(d.filter(bool)), TypeError, "a length if its elements are counted"),
        (lambda d: d[10], IndexError, "out of range"),
        (lambda d: d.shard(2, -1), ValueError, "`index` must be one of .*index=-1"),
        (lambda d: d.shard(2, 2), ValueError, "index=2"),
        (lambda d: list(d.map(np.zeros).batch(2)), ValueError, r"one shape. Received: .*pad=True"),
        (lambda d: list(make_source(d, np.zeros(3))), ValueError, "`y` doesn't go with a dataset"),
    ],
)
def test_bad_calls(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(numbers())


def test_padded_batches() -> None:
    data = numbers(4).map(lambda x: np.arange(x, dtype="float32")).batch(2, pad=True)
    assert plain(data) == [[[0], [0]], [[0, 1, 0], [0, 1, 2]]]


def test_it_trains() -> None:
    """Its passes go on from `fit` to `fit`, as those of `tf.data` do; `tests/training/test_positions.py` resumes it."""
    x = np.arange(24, dtype="float32").reshape(12, 2) / 24
    losses = []
    for epochs in ([3], [1, 2, 3]):
        cornu.utils.set_random_seed(0)
        data = Dataset(Elements((x, x[:, :1]))).shuffle(seed=1).map(lambda x, y: (x + 1, y))
        data = data.batch(5).prefetch(workers=2)
        model = cornu.Sequential([cornu.Input((2,)), layers.Dense(1)])
        model.compile(cornu.optimizers.SGD(0.1), "mse")
        runs = [
            model.fit(data, epochs=e, initial_epoch=e - 3 // len(epochs), verbose=0) for e in epochs
        ]
        losses.append([loss for run in runs for loss in run.history["loss"]])
        assert model.evaluate(data, verbose=0) < losses[-1][0]
        assert model.predict(data, verbose=0).shape == (12, 1)
    assert len(losses[0]) == 3 and losses[0] == losses[1]
