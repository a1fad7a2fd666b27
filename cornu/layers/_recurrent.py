"""Recurrent layers: a cell run over time."""

from __future__ import annotations

import operator
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..core import naming, tree
from ..core.config import floatx
from ..core.described import parameters
from ..core.dtypes import numpy_dtype
from ..core.masks import check_mask, get_keras_mask
from ..core.variable import State
from ..ops import shared
from ._cells import (
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
    StackedRNNCells,
    _Cell,
    as_list,
    initial_state,
    takes_training,
)
from ._input_spec import InputSpec
from ._layer import Layer


def _one_cell(cell: Any) -> Any:
    return StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell


class RNN(Layer):
    """A cell run over the steps of sequences (batch, time, features).

    Args:
        cell: A cell, with `call(inputs, states)` giving an output and new states, and `state_size`;
            or a list of cells, one on top of the other.
        return_sequences: Whether the outputs of all steps are given, not just the last.
        return_state: Whether the last states are given as well.
        go_backwards: Whether time runs backwards.
        stateful: Whether a batch starts with the states that the last one ended with.
        unroll: Whether the steps are written out one by one.
        zero_output_for_mask: Whether the outputs of masked steps are 0, not those before.

    >>> import numpy as np
    >>> RNN(LSTMCell(4))(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    _supports_masking = True

    _converters = {"cell": _one_cell}

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, what in (("call", "a method"), ("state_size", "an attribute")):
            if not hasattr(self.cell, name):
                raise ValueError(
                    f"A cell must have {what} `{name}`. Received: cell={cell!r} (of "
                    f"{type(cell).__name__}) without it."
                )
        self.states: Any = None

    @property
    def state_size(self) -> Any:
        """The size of the cell's state, or of each of them."""
        return self.cell.state_size

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build the cell for one step, and keep states where they outlive a batch."""
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((sequences_shape[0], *sequences_shape[2:]))
        if self.stateful:
            self._make_states(sequences_shape[0])

    def _make_states(self, batch: Any) -> None:
        if batch is None:
            raise ValueError(
                "A stateful layer needs a fixed batch size. Received: an unknown one for the layer "
                f"{self.path!r}. Start the model with `Input(batch_shape=...)`."
            )
        self.states = tree.map_structure(
            lambda x: State(
                np.zeros(x.shape, numpy_dtype(self.variable_dtype)),
                trainable=False,
                name="rnn_state",
            ),
            self.get_initial_state(batch),
        )

    def get_initial_state(self, batch_size: Any) -> Any:
        """The states that a sequence starts with."""
        return as_list(initial_state(self.cell, batch_size))

    def reset_state(self) -> None:
        """Set kept states to 0."""
        for state in tree.flatten(self.states) if self.states is not None else ():
            state.assign(np.zeros(state.shape, floatx()))

    reset_states = reset_state

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """The outputs, and the states where they are asked for."""
        if isinstance(mask, (list, tuple)):
            mask = mask[0]
        mask = get_keras_mask(sequences) if mask is None else mask
        if mask is not None:
            mask = ops.squeeze(mask, -1) if tuple(mask.shape)[2:] == (1,) else mask
            check_mask(mask, sequences, self.path)
            if len(mask.shape) > 2:
                raise ValueError(
                    "A recurrent layer takes a mask (batch, time): a step counts as a whole. Received: "
                    f"mask.shape={tuple(mask.shape)} in the layer {self.path!r}."
                )
        if self.unroll and sequences.shape[1] is None:
            raise ValueError(
                "A layer that is unrolled needs a fixed number of steps. Received: sequences of shape "
                f"{tuple(sequences.shape)} in {self.path!r}. Give the time's size in the input's shape."
            )
        states = self._first_states(sequences, initial_state)
        drops = hasattr(self.cell, "draw_dropout_masks")
        if drops:
            self.cell.draw_dropout_masks(sequences[:, 0], tree.flatten(states), training)
        try:
            outputs, last, states = self._over_time(sequences, states, mask, training)
        finally:
            if drops:
                self.cell.forget_dropout_masks()
        if self.stateful:
            for kept, new in zip(tree.flatten(self.states), tree.flatten(states), strict=True):
                kept.assign(ops.cast(new, kept.dtype))
        result = ops.cast(outputs if self.return_sequences else last, self.compute_dtype)
        return (result, *states) if self.return_state else result

    def _first_states(self, sequences: Any, given: Any) -> Any:
        if given is None and not self.stateful:
            given = self._starting_states(sequences)
        else:
            if given is None:
                given = tree.map_structure(lambda state: state.value, self.states)
            given = as_list(given)
            self._check_states(given, sequences)
        return tree.map_structure(lambda x: ops.cast(x, self.compute_dtype), given)

    def _starting_states(self, sequences: Any) -> Any:
        return self.get_initial_state(batch_size=ops.shape(sequences)[0])

    def _check_states(self, states: list[Any], sequences: Any) -> None:
        """Not every kernel looks whether there are states for as many sequences as there are."""
        batch, count = sequences.shape[0], len(as_list(self.state_size))
        shapes = [tuple(x.shape) for x in tree.flatten(states)]
        fit = all(batch is None or shape[:1] in ((), (None,), (batch,)) for shape in shapes)
        if len(states) != count or not fit:
            raise ValueError(
                f"The layer {self.path!r} starts from {count} state(s), each with a row for every "
                f"sequence. Received: states of shapes {shapes} for sequences of shape "
                f"{tuple(sequences.shape)}. Give as many rows as sequences; a stateful layer keeps "
                "the batch size that it was built for."
            )

    def _over_time(self, sequences: Any, states: Any, mask: Any, training: Any) -> Any:
        """Outputs of all steps, the last one, and the last states."""
        if isinstance(self.cell, _Cell):
            done = self.cell.fused(
                sequences,
                states,
                training,
                mask=mask,
                go_backwards=self.go_backwards,
                unroll=self.unroll,
                return_sequences=self.return_sequences,
                zero_output_for_mask=self.zero_output_for_mask,
            )
            if done is not None:
                return done
        extra = {"training": training} if takes_training(self.cell) else {}

        def step(x: Any, states: Any) -> Any:
            output, new = self.cell(x, states, **extra)
            return output, as_list(new)

        last, outputs, states = shared.rnn(
            step,
            sequences,
            states,
            go_backwards=self.go_backwards,
            mask=mask,
            unroll=self.unroll,
            zero_output_for_mask=self.zero_output_for_mask,
            return_all_outputs=self.return_sequences,
        )
        return outputs, last, states

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the sequences in the order of the outputs, if all are given; none for states."""
        output = tree.flatten(mask)[0] if mask is not None and self.return_sequences else None
        if output is not None and self.go_backwards:
            output = ops.flip(output, 1)
        if self.return_state:
            return [output, *(None for _ in tree.flatten(self.state_size))]
        return output


class _Standard(RNN):
    """A layer of one of the standard cells: its arguments are the cell's and those of `RNN`."""

    _cell: ClassVar[type[_Cell]]
    _unwritten_arguments = frozenset({"cell", "use_cudnn"})
    #: The number of axes between time and channels.
    rank: ClassVar[int] = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in parameters(cls._cell.__init__):
            if name not in ("name", "rank"):
                setattr(cls, name, property(operator.attrgetter(f"cell.{name}")))

    def _keep_arguments(self, owner: Any, given: dict[str, Any]) -> None:
        if "_cell" not in vars(owner):
            super()._keep_arguments(owner, given)
        else:  # to be handed on: nothing of it is kept here
            object.__setattr__(self, "_given", given)

    def __init__(self, **kwargs: Any) -> None:
        given = self.__dict__.pop("_given")

        def taken(constructor: Any) -> dict[str, Any]:
            return {name: given[name] for name in parameters(constructor) if name in given}

        of_cell = taken(self._cell.__init__)
        for name in ("dtype", "trainable"):
            if name in kwargs:
                of_cell[name] = kwargs[name]
        cell = self._cell(**of_cell, name=naming.to_snake_case(self._cell.__name__))
        penalty = given["activity_regularizer"]
        own = {**taken(RNN.__init__), **kwargs, "activity_regularizer": penalty}
        super().__init__(cell, **own)
        self.input_spec = [InputSpec(ndim=3 + self.rank)]

    def _check_inputs(self, engine: Any, inputs: Any) -> None:
        first = inputs[0] if isinstance(inputs, (list, tuple)) else inputs
        super()._check_inputs(engine, first)


class SimpleRNN(_Standard):
    """`h = activation(x kernel + h recurrent_kernel + bias)` over time.

    Args:
        units: The size of output and state.
        activation, use_bias: Of the cell.
        kernel_initializer, recurrent_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: Projections.
        dropout, recurrent_dropout: The shares of inputs and state that are dropped in training.
        return_sequences, return_state, go_backwards, stateful, unroll: As in `RNN`.
        seed: What dropout is drawn from.

    >>> import numpy as np
    >>> SimpleRNN(4, return_sequences=True)(np.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    _cell = SimpleRNNCell
    _unwritten_arguments = frozenset({"seed"})

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)


class LSTM(_Standard):
    """Long short-term memory over time (Hochreiter and Schmidhuber, 1997).

    Args:
        units: The size of the output and of each state.
        activation, recurrent_activation, use_bias, unit_forget_bias: Of the cell.
        kernel_initializer, recurrent_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: Projections.
        dropout, recurrent_dropout: The shares of inputs and state that are dropped in training.
        seed: What they are drawn from.
        return_sequences, return_state, go_backwards, stateful, unroll: As in `RNN`.
        use_cudnn: Kept for compatibility: the engine chooses its fastest form.

    >>> import numpy as np
    >>> LSTM(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    _cell = LSTMCell

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
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)


class GRU(_Standard):
    """Gated recurrent units over time (Cho et al., 2014).

    Args:
        units: The size of output and state.
        activation, recurrent_activation, use_bias: Of the cell.
        kernel_initializer, recurrent_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: Projections.
        dropout, recurrent_dropout: The shares of inputs and state that are dropped in training.
        seed: What they are drawn from.
        return_sequences, return_state, go_backwards, stateful, unroll: As in `RNN`.
        reset_after: Whether the reset gate is applied after the recurrent product.
        use_cudnn: Kept for compatibility: the engine chooses its fastest form.

    >>> import numpy as np
    >>> GRU(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    _cell = GRUCell

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
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
