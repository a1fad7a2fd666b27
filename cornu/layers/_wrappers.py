"""Layers around other layers: both directions of time, every step of time."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..core.checks import one_of
from ..core.masks import check_mask, get_keras_mask, set_keras_mask
from ..core.serialization import deserialize_keras_object, serialize_keras_object
from ._cells import as_list
from ._input_spec import InputSpec
from ._layer import Layer
from ._normalization import Wrapper

_MERGES = {
    "concat": lambda a, b: ops.concatenate([a, b], axis=-1),
    "sum": ops.add,
    "ave": lambda a, b: (a + b) / 2,
    "mul": ops.multiply,
}


def _renamed_copy(layer: Any, prefix: str = "forward_", **changes: Any) -> Any:
    """A new layer with the config of another one, named after it."""
    for name in ("go_backwards", "return_sequences", "return_state", "stateful"):
        if not isinstance(layer, Layer) or not hasattr(layer, name):
            raise ValueError(
                f"Bidirectional needs a layer with the attribute `{name}`. Received: {layer!r} "
                f"(of {type(layer).__name__}) without it."
            )
    if layer.return_sequences:
        # Outputs at masked steps must be 0: those before are of the other direction's future.
        changes["zero_output_for_mask"] = True
    config = serialize_keras_object(layer)
    config.pop("build_config", None)
    name = layer.name if layer.name.startswith(prefix) else prefix + layer.name
    config["config"] = {**config["config"], "name": name, **changes}
    return deserialize_keras_object(config, custom_objects={type(layer).__name__: type(layer)})


class Bidirectional(Layer):
    """A recurrent layer run forwards and backwards in time (Schuster and Paliwal, 1997).

    Args:
        layer: A recurrent layer; a copy of it runs backwards.
        merge_mode: How the two outputs become one: `concat`, `sum`, `ave` or `mul`; None for a list.
        weights: Weights to start from.
        backward_layer: Another layer for the way back; its `go_backwards` is the opposite.

    >>> import numpy as np
    >>> from cornu.layers import LSTM
    >>> Bidirectional(LSTM(4))(np.ones((2, 5, 3))).shape
    (2, 8)
    """

    # It keeps a copy of the layer that it is given, in front: weights are in this order.
    _converters = {"layer": _renamed_copy, "backward_layer": None}
    _kept_as = {"layer": "forward_layer", "weights": "_initial_weights"}
    forward_layer: Any
    _initial_weights: Any
    _unwritten_arguments = frozenset({"weights"})

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        if backward_layer is not None and not isinstance(backward_layer, Layer):
            raise ValueError(
                "`backward_layer` must be a layer. Received: "
                f"backward_layer={backward_layer!r} (of {type(backward_layer).__name__})."
            )
        one_of((*_MERGES, None), merge_mode=merge_mode)
        super().__init__(**kwargs)
        if backward_layer is None:
            way = not layer.go_backwards
            self.backward_layer = _renamed_copy(layer, "backward_", go_backwards=way)
        self._check_directions()
        self.stateful = layer.stateful
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.supports_masking = True
        self.input_spec = InputSpec(ndim=3)

    def _check_directions(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(
                "The two layers must run in opposite directions. Received: go_backwards="
                f"{forward.go_backwards} for both."
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                raise ValueError(
                    f"The two layers must agree on `{name}`. Received: "
                    f"{getattr(forward, name)} and {getattr(backward, name)}."
                )

    @property
    def layer(self) -> Layer:
        """The layer that runs forwards."""
        layer: Layer = self.forward_layer
        return layer

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build both layers."""
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
        if self._initial_weights is not None:
            half = len(self._initial_weights) // 2
            self.forward_layer.set_weights(self._initial_weights[:half])
            self.backward_layer.set_weights(self._initial_weights[half:])

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = None
    ) -> Any:
        """The outputs of both directions, merged, and the states where they are asked for."""
        forward_state = backward_state = None
        if initial_state is not None:
            half = len(initial_state) // 2
            forward_state, backward_state = initial_state[:half], initial_state[half:]
        training = bool(training)
        ahead = self.forward_layer(
            sequences, initial_state=forward_state, mask=mask, training=training
        )
        back = self.backward_layer(
            sequences, initial_state=backward_state, mask=mask, training=training
        )
        states: tuple[Any, ...] = ()
        if self.return_state:
            states = (*ahead[1:], *back[1:])
            ahead, back = ahead[0], back[0]
        if self.return_sequences:
            back = ops.flip(back, axis=1)
        outputs = (
            (ahead, back) if self.merge_mode is None else (_MERGES[self.merge_mode](ahead, back),)
        )
        if self.return_state:
            return (*outputs, *states)
        return outputs if self.merge_mode is None else outputs[0]

    def reset_state(self) -> None:
        """Set the kept states of both layers to 0."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    @property
    def states(self) -> Any:
        """The kept states of both layers."""
        if not self.forward_layer.states:
            return None
        return (self.forward_layer.states, self.backward_layer.states)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the sequences, for each output that is a sequence."""
        kept = as_list(self.forward_layer.compute_mask(inputs, mask))[0]
        outputs = [kept, kept] if self.merge_mode is None else [kept]
        if self.return_state:
            return [*outputs, *([None] * 2 * len(as_list(self.forward_layer.state_size)))]
        return outputs if self.merge_mode is None else kept


class TimeDistributed(Wrapper):
    """A layer applied to every step of (batch, time, ...) in the same way.

    Args:
        layer: The layer.

    >>> import numpy as np
    >>> from cornu.layers import Dense
    >>> TimeDistributed(Dense(4))(np.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        """Build the inner layer for one step."""
        shape = tuple(input_shape)
        if len(shape) < 3:
            raise ValueError(
                "TimeDistributed takes inputs (batch, time, ...). Received: "
                f"input_shape={shape} in the layer {self.path!r}."
            )
        super().build((shape[0], *shape[2:]))

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The layer's outputs for every step: steps are samples of one larger batch."""
        sizes = ops.shape(inputs)
        steps = _merged(inputs, sizes)
        if mask is not None:
            check_mask(mask, inputs, self.path)
            if len(mask.shape) > 2:
                set_keras_mask(steps, _merged(mask, ops.shape(mask)))
        takes_training = self.layer._call_signature.has_training and training is not None
        outputs = self.layer(steps, **({"training": training} if takes_training else {}))
        result = ops.reshape(outputs, (*sizes[:2], *ops.shape(outputs)[1:]))
        inner = get_keras_mask(outputs)
        if inner is not None:
            set_keras_mask(result, ops.reshape(inner, (*sizes[:2], *ops.shape(inner)[1:])))
        return result

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the steps: True where any part of a step is."""
        if previous_mask is None or len(previous_mask.shape) == 2:
            return previous_mask
        return ops.any(previous_mask, axis=tuple(range(2, len(previous_mask.shape))))


def _merged(x: Any, sizes: Any) -> Any:
    """Batch and time as one axis."""
    rest = tuple(sizes[2:])
    batch, time = x.shape[:2]
    whole = math.prod((batch, time)) if None not in (batch, time) else sizes[0] * sizes[1]
    return ops.reshape(x, (whole, *rest))
