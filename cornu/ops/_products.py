"""Ops that multiply and sum: products of vectors, matrices and tensors, differences, integrals."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..core import tree
from ..core.checks import one_of
from ..core.dtypes import is_complex, result_type
from ..core.op import floating, namespace
from ..core.types import Axis, Raw, Tensor
from ..engines import current as engine
from ._bodies import axis_from_front, constant, expand, move_axis, rank_of, size_along
from ._core import vectorized_map
from ._elementwise import conj, imag, numbers, real
from ._indexing import diagonal
from ._math import check_square
from ._reductions import sum as sum_
from ._shapes import broadcast_to, ravel, reshape, slice_axis, static_shape

op = namespace("numpy")


def matrix_product(types: tuple[Any, ...]) -> str:
    """Promotion rule: as `common`, and products of int8 are int32, which they need to be exact."""
    if types and {*types} == {"int8"}:
        return "int32"
    return result_type(*types)


@op(promote=matrix_product)
def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """The matrix product of the last two axes; leading axes broadcast, vectors are as in NumPy.

    Args:
        x1: (..., m, k) or (k,)
        x2: (..., k, n) or (k,)

    >>> matmul([[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    for name, x in (("x1", x1), ("x2", x2)):
        if rank_of(x) == 0:
            raise ValueError(
                "`matmul` takes vectors and matrices. "
                f"Received: {name} is a scalar. Use `multiply`."
            )
    return engine().matmul(x1, x2)


@op
def dot(x1: Tensor, x2: Tensor) -> Tensor:
    """The sum over the last axis of x1 and the last but one of x2; scalars multiply.

    >>> int(dot([1, 2], [3, 4]))
    11
    """
    if rank_of(x1) == 0 or rank_of(x2) == 0:
        return engine().multiply(x1, x2)
    if rank_of(x2) <= 2:
        return engine().matmul(x1, x2)
    return _contracted(x1, x2, (rank_of(x1) - 1,), (rank_of(x2) - 2,))


@op
def inner(x1: Tensor, x2: Tensor) -> Tensor:
    """The sum over the last axes of both; scalars multiply.

    >>> int(inner([1, 2], [3, 4]))
    11
    """
    if rank_of(x1) == 0 or rank_of(x2) == 0:
        return engine().multiply(x1, x2)
    return _contracted(x1, x2, (rank_of(x1) - 1,), (rank_of(x2) - 1,))


@op
def vdot(x1: Tensor, x2: Tensor) -> Tensor:
    """The sum of the products of all elements, x1 conjugated; a scalar.

    >>> int(vdot([[1, 2]], [[3], [4]]))
    11
    """
    return engine().matmul(ravel(conj(x1)), ravel(x2))


@op
def outer(x1: Tensor, x2: Tensor) -> Tensor:
    """The products of every element of x1 with every one of x2, a matrix.

    >>> outer([1, 2], [3, 4]).tolist()
    [[3, 4], [6, 8]]
    """
    return engine().multiply(expand(ravel(x1), 1), expand(ravel(x2), 0))


@op
def tensordot(x1: Tensor, x2: Tensor, axes: Axis = 2) -> Tensor:
    """The sum of products over some axes of x1 and as many of x2.

    Args:
        axes: How many: the last of x1 and the first of x2; or two lists of axes, one of each.

    >>> tensordot([[1, 2], [3, 4]], [1, 1], axes=1).tolist()
    [3, 7]
    """
    first, second = rank_of(x1), rank_of(x2)
    if isinstance(axes, int):
        if not 0 <= axes <= min(first, second):
            raise ValueError(
                "`axes` must be a number of axes that both have, or two lists of axes. "
                f"Received: axes={axes} for ranks {first} and {second}."
            )
        return _contracted(x1, x2, tuple(range(first - axes, first)), tuple(range(axes)))
    left, right = (static_shape(part) for part in axes)  # type: ignore[union-attr]
    if len(left) != len(right):
        raise ValueError(f"`axes` must be two lists of one length. Received: axes={axes}.")
    return _contracted(
        x1,
        x2,
        tuple(axis_from_front(axis, first) for axis in left),
        tuple(axis_from_front(axis, second) for axis in right),
    )


def _contracted(x1: Tensor, x2: Tensor, left: Sequence[int], right: Sequence[int]) -> Tensor:
    """The sum of products over pairs of axes, as one product of matrices."""
    shape1, shape2 = engine().shape_of(x1), engine().shape_of(x2)
    for one, two in zip(left, right, strict=True):
        sizes = (shape1[one], shape2[two])
        if isinstance(sizes[0], int) and isinstance(sizes[1], int) and sizes[0] != sizes[1]:
            raise ValueError(
                "Axes that are summed together must have one size. "
                f"Received: x1.shape={tuple(shape1)}, x2.shape={tuple(shape2)}, axes={(one, two)}."
            )
    rows = [at for at in range(len(shape1)) if at not in left]
    columns = [at for at in range(len(shape2)) if at not in right]
    count = size_along(x1, left)
    x1 = engine().reshape(engine().transpose(x1, (*rows, *left)), (size_along(x1, rows), count))
    x2 = engine().reshape(
        engine().transpose(x2, (*right, *columns)), (count, size_along(x2, columns))
    )
    shape = (*(shape1[at] for at in rows), *(shape2[at] for at in columns))
    return engine().reshape(engine().matmul(x1, x2), shape)


@op(promote=matrix_product, named="einsum")
def _einsum(subscripts: str, *operands: Tensor) -> Tensor:
    """Einstein's summation."""
    return engine().einsum(_explicit(subscripts), list(operands))


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Tensor:
    """Sums of products of elements, by Einstein's convention.

    Args:
        subscripts: A letter for each axis of each operand, and after `->` those of the result;
            letters that are not in the result are summed over, and `...` stands for further axes.
            Without `->` the result has the letters that occur once, sorted.
        operands: As many tensors as there are terms.
        kwargs: `optimize` and `precision` are accepted, and left to the engine.

    >>> einsum("ij,j->i", [[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    unknown = set(kwargs) - {"optimize", "precision", "preferred_element_type"}
    if unknown:
        raise TypeError(f"`einsum` takes no such arguments. Received: {sorted(unknown)}.")
    return _einsum(subscripts, *operands)


def _explicit(subscripts: str) -> str:
    """The subscripts with the result's letters."""
    subscripts = subscripts.replace(" ", "")
    if "->" in subscripts:
        return subscripts
    letters = Counter(subscripts.replace("...", "").replace(",", ""))
    once = "".join(sorted(letter for letter, count in letters.items() if count == 1))
    return f"{subscripts}->{'...' if '...' in subscripts else ''}{once}"


@op
def kron(x1: Tensor, x2: Tensor) -> Tensor:
    """Kronecker's product: each element of x1 replaced by its product with x2.

    >>> kron([1, 2], [1, 1]).tolist()
    [1, 1, 2, 2]
    """
    rank = max(rank_of(x1), rank_of(x2))
    shapes = [(1,) * (rank - rank_of(x)) + tuple(engine().shape_of(x)) for x in (x1, x2)]
    pairs = list(zip(*shapes, strict=True))
    x1 = engine().reshape(x1, tuple(itertools.chain(*[(size, 1) for size, _ in pairs])))
    x2 = engine().reshape(x2, tuple(itertools.chain(*[(1, size) for _, size in pairs])))
    return engine().reshape(engine().multiply(x1, x2), tuple(one * two for one, two in pairs))


@op(promote=numbers)
def cross(
    x1: Tensor,
    x2: Tensor,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> Tensor:
    """The cross product of vectors of two or three components; of two, its third component only.

    Args:
        axisa, axisb, axisc: The axes of the components in x1, in x2 and in the result.
        axis: All three.

    >>> cross([1, 0, 0], [0, 1, 0]).tolist()
    [0, 0, 1]
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    first = move_axis(x1, axis_from_front(axisa, rank_of(x1)), rank_of(x1) - 1)
    second = move_axis(x2, axis_from_front(axisb, rank_of(x2)), rank_of(x2) - 1)
    sizes = [engine().shape_of(x)[-1] for x in (first, second)]
    if any(isinstance(size, int) and size not in (2, 3) for size in sizes):
        raise ValueError(
            "`cross` takes vectors of two or three components. "
            f"Received: x1.shape={engine().shape_of(x1)}, x2.shape={engine().shape_of(x2)}."
        )
    planar = [isinstance(size, int) and size == 2 for size in sizes]
    (a0, a1, a2), (b0, b1, b2) = (
        _components(x, flat) for x, flat in zip((first, second), planar, strict=True)
    )
    product, minus = engine().multiply, engine().subtract
    last = minus(product(a0, b1), product(a1, b0))
    if all(planar):
        return last
    result = [
        minus(product(a1, b2), product(a2, b1)),
        minus(product(a2, b0), product(a0, b2)),
        last,
    ]
    rank = rank_of(last)
    joined = engine().concatenate([expand(part, rank) for part in result], rank)
    return move_axis(joined, rank, axis_from_front(axisc, rank + 1))


def _components(x: Tensor, planar: bool) -> list[Tensor]:
    parts = [engine().get_item(x, (Ellipsis, at)) for at in range(2 if planar else 3)]
    return [*parts, engine().multiply(parts[0], constant(0, x))] if planar else parts


# --------------------------------------------------------------------- one matrix


@op
def trace(x: Raw, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of the diagonal of two axes.

    >>> int(trace([[1, 2], [3, 4]]))
    5
    """
    return sum_(diagonal(x, offset, axis1, axis2), -1)


@op(promote=floating)
def slogdet(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sign and the logarithm of the absolute value of the determinants of matrices (..., n, n).

    >>> [float(part) for part in slogdet([[1.0, 0.0], [0.0, -1.0]])]
    [-1.0, 0.0]
    """
    check_square("slogdet", x)
    if engine().dtype_of(x) in ("float16", "bfloat16"):
        raise ValueError(
            "`slogdet` takes floats of 32 or 64 bits. "
            f"Received: x.dtype={engine().dtype_of(x)}. Cast x to float32."
        )
    packed, pivots = engine().lu_factor(x)
    factors = diagonal(packed, 0, -2, -1)
    size = engine().shape_of(pivots)[-1]
    moved = engine().not_equal(pivots, engine().arange(0, size, 1, "int32"))
    swaps = engine().sum(engine().cast(moved, "int32"), (rank_of(pivots) - 1,), False)
    odd = engine().equal(engine().mod(swaps, constant(2, swaps)), constant(1, swaps))
    last = (rank_of(factors) - 1,)
    lengths = engine().abs(factors)
    if is_complex(engine().dtype_of(x)):
        signs = engine().divide(factors, engine().cast(lengths, engine().dtype_of(x)))
    else:
        signs = engine().sign(factors)
    sign = engine().prod(signs, last, False)
    sign = engine().where(odd, engine().negative(sign), sign)
    return sign, engine().sum(engine().log(lengths), last, False)


@op(promote=numbers)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Vandermonde's matrix: the powers of each element of a vector, in rows.

    Args:
        N: How many powers; as many as there are elements by default.
        increasing: Whether they begin with the power 0.

    >>> vander([2, 3], 3).tolist()
    [[4, 2, 1], [9, 3, 1]]
    """
    if rank_of(x) != 1:
        raise ValueError(f"`vander` takes a vector. Received: x.shape={engine().shape_of(x)}.")
    if N is not None and N < 0:
        raise ValueError(f"`N` must not be negative. Received: N={N}.")
    count = engine().shape_of(x)[0] if N is None else N
    powers = engine().cast(engine().arange(0, count, 1, "int32"), engine().dtype_of(x))
    if not increasing:
        powers = engine().flip(powers, (0,))
    return engine().power(expand(x, 1), expand(powers, 0))


# ------------------------------------------------------------ along an axis, signals


@op
def diff(a: Raw, n: int = 1, axis: int = -1) -> Tensor:
    """The differences of neighbours along an axis, n times.

    >>> diff([1, 4, 9]).tolist(), diff([1, 4, 9], n=2).tolist()
    ([3, 5], [2])
    """
    if n < 0:
        raise ValueError(f"`n` must not be negative. Received: n={n}.")
    if rank_of(a) == 0:
        raise ValueError("`diff` takes a tensor with axes. Received: a scalar.")
    axis = axis_from_front(axis, rank_of(a))
    for _ in range(n):
        after, before = slice_axis(a, axis, 1, None), slice_axis(a, axis, None, -1)
        differ = engine().dtype_of(a) == "bool"
        a = engine().not_equal(after, before) if differ else engine().subtract(after, before)
    return a


@op(promote=floating, constructed=("x",))
def trapezoid(y: Tensor, x: Tensor | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral along an axis, by the trapezoidal rule.

    Args:
        y: The values.
        x: Where they are, of the shape of y or a vector; `dx` apart by default.
        dx: The distance between neighbours.

    >>> float(trapezoid([1.0, 2.0, 3.0]))
    4.0
    """
    axis = axis_from_front(axis, rank_of(y))
    total = engine().add(slice_axis(y, axis, 1, None), slice_axis(y, axis, None, -1))
    if x is None:
        width = constant(dx, y)
    elif rank_of(x) == 1:
        width = diff(x)
        shape = [1] * rank_of(y)
        shape[axis] = engine().shape_of(width)[0]
        width = engine().reshape(width, tuple(shape))
    else:
        width = diff(x, axis=axis)
    area = engine().multiply(engine().multiply(total, width), constant(0.5, y))
    return engine().sum(area, (axis,), False)


@op(promote=floating)
def correlate(x1: Tensor, x2: Tensor, mode: str = "valid") -> Tensor:
    """The cross-correlation of two vectors: sums of products, x2 moved along x1.

    Args:
        mode: `valid`: where they overlap wholly; `same`: as many as the longer has elements;
            `full`: where they overlap at all.

    >>> correlate([1, 2, 3], [1, 1]).tolist()
    [3.0, 5.0]
    """
    one_of(("valid", "same", "full"), mode=mode)
    for name, x in (("x1", x1), ("x2", x2)):
        if rank_of(x) != 1:
            raise ValueError(
                f"`correlate` takes vectors. Received: {name}.shape={engine().shape_of(x)}."
            )
    if is_complex(engine().dtype_of(x1)):
        (real1, imag1), (real2, imag2) = ((real(x), imag(x)) for x in (x1, x2))
        return engine().complex(
            engine().add(correlate(real1, real2, mode), correlate(imag1, imag2, mode)),
            engine().subtract(correlate(imag1, real2, mode), correlate(real1, imag2, mode)),
        )
    sizes = engine().shape_of(x1)[0], engine().shape_of(x2)[0]
    swapped = all(isinstance(size, int) for size in sizes) and sizes[0] < sizes[1]
    if swapped:
        x1, x2 = x2, x1
    result = _correlated(x1, x2, sizes[0] if swapped else sizes[1], mode)
    return engine().flip(result, (0,)) if swapped else result


def _correlated(x: Tensor, window: Tensor, size: Any, mode: str) -> Tensor:
    """The cross-correlation with a window that is not longer, of `size` elements."""
    dtype = engine().dtype_of(x)
    wide = "float32" if dtype in ("float16", "bfloat16") else dtype
    image = engine().reshape(engine().cast(x, wide), (1, engine().shape_of(x)[0], 1))
    kernel = engine().reshape(engine().cast(window, wide), (size, 1, 1))
    pads = {"valid": (0, 0), "same": (size // 2, (size - 1) // 2), "full": (size - 1, size - 1)}
    result = engine().conv(image, kernel, (1,), (pads[mode],), (1,), 1)
    return engine().cast(engine().reshape(result, (engine().shape_of(result)[1],)), dtype)


# ------------------------------------------------------------------ any function


def vectorize(
    pyfunc: Callable[..., Any],
    *,
    excluded: Any = None,
    signature: str | None = None,
) -> Callable[..., Any]:
    """A function of single elements, or of vectors and matrices, made one of whole tensors.

    Args:
        pyfunc: A function of tensors.
        excluded: Positions and names of arguments that are given to `pyfunc` as they are.
        signature: The axes that `pyfunc` itself works on, as `(m,n),(n)->(m)`; none by default.

    Returns:
        A function whose arguments broadcast over their other axes.

    >>> vectorize(lambda x, y: x * y)([1, 2], 3).tolist()
    [3, 6]
    """
    if not callable(pyfunc):
        raise ValueError(f"`pyfunc` must be callable. Received: pyfunc={pyfunc!r}.")
    left_out = {*(excluded or ())}
    ranks = None if signature is None else _core_ranks(signature)

    def vectorized(*args: Any, **kwargs: Any) -> Any:
        mapped = [at for at in range(len(args)) if at not in left_out]
        if ranks is not None and len(ranks) != len(mapped):
            raise ValueError(
                "A vectorized function takes as many arguments as its signature says. "
                f"Received: {len(mapped)} for signature={signature!r}."
            )
        tensors = [engine().convert_to_tensor(args[at]) for at in mapped]

        def single(values: Sequence[Any]) -> Any:
            given = list(args)
            for at, value in zip(mapped, values, strict=True):
                given[at] = value
            return pyfunc(*given, **kwargs)

        return _mapped(single, tensors, ranks or [0] * len(mapped))

    return vectorized


def _core_ranks(signature: str) -> list[int]:
    """How many axes of each argument a function works on, from `(m,n),(n)->(m)`."""
    arguments = signature.replace(" ", "").partition("->")[0]
    if not re.fullmatch(r"\([\w,]*\)(,\([\w,]*\))*", arguments) or "->" not in signature:
        raise ValueError(
            "`signature` must name axes of arguments and results, such as '(m,n),(n)->(m)'. "
            f"Received: signature={signature!r}."
        )
    return [
        len([*filter(None, part.split(","))]) for part in re.findall(r"\(([\w,]*)\)", arguments)
    ]


def _mapped(function: Callable[..., Any], tensors: list[Tensor], ranks: list[int]) -> Any:
    """The function of cores mapped over the other axes, which broadcast."""
    shapes = [tuple(engine().shape_of(x)) for x in tensors]
    loops = [shape[: len(shape) - rank] for shape, rank in zip(shapes, ranks, strict=True)]
    rank = max(map(len, loops), default=0)
    if rank == 0:
        return function(tensors)
    loops = [(1,) * (rank - len(loop)) + loop for loop in loops]
    outer_shape = tuple(
        next((size for size in sizes if size != 1), 1) for sizes in zip(*loops, strict=True)
    )
    count = math.prod(outer_shape)
    flat = []
    for x, shape, core in zip(tensors, shapes, ranks, strict=True):
        inner_shape = shape[len(shape) - core :]
        full = broadcast_to(x, (*outer_shape, *inner_shape))
        flat.append(reshape(full, (count, *inner_shape)))
    result = vectorized_map(function, flat)
    return tree.map_structure(
        lambda y: reshape(y, (*outer_shape, *engine().shape_of(y)[1:])), result
    )
