"""The command line of searches: `python -m cornu tune` and `python -m cornu trials`."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path
from typing import Any

from ..callbacks.progress import format_bytes, format_seconds, format_value

#: How many characters of what went wrong a row has.
_WHY = 60


def list_trials(options: argparse.Namespace) -> int:
    """Print a table of trials; 1 where there is no search."""
    from ._study import studies

    folder = Path(options.directory)
    storage = folder / "search.journal" if folder.is_dir() else options.directory
    if "://" not in str(storage) and not Path(storage).is_file():
        print(f"There is no search in {options.directory!r}.", file=sys.stderr)
        return 1
    found = studies(storage)
    study = next((it for it in found if it.name == options.name or options.name is None), None)
    if study is None:
        names = [it.name for it in found]
        print(
            f"There is no search {options.name!r} in {options.directory!r}: {names}.",
            file=sys.stderr,
        )
        return 1
    from rich.console import Console

    from . import _keeping, _report

    console = Console()
    console.print(_table(study, None if options.all else 20))
    size = f", {format_bytes(_keeping.size(folder))}" if folder.is_dir() else ""
    console.print(f"{study.name}: {_report.summary(study)}{size}.", highlight=False)
    if options.report is not None:
        _report.write(study, options.report)
        console.print(f"The report is in {options.report}.", highlight=False)
    return 0


def _table(study: Any, most: int | None) -> Any:
    from rich.table import Table

    records = study.trials()
    sign = 1.0 if study.directions[0] == "minimize" else -1.0
    records.sort(
        key=lambda it: (
            it.state != "COMPLETE",
            sign * it.values[0] if it.values else 0.0,
            it.number,
        )
    )
    names = list({name: None for record in records for name in record.chosen})
    table = Table("trial", "state", *study.objectives, *names, "steps", "time", "what went wrong")
    for record in records[:most]:
        scores = record.values if record.state == "COMPLETE" else None
        why = str((record.attributes.get("trial") or {}).get("message") or "").strip()
        spent = None if None in (record.started, record.ended) else record.ended - record.started
        table.add_row(
            str(record.number),
            record.state.lower(),
            *map(format_value, scores or []),
            *[""] * (len(study.objectives) - len(scores or [])),
            *(_short(record.chosen.get(name, "")) for name in names),
            str(len(record.reports) or ""),
            "" if spent is None else format_seconds(spent.total_seconds()),
            why.rpartition("\n")[2][:_WHY],
            style="bold green" if record is records[0] and scores else "",
        )
    return table


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def run_script(options: argparse.Namespace) -> int:
    """Run a script whose searches take what was given here; 1 where it searched nothing, 2 where there is none."""
    from ._base import BaseTuner

    if not options.script.is_file():
        print(f"There is no script {str(options.script)!r}.", file=sys.stderr)
        return 2
    given = {
        "n_jobs": options.jobs,
        "in_process": options.in_process or None,
        "timeout_per_trial": options.timeout,
        "memory_per_trial": None if options.memory is None else int(options.memory * 1e9),
    }
    searched: list[BaseTuner] = []
    BaseTuner.told = {name: value for name, value in given.items() if value is not None}
    BaseTuner.searched = searched
    former = sys.argv, sys.path[:]
    sys.argv = [str(options.script), *options.arguments]
    sys.path.insert(0, str(options.script.resolve().parent))
    try:
        runpy.run_path(str(options.script), run_name="__main__")
    finally:
        BaseTuner.told, BaseTuner.searched = {}, None
        sys.argv, sys.path[:] = former
    for tuner in searched:
        tuner.results_summary(1)
        print(f"The report is in {tuner.report()}.")
    if not searched:
        print(f"{options.script} called no `search` of a tuner.", file=sys.stderr)
    return 0 if searched else 1
