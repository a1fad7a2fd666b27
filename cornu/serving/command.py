"""`python -m cornu serve`: models over HTTP and gRPC. Its options are the fields of `serving.Options`."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import re
import sys
from collections.abc import Callable
from typing import Any

from ._options import Options

#: A field in the `Args` of a docstring, with the lines of its text.
_FIELD = re.compile(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", re.MULTILINE)


def _integer(text: str) -> int:
    """A whole number, such as 64 or 2e9."""
    number = float(text)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _integers(text: str) -> tuple[int, ...]:
    """Whole numbers, such as 1,4,16."""
    return tuple(_integer(part) for part in text.split(",") if part)


def _versions(text: str) -> Any:
    """`all`, a number of the newest, or numbers of versions, such as `3,5` or `3,`."""
    return text if text == "all" else _integers(text) if "," in text else _integer(text)


def _labels(text: str) -> dict[str, int]:
    """Labels with versions, such as stable=3,canary=4."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name: _integer(number) for name, _, number in pairs}


#: How the command line writes what a field holds, by its annotation. That of a field that may be None may be `none`.
_READERS: dict[str, Callable[[str], Any]] = {
    "float": float,
    "int": _integer,
    "int | str | tuple[int, ...]": _versions,
    "Mapping[str, int]": _labels,
    "str": str,
    "tuple[int, ...]": _integers,
    "tuple[str, ...]": lambda text: tuple(part for part in text.split(",") if part),
}


def add_command(commands: Any) -> None:
    """Add `serve` to the commands of a parser, with an option for each field."""
    about = "serve models over HTTP and gRPC"
    parser = commands.add_parser(
        "serve", help=about, description=f"{about[:1].upper()}{about[1:]}."
    )
    parser.set_defaults(run=_serve)
    parser.add_argument(
        "path",
        metavar="PATH",
        help="a .keras or .onnx file, a folder of versions 1/, 2/, ..., or a folder of such models",
    )
    texts = {
        name: re.sub(r"\s+", " ", text)
        for kind in Options.__mro__[:-1]
        for name, text in _FIELD.findall(kind.__doc__ or "")
    }
    for field in dataclasses.fields(Options):
        default = (
            "" if field.default in (None, dataclasses.MISSING) else f" (default: {field.default})"
        )
        how: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        if field.type != "bool":
            metavar = field.name.rpartition("_")[2].upper()
            how = {"type": _reader(str(field.type)), "metavar": metavar}
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            **how,
            default=argparse.SUPPRESS,
            help=texts[field.name].replace("%", "%%") + default,
        )


def _reader(annotation: str) -> Callable[[str], Any]:
    reader = _READERS[annotation.removesuffix(" | None")]

    def read(text: str) -> Any:
        nothing = text == "none" and annotation.endswith(" | None")
        return None if nothing else reader(text)

    read.__name__ = reader.__name__.strip("_")  # which errors show
    return read


def _serve(options: argparse.Namespace) -> int:
    """Serve until a signal comes; says what went wrong in one paragraph."""
    from ._server import serve

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    names = {field.name for field in dataclasses.fields(Options)}
    given = {name: value for name, value in vars(options).items() if name in names}
    try:
        return serve(options.path, **given)
    except (ImportError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
