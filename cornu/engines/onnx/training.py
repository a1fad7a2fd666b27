"""The ONNX engine of training steps: what it writes is differentiated too, by rules over primitives."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import optree

from .. import loops
from ..contract import Engine, Tensor
from ..differentiation.engine import Differentiable, traced_members
from ..differentiation.traced import Traced
from ..graphs.graph import Value
from ..indexing import full_key
from .engine import OnnxEngine

_GRADIENTS = ("value_and_grad", "vjp", "jvp")


class OnnxTrainingEngine(OnnxEngine, Differentiable):
    """A step of training as nodes: weights, and what is kept beside them, are inputs of the graph.

    Methods of `OnnxEngine` come before those of `Differentiable` but for transforms; below they are
    wrapped for operands that are differentiated.
    """

    name = "onnx_training"
    trains: ClassVar[bool] = True
    writes_files: ClassVar[bool] = False  # weights change from one step to the next
    native = OnnxEngine.native | {Traced}
    refused: ClassVar[Mapping[str, str]] = {
        name: reason
        for name, reason in OnnxEngine.refused.items()
        if not name.startswith("random_") and name not in _GRADIENTS
    }

    def put(self, values: list[Tensor], keys: list[Any], shape: tuple[Any, ...]) -> Tensor:
        """Blocks are padded and rows scattered: runtimes scatter single elements slowly."""
        parts, others = [], []
        for value, key in zip(values, keys, strict=True):
            entries = [entry for entry in full_key(len(shape), key) if entry is not None]
            if all(map(_is_known, entries, shape)):
                parts.append(self._framed(value, entries, shape))
            elif len(key) == 1 and isinstance(key[0], Value):
                zeros = self.full(shape, 0, value.dtype)
                parts.append(self.scatter(zeros, self._last(key[0]), value, "add"))
            else:
                others.append((value, key))
        if others:
            rest, places = (list(column) for column in zip(*others, strict=True))
            parts.append(Differentiable.put(self, rest, places, shape))
        return functools.reduce(self.add, parts)

    def _framed(self, value: Value, entries: Sequence[Any], shape: tuple[Any, ...]) -> Tensor:
        """What integers and slices took of a shape, at its places, with zeros between and around."""
        taken = [_taken(entry, size) for entry, size in zip(entries, shape, strict=True)]
        x = self.reshape(value, tuple(count for count, _, _ in taken))
        if any(step > 1 for _, step, _ in taken):
            x = self.reshape(x, tuple(n for count, _, _ in taken for n in (count, 1)))
            after = [pads for _, step, _ in taken for pads in ((0, 0), (0, step - 1))]
            x = self.reshape(
                self.pad(x, tuple(after), 0), tuple(count * step for count, step, _ in taken)
            )
        return self.pad(x, tuple(pads for _, _, pads in taken), 0)

    def cond(self, pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        """Both branches, of which one is chosen, where either is differentiated."""
        results = [self._tensors(branch()) for branch in (true_fn, false_fn)]
        if not any(map(_is_traced, results)):
            return OnnxEngine.cond(self, pred, true_fn, false_fn)
        return optree.tree_map(lambda a, b: self.where(pred, a, b), *results)

    def while_loop(
        self, cond: Callable[..., Tensor], body: Callable[..., Any], state: tuple[Any, ...]
    ) -> Any:
        if _is_traced(state):
            raise NotImplementedError(
                "A loop of unknown length has no gradient in a file. Received: a `while_loop` on what is "
                "differentiated. Write it as `ops.scan` of a known length."
            )
        return OnnxEngine.while_loop(self, cond, body, state)

    def scan(
        self,
        f: Callable[[Any, Any], tuple[Any, Any]],
        init: Any,
        xs: Any,
        length: int | None,
        reverse: bool,
    ) -> tuple[Any, Any]:
        """A loop turn by turn: the way back visits each."""
        return loops.scan(self, f, init, xs, length, reverse)


def _is_known(entry: Any, size: Any) -> bool:
    """Whether it is known what an entry of a key takes of an axis."""
    if not isinstance(entry, slice):
        return isinstance(entry, int)
    bounds = (size, entry.start, entry.stop)
    return entry == slice(None) or all(x is None or isinstance(x, int) for x in bounds)


def _taken(entry: Any, size: Any) -> tuple[Any, int, tuple[Any, Any]]:
    """How many elements an entry takes of an axis, in what steps, and how many lie before and behind."""
    if entry == slice(None):
        return size, 1, (0, 0)
    part = range(size)[entry if isinstance(entry, slice) else slice(entry, entry + 1 or None)]
    return len(part), part.step, (part.start, size - part.start - len(part) * part.step)


def _is_traced(tree: Any) -> bool:
    return any(leaf.__class__ is Traced for leaf in optree.tree_leaves(tree))


def _methods() -> dict[str, Any]:
    """What of the engine that writes takes differentiated operands, and the transforms of the other."""
    own = vars(OnnxTrainingEngine)
    writing = {
        name: member
        for name, member in inspect.getmembers(OnnxEngine, inspect.isfunction)
        if member is not getattr(Engine, name, None) and name not in own
    }
    transforms = ("custom_gradient", "remat", "vectorized_map", *_GRADIENTS)
    return traced_members(writing) | {name: vars(Differentiable)[name] for name in transforms}


for _name, _member in _methods().items():
    setattr(OnnxTrainingEngine, _name, _member)
