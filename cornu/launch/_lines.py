"""The output of a process as lines, and what it tells among them."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Any

from ..core.supervision import MARKED

#: The most characters of a line that is kept until its end comes.
_LONGEST = 65_536
_MARK = "\x1ecornu "


class Lines:
    """What comes in pieces as whole lines; what is told comes first. A carriage return begins a line anew.

    Args:
        line: Is told each line, without its end.
        told: Is told the kind and the text of each marked line; None where these are left among the others.

    >>> lines = Lines(print, lambda kind, text: print(f"told: {kind} {text}"))
    >>> lines.add(b"one\\ntw\\x1ecornu beat \\no\\nthr"); lines.end()
    told: beat
    one
    two
    thr
    """

    def __init__(self, line: Callable[[str], Any], told: Callable[[str, str], Any] | None) -> None:
        self._line, self._told = line, told
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._text = ""

    def add(self, data: bytes) -> None:
        """Take a piece."""
        self._text += self._decoder.decode(data)
        *lines, rest = self._without_marks(self._text).split("\n")
        for text in lines:
            self._line(text.rstrip("\r").rpartition("\r")[2])
        if len(rest) > _LONGEST and _MARK not in rest:
            self._line(rest)
            rest = ""
        self._text = rest

    def end(self) -> None:
        """Nothing more comes."""
        if self._text:
            self.add(b"\n")

    def _without_marks(self, text: str) -> str:
        told = self._told
        if told is None or _MARK not in text:
            return text

        def tell(found: re.Match[str]) -> str:
            told(found[1], found[2])
            return ""

        return MARKED.sub(tell, text)
