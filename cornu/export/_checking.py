"""The check of an exported file: what it gives in its runtime, beside what its model gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import tree
from ..core.scopes import StatelessScope
from ..engines import get, use
from ._tracing import Traced, run
from .measuring import Runs, as_given

Array = np.ndarray[Any, Any]
TOLERANCE = 1e-4
#: Batches and lengths that a check tries where a model leaves them open.
_BATCHES = (1, 2, 5)
LENGTHS = (24, 36)


def check(
    model: Any, traced: Traced, run_file: Runs, examples: Any = None, limit: float = TOLERANCE
) -> list[tuple[str, str]]:
    """Compare a file with its model on the NumPy engine, for several batches and lengths.

    Args:
        run_file: Runs the file in the format's runtime.
        limit: How far numbers may be apart, relative to the largest number of an output where that is
            above 1.

    Returns:
        What was found, in words.

    Raises:
        ValueError: If they are further apart.
    """
    worst, tried = 0.0, []
    for batch, length in _trials(traced.specs):
        arrays = drawn(model, traced, batch, length, examples)
        found = run_file(dict(zip(traced.names[0], arrays, strict=True)))
        wanted = _reference(model, traced, arrays)
        for name, one, two in zip(traced.names[1], found, wanted, strict=True):
            worst = max(worst, difference(name, one, two, batch, length, limit))
        tried.append(f"{batch}" if length is None else f"{batch} x {length}")
    return [("checked", f"batches {', '.join(tried)}: largest difference {worst:.1e}")]


def _trials(specs: Any) -> list[tuple[int, int | None]]:
    """Batches and lengths to try: three of the one, two of the other, where they are open."""
    flat = tree.flatten(specs)
    open_batch = any(spec.shape[:1] == (None,) for spec in flat)
    batches = _BATCHES if open_batch else (next((s.shape[0] for s in flat if s.shape), 1),)
    if any(None in spec.shape[1:] for spec in flat):
        lengths = (*LENGTHS, LENGTHS[0])
        return [(batch, lengths[i % 3]) for i, batch in enumerate((*batches, batches[0])[:3])]
    return [(batch, None) for batch in batches]


def drawn(
    model: Any, traced: Traced, batch: int, length: int | None = LENGTHS[0], examples: Any = None
) -> list[Array]:
    """Inputs to try: examples, or numbers around zero and, for integers, small ones."""
    if examples is not None:
        given = as_given(examples, traced.specs)
        return [np.resize(x, (batch, *x.shape[1:])) for x in given]
    known = [layer.input_dim for layer in model._flatten_layers() if hasattr(layer, "input_dim")]
    limit = min([10, *(size for size in known if isinstance(size, int))])
    generator = np.random.default_rng(batch)
    tables = [x.get_vocabulary() for x in model._flatten_layers() if hasattr(x, "get_vocabulary")]
    words = np.array([str(x) for table in tables for x in table[-1000:]] + ["?"], object)
    arrays = []
    for spec in tree.flatten(traced.specs):
        rest = [length if size is None else size for size in spec.shape[1:]]
        shape = [batch if size is None else size for size in spec.shape[:1]] + rest
        if spec.dtype == "string":
            arrays.append(generator.choice(words, shape))
            continue
        whole = "int" in spec.dtype or spec.dtype == "bool"
        numbers = generator.integers(0, limit, shape) if whole else generator.normal(size=shape)
        numbers = np.asarray(get("numpy").convert_to_tensor(np.asarray(numbers), spec.dtype))
        arrays.append(numbers)
    return arrays


def _reference(model: Any, traced: Traced, arrays: list[Any]) -> list[Array]:
    """What the model gives on the NumPy engine, to which no variable moves; with the file's weights."""
    values = []
    for variable in model.variables:
        value = variable.held()
        if traced.engine is not None and traced.engine.graph.halves(value):
            value = value.astype(np.float16).astype(value.dtype)
        values.append((variable, value))
    with use("numpy"), StatelessScope(values):
        results = run(model, tree.pack_sequence_as(traced.specs, arrays))
    return [np.asarray(x) for x in tree.flatten(results) if x is not None]


def difference(
    name: str, found: Any, wanted: Any, batch: int, length: int | None, limit: float = TOLERANCE
) -> float:
    """The largest difference, relative to the largest number where that is above 1."""
    place = f"for a batch of {batch}" + (f" of length {length}" if length else "")
    if found.shape != wanted.shape:
        raise ValueError(
            f"An exported file must give what its model gives. Received: {name!r} of shape "
            f"{found.shape} from the file and {wanted.shape} from the model, {place}. "
            "No file was written; please report this."
        )
    if not wanted.size:
        return 0.0
    kind = np.float64
    one, two = found.astype(kind), wanted.astype(kind)
    finite = np.isfinite(two)
    apart = np.abs(np.where(finite, one, 0) - np.where(finite, two, 0)).max()
    scale = max(1.0, float(np.abs(np.where(finite, two, 0)).max()))
    same = np.array_equal(one[~finite], two[~finite], equal_nan=True)
    limit = limit if wanted.dtype.itemsize >= 4 else max(limit, 1e-2)
    if not (same and apart <= limit * scale):  # nor is it NaN
        raise ValueError(
            f"An exported file must give what its model gives. Received: {name!r}, which differs by "
            f"{apart:.2e} {place}, with numbers up to {scale:.2e}. No file was written. Give typical "
            "inputs as `examples`; where they differ too, please report it."
        )
    return float(apart / scale)
