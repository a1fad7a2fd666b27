"""Which objects of a model have state in a file, and the path of each: Keras's own.

Paths follow attributes, by name: public ones first, in alphabetical order, then those that start
with an underscore. A model's `layers` come first where it is made of a list or a graph of layers.
Within lists, tuples, sets and dictionaries an object goes by its class: `dense`, `dense_1`, and a
container by `container`. What is met a second time stays where it was met first.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..core.naming import to_snake_case
from ..core.operation import Operation
from ..core.variable import State
from ..losses import Loss
from ..metrics import Metric
from ..models import Function, Functional, Model, Sequential
from ..optimizers import Optimizer
from ..random import SeedGenerator
from ..training import Trainer

_WALKED = (Operation, Optimizer, Loss, Metric, SeedGenerator, State)
_CONTAINERS = (list, tuple, set, dict)
#: Classes whose own properties say nothing of what an object consists of.
_BASES = frozenset({*Model.__mro__, *State.__mro__, Function, Functional, Sequential, *_WALKED[1:]})
#: Attributes in which an object keeps record of its parts a second time, by the class that does.
_RECORDS: tuple[tuple[type, frozenset[str]], ...] = (
    (Operation, frozenset({"_arguments", "_inbound_nodes", "_outbound_nodes"})),
    (Function, frozenset({"_graph", "_steps"})),
    (Trainer, frozenset({"_compile_config"})),
    (Functional, frozenset({"_functional_layers"})),
    (Sequential, frozenset({"_functional", "_stack"})),
)


def walk(root: Any, leave_out: Collection[Any] = ()) -> Iterator[tuple[str, Any]]:
    """Every object below a model or layer, and itself, with its path: `""` for the root.

    What is left out is so with all that is below it.

    >>> from cornu import Input, Sequential, layers
    >>> model = Sequential([Input((2,)), layers.Dense(3, name="first"), layers.Dense(1)])
    >>> [path for path, _ in walk(model)]
    ['', 'layers/dense', 'layers/dense_1']
    """
    yield from _walk_object("", root, {id(item) for item in leave_out})


def is_state(arrays: Mapping[str, Any]) -> bool:
    """Whether arrays are what is carried on from call to call, which is no part of an architecture."""
    return set(arrays) in ({SeedGenerator.KEY}, {State.KEY})


def _walk_object(path: str, owner: Any, met: set[int]) -> Iterator[tuple[str, Any]]:
    if id(owner) in met:
        return
    met.add(id(owner))
    yield path, owner
    for name, value in _attributes(owner):
        below = f"{path}/{name}" if path else name
        if isinstance(value, _WALKED):
            yield from _walk_object(below, value, met)
        else:
            yield from _walk_container(below, value, met)


def _walk_container(path: str, container: Any, met: set[int]) -> Iterator[tuple[str, Any]]:
    counts: Counter[str] = Counter()
    for value in container.values() if isinstance(container, dict) else container:
        walked = isinstance(value, _WALKED)
        if not walked and not isinstance(value, _CONTAINERS):
            continue
        name = to_snake_case(type(value).__name__) if walked else "container"
        below = f"{path}/{name}_{counts[name]}" if counts[name] else f"{path}/{name}"
        counts[name] += 1
        yield from (_walk_object if walked else _walk_container)(below, value, met)


def _attributes(owner: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object that may lead to others, in order."""
    if isinstance(owner, (Functional, Sequential)):
        yield "layers", owner.layers
    records = frozenset().union(*(names for kind, names in _RECORDS if isinstance(owner, kind)))
    for name in sorted(_names(owner) - records, key=lambda name: (name.startswith("_"), name)):
        value = _read(owner, name)
        if isinstance(value, (*_WALKED, *_CONTAINERS)):
            yield name, value


def _names(owner: Any) -> set[str]:
    names = set(vars(owner))
    for kind in type(owner).__mro__:
        if kind not in _BASES:
            names.update(name for name, value in vars(kind).items() if _may_lead_on(value))
    if isinstance(owner, Model):
        names.add("layers")
    return {name for name in names if not name.startswith("__")}


def _may_lead_on(class_attribute: Any) -> bool:
    if isinstance(class_attribute, (*_WALKED, *_CONTAINERS)):
        return True
    return hasattr(class_attribute, "__get__") and not callable(class_attribute)


def _read(owner: Any, name: str) -> Any:
    """An attribute, or None where a property has nothing to give, for whatever reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(owner, name)
    except Exception:
        # A user's property may raise anything.
        return None
