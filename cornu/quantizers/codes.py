"""A kernel that is stored as codes of few bits, with the scales of groups of its inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..core.transforms import CODES, Transform
from ..core.variable import Variable
from ._functions import pack_int4, unpack_int4
from .grouped import Array, Grid, Grouped


class GroupedCodes(Transform):
    """A kernel read from unsigned codes: `(codes - zero) * scale`, the two by output and group of inputs.

    What is stored is a matrix of bytes `(outputs, inputs)`, two codes of 4 bits of neighbouring outputs in one: as
    Keras has what GPTQ and AWQ made. Beside it there are `scale` and `zero`, `(outputs, groups)`, the group of
    each input, and with `scaled` what AWQ multiplied the inputs' weights by.

    Args:
        weight_bits: The bits of a code.
        group_size: How many inputs share a scale; -1 for all.
        axes: The axes of the kernel that are contracted with what comes in; the others are the outputs'.
        scaled: Whether inputs' weights were multiplied by sizes before.
        found: What to store; zeros where it is left out, as codes come out of a file.

    >>> from cornu import layers
    >>> from cornu.quantizers.grouped import Grid, nearest
    >>> layer = layers.Dense(2)
    >>> layer.build((None, 3))
    >>> weight = np.array([[0.0, 0.5, 3.0], [1.0, 1.0, 0.0]], "float32")
    >>> layer.add_transform(layer.kernel, GroupedCodes(found=nearest(weight, Grid(4))))
    <GroupedCodes of dense/kernel>
    >>> layer.kernel.numpy().tolist(), layer.kernel.effective().tolist()
    ([[240, 242, 15]], [[0.0, 1.0], [0.4..., 1.0], [3.0, 0.0]])
    """

    order = CODES
    quantizes = True
    _unwritten_arguments = frozenset({"found"})

    def __init__(
        self,
        weight_bits: int = 4,
        group_size: int = -1,
        axes: Sequence[int] = (0,),
        scaled: bool = False,
        found: Grouped | None = None,
    ) -> None:
        super().__init__()
        self.axes = tuple(axes)
        self.found: Grouped | None = found

    def build(self, owner: Any, variable: Variable | None) -> None:
        """Store codes in the place of the kernel, which is not trained from now on."""
        assert variable is not None
        self._variable, self._shape, self._dtype = variable, variable.shape, variable.dtype
        self._front = matrix_axes(self.axes, len(self._shape))
        self._sizes = inputs, outputs = matrix_shape(self._shape, self.axes)
        groups = len(Grid(group_size=self.group_size).starts(inputs))
        shape = outputs, groups
        self._was_trainable = variable.trainable
        variable.trainable = False
        # In files it comes behind what is trained, before its parts.
        owner._tracker.frozen.add(variable)
        owner._tracker.untrained.add(variable)
        rows = -(-outputs // 2) if self.weight_bits == 4 else outputs
        variable.store_as("zeros", (rows, inputs), "uint8")
        self.part("scale", shape, "ones", dtype=self._dtype)
        self.part("zero", shape, dtype="uint8")
        if self.scaled:
            self.part("awq_scales", (inputs,), "ones", dtype=self._dtype)
        first = np.arange(inputs) // (inputs if self.group_size == -1 else self.group_size)
        self.part("g_idx", (inputs,), first.astype("float32"), dtype="float32")
        if self.found is not None:
            self.take(self.found)
            self.found = None

    def detach(self) -> None:
        """Give up what `build` made, but for what is stored."""
        if self._owner is not None:
            self._variable.trainable = self._was_trainable
            for kept in (self._owner._tracker.frozen, self._owner._tracker.untrained):
                kept.discard(self._variable)
        super().detach()

    def part_name(self, name: str, of: str) -> str:
        """As Keras names them."""
        return f"{of}_{name}" if name in ("scale", "zero") else name

    def take(self, found: Grouped) -> None:
        """Store codes."""
        codes: Any = found.codes
        self._variable.assign(
            pack_int4(codes, dtype="uint8")[0] if self.weight_bits == 4 else codes
        )
        values = {"scale": found.scale, "zero": found.zero, "g_idx": found.groups}
        for name, part in self.parts.items():
            part.assign(np.asarray(values.get(name, found.sizes), part.dtype))

    def completed(self, store: Mapping[str, Any], own: Sequence[Variable]) -> Mapping[str, Any]:
        """With the zeros, which Keras 3.15 leaves out of its files: they are known of symmetric codes."""
        place = next(at for at, variable in enumerate(own) if variable is self.parts["zero"])
        if len(store) != len(own) - 1 or len(store[str(place)].shape) == 2:
            return store
        if not getattr(getattr(self._owner, "quantization_config", None), "symmetric", False):
            raise ValueError(
                "Codes have zeros, which Keras 3.15 writes into no file: of codes that are not symmetric they are "
                f"lost. Received: {len(store)} arrays for the {len(own)} weights of {self._owner.path!r}. "
                "Quantize with `symmetric=True` in Keras, or with Cornu."
            )
        rest = {str(at + (at >= place)): store[str(at)] for at in range(len(store))}
        return {**rest, str(place): np.full(self.parts["zero"].shape, 2 ** (self.weight_bits - 1))}

    def spec(self, shape: tuple[int, ...], dtype: str) -> tuple[tuple[int, ...], str]:
        """Those of the kernel."""
        return self._shape, self._dtype

    def value(self, stored: Any) -> Any:
        """The kernel."""
        inputs, outputs = self._sizes
        codes = unpack_int4(stored, outputs, dtype="uint8") if self.weight_bits == 4 else stored
        scale, zero = (self._of_inputs(self.parts[name].value) for name in ("scale", "zero"))
        weight = ops.subtract(ops.cast(codes, self._dtype), ops.cast(zero, self._dtype)) * scale
        if self.scaled:
            weight = weight / self.parts["awq_scales"].value
        shape = [self._shape[axis] for axis in self._front]
        return ops.transpose(
            ops.reshape(ops.transpose(weight), shape), np.argsort(self._front).tolist()
        )

    def _of_inputs(self, of_groups: Any) -> Any:
        """`(outputs, inputs)` of `(outputs, groups)`; as it is where there is one group."""
        if of_groups.shape[1] == 1:
            return of_groups
        return ops.take(of_groups, ops.cast(self.parts["g_idx"].value, "int32"), axis=1)


def matrix_axes(axes: Sequence[int], rank: int) -> list[int]:
    """A kernel's axes, the contracted ones first."""
    return [*axes, *(axis for axis in range(rank) if axis not in axes)]


def matrix_shape(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, int]:
    """The inputs and outputs of a kernel of which some axes are contracted."""
    inputs = math.prod(shape[axis] for axis in axes)
    return inputs, math.prod(shape) // inputs


def as_matrix(kernel: Array, axes: Sequence[int]) -> Array:
    """A kernel as `(outputs, inputs)`."""
    moved = kernel.transpose(matrix_axes(axes, kernel.ndim))
    return moved.reshape(matrix_shape(kernel.shape, axes)).T
