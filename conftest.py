"""What every test starts from: JAX with two CPU devices, names and seeds from the beginning."""

from __future__ import annotations

import os
import sys

# Before anything imports an engine. Two devices, so that placement is never right by chance.
os.environ["KERAS_BACKEND"] = "jax"
os.environ["CORNU_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests are many short processes.
os.environ.setdefault("CORNU_COMPILE_CACHE", "1")
os.environ.setdefault("CORNU_LIGHT_IMPORT", "1")
os.environ.setdefault("CORNU_QUIET_IMPORT", "1")
os.environ.setdefault("CORNU_STRICT", "1")
# What XLA compiles for TensorFlow stays in the process until it ends, 7 MB a step.
os.environ.setdefault("CORNU_XLA_FROM", "0")
_DEVICES = "--xla_force_host_platform_device_count"
if _DEVICES not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_DEVICES}=2".strip()

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from cornu import random
from cornu.core import config, naming, seeding

pytest_plugins = ["tests.suite"]
#: One makes files for tests, by a library that they do without; of the second `tests/applications` checks the
#: examples, each of which builds a network, as it checks the networks.
collect_ignore = [
    "tests/saving/make_keras2_files.py",
    "cornu/applications/__init__.py",
    "cornu/as_keras.py",
]
#: Programs that tests run, some of them in environments of their own.
collect_ignore_glob = ["tests/soak/clients/*", "tests/soak/launch/*", "tests/launch/kubectl.py"]


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, except those that Keras's own code causes."""
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't:DeprecationWarning"
    )


def start_again() -> None:
    """Automatic names, seeds and global settings as in a fresh process, for Keras too."""
    naming.reset()
    config.disable_traceback_filtering()  # a test that fails shows where
    seeding.set_random_seed(0)
    random.forget_global_seed_generator()
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.backend.clear_session(free_memory=False)
        keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def from_the_beginning() -> None:
    """Each test starts as in a fresh process."""
    start_again()


@pytest.fixture
def generator() -> np.random.Generator:
    """Random numbers, the same in each run."""
    return np.random.default_rng(0)


@pytest.fixture
def compilations() -> Iterator[Callable[[], int]]:
    """A call that gives how many programs JAX has compiled since it was last called."""
    import jax

    found: list[str] = []

    def listen(event: str, seconds: float, **more: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(event)

    def count() -> int:
        number = len(found)
        found.clear()
        return number

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield count
    jax.monitoring.unregister_event_duration_listener(listen)
