"""Models as files that run elsewhere, without Cornu.

A format is a row of `FORMATS`: what its files end in, and the call that writes one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ._archive import ExportArchive as ExportArchive
from ._litert import write_litert
from ._onnx import write_onnx
from ._page import write_page
from ._preprocessing import without_preprocessing
from ._training import write_training

Writer = Callable[..., None]


class Format(NamedTuple):
    """A format of exported models.

    Args:
        suffix: What the names of its files end in; empty for a format that is always given by name.
        write: `write(model, path, verbose, input_signature, option=...)`.
    """

    suffix: str
    write: Writer


FORMATS = {
    "onnx": Format(".onnx", write_onnx),
    "onnx_training": Format("", write_training),
    "litert": Format(".tflite", write_litert),
    "web": Format(".html", write_page),
}


def export(
    model: Any,
    filepath: Any,
    format: str | None = None,
    verbose: bool | None = None,
    input_signature: Any = None,
    preprocessing: Any = None,
    **kwargs: Any,
) -> None:
    """Write a model to a file of another format, and check the file where its runtime is installed.

    The model is read off its own graph. A file that gives other numbers than the model is an error,
    and nothing stays of it.

    Args:
        model: A model that was built.
        filepath: Where to write.
        format: `"onnx"`, `"litert"` or `"web"`; that of the file's suffix where it is left out.
        verbose: Whether to print sizes, and the largest difference that the check found; yes where
            it is left out.
        input_signature: Specs with `shape` and `dtype` in the structure of the inputs, for a model
            that was not made from `Input`s.
        preprocessing: Where to write the layers at the model's beginning that its file can't hold, of
            strings and of images of any size: JSON for the package `cornu-runtime`. Data among the options,
            such as `examples`, is then what the file takes.
        **kwargs: The format's own options (docs/export.md).

    Raises:
        ValueError: If the format or an option of it is unknown, or the file gives other numbers than the model.
        NotImplementedError: If the format can't express something in the model.

    >>> import tempfile
    >>> from cornu import Sequential, layers
    >>> model = Sequential([layers.Input((4,)), layers.Dense(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(model, f"{folder}/model.onnx", verbose=False)
    """
    path = Path(filepath)
    if format is None:
        suffixes = {row.suffix: name for name, row in FORMATS.items() if row.suffix}
        format = suffixes.get(path.suffix.lower())
    if format not in FORMATS:
        raise ValueError(
            f"A format of export must be one of {sorted(FORMATS)}, given as `format` or by the file's "
            f"suffix ({', '.join(row.suffix for row in FORMATS.values() if row.suffix)}). Received: "
            f"format={format!r}, filepath={str(path)!r}."
        )
    write = FORMATS[format].write
    known = list(inspect.signature(write).parameters)[4:]
    if unknown := {name: x for name, x in kwargs.items() if name not in known}:
        raise ValueError(
            f"Options of the format {format!r} are {known}. Received: {', '.join(sorted(unknown))}. "
            "docs/export.md says what is for which format."
        )
    shows = verbose is not False
    if preprocessing is None:
        write(model, path, shows, input_signature, **kwargs)
        return
    if input_signature is not None:
        raise ValueError(
            "With `preprocessing` the inputs are those of the model's own `Input`s. Received: "
            f"input_signature={input_signature!r}. Leave one of them out."
        )
    with without_preprocessing(model, Path(preprocessing), shows) as (body, specs):
        write(body, path, shows, specs, **kwargs)
