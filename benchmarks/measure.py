"""Workers by turns: A B A B ... in one run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .workloads import Workload

ROOT = Path(__file__).parent.parent
#: What fresh processes are asked for, in the order of their answers.
FIRST = (
    *("import", "python to the first trained step", "first predict", "build ResNet50"),
    "compile and first step of the CNN",
)
FITS = 500
#: Who has a `fit`.
LIBRARIES = ("cornu", "base", "keras")


@dataclass(frozen=True)
class Ratio:
    """The ratio of two medians, and the quartiles of the ratios of each round."""

    ratio: float
    low: float
    high: float


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """How our times relate to theirs, round by round.

    >>> ratio_of([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    Ratio(ratio=1.0, low=0.75, high=1.25)
    """
    rounds = [a / b for a, b in zip(ours, theirs, strict=True)]
    low, _, high = statistics.quantiles(
        rounds * 2 if len(rounds) == 1 else rounds, method="inclusive"
    )
    return Ratio(statistics.median(ours) / statistics.median(theirs), low, high)


def environment(engine: str) -> dict[str, str]:
    """Where a subject runs: its engine, and nothing that an earlier run has compiled."""
    variables = {name: text for name, text in os.environ.items() if "CACHE" not in name}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    shared = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    shared["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    return {**variables, **shared, **quiet, "KERAS_BACKEND": engine, "CORNU_BACKEND": engine}


class Failed(Exception):
    """A worker that can't go on, and why."""


class Worker:
    """A process that runs a workload's steps when it is asked to.

    Args:
        subject: Who runs it.
        engine: On which engine.
        workload: What it does.
    """

    def __init__(self, subject: str, engine: str, workload: Workload) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the worker)
        self.peak_megabytes = 0.0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", subject, engine, workload.name],
            cwd=ROOT,
            env=environment(engine),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        with suppress(BrokenPipeError):
            self.process.communicate()
        self.errors.close()

    def answer(self) -> dict[str, Any]:
        """The next answer.

        Raises:
            Failed: If there is none, with the last line of what the process said.
        """
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            said = self.errors.read().strip().splitlines() or ["it ended and said nothing"]
            raise Failed(said[-1][:300])
        found: dict[str, Any] = json.loads(line)
        if "missing" in found:
            raise Failed(found["missing"])
        return found

    def go(self, steps: int) -> float:
        """The seconds that a number of steps take now."""
        with suppress(BrokenPipeError):  # The answer, or its absence, says more.
            self.process.stdin.write(f"go {steps}\n")
            self.process.stdin.flush()
        found = self.answer()
        self.peak_megabytes = found["peak_megabytes"]
        return float(found["value"])


def record(workload: str, engine: str, **more: Any) -> dict[str, Any]:
    """An entry of a file of results."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S")
    return {"workload": workload, "engine": engine, "at": at, "missing": {}, **more}


def measure(
    workload: Workload,
    engine: str,
    subjects: Sequence[str],
    rounds: int,
    seconds: float,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Let subjects take turns at a workload.

    Args:
        workload: What they do.
        engine: On which engine.
        subjects: Who they are.
        rounds: How many turns each has.
        seconds: How long a turn takes, about, on the average of the subjects.
        advance: Called after each round.

    Returns:
        A record: for each subject the value of a step in each round, and the most memory it had.

    Raises:
        Failed: If a worker that has begun can't go on.
    """
    growth = workload.kind == "growth"
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        workers = {}
        for subject in subjects:
            if subject in LIBRARIES or not growth:
                worker = stack.enter_context(Worker(subject, engine, workload))
                try:
                    worker.answer()
                    workers[subject] = worker
                except Failed as error:
                    missing[subject] = str(error)
        crew = list(workers.values())
        steps = _warm_growth(crew) if growth else _steps(crew, workload, seconds)
        values: dict[str, list[float]] = {subject: [] for subject in workers}
        for _ in range(1 if growth else rounds):
            for subject, worker in workers.items():
                values[subject].append(worker.go(steps) / (1 if growth else steps))
            advance()
        peaks = {subject: worker.peak_megabytes for subject, worker in workers.items()}
    return record(
        *(workload.name, engine),
        unit="MB" if growth else "s",
        steps=steps,
        values=values,
        peak_megabytes=peaks,
        missing=missing,
        operations=workload.operations,
    )


def _warm_growth(workers: Sequence[Worker]) -> int:
    """Let allocators and caches grow as far as they do at first; how many fits then count."""
    for worker in workers:
        worker.go(FITS // 10)
    return FITS


def _steps(workers: Sequence[Worker], workload: Workload, seconds: float) -> int:
    """How many steps a turn has, found by trying; each worker has done as many when this ends."""
    steps = 1
    while True:
        times = [worker.go(steps) for worker in workers]
        mean = sum(times) / max(1, len(times))
        if mean >= 0.7 * seconds or not times:
            return steps
        more = max(steps + 1, int(steps * min(10, seconds / max(mean, 1e-9))))
        if workload.kind == "train" and more > workload.batches:
            more = max(1, round(more / workload.batches)) * workload.batches
            more = more if more > steps else steps + workload.batches
        steps = more


def first_results(
    engine: str, subjects: Sequence[str], rounds: int, advance: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """Fresh processes by turns: a record for each part of what they do."""
    values: dict[str, dict[str, list[float]]] = {name: {} for name in FIRST}
    missing, loaded = {}, []
    for number in range(rounds + 1):
        for subject in subjects:
            if subject in missing or subject not in LIBRARIES:
                continue
            found = _fresh(engine, subject)
            if "error" in found:
                missing[subject] = found["error"]
            elif number:  # The first run only writes bytecode, as installing does.
                for name in FIRST:
                    values[name].setdefault(subject, []).append(found["seconds"][name])
                loaded += found["loaded"] if subject == "cornu" else []
        advance()
    more = {"unit": "s", "missing": missing, "loaded": sorted(set(loaded))}
    return [record(name, engine, values=times, **more) for name, times in values.items()]


def _fresh(engine: str, subject: str) -> dict[str, Any]:
    """What one fresh process says."""
    arguments = ["-m", "benchmarks.fresh", subject, str(time.time())]
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(engine),
        text=True,
        capture_output=True,
        check=False,
    )
    if process.returncode:
        return {"error": (process.stderr.strip().splitlines() or ["?"])[-1][:300]}
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found
