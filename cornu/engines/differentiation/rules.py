"""How each primitive pulls a cotangent back: a rule has the engine, the result and the arguments.

A rule gives a function from the result's cotangent to the operand's, for each operand. What the
operand was broadcast to is summed away afterwards, so a rule needs no thought of that. Everything is
written over primitives, `g` is the cotangent, `y` the result. Sources: Giles, "Collected matrix
derivative results for forward and reverse mode algorithmic differentiation" (2008), for linear
algebra; Seeger et al., "Auto-differentiating linear algebra" (2017), for QR.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from ..contract import Axes, Pads, Tensor
from ..indexing import indexed

#: An engine of the kind `Differentiable`, which this module doesn't know.
Primitives = Any
Pull = Callable[..., Any]


class Rule(NamedTuple):
    """`pulls(engine, result, *arguments)`: a function of the cotangent for each operand, or None where
    the result is constant; `operands` are their positions among the arguments, or that of a list."""

    pulls: Callable[..., Sequence[Pull] | None]
    operands: tuple[int, ...] = (0,)
    listed: bool = False


class Placed(NamedTuple):
    """A cotangent that is `value` at `key`, of slices and index tensors, and zero elsewhere."""

    value: Tensor
    key: tuple[Any, ...]
    shape: tuple[int, ...]


RULES: dict[str, Rule] = {}
#: What runs on traced operands instead of a rule, or says `NotImplemented`.
BODIES: dict[str, Callable[..., Any]] = {}


def rule(*operands: int, listed: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Enter a rule under the function's name; by default its only operand is the first argument."""

    def enter(pulls: Callable[..., Any]) -> Callable[..., Any]:
        RULES[pulls.__name__.strip("_")] = Rule(pulls, operands or (0,), listed)
        return pulls

    return enter


def rules(operands: tuple[int, ...], **pulls: Callable[..., Any]) -> None:
    """Enter rules under the names of the arguments."""
    RULES.update({name: Rule(pull, operands) for name, pull in pulls.items()})


def body(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enter what runs on traced operands, under the function's name."""
    BODIES[function.__name__.strip("_")] = function
    return function


def is_inexact(dtype: str) -> bool:
    """Whether numbers of a dtype can be differentiated: floats and complex numbers."""
    return "float" in dtype or "complex" in dtype


# --------------------------------------------------------------------- helpers


def _like(e: Primitives, x: Tensor, value: Any) -> Tensor:
    return e.full((), value, e.dtype_of(x))


def _times(e: Primitives, x: Tensor, factor: float) -> Tensor:
    return e.multiply(x, _like(e, x, factor))


def _plus(e: Primitives, x: Tensor, term: float) -> Tensor:
    return e.add(x, _like(e, x, term))


def _over(e: Primitives, value: float, x: Tensor) -> Tensor:
    return e.divide(_like(e, x, value), x)


def _square(e: Primitives, x: Tensor) -> Tensor:
    return e.multiply(x, x)


def _zeros(e: Primitives, x: Tensor) -> Tensor:
    return e.full(e.shape_of(x), 0, e.dtype_of(x))


def _is_complex(e: Primitives, x: Tensor) -> bool:
    return "complex" in e.dtype_of(x)


def _rank(e: Primitives, x: Tensor) -> int:
    return len(e.shape_of(x))


def _swapped(e: Primitives, x: Tensor) -> Tensor:
    """Matrices transposed."""
    rank = _rank(e, x)
    return e.transpose(x, (*range(rank - 2), rank - 1, rank - 2))


def _adjoint(e: Primitives, x: Tensor) -> Tensor:
    """Matrices transposed and conjugated."""
    return e.conj(_swapped(e, x)) if _is_complex(e, x) else _swapped(e, x)


def _positions(e: Primitives, x: Tensor) -> tuple[Tensor, Tensor]:
    """The row and the column of each element of matrices."""
    rows, columns = e.shape_of(x)[-2:]
    return (
        e.reshape(e.arange(0, rows, 1, "int32"), (rows, 1)),
        e.reshape(e.arange(0, columns, 1, "int32"), (1, columns)),
    )


def _lower(e: Primitives, x: Tensor, strict: bool = False) -> Tensor:
    """Matrices without what is above the diagonal, or on it where `strict`."""
    row, column = _positions(e, x)
    kept = e.less(column, row) if strict else e.less_equal(column, row)
    return e.where(kept, x, _like(e, x, 0))


def _upper(e: Primitives, x: Tensor) -> Tensor:
    return _swapped(e, _lower(e, _swapped(e, x)))


def _identity(e: Primitives, x: Tensor) -> Tensor:
    row, column = _positions(e, x)
    return e.cast(e.equal(row, column), e.dtype_of(x))


def _diagonal(e: Primitives, x: Tensor) -> Tensor:
    """The diagonals of square matrices."""
    return e.sum(e.multiply(x, _identity(e, x)), (_rank(e, x) - 1,), False)


def _column(e: Primitives, x: Tensor) -> Tensor:
    """Vectors as matrices of one column."""
    return e.reshape(x, (*e.shape_of(x), 1))


def _row(e: Primitives, x: Tensor) -> Tensor:
    """Vectors as matrices of one row."""
    shape = e.shape_of(x)
    return e.reshape(x, (*shape[:-1], 1, shape[-1]))


def _diagonal_matrix(e: Primitives, x: Tensor) -> Tensor:
    column = _column(e, x)
    return e.multiply(column, _identity(e, e.matmul(column, _swapped(e, column))))


def _differences(e: Primitives, x: Tensor) -> Tensor:
    """1 / (x[j] - x[i]) at (i, j), and zero where that has no value."""
    difference = e.subtract(_row(e, x), _column(e, x))
    zero = e.equal(difference, _like(e, x, 0))
    inverse = _over(e, 1, e.where(zero, _like(e, x, 1), difference))
    return e.where(zero, _like(e, x, 0), inverse)


def _kept(shape: Sequence[int], axes: Axes) -> tuple[int, ...]:
    return tuple(1 if at in axes else size for at, size in enumerate(shape))


def _refuse(what: str) -> NoReturn:
    raise NotImplementedError(
        f"{what} has no gradient here. Received: a call that differentiates it. "
        "Keep it out of the differentiated function with `cornu.ops.stop_gradient`."
    )


# ------------------------------------------------------------------ in one line

rules(
    (0,),
    negative=lambda e, y, x: (e.negative,),
    real=lambda e, y, x: (lambda g: e.cast(g, e.dtype_of(x)),),
    imag=lambda e, y, x: (lambda g: _imaginary(e, g, x),),
    conj=lambda e, y, x: (e.conj,),
    cast=lambda e, y, x, dtype: _cast_back(e, x) if is_inexact(dtype) else None,
    sum=lambda e, y, x, axes, keepdims: (lambda g: _spread(e, g, x, axes),),
    mean=lambda e, y, x, axes, keepdims: (lambda g: _spread(e, g, x, axes, mean=True),),
    cumsum=lambda e, y, x, axis: (lambda g: e.flip(e.cumsum(e.flip(g, (axis,)), axis), (axis,)),),
    reshape=lambda e, y, x, shape: (lambda g: e.reshape(g, e.shape_of(x)),),
    transpose=lambda e, y, x, axes: (
        lambda g: e.transpose(g, tuple(map(axes.index, range(len(axes))))),
    ),
    broadcast_to=lambda e, y, x, shape: (lambda g: g,),
    flip=lambda e, y, x, axes: (lambda g: e.flip(g, axes),),
    take=lambda e, y, x, indices, axis: (
        lambda g: Placed(g, (slice(None),) * axis + (indices,), e.shape_of(x)),
    ),
    gather=lambda e, y, x, indices: (
        lambda g: Placed(
            g,
            tuple(e.get_item(indices, (..., at)) for at in range(e.shape_of(indices)[-1])),
            e.shape_of(x),
        ),
    ),
    slice=lambda e, y, x, start, shape: (lambda g: e.slice_update(_zeros(e, x), start, g),),
    patches=lambda e, y, x, *geometry: (lambda g: e.add_patches(g, e.shape_of(x), *geometry[:-1]),),
    add_patches=lambda e, y, x, shape, *geometry: (lambda g: e.patches(g, *geometry, 0),),
    fft=lambda e, y, x: (e.fft,),
    ifft=lambda e, y, x: (e.ifft,),
)

rules(
    (0, 1),
    add=lambda e, y, a, b: (lambda g: g, lambda g: g),
    subtract=lambda e, y, a, b: (lambda g: g, e.negative),
    multiply=lambda e, y, a, b: (lambda g: e.multiply(g, b), lambda g: e.multiply(g, a)),
    divide=lambda e, y, a, b: (
        lambda g: e.divide(g, b),
        lambda g: e.negative(e.multiply(e.divide(g, b), e.divide(a, b))),
    ),
    mod=lambda e, y, a, b: (
        lambda g: g,
        lambda g: e.negative(e.multiply(g, e.floor(e.divide(a, b)))),
    ),
    fmod=lambda e, y, a, b: (
        lambda g: g,
        lambda g: e.negative(e.multiply(g, e.trunc(e.divide(a, b)))),
    ),
    complex=lambda e, y, a, b: (
        lambda g: e.cast(e.real(g), e.dtype_of(a)),
        lambda g: e.cast(e.negative(e.imag(g)), e.dtype_of(a)),
    ),
    matmul=lambda e, y, a, b: (
        lambda g: e.matmul(g, _swapped(e, b)),
        lambda g: e.matmul(_swapped(e, a), g),
    ),
)

rules(
    (1, 2),
    where=lambda e, y, condition, a, b: (
        lambda g: e.where(condition, g, _like(e, g, 0)),
        lambda g: e.where(condition, _like(e, g, 0), g),
    ),
)

rules(
    (0, 2),
    slice_update=lambda e, y, x, start, updates: (
        lambda g: e.slice_update(g, start, _zeros(e, updates)),
        lambda g: e.slice(g, start, e.shape_of(updates)),
    ),
    scatter=lambda e, y, x, indices, updates, how: _SCATTERED[how](e, y, x, indices, updates),
)


def _imaginary(e: Primitives, g: Tensor, x: Tensor) -> Tensor:
    return e.complex(_zeros(e, g), e.negative(g)) if _is_complex(e, x) else _zeros(e, g)


def _cast_back(e: Primitives, x: Tensor) -> Sequence[Pull]:
    real = not _is_complex(e, x)
    return (lambda g: e.cast(e.real(g) if real and _is_complex(e, g) else g, e.dtype_of(x)),)


def _spread(e: Primitives, g: Tensor, x: Tensor, axes: Axes, mean: bool = False) -> Tensor:
    """What was reduced, as large as x again; divided by the number of elements of a mean."""
    shape = e.shape_of(x)
    if mean:
        g = e.divide(g, _like(e, g, math.prod([shape[axis] for axis in axes])))
    return e.broadcast_to(e.reshape(g, _kept(shape, axes)), shape)


# ----------------------------------------------------------------------- unary


def digamma(e: Primitives, x: Tensor) -> Tensor:
    """The derivative of lgamma: eight steps up by the recurrence, then the asymptotic series.

    Below 1/2 by reflection; 1e-13 (Abramowitz and Stegun, 6.3.5 to 6.3.18)."""
    low = e.less(x, _like(e, x, 0.5))
    z = e.where(low, e.subtract(_like(e, x, 1), x), x)
    steps = [_over(e, 1, _plus(e, z, k)) for k in range(8)]
    z = _plus(e, z, 8)
    w = _over(e, 1, _square(e, z))
    series = _like(e, x, 0)
    for term in (-1 / 12, 691 / 32760, -1 / 132, 1 / 240, -1 / 252, 1 / 120, -1 / 12):
        series = e.multiply(w, _plus(e, series, term))
    result = e.add(e.subtract(e.log(z), _over(e, 0.5, z)), series)
    result = e.subtract(result, functools.reduce(e.add, steps))
    angle = _times(e, e.where(low, x, _like(e, x, 0.25)), math.pi)
    reflected = e.subtract(result, e.divide(_like(e, x, math.pi), e.tan(angle)))
    return e.where(low, reflected, result)


def bessel_i1(e: Primitives, x: Tensor) -> Tensor:
    """The derivative of i0: the mean of cos(t) exp(x cos(t)) over a period.

    A mean over 128 points, which for a periodic function is exact until x is in the hundreds."""
    angles = _times(e, e.arange(0, 128, 1, e.dtype_of(x)), 2 * math.pi / 128)
    cosines = e.cos(angles)
    values = e.multiply(cosines, e.exp(e.multiply(_column(e, x), cosines)))
    return e.mean(values, (_rank(e, values) - 1,), False)


#: The derivative of each function of one number, from the engine, x and y.
SLOPES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "sqrt": lambda e, x, y: _over(e, 0.5, y),
    "rsqrt": lambda e, x, y: e.divide(_times(e, y, -0.5), x),
    "exp": lambda e, x, y: y,
    "expm1": lambda e, x, y: _plus(e, y, 1),
    "log": lambda e, x, y: _over(e, 1, x),
    "log1p": lambda e, x, y: _over(e, 1, _plus(e, x, 1)),
    "log2": lambda e, x, y: _over(e, 1 / math.log(2), x),
    "log10": lambda e, x, y: _over(e, 1 / math.log(10), x),
    "sin": lambda e, x, y: e.cos(x),
    "cos": lambda e, x, y: e.negative(e.sin(x)),
    "tan": lambda e, x, y: _plus(e, _square(e, y), 1),
    "arcsin": lambda e, x, y: _over(e, 1, e.sqrt(_plus(e, e.negative(_square(e, x)), 1))),
    "arccos": lambda e, x, y: _over(e, -1, e.sqrt(_plus(e, e.negative(_square(e, x)), 1))),
    "arctan": lambda e, x, y: _over(e, 1, _plus(e, _square(e, x), 1)),
    "sinh": lambda e, x, y: e.cosh(x),
    "cosh": lambda e, x, y: e.sinh(x),
    "tanh": lambda e, x, y: _plus(e, e.negative(_square(e, y)), 1),
    "arcsinh": lambda e, x, y: _over(e, 1, e.sqrt(_plus(e, _square(e, x), 1))),
    "arccosh": lambda e, x, y: _over(
        e, 1, e.multiply(e.sqrt(_plus(e, x, -1)), e.sqrt(_plus(e, x, 1)))
    ),
    "arctanh": lambda e, x, y: _over(e, 1, _plus(e, e.negative(_square(e, x)), 1)),
    "sigmoid": lambda e, x, y: e.subtract(y, _square(e, y)),
    "erf": lambda e, x, y: _times(e, e.exp(e.negative(_square(e, x))), 2 / math.sqrt(math.pi)),
    "erfc": lambda e, x, y: _times(e, e.exp(e.negative(_square(e, x))), -2 / math.sqrt(math.pi)),
    "erfinv": lambda e, x, y: _times(e, e.exp(_square(e, y)), math.sqrt(math.pi) / 2),
    "lgamma": lambda e, x, y: digamma(e, x),
    "i0": lambda e, x, y: bessel_i1(e, x),
}


def _by_slope(slope: Callable[[Any, Any, Any], Any]) -> Callable[..., Sequence[Pull]]:
    return lambda e, y, x: (lambda g: e.multiply(g, slope(e, x, y)),)


rules((0,), **{name: _by_slope(slope) for name, slope in SLOPES.items()})


@rule()
def _abs(e: Primitives, y: Tensor, x: Tensor) -> Sequence[Pull]:
    if not _is_complex(e, x):
        return (lambda g: e.multiply(g, e.sign(x)),)

    def pull(g: Tensor) -> Tensor:
        share = e.divide(g, e.where(e.equal(y, _like(e, y, 0)), _like(e, y, 1), y))
        return e.multiply(e.cast(share, e.dtype_of(x)), e.conj(x))

    return (pull,)


# ---------------------------------------------------------------------- binary


@rule(0, 1)
def power(e: Primitives, y: Tensor, a: Tensor, b: Tensor) -> Sequence[Pull]:
    zero, one = _like(e, a, 0), _like(e, a, 1)

    def by_base(g: Tensor) -> Tensor:
        still = e.equal(b, zero)
        slope = e.multiply(b, e.power(a, e.subtract(e.where(still, one, b), one)))
        return e.multiply(g, e.where(still, zero, slope))

    def by_exponent(g: Tensor) -> Tensor:
        safe = e.where(e.equal(a, zero), one, a)
        return e.multiply(g, e.multiply(e.log(safe), y))

    return (by_base, by_exponent)


def _larger(e: Primitives, y: Tensor, a: Tensor, b: Tensor) -> Sequence[Pull]:
    """Equal operands share the cotangent."""

    def share(g: Tensor, mine: Tensor, other: Tensor) -> Tensor:
        halved = e.where(e.equal(mine, other), _times(e, g, 0.5), g)
        return e.where(e.equal(mine, y), halved, _like(e, g, 0))

    return (lambda g: share(g, a, b), lambda g: share(g, b, a))


rules((0, 1), maximum=_larger, minimum=_larger)


@rule(0, 1)
def arctan2(e: Primitives, y: Tensor, a: Tensor, b: Tensor) -> Sequence[Pull]:
    def along(g: Tensor, side: Tensor) -> Tensor:
        return e.multiply(g, e.divide(side, e.add(_square(e, a), _square(e, b))))

    return (lambda g: along(g, b), lambda g: e.negative(along(g, a)))


# ------------------------------------------------------- select, reduce, scan


@rule()
def prod(e: Primitives, y: Tensor, x: Tensor, axes: Axes, keepdims: bool) -> Sequence[Pull]:
    return (lambda g: e.multiply(_spread(e, g, x, axes), _others(e, x, axes)),)


def _others(e: Primitives, x: Tensor, axes: Axes) -> Tensor:
    """For each element the product of the others: no division, so zeros do no harm."""
    shape = e.shape_of(x)
    order = (*(at for at in range(len(shape)) if at not in axes), *axes)
    moved = tuple(shape[at] for at in order)
    if 0 in shape:
        return x
    flat = e.reshape(e.transpose(x, order), (-1, math.prod([shape[at] for at in axes])))

    def before(x: Tensor) -> Tensor:
        return e.cumprod(e.pad(e.slice_axis(x, 1, 0, -1), ((0, 0), (1, 0)), 1), 1)

    product = e.multiply(before(flat), e.flip(before(e.flip(flat, (1,))), (1,)))
    return e.transpose(e.reshape(product, moved), tuple(map(order.index, range(len(order)))))


def _largest(e: Primitives, y: Tensor, x: Tensor, axes: Axes, keepdims: bool) -> Sequence[Pull]:
    """Equal elements share the cotangent."""

    def pull(g: Tensor) -> Tensor:
        chosen = e.cast(e.equal(x, e.reshape(y, _kept(e.shape_of(x), axes))), e.dtype_of(x))
        count = e.sum(chosen, axes, True)
        return e.multiply(chosen, e.divide(e.reshape(g, e.shape_of(count)), count))

    return (pull,)


rules((0,), max=_largest, min=_largest)


@body
def cumprod(e: Primitives, x: Tensor, axis: int) -> Tensor:
    """In logarithmically many steps: zeros do no harm to the gradient."""
    shape, step = e.shape_of(x), 1
    while step < shape[axis]:
        pads = tuple((step, 0) if at == axis else (0, 0) for at in range(len(shape)))
        x = e.multiply(x, e.pad(e.slice_axis(x, axis, 0, shape[axis] - step), pads, 1))
        step *= 2
    return x


# ---------------------------------------------------------------- move, index


@rule(0, listed=True)
def concatenate(e: Primitives, y: Tensor, xs: Sequence[Tensor], axis: int) -> Sequence[Pull]:
    ends = [0]
    for x in xs:
        ends.append(ends[-1] + e.shape_of(x)[axis])
    return [
        functools.partial(e.slice_axis, axis=axis, start=start, stop=stop)
        for start, stop in zip(ends, ends[1:], strict=False)
    ]


@rule(0, 2)
def pad(e: Primitives, y: Tensor, x: Tensor, pads: Pads, value: Any) -> Sequence[Pull]:
    def inner(g: Tensor) -> Tensor:
        return e.pad(g, tuple((-low, -high) for low, high in pads), 0)

    def around(g: Tensor) -> Tensor:
        axes = tuple(range(len(pads)))
        return e.subtract(e.sum(g, axes, False), e.sum(inner(g), axes, False))

    return (inner, around)


@rule()
def take_along_axis(
    e: Primitives, y: Tensor, x: Tensor, indices: Tensor, axis: int
) -> Sequence[Pull]:
    shape = e.shape_of(x)

    def pull(g: Tensor) -> Placed:
        key = []
        for at, size in enumerate(e.shape_of(g)):
            along = tuple(size if at == other else 1 for other in range(len(shape)))
            single = shape[at] == 1 and at != axis
            places = e.reshape(e.arange(0, size, 1, "int32"), along)
            key.append(indices if at == axis else _times(e, places, 0) if single else places)
        return Placed(g, tuple(key), shape)

    return (pull,)


@rule()
def get_item(e: Primitives, y: Tensor, x: Tensor, key: tuple[Any, ...]) -> Sequence[Pull]:
    if all(entry is None or entry == slice(None) for entry in key):
        return (lambda g: e.reshape(g, e.shape_of(x)),)
    return (lambda g: Placed(g, key, e.shape_of(x)),)


@rule(0, listed=True)
def put(
    e: Primitives, y: Tensor, values: Sequence[Tensor], keys: Sequence[Any], shape: tuple[int, ...]
) -> Sequence[Pull]:
    return [functools.partial(indexed, e, key=key) for key in keys]


def _set(e: Primitives, y: Tensor, x: Tensor, indices: Tensor, updates: Tensor) -> Sequence[Pull]:
    def pull(g: Tensor) -> Tensor:
        # Of updates that go to one place, the one that stays there has the cotangent.
        size, leading = math.prod(e.shape_of(updates)), e.shape_of(updates)
        numbers = e.reshape(e.arange(0, size, 1, "int32"), leading)
        places = e.full(e.shape_of(x), -1, "int32")
        last = e.gather(e.scatter(places, indices, numbers, "set"), indices)
        return e.where(e.equal(last, numbers), e.gather(g, indices), _like(e, g, 0))

    return (lambda g: e.scatter(g, indices, _zeros(e, updates), "set"), pull)


def _multiplied(
    e: Primitives, y: Tensor, x: Tensor, indices: Tensor, updates: Tensor
) -> Sequence[Pull]:
    zero, one = _like(e, x, 0), _like(e, x, 1)

    def by_x(g: Tensor) -> Tensor:
        ones = e.full(e.shape_of(x), 1, e.dtype_of(x))
        return e.multiply(g, e.scatter(ones, indices, updates, "mul"))

    def by_updates(g: Tensor) -> Tensor:
        # The product of the others at a place: zeros are left out and counted.
        empty = e.equal(updates, zero)
        factors, counts = e.where(empty, one, updates), e.cast(empty, e.dtype_of(x))
        product = e.gather(e.scatter(x, indices, factors, "mul"), indices)
        zeros = e.scatter(_zeros(e, x), indices, counts, "add")
        others = e.subtract(e.gather(zeros, indices), counts)
        product = e.where(e.equal(others, zero), e.divide(product, factors), zero)
        return e.multiply(e.gather(g, indices), product)

    return (by_x, by_updates)


def _extreme(
    e: Primitives, y: Tensor, x: Tensor, indices: Tensor, updates: Tensor
) -> Sequence[Pull]:
    """Equal ones share the cotangent."""

    def shared(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        kept = e.cast(e.equal(x, y), e.dtype_of(x))
        put = e.cast(e.equal(updates, e.gather(y, indices)), e.dtype_of(x))
        return e.divide(g, e.scatter(kept, indices, put, "add")), kept, put

    def by_x(g: Tensor) -> Tensor:
        share, kept, _ = shared(g)
        return e.multiply(share, kept)

    def by_updates(g: Tensor) -> Tensor:
        share, _, put = shared(g)
        return e.multiply(e.gather(share, indices), put)

    return (by_x, by_updates)


_SCATTERED: dict[str, Callable[..., Sequence[Pull]]] = {
    "set": _set,
    "add": lambda e, y, x, indices, updates: (lambda g: g, lambda g: e.gather(g, indices)),
    "mul": _multiplied,
    "max": _extreme,
    "min": _extreme,
}


@body
def full(e: Primitives, shape: tuple[int, ...], value: Tensor, dtype: str) -> Tensor:
    return e.broadcast_to(e.cast(value, dtype), shape)


# ----------------------------------------------------------------------- order


@body
def sort(e: Primitives, x: Tensor, axis: int) -> Tensor:
    return e.take_along_axis(x, e.argsort(x, axis), axis)


@body
def unique(e: Primitives, x: Tensor, size: int | None, fill: Any) -> tuple[Tensor, ...]:
    values, index, inverse, counts = e.unique(e.stop_gradient(x), size, fill)
    found = e.not_equal(counts, _like(e, counts, 0))
    return e.where(found, e.take(x, index, 0), values), index, inverse, counts


# -------------------------------------------------------------------- contract


@body
def _matmul(e: Primitives, a: Tensor, b: Tensor) -> Any:
    """Vectors as matrices, and a stack of matrices with one matrix as one product."""
    shape1, shape2 = e.shape_of(a), e.shape_of(b)
    if len(shape1) == 1:
        result = e.matmul(_row(e, a), b if len(shape2) > 1 else _column(e, b))
        shape = e.shape_of(result)
        return e.reshape(result, (*shape[:-2], shape[-1]) if len(shape2) > 1 else ())
    if len(shape2) == 1:
        result = e.matmul(a, _column(e, b))
        return e.reshape(result, e.shape_of(result)[:-1])
    if len(shape1) > 2 and len(shape2) == 2:
        rows = e.reshape(a, (math.prod(shape1[:-1]), shape1[-1]))
        return e.reshape(e.matmul(rows, b), (*shape1[:-1], shape2[-1]))
    return NotImplemented


@body
def _einsum(e: Primitives, subscripts: str, operands: Sequence[Tensor]) -> Any:
    """A letter that one operand has twice becomes two letters, joined by an identity matrix."""
    terms, _, result = subscripts.replace(" ", "").partition("->")
    names, given = terms.split(","), list(operands)
    for at, name in enumerate(names):
        double = next((letter for letter in name if name.count(letter) > 1), None)
        if double is not None and double != ".":
            new = next(letter for letter in _LETTERS if letter not in subscripts)
            place = name.rindex(double)
            names[at] = name[:place] + new + name[place + 1 :]
            size = e.shape_of(operands[at])[place - len(name)]
            given.append(_identity(e, e.full((size, size), 0, e.dtype_of(operands[at]))))
            return e.einsum(f"{','.join([*names, double + new])}->{result}", given)
    return NotImplemented


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@rule(1, listed=True)
def einsum(e: Primitives, y: Tensor, subscripts: str, operands: Sequence[Tensor]) -> Sequence[Pull]:
    terms, _, result = subscripts.replace(" ", "").partition("->")
    names = terms.split(",")

    def pull(at: int, g: Tensor) -> Tensor:
        others = names[:at] + names[at + 1 :]
        known = {*result, *"".join(others)}
        # A letter of this operand alone was summed over: the cotangent is the same along it.
        found = "".join(letter for letter in names[at] if letter in known)
        given = [g, *operands[:at], *operands[at + 1 :]]
        total = e.einsum(f"{','.join([result, *others])}->{found}", given)
        if found == names[at]:
            return total
        shape = e.shape_of(operands[at])
        missing = [i for i, letter in enumerate(names[at]) if letter not in known]
        return e.broadcast_to(e.reshape(total, _kept(shape, tuple(missing))), shape)

    return [functools.partial(pull, at) for at in range(len(names))]


# ---------------------------------------------------------------------- window


@rule(0, 1)
def conv(
    e: Primitives,
    y: Tensor,
    x: Tensor,
    kernel: Tensor,
    strides: Axes,
    pads: Pads,
    dilation: Axes,
    groups: int,
) -> Sequence[Pull]:
    """One product of matrices for each group: of rows (a position each) and columns (a tap each)."""
    *window, depth, filters = e.shape_of(kernel)
    window, size, each = tuple(window), math.prod(window), filters // groups
    positions = e.shape_of(y)[:-1]
    rows = math.prod(positions)

    def grouped(g: Tensor) -> Tensor:
        return e.transpose(e.reshape(g, (rows, groups, each)), (1, 0, 2))

    def by_images(g: Tensor) -> Tensor:
        taps = e.transpose(e.reshape(kernel, (size, depth, groups, each)), (2, 3, 0, 1))
        taps = e.reshape(taps, (groups, each, size * depth))
        columns = e.reshape(e.matmul(grouped(g), taps), (groups, rows, size, depth))
        columns = e.transpose(columns, (1, 2, 0, 3))
        columns = e.reshape(columns, (*positions, size, groups * depth))
        return e.add_patches(columns, e.shape_of(x), window, strides, pads, dilation)

    def by_kernel(g: Tensor) -> Tensor:
        columns = e.patches(x, window, strides, pads, dilation, 0)
        columns = e.transpose(e.reshape(columns, (rows, size, groups, depth)), (2, 0, 1, 3))
        columns = e.reshape(columns, (groups, rows, size * depth))
        product = e.matmul(_swapped(e, columns), grouped(g))
        product = e.reshape(product, (groups, size, depth, each))
        return e.reshape(e.transpose(product, (1, 2, 0, 3)), e.shape_of(kernel))

    return (by_images, by_kernel)


def window_keys(places: Axes, window: Axes, strides: Axes, dilation: Axes) -> list[Any]:
    """For each element of a window, the slices of padded images that it sees from all places."""
    keys = []
    for element in itertools.product(*map(range, window)):
        begins = [at * gap for at, gap in zip(element, dilation, strict=True)]
        moves = zip(begins, places, strides, strict=True)
        spans = (slice(begin, begin + (n - 1) * step + 1, step) for begin, n, step in moves)
        keys.append((slice(None), *spans))
    return keys


def put_back(
    e: Primitives, values: list[Tensor], keys: list[Any], shape: Sequence[int], pads: Pads
) -> Tensor:
    """What the elements of a window saw, added up to images of a shape, without their padding."""
    sizes = zip(shape[1:-1], pads, strict=True)
    framed = (shape[0], *(size + low + high for size, (low, high) in sizes), shape[-1])
    inner = tuple((-low, -high) for low, high in pads)
    return e.pad(e.put(values, keys, framed), ((0, 0), *inner, (0, 0)), 0)


@rule()
def max_pool(
    e: Primitives, y: Tensor, x: Tensor, window: Axes, strides: Axes, pads: Pads
) -> Sequence[Pull]:
    """Of equal elements the first has the cotangent."""

    def pull(g: Tensor) -> Tensor:
        keys = window_keys(e.shape_of(y)[1:-1], window, strides, (1,) * len(window))
        padded = e.pad(x, ((0, 0), *pads, (0, 0)), -math.inf)
        free, values = e.full(e.shape_of(y), True, "bool"), []
        for key in keys:
            first = e.logical_and(free, e.equal(e.get_item(padded, key), y))
            values.append(e.where(first, g, _like(e, g, 0)))
            free = e.logical_and(free, e.logical_not(first))
        return put_back(e, values, keys, e.shape_of(x), pads)

    return (pull,)


@rule()
def average_pool(
    e: Primitives, y: Tensor, x: Tensor, window: Axes, strides: Axes, pads: Pads
) -> Sequence[Pull]:
    def pull(g: Tensor) -> Tensor:
        still = (1,) * len(window)
        keys = window_keys(e.shape_of(y)[1:-1], window, strides, still)
        ones = e.full((1, *e.shape_of(x)[1:-1], 1), 1, e.dtype_of(x))
        seen = e.sum(e.patches(ones, window, strides, pads, still, 0), (len(window) + 1,), False)
        share = e.divide(g, seen)
        return put_back(e, [share] * len(keys), keys, e.shape_of(x), pads)

    return (pull,)


# ---------------------------------------------------------------- linear algebra
# These formulas are for cotangents that are conjugated: `_conjugated` goes between the conventions.


def _conjugated(pulls: Callable[..., Sequence[Pull]]) -> Callable[..., Sequence[Pull]]:
    @functools.wraps(pulls)
    def outer(e: Primitives, y: Any, *args: Any) -> Sequence[Pull]:
        def turned(g: Any) -> Any:
            return e.conj(g) if g is not None and _is_complex(e, g) else g

        return [
            lambda *gs, pull=pull: turned(pull(*map(turned, gs))) for pull in pulls(e, y, *args)
        ]

    return outer


def _symmetric(e: Primitives, x: Tensor) -> Tensor:
    return _times(e, e.add(x, _adjoint(e, x)), 0.5)


@rule()
@_conjugated
def cholesky(e: Primitives, y: Tensor, x: Tensor) -> Sequence[Pull]:
    def pull(g: Tensor) -> Tensor:
        inner = e.matmul(_adjoint(e, y), g)
        inner = _lower(e, e.subtract(inner, _times(e, e.multiply(inner, _identity(e, y)), 0.5)))
        left = e.solve_triangular(_adjoint(e, y), inner, False)
        return _symmetric(e, e.solve_triangular(_adjoint(e, y), _adjoint(e, left), False))

    return (pull,)


@rule(0, 1)
def solve(e: Primitives, y: Tensor, a: Tensor, b: Tensor) -> Sequence[Pull]:
    def by_b(g: Tensor) -> Tensor:
        return e.solve(_swapped(e, a), g)

    return (lambda g: e.negative(e.matmul(by_b(g), _swapped(e, y))), by_b)


@rule(0, 1)
def solve_triangular(e: Primitives, y: Tensor, a: Tensor, b: Tensor, lower: bool) -> Sequence[Pull]:
    half = _lower if lower else _upper

    def by_b(g: Tensor) -> Tensor:
        return e.solve_triangular(_swapped(e, a), g, not lower)

    return (lambda g: half(e, e.negative(e.matmul(by_b(g), _swapped(e, y)))), by_b)


@rule()
@_conjugated
def qr(e: Primitives, y: tuple[Tensor, Tensor], x: Tensor, mode: str) -> Sequence[Pull]:
    q, r = y
    rows, columns = e.shape_of(x)[-2:]

    def pull(by_q: Tensor | None = None, by_r: Tensor | None = None) -> Tensor:
        if rows < columns or e.shape_of(q)[-1] > columns:
            _refuse("`qr` of matrices that are wider than tall, or in mode 'complete',")
        by_q = _zeros(e, q) if by_q is None else by_q
        by_r = _zeros(e, r) if by_r is None else by_r
        inner = e.subtract(e.matmul(r, _adjoint(e, by_r)), e.matmul(_adjoint(e, by_q), q))
        below = _lower(e, inner, strict=True)
        diagonal = _times(e, e.multiply(e.add(inner, e.conj(inner)), _identity(e, inner)), 0.5)
        inner = e.add(e.add(below, _adjoint(e, below)), diagonal)
        left = e.add(by_q, e.matmul(q, inner))
        return _adjoint(e, e.solve_triangular(r, _adjoint(e, left), False))

    return (pull,)


@rule()
@_conjugated
def eigh(e: Primitives, y: tuple[Tensor, Tensor], x: Tensor) -> Sequence[Pull]:
    values, v = y

    def pull(by_values: Tensor | None = None, by_v: Tensor | None = None) -> Tensor:
        inner = _zeros(e, v)
        if by_values is not None:
            inner = e.add(inner, _diagonal_matrix(e, e.cast(by_values, e.dtype_of(v))))
        if by_v is not None:
            factor = e.cast(_differences(e, values), e.dtype_of(v))
            inner = e.add(inner, e.multiply(e.matmul(_adjoint(e, v), by_v), factor))
        return _symmetric(e, e.matmul(e.matmul(v, inner), _adjoint(e, v)))

    return (pull,)


@rule()
@_conjugated
def eig(e: Primitives, y: tuple[Tensor, Tensor], x: Tensor) -> Sequence[Pull]:
    """For eigenvectors of length 1, whose phase no result may depend on."""
    values, v = y

    def pull(by_values: Tensor | None = None, by_v: Tensor | None = None) -> Tensor:
        inner = _zeros(e, v)
        if by_values is not None:
            inner = e.add(inner, _diagonal_matrix(e, by_values))
        if by_v is not None:
            turned = e.matmul(_adjoint(e, v), by_v)
            length = e.cast(e.real(_diagonal(e, turned)), e.dtype_of(v))
            kept = e.matmul(_adjoint(e, v), e.multiply(v, _row(e, length)))
            factor = e.conj(_differences(e, values))
            inner = e.add(inner, e.multiply(e.subtract(turned, kept), factor))
        result = e.solve(_adjoint(e, v), e.matmul(inner, _adjoint(e, v)))
        return result if _is_complex(e, x) else e.cast(e.real(result), e.dtype_of(x))

    return (pull,)


@rule()
@_conjugated
def svd(
    e: Primitives, y: tuple[Tensor, Tensor, Tensor], x: Tensor, full_matrices: bool
) -> Sequence[Pull]:
    size, rank = e.shape_of(y[1])[-1], _rank(e, x)

    def reduced(g: Tensor | None, axis: int) -> Tensor | None:
        """The part that the singular vectors of x have; that of the others must be zero."""
        if g is None or e.shape_of(g)[axis] == size:
            return g
        rest = e.not_equal(e.slice_axis(g, axis, size, None), _like(e, g, 0))
        if bool(e.any(rest, tuple(range(rank)), False)):
            _refuse("What `svd` adds to the singular vectors (full_matrices=True)")
        return e.slice_axis(g, axis, 0, size)

    def pull(
        by_u: Tensor | None = None, by_s: Tensor | None = None, by_vh: Tensor | None = None
    ) -> Tensor:
        return _svd_pull(e, y, x, reduced(by_u, rank - 1), by_s, reduced(by_vh, rank - 2))

    return (pull,)


def _svd_pull(
    e: Primitives,
    y: tuple[Tensor, Tensor, Tensor],
    x: Tensor,
    by_u: Tensor | None,
    by_s: Tensor | None,
    by_vh: Tensor | None,
) -> Tensor:
    u, s, vh = y
    size, dtype = e.shape_of(s)[-1], e.dtype_of(x)
    u, v = (e.slice_axis(part, _rank(e, x) - 1, 0, size) for part in (u, _adjoint(e, vh)))
    scale = e.cast(s, dtype)
    factor = e.cast(_differences(e, _square(e, s)), dtype)

    def turned(w: Tensor, by_w: Tensor) -> Tensor:
        inner = e.matmul(_adjoint(e, w), by_w)
        return e.subtract(inner, _adjoint(e, inner))

    def outside(w: Tensor, by_w: Tensor) -> Tensor:
        """What leaves the space of the columns of w, over the singular values."""
        rest = e.subtract(by_w, e.matmul(w, e.matmul(_adjoint(e, w), by_w)))
        return e.divide(rest, _row(e, scale))

    inner, result = _zeros(e, e.matmul(_adjoint(e, u), u)), _zeros(e, x)
    if by_s is not None:
        inner = e.add(inner, _diagonal_matrix(e, e.cast(by_s, dtype)))
    if by_u is not None:
        skew = turned(u, by_u)
        inner = e.add(inner, e.multiply(e.multiply(skew, factor), _row(e, scale)))
        if _is_complex(e, x):
            phase = e.divide(_times(e, _diagonal(e, skew), 0.5), scale)
            inner = e.add(inner, _diagonal_matrix(e, phase))
        result = e.add(result, e.matmul(outside(u, by_u), _adjoint(e, v)))
    if by_vh is not None:
        by_v = _adjoint(e, by_vh)
        skew = e.multiply(turned(v, by_v), factor)
        inner = e.add(inner, e.multiply(_column(e, scale), skew))
        result = e.add(result, e.matmul(u, _adjoint(e, outside(v, by_v))))
    return e.add(result, e.matmul(e.matmul(u, inner), _adjoint(e, v)))


@rule()
def lu_factor(e: Primitives, y: tuple[Tensor, Tensor], x: Tensor) -> Sequence[Pull]:
    packed, pivots = y
    size, columns = e.shape_of(x)[-2:]

    def pull(g: Tensor, _: Any = None) -> Tensor:
        if size != columns:
            _refuse("`lu_factor` of matrices that aren't square")
        identity = _identity(e, packed)
        lower, upper = e.add(_lower(e, packed, strict=True), identity), _upper(e, packed)
        inner = e.add(
            _lower(e, e.matmul(_swapped(e, lower), _lower(e, g, strict=True)), strict=True),
            _upper(e, e.matmul(_upper(e, g), _swapped(e, upper))),
        )
        right = _swapped(e, e.solve_triangular(upper, _swapped(e, inner), False))
        result = e.solve_triangular(_swapped(e, lower), right, False)
        return e.take_along_axis(result, _order(e, pivots, result), _rank(e, x) - 2)

    return (pull,)


def _order(e: Primitives, pivots: Tensor, x: Tensor) -> Tensor:
    """Where each row of matrices went by exchanges of row k with row pivots[k], as (..., rows, columns)."""
    *batch, size, columns = e.shape_of(x)
    place = e.broadcast_to(e.arange(0, size, 1, "int32"), (*batch, size))
    for k in range(size):
        pivot, here = e.get_item(pivots, (..., slice(k, k + 1))), _like(e, pivots, k)
        at_pivot, at_here = e.equal(place, pivot), e.equal(place, here)
        place = e.where(at_pivot, here, e.where(at_here, pivot, place))
    return e.broadcast_to(_column(e, place), (*batch, size, columns))


# ------------------------------------------------------------------------- fft


@rule()
def rfft(e: Primitives, y: Tensor, x: Tensor) -> Sequence[Pull]:
    axis, size = _rank(e, x) - 1, e.shape_of(x)[-1]

    def pull(g: Tensor) -> Tensor:
        pads = ((0, 0),) * axis + ((0, size - e.shape_of(g)[-1]),)
        return e.cast(e.real(e.fft(e.pad(g, pads, 0))), e.dtype_of(x))

    return (pull,)


@rule()
def irfft(e: Primitives, y: Tensor, x: Tensor, length: int) -> Sequence[Pull]:
    """Each number but the first, and the last one of an even length, stands for two."""

    def pull(g: Tensor) -> Tensor:
        found = e.conj(e.rfft(g))
        place = e.arange(0, length // 2 + 1, 1, "int32")
        mirrored = e.multiply(place, _like(e, place, 2))
        single = e.equal(e.mod(mirrored, _like(e, place, length)), _like(e, place, 0))
        times = e.where(single, _like(e, found, 1 / length), _like(e, found, 2 / length))
        rest = e.shape_of(x)[-1] - e.shape_of(found)[-1]
        return e.pad(e.multiply(found, times), ((0, 0),) * (_rank(e, x) - 1) + ((0, rest),), 0)

    return (pull,)


@rule(2)
def random_gamma(
    e: Primitives, y: Tensor, key: Tensor, shape: tuple[int, ...], alpha: Tensor, dtype: str
) -> Sequence[Pull]:
    return (lambda g: _refuse("The shape parameter of gamma numbers (`random_gamma`)"),)
