"""Checkpoints: all that a training needs to go on, as folders that appear whole.

    DIR/step-00000120/
        weights.safetensors.index.json         which file has which array: `load_weights` reads it too
        weights-00001-of-00001.safetensors     weights, optimizer, random generators; of several
                                               processes each has a file with its parts (`_parts`)
        state.safetensors                      other arrays: of metrics, of callbacks
        checkpoint.json                        what is no array: epoch, logs, positions
        SHA256SUMS                             as `sha256sum` writes it, and `sha256sum -c` checks it

One that is not as it was written is torn: it is told, and the one before it is used.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import time
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import tuning
from .._version import __version__
from ..core import processes
from ..core.files import remove, remove_drafts, replacing, replacing_jointly
from ..core.positions import is_plain
from ..core.scopes import here, within
from ..core.variable import Variable
from ..engines import current_name
from ..optimizers import Optimizer
from ._files import LARGEST_TEXT, BrokenFileError
from ._names import labels
from ._parts import own_parts
from ._safetensors import Safetensors
from ._stores import Arrays, Item, Stored, items_of
from ._walk import walk
from ._weights import compared, load_state, opened_weights, write_sharded

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_FORMAT = Safetensors()
_WEIGHTS, _STATE = f"weights{_FORMAT.listing}", f"state{_FORMAT.ending}"
#: How the names of files with parts begin, and end while process 0 waits for them; so many seconds, for a slow disk.
_STEM, _PART, _PATIENCE = "weights", ".part", 600
_RECORD, _SUMS = "checkpoint.json", "SHA256SUMS"
#: The parts of a record that are read without asking further.
_PARTS: dict[str, Any] = {
    "time": (int, float),
    "files": dict,
    "state": dict,
    "best": (dict, type(None)),
}
_NAME = re.compile(r"step-(\d{1,18})(-epoch-\d{1,18})?").fullmatch
#: Lists of more floats are stored as arrays.
_LONG = 256


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in a directory.

    Attributes:
        path: Its folder.
        record: What it holds beside arrays; empty if that can't be read.
        fault: What is wrong with it, if it is torn.
    """

    path: Path
    record: Mapping[str, Any]
    fault: str | None

    @property
    def step(self) -> int:
        """The steps that were done."""
        return int(_NAME(self.path.name)[1])  # type: ignore[index]

    @property
    def time(self) -> float:
        """When it was written, in seconds since 1970."""
        return float(self.record.get("time", self.path.stat().st_mtime))

    @property
    def size(self) -> int:
        """The bytes of its files."""
        return sum(file.lstat().st_size for file in self.path.iterdir())

    def value(self, monitor: str) -> float | None:
        """A metric's value when it was written."""
        logs = self.record.get("state", {}).get("logs")
        found = logs.get(monitor) if isinstance(logs, dict) else None
        return found if isinstance(found, (int, float)) and not math.isnan(found) else None

    def state(self) -> dict[str, Any]:
        """What the training put there beside its model, and the variables of metrics.

        Raises:
            BrokenFileError: If the checkpoint is torn.
        """
        path = str(self.path / _STATE)
        with _FORMAT.opened(path, path) as arrays:
            try:
                state: dict[str, Any] = _decoded(self.record["state"], arrays)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise _broken(self.path, repr(error)) from error
        return state

    def restore(self, model: Any) -> None:
        """Give a model its variables back: those of its optimizer, metrics and random generators too.

        Metrics that have seen no batch yet, and so have no variables, begin anew.

        Raises:
            BrokenFileError: If the checkpoint is torn.
            ValueError: If it is of another architecture.
        """
        path = str(self.path / _WEIGHTS)
        values, variables = self.state().get("metrics", ()), model.metrics_variables
        shapes = [variable.shape for variable in variables]
        fits = isinstance(values, list) and [getattr(v, "shape", None) for v in values] == shapes
        if not fits and not model._metrics_built:
            fits, values, variables = True, [], []
        with within(here.exact, True), opened_weights(path, path, _FORMAT) as arrays:
            report = compared(model, arrays, _nested(model))  # before anything is set
            if report.missing or report.unexpected or report.mismatched or not fits:
                raise ValueError(
                    "A training goes on with the model, optimizer and metrics that it had. Received: "
                    f"{str(self.path)!r} for the model {model.name!r}, metrics={model.metrics_names}; "
                    f"{report!r}. Compile it as it was; build optimizers of its own in "
                    "its constructor."
                )
            load_state(model, arrays, path, leave_out=_nested(model))
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def checkpoints(directory: str | os.PathLike[str], thorough: bool = False) -> list[Checkpoint]:
    """The checkpoints of a directory, in the order of their writing; none where there is no such directory.

    Args:
        directory: The directory.
        thorough: Whether each byte is read to tell those that are torn, and not only the record and
            the sizes of files.
    """
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(
            f"Checkpoints are in a directory. Received: {os.fspath(folder)!r}, a file. Name the directory "
            "that holds them."
        )
    paths = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    found = [_opened(path, thorough) for path in paths if _NAME(path.name)]
    found = [one for one in found if one.path.is_dir()]  # a training may have removed it meanwhile
    return sorted(found, key=lambda one: (one.time, one.step))


def last_checkpoint(directory: str | os.PathLike[str]) -> Checkpoint | None:
    """The last checkpoint that is whole; `None` where there is none at all.

    Raises:
        BrokenFileError: If all are torn.
    """
    found = checkpoints(directory)
    for checkpoint in reversed(found):
        whole = _opened(checkpoint.path, thorough=True)
        if whole.fault is None:
            return whole
        tuning.say(
            "The checkpoint %s is torn (%s): the one before it is used.",
            whole.path,
            whole.fault,
            level="warning",
        )
    if found:
        raise _broken(found[-1].path, f"{whole.fault}, and no other one is whole")
    return None


class Checkpoints:
    """The checkpoints of a training: written in the background, the last ones and the best kept.

    Args:
        directory: The directory, for one training alone; it is made where it is missing.
        keep: How many of the last stay; `None` for all.
        best: The metric of which the best one stays too.
        mode: `min` if smaller is better, `max` if larger is.
        max_shard_size: The largest size of a file, in GB (2**30 bytes).
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        keep: int | None = 2,
        best: str | None = None,
        mode: str = "min",
        max_shard_size: float | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.keep, self.best, self.mode = keep, best, mode
        self.largest = math.inf if max_shard_size is None else max_shard_size * 2**30
        #: The time of the last one, where it is known: a later one has a later time, whatever the clock says.
        self._latest: float | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None

    def last(self) -> Checkpoint | None:
        """The last checkpoint that is whole; `None` where there is none at all. Number 0 of several processes says
        which."""
        if processes.count() == 1:
            return last_checkpoint(self.directory)
        found = last_checkpoint(self.directory) if processes.is_first() else None
        step, epoch = (-1, -1) if found is None else map(int, _numbers(found.path.name))
        step, epoch = (int(processes.decided(np.int64(n))) for n in (step, epoch))
        if step < 0:
            return None
        path = self.directory / _called(step, epoch if epoch >= 0 else None)
        if not path.is_dir():
            raise FileNotFoundError(
                f"All processes must see the checkpoints. Received: {str(path)!r}, which process 0 sees and "
                "this one doesn't. Choose a directory that all machines share."
            )
        return _opened(path, thorough=False)

    def write(self, model: Any, state: Mapping[str, Any], step: int, epoch: int | None) -> None:
        """Copy what the model and the process hold now, and let it be written; one at a time is.

        Args:
            model: The model.
            state: What `Checkpoint.state` gives back, `logs` among it.
            step: The steps that are done.
            epoch: The epochs that are done, where the last one has just ended.

        Raises:
            TypeError: If the state has something that no file holds.
            OSError: If the one before could not be written.
        """
        self.wait()
        several = processes.count() > 1
        if several and processes.is_first():
            self.directory.mkdir(parents=True, exist_ok=True)
            remove_drafts(self.directory, "step-*")
        key = (
            f"{processes.decided(np.uint32(int.from_bytes(os.urandom(4)))):08x}"
            if several
            else None
        )
        if self._latest is None:
            self._latest = max((one.time for one in checkpoints(self.directory)), default=0.0)
        self._latest = max(time.time(), math.nextafter(self._latest, math.inf))
        kept: dict[str, np.ndarray[Any, Any]] = {}
        metrics = [variable.numpy() for variable in model.metrics_variables]
        encoded = _encoded({**state, "metrics": metrics}, kept, "state")
        with within(here.exact, True):
            items = [Item(i.path, _Frozen.of(i, several)) for i in items_of(model, _nested(model))]
        record = {
            "version": 1,
            "cornu": __version__,
            "engine": current_name(),
            "time": self._latest,
            "step": step,
            "best": None if self.best is None else {"metric": self.best, "mode": self.mode},
            "state": encoded,
        }
        name = _called(step, epoch)
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(1, "cornu-checkpoints")
        arrays, path = [Item("", _Frozen(kept))], self.directory / name
        if key is None:
            self._pending = self._pool.submit(self._write, path, items, arrays, record)
        else:
            written = partial(self._write_part, path, items, arrays, record, key)
            self._pending = self._pool.submit(written, processes.rank(), processes.count())

    def check(self) -> None:
        """Raise what went wrong with the last one, if that is known by now."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Wait for what is being written."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Wait, and end the thread that writes."""
        try:
            self.wait()
        finally:
            if self._pool is not None:
                self._pool.shutdown()
                self._pool = None

    def remove(self) -> None:
        """Remove the checkpoints, and the directory if nothing else is in it."""
        self.wait()
        if not processes.is_first():
            return
        for checkpoint in checkpoints(self.directory):
            remove(checkpoint.path)
        if self.directory.is_dir() and not any(self.directory.iterdir()):
            self.directory.rmdir()

    def _write(
        self, path: Path, items: list[Item], arrays: list[Item], record: dict[str, Any]
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_drafts(path.parent, "step-*")
        with replacing(path) as draft:
            os.mkdir(draft)
            write_sharded(items, os.path.join(draft, _WEIGHTS), self.largest, _FORMAT)
            _complete(Path(draft), arrays, record, {})
        self._remove_old()

    def _write_part(
        self,
        path: Path,
        items: list[Item],
        arrays: list[Item],
        record: dict[str, Any],
        key: str,
        rank: int,
        count: int,
    ) -> None:
        """Write what this process has. They wait for each other by looking at files: this runs beside the steps, in
        which they meet in another order."""
        with replacing_jointly(path, key) as folder:
            names = [_FORMAT.shard(_STEM, number, count) for number in range(count)]
            own = Path(folder, names[rank])
            _FORMAT.write(own, items)
            listed = [replace(item, keys=[*item.part.arrays]) for item in items]
            total = sum(array.nbytes for item in items for array in item.part.arrays.values())
            told = {"sum": _sum(own), "index": _FORMAT.index({own.name: listed}, total)}
            with replacing(own.with_suffix(_PART), alone=True) as draft:
                Path(draft).write_text(json.dumps(told))
            if rank:
                return
            parts = [_awaited(Path(folder, name).with_suffix(_PART)) for name in names]
            index = {
                "metadata": {
                    "total_size": sum(p["index"]["metadata"]["total_size"] for p in parts)
                },
                "weight_map": {k: v for p in parts for k, v in p["index"]["weight_map"].items()},
            }
            Path(folder, _WEIGHTS).write_text(json.dumps(index))
            sums = {name: part["sum"] for name, part in zip(names, parts, strict=True)}
            _complete(Path(folder), arrays, record, sums)
        self._remove_old()

    def _remove_old(self) -> None:
        if self.keep is None:
            return
        whole = [one for one in checkpoints(self.directory) if one.fault is None]
        last = list({one.step: one for one in whole}.values())  # of an epoch's last step, its end
        stay = [*last[-self.keep :], best_of(whole)]
        for checkpoint in whole:
            if checkpoint not in stay:
                remove(checkpoint.path)


def _called(step: int, epoch: int | None) -> str:
    return f"step-{step:08d}" + ("" if epoch is None else f"-epoch-{epoch:04d}")


def _numbers(name: str) -> tuple[int, int]:
    """The step and the epoch of a checkpoint's name; -1 for none."""
    step, _, epoch = name.removeprefix("step-").partition("-epoch-")
    return int(step), int(epoch or -1)


def best_of(found: list[Checkpoint]) -> Checkpoint | None:
    """The best of checkpoints by the metric that the last of them names; None without one."""
    whole = [checkpoint for checkpoint in found if checkpoint.fault is None]
    best = (whole[-1].record["best"] if whole else None) or {}
    metric = str(best.get("metric"))
    valued = [(value, one) for one in whole if (value := one.value(metric)) is not None]
    sign = -1 if best.get("mode") == "max" else 1
    return min(valued, key=lambda pair: sign * pair[0], default=(0.0, None))[1]


def _nested(model: Any) -> list[Any]:
    """The optimizers of which others have the variables too, such as that in a loss scale."""
    found = [(path, part) for path, part in walk(model) if isinstance(part, Optimizer)]
    above = tuple(f"{path}/" for path, _ in found)
    return [part for path, part in found if path.startswith(above)]


# ------------------------------------------------------------------- whole or torn


def _opened(path: Path, thorough: bool) -> Checkpoint:
    record: Mapping[str, Any] = {}
    fault = None
    try:
        record = _record(path, thorough)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        fault = str(error) or repr(error)
    return Checkpoint(path, record, fault)


def _record(path: Path, thorough: bool) -> dict[str, Any]:
    """A checkpoint's record.

    Raises:
        OSError, ValueError: If a file is not as it was written.
    """
    sums = dict(_sums(_text(path / _SUMS)))
    if sums.pop(_RECORD, None) != _sum(path / _RECORD):
        raise ValueError(f"{_RECORD} is not as it was written")
    record: dict[str, Any] = json.loads(_text(path / _RECORD))
    if not isinstance(record, dict) or record.get("version") != 1:
        raise ValueError(f"{_RECORD} is of another version, which a later Cornu may read")
    if not all(isinstance(record.get(part), kind) for part, kind in _PARTS.items()):
        raise ValueError(f"{_RECORD} has not its parts")
    if sums.keys() != record["files"].keys():
        raise ValueError(f"{_SUMS} has not the files of {_RECORD}")
    for name, size in record["files"].items():
        if _size(path / name) != size or (thorough and _sum(path / name) != sums[name]):
            raise ValueError(f"{name} is not as it was written")
    return record


def _size(path: Path) -> int:
    """The size of a file, which is none of another place."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path.name} is no file")
    return found.st_size


def _text(path: Path) -> str:
    if _size(path) > LARGEST_TEXT:
        raise ValueError(f"{path.name} has more than {LARGEST_TEXT:,} bytes")
    return path.read_text(encoding="utf-8")


def _sums(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        if os.path.basename(name) != name or name in ("", ".", ".."):
            raise ValueError(f"{_SUMS} names {name!r:.100}, which is no file beside it")
        yield name, digest


def _sum(path: Path) -> str:
    import hashlib  # takes 4 ms, which an import of this library need not

    _size(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _broken(path: Path, fault: str) -> BrokenFileError:
    return BrokenFileError(
        f"A checkpoint must be as it was written. Received: {str(path)!r}: {fault}. Copy it again, or "
        "take another directory: `python -m cornu checkpoints` says which are whole."
    )


# -------------------------------------------------------------------- the content


def _complete(
    folder: Path, arrays: list[Item], record: dict[str, Any], sums: Mapping[str, str]
) -> None:
    """Add what is beside the weights: other arrays, the record, and the sums of those files whose are not known."""
    _FORMAT.write(folder / _STATE, arrays)
    record["files"] = {file.name: file.stat().st_size for file in folder.iterdir()}
    (folder / _RECORD).write_text(json.dumps(record))
    told = [f"{sums.get(x.name) or _sum(x)}  {x.name}\n" for x in sorted(folder.iterdir())]
    (folder / _SUMS).write_text("".join(told))


def _awaited(path: Path) -> Any:
    """What another process tells of its part, once it is there; the file goes."""
    end = time.monotonic() + _PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(
                "Each process writes its part of a checkpoint to a directory that all see. Received: none at "
                f"{str(path)!r} within {_PATIENCE} s. Choose a directory that all machines share."
            )
        time.sleep(0.02)
    told = json.loads(path.read_text())
    path.unlink()
    return told


@dataclass(frozen=True)
class _Frozen:
    """Arrays of an object as they were."""

    arrays: dict[str, np.ndarray[Any, Any]]

    @classmethod
    def of(cls, item: Item, in_parts: bool) -> _Frozen:
        # An optimizer's variables are named after weights, whose names are numbered in a process.
        names = {} if isinstance(item.part, Optimizer) else labels(item.part)
        found = [(names.get(key, key), value) for key, value in item.values().items()]
        if in_parts:
            return cls(dict(part for name, value in found for part in own_parts(name, value)))
        return cls({name: _copied(value) for name, value in found})

    def save_own_variables(self, store: dict[str, Any]) -> None:
        store.update(self.arrays)


def _copied(value: Stored) -> np.ndarray[Any, Any]:
    return value.numpy() if isinstance(value, Variable) else value.copy()


def _encoded(value: Any, arrays: dict[str, np.ndarray[Any, Any]], called: str) -> Any:
    """A state as JSON has it; its arrays, and long lists of floats, are put beside it."""
    if isinstance(value, dict) and all(isinstance(k, str) and k[:1] != "$" for k in value):
        return {key: _encoded(part, arrays, f"{called}.{key}") for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        if len(value) > _LONG and all(type(part) is float for part in value):
            return {"$list": _kept(np.array(value), arrays)}
        return [_encoded(part, arrays, f"{called}[{i}]") for i, part in enumerate(value)]
    if not is_plain(value) or isinstance(value, dict):
        raise TypeError(
            "A checkpoint holds numbers, texts, bytes, NumPy arrays, and lists and dictionaries by name "
            f"of them. Received: {called}={value!r:.100}. Let `state_dict` give only such."
        )
    if isinstance(value, np.ndarray):
        return {"$array": _kept(value.copy(), arrays)}
    if isinstance(value, np.generic):
        return value.item()
    return (
        {"$bytes": b2a_base64(value, newline=False).decode()} if isinstance(value, bytes) else value
    )


def _kept(array: np.ndarray[Any, Any], arrays: dict[str, np.ndarray[Any, Any]]) -> str:
    name = str(len(arrays))
    arrays[name] = array
    return name


def _decoded(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, list):
        return [_decoded(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if "$bytes" in value:
        return a2b_base64(value["$bytes"], strict_mode=True)
    if "$array" in value or "$list" in value:
        ((kind, name),) = value.items()
        array = arrays[name].read()
        return array.tolist() if kind == "$list" else array
    return {key: _decoded(part, arrays) for key, part in value.items()}
