"""Other people's programs, in which `keras` means Cornu."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence


def is_program(arguments: Sequence[str]) -> bool:
    """Whether arguments are a program of Python's with its own, as `python` takes them.

    >>> is_program(["train.py", "--epochs", "3"]), is_program(["-m", "pytest"]), is_program(["demo"])
    (True, True, False)
    """
    return bool(arguments) and (arguments[0] in ("-m", "-c") or arguments[0].endswith(".py"))


def run_program(arguments: Sequence[str]) -> int:
    """Run it as `python` would, with Cornu in the place of Keras."""
    from ..alias import install

    kind, *given = arguments
    if kind in ("-m", "-c") and not given:
        print(f"`{kind}` needs a module, or a program. Received: nothing.", file=sys.stderr)
        return 2
    if kind not in ("-m", "-c") and not os.path.isfile(kind):
        print(f"A program must exist. Received: {kind!r}.", file=sys.stderr)
        return 2
    # What `python` puts first in the search path, which the place of `keras` then comes before.
    sys.path[0] = {"-m": os.getcwd(), "-c": ""}.get(kind, os.path.dirname(os.path.abspath(kind)))
    install()
    if kind == "-m":
        sys.argv = given
        runpy.run_module(given[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *given[1:]]
        exec(compile(given[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = [kind, *given]
        runpy.run_path(kind, run_name="__main__")
    return 0
