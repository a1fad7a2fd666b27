"""The suite as a whole: its order, the memory of its processes, an interrupt, what it says at the end."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

#: A process's own memory in MB: what it may take, from where on what tests compiled is freed, and how many
#: more it must then have than the last time left. What all tests use is compiled again: freed each 256 MB,
#: the table of layers takes about a third more processor time. Libraries take 540 of it before the first test.
LIMIT, ENOUGH, GROWTH = 2048, 700, 128
#: From how many seconds on a run says where they went, and of how many tests.
LONG_RUN, SLOWEST = 60, 20
_PEAKS = pytest.StashKey[dict[str, tuple[int, str]]]()
_STARTED = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--reversed", action="store_true", help="run the tests from the last to the first"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_PEAKS] = {}
    config.stash[_STARTED] = time.perf_counter()
    config.pluginmanager.register(Memory(), "memory of the suite")
    if is_worker(config) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # An interrupt ends it where it is, be it in a compiler that runs for minutes.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("reversed"):
        items.reverse()


# ---------------------------------------------------------------------- memory


def _pages() -> tuple[int, int]:
    """The memory that this process takes now, and what of it are pages of files, in MB; 0 where the system doesn't
    tell."""
    try:
        with open("/proc/self/statm") as file:
            _, whole, files = (
                int(n) * resource.getpagesize() >> 20 for n in file.read().split()[:3]
            )
            return whole, files
    except OSError:
        return 0, 0


def resident() -> int:
    """The memory that is this process's own now, in MB: without pages of files, such as libraries (0.7 GB of the
    engines'), which all processes share and the system takes back."""
    whole, files = _pages()
    return whole - files


def peak() -> int:
    """The most memory of its own that this process has taken, in MB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit - _pages()[1]


def free() -> None:
    """Give back what was compiled, and what is freed thereby."""
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


class Memory:
    """Frees what tests compiled whenever the process has grown too large."""

    def __init__(self) -> None:
        self.left = self.most = 0
        #: The test in which the process took most.
        self.where = ""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        if (most := peak()) > self.most:
            self.most, self.where = most, nodeid
        if resident() > max(ENOUGH, self.left + GROWTH):
            free()
            self.left = resident()


def most(config: pytest.Config) -> tuple[int, str]:
    """The most memory that this process took, and in which test."""
    memory = config.pluginmanager.get_plugin("memory of the suite")
    return memory.most, memory.where


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended: one that was killed tells nothing."""
    if found := getattr(node, "workeroutput", {}).get("peak"):
        node.config.stash[_PEAKS][node.gateway.id] = found


# ---------------------------------------------------------------------- report


def folder(test: str) -> str:
    """The folder of a test; docstrings are all one."""
    place = os.path.dirname(test.partition("::")[0])
    return place if place.startswith("tests") else place.partition("/")[0]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """After a long run: the slowest tests, the seconds of each folder, the memory of each process."""
    seconds, folders = Counter[str](), Counter[str]()
    for report in (x for found in terminalreporter.stats.values() for x in found):
        if isinstance(report, pytest.TestReport):
            seconds[report.nodeid] += report.duration
            folders[folder(report.nodeid)] += report.duration
    if folders.total() < LONG_RUN:
        return
    write = terminalreporter.write_line
    terminalreporter.section(f"the {SLOWEST} slowest tests")
    for test, taken in seconds.most_common(SLOWEST):
        write(f"{taken:7.1f} s  {test}")
    terminalreporter.section("where the time went")
    for place, taken in folders.most_common():
        write(f"{taken:7.1f} s  {taken / folders.total():4.0%}  {place}")
    for process, (size, test) in (config.stash[_PEAKS] or {"this process": most(config)}).items():
        over = ", over the limit" * (size > LIMIT)
        write(f"{process} took {size} MB of its own at most{over}, in {test}.")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    config = session.config
    if is_worker(config):
        config.workeroutput["peak"] = most(config)  # type: ignore[attr-defined]
    yield
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not is_worker(config):
        seconds = time.perf_counter() - config.stash[_STARTED]
        reporter.write_line(last_line(reporter.stats, session.exitstatus, seconds))


def last_line(stats: Mapping[str, Sequence[Any]], status: int, seconds: float) -> str:
    """How many tests passed and failed, in how long, and what runs the failed ones again."""
    kinds = {"passed": "passed", "failed": "failed", "error": "had an error", "skipped": "skipped"}
    counts = [f"{len(stats[kind])} {said}" for kind, said in kinds.items() if stats.get(kind)]
    broken = [report.nodeid for kind in ("failed", "error") for report in stats.get(kind, ())]
    line = f"{', '.join(counts) or 'No test ran'} in {seconds // 60:.0f} min {seconds % 60:.0f} s."
    if status == pytest.ExitCode.INTERRUPTED:
        line = f"Interrupted: {line}"
    if broken:
        line += f" To see the first failure again: scripts/test -n 0 {shlex.quote(broken[0])}"
    if len(broken) > 1:
        line += "; all of them: scripts/test --last-failed"
    return line
