"""TensorBoard: a training in the files that TensorBoard shows."""

from __future__ import annotations

import gzip
import os
import socket
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from .. import tuning
from ..core.checks import is_size
from ..layers import Embedding
from ._callback import Callback, Logs
from ._events import Events
from .logs import as_number

#: How many pictures of a weight are written.
_PICTURES = 3


class TensorBoard(Callback):
    """Write what a training does to files that TensorBoard shows: `tensorboard --logdir logs`.

    Training is the run `train`, validation the run `validation`. TensorFlow takes no part: the package `tensorboard`
    writes the files, and the graph is read off the model, on any engine.

    Args:
        log_dir: The folder.
        histogram_freq: After how many epochs the distributions of weights are written; 0 for never.
        write_graph: Whether the model's graph is written.
        write_images: Whether weights are written as pictures too, as often as distributions.
        write_steps_per_second: Whether the number of steps a second is written.
        update_freq: `"epoch"`; `"batch"`, or after how many batches metrics are written within epochs.
        profile_batch: The step to profile, or the first and the last one, as `(10, 20)` or `"10,20"`; 0 for none.
            As many steps run once more on the batch that is due then, and leave nothing behind (`Model.profile`).
        embeddings_freq: After how many epochs the weights of `Embedding` layers are written; 0 for never.
        embeddings_metadata: A file with a name for each row, or such files by the names of layers.

    Raises:
        ModuleNotFoundError: If `tensorboard` is not installed.
        ValueError: If an argument is none of these.

    >>> callback = TensorBoard("logs/first", histogram_freq=1, update_freq=100)
    """

    in_trials = False

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        if not (update_freq in ("epoch", "batch") or is_size(update_freq)):
            raise ValueError(
                "`update_freq` must be 'epoch', 'batch' or a number of batches. Received: "
                f"update_freq={update_freq!r}."
            )
        self._every = {"epoch": 0, "batch": 1}.get(update_freq, update_freq)
        self._profiled = _steps(profile_batch)
        self.sees_each_batch = self._every == 1
        Events.require()

    # ------------------------------------------------------------------- runs

    @cached_property
    def summary(self) -> Events:
        """What writes to the run `train`: `summary.scalar(name, data, step)`, `histogram`, `image`, `text`."""
        return Events(Path(self.log_dir) / "train")

    @cached_property
    def _validation(self) -> Events:
        return Events(Path(self.log_dir) / "validation")

    def _close(self) -> None:
        for name in ("summary", "_validation"):
            if name in vars(self):
                vars(self).pop(name).close()

    # ----------------------------------------------------------------- events

    def on_train_begin(self, logs: Logs = None) -> None:
        """Write the graph."""
        self._first, self._begun = True, (0, time.perf_counter())
        self._epoch_begun = self._begun
        if self.embeddings_freq:
            self._write_projector()
        for every in {self._every, *self._profiled[:1]} - {0}:
            self.current_run.meet(every)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the time."""
        self._epoch_begun = self._begun = self._now()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Write the metrics of a step whose turn it is."""
        step = self.current_run.total
        if self._every and step % self._every == 0:
            self._write(self.summary, "batch_{}", dict(logs or {}), step)
            if self.write_steps_per_second:
                self._write(self.summary, "batch_{}", self._speed(self._begun), step)
            self._begun = self._now()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the metrics of the epoch, and weights whose turn it is."""
        if epoch == 0 or self._first:
            self._first = False
            self._write_graph()
        metrics = dict(logs or {})
        validated = {name: metrics.pop(name) for name in list(metrics) if name.startswith("val_")}
        rate = getattr(self.model.optimizer, "learning_rate", None)
        told = metrics if rate is None else {**metrics, "learning_rate": rate}
        if self.write_steps_per_second:
            told |= self._speed(self._epoch_begun)
        self._write(self.summary, "epoch_{}", told, epoch)
        if validated:
            named = {name.removeprefix("val_"): value for name, value in validated.items()}
            self._write(self._validation, "epoch_{}", named, epoch)
            self._validation.flush()
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings()
        self.summary.flush()

    def on_test_end(self, logs: Logs = None) -> None:
        """Write the metrics of an evaluation beside the optimizer's steps."""
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            step = int(as_number(optimizer.iterations))
            self._write(self._validation, "evaluation_{}_vs_iterations", dict(logs or {}), step)

    def _turn(self, run: Any) -> None:
        if self._profiled and run.total == self._profiled[0] and run.step:
            self._profile(run)

    # ---------------------------------------------------------------- what is written

    def _now(self) -> tuple[int, float]:
        return self.current_run.total, time.perf_counter()

    def _speed(self, since: tuple[int, float]) -> dict[str, float]:
        (step, moment), (first, begun) = self._now(), since
        return {"steps_per_second": (step - first) / max(moment - begun, 1e-9)}

    def _write(self, events: Events, tag: str, metrics: Mapping[str, Any], step: int) -> None:
        for name, value in metrics.items():
            number = as_number(value)
            if np.ndim(number) == 0:
                events.scalar(tag.format(name), number, step)

    def _write_graph(self) -> None:
        if self.write_graph:
            try:
                graph = self.model._graph_of_calls()
            except Exception as error:
                tuning.say(
                    "TensorBoard gets no graph of %r: %s", self.model.name, error, level="warning"
                )
            else:
                self.summary.graph(graph)

    def _write_weights(self, epoch: int) -> None:
        for weight in self.model.weights:
            values = weight.numpy().astype("float32")
            self.summary.histogram(f"{weight.path}/histogram", values, epoch)
            if self.write_images and values.size:
                self.summary.image(f"{weight.path}/image", _pictures(values), epoch)

    def _embeddings(self) -> Iterator[Any]:
        return (layer for layer in self.model._flatten_layers() if isinstance(layer, Embedding))

    def _write_embeddings(self) -> None:
        for layer in self._embeddings():
            rows = StringIO()
            np.savetxt(rows, layer.embeddings.numpy().astype("float32"), "%.6g", "\t")
            path = self._run_folder / f"{layer.name}.tsv"
            path.write_text(rows.getvalue(), encoding="utf-8")

    def _write_projector(self) -> None:
        """Say where the tables of embeddings are, and the names of their rows, as TensorBoard's projector reads it."""
        layers = [layer.name for layer in self._embeddings()]
        given = self.embeddings_metadata
        names = given if isinstance(given, Mapping) else dict.fromkeys(layers, given)
        if unknown := set(names) - set(layers):
            raise ValueError(
                "`embeddings_metadata` names `Embedding` layers. Received: "
                f"{sorted(unknown)}; the model has {layers}."
            )
        lines = []
        for name in layers:
            lines += ["embeddings {", f'  tensor_name: "{name}"', f'  tensor_path: "{name}.tsv"']
            lines += (
                [] if names.get(name) is None else [f'  metadata_path: "{os.fspath(names[name])}"']
            )
            lines.append("}")
        text = "".join(f"{line}\n" for line in lines)
        (self._run_folder / "projector_config.pbtxt").write_text(text, encoding="utf-8")

    @property
    def _run_folder(self) -> Path:
        self.summary.folder.mkdir(parents=True, exist_ok=True)
        return self.summary.folder

    def _profile(self, run: Any) -> None:
        """Profile steps: a table as a text, and a trace where TensorBoard's profiler looks for it."""
        first, last = self._profiled
        found = self.model.profile(iter(run.execution[-1:]), steps=last - first + 1, verbose=False)
        folder = Path(self.log_dir) / "plugins" / "profile" / time.strftime("%Y_%m_%d_%H_%M_%S")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{socket.gethostname()}.trace.json"
        found.save(path)
        path.with_suffix(".json.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        rows = [
            f"| {r.layer} | {r.kind} | {r.forward:.3f} | {r.backward:.3f} |" for r in found.rows
        ]
        head = ["| layer | type | forward ms | backward ms |", "|---|---|---|---|"]
        self.summary.text("profile", "\n".join([*head, *rows, "", found.remark]), first)


def _steps(profile_batch: Any) -> tuple[int, ...]:
    """The first and the last step to profile; nothing for none."""
    given = profile_batch.split(",") if isinstance(profile_batch, str) else profile_batch
    pair = list(given) if isinstance(given, (list, tuple)) else [given, given]
    try:
        first, last = (int(one) for one in pair)
    except (TypeError, ValueError):
        first, last = -1, -1
    if (first, last) == (0, 0):
        return ()
    if not 0 < first <= last:
        raise ValueError(
            "`profile_batch` must be a step, the first and the last one, or 0 for none. Received: "
            f"profile_batch={profile_batch!r}. Pass (10, 20), say."
        )
    return first, last


def _pictures(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A weight as pictures (n, height, width, 1) from black, its smallest number, to white; at most three."""
    low, high = values.min(), values.max()
    scaled = np.squeeze((values - low) / ((high - low) or 1.0))
    if scaled.ndim < 3:
        rows = scaled.reshape(-1, 1) if scaled.ndim < 2 else scaled
        wide = rows.T if rows.shape[0] > rows.shape[1] > 1 else rows
        return wide[None, ..., None]
    stacked = scaled.reshape(*scaled.shape[:2], -1)
    return np.moveaxis(stacked, -1, 0)[:_PICTURES, ..., None]
