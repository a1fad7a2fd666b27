"""Loggers: what a training is told of, written to a file of JSON lines, to MLflow or to Weights & Biases."""

from __future__ import annotations

import importlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from typing import Any

from ..core import tree
from ..core.serialization import serialize_keras_object
from ..engines import current_name
from ._callback import Callback, Logs
from .logs import as_number


class Logger(Callback):
    """What writes the settings of a training, then its metrics after each epoch, to somewhere.

    Subclasses define `begin`, `write` and `end`. Steps are the optimizer's, so that a training that goes on
    continues its curve.

    Args:
        every: After how many steps the metrics since the epoch began are written, too.
    """

    in_trials = False

    def __init__(self, every: int | None = None) -> None:
        super().__init__()
        self.sees_each_batch = every is not None
        self._is_open = self._is_done = False

    def begin(self, settings: dict[str, Any]) -> None:
        """A training begins."""

    def write(self, metrics: dict[str, Any], step: int, epoch: int) -> None:
        """Write the metrics of a step; of the last one of an epoch with those of validation."""
        raise NotImplementedError(f"The logger {type(self).__name__} must have a method `write`.")

    def end(self, failed: bool) -> None:
        """A training has ended, by an error or not."""

    def on_train_begin(self, logs: Logs = None) -> None:
        """Write the settings."""
        self._is_open, self._is_done = True, False
        self._epoch = self._seen = 0
        if self.every and self.current_run is not None:
            self.current_run.meet(self.every)
        self.begin(self._settings())

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Write the metrics of a step whose turn it is."""
        run = self.current_run
        self._seen = self._seen + 1 if run is None else run.total
        if self.every and self._seen % self.every == 0:
            self._write(logs, self._epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the metrics of the epoch."""
        self._write(logs, epoch)

    def on_train_end(self, logs: Logs = None) -> None:
        """Note that no error ends the training."""
        self._is_done = True

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self.end(failed=not self._is_done)

    def _write(self, logs: Any, epoch: int) -> None:
        numbers = {name: as_number(value) for name, value in dict(logs or {}).items()}
        self.write(numbers, int(as_number(self.model.optimizer.iterations)), epoch)

    def _settings(self) -> dict[str, Any]:
        model = self.model
        optimizer = serialize_keras_object(model.optimizer)
        return {
            "model": model.name,
            "engine": current_name(),
            "parameters": model.count_params(),
            "dtype": model.dtype_policy.name,
            "epochs": (self.params or {}).get("epochs"),
            "steps": (self.params or {}).get("steps"),
            "optimizer": optimizer["class_name"],
            **{f"optimizer.{name}": x for name, x in optimizer["config"].items() if x is not None},
        }


class JSONLinesLogger(Logger):
    """Write a training to a file, a JSON object a line; what is there already stays.

    The first line of a training has its settings as `"settings"`, after the steps that were done as `"resumed"` where
    it goes on from a checkpoint; the others have `epoch`, `step`, `seconds` since it began and the metrics, NaN
    and infinity as null. A line is in the file when the step is over. Steps that come again are taken out.

    Args:
        filename: The file.
        every: After how many steps the metrics since the epoch began are written, too.
    """

    def __init__(self, filename: str | PathLike[str], every: int | None = None) -> None:
        super().__init__(every)
        self.filename = fspath(filename)

    def begin(self, settings: dict[str, Any]) -> None:
        """Write the settings."""
        self._started = time.perf_counter()
        done = getattr(self.current_run, "total", 0)
        self._put({**({"resumed": done} if done else {}), "settings": settings})

    def state_dict(self) -> dict[str, Any]:
        """How long the file is."""
        return {"size": os.path.getsize(self.filename)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take out what was written of steps after that: from there on, up to a training that didn't go on."""
        with open(self.filename, "rb+") as file:
            file.seek(state["size"])
            after, is_ours = file.readlines(), True
            file.seek(state["size"])
            for line in after:
                begins = line.startswith((b'{"settings"', b'{"resumed"'))
                is_ours = line.startswith(b'{"resumed"') if begins else is_ours
                if begins or not is_ours:
                    file.write(line)
            file.truncate()

    def write(self, metrics: dict[str, Any], step: int, epoch: int) -> None:
        """Write a line."""
        seconds = round(time.perf_counter() - self._started, 3)
        self._put({"epoch": epoch, "step": step, "seconds": seconds, **metrics})

    def _put(self, values: dict[str, Any]) -> None:
        line = json.dumps(tree.map_structure(_json, values), allow_nan=False, default=str)
        with open(self.filename, "a+b") as file:
            file.seek(max(0, file.tell() - 1))
            torn = b"\n" * (file.read(1) not in (b"", b"\n"))  # by a process that was killed
            file.write(torn + line.encode() + b"\n")


class MLflowLogger(Logger):
    """Write a training to MLflow, by its own client: to the run that is active, else to a new one.

    Where that is, MLflow knows: by `mlflow.set_tracking_uri`, or `MLFLOW_TRACKING_URI`.

    Args:
        experiment: The experiment of a new run.
        every: After how many steps the metrics since the epoch began are written, too.
        **run: What else `mlflow.start_run` takes, such as `run_name`.

    Raises:
        ModuleNotFoundError: If MLflow is not installed.
    """

    def __init__(self, experiment: str | None = None, every: int | None = None, **run: Any) -> None:
        super().__init__(every)
        self._client, self._options = _client("mlflow"), run

    def begin(self, settings: dict[str, Any]) -> None:
        """Start a run, and write the settings, unless one is active: what it has said of itself stays."""
        self._is_mine = self._client.active_run() is None
        if self._is_mine:
            if self.experiment is not None:
                self._client.set_experiment(self.experiment)
            self._client.start_run(**self._options)
            self._client.log_params(settings)

    def write(self, metrics: dict[str, Any], step: int, epoch: int) -> None:
        """Write the metrics that are numbers."""
        self._client.log_metrics({"epoch": epoch, **_scalars(metrics)}, step=step)

    def end(self, failed: bool) -> None:
        """End a run of its own."""
        if self._is_mine:
            self._client.end_run("FAILED" if failed else "FINISHED")


class WandbLogger(Logger):
    """Write a training to Weights & Biases, by its own client: to the run that is active, else to a new one.

    `WANDB_MODE=offline` keeps a run on this machine, for `wandb sync` to send later.

    Args:
        project: The project of a new run.
        every: After how many steps the metrics since the epoch began are written, too.
        **run: What else `wandb.init` takes, such as `name` or `mode`.

    Raises:
        ModuleNotFoundError: If wandb is not installed.
    """

    def __init__(self, project: str | None = None, every: int | None = None, **run: Any) -> None:
        super().__init__(every)
        self._client, self._options = _client("wandb"), run

    def begin(self, settings: dict[str, Any]) -> None:
        """Start a run, unless one is active, with the settings as its config."""
        self._is_mine = self._client.run is None
        if self._is_mine:
            self._client.init(project=self.project, config=settings, **self._options)

    def write(self, metrics: dict[str, Any], step: int, epoch: int) -> None:
        """Write the metrics."""
        self._client.run.log({"epoch": epoch, **metrics}, step=step)

    def end(self, failed: bool) -> None:
        """End a run of its own."""
        if self._is_mine:
            self._client.run.finish(exit_code=int(failed))


#: The loggers that a word names, before a colon.
_BY_NAME: dict[str, Callable[[str | None], Logger]] = {
    "mlflow": lambda rest: MLflowLogger(rest),
    "wandb": lambda rest: WandbLogger(rest),
}


def logger(given: Any) -> Callback:
    """The logger that is meant: by a file of JSON lines, or as `"mlflow"`, `"mlflow:experiment"`, `"wandb:project"`.

    >>> logger("run.jsonl").filename
    'run.jsonl'
    """
    if isinstance(given, Callback):
        return given
    if isinstance(given, (str, PathLike)):
        name, _, rest = fspath(given).partition(":")
        if name in _BY_NAME:
            return _BY_NAME[name](rest or None)
        if fspath(given).endswith(".jsonl"):
            return JSONLinesLogger(given)
    raise ValueError(
        "A logger is a file of JSON lines, 'mlflow', 'mlflow:experiment', 'wandb', 'wandb:project' or a "
        f"callback. Received: {given!r}. Write to 'run.jsonl', say."
    )


def _client(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"A logger needs its client. Received: {error.name!r} can't be imported. Install it with: "
            f"pip install 'cornu[{name}]'",
            name=error.name,
        ) from error


def _scalars(metrics: dict[str, Any]) -> dict[str, float]:
    return {name: float(x) for name, x in metrics.items() if isinstance(x, (bool, int, float))}


def _json(value: Any) -> Any:
    """A value as JSON has it: what is no number is null."""
    if hasattr(value, "tolist"):
        return tree.map_structure(_json, value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
