"""The benchmarks: each workload takes a step, by each subject; statistics, files, tables, commands."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import cornu
from benchmarks import __main__ as command
from benchmarks import measure, models, results, subjects, tables
from benchmarks.by_hand import MODULES
from benchmarks.workloads import GPU, GROUPS, TRAINING, WORKLOADS, Workload
from cornu import engines

#: Sizes at which a step is quick and no axis is as long as another by chance.
SMALL = {
    "features": 6,
    "hidden": (5, 4),
    "classes": 3,
    "image": (16, 16, 3),
    "filters": (4, 5),
    "vocabulary": 11,
    "length": 7,
    "units": 4,
    "width": 8,
    "heads": 2,
    "layers": 1,
    "blocks": (1,),
}


def small(workload: Workload) -> Workload:
    """The same workload, with few samples of few numbers."""
    sizes = {name: SMALL.get(name, value) for name, value in workload.sizes.items()}
    return dataclasses.replace(workload, sizes=sizes, batch=min(workload.batch, 34), batches=2)


def different(group: Any) -> list[Workload]:
    """The workloads that are not the same as another when they are small."""
    found: dict[str, Workload] = {}
    for workload in map(small, group):
        same = (workload.model, workload.kind, workload.precision, list(workload.sizes.items()))
        found.setdefault(str((*same, workload.batch == 1)), workload)
    return list(found.values())


#: NumPy compiles nothing: it is the quickest of Cornu's engines to take one step.
HERE = [("cornu", "numpy"), *(("hand", engine) for engine in MODULES if find_spec(engine))]
#: Keras runs on the engine that its process has started with.
WITH_KERAS = """
import sys
sys.path[:0] = [".", "tests"]
from test_benchmarks import WORKLOADS, different, subjects
for workload in different(WORKLOADS.values()):
    subjects.runner("keras", "torch", workload)(1)
    print(workload.name)
"""


@pytest.fixture
def the_same_afterwards():
    """The engine and the dtype policy of the other tests."""
    yield
    cornu.config.set_dtype_policy("float32")
    engines.set_default("jax")


@pytest.mark.parametrize("workload", different(WORKLOADS.values()), ids=lambda entry: entry.name)
@pytest.mark.parametrize(("subject", "engine"), HERE, ids=lambda name: name)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_workload_takes_a_step(subject, engine, workload, the_same_afterwards):
    if subject == "hand" and workload.kind == "growth":
        workload = dataclasses.replace(workload, kind="train")
    value = subjects.runner(subject, engine, workload)(1)
    assert np.isfinite(value)
    assert workload.kind == "growth" or value > 0


def test_each_workload_takes_a_step_with_keras():
    process = subprocess.run(
        [sys.executable, "-c", WITH_KERAS],
        cwd=measure.ROOT,
        env=measure.environment("torch"),
        capture_output=True,
        text=True,
        check=False,
    )
    wanted = [workload.name for workload in different(WORKLOADS.values())]
    assert process.stdout.split() == wanted, process.stderr


@pytest.mark.parametrize("workload", different([*TRAINING, *GPU]), ids=lambda entry: entry.name)
def test_hand_written_models_have_the_weights_of_the_shared_ones(workload):
    import jax

    from benchmarks.by_hand import on_jax, on_torch

    model = models.BUILDERS[workload.model](cornu, **workload.sizes)
    wanted = sum(np.prod(variable.shape, dtype=int) for variable in model.trainable_variables)
    parameters, *_ = on_jax.BUILDERS[workload.model](on_jax.Maker(), **workload.sizes)
    assert sum(leaf.size for leaf in jax.tree.leaves(parameters)) == wanted
    modules = on_torch.BUILDERS[workload.model](**workload.sizes)
    if workload.model == "lstm":  # torch's has two biases that are added.
        wanted += 4 * workload.sizes["units"]
    assert sum(parameter.numel() for parameter in modules.parameters()) == wanted


@pytest.mark.parametrize("workload", [*TRAINING, GPU[1]], ids=lambda entry: entry.name)
def test_operations_are_those_that_torch_counts(workload, monkeypatch):
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.by_hand import on_torch

    one = dataclasses.replace(workload, batch=1, batches=1)
    x, y = one.data()
    model, inputs = (part.to("meta") for part in on_torch.built(one, x))
    targets = torch.from_numpy(y if one.loss == "mse" else y.astype("int64")).to("meta")
    # Fused attention and oneDNN's LSTM are not counted: their plain forms are.
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", workload.model != "lstm")
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        on_torch.loss_of(one, model(inputs), targets).backward()
    assert counter.get_total_flops() == pytest.approx(one.operations, rel=0.01)


# -------------------------------------------------------------------- statistics


def test_a_ratio_is_that_of_the_medians_with_the_quartiles_of_the_rounds():
    found = measure.ratio_of([1.0, 2.0, 3.0, 4.0, 50.0], [2.0, 2.0, 2.0, 2.0, 100.0])
    assert found == measure.Ratio(ratio=1.5, low=0.5, high=1.5)
    assert measure.ratio_of([3.0], [2.0]) == measure.Ratio(1.5, 1.5, 1.5)


class Clock:
    """A worker whose steps take a known time."""

    def __init__(self, each: float, start: float = 0.0) -> None:
        self.each, self.start, self.asked = each, start, []

    def go(self, steps: int) -> float:
        self.asked.append(steps)
        return self.start + self.each * steps


@pytest.mark.parametrize(
    ("each", "name", "low", "high"),
    [
        ((1e-3, 1e-3), "tabular", 700, 1400),
        ((1e-4, 1e-3), "mlp", 1273, 3000),
        ((2.0, 8.0), "gpt", 1, 1),
        ((0.01,), "gpt", 50, 150),
    ],
)
def test_a_turn_has_steps_for_its_time_and_whole_epochs(each, name, low, high):
    workers = [Clock(time) for time in each]
    workload = WORKLOADS[name]
    steps = measure._steps(workers, workload, seconds=1.0)
    assert low <= steps <= high
    assert steps <= workload.batches or steps % workload.batches == 0
    assert all(worker.asked[-1] == steps for worker in workers)


# ----------------------------------------------------------------------- workers


def test_workers_take_turns_and_tell_why_one_is_missing():
    rounds = []
    found = measure.measure(
        WORKLOADS["tabular"],
        "numpy",
        ["cornu", "keras", "limit"],
        rounds=2,
        seconds=0.01,
        advance=lambda: rounds.append(1),
    )
    assert found["missing"] == {"keras": "Keras doesn't train on numpy"}
    assert set(found["values"]) == {"cornu", "limit"}
    assert all(len(times) == 2 and min(times) > 0 for times in found["values"].values())
    assert found["peak_megabytes"]["cornu"] > 10 and len(rounds) == 2


def test_an_earlier_cornu_takes_turns_with_this_one():
    with command.earlier("HEAD"):
        found = measure.measure(
            WORKLOADS["tabular"], "numpy", ["cornu", "base"], rounds=1, seconds=0.01
        )
    assert set(found["values"]) == {"cornu", "base"} and found["missing"] == {}


def test_an_engine_that_is_unknown_is_missing():
    found = measure.measure(WORKLOADS["tabular"], "abacus", ["cornu"], rounds=2, seconds=0.01)
    assert found["values"] == {} and "abacus" in found["missing"]["cornu"]


def test_a_worker_that_breaks_off_ends_its_workload_alone(monkeypatch, capsys):
    def broken(workload: Workload, *_: Any) -> Any:
        if workload.name == "mlp":
            raise measure.Failed("MemoryError")
        return record(workload.name, "jax", cornu=[1.0])

    monkeypatch.setattr(measure, "measure", broken)
    assert command.main(["mlp", "cnn", "--engine", "jax", "--no-save"]) == 0
    shown = capsys.readouterr().out
    assert "broken off: mlp on jax: MemoryError" in shown and "1 s" in shown


def test_a_process_that_ends_says_why():
    with measure.Worker("cornu", "numpy", WORKLOADS["tabular"]) as worker:
        worker.answer()
        worker.process.kill()
        worker.process.wait()
        with pytest.raises(measure.Failed):
            worker.go(1)


# -------------------------------------------------------------- files and tables


def record(workload: str, engine: str, at: str = "2026-01-01", **values: list[float]) -> Any:
    peaks = {subject: 100.0 * (1 + (subject == "keras")) for subject in values}
    unit = "MB" if workload == "growth" else "s"
    more = {"unit": unit, "missing": {}, "peak_megabytes": peaks, "loaded": []}
    return {"workload": workload, "engine": engine, "at": at, "values": values, **more}


def test_a_new_record_replaces_those_it_covers(tmp_path):
    path = tmp_path / "deep" / "2026-01-01-here.json"
    both = record("mlp", "jax", "1", cornu=[1.0], keras=[2.0])
    results.save([both, record("mlp", "torch", "2", cornu=[1.0])], path)
    results.save([record("mlp", "jax", "3", cornu=[3.0])], path)
    assert [entry["at"] for entry in results.load(path)] == ["1", "2", "3"]
    results.save([record("mlp", "jax", "4", cornu=[3.0], keras=[1.0])], path)
    assert [entry["at"] for entry in results.load(path)] == ["2", "4"]
    assert json.loads(path.read_text())["versions"]["cornu"] == cornu.__version__


def test_the_readme_has_what_the_files_say(tmp_path):
    path = tmp_path / "2026-01-01-here.json"
    entries = [
        record("mlp", "jax", cornu=[1e-3, 2e-3], keras=[2e-3, 4e-3], limit=[1e-4, 1e-4]),
        record("mlp", "torch", cornu=[3e-3], hand=[6e-3]),
        record("import", "jax", cornu=[0.1], keras=[2.0]),
        record("growth", "jax", cornu=[0.5], keras=[70.0]),
    ]
    results.save(entries, path)
    text = tables.readme_tables(tmp_path)
    for line in (
        "| training step | Keras, JAX | by hand, torch |",
        "| MLP | 0.50 (0.50–0.50) | 0.50 (0.50–0.50) |",
        "| MLP | 1.5 ms | 3 ms | 100 µs | JAX |",
        "| import | 100 ms | 2 s | 0.05 |",
        "| MLP | 100.0 MB | 200.0 MB | 0.50 | 100.0 MB |  |  |",
        "| growth over 500 fits | 0.5 MB | 70.0 MB |",
    ):
        assert line in text.splitlines()
    assert "2026-01-01" in text and "ResNet" not in text
    page = tmp_path / "README.md"
    page.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    tables.rewrite(page, text)
    assert page.read_text() == f"before\n{tables.BEGIN}\n\n{text}\n\n{tables.END}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="Received: README.md without them"):
        tables.rewrite(page, text)


def test_the_terminal_shows_a_row_a_record():
    from rich.console import Console

    entries = [record("mlp", "jax", cornu=[1.0, 1.0], keras=[2.0, 4.0])]
    console = Console(width=120)
    with console.capture() as capture:
        console.print(tables.terminal_table(entries, ["keras", "hand"]))
    shown = capture.get()
    assert "0.33 (0.31–0.44)" in shown and "1 s" in shown and "0.50" in shown


def test_all_workloads_have_names_of_their_own():
    assert len(WORKLOADS) == sum(len(group) for group in GROUPS.values())
    assert all(workload.model in models.BUILDERS for workload in WORKLOADS.values())


# ----------------------------------------------------------------------- command


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["mlp", "first"], ["mlp", None]),
        (["gpt2"], []),
        (["gpt2", "--gpu"], ["gpt2"]),
        (["--gpu"], [workload.name for workload in GPU]),
        (["training", "cnn"], [workload.name for workload in TRAINING]),
    ],
)
def test_names_choose_what_runs(arguments, names):
    work = command.jobs(command.parse([*arguments, "--engine", "torch"]))
    assert [entry and entry.name for entry, _ in work] == names
    assert {engine for _, engine in work} <= {"torch"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-name"], "Received: 'no-such-name'"),
        (["--rounds", "0"], "--rounds and --seconds must be positive"),
        (["--against", "nobody"], "invalid choice: 'nobody'"),
    ],
)
def test_misuse_is_an_error(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "loaded", "code"), [(0.1, [], 0), (0.4, [], 1), (0.1, ["jax"], 1)]
)
def test_an_import_that_breaks_its_promises_is_the_exit_code(seconds, loaded, code, monkeypatch):
    entry = {**record("import", "jax", cornu=[seconds], keras=[2.0]), "loaded": loaded}
    monkeypatch.setattr(measure, "first_results", lambda *_: [entry])
    assert command.main(["first", "--engine", "jax", "--no-save"]) == code
