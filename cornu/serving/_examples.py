"""Classify and Regress, of TensorFlow Serving: examples, which are features by name, to labels or to values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._model import Model
from ._running import Array, TensorSpec
from ._tensors import from_json, refused


def inputs_of(model: Model, examples: Any, context: Any = None) -> dict[str, Array]:
    """The inputs that examples make: a row each.

    Args:
        model: The model.
        examples: Features by the names of inputs: a value, or a list of as many as a row has.
        context: Features that all examples share.

    Raises:
        Failure: If they don't fit.

    >>> from cornu import Sequential, layers
    >>> model = Model(Sequential([layers.Input((2,), name="x"), layers.Dense(1)]), "m", engine="numpy")
    >>> inputs_of(model, [{"x": [1, 2]}, {"x": [3, 4]}])["x"]
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    shared = {} if context is None else context
    if not isinstance(examples, list) or not examples or not _are_objects([*examples, shared]):
        raise refused(
            "Examples are a list of features by name, at least one.", f"{examples!r:.200}"
        )
    rows = [{**shared, **example} for example in examples]
    return {spec.name: _feature(model, spec, rows) for spec in model.inputs}


def _are_objects(values: Sequence[Any]) -> bool:
    return all(isinstance(value, Mapping) for value in values)


def _feature(model: Model, spec: TensorSpec, rows: list[dict[str, Any]]) -> Array:
    """An input, of the features of its name; the only input may have any."""
    alone = len(model.inputs) == 1
    names = [next(iter(row), "") if alone and len(row) == 1 else spec.name for row in rows]
    if lacking := [name for name, row in zip(names, rows, strict=True) if name not in row]:
        raise refused(
            f"An example has the features that the model takes: {model.signature}.",
            f"{len(lacking)} without {spec.name!r}",
        )
    values = [row[name] for name, row in zip(names, rows, strict=True)]
    lists = [value if isinstance(value, list) else [value] for value in values]
    x = from_json(spec.name, lists, spec.dtype)
    try:
        return x.reshape(len(rows), *(-1 if size is None else size for size in spec.shape[1:]))
    except ValueError as error:
        raise refused(
            f"A feature has as many values as a row of {spec}.", f"{x.shape[1:]} in a row"
        ) from error


def classes(model: Model, outputs: Mapping[str, Array]) -> list[list[tuple[str, float]]]:
    """For each row the labels with their scores, in the order of the model.

    Raises:
        Failure: If the model gives anything else than one score for each class.
    """
    x = _only(model, outputs, "one output of scores (batch, classes)", 2)
    labels = model.classes or []
    if len(labels) != x.shape[1]:
        labels = [str(i) for i in range(x.shape[1])]
    return [list(zip(labels, row, strict=True)) for row in x.tolist()]


def values(model: Model, outputs: Mapping[str, Array]) -> list[float]:
    """For each row its value.

    Raises:
        Failure: If the model gives anything else than one number for each.
    """
    x = _only(model, outputs, "one output of numbers (batch,) or (batch, 1)", 1)
    found: list[float] = x.tolist()
    return found


def _only(model: Model, outputs: Mapping[str, Array], rule: str, rank: int) -> Array:
    """The only output, if it has numbers and the rank; an axis of one more is left out."""
    (x, *others) = outputs.values()
    if x.dtype.name == "bfloat16":
        x = x.astype("float32")
    if x.ndim == rank + 1 and x.shape[-1] == 1:
        x = x[..., 0]
    if others or x.ndim != rank or x.dtype.kind not in "fiu":
        raise refused(f"This call needs a model that gives {rule}.", model.signature)
    return x
