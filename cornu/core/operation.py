"""Operation: what can be called on tensors and stands as a node in a graph (layers, ops, models)."""

from __future__ import annotations

from typing import Any, Self

from ..engines import computing
from . import naming, tree
from .described import Described, given_arguments
from .keras_tensor import KerasHistory, KerasTensor
from .scopes import SymbolicScope, here
from .serialization import ConfigError


class Node:
    """One call of an operation on symbolic tensors."""

    def __init__(
        self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any
    ) -> None:
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.input_tensors = [x for x in tree.flatten((args, kwargs)) if isinstance(x, KerasTensor)]
        self.outputs = [x for x in tree.flatten(outputs) if x is not None]
        self.output_structure = outputs
        for index, output in enumerate(self.outputs):
            output._keras_history = KerasHistory(operation, len(operation._inbound_nodes), index)
        operation._inbound_nodes.append(self)
        for parent in self.parent_nodes:
            parent.operation._outbound_nodes.append(self)

    @property
    def parent_nodes(self) -> list[Node]:
        """The calls that give this call's inputs."""
        parents = filter(None, map(node_of, self.input_tensors))
        return list({id(node): node for node in parents}.values())

    @property
    def is_input(self) -> bool:
        """Whether this is where a model's input comes in."""
        return not self.input_tensors

    def __repr__(self) -> str:
        return f"<Node operation={self.operation.name}, index={self.operation._inbound_nodes.index(self)}>"


class Operation(Described):
    """Something callable on tensors that can be a node of a graph, written down and read again.

    Args:
        name: A name without `/`; made from the class name where it is left out.
    """

    _describes_itself = True
    _describes_users = True
    _unwritten_arguments = frozenset({"name"})

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note what a user's class is given: `get_config` tells what is no attribute from there."""
        instance = object.__new__(cls)
        if not naming.is_ours(cls):
            noted = given_arguments(cls.__init__, args, kwargs)
            object.__setattr__(instance, "_arguments", noted)
        return instance

    def __init__(self, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(
                f"An operation's name must be a string without '/'. Received: name={name!r}."
            )
        self.name = name or naming.auto_name(type(self).__name__)
        self._inbound_nodes: list[Node] = []
        self._outbound_nodes: list[Node] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run on tensors, or become a node on symbolic ones; where shapes are inferred, run on those."""
        if any_symbolic((args, kwargs)) and computing():
            return self.symbolic_call(*args, **kwargs)
        if (watch := here.watch.get()) is None:
            return self.call(*args, **kwargs)
        outputs = None
        watch.enter(self, args, kwargs)
        try:
            outputs = self.call(*args, **kwargs)
        finally:
            outputs = watch.leave(self, outputs)
        return outputs

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the operation computes."""
        raise NotImplementedError(
            f"{type(self).__name__} must have a method `call`. Received: none for {self.name!r}. "
            "Define `call(self, inputs)`."
        )

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Infer the outputs' specs and record the call as a node."""
        outputs = self.compute_output_spec(*args, **kwargs)
        return self._record(args, kwargs, outputs)

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> Any:
        outputs = tree.map_structure(_fresh, outputs)
        Node(self, args, kwargs, outputs)
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The shapes and dtypes of the outputs, as KerasTensors."""
        with SymbolicScope():
            return self.call(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as what a file can hold."""
        return {"name": self.name, **super().get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The operation that `get_config` described."""
        try:
            return super().from_config(config, custom_objects)
        except ConfigError:
            raise
        except TypeError as error:
            raise ConfigError(
                f"A config must hold arguments of the constructor of {cls.__name__}. "
                f"Received: config={config}. {error}. "
                "Give the class a `get_config` (and `from_config`) that fit its constructor."
            ) from error

    def _io(self, which: str) -> Any:
        if not self._inbound_nodes:
            raise AttributeError(
                f"{type(self).__name__} {self.name!r} has no {which}: it was never called on a "
                "symbolic tensor."
            )
        node = self._inbound_nodes[0]
        found = node.input_tensors if which == "input" else node.outputs
        return found[0] if len(found) == 1 else found

    @property
    def input(self) -> Any:
        """The symbolic tensors of the first call."""
        return self._io("input")

    @property
    def output(self) -> Any:
        """The symbolic results of the first call."""
        return self._io("output")

    def __repr__(self) -> str:
        return f"<Operation name={self.name}>"


def node_of(x: KerasTensor) -> Node | None:
    """The call that gives a symbolic tensor; None where it comes from nowhere."""
    history = x._keras_history
    return None if history is None else history.operation._inbound_nodes[history.node_index]


def any_symbolic(structure: Any) -> bool:
    """Whether a structure holds a KerasTensor."""
    return any(isinstance(x, KerasTensor) for x in tree.flatten(structure))


def get_source_inputs(tensor: Any) -> Any:
    """The inputs that a symbolic tensor is made from; anything else as it is.

    >>> from cornu import Input
    >>> a, b = Input((2,)), Input((2,))
    >>> get_source_inputs(a + b) == [a, b]
    True
    """
    if not isinstance(tensor, KerasTensor) or tensor._keras_history is None:
        return tensor
    found: dict[int, KerasTensor] = {}
    seen: set[int] = set()
    waiting = [tensor]
    while waiting:
        x = waiting.pop()
        node = node_of(x)
        if node is None or node.is_input:
            found[id(x)] = x
        elif id(node) not in seen:
            seen.add(id(node))
            waiting += reversed(node.input_tensors)
    return list(found.values())


def _fresh(output: Any) -> Any:
    """A tensor of its own for each output, also where an operation gives back its input."""
    if not isinstance(output, KerasTensor):
        return output
    return KerasTensor(output.dims, output.dtype)
