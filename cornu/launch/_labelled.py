"""Processes that one command starts, which labels their lines: torchrun's, and the steps of Slurm."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path

from ..core.files import replacing
from ..core.supervision import MARKED
from ._job import Ended, Event, Job, LaunchError, Line, Tell, Told
from ._processes import Processes, local_agent

#: How torchrun labels a line, and says which process failed first, and how.
_TORCHRUN = (
    re.compile(r"\[[^\]\d]*(\d+)\]:(.*)"),
    re.compile(r"Root Cause.*?\brank +: (\d+).*?\bexitcode +: (-?\d+)", re.DOTALL),
)
#: The same of `srun`: a code, or the name of a signal.
_SRUN = (
    re.compile(r" *(\d+): (.*)"),
    re.compile(r"srun: error: [^\n]*?: tasks? (\d+)[^\n:]*: (?:Exited with exit code )?([\w ]+)"),
)
#: The codes of those that signals ended, as `srun` names them.
_SIGNALS = {"Killed": 137, "Terminated": 143, "Aborted": 134, "Segmentation fault": 139}
#: How many lines of the command itself are looked through for that.
_REMEMBERED = 200


def start_by_torchrun(job: Job, tell: Tell) -> Labelled:
    """Start the processes of a job by PyTorch's launcher, which starts all again after a failure."""
    return Labelled(job, torchrun(job), "torchrun", *_TORCHRUN, tell)


def torchrun(job: Job) -> list[str]:
    """The command of PyTorch's launcher. Of several machines each runs it, with options that say so."""
    return [
        *(job.python or sys.executable, "-m", "torch.distributed.run"),
        *("--nproc-per-node", str(job.workers or 1), "--max-restarts", str(job.restarts)),
        *("--tee", "3", *job.options, *job.command),
    ]


def start_by_srun(job: Job, tell: Tell) -> Labelled:
    """Start the processes of a job as a step of the allocation that this process is in."""
    return Labelled(job, srun(job), "slurm", *_SRUN, tell)


def srun(job: Job) -> list[str]:
    """The command of a step."""
    return [
        *("srun", "--label", "--unbuffered", "--kill-on-bad-exit=1"),
        *([] if job.workers is None else [f"--ntasks={job.workers}"]),
        *([f"--gpus-per-task={job.gpus}"] if job.gpus else []),
        *(*job.options, job.python or sys.executable, *job.command),
    ]


def is_in_allocation() -> bool:
    """Whether Slurm has given machines to whoever started this process."""
    return "SLURM_JOB_ID" in os.environ


def batch(job: Job) -> str:
    """A file for `sbatch`: its job runs this launcher, within its allocation.

    >>> print(batch(Job(("train.py",), workers=8, gpus=1, options=("--time=1:00:00",), python="python")))
    #!/bin/sh
    #SBATCH --job-name=cornu
    #SBATCH --output=cornu-%j.log
    #SBATCH --requeue
    #SBATCH --ntasks=8
    #SBATCH --gpus-per-task=1
    #SBATCH --time=1:00:00
    exec python -m cornu launch --on slurm --restarts 0 --workers 8 --gpus 1 train.py
    <BLANKLINE>
    """
    workers = [] if job.workers is None else ["--workers", str(job.workers)]
    gpus = ["--gpus", str(job.gpus)] if job.gpus else []
    devices = [] if job.devices is None else ["--devices", str(job.devices)]
    words = [
        *(f"--job-name={job.name}", f"--output={job.name}-%j.log", "--requeue"),
        *([] if job.workers is None else [f"--ntasks={job.workers}"]),
        *([f"--gpus-per-task={job.gpus}"] if job.gpus else []),
        *job.options,
    ]
    python = job.python or sys.executable
    command = [python, *("-m", "cornu", "launch", "--on", "slurm", "--restarts", str(job.restarts))]
    line = shlex.join([*command, *workers, *gpus, *devices, *job.command])
    return "\n".join(["#!/bin/sh", *(f"#SBATCH {word}" for word in words), f"exec {line}", ""])


def submit(job: Job) -> int:
    """Write the file, beside what is run, and give it to `sbatch`; the exit code of that.

    Raises:
        LaunchError: If there is no Slurm.
    """
    if shutil.which("sbatch") is None:
        raise LaunchError(
            "A job is handed to Slurm by its command `sbatch`. Received: none is installed. Run this where Slurm is."
        )
    path = Path(f"{job.name}.sbatch")
    with replacing(path) as draft:
        Path(draft).write_text(batch(job))
    return subprocess.run(["sbatch", str(path)], check=False).returncode


class Labelled(Processes):
    """Processes that a command starts, as `_job.Started`.

    Args:
        job: What is started.
        command: The command.
        place: What their machines are called until they tell.
        label: What finds the number of a process, and what it wrote, in a line.
        failure: What finds the number of the first that failed, and its code, in what the command itself wrote.
        tell: Is told what happens.
    """

    def __init__(
        self,
        job: Job,
        command: list[str],
        place: str,
        label: re.Pattern[str],
        failure: re.Pattern[str],
        tell: Tell,
    ) -> None:
        self._label, self._failure, self._tell = label, failure, tell
        self._own: deque[str] = deque(maxlen=_REMEMBERED)
        variables = job.variables()
        if job.restarts and not job.restart:  # who restarts by itself counts, too
            del variables["CORNU_RESTART"]
        row = (place, command, variables)
        super().__init__(job, [(local_agent(), None, row)], self._understand, marks=False)
        self.places = [place] * (job.workers or 1)

    def signal(self, number: int, rank: int | None = None) -> None:
        """Send a signal to the command, and so to all."""
        super().signal(number)

    def _understand(self, event: Event) -> None:
        if isinstance(event, Line):
            self._line(event.text)
        elif isinstance(event, Ended):
            found = self._failure.search("\n".join(self._own))
            if event.code and found:
                said = found[2].strip()
                code = (
                    _SIGNALS.get(said, event.code) if said.isalpha() or " " in said else int(said)
                )
                self._tell(Ended(int(found[1]), code if code >= 0 else 128 - code))
            self._tell(Ended(None, event.code))

    def _line(self, text: str) -> None:
        found = self._label.fullmatch(text)
        if found is None:
            self._own.append(text)
            self._tell(Line(None, text))
            return
        rank, text = int(found[1]), f"{found[2]}\n"
        for kind, said in MARKED.findall(text):
            self._tell(Told(rank, kind, said))
        rest = MARKED.sub("", text)
        if rest:
            self._tell(Line(rank, rest.removesuffix("\n")))
