"""Layers that prepare data: what they adapt to, and where they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
import torch

import cornu
from cornu import layers, ops

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
Y = np.arange(6)
PARTS = [slice(0, 4), slice(4, 6)]


class Parts(cornu.utils.PyDataset):
    """X in two batches, with or without targets."""

    def __init__(self, targets: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.targets = targets

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        part = PARTS[index]
        return (X[part], Y[part]) if self.targets else X[part]


#: What gives the samples of X, and nothing else.
SOURCES: dict[str, Callable[[], Any]] = {
    "an array": lambda: X,
    "a list of numbers": lambda: X.tolist(),
    "a tensor": lambda: ops.convert_to_tensor(X),
    "a frame": lambda: pd.DataFrame(X),
    "a sparse matrix": lambda: scipy.sparse.csr_matrix(X),
    "a list": lambda: [X[part] for part in PARTS],
    "a tuple": lambda: tuple(X[part] for part in PARTS),
    "a list with targets": lambda: [(X[part], Y[part]) for part in PARTS],
    "a generator": lambda: (X[part] for part in PARTS),
    "a generator with targets": lambda: ((X[part], Y[part]) for part in PARTS),
    "samples one by one": lambda: iter(X),
    "a dataset": lambda: Parts(targets=False),
    "a dataset with targets, in threads": lambda: Parts(targets=True, workers=2),
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices(X).batch(4),
    "tf.data, not batched": lambda: tf.data.Dataset.from_tensor_slices(X),
    "tf.data with targets": lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(4),
    "a data loader": lambda: torch.utils.data.DataLoader(list(zip(X, Y, strict=True)), 4),
}


@pytest.mark.parametrize("engine", ["jax", "torch"])
@pytest.mark.parametrize("source", SOURCES)
def test_what_can_be_adapted_to(source: str, engine: str) -> None:
    with cornu.backend.use(engine):
        layer = layers.Normalization()
        layer.adapt(SOURCES[source]())
        for found, wanted in ((layer.mean, X.mean(0)), (layer.variance, X.var(0))):
            np.testing.assert_allclose(ops.convert_to_numpy(found)[0], wanted, 1e-5, 1e-6)


@pytest.mark.parametrize("axis", [None, -1, 1, (1, 2), (-1, 1), [2]])
def test_moments_along_axes(axis: Any) -> None:
    data = np.random.default_rng(1).normal(size=(5, 2, 3)).astype("float32")
    ours, theirs = (library.layers.Normalization(axis=axis) for library in (cornu, keras))
    ours.adapt(data)
    theirs.adapt(data)
    again = layers.Normalization.from_config(ours.get_config())
    again.build(data.shape)
    again.set_weights(ours.get_weights())
    for layer in (ours, again):
        np.testing.assert_allclose(np.asarray(layer.mean), np.asarray(theirs.mean), 1e-5, 1e-6)
        np.testing.assert_allclose(np.asarray(layer(data)), np.asarray(theirs(data)), 1e-4, 1e-5)


def test_one_feature_alone() -> None:
    """Of a vector each element is a sample: Keras makes each a feature, whose variance is 0."""
    layer = layers.Normalization()
    layer.adapt([1.0, 3.0])
    assert np.asarray(layer.mean).tolist() == [[2.0]]
    assert np.asarray(layer([[1.0], [3.0]])).tolist() == [[-1.0], [1.0]]


@pytest.mark.parametrize(
    "data, error, message",
    [
        (None, TypeError, "Received: None"),
        ({"x": X}, TypeError, "batches of arrays"),
        ("text", TypeError, "Received: <str>"),
        (np.array(["a"]), TypeError, "dtype=<U1"),
        (X[:0], ValueError, "no sample"),
        ([], ValueError, "no sample"),
        ((X, Y), ValueError, "the features that the layer was built for"),
    ],
)
def test_what_can_not(data: Any, error: type[Exception], message: str) -> None:
    layer = layers.Normalization()
    layer.build((None, 3))
    with pytest.raises(error, match=message):
        layer.adapt(data)
    assert np.asarray(layer.mean).tolist() == [[0.0, 0.0, 0.0]]
    with pytest.raises(ValueError, match="Received: a layer with mean"):
        layers.Normalization(mean=1.0, variance=1.0).adapt(X)


@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_within_a_pipeline_of_another_library(engine: str) -> None:
    images = np.random.default_rng(2).uniform(size=(4, 5, 6, 3)).astype("float32")
    with cornu.backend.use(engine):
        normal = layers.Normalization()
        normal.adapt(images)
        for layer in (normal, layers.Rescaling(2.0, 1.0), layers.Resizing(3, 4)):
            data = tf.data.Dataset.from_tensor_slices(images).batch(2)
            for mapped in (data.map(layer), data.map(lambda x, layer=layer: layer(x))):
                found = np.concatenate([batch.numpy() for batch in mapped])
                wanted = ops.convert_to_numpy(layer(images))
                np.testing.assert_allclose(found, wanted, 1e-4, 1e-5)


def test_channels_first() -> None:
    cornu.config.set_image_data_format("channels_first")
    try:
        layer = layers.Rescaling([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    finally:
        cornu.config.set_image_data_format("channels_last")
    for shape in ((2, 3, 4, 5), (3, 4, 5), (2, 3, 2, 2, 2)):
        found = ops.convert_to_numpy(layer(np.ones(shape, "float32")))
        channels = np.moveaxis(found, 1 if len(shape) > 3 else 0, -1)
        np.testing.assert_array_equal(channels.reshape(-1, 3)[[0, -1]], [[1.0, 3.0, 5.0]] * 2)
    assert layer(np.ones((2, 3), "float32")).shape == (2, 3)
