"""Look into a file with weights, compare it with a model, and change what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.files import replacing
from ..core.variable import host_array
from ._files import as_path, require
from ._names import join, renaming
from ._package import METADATA, opened_package, read_json, stored_weights
from ._stores import Item, StoredArray, StoredWeights
from ._walk import is_state, walk
from ._weights import format_of, opened_weights
from .endings import WEIGHTS, is_weights

Arrays = dict[str, np.ndarray[Any, Any]]


class KerasFileEditor:
    """The weights of a file, by the path of the object that each is of, to be changed and saved.

    Args:
        filepath: A `.keras` file, or one of weights alone in any format, or a list of several.

    Raises:
        ValueError: If the file has another ending or is not complete.
        FileNotFoundError: If there is none.
    """

    def __init__(self, filepath: Any) -> None:
        self.filepath = as_path(filepath, "KerasFileEditor")
        format = format_of(self.filepath)
        if format is None and not self.filepath.endswith(".keras"):
            raise ValueError(
                f"The file editor opens {_listed('.keras', *WEIGHTS)} files. Received: "
                f"filepath={self.filepath!r}."
            )
        require(self.filepath)
        self.metadata: dict[str, Any] | None = None
        if format is not None:
            with opened_weights(self.filepath, self.filepath, format) as weights:
                self._read(weights)
        else:
            with opened_package(self.filepath) as package, stored_weights(package) as weights:
                self.metadata = read_json(package, METADATA)
                self._read(weights)

    def _read(self, stored: Mapping[str, StoredArray]) -> None:
        weights = StoredWeights(stored)
        #: The arrays of each object, by its path.
        self.weights_dict: dict[str, Arrays] = {}
        for path in weights.paths():
            arrays = weights.arrays(path)
            self.weights_dict[path] = {key: arrays[key] for key in sorted(arrays, key=_order)}

    # ------------------------------------------------------------------- look

    def summary(self) -> None:
        """Print what the file holds, as a tree of objects and arrays."""
        from rich.console import Console
        from rich.tree import Tree

        console = Console()
        console.print(f"Keras model file {self.filepath!r}", highlight=False)
        if self.metadata is not None:
            version, date = (self.metadata.get(key, "?") for key in ("keras_version", "date_saved"))
            console.print(f"Saved with Keras {version} - date: {date}", highlight=False)
        root = Tree("Weights structure", guide_style="dim")
        branches = {"": root}
        for path in _with_parents(self.weights_dict):
            above, _, name = path.rpartition("/")
            branches[path] = branches[above].add(f"[bold]{name}[/]")
            for key, array in self.weights_dict.get(path, {}).items():
                branches[path].add(f"{key}: shape={array.shape}, dtype={array.dtype}")
        console.print(root, highlight=False)

    def compare(self, reference_model: Any) -> dict[str, Any]:
        """Print how the file differs from a model.

        Args:
            reference_model: A built model.

        Returns:
            `status`, "success" or "error", `error_count` and `match_count`, the number of arrays
            that fit.
        """
        reference: dict[str, Arrays] = {}
        parts = dict(walk(reference_model))
        for path, part in parts.items():
            store: dict[str, Any] = {}
            if hasattr(part, "save_own_variables"):
                part.save_own_variables(store)
            if store and not is_state(store):
                reference[path] = {key: host_array(value) for key, value in store.items()}
        rename, stored = renaming(parts, None), dict[str, Arrays]()
        for path, held in self.weights_dict.items():
            for key, array in held.items() if not is_state(held) else ():
                owner, _, own_key = rename(join(path, key)).rpartition("/")
                stored.setdefault(owner, {})[own_key] = array
        errors, matches = list(_differences(reference, stored)), 0
        for path in reference.keys() & stored.keys():
            own, other = reference[path], stored[path]
            matches += sum(own[k].shape == other[k].shape for k in own.keys() & other.keys())
        for error in errors:
            print(f"...{error}")
        fits = "is not compatible" if errors else "is compatible"
        print(f"Found {len(errors)} errors: the file {fits} with the reference model.")
        status = "error" if errors else "success"
        return {"status": status, "error_count": len(errors), "match_count": matches}

    # ----------------------------------------------------------------- change

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give an object, with what is below it, another name.

        Args:
            object_name: The path of the object, or its last part where no other has the same.
            new_name: The new last part of the path.
        """
        path = self._path(object_name)
        above = path.rpartition("/")[0]
        renamed = f"{above}/{new_name}" if above else new_name
        if renamed in _with_parents(self.weights_dict):
            raise ValueError(
                f"A new name must be free. Received: new_name={new_name!r}, while there is "
                f"{renamed!r} already. Delete it first."
            )
        self.weights_dict = {
            renamed + other[len(path) :] if _is_within(other, path) else other: arrays
            for other, arrays in self.weights_dict.items()
        }

    def delete_object(self, object_name: str) -> None:
        """Delete an object, and what is below it."""
        path = self._path(object_name)
        kept = {p: a for p, a in self.weights_dict.items() if not _is_within(p, path)}
        self.weights_dict = kept

    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Add an object at a path below one that there is, with arrays by their names."""
        path = object_path.strip("/")
        above = path.rpartition("/")[0]
        known = _with_parents(self.weights_dict)
        if (above and above not in known) or path in known:
            raise ValueError(
                "An object is added at a free path below one that there is. Received: "
                f"object_path={object_path!r}. There are {known}."
            )
        self.weights_dict[path] = {key: host_array(value) for key, value in weights.items()}

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Delete an array of an object."""
        arrays = self.weights_dict.get(self._path(object_name), {})
        if weight_name not in arrays:
            raise ValueError(
                f"An array that is deleted must exist. Received: weight_name={weight_name!r} of "
                f"{object_name!r}, which has {sorted(arrays)}."
            )
        del arrays[weight_name]

    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Add arrays to an object, or replace them."""
        arrays = self.weights_dict.setdefault(self._path(object_name), {})
        arrays.update({key: host_array(value) for key, value in weights.items()})

    def _path(self, name: str) -> str:
        known = _with_parents(self.weights_dict)
        path = name.strip("/")
        found = [path] if path in known else [p for p in known if p.rpartition("/")[2] == path]
        if len(found) == 1:
            return found[0]
        raise ValueError(
            "An object is named by its path, or by the last part of it where no other has the "
            f"same. Received: {name!r}, which fits {found or 'none'}. There are {known}."
        )

    def save(self, filepath: Any) -> None:
        """Save the weights, as they are now, in the format that the path's ending says."""
        path = as_path(filepath, "KerasFileEditor.save")
        format = format_of(path) if is_weights(path) else None
        if format is None:
            raise ValueError(
                f"The file editor saves weights, in {_listed(*WEIGHTS)} files. Received: "
                f"filepath={path!r}."
            )
        items = [Item(owner, _Holder(arrays)) for owner, arrays in self.weights_dict.items()]
        with replacing(path) as draft:
            format.write(draft, items)

    resave_weights = save


@dataclass(frozen=True)
class _Holder:
    """What stands for an object where its arrays are written."""

    arrays: Arrays

    def save_own_variables(self, store: dict[str, Any]) -> None:
        store.update(self.arrays)


def _listed(*endings: str) -> str:
    return " and ".join(f"`{ending}`" for ending in endings)


def _order(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdigit() else (-1, key)


def _with_parents(paths: Mapping[str, Any]) -> list[str]:
    """The paths and those above them, each after the one above it."""
    found: dict[str, None] = {}
    for path in paths:
        steps = path.split("/")
        found.update({"/".join(steps[: n + 1]): None for n in range(len(steps)) if path})
    return list(found)


def _is_within(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above}/")


def _differences(model: dict[str, Arrays], file: dict[str, Arrays]) -> Iterator[str]:
    for path in sorted(model.keys() | file.keys()):
        own, other = model.get(path), file.get(path)
        if own is None or other is None:
            has, lacks = ("model", "file") if other is None else ("file", "model")
            keys = list(own or other or ())
            yield f"Object {path!r} is in the {has}, with {keys}, and not in the {lacks}."
            continue
        for key in sorted(own.keys() | other.keys(), key=_order):
            if key not in other or key not in own:
                has, lacks = ("model", "file") if key in own else ("file", "model")
                yield f"Weight {path}/{key} is in the {has} and not in the {lacks}."
            elif own[key].shape != other[key].shape:
                yield (
                    f"Weight {path}/{key} has the shape {own[key].shape} in the model and "
                    f"{other[key].shape} in the file."
                )
