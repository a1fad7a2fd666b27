"""What an export says on the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def report(path: Path, files: Iterable[Path], rows: Iterable[tuple[str, str]]) -> None:
    """Print what was written, and what is known of it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Exported {path}", title_justify="left", show_header=False, box=None)
    for file in files:
        table.add_row(file.name, f"{file.stat().st_size:,} bytes")
    for name, told in rows:
        table.add_row(name, told)
    Console(soft_wrap=True).print(table)
