"""Files as Keras 1.2 wrote them, by what its documentation and code say of the format: none of it runs any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Arrays = list[np.ndarray[Any, Any]]


def draw(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def write(
    path: Path,
    model: dict[str, Any],
    weights: dict[str, Arrays],
    training: Any = None,
    state: Any = (),
) -> None:
    """A whole model: its config, the weights of each layer, and how it was trained."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps(model).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            put(group.create_group(name), [f"{name}_{n}" for n in range(len(arrays))], arrays)
        if training is not None:
            file.attrs["training_config"] = json.dumps(training).encode()
            names = [f"Variable_{n}:0" for n in range(len(state))]
            put(file.create_group("optimizer_weights"), names, state)


def put(group: Any, names: list[str], arrays: Any) -> None:
    group.attrs["weight_names"] = [name.encode() for name in names]
    for name, array in zip(names, arrays, strict=True):
        group[name] = array
