"""The command line: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from . import measure, results, tables
from .subjects import BASE
from .workloads import GROUPS, SOURCES, WORKLOADS, Workload

FIRST = "first"
IMPORT_BUDGET = 0.3
ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
AGAINST = ["keras", "hand", "limit", "arrays"]
Jobs = list[tuple[Workload | None, str]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or show what was measured; exit code 1 where the import breaks its promises."""
    options = parse(arguments)
    if options.table or options.readme:
        text = tables.readme_tables()
        if options.readme:
            tables.rewrite(README, text)
        else:
            print(text)
        return 0
    console = Console()
    console.width = max(console.width, 120)  # Narrower, the table is hard to read.
    path = None if options.no_save or options.base else results.file_here()
    records: list[results.Record] = []
    try:
        with earlier(options.base):
            for found in run(jobs(options), options, console):
                records += found
                if path is not None:
                    results.save(found, path)
    except KeyboardInterrupt:
        console.print("Interrupted: what was measured before is kept.")
    console.print(tables.terminal_table(records, options.against))
    for line in tables.missing_lines(records):
        console.print(line, markup=False, style="yellow")
    if path is not None:
        console.print(f"written: {path}")
    return verdict(records, console)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, complete."""
    known = [FIRST, *GROUPS, *WORKLOADS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Time Cornu beside others, by turns."
    )
    about = f"what to run: {', '.join(known)} (default: all that needs no GPU)"
    parser.add_argument("names", nargs="*", metavar="NAME", help=about)
    engines = "the engine; may be repeated (default: jax, torch, tensorflow)"
    parser.add_argument("--engine", action="append", metavar="NAME", help=engines)
    against = "whom to compare with; may be repeated (default: arrays for sources, else all others)"
    parser.add_argument("--against", action="append", choices=AGAINST, help=against)
    base = "compare with Cornu as it was at a commit, and save nothing"
    parser.add_argument("--base", metavar="COMMIT", help=base)
    parser.add_argument("--rounds", type=int, default=11, help="turns each has (default: 11)")
    seconds = "about how long a turn takes (default: 1)"
    parser.add_argument("--seconds", type=float, default=1.0, help=seconds)
    parser.add_argument("--gpu", action="store_true", help="run what takes a GPU instead")
    parser.add_argument("--no-save", action="store_true", help="write no file of results")
    parser.add_argument("--table", action="store_true", help="print the README's tables, and end")
    parser.add_argument("--readme", action="store_true", help="put them into the README, and end")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in known:
            parser.error(f"NAME must be known. Received: {name!r}. Choose from {', '.join(known)}.")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive.")
    options.engine = options.engine or ["jax", "torch", "tensorflow"]
    if options.base:
        options.against = [*(options.against or []), "base"]
    sources = bool(options.names) and set(options.names) <= {"sources", *(w.name for w in SOURCES)}
    options.against = options.against or (AGAINST[-1:] if sources else AGAINST[:-1])
    return options


@contextmanager
def earlier(commit: str | None) -> Iterator[None]:
    """The library's files at a commit, in a folder that lasts as long as the measuring."""
    if commit is None:
        yield
        return
    command = ["git", "archive", "--format=tar", commit, "cornu"]
    files = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            archive.extractall(folder, filter="data")
        os.environ[BASE] = folder
        yield


def jobs(options: argparse.Namespace) -> Jobs:
    """Workloads and engines, in order; None stands for the fresh processes."""
    names = options.names or (
        ["gpu"] if options.gpu else [FIRST, "training", "inference", "memory"]
    )
    chosen: list[Workload | None] = []
    for name in names:
        entries = [None] if name == FIRST else GROUPS.get(name) or [WORKLOADS[name]]
        chosen += [entry for entry in entries if entry not in chosen]
    runnable = [entry for entry in chosen if entry is None or entry.gpu <= options.gpu]
    return [(entry, engine) for entry in runnable for engine in options.engine]


def run(
    work: Jobs, options: argparse.Namespace, console: Console
) -> Iterable[list[results.Record]]:
    """Do the jobs one after the other; the records of each."""
    subjects = ["cornu", *options.against]
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        whole = progress.add_task("all", total=len(work))
        for workload, engine in work:
            name = FIRST if workload is None else workload.name
            task = progress.add_task(f"{name} on {engine}", total=options.rounds)

            def advance(task=task) -> None:
                progress.advance(task)

            if workload is None:
                found = measure.first_results(engine, subjects, options.rounds, advance)
            else:
                found = [one(workload, engine, subjects, options, advance)]
            yield found
            progress.remove_task(task)
            progress.advance(whole)


def one(
    workload: Workload,
    engine: str,
    subjects: Sequence[str],
    options: argparse.Namespace,
    advance: Callable[[], None],
) -> results.Record:
    """The record of a workload; where a worker breaks off, one that says so: the others go on."""
    try:
        timing = (options.rounds, options.seconds)
        return measure.measure(workload, engine, subjects, *timing, advance)
    except measure.Failed as error:
        return measure.record(workload.name, engine, unit="s", values={}, broken=str(error))


def verdict(records: Sequence[results.Record], console: Console) -> int:
    """Say whether the import keeps its promises, where it was timed."""
    kept = True
    seen = tables.Results(records)
    for record in records:
        if record["workload"] == "import" and record["values"].get("cornu"):
            seconds = seen.median("import", record["engine"]) or 0.0
            loaded = ", ".join(record["loaded"]) or "none"
            kept = kept and seconds <= IMPORT_BUDGET and not record["loaded"]
            console.print(
                f"import cornu: {seconds:.3f} s of {IMPORT_BUDGET} s; engine libraries that it "
                f"loads: {loaded}."
            )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
