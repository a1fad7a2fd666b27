"""Models that train beside each other, each on its own engine, for a minute: `scripts/soak`."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import backend, layers, ops, random

PAIRS = [("jax", "torch"), ("jax", "numpy"), ("torch", "tensorflow"), ("jax", "jax")]
PAIRS += [("torch", "torch")]
#: The short ones are tests like others.
SECONDS = [1, pytest.param(60, marks=pytest.mark.soak)]


class Noisy(layers.Layer):
    """Draws without a seed: all threads share the generator."""

    def call(self, x: Any) -> Any:
        return x + random.normal((4,)) * 1e-3


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns every microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def made() -> Any:
    model = cornu.Sequential([layers.Dense(4), Noisy(), layers.Dropout(0.1), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def once(model: Any) -> None:
    x = np.ones((8, 3), "float32")
    model.fit(x, x[:, :1], batch_size=4, verbose=0)
    assert model.predict(x, verbose=0).shape == (8, 1)
    assert np.isfinite(ops.convert_to_numpy(model(x))).all()


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_threads(pair: tuple[str, str], seconds: float, hasty: None) -> None:
    errors: list[BaseException] = []

    def work(engine: str, until: float) -> None:
        try:
            with backend.use(engine):
                model = made()
                once(model)
                while time.monotonic() < until and not errors:
                    once(model)
                    assert backend.backend() == engine
        except BaseException as error:
            errors.append(error)

    until = time.monotonic() + seconds
    threads = [threading.Thread(target=work, args=(engine, until)) for engine in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


@pytest.mark.parametrize("seconds", SECONDS)
def test_tasks(seconds: float) -> None:
    until = time.monotonic() + seconds

    async def work(engine: str) -> None:
        with backend.use(engine):
            model = made()
            once(model)
            while time.monotonic() < until:
                await asyncio.sleep(0)
                assert backend.backend() == engine
                once(model)
                await asyncio.to_thread(once, model)

    async def both() -> None:
        await asyncio.gather(work("jax"), work("torch"))

    asyncio.run(both())
