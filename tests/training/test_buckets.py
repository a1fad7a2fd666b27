"""Sequences of many lengths in batches of few; the short batch at the end of a pass left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from cornu import layers, ops
from cornu.data import make_source
from cornu.engines import use
from cornu.models import Sequential
from cornu.utils import PyDataset, bucket_by_length

LENGTHS = [int(n) for n in np.random.default_rng(0).permutation(200) + 1]
X = [list(range(n)) for n in LENGTHS]
Y = np.array(LENGTHS, "float32")
BOUNDARIES = [20, 60, 120, 200]


class Batches(PyDataset):
    """Batches of sequences as they lie."""

    def __init__(self, padded: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padded = padded

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Any:
        rows = slice(10 * index, 10 * index + 10)
        x = X[rows]
        if not self.padded:
            return x, Y[rows]
        longest = max(map(len, x))
        return np.array([row + [0] * (longest - len(row)) for row in x]), Y[rows]


def objects(x: Any) -> Any:
    found = np.empty(len(x), object)
    found[:] = x
    return found


#: What gives the sequences, and whether they are all known beforehand.
SOURCES: dict[str, tuple[Any, bool]] = {
    "lists": (lambda: (X, Y), True),
    "arrays": (lambda: ([np.array(x, "int32") for x in X], Y), True),
    "objects": (lambda: (objects(X), Y), True),
    "a series": (lambda: (pd.Series(X), Y), True),
    "TensorFlow": (lambda: (tf.ragged.constant(X), Y), True),
    "PyDataset": (lambda: (Batches(),), False),
    "PyDataset, threads": (lambda: (Batches(workers=2),), False),
    "PyDataset of arrays": (lambda: (Batches(padded=True),), False),
    "generator": (lambda: (((X[i : i + 9], Y[i : i + 9]) for i in range(0, 200, 9)),), False),
    "iterable": (lambda: (Loader(),), False),
}


class Loader:
    """Batches as lists of their parts."""

    def __iter__(self) -> Iterator[Any]:
        return ([X[i : i + 7], Y[i : i + 7]] for i in range(0, 200, 7))


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("drop", [False, True])
def test_buckets(name: str, drop: bool) -> None:
    make, known = SOURCES[name]
    buckets = bucket_by_length(*make(), boundaries=BOUNDARIES, batch_size=16, drop_remainder=drop)
    source = make_source(buckets)
    batches = list(source)
    assert source.num_batches == (len(batches) if known else None)
    *whole, last = batches
    assert all(len(x) == 16 and x.shape[1] in BOUNDARIES for x, _ in whole)
    assert len(last[0]) == (16 if drop else 200 % 16)
    assert bool(source.has_partial_batch) == (known and not drop)
    seen = []
    for x, y in batches:
        for row, n in zip(x.tolist(), y.astype(int).tolist(), strict=True):
            assert row == [*range(n), *[0] * (x.shape[1] - n)]
            seen.append(n)
    assert len(set(seen)) == len(seen) == (192 if drop else 200)


def test_each_bucket_has_its_batch_size() -> None:
    buckets = bucket_by_length(
        {"ids": X},
        X,
        [[1.0] * n for n in LENGTHS],
        boundaries=2,
        batch_size=[40, 10],
        value=-1,
        padding="pre",
    )
    assert buckets.boundaries == [100, 200]
    shapes = set()
    for x, y, w in buckets:
        shapes.add(x["ids"].shape)
        np.testing.assert_array_equal(x["ids"], y)
        np.testing.assert_array_equal(w == -1, y == -1)
        assert w.dtype == "float32" and (y[:, -1] >= 0).all()
    assert shapes == {(40, 100), (10, 200)}


def test_a_pass_is_shuffled_and_tells_its_dataset() -> None:
    source = make_source(bucket_by_length(X, Y, boundaries=BOUNDARIES), shuffle=True)
    passes = [np.concatenate([y for _, y in source]).tolist() for _ in range(2)]
    assert passes[0] != passes[1] and sorted(passes[0]) == sorted(passes[1]) == sorted(Y.tolist())


BAD: dict[str, tuple[Any, str]] = {
    "too long": (lambda: bucket_by_length(X, Y, boundaries=[100]), "fit in a bucket"),
    "descending": (lambda: bucket_by_length(X, boundaries=[20, 10]), "each larger"),
    "no buckets": (lambda: bucket_by_length(X, boundaries=0), "Received: boundaries=0"),
    "a number for a stream": (lambda: bucket_by_length(Batches(), boundaries=4), "for a Batches"),
    "sizes": (lambda: bucket_by_length(X, boundaries=[200], batch_size=[1, 2]), "one for each"),
    "targets twice": (lambda: bucket_by_length(Batches(), Y, boundaries=[200]), "`y` doesn't go"),
    "no sequences": (lambda: bucket_by_length(Y, boundaries=[200]), "Buckets are of sequences"),
    "samples": (lambda: bucket_by_length(X, Y[:5], boundaries=[200]), "same number of samples"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_buckets(name: str) -> None:
    make, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        list(make())


def test_a_step_is_compiled_for_each_bucket(caplog: Any) -> None:
    model = Sequential([layers.Embedding(200, 2), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    model.compile("sgd", "mse")
    buckets = bucket_by_length(X, Y, boundaries=BOUNDARIES, batch_size=8, drop_remainder=True)
    with use("jax"), caplog.at_level("INFO", "cornu"):
        model.fit(buckets, epochs=3, verbose=0)
    assert caplog.text.count("compiled") == len(BOUNDARIES)


@pytest.mark.parametrize("steps", [None, 5])
def test_predictions_are_in_the_order_of_the_sequences(steps: int | None) -> None:
    model = Sequential([layers.Input((None,)), layers.Lambda(lambda x: ops.max(x, axis=-1))])
    with use("numpy"):
        buckets = bucket_by_length(X, boundaries=BOUNDARIES, batch_size=16)
        found = model.predict(buckets, steps=steps, verbose=0)
    wanted = [max(row, default=0) for row in X]
    assert found.tolist() == [x for x in wanted if steps is None or x in found]
    assert len(found) == (200 if steps is None else 16 * steps)


def test_the_remainder_of_arrays_is_dropped() -> None:
    x = np.arange(10)
    source = make_source(x, batch_size=4, shuffle=True, drop_remainder=True)
    passes = [np.concatenate(list(source)) for _ in range(5)]
    assert source.num_batches == 2 and not source.has_partial_batch
    assert all(len(set(found)) == 8 for found in passes) and len({*np.concatenate(passes)}) == 10
    with pytest.raises(ValueError, match=r"Received: drop_remainder=True.*drop_last=True"):
        make_source(Batches(), drop_remainder=True)


@pytest.mark.parametrize("name", SOURCES)
def test_a_pass_over_buckets_goes_on(name: str) -> None:
    def source() -> Any:
        return make_source(
            bucket_by_length(*SOURCES[name][0](), boundaries=BOUNDARIES), shuffle=True
        )

    first = source()
    whole = iter(first)
    next(whole)
    state = first.state(), whole.state()
    other = source()
    other.restore(state[0])
    rest = iter(other)
    rest.restore(state[1])
    for found, expected in zip(rest, whole, strict=True):
        np.testing.assert_array_equal(found[0], expected[0])


def test_labels_beside_sequences_of_one_step() -> None:
    """A batch in which labels `(samples, 1)` look like sequences is as those before."""
    lengths = [3, 1, 2]
    batches = ((np.ones((1, n)), np.full((1, 1), n)) for n in lengths)
    found = list(bucket_by_length(batches, boundaries=[4], batch_size=3))
    assert [(x.shape, y.tolist()) for x, y in found] == [((3, 4), [[3], [1], [2]])]
