"""Long short-term memories whose gates are convolutions: one class, whatever the rank of the space.

Shi et al., 2015, https://arxiv.org/abs/1506.04214.
"""

from __future__ import annotations

from typing import Any

from .. import ops
from ._cells import LongShortTerm
from ._convolution import _Convolution
from ._recurrent import _Standard


class ConvLSTMCell(_Convolution, LongShortTerm):
    """One step over images: x (batch, *space, channels), output and states (batch, *space, filters).

    Args:
        rank: The number of spatial axes.
        filters: The number of channels of the output and of each state.
        kernel_size, strides, padding, data_format, dilation_rate: Of the convolution of the inputs, as in
            `Conv2D`. That of the output before keeps its size: a window of this size, and `same`.
        activation, recurrent_activation, use_bias, unit_forget_bias: As in `LSTMCell`.
        kernel_initializer, recurrent_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: Projections.
        dropout, recurrent_dropout: The shares of inputs and state that are dropped in training.
        seed: What they are drawn from.
    """

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        #: The sizes of the spatial axes of the inputs, once they are known.
        self._space: tuple[Any, ...] = ()

    @property
    def units(self) -> int:
        """The number of channels of the output."""
        return self.filters

    @property
    def _gate_axis(self) -> int:  # type: ignore[override]
        return self._channel_axis

    def build(self, input_shape: Any) -> None:
        """Make kernel (*window, channels, 4 filters), recurrent kernel and bias."""
        channels = self._channels(input_shape)
        self._space = self._spatial(input_shape)
        for name, depth in (("kernel", channels), ("recurrent_kernel", self.filters)):
            shape = (*self.kernel_size, depth, 4 * self.filters)
            part = name.removesuffix("_kernel")
            setattr(self, name, self._described_weight(name, shape, part=part))
        self.bias = None
        if self.use_bias:
            self.bias = self._described_weight(
                "bias", self._bias_shape(), initializer=self._bias_initializer()
            )

    def _joined(self, x: Any, h: Any) -> Any:
        x, windows = self._windows(x)
        joined = self._biased(ops.conv(x, self.kernel, **windows), self.bias)
        options = {"padding": "same", "data_format": self.data_format}
        return joined + ops.conv(h, self.recurrent_kernel, **options)

    def fused(self, *args: Any, **options: Any) -> None:
        """None: no op runs a whole sequence of images."""

    def _spatial(self, shape: Any) -> tuple[Any, ...]:
        return tuple(shape[1:-1] if self.data_format == "channels_last" else shape[2:])

    def get_initial_state(self, batch_size: Any = None, input_shape: Any = None) -> list[Any]:
        """States of zeros, for inputs of a shape; those that the cell was built for, where it is left out."""
        space = self._space if input_shape is None else self._spatial(input_shape)
        sizes = map(self._positions, space, self.kernel_size, self.strides, self.dilation_rate)
        shape = [batch_size, *sizes]
        shape.insert(len(shape) if self.data_format == "channels_last" else 1, self.filters)
        return [ops.zeros(tuple(shape), dtype=self.compute_dtype) for _ in range(2)]

    def _positions(self, size: Any, window: int, stride: int, rate: int) -> Any:
        """How many positions the window has along an axis."""
        if size is None or self.padding == "same":
            return None if size is None else (size + stride - 1) // stride
        return (size - (window - 1) * rate - 1) // stride + 1


class _ConvLSTM(_Standard):
    """A `ConvLSTMCell` over time; its subclasses have a rank."""

    _cell = ConvLSTMCell

    def _keep_arguments(self, owner: Any, given: dict[str, Any]) -> None:
        super()._keep_arguments(owner, {"rank": self.rank, **given})

    def _starting_states(self, sequences: Any) -> Any:
        batch, _, *rest = ops.shape(sequences)
        return self.cell.get_initial_state(batch, (batch, *rest))

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)


class ConvLSTM1D(_ConvLSTM):
    """A convolutional LSTM over sequences of rows (batch, time, length, channels); as `ConvLSTM2D`.

    >>> import numpy as np
    >>> ConvLSTM1D(4, 3)(np.ones((2, 5, 8, 1))).shape
    (2, 6, 4)
    """

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """A convolutional LSTM over sequences of images (batch, time, height, width, channels).

    Args:
        filters: The number of channels of the output and of each state.
        kernel_size: The window's size: a number, or one for each spatial axis.
        strides, padding, dilation_rate: Of the convolution of the inputs, as in `Conv2D`.
        data_format: `channels_last`, or `channels_first`: (batch, time, channels, height, width).
        activation, recurrent_activation, use_bias, unit_forget_bias: As in `LSTM`.
        kernel_initializer, recurrent_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: Projections.
        dropout, recurrent_dropout: The shares of inputs and state that are dropped in training.
        seed: What they are drawn from.
        return_sequences, return_state, go_backwards, stateful: As in `RNN`.

    >>> import numpy as np
    >>> ConvLSTM2D(4, 3, padding="same", return_sequences=True)(np.ones((1, 5, 8, 8, 1))).shape
    (1, 5, 8, 8, 4)
    """

    rank = 2


class ConvLSTM3D(_ConvLSTM):
    """A convolutional LSTM over sequences of volumes (batch, time, *space, channels); as `ConvLSTM2D`.

    >>> import numpy as np
    >>> ConvLSTM3D(2, 2)(np.ones((1, 3, 4, 4, 4, 1))).shape
    (1, 3, 3, 3, 2)
    """

    rank = 3
