"""A process that loads files, and tells of each what became of it: `python -m tests.soak.loading FOLDER`.

It answers each path on a line with a line of JSON. What a file has no business to do is told too:
other files that are opened, programs that are started, memory beyond a gigabyte.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

LIMIT = 2**30
#: What a process may do with a file of a user's, whatever is in it.
FORBIDDEN = re.compile(
    r"os\.(system|exec|spawn|posix_spawn|fork|putenv)|subprocess|socket\.|ctypes|pty|shutil\."
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """What happens in this process that a file must not bring about."""

    def __init__(self, folder: str) -> None:
        self.seen: list[str] = []
        #: The folder that may be written to, while a file is being loaded.
        self.folder, self.on = folder, False
        self.libraries = tuple(
            {sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), "/proc/"}
        )
        sys.addaudithook(self.hook)

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if FORBIDDEN.match(event):
            self.seen.append(f"{event} {args!s:.100}")
        elif event == "open" and isinstance(args[0], (str, bytes)):
            path, flags = os.path.realpath(os.fsdecode(args[0])), args[2] or 0
            inside = path.startswith(self.folder)
            if not inside and (flags & WRITING or not path.startswith(self.libraries)):
                self.seen.append(f"open {path} {flags:#o}")


def model() -> Any:
    """The model of the files with weights alone."""
    import cornu
    from cornu import layers

    stack = [layers.Embedding(5, 4), layers.LSTM(3), layers.BatchNormalization()]
    return cornu.Sequential([cornu.Input((6,), dtype="int32"), *stack, layers.Dense(2)], name="m")


def compiled() -> Any:
    """The model of checkpoints."""
    made = model()
    made.compile("adam", "mse")
    return made


def load(path: str) -> str:
    """What became of a file: "loaded", "refused", or what is wrong with the way in which it failed."""
    from cornu import saving
    from cornu.saving._checkpoints import last_checkpoint

    try:
        if path.endswith((".keras", ".onnx", "whole.h5")):
            saving.load_model(path)
        elif os.path.isdir(path):
            last = last_checkpoint(path)
            assert last is not None
            last.restore(compiled())
        else:
            model().load_weights(path)
    except (ValueError, TypeError, OSError, NotImplementedError) as error:
        return (
            "refused"
            if "Received" in str(error)
            else f"unclear: {type(error).__name__}: {error!s:.300}"
        )
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return f"another error: {type(error).__name__}: {error!s:.300}"
    return "loaded"


def most() -> int:
    """The most memory since the last time."""
    lines = Path("/proc/self/status").read_text().splitlines()
    size = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return size * 2**10


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    watch = Watch(os.path.realpath(sys.argv[1]))
    watched = False
    for line in sys.stdin:
        path = line.strip()
        if path == "limit":  # what was loaded by then is the process's own
            watched = True
            pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (pages + 2 * LIMIT,) * 2)
            continue
        most()
        before = most()
        watch.on, watch.seen = watched, []
        said = load(path)
        watch.on = False
        if watch.seen:
            said = f"did {watch.seen[:5]}"
        elif (grown := most() - before) > LIMIT:
            said = f"took {grown:,} bytes"
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
