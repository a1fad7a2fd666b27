"""`python -m cornu checkpoints`: what checkpoints a directory has."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from ..callbacks.progress import format_seconds, format_value
from ..saving import Checkpoint, best_of, checkpoints


def list_checkpoints(options: argparse.Namespace) -> int:
    """Print a table of them; 1 where there is none, or one is torn."""
    found = checkpoints(options.directory, thorough=not options.quick)
    if not found:
        print(f"There are no checkpoints in {str(options.directory)!r}.", file=sys.stderr)
        return 1
    from rich.console import Console

    console = Console()
    console.print(_table(found))
    for checkpoint in found:
        if checkpoint.fault is not None:
            console.print(f"{checkpoint.path.name}: {checkpoint.fault}.", highlight=False)
    return int(any(checkpoint.fault is not None for checkpoint in found))


def _table(found: list[Checkpoint]) -> Any:
    from rich.table import Table

    best = best_of(found)
    table = Table("step", "epoch", "loss", "val_loss", "size", "age", "state")
    for checkpoint in found:
        state = checkpoint.record.get("state", {})
        losses = [checkpoint.value(name) for name in ("loss", "val_loss")]
        whole = "[red]torn" if checkpoint.fault is not None else "whole"
        table.add_row(
            str(checkpoint.step),
            str(state.get("epoch", "")),
            *("" if value is None else format_value(value) for value in losses),
            _size(checkpoint.size),
            format_seconds(max(0.0, time.time() - checkpoint.time)),
            "[bold green]best" if checkpoint is best else whole,
        )
    return table


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} GB"
