"""How nodes that move numbers are read: shapes, slices, indices, of sizes that may be open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import ops
from ...core.keras_tensor import KerasTensor
from ...engines.spec import Dimension
from ._file import Weight
from ._reader import Filled, Reader, Unreadable, dtype_of, known_op, reads

#: What stands for "to the end" in slices.
_END = 1 << 31


@reads("Shape", tensors=0)
def shape(at: Reader, x: Any, start: int = 0, end: int | None = None) -> Any:
    sizes = list(at.dims(x))[start:end]
    is_open = any(isinstance(size, Dimension) for size in sizes)
    return np.array(sizes, object if is_open else "int64")


@reads("Size", tensors=0)
def size(at: Reader, x: Any) -> Any:
    total = np.asarray(math.prod(at.dims(x)))
    return total if total.dtype == object else total.astype("int64")


@reads("Reshape", tensors=1, moves=True, on_sizes=lambda x, shape: x.reshape(shape.astype("int64")))
def reshape(at: Reader, x: Any, shape: Any, allowzero: int = 0) -> Any:
    dims, wanted = at.dims(x), at.sizes(shape)
    for k, size in enumerate(wanted):
        if _is(size, 0) and not allowzero:
            wanted[k] = dims[k]
    for k, size in enumerate(wanted):
        if _is(size, -1):
            wanted[k] = _rest(dims, wanted[:k] + wanted[k + 1 :])
    return reshaped(x, dims, wanted)


def _is(size: Any, value: int) -> bool:
    return not isinstance(size, Dimension) and size == value


def _rest(dims: Sequence[Any], sizes: Sequence[Any]) -> Any:
    """What is left of dimensions for the size -1: an exact quotient."""
    above, below = list(dims), list(sizes)
    for size in sizes:  # equal ones need no arithmetic
        if size in above:
            above.remove(size)
            below.remove(size)
    divisor = math.prod(below)
    return 0 if _is(divisor, 0) else math.prod(above) // divisor


def reshaped(x: Any, dims: Sequence[Any], wanted: Sequence[Any]) -> Any:
    """A tensor in another shape, of which any sizes may be open."""
    if list(dims) == list(wanted):
        return x
    if sum(isinstance(size, Dimension) for size in wanted) < 2:
        return ops.reshape(x, [-1 if isinstance(size, Dimension) else size for size in wanted])
    groups, names = _groups(dims, wanted), iter("abcdefghijklmnopqrstuvwxyz")
    before = [[next(names) for _ in old] for old, _ in groups]
    after = [
        old if sizes == wanted else [next(names) for _ in wanted]
        for old, (sizes, wanted) in zip(before, groups, strict=True)
    ]
    known = {
        name: size
        for kept, new, (_, sizes) in zip(before, after, groups, strict=True)
        for name, size in zip(new, sizes, strict=True)
        if new is not kept and not isinstance(size, Dimension)
    }
    # By way of one axis for each group.
    same = [new is old for old, new in zip(before, after, strict=True)]
    x = _rearranged(x, _apart(before), _joined(before, same))
    return _rearranged(x, _joined(after, same), _apart(after), **known)


def _rearranged(x: Any, before: str, after: str, **sizes: int) -> Any:
    return x if before == after else ops.rearrange(x, f"{before} -> {after}", **sizes)


def _apart(groups: Sequence[Sequence[str]]) -> str:
    return " ".join(name for group in groups for name in group)


def _joined(groups: Sequence[Sequence[str]], same: Sequence[bool]) -> str:
    """Each group as one axis, but for those that stay as they are."""
    texts = (
        " ".join(group) if kept or len(group) == 1 else f"({' '.join(group)})"
        for group, kept in zip(groups, same, strict=True)
    )
    return " ".join(texts)


def _groups(dims: Sequence[Any], wanted: Sequence[Any]) -> list[tuple[list[Any], list[Any]]]:
    """Axes before and after that have as many elements, as few in a group as can be."""
    groups, start, to = [], 0, 0
    while start < len(dims) or to < len(wanted):
        ends = sorted(
            ((i, j) for i in range(start, len(dims) + 1) for j in range(to, len(wanted) + 1)),
            key=sum,
        )
        for i, j in ends[1:]:
            before, after = list(dims[start:i]), list(wanted[to:j])
            if math.prod(before) == math.prod(after):
                break
        else:
            raise Unreadable(f"the shape {list(wanted)} for {list(dims)}")
        if sum(isinstance(size, Dimension) for size in after) > 1 and before != after:
            raise Unreadable(f"the shape {list(wanted)} for {list(dims)}")
        groups.append((before, after))
        start, to = i, j
    return groups


@reads("Flatten", moves=True)
def flatten(at: Reader, x: Any, axis: int = 1) -> Any:
    dims = at.dims(x)
    axis = axis % len(dims) if axis < 0 else axis
    return reshaped(x, dims, [math.prod(dims[:axis]), math.prod(dims[axis:])])


@reads("Transpose", moves=True)
def transpose(at: Reader, x: Any, perm: Any = None) -> Any:
    return ops.transpose(x, perm)


def _along(axes: Any) -> Any:
    return None if axes is None else tuple(int(k) for k in np.reshape(axes, -1))


@reads("Squeeze", tensors=1, moves=True, on_sizes=lambda x, axes=None: np.squeeze(x, _along(axes)))
def squeeze(at: Reader, x: Any, axes: Any = None) -> Any:
    return ops.squeeze(x, None if axes is None else tuple(at.integers(axes, "axes")))


@reads("Unsqueeze", tensors=1, moves=True, on_sizes=lambda x, axes: np.expand_dims(x, _along(axes)))
def unsqueeze(at: Reader, x: Any, axes: Any) -> Any:
    return ops.expand_dims(x, tuple(at.integers(axes, "axes")))


@reads("Concat", moves=True, on_sizes=lambda *xs, axis: np.concatenate(xs, axis))
def concatenate(at: Reader, *operands: Any, axis: int) -> Any:
    return ops.concatenate(list(operands), axis)


@reads("Split", tensors=1, moves=True)
def split(
    at: Reader, x: Any, split: Any = None, axis: int = 0, num_outputs: int | None = None
) -> Any:
    count = len(at.node.outputs)
    if split is not None:
        sizes = at.integers(split, "sizes")
    elif x.shape[axis] is None:
        raise Unreadable("equal parts of an open size")
    else:
        whole = -(-x.shape[axis] // count)
        sizes = [min(whole, x.shape[axis] - k * whole) for k in range(count)]
    ends = [int(end) for end in np.cumsum(sizes)[:-1]]
    return ops.split(x, ends, axis) if len(sizes) > 1 else [x]


@reads(
    "Slice",
    tensors=1,
    moves=True,
    on_sizes=lambda x, *where, **more: x[_key(x.ndim, *where, **more)],
)
def slice_(at: Reader, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    dims = at.dims(x)
    key = list(_key(len(dims), starts, ends, axes, steps))
    for axis, part in enumerate(key):
        if isinstance(part.stop, Dimension):
            if part.stop != dims[axis] and part.start in (0, None):
                x = ops.take(x, _range(at, part.stop), axis)
                key[axis] = slice(None, None, part.step)
            else:
                key[axis] = slice(part.start, None, part.step)
    if any(isinstance(part.start, Dimension) or isinstance(part.step, Dimension) for part in key):
        raise Unreadable("a slice from where it computes when it runs")
    return x if all(part == slice(None) for part in key) else x[tuple(key)]


def _key(
    rank: int, starts: Any, ends: Any, axes: Any = None, steps: Any = None
) -> tuple[slice, ...]:
    """A slice of each axis."""
    key = [slice(None)] * rank
    given = [_values(part) for part in (starts, ends)]
    count = len(given[0])
    along = list(range(count)) if axes is None else [int(k) for k in _values(axes)]
    strides = [1] * count if steps is None else _values(steps)
    for axis, start, end, step in zip(along, *given, strides, strict=True):
        first = None if _is(start, 0) and step > 0 else _bound(start)
        key[axis] = slice(first, _bound(end), None if step == 1 else step)
    return tuple(key)


def _values(x: Any) -> list[Any]:
    if isinstance(x, (KerasTensor, Weight, Filled)):
        raise Unreadable("a slice from where it computes when it runs")
    return [size if isinstance(size, Dimension) else int(size) for size in np.reshape(x, -1)]


def _bound(end: Any) -> Any:
    """A bound of a slice; None where it lies at the end, or before the start."""
    return None if not isinstance(end, Dimension) and abs(end) >= _END - 1 else end


def _range(at: Reader, size: Any) -> Any:
    """The integers below an open size."""
    return ops.subtract(ops.cast(ops.cumsum(at.ones(size)), "int64"), np.asarray(1, "int64"))


@reads("Expand", tensors=0)
def expand(at: Reader, x: Any, shape: Any) -> Any:
    dims, sizes = list(at.dims(x)), at.sizes(shape)
    rank = max(len(dims), len(sizes))
    dims, sizes = ([1] * (rank - len(part)) + part for part in (dims, sizes))
    wanted = [d if _is(s, 1) else s for d, s in zip(dims, sizes, strict=True)]
    if isinstance(x, Filled):
        return Filled(x.value, tuple(wanted))
    if not any(isinstance(size, Dimension) for size in wanted):
        at.bounded(math.prod(wanted) if isinstance(x, np.ndarray) else 0)
        return known_op(ops.broadcast_to, at.tensor(x), wanted)
    if isinstance(x, np.ndarray) and x.size == 1:
        return Filled(x, tuple(wanted))
    x, repeats = at.tensor(x), [1 if d == s else s for d, s in zip(dims, wanted, strict=True)]
    if all(_is(size, 1) for size in repeats) and len(at.dims(x)) == rank:
        return x
    ones = at.filled(np.ones((), dtype_of(x)), repeats)
    return (ops.logical_and if dtype_of(x) == "bool" else ops.multiply)(x, ones)


@reads("ConstantOfShape", tensors=0)
def constant_of_shape(at: Reader, shape: Any, value: Any = None) -> Any:
    return expand(at, np.zeros((), "float32") if value is None else value, shape)


@reads("Constant", tensors=0)
def constant(
    at: Reader, value: Any = None, value_float: Any = None, value_floats: Any = None,
    value_int: Any = None, value_ints: Any = None, value_string: Any = None, value_strings: Any = None,
) -> Any:  # fmt: skip
    dtypes = {"value_f": "float32", "value_i": "int64", "value_s": "str"}
    ((name, given),) = at.node.attributes.items()
    return given if name == "value" else np.asarray(given, dtypes[name[:7]])


@reads("Range", tensors=0)
def range_(at: Reader, start: Any, limit: Any, delta: Any) -> Any:
    first, step = (at.array(part, "ranges").reshape(()) for part in (start, delta))
    if isinstance(limit, np.ndarray) and limit.dtype == object:
        if step != 1 or first != 0:
            raise Unreadable("a range to an open size that does not count from 0")
        return _range(at, limit.reshape(-1)[0])
    ends: Any = (first.item(), at.array(limit, "ranges").item(), step.item())
    at.bounded(math.ceil((ends[1] - ends[0]) / ends[2]))
    return np.arange(*ends, dtype=first.dtype)


@reads("Tile", tensors=1)
def tile(at: Reader, x: Any, repeats: Any) -> Any:
    times = at.integers(repeats, "repeats")
    at.bounded(math.prod(times) * x.size if isinstance(x, np.ndarray) else 0)
    return ops.tile(x, times)


@reads("Pad", tensors=1)
def pad(
    at: Reader, x: Any, pads: Any, value: Any = 0.0, axes: Any = None, mode: str = "constant"
) -> Any:
    rank, sizes = len(x.shape), at.integers(pads, "sizes")
    along = range(rank) if axes is None else [k % rank for k in at.integers(axes, "axes")]
    widths = dict.fromkeys(range(rank), (0, 0))
    widths |= dict(zip(along, zip(sizes, sizes[len(along) :], strict=False), strict=True))
    if isinstance(x, np.ndarray):
        at.bounded(math.prod(n + sum(widths[axis]) for axis, n in enumerate(x.shape)))
    if min(sizes) < 0:  # cuts off
        x = x[tuple(slice(max(0, -low), -max(0, -high) or None) for low, high in widths.values())]
    around = [(max(0, low), max(0, high)) for low, high in widths.values()]
    if mode != "constant":
        return ops.pad(x, around, mode)
    number = at.array(0.0 if value is None else value, "values").item()
    return ops.pad(x, around, constant_values=number)


@reads("Trilu", tensors=1)
def triangle(at: Reader, x: Any, k: Any = 0, upper: int = 1) -> Any:
    (offset,) = at.integers(0 if k is None else k, "diagonals")
    return (ops.triu if upper else ops.tril)(x, offset)


@reads("DepthToSpace")
def depth_to_space(at: Reader, x: Any, blocksize: int, mode: str = "DCR") -> Any:
    names = "p q c" if mode == "DCR" else "c p q"
    pattern = f"b ({names}) h w -> b c (h p) (w q)"
    return ops.rearrange(x, pattern, p=blocksize, q=blocksize)


@reads("SpaceToDepth")
def space_to_depth(at: Reader, x: Any, blocksize: int) -> Any:
    return ops.rearrange(x, "b c (h p) (w q) -> b (p q c) h w", p=blocksize, q=blocksize)


# -------------------------------------------------------------------- indices


@reads("GatherElements")
def gather_elements(at: Reader, x: Any, indices: Any, axis: int = 0) -> Any:
    key = [
        slice(0, n if n != size else None) for n, size in zip(indices.shape, x.shape, strict=True)
    ]
    key[axis] = slice(0, None)
    x = x if all(part == slice(0, None) for part in key) else x[tuple(key)]
    return ops.take_along_axis(x, indices, axis)


@reads("GatherND")
def gather_nd(at: Reader, x: Any, indices: Any) -> Any:
    return x[tuple(indices[..., k] for k in range(indices.shape[-1]))]


@reads("ScatterND")
def scatter_nd(at: Reader, x: Any, indices: Any, updates: Any, reduction: str = "none") -> Any:
    return ops.scatter_update(x, indices, updates, None if reduction == "none" else reduction)


@reads("OneHot", tensors=1)
def one_hot(at: Reader, indices: Any, depth: Any, values: Any, axis: int = -1) -> Any:
    (count,) = at.integers(depth, "depths")
    off, on = at.array(values, "values")
    at.bounded(indices.size * count if isinstance(indices, np.ndarray) else 0)
    from_end = ops.add(indices, np.asarray(count, dtype_of(indices)))
    found = ops.one_hot(ops.where(ops.less(indices, 0), from_end, indices), count, axis, "bool")
    return ops.where(found, on, off)


@reads("NonZero", tensors=0)
def places(at: Reader, x: Any) -> Any:
    return np.stack(np.nonzero(at.array(x, "numbers, which say how large the result is,")))


@reads("ReverseSequence", tensors=1)
def reverse_sequence(
    at: Reader, x: Any, lengths: Any, batch_axis: int = 1, time_axis: int = 0
) -> Any:
    if not at.are_all(lengths, at.dims(x)[time_axis]):
        raise Unreadable("it where sequences have lengths of their own")
    return ops.flip(x, time_axis)
