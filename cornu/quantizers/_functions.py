"""Numbers as small integers with scales, two of four bits in a byte, and floats of 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import ops
from ..core.checks import one_of, positive_integer
from ..core.dtypes import standardize_dtype
from ..core.types import Axis, Tensor
from ..core.variable import host_array
from ..engines import get, use
from ..ops.shared import axis_from_front, largest_finite

Range = Sequence[int]


def abs_max_quantize(
    inputs: Tensor,
    axis: Axis,
    value_range: Range = (-127, 127),
    dtype: Any = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[Tensor, Tensor]:
    """Integers in proportion to the largest magnitude along an axis: `inputs` are about `codes / scale`.

    Args:
        inputs: Numbers of any shape.
        axis: The axis, or axes, that share a scale; all of them for None.
        value_range: The least and the largest integer.
        dtype: The integers' dtype.
        epsilon: Added to the largest magnitude, which may be 0.
        to_numpy: Whether NumPy computes it, so that nothing is compiled.

    Returns:
        The integers, and the scales with `axis` of size 1.

    >>> import numpy as np
    >>> codes, scale = abs_max_quantize(np.array([[0.5, -1.0]]), axis=-1)
    >>> codes.tolist(), round(float(scale[0, 0]), 3)
    ([[63, -127]], 127.0)
    """
    if to_numpy:
        array = host_array(inputs)
        with use(get("numpy")):
            found = abs_max_quantize(array, axis, value_range, dtype, epsilon)
        return ops.convert_to_tensor(found[0]), ops.convert_to_tensor(found[1])
    inputs, least, largest = ops.convert_to_tensor(inputs), *value_range
    size = ops.max(ops.abs(inputs), axis=axis, keepdims=True)
    scale = ops.cast(ops.divide(largest, ops.add(size, epsilon)), inputs.dtype)
    codes = ops.clip(ops.round(ops.multiply(inputs, scale)), least, largest)
    return ops.cast(codes, dtype), scale


def abs_max_quantize_grouped_with_zero_point(
    inputs: Tensor,
    block_size: int,
    value_range: Range = (-8, 7),
    dtype: Any = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Integers of a matrix whose columns have a scale and a zero for each block of rows.

    `inputs` are about `(codes - zero) * scale`, each row by its block's.

    Args:
        inputs: Floats of shape `(rows, columns)`.
        block_size: How many rows share them; the last block may have fewer, which are filled up by zeros.
        value_range: The least and the largest integer.
        dtype: The integers' dtype.
        epsilon: Added to the range of a block.
        to_numpy: Whether NumPy computes it, so that nothing is compiled; one block of more rows than there are
            is filled up too then, as in Keras.

    Returns:
        The integers; the scales and the zeros, of shape `(blocks, columns)`.

    Raises:
        ValueError: If `inputs` is no matrix, or `block_size` no size.

    >>> import numpy as np
    >>> codes, scale, zero = abs_max_quantize_grouped_with_zero_point(np.array([[0.0], [1.5], [0.0], [3.0]]), 2)
    >>> codes.tolist(), zero.tolist()
    ([[-8], [7], [-8], [7]], [[-8], [-8]])
    """
    positive_integer(block_size=block_size)
    settings = value_range, dtype, epsilon
    if to_numpy:
        array = host_array(inputs)
        with use(get("numpy")):
            found = _in_blocks(array, block_size, *settings)
        return tuple(map(ops.convert_to_tensor, found))
    inputs = ops.convert_to_tensor(inputs)
    return _in_blocks(inputs, min(block_size, inputs.shape[0]), *settings)


def _in_blocks(
    inputs: Tensor, size: int, ends: Range, dtype: Any, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    if len(inputs.shape) != 2:
        raise ValueError(
            f"`inputs` must be a matrix. Received: inputs.shape={tuple(inputs.shape)}."
        )
    rows, columns = inputs.shape
    blocks = -(-rows // size)
    filled = ops.pad(inputs, [(0, blocks * size - rows), (0, 0)])
    x = ops.reshape(filled, (blocks, size, columns))
    low, high = ops.min(x, axis=1, keepdims=True), ops.max(x, axis=1, keepdims=True)
    # Of a block with one value, that would be all there is of its range.
    wider = ops.cast(ops.equal(low, high), inputs.dtype)
    low, high = ops.subtract(low, wider), ops.add(high, wider)
    least, most = ends
    scale = ops.divide(ops.add(ops.subtract(high, low), epsilon), most - least)
    zero = ops.clip(ops.add(ops.round(ops.divide(ops.negative(low), scale)), least), least, most)
    codes = ops.clip(ops.add(ops.round(ops.divide(x, scale)), zero), least, most)
    codes = ops.reshape(ops.cast(codes, dtype), (blocks * size, columns))[:rows]
    return codes, ops.squeeze(scale, 1), ops.cast(ops.squeeze(zero, 1), dtype)


def pack_int4(
    arr: Tensor, axis: int = 0, dtype: str = "int8"
) -> tuple[Tensor, tuple[int, ...], int]:
    """Two numbers of four bits in a byte: the first of a pair in the lower half.

    Args:
        arr: Integers of 8 bits, from -8 to 7, or from 0 to 15 for `dtype="uint8"`.
        axis: The axis along which pairs lie; an odd size is filled up by a 0.
        dtype: `"int8"` or `"uint8"`.

    Returns:
        The bytes; their shape; the size of `axis` before.

    Raises:
        TypeError: If the integers have another dtype.
        ValueError: If there is no such dtype or axis.

    >>> import numpy as np
    >>> packed, shape, size = pack_int4(np.array([1, -1, 2], "int8"))
    >>> packed.tolist(), shape, size
    ([-15, 2], (2,), 3)
    """
    arr = _bytes("arr", arr, dtype, (dtype,))
    axis = axis_from_front(axis, len(arr.shape))
    sizes = list(arr.shape)
    size, odd = sizes[axis], sizes[axis] % 2
    arr = ops.pad(arr, [(0, odd if at == axis else 0) for at in range(len(sizes))])
    sizes[axis : axis + 1] = [(size + odd) // 2, 2]
    low, high = ops.unstack(ops.reshape(arr, sizes), axis=axis + 1)
    four, half = (ops.convert_to_tensor(number, dtype) for number in (4, 15))
    packed = ops.bitwise_or(ops.bitwise_and(low, half), ops.left_shift(high, four))
    return packed, tuple(packed.shape), size


def unpack_int4(packed: Tensor, orig_len: int, axis: int = 0, dtype: str = "int8") -> Tensor:
    """The numbers of four bits that `pack_int4` has put in bytes.

    Args:
        packed: Integers of 8 bits.
        orig_len: How many numbers there are along `axis`.
        axis: The axis along which pairs lie.
        dtype: `"int8"` for numbers from -8 to 7, `"uint8"` for those from 0 to 15.

    Raises:
        TypeError: If `packed` has not 8 bits.
        ValueError: If there is no such dtype or axis.

    >>> import numpy as np
    >>> unpack_int4(np.array([-15, 2], "int8"), 3).tolist()
    [1, -1, 2]
    """
    packed = _bytes("packed", packed, dtype, ("int8", "uint8"))
    axis = axis_from_front(axis, len(packed.shape))
    four = ops.convert_to_tensor(4, dtype)
    # A shift to the right brings the sign of int8 along, and a 0 into uint8.
    packed = ops.cast(packed, dtype)
    low = ops.right_shift(ops.left_shift(packed, four), four)
    pairs = ops.stack([low, ops.right_shift(packed, four)], axis=axis + 1)
    sizes = [-1 if size is None else size for size in packed.shape]
    sizes[axis] *= 2
    return ops.reshape(pairs, sizes)[(slice(None),) * axis + (slice(orig_len),)]


def _bytes(name: str, given: Any, dtype: str, allowed: Sequence[str]) -> Tensor:
    one_of(("int8", "uint8"), dtype=dtype)
    tensor = ops.convert_to_tensor(given)
    found = standardize_dtype(tensor.dtype)
    if found not in allowed:
        raise TypeError(
            f"`{name}` must have the dtype {' or '.join(allowed)}. Received: {name}.dtype={found}. "
            "Cast it."
        )
    return tensor


def compute_float8_scale(amax: Tensor, scale: Tensor, dtype_max: float, margin: int = 0) -> Tensor:
    """What numbers are divided by, so that those of magnitude `amax` become the largest of 8 bits.

    Args:
        amax: The largest magnitude.
        scale: The scale so far: it stays where `amax` is 0 or not finite.
        dtype_max: The largest number of the dtype.
        margin: By how many powers of two numbers stay below it.

    Micikevicius et al., 2022, https://arxiv.org/abs/2209.05433.

    >>> float(compute_float8_scale(224.0, 1.0, 448.0))
    0.5
    """
    amax, scale = ops.convert_to_tensor(amax), ops.convert_to_tensor(scale)
    found = ops.divide(1.0, ops.divide(ops.divide(dtype_max, amax), 2.0**margin))
    counts = ops.logical_and(ops.greater(amax, 0.0), ops.isfinite(amax))
    return ops.where(counts, found, scale)


def compute_float8_amax_history(x: Tensor, amax_history: Tensor) -> Tensor:
    """The last largest magnitudes, that of `x` the first of them in place of the oldest.

    Args:
        x: Numbers of any shape.
        amax_history: Of shape `(steps,)`; the second is the oldest.

    >>> import numpy as np
    >>> compute_float8_amax_history(np.array([-4.0]), np.array([1.0, 2.0, 3.0])).tolist()
    [4.0, 3.0, 1.0]
    """
    found = ops.cast(ops.max(ops.abs(x)), amax_history.dtype)
    return ops.concatenate([found[None], ops.roll(amax_history, -1)[1:]])


def quantize_and_dequantize(
    inputs: Tensor, scale: Tensor, quantized_dtype: Any, compute_dtype: Any
) -> Tensor:
    """The numbers that are left of `inputs` in floats of 8 bits, times `scale`.

    Args:
        inputs: Numbers of any shape.
        scale: What they are divided by before, and times after.
        quantized_dtype: `"float8_e4m3fn"` or `"float8_e5m2"`; beyond its largest number there is none.
        compute_dtype: The dtype of the result.

    >>> quantize_and_dequantize([0.3, 1000.0], 1.0, "float8_e4m3fn", "float32").tolist()
    [0.3125, 448.0]
    """
    largest = largest_finite(quantized_dtype)
    scale = ops.cast(scale, compute_dtype)
    x = ops.clip(ops.divide(inputs, scale), -largest, largest)
    return ops.multiply(ops.cast(ops.cast(x, quantized_dtype), compute_dtype), scale)
