"""Initializers that are not random."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from ..core.checks import one_of
from ..core.dtypes import numpy_dtype
from ..engines import current
from ._initializer import Array, Initializer, cast


class Constant(Initializer):
    """The same value everywhere, or an array that is broadcast to the shape.

    Args:
        value: A number or an array.

    >>> Constant([1, 2]).draw((2, 2), "int32").tolist()
    [[1, 2], [1, 2]]
    """

    #: Whether weights must have the shape of the value: so if an array is given as an initializer.
    exact = False

    def __init__(self, value: Any = 0.0) -> None:
        super().__init__()

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        value = cast(host(self.value), dtype)
        if self.exact and value.shape != shape:
            raise ValueError(
                "An array given as initializer must have the shape of the weight. "
                f"Received: shape={value.shape} for a weight of shape {shape}."
            )
        return np.array(np.broadcast_to(value, shape))


class Zeros(Initializer):
    """All zeros.

    >>> Zeros().draw((3,)).tolist()
    [0.0, 0.0, 0.0]
    """

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        return np.zeros(shape, numpy_dtype(dtype))

    def _fixed(self, shape: tuple[int, ...], dtype: str) -> Self:
        return self


class Ones(Initializer):
    """All ones.

    >>> Ones().draw((2,)).tolist()
    [1.0, 1.0]
    """

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        return np.ones(shape, numpy_dtype(dtype))

    def _fixed(self, shape: tuple[int, ...], dtype: str) -> Self:
        return self


class Identity(Initializer):
    """The identity matrix, for matrices only, which need not be square.

    Args:
        gain: What the identity is multiplied by.

    Raises:
        ValueError: If the weight is no matrix.

    >>> Identity(2.0).draw((2, 2)).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """

    #: Keras writes no gain.
    _optional_arguments = frozenset({"gain"})

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        if len(shape) != 2:
            raise ValueError(
                f"The identity is a matrix. Received: shape={shape} of rank {len(shape)}. "
                "Use another initializer for this weight."
            )
        return cast(self.gain * np.eye(*shape), dtype)


class STFT(Initializer):
    """The real or imaginary part of a windowed Fourier transform, as the kernel of a convolution.

    The kernel has the shape `(frame_length, 1, n / 2 + 1)` for a transform of length n; its entry
    `(t, 0, k)` is `window[t] * exp(-2 pi i t k / n) / scale`.

    Args:
        side: `"real"` or `"imag"`.
        window: The name of a window of `scipy.signal`, an array of `frame_length` values, or None.
        scaling: `"density"` (scale: the root of the window's sum of squares), `"spectrum"` (the
            window's sum) or None. Without a window the scale is 1.
        periodic: Whether a named window is made periodic instead of symmetric.

    >>> STFT("real", window=None).draw((4, 1, 3)).round()[:, 0, 2].tolist()
    [1.0, -1.0, 1.0, -1.0]
    """

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        super().__init__()
        one_of(("real", "imag"), side=side)
        one_of(("density", "spectrum", None), scaling=scaling)
        if isinstance(window, str):
            _named_window(window, 4, periodic)

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        if len(shape) != 3:
            raise ValueError(
                "The kernel of a Fourier transform has the shape (frame_length, 1, frequencies). "
                f"Received: shape={shape}."
            )
        length, _, frequencies = shape
        step = np.pi / max(frequencies - 1, 1)
        angles = step * np.outer(np.arange(length), np.arange(frequencies))
        part = np.cos(angles) if self.side == "real" else -np.sin(angles)
        part *= self._scaled_window(length)[:, np.newaxis]
        return cast(np.broadcast_to(part[:, np.newaxis, :], shape).copy(), dtype)

    def _scaled_window(self, length: int) -> Array:
        if self.window is None:
            return np.ones(length)
        if isinstance(self.window, str):
            window = _named_window(self.window, length, self.periodic)
        else:
            window = np.asarray(host(self.window), np.float64)
        if window.shape != (length,):
            raise ValueError(
                f"A window must have the length of the frame, {length}. "
                f"Received: window.shape={window.shape}."
            )
        if self.scaling is None:
            return window
        total = math.sqrt(np.square(window).sum()) if self.scaling == "density" else window.sum()
        return np.divide(window, abs(float(total)))


def _named_window(name: str, length: int, periodic: bool) -> Array:
    from scipy.signal import get_window

    return np.asarray(get_window(name, length, fftbins=periodic))


def host(value: Any) -> Array:
    """A number, an array or a tensor as a NumPy array."""
    if hasattr(value, "__array__") and not isinstance(value, (np.ndarray, np.generic)):
        value = current().convert_to_numpy(value)
    return np.asarray(value)
