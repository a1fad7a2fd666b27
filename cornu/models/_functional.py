"""Functional: a model read off a graph of layers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..core import naming, tree
from ..core.keras_tensor import KerasTensor, made_by
from ..core.masks import get_keras_mask, set_keras_mask
from ..core.operation import Node, Operation, node_of
from ..core.scopes import here, within
from ..core.serialization import (
    deserialize_keras_object,
    get_registered_name,
    serialize_keras_object,
)
from ..data import on_host
from ..engines import current, tracing, use
from ..engines.host import holds_text
from ..engines.sparse import SparseTensor
from ..layers import Input, InputLayer, InputSpec, Layer
from ._function import Function, run_steps
from ._host import HostPart, Prepared, as_input, before_strings
from ._model import Model


class Functional(Function, Model):
    """A model from symbolic inputs to symbolic outputs; `Model(inputs, outputs)` makes one.

    Args:
        inputs: Symbolic tensors in any structure; dictionaries name the inputs.
        outputs: Symbolic tensors made from them, in any structure.
        name: The model's name.
    """

    _describes_itself = True

    #: The layers on the host and those after them, where there are such.
    _host: HostPart | None = None

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        trainable = kwargs.pop("trainable", None)
        Model.__init__(self, name=name, **kwargs)
        inputs, outputs = tree.map_structure(_same, inputs), tree.map_structure(_same, outputs)
        flat = tree.flatten(inputs)
        if len({id(x) for x in flat}) != len(flat):
            raise ValueError(
                f"Each input of a model is passed once. Received: inputs={inputs}, with repetitions."
            )
        if all(isinstance(x, KerasTensor) for x in flat) and not all(map(_is_input, flat)):
            inputs, outputs = _from_new_inputs(inputs, outputs)
        object.__setattr__(self, "_functional_layers", [])
        self._set_graph(inputs, outputs)
        for operation in self._graph.operations:
            if isinstance(operation, Layer):
                self._tracker.add("layers", operation)
        self._functional_layers = [op for op in self._graph.operations if isinstance(op, Layer)]
        self._check_names()
        self.built = True
        self.supports_masking = True
        object.__setattr__(
            self,
            "_host",
            HostPart.of(self._steps, len(self._inputs), self._output_slots, self._size),
        )
        if self._prepares:
            self._convert_input_args, self._allow_non_tensor_positional_args = False, True
        if trainable is not None:
            self.trainable = trainable

    def _check_names(self) -> None:
        seen: set[str] = set()
        for operation in self._graph.operations:
            if operation.name in seen:
                raise ValueError(
                    "The layers of a model must have different names. Received: two named "
                    f"{operation.name!r}. Give one of them another `name`."
                )
            seen.add(operation.name)

    @property  # type: ignore[misc]  # a getter alone
    def layers(self) -> list[Layer]:
        """The layers, in the order in which they run."""
        return list(self._functional_layers)

    @property
    def input_names(self) -> list[str]:
        """The inputs' names."""
        return [made_by(x).name for x in self._inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the operations that give the outputs."""
        return [made_by(x).name for x in self._outputs]

    @property
    def input_shape(self) -> Any:
        """The shape of the input with the batch; of several, a list in the order of `inputs`."""
        return _shapes(self._inputs)

    @property
    def output_shape(self) -> Any:
        """The shape of the output with the batch; of several, a list in the order of `outputs`."""
        return _shapes(self._outputs)

    @property
    def input(self) -> Any:
        """The symbolic inputs, in their structure."""
        return self._inputs_struct

    @property
    def output(self) -> Any:
        """The symbolic outputs, in their structure."""
        return self._outputs_struct

    @property
    def input_spec(self) -> Any:
        """What each input must be like; sizes that a model can't rely on are free."""
        if self._input_spec is not None:
            return self._input_spec
        return [
            InputSpec(
                shape=(None, *x.shape[1:]),
                allow_last_axis_squeeze=True,
                name=made_by(x).name,
                optional=made_by(x).optional,
            )
            for x in self._inputs
        ]

    @input_spec.setter
    def input_spec(self, value: Any) -> None:
        self._input_spec = value

    def build(self, input_shape: Any = None) -> None:
        """A functional model is built when it is made."""

    def get_build_config(self) -> dict[str, Any]:
        """There is nothing to say: the graph has the shapes."""
        return {"input_shape": None}

    def _has_unbuilt_parts(self) -> bool:
        return False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the layers.

        Args:
            inputs: Tensors in the structure of the model's inputs.
            training: Whether the model is being trained; given to the layers that ask.
            mask: Masks of the inputs.

        Returns:
            The outputs in their structure; of a list or tuple of one, the one itself.
        """
        if self._host is not None and not isinstance(inputs, Prepared) and _has_values(inputs):
            inputs = self._prepared(inputs)
        if isinstance(inputs, Prepared):
            return self._call_rest(inputs, training)
        values = self._standardized(inputs)
        if mask is not None:
            for x, one in zip(values, tree.flatten(mask), strict=False):
                if one is not None:
                    set_keras_mask(x, one)
        if training is None:
            training = here.training.get()
        try:
            with within(here.training, training):
                outputs = self._run_steps(values)
        except Exception as error:
            self._note_other_shapes(error, values)
            raise
        return _alone(outputs)

    @property
    def on_host(self) -> bool:  # type: ignore[override]
        """Whether the whole model may run on the host, as it has layers that do and no variables."""
        return self._host is not None and not self.variables

    @property
    def _prepares(self) -> bool:  # type: ignore[override]
        return self._host is not None

    @property
    def _hosted(self) -> Functional | None:
        """The graph, where a part of it runs on the host."""
        return self if self._prepares else None

    @functools.cached_property
    def _ending(self) -> tuple[Any, Callable[[Any], Any]] | None:  # type: ignore[override]
        """The model without the layers at its end that give strings, and these: they run on the host."""
        if all(x.dtype != "string" for x in self._outputs):
            return None
        outputs = _opened(self._outputs)
        strings = [x for x in outputs if x.dtype == "string"]
        taken = before_strings(strings)
        if not taken:
            return None
        kept = [x for x in outputs if x.dtype != "string"]
        body = Functional(self._inputs_struct, [*kept, *taken], name=self.name)
        last = Function(taken, strings, name=self.name)

        def finished(found: Any) -> Any:
            values = tree.flatten(found)
            with use("numpy"):
                made = iter(tree.flatten(last._run_steps(values[len(kept) :])))
            rest = iter(values)
            outputs = [next(made if x.dtype == "string" else rest) for x in self._outputs]
            return _alone(tree.pack_sequence_as(self._outputs_struct, outputs))

        return body, finished

    def _prepared(self, x: Any) -> Any:
        """What layers on the host make of inputs, given as `call` takes them."""
        if self._host is None or isinstance(x, Prepared):
            return x
        x = on_host(x) if isinstance(x, list) and len(self._inputs) == 1 else x
        values = map(on_host, self._in_order(x))
        inputs = [as_input(a, b) for a, b in zip(values, self._inputs, strict=True)]
        return self._host.prepared(inputs)

    def _call_rest(self, prepared: Prepared, training: bool | None) -> Any:
        """Run the layers after those on the host."""
        assert self._host is not None
        engine = current()
        host = self._host
        values = host.opened(tree.map_structure(lambda x: _as_tensor(engine, x), prepared))
        with within(here.training, here.training.get() if training is None else training):
            return _alone(self._of_outputs(run_steps(host.rest, values, host.size)))

    def compute_output_spec(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The outputs for these inputs, as KerasTensors in the structure of the model's outputs."""
        outputs = Function.compute_output_spec(self, inputs)
        return tree.pack_sequence_as(self._outputs_struct, tree.flatten(outputs))

    _makes_masks = False

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The masks are those that the layers left on the outputs."""
        return None

    def _standardized(self, inputs: Any) -> list[Any]:
        """The inputs in order, with rank and dtype of the model's."""
        return [
            self._adjusted(value, reference)
            for value, reference in zip(self._in_order(inputs), self._inputs, strict=True)
        ]

    def _in_order(self, inputs: Any) -> list[Any]:
        """The inputs in order, as they are."""
        if isinstance(inputs, dict) and not isinstance(self._inputs_struct, dict):
            names = self.input_names
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ValueError(
                    f"The model {self.name!r} takes the inputs {names}. Received: "
                    f"{sorted(inputs)}. Add {missing}."
                )
            values = [inputs[name] for name in names]
        elif isinstance(inputs, dict):
            values = tree.flatten({key: inputs[key] for key in self._checked_keys(inputs)})
        else:
            values = (
                [inputs]
                if len(self._inputs) == 1 and type(inputs) not in _NESTS
                else tree.flatten(inputs)
            )
        if len(values) != len(self._inputs):
            raise ValueError(
                f"The model {self.name!r} takes {len(self._inputs)} input(s): {self.input_names}. "
                f"Received: {len(values)}. Pass a list with one tensor for each, or a dictionary by "
                "their names."
            )
        return values

    def _checked_keys(self, inputs: dict[str, Any]) -> list[str]:
        struct = self._inputs_struct
        missing = [key for key in struct if key not in inputs]
        if missing:
            raise ValueError(
                f"The model {self.name!r} takes the inputs {sorted(struct)}. Received: "
                f"{sorted(inputs)}. Add {missing}."
            )
        return list(struct)

    def _adjusted(self, x: Any, reference: KerasTensor) -> Any:
        from .. import ops

        if x is None:
            return None
        engine = current()
        says = isinstance(x, KerasTensor | SparseTensor)
        if not says and not engine.is_tensor(x):
            x = engine.convert_to_tensor(x)
        shape = x.shape
        dtype = x.dtype if says else engine.dtype_of(x)
        result = x
        if len(shape) == reference.ndim:
            if dtype == reference.dtype:
                return x
        elif len(shape) == reference.ndim + 1 and shape[-1] == 1:
            result = ops.squeeze(x, axis=-1)
        elif len(shape) == reference.ndim - 1 and reference.shape[-1] == 1:
            result = ops.expand_dims(x, axis=-1)
        else:
            operation = reference._keras_history.operation  # type: ignore[union-attr]
            raise ValueError(
                f"The input {operation.name!r} of the model {self.name!r} must have the shape "
                f"{reference.shape}. Received: shape={tuple(shape)}. Reshape the data."
            )
        if dtype != reference.dtype and engine.canonical_dtype(reference.dtype) != dtype:
            result = ops.cast(result, reference.dtype)
        mask = get_keras_mask(x)
        if mask is not None and result is not x:
            set_keras_mask(result, mask)
        return result

    def _note_other_shapes(self, error: Exception, values: list[Any]) -> None:
        """Say in an error which inputs had another shape than the model was made for."""
        for value, reference in zip(values, self._inputs, strict=True):
            sizes = (
                zip(value.shape[1:], reference.shape[1:], strict=True) if value is not None else ()
            )
            if any(a is not None and b is not None and a != b for a, b in sizes):
                name = reference._keras_history.operation.name  # type: ignore[union-attr]
                error.add_note(
                    f"The model {self.name!r} was made for the shape {reference.shape} of its input "
                    f"{name!r}. Received: shape={tuple(value.shape)}."
                )

    def get_config(self) -> dict[str, Any]:
        """The layers and how they are connected, as what a file can hold."""
        if not _constructed_as_functional(type(self)):
            return Model.get_config(self)
        return {
            "name": self.name,
            "trainable": self.trainable,
            **graph_config(self),
        }


_NESTS = (list, tuple, dict)


def _alone(outputs: Any) -> Any:
    """Of a list or tuple of one output, the one itself."""
    return outputs[0] if isinstance(outputs, (list, tuple)) and len(outputs) == 1 else outputs


def _has_values(inputs: Any) -> bool:
    """Whether inputs are neither symbolic nor being traced by a library."""
    engine = current()
    if not engine.computes:
        return False
    leaves = tree.flatten(inputs)
    return not any(isinstance(x, KerasTensor) or tracing(x) or engine.is_traced(x) for x in leaves)


def _as_tensor(engine: Any, x: Any) -> Any:
    """An array of numbers as a tensor of the engine; strings, and what is symbolic, as they are."""
    return engine.convert_to_tensor(x) if isinstance(x, np.ndarray) and not holds_text(x) else x


def _shapes(tensors: list[KerasTensor]) -> Any:
    shapes = [x.shape for x in tensors]
    return shapes[0] if len(shapes) == 1 else shapes


def _opened(outputs: Iterable[KerasTensor]) -> list[KerasTensor]:
    """Outputs; those of models within the graph that give strings, as the layers of these give them."""
    found: dict[int, list[KerasTensor]] = {}

    def opened(x: KerasTensor) -> KerasTensor:
        node = node_of(x)
        if node is None or node.is_input or all(y.dtype != "string" for y in node.outputs):
            return x
        model: Any = node.operation
        graph = model if isinstance(model, Functional) else getattr(model, "_functional", None)
        if graph is None or not naming.is_ours(type(model).call):
            return x
        if id(node) not in found:
            found[id(node)] = tree.flatten(graph._run_steps(graph._in_order(*node.args)))
        return opened(found[id(node)][x._keras_history.tensor_index])  # type: ignore[union-attr]

    return [opened(x) for x in outputs]


def graph_config(model: Functional) -> dict[str, Any]:
    """The operations of a model, how they are connected, and where inputs and outputs are."""
    keys = _node_keys(model)
    operations = []
    for operation in model._graph.operations:
        entry = serialize_keras_object(operation)
        if not isinstance(operation, Layer):
            entry["module"] = type(operation).__module__
            entry["registered_name"] = get_registered_name(type(operation))
        entry["name"] = operation.name
        entry["inbound_nodes"] = [
            _node_config(node, keys)
            for node in operation._inbound_nodes
            if id(node) in keys and not node.is_input
        ]
        operations.append(entry)

    def place(x: KerasTensor) -> list[Any]:
        name, index, output = _place(x, keys)
        return [name, index + _first_node(made_by(x)), output]

    return {
        "layers": operations,
        "input_layers": tree.map_structure(place, model._inputs_struct),
        "output_layers": tree.map_structure(place, model._outputs_struct),
    }


def _first_node(operation: Operation) -> int:
    """The number of a model's first node in `input_layers` and `output_layers`.

    Keras counts those of a model within a model from 1 there, and from 0 everywhere else.
    """
    return int(isinstance(operation, Functional))


def _node_keys(model: Functional) -> dict[int, int]:
    """The place of each node of the model among its operation's nodes in the model."""
    in_graph = {id(node) for node in [*model._graph.nodes, *map(node_of, model._inputs)]}
    keys = {}
    for operation in model._graph.operations:
        own = [node for node in operation._inbound_nodes if id(node) in in_graph]
        keys.update({id(node): index for index, node in enumerate(own)})
    return keys


def _place(x: KerasTensor, keys: dict[int, int]) -> list[Any]:
    """The operation, the number of its call, and which of the outputs a tensor is."""
    history, node = x._keras_history, node_of(x)
    assert history is not None
    return [history.operation.name, keys[id(node)], history.tensor_index]


def _node_config(node: Node, keys: dict[int, int]) -> dict[str, Any]:
    def written(x: Any) -> Any:
        if not isinstance(x, KerasTensor):
            return serialize_keras_object(x)
        config = {"shape": x.shape, "dtype": x.dtype, "keras_history": _place(x, keys)}
        return {"class_name": "__keras_tensor__", "config": config}

    args = [tree.map_structure(written, argument) for argument in node.args]
    given = node.kwargs | {"training": _filled_in(node.operation, node.args, node.kwargs)}
    if given["training"] is None:
        given = node.kwargs
    kwargs = {key: tree.map_structure(written, value) for key, value in given.items()}
    return {"args": args, "kwargs": kwargs}


def _filled_in(operation: Operation, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """What files have as `training` of a call on a tensor alone, with nothing said: the default.

    They have the mask of such a call too, so that a default that was said can be told from it, but
    for layers that take no mask.
    """
    alone = len(args) == 1 and isinstance(args[0], KerasTensor)
    if not alone or not isinstance(operation, Layer):
        return None
    signature = operation._call_signature
    unsaid = {"mask"} if signature.has_mask else set()
    return signature.default_training if kwargs.keys() == unsaid else None


def functional_from_config(cls: type, config: dict[str, Any], custom_objects: Any = None) -> Any:
    """The model that `Functional.get_config` described."""
    made: dict[str, Operation] = {}
    waiting: list[tuple[Operation, list[Any]]] = []
    for entry in config["layers"]:
        operation = _unbuilt_from_config(entry, custom_objects)
        made[entry["name"]] = operation
        waiting.append((operation, list(entry["inbound_nodes"])))
    # A layer may be one of a model among these, too, and have been called there.
    before = {
        name: 0 if isinstance(operation, InputLayer) else len(operation._inbound_nodes)
        for name, operation in made.items()
    }

    def calls(name: str) -> list[Node]:
        return made[name]._inbound_nodes[before[name] :] if name in made else []

    while any(nodes for _, nodes in waiting):
        progress = False
        for operation, nodes in waiting:
            while nodes and _call_from_config(operation, nodes[0], calls):
                nodes.pop(0)
                progress = True
        if not progress:
            stuck = [operation.name for operation, nodes in waiting if nodes]
            raise ValueError(
                "The layers of a model's config must be connected. Received: a config in which the "
                f"inputs of {stuck} come from nowhere."
            )

    def tensor(place: list[Any]) -> KerasTensor:
        name, node_index, tensor_index = place
        node = calls(name)[node_index - _first_node(made[name])]
        output: KerasTensor = node.outputs[tensor_index]
        return output

    inputs = _map_places(tensor, config["input_layers"])
    outputs = _map_places(tensor, config["output_layers"])
    known = ("name", "trainable", "layers", "input_layers", "output_layers", "dtype")
    extra = {key: value for key, value in config.items() if key not in known}
    model_class = Functional if cls is Model else cls
    model = model_class(inputs=inputs, outputs=outputs, name=config["name"], **extra)
    if config.get("trainable") is not None:
        model._trainable = config["trainable"]  # of the model alone: the layers know theirs
    return model


def _unbuilt_from_config(entry: dict[str, Any], custom_objects: Any) -> Any:
    """An operation of a graph, whose calls build it: they know dtypes, as a build config does not."""
    shapes = entry.get("build_config")
    operation = deserialize_keras_object({**entry, "build_config": None}, custom_objects)
    if shapes and not naming.is_ours(operation.build_from_config):
        operation.build_from_config(shapes)
    return operation


def _map_places(tensor: Any, places: Any) -> Any:
    if _is_place(places):
        return tensor(places)
    if isinstance(places, dict):
        if places.get("class_name") == "__tuple__":
            return tuple(_map_places(tensor, item) for item in places["items"])
        return {key: _map_places(tensor, value) for key, value in places.items()}
    return [_map_places(tensor, item) for item in places]


def _is_place(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 3
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and isinstance(value[2], int)
    )


class _NotMadeYetError(Exception):
    """An input of a node does not exist yet."""


def _call_from_config(operation: Operation, node: Any, calls: Callable[[str], list[Node]]) -> bool:
    """Call an operation as a config says; False where an input of it does not exist yet.

    Args:
        operation: The operation.
        node: The call, as `_node_config` wrote it.
        calls: The nodes of an operation in the model so far, by its name.
    """

    def read(value: Any) -> Any:
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            name, node_index, tensor_index = value["config"]["keras_history"]
            nodes = calls(name)
            if node_index >= len(nodes):
                raise _NotMadeYetError
            return nodes[node_index].outputs[tensor_index]
        if isinstance(value, dict) and ("class_name" in value or "__ellipsis__" in value):
            return deserialize_keras_object(value)
        if isinstance(value, dict):
            return {key: read(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(read(item) for item in value)
        return value

    try:
        args = [read(value) for value in node["args"]]
        kwargs = {key: read(value) for key, value in node["kwargs"].items()}
    except _NotMadeYetError:
        return False
    if type(operation).__name__ == "GetItem" and isinstance(args[1], list):
        # JSON has no tuples: `x[:, 0]` comes back as a list.
        args[1] = tuple(args[1])
    others = {key: value for key, value in kwargs.items() if key != "training"}
    if kwargs.get("training", _UNSAID) == _filled_in(operation, args, others):
        kwargs = others
    operation(*args, **kwargs)
    return True


_UNSAID = object()


def _same(x: Any) -> Any:
    return x


def _is_input(x: KerasTensor) -> bool:
    history = x._keras_history
    return history is not None and isinstance(history.operation, InputLayer)


def _from_new_inputs(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """The same graph from inputs of its own, for a model that starts within another one."""

    def own(x: KerasTensor) -> KerasTensor:
        return x if _is_input(x) else Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)

    fresh = tree.map_structure(own, inputs)
    graph = Function(inputs, outputs)
    return fresh, graph._run_steps(tree.flatten(fresh))


def _constructed_as_functional(cls: type) -> bool:
    """Whether a class is made by `cls(inputs, outputs)`, so that its config is the graph."""
    return (
        "__init__" not in vars(cls)
        or cls is Functional
        or vars(cls)["__init__"] is Functional.__init__
    )
