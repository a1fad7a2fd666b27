"""Described: how an object keeps the arguments of its constructor, and tells them to a file.

A constructor of this library is its signature, a call of the next constructor, and checks. Its
arguments are kept for it when it is entered, each as the attribute of its name:

    class Scale(Layer):
        def __init__(self, axis=-1, scale_initializer="ones", **kwargs):
            super().__init__(**kwargs)      # self.axis and self.scale_initializer are there

so the initializer is an initializer by then: what arguments go through is declared once for a floor,
by their name or by how it ends (`_converters`). `get_config` reads the attributes of the parameters
that a constructor takes, and of those that its `**kwargs` pass on.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from . import naming
from .serialization import RESOLVERS, custom_object_scope, deserialize_arguments, serialize_argument

Converter = Callable[[Any], Any]


class Keeping:
    """An object whose constructor's arguments are kept.

    The constructors of a user's classes keep their arguments themselves, as they do in Keras.
    """

    #: What arguments go through, by their name, or by how it ends: `kernel_initializer` goes
    #: through that of `initializer`.
    _converters: ClassVar[Mapping[str, Converter | None]] = {}
    #: The attributes of arguments that are kept under another name than theirs.
    _kept_as: ClassVar[Mapping[str, str]] = {}
    #: A class whose arguments are not kept, and whose own `get_config` names them.
    _describes_itself: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls) and _keeps(cls):
            cls.__init__ = _keeping(cls)  # type: ignore[method-assign]

    def _keep_arguments(self, owner: Any, given: dict[str, Any]) -> None:
        """Keep what the constructor of one of the object's classes was given."""
        cls: Any = type(self)
        for name, attribute, convert in _kept(owner, cls):
            if name in given:
                value = given[name]
                setattr(self, attribute, value if convert is None else convert(value))

    if TYPE_CHECKING:  # the attributes that the arguments become

        def __getattr__(self, name: str) -> Any: ...


class Described(Keeping):
    """An object that the arguments of its constructor describe."""

    #: Arguments that a config leaves out where they have their default.
    _optional_arguments: ClassVar[frozenset[str]] = frozenset()
    #: Arguments that a config never holds.
    _unwritten_arguments: ClassVar[frozenset[str]] = frozenset()
    #: Whether a user's class without a `get_config` is described by its constructor too.
    _describes_users: ClassVar[bool] = False
    #: What the constructor of a user's class was given, where that is noted.
    _arguments: Mapping[str, Any] = {}

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, as what a file can hold."""
        cls: Any = type(self)
        kept_as, unwritten = _mapping(cls, "_kept_as"), _names(cls, "_unwritten_arguments")
        optional = _names(cls, "_optional_arguments")
        config = {}
        for name, default in _described(cls).items():
            value = getattr(self, kept_as.get(name, name), self._arguments.get(name, _MISSING))
            is_default = name in optional and (value is default or value == default)
            if value is not _MISSING and not is_default and name not in unwritten:
                config[name] = serialize_argument(value)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The object that `get_config` described."""
        with custom_object_scope(custom_objects):
            return cls(**deserialize_arguments(config))


if TYPE_CHECKING:
    Described().mistyped  # type: ignore[misc]  # noqa: B018  # `scripts/mypy_described.py` tells it


def loaded_class(module: str, class_name: str) -> type[Described] | None:
    """A user's layer, loss, ... that the program has loaded under just this module and name.

    Nothing is imported, no attribute is asked for, which a module may answer by loading something,
    and neither a function nor any other class is found.
    """
    loaded = sys.modules.get(module)
    if not issubclass(type(loaded), ModuleType):
        return None
    found = object.__getattribute__(loaded, "__dict__").get(class_name)
    if not issubclass(type(found), type) or Described not in found.__mro__:
        return None
    known = (found.__module__, found.__qualname__) == (module, class_name)
    return found if known and not naming.is_ours(found) else None


RESOLVERS.append(loaded_class)

_MISSING = object()


def _keeps(cls: type) -> bool:
    """Whether a class has its arguments kept for it."""
    return naming.is_ours(cls) and "_describes_itself" not in vars(cls)


def _keeping(owner: Any) -> Callable[..., None]:
    """A class's own constructor, which keeps what it is given before it runs."""
    own: Callable[..., None] = vars(owner)["__init__"]

    @functools.wraps(own)
    def constructor(self: Any, *args: Any, **kwargs: Any) -> None:
        self._keep_arguments(owner, given_arguments(own, args, kwargs))
        own(self, *args, **kwargs)

    return constructor


@functools.cache
def _kept(owner: Any, cls: Any) -> list[tuple[str, str, Converter | None]]:
    """The arguments of a constructor that it keeps, their attributes and what they go through.

    The class of the object may say that they go through something else than in its bases.

    Left out is what another constructor keeps, as it is passed on to it, and what the class of the
    object has as a property that can't be set.
    """
    passed_on = {
        name
        for base in owner.__mro__[1:]
        if "__init__" in vars(base) and issubclass(base, Keeping)
        for name in parameters(vars(base)["__init__"])
    }
    kept_as = _mapping(owner, "_kept_as")
    kept = [
        (name, kept_as.get(name, name), _converter(cls, name))
        for name in parameters(vars(owner)["__init__"])
        if name not in passed_on
    ]
    return [entry for entry in kept if _settable(cls, entry[1])]


def _settable(cls: type, attribute: str) -> bool:
    found = getattr(cls, attribute, None)
    return not isinstance(found, property) or found.fset is not None


def _converter(cls: type, name: str) -> Converter | None:
    converters = _mapping(cls, "_converters")
    if name in converters:
        return converters[name]
    return next((convert for key, convert in converters.items() if name.endswith(f"_{key}")), None)


def given_arguments(
    constructor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name, the defaults among them."""
    by_position, defaults = _signature(constructor)
    return {**defaults, **dict(zip(by_position, args, strict=False)), **kwargs}


@functools.cache
def _signature(constructor: Any) -> tuple[list[str], dict[str, Any]]:
    """The names of parameters that can be given by position, and the defaults of all."""
    named = parameters(constructor).values()
    by_position = [p.name for p in named if p.kind is not p.KEYWORD_ONLY]
    return by_position, {p.name: p.default for p in named if p.default is not p.empty}


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a constructor by their names, without `self`, `*args` and `**kwargs`."""
    found = list(inspect.signature(function).parameters.values())[1:]
    return {p.name: p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


@functools.cache
def _described(cls: Any) -> dict[str, Any]:
    """The parameters that a config of a class is made of, and their defaults.

    They are those of its constructor, then those of the next one as long as `**kwargs` pass them on.
    Constructors of users' classes count only where no `get_config` of theirs says what to write.
    """
    users_too = cls._describes_users and naming.is_ours(cls.get_config)
    owners = []
    for owner in cls.__mro__:
        counts = issubclass(owner, Described) and (users_too or naming.is_ours(owner))
        if "__init__" in vars(owner) and counts and "_describes_itself" not in vars(owner):
            owners.append(owner)
            signature = inspect.signature(owner.__init__)
            if not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
                break
    found: dict[str, Any] = {}
    for owner in reversed(owners):
        for parameter in parameters(owner.__init__).values():
            found[parameter.name] = parameter.default
    return found


@functools.cache
def _mapping(cls: type, declared: str) -> dict[str, Any]:
    """What a class and its bases declare as a mapping."""
    return {k: v for base in reversed(cls.__mro__) for k, v in vars(base).get(declared, {}).items()}


@functools.cache
def _names(cls: type, declared: str) -> frozenset[str]:
    """What a class and its bases declare as a set of names."""
    return frozenset[str]().union(*(vars(base).get(declared, ()) for base in cls.__mro__))
