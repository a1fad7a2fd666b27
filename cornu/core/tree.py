"""Nested structures of dicts, lists, tuples, namedtuples and deques, and maps over their leaves.

Everything else is a leaf, `None` and subclasses of the containers included. The leaves of a dict
come in the order of its sorted keys, those of an `OrderedDict` in its own order. A class that
should be seen through is registered with `register_container`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import optree

Path = tuple[Any, ...]

#: Where `optree` looks up the containers that Cornu registers.
NAMESPACE = "cornu"


class MAP_TO_NONE:
    """What a function given to `traverse` returns to put `None` in a structure.

    Returning `None` itself means that the part of the structure stays as it is.
    """


def register_container(
    kind: type,
    flatten_one_level: Callable[[Any], tuple[Any, ...]],
    unflatten: Callable[[Any, Iterable[Any]], Any],
) -> None:
    """Make structures of the class `kind` be seen through.

    Args:
        kind: The class.
        flatten_one_level: `container -> (children, metadata)`, or `(children, metadata, keys)` where
            paths have keys in place of positions.
        unflatten: `(metadata, children) -> container`.
    """
    optree.register_pytree_node(kind, flatten_one_level, unflatten, namespace=NAMESPACE)


def is_nested(structure: Any) -> bool:
    """Whether `structure` is a container rather than a leaf.

    >>> is_nested([1, 2]), is_nested(None), is_nested("ab")
    (True, False, False)
    """
    return not optree.tree_is_leaf(structure, none_is_leaf=True, namespace=NAMESPACE)


def flatten(structure: Any) -> list[Any]:
    """The leaves of a structure, in order.

    >>> flatten({"b": [1, (2,)], "a": None})
    [None, 1, 2]
    """
    return optree.tree_leaves(structure, none_is_leaf=True, namespace=NAMESPACE)


def flatten_with_path(structure: Any) -> list[tuple[Path, Any]]:
    """Pairs `(path, leaf)`; a path is the tuple of the keys and positions that lead to the leaf.

    >>> flatten_with_path({"b": 1, "a": [2, 3]})
    [(('a', 0), 2), (('a', 1), 3), (('b',), 1)]
    """
    paths, leaves, _ = optree.tree_flatten_with_path(
        structure, none_is_leaf=True, namespace=NAMESPACE
    )
    return list(zip(paths, leaves, strict=True))


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """The structure with `func(leaf, ...)` in the place of each leaf.

    Args:
        func: A callable that takes one leaf of each structure.
        *structures: One or more structures, all nested in the same way.
        none_is_leaf: Whether `func` is called for `None`; if not, `None` stays.

    Raises:
        TypeError: If `func` is not callable.
        ValueError: If there is no structure, or the structures are not nested in the same way.

    >>> map_structure(lambda x, y: x + y, {"a": [1, 2]}, {"a": [3, 4]})
    {'a': [4, 6]}
    """
    _check_callable(func)
    if len(structures) == 1:
        return optree.tree_map(func, structures[0], none_is_leaf=none_is_leaf, namespace=NAMESPACE)
    spec, columns = _aligned(structures, none_is_leaf)
    for column in columns[1:]:
        _check_leaves(column, none_is_leaf)
    return spec.unflatten(map(func, *columns))


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """`map_structure` that goes only as deep as `shallow_structure`.

    What lies deeper in the structures is given to `func` as it is.

    >>> map_structure_up_to([None, None], len, [[1, 2], [3]])
    [2, 1]
    """
    _check_callable(func)
    _check_any(structures)
    spec, columns = _aligned((shallow_structure, *structures), True)
    return spec.unflatten(map(func, *columns[1:]))


def assert_same_structure(a: Any, b: Any, check_types: Any = None) -> None:
    """Check that two structures are nested in the same way, in containers of the same kinds.

    All kinds of dict count as one. `check_types` is deprecated and changes nothing.

    Raises:
        ValueError: If they are not.

    >>> assert_same_structure([1, {"a": 2}], [3, {"a": None}])
    """
    if check_types is not None:
        warnings.warn(
            "`check_types` changes nothing and is deprecated. `assert_same_paths` is the looser "
            "check: to it lists, tuples, namedtuples and deques are alike.",
            DeprecationWarning,
            stacklevel=2,
        )
    _, columns = _aligned((a, b), True)
    _check_leaves(columns[1], True)


def assert_same_paths(a: Any, b: Any) -> None:
    """Check that the leaves of two structures lie at the same paths, whatever the containers.

    Raises:
        ValueError: If they don't.

    >>> assert_same_paths([1, 2], (3, 4))
    """
    paths_a = {path for path, _ in flatten_with_path(a)}
    paths_b = {path for path, _ in flatten_with_path(b)}
    if paths_a != paths_b:
        raise ValueError(
            "The leaves of two structures must lie at the same paths. "
            f"Received: paths of `a` that are missing in `b`: {_listed(paths_a - paths_b)}; "
            f"paths of `b` that are missing in `a`: {_listed(paths_b - paths_a)}."
        )


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """The structure with its leaves replaced by the elements of a flat sequence.

    Raises:
        TypeError: If `flat_sequence` can't be iterated over.
        ValueError: If its length is not the number of leaves.

    >>> pack_sequence_as({"b": 0, "a": [0, 0]}, [1, 2, 3])
    {'b': 3, 'a': [1, 2]}
    """
    spec = optree.tree_structure(structure, none_is_leaf=True, namespace=NAMESPACE)
    if not isinstance(flat_sequence, Iterable):
        raise TypeError(
            "`flat_sequence` must be a sequence of leaves. "
            f"Received: flat_sequence={flat_sequence!r} of type {type(flat_sequence).__name__}."
        )
    leaves = list(flat_sequence)
    if len(leaves) != spec.num_leaves:
        raise ValueError(
            "`flat_sequence` must have one element for each leaf of `structure`. "
            f"Received: {len(leaves)} elements for {spec.num_leaves} leaves."
        )
    return spec.unflatten(leaves)


def lists_to_tuples(structure: Any) -> Any:
    """The structure with tuples in the place of lists, so that its shape can be hashed.

    >>> lists_to_tuples([1, {"a": [2]}])
    (1, {'a': (2,)})
    """
    return traverse(
        lambda part: tuple(part) if isinstance(part, list) else None, structure, top_down=False
    )


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """`map_structure` whose leaves are shapes: lists or tuples of integers and `None`.

    >>> map_shape_structure(len, {"a": (None, 3), "b": (2, 3, 4)})
    {'a': 2, 'b': 3}
    """
    _check_callable(func)
    return optree.tree_map(
        func, structure, is_leaf=_is_shape, none_is_leaf=True, namespace=NAMESPACE
    )


def as_shapes(structure: Any) -> Any:
    """A shape, or a structure of shapes, as it was before it went through JSON.

    >>> as_shapes({"a": [None, 2], "b": [[3], None]})
    {'a': (None, 2), 'b': [(3,), None]}
    """
    if isinstance(structure, dict):
        return {key: as_shapes(item) for key, item in structure.items()}
    if not isinstance(structure, (list, tuple)):
        return structure
    return tuple(structure) if _is_shape(structure) else [as_shapes(item) for item in structure]


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Call `func` on every part of a structure, containers included, and put in what it returns.

    Args:
        func: A callable; `None` as its result keeps the part, `MAP_TO_NONE` puts `None` there.
        structure: Any structure.
        top_down: Whether a container comes before its children, which are then left out where
            `func` replaced the container. If not, `func` sees a container with new children.

    >>> traverse(lambda x: x + 1 if isinstance(x, int) else None, [1, [2, "c"]])
    [2, [3, 'c']]
    """
    _check_callable(func)
    return _traverse(func, structure, top_down)


def _traverse(func: Callable[[Any], Any], structure: Any, top_down: bool) -> Any:
    if top_down:
        replaced = func(structure)
        if replaced is not None:
            return None if replaced is MAP_TO_NONE else replaced
    if is_nested(structure):
        structure = optree.tree_map(
            lambda child: _traverse(func, child, top_down),
            structure,
            is_leaf=lambda part: part is not structure,
            none_is_leaf=True,
            namespace=NAMESPACE,
        )
    if not top_down:
        replaced = func(structure)
        if replaced is not None:
            return None if replaced is MAP_TO_NONE else replaced
    return structure


def _aligned(structures: tuple[Any, ...], none_is_leaf: bool) -> tuple[Any, list[list[Any]]]:
    """The nesting of the first structure, and what each structure has at its leaves."""
    _check_any(structures)
    leaves, spec = optree.tree_flatten(
        structures[0], none_is_leaf=none_is_leaf, namespace=NAMESPACE
    )
    columns = [leaves]
    for structure in structures[1:]:
        try:
            columns.append(spec.flatten_up_to(structure))
        except ValueError as error:
            raise ValueError(
                f"Structures must be nested in the same way. Received: {error}"
            ) from error
    return spec, columns


def _check_leaves(column: list[Any], none_is_leaf: bool) -> None:
    for part in column:
        if not optree.tree_is_leaf(part, none_is_leaf=none_is_leaf, namespace=NAMESPACE):
            raise ValueError(
                "Structures must be nested in the same way. "
                f"Received: {part!r} where another structure has a leaf."
            )


def _check_any(structures: tuple[Any, ...]) -> None:
    if not structures:
        raise ValueError("At least one structure must be given. Received: none.")


def _check_callable(func: Any) -> None:
    if not callable(func):
        raise TypeError(f"`func` must be callable. Received: func={func!r}.")


def _is_shape(part: Any) -> bool:
    return isinstance(part, (list, tuple)) and not any(map(is_nested, part))


def _listed(paths: set[Path]) -> list[Path]:
    return sorted(paths, key=repr)
