"""Transforms: what a layer computes with, where that is not what its variable stores.

A mask, codes of a few bits, a product of two small matrices that is added: a variable may have a chain
of them. Within a layer's call it reads through the chain, whoever wrote the layer; everybody else
(optimizers, regularizers, constraints, files) reads and writes what is stored, so gradients flow to it
through the chain. Where an op has a variable for an operand and can be computed more cheaply than by the
transformed value, a transform says how: its `product`.

Outputs of layers, and what they are called on, pass through transforms in the same way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from ..engines import current, use
from . import naming
from .described import Described
from .dtypes import is_float
from .scopes import StatelessScope, here, within
from .variable import Variable

if TYPE_CHECKING:
    from .op import Op

#: The order of a chain, from what is stored to what is read.
CODES, MASK, CLUSTER, FAKE, UPDATE = 0, 10, 20, 30, 40


class Transform(Described):
    """One step from what a variable stores to what layers compute with.

    A subclass computes in `value`; what it needs for that beside constants it makes in `build`, by `part`.
    It has no place for a variable of its own elsewhere: a step that is compiled would take it for a constant.

    >>> import numpy as np
    >>> from cornu import layers
    >>> class Half(Transform):
    ...     def value(self, stored):
    ...         return stored / 2
    >>> layer = layers.Dense(1, kernel_initializer="ones")
    >>> layer.build((None, 4))
    >>> half = layer.add_transform(layer.kernel, Half())
    >>> layer(np.ones((1, 4))).tolist(), float(layer.kernel.numpy().sum())
    ([[2.0]], 4.0)
    >>> layer.remove_transform(layer.kernel, half)
    >>> layer(np.ones((1, 4))).tolist()
    [[4.0]]
    """

    #: Where it stands in a chain: those with lower numbers come before it.
    order: ClassVar[int] = MASK
    #: Whether it is what the dtype policy of its layer means by quantized.
    quantizes: ClassVar[bool] = False
    #: Whether files of weights have the value in the place of what is stored, as of a plain layer, and no parts.
    is_baked: ClassVar[bool] = False
    #: Whether it stores codes, and has new ones where files have a value.
    encodes: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        #: Its own variables, by name: weights of the layer that owns what is transformed.
        self.parts: dict[str, Variable] = {}
        self._owner: Any = None
        self._of = ""
        #: How often a number has changed that compiled steps have for a constant.
        self.version = 0

    def __repr__(self) -> str:
        where = "" if self._owner is None else f" of {self._owner.path}/{self._of}"
        return f"<{type(self).__name__}{where}>"

    def change(self) -> None:
        """Note that a number has changed that compiled steps have for a constant: they are made again."""
        self.version += 1
        self._owner._tracker.change()

    def attach(self, owner: Any, of: str, variable: Variable | None) -> None:
        """Become a transform of a layer's variable, or of what passes through it (`inputs`, `outputs`)."""
        if self._owner is not None:
            raise ValueError(
                f"A transform belongs to one variable. Received: {type(self).__name__}, which is one "
                f"of {self._of!r} of the layer {self._owner.path!r}. Make another."
            )
        self._owner, self._of = owner, of
        try:
            above = owner.path.rpartition("/")[0]
            with owner._tracker.unlocked(), naming.at_path(above):
                self.build(owner, variable)
        except BaseException:
            self.detach()
            raise

    def detach(self) -> None:
        """Give up what `build` made."""
        if self._owner is not None:
            for part in self.parts.values():
                self._owner._tracker.forget(part)
        self.parts, self._owner, self._of = {}, None, ""

    def build(self, owner: Any, variable: Variable | None) -> None:
        """Make the parts for a layer's variable; None for what passes through the layer."""

    def part(self, name: str, shape: Any, initializer: Any = "zeros", **options: Any) -> Variable:
        """Make a variable of its own: a weight of the layer, kept in files after those that it has already.

        Args:
            name: Its name among the parts.
            shape: Its shape.
            initializer: Draws the first value, or is it.
            **options: As `Layer.add_weight` takes them; it is trained only where they say so.
        """
        options = {"trainable": False, **options}
        self.parts[name] = self._owner.add_weight(
            shape, initializer, name=self.part_name(name, self._of), **options
        )
        return self.parts[name]

    def part_name(self, name: str, of: str) -> str:
        """The name of a part as a weight of the layer."""
        return f"{of}_{name}"

    def spec(self, shape: tuple[int, ...], dtype: str) -> tuple[tuple[int, ...], str]:
        """The shape and dtype of `value`, for those of what is given to it."""
        return shape, dtype

    def value(self, stored: Any) -> Any:
        """What is read, of the tensor that is stored, or that the transforms before this one give.

        Autocasting is off, so parts and what is stored have their own dtypes. What is written while a layer
        trains (`here.training`) are the transform's own parts.
        """
        raise NotImplementedError(f"{type(self).__name__} must have a method `value`.")

    @classmethod
    def trained(cls, members: Sequence[tuple[Self, Variable]]) -> None:
        """What is to be done once an optimizer has changed what variables store.

        It runs once an update, for all transforms of the class with their variables; what it writes are their parts.
        """

    def encoded(self, value: Any) -> dict[Variable, Any]:
        """What the variable and the parts would store of a value, where `encodes`."""
        raise NotImplementedError(f"{type(self).__name__} encodes no values.")

    def restart(self) -> None:
        """Change nothing about a value that has been loaded as that of a plain layer, where `is_baked`."""

    def completed(self, store: Mapping[str, Any], own: Sequence[Variable]) -> Mapping[str, Any]:
        """The layer's own weights as a file has them, by number, with what it is known to leave out."""
        return store

    def product(self, use: Use) -> Any:
        """The result of an op that is given the variable by a cheaper way than by `value`, or `NotImplemented`.

        Autocasting is as the layer has it. `use.on(use.inner)` is the op without this transform.
        """
        return NotImplemented


class Operand:
    """A variable as it reads after the first transforms of its chain: an operand of ops in their place."""

    def __init__(self, variable: Variable, depth: int) -> None:
        self.variable = variable
        self.transforms = variable.transforms[:depth]

    @functools.cached_property
    def _spec(self) -> tuple[tuple[int, ...], str]:
        spec = self.variable.stored_shape, self.variable.stored_dtype
        for transform in self.transforms:
            spec = transform.spec(*spec)
        return spec

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return self._spec[0]

    @property
    def casts(self) -> bool:
        """Whether the value is cast where floats are."""
        return self.variable.autocast and is_float(self._spec[1])

    @property
    def dtype(self) -> str:
        """The dtype of the value."""
        dtype = here.autocast.get()
        return dtype if dtype is not None and self.casts else self._spec[1]

    def value(self) -> Any:
        """The value, as a tensor of the current engine, cast where floats are."""
        ahead = self.ahead()
        with within(here.autocast, None):
            before = Operand(self.variable, ahead) if ahead else None
            value = self.variable.stored if before is None else current().stand_in(before)
            for transform in self.transforms[ahead:]:
                value = transform.value(value)
        dtype = here.autocast.get()
        if dtype is None or not self.casts:
            return value
        engine = current()
        return value if engine.dtype_of(value) == dtype else engine.cast(value, dtype)

    def ahead(self) -> int:
        """How many of the transforms are computed once, where a file is written: all before codes and rounding."""
        if not current().writes_files:
            return 0
        kept = (i for i, x in enumerate(self.transforms) if x.order in (CODES, FAKE))
        return next(kept, len(self.transforms))

    @property
    def path(self) -> str:
        """The variable's path."""
        return self.variable.path

    def held(self) -> np.ndarray[Any, Any]:
        """The value on the host, by what is stored, whatever a scope says; nothing moves to the current engine."""
        parts = [part for transform in self.transforms for part in transform.parts.values()]
        with use("numpy"):
            values = [(x, Variable.held(x)) for x in (self.variable, *parts)]
            with StatelessScope(values), within(here.autocast, None):
                return np.asarray(self.value())


class Use(NamedTuple):
    """An op that is given a variable for an operand.

    Attributes:
        op: The op.
        arguments: Its arguments by position.
        named: Those given by name only.
        place: Where among them the variable is.
        inner: What stands there without the last transform.
    """

    op: Op
    arguments: Sequence[Any]
    named: dict[str, Any]
    place: int
    inner: Operand

    @property
    def name(self) -> str:
        """The op's name: `matmul`, `affine`, `einsum`, `conv`, `take`, ..."""
        return self.op.slot

    def contraction(self) -> tuple[int, list[int], list[int]] | None:
        """The product that the op is, of two operands: the place of the other one, the axes of it and of the variable
        that are summed over; those of the other one begin with the variable's. None for an op that is none.

        Axes of the other one behind an ellipsis count from its end.
        """
        if self.name in ("matmul", "affine"):
            plain = self.place == 1 and len(self.inner.shape) == 2
            return (0, [-1], [0]) if plain else None
        if self.name != "einsum" or len(self.arguments) != 3:
            return None
        terms, arrow, result = self.arguments[0].replace(" ", "").partition("->")
        if not arrow:
            result = {letter for letter in terms if terms.count(letter) == 1}
        own, other = (_places(terms.split(",")[at]) for at in (self.place - 1, 2 - self.place))
        summed = [letter for letter in own or () if letter not in result]
        if own is None or other is None or not set(summed) <= set(other):
            return None
        rest = [letter for letter in other if letter not in result and letter not in summed]
        rank = len(self.inner.shape)
        others = [other[letter] for letter in (*summed, *rest)]
        return 3 - self.place, others, [own[letter] % rank for letter in summed]

    def on(self, operand: Any) -> Any:
        """The op's result with another thing in the variable's place."""
        arguments = list(self.arguments)
        arguments[self.place] = operand
        return self.op.wrapper(*arguments, **self.named)


def _places(term: str) -> dict[str, int] | None:
    """The axes of the letters of an operand of an einsum; None where a letter has several."""
    before, _, behind = term.partition("...")
    places = {letter: at for at, letter in enumerate(before)}
    places |= {letter: at - len(behind) for at, letter in enumerate(behind)}
    return places if len(places) == len(before + behind) else None


class TransformedVariable(Variable):
    """A variable that has transforms. One becomes it by its first transform, and a `Variable` again without any."""

    transforms: tuple[Transform, ...] = ()

    def operand(self) -> Operand:
        """What ops within a layer's call are given."""
        return Operand(self, len(self.transforms))

    @property
    def value(self) -> Any:
        """The value, as a tensor of the current engine: transformed within a layer's call."""
        if here.calling.get() is None:
            return Variable.value.fget(self)  # type: ignore[attr-defined]
        return self.operand().value()

    def effective(self) -> Any:
        """The transformed value, anywhere."""
        return self.operand().value()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `value`."""
        return self.stored_shape if here.calling.get() is None else self.operand().shape

    @property
    def dtype(self) -> str:
        """The dtype of `value`."""
        plain: str = Variable.dtype.fget(self)  # type: ignore[attr-defined]
        return plain if here.calling.get() is None else self.operand().dtype

    def _on_host(self) -> np.ndarray[Any, Any]:
        if here.calling.get() is None:
            return super()._on_host()
        return np.asarray(current().convert_to_numpy(self.value))


def set_transforms(variable: Variable, chain: Sequence[Transform]) -> None:
    """Have a variable read through a chain: in order, these alone."""
    if chain:
        variable.__class__ = TransformedVariable
        variable.transforms = tuple(sorted(chain, key=lambda transform: transform.order))
    else:
        variable.__class__ = Variable
        vars(variable).pop("transforms", None)


def tell_trained(variables: Sequence[Variable]) -> None:
    """Tell the transforms of variables, class by class, that these have been updated."""
    members: dict[type[Transform], list[tuple[Transform, Variable]]] = {}
    for variable in variables:
        for transform in variable.transforms:
            members.setdefault(type(transform), []).append((transform, variable))
    for kind, pairs in members.items():
        kind.trained(pairs)


def product(op: Op, args: Sequence[Any], named: Callable[[], dict[str, Any]]) -> Any:
    """An op's result by the product that a transform of one of its operands has for it, or `NotImplemented`.

    Args:
        op: The op.
        args: Its arguments by position.
        named: Gives those given by name only.
    """
    for place, given in enumerate(args):
        operand = given
        if isinstance(given, TransformedVariable) and here.calling.get() is not None:
            operand = given.operand()
        if isinstance(operand, Operand) and len(operand.transforms) > operand.ahead():
            inner = Operand(operand.variable, len(operand.transforms) - 1)
            use = Use(op, args, named(), place, inner)
            result = operand.transforms[-1].product(use)
            if result is not NotImplemented:
                return result
    return NotImplemented
