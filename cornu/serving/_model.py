"""A model that is served: one version, in memory and warm."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import tuning
from ..engines.host import TEXT_KINDS
from ._failures import Failure
from ._running import Array, Runner, TensorSpec, first, runners

#: What free sizes may be in examples that are drawn: the first that a model computes.
_LENGTHS = (32, 16, 8, 4, 2, 1, 64, 128, 256)
#: The rows of examples that show whether rows are apart.
_ROWS = 2
#: How far a row's outputs may lie from those of the row alone, relative to the largest number.
_APART = 1e-3


class Model:
    """One version of a model, loaded and warm.

    Args:
        source: The path of a `.keras` or `.onnx` file, a model of Cornu, or a `Runner` of your own.
        name: Its name; that of the file or model where it is left out.
        version: Its number.
        engine: What it runs on, as in `Options`.
        threads: How many threads a run may use; all of the machine's where it is 0.
        classes: The names of the classes that it tells apart, by their indices; the lines of
            `labels.txt` beside the file where they are left out and it is there.

    Attributes:
        platform: What it runs on, by the name that the Open Inference Protocol has for it.
        inputs: What it takes.
        outputs: What it gives.
        nbytes: The size of its weights.
        batched: Whether requests may share a run: all have a batch axis, and no row's outputs depend
            on other rows.
        examples: Typical inputs by their names, of `examples.npz` beside the file; empty where it is not there.
        seconds: How long a run took, by its rows, as last measured.

    Raises:
        OSError: If the file can't be read.
        ValueError: If it holds no model that can be served.

    >>> import numpy as np
    >>> from cornu import Sequential, layers
    >>> model = Model(Sequential([layers.Input((4,), name="x"), layers.Dense(2, name="y")]), name="m")
    >>> str(model.inputs[0]), model.predict({"x": np.ones((3, 4), "float32")})["y"].shape
    ('x: float32 (None, 4)', (3, 2))
    """

    def __init__(
        self,
        source: Any,
        name: str | None = None,
        version: int = 1,
        engine: str | None = None,
        threads: int = 0,
        classes: Sequence[str] | None = None,
    ) -> None:
        path = Path(source) if isinstance(source, (str, Path)) else None
        self._source, self._engine, self._threads = path or source, engine, threads
        self.name = str(name or (path.stem if path else getattr(source, "name", "model")))
        self.version = version
        lines = _beside(path, "labels.txt", lambda file: file.read_text("utf-8").splitlines())
        self.classes: list[str] | None = lines if classes is None else list(classes)
        self.examples = _beside(path, "examples.npz", _arrays) or {}
        self._lock, self._length = threading.Lock(), _LENGTHS[0]
        self._runner: Runner | None = None
        self.seconds: dict[int, float] = {}
        runner = self._loaded()
        self.platform, self.nbytes = runner.platform, runner.nbytes
        self.inputs, self.outputs = runner.inputs, runner.outputs
        self._given = tuple(spec.name for spec in self.outputs)
        self.batched = self._is_batched()

    def __repr__(self) -> str:
        return f"<Model {self.name!r}, version={self.version}, platform={self.platform!r}>"

    @property
    def signature(self) -> str:
        """The inputs and outputs in words, for those who ask for others."""
        taken, given = (", ".join(map(str, specs)) for specs in (self.inputs, self.outputs))
        return f"{self.name!r} takes ({taken}) and gives ({given})"

    # ------------------------------------------------------------------ memory

    @property
    def in_memory(self) -> bool:
        """Whether it is in memory. One that is not comes back by `predict`."""
        return self._runner is not None

    def leave(self) -> None:
        """Leave memory; runs that have begun end as they would."""
        self._runner = None

    def _loaded(self) -> Runner:
        with self._lock:
            if self._runner is None:
                title = f"The model {self.name!r}, version {self.version},"
                found = runners(self._source, self._engine, self._threads)
                self._runner = first(found, self._tried, title)
            return self._runner

    def _tried(self, runner: Runner) -> None:
        """Run an example; where sizes are free, of the first length that works.

        Raises:
            Exception: That of the only example, or of the first length.
            ValueError: If no length works.
        """
        names = [spec.name for spec in runner.outputs]
        drawn = [spec for spec in runner.inputs if spec.name not in self.examples]
        is_free = any(None in spec.shape[1:] for spec in drawn)
        errors = []
        for self._length in _LENGTHS if is_free else _LENGTHS[:1]:
            try:
                runner.run(self._example(runner.inputs, _ROWS), names)
                return
            except Exception as error:
                errors.append(error)
        if not is_free:
            raise errors[0]
        raise ValueError(
            "A model whose inputs have free sizes is tried with examples that are drawn. Received: none of the lengths "
            f"{_LENGTHS} works ({errors[0]}). Put `examples.npz` with typical inputs by their names beside the file."
        ) from errors[0]

    def warm(self, sizes: Sequence[int]) -> None:
        """Run once for each number of rows, so that no request waits for what a first run does."""
        for size in sizes if self.batched else (1,):
            inputs = self.example(size)
            self.compute(inputs)
            start = time.perf_counter()
            self.compute(inputs)
            self.seconds[size] = time.perf_counter() - start

    # ---------------------------------------------------------------- requests

    def predict(
        self, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """The outputs for inputs, by their names. Any thread may call it; nothing is batched.

        Args:
            inputs: An array for each input. The only one may have any name.
            outputs: Which outputs; all where they are left out.

        Raises:
            Failure: If inputs are missing or don't fit, or the model can't compute them.
        """
        arrays, names = self.fitted(inputs), self.wanted(outputs)
        try:
            return self.compute(arrays, names)
        except Exception as error:
            raise self.failure(error) from error

    def fitted(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Arrays with the names, dtypes and shapes of the inputs.

        Raises:
            Failure: If they don't fit.
        """
        names = [spec.name for spec in self.inputs]
        if len(inputs) == len(names) == 1:
            inputs = {names[0]: next(iter(inputs.values()))}
        if inputs.keys() != set(names):
            raise Failure(
                "INVALID_ARGUMENT",
                f"A request has the model's inputs: {self.signature}. Received: {sorted(inputs)}.",
            )
        arrays = {spec.name: _fitted(spec, inputs[spec.name]) for spec in self.inputs}
        rows = {len(x) for x in arrays.values()} if self.batched else {1}
        if len(rows) > 1 or 0 in rows:
            raise Failure(
                "INVALID_ARGUMENT",
                "All inputs have the same number of rows, at least one. Received: "
                f"{', '.join(f'{name!r} of shape {x.shape}' for name, x in arrays.items())}.",
            )
        return arrays

    def wanted(self, outputs: Sequence[str] | None) -> tuple[str, ...]:
        """The names of the outputs that are asked for.

        Raises:
            Failure: If there is no such output.
        """
        names = self._given
        if not outputs or outputs is names:
            return names
        chosen = tuple(outputs)
        if unknown := [name for name in chosen if name not in names]:
            raise Failure(
                "INVALID_ARGUMENT",
                f"A request asks for the model's outputs: {self.signature}. Received: {unknown}.",
            )
        return chosen

    def compute(
        self, arrays: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """The outputs of these names, or all, for arrays that are `fitted`; errors are the runner's own."""
        names = self.wanted(outputs)
        return dict(zip(names, self._loaded().run(arrays, names), strict=True))

    def failure(self, error: Exception) -> Failure:
        """What to tell of an error in a run: the data's fault, if the model still computes its example."""
        if isinstance(error, Failure):
            return error
        if isinstance(error, MemoryError):
            return Failure("RESOURCE_EXHAUSTED", f"There is no memory for this request: {error}")
        try:
            self.compute(self.example(_ROWS))
        except Exception:
            tuning.say("The model %r fails: %s", self.name, error, level="error")
            return Failure("INTERNAL", f"The model {self.name!r} fails on any data: {error}")
        return Failure("INVALID_ARGUMENT", f"{self.name!r} can't compute this request: {error}")

    # ---------------------------------------------------------------- examples

    def example(self, rows: int = 1) -> dict[str, Array]:
        """So many rows of typical inputs, by name."""
        return self._example(self.inputs, rows)

    def _example(self, specs: Sequence[TensorSpec], rows: int) -> dict[str, Array]:
        """So many rows of typical inputs: of `examples.npz`, else numbers around zero, of integers 0."""
        generator = np.random.default_rng(0)
        found = {}
        for spec in specs:
            if (given := self.examples.get(spec.name)) is not None:
                found[spec.name] = _fitted(spec, np.resize(given, (rows, *given.shape[1:])))
                continue
            sizes = [rows, *([self._length] * len(spec.shape))]
            shape = [sizes[i] if x is None else x for i, x in enumerate(spec.shape)]
            if spec.dtype == "string":
                found[spec.name] = np.full(shape, "", object)
            elif "float" in spec.dtype:
                found[spec.name] = generator.normal(size=shape).astype(spec.dtype)
            else:
                found[spec.name] = np.zeros(shape, spec.dtype)
        return found

    def _is_batched(self) -> bool:
        specs = (*self.inputs, *self.outputs)
        if not self.inputs or any(spec.shape[:1] != (None,) for spec in specs):
            return False
        together = {name: self._varied(name, x) for name, x in self.example(_ROWS).items()}
        try:
            results = self.compute(together).items()
        except Exception:  # of values that it does not take
            together = self.example(_ROWS)
            results = self.compute(together).items()
        alone = [
            self.compute({name: x[i : i + 1] for name, x in together.items()}) for i in range(_ROWS)
        ]
        same = all(
            len(x) == _ROWS and _near(x[i : i + 1], row[name])
            for name, x in results
            for i, row in enumerate(alone)
        )
        if not same:
            why = "its outputs for a row depend on other rows"
            tuning.say("Each request of %r runs alone: %s.", self.name, why, level="warning")
        return same

    def _varied(self, name: str, x: Array) -> Array:
        """An input's example in which rows differ, as those of integers and strings do not."""
        if name not in self.examples and x.dtype.kind in "biuO":
            x[1:] = "a" if x.dtype == object else 1
        return x


def _fitted(spec: TensorSpec, given: Any) -> Array:
    """An array with a spec's dtype and shape; numbers lose no more than digits."""
    x = np.asarray(given)
    text = spec.dtype == "string"
    if text and x.dtype.kind in TEXT_KINDS:
        x = _text(spec, x)
    elif not text and x.dtype != spec.dtype and np.can_cast(x.dtype, spec.dtype, "same_kind"):
        cast = x.astype(spec.dtype)
        x = cast if "float" in spec.dtype or (cast == x).all() else x
    fits = x.ndim == len(spec.shape) and all(
        size in (None, n) for size, n in zip(spec.shape, x.shape, strict=True)
    )
    if not fits or x.dtype != ("object" if text else spec.dtype):
        raise Failure(
            "INVALID_ARGUMENT",
            f"An input has the model's dtype and shape: {spec}. Received: {x.dtype} {x.shape}.",
        )
    return x


def _text(spec: TensorSpec, x: Array) -> Array:
    """Strings as objects; bytes are UTF-8."""
    try:
        flat = [x.decode() if isinstance(x, bytes) else str(x) for x in x.ravel().tolist()]
    except UnicodeDecodeError as error:
        message = f"Text is UTF-8. Received: {error} in the input {spec.name!r}."
        raise Failure("INVALID_ARGUMENT", message) from error
    found = np.empty(len(flat), object)
    found[:] = flat
    return found.reshape(x.shape)


def _near(x: Array, y: Array) -> bool:
    if x.shape != y.shape or "float" not in x.dtype.name:
        return x.shape == y.shape and bool((x == y).all())
    scale = float(np.abs(y[np.isfinite(y)]).max(initial=0))
    return bool(np.allclose(x, y, rtol=0, atol=_APART * scale, equal_nan=True))


def _beside(path: Path | None, name: str, read: Callable[[Path], Any]) -> Any:
    """What is read of a file of this name in the folder of a model's file; None where there is none."""
    file = None if path is None else path.parent / name
    return read(file) if file is not None and file.is_file() else None


def _arrays(file: Path) -> dict[str, Array]:
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)
