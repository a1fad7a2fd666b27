"""What a layer owns: variables, sublayers, metrics and seed generators among its attributes.

A class says by `_tracked_as` what its instances are owned as. Assigning one to an attribute, also
within lists, tuples, sets and dictionaries, makes it a part of the layer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core import tree

PLAIN = frozenset({bool, int, float, str, bytes, type(None), complex})


class Tracker:
    """The parts of one layer, in the order in which they came."""

    #: Counts changes of any layer, so that what was read off layers can be kept.
    version = 0
    kinds = ("variables", "layers", "metrics", "seed_generators")

    def __init__(self) -> None:
        self.owned: dict[str, list[Any]] = {kind: [] for kind in self.kinds}
        self.ids: set[int] = set()
        #: The variables that were not trainable when they came, by id; they come last in files.
        self.untrained: set[int] = set()
        #: The variables that `trainable = True` leaves alone, by id.
        self.frozen: set[int] = set()
        self.locked = ""

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
        if id(value) in self.ids:
            return
        if self.locked and kind in ("variables", "layers"):
            raise ValueError(
                "The parts of a layer are made before or while it is built. Received: a new "
                f"{type(value).__name__} ({getattr(value, 'name', '')!r}) for the layer "
                f"{self.locked!r}, which is built. Make it in `__init__` or `build`."
            )
        self.ids.add(id(value))
        self.owned[kind].append(value)
        Tracker.version += 1
        if kind == "variables" and not value.trainable:
            self.untrained.add(id(value))
            self.frozen.add(id(value))

    def drop(self, value: Any) -> None:
        """No longer own a value, or what a container holds."""
        if type(value) in PLAIN:
            return
        if id(value) in self.ids:
            Tracker.version += 1
            for known in (self.ids, self.untrained, self.frozen):
                known.discard(id(value))
            for owned in self.owned.values():
                owned[:] = [item for item in owned if item is not value]
        elif isinstance(value, (list, tuple, set)):
            for item in value:
                self.drop(item)
        elif isinstance(value, dict):
            for item in value.values():
                self.drop(item)


class TrackedList(list[Any]):
    """A list whose items are parts of a layer."""

    def __init__(self, values: Iterable[Any] = (), tracker: Tracker | None = None) -> None:
        self.tracker = tracker
        super().__init__(self._track(value) for value in values)

    def _track(self, value: Any) -> Any:
        return self.tracker.track(value) if self.tracker else value

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
        if self.tracker:
            self.tracker.drop(self[index])
        value = (
            [self._track(item) for item in value]
            if isinstance(index, slice)
            else self._track(value)
        )
        super().__setitem__(index, value)

    def __delitem__(self, index: Any) -> None:
        if self.tracker:
            self.tracker.drop(self[index])
        super().__delitem__(index)

    def pop(self, index: Any = -1) -> Any:
        value = super().pop(index)
        if self.tracker:
            self.tracker.drop(value)
        return value

    def remove(self, value: Any) -> None:
        super().remove(value)
        if self.tracker:
            self.tracker.drop(value)

    def clear(self) -> None:
        if self.tracker:
            self.tracker.drop(list(self))
        super().clear()

    def __reduce__(self) -> Any:
        return list, (list(self),)


class TrackedDict(dict[Any, Any]):
    """A dictionary whose values are parts of a layer."""

    def __init__(self, values: Any = (), tracker: Tracker | None = None) -> None:
        super().__init__()
        self.tracker = tracker
        self.update(values)

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.tracker:
            self.tracker.drop(self.get(key))
            value = self.tracker.track(value)
        super().__setitem__(key, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: Any, value: Any = None) -> Any:
        if key not in self:
            self[key] = value
        return self[key]

    def __delitem__(self, key: Any) -> None:
        self.pop(key)

    def pop(self, key: Any, *default: Any) -> Any:
        value = super().pop(key, *default)
        if self.tracker:
            self.tracker.drop(value)
        return value

    def clear(self) -> None:
        if self.tracker:
            self.tracker.drop(dict(self))
        super().clear()

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


class TrackedSet(set[Any]):
    """A set whose items are parts of a layer."""

    def __init__(self, values: Iterable[Any] = (), tracker: Tracker | None = None) -> None:
        super().__init__()
        self.tracker = tracker
        self.update(values)

    def add(self, value: Any) -> None:
        super().add(self.tracker.track(value) if self.tracker else value)

    def update(self, *others: Iterable[Any]) -> None:
        for other in others:
            for value in other:
                self.add(value)

    def discard(self, value: Any) -> None:
        super().discard(value)
        if self.tracker:
            self.tracker.drop(value)

    def remove(self, value: Any) -> None:
        super().remove(value)
        if self.tracker:
            self.tracker.drop(value)

    def __reduce__(self) -> Any:
        return set, (set(self),)


_CONTAINERS: dict[type, Any] = {list: TrackedList, dict: TrackedDict, set: TrackedSet}

tree.register_container(TrackedList, lambda items: (items, None), lambda _, items: list(items))
tree.register_container(
    TrackedDict,
    lambda items: ([items[key] for key in sorted(items)], sorted(items)),
    lambda keys, items: dict(zip(keys, items, strict=True)),
)
