"""A Functional from the nodes of an ONNX file: what is known is computed, the rest becomes ops and layers.

A value is one of: an array that is known; a `Weight`; an array of objects, integers and `Dimension`s, where
it has been computed from sizes that are open; `Filled`, one number at such sizes; or a `KerasTensor`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ... import layers, ops, tuning
from ...core.keras_tensor import KerasTensor
from ...core.naming import numbered
from ...core.variable import take_all
from ...engines import current, use
from ...engines.spec import Dimension
from ...models import Model
from .._files import HARMLESS_BYTES, LARGEST_EXPANSION, BrokenFileError
from .._stores import Numbered
from ._file import File, Graph, Input, Node, Weight

Array = np.ndarray[Any, Any]
#: Of more elements a constant is a weight that isn't trained: configs are JSON.
_LARGE = 1024


class Unreadable(Exception):
    """Why a node can't be read, as the end of the sentence "no way to read ..."."""


class Strings:
    """What is made of strings, which no tensor holds: an output of it is left out."""


class Filled(NamedTuple):
    """A tensor of one number, of a shape with open sizes."""

    value: Array
    dims: tuple[Any, ...]


@dataclass(frozen=True)
class Handler:
    """How a kind of nodes is read.

    Args:
        function: Takes the reader and the operands, with the node's attributes by name. A parameter that was
            an attribute in earlier versions of an operation, and is an operand in later ones, takes both.
        tensors: How many operands it takes as tensors; the others, and all where it is 0, as they are.
        on_sizes: What it gives for arrays of open sizes, where it can.
        moves: Whether the numbers stay the same, so that a weight stays one.
        also: A function that takes some of the attributes for it.
    """

    function: Callable[..., Any]
    tensors: int | None = None
    on_sizes: Callable[..., Any] | None = None
    moves: bool = False

    also: Callable[..., Any] | None = None

    @cached_property
    def parameters(self) -> frozenset[str]:
        """What may be given by name."""
        functions = [self.function] if self.also is None else [self.function, self.also]
        return frozenset(name for one in functions for name in inspect.signature(one).parameters)


#: How each kind of nodes is read; the modules that read them put it in.
HANDLERS: dict[str, Handler] = {}


def reads(*kinds: str, **how: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function read kinds of nodes; `how` as of `Handler`."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        HANDLERS.update(dict.fromkeys(kinds, Handler(function, **how)))
        return function

    return mark


class Reader:
    """The reading of one file.

    Args:
        file: The file's model.
        called: What errors call it.
        size: Its bytes.
    """

    node: Node
    graph: Graph

    def __init__(self, file: File, called: str, size: int) -> None:
        self.file, self.opset, self.called = file, file.opset, called
        self.limit = max(HARMLESS_BYTES, LARGEST_EXPANSION * size)
        self.values: dict[str, Any] = {}
        self._symbols: dict[str, Dimension] = {}
        self._places: dict[Dimension, tuple[KerasTensor, int]] = {}
        self._tensors: dict[int, tuple[Any, KerasTensor]] = {}
        self._layers: dict[Any, Any] = {}
        self._moved: dict[Any, Any] = {}
        self._names: set[str] = set()

    def model(self, name: str) -> Any:
        """The model; with several inputs, or outputs, it takes and gives dictionaries."""
        graph = self.file.graph
        inputs = {given.name: self._input(given) for given in graph.inputs}
        if not inputs:
            raise BrokenFileError(
                f"A model must take something. Received: {self.called!r} without inputs."
            )
        self._anchor = next(iter(inputs.values()))
        results = zip(graph.outputs, self.run(graph, inputs), strict=True)
        outputs = {
            name: self._output(x) for name, x in results if not isinstance(self._plain(x), Strings)
        }
        if left_out := sorted(set(graph.outputs) - outputs.keys()):
            self.note("the outputs %s are left out: no tensor holds strings", left_out)
        if not outputs:
            raise NotImplementedError(
                "A model must give tensors of numbers. Received: strings alone, in "
                f"{self.called!r}. Export it with the probabilities as an output."
            )
        return Model(_alone(inputs), _alone(outputs), name=name)

    def _input(self, given: Input) -> KerasTensor:
        if given.shape is None:
            raise NotImplementedError(
                "The rank of what a model takes must be known. Received: "
                f"{given.name!r} without a shape in {self.called!r}. Export it with its shape."
            )
        dims = [
            self._symbols.setdefault(size or f"{given.name} {axis}", Dimension())
            if size is None or isinstance(size, str)
            else size
            for axis, size in enumerate(given.shape)
        ]
        shape = tuple(None if isinstance(size, Dimension) else size for size in dims)
        dtype = current().canonical_dtype(given.dtype)
        if dtype != given.dtype:
            where = given.name, given.dtype, dtype, current().name
            self.note("the input %r of %s is read as %s on %s", *where)
        x = layers.Input(batch_shape=shape, dtype=given.dtype, name=self._name(given.name))
        # Sizes of one name are equal.
        x.dims = tuple(dims)
        return self._noted(x)

    def _plain(self, x: Any) -> Any:
        return Strings() if isinstance(x, np.ndarray) and x.dtype.kind in "US" else x

    def _output(self, x: Any) -> KerasTensor:
        try:
            tensor = self.tensor(x)
        except Unreadable as error:
            raise NotImplementedError(
                f"A model must give tensors. Received: an output of {self.called!r}, and no way to "
                f"read {error}. Export it with fixed sizes, or without it."
            ) from None
        return tensor if isinstance(tensor, KerasTensor) else self._constant(tensor)

    # ------------------------------------------------------------------ nodes

    def run(self, graph: Graph, given: dict[str, Any]) -> list[Any]:
        """What a graph gives; one within a node reads the values around it, too."""
        around = self.values, getattr(self, "graph", graph), getattr(self, "node", None)
        self.values, self.graph = {**self.values, **graph.known, **given}, graph
        try:
            for node in graph.nodes:
                if node.outputs[0] not in self.values:  # else it went into the one before
                    self.values.update(zip(node.outputs, self._results(node), strict=False))
            return [self.value(name) for name in graph.outputs]
        finally:
            self.values, self.graph, self.node = around  # type: ignore[assignment]

    def value(self, name: str) -> Any:
        """The value of a name; None where an operand is left out."""
        if name and name not in self.values:
            raise BrokenFileError(
                "A node of an ONNX file must take what is there. Received: "
                f"{name!r} in {self.called!r}, which comes from nowhere. Export the file again."
            )
        return self.values[name] if name else None

    def _results(self, node: Node) -> Sequence[Any]:
        self.node = node
        try:
            handler = HANDLERS.get(node.kind)
            if handler is None:
                raise Unreadable("this operation")
            for name in node.attributes.keys() - handler.parameters:
                raise Unreadable(f"it with {name}={node.attributes[name]!s:.50}")
            results = self._made(handler, [self.value(name) for name in node.inputs])
            made = results if _is_several(results) else [results]
            for name in node.outputs[len(made) :]:
                if name in self.graph.consumers or name in self.graph.outputs:
                    raise Unreadable(f"its output {name!r}")
        except Unreadable as error:
            raise NotImplementedError(
                "A model is read from an ONNX file where each node is one that Cornu knows. Received: "
                f"{_said(node)} in {self.called!r}, and no way to read {error}. Export it with fixed "
                "sizes or another opset, or run the file by ONNX Runtime."
            ) from None
        except (ValueError, TypeError, LookupError, AttributeError, MemoryError) as error:
            if isinstance(error, BrokenFileError):
                raise
            raise BrokenFileError(
                f"A node of an ONNX file must fit what it takes. Received: {_said(node)} in "
                f"{self.called!r}: {error} Check the file by `onnx.checker.check_model`."
            ) from error
        return [self._noted(x) for x in made]

    def _made(self, handler: Handler, operands: list[Any]) -> Any:
        attributes = self.node.attributes
        if any(isinstance(self._plain(x), Strings) for x in operands):
            return [Strings() for _ in self.node.outputs]
        given = [x for x in operands if x is not None]
        if handler.on_sizes is not None and self._are_sizes(handler, operands):
            return _closed(handler.on_sizes(*operands, **attributes))
        known = all(isinstance(x, (Weight, np.ndarray)) and not _is_open(x) for x in given)
        if handler.tensors != 0 and known and not any(isinstance(x, Weight) for x in given):
            return self._computed(handler, operands)
        if handler.moves and known and not any(map(self.graph.is_shared, self.node.inputs)):
            return self._moved_weight(handler, operands)
        if handler.moves and isinstance(operands[0], Filled):
            return self._moved_number(handler, operands)
        count = len(operands) if handler.tensors is None else handler.tensors
        made: list[Any] = [None if x is None else self.tensor(x) for x in operands[:count]]
        if made and all(isinstance(x, np.ndarray) for x in made if x is not None):
            made[0] = self._constant(made[0])
        return handler.function(self, *made, *operands[count:], **attributes)

    def _are_sizes(self, handler: Handler, operands: list[Any]) -> bool:
        """Whether sizes are computed with, and not by: open ones, or integers of 64 bits."""
        given = [x for x in operands if x is not None]
        if not all(isinstance(x, np.ndarray) for x in given):
            return False
        among = given if handler.tensors is None else given[:1]
        return any(map(_is_open, among)) or all(x.dtype in ("int64", "bool") for x in given)

    def _moved_number(self, handler: Handler, operands: list[Any]) -> Any:
        """One number at what becomes of open sizes."""
        number, *others = operands
        place = KerasTensor((None,) * len(number.dims), number.value.dtype.name)
        place.dims = number.dims
        made = handler.function(self, place, *others, **self.node.attributes)
        made = list(made) if isinstance(made, (list, tuple)) else [made]
        return [Filled(number.value.astype(x.dtype), tuple(x.dims)) for x in made]

    def _computed(self, handler: Handler, operands: list[Any]) -> Any:
        """What is known, computed by NumPy."""
        with use("numpy"):
            made = handler.function(self, *operands, **self.node.attributes)
        results = list(made) if _is_several(made) else [made]
        arrays = [x if _is_value(x) else np.asarray(x) for x in results]
        self.bounded(sum(x.size for x in arrays if isinstance(x, np.ndarray)))
        return arrays

    def bounded(self, count: int) -> None:
        """See that a file makes no more numbers than it is likely to need."""
        if count * 8 > self.limit:
            raise BrokenFileError(
                "What a file has computed must be in proportion to its size. Received: "
                f"{_said(self.node)} in {self.called!r}, which makes {count:,} numbers. Do not use "
                "it unless you know where it is from."
            )

    def _moved_weight(self, handler: Handler, operands: list[Any]) -> Any:
        """A weight in another order or dtype is one weight; each time that the node runs the same."""
        key = (id(self.node), *map(id, operands))
        if key not in self._moved:
            arrays = [x.array if isinstance(x, Weight) else x for x in operands]
            name = next(x.name for x in operands if isinstance(x, Weight))
            made = self._computed(handler, arrays)
            self._moved[key] = operands, [Weight(name, x) for x in made]
        return self._moved[key][1]

    def _noted(self, x: Any) -> Any:
        """A value, from which open sizes can be read from now on."""
        if isinstance(x, KerasTensor) and x.dtype != "string":
            for axis, size in enumerate(x.dims):
                if isinstance(size, Dimension):
                    self._places.setdefault(size, (x, axis))
        return x

    # ----------------------------------------------------------------- values

    def array(self, x: Any, what: str) -> Array:
        """An array that must be known, as sizes and axes must."""
        if isinstance(x, Weight):
            return x.array
        if not isinstance(x, (np.ndarray, list, tuple, int, float)) or _is_open(x):
            raise Unreadable(f"{what} that it computes when it runs")
        return np.asarray(x)

    def integers(self, x: Any, what: str) -> list[int]:
        """Integers that must be known."""
        return [int(n) for n in self.array(x, what).reshape(-1)]

    def sizes(self, x: Any) -> list[Any]:
        """A shape that a node takes, in which sizes may be open."""
        if isinstance(x, np.ndarray) and x.dtype == object:
            return [n if isinstance(n, Dimension) else int(n) for n in x.reshape(-1)]
        return self.integers(x, "shapes")

    def are_all(self, x: Any, size: Any) -> bool:
        """Whether numbers are known to be one size, which may be open."""
        value = x.value if isinstance(x, Filled) else x
        return isinstance(value, np.ndarray) and all(n == size for n in value.reshape(-1))

    def dims(self, x: Any) -> tuple[Any, ...]:
        """A shape, with a `Dimension` where a size is open."""
        if isinstance(x, (KerasTensor, Filled)):
            return tuple(x.dims)
        return tuple(x.array.shape if isinstance(x, Weight) else np.shape(x))

    def tensor(self, x: Any) -> Any:
        """A value as what ops take."""
        if isinstance(x, Weight):
            return self._held(x, x.array, x.name, True)
        if isinstance(x, Filled):
            return self.filled(x.value, x.dims)
        if not isinstance(x, np.ndarray):
            return x
        if _is_open(x):
            sizes = [self._size(size) for size in x.reshape(-1)]
            return ops.reshape(ops.stack(sizes), x.shape)
        return x if x.size <= _LARGE else self._constant(x)

    def _constant(self, x: Array) -> KerasTensor:
        return self._held(x, x, "constant", False)

    def _held(self, key: Any, array: Array, name: str, trainable: bool) -> KerasTensor:
        """The tensor of a layer that holds an array."""
        if id(key) not in self._tensors:
            layer = layers.Weight(
                array.shape, dtype=array.dtype.name, trainable=trainable, name=self._name(name)
            )
            tensor = layer(self._anchor)
            take_all(layer.weights, Numbered.of([array]))
            self._tensors[id(key)] = key, tensor
        return self._tensors[id(key)][1]

    def _size(self, size: Any) -> Any:
        if isinstance(size, Dimension):
            return ops.cast(ops.sum(self.ones(size)), "int64")
        return np.asarray(size, "int64")

    def ones(self, size: Dimension) -> Any:
        """As many ones as an open size, read off a tensor that has it."""
        if size in self._places:
            x, place = self._places[size]
            key = tuple(slice(None) if axis == place else 0 for axis in range(len(x.dims)))
            return ops.ones_like(x[key], dtype="float32")
        factors = [Dimension(1, (symbol,)) for symbol in size.symbols]
        if len(factors) == 1 or not all(factor in self._places for factor in factors):
            raise Unreadable("a size that it computes from an open one")
        product = ops.reshape(self.filled(np.float32(1), tuple(factors)), (-1,))
        return ops.tile(product, (size.coefficient,)) if size.coefficient > 1 else product

    def filled(self, value: Any, dims: Iterable[Any]) -> Any:
        """One number at open sizes: a product of ones along each."""
        dims = tuple(dims)
        value = np.asarray(value).reshape(())
        known = [1 if isinstance(size, Dimension) else size for size in dims]
        result: Any = np.ones(known, "float32")
        for axis, size in enumerate(dims):
            if isinstance(size, Dimension):
                shape = [-1 if k == axis else 1 for k in range(len(dims))]
                result = ops.multiply(ops.reshape(self.ones(size), shape), result)
        if value.dtype == bool:
            return ops.greater(result, np.float32(0.5 if value else 1.5))
        result = ops.cast(result, value.dtype.name)
        return result if value == 1 else ops.multiply(result, value)

    # ----------------------------------------------------------------- layers

    def owns(self, *operands: Any) -> bool:
        """Whether a layer may take operands as its weights: they are known, and nothing else reads them."""
        held = [x for x in operands if x is not None]
        names = [name for name in self.node.inputs if any(self.value(name) is x for x in held)]
        known = all(isinstance(x, (Weight, np.ndarray)) for x in held)
        return known and not any(map(self.graph.is_shared, names))

    def layer(
        self, kind: Any, inputs: Any, weights: Sequence[Any], arrays: Any, **options: Any
    ) -> Any:
        """What a layer gives, with arrays as its weights; the same layer where a node is run again.

        Args:
            kind: The layer's class.
            inputs: What it is called on, or a list of that.
            weights: The weights of the file that it takes.
            arrays: Its weights, in the order of `Layer.weights`.
            options: Its arguments.
        """
        arrays = [np.asarray(x) for x in arrays]
        key = (kind, *map(id, weights), str(self.node.attributes), str(options))
        if key not in self._layers:
            name = self._name(self._scope(weights), kind.__name__)
            layer = kind(**options, dtype=arrays[0].dtype.name, name=name)
            self._layers[key] = weights, layer
        layer = self._layers[key][1]
        is_new = not layer.built
        outputs = layer(*inputs) if isinstance(inputs, list) else layer(inputs)
        if is_new:
            take_all(layer.weights, Numbered.of(arrays))
        return outputs

    def _scope(self, weights: Sequence[Any]) -> str:
        """What exporters call a layer: what weights' names begin with, or else its node."""
        name = next((x.name for x in weights if isinstance(x, Weight)), "")
        if "::" in name or not re.search(r"[./]", name):
            name = self.node.name
        return re.split(r"[./][^./]*$", name)[0]

    def _name(self, wanted: str, otherwise: str = "value") -> str:
        """A name that no layer has, as like to the wanted one as can be."""
        plain = re.sub(r"[^\w.-]+", "_", wanted).strip("_.") or otherwise.lower()
        name = next(name for name in numbered(plain) if name not in self._names)
        self._names.add(name)
        return name

    def note(self, message: str, *values: Any) -> None:
        """Say to the logger what is left out."""
        tuning.say("%s: " + message, self.called, *values)


def _is_open(x: Any) -> bool:
    """Whether a value has sizes that are open."""
    return isinstance(x, np.ndarray) and x.dtype == object


def _is_value(x: Any) -> bool:
    return isinstance(x, (Weight, Filled, KerasTensor, np.ndarray, Strings))


def _is_several(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and not _is_value(x)


def _closed(x: Any) -> Any:
    """An array of sizes, as numbers where all are known."""
    x = np.asarray(x)
    if _is_open(x) and not any(isinstance(size, Dimension) for size in x.reshape(-1)):
        return x.astype("bool" if x.size and isinstance(x.reshape(-1)[0], bool) else "int64")
    return x


def dtype_of(x: Any) -> str:
    """The name of the dtype of a tensor or an array."""
    return str(getattr(x.dtype, "name", x.dtype))


def known_op(function: Any, x: Any, *more: Any) -> Any:
    """An op, by NumPy where its operand is known."""
    if not isinstance(x, np.ndarray):
        return function(x, *more)
    with use("numpy"):
        return np.asarray(function(x, *more))


def _alone(values: dict[str, Any]) -> Any:
    """The one value of a dictionary, or else all of it."""
    return next(iter(values.values())) if len(values) == 1 else values


def _said(node: Node) -> str:
    return f"the node {node.name or node.outputs[0]!r} ({node.kind})"
