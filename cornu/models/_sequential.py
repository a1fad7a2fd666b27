"""Sequential: a plain stack of layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import naming, tree
from ..core.keras_tensor import KerasTensor, made_by
from ..core.serialization import deserialize_keras_object, serialize_keras_object
from ..layers import Input, InputLayer, Layer
from ._functional import Functional
from ._model import Model


class Sequential(Model):
    """Layers one after the other.

    Args:
        layers: The layers; an `Input` may come first, so that the model is built at once.
        trainable: Whether the weights take part in training.
        name: The model's name.

    >>> from cornu import layers
    >>> model = Sequential([Input((4,)), layers.Dense(3), layers.Dense(2)])
    >>> model.output_shape, model.count_params()
    ((None, 2), 23)
    """

    _describes_itself = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return Layer.__new__(cls, *args, **kwargs)

    def __init__(
        self, layers: Any = None, trainable: bool = True, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(trainable=trainable, name=name, **kwargs)
        self.supports_masking = True
        self._functional: Functional | None = None
        #: Whether the inputs' shape was seen on data: its batch size is then one of many.
        self._seen_on_data = False
        self._stack: list[Layer] = []
        for layer in layers if isinstance(layers, (list, tuple)) else [layers] if layers else []:
            self.add(layer, rebuild=False)
        self._maybe_rebuild()

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer on top of the stack."""
        if isinstance(layer, KerasTensor) and layer._keras_history is not None:
            layer = layer._keras_history.operation
        if not isinstance(layer, Layer):
            if not callable(layer):
                raise ValueError(
                    "A Sequential model takes layers. Received: "
                    f"layer={layer!r} (of {type(layer).__name__})."
                )
            from ..layers import Lambda

            layer = Lambda(layer)
        if any(layer.name == other.name for other in self._stack):
            raise ValueError(
                "The layers of a Sequential model must have different names. Received: "
                f"{layer.name!r}, which is in {self.name!r} already. Give one of them another `name`."
            )
        if isinstance(layer, InputLayer) and self._stack and isinstance(self._stack[0], InputLayer):
            raise ValueError(
                f"A Sequential model has one input. Received: a second one, {layer.name!r}, for "
                f"{self.name!r}."
            )
        self._tracker.locked = ""
        if not self._stack and layer._given_shape is not None and not isinstance(layer, InputLayer):
            self._stack.append(Input(layer._given_shape).__dict__["_keras_history"].operation)
        self._stack.append(layer)
        self._reset(rebuild)

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the last layer off the stack."""
        layer = self._stack.pop()
        self._reset(rebuild)
        return layer

    def _reset(self, rebuild: bool) -> None:
        self.built = False
        self._functional = None
        tracker = self._tracker
        tracker.locked = ""
        tracker.replace("layers", self._stack)
        if rebuild:
            self._maybe_rebuild()

    def _maybe_rebuild(self) -> None:
        if len(self._stack) > 1:
            first = self._stack[0]
            if isinstance(first, InputLayer):
                self.build(first.batch_shape)
            elif isinstance(first, (Functional, Sequential)) and first.built:
                self.build(first.input_shape)

    @property  # type: ignore[misc]  # a getter alone
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return [layer for layer in self._stack if not isinstance(layer, InputLayer)]

    def build(self, input_shape: Any = None) -> None:
        """Connect the layers for a shape of the input, with the batch."""
        if not self._stack:
            raise ValueError(
                f"A Sequential model needs layers before it can be built. Received: {self.name!r}, "
                "which is empty. `add` layers to it."
            )
        if isinstance(self._stack[0], InputLayer):
            x = self._stack[0].output
        else:
            shape = tree.as_shapes(input_shape)
            if not isinstance(shape, tuple):
                # Several inputs: the layers run one after the other, without a graph.
                self._build_shapes = {"input_shape": input_shape}
                return
            dtype = self._stack[0].input_dtype
            x = Input(batch_shape=shape, dtype=dtype)
            self._stack.insert(0, made_by(x))
            self._seen_on_data = True
            self._tracker.replace("layers", self._stack)
        inputs = x
        for layer in self._stack[1:]:
            x = layer(x)
        naming.auto_name("functional")  # so that automatic names go on as in Keras
        object.__setattr__(
            self, "_functional", Functional(inputs=inputs, outputs=x, name=self.name)
        )

        if self._prepares:
            self._convert_input_args, self._allow_non_tensor_positional_args = False, True

    @property
    def on_host(self) -> bool:  # type: ignore[override]
        """Whether the whole model may run on the host."""
        return self._functional is not None and self._functional.on_host

    @property
    def _prepares(self) -> bool:  # type: ignore[override]
        if self._functional is not None:
            return self._functional._prepares
        return any(layer.on_host or getattr(layer, "_prepares", False) for layer in self._stack)

    @property
    def _hosted(self) -> Functional | None:
        return self._functional._hosted if self._functional is not None else None

    @property
    def _ending(self) -> Any:  # type: ignore[override]
        return self._functional._ending if self._functional is not None else None

    def _prepared(self, x: Any) -> Any:
        """What layers on the host make of the inputs; the model is built for them, if it is not yet."""
        if self._functional is None and self._prepares:
            self.build((None, *np.shape(x)[1:]))
        return x if self._functional is None else self._functional._prepared(x)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the layers one after the other."""
        if self._functional is not None:
            return self._functional.call(inputs, training=training, mask=mask)
        x = inputs
        for layer in self.layers:
            x = layer(x)
        return x

    def compute_output_spec(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The outputs for these inputs, as KerasTensors."""
        if self._functional is not None:
            return self._functional.compute_output_spec(inputs)
        return super().compute_output_spec(inputs, training=training, mask=mask)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input's shape."""
        if self._functional is not None:
            return self._functional.compute_output_shape(input_shape)
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    _makes_masks = False

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The masks are those that the layers left on the outputs."""
        return None

    def _graph(self, what: str) -> Functional:
        if self._functional is None:
            raise AttributeError(
                f"A Sequential model has {what} once it is built. Received: the model "
                f"{self.name!r}, never built. Start it with `Input(shape)`, call it on data, or "
                "`build(input_shape)`."
            )
        return self._functional

    def _output_names(self) -> list[str] | None:
        return self._functional.output_names if self._functional is not None else None

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs."""
        return self._graph("inputs").inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return self._graph("outputs").outputs

    @property
    def input(self) -> Any:
        """The symbolic input."""
        return self._graph("input").input

    @property
    def output(self) -> Any:
        """The symbolic output."""
        return self._graph("output").output

    @property
    def input_shape(self) -> Any:
        """The input's shape, with the batch."""
        return self._graph("input_shape").input_shape

    @property
    def output_shape(self) -> Any:
        """The output's shape, with the batch."""
        return self._graph("output_shape").output_shape

    @property
    def input_dtype(self) -> str:
        """The dtype that the first layer takes."""
        first = self._stack[0] if self._stack else None
        if isinstance(first, InputLayer):
            return first.dtype
        return first.input_dtype if first is not None else super().input_dtype

    def get_config(self) -> dict[str, Any]:
        """The layers, as what a file can hold."""
        from .. import dtype_policies

        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": dtype_policies.serialize(self._dtype_policy),
            "layers": [serialize_keras_object(layer) for layer in self._stack],
        }
        if self._functional is not None and self._build_shapes:
            first: Any = self._stack[0]
            config["build_input_shape"] = first.batch_shape
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model that `get_config` described."""
        if "layers" not in config:
            return cls(**config)
        model = cls(name=config.get("name"))
        if config.get("dtype") is not None:
            model.dtype_policy = deserialize_keras_object(config["dtype"])
        for entry in config["layers"]:
            model.add(deserialize_keras_object(entry, custom_objects=custom_objects), rebuild=False)
        model._maybe_rebuild()
        if config.get("trainable") is not None:
            model._trainable = config["trainable"]
        if not model._functional and config.get("build_input_shape"):
            model.build(tree.as_shapes(config["build_input_shape"]))
        return model
