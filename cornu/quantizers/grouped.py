"""Weights in few bits, by groups of inputs that share a scale: rounded, or with errors made good by what follows.

A weight is a matrix `(outputs, inputs)` here, on the host: the same codes on every engine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

#: How many columns are corrected at once where no groups say it.
_BLOCK = 128
#: The least magnitude of an input, for AWQ: one that is never there is not scaled to nothing.
_LEAST = 1e-4


class Grouped(NamedTuple):
    """A weight `(outputs, inputs)` in few bits: about `(codes - zero) * scale`, each input by its group's.

    Attributes:
        codes: Unsigned integers, of shape `(outputs, inputs)`.
        scale, zero: Floats and the codes of 0, of shape `(outputs, groups)`.
        groups: The group of each input, of shape `(inputs,)`.
        sizes: What the inputs' weights were multiplied by before, of shape `(inputs,)`.
    """

    codes: Array
    scale: Array
    zero: Array
    groups: Array
    sizes: Array | None = None

    def value(self) -> Array:
        """The weight that is left, `(outputs, inputs)`."""
        codes = self.codes.astype(self.scale.dtype) - self.zero[:, self.groups]
        weight = codes * self.scale[:, self.groups]
        return weight if self.sizes is None else weight / self.sizes


class Grid(NamedTuple):
    """The numbers that a weight may become.

    Attributes:
        bits: How many of them: 2 to the power of it.
        group_size: How many inputs share a scale; all of them for -1.
        symmetric: Whether as many lie below 0 as above.
        per_channel: Whether each output has scales of its own.
    """

    bits: int = 4
    group_size: int = -1
    symmetric: bool = False
    per_channel: bool = True

    def starts(self, inputs: int) -> range:
        """Where groups begin."""
        return range(0, inputs, inputs if self.group_size == -1 else self.group_size)

    def ranges(self, weight: Array) -> tuple[Array, Array]:
        """Scale and zero, `(outputs, 1)`, of a group of columns. 0 is one of the numbers, so it stays exact."""
        axis = 1 if self.per_channel else None
        low = np.minimum(weight.min(axis, keepdims=True), 0)
        high = np.maximum(weight.max(axis, keepdims=True), 0)
        if self.symmetric:
            high = np.maximum(-low, high)
            low = -high
        scale = (high - low) / weight.dtype.type(2**self.bits - 1)
        scale = np.where(scale > 0, scale, 1)
        half = np.full_like(scale, 2 ** (self.bits - 1))
        zero = half if self.symmetric else np.round(-low / scale)
        outputs = (len(weight), 1)
        return np.broadcast_to(scale, outputs), np.broadcast_to(zero, outputs)

    def codes(self, weight: Array, scale: Array, zero: Array) -> Array:
        """The nearest codes; half to even."""
        return np.clip(np.round(weight / scale) + zero, 0, 2**self.bits - 1)


def nearest(weight: Array, grid: Grid) -> Grouped:
    """Each weight rounded by itself.

    >>> found = nearest(np.array([[0.0, 1.0, 1.4, 3.0]], "float32"), Grid(bits=2))
    >>> found.codes.tolist(), found.value().tolist()
    ([[0, 1, 1, 3]], [[0.0, 1.0, 1.0, 3.0]])
    """
    groups = grid.starts(weight.shape[1])
    parts = np.split(weight, groups[1:], axis=1)
    ranges = [grid.ranges(part) for part in parts]
    codes = [grid.codes(part, *found) for part, found in zip(parts, ranges, strict=True)]
    return _grouped(
        np.concatenate(codes, axis=1), ranges, np.arange(weight.shape[1]) // groups.step
    )


def _grouped(codes: Array, ranges: list[tuple[Array, Array]], groups: Array) -> Grouped:
    scale, zero = (np.concatenate(found, axis=1) for found in zip(*ranges, strict=True))
    return Grouped(codes.astype("uint8"), scale, zero.astype("uint8"), groups)


def gptq(
    weight: Array,
    moments: Array,
    grid: Grid,
    damping: float = 0.01,
    by_size: bool = False,
) -> Grouped:
    """Weights rounded input by input, the error of each made good by the inputs that are still to come.

    Frantar et al., 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
    Transformers", algorithm 1, https://arxiv.org/abs/2210.17323.

    Args:
        weight: Floats, `(outputs, inputs)`.
        moments: The sum or mean of `x x^T` over what comes in, `(inputs, inputs)`: the Hessian of the squared
            error of the outputs, but for a factor.
        grid: The numbers that weights may become.
        damping: What is added to the diagonal of `moments`, as a share of its mean.
        by_size: Whether inputs go by size, the largest first, and groups with them.

    >>> weight, grid = np.array([[0.45, 0.45, 1.0]], "float32"), Grid(bits=2)
    >>> x = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 1.0]], "float32")
    >>> nearest(weight, grid).codes.tolist(), gptq(weight, x.T @ x, grid).codes.tolist()
    ([[1, 1, 3]], [[1, 2, 2]])
    """
    order = np.argsort(-np.diag(moments), kind="stable") if by_size else np.arange(len(moments))
    factor = _factor(moments[np.ix_(order, order)], damping).astype(weight.dtype)
    # Columns lie together: they are what is worked on.
    left, groups = np.asfortranarray(weight[:, order]), grid.starts(weight.shape[1])
    codes, ranges = np.zeros_like(left), []
    step = groups.step if grid.group_size > 0 else _BLOCK
    for start in range(0, len(order), step):
        block = slice(start, start + step)
        if start in groups:
            ranges.append(grid.ranges(left[:, start : start + groups.step]))
        errors = _round_block(left, codes, block, factor, grid, *ranges[-1])
        left[:, start + step :] -= errors @ factor[block, start + step :]
    back = np.argsort(order)
    return _grouped(codes[:, back], ranges, back // groups.step)


def _round_block(
    left: Array, codes: Array, block: slice, factor: Array, grid: Grid, scale: Array, zero: Array
) -> Array:
    """Round a block of columns in place; returns their errors, each over its diagonal element."""
    within, factor = left[:, block], factor[block, block]
    errors = np.zeros_like(within)
    for i in range(within.shape[1]):
        column = within[:, i : i + 1]
        code = codes[:, block][:, i : i + 1]
        code[:] = grid.codes(column, scale, zero)
        errors[:, i : i + 1] = (column - (code - zero) * scale) / factor[i, i]
        within[:, i + 1 :] -= errors[:, i : i + 1] * factor[i, i + 1 :]
    return errors


def _factor(moments: Array, damping: float) -> Array:
    """The upper triangular U of which `U^T U` is the inverse of damped moments."""
    moments = moments.astype("float64")
    diagonal = np.diag(moments)
    # An input that is never there has no say: its weight is rounded by itself.
    added = damping * diagonal.mean() + np.where(diagonal > 0, 0.0, diagonal.mean() or 1.0)
    try:
        lower = np.linalg.cholesky((moments + np.diag(added))[::-1, ::-1])
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "The damped second moments of inputs must be positive definite. Received: "
            f"damping={damping!r}, which is too little for {len(moments)} inputs that depend on each other. Raise it."
        ) from error
    return np.linalg.inv(lower)[::-1, ::-1]


def awq(weight: Array, moments: Array, magnitudes: Array, grid: Grid, points: int = 20) -> Grouped:
    """Weights rounded after those of large inputs were made larger, and so are rounded more finely.

    What they are multiplied by are powers of the inputs' magnitudes; of those from 0 to below 1, the one is taken
    that changes the outputs least. Lin et al., 2023, "AWQ: Activation-aware Weight Quantization for LLM
    Compression and Acceleration", section 3.2, https://arxiv.org/abs/2306.00978.

    Args:
        weight: Floats, `(outputs, inputs)`.
        moments: The sum or mean of `x x^T` over what comes in, `(inputs, inputs)`.
        magnitudes: The mean of `|x|`, `(inputs,)`.
        grid: The numbers that weights may become.
        points: How many powers are tried.

    >>> x = np.array([[1.0, 1.0], [10.0, 2.0]], "float32")
    >>> found = awq(np.array([[0.3, 1.0]], "float32"), x.T @ x, np.abs(x).mean(0), Grid(bits=2))
    >>> [round(number, 3) for number in found.value()[0].tolist()]
    [0.306, 1.0]
    """
    best, least = None, np.inf
    for power in range(points):
        sizes = np.maximum(magnitudes, _LEAST) ** (power / points)
        sizes = (sizes / np.sqrt(sizes.max() * sizes.min())).astype(weight.dtype)
        found = nearest(weight * sizes, grid)._replace(sizes=sizes)
        error = found.value() - weight
        loss = float(((error @ moments) * error).sum())
        if best is None or loss < least:
            best, least = found, loss
    assert best is not None
    return best
