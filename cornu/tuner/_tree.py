"""Which points of a space were tried: a tree of the values that builders were answered, in the order of asking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


class Node:
    """What was answered so far, and all that was answered next.

    Attributes:
        count: How many values the next hyperparameter may have; None for any number, or where nobody asked on.
        children: What follows, by its value.
    """

    __slots__ = ("children", "count")

    def __init__(self) -> None:
        self.count: int | None = None
        self.children: dict[Any, Node] = {}

    def after(self, value: Any, count: int | None) -> Node:
        """What follows a value of a hyperparameter that may have so many."""
        self.count = count
        return self.children.setdefault(value, Node())

    def along(self, path: Iterable[tuple[Any, int | None]]) -> Node:
        """What follows several values."""
        node = self
        for value, count in path:
            node = node.after(value, count)
        return node

    def is_closed(self) -> bool:
        """Whether each point below was tried, or is being tried.

        >>> root = Node()
        >>> _ = root.after("relu", 2)
        >>> root.is_closed(), [root.after("tanh", 2), root.is_closed()][1]
        (False, True)
        """
        if not self.children:
            return True
        if self.count is None or len(self.children) < self.count:
            return False
        return all(child.is_closed() for child in self.children.values())

    def open(self, values: Sequence[Any]) -> list[Any]:
        """Those of the values below which something was not tried yet.

        >>> root = Node()
        >>> _ = root.after("relu", 2)
        >>> root.open(["relu", "tanh"])
        ['tanh']
        """
        found = self.children
        return [it for it in values if it not in found or not found[it].is_closed()]
