"""Models as files that run elsewhere, without Cornu.

A format is a row of `FORMATS`: what its files end in, and the call that writes one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..core import tree
from ._archive import ExportArchive as ExportArchive
from ._litert import write_litert
from ._onnx import write_onnx
from ._page import write_page
from ._preprocessing import without_preprocessing
from ._report import show_lines
from ._saved_model import write_saved_model
from ._signature import input_names, signature
from ._tfjs import write_tfjs
from ._tfjs_layers import write_tfjs_layers
from ._training import write_training
from ._triton import write_triton

Writer = Callable[..., Any]


class Format(NamedTuple):
    """A format of exported models.

    Args:
        suffix: What the names of its files end in; empty for a folder, and what is always given by name.
        write: `write(model, path, verbose, input_signature, option=...)`.
        trains: Whether it is a step of training, whose writer gives the names of inputs and targets.
    """

    suffix: str
    write: Writer
    trains: bool = False


FORMATS = {
    "onnx": Format(".onnx", write_onnx),
    "onnx_training": Format("", write_training, trains=True),
    "litert": Format(".tflite", write_litert),
    "tf_saved_model": Format("", write_saved_model),
    "tfjs": Format("", write_tfjs),
    "tfjs_layers": Format("", write_tfjs_layers),
    "triton": Format("", write_triton),
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
        format: A name of `FORMATS`; that of the file's suffix where it is left out, and a SavedModel where it
            has none, as in Keras.
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
    format = format_of(path, format)
    write = FORMATS[format].write
    if unknown := [name for name in kwargs if name not in options_of(write)]:
        raise ValueError(
            f"Options of the format {format!r} are {list(options_of(write))}. Received: {', '.join(sorted(unknown))}. "
            "docs/export.md says what is for which format."
        )
    if preprocessing is None:
        _write(format, model, path, verbose is not False, input_signature, kwargs)
        return
    if input_signature is not None:
        raise ValueError(
            "With `preprocessing` the inputs are those of the model's own `Input`s. Received: "
            f"input_signature={input_signature!r}. Leave one of them out."
        )
    with without_preprocessing(model, Path(preprocessing), verbose is not False) as (body, specs):
        _write(format, body, path, verbose is not False, specs, kwargs, Path(preprocessing))


def _write(
    format: str,
    model: Any,
    path: Path,
    verbose: bool,
    specs: Any,
    given: Any,
    beside: Path | None = None,
) -> None:
    with _away(model):
        told = FORMATS[format].write(model, path, verbose, specs, **given)
    if verbose:
        version = given.get("version") if format == "tf_saved_model" else None
        place = path if version is None else path / str(version)
        trains = FORMATS[format].trains
        names = told if trains else input_names(tree.flatten(signature(model, specs)))
        show_lines(format, place, names, beside)


@contextmanager
def _away(model: Any) -> Iterator[None]:
    """A block in which models run on the engine of the file or of its check, not on that of `model.to`."""
    homes = [(x, x.home) for x in (model, *model._flatten_layers()) if getattr(x, "home", None)]
    try:
        for one, _ in homes:
            one.home = None
        yield
    finally:
        for one, home in homes:
            one.home = home


def format_of(path: Path, format: str | None = None) -> str:
    """The format that is meant: a name of `FORMATS`, or that of a file's suffix.

    Raises:
        ValueError: If there is no such format.
    """
    if format is None:
        suffixes = {row.suffix: name for name, row in FORMATS.items() if row.suffix}
        suffixes[""] = "tf_saved_model"  # Keras's own where nothing is said
        format = suffixes.get(path.suffix.lower())
    if format not in FORMATS:
        known = ", ".join(row.suffix for row in FORMATS.values() if row.suffix)
        raise ValueError(
            f"A format of export must be one of {sorted(FORMATS)}, given as `format` or by the file's "
            f"suffix ({known}). Received: format={format!r}, filepath={str(path)!r}."
        )
    return format


def options_of(write: Writer) -> dict[str, inspect.Parameter]:
    """The options of a format, which follow what all writers take."""
    return dict(list(inspect.signature(write).parameters.items())[4:])
