"""The models of a server: found, loaded, warmed, swapped, drained, while others are served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import tuning
from ._batching import Batcher, Counters, Outputs, Watch
from ._failures import Failure
from ._layout import Versions, models_in, stamp
from ._model import Model
from ._options import Options

#: The states of a version, in their order, by TensorFlow Serving's names.
STATES = ("START", "LOADING", "AVAILABLE", "UNLOADING", "END")


class Status(NamedTuple):
    """How a version is.

    Args:
        version: Its number.
        state: One of `STATES`.
        reason: Why it is not available, where it failed.
    """

    version: int
    state: str
    reason: str = ""


class ModelConfig(NamedTuple):
    """A model that a server is told to have.

    Args:
        name: Its name.
        path: Its file, or the folder of its versions.
        versions: Which are served, as in `Options`.
        labels: Versions by their labels.
    """

    name: str
    path: Path
    versions: int | str | tuple[int, ...] = 1
    labels: Mapping[str, int] = {}


class Served:
    """A version that is served. It answers as long as anybody holds it, also when others have taken its place.

    Attributes:
        model: The version.
        batcher: Its queues.
        used: When it was last asked, by `time.monotonic()`.
    """

    def __init__(
        self,
        model: Model,
        options: Options,
        watch: Watch | None,
        back: Callable[[Served], Awaitable[None]],
    ) -> None:
        self.model, self.batcher = model, Batcher(model, options, watch)
        self.used, self._back, self._running = time.monotonic(), back, 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def counters(self) -> Counters:
        """What it has done."""
        return self.batcher.counters

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return self._running == 0

    async def run(
        self,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        deadline: float | None = None,
    ) -> Outputs:
        """The outputs for a request, as of `Batcher.run`; the model comes back to memory for it.

        Raises:
            Failure: As of `Batcher.run`, or if there is no memory for the model.
        """
        self._running += 1
        self._idle.clear()
        self.used = time.monotonic()
        try:
            if not self.model.in_memory:
                await self._back(self)
            return await self.batcher.run(inputs, outputs, deadline)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def drained(self) -> None:
        """Wait until no request is under way."""
        await self._idle.wait()


class _Version:
    """A version of a model as its folder has it, served or not."""

    def __init__(self, number: int) -> None:
        self.number, self.state, self.reason = number, "START", ""
        self.stamp: tuple[object, ...] | None = None  # of the file that was last tried
        self.served: Served | None = None


class _Entry:
    """A model with its versions."""

    def __init__(self) -> None:
        self.versions: dict[int, _Version] = {}
        self.policy: int | str | tuple[int, ...] = 1
        self.labels: Mapping[str, int] = {}
        self.is_unloaded = False  # somebody asked for that
        self.lock = asyncio.Lock()

    def available(self) -> list[_Version]:
        """The versions that are served, rising."""
        return [version for _, version in sorted(self.versions.items()) if version.served]


class Repository:
    """The models of a server. All calls come from one event loop.

    Args:
        source: A path (`models_in`), a model of Cornu, a `Model`, or such models by name.
        options: What the server was told.
        watch: Told of each batch (`Batcher`).

    Attributes:
        leaving: Whether the process is about to end: it is not ready then, and goes on answering.
    """

    def __init__(
        self, source: Any, options: Options | None = None, watch: Watch | None = None
    ) -> None:
        self.options = options or Options()
        self.leaving = False
        self._path = Path(source) if isinstance(source, (str, Path)) else None
        self._given: dict[str, Any] = {} if self._path else self._named(source)
        self._configs: dict[str, ModelConfig] | None = None
        self._watch = watch
        self._entries: dict[str, _Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._started, self._polled = asyncio.Lock(), False
        self._memory = asyncio.Lock()

    def _named(self, source: Any) -> dict[str, Any]:
        if isinstance(source, Mapping):
            return dict(source)
        return {self.options.name or source.name: source}

    # -------------------------------------------------------------------- life

    @property
    def ready(self) -> bool:
        """Whether requests should come here: what there was at the start was loaded, and something is served."""
        served = any(entry.available() for entry in self._entries.values())
        return self._polled and served and not self.leaving

    async def start(self) -> None:
        """Load what there is, and look for more from time to time. Once is enough.

        Raises:
            OSError: If there is no such path.
        """
        async with self._started:
            if self._polled:
                return
            await self.poll()
            self._polled = True
            if self._path is not None and self.options.poll:
                self._spawn(self._poll_on())

    async def close(self) -> None:
        """Wait for the requests under way, and look for nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(served.drained() for served in self._served()))

    async def poll(self) -> None:
        """Read the folders once, and load and unload what has changed.

        Raises:
            OSError: If the path can't be read.
        """
        found = await asyncio.to_thread(self._found)
        for name in [*found, *(name for name in self._entries if name not in found)]:
            await self._update(name, found.get(name))

    async def _poll_on(self) -> None:
        while True:
            await asyncio.sleep(self.options.poll)
            try:
                await self.poll()
            except Exception as error:  # what is served stays, whatever became of the folder
                tuning.say("Models can't be looked for: %s", error, level="error")

    def _found(self) -> dict[str, Versions]:
        """The versions of all models, by name."""
        if self._configs is not None:
            return {name: _versions(config.path) for name, config in self._configs.items()}
        if self._path is None:
            return {name: {1: source} for name, source in self._given.items()}
        return models_in(self._path, self.options.name)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ----------------------------------------------------------------- versions

    async def _update(self, name: str, files: Versions | None) -> None:
        """Serve those versions of a model that are wanted, then let the others go."""
        entry = self._entries.setdefault(name, _Entry())
        config = (self._configs or {}).get(name)
        entry.policy = config.versions if config else self.options.versions
        entry.labels = config.labels if config else self.options.labels
        async with entry.lock:
            if files is None or entry.is_unloaded:
                self._retire(entry, entry.available())
                return
            if kept := await self._load_wanted(name, entry, files):
                self._retire(entry, [x for x in entry.available() if x.number not in kept])

    async def _load_wanted(self, name: str, entry: _Entry, files: Versions) -> set[int]:
        """Load what is wanted, newest first: one that fails makes room for the one before it."""
        policy, kept = entry.policy, set[int]()
        wanted = policy if isinstance(policy, tuple) else sorted(files, reverse=True)
        most = policy if isinstance(policy, int) else len(wanted)
        for number in wanted:
            if len(kept) < most and number in files:
                version = entry.versions.setdefault(number, _Version(number))
                if await self._is_served(name, version, files[number], entry):
                    kept.add(number)
        return kept

    async def _is_served(self, name: str, version: _Version, file: Any, entry: _Entry) -> bool:
        """Whether a version is served, which is loaded if it is new or its file is another one."""
        mark = stamp(file) if isinstance(file, Path) else (id(file),)
        if (
            version.stamp == mark
            and version.state in ("AVAILABLE", "END")
            and (version.served or version.reason)
        ):
            return version.served is not None
        version.stamp, old = mark, version.served
        if self.options.swap == "after":
            gone = entry.available()
            self._retire(entry, gone)
            await asyncio.gather(*(x.drained() for x in map(_served_of, gone) if x))
            old = None
        version.state = version.state if old else "LOADING"
        start = time.monotonic()
        try:
            await self._room(_size(file))
            model = await asyncio.to_thread(self._loaded, name, version.number, file)
            version.served = Served(model, self.options, self._watch, self._bring_back)
            version.state, version.reason = "AVAILABLE", ""
            tuning.say(
                "%r version %s is AVAILABLE after %.1f s.",
                name,
                version.number,
                time.monotonic() - start,
            )
        except Exception as error:
            version.reason = f"{type(error).__name__}: {error}"
            version.state = "AVAILABLE" if old else "END"
            tuning.say(
                "%r version %s is not loaded. %s",
                name,
                version.number,
                version.reason,
                level="error",
            )
        return version.served is not None

    def _loaded(self, name: str, number: int, file: Any) -> Model:
        model = file
        if not isinstance(file, Model):
            model = Model(file, name, number, self.options.engine, self.options.threads)
        model.warm(self.options.sizes)
        return model

    def _retire(self, entry: _Entry, versions: Iterable[_Version]) -> None:
        """Serve versions no longer; their memory is free when the requests under way are answered."""
        for version in versions:
            served, version.served, version.state = version.served, None, "UNLOADING"
            version.stamp = None
            if served is not None:
                self._spawn(self._drain(version, served))

    async def _drain(self, version: _Version, served: Served) -> None:
        await served.drained()
        if version.state == "UNLOADING":
            version.state = "END"

    # ------------------------------------------------------------------ memory

    def _served(self) -> list[Served]:
        entries = self._entries.values()
        return [x.served for entry in entries for x in entry.available() if x.served]

    async def _bring_back(self, served: Served) -> None:
        """Load again what left memory for others."""
        async with self._memory:
            if not served.model.in_memory:
                await self._room(served.model.nbytes)
                await asyncio.to_thread(served.model.warm, self.options.sizes)

    async def _room(self, nbytes: int) -> None:
        """Let those leave memory that were used least recently, idle ones first, until there is so much room.

        Raises:
            Failure: If there is less in all.
        """
        limit = self.options.memory
        if limit is None:
            return
        if nbytes > limit:
            raise Failure(
                "RESOURCE_EXHAUSTED",
                f"A model must fit into `memory`. Received: {nbytes:,} bytes, memory={limit:,}.",
            )
        inside = [served for served in self._served() if served.model.in_memory]
        taken = sum(served.model.nbytes for served in inside)
        for served in sorted(inside, key=lambda served: (not served.is_idle, served.used)):
            if taken + nbytes <= limit:
                break
            served.model.leave()
            taken -= served.model.nbytes
            tuning.say("%r leaves memory for another model.", served.model.name)

    # ---------------------------------------------------------------- requests

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Served:
        """The version that answers requests for a model: the newest, where none is named.

        Raises:
            Failure: If there is none, or it is not available.
        """
        entry = self._entry(name)
        if label is not None:
            version = entry.labels.get(label)
            if version is None:
                raise Failure(
                    "NOT_FOUND",
                    f"Servable not found for request: Label({name}, {label}). Its labels are "
                    f"{sorted(entry.labels)}.",
                )
        available = entry.available()
        found = [x for x in available if version in (None, x.number)]
        if found and (served := found[-1].served) is not None:
            return served
        if version is not None and version not in entry.versions:
            raise Failure(
                "NOT_FOUND",
                f"Servable not found for request: Specific({name}, {version}). Available versions are "
                f"{[x.number for x in available]}.",
            )
        states = "; ".join(
            f"{x.version} is {x.state} {x.reason}".rstrip() for x in self.statuses(name)
        )
        raise Failure(
            "UNAVAILABLE", f"{name!r} has no such version that is available: {states or 'none'}."
        )

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise Failure(
                "NOT_FOUND",
                f"Servable not found for request: Latest({name}). The models are {sorted(self._entries)}.",
            )
        return entry

    def statuses(self, name: str) -> list[Status]:
        """How the versions of a model are, rising.

        Raises:
            Failure: If there is no such model.
        """
        versions = sorted(self._entry(name).versions.items())
        return [Status(number, x.state, x.reason) for number, x in versions]

    def index(self) -> list[tuple[str, Status]]:
        """All models and versions."""
        return [(name, status) for name in sorted(self._entries) for status in self.statuses(name)]

    # ----------------------------------------------------------------- control

    async def load(self, name: str) -> None:
        """Load a model, or what has changed of it.

        Raises:
            Failure: If there is none, or it can't be loaded.
        """
        files = (await asyncio.to_thread(self._found)).get(name)
        entry = (
            self._entries.get(name) if files is None else self._entries.setdefault(name, _Entry())
        )
        if files is None or entry is None:
            raise Failure(
                "NOT_FOUND", f"There is no such model in the repository. Received: {name!r}."
            )
        entry.is_unloaded = False
        await self._update(name, files)
        failed = [status for status in self.statuses(name) if status.reason]
        if failed and not entry.available():
            raise Failure("INVALID_ARGUMENT", f"{name!r} can't be loaded. {failed[-1].reason}")

    async def unload(self, name: str) -> None:
        """Serve a model no longer, until `load` is called.

        Raises:
            Failure: If there is no such model.
        """
        self._entry(name).is_unloaded = True
        await self._update(name, {})

    async def reload(self, configs: Iterable[ModelConfig]) -> None:
        """Have exactly these models, whose paths lie in that of the repository.

        Raises:
            Failure: If a path lies elsewhere, or there are none.
        """
        wanted = {config.name: config for config in configs}
        root = None if self._path is None else self._path.resolve()
        for config in wanted.values():
            if root is None or not config.path.resolve().is_relative_to(root):
                raise Failure(
                    "INVALID_ARGUMENT",
                    f"A model's path must lie in that of the server, {root}. Received: {config.path}.",
                )
        self._configs = wanted
        await self.poll()


def _versions(path: Path) -> Versions:
    (versions,) = models_in(path, path.name).values()
    return versions


def _served_of(version: _Version) -> Served | None:
    return version.served


def _size(file: Any) -> int:
    return file.stat().st_size if isinstance(file, Path) else getattr(file, "nbytes", 0)
