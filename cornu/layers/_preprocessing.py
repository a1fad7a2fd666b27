"""Layers that prepare data: scaling, standardization, resizing."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ._layer import Layer


class Rescaling(Layer):
    """`inputs * scale + offset`.

    Args:
        scale: The factor, or one for each channel.
        offset: The addition, or one for each channel.

    >>> import numpy as np
    >>> Rescaling(1 / 255)(np.array([0.0, 255.0])).tolist()
    [0.0, 1.0]
    """

    _supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        """The inputs, scaled and shifted."""
        dtype = self.compute_dtype
        scale = ops.convert_to_tensor(self.scale, dtype)
        offset = ops.convert_to_tensor(self.offset, dtype)
        return ops.cast(inputs, dtype) * scale + offset


class Normalization(Layer):
    """`(inputs - mean) / sqrt(variance)`, feature by feature.

    Args:
        axis: The axis of the features, or several; None for one mean of everything.
        mean, variance: The moments, where `adapt` is not to find them.
        invert: Whether the layer goes back from normalized values.

    >>> import numpy as np
    >>> layer = Normalization(mean=2.0, variance=4.0)
    >>> layer(np.array([[2.0], [6.0]])).tolist()
    [[0.0], [2.0]]
    """

    _supports_masking = True

    _kept_as = {"mean": "input_mean", "variance": "input_variance"}
    input_mean: Any
    input_variance: Any

    def __init__(
        self,
        axis: Any = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError(
                "`mean` and `variance` are given together. Received: "
                f"mean={mean}, variance={variance}."
            )
        axes = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.axis = axes
        self.mean: Any = None
        self.variance: Any = None

    def build(self, input_shape: Any) -> None:
        """Make the moments' variables, unless the moments were given."""
        rank = len(input_shape)
        if any(axis < -rank or axis >= rank for axis in self.axis):
            raise ValueError(
                f"`axis` must be an axis of the inputs. Received: axis={self.axis} for "
                f"input_shape={tuple(input_shape)} in the layer {self.path!r}."
            )
        kept = sorted(axis % rank for axis in self.axis)
        for axis in kept:
            if input_shape[axis] is None:
                raise ValueError(
                    "The sizes of the normalized axes must be known. Received: "
                    f"input_shape={tuple(input_shape)}, axis={self.axis} in {self.path!r}."
                )
        self._reduced = tuple(axis for axis in range(rank) if axis not in kept)
        self._along = tuple(input_shape[axis] if axis in kept else 1 for axis in range(rank))
        shape = tuple(input_shape[axis] for axis in kept)
        if self.input_mean is not None:
            self.mean = self._broadcast(self.input_mean, shape)
            self.variance = self._broadcast(self.input_variance, shape)
            return
        self.adapt_mean = self.add_weight(
            name="mean", shape=shape, initializer="zeros", trainable=False
        )
        self.adapt_variance = self.add_weight(
            name="variance", shape=shape, initializer="ones", trainable=False
        )
        self.count = self.add_weight(
            name="count", shape=(), dtype="int32", initializer="zeros", trainable=False
        )
        self.finalize_state()

    def _broadcast(self, value: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        host = np.broadcast_to(np.asarray(value, "float32"), shape)
        return host.reshape(self._along)

    def adapt(self, data: Any) -> None:
        """Find the moments of data: an array, or batches of arrays."""
        if self.input_mean is not None:
            raise ValueError(
                "`adapt` finds moments where none were given. Received: a layer with mean and "
                f"variance ({self.name!r})."
            )
        batches = [data] if hasattr(data, "shape") or isinstance(data, (list, tuple)) else data
        total, mean, variance = 0, None, None
        for batch in batches:
            batch = batch[0] if isinstance(batch, tuple) else batch
            x = np.asarray(batch, "float64")
            x = x[:, None] if x.ndim == 1 and self.axis else x
            if not self.built:
                self.build((None, *x.shape[1:]) if x.ndim > 1 else x.shape)
            batch_mean, batch_variance = x.mean(axis=self._reduced), x.var(axis=self._reduced)
            count = x.size // max(batch_mean.size, 1)
            if mean is None or variance is None:
                total, mean, variance = count, batch_mean, batch_variance
                continue
            share = count / (total + count)
            new_mean = mean + (batch_mean - mean) * share
            variance = (variance + (mean - new_mean) ** 2) * (1 - share) + (
                batch_variance + (batch_mean - new_mean) ** 2
            ) * share
            mean, total = new_mean, total + count
        if mean is None:
            raise ValueError(f"`adapt` needs data. Received: no batch for the layer {self.name!r}.")
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)
        self.count.assign(total)
        self.finalize_state()

    def finalize_state(self) -> None:
        """Take the moments that were found into use."""
        if self.input_mean is None and self.built:
            self.mean = self.variance = None

    def load_own_variables(self, store: Any) -> None:
        """Take the moments from a mapping."""
        super().load_own_variables(store)
        self.finalize_state()

    def call(self, inputs: Any) -> Any:
        """The inputs, normalized."""
        inputs = ops.cast(inputs, self.compute_dtype)
        if self.input_mean is None:
            mean = ops.reshape(ops.cast(self.adapt_mean, self.compute_dtype), self._along)
            variance = ops.reshape(ops.cast(self.adapt_variance, self.compute_dtype), self._along)
        else:
            mean = ops.convert_to_tensor(self.mean, self.compute_dtype)
            variance = ops.convert_to_tensor(self.variance, self.compute_dtype)
        spread = ops.maximum(ops.sqrt(variance), 1e-7)
        return inputs * spread + mean if self.invert else (inputs - mean) / spread

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        for key, value in (("mean", self.input_mean), ("variance", self.input_variance)):
            config[key] = value.tolist() if hasattr(value, "tolist") else value
        return config


class Resizing(Layer):
    """Images brought to one size.

    Args:
        height, width: The size.
        interpolation: `nearest`, `bilinear`, `bicubic`, `lanczos3` or `lanczos5`.
        crop_to_aspect_ratio: Whether the edges are cut off instead of the image being distorted.
        pad_to_aspect_ratio: Whether the image is padded instead of being distorted.
        fill_mode, fill_value: What padding is made of.
        antialias: Whether the image is smoothed where it is made smaller.
        data_format: `channels_last` or `channels_first`.

    >>> import numpy as np
    >>> Resizing(4, 6)(np.ones((1, 8, 8, 3))).shape
    (1, 4, 6, 3)
    """

    _weightless = True

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def call(self, data: Any, training: bool = True) -> Any:
        """The resized images."""
        return ops.image.resize(
            data,
            (self.height, self.width),
            interpolation=self.interpolation,
            antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )
