"""Pages of HTML that stand alone: parts put into a template, data that a script reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def filled(template: Path, parts: dict[str, str]) -> str:
    """The template with each `{{name}}` replaced, each once: what is put in is not read again."""
    pieces = template.read_text(encoding="utf-8").split("{{")
    made = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        made += [parts[name], rest]
    return "".join(made)


def embedded(content: Any) -> str:
    """Data as JSON that can stand within a `<script>`."""
    return json.dumps(content).replace("<", "\\u003c")
