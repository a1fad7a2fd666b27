"""What an object owns: variables, layers, metrics and seed generators among its attributes.

A class says by `_tracked_as` what its instances are owned as. Assigning one to an attribute, also
within lists, tuples, sets and dictionaries, makes it a part of the object; it stays one as long as an
attribute holds it.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from . import tree

PLAIN = frozenset({bool, int, float, str, bytes, type(None), complex})


class IdentitySet:
    """Objects, told apart by what they are and not by what they equal; a copy has the copies of them."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self._items = {id(item): item for item in items}

    def add(self, item: Any) -> None:
        """Put an object in."""
        self._items[id(item)] = item

    def discard(self, item: Any) -> None:
        """Take an object out, if it is in."""
        self._items.pop(id(item), None)

    def __contains__(self, item: Any) -> bool:
        return id(item) in self._items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __getstate__(self) -> list[Any]:
        return list(self._items.values())

    def __setstate__(self, items: list[Any]) -> None:
        self._items = {id(item): item for item in items}


class Tracker:
    """The parts of one object, in the order in which they came."""

    kinds = ("variables", "layers", "metrics", "states")
    #: The last change of any object's parts: while it is the same, nothing has changed anywhere.
    last_change = 0

    def __init__(self) -> None:
        self.owned: dict[str, list[Any]] = {kind: [] for kind in self.kinds}
        #: Counts changes, so that what was read off the parts can be kept.
        self.version = 0
        #: The variables that were not trainable when they came; they come last in files.
        self.untrained = IdentitySet()
        #: The variables that `trainable = True` leaves alone.
        self.frozen = IdentitySet()
        self.locked = ""
        self._known = IdentitySet()
        #: Parts that stay, whatever attributes hold.
        self._kept = IdentitySet()
        #: Parts that were taken from one place: another may hold them still.
        self._dropped = IdentitySet()

    def track(self, value: Any) -> Any:
        """Own a value; containers come back as ones that report what is added to them."""
        kind = getattr(type(value), "_tracked_as", None)
        if kind is not None:
            self.add(kind, value)
            return value
        if type(value) in _CONTAINERS:
            return _CONTAINERS[type(value)](value, self)
        if isinstance(value, tuple):
            items = [self.track(item) for item in value]
            named = hasattr(value, "_fields")
            return type(value)(*items) if named else type(value)(items)
        return value

    def add(self, kind: str, value: Any) -> None:
        """Own one object."""
        if value in self._known:
            return
        if self.locked and kind in ("variables", "layers"):
            raise ValueError(
                "The parts of a layer are made before or while it is built. Received: a new "
                f"{type(value).__name__} ({getattr(value, 'name', '')!r}) for the layer "
                f"{self.locked!r}, which is built. Make it in `__init__` or `build`."
            )
        self._known.add(value)
        self.owned[kind].append(value)
        self.change()
        if kind == "variables" and not value.trainable:
            self.untrained.add(value)
            self.frozen.add(value)

    def change(self) -> None:
        """Note that a part, or what is read off the object, has changed."""
        self.version += 1
        Tracker.last_change = next(_changes)

    def keep(self, kind: str, value: Any) -> None:
        """Own one object that was made as a part, so that no attribute needs to hold it."""
        self.add(kind, value)
        self._kept.add(value)

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[None]:
        """A block in which parts may be made, also once the layer is built."""
        locked, self.locked = self.locked, ""
        try:
            yield
        finally:
            self.locked = locked

    def forget(self, part: Any) -> None:
        """No longer own a part that was made as one; attributes may hold it still."""
        self._remove(IdentitySet([part]))
        self.change()

    def drop(self, value: Any) -> None:
        """Note that one place holds a value no more, nor what it contains."""
        for part in _parts(value):
            if part in self._known and part not in self._kept:
                self.change()
                self._dropped.add(part)

    def parts(self, kind: str, attributes: Mapping[str, Any]) -> list[Any]:
        """What is owned as `kind` by the object that has these attributes."""
        if self._dropped:
            self._forget(attributes)
        return self.owned[kind]

    def _forget(self, attributes: Mapping[str, Any]) -> None:
        """No longer own what was dropped and is held by no attribute."""
        held = IdentitySet(part for value in attributes.values() for part in _parts(value))
        gone = IdentitySet(part for part in self._dropped if part not in held)
        self._dropped = IdentitySet()
        self._remove(gone)

    def _remove(self, gone: IdentitySet) -> None:
        for part in gone:
            for known in (self._known, self._kept, self.untrained, self.frozen):
                known.discard(part)
        for owned in self.owned.values():
            owned[:] = [part for part in owned if part not in gone]

    def replace(self, kind: str, parts: Iterable[Any]) -> None:
        """Own just these as `kind`, in this order."""
        self.owned[kind] = list(parts)
        for part in self.owned[kind]:
            self._known.add(part)
        self.change()


_changes = itertools.count(1)  # its numbers are nobody else's, whichever thread asks
_version = attrgetter("version")


class Family:
    """Objects with parts, as they were found within one another.

    Args:
        members: The objects.
    """

    def __init__(self, members: list[Any]) -> None:
        self.members = members
        self._trackers = [member._tracker for member in members]
        self._changes = self._count()
        self._seen: int | None = None

    def _count(self) -> int:
        return sum(map(_version, self._trackers))

    def is_current(self) -> bool:
        """Whether none of them has changed; 0.03 us for each where anything has since it was asked."""
        last = Tracker.last_change
        if last == self._seen:
            return True
        if self._count() != self._changes:
            return False
        self._seen = last
        return True


def _parts(value: Any) -> Iterator[Any]:
    """What a value is, or contains, that can be owned."""
    if isinstance(value, (list, tuple, set, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _parts(item)
    elif hasattr(type(value), "_tracked_as"):
        yield value


class _Tracked:
    """A container that reports what is added to it, and what is taken out."""

    tracker: Tracker | None = None

    def _track(self, value: Any) -> Any:
        return self.tracker.track(value) if self.tracker else value

    def _drop(self, value: Any) -> None:
        if self.tracker:
            self.tracker.drop(value)

    def __reduce__(self) -> Any:
        kind = type(self)
        return _tracked_copy, (kind, kind.__mro__[2](self), self.tracker)


def _removing(*names: str) -> Callable[[type], type]:
    """A container whose methods of these names take something out, or may."""

    def noting(own: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(own)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            before = _items(self)
            result = own(self, *args, **kwargs)
            self._drop(before)
            return result

        return method

    def completed(cls: type) -> type:
        for name in names:
            setattr(cls, name, noting(getattr(cls.__mro__[2], name)))
        return cls

    return completed


def _items(container: Any) -> list[Any]:
    return list(container.values() if isinstance(container, dict) else container)


def _tracked_copy(kind: Any, items: Any, tracker: Tracker | None) -> Any:
    copy = kind(items)
    copy.tracker = tracker
    return copy


@_removing("__delitem__", "pop", "remove", "clear")
class TrackedList(_Tracked, list[Any]):
    """A list whose items are parts of a layer."""

    def __init__(self, values: Iterable[Any] = (), tracker: Tracker | None = None) -> None:
        self.tracker = tracker
        super().__init__(self._track(value) for value in values)

    def append(self, value: Any) -> None:
        super().append(self._track(value))

    def insert(self, index: Any, value: Any) -> None:
        super().insert(index, self._track(value))

    def extend(self, values: Iterable[Any]) -> None:
        super().extend(self._track(value) for value in values)

    def __iadd__(self, values: Iterable[Any]) -> TrackedList:  # type: ignore[misc]
        self.extend(values)
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        several = isinstance(index, slice)
        value = [self._track(item) for item in value] if several else self._track(value)
        self._drop(self[index])
        super().__setitem__(index, value)


@_removing("__delitem__", "pop", "popitem", "clear")
class TrackedDict(_Tracked, dict[Any, Any]):
    """A dictionary whose values are parts of a layer."""

    def __init__(self, values: Any = (), tracker: Tracker | None = None) -> None:
        super().__init__()
        self.tracker = tracker
        self.update(values)

    def __setitem__(self, key: Any, value: Any) -> None:
        value = self._track(value)
        self._drop(self.get(key))
        super().__setitem__(key, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> TrackedDict:  # type: ignore[misc]
        self.update(other)
        return self

    def setdefault(self, key: Any, value: Any = None) -> Any:
        if key not in self:
            self[key] = value
        return self[key]


@_removing(
    *"discard remove pop clear __iand__ __isub__ difference_update intersection_update".split()
)
class TrackedSet(_Tracked, set[Any]):
    """A set whose items are parts of a layer."""

    def __init__(self, values: Iterable[Any] = (), tracker: Tracker | None = None) -> None:
        super().__init__()
        self.tracker = tracker
        self.update(values)

    def add(self, value: Any) -> None:
        super().add(self._track(value))

    def update(self, *others: Iterable[Any]) -> None:
        for other in others:
            for value in other:
                self.add(value)

    def __ior__(self, other: Any) -> TrackedSet:  # type: ignore[misc]
        self.update(other)
        return self


_CONTAINERS: dict[type, Any] = {list: TrackedList, dict: TrackedDict, set: TrackedSet}

tree.register_container(TrackedList, lambda items: (items, None), lambda _, items: list(items))
tree.register_container(TrackedSet, lambda items: (items, None), lambda _, items: set(items))
tree.register_container(
    TrackedDict,
    lambda items: ([items[key] for key in sorted(items)], sorted(items), sorted(items)),
    lambda keys, items: dict(zip(keys, items, strict=True)),
)
