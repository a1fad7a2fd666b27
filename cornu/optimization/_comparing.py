"""What each way to make a model smaller costs and brings, measured on its ONNX file."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ..core.checks import one_of, positive_integer
from ..core.transforms import CLUSTER, CODES, FAKE, MASK
from ..data import make_source
from ..export.measuring import Measured, measure, processor
from ._clustering import cluster_weights, strip_clustering
from ._pruning import prune_low_magnitude, strip_pruning
from ._quantizing import quantize_model
from ._schedules import PolynomialDecay


class Method(NamedTuple):
    """A way to make a model smaller.

    Args:
        prepare: `prepare(model, steps)` gives the model that is trained for so many steps; None for one that isn't.
        finish: Makes a plain model of what was trained.
        options: What `export` takes.
    """

    prepare: Callable[[Any, int], Any] | None = None
    finish: Callable[[Any], Any] | None = None
    options: Mapping[str, Any] = {}


def _pruned(model: Any, steps: int) -> Any:
    """Zeros come in over half of the steps, as Zhu and Gupta, 2017 (https://arxiv.org/abs/1710.01878) have it."""
    schedule = PolynomialDecay(0.3, 0.8, 0, max(steps // 2, 1), frequency=max(steps // 50, 1))
    return prune_low_magnitude(model, schedule)


def _clustered(model: Any, steps: int) -> Any:
    return cluster_weights(model, 32)


def _rounded(model: Any, steps: int) -> Any:
    return quantize_model(model)


#: The methods that `report` knows, by name.
METHODS: dict[str, Method] = {
    "float32": Method(),
    "float16": Method(options={"quantize": "float16"}),
    "int8": Method(options={"quantize": "int8"}),
    "dynamic": Method(options={"quantize": "dynamic"}),
    "int4": Method(options={"quantize": "int4"}),
    "pruned": Method(_pruned, strip_pruning),
    "pruned int8": Method(_pruned, strip_pruning, {"quantize": "int8"}),
    "clustered": Method(_clustered, strip_clustering),
    "trained int8": Method(_rounded),
}


class Report(NamedTuple):
    """What was measured of each method; printed, a table.

    Args:
        rows: By the methods' names, the float32 file first.
        processor: Where.
    """

    rows: dict[str, Measured]
    processor: str

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=100, color_system=None)
        with console.capture() as captured:
            console.print(self.table())
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    def table(self) -> Any:
        """The rows as a table of `rich`."""
        from rich.table import Table

        first = next(iter(self.rows.values()))
        table = Table(title=f"One run on one thread of {self.processor}", title_justify="left")
        table.add_column("")
        for name in (*first.scores, "bytes", "share", "zipped", "share", "ms", "times as fast"):
            table.add_column(name, justify="right")
        for name, row in self.rows.items():
            table.add_row(
                name,
                *(f"{x:.4g}" for x in row.scores.values()),
                *(f"{row.size:,}", f"{row.size / first.size:.2f}"),
                *(f"{row.zipped:,}", f"{row.zipped / first.zipped:.2f}"),
                *(f"{row.milliseconds:.3f}", f"{first.milliseconds / row.milliseconds:.2f}"),
            )
        return table

    def plot(self, path: Any) -> None:
        """Write a picture: a bar for each method of its first metric, its zipped bytes and its time.

        Args:
            path: A file of any format that matplotlib writes.
        """
        from matplotlib.figure import Figure

        rows = list(self.rows.values())
        metric = next(iter(rows[0].scores))
        figure = Figure(figsize=(10, 0.4 * len(rows) + 1.2), layout="constrained")
        panels = figure.subplots(1, 3, sharey=True)
        measures = (
            (metric, [row.scores[metric] for row in rows], "{:#.4g}"),
            ("kB, zipped", [row.zipped / 1000 for row in rows], "{:.1f}"),
            ("ms of one run", [row.milliseconds for row in rows], "{:.3f}"),
        )
        for axes, (title, values, shown) in zip(panels, measures, strict=True):
            bars = axes.barh(
                list(self.rows), values, color=["#888888", *["#4477aa"] * (len(rows) - 1)]
            )
            told = [shown.format(x) for x in values]
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            axes.bar_label(bars, told, padding=3, fontsize=8, bbox=box)
            axes.axvline(values[0], color="#888888", linestyle=":", linewidth=1, zorder=0)
            axes.set_title(title, fontsize=10)
            axes.margins(x=0.2)
            axes.tick_params(left=False)
            axes.set_xticks([])  # the bars say their numbers
            axes.spines[["top", "right", "bottom"]].set_visible(False)
        panels[0].invert_yaxis()
        figure.suptitle(f"Files on one thread of {self.processor}", fontsize=9)
        figure.savefig(path, dpi=150)


def report(
    model: Any,
    data: Any,
    validation_data: Any = None,
    methods: Iterable[str] = tuple(METHODS),
    epochs: int = 10,
    batch_size: int | None = None,
) -> Report:
    """Measure what each way to make a model smaller costs and brings.

    Each works on a copy of the model, which stays as it is; those that train do so as it was compiled. What is measured
    is the copy's ONNX file, on ONNX Runtime: bytes as they are and compressed by gzip, the processor's time of one run,
    and the model's metrics.

    Args:
        model: A trained model, compiled with metrics.
        data: `(x, y)`, `(x, y, sample_weight)`, or batches of such, to train on and to find ranges of 8 bits on.
        validation_data: Such data for the metrics; `data` itself where it is left out, which flatters.
        methods: Names of `METHODS`.
        epochs: How long the methods that train do so.
        batch_size: As `fit` takes it.

    Returns:
        A `Report`, with the float32 file first.

    Raises:
        ValueError: If a method is unknown, or the model is a smaller one already or was compiled without metrics.

    >>> import numpy as np
    >>> from cornu import Input, Sequential, layers
    >>> model = Sequential([Input((4,)), layers.Dense(64), layers.Dense(1)])
    >>> model.compile("sgd", "mse", metrics=["mae"])
    >>> found = report(model, (np.ones((8, 4)), np.ones(8)), methods=["int8", "int4"])
    >>> list(found.rows), found.rows["int4"].size < found.rows["float32"].size
    (['float32', 'int8', 'int4'], True)
    """
    methods = [methods] if isinstance(methods, str) else methods
    methods = list(dict.fromkeys(["float32", *methods]))
    validation_data = data if validation_data is None else validation_data
    for name in methods:
        one_of(METHODS, method=name)
    positive_integer(epochs=epochs)
    _check_plain(model)
    trained: dict[Any, Any] = {}
    with TemporaryDirectory() as folder:
        files = []
        for name in methods:
            method = METHODS[name]
            way = method.prepare, method.finish
            if way not in trained:
                trained[way] = _made(model, method, data, epochs, batch_size)
            files.append(Path(folder, f"{name}.onnx"))
            more = {"representative_data": data} if method.options.get("quantize") == "int8" else {}
            trained[way].export(files[-1], verbose=False, **method.options, **more)
            if len(files) == 1:
                # What fails does so before hours of training.
                measure(files, model, validation_data)
        found = measure(files, model, validation_data)
    return Report(dict(zip(methods, found, strict=True)), processor())


def _check_plain(model: Any) -> None:
    smaller = [
        (f"{layer.path}/{of}", transform)
        for layer in model._flatten_layers()
        for of, transform in layer.transforms
        if transform.order in (CODES, MASK, CLUSTER, FAKE)
    ]
    if smaller:
        path, transform = smaller[0]
        raise ValueError(
            "A report compares ways to make a plain model smaller. Received: the model "
            f"{model.name!r}, of which {path!r} has a {type(transform).__name__} already. "
            "`model.strip_transforms()` makes a plain one of it."
        )


def _made(model: Any, method: Method, data: Any, epochs: int, batch_size: int | None) -> Any:
    """A copy of a model, trained as a method has it."""
    model = copy.deepcopy(model)
    if method.prepare is not None:
        x, y, sample_weight = (
            (*data, None, None)[:3] if isinstance(data, tuple) else (data, None, None)
        )
        steps = epochs * (make_source(x, y, sample_weight, batch_size).num_batches or 1)
        model = method.prepare(model, steps)
        model.fit(x, y, batch_size, epochs, verbose=0, sample_weight=sample_weight)
    return model if method.finish is None else method.finish(model)
