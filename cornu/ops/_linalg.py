"""Ops of linear algebra, on stacks of matrices `(..., m, n)`.

Numbers of 16 bits and integers are computed in 32 bits: no library factorizes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.checks import one_of
from ..core.dtypes import is_complex, numpy_dtype
from ..core.op import floating, namespace
from ..core.types import Axis, Nest, Tensor
from ..engines import current as engine
from ._bodies import axis_from_front, constant, expand, move_axis, root
from ._core import _check_callable, _tensors
from ._math import check_square, diagonal_of, single

op = namespace("linalg")


@op(promote=single)
def cholesky(x: Tensor, upper: bool = False) -> Tensor:
    """The triangular factor of positive definite matrices: x = L L^H.

    Args:
        x: `(..., n, n)`.
        upper: Whether L^H is given instead of L.

    >>> cholesky([[4.0, 0.0], [0.0, 9.0]]).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    check_square("cholesky", x)
    factor = engine().cholesky(x)
    return adjoint(factor) if upper else factor


@op(promote=single)
def cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor:
    """The inverse of a matrix of which the Cholesky factor is given.

    Args:
        x: The triangular factor, `(..., n, n)`.
        upper: Whether it is the upper one.

    >>> cholesky_inverse([[2.0, 0.0], [0.0, 1.0]]).tolist()
    [[0.25, 0.0], [0.0, 1.0]]
    """
    check_square("cholesky_inverse", x)
    lower = adjoint(x) if upper else x
    inverse = engine().solve_triangular(lower, _identity_like(lower), True)
    return engine().matmul(adjoint(inverse), inverse)


@op(promote=single)
def det(x: Tensor) -> Tensor:
    """Determinants of square matrices `(..., n, n)`.

    >>> float(det([[2.0, 0.0], [0.0, 3.0]]))
    6.0
    """
    check_square("det", x)
    factors, pivots = engine().lu_factor(x)
    last = len(engine().shape_of(pivots)) - 1
    places = engine().arange(0, engine().shape_of(pivots)[last], 1, "int32")
    swapped = engine().cast(engine().not_equal(pivots, places), "int32")
    swaps = engine().sum(swapped, (last,), False)
    odd = engine().equal(engine().mod(swaps, constant(2, swaps)), constant(1, swaps))
    product = engine().prod(diagonal_of(factors), (last,), False)
    return engine().where(odd, engine().negative(product), product)


@op(promote=single)
def eig(x: Tensor) -> tuple[Tensor, Tensor]:
    """Complex eigenvalues `(..., n)` and eigenvectors `(..., n, n)`, as columns.

    >>> values, vectors = eig([[2.0, 0.0], [0.0, 2.0]])
    >>> values.tolist()
    [(2+0j), (2+0j)]
    """
    check_square("eig", x)
    return engine().eig(x)


@op(promote=single)
def eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues `(..., n)`, ascending, and eigenvectors `(..., n, n)` of Hermitian matrices.

    >>> values, vectors = eigh([[2.0, 0.0], [0.0, 1.0]])
    >>> values.tolist()
    [1.0, 2.0]
    """
    check_square("eigh", x)
    return engine().eigh(x)


@op(promote=single)
def inv(x: Tensor) -> Tensor:
    """Inverses of square matrices `(..., n, n)`.

    >>> inv([[2.0, 0.0], [0.0, 4.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    check_square("inv", x)
    return engine().solve(x, _identity_like(x))


@op(promote=single)
def lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    """LU factors in one matrix `(..., m, n)`, and the int32 pivots: the row that each was swapped
    with.

    >>> factors, pivots = lu_factor([[2.0, 0.0], [0.0, 4.0]])
    >>> pivots.tolist()
    [0, 1]
    """
    _check_matrix("lu_factor", x)
    return engine().lu_factor(x)


@op(promote=floating)
def norm(x: Tensor, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Norms of vectors or matrices.

    Args:
        x: A tensor.
        ord: Of vectors a number, `inf` or `-inf`; of matrices 1, -1, 2, -2, `inf`, `-inf`, `"fro"`
            or `"nuc"`. By default the root of the sum of squares.
        axis: The axis of the vectors, or the two axes of the matrices; all axes by default, of a
            tensor of rank 2 at most where `ord` is given.
        keepdims: Whether the axes stay, with size 1.

    >>> float(norm([3.0, 4.0])), float(norm([[1.0, -7.0]], ord=1, axis=-1)[0])
    (5.0, 8.0)
    """
    rank = len(engine().shape_of(x))
    axes = _norm_axes(ord, axis, rank)
    if ord is None:
        return _root_of_squares(x, tuple(sorted(axes)), keepdims)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError(
        "A norm of this order is one of vectors or matrices. "
        f"Received: ord={ord!r}, axis={axis}, x of rank {rank}. Give one or two axes."
    )


@op(promote=single)
def pinv(x: Tensor, rcond: float | None = None) -> Tensor:
    """Moore-Penrose inverses `(..., n, m)` of matrices `(..., m, n)`.

    Args:
        x: The matrices.
        rcond: Singular values below this part of the largest count as 0; by default
            10 max(m, n) times the dtype's epsilon.

    >>> [[round(float(y), 4) for y in row] for row in pinv([[2.0, 0.0], [0.0, 4.0]])]
    [[0.5, 0.0], [0.0, 0.25]]
    """
    _check_matrix("pinv", x)
    u, s, vh = engine().svd(x, False)
    rcond = 10 * _longest_side(x) * _epsilon(x) if rcond is None else rcond
    last = len(engine().shape_of(s)) - 1
    inverse = _inverse_above(s, rcond, engine().max(s, (last,), True))
    scaled = engine().multiply(adjoint(vh), engine().cast(expand(inverse, last), _dtype(x)))
    return engine().matmul(scaled, adjoint(u))


@op(promote=single)
def qr(x: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Orthogonal and upper triangular factors.

    Args:
        x: `(..., m, n)`.
        mode: `"reduced"`: factors `(..., m, k)` and `(..., k, n)`, where k is the smaller of m and
            n; `"complete"`: `(..., m, m)` and `(..., m, n)`.

    >>> q, r = qr([[2.0, 0.0], [0.0, 4.0]])
    >>> abs(r).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    one_of(("reduced", "complete"), mode=mode)
    _check_matrix("qr", x)
    return engine().qr(x, mode)


@op(promote=single)
def solve(a: Tensor, b: Tensor) -> Tensor:
    """x of a x = b.

    Args:
        a: Square matrices `(..., n, n)`.
        b: `(..., n, k)`, or `(..., n)`: the shape of a without its last axis, or `(n,)`.

    >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0]).tolist()
    [1.0, 1.0]
    """
    return _solved("solve", a, b, engine().solve)


@op(promote=single)
def solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Tensor:
    """x of a x = b for triangular a; what lies in its other half is not read.

    Args:
        a: Triangular matrices `(..., n, n)`.
        b: `(..., n, k)`, or `(..., n)`: the shape of a without its last axis, or `(n,)`.
        lower: Whether a is lower triangular.

    >>> solve_triangular([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0]).tolist()
    [1.0, 1.0]
    """
    return _solved("solve_triangular", a, b, lambda a, b: engine().solve_triangular(a, b, lower))


@op(promote=single)
def svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Singular value decomposition: x = u s vh.

    Args:
        x: `(..., m, n)`; k below is the smaller of m and n.
        full_matrices: Whether u is `(..., m, m)` and vh `(..., n, n)`, or only `(..., m, k)` and
            `(..., k, n)`.
        compute_uv: Whether u and vh are given, or only s.

    Returns:
        u, the singular values s `(..., k)` in descending order, vh; or s.

    >>> svd([[2.0, 0.0], [0.0, 4.0]], compute_uv=False).tolist()
    [4.0, 2.0]
    """
    _check_matrix("svd", x)
    u, s, vh = engine().svd(x, full_matrices and compute_uv)
    return (u, s, vh) if compute_uv else s


@op(promote=single)
def lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> Tensor:
    """x that makes a x closest to b in least squares; of several the shortest.

    Args:
        a: `(m, n)`.
        b: `(m,)` or `(m, k)`.
        rcond: Singular values below this part of the largest count as 0; by default max(m, n) times
            the dtype's epsilon.

    >>> [round(float(y), 4) for y in lstsq([[1.0], [1.0]], [1.0, 3.0])]
    [2.0]
    """
    a_dims, b_dims = engine().shape_of(a), engine().shape_of(b)
    if len(a_dims) != 2 or len(b_dims) not in (1, 2) or _differ(a_dims[0], b_dims[0]):
        raise ValueError(
            "`lstsq` takes a of shape (m, n) and b of shape (m,) or (m, k). "
            f"Received: a.shape={a_dims}, b.shape={b_dims}."
        )
    columns = b if len(b_dims) == 2 else expand(b, 1)
    u, s, vh = engine().svd(a, False)
    rcond = _longest_side(a) * _epsilon(a) if rcond is None or rcond < 0 else rcond
    inverse = _inverse_above(s, rcond, engine().max(s, (0,), True))
    scaled = engine().multiply(
        engine().matmul(adjoint(u), columns), engine().cast(expand(inverse, 1), _dtype(a))
    )
    result = engine().matmul(adjoint(vh), scaled)
    return result if len(b_dims) == 2 else engine().reshape(result, (a_dims[1],))


@op(promote=single)
def matrix_rank(x: Tensor, tol: float | None = None) -> Tensor:
    """How many singular values are not 0, int32.

    Args:
        x: `(..., m, n)`.
        tol: Below this they count as 0; by default max(m, n) times the dtype's epsilon times the
            largest.

    >>> int(matrix_rank([[1.0, 1.0], [1.0, 1.0]]))
    1
    """
    _check_matrix("matrix_rank", x)
    _, s, _ = engine().svd(x, False)
    last = len(engine().shape_of(s)) - 1
    if tol is None:
        largest = engine().max(s, (last,), True)
        least = engine().multiply(largest, constant(_longest_side(x) * _epsilon(x), s))
    else:
        least = constant(tol, s)
    above = engine().cast(engine().greater(s, least), "int32")
    return engine().sum(above, (last,), False)


@op(compose=False, called=("fun",))
def jvp(
    fun: Callable[..., Any], primals: Nest, tangents: Nest, has_aux: bool = False
) -> tuple[Any, ...]:
    """A function's result and its derivative along a direction.

    Args:
        fun: A function of tensors; with `has_aux` it gives a pair `(result, anything)`.
        primals: A tuple or list of its arguments.
        tangents: The direction, with the arguments' structure, shapes and dtypes.
        has_aux: Whether the function gives a pair.

    Returns:
        `(result, derivative)`, with `has_aux` `(result, derivative, anything)`.

    >>> import numpy as np
    >>> value, slope = jvp(lambda x: x * x, (np.float32(3),), (np.float32(1),))
    >>> float(value), float(slope)
    (9.0, 6.0)
    """
    _check_callable(fun=fun)
    primals, tangents = _tensors(tuple(primals)), _tensors(tuple(tangents))
    if not has_aux:
        return engine().jvp(lambda *args: _tensors(fun(*args)), primals, tangents)
    # What the function gives beside comes out of its first call, for every engine alike.
    (result, aux), (derivative, _) = engine().jvp(
        lambda *args: _tensors(fun(*args)), primals, tangents
    )
    return result, derivative, aux


# ----------------------------------------------------------------------- norms


def _norm_axes(ord: Any, axis: Axis, rank: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(rank))
    if isinstance(axis, int):
        return (axis_from_front(axis, rank),)
    axes = tuple(axis_from_front(one, rank) for one in axis)
    if len(axes) not in (1, 2) or len(set(axes)) < len(axes):
        raise ValueError(f"`axis` must be one axis or two. Received: axis={axis}, ord={ord!r}.")
    return axes


def _root_of_squares(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    size = engine().abs(x) if is_complex(engine().dtype_of(x)) else x
    return root(engine().sum(engine().multiply(size, size), axes, keepdims), engine().sqrt)


def _vector_norm(x: Tensor, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if ord == 2:
        return _root_of_squares(x, axes, keepdims)
    if isinstance(ord, str):
        raise ValueError(
            f"The order of a vector's norm is a number. Received: ord={ord!r}, axis={axes[0]}."
        )
    size = engine().abs(x)
    if ord == math.inf:
        return engine().max(size, axes, keepdims)
    if ord == -math.inf:
        return engine().min(size, axes, keepdims)
    if ord == 0:
        nonzero = engine().not_equal(size, constant(0, size))
        return engine().sum(engine().cast(nonzero, engine().dtype_of(size)), axes, keepdims)
    if ord == 1:
        return engine().sum(size, axes, keepdims)
    total = engine().sum(engine().power(size, constant(ord, size)), axes, keepdims)
    exponent = constant(1 / ord, size)
    if ord < 0:
        return engine().power(total, exponent)
    return root(total, lambda total: engine().power(total, exponent))


def _matrix_norm(x: Tensor, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if ord == "fro":
        return _root_of_squares(x, axes, keepdims)
    rows, columns = axes
    reduce = engine().max if ord in (1, 2, math.inf) else engine().min
    if ord in (1, -1, math.inf, -math.inf):
        inner, outer = axes if abs(ord) == 1 else (columns, rows)
        sums = engine().sum(engine().abs(x), (inner,), True)
        result = reduce(sums, (outer,), True)
    elif ord in (2, -2, "nuc"):
        rank = len(engine().shape_of(x))
        moved = move_axis(x, columns, rank - 1)
        moved = move_axis(moved, rows - (columns < rows), rank - 2)
        _, s, _ = engine().svd(moved, False)
        reduce = engine().sum if ord == "nuc" else reduce
        result = reduce(s, (rank - 2,), False)
        for axis in sorted(axes):
            result = expand(result, axis)
    else:
        raise ValueError(
            "The order of a matrix norm must be 1, -1, 2, -2, inf, -inf, 'fro' or 'nuc'. "
            f"Received: ord={ord!r}."
        )
    if keepdims:
        return result
    dims = engine().shape_of(result)
    return engine().reshape(result, tuple(d for i, d in enumerate(dims) if i not in axes))


# ----------------------------------------------------------------------- helpers


def adjoint(x: Tensor) -> Tensor:
    """Matrices transposed, and conjugated where they are complex."""
    rank = len(engine().shape_of(x))
    swapped = engine().transpose(x, (*range(rank - 2), rank - 1, rank - 2))
    return engine().conj(swapped) if is_complex(engine().dtype_of(x)) else swapped


def _identity_like(x: Tensor) -> Tensor:
    """Identity matrices of the shape and dtype of square ones."""
    dims = engine().shape_of(x)
    places = engine().arange(0, dims[-1], 1, "int32")
    identity = engine().cast(engine().equal(expand(places, 1), places), engine().dtype_of(x))
    return engine().broadcast_to(identity, dims)


def _solved(name: str, a: Tensor, b: Tensor, solver: Callable[..., Tensor]) -> Tensor:
    check_square(name, a)
    a_dims, b_dims = engine().shape_of(a), engine().shape_of(b)
    is_vector = len(b_dims) == 1 or (
        len(b_dims) == len(a_dims) - 1 and not any(map(_differ, b_dims, a_dims))
    )
    if not is_vector and len(b_dims) < 2:
        raise ValueError(
            f"`{name}` takes b of shape (..., n, k) or (..., n). "
            f"Received: a.shape={a_dims}, b.shape={b_dims}."
        )
    rows = b_dims[-1] if is_vector else b_dims[-2]
    if _differ(rows, a_dims[-1]):
        raise ValueError(
            f"b must have as many rows as a in `{name}`. "
            f"Received: a.shape={a_dims}, b.shape={b_dims}."
        )
    result = solver(a, expand(b, len(b_dims)) if is_vector else b)
    if not is_vector:
        return result
    return engine().reshape(result, engine().shape_of(result)[:-1])


def _inverse_above(s: Tensor, rcond: float, largest: Tensor) -> Tensor:
    """1 / s where s is above a part of the largest, else 0."""
    above = engine().greater(s, engine().multiply(largest, constant(rcond, s)))
    one = constant(1, s)
    inverse = engine().divide(one, engine().where(above, s, one))
    return engine().where(above, inverse, constant(0, s))


def _dtype(x: Tensor) -> str:
    return engine().dtype_of(x)


def _epsilon(x: Tensor) -> float:
    return float(np.finfo(numpy_dtype(_dtype(x))).eps)


def _longest_side(x: Tensor) -> int:
    """The larger of the two sizes; 1 where they are unknown, and only shapes are asked for."""
    sizes = [size for size in engine().shape_of(x)[-2:] if isinstance(size, int)]
    return max(sizes, default=1)


def _differ(left: Any, right: Any) -> bool:
    return isinstance(left, int) and isinstance(right, int) and left != right


def _check_matrix(name: str, x: Tensor) -> None:
    dims = engine().shape_of(x)
    if len(dims) < 2:
        raise ValueError(f"`{name}` takes matrices (..., m, n). Received: shape {dims}.")
