"""Convolutions: one class for each kind, whatever the rank of the space."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from .. import activations, ops
from ..core.checks import per_axis, positive_integer
from ._input_spec import InputSpec
from ._layer import Layer

PADDINGS = ("valid", "same")


def say_defaults_per_axis(cls: Any, *names: str, **pairs: Any) -> None:
    """Let the signature of a class of rank 2 or 3 have a default for each spatial axis, as Keras's do.

    The constructor, which serves all ranks, has one for all. A user's class has a signature of its own.

    Args:
        cls: The class.
        names: The arguments.
        pairs: Defaults that are said otherwise.
    """
    cls.__signature__ = None
    rank = vars(cls).get("rank", 1)
    if rank > 1:
        given = inspect.signature(cls)
        said = {
            n: (given.parameters[n].default,) * rank for n in names if n in given.parameters
        } | pairs
        cls.__signature__ = given.replace(
            parameters=[
                p if p.default is p.empty else p.replace(default=said.get(p.name, p.default))
                for p in given.parameters.values()
            ]
        )


class _Convolution(Layer):
    """What all convolutions share: the window, the layout, bias and activation."""

    rank: ClassVar[int]
    padding: str
    _paddings: ClassVar[tuple[str, ...]] = PADDINGS

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        say_defaults_per_axis(cls, "strides", "dilation_rate")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("filters", "groups", "depth_multiplier"):
            positive_integer(**{name: getattr(self, name, 1)})
        for name in ("kernel_size", "strides", "dilation_rate"):
            setattr(self, name, per_axis(getattr(self, name), self.rank, name))
        padding, self.padding = self.padding, str(self.padding).lower()
        if self.padding not in self._paddings:
            raise ValueError(
                f"`padding` of {type(self).__name__} must be one of {self._paddings}. "
                f"Received: padding={padding!r}."
            )
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                "A convolution has strides or dilation, not both. Received: "
                f"strides={self.strides}, dilation_rate={self.dilation_rate}."
            )
        self.input_spec = InputSpec(min_ndim=self.rank + 2, max_ndim=self.rank + 2)

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _channels(self, input_shape: Any) -> int:
        channels = input_shape[self._channel_axis]
        if channels is None:
            raise ValueError(
                "The number of input channels must be known. Received: "
                f"input_shape={tuple(input_shape)} (data_format={self.data_format!r}) for the layer "
                f"{self.path!r}. Give it in the input's shape."
            )
        axis = self._channel_axis
        self.input_spec = InputSpec(
            min_ndim=self.rank + 2, max_ndim=self.rank + 2, axes={axis: channels}
        )
        return int(channels)

    def _add_bias(self, filters: int) -> Any:
        if not self.use_bias:
            return None
        return self._described_weight("bias", (filters,))

    def _windows(self, inputs: Any) -> tuple[Any, dict[str, Any]]:
        """The inputs, their past padded where that is asked for, and how windows go over them."""
        padding = self.padding
        if padding == "causal":
            past = self.dilation_rate[0] * (self.kernel_size[0] - 1)
            pads = [(0, 0), (0, 0), (0, 0)]
            pads[1 if self.data_format == "channels_last" else 2] = (past, 0)
            inputs, padding = ops.pad(inputs, pads), "valid"
        windows = {"strides": self.strides, "padding": padding, "dilation_rate": self.dilation_rate}
        return inputs, {**windows, "data_format": self.data_format}

    def _biased(self, outputs: Any, bias: Any) -> Any:
        if bias is None:
            return outputs
        if self.data_format == "channels_first":
            bias = ops.reshape(bias, (1, -1) + (1,) * self.rank)
        return ops.add(outputs, bias)

    def _finished(self, outputs: Any, bias: Any) -> Any:
        """Bias and activation."""
        outputs = self._biased(outputs, bias)
        return outputs if self.activation is activations.linear else self.activation(outputs)


class _Conv(_Convolution):
    """A convolution with a kernel (*window, channels / groups, filters)."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if filters % groups:
            raise ValueError(
                "`filters` must be a multiple of `groups`. Received: "
                f"filters={filters}, groups={groups}."
            )

    def build(self, input_shape: Any) -> None:
        """Make the kernel (*window, channels / groups, filters) and the bias."""
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ValueError(
                "The number of channels must be a multiple of `groups`. Received: "
                f"{channels} channels, groups={self.groups} for the layer {self.path!r}."
            )
        self.kernel = self._described_weight(
            "kernel", (*self.kernel_size, channels // self.groups, self.filters)
        )
        self.bias = self._add_bias(self.filters)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution alone; users may override it."""
        inputs, windows = self._windows(inputs)
        return ops.conv(inputs, kernel, **windows)

    def call(self, inputs: Any) -> Any:
        """`activation(inputs * kernel + bias)`."""
        return self._finished(self.convolution_op(inputs, self.kernel), self.bias)


class Conv1D(_Conv):
    """A convolution along time (batch, time, channels); arguments as in `Conv2D`.

    `padding="causal"` pads the past alone, so that no output sees what comes after it.

    >>> import numpy as np
    >>> Conv1D(4, 3)(np.ones((2, 10, 8))).shape
    (2, 8, 4)
    """

    rank = 1
    _paddings = (*PADDINGS, "causal")


class Conv2D(_Conv):
    """A convolution over images (batch, height, width, channels).

    Args:
        filters: The number of output channels.
        kernel_size: The window's size: a number, or one for each spatial axis.
        strides: The window's step.
        padding: `valid`: none; `same`: so that the output has the input's size over the strides.
        data_format: `channels_last` (batch, *space, channels) or `channels_first`.
        dilation_rate: The distance between the elements of the window.
        groups: The number of groups of channels that are convolved apart.
        activation: What is applied to the result.
        use_bias: Whether a bias is added.
        kernel_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, bias_constraint: Projections after each update.

    >>> import numpy as np
    >>> Conv2D(4, 3, padding="same")(np.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 4)
    """

    rank = 2


class Conv3D(_Conv):
    """A convolution over volumes (batch, *space, channels); arguments as in `Conv2D`.

    >>> import numpy as np
    >>> Conv3D(4, 3)(np.ones((1, 5, 5, 5, 2))).shape
    (1, 3, 3, 3, 4)
    """

    rank = 3


class _ConvTranspose(_Convolution):
    """The transpose of a convolution, with a kernel (*window, filters, channels)."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.output_padding = (
            None
            if output_padding is None
            else per_axis(output_padding, self.rank, "output_padding", minimum=0)
        )

    def build(self, input_shape: Any) -> None:
        """Make the kernel (*window, filters, channels) and the bias."""
        channels = self._channels(input_shape)
        self.kernel = self._described_weight("kernel", (*self.kernel_size, self.filters, channels))
        self.bias = self._add_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        """`activation(transposed convolution + bias)`."""
        inputs, windows = self._windows(inputs)
        outputs = ops.conv_transpose(
            inputs, self.kernel, output_padding=self.output_padding, **windows
        )
        return self._finished(outputs, self.bias)


class Conv1DTranspose(_ConvTranspose):
    """The transpose of a convolution along time; arguments as in `Conv2DTranspose`."""

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """The transpose of a convolution over images, with a kernel (*window, filters, channels).

    Args:
        output_padding: What is added to the output's size along each axis.
        filters, kernel_size, strides, padding, data_format, dilation_rate: As in a convolution.
        activation, use_bias: As in a convolution.
        kernel_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, bias_constraint: Projections after each update.

    >>> import numpy as np
    >>> Conv2DTranspose(4, 3, strides=2, padding="same")(np.ones((1, 5, 5, 2))).shape
    (1, 10, 10, 4)
    """

    rank = 2


class Conv3DTranspose(_ConvTranspose):
    """The transpose of a convolution over volumes; arguments as in `Conv2DTranspose`."""

    rank = 3

    def __init__(  # in Keras's order: `output_padding` after `data_format`
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            output_padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            **kwargs,
        )


class _DepthwiseConv(_Convolution):
    """A convolution of each channel by itself, with a kernel (*window, channels, multiplier)."""

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make the kernel (*window, channels, multiplier) and the bias."""
        channels = self._channels(input_shape)
        self.kernel = self._described_weight(
            "kernel", (*self.kernel_size, channels, self.depth_multiplier), part="depthwise"
        )
        self.bias = self._add_bias(channels * self.depth_multiplier)

    def call(self, inputs: Any) -> Any:
        """`activation(each channel * its kernels + bias)`."""
        inputs, windows = self._windows(inputs)
        return self._finished(ops.depthwise_conv(inputs, self.kernel, **windows), self.bias)


class DepthwiseConv1D(_DepthwiseConv):
    """A convolution along time of each channel by itself; arguments as in `DepthwiseConv2D`."""

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """A convolution of each channel of images by itself.

    Args:
        depth_multiplier: The number of output channels for each input channel.
        kernel_size, strides, padding, data_format, dilation_rate: As in a convolution.
        activation, use_bias: As in a convolution.
        depthwise_initializer, bias_initializer: Draw the weights.
        depthwise_regularizer, bias_regularizer, activity_regularizer: Penalties.
        depthwise_constraint, bias_constraint: Projections after each update.

    >>> import numpy as np
    >>> DepthwiseConv2D(3, depth_multiplier=2)(np.ones((1, 5, 5, 4))).shape
    (1, 3, 3, 8)
    """

    rank = 2


class _SeparableConv(_Convolution):
    """A depthwise convolution, then a convolution with a window of 1."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make the two kernels and the bias."""
        channels = self._channels(input_shape)
        self.depthwise_kernel = self._described_weight(
            "depthwise_kernel",
            (*self.kernel_size, channels, self.depth_multiplier),
            part="depthwise",
        )
        self.pointwise_kernel = self._described_weight(
            "pointwise_kernel",
            (*(1,) * self.rank, channels * self.depth_multiplier, self.filters),
            part="pointwise",
        )
        self.bias = self._add_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        """`activation(depthwise, then pointwise convolution + bias)`."""
        inputs, windows = self._windows(inputs)
        outputs = ops.separable_conv(
            inputs, self.depthwise_kernel, self.pointwise_kernel, **windows
        )
        return self._finished(outputs, self.bias)


class SeparableConv1D(_SeparableConv):
    """A separable convolution along time; arguments as in `SeparableConv2D`."""

    rank = 1
    _paddings = (*PADDINGS, "causal")


class SeparableConv2D(_SeparableConv):
    """A depthwise convolution over images, then a convolution with a window of 1.

    Args:
        filters: The number of output channels.
        depth_multiplier: The number of channels between the two, for each input channel.
        kernel_size, strides, padding, data_format, dilation_rate: As in a convolution.
        activation, use_bias: As in a convolution.
        depthwise_initializer, pointwise_initializer, bias_initializer: Draw the weights.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: Penalties of the weights.
        activity_regularizer: A penalty on the outputs.
        depthwise_constraint, pointwise_constraint, bias_constraint: Projections.

    >>> import numpy as np
    >>> SeparableConv2D(6, 3)(np.ones((1, 5, 5, 4))).shape
    (1, 3, 3, 6)
    """

    rank = 2
