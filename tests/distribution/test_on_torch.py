"""Two processes on PyTorch: each has its parts, and they train as one does, here and on JAX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cornu import engines
from tests.distribution.networks import trained
from tests.distribution.test_processes import start

pytestmark = pytest.mark.slow
CASES = (
    "perceptron:fsdp:2:arrays",
    "convolutional:data:2:batches",
    "recurrent:data:2:arrays",
    "attention:model:1x2:arrays",
    "gan:data:2:arrays",
    "perceptron:data:2:apart",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have written that trained each case."""
    found = tmp_path_factory.mktemp("processes")
    for process in start(found, 2, CASES, "torch"):
        said, _ = process.communicate(timeout=400)
        assert process.returncode == 0, said
        assert "unrecorded" not in said
    return found


@pytest.mark.parametrize("case", CASES)
def test_processes_train_as_one(case: str, folder: Path) -> None:
    """Each of them knows the whole curve, what the model evaluates to, and predicts; JAX finds the same."""
    name, kind, _, source = case.split(":")
    for engine in ("torch", "jax"):
        with engines.use(engine):
            expected = trained(name, "none", source=source)
        for rank in range(2):
            found = np.load(folder / f"{name}-{kind}-{source}-{rank}.npz")
            for key, value in expected.items():
                np.testing.assert_allclose(found[key], value, 1e-5, 1e-5, err_msg=f"{engine} {key}")
