"""A process that runs one subject: `python -m benchmarks.worker SUBJECT ENGINE WORKLOAD`.

It answers each line `go N` with one line of JSON: the seconds of N steps, and the most memory so far.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any


def main() -> None:
    # Libraries may write on standard output: the answers have a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    subject, engine, workload = sys.argv[1:]
    from .subjects import Missing, runner
    from .workloads import WORKLOADS

    try:
        go = runner(subject, engine, WORKLOADS[workload])
        go(1)
        answer(ready=True)
        for line in sys.stdin:
            value = go(int(line.removeprefix("go")))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            answer(value=value, peak_megabytes=peak)
    except Missing as missing:
        answer(missing=str(missing))


if __name__ == "__main__":
    main()
