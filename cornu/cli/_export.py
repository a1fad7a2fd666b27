"""`python -m cornu export`: a saved model as a file of another format."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from ..core.serialization import ConfigError
from ..engines import use
from ..export import FORMATS, export, format_of, options_of
from ..export.measuring import read_inputs, read_pair
from ..saving import load_model

#: Options that are data: what reads them from a file, and what is read.
DATA = {
    "examples": (read_inputs, "an array for each input"),
    "representative_data": (read_inputs, "an array for each input"),
    "validation": (read_pair, "an array for each input, and y"),
}
#: Those of one format that are read otherwise.
PAIRS = {("onnx_training", "examples")}
_TYPES = {"int": int, "float": float, "str": str}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of all formats, which are those of the functions that write them."""
    for name, formats in _options().items():
        told, kind = _told(name, formats), _kind(name, formats[0])
        flag = f"--{name.replace('_', '-')}"
        if kind == "bool":
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=told)
        elif name in DATA:
            told = f"an .npz file with {DATA[name][1]}: {told}"
            parser.add_argument(flag, type=Path, metavar="FILE", help=told)
        elif kind == "Any":
            parser.add_argument(flag, nargs="+", metavar="NAME", help=told)
        else:
            metavar = {"int": "N", "float": "X"}.get(kind, "NAME")
            parser.add_argument(flag, type=_TYPES[kind], metavar=metavar, help=told)


def _options() -> dict[str, list[str]]:
    """The options of all formats, each with the formats that have it."""
    found: dict[str, list[str]] = {}
    for name, row in FORMATS.items():
        for option in options_of(row.write):
            found.setdefault(option, []).append(name)
    return found


def _kind(option: str, format: str) -> str:
    """The type of an option, by the name that its annotation has for it."""
    annotation = str(options_of(FORMATS[format].write)[option].annotation)
    return annotation.removesuffix(" | None")


def _told(option: str, formats: list[str]) -> str:
    """What the functions say of an option, each with the formats of which it says so."""
    said: dict[str, list[str]] = {}
    pattern = re.compile(rf"^ +{option}: (.*?)(?=\n +\w+: |\n\n|\n *$)", re.MULTILINE | re.DOTALL)
    for name in formats:
        found = pattern.search(FORMATS[name].write.__doc__ or "")
        words = " ".join(found[1].split()).rstrip(".") if found else ""
        said.setdefault(words.replace("`", "").replace("%", "%%"), []).append(name)
    return "; ".join(
        f"{words[:1].lower()}{words[1:]} ({', '.join(names)})" for words, names in said.items()
    )


def export_file(options: argparse.Namespace) -> int:
    """Load a model and export it; says what went wrong in one paragraph."""
    try:
        format = format_of(options.output, options.format)
        more = {name: getattr(options, name) for name in _options()}
        more = {name: value for name, value in more.items() if value is not None}
        with use("numpy"):  # which compiles nothing: a file needs no other engine
            compiled = format == "onnx_training" or bool({"validation", "learn"} & more.keys())
            model = load_model(options.model, compile=compiled)
            for name in more.keys() & DATA.keys():
                reads = read_pair if (format, name) in PAIRS else DATA[name][0]
                more[name] = reads(model, more[name])
            export(model, options.output, format, preprocessing=options.preprocessing, **more)
    except (ConfigError, ImportError, OSError, RuntimeError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0
