"""`python -m cornu export`: a saved model as a file of another format."""

from __future__ import annotations

import argparse
import sys

from ..engines import use
from ..export import export
from ..saving import load_model


def export_file(options: argparse.Namespace) -> int:
    """Load a model and export it; says what went wrong in one paragraph."""
    more = {"float16": options.float16, "opset_version": options.opset}
    try:
        with use("numpy"):  # which compiles nothing: a file needs no other engine
            model = load_model(options.model, compile=False)
            export(model, options.output, options.format, **more)
    except (ImportError, NotImplementedError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0
