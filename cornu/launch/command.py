"""`python -m cornu launch`: a script in several processes, on one machine or many."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import Any

#: How processes are started.
WAYS = ("local", "torchrun", "ssh", "slurm", "ray", "k8s")


def add_command(commands: Any) -> None:
    """Add `launch` to the commands of a parser."""
    about = "run a script in several processes that compute together, on one machine or many"
    parser = commands.add_parser(
        "launch",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. The script calls cornu.distribution.initialize().",
    )
    parser.set_defaults(run=_run)
    parser.add_argument(
        "--on", choices=WAYS, default="local", help="who starts them (default: %(default)s)"
    )
    parser.add_argument(
        "--workers", type=_count, metavar="N", help="how many processes (default: one a machine)"
    )
    parser.add_argument(
        "--restarts",
        type=_count,
        default=0,
        metavar="R",
        help="how often all start again after a failure (default: 0)",
    )
    parser.add_argument(
        "--devices",
        type=_count,
        metavar="D",
        help="how many devices a process on CPUs pretends to have, on JAX",
    )
    parser.add_argument(
        "--gpus",
        type=_count,
        default=0,
        metavar="G",
        help="GPUs of each process, on slurm, ray, k8s",
    )
    parser.add_argument(
        "--hosts", type=_names, default=(), metavar="A,B", help="the machines, for ssh"
    )
    parser.add_argument("--python", metavar="PATH", help="the interpreter of the machines")
    parser.add_argument("--image", metavar="NAME", help="the container image, for k8s")
    parser.add_argument(
        "--name", default="cornu", metavar="NAME", help="what slurm and k8s call it"
    )
    parser.add_argument(
        "--options",
        type=shlex.split,
        default=[],
        metavar="WORDS",
        help="more words for ssh, sbatch, srun, torchrun or kubectl, as one: --options='-p gpu'",
    )
    parser.add_argument(
        "--hung",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="without a sign of life, after which a process counts as hung; 0 for never (default: 20)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be run, or written, and end"
    )
    parser.add_argument("script", metavar="SCRIPT", help="the script, or -m and a module after --")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its arguments")


def _run(options: argparse.Namespace) -> int:
    """Start the processes, and see them to their end; says what went wrong in one paragraph."""
    from ._job import Job, LaunchError
    from ._ways import run, shown

    job = Job(
        command=(options.script, *options.arguments),
        workers=options.workers,
        hosts=options.hosts,
        devices=options.devices,
        gpus=options.gpus,
        python=options.python,
        name=options.name,
        image=options.image,
        options=tuple(options.options),
        restarts=options.restarts,
    )
    try:
        if options.dry_run:
            print(shown(options.on, job))
            return 0
        return run(options.on, job, options.hung)
    except (LaunchError, ImportError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"It must be a whole number. Received: {text}")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)
