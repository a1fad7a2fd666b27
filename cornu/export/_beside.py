"""A format's runtime in a process beside this one, which loads none of it."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

Array = np.ndarray[Any, Any]
#: Where the programs are that run files of TensorFlow's graphs.
PROGRAMS = Path(__file__).parents[1] / "engines" / "graphdef"


class Beside:
    """A process that answers requests, which are lines of JSON.

    Args:
        command: What starts it.

    Raises:
        RuntimeError: If it ends, or answers with an error.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def load(self, folder: Path) -> None:
        """Load what is in a folder."""
        self.ask(folder=str(folder))

    def run(self, inputs: dict[str, Array], outputs: Sequence[str]) -> list[Array]:
        """The outputs for inputs, by their names."""
        given = {name: _told(x) for name, x in inputs.items()}
        return [_read(x) for x in self.ask(inputs=given, outputs=list(outputs))["outputs"]]

    def ask(self, **request: Any) -> Any:
        """The answer to a request."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the empty answer says it
        answer = json.loads(self._process.stdout.readline() or '{"error": "the process ended"}')
        if "error" in answer:
            raise RuntimeError(
                f"A file that was exported must run. Received, from {self._command[0]!r}: "
                f"{answer['error']}. No file was written; please report this."
            )
        return answer


def _told(x: Array) -> dict[str, Any]:
    if x.dtype.kind in "OSU":
        return {"dtype": "string", "shape": x.shape, "data": x.ravel().tolist()}
    return {
        "dtype": x.dtype.name,
        "shape": x.shape,
        "data": base64.b64encode(np.ascontiguousarray(x).tobytes()).decode(),
    }


def _read(x: Any) -> Array:
    return np.frombuffer(base64.b64decode(x["data"]), x["dtype"]).reshape(x["shape"])
