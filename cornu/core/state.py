"""Steps over variables: as pure functions of their values, compiled, and differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from .. import tuning
from ..engines import Engine, current
from ..engines.contract import Layout
from . import layouts, tree
from .masks import masks_of, put_masks
from .scopes import StatelessScope
from .variable import Variable


class ConstantWrittenError(Exception):
    """A step wrote variables that were declared constant, or not declared at all."""

    #: An engine that runs steps in another way when they fail lets this one through.
    stops_steps = True

    def __init__(self, variables: list[Variable]) -> None:
        super().__init__(f"written: {[variable.path for variable in variables]}")
        self.variables = variables


class VariableState:
    """Variables as the state of a compiled step (`engines.contract.State`).

    With `complete`, variables beside them that are written count as the step's own: made by it, and
    forgotten after it.
    """

    def __init__(
        self, changing: Sequence[Variable], constant: Sequence[Variable], complete: bool = False
    ) -> None:
        self.changing = _unique(changing)
        self.complete = complete
        known = {id(variable) for variable in self.changing}
        self.constant = [variable for variable in _unique(constant) if id(variable) not in known]

    def read(self) -> tuple[list[Any], list[Any]]:
        """The values that the variables hold now, on the current engine."""
        engine = current()
        return _values(engine, self.changing), _values(engine, self.constant)

    def layouts(self) -> tuple[list[Layout | None], list[Layout | None]]:
        """How the variables lie on several devices."""
        changing, constant = self.changing, self.constant
        return [v._held.layout for v in changing], [v._held.layout for v in constant]

    def containers(self) -> tuple[list[Any], list[Any]]:
        """What the variables hold on the current engine; the same as long as somebody holds it too."""
        engine = current()
        return _containers(engine, self.changing), _containers(engine, self.constant)

    @contextmanager
    def bound(
        self, changing: Sequence[Any], constant: Sequence[Any]
    ) -> Iterator[Callable[[], list[Any]]]:
        """Within it, the variables have these values; the yielded call gives the new ones."""
        pairs = zip([*self.changing, *self.constant], [*changing, *constant], strict=True)
        with StatelessScope.of(pairs) as scope:
            yield lambda: [scope.get_current_value(variable) for variable in self.changing]
            declared = {id(variable) for variable in self.changing}
            constants = {id(variable) for variable in self.constant}
            written = [
                variable
                for variable, _ in scope.updates()
                if id(variable) in constants or not (self.complete or id(variable) in declared)
            ]
            if written:
                raise ConstantWrittenError(written)

    def write(self, changing: Sequence[Any]) -> None:
        """Store the values that a step returned."""
        engine = current()
        for variable, value in zip(self.changing, changing, strict=True):
            variable._store(engine, value)


def _unique(variables: Sequence[Variable]) -> list[Variable]:
    return list({id(variable): variable for variable in variables}.values())


def _containers(engine: Engine, variables: list[Variable]) -> list[Any]:
    return [
        (held if (held := variable._held).engine is engine else variable.move_to(engine)).container
        for variable in variables
    ]


def _values(engine: Engine, variables: list[Variable]) -> list[Any]:
    return [engine.read(container) for container in _containers(engine, variables)]


class CompiledStep:
    """A step as one native call of the current engine, compiled once for each engine.

    Args:
        step: The function to run; it may read and write variables.
        changing: The variables that it changes.
        constant: The variables that it only reads. One that turns out to be written becomes a
            changing one, and the step is compiled again; so does one that was not declared, such as
            the state of the generator of draws that name no seed.
        jit: Whether the library's compiler is used; None leaves it to the engine.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        changing: Sequence[Variable],
        constant: Sequence[Variable] = (),
        jit: bool | None = None,
    ) -> None:
        self.step = step
        self.jit = jit
        self.state = VariableState(changing, constant)
        self.compiled: dict[Engine, Callable[..., Any]] = {}
        #: What others draw from, or was written without being declared: one step at a time has it, in one order.
        self._shared = sorted((v for v in self.state.changing if v.is_shared), key=id)

    def __call__(self, *args: Any) -> Any:
        engine = current()
        call = self.compiled.get(engine)
        if call is None:
            if self.compiled:
                tuning.say("A step is compiled for another engine, %s.", engine.name)
            call = self.compiled[engine] = engine.compile(self.step, self.state, self.jit)
            if engine.distributes:
                layouts.note(self)
        try:
            if not self._shared:
                return call(*args)
            with ExitStack() as locks:
                for variable in self._shared:
                    locks.enter_context(variable.lock)
                return call(*args)
        except ConstantWrittenError as error:
            tuning.say("A step is compiled again, for it writes what it was to read: %s.", error)
            declared = {id(variable) for variable in self.state.constant}
            written = [v for v in error.variables if id(v) not in declared]
            self._shared = sorted(_unique([*self._shared, *written]), key=id)
            self.state = VariableState(
                [*self.state.changing, *error.variables], self.state.constant, complete=True
            )
            self.compiled.clear()
            return self(*args)

    def leave_devices(self) -> None:
        """Be compiled anew: a program has the layouts of its time in it."""
        self.compiled.clear()


class RepeatedStep(CompiledStep):
    """A step as one native call that runs it several times: `step(data)` on each slice of stacked data.

    Its result is that of the last time.
    """

    def __init__(
        self,
        step: Callable[[Any], Any],
        changing: Sequence[Variable],
        constant: Sequence[Variable] = (),
        jit: bool | None = None,
    ) -> None:
        super().__init__(self._repeat, changing, constant, jit)
        self.once = step
        #: Whether the step could be traced the last time that it was to be.
        self.is_traced = False

    def _repeat(self, stacked: Any) -> Any:
        self.is_traced = False
        state = self.state
        constant = [variable.value for variable in state.constant]

        def turn(changing: Any, data: Any) -> tuple[Any, Any]:
            with state.bound(changing, constant) as collect:
                result = self.once(data)
                return collect(), result

        before = [variable.value for variable in state.changing]
        after, results = current().scan(turn, before, stacked, None, False)
        for variable, value in zip(state.changing, after, strict=True):
            variable.assign(value)
        last = tree.map_structure(lambda x: current().get_item(x, (-1,)), results)
        self.is_traced = True
        return last


def value_and_grad(
    function: Callable[..., Any], variables: Sequence[Variable], has_aux: bool = False
) -> Callable[..., tuple[Any, list[Any]]]:
    """A function that also gives the gradients of its result with respect to variables.

    Args:
        function: Gives a scalar, or with `has_aux` a pair `(scalar, anything)`. It may read and
            write variables; what it writes is kept.
        variables: The variables to differentiate by.
        has_aux: Whether the function gives a pair. Tensors beside the scalar keep their masks.

    Returns:
        A call with the function's arguments that gives `(result, gradients)`.

    >>> import numpy as np
    >>> from cornu import ops
    >>> w = Variable(np.array([1.0, 2.0]))
    >>> value, (gradient,) = value_and_grad(lambda x: ops.sum(w * w * x), [w])(3.0)
    >>> float(value), gradient.tolist()
    (15.0, [6.0, 12.0])
    """
    variables = list(variables)

    def call(*args: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
        written: list[Variable] = []

        def pure(values: list[Any]) -> tuple[Any, Any]:
            with StatelessScope.of(zip(variables, values, strict=True)) as scope:
                result = function(*args, **kwargs)
                updates = scope.updates()
            written[:] = [variable for variable, _ in updates]
            loss, aux = result if has_aux else (result, None)
            return loss, (aux, masks_of(aux), [value for _, value in updates])

        values = [variable.value for variable in variables]
        (loss, (aux, masks, new_values)), gradients = current().value_and_grad(pure)(values)
        put_masks(aux, masks)
        for variable, value in zip(written, new_values, strict=True):
            variable.assign(value)
        return ((loss, aux) if has_aux else loss), gradients

    return call
