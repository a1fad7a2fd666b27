"""Every network by values: Keras's file with weights that are drawn, and what both predict from it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from cornu import applications
from cornu.applications._network import NETWORKS
from tests.applications.networks import fill, images, small


@pytest.mark.soak
@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_of_keras(tmp_path: Path, name: str) -> None:
    # Keras's EfficientNetV2 takes no other names than its own.
    model = NETWORKS[name].model
    arguments = {**small(name), **({"name": model} if model else {})}
    theirs = getattr(keras.applications, name)(**arguments)
    fill(theirs)
    path = tmp_path / "network.weights.h5"
    theirs.save_weights(path)
    ours = getattr(applications, name)(**{**arguments, "weights": path})
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    x = images(ours)
    expected = theirs.predict(x, verbose=0)
    error = np.abs(ours.predict(x, verbose=0) - expected).max()
    assert error < 1e-4 * np.abs(expected).max()
