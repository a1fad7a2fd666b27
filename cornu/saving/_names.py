"""By which names weights are found in files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..core import naming
from ..core.variable import Variable
from ..layers import Layer
from ..optimizers import Optimizer

#: Whether a variable has the name of those that were given none, numbered through the process.
_AUTOMATIC = re.compile(r"variable(_\d+)?").fullmatch
#: Names in a file to names in the model, or patterns to what they become, or a function.
Names = Mapping[str, str] | Callable[[str], str]


def own_variables(part: Any) -> dict[str, Variable]:
    """What an object itself keeps in files, by key."""
    kept = part._stored_weights() if isinstance(part, Layer) else ()
    kept = part.variables if isinstance(part, Optimizer) else kept
    return {str(index): variable for index, variable in enumerate(kept)}


def stored_values(part: Any) -> dict[str, Any]:
    """What an object itself puts into files, by key: its variables, or tensors in their place."""
    values = part._stored_values() if isinstance(part, Layer) else part.variables
    return {str(index): value for index, value in enumerate(values)}


def is_numbered(part: Any) -> bool:
    """Whether an object's keys in files are numbers: a user's class that loads its own may have any."""
    return naming.is_ours(getattr(part, "load_own_variables", None))


def labels(part: Any) -> dict[str, str]:
    """The names of an object's variables by key, where they tell them apart and aren't automatic."""
    own = own_variables(part) if is_numbered(part) else {}
    counts = Counter(variable.name for variable in own.values())
    return {key: v.name for key, v in own.items() if counts[v.name] == 1 and not _AUTOMATIC(v.name)}


def renaming(parts: Mapping[str, Any], names: Names | None) -> Callable[[str], str]:
    """What gives the name with a key, `layers/dense/0`, for any that a file may have.

    That may be one with a variable's name, `layers/dense/kernel`, or the variable's path.
    """
    rename = rule(names)
    own = {path: own_variables(part) for path, part in parts.items() if is_numbered(part)}
    counts = Counter(variable.path for kept in own.values() for variable in kept.values())
    known: dict[str, str] = {}
    for path, kept in own.items():
        known |= {v.path: join(path, key) for key, v in kept.items() if counts[v.path] == 1}
    for path, part in parts.items():
        known |= {join(path, label): join(path, key) for key, label in labels(part).items()}
    return lambda name: known.get(new := rename(name), new)


def rule(names: Names | None) -> Callable[[str], str]:
    """What gives the name in the model for one in a file."""
    if callable(names):
        return lambda name: _text(names(name), name)
    exact = dict(names or {})
    try:
        patterns = [(re.compile(pattern), new) for pattern, new in exact.items()]
    except re.error as error:
        raise ValueError(
            "`names` has names in the file, or regular expressions for them. Received: "
            f"{error.pattern!r}, which is none: {error}. `re.escape` gives one for a name."
        ) from error

    def rename(name: str) -> str:
        if name in exact:
            return exact[name]
        found = ((pattern.fullmatch(name), new) for pattern, new in patterns)
        return next((match.expand(new) for match, new in found if match), name)

    return rename


def _text(new: Any, name: str) -> str:
    if isinstance(new, str):
        return new
    raise TypeError(
        "`names` must give the model's name for each of the file. Received: "
        f"{new!r} for {name!r}. Return the name itself where it stays."
    )


def join(path: str, key: str) -> str:
    """The name of what an object at a path has by a key."""
    return f"{path}/{key}" if path else key
