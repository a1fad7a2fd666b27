"""What a model runs on: a session of ONNX Runtime, or a compiled step of an engine of Cornu."""

from __future__ import annotations

import glob
import math
import re
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from .. import tuning
from ..core import tree
from ..core.dtypes import numpy_dtype
from ..engines import configured_name, use
from ..export import export
from ..export.measuring import input_names, output_names, signature
from ..saving import load_model

Array = np.ndarray[Any, Any]
#: ONNX Runtime's names of dtypes, where they are not NumPy's.
_DTYPES = {"float": "float32", "double": "float64"}
_NUMBERS = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"


class TensorSpec(NamedTuple):
    """An input or an output of a model.

    Args:
        name: Its name.
        dtype: NumPy's name of its dtype; `"string"` for text.
        shape: Its shape, batch axis first, with None for sizes that are free.

    >>> str(TensorSpec("x", "float32", (None, 4)))
    'x: float32 (None, 4)'
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} {self.shape}"


@runtime_checkable
class Runner(Protocol):
    """A model in memory; one of your own may be served as well.

    Attributes:
        platform: What it runs on.
        inputs: What it takes.
        outputs: What it gives.
        nbytes: The size of its weights.
    """

    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nbytes: int

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """These outputs, in their order, for arrays of the inputs' dtypes and shapes. Any thread may call it."""


class SessionRunner:
    """A file of ONNX in a session of ONNX Runtime, which compiles nothing.

    Weights outside of the file must lie in its folder: the runtime refuses other paths.
    """

    platform = "onnx_onnxv1"

    def __init__(self, path: Path, threads: int) -> None:
        from ..engines.onnxruntime import open_session

        self._session = open_session(str(path), threads, spins=False)
        self.inputs = tuple(map(_spec, self._session.get_inputs()))
        self.outputs = tuple(map(_spec, self._session.get_outputs()))
        beside = path.parent.glob(f"{glob.escape(path.stem)}*")
        self.nbytes = sum(file.stat().st_size for file in beside if file.is_file())

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """These outputs."""
        results: list[Array] = self._session.run(list(outputs), dict(inputs))
        return results


class EngineRunner:
    """A model's compiled step on an engine. JAX and its like compile one for each size of a batch."""

    def __init__(self, model: Any, engine: str) -> None:
        self.platform = f"cornu_{engine}"
        self._model, self._engine, self._lock = model, engine, threading.Lock()
        self._specs = signature(model)
        flat = tree.flatten(self._specs)
        results = model.compute_output_spec(self._specs)
        given = [x for x in tree.flatten(results) if x is not None]
        self.inputs = _specs(input_names(flat), flat)
        self.outputs = _specs(output_names(model, results), given)
        self.nbytes = sum(
            math.prod(x.shape) * numpy_dtype(x.dtype).itemsize for x in model.variables
        )

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """These outputs."""
        arrays = [inputs[spec.name] for spec in self.inputs]
        rows = len(arrays[0])
        with self._lock, use(self._engine):
            x = tree.pack_sequence_as(self._specs, arrays)
            if isinstance(x, np.ndarray) and x.dtype != object:  # in 17 us in place of 110
                results = self._model.predict(x, batch_size=rows, verbose=0)
            else:
                results = self._model.predict_on_batch(x)
        found = [np.asarray(x) for x in tree.flatten(results) if x is not None]
        by_name = dict(zip((spec.name for spec in self.outputs), found, strict=True))
        return [by_name[name] for name in outputs]


def runners(source: Any, engine: str | None, threads: int) -> list[tuple[str, Any]]:
    """What may run a model, best first: words for each, and a call that makes it.

    Args:
        source: The path of a `.onnx` or `.keras` file or of a folder that `save` wrote, a model, or a `Runner`.
    """
    if isinstance(source, Runner):
        return [(source.platform, lambda: source)]
    if isinstance(source, Path) and source.suffix == ".onnx":
        if engine not in (None, "onnxruntime"):
            raise ValueError(
                f"A file of ONNX runs on ONNX Runtime. Received: {source}, engine={engine!r}. "
                "Leave `engine` out."
            )
        return [("ONNX Runtime", lambda: SessionRunner(source, threads))]
    with use("numpy"):  # which compiles nothing, and holds the weights until they are read
        model = load_model(source, compile=False) if isinstance(source, Path) else source

    def by(name: str) -> tuple[str, Any]:
        return f"the engine {name}", lambda: EngineRunner(model, name)

    if engine not in (None, "onnxruntime"):
        return [by(engine)]
    found = [("ONNX Runtime", lambda: _exported(model, threads)), by("onnxruntime")]
    others = [configured_name()] if engine is None else []
    return [*found, *(by(name) for name in others if name != "onnxruntime")]


def _exported(model: Any, threads: int) -> SessionRunner:
    """A model of Cornu as a file, which is checked, and gone once it is in memory."""
    with tempfile.TemporaryDirectory(prefix="cornu-") as folder:
        path = Path(folder, "model.onnx")
        export(model, path, verbose=False)
        return SessionRunner(path, threads)


def first(candidates: list[tuple[str, Any]], try_out: Any, title: str) -> Runner:
    """The first of `runners` that computes an example, which `try_out(runner)` has it do; the others are said.

    Raises:
        Exception: What the last one raised.
    """
    for i, (words, make) in enumerate(candidates):
        try:
            runner: Runner = make()
            try_out(runner)
        except Exception as error:
            if i + 1 == len(candidates):
                raise
            tuning.say("%s does not run on %s: %s", title, words, error)
        else:
            tuning.say("%s runs on %s.", title, words)
            return runner
    raise AssertionError("unreachable")


def _specs(names: Sequence[str], tensors: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name, x.dtype, tuple(x.shape)) for name, x in zip(names, tensors, strict=True)
    )


def _spec(x: Any) -> TensorSpec:
    """What a session says of an input or output.

    Raises:
        ValueError: If it is no tensor of numbers or strings.
    """
    found = re.fullmatch(r"tensor\((\w+)\)", x.type)
    dtype = _DTYPES.get(found[1], found[1]) if found else ""
    if dtype not in {*_NUMBERS.split(), "string"}:
        raise ValueError(
            "A model that is served takes and gives tensors of numbers or strings. Received: "
            f"{x.name!r} of type {x.type}. Export it without (scikit-learn's by `zipmap=False`)."
        )
    return TensorSpec(
        x.name, dtype, tuple(size if isinstance(size, int) else None for size in x.shape)
    )
