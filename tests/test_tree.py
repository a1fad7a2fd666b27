"""Nested structures: the same results and the same kinds of errors as `keras.tree`."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import keras
import numpy as np
import pytest

from cornu.core import tree

Pair = namedtuple("Pair", "a b")
Other = namedtuple("Other", "a b")


class MyList(list[Any]):
    """A subclass of a container is a leaf."""


STRUCTURES = [
    5,
    None,
    "ab",
    [],
    (),
    {},
    [None, 1],
    {"b": 1, "a": [2, (3, None)]},
    {2: 1, "a": 2},
    {(1, 2): 1, (0, 1): 2},
    Pair(1, [2, 3]),
    OrderedDict(b=1, a=2),
    defaultdict(int, b=1, a=2),
    deque([1, (2, 3)]),
    MyList([1, 2]),
    {"x": Pair({"z": 1, "y": deque([2])}, None)},
]


def add(*values: Any) -> Any:
    return tuple(values)


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_one_structure(structure: Any) -> None:
    assert tree.is_nested(structure) == keras.tree.is_nested(structure)
    assert tree.flatten(structure) == keras.tree.flatten(structure)
    assert tree.flatten_with_path(structure) == keras.tree.flatten_with_path(structure)
    mapped, expected = (t.map_structure(add, structure) for t in (tree, keras.tree))
    assert mapped == expected
    assert type(mapped) is type(expected)
    assert repr(mapped) == repr(expected)  # the order of a dict's keys too
    leaves = [object() for _ in tree.flatten(structure)]
    assert tree.pack_sequence_as(structure, leaves) == keras.tree.pack_sequence_as(
        structure, leaves
    )
    assert tree.lists_to_tuples(structure) == keras.tree.lists_to_tuples(structure)


CALLS = [
    ("map_structure", add, [1, 2], [3, 4]),
    ("map_structure", add, [1, 2], (3, 4)),
    ("map_structure", add, [1, 2], [3]),
    ("map_structure", add),
    ("map_structure", 3, [1]),
    ("map_structure", add, {"a": 1}, {"b": 1}),
    ("map_structure", add, {"a": 1}, OrderedDict(a=2)),
    ("map_structure", add, OrderedDict(b=1, a=2), OrderedDict(a=3, b=5)),
    ("map_structure", add, Pair(1, 2), Other(1, 2)),
    ("map_structure", add, Pair(1, 2), (1, 2)),
    ("map_structure", add, 1, 2),
    ("map_structure", add, 1, [2]),
    ("map_structure", add, [1], 2),
    ("map_structure", add, [1], [[2, 3]]),
    ("map_structure", add, [1, None], [None, 3]),
    ("map_structure_up_to", [1, 2], add, [[1, 2], 3]),
    ("map_structure_up_to", {"a": 1}, add, {"a": [1]}, {"a": 2}),
    ("map_structure_up_to", [1, 2], add, [1]),
    ("map_structure_up_to", [[1], 2], add, [1, 2]),
    ("map_structure_up_to", [1], add),
    ("map_structure_up_to", 1, add, [1, 2]),
    ("assert_same_structure", [1, 2], [3, 4]),
    ("assert_same_structure", [1, 2], (3, 4)),
    ("assert_same_structure", {"a": 1}, OrderedDict(a=1)),
    ("assert_same_structure", [None], [[1]]),
    ("assert_same_structure", 1, [1]),
    ("assert_same_structure", [], ()),
    ("assert_same_structure", Pair(1, 2), Other(1, 2)),
    ("assert_same_structure", MyList([1]), [1]),
    ("assert_same_paths", [1, 2], (3, 4)),
    ("assert_same_paths", [1, 2], [3]),
    ("assert_same_paths", {"a": 1}, {"b": 1}),
    ("assert_same_paths", Pair(1, 2), (1, 2)),
    ("pack_sequence_as", [0], [1, 2]),
    ("pack_sequence_as", [0, 0], [1]),
    ("pack_sequence_as", [0], 3),
    ("pack_sequence_as", 0, [1]),
    ("map_shape_structure", len, {"b": (1, None), "a": ()}),
    ("map_shape_structure", len, [(1,), [2, 3]]),
    ("map_shape_structure", len, [None, 1]),
    ("map_shape_structure", len, Pair((1, 2), (3,))),
    ("map_shape_structure", 3, (1,)),
    ("traverse", 3, [1]),
]


def outcome(module: Any, name: str, arguments: tuple[Any, ...]) -> Any:
    try:
        return getattr(module, name)(*arguments)
    except (TypeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_calls(call: tuple[Any, ...]) -> None:
    name, *arguments = call
    result = outcome(tree, name, tuple(arguments))
    assert result == outcome(keras.tree, name, tuple(arguments))


def test_none_is_kept_where_it_is_no_leaf() -> None:
    for module in (tree, keras.tree):
        assert module.map_structure(add, [1, None], [2, None], none_is_leaf=False) == [(1, 2), None]
        with pytest.raises(ValueError, match="None"):
            module.map_structure(add, [1, None], [3, 5], none_is_leaf=False)


@pytest.mark.parametrize("top_down", [True, False])
def test_traverse(top_down: bool) -> None:
    structure = {"b": 1, "a": [2, Pair(3, None)]}

    def visits(module: Any, rule: Any) -> tuple[list[Any], Any]:
        seen: list[Any] = []

        def visit(part: Any) -> Any:
            seen.append(repr(part))
            return rule(part, module)

        return seen, module.traverse(visit, structure, top_down)

    rules = [
        lambda part, module: None,
        lambda part, module: part + 1 if isinstance(part, int) else None,
        lambda part, module: "list" if isinstance(part, list) else None,
        lambda part, module: module.MAP_TO_NONE if part == 2 else None,
        lambda part, module: module.MAP_TO_NONE,
    ]
    for rule in rules:
        assert visits(tree, rule) == visits(keras.tree, rule)


def test_check_types_is_deprecated() -> None:
    with pytest.warns(DeprecationWarning, match="assert_same_paths"):
        tree.assert_same_structure([1], [2], check_types=False)


def test_a_registered_container_is_seen_through() -> None:
    class Box:
        def __init__(self, content: Any) -> None:
            self.content = content

    tree.register_container(Box, lambda box: ([box.content], None), lambda _, parts: Box(*parts))
    assert tree.flatten([Box(1), Box([2, 3])]) == [1, 2, 3]
    assert tree.map_structure(lambda x: -x, Box(1)).content == -1


def test_public_functions_are_those_of_keras() -> None:
    assert {name for name in dir(keras.tree) if not name.startswith("_")} <= set(dir(tree))


def test_arrays_are_leaves() -> None:
    assert tree.flatten([np.ones(2), {"a": np.zeros(1)}])[1].shape == (1,)
