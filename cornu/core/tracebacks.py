"""Errors that show the frames of the user's code, and not this library's."""

from __future__ import annotations

from types import TracebackType

from . import naming
from .config import is_traceback_filtering_enabled


def shorten(error: BaseException) -> None:
    """Take this library's frames out of the traceback of an error, and of the errors behind it."""
    if not is_traceback_filtering_enabled():
        return
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        found.__traceback__ = _without_ours(found.__traceback__)
        found = found.__cause__ or found.__context__


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    kept = []
    while trace is not None:
        if not naming.runs_here(trace.tb_frame):
            kept.append(trace)
        trace = trace.tb_next
    for one in reversed(kept):
        trace = TracebackType(trace, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return trace
