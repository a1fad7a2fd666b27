"""Recurrent cells: one step of a recurrence, and the fused op for a whole sequence."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import activations, ops, random
from ..core import tree
from ..core.checks import positive_integer, share
from ..ops import shared
from ._layer import Layer


class _Cell(Layer):
    """What the standard cells share: weights for some gates, activations, dropout.

    In a step x is the input (batch, features), h the last output (batch, units).
    """

    _gates: ClassVar[int] = 1
    _fused: ClassVar[Any]

    dropout: float
    recurrent_dropout: float

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        positive_integer(units=self.units)
        share(dropout=self.dropout, recurrent_dropout=self.recurrent_dropout)
        self.seed_generator = random.SeedGenerator(self.seed)
        self._masks: dict[str, Any] = {}

    @property
    def state_size(self) -> Any:
        """The size of the state, or of each of them."""
        return self.units

    @property
    def output_size(self) -> int:
        """The size of the output."""
        return self.units

    def build(self, input_shape: Any) -> None:
        """Make kernel (features, gates * units), recurrent kernel and bias."""
        features, width = input_shape[-1], self._gates * self.units
        self.kernel = self._described_weight("kernel", (features, width))
        self.recurrent_kernel = self._described_weight(
            "recurrent_kernel", (self.units, width), part="recurrent"
        )
        self.bias = None
        if self.use_bias:
            self.bias = self._described_weight(
                "bias", self._bias_shape(), initializer=self._bias_initializer()
            )

    def _bias_shape(self) -> tuple[int, ...]:
        return (self._gates * self.units,)

    def _bias_initializer(self) -> Any:
        return self.bias_initializer

    # --- dropout: one choice for all steps of a sequence

    def _dropped(self, which: str, x: Any, rate: float, training: Any) -> Any:
        """x in training with elements dropped, the same ones at every step of a sequence."""
        if not training or rate == 0:
            return x
        mask = self._masks.get(which)
        if mask is None:
            mask = random.dropout(ops.ones_like(x), rate, seed=self.seed_generator)
        return x * mask

    def draw_dropout_masks(self, x: Any, states: Any, training: Any) -> None:
        """Choose what is dropped throughout a sequence."""
        self._masks = {}
        if training:
            for which, like, rate in (
                ("input", x, self.dropout),
                ("recurrent", states[0], self.recurrent_dropout),
            ):
                if rate:
                    ones = ops.ones_like(like)
                    self._masks[which] = random.dropout(ones, rate, seed=self.seed_generator)

    def forget_dropout_masks(self) -> None:
        """Forget the choice."""
        self._masks = {}

    def fused(self, sequence: Any, states: Any, training: Any, **options: Any) -> Any:
        """The whole sequence as one op, or None where this cell has no such op.

        Returns:
            Outputs (batch, time, units), the last output and the states.
        """
        names = [self._activation_name(which) for which in ("activation", "recurrent_activation")]
        if None in names or (training and self.recurrent_dropout):
            return None
        if training and self.dropout:
            sequence = sequence * ops.expand_dims(self._masks["input"], 1)
        known = {
            k: n for k, n in zip(("activation", "recurrent_activation"), names, strict=True) if n
        }
        return type(self)._fused(
            sequence,
            *states,
            self.kernel,
            self.recurrent_kernel,
            self.bias,
            **known,
            **self._fused_options(),
            **options,
        )

    def _fused_options(self) -> dict[str, Any]:
        return {}

    def _activation_name(self, which: str) -> str | None:
        """The name by which the fused op knows an activation; empty if the cell has none such."""
        function = getattr(self, which, None)
        if function is None:
            return ""
        name = activations.serialize(function)
        return name if isinstance(name, str) and name in shared.ACTIVATIONS else None

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """States of zeros."""
        sizes = tree.flatten(self.state_size)
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in sizes]


class SimpleRNNCell(_Cell):
    """One step of `activation(x kernel + h recurrent_kernel + bias)`.

    Args:
        units: The size of output and state.
        activation: Of the output.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: Projections.
        dropout, recurrent_dropout: The shares of inputs and state that are dropped in training.
        seed: What they are drawn from.
    """

    _fused = staticmethod(shared.simple_rnn)

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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

    def call(self, sequence: Any, states: Any, training: bool = False) -> Any:
        """The output and the new states."""
        h = states[0] if isinstance(states, (list, tuple)) else states
        x = self._dropped("input", sequence, self.dropout, training)
        h = self._dropped("recurrent", h, self.recurrent_dropout, training)
        joined = ops.matmul(x, self.kernel)
        if self.bias is not None:
            joined = joined + self.bias
        output = self.activation(joined + ops.matmul(h, self.recurrent_kernel))
        return output, [output] if isinstance(states, (list, tuple)) else output


class LongShortTerm(_Cell):
    """What cells with a long short-term memory share: four gates (input, forget, candidate, output), two states."""

    _gates = 4
    #: The axis on which the gates lie side by side.
    _gate_axis = -1

    def _joined(self, x: Any, h: Any) -> Any:
        """What the gates are made of, before their activations."""
        raise NotImplementedError

    @property
    def state_size(self) -> Any:
        """The sizes of output and cell state."""
        return [self.units, self.units]

    def _bias_initializer(self) -> Any:
        if not self.unit_forget_bias:
            return super()._bias_initializer()

        def draw(shape: Any, dtype: Any = None) -> Any:
            plain = self.bias_initializer
            i = np.asarray(ops.convert_to_numpy(plain((self.units,), dtype=dtype)))
            rest = np.asarray(ops.convert_to_numpy(plain((2 * self.units,), dtype=dtype)))
            return np.concatenate([i, np.ones_like(i), rest])

        return draw

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """The output and the new states."""
        h, c = states
        x = self._dropped("input", inputs, self.dropout, training)
        h = self._dropped("recurrent", h, self.recurrent_dropout, training)
        i, f, g, o = ops.split(self._joined(x, h), self._gates, axis=self._gate_axis)
        gate, squash = self.recurrent_activation, self.activation
        c = gate(f) * c + gate(i) * squash(g)
        h = gate(o) * squash(c)
        return h, [h, c]


class LSTMCell(LongShortTerm):
    """One step of a long short-term memory (Hochreiter and Schmidhuber, 1997).

    Args:
        units: The size of the output and of each state.
        activation, recurrent_activation: Of candidate and output, and of the gates.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Draw the weights.
        unit_forget_bias: Whether the forget gate's bias starts at 1.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: Projections.
        dropout, recurrent_dropout: The shares of inputs and state that are dropped in training.
        seed: What they are drawn from.
    """

    _fused = staticmethod(shared.lstm)

    def __init__(
        self,
        units: int,
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

    def _joined(self, x: Any, h: Any) -> Any:
        joined = ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent_kernel)
        return joined if self.bias is None else joined + self.bias


class GRUCell(_Cell):
    """One step of a gated recurrent unit (Cho et al., 2014).

    Args:
        units: The size of output and state.
        activation, recurrent_activation: Of the candidate and of the gates.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: Projections.
        dropout, recurrent_dropout: The shares of inputs and state that are dropped in training.
        reset_after: Whether the reset gate is applied after the recurrent product.
        seed: What dropout is drawn from.
    """

    _gates = 3
    _fused = staticmethod(shared.gru)

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def _bias_shape(self) -> tuple[int, ...]:
        width = 3 * self.units
        return (2, width) if self.reset_after else (width,)

    def _fused_options(self) -> dict[str, Any]:
        return {"reset_after": self.reset_after}

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """The output and the new states."""
        h = states[0] if isinstance(states, (list, tuple)) else states
        x = self._dropped("input", inputs, self.dropout, training)
        last = h
        h = self._dropped("recurrent", h, self.recurrent_dropout, training)
        gate, squash = self.recurrent_activation, self.activation
        bias = recurrent_bias = None
        if self.bias is not None:
            parts = ops.unstack(self.bias, axis=0) if self.reset_after else (self.bias, None)
            bias, recurrent_bias = parts
        from_x = ops.matmul(x, self.kernel)
        if bias is not None:
            from_x = from_x + bias
        xz, xr, xh = ops.split(from_x, 3, axis=-1)
        if self.reset_after:
            from_h = ops.matmul(h, self.recurrent_kernel)
            if recurrent_bias is not None:
                from_h = from_h + recurrent_bias
            hz, hr, hh = ops.split(from_h, 3, axis=-1)
            z, r = gate(xz + hz), gate(xr + hr)
            candidate = squash(xh + r * hh)
        else:
            two = 2 * self.units
            kernel = ops.convert_to_tensor(self.recurrent_kernel)
            hz, hr = ops.split(ops.matmul(h, kernel[:, :two]), 2, axis=-1)
            z, r = gate(xz + hz), gate(xr + hr)
            candidate = squash(xh + ops.matmul(r * h, kernel[:, two:]))
        output = z * last + (1 - z) * candidate
        return output, [output] if isinstance(states, (list, tuple)) else output


class StackedRNNCells(Layer):
    """Cells one on top of the other, as one cell.

    Args:
        cells: The cells.
    """

    def __init__(self, cells: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            for name in ("call", "state_size"):
                if not hasattr(cell, name):
                    raise ValueError(
                        f"A cell must have `call` and `state_size`. Received: {cell!r} without "
                        f"`{name}`."
                    )
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the states, cell by cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """The size of the last cell's output."""
        last = self.cells[-1]
        size = getattr(last, "output_size", None)
        return size if size is not None else tree.flatten(last.state_size)[0]

    def build(self, input_shape: Any) -> None:
        """Build each cell for the output of the one below."""
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            size = getattr(cell, "output_size", None)
            size = size if size is not None else tree.flatten(cell.state_size)[0]
            input_shape = (input_shape[0], *(size if isinstance(size, (tuple, list)) else (size,)))

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """States of zeros, cell by cell."""
        return [initial_state(cell, batch_size) for cell in self.cells]

    def call(self, inputs: Any, states: Any, training: bool = False, **kwargs: Any) -> Any:
        """The last cell's output, and the new states cell by cell."""
        new_states = []
        for cell, own in zip(self.cells, states, strict=True):
            extra = {"training": training} if takes_training(cell) else {}
            inputs, new = cell(inputs, as_list(own), **extra)
            new = as_list(new)
            new_states.append(new if isinstance(own, (list, tuple)) else new[0])
        return inputs, new_states

    def draw_dropout_masks(self, x: Any, states: Any, training: Any) -> None:
        """Forget what cells dropped before: cells above the first draw at their own inputs."""
        self.forget_dropout_masks()

    def forget_dropout_masks(self) -> None:
        """Forget what cells dropped."""
        for cell in self.cells:
            if isinstance(cell, _Cell):
                cell.forget_dropout_masks()


def initial_state(cell: Any, batch_size: Any) -> Any:
    """The states that a cell starts with."""
    make = getattr(cell, "get_initial_state", None)
    if make is not None:
        return make(batch_size=batch_size)
    dtype = getattr(cell, "compute_dtype", None)
    sizes = cell.state_size

    def zeros(size: Any) -> Any:
        shape = (batch_size, *(size if isinstance(size, (tuple, list)) else (size,)))
        return ops.zeros(shape, dtype=dtype)

    return [zeros(size) for size in sizes] if isinstance(sizes, (list, tuple)) else zeros(sizes)


def as_list(states: Any) -> list[Any]:
    """States, or their sizes, as a list: a cell may have a single one alone."""
    return list(states) if isinstance(states, (list, tuple)) else [states]


def takes_training(cell: Any) -> bool:
    """Whether a cell's call takes `training`."""
    signature = getattr(cell, "_call_signature", None)
    return signature is not None and signature.has_training
