"""Functions whose code is made for a signature: tracebacks and debuggers show its lines."""

from __future__ import annotations

import linecache
from typing import Any


def define(name: str, source: str, scope: dict[str, Any], about: str = "") -> Any:
    """What a source defines under a name.

    Args:
        name: The function that the source defines.
        source: The code.
        scope: Its globals.
        about: What tells this code from other code of the same name.
    """
    file = f"<cornu: {about or name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), scope)
    return scope[name]
