"""How much of Keras's public API is here: names, and signatures. Exit code 1 where that is less than it should be.

`keras-3.15.json` has the signature of every public name of Keras 3.15, by namespace. An entry agrees if Cornu
has the name in the same place, and its parameters have the same names, order, defaults and kinds; what Cornu
takes beside them follows them or is given by name, and may be what Keras takes as `**kwargs`.
"""

from __future__ import annotations

import fnmatch
import functools
import inspect
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cornu

#: Names that are not here yet, by who brings them: a name that comes is taken out of its line.
NOT_YET: dict[str, str] = {}
#: Names whose signature is not Keras's yet.
OTHERWISE = ""


@functools.cache
def entries() -> dict[str, str | None]:
    """The signature of each public name of Keras, such as `layers.Dense`; None for a constant."""
    found = json.loads(Path(__file__).with_name("keras-3.15.json").read_text())
    paths = ((f"{home}.{name}", text) for home, of in found.items() for name, text in of.items())
    return {path.removeprefix("keras."): text for path, text in paths}


def missing() -> list[str]:
    """The names that are not here."""
    return [path for path in entries() if _found(path) is _NONE]


def different() -> dict[str, str]:
    """The signatures that are here and not Keras's, by name."""
    found = {}
    for path, theirs in entries().items():
        target = _found(path)
        if target is not _NONE and theirs is not None:
            ours, named = signature(target, theirs)
            if ours not in (theirs, theirs.replace(", **kwargs", "") if named else theirs):
                found[path] = ours
    return found


_NONE = object()


def _found(path: str) -> Any:
    """What Cornu has under a name of Keras."""
    target: Any = cornu
    for part in path.split("."):
        target = getattr(target, part, _NONE)
    return target


def signature(target: Any, theirs: str) -> tuple[str, bool]:
    """The parameters of a call without annotations, and without those that Cornu takes beside Keras's, which
    follow them or are given by name; and whether there are such."""
    given = inspect.signature(target)
    bare = [p.replace(annotation=p.empty) for p in given.parameters.values()]
    kept = list(bare)
    for p in reversed(bare):
        is_own = p.default is not p.empty and not re.search(rf"\b{p.name}\b", theirs)
        if is_own:
            kept.remove(p)
        elif p.kind is p.POSITIONAL_OR_KEYWORD:
            break
    return str(given.replace(parameters=kept, return_annotation=given.empty)), kept != bare


def matched(paths: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """The names that one of the patterns is of."""
    patterns = list(patterns)
    return [path for path in paths if any(fnmatch.fnmatchcase(path, p) for p in patterns)]


def main() -> int:
    """Print the share, and what lacks beyond what is known to."""
    lacks, differ, total = missing(), different(), len(entries())
    agree = total - len(lacks) - len(differ)
    print(
        f"{total - len(lacks):,} of Keras's {total:,} public names, {agree:,} of them as in Keras"
    )
    known = {*matched(lacks, " ".join(NOT_YET.values()).split())}
    faults = [path for path in lacks if path not in known]
    faults += [
        f"{path}{text}" for path, text in differ.items() if not matched([path], OTHERWISE.split())
    ]
    for fault in faults:
        print(f"NOT AS KERAS: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
