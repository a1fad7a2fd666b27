"""Results as tables: on the terminal after a run, and in the README."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from . import workloads
from .measure import FIRST, Ratio, ratio_of
from .results import FOLDER, Record, load

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
ENGINES = {"jax": "JAX", "torch": "torch", "tensorflow": "TensorFlow", "pytensor": "PyTensor"}
OTHERS = {
    "keras": "Keras",
    "hand": "by hand",
    "limit": "limit",
    "base": "before",
    "arrays": "arrays",
}
TITLES = {
    "mlp": "MLP",
    "cnn": "CNN",
    "lstm": "LSTM",
    "gpt": "GPT",
    "resnet18": "ResNet-18",
    "call": "`model(x)`, two Dense layers",
    "predict-1": "`predict` of 1, MLP",
    "predict-10000": "`predict` of 10,000, MLP",
    "predict-1-gpt": "`predict` of 1, GPT",
    "predict-10000-cnn": "`predict` of 10,000, CNN",
    "growth": "growth over 500 fits",
    "gpt2": "GPT-2 124M, bfloat16",
    "resnet50": "ResNet50, bfloat16",
    "lstm-gpu": "LSTM",
}


class Results:
    """The records of one machine, oldest first."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records

    def latest(self, workload: str, engine: str, *subjects: str) -> Record | None:
        """The newest record of a workload in which these subjects took turns."""
        for record in reversed(self.records):
            same = (record["workload"], record["engine"]) == (workload, engine)
            if same and all(record["values"].get(subject) for subject in subjects):
                return record
        return None

    def median(self, workload: str, engine: str, subject: str = "cornu") -> float | None:
        """A subject's median, in seconds or megabytes."""
        found = self.latest(workload, engine, subject)
        return None if found is None else statistics.median(found["values"][subject])

    def ratio(self, workload: str, engine: str, other: str) -> Ratio | None:
        """Cornu's time over another's."""
        found = self.latest(workload, engine, "cornu", other)
        return None if found is None else ratio_of(found["values"]["cornu"], found["values"][other])

    def engines(self, names: Iterable[str]) -> list[str]:
        """The engines on which Cornu did any of these workloads."""
        wanted = set(names)
        found = {r["engine"] for r in self.records if r["workload"] in wanted and r["values"]}
        return sorted(found, key=lambda name: [*ENGINES, name].index(name))


# --------------------------------------------------------------------- terminal


def terminal_table(records: Sequence[Record], others: Sequence[str]) -> Table:
    """What a run has measured: a row a workload and engine."""
    table = Table(title="Cornu's time over the other's (quartiles of the rounds)")
    for name in ("workload", "engine"):
        table.add_column(name)
    beside = "base" if "base" in others else "keras"
    peak = ("peak MB", f"/ {OTHERS[beside]}")
    for name in ("Cornu", *(f"/ {OTHERS[other]}" for other in others), *peak):
        table.add_column(name, justify="right")
    results = Results(records)
    for record in records:
        where = record["workload"], record["engine"]
        median = results.median(*where)
        cells = [_spread(results.ratio(*where, other)) for other in others]
        if record["unit"] == "MB":
            cells = [_amount(results.median(*where, other), "MB") for other in others]
        peaks = record.get("peak_megabytes", {})
        mine, theirs = peaks.get("cornu"), peaks.get(beside)
        peak = f"{mine:,.0f}" if mine else ""
        share = f"{mine / theirs:.2f}" if mine and theirs else ""
        table.add_row(*where, _amount(median, record["unit"]), *cells, peak, share)
    return table


def missing_lines(records: Sequence[Record]) -> list[str]:
    """Who didn't take part, what broke off, and why: a line each."""
    found: dict[str, list[str]] = {}
    for record in records:
        for subject, why in record["missing"].items():
            line = f"{subject} on {record['engine']}: {why}"
            found.setdefault(line, []).append(record["workload"])
    lines = [f"missing: {line} ({', '.join(names)})" for line, names in found.items()]
    broken = [record for record in records if "broken" in record]
    return lines + [f"broken off: {r['workload']} on {r['engine']}: {r['broken']}" for r in broken]


def _amount(value: float | None, unit: str) -> str:
    """A time in the unit that reads best, or megabytes."""
    if value is None:
        return ""
    if unit == "MB":
        return f"{value:,.1f} MB"
    for size, name in ((1, "s"), (1e-3, "ms")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value * 1e6:.3g} µs"


def _spread(ratio: Ratio | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio.ratio:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"


# ----------------------------------------------------------------------- README


def readme_tables(folder: Path = FOLDER) -> str:
    """The README's tables: those of each machine, the machine measured last first."""
    machines: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.json")):
        slug = path.stem[len("2000-01-01-") :]
        machines[slug] = [*machines.pop(slug, []), path]
    if not machines:
        return "Nothing is measured yet: `scripts/bench` does it."
    return "\n\n".join(_of_machine(paths) for paths in reversed(machines.values()))


def rewrite(path: Path, tables: str) -> None:
    """Put the tables between a file's two marks.

    Raises:
        ValueError: If the file lacks them.
    """
    text = path.read_text()
    pattern = re.compile(f"{BEGIN}.*?{END}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(
            f"The tables go between two marks. Received: {path.name} without them. "
            f"Add the lines {BEGIN} and {END}."
        )
    path.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{tables}\n\n{END}", text))


def _of_machine(paths: Sequence[Path]) -> str:
    content = json.loads(paths[-1].read_text())
    results = Results([record for path in paths for record in load(path)])
    parts = [
        _heading(content, paths[-1].stem[:10]),
        _ratios("training step", workloads.TRAINING, results),
        _times(workloads.TRAINING, results),
        _ratios("inference", workloads.INFERENCE, results),
        _first(results),
        _memory(results),
        _ratios("training step on the GPU", workloads.GPU, results),
        _times(workloads.GPU, results),
    ]
    return "\n\n".join(part for part in parts if part)


def _heading(content: dict[str, Any], date: str) -> str:
    machine, versions = content["machine"], content["versions"]
    names = {"keras": "Keras", "jax": "JAX", "torch": "PyTorch", "tensorflow": "TensorFlow"}
    if "tensorflow" not in versions and "tensorflow-cpu" in versions:
        versions = {**versions, "tensorflow": versions["tensorflow-cpu"]}
    known = ", ".join(
        f"{text} {versions[name]}" for name, text in names.items() if name in versions
    )
    gpu = f", {machine['gpu']}" if machine.get("gpu") else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores{gpu}; {known}; {date}. Cornu's time over the "
        "other's, by turns in one run: the ratio of the medians (and the quartiles of the rounds' ratios, "
        "which on a busy machine need not lie around it):"
    )


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; nothing where no cell says anything."""
    rows = [row for row in rows if any(row[1:])]
    if not rows:
        return ""
    head_line, *lines = (f"| {' | '.join(line)} |" for line in [head, *rows])
    return "\n".join([head_line, f"|---{'|---:' * (len(head) - 1)}|", *lines])


def _ratios(title: str, entries: Sequence[workloads.Workload], results: Results) -> str:
    """A row a workload, a column for each engine and whom Cornu is compared with there."""
    names = [entry.name for entry in entries]
    columns = [
        (engine, other)
        for engine in results.engines(names)
        for other in ("keras", "hand")
        if any(results.ratio(name, engine, other) for name in names)
    ]
    head = [title, *(f"{OTHERS[other]}, {ENGINES.get(e, e)}" for e, other in columns)]
    rows = [
        [TITLES.get(name, name), *(_spread(results.ratio(name, *column)) for column in columns)]
        for name in names
    ]
    return _markdown(head, rows)


def _times(entries: Sequence[workloads.Workload], results: Results) -> str:
    """Cornu's time of a training step on each engine, the arithmetic limit, the fastest engine."""
    engines = results.engines(entry.name for entry in entries)
    rows = []
    for entry in entries:
        times = {engine: results.median(entry.name, engine) for engine in engines}
        known = {engine: time for engine, time in times.items() if time is not None}
        limits = [results.median(entry.name, engine, "limit") for engine in engines]
        limit = min((value for value in limits if value is not None), default=None)
        fastest = min(known, key=lambda engine: known[engine]) if known else ""
        cells = [_step(entry, times[engine]) for engine in engines]
        cells += [_amount(limit, "s"), ENGINES.get(fastest, fastest)]
        rows.append([TITLES.get(entry.name, entry.name), *cells])
    labels = [ENGINES.get(engine, engine) for engine in engines]
    return _markdown(["Cornu's time of a step", *labels, "its products alone", "fastest"], rows)


def _step(entry: workloads.Workload, seconds: float | None) -> str:
    """The time of a step; on a GPU and of tokens, how many of them a second."""
    text = _amount(seconds, "s")
    if seconds and entry.gpu and "length" in entry.sizes:
        text += f", {entry.batch * entry.sizes['length'] / seconds:,.0f} tokens/s"
    return text


def _first(results: Results) -> str:
    """A fresh process's first results, with Cornu and with Keras."""
    return _beside_keras("a fresh process", FIRST, results, results.median, "s")


def _memory(results: Results) -> str:
    """The most memory of each training workload's process; how much a process grows."""

    def peak(workload: str, engine: str, subject: str) -> float | None:
        found = results.latest(workload, engine, subject)
        return None if found is None else found["peak_megabytes"].get(subject)

    names = [entry.name for entry in workloads.TRAINING]
    table = _beside_keras("most memory while training", names, results, peak, "MB")
    growth = [entry.name for entry in workloads.MEMORY]
    more = _beside_keras("memory", growth, results, results.median, "MB", ratio=False)
    return "\n\n".join(part for part in (table, more) if part)


def _beside_keras(
    title: str,
    names: Sequence[str],
    results: Results,
    value: Callable[[str, str, str], float | None],
    unit: str,
    ratio: bool = True,
) -> str:
    """A row a workload; for each engine Cornu's amount, Keras's, and their ratio."""
    engines = results.engines(names)
    head = [title]
    for engine in engines:
        label = ENGINES.get(engine, engine)
        head += [f"Cornu, {label}", f"Keras, {label}", *["ratio"] * ratio]
    rows = []
    for name in names:
        row = [TITLES.get(name, name)]
        for engine in engines:
            ours, theirs = value(name, engine, "cornu"), value(name, engine, "keras")
            row += [_amount(ours, unit), _amount(theirs, unit)]
            row += [f"{ours / theirs:.2f}" if ours and theirs else ""] * ratio
        rows.append(row)
    return _markdown(head, rows)
