"""A function that runs in several processes, `distribution.remote`; run as a module, one of these processes."""

from __future__ import annotations

import base64
import functools
import os
import pickle
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core import supervision
from ..core.checks import installed, one_of
from ._job import Job, LaunchError, Told

#: Bytes of a value in one marked line.
_PART = 2_400
#: The ways by which bytes reach processes on other machines.
_WAYS = ("local", "ssh", "ray", "k8s")


class RemoteError(RuntimeError):
    """The traceback of an error in another process, as the cause of the same error here."""


def remote(on: str = "local", workers: int | None = None, **options: Any) -> Callable[..., Any]:
    """A decorator: calls of the function run in several processes that compute together, and give what process 0 gives.

    The function, its arguments and its value are sent by cloudpickle: what it uses of its own script or notebook goes
    along, and modules are looked for where they are here. Each process has called `distribution.initialize()`. An
    error in one of them is raised here, with its traceback as the cause.

    Args:
        on: Who starts the processes: `local`, `ssh`, `ray` or `k8s`.
        workers: How many there are.
        options: Other fields of a job: `hosts`, `devices`, `gpus`, `python`, `image`, `name`, `restarts`.

    Raises:
        ValueError: If nobody is called so.
        ModuleNotFoundError: If cloudpickle is not installed.
        LaunchError: In a call, if processes could not be started, or ended without a word.

    >>> @remote(on="local", workers=2)
    ... def train(rate):
    ...     return rate * 2
    """
    one_of(_WAYS, on=on)
    installed("cloudpickle", "A function that runs elsewhere", "launch")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            import cloudpickle

            called = cloudpickle.dumps((function, args, kwargs))
            payload = pickle.dumps((sys.path, called))
            job = Job(("-m", "cornu.launch.call"), workers, payload=payload, **options)
            return _result(on, job)

        return call

    return decorate


def _result(on: str, job: Job) -> Any:
    """Run a job's processes; the value of process 0, or the error of the first that failed."""
    from ._supervisor import HUNG
    from ._ways import WAYS

    parts: dict[tuple[str, int | None], list[str]] = defaultdict(list)

    def told(event: Told) -> None:
        if event.text.startswith("new"):
            parts[event.kind, event.rank] = []
        else:
            parts[event.kind, event.rank].append(event.text)

    code = WAYS[on].run(job, HUNG, told)
    found = {key: base64.b64decode("".join(texts)) for key, texts in parts.items()}
    if code == 0 and ("value", 0) in found:
        return pickle.loads(found["value", 0])
    for (kind, _), data in found.items():
        if kind == "error":
            error, text = pickle.loads(data)
            raise error from RemoteError(f"\n{text}")
    raise LaunchError(
        f"A function gives its value, or an error, in process 0. Received: neither, and the exit code {code}. See the "
        "lines of the processes."
    )


def _tell(kind: str, value: Any) -> None:
    """Tell a value in parts."""
    import cloudpickle

    data = cloudpickle.dumps(value)
    supervision.tell(kind, "new")
    for start in range(0, len(data), _PART):
        supervision.tell(kind, base64.b64encode(data[start : start + _PART]).decode())


def main() -> None:
    """Call what the payload says, as one of several processes."""
    from ..distribution import initialize

    path, called = pickle.loads(Path(os.environ["CORNU_PAYLOAD"]).read_bytes())
    sys.path += [folder for folder in path if folder not in sys.path]
    function, args, kwargs = pickle.loads(called)
    try:
        initialize()
        value = function(*args, **kwargs)
    except Exception as error:
        _tell("error", (error, traceback.format_exc()))
        raise
    if os.environ.get("RANK", "0") == "0":
        _tell("value", value)


if __name__ == "__main__":
    main()
