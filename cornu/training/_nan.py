"""Where a NaN comes from: the first operation that makes one, forward or backward.

`guarded` steps leave everything as it was before the first step that gives a NaN. So that step can run again,
operation by operation, and each operation is asked: are its operands numbers, and its results not?
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from .. import ops, tuning
from ..core import naming, tree
from ..core.dtypes import is_float
from ..core.masks import get_keras_mask, set_keras_mask
from ..core.scopes import StatelessScope, here, within
from ..core.variable import Variable
from ..engines import Engine, current
from ..losses import Loss
from ..metrics import Metric
from ..optimizers import Optimizer

_search: ContextVar[_Search | None] = ContextVar("search", default=None)
_swapping = threading.Lock()


@dataclass(frozen=True)
class Origin:
    """Where the first number went wrong.

    Attributes:
        value: What came up, `"NaN"` or `"infinity"`.
        way: `"forward"` or `"backward"`; `"data"` or `"weights"` where it was there before the step.
        operation: The operation that made it; None where it is a function of the engine's library.
        layer: The path of the layer it was made in; None outside of layers.
        within: The loss, metric or optimizer that it was made in, outside of layers.
        found: How many numbers of what went wrong, and in which range the others and the operands lie.
        line: The user's line, where one led there.
    """

    value: str
    way: str
    found: str
    operation: str | None = None
    layer: str | None = None
    within: str | None = None
    line: str | None = None

    def __str__(self) -> str:
        if self.way in ("data", "weights"):
            return f"The {self.way} had {self.value} before the step: {self.found}."
        maker = f"`{self.operation}`" if self.operation else "a function of the engine's library"
        where = f"in the layer {self.layer!r}" if self.layer else f"in {self.within}"
        line = f" ({self.line})" if self.line else ""
        return (
            f"The first {self.value} was made {self.way}, by {maker} {where}{line}: {self.found}."
        )


def find_nan(function: Callable[..., Any], *args: Any) -> Origin | None:
    """The operation that makes the first NaN, else the first infinity, when a function runs; None if none does.

    The function runs operation by operation, and changes no variable. What it differentiates by
    `cornu.value_and_grad` is looked at backward, too, but on PyTensor, and there for infinity at once.

    Args:
        function: A step of training, say; it may run twice.
        *args: What it is called with.

    >>> from cornu import Variable, ops, value_and_grad
    >>> x = Variable([0.0, 4.0])
    >>> print(find_nan(value_and_grad(lambda: ops.sum(ops.sqrt(x)), [x])))
    The first infinity was made backward, by `sqrt` in no layer: 1 of 2 numbers ...
    """
    for value, test in (("NaN", "isnan"), ("infinity", "isinf")):
        search = _Search(current(), value, test, sys._getframe())
        with search.running(), StatelessScope(), tuning.whole_calls(0):
            function(*args)
        if search.origin is not None:
            return search.origin
    return None


class _Search:
    """What looks at each operation of the outermost kind, and at the results of layers."""

    def __init__(self, engine: Engine, value: str, test: str, outside: FrameType) -> None:
        self.engine, self.value = engine, value
        self.test = getattr(engine, test)
        self.origin: Origin | None = None
        self._outside = outside

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within it, operations and layers are looked at."""
        with _swapping:  # other threads' operations go through it, and are not looked at
            bodies = self.engine.bodies
            self.engine.bodies = _Bodies(self.engine, bodies)
            try:
                with within(_search, self), within(here.watch, self):
                    yield
            finally:
                self.engine.bodies = bodies

    # --- layers, for what they call besides operations

    def enter(self, layer: Any, args: Any, kwargs: Any) -> None:
        """A call begins."""

    def leave(self, layer: Any, outputs: Any) -> Any:
        """A call has ended: with what is no number, made by no operation?"""
        path = getattr(layer, "path", None)
        if path is None or outputs is None:
            return outputs
        self._look(outputs, lambda: {"layer": path})
        return self._seen_backward(outputs, lambda: {"layer": path})

    # --- operations

    def run(self, op: Any, body: Callable[..., Any], args: Sequence[Any]) -> Any:
        """An operation's result; it is noted if it is the first that is no number."""
        place = {**self._place(), "operation": op.name}
        given = list(args)
        for i, _ in op.tensors:
            given[i] = self._seen_backward(given[i], lambda: place)
        with within(_search, None):
            result = body(*given)
        operands = [args[i] for i, _ in op.tensors]
        if not any(self._count(x) for x in tree.flatten(operands)):
            self._look(result, lambda: place, operands)
        return self._seen_backward(result, lambda: {**place, "operation": None})

    def _look(self, result: Any, place: Callable[[], Any], operands: Any = ()) -> None:
        for x in tree.flatten(result):
            if self.origin is None and (count := self._count(x)):
                given = [
                    self._described(one) for one in tree.flatten(operands) if self._is_float(one)
                ]
                self._note("forward", place(), x, count, given)

    def _note(
        self, way: str, place: dict[str, Any], x: Any, count: int, operands: list[str]
    ) -> None:
        size = int(np.prod(self.engine.shape_of(x)))
        found = f"{count} of {size} numbers of {self._described(x)}"
        if operands:
            found += f"; operands: {', '.join(operands)}"
        value = self.value if way == "forward" or self._count(x) else "infinity"
        self.origin = Origin(value, way, found, **place)

    def _seen_backward(self, structure: Any, place: Callable[[], Any]) -> Any:
        """Tensors whose gradients are looked at when they come."""

        def seen(x: Any) -> Any:
            if self.origin is not None or not self._is_float(x):
                return x
            described = self._described(x)  # while it has a value

            def look(gradient: Any) -> None:
                # An infinite gradient is as wrong, and the NaN follows from it.
                if self.origin is None and (count := self._count(gradient, self._is_wrong)):
                    self._note("backward", place(), gradient, count, [described])

            mask = get_keras_mask(x)
            with within(_search, None):
                watched = self.engine.watch_gradient(x, look)
            if mask is not None:
                set_keras_mask(watched, mask)
            return watched

        return tree.map_structure(seen, structure)

    def _is_float(self, x: Any) -> bool:
        return self.engine.is_tensor(x) and is_float(self.engine.dtype_of(x))

    def _is_wrong(self, x: Any) -> Any:
        return self.engine.logical_not(self.engine.isfinite(x))

    def _count(self, x: Any, test: Callable[[Any], Any] | None = None) -> int:
        """How many elements are no numbers; 0 where that can't be known, as within a compiled function."""
        if not self._is_float(x):
            return 0
        try:
            return int(self.engine.convert_to_numpy((test or self.test)(x)).sum())
        except Exception:
            return 0

    def _described(self, x: Any) -> str:
        """Shape, dtype and range of a tensor."""
        engine = self.engine
        said = f"{tuple(engine.shape_of(x))} {engine.dtype_of(x)}"
        try:
            values = np.asarray(engine.convert_to_numpy(engine.stop_gradient(x)), "float64")
        except Exception:
            return said
        finite = values[np.isfinite(values)]
        between = f" between {finite.min():.3g} and {finite.max():.3g}" if finite.size else ""
        return f"{said}{between}"

    def _place(self) -> dict[str, Any]:
        """Where the code runs now: in which layer, else loss, metric or optimizer, and at which line of the user's."""
        layer = here.calling.get()
        place: dict[str, Any] = {"layer": layer.path if layer is not None else None}
        if layer is None:
            place["within"] = "no layer"
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame is not self._outside:
            owner = frame.f_locals.get("self")
            if layer is None and isinstance(owner, (Loss, Metric, Optimizer)):
                place["within"] = f"{type(owner).__name__} {owner.name!r}"
            if "line" not in place and not naming.runs_here(frame):
                code = frame.f_code
                if "site-packages" not in code.co_filename:
                    place["line"] = f"{code.co_filename}:{frame.f_lineno}, in {code.co_name}"
            frame = frame.f_back
        return place


class _Bodies(dict[Any, Callable[..., Any]]):
    """An engine's bodies of operations, which a search goes through."""

    def __init__(self, engine: Engine, bodies: dict[Any, Callable[..., Any]]) -> None:
        super().__init__()
        self.engine, self.bodies = engine, bodies

    def __setitem__(self, op: Any, body: Callable[..., Any]) -> None:
        self.bodies[op] = body

    def get(self, op: Any, default: Any = None) -> Callable[..., Any]:
        """The operation's body, looked at where a search goes on."""
        body = self.bodies.get(op) or op.resolve(self.engine)
        search = _search.get()
        return body if search is None else lambda *args: search.run(op, body, args)

    def __getitem__(self, op: Any) -> Callable[..., Any]:
        return self.get(op)


# ------------------------------------------------------------------- in training


class Guard:
    """Steps that change nothing once one of them has given what is no number."""

    def __init__(self) -> None:
        self.is_good = Variable(np.True_, dtype="bool", trainable=False, name="is_good")
        self.step: Callable[[Any], Any] = lambda data: None

    def guarded(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The step, whose writes hold where all of them are numbers."""
        self.step = step

        def run(data: Any) -> Any:
            with StatelessScope() as scope:
                result = step(data)
            written = [(v, v.value, new) for v, new in scope.updates()]
            checks = [_is_well(old, new) for v, old, new in written if is_float(v._dtype)]
            good = ops.all(ops.stack([self.is_good.value, *checks]))
            for variable, old, new in written:
                variable.assign(ops.where(good, new, old))
            self.is_good.assign(good)
            return result

        return run

    def begin(self) -> None:
        """Start again."""
        self.is_good.assign(np.True_)

    def origin(self, model: Any, execution: Any) -> Origin | None:
        """Where the first NaN of an execution came from; None where all were numbers, or now are."""
        if bool(self.is_good):
            return None
        before = _before(model, execution)
        if before is not None:
            return before
        found = (find_nan(self.step, data) for data in execution)
        return next((origin for origin in found if origin is not None), None)


def _is_well(old: Any, new: Any) -> Any:
    """Whether a value is numbers, or was none before. A sum passes over memory once."""
    return ops.logical_or(ops.isfinite(ops.sum(new)), ops.logical_not(ops.isfinite(ops.sum(old))))


def _name(path: tuple[Any, ...]) -> str:
    """What a user calls a part of an execution: a list of batches `(x, y, sample_weight)`."""
    _, *place = path
    names = dict(enumerate(("x", "y", "sample_weight")))
    return (
        f"{names.get(place[0], place[0])}{''.join(f'[{key!r}]' for key in place[1:])}"
        if place
        else "x"
    )


def _before(model: Any, execution: Any) -> Origin | None:
    """NaN that the data or the model has already."""
    data = [("data", _name(path), x) for path, x in tree.flatten_with_path(list(execution))]
    weights = [("weights", variable.path, variable.numpy()) for variable in model.variables]
    for way, name, x in (*data, *weights):
        if x is None:
            continue
        array = np.asarray(current().convert_to_numpy(x) if current().is_tensor(x) else x)
        if is_float(array.dtype.name):
            count = int(np.isnan(array.astype("float64")).sum())
            if count:
                return Origin("NaN", way, f"{count} of {array.size} numbers of {name}")
    return None
