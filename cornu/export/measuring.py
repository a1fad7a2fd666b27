"""What a file takes and gives: bytes, time, and the model's metrics on data."""

from __future__ import annotations

import gzip
import platform
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core import tree
from ..core.dtypes import numpy_dtype
from ..data import make_source, unpack_x_y_sample_weight
from ._signature import input_names as input_names
from ._signature import output_names as output_names
from ._signature import signature as signature

#: Runs a file: the inputs by their names, the outputs in their order.
Runs = Callable[[dict[str, Any]], Sequence[Any]]
#: Runs whose median is the time of one, and the seconds after which there are enough.
_RUNS, _SECONDS = 200, 1.0


class Measured(NamedTuple):
    """What was measured of a file.

    Args:
        size: Its bytes.
        zipped: Its bytes once they are compressed by gzip.
        milliseconds: The processor's time of one run, on one thread.
        scores: The model's metrics on the validation data, by name.
    """

    size: int
    zipped: int
    milliseconds: float
    scores: dict[str, float]


def feeds(specs: Any, data: Any) -> Iterator[tuple[dict[str, Any], Any, Any]]:
    """Batches of data as ONNX Runtime takes them: the inputs by name, with `y` and `sample_weight`.

    Args:
        specs: The model's inputs, which the data's have the structure of.
        data: What `fit` takes as `x`, or a tuple `(x, y)` or `(x, y, sample_weight)`.
    """
    flat = tree.flatten(specs)
    names = input_names(flat)
    size = next((spec.shape[0] for spec in flat if spec.shape), None)
    x, y, sample_weight = (*data, None, None)[:3] if isinstance(data, tuple) else (data, None, None)
    for batch in make_source(x, y, sample_weight, size, drop_remainder=size is not None):
        x, y, sample_weight = unpack_x_y_sample_weight(batch)
        yield dict(zip(names, as_given(x, specs), strict=True)), y, sample_weight


def as_given(x: Any, specs: Any) -> list[np.ndarray[Any, Any]]:
    """Arrays as a file takes them: in the order of a model's inputs, with their ranks and dtypes.

    Raises:
        ValueError: If inputs are missing, are too many, or have other shapes than the model's.
    """
    flat = tree.flatten(specs)
    names = input_names(flat)
    if isinstance(x, dict):
        keys = list(specs) if isinstance(specs, dict) else names
        missing = [key for key in keys if key not in x]
        if missing:
            raise ValueError(
                f"Data must have the model's inputs {keys}. Received: {sorted(x)}. Add {missing}."
            )
        found = {key: x[key] for key in keys}
        x = found if isinstance(specs, dict) else list(found.values())
    leaves = tree.flatten(x)
    if len(leaves) != len(flat):
        raise ValueError(
            f"Data must have the model's inputs {names}. Received: {len(leaves)} arrays. Give one for each."
        )
    return [_fitted(*one) for one in zip(names, leaves, flat, strict=True)]


def _fitted(name: str, x: Any, spec: Any) -> np.ndarray[Any, Any]:
    string, shape = spec.dtype == "string", spec.shape
    x = np.asarray(x).astype(np.dtype(object) if string else numpy_dtype(spec.dtype))
    if x.ndim == len(shape) - 1 and shape[-1] == 1:
        x = x[..., None]
    elif x.ndim == len(shape) + 1 and x.shape[-1] == 1:
        x = x[..., 0]
    pairs = zip(x.shape[1:], shape[1:], strict=False)
    if x.ndim != len(shape) or any(size not in (None, given) for given, size in pairs):
        raise ValueError(
            f"Data must have the shapes of the model's inputs. Received: {name!r} of shape {x.shape}, where "
            f"the model takes {shape}. Reshape the data."
        )
    return x


def read_inputs(model: Any, path: Path) -> Any:
    """A file's arrays in the structure of a model's inputs: by their names, or the only one for the only input.

    Raises:
        ValueError: If the file has no array for an input, or isn't one of arrays.
    """
    return _inputs(model, _arrays(path), path)


def read_pair(model: Any, path: Path) -> tuple[Any, Any]:
    """A file's inputs, as of `read_inputs`, and its targets: `y`, or `y_0`, `y_1` and so on for several outputs.

    Raises:
        ValueError: If an input or targets are missing, or the file isn't one of arrays.
    """
    arrays = _arrays(path)
    names = [name for name in ("y", *(f"y_{i}" for i in range(len(arrays)))) if name in arrays]
    if not names:
        raise ValueError(
            f"Data with targets have them as 'y', or 'y_0', 'y_1' and so on. Received: {path} with "
            f"{sorted(arrays)}. Write them by `numpy.savez(path, x=x, y=y)`."
        )
    y = [arrays.pop(name) for name in names]
    return _inputs(model, arrays, path), y[0] if names == ["y"] else y


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return dict(np.load(file).items())
    except (AttributeError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"Data are an .npz file, as `numpy.savez` writes it. Received: {path}, which NumPy reads no "
            f"arrays by name from ({error})."
        ) from error


def _inputs(model: Any, arrays: dict[str, Any], path: Path) -> Any:
    specs = signature(model)
    names = input_names(tree.flatten(specs))
    if len(names) == len(arrays) == 1:
        names = list(arrays)
    if missing := [name for name in names if name not in arrays]:
        raise ValueError(
            f"Data have an array for each of a model's inputs, {names}. Received: {path} with "
            f"{sorted(arrays)}, without {missing}. Write them by `numpy.savez(path, {names[0]}=...)`."
        )
    return tree.pack_sequence_as(specs, [arrays[name] for name in names])


def in_onnxruntime(file: Path) -> Runs:
    """What runs an ONNX file on one thread."""
    from ..engines.onnxruntime import open_session

    session = open_session(str(file), threads=1)
    read = {value.name for value in session.get_inputs()}
    return lambda inputs: session.run(None, {name: inputs[name] for name in inputs if name in read})


def measure(
    files: list[Path],
    model: Any,
    validation: Any,
    specs: Any = None,
    one: Any = None,
    opened: Callable[[Path], Runs] = in_onnxruntime,
) -> list[Measured]:
    """Files of one model, measured by turns on one thread.

    Args:
        validation: `(x, y)` on which the model's metrics are computed; None for none.
        specs: The model's inputs, if they aren't what it was made from.
        one: What one run takes, by name; the first of `validation` where it is left out.
        opened: Gives what runs a file in the format's runtime.
    """
    specs = signature(model) if specs is None else specs
    if one is None:
        size = next((spec.shape[0] for spec in tree.flatten(specs) if spec.shape), None) or 1
        one = {name: x[:size] for name, x in next(feeds(specs, validation))[0].items()}
    runs = list(map(opened, files))
    seconds: list[list[float]] = [[] for _ in files]
    ends = time.monotonic() + _SECONDS * len(files)
    for _ in range(_RUNS):
        for run, found in zip(runs, seconds, strict=True):
            start = time.thread_time()
            run(one)
            found.append(time.thread_time() - start)
        if time.monotonic() > ends:
            break
    return [
        Measured(
            file.stat().st_size,
            len(gzip.compress(file.read_bytes(), 6)),
            1e3 * float(np.median(found)),
            {} if validation is None else _scores(run, model, specs, validation),
        )
        for file, run, found in zip(files, runs, seconds, strict=True)
    ]


def _scores(run: Runs, model: Any, specs: Any, data: Any) -> dict[str, float]:
    """The metrics of a compiled model, of what a file gives."""
    model.reset_metrics()
    structure, seen = model.compute_output_spec(specs), False
    for given, y, sample_weight in feeds(specs, data):
        if y is None:
            raise ValueError(
                "Metrics are of what is predicted and what is known. Received: validation data without `y`. "
                "Give `(x, y)`."
            )
        seen = True
        y_pred = tree.pack_sequence_as(structure, run(given))
        model.compute_metrics(None, y, y_pred, sample_weight)
    if not seen:
        raise ValueError(
            "Metrics need at least one batch. Received: validation data without any. Give more."
        )
    found = {name: float(x) for name, x in model.get_metrics_result().items() if name != "loss"}
    if not found:
        raise ValueError(
            "Validation of a file needs a model compiled with metrics. Received: the model "
            f"{model.name!r}, which has none. Call `model.compile(..., metrics=['accuracy'])` first."
        )
    return found


def drop(model: Any, before: Measured, after: Measured) -> tuple[str, float]:
    """The name of the model's first metric, and by how much a file makes it worse, or other where nobody knows that."""
    name = next(iter(before.scores))
    fall = before.scores[name] - after.scores[name]
    direction = next((x._direction for x in model.metrics if x.name == name), None)
    return name, {"up": fall, "down": -fall}.get(direction or "", abs(fall))


def processor() -> str:
    """What of this machine's CPU decides how fast it multiplies integers, in words."""
    machine = platform.machine()
    if machine.lower() not in ("x86_64", "amd64"):
        return f"this CPU ({machine})"
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:  # systems that are not Linux
        return "this CPU"
    return f"this CPU ({'with' if 'vnni' in flags else 'without'} VNNI)"
