"""The weights of a model, in files of any format and out of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ..core.files import like, names_like, replacing_together
from ..optimizers import Optimizer
from ._files import LARGEST_TEXT, BrokenFileError, require, warn
from ._hdf5 import HDF5
from ._names import Names, is_numbered, own_variables, renaming
from ._parts import joined_parts
from ._reports import WeightsReport
from ._safetensors import Safetensors
from ._stores import Arrays, Format, Item, StoredArray, StoredArrays, StoredWeights, split
from ._walk import is_state, walk

FORMATS: tuple[Format, ...] = (HDF5(), Safetensors())


def format_of(path: str) -> Format | None:
    """The format of a file with weights, or of a list of several, by its ending."""
    return next((f for f in FORMATS if path.endswith((f.ending, f.listing))), None)


def left_out(model: Any, format: Format, names: Iterable[str] = ()) -> list[Any]:
    """The objects of a model whose state is in no file of a format, or has none of a file's names."""
    kinds = () if format.has_optimizers else Optimizer
    there = {name.rpartition("/")[0] for name in names}
    return [part for path, part in walk(model) if isinstance(part, kinds) and path not in there]


# -------------------------------------------------------------------- writing


def write_sharded(items: Sequence[Item], path: str, largest: float, format: Format) -> None:
    """Write objects' arrays into several files next to `path`, which lists them as JSON.

    Files that are there keep their names until the list no longer has them: new ones have others, so
    that a list's files are whole whenever the process ends.

    Args:
        items: The objects.
        path: The path of the list.
        largest: The largest number of bytes of arrays in a file.
        format: The files' format.
    """
    folder, name = os.path.split(path)
    stem = name.removesuffix(format.listing)
    shards, total = split(items, largest)
    there = set(os.listdir(folder or ".")) if os.path.isdir(folder or ".") else set()
    kinds = (
        [format.shard(s, n, len(shards)) for n in range(len(shards))] for s in names_like(stem)
    )
    named = dict(zip(next(x for x in kinds if there.isdisjoint(x)), shards, strict=True))
    with replacing_together(path) as drafts:
        for shard, part in named.items():
            format.write(os.path.join(drafts, shard), part)
        with open(os.path.join(drafts, name), "w", encoding="utf-8") as file:
            json.dump(format.index(named, total), file, indent=4)
    for old in filter(like(stem, rf"[-_]\d+(-of-\d+)?{re.escape(format.ending)}").fullmatch, there):
        os.remove(os.path.join(folder, old))


# -------------------------------------------------------------------- reading


@contextmanager
def opened_weights(source: Any, called: str, format: Format = FORMATS[0]) -> Iterator[Arrays]:
    """The weights in a file, or in those that a list names; given by path or as an open file.

    Raises:
        BrokenFileError: If it is of another format, or not complete.
    """
    with ExitStack() as stack:
        arrays: dict[str, StoredArray] = {}
        listed = isinstance(source, str) and source.endswith(format.listing)
        for file in _listed(source) if listed else [source]:
            arrays.update(stack.enter_context(format.opened(file, file if listed else called)))
        yield joined_parts(arrays, called)


def _listed(path: str) -> list[str]:
    """The paths of the files that a list has."""
    try:
        with open(path, encoding="utf-8") as file:
            if os.path.getsize(path) > LARGEST_TEXT:
                raise ValueError(f"it has more than {LARGEST_TEXT:,} bytes")
            places = json.load(file)["weight_map"].values()
            lists = [[names] if isinstance(names, str) else names for names in places]
            shards = sorted({os.fspath(name) for names in lists for name in names})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BrokenFileError(
            "A list of weight files must be JSON with `weight_map`. Received: "
            f"filepath={path!r}: {error}. Save the weights again."
        ) from error
    for name in shards:
        if os.path.basename(name) != name or name in ("", ".", ".."):
            raise BrokenFileError(
                f"Weight files lie next to their list. Received: {name!r} in {path!r}. Save "
                "the weights again."
            )
        require(os.path.join(os.path.dirname(path), name))
    return [os.path.join(os.path.dirname(path), name) for name in shards]


# ------------------------------------------------------------- into the model


def load_state(
    model: Any,
    stored: Arrays,
    called: str,
    skip_mismatch: bool = False,
    leave_out: Collection[Any] = (),
    load_assets: Callable[[str, Any], None] | None = None,
    names: Names | None = None,
) -> WeightsReport:
    """Set the state of every object of a model from a file.

    Args:
        model: The model.
        stored: The arrays in the open file.
        called: What errors call the file.
        skip_mismatch: Whether what does not fit is left as it is, with a warning.
        leave_out: Objects whose state is left as it is.
        load_assets: Called with the path and the object, after each object's arrays are set.
        names: The names in the model by those in the file, where they differ.

    Raises:
        ValueError: If the file is of another architecture.
    """
    parts = dict(walk(model, leave_out))
    weights = StoredWeights(stored, renaming(parts, names))
    report = WeightsReport()
    misfits: list[Exception] = []
    # What is known not to fit comes first: where that is an error, nothing is set.
    fits = {path: _fits(part, weights.arrays(path).stored) for path, part in parts.items()}
    for path, part in sorted(parts.items(), key=lambda pair: fits[pair[0]]):
        if misfits and fits[path] and not skip_mismatch:
            break
        if hasattr(part, "load_own_variables"):
            arrays = weights.arrays(path)
            _build(model, path, part, arrays)
            misfit = _load_own(part, arrays)
            own = own_variables(part)
            anew = isinstance(part, Optimizer) and len(arrays) != len(own)
            report.note(own, arrays.stored, misfit is None and not anew)
            if misfit is not None:
                misfits.append(misfit)
        if load_assets is not None:
            load_assets(path, part)
    if misfits:
        _report(model, called, misfits, skip_mismatch)
    known = dict(walk(model)) if leave_out else parts
    others = [p for p in weights.paths() if p not in known and not p.startswith("optimizer")]
    unknown = [path for path in others if not is_state(weights.arrays(path))]
    if unknown and not (misfits or skip_mismatch):
        warn(
            f"The model {model.name!r} took the weights that it has a place for. Received: "
            f"{called!r}, which also has weights of {_some(unknown)}. Is it the architecture that "
            "was saved?"
        )
    for path in unknown:
        report.unexpected.extend(array.name for array in weights.arrays(path).stored.values())
    return report


def compared(model: Any, stored: Arrays, leave_out: Collection[Any] = ()) -> WeightsReport:
    """What `load_state` would find, without setting anything; objects that load their own by other keys fit."""
    parts = dict(walk(model, leave_out))
    weights, report = StoredWeights(stored, renaming(parts, None)), WeightsReport()
    for path, part in parts.items():
        arrays = weights.arrays(path).stored
        _build(model, path, part, arrays)
        if is_numbered(part) and not is_state(arrays):
            report.note(own_variables(part), arrays, _fits(part, arrays))
    others = (weights.arrays(path).stored for path in weights.paths() if path not in parts)
    report.unexpected.extend(x.name for kept in others if not is_state(kept) for x in kept.values())
    return report


def _build(model: Any, path: str, part: Any, stored: Collection[str]) -> None:
    """Build the model's optimizer where there is a state for it."""
    if isinstance(part, Optimizer) and path == "optimizer" and stored:
        part.follow(model)
        fits = len(own_variables(part)) == len(stored)
        if part._follows and not fits and not int(part.iterations):
            part.rebuild(model.trainable_variables)  # it was built before transforms froze some


def _fits(part: Any, stored: Arrays) -> bool:
    """Whether an object's own arrays have the keys and shapes of its variables, as far as the keys are known."""
    own = own_variables(part)
    if not is_numbered(part) or not own:
        return True
    return own.keys() == stored.keys() and all(
        variable.shape == stored[key].shape() for key, variable in own.items()
    )


def _load_own(part: Any, arrays: StoredArrays) -> Exception | None:
    """Set an object's own state; what does not fit, or None."""
    if not arrays and not getattr(part, "weights", getattr(part, "variables", ())):
        return None
    try:
        part.load_own_variables(arrays)
    except BrokenFileError:
        raise
    except Exception as error:
        # A user's `load_own_variables` may raise anything.
        return error
    return None


def _report(model: Any, called: str, misfits: list[Exception], skip_mismatch: bool) -> None:
    first = str(misfits[0]) or repr(misfits[0])
    rest = f" The same goes for {len(misfits) - 1} more." if len(misfits) > 1 else ""
    if skip_mismatch:
        warn(
            f"Some weights of {model.name!r} are left as they are, because those of {called!r} do "
            f"not fit. {first}{rest}"
        )
        return
    raise ValueError(
        f"Weights must be of the model's architecture. Received: {called!r} for the model "
        f"{model.name!r}. {first}{rest} Load it into the model that was saved, or pass "
        "`skip_mismatch=True` to leave such layers as they are."
    ) from misfits[0]


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
