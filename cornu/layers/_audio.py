"""Layers of sound: spectrograms, by the Fourier transform or by kernels that can be trained."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from ..core.checks import is_size, one_of, positive_integer
from ..core.config import standardize_data_format
from ..initializers import STFT
from ._input_spec import InputSpec
from ._layer import Layer
from ._preprocessing import _Preparing

_LEAST_POWER = 1e-7


class MelSpectrogram(_Preparing):
    """The power of a sound over time in bands of mel, the scale of how high people hear a tone.

    Inputs are `(time,)` or `(batch, time)`, outputs `(num_mel_bins, windows)` or
    `(batch, num_mel_bins, windows)`.

    Args:
        fft_length: The length of each Fourier transform.
        sequence_stride: Samples from the start of one window to that of the next.
        sequence_length: Samples of a window; `fft_length` where it is left out.
        window: `hann`, `hamming`, the values of a window, or None for ones.
        sampling_rate: Samples per second.
        num_mel_bins: How many bands.
        min_freq: Where the lowest band begins, in hertz.
        max_freq: Where the highest ends; half the sampling rate where it is left out.
        power_to_db: Whether the result is in decibels.
        top_db: How many decibels a value may lie below the loudest of its sound.
        mag_exp: The exponent of magnitudes: 1 for amplitudes, 2 for powers.
        min_power: The least power that decibels tell.
        ref_power: The power of 0 decibels.

    Raises:
        ValueError: If a size is not positive, or a window is longer than its transform.

    >>> import numpy as np
    >>> MelSpectrogram(num_mel_bins=64, sequence_stride=256)(np.ones((2, 16000))).shape
    (2, 64, 63)
    """

    _weightless = True

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: float = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        sizes = {"fft_length": fft_length, "sequence_stride": sequence_stride}
        positive_integer(**sizes, num_mel_bins=num_mel_bins)
        self.sequence_length = sequence_length or fft_length
        self.max_freq = max_freq or int(sampling_rate / 2)
        if self.sequence_length > fft_length:
            raise ValueError(
                "A window is at most as long as its transform. Received: sequence_length="
                f"{sequence_length}, fft_length={fft_length}. Raise `fft_length`."
            )

    def call(self, inputs: Any) -> Any:
        """The power of each band in each window."""
        inputs = ops.cast(inputs, self.compute_dtype)
        real, imaginary = ops.stft(
            inputs, self.sequence_length, self.sequence_stride, self.fft_length, self.window
        )
        power = ops.power(ops.square(real) + ops.square(imaginary), self.mag_exp / 2)
        weights = self.linear_to_mel_weight_matrix(
            self.num_mel_bins,
            self.fft_length // 2 + 1,
            self.sampling_rate,
            self.min_freq,
            self.max_freq,
        )
        bands = ops.swapaxes(ops.matmul(power, ops.cast(weights, power.dtype)), -1, -2)
        return ops.cast(self._decibels(bands) if self.power_to_db else bands, self.compute_dtype)

    def _decibels(self, power: Any) -> Any:
        """10 log10(power / ref_power), cut off below."""
        reference = 10 * math.log10(max(self.min_power, self.ref_power))
        decibels = 10 * ops.log10(ops.maximum(power, self.min_power)) - reference
        loudest = ops.max(decibels, axis=(-2, -1), keepdims=True)
        return ops.maximum(decibels, loudest - self.top_db)

    def linear_to_mel_weight_matrix(
        self,
        num_mel_bins: int = 20,
        num_spectrogram_bins: int = 129,
        sampling_rate: float = 8000,
        lower_edge_hertz: float = 125.0,
        upper_edge_hertz: float = 3800.0,
        dtype: str = "float32",
    ) -> Any:
        """Triangles over the frequencies of a spectrum, as wide as each other in mel.

        Source: the scale of the Hidden Markov Model Toolkit, mel(f) = 1127 ln(1 + f / 700), f in hertz.

        Returns:
            `(num_spectrogram_bins, num_mel_bins)`, which spectra are multiplied with.

        >>> MelSpectrogram().linear_to_mel_weight_matrix(2, 5).shape
        (5, 2)
        """

        def mel(hertz: Any) -> Any:
            return 1127 * np.log1p(np.divide(hertz, 700))

        spectrum = mel(np.linspace(0, sampling_rate / 2, num_spectrogram_bins))[:, None]
        edges = np.linspace(mel(lower_edge_hertz), mel(upper_edge_hertz), num_mel_bins + 2)
        low, peak, high = edges[:-2], edges[1:-1], edges[2:]
        sides = (spectrum - low) / (peak - low), (high - spectrum) / (high - peak)
        weights = np.maximum(np.minimum(*sides), 0)
        weights[0] = 0  # the mean of a signal is no tone
        return ops.convert_to_tensor(weights, dtype)


class STFTSpectrogram(Layer):
    """The short-time Fourier transform of signals, by convolutions whose kernels can be trained.

    Inputs are `(batch, time, channels)`, outputs `(batch, frames, channels * frequencies)`, or
    `(batch, frames, frequencies, channels)` where dimensions are expanded. With channels first the
    outputs are `(batch, channels * frequencies, frames)` or `(batch, channels, frames, frequencies)`.

    Args:
        mode: What is given: `log` (of the magnitude), `magnitude`, `psd` (power, of both signs of a
            frequency together), `real`, `imag`, `angle` (in radians), or `stft` (`real`, then `imag`).
        frame_length: Samples of a frame.
        frame_step: Samples from the start of one frame to that of the next; half a frame where left out.
        fft_length: The length of each transform; `frame_length` where it is left out.
        window: The name of a window of `scipy.signal`, its values, or None.
        periodic: Whether a named window is periodic, instead of symmetric.
        scaling: `density`, `spectrum` or None: what the window is divided by (`initializers.STFT`).
        padding: `valid` or `same`.
        expand_dims: Whether frequencies and channels keep axes of their own.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    Raises:
        ValueError: If an argument is none of these, a step is longer than its frame, or a frame is
            longer than its transform.

    >>> import numpy as np
    >>> STFTSpectrogram(frame_length=16)(np.ones((2, 100, 1))).shape
    (2, 11, 9)
    """

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("log", "magnitude", "psd", "real", "imag", "angle", "stft"), mode=mode)
        one_of(("valid", "same"), padding=padding)
        positive_integer(frame_length=frame_length)
        if frame_step is not None and not (is_size(frame_step) and frame_step <= frame_length):
            raise ValueError(
                "`frame_step` must be from 1 to `frame_length`. Received: "
                f"frame_step={frame_step}, frame_length={frame_length}."
            )
        if fft_length is not None and not is_size(fft_length, frame_length):
            raise ValueError(
                "`fft_length` must be at least `frame_length`. Received: "
                f"fft_length={fft_length}, frame_length={frame_length}."
            )
        self._initializers = {
            side: STFT(side, window, scaling, periodic) for side in ("real", "imag")
        }
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape: Any) -> None:
        """Make a kernel for each part of the transform that the mode reads."""
        frequencies = (self.fft_length or self.frame_length) // 2 + 1
        for side in (self.mode,) if self.mode in self._initializers else ("real", "imag"):
            kernel = self.add_weight(
                name=f"{side}_kernel",
                shape=(self.frame_length, 1, frequencies),
                initializer=self._initializers[side],
            )
            setattr(self, f"{side}_kernel", kernel)

    def call(self, inputs: Any) -> Any:
        """What the mode says of each frame."""
        inputs = ops.cast(inputs, self.compute_dtype)
        if self.data_format == "channels_last":
            inputs = ops.swapaxes(inputs, 1, 2)
        batch, channels, time = ops.shape(inputs)
        signals = ops.reshape(inputs, (-1, time, 1))
        spectra = self._spectra(signals)  # (batch * channels, frames, frequencies)
        _, frames, frequencies = ops.shape(spectra)
        spectra = ops.reshape(spectra, (-1, channels, frames, frequencies))
        if self.data_format == "channels_last":
            if self.expand_dims:
                return ops.transpose(spectra, (0, 2, 3, 1))
            spectra = ops.transpose(spectra, (0, 2, 1, 3))
            return ops.reshape(spectra, (-1, frames, channels * frequencies))
        if self.expand_dims:
            return spectra
        spectra = ops.transpose(spectra, (0, 1, 3, 2))
        return ops.reshape(spectra, (-1, channels * frequencies, frames))

    def _spectra(self, signals: Any) -> Any:
        """What the mode says of signals (n, time, 1): (n, frames, frequencies)."""
        if self.mode in self._initializers:
            return self._part(signals, self.mode)
        real, imaginary = self._part(signals, "real"), self._part(signals, "imag")
        if self.mode == "stft":
            return ops.concatenate([real, imaginary], axis=-1)
        if self.mode == "angle":
            return ops.arctan2(imaginary, real)
        power = ops.square(real) + ops.square(imaginary)
        if self.mode == "psd":
            # All frequencies but 0 and the highest stand for those below 0, too.
            return power + ops.pad(power[..., 1:-1], ((0, 0), (0, 0), (1, 1)))
        magnitude = ops.sqrt(ops.maximum(power, _LEAST_POWER))  # whose gradient is finite at 0
        return ops.log(magnitude) if self.mode == "log" else magnitude

    def _part(self, signals: Any, side: str) -> Any:
        step = self.frame_step or self.frame_length // 2
        kernel = getattr(self, f"{side}_kernel")
        return ops.conv(signals, kernel, step, self.padding, data_format="channels_last")
