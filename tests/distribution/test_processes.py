"""Two processes of two devices each on JAX: curves, files and checkpoints as of one process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu.distribution import set_distribution
from cornu.saving import checkpoints
from tests.distribution.networks import BATCH, NETWORKS, data, distribution, trained

pytestmark = pytest.mark.slow
CASES = (
    "perceptron:fsdp:4:arrays",
    "convolutional:data:4:batches",
    "attention:model:2x2:arrays",
    "perceptron:data:4:apart",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have written that trained each case."""
    found = tmp_path_factory.mktemp("processes")
    started = start(found, 2, CASES)
    for process in started:
        said, _ = process.communicate(timeout=400)
        assert process.returncode == 0, said
    return found


def start(folder: Path, count: int, cases: Any, engine: str = "jax") -> list[subprocess.Popen[str]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-m", "tests.distribution.process", engine, f"127.0.0.1:{port}"]
    return [
        subprocess.Popen(
            [*command, str(count), str(rank), str(folder), *cases],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]


@pytest.mark.parametrize("case", CASES)
def test_processes_train_as_one(case: str, folder: Path) -> None:
    """Each of them knows the whole curve, what the model evaluates to, and predicts."""
    name, kind, _, source = case.split(":")
    expected = trained(name, "none", source=source)
    for rank in range(2):
        found = np.load(folder / f"{name}-{kind}-{source}-{rank}.npz")
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, 1e-5, 1e-5, err_msg=key)


@pytest.mark.parametrize("kind", ["none", "data", "fsdp", "model"])
def test_a_checkpoint_goes_on_in_one_process(kind: str, folder: Path, tmp_path: Path) -> None:
    """Of which each process has written a part, and in any layout; the last one has what the `.keras` file has."""
    path = folder / "perceptron-fsdp"
    middle, last = checkpoints(path)
    assert middle.fault is last.fault is None
    assert {file.name for file in last.path.glob("weights-*")} == {
        "weights-00001-of-00002.safetensors",
        "weights-00002-of-00002.safetensors",
    }
    saved = cornu.saving.load_model(path.with_suffix(".keras"))
    found = np.load(folder / "perceptron-fsdp-arrays-0.npz")
    network = NETWORKS["perceptron"]
    set_distribution(distribution(kind, network, (1, 2)))
    try:
        model = network.make()
        model.compile(cornu.optimizers.Adam(1e-2, global_clipnorm=1.0), "mse", metrics=["mae"])
        last.restore(model)
        for one, other in zip(
            [*model.variables, *model.optimizer.variables],
            [*saved.variables, *saved.optimizer.variables],
            strict=True,
        ):
            np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)
        np.testing.assert_array_equal(model.trainable_variables[0].numpy(), found["kernel"])
        shutil.copytree(middle.path, tmp_path / middle.path.name)
        history = model.fit(*data(network), BATCH, epochs=2, verbose=0, resume=tmp_path).history
        np.testing.assert_allclose(history["loss"], found["loss"], 1e-5)
        np.testing.assert_allclose(
            model.trainable_variables[0].numpy(), found["kernel"], 1e-5, 1e-6
        )
    finally:
        set_distribution(None)
