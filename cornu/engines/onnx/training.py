"""The ONNX engine of training steps: what it writes is differentiated too, by rules over primitives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import optree

from .. import loops
from ..contract import Engine, Tensor
from ..differentiation.engine import Differentiable, traced_members
from ..differentiation.traced import Traced
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
