"""How a user's class is checked: named checks run one after another, and what fails is told in words."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from .. import engines, ops, saving
from ..core import tree
from ..core.keras_tensor import KerasTensor
from ..engines.host import holds_text

Body = Callable[[Any], None]
#: What to change where a config is not the thing's.
CONFIGS = (
    "`get_config` returns `{**super().get_config(), 'argument': self.argument}` for each argument."
)
#: Engines that compute nothing, or run what was traced alone.
_OTHERS = ("spec", "onnxruntime")


class CheckError(AssertionError):
    """What was checked fails in one way or several; the text says which, and what to change."""


class Fault(Exception):
    """What a check has found, in words."""


class Checks(dict[str, tuple[Body, str]]):
    """The checks of a kind of class, in order: by name, each with what to change where it fails."""

    def __init__(self) -> None:
        super().__init__()
        #: Those without which all others would fail alike.
        self.first: set[str] = set()

    def add(self, advice: str, first: bool = False) -> Callable[[Body], Body]:
        """A decorator that puts a check in, under its function's name."""

        def put(body: Body) -> Body:
            name = body.__name__.replace("_", " ")
            self[name] = body, advice
            self.first |= {name} if first else set()
            return body

        return put

    def run(self, kind: Any, case: Any, skip: Iterable[str]) -> None:
        """Run all checks but some on a class, or on what a text names.

        Raises:
            CheckError: With all that was found.
            TypeError: If an object is given in place of a class.
            ValueError: If a check that is to be left out is none.
        """
        if not isinstance(kind, (type, str)):
            raise TypeError(
                f"A class is checked, with its constructor's arguments. Received: {kind!r}. "
                f"Pass {type(kind).__name__}."
            )
        title = kind if isinstance(kind, str) else kind.__name__
        skip = {skip} if isinstance(skip, str) else set(skip)
        if unknown := skip - set(self):
            raise ValueError(
                f"`skip` names checks. Received: {sorted(unknown)}. There are {list(self)}."
            )
        found: list[str] = []
        for name, (body, advice) in self.items():
            text = "" if name in skip else _told(body, case)
            if text:
                found.append(f"- {name}: {text} {advice}")
                if name in self.first:
                    break
        if found:
            raise CheckError(f"{title} fails in {len(found)} way(s):\n" + "\n".join(found))


def _told(body: Body, case: Any) -> str:
    """What a check finds; empty where there is nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body(case)
    except Fault as fault:
        return str(fault)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {lines[0]}"
    return ""


def installed() -> list[str]:
    """The engines whose libraries are installed."""
    names = [name for name in engines.names() if name not in _OTHERS]
    return [name for name in names if name not in engines.BUILTIN or find_spec(name) is not None]


def arrays(structure: Any) -> Any:
    """Copies of the arrays of a structure that may not be written into."""

    def frozen(x: Any) -> Any:
        if not hasattr(x, "shape") or isinstance(x, KerasTensor):
            return x
        array = np.array(ops.convert_to_numpy(x))
        array.setflags(write=False)
        return array

    return tree.map_structure(frozen, structure)


def host(structure: Any) -> list[np.ndarray[Any, Any]]:
    """The tensors of a structure as arrays."""
    return [np.asarray(ops.convert_to_numpy(x)) for x in tree.flatten(structure) if x is not None]


def close(found: Any, wanted: Any, tolerance: float, what: str) -> None:
    """A fault where arrays differ by more than a tolerance, absolute and relative."""
    found, wanted = host(found), host(wanted)
    if [x.shape for x in found] != [x.shape for x in wanted]:
        shapes = [x.shape for x in found], [x.shape for x in wanted]
        raise Fault(f"{what}: the shapes {shapes[0]} in place of {shapes[1]}.")
    for one, two in zip(found, wanted, strict=True):
        if not np.allclose(
            one.astype("complex"), two.astype("complex"), tolerance, tolerance, True
        ):
            far = np.nanmax(np.abs(one.astype("complex") - two.astype("complex")))
            raise Fault(f"{what}: values differ by up to {far:.3g}.")


def finite(structure: Any, what: str) -> None:
    """A fault where a number is none."""
    for x in host(structure):
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise Fault(f"{what} has NaN or infinities.")


def dtype_of(x: np.ndarray[Any, Any]) -> str:
    """The dtype of an array, as symbolic tensors have it."""
    return "string" if holds_text(x) else x.dtype.name


def specs(structure: Any, unknown: bool = False) -> Any:
    """Symbolic tensors for arrays, of any batch size with `unknown`."""

    def spec(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        shape = (None, *x.shape[1:]) if unknown and x.ndim else x.shape
        return KerasTensor(shape, dtype_of(x))

    return tree.map_structure(spec, structure)


def described_again(thing: Any) -> Any:
    """What a thing's config describes, after a file; a fault where the config is not the same again."""
    written = saving.serialize_keras_object(thing)
    try:
        written = json.loads(json.dumps(written))
    except TypeError as error:
        raise Fault(f"Its config has what JSON can't hold: {error}.") from None
    with saving.custom_object_scope(own(type(thing))):
        again = saving.deserialize_keras_object(written)
    first, second = (
        json.dumps(x.get_config(), default=str, sort_keys=True) for x in (thing, again)
    )
    if first != second:
        raise Fault(
            f"The config of what `from_config` makes is {second}, and it was made of {first}."
        )
    return again


def written(thing: Any, arguments: dict[str, Any]) -> None:
    """A fault where a config lacks what the constructor was given, or needs."""
    parameters = inspect.signature(type(thing).__init__).parameters.values()
    defaults = {p.name: p.default for p in parameters}
    needed = {
        p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    }
    given = {name for name, x in arguments.items() if x is not defaults.get(name)}
    if lacks := (needed | given) - {"self"} - set(thing.get_config()):
        raise Fault(f"`get_config` lacks {sorted(lacks)}, which the constructor takes.")


def own(kind: type) -> dict[str, Any]:
    """A class by the names that files have for it."""
    return {saving.get_registered_name(kind): kind, kind.__name__: kind}


def each_engine(names: Sequence[str] | None) -> Iterator[engines.Engine]:
    """The engines of some names, current one after another; all that are installed where None are given."""
    for name in installed() if names is None else names:
        with engines.use(name) as engine:
            yield engine
