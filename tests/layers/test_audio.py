"""Spectrograms: every mode, what decibels are cut to, what is refused."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import layers

SIGNALS = np.random.default_rng(0).normal(size=(2, 100, 2)).astype("float32")


@pytest.mark.parametrize("expand_dims", [False, True])
@pytest.mark.parametrize("mode", ["log", "magnitude", "psd", "real", "imag", "angle", "stft"])
def test_modes(mode: str, expand_dims: bool) -> None:
    ours, theirs = (
        np.asarray(library.layers.STFTSpectrogram(mode, 16, expand_dims=expand_dims)(SIGNALS))
        for library in (cornu, keras)
    )
    if mode == "angle":  # which is pi or -pi where a part is 0
        ours, theirs = np.cos(ours), np.cos(theirs)
    np.testing.assert_allclose(ours, theirs, 1e-4, 1e-4)


def test_kernels_that_are_trained() -> None:
    layer = layers.STFTSpectrogram("real", 8)
    model = cornu.Sequential([cornu.Input((100, 2)), layer, layers.GlobalAveragePooling1D()])
    before = layer.real_kernel.numpy()
    model.compile("sgd", "mse")
    model.train_on_batch(SIGNALS, np.ones((2, 10)))
    assert np.abs(layer.real_kernel.numpy() - before).max() > 1e-4


def test_decibels_of_a_sound_that_is_beside_a_loud_one() -> None:
    layer = layers.MelSpectrogram(64, 32, num_mel_bins=10, sampling_rate=8000, top_db=20.0)
    quiet, loud = SIGNALS[0, :, 0], 1e6 * SIGNALS[0, :, 1]
    together = np.asarray(layer(np.stack([quiet, loud])))
    np.testing.assert_allclose(together[0], np.asarray(layer(quiet)), 1e-5, 1e-5)
    assert together[0].max() - together[0].min() <= 20.001
    weights = layer.linear_to_mel_weight_matrix(dtype="float64")
    theirs = keras.layers.MelSpectrogram().linear_to_mel_weight_matrix()
    np.testing.assert_allclose(np.asarray(weights), np.asarray(theirs), 1e-4, 1e-5)


@pytest.mark.parametrize(
    "layer, arguments, message",
    [
        ("STFTSpectrogram", {"mode": "power"}, "`mode` must be one of .* Received: mode='power'"),
        ("STFTSpectrogram", {"frame_step": 300}, "frame_step=300, frame_length=256"),
        ("STFTSpectrogram", {"fft_length": 100}, "fft_length=100, frame_length=256"),
        ("STFTSpectrogram", {"frame_length": 0}, "Received: frame_length=0"),
        ("STFTSpectrogram", {"window": "nothing"}, "nothing"),
        ("MelSpectrogram", {"sequence_length": 4096}, "sequence_length=4096, fft_length=2048"),
        ("MelSpectrogram", {"num_mel_bins": 0}, "Received: num_mel_bins=0"),
    ],
)
def test_what_is_refused(layer: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(layers, layer)(**arguments)
