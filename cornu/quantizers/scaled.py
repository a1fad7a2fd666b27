"""Weights stored as integers with scales, and products that are computed of integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import ops
from ..core.transforms import CODES, Transform, Use
from ..core.variable import Variable
from ._config import AbsMaxQuantizer
from ._functions import abs_max_quantize_grouped_with_zero_point, pack_int4, unpack_int4


class Axes(NamedTuple):
    """The axes of a weight and those of its scales, a letter each: `io` and `o` of a dense layer's kernel.

    Weights along the letters that the scales lack share one. A scale may have more letters: axes of size 1.
    """

    weight: str
    scale: str
    #: Whether its rows are looked up. The matrix of 4-bit codes has these rows then, else those of what shares scales.
    is_table: bool = False
    #: The order in which the matrix of 4-bit codes goes through the weight, where that is not rows by columns.
    order: str = ""
    #: The axis of that matrix along which two codes share a byte.
    packed: int = 1

    @property
    def shared(self) -> str:
        """The letters of weights that share a scale."""
        return "".join(letter for letter in self.weight if letter not in self.scale)

    @property
    def own(self) -> str:
        """The letters of the weight that the scales have, in their order."""
        return "".join(letter for letter in self.scale if letter in self.weight)

    @property
    def matrix(self) -> tuple[str, str]:
        """The letters of rows and columns of the matrix of 4-bit codes."""
        return (self.own, self.shared) if self.is_table else (self.shared, self.own)


class ScaledCodes(Transform):
    """A weight that is stored as integers: `codes / scale`, or `(codes - zero) * scale` by blocks.

    Codes of 8 bits have the weight's shape; those of 4 are a matrix, two in a byte. As in Keras.

    Args:
        bits: 8 or 4.
        axes: The weight's axes and those of its scales.
        block_size: How many 4-bit codes share a scale and a zero; all of an output's, and no zero, without it.
        weight_quantizer: Makes the codes.
        activation_quantizer: Makes integers of what the weight is multiplied with; products are computed of
            integers then. None to multiply floats.
        blank: Whether there is nothing to quantize yet, as codes come out of a file.

    >>> import numpy as np
    >>> from cornu import layers
    >>> layer = layers.Dense(2, kernel_initializer="ones")
    >>> layer.build((None, 3))
    >>> layer.add_transform(layer.kernel, ScaledCodes(8, Axes("io", "o")))
    <ScaledCodes of dense/kernel>
    >>> layer.kernel.numpy().tolist(), layer(np.ones((1, 3))).tolist()
    ([[127, 127], [127, 127], [127, 127]], [[3.0..., 3.0...]])
    """

    order = CODES
    quantizes = True
    encodes = True
    _unwritten_arguments = frozenset({"blank"})

    def __init__(
        self,
        bits: int,
        axes: Axes | Sequence[Any],
        block_size: int | None = None,
        weight_quantizer: Any = None,
        activation_quantizer: Any = None,
        blank: bool = False,
    ) -> None:
        super().__init__()
        self.axes = Axes(*axes)

    def build(self, owner: Any, variable: Variable | None) -> None:
        """Store codes in the place of the weight, which is not trained from now on."""
        assert variable is not None
        self.variable, self._was = variable, variable.trainable
        self._thaws = variable not in owner._tracker.frozen
        self._shape, self._dtype = variable.stored_shape, variable.stored_dtype
        self._sizes = dict(zip(self.axes.weight, self._shape, strict=True))
        rows, columns = (math.prod(map(self._sizes.get, x)) for x in self.axes.matrix)  # type: ignore[arg-type]
        found = None if self.blank else self._quantized(variable.stored)
        shape = list(self._shape) if self.bits == 8 else [rows, columns]
        if self.bits == 4:
            shape[self.axes.packed] = -(-shape[self.axes.packed] // 2)
        variable.trainable = False
        owner._tracker.frozen.add(variable)
        variable.store_as(found[0] if found else "zeros", shape, "int8")
        taken = {weight.name for weight in owner._own_weights()}
        for name, sizes, dtype, first in self._described(rows, columns, "g_idx" in taken):
            part = self.part(name, sizes, "ones" if name == "scale" else "zeros", dtype=dtype)
            if first is not None:
                part.assign(first)
        for name, value in zip(("scale", "zero"), found[1:] if found else (), strict=False):
            self.parts[name].assign(ops.reshape(value, self.parts[name].shape))

    def _described(self, rows: int, columns: int, again: bool) -> list[tuple[str, Any, str, Any]]:
        """Name, shape, dtype and first value of each part; in a layer's second weight some are as in Keras too."""
        if self.block_size is None:
            letters = self.axes.scale if self.bits == 8 else self.axes.own
            sizes = [self._sizes.get(letter, 1) for letter in letters]
            return [("scale", sizes if self.bits == 8 else (math.prod(sizes),), self._dtype, None)]
        shared, own = (columns, rows) if self.axes.is_table else (rows, columns)
        blocks = -(-shared // self.block_size)
        shape = (own, blocks) if self.axes.is_table else (blocks, own)
        parts: list[tuple[str, Any, str, Any]] = [
            ("scale", shape, self._dtype, None),
            ("zero", shape, self._dtype if again else "int8", None),
        ]
        if not again:
            of_rows = [row // self.block_size for row in range(shared)]
            parts.append(("g_idx", (shared,), self._dtype, of_rows))
        return parts

    def part_name(self, name: str, of: str) -> str:
        """As in Keras."""
        return name if name == "g_idx" else f"{of}_{name}"

    def detach(self) -> None:
        """Give up the parts; the weight is trained again."""
        owner = self._owner
        super().detach()
        if owner is not None:
            if self._thaws:
                owner._tracker.frozen.discard(self.variable)
            self.variable.trainable = self._was

    def _quantized(self, weight: Any) -> tuple[Any, ...]:
        """Codes as they are stored, scales, and zeros of blocks."""
        if self.bits == 8:
            quantizer = self.weight_quantizer or AbsMaxQuantizer()
            at = [self.axes.weight.index(letter) for letter in self.axes.shared]
            codes, scale = quantizer(weight, axis=at, to_numpy=True)
            return codes, aligned(scale, self.axes.weight, self.axes.scale)
        matrix, turned = self._matrix(weight), self.axes.is_table
        if self.block_size is None:
            quantizer = self.weight_quantizer or AbsMaxQuantizer(value_range=(-8, 7))
            found = quantizer(matrix, axis=1 if turned else 0, to_numpy=True)
        else:
            matrix = ops.transpose(matrix) if turned else matrix
            found = abs_max_quantize_grouped_with_zero_point(matrix, self.block_size, to_numpy=True)
            found = tuple(map(ops.transpose, found)) if turned else found
        return pack_int4(found[0], axis=self.axes.packed)[0], *found[1:]

    def encoded(self, value: Any) -> dict[Variable, Any]:
        """Codes, scales, and zeros of blocks."""
        codes, *rest = self._quantized(value)
        parts = [self.parts[name] for name in ("scale", "zero")[: len(rest)]]
        pairs = zip(parts, rest, strict=True)
        return {self.variable: codes, **{part: ops.reshape(x, part.shape) for part, x in pairs}}

    # ------------------------------------------------------- matrices of 4 bits

    @property
    def _letters(self) -> str:
        return self.axes.order or "".join(self.axes.matrix)

    def _matrix(self, weight: Any) -> Any:
        front = [self.axes.weight.index(letter) for letter in self._letters]
        rows = math.prod(self._sizes[letter] for letter in self.axes.matrix[0])
        return ops.reshape(ops.transpose(weight, front), (rows, -1))

    def _weight(self, matrix: Any) -> Any:
        sizes = [self._sizes[letter] for letter in self._letters]
        back = [self._letters.index(letter) for letter in self.axes.weight]
        return ops.transpose(ops.reshape(matrix, sizes), back)

    def _unpacked(self, stored: Any) -> Any:
        packed = self.axes.packed
        size = math.prod(self._sizes[letter] for letter in self.axes.matrix[packed])
        return unpack_int4(stored, size, axis=packed)

    # ------------------------------------------------------------------ reading

    def spec(self, shape: tuple[int, ...], dtype: str) -> tuple[tuple[int, ...], str]:
        """Those of the weight."""
        return self._shape, self._dtype

    def value(self, stored: Any) -> Any:
        """The weight that the codes stand for."""
        parts = {name: part.stored for name, part in self.parts.items()}
        if self.bits == 8:
            scale = aligned(parts["scale"], self.axes.scale, self.axes.weight)
            return ops.divide(ops.cast(stored, self._dtype), scale)
        return self._weight(self._floats(stored, parts))

    def _floats(self, rows: Any, parts: dict[str, Any]) -> Any:
        """The rows of the matrix that 4-bit codes stand for."""
        codes = ops.cast(self._unpacked(rows), self._dtype)
        if self.block_size is None:
            scale = parts["scale"]
            return ops.divide(codes, scale[:, None] if self.axes.is_table else scale)
        axis, size = int(self.axes.is_table), codes.shape[int(self.axes.is_table)]
        scale, zero = (self._of_blocks(parts[name], axis, size) for name in ("scale", "zero"))
        return ops.multiply(ops.subtract(codes, ops.cast(zero, self._dtype)), scale)

    def _of_blocks(self, values: Any, axis: int, size: int) -> Any:
        """Values of blocks as those of what is in them."""
        whole = ops.repeat(values, self.block_size, axis=axis)
        return whole[:, :size] if axis else whole[:size]

    # ----------------------------------------------------------------- products

    def product(self, use: Use) -> Any:
        """Rows of a table by their codes alone; a product of integers, where what comes in becomes such."""
        if use.name == "take" and self.axes.is_table and use.place == 0:
            return self._rows(use)
        where = use.contraction()
        if self.activation_quantizer is None or self.block_size is not None or where is None:
            return NotImplemented
        place, axes, shared = where
        if shared != [self.axes.weight.index(letter) for letter in self.axes.shared]:
            return NotImplemented
        x = ops.convert_to_tensor(use.arguments[place])
        codes, size = self.activation_quantizer(x, axis=axes)
        stored, scale = self.variable.stored, self.parts["scale"].stored
        letters = self.axes.scale
        if self.bits == 4:
            if self.axes.order not in ("", self.axes.shared + self.axes.own):
                # The scales lie otherwise.
                return ops.cast(
                    _on(use, place, ops.divide(codes, size), self.value(stored)), x.dtype
                )
            stored, letters = self._weight(self._unpacked(stored)), self.axes.own
            scale = ops.reshape(scale, [self._sizes[letter] for letter in letters])
        sums = ops.cast(_on(use, place, codes, stored), self._dtype)
        # What the product of the scales is where both have size 1 along what is summed.
        sizes = _on(use, place, size, aligned(scale, letters, self.axes.weight))
        result = ops.cast(ops.divide(sums, sizes), x.dtype)
        return ops.add(result, use.arguments[2]) if use.name == "affine" else result

    def _rows(self, use: Use) -> Any:
        _, indices, *axis = use.arguments
        if axis != [0]:
            return NotImplemented
        of_rows = {name: part.stored for name, part in self.parts.items() if name != "g_idx"}
        taken = {name: ops.take(part, indices, axis=0) for name, part in of_rows.items()}
        rows = ops.take(self.variable.stored, indices, axis=0)
        if self.bits == 8:
            return ops.divide(ops.cast(rows, self._dtype), taken["scale"][..., None])
        *leading, width = rows.shape
        flat = {name: ops.reshape(x, (-1, *x.shape[len(leading) :])) for name, x in taken.items()}
        found = self._floats(ops.reshape(rows, (-1, width)), flat)
        return ops.reshape(found, (*leading, found.shape[-1]))


def aligned(x: Any, letters: str, target: str) -> Any:
    """A tensor whose axes have letters, with those of `target`; an axis that only one of both has is of size 1.

    >>> import numpy as np
    >>> aligned(np.ones((1, 2, 3)), "abc", "cdb").shape
    (3, 1, 2)
    """
    gone = [at for at, letter in enumerate(letters) if letter not in target]
    kept = [letter for letter in letters if letter in target]
    x = ops.transpose(
        ops.squeeze(x, gone) if gone else x,
        [kept.index(letter) for letter in target if letter in kept],
    )
    return ops.expand_dims(x, [at for at, letter in enumerate(target) if letter not in kept])


def _on(use: Use, place: int, other: Any, weight: Any) -> Any:
    """The op's product of other things, without what `affine` adds."""
    if use.name != "einsum":
        return ops.matmul(other, weight)
    first, second = (other, weight) if place == 1 else (weight, other)
    return ops.einsum(use.arguments[0], first, second)
