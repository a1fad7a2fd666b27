"""Normalization layers: activations brought to a common scale."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import initializers, ops
from ..core.checks import positive_integer
from ..core.dtypes import is_float, standardize_dtype
from ..ops.shared import batch_normalized
from ._input_spec import InputSpec
from ._layer import Layer

#: What moments are not taken in: float32 is then.
_HALF = ("float16", "bfloat16")


class _ScaleAndCenter(Layer):
    """What normalizations share: a learned scale gamma and offset beta."""

    _supports_masking = True

    def _add_weights(self, shape: tuple[int, ...]) -> None:
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self._described_weight("gamma", shape, autocast=False)
        if self.center:
            self.beta = self._described_weight("beta", shape, autocast=False)


def _known_size(layer: Layer, input_shape: Any, axis: int) -> int:
    rank = len(input_shape)
    if not -rank <= axis < rank:
        raise ValueError(
            f"`axis` must be an axis of the inputs. Received: axis={axis} for "
            f"input_shape={tuple(input_shape)} in the layer {layer.path!r}."
        )
    size = input_shape[axis]
    if size is None:
        raise ValueError(
            "The size of a normalized axis must be known. Received: "
            f"input_shape={tuple(input_shape)}, axis={axis} for the layer {layer.path!r}. Give it in "
            "the input's shape."
        )
    return int(size)


def _known_sizes(layer: Layer, input_shape: Any, axes: list[int]) -> tuple[int, ...]:
    sizes = tuple(_known_size(layer, input_shape, axis) for axis in axes)
    if len({axis % len(input_shape) for axis in axes}) < len(axes):
        raise ValueError(
            f"Axes must be different. Received: axis={axes} for input_shape={tuple(input_shape)} in "
            f"the layer {layer.path!r}."
        )
    return sizes


class BatchNormalization(_ScaleAndCenter):
    """Each channel brought to mean 0 and variance 1 over the batch (Ioffe and Szegedy, 2015).

    In training with the moments of the batch, of which moving averages are kept; else with these.

    Args:
        axis: The axis of the channels.
        momentum: The share of the moving averages that stays at each step.
        epsilon: Added to the variance.
        center, scale: Whether there is an offset and a scale.
        beta_initializer, gamma_initializer: Draw offset and scale.
        moving_mean_initializer, moving_variance_initializer: Where the averages start.
        beta_regularizer, gamma_regularizer: Penalties.
        beta_constraint, gamma_constraint: Projections after each update.
        renorm: Whether training uses corrections to the moving averages (Ioffe, 2017).
        renorm_clipping: Limits `rmin`, `rmax`, `dmax` of the corrections.
        renorm_momentum: The momentum of the averages that the corrections use.
        synchronized: Whether replicas share moments; a step sees whole batches already.

    >>> import numpy as np
    >>> BatchNormalization()(np.ones((2, 3))).shape
    (2, 3)
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.renorm_clipping = dict(renorm_clipping or {}) if renorm else None
        unknown = set(self.renorm_clipping or ()) - {"rmin", "rmax", "dmax"}
        if unknown:
            raise ValueError(
                "`renorm_clipping` has keys among 'rmin', 'rmax' and 'dmax'. Received: "
                f"{sorted(unknown)}."
            )

    def build(self, input_shape: Any) -> None:
        """Make scale, offset and moving averages, of the channels' size."""
        size = _known_size(self, input_shape, self.axis)
        shape = (size,)
        self._add_weights(shape)
        self.moving_mean = self._average("moving_mean", shape, self.moving_mean_initializer)
        self.moving_variance = self._average(
            "moving_variance", shape, self.moving_variance_initializer
        )
        if self.renorm:
            self.moving_stddev = self._average("moving_stddev", shape, "ones")
            self.renorm_mean = self._average("renorm_mean", shape, "zeros")
            self.renorm_stddev = self._average("renorm_stddev", shape, "ones")
        rank = len(input_shape)
        self.input_spec = InputSpec(ndim=rank, axes={self.axis % rank: size})

    def _average(self, name: str, shape: tuple[int, ...], initializer: Any) -> Any:
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False, autocast=False
        )

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The normalized inputs."""
        given = standardize_dtype(inputs.dtype)
        dtype = "float32" if given in _HALF else given
        x = inputs if dtype == given else ops.cast(inputs, dtype)
        if not (training and self.trainable):
            outputs = self._normalized(x, self.moving_mean, self.moving_variance)
            return ops.cast(outputs, self.compute_dtype)
        if mask is None and not self.renorm:
            weights = self._offset_and_scale(dtype)
            outputs, mean, variance = batch_normalized(x, self.axis, *weights, self.epsilon)
        else:
            mean, variance = self._moments(x, mask)
            normalized = self._renormalized if self.renorm else self._normalized
            outputs = normalized(x, mean, variance)
        self._track(self.moving_mean, mean, self.momentum)
        if self.renorm:
            stddev = self.moving_stddev.value
            self.moving_variance.assign(ops.maximum(stddev * stddev - self.epsilon, 0.0))
        else:
            self._track(self.moving_variance, variance, self.momentum)
        return ops.cast(outputs, self.compute_dtype)

    def _normalized(self, x: Any, mean: Any, variance: Any) -> Any:
        dtype = standardize_dtype(x.dtype)
        mean, variance = ops.cast(mean, dtype), ops.cast(variance, dtype)
        weights = self._offset_and_scale(dtype)
        return ops.batch_normalization(x, mean, variance, self.axis, *weights, self.epsilon)

    def _offset_and_scale(self, dtype: str) -> tuple[Any, Any]:
        offset = None if self.beta is None else ops.cast(self.beta, dtype)
        return offset, None if self.gamma is None else ops.cast(self.gamma, dtype)

    def _track(self, average: Any, value: Any, momentum: float) -> None:
        value = ops.cast(value, average.dtype)
        average.assign(average * momentum + value * (1.0 - momentum))

    def _moments(self, x: Any, mask: Any) -> tuple[Any, Any]:
        """Mean and variance of each channel, over what the mask keeps."""
        rank = len(x.shape)
        axes = tuple(axis for axis in range(rank) if axis != self.axis % rank)
        if mask is None:
            return ops.moments(x, axes=axes)
        kept = ops.cast(mask, x.dtype)
        while len(kept.shape) < rank:
            kept = ops.expand_dims(kept, -1)
        kept = ops.broadcast_to(kept, ops.shape(x))
        count = ops.sum(kept, axis=axes, keepdims=True)
        mean = ops.sum(x * kept, axis=axes, keepdims=True) / (count + self.epsilon)
        spread = ops.square((x - mean) * kept)
        variance = ops.sum(spread, axis=axes, keepdims=True) / (count + self.epsilon)
        return ops.squeeze(mean, axes), ops.squeeze(variance, axes)

    def _renormalized(self, x: Any, mean: Any, variance: Any) -> Any:
        """Normalized by the batch, then corrected towards the moving averages."""
        limits = self.renorm_clipping or {}
        stddev = ops.sqrt(variance + self.epsilon)
        r = stddev / self.renorm_stddev
        d = (mean - self.renorm_mean) / self.renorm_stddev
        if limits.get("rmin") is not None:
            r = ops.maximum(r, limits["rmin"])
        if limits.get("rmax") is not None:
            r = ops.minimum(r, limits["rmax"])
        if limits.get("dmax") is not None:
            d = ops.clip(d, -limits["dmax"], limits["dmax"])
        r, d = ops.stop_gradient(r), ops.stop_gradient(d)
        self._track(self.renorm_mean, mean, self.renorm_momentum)
        self._track(self.renorm_stddev, stddev, self.renorm_momentum)
        self._track(self.moving_stddev, stddev, self.momentum)
        scale = r if self.gamma is None else r * self.gamma
        offset = d if self.gamma is None else d * self.gamma
        offset = offset if self.beta is None else offset + self.beta
        return ops.batch_normalization(
            x, mean, variance, axis=self.axis, offset=offset, scale=scale, epsilon=self.epsilon
        )


class LayerNormalization(_ScaleAndCenter):
    """Each sample brought to mean 0 and variance 1 along axes (Ba et al., 2016).

    Args:
        axis: The axis, or several.
        epsilon: Added to the variance.
        center, scale: Whether there is an offset and a scale.
        beta_initializer, gamma_initializer: Draw offset and scale.
        beta_regularizer, gamma_regularizer: Penalties.
        beta_constraint, gamma_constraint: Projections after each update.

    >>> import numpy as np
    >>> LayerNormalization()(np.array([[1.0, 3.0]])).shape
    (1, 2)
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        self._rms_scaling = bool(kwargs.pop("rms_scaling", False))
        super().__init__(**kwargs)
        self.axis = _axes(axis)

    def build(self, input_shape: Any) -> None:
        """Make scale and offset, of the axes' sizes."""
        self._add_weights(_known_sizes(self, input_shape, self.axis))

    def call(self, inputs: Any) -> Any:
        """The normalized inputs."""
        if self._rms_scaling:
            return ops.rms_normalization(
                inputs,
                scale=_along(self.gamma, self.axis, len(inputs.shape)),
                axis=tuple(self.axis),
                epsilon=self.epsilon,
            )
        outputs = ops.layer_normalization(
            inputs, gamma=self.gamma, beta=self.beta, axis=tuple(self.axis), epsilon=self.epsilon
        )
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rms_scaling": self._rms_scaling}


def _axes(axis: Any) -> list[int]:
    """Axes in ascending order, that of the weights' axes too."""
    if isinstance(axis, int):
        return [axis]
    if isinstance(axis, (list, tuple)):
        return sorted(axis)
    raise TypeError(f"`axis` must be an integer or a list of integers. Received: axis={axis!r}.")


def _along(weight: Any, axes: list[int], rank: int) -> Any:
    """A weight of the shape of some axes, as it broadcasts to all of them."""
    if weight is None or axes == list(range(-len(axes), 0)):
        return weight
    shape = [1] * rank
    for axis, size in zip(axes, weight.shape, strict=True):
        shape[axis] = size
    return ops.reshape(weight, shape)


class RMSNormalization(Layer):
    """Each sample over the root of its mean square (Zhang and Sennrich, 2019).

    Args:
        axis: The axis, or several.
        epsilon: Added to the mean square.

    >>> import numpy as np
    >>> RMSNormalization()(np.ones((1, 2))).shape
    (1, 2)
    """

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _axes(axis)

    def build(self, input_shape: Any) -> None:
        """Make the scale, of the axes' sizes."""
        shape = _known_sizes(self, input_shape, self.axis)
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones", autocast=False)

    def call(self, x: Any) -> Any:
        """The normalized inputs."""
        outputs = ops.rms_normalization(
            x,
            scale=_along(self.scale, self.axis, len(x.shape)),
            axis=tuple(self.axis),
            epsilon=self.epsilon,
        )
        return ops.cast(outputs, self.compute_dtype)


class GroupNormalization(_ScaleAndCenter):
    """Groups of channels of each sample brought to mean 0 and variance 1 (Wu and He, 2018).

    Args:
        groups: The number of groups; -1 for one for each channel.
        axis: The axis of the channels.
        epsilon: Added to the variance.
        center, scale: Whether there is an offset and a scale.
        beta_initializer, gamma_initializer: Draw offset and scale.
        beta_regularizer, gamma_regularizer: Penalties.
        beta_constraint, gamma_constraint: Projections after each update.

    >>> import numpy as np
    >>> GroupNormalization(2)(np.ones((1, 3, 4))).shape
    (1, 3, 4)
    """

    groups: int

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if groups != -1:  # one for each channel
            positive_integer(groups=groups)

    def build(self, input_shape: Any) -> None:
        """Make scale and offset, of the channels' size."""
        channels = _known_size(self, input_shape, self.axis)
        if self.groups == -1:
            self.groups = channels
        if channels < self.groups or channels % self.groups:
            raise ValueError(
                "The number of channels must be a multiple of `groups`. Received: "
                f"{channels} channels, groups={self.groups} for the layer {self.path!r}."
            )
        self._add_weights((channels,))
        rank = len(input_shape)
        self.input_spec = InputSpec(ndim=rank, axes={self.axis % rank: channels})

    def call(self, inputs: Any) -> Any:
        """The normalized inputs."""
        rank = len(inputs.shape)
        axis = self.axis % rank
        channels = inputs.shape[axis]
        x = inputs
        if standardize_dtype(x.dtype) in _HALF:
            x = ops.cast(x, "float32")
        sizes = list(ops.shape(x))
        grouped = [*sizes[:axis], self.groups, channels // self.groups, *sizes[axis + 1 :]]
        x = ops.reshape(x, grouped)
        axes = tuple(a for a in range(1, rank + 1) if a != axis)
        mean, variance = ops.moments(x, axes=axes, keepdims=True)
        x = (x - mean) * ops.rsqrt(variance + self.epsilon)
        x = ops.reshape(x, sizes)
        along = [1] * rank
        along[axis] = channels
        if self.gamma is not None:
            x = x * ops.reshape(ops.cast(self.gamma, x.dtype), along)
        if self.beta is not None:
            x = x + ops.reshape(ops.cast(self.beta, x.dtype), along)
        return ops.cast(x, self.compute_dtype)


class UnitNormalization(Layer):
    """Each sample scaled to length 1 along axes.

    Args:
        axis: The axis, or several.

    >>> import numpy as np
    >>> UnitNormalization()(np.array([[3.0, 4.0]])).shape
    (1, 2)
    """

    _supports_masking = True
    _weightless = True

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else _axes(axis)

    def call(self, inputs: Any) -> Any:
        """The inputs over their length."""
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        squares = ops.sum(ops.square(inputs), axis=axis, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(squares, 1e-12))


class Wrapper(Layer):
    """A layer around another one.

    Args:
        layer: The inner layer.
    """

    layer: Layer

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(
                f"A wrapper needs a layer. Received: layer={layer!r} (of {type(layer).__name__})."
            )
        super().__init__(**kwargs)

    def build(self, input_shape: Any = None) -> None:
        """Build the inner layer for the same shape."""
        if not self.layer.built:
            self.layer.build(input_shape)


class SpectralNormalization(Wrapper):
    """A layer whose kernel is scaled to spectral norm 1 in training (Miyato et al., 2018).

    Args:
        layer: A layer with a `kernel` or `embeddings`.
        power_iterations: How many steps of the power method each call takes.
    """

    _kernel_names: ClassVar[tuple[str, ...]] = ("kernel", "embeddings")

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        if power_iterations <= 0:
            raise ValueError(f"`power_iterations` must be positive. Received: {power_iterations}.")

    def build(self, input_shape: Any = None) -> None:
        """Build the inner layer, and make the vector of the power method."""
        super().build(input_shape)
        name = next((n for n in self._kernel_names if hasattr(self.layer, n)), None)
        if name is None:
            raise ValueError(
                "Spectral normalization needs a layer with a kernel. Received: "
                f"{type(self.layer).__name__} ({self.layer.name!r}), which has none."
            )
        self.kernel = getattr(self.layer, name)
        self.vector_u = self.add_weight(
            name="vector_u",
            shape=(1, self.kernel.shape[-1]),
            initializer=initializers.TruncatedNormal(stddev=0.02),
            trainable=False,
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The inner layer's outputs; in training its kernel is scaled first."""
        if training and is_float(self.kernel.stored_dtype):  # codes stay as they are
            vector, kernel = self.normalized_weights()
            self.vector_u.assign(ops.cast(vector, self.vector_u.dtype))
            self.kernel.assign(ops.cast(kernel, self.kernel.dtype))
        return self.layer(inputs)

    def normalized_weights(self) -> tuple[Any, Any]:
        """The next vector of the power method, and the kernel that is stored over its spectral norm."""
        kernel = ops.cast(self.kernel.stored, self.kernel.dtype)
        weights = ops.reshape(kernel, (-1, kernel.shape[-1]))
        u = ops.convert_to_tensor(self.vector_u)
        v = None
        for _ in range(self.power_iterations):
            v = ops.normalize(ops.matmul(u, ops.transpose(weights)), axis=None)
            u = ops.normalize(ops.matmul(v, weights), axis=None)
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        norm = ops.matmul(ops.matmul(v, weights), ops.transpose(u))
        return u, ops.divide(kernel, norm)
