"""Sequences of different lengths as one array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray[Any, Any]:
    """Sequences filled up, or cut, to one length.

    Args:
        sequences: Lists or arrays, each (time, ...) with a time of its own.
        maxlen: The length; that of the longest sequence where it is left out.
        dtype: The result's dtype; `object` for strings of any length.
        padding: Whether short sequences are filled up before (`"pre"`) or after (`"post"`) them.
        truncating: Whether long ones lose their beginning (`"pre"`) or their end (`"post"`).
        value: What they are filled up with.

    Returns:
        An array (sequences, maxlen, ...).

    Raises:
        ValueError: If something is no sequence, or the steps' shapes differ.

    >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2).tolist()
    [[0, 1], [2, 3], [5, 6]]
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ValueError(f"`{name}` is 'pre' or 'post'. Received: {name}={side!r}.")
    if not isinstance(sequences, Iterable) or isinstance(sequences, str):
        raise ValueError(f"`sequences` must be a list of sequences. Received: {sequences!r}.")
    rows = [_row(index, sequence) for index, sequence in enumerate(sequences)]
    filled = [row for row in rows if len(row)]
    step = filled[0].shape[1:] if filled else ()
    for index, row in enumerate(rows):
        if len(row) and row.shape[1:] != step:
            raise ValueError(
                f"The steps of all sequences must have one shape. Received: {row.shape[1:]} in the "
                f"sequence {index}, {step} before it."
            )
    if maxlen is None:
        maxlen = max(map(len, rows))
    if isinstance(value, str) and not _holds_text(dtype):
        raise ValueError(
            f"`value` must be of the dtype. Received: value={value!r} and dtype={dtype!r}. Pass "
            "`dtype=object` for strings."
        )
    result = np.full((len(rows), maxlen, *step), value, dtype)
    for target, row in zip(result, rows, strict=True):
        kept = row[max(len(row) - maxlen, 0) :] if truncating == "pre" else row[:maxlen]
        if len(kept):
            target[slice(-len(kept), None) if padding == "pre" else slice(len(kept))] = kept
    return result


def _row(index: int, sequence: Any) -> np.ndarray[Any, Any]:
    if not hasattr(sequence, "__len__"):
        raise ValueError(
            f"Each of `sequences` must be a sequence. Received: {sequence!r} at position {index}."
        )
    return np.asarray(sequence)


def _holds_text(dtype: Any) -> bool:
    return np.dtype(dtype).kind in "OSU"
