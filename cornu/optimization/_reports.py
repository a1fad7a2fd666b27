"""What is in the weights of a model: zeros, values that differ, bytes."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import numpy as np

from ..core.dtypes import is_float
from ..core.variable import host_array
from ._choice import kernels


class Row(NamedTuple):
    """One kernel, as layers compute with it; of one that is stored as codes, the bytes are theirs."""

    path: str
    shape: tuple[int, ...]
    #: The share of zeros.
    sparsity: float
    #: How many values differ from each other.
    distinct: int
    bytes: int
    #: The bytes after deflate, which is what gzip and zip do.
    zipped: int


class SparsityReport(NamedTuple):
    """The kernels of a model; printed, a table."""

    rows: tuple[Row, ...]

    @property
    def sparsity(self) -> float:
        """The share of zeros in all kernels."""
        sizes = [int(np.prod(row.shape)) for row in self.rows]
        zeros = (row.sparsity * size for row, size in zip(self.rows, sizes, strict=True))
        return sum(zeros) / max(sum(sizes), 1)

    @property
    def bytes(self) -> int:
        """The bytes of all kernels."""
        return sum(row.bytes for row in self.rows)

    @property
    def zipped(self) -> int:
        """Their bytes after deflate."""
        return sum(row.zipped for row in self.rows)

    def __str__(self) -> str:
        width = max([len(row.path) for row in self.rows] + [len("all kernels")])
        head = f"{'':{width}}  sparsity  distinct  {'bytes':>12}  {'zipped':>12}"
        lines = [
            f"{row.path:{width}}  {row.sparsity:8.1%}  {row.distinct:8,}  {row.bytes:12,}  {row.zipped:12,}"
            for row in self.rows
        ]
        total = f"{'all kernels':{width}}  {self.sparsity:8.1%}  {'':8}  {self.bytes:12,}  {self.zipped:12,}"
        return "\n".join([head, *lines, total])


def sparsity_report(model: Any) -> SparsityReport:
    """What the kernels of a model or layer consist of, as layers read them.

    >>> from cornu import Input, Sequential, layers
    >>> model = Sequential([Input((2,)), layers.Dense(4, kernel_initializer="ones", name="dense")], name="model")
    >>> print(sparsity_report(model))
                        sparsity  distinct         bytes        zipped
    model/dense/kernel      0.0%         1            32            14
    all kernels             0.0%                      32            14
    """
    found = {
        id(w): w for layer in model._flatten_layers() for w in [*kernels(layer), *_coded(layer)]
    }
    return SparsityReport(tuple(_row(weight) for weight in found.values()))


def _coded(layer: Any) -> list[Any]:
    """The kernels that a layer stores as integers."""
    own = layer._own_weights()
    return [w for w in own if w.transforms and not is_float(w.stored_dtype)]


def _row(weight: Any) -> Row:
    value = host_array(weight.effective())
    kept = value if is_float(weight.stored_dtype) else host_array(weight.stored)
    packed = len(zlib.compress(kept.tobytes()))
    zeros = float(np.mean(value == 0)) if value.size else 0.0
    return Row(weight.path, value.shape, zeros, len(np.unique(value)), kept.nbytes, packed)
