"""The models of a server: found, loaded, and let go, while others are served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from .. import tuning
from ._batching import Batcher
from ._failures import Failure
from ._layout import models_in
from ._metrics import Metrics
from ._model import Model
from ._options import Options
from ._versions import Line, Policy
from ._versions import Served as Served
from ._versions import Status as Status
from ._watching import Watching


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
    versions: Policy = 1
    labels: Mapping[str, int] = {}


class Repository:
    """The models of a server. All calls come from one event loop.

    Args:
        source: A path (`models_in`), a model of Cornu, a `Model`, a `Runner`, or such models by name.
        options: What the server was told.

    Attributes:
        watching: Who looks at calls and runs.
        leaving: Whether the process is about to end: it is not ready then, and goes on answering.
    """

    def __init__(self, source: Any, options: Options | None = None) -> None:
        self.options, self.leaving = options or Options(), False
        self.watching = Watching(Metrics(self), self.options.access_log)
        self._path = Path(source) if isinstance(source, (str, Path)) else None
        self._given: Mapping[str, Any] = {} if self._path else self._by_name(source)
        self._configs: dict[str, ModelConfig] | None = None
        self._lines: dict[str, Line] = {}
        self._polling: asyncio.Task[None] | None = None
        self._has_started = False
        self._changes, self._loads = asyncio.Lock(), asyncio.Lock()  # one at a time

    def _by_name(self, source: Any) -> Mapping[str, Any]:
        if isinstance(source, Mapping):
            return source
        return {str(self.options.name or getattr(source, "name", "model")): source}

    # -------------------------------------------------------------------- life

    @property
    def ready(self) -> bool:
        """Whether requests should come here: what there was at the start is loaded, and something is served."""
        served = any(line.served() for line in self._lines.values())
        return self._has_started and served and not self.leaving

    async def start(self) -> None:
        """Load what there is, and look for more from time to time. Later calls do nothing.

        Raises:
            OSError: If there is no such path.
        """
        if self._has_started:
            return
        async with self._changes:
            if not self._has_started:
                await self._poll()
                self._has_started = True
                if self._path is not None and self.options.poll:
                    self._polling = asyncio.get_running_loop().create_task(self._poll_on())

    async def close(self) -> None:
        """Look for nothing more, and wait for the requests under way."""
        if self._polling is not None:
            self._polling.cancel()
        await asyncio.gather(*(served.drained() for _, served in self.served()))

    async def poll(self) -> None:
        """Read the folders once; load and unload what has changed. What can't be loaded says so in its status.

        Raises:
            OSError: If the path can't be read.
        """
        async with self._changes:
            await self._poll()

    async def _poll(self) -> None:
        found = await asyncio.to_thread(self._found)
        for name, files in found.items():
            await self._update(name, files)
        for name in self._lines.keys() - found.keys():
            await self._lines.pop(name).unload()

    async def _poll_on(self) -> None:
        said = ""
        while True:
            await asyncio.sleep(self.options.poll)
            try:
                await self.poll()
                said = ""
            except Exception as error:  # what is served stays, whatever became of the folder
                if said != (said := str(error)):  # once, not each second
                    tuning.say("Models can't be looked for: %s", error, level="error")

    def _found(self) -> dict[str, dict[int, Any]]:
        """The files of the versions of all models, or what was given in their place."""
        if self._configs is not None:
            found = [models_in(config.path, name) for name, config in self._configs.items()]
            return {name: files for models in found for name, files in models.items()}
        if self._path is None:
            return {name: {1: source} for name, source in self._given.items()}
        return {**models_in(self._path, self.options.name)}

    async def _update(self, name: str, files: Mapping[int, Any]) -> None:
        line = self._lines.setdefault(name, Line(name, self._load, self.options.swap))
        config = (self._configs or {}).get(name, self.options)
        line.labels = config.labels
        if not line.is_unloaded:
            await line.update(files, config.versions)

    async def _load(self, name: str, number: int, file: Any) -> Served:
        start = time.monotonic()
        async with self._loads:
            await self._make_room(file.stat().st_size if isinstance(file, Path) else 0)
            model = await asyncio.to_thread(self._warm, name, number, file)
            await self._make_room(model.nbytes)
        seconds = time.monotonic() - start
        tuning.say("%r, version %s, is AVAILABLE after %.1f s.", name, number, seconds)
        watch = self.watching.metrics.runs(name, number)
        return Served(model, Batcher(model, self.options, watch), self._bring_back)

    def _warm(self, name: str, number: int, source: Any) -> Model:
        model = source
        if not isinstance(source, Model):
            model = Model(source, name, number, self.options.engine, self.options.threads)
        model.warm(self.options.sizes)
        return model

    # ------------------------------------------------------------------ memory

    async def _bring_back(self, served: Served) -> None:
        """Load again what left memory for others."""
        async with self._loads:
            if not served.model.in_memory:
                await self._make_room(served.model.nbytes)
                await asyncio.to_thread(served.model.warm, self.options.sizes)

    async def _make_room(self, nbytes: int) -> None:
        """Let those leave memory that were used least recently, idle ones first, until so much of it is free.

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
        inside = [served for _, served in self.served() if served.model.in_memory]
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
            Failure: If there is none, or it is not served.
        """
        return self._line(name).find(version, label)

    def statuses(self, name: str) -> list[Status]:
        """How the versions of a model are, rising.

        Raises:
            Failure: If there is no such model.
        """
        return self._line(name).statuses()

    def index(self) -> list[tuple[str, Status]]:
        """All models and versions."""
        return [(name, status) for name in sorted(self._lines) for status in self.statuses(name)]

    def served(self) -> list[tuple[str, Served]]:
        """All versions that are served, with the names of their models."""
        return [(name, x) for name, line in sorted(self._lines.items()) for x in line.served()]

    def loads(self) -> dict[str, Mapping[str, int]]:
        """How often versions of each model were loaded (`"loaded"`), or could not be (`"failed"`)."""
        return {name: line.loads for name, line in sorted(self._lines.items())}

    def _line(self, name: str) -> Line:
        if name not in self._lines:
            raise Failure(
                "NOT_FOUND",
                f"Servable not found for request: Latest({name}). The models are {sorted(self._lines)}.",
            )
        return self._lines[name]

    # ----------------------------------------------------------------- control

    async def load(self, name: str) -> None:
        """Load a model, or what has changed of it.

        Raises:
            Failure: If there is none, or it can't be loaded.
        """
        async with self._changes:
            files = (await asyncio.to_thread(self._found)).get(name)
            if files is None:
                raise Failure(
                    "NOT_FOUND", f"A model to load must be in the repository. Received: {name!r}."
                )
            if name in self._lines:
                self._lines[name].is_unloaded = False
            await self._update(name, files)
        if not self._lines[name].served():
            reasons = [status.reason for status in self.statuses(name)] or ["It has no versions."]
            raise Failure("INVALID_ARGUMENT", f"{name!r} can't be loaded. {reasons[-1]}")

    async def unload(self, name: str) -> None:
        """Serve a model no longer, until `load` is called for it.

        Raises:
            Failure: If there is no such model.
        """
        line = self._line(name)
        line.is_unloaded = True
        await line.unload()

    async def reload(self, configs: Iterable[ModelConfig]) -> None:
        """Have exactly these models, whose paths lie in that of the server.

        Raises:
            Failure: If a path lies elsewhere.
        """
        wanted = {config.name: config for config in configs}
        root = None if self._path is None else self._path.resolve()
        for config in wanted.values():
            path, is_there = config.path, False
            # A path that is no model would hold up all others.
            with suppress(OSError, ValueError):
                path = path.resolve()
                inside = root is not None and path.is_relative_to(root)
                is_there = inside and bool(models_in(path, config.name))
            if not is_there:
                raise Failure(
                    "INVALID_ARGUMENT",
                    f"A model's path must be there, in that of the server, {root}. Received: {path}.",
                )
        self._configs = wanted
        await self.poll()
