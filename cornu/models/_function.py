"""Function: a graph of operations, from symbolic inputs to symbolic outputs, that can be run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..core import tree
from ..core.keras_tensor import KerasTensor
from ..core.operation import Node, Operation, node_of


class Graph(NamedTuple):
    """The nodes between inputs and outputs, in an order in which they can run."""

    nodes: list[Node]
    operations: list[Operation]


@dataclass(frozen=True)
class Slot:
    """Where in a run's list of values a tensor's value is; a leaf to `tree`, as tensors are."""

    index: int


class Step(NamedTuple):
    """One node of a plan: what to call, on which values, and where its results go."""

    operation: Operation
    args: Any
    kwargs: dict[str, Any]
    only: int | None
    results: tuple[int, ...]


def call_operation(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an operation gives for arguments."""
    return operation(*args, **kwargs)


class Function(Operation):
    """Operations from given inputs to given outputs, as one operation.

    Args:
        inputs: Symbolic tensors, in any structure.
        outputs: Symbolic tensors made from them, in any structure.
        name: The function's name.

    >>> from cornu import ops
    >>> x = KerasTensor((None, 3))
    >>> Function(x, ops.relu(x))(ops.ones((2, 3))).shape
    (2, 3)
    """

    _inputs_struct: Any
    _outputs_struct: Any
    _inputs: list[KerasTensor]
    _outputs: list[KerasTensor]
    _graph: Graph
    _steps: list[Step]
    _output_slots: list[int]
    _size: int

    _describes_itself = True

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        self._set_graph(inputs, outputs)

    def _set_graph(self, inputs: Any, outputs: Any) -> None:
        # Past `__setattr__`: a graph is not made of parts that a model tracks.
        attributes = vars(self)
        attributes["_inputs_struct"], attributes["_outputs_struct"] = inputs, outputs
        attributes["_inputs"] = [x for x in tree.flatten(inputs) if x is not None]
        attributes["_outputs"] = [x for x in tree.flatten(outputs) if x is not None]
        for which, tensors in (("inputs", self._inputs), ("outputs", self._outputs)):
            for x in tensors:
                if not isinstance(x, KerasTensor):
                    raise ValueError(
                        f"The {which} of a model must be symbolic tensors. Received: {x!r} (of "
                        f"{type(x).__name__}). Start from `cornu.Input(shape)` and call layers on it."
                    )
        if not self._outputs:
            raise ValueError(f"A model needs an output. Received: outputs={outputs!r}.")
        graph = attributes["_graph"] = find_graph(self._inputs, self._outputs)
        plan = _plan(graph, self._inputs, self._outputs)
        attributes["_steps"], attributes["_output_slots"], attributes["_size"] = plan

    @property
    def operations(self) -> list[Operation]:
        """The operations, in the order in which they run."""
        return list(self._graph.operations)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs, in a flat list."""
        return self._inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs, in a flat list."""
        return self._outputs

    def call(self, inputs: Any) -> Any:
        """Run the operations."""
        values = [x for x in tree.flatten(inputs) if x is not None]
        if len(values) != len(self._inputs):
            raise ValueError(
                f"{self.name!r} takes {len(self._inputs)} input(s). Received: {len(values)}."
            )
        return self._run_steps(values)

    def _run_steps(
        self,
        inputs: list[Any],
        call: Callable[[Operation, tuple[Any, ...], dict[str, Any]], Any] = call_operation,
    ) -> Any:
        """Run the plan; `call(operation, args, kwargs)` runs one operation."""
        return self._of_outputs(run_steps(self._steps, inputs, self._size, call))

    def _of_outputs(self, values: list[Any]) -> Any:
        """The outputs in their structure, from the values of a plan that was run."""
        if isinstance(self._outputs_struct, KerasTensor):
            return values[self._output_slots[0]]
        return tree.pack_sequence_as(
            self._outputs_struct, [values[slot] for slot in self._output_slots]
        )

    def compute_output_spec(self, inputs: Any) -> Any:
        """The outputs for these inputs, as KerasTensors."""
        if tree.flatten(inputs) and all(
            getattr(a, "shape", None) == b.shape
            for a, b in zip(tree.flatten(inputs), self._inputs, strict=False)
        ):
            return tree.map_structure(lambda x: KerasTensor(x.shape, x.dtype), self._outputs_struct)
        return super().compute_output_spec(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The outputs' shapes for the inputs' shapes."""
        shapes = tree.map_shape_structure(lambda shape: KerasTensor(shape), input_shape)
        outputs = self.compute_output_spec(shapes)
        return tree.map_structure(lambda x: x.shape, outputs)


_NESTS = (list, tuple, dict)


def run_steps(
    steps: list[Step],
    given: list[Any],
    size: int,
    call: Callable[[Operation, tuple[Any, ...], dict[str, Any]], Any] = call_operation,
) -> list[Any]:
    """The `size` values of a plan after some steps, from the first values that are given."""
    values = [*given, *[None] * (size - len(given))]
    for operation, args, kwargs, only, results in steps:
        if only is not None:
            outputs = call(operation, (values[only],), dict(kwargs))
        else:
            args, kwargs = tree.map_structure(
                lambda x: values[x.index] if isinstance(x, Slot) else x, (args, dict(kwargs))
            )
            outputs = call(operation, args, kwargs)
        made = tree.flatten(outputs) if type(outputs) in _NESTS else (outputs,)
        made = [value for value in made if value is not None]
        for index, value in zip(results, made, strict=True):
            values[index] = value
    return values


def find_graph(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> Graph:
    """The nodes that lead from inputs to outputs, and their operations, both in running order.

    An operation's depth is the length of the longest way from it to an output. Operations come by
    falling depth, those of one depth in the order in which a walk back from the outputs meets them.
    """
    finished, met = _walk_back(inputs, outputs)
    node_depth: dict[int, int] = {}
    operation_depth: dict[int, int] = {}
    for node in reversed(finished):
        depth = max(node_depth.get(id(node), 0), operation_depth.get(id(node.operation), 0))
        node_depth[id(node)] = operation_depth[id(node.operation)] = depth
        for parent in node.parent_nodes:
            node_depth[id(parent)] = max(depth + 1, node_depth.get(id(parent), 0))
    for x in inputs:
        maker = node_of(x)
        if maker is not None and maker.is_input and id(maker.operation) not in operation_depth:
            operation_depth[id(maker.operation)] = 0
            met[id(maker.operation)] = (-1, maker.operation)
    by_depth: dict[int, list[tuple[int, Operation]]] = defaultdict(list)
    for index, operation in met.values():
        by_depth[operation_depth[id(operation)]].append((index, operation))
    operations = [
        operation
        for depth in sorted(by_depth, reverse=True)
        for _, operation in sorted(by_depth[depth], key=lambda entry: entry[0])
    ]
    nodes = sorted(finished, key=lambda node: -node_depth[id(node)])
    return Graph([node for node in nodes if not node.is_input], operations)


def _walk_back(
    inputs: list[KerasTensor], outputs: list[KerasTensor]
) -> tuple[list[Node], dict[int, tuple[int, Operation]]]:
    """Nodes with each after those it needs, and operations in the order in which they are met."""
    given = {id(x) for x in inputs}
    finished: list[Node] = []
    state: dict[int, str] = {}
    met: dict[int, tuple[int, Operation]] = {}
    stack: list[tuple[Node, Iterator[KerasTensor]]] = []

    def enter(x: KerasTensor) -> None:
        node = node_of(x)
        if node is None:
            if id(x) not in given:
                raise ValueError(
                    "The outputs of a model must be made from its inputs. Received: the tensor "
                    f"{x!r}, which is not among `inputs` and comes from nowhere. Pass it as an input."
                )
            return
        if id(node) in state or (id(x) in given and not node.is_input):
            return
        if node.is_input and id(x) not in given:
            raise ValueError(
                "The outputs of a model must be made from its inputs. Received: outputs that depend "
                f"on the input {node.operation.name!r}, which is not among `inputs`. Pass it as well."
            )
        state[id(node)] = "open"
        met.setdefault(id(node.operation), (len(met), node.operation))
        stack.append((node, iter(node.input_tensors)))

    for output in outputs:
        enter(output)
        while stack:
            node, needs = stack[-1]
            for x in needs:
                before = len(stack)
                enter(x)
                if len(stack) > before:
                    break
            else:
                stack.pop()
                state[id(node)] = "done"
                finished.append(node)
    return finished, met


def _plan(
    graph: Graph, inputs: list[KerasTensor], outputs: list[KerasTensor]
) -> tuple[list[Step], list[int], int]:
    slots: dict[int, int] = {}
    for x in inputs:
        slots.setdefault(id(x), len(slots))
    steps = []

    def slot(x: Any) -> Any:
        return Slot(slots[id(x)]) if isinstance(x, KerasTensor) else x

    given = set(slots)
    for node in _runnable_order(graph.nodes, given):
        args, kwargs = tree.map_structure(slot, (node.args, node.kwargs))
        if kwargs.get("mask", 0) is None:  # masks come with the tensors
            del kwargs["mask"]
        # What is given is not computed over: that goes where nobody looks.
        keys = (-id(x) if id(x) in given else id(x) for x in node.outputs)
        results = tuple(slots.setdefault(key, len(slots)) for key in keys)
        single = len(args) == 1 and isinstance(args[0], Slot)
        single = single and not any(isinstance(x, Slot) for x in tree.flatten(kwargs))
        only = args[0].index if single else None
        steps.append(Step(node.operation, args, kwargs, only, results))
    return steps, [slots[id(x)] for x in outputs], len(slots)


def _runnable_order(nodes: list[Node], known: set[int]) -> list[Node]:
    """The nodes that make something new, each after the nodes it needs."""
    made = set(known)
    ordered = []
    waiting = nodes
    while waiting:
        later = []
        for node in waiting:
            if all(id(x) in made for x in node.input_tensors):
                made.update(id(x) for x in node.outputs)
                ordered.append(node)
            else:
                later.append(node)
        if len(later) == len(waiting):
            raise ValueError("The graph of a model must not have a cycle.")
        waiting = later
    return ordered
