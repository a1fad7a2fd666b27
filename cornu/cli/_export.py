"""`python -m cornu export`: a saved model as a file of another format."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..engines import use
from ..export import export
from ..export.measuring import read_inputs
from ..saving import load_model


def export_file(options: argparse.Namespace) -> int:
    """Load a model and export it; says what went wrong in one paragraph."""
    more: dict[str, Any] = {"float16": options.float16, "opset_version": options.opset}
    try:
        with use("numpy"):  # which compiles nothing: a file needs no other engine
            model = load_model(options.model, compile=False)
            if options.quantize is not None:  # which not every format takes
                more["quantize"] = options.quantize
            if options.representative_data is not None:
                more["representative_data"] = read_inputs(model, options.representative_data)
            export(model, options.output, options.format, **more)
    except (ImportError, NotImplementedError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0
