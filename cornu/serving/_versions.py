"""The versions of a model: which are served, loaded beside those that serve, swapped, drained."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import tuning
from ._batching import Batcher, Counters, Outputs
from ._failures import Failure
from ._layout import stamp
from ._model import Model

#: Which versions are served: so many of the newest that work, `"all"`, or those of these numbers.
Policy = int | str | tuple[int, ...]


class Status(NamedTuple):
    """How a version is.

    Args:
        version: Its number.
        state: `"START"`, `"LOADING"`, `"AVAILABLE"`, `"UNLOADING"` or `"END"`: TensorFlow Serving's names.
        reason: Why its file can't be served, where that was tried.
    """

    version: int
    state: str
    reason: str = ""


class Served:
    """A version that is served. Whoever holds it is answered, also once others have taken its place.

    Args:
        model: The version.
        batcher: Its queues.
        bring_back: Called where the model has left memory: `await bring_back(served)`.

    Attributes:
        used: When it was last asked, by `time.monotonic()`.
    """

    def __init__(
        self, model: Model, batcher: Batcher, bring_back: Callable[[Served], Awaitable[None]]
    ) -> None:
        self.model, self.batcher, self._bring_back = model, batcher, bring_back
        self.used, self._running = time.monotonic(), 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def counters(self) -> Counters:
        """What it has done."""
        return self.batcher.counters

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return self._idle.is_set()

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
                await self._bring_back(self)
            return await self.batcher.run(inputs, outputs, deadline)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def drained(self) -> None:
        """Wait until no request is under way."""
        await self._idle.wait()


class _Version:
    """A version that was found, served or not."""

    def __init__(self, number: int) -> None:
        self.number, self.state, self.reason = number, "START", ""
        self.tried: Any = None  # the stamp of the file that was last loaded, or could not be
        self.served: Served | None = None


class Line:
    """A model with its versions.

    Args:
        name: Its name.
        load: Gives a version that is warm: `await load(name, number, file)`.
        swap: As in `Options`.

    Attributes:
        loads: How often versions were loaded, and could not be: `"loaded"`, `"failed"`.
    """

    def __init__(
        self, name: str, load: Callable[[str, int, Any], Awaitable[Served]], swap: str
    ) -> None:
        self.name, self._load, self._swap = name, load, swap
        self.labels: Mapping[str, int] = {}
        self.loads: Counter[str] = Counter()
        self.is_unloaded = False  # somebody asked for that
        self._versions: dict[int, _Version] = {}
        self._lock = asyncio.Lock()
        self._draining: set[asyncio.Task[None]] = set()

    def served(self) -> list[Served]:
        """The versions that are served, rising."""
        versions = sorted(self._versions.items())
        return [version.served for _, version in versions if version.served is not None]

    def statuses(self) -> list[Status]:
        """How its versions are, rising."""
        versions = sorted(self._versions.items())
        return [Status(number, x.state, x.reason) for number, x in versions]

    def find(self, number: int | None, label: str | None) -> Served:
        """The version of this number or label, or the newest one.

        Raises:
            Failure: If there is none, or it is not served.
        """
        if label is not None and (number := self.labels.get(label)) is None:
            raise self._missing(f"Label({self.name}, {label})", "labels", sorted(self.labels))
        served = self.served()
        if found := [x for x in served if number in (None, x.model.version)]:
            return found[-1]
        if number is not None and number not in self._versions:
            numbers = [x.model.version for x in served]
            raise self._missing(f"Specific({self.name}, {number})", "versions", numbers)
        states = [f"version {x.version} is {x.state} {x.reason}".strip() for x in self.statuses()]
        raise Failure(
            "UNAVAILABLE",
            f"{self.name!r} has no such version that is AVAILABLE: {'; '.join(states) or 'none at all'}.",
        )

    @staticmethod
    def _missing(what: str, kind: str, known: list[Any]) -> Failure:
        message = f"Servable not found for request: {what}. Its {kind} are {known}."
        return Failure("NOT_FOUND", message)

    async def update(self, files: Mapping[int, Any], policy: Policy) -> None:
        """Serve those versions that are wanted, and then no others. If none can be, those that serve go on."""
        async with self._lock:
            kept = await self._loaded(files, policy)
            if kept:
                self._retire(x for x in self._versions.values() if x.number not in kept)
            known = self._versions.items()
            self._versions = {n: x for n, x in known if n in files or x.state != "END"}

    async def unload(self) -> None:
        """Serve no version; the requests under way are answered."""
        async with self._lock:
            self._retire(self._versions.values())

    async def _loaded(self, files: Mapping[int, Any], policy: Policy) -> set[int]:
        """The versions that are wanted and served, from the newest on: one that fails leaves it to the one before."""
        kept: set[int] = set()
        wanted = policy if isinstance(policy, tuple) else sorted(files, reverse=True)
        most = policy if isinstance(policy, int) else len(wanted)
        for number in wanted:
            if number in files and len(kept) < most:
                version = self._versions.setdefault(number, _Version(number))
                await self._try(version, files[number])
                if version.served is not None:
                    kept.add(number)
        return kept

    async def _try(self, version: _Version, file: Any) -> None:
        """Load a version, if it is new or its file is another one than it was."""
        mark = stamp(file) if isinstance(file, Path) else id(file)
        if version.tried == mark:
            return
        version.tried = mark
        if self._swap == "after":
            await asyncio.gather(*self._retire(self._versions.values()))
        before = version.state = "AVAILABLE" if version.served else "LOADING"
        try:
            version.served = await self._load(self.name, version.number, file)
            version.state, version.reason = "AVAILABLE", ""
            self.loads["loaded"] += 1
        except Exception as error:
            self.loads["failed"] += 1
            version.state = "AVAILABLE" if before == "AVAILABLE" else "END"
            version.reason = f"{type(error).__name__}: {error}"
            told = (self.name, version.number, version.reason)
            tuning.say("%r, version %s, can't be served. %s", *told, level="error")

    def _retire(self, versions: Iterable[_Version]) -> list[asyncio.Task[None]]:
        """Serve versions no longer; each is gone when its task ends, and would be loaded anew."""
        tasks = []
        for version in versions:
            if version.served is not None:
                task = asyncio.get_running_loop().create_task(self._drain(version, version.served))
                self._draining.add(task)
                task.add_done_callback(self._draining.discard)
                tasks.append(task)
                version.served, version.state, version.tried = None, "UNLOADING", None
        return tasks

    async def _drain(self, version: _Version, served: Served) -> None:
        await served.drained()
        if version.state == "UNLOADING":
            version.state = "END"
        tuning.say("%r, version %s, is gone.", self.name, version.number)
