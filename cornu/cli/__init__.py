"""The command line: `python -m cornu`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import tuning
from .._version import __version__
from ..engines import BUILTIN
from ..launch.command import add_command as add_launch
from ..serving.command import add_command as add_serve
from ._script import is_program, run_program


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0 when it did what it says, 1 when not, 2 on misuse."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if is_program(given):
        tuning.for_speed()
        return run_program(given)
    parser = _parser()
    options = parser.parse_args(given)
    if options.command is None:
        parser.print_help()
        return 2
    tuning.for_speed()
    tuning.quiet_import.prefer(True)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("\nInterrupted: no file was written.", file=sys.stderr)
        return 130


def _run_demo(options: argparse.Namespace) -> int:
    from ._demo import Demo

    return Demo(options.engine, options.output, options.seed).run()


def _run_export(options: argparse.Namespace) -> int:
    from ._export import export_file

    return export_file(options)


def _run_checkpoints(options: argparse.Namespace) -> int:
    from ._checkpoints import list_checkpoints

    return list_checkpoints(options)


def _run_trials(options: argparse.Namespace) -> int:
    from ..tuner.command import list_trials

    return list_trials(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cornu",
        description="Cornu's command line. `python -m cornu script.py ...` and `python -m cornu -m module ...` run "
        "programs that import Keras, with Cornu in its place.",
    )
    parser.add_argument("--version", action="version", version=f"cornu {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    about = "train two small models on real data, save, reload, draw what they do"
    demo = commands.add_parser(
        "demo",
        help=about,
        description=f"{about.capitalize()}. It takes less than a minute and needs no network.",
    )
    engines = ", ".join(name for name in BUILTIN if name != "spec")
    demo.add_argument(
        "--engine",
        metavar="NAME",
        help=f"{engines} (default: CORNU_BACKEND, KERAS_BACKEND, keras.json, then jax)",
    )
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("cornu-demo"),
        metavar="DIR",
        help="folder for the models and the picture (default: %(default)s)",
    )
    demo.add_argument(
        "--seed",
        type=_seed,
        default=1,
        metavar="N",
        help="which images are held out, and how training starts (default: %(default)s)",
    )
    demo.set_defaults(run=_run_demo)
    _add_export(commands)
    _add_checkpoints(commands)
    _add_trials(commands)
    add_serve(commands)
    add_launch(commands)
    return parser


def _add_export(commands: Any) -> None:
    from ..export import FORMATS
    from ._export import add_options

    about = "write a saved model as a file that runs without Cornu"
    export = commands.add_parser(
        "export",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. The file is checked. Formats stand after their options.",
    )
    export.add_argument("model", type=Path, metavar="MODEL", help="a .keras or .h5 file")
    export.add_argument(
        "output", type=Path, metavar="FILE", help="a file, such as out.onnx, or a folder"
    )
    export.add_argument(
        "--format", metavar="NAME", help=f"{', '.join(FORMATS)} (default: that of FILE's suffix)"
    )
    export.add_argument(
        "--preprocessing",
        type=Path,
        metavar="FILE",
        help="where to write the layers at the beginning that the file can't hold, as JSON for cornu-runtime",
    )
    add_options(export)
    export.set_defaults(run=_run_export)


def _add_checkpoints(commands: Any) -> None:
    about = "list the checkpoints of a training, and tell which are torn"
    listing = commands.add_parser("checkpoints", help=about, description=f"{about.capitalize()}.")
    listing.add_argument("directory", type=Path, metavar="DIR", help="that of `Checkpoint`")
    listing.add_argument(
        "--quick", action="store_true", help="compare sizes of files instead of reading each byte"
    )
    listing.set_defaults(run=_run_checkpoints)


def _run_tune(options: argparse.Namespace) -> int:
    from ..tuner.command import run_script

    return run_script(options)


def _add_trials(commands: Any) -> None:
    about = "run a script that searches, with the jobs and limits that are given here, and write its report"
    tune = commands.add_parser("tune", help=about, description=f"{about.capitalize()}.")
    tune.add_argument("--jobs", type=int, metavar="N", help="how many trials run at a time")
    tune.add_argument(
        "--in-process", action="store_true", help="run trials in the script's process"
    )
    tune.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="what a trial may take of time"
    )
    tune.add_argument("--memory", type=float, metavar="GB", help="what a trial may take of memory")
    tune.add_argument(
        "script", type=Path, metavar="SCRIPT", help="options of its own stand after it"
    )
    tune.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...")
    tune.set_defaults(run=_run_tune)
    about = "list the trials of a search, the best first, and write its report"
    listing = commands.add_parser("trials", help=about, description=f"{about.capitalize()}.")
    listing.add_argument("directory", metavar="DIR", help="a search's folder, or its storage")
    listing.add_argument("--name", help="which search, where a storage has several")
    listing.add_argument("--report", type=Path, metavar="FILE", help="the page to write")
    listing.add_argument("--all", action="store_true", help="list all trials, not the 20 best")
    listing.set_defaults(run=_run_trials)


def _seed(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(
            f"A seed must be a whole number from 0 to 4294967295. Received: {text}"
        )
    return int(text)
