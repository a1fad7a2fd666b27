"""Every network in every layout: on JAX in one process of two devices and in several of two, on PyTorch in several."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from tests.distribution.networks import NETWORKS, trained
from tests.distribution.test_processes import start

pytestmark = pytest.mark.soak
alone = functools.cache(functools.partial(trained, kind="none"))
KINDS = {"data": "4", "fsdp": "4", "model": "2x2"}


def same(found: dict[str, np.ndarray], name: str) -> None:
    for key, expected in alone(name).items():
        np.testing.assert_allclose(found[key], expected, 1e-5, 1e-5, err_msg=key)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_one_process_of_two_devices(name: str, kind: str) -> None:
    same(trained(name, kind), name)


@pytest.mark.parametrize("engine", ["jax", "torch"])
@pytest.mark.parametrize("count", [2, 4])
def test_processes(count: int, engine: str, tmp_path: Path) -> None:
    """Of two devices each on JAX, of one on PyTorch."""
    rows = count if engine == "jax" else count // 2
    sizes = {"data": "0", "fsdp": "0", "model": f"{rows}x2"}
    names = [name for name in NETWORKS if name != "gan"]  # whose file has a class of this module
    cases = [f"{name}:{kind}:{sizes[kind]}:arrays" for name in names for kind in KINDS]
    for process in start(tmp_path, count, cases, engine):
        said, _ = process.communicate(timeout=1200)
        assert process.returncode == 0, said
    for case in cases:
        name, kind, _, source = case.split(":")
        for rank in range(count):
            same(np.load(tmp_path / f"{name}-{kind}-{source}-{rank}.npz"), name)
