"""Compiled steps of the TensorFlow engine: graph functions that hold the variables, by XLA where it wins."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import optree
import tensorflow as tf

from ... import tuning
from .. import programs
from ..contract import Engine, State, Tensor
from ..loops import flatten

#: How many shapes of its arguments a step is traced for exactly; later ones share a trace in which
#: the sizes that differ are unknown.
_EXACT_SHAPES = 4
#: Ops that XLA computes slower on a CPU, or otherwise, so that a step with one runs without it: a
#: training step of a small CNN takes 22 ms, and 38 by XLA. Without such ops XLA wins: 0.75 against
#: 1.48 ms for a tiny MLP, 5.5 against 5.9 for one of 784-256-128-10, 26 against 33 for an LSTM, 23
#: against 33 for a small GPT.
_NOT_FOR_XLA = frozenset(
    "Conv2D Conv3D DepthwiseConv2dNative MaxPool AvgPool Svd SelfAdjointEigV2 Eig Qr".split()
)
_LOOPS = frozenset(["While", "StatelessWhile"])
#: The exact class of tensors that have values. Making one to ask would start TensorFlow's threads, and who has them
#: can't be forked.
EAGER = tf.__internal__.EagerTensor


def unflatten(structure: Any, leaves: Any) -> Any:
    """A tree of that structure."""
    return optree.tree_unflatten(structure, leaves)


class GraphStep:
    """A step over variables as one graph function for each shape of its arguments.

    The functions hold the variables' containers, which therefore stay the same (`State.containers`).
    """

    def __init__(
        self, engine: Engine, step: Callable[..., Any], state: State, jit: bool | None
    ) -> None:
        self.engine = engine
        self.step = step
        self.state = state
        self.jit = jit
        self.containers: tuple[list[Any], list[Any]] = ([], [])
        self.traces: dict[Any, _Trace] = {}
        self.shapes: dict[Any, list[Any]] = {}
        self._kinds: list[programs.Kind] = []

    def __call__(self, *args: Any) -> Any:
        self.containers = self.state.containers()
        leaves, structure = flatten(args)
        for i, leaf in enumerate(leaves):
            if leaf.__class__ is not EAGER:
                leaves[i] = self.engine.convert_to_tensor(leaf)
        key = (structure, *[(x._shape_tuple(), x.dtype) for x in leaves])
        trace = self.traces.get(key)
        if trace is None:
            start = time.perf_counter()
            trace = self.traces[key] = self._traced(structure, leaves)
            seconds = time.perf_counter() - start
            programs.say_made("traced", self.step, leaves, seconds, self._kinds)
        return trace(leaves)

    def _traced(self, structure: Any, leaves: list[Tensor]) -> _Trace:
        """A graph function for such arguments."""
        made: list[Any] = []

        def flat(*leaves: Tensor) -> list[Tensor]:
            results, shape = flatten(self._run(unflatten(structure, leaves)))
            made[:] = [shape]
            return results

        specs = self._specs(structure, leaves)
        try:
            return _Trace(flat, specs, made, self.jit)
        except (TypeError, ValueError) as error:  # of what needs to know sizes
            exact = [tf.TensorSpec(x.shape, x.dtype) for x in leaves]
            if exact == specs:
                raise
            tuning.say("A step can't be traced for all sizes, so it is for each: %r.", error)
            return _Trace(flat, exact, made, self.jit)

    def _specs(self, structure: Any, leaves: list[Tensor]) -> list[Any]:
        """What a trace is made for: exact shapes at first, then those that fit all shapes seen."""
        kind = (structure, *((len(leaf.shape), leaf.dtype) for leaf in leaves))
        seen = self.shapes.setdefault(kind, [])
        seen.append([tuple(leaf.shape) for leaf in leaves])
        if len(seen) <= _EXACT_SHAPES:
            return [tf.TensorSpec(x.shape, x.dtype) for x in leaves]
        columns = [zip(*shapes, strict=True) for shapes in zip(*seen, strict=True)]
        shapes = [[n[0] if len(set(n)) == 1 else None for n in sizes] for sizes in columns]
        self.shapes[kind] = seen[:_EXACT_SHAPES]
        return [tf.TensorSpec(shape, x.dtype) for shape, x in zip(shapes, leaves, strict=True)]

    def _run(self, args: Any) -> Any:
        """The step in a graph: variables read, and what is new stored once all of it is computed, so
        that a step that fails stores nothing."""
        read, tensor = self.engine.read, self.engine.convert_to_tensor
        changing = [read(held) for held in self.containers[0]]
        constant = [held.read_value() for held in self.containers[1]]
        with self.state.bound(changing, constant) as collect:
            results, structure = flatten(self.step(*args))
            after = collect()
        pairs = zip(self.containers[0], changing, after, strict=True)
        changed = [(held, tensor(value)) for held, before, value in pairs if value is not before]
        results = [tf.identity(tensor(x)) for x in results]
        with tf.control_dependencies([*results, *(value for _, value in changed)]):
            for held, value in changed:
                held.assign(value, read_value=False)
        return unflatten(structure, results)


class _Trace:
    """A graph function, and from some call on (`tuning.xla_from`) the same by XLA where that wins and can.

    With `jit` XLA compiles it at once, whether or not it wins; with False, never.

    What XLA has compiled stays until the process ends, 7 to 12 MB a step, and nothing lets go of it. So a step is
    compiled when its calls have taken as long as compiling would: models that come and go aren't. And only so many
    are, unless they are asked for.
    """

    #: How many steps were compiled that nobody asked for.
    compiled = 0

    def __init__(
        self, flat: Callable[..., Any], specs: list[Any], made: list[Any], jit: bool | None
    ) -> None:
        self.flat = flat
        self.specs = specs
        self.jit = jit
        self.call = tf.function(flat, autograph=False).get_concrete_function(*specs)
        self.made = made[0]
        #: Whether it is decided who computes the step.
        self.is_chosen = False
        self.calls = 0
        self.seconds = math.inf  # of the shortest

    def __call__(self, leaves: list[Tensor]) -> Any:
        if not self.is_chosen:
            self._choose(leaves)
        if self.is_chosen:
            return unflatten(self.made, self.call(*leaves))
        start = time.perf_counter()
        results = self.call(*leaves)
        self.calls += 1
        self.seconds = min(self.seconds, time.perf_counter() - start)
        return unflatten(self.made, results)

    def _choose(self, leaves: list[Tensor]) -> None:
        """Decide who computes the step, if it is time to."""
        chosen = tuning.xla_from() if self.jit is None else int(self.jit)
        if chosen and not self.jit:
            spent = self.calls * self.seconds if self.calls else 0.0
            if self.calls + 1 < chosen or spent < tuning.XLA_SECONDS:
                return
        self.is_chosen = True
        if chosen and (self.jit or self._is_worth_it()):
            self._compile(leaves)

    def _is_worth_it(self) -> bool:
        """Whether XLA wins, and may keep one more program."""
        if _Trace.compiled >= tuning.XLA_PROGRAMS or not _suits_xla(self.call, self.seconds):
            return False
        _Trace.compiled += 1
        return True

    def _compile(self, leaves: list[Tensor]) -> None:
        """Have XLA compile the step, where it can.

        The step is traced again: XLA takes gradients of loops that were traced for it only. What XLA
        lacks it says while the step is lowered, before anything has run.
        """
        jitted = tf.function(self.flat, autograph=False, jit_compile=True)
        start = time.perf_counter()
        try:
            call = jitted.get_concrete_function(*self.specs)
            jitted.experimental_get_compiler_ir(*leaves)(stage="hlo")
        except (
            tf.errors.OpError,
            ValueError,
            TypeError,
        ) as error:  # an op or a size that XLA lacks
            level = "warning" if self.jit else "info"  # whether it was asked for
            tuning.say("XLA can't compile a step: %s", error, level=level)
        else:
            self.call = call
            tuning.say("XLA compiles a step, lowered in %.2f s.", time.perf_counter() - start)


def _suits_xla(graph: Any, seconds: float) -> bool:
    """Whether every size is known, there is no op that XLA makes slower, and calls of kernels count."""
    definition = graph.graph.as_graph_def()
    nodes = [*definition.node]
    nodes += [node for function in definition.library.function for node in function.node_def]
    inputs = [x for x in graph.inputs if x.dtype != tf.resource]
    known = all(x.shape.is_fully_defined() for x in inputs)
    ops = {node.op for node in nodes}
    return known and not _NOT_FOR_XLA & ops and (seconds < tuning.LONG_STEP or bool(_LOOPS & ops))
