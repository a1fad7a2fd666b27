"""The engine of shapes: each primitive as a rule that gives a shape and a dtype, and no values.

Everything that is written over the primitives has its output shape from here: an op, a layer, a
model of a user. A dimension may be unknown, such as the batch size: it is a `Dimension`, which
takes part in arithmetic, so that (b, 4, 5) reshaped to (b, -1) is (b, 20). Outside it shows as
`None`.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import optree

from . import host
from .contract import Axes, Engine, Pads, State
from .indexing import full_key

Dims = tuple[Any, ...]  # of integers and Dimensions
Rule = Callable[..., Any]


# ------------------------------------------------------------------ dimensions

_symbols = itertools.count()


class Symbol(int):
    """A number nobody knows yet.

    Its origin is the operation and the sizes that it comes from, where there are such: an engine
    that writes files has them computed when the file runs.
    """

    origin: tuple[Callable[[Any, Any], Any], Any, Any] | None = None


def _refuse(use: str) -> Rule:
    """A method that says why an unknown dimension can't be used so."""

    def method(self: Dimension, *others: Any) -> Any:
        if others and isinstance(others[0], Spec):
            return NotImplemented
        raise TypeError(
            f"An unknown dimension has no value here, so it can't {use}. Received: a dimension "
            "that shows as None. Use +, -, *, // and %, which it supports, or -1 in `reshape`; or "
            "give the size where the input is made: `Input(shape=(28, 28), batch_size=32)`."
        )

    return method


class Dimension:
    """An unknown dimension: an integer coefficient times symbols, each a number nobody knows yet.

    Products, and quotients without remainder, keep track of what they are made of. Any other sum or
    quotient is a new unknown. It equals no integer, and another `Dimension` only if it is sure to.

    >>> batch = Dimension()
    >>> (batch * 20) // batch, batch * 4 // 4 == batch, batch + 1
    (20, True, None)
    """

    __slots__ = ("coefficient", "symbols")
    __array_ufunc__ = None  # NumPy's integers leave the arithmetic to this class.

    def __init__(self, coefficient: int = 1, symbols: tuple[int, ...] = ()) -> None:
        self.coefficient = coefficient
        self.symbols = symbols or (Symbol(next(_symbols)),)

    @classmethod
    def made_by(cls, operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Dimension:
        """A new unknown that is the result of an operation."""
        symbol = Symbol(next(_symbols))
        symbol.origin = (operation, left, right)
        return cls(1, (symbol,))

    def __repr__(self) -> str:
        return "None"

    def __hash__(self) -> int:
        return hash((self.coefficient, self.symbols))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dimension):
            return NotImplemented
        return self.coefficient == other.coefficient and self.symbols == other.symbols

    def __mul__(self, other: Any) -> Any:
        if (terms := _terms(other)) is None:
            return NotImplemented
        return _monomial(self.coefficient * terms[0], tuple(sorted(self.symbols + terms[1])))

    def __add__(self, other: Any) -> Any:
        if (terms := _terms(other)) is None:
            return NotImplemented
        coefficient, symbols = terms
        if coefficient == 0:
            return self
        if symbols == self.symbols:
            return _monomial(self.coefficient + coefficient, symbols)
        return Dimension.made_by(operator.add, self, other)

    def __neg__(self) -> Dimension:
        return Dimension(-self.coefficient, self.symbols)

    def __sub__(self, other: Any) -> Any:
        return NotImplemented if _terms(other) is None else self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __floordiv__(self, other: Any) -> Any:
        return NotImplemented if _terms(other) is None else _quotient(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return NotImplemented if _terms(other) is None else _quotient(other, self)

    def __mod__(self, other: Any) -> Any:
        if _terms(other) is None:
            return NotImplemented
        whole = _quotient(self, other) * other == self
        return 0 if whole else Dimension.made_by(operator.mod, self, other)

    def __rmod__(self, other: Any) -> Any:
        return (
            NotImplemented
            if _terms(other) is None
            else Dimension.made_by(operator.mod, other, self)
        )

    __rmul__ = __mul__
    __radd__ = __add__
    __lt__ = __le__ = __gt__ = __ge__ = _refuse("be compared with < or >")
    __truediv__ = __rtruediv__ = _refuse("be divided with /")
    __int__ = __index__ = __float__ = _refuse("be turned into a number")
    __bool__ = _refuse("decide a condition")


def dimension(size: Any) -> Any:
    """A size as the engine keeps it: an integer, or a `Dimension` for None and scalar tensors."""
    if isinstance(size, Dimension):
        return size
    if size is None or isinstance(size, Spec):
        return Dimension()
    if isinstance(size, (int, np.integer)) and size >= 0:
        return int(size)
    raise ValueError(
        f"A dimension must be an integer that is not negative, or None. Received: {size!r}. "
        "Give the size, or None where it is unknown."
    )


def _terms(value: Any) -> tuple[int, tuple[int, ...]] | None:
    """Coefficient and symbols of an integer or a Dimension."""
    if isinstance(value, Dimension):
        return value.coefficient, value.symbols
    return (int(value), ()) if isinstance(value, (int, np.integer)) else None


def _monomial(coefficient: int, symbols: tuple[int, ...]) -> Any:
    return Dimension(coefficient, symbols) if coefficient and symbols else coefficient


def _quotient(dividend: Any, divisor: Any) -> Any:
    """The exact quotient where the divisor is a factor of what is known, else a new unknown."""
    (upper, above), (lower, below) = _terms(dividend) or (0, ()), _terms(divisor) or (0, ())
    rest = Counter(above)
    rest.subtract(below)
    if upper % lower or (upper and min(rest.values(), default=0) < 0):
        return Dimension.made_by(operator.floordiv, dividend, divisor)
    return _monomial(upper // lower, tuple(sorted(rest.elements())))


# --------------------------------------------------- how dimensions come together


def _known(*sizes: Any) -> bool:
    return not any(isinstance(size, Dimension) for size in sizes)


def _equal(left: Any, right: Any) -> Any:
    """The dimension that two tensors must share: the known one. None where they differ."""
    if left == right or not _known(right):
        return left
    return None if _known(left) else right


def _joined(left: Any, right: Any) -> Any:
    """The dimension after broadcasting: equal, or one of them 1. None where neither holds."""
    if left == right or right == 1:
        return left
    if left == 1 or (_known(right) and not _known(left)):
        return right
    if _known(right):
        return None
    return left if _known(left) else Dimension.made_by(max, left, right)


def _stretched(dims: Dims, shape: Dims) -> Dims | None:
    """A shape broadcast to another, in which None leaves a dimension open. None if it can't be."""

    def stretch(size: Any, target: Any) -> Any:
        if target is None:
            return Dimension() if size == 1 else size
        target = dimension(target)
        return target if size == 1 or not _known(size) else _equal(size, target)

    pairs = itertools.zip_longest(reversed(dims), reversed(shape), fillvalue=1)
    result = [stretch(*pair) for pair in pairs]
    return None if len(dims) > len(shape) or None in result else tuple(reversed(result))


def _is_rest(size: Any) -> bool:
    """Whether a size in a shape for `reshape` is the -1 that stands for all the rest."""
    return isinstance(size, (int, np.integer)) and size == -1


def _least(left: Any, right: Any) -> Any:
    """The smaller dimension."""
    if _known(left, right):
        return min(left, right)
    return left if left == right else Dimension()


def _broadcast(name: str, **shapes: Dims) -> Dims:
    """NumPy's broadcasting: axes are matched from the last one, and missing ones are 1."""
    first, *others = shapes.values()
    for dims in others:
        if dims != first:
            pairs = itertools.zip_longest(reversed(first), reversed(dims), fillvalue=1)
            joined = [_joined(*pair) for pair in pairs]
            advice = "Make each dimension equal or 1, counted from the last axis."
            _require(None not in joined, name, "Shapes must broadcast", advice, **shapes)
            first = tuple(reversed(joined))
    return first


def _slice_length(size: Any, key: slice) -> Any:
    """How many elements a slice takes; a bound that is unknown is taken to lie within the axis."""
    start, stop, step = key.start, key.stop, 1 if key.step is None else key.step
    if any(isinstance(bound, Spec) for bound in (start, stop, step)):
        return Dimension()
    if _known(size, start, stop, step):
        return len(range(*slice(start, stop, step).indices(size)))
    if step == 1 and start in (None, 0) and (stop is None or not _known(stop)):
        return size if stop is None else stop
    return size if step == -1 and start is None and stop is None else Dimension()


def _require(holds: Any, name: str, rule: str, advice: str, **received: Any) -> None:
    """The check of a rule of a primitive, whose error shows what was received."""
    if not holds:
        listed = ", ".join(
            f"{key}.shape={value}" if _is_shape(value) else f"{key}={value}"
            for key, value in received.items()
        )
        raise ValueError(f"{rule} in `{name}`. Received: {listed}. {advice}")


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(size is None or _terms(size) for size in value)


# ------------------------------------------------------------------- the tensor


class Spec:
    """A tensor of which only the shape and the dtype are known.

    >>> Spec((None, 3), "float32")
    <Spec shape=(None, 3), dtype=float32>
    """

    def __init__(self, shape: Iterable[Any], dtype: str = "float32") -> None:
        self.dims: Dims = tuple([dimension(size) for size in shape])
        self.dtype = dtype

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape, with None for an unknown dimension."""
        return tuple([None if isinstance(size, Dimension) else size for size in self.dims])

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.dims)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} shape={self.shape}, dtype={self.dtype}>"


_PYTHON = {**host.PYTHON, Dimension: "int32"}
_KINDS = ("bool", "uint", "int", "bfloat", "float", "complex")


def _describe(x: Any) -> tuple[Dims, str]:
    """Dimensions and dtype of numbers, nested lists, arrays and tensors of any library."""
    if isinstance(x, Spec):
        return x.dims, x.dtype
    if type(x) in _PYTHON:
        return (), _PYTHON[type(x)]
    if isinstance(x, (list, tuple)):
        return _describe_list(x)
    array = x if hasattr(x, "dtype") else np.asarray(x)
    dtype = getattr(array.dtype, "name", str(array.dtype)).rpartition(".")[2]
    if not dtype.startswith(_KINDS):
        raise TypeError(
            f"A tensor holds numbers. Received: {x!r}, of dtype {dtype}. "
            "Turn it into numbers, or into an array or list of numbers."
        )
    return tuple([dimension(size) for size in array.shape]), dtype


def _describe_list(items: Sequence[Any]) -> tuple[Dims, str]:
    shapes, dtypes = zip(*map(_describe, items), strict=True) if items else ([()], ["float32"])
    first = shapes[0]
    for other in shapes[1:]:
        merged = tuple(map(_equal, first, other)) if len(first) == len(other) else (None,)
        if None in merged:
            raise ValueError(
                "The items of a list must have one shape to make a tensor. "
                f"Received: shapes {first} and {other}. Pad or trim them to one length."
            )
        first = merged
    return (len(items), *first), max(dtypes, key=_kind)


def _kind(dtype: str) -> int:
    """The place of a dtype in the order from booleans to complex numbers."""
    return next(place for place, kind in enumerate(_KINDS) if dtype.startswith(kind))


def _complex(dtype: str) -> str:
    """The complex dtype whose parts have a dtype, or that has it already."""
    return "complex128" if dtype in ("float64", "complex128") else "complex64"


def _real(dtype: str) -> str:
    """The dtype of the parts of a complex dtype; any other is its own."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def _item_size(dtype: str) -> int:
    """Bytes of one element."""
    return host.numpy_dtype(dtype).itemsize


# ------------------------------------------------------------ families of rules


def _family(make: Callable[..., Rule], names: str, *arguments: Any) -> dict[str, Rule]:
    """The rule of each primitive that is named, with the contract's signature and docstring."""
    return {
        name: functools.wraps(getattr(Engine, name), updated=())(make(name, *arguments))
        for name in names.split()
    }


def _unary(name: str, result: str | Callable[[str], str] | None = None) -> Rule:
    def rule(self: SpecEngine, x: Any, *_: Any, **__: Any) -> Spec:
        dtype = self.dtype_of(x)
        return self.tensor(self.shape_of(x), result(dtype) if callable(result) else result or dtype)

    return rule


def _binary(name: str, dtype: str | None = None) -> Rule:
    def rule(self: SpecEngine, x1: Any, x2: Any) -> Spec:
        dims = _broadcast(name, x1=self.shape_of(x1), x2=self.shape_of(x2))
        return self.tensor(dims, dtype or self._shared_dtype(x1, x2))

    return rule


def _reduction(name: str, dtype: str | None = None) -> Rule:
    def rule(self: SpecEngine, x: Any, axes: Axes, keepdims: bool) -> Spec:
        dims = self.shape_of(x)
        kept = [
            1 if axis in axes else size
            for axis, size in enumerate(dims)
            if keepdims or axis not in axes
        ]
        return self.tensor(kept, dtype or self.dtype_of(x))

    return rule


def _arg_reduction(name: str) -> Rule:
    def rule(self: SpecEngine, x: Any, axis: int) -> Spec:
        dims = self.shape_of(x)
        return self.tensor(dims[:axis] + dims[axis + 1 :], "int32")

    return rule


def _pool(name: str) -> Rule:
    def rule(self: SpecEngine, x: Any, window: Axes, strides: Axes, pads: Pads) -> Spec:
        dims = self.shape_of(x)
        positions = _positions(name, dims, window, strides, pads, (1,) * len(window))
        return self.tensor((dims[0], *positions, dims[-1]), self.dtype_of(x))

    return rule


def _random(name: str) -> Rule:
    def rule(self: SpecEngine, key: Any, shape: Dims, *parameters: Any, **named: Any) -> Spec:
        return self.tensor(shape, named.get("dtype") or parameters[-1])

    return rule


def _positions(
    name: str, dims: Dims, window: Dims, strides: Axes, pads: Pads, dilation: Axes
) -> list[Any]:
    """How many places a window takes along each spatial axis of x (n, *spatial, i). Transposed, x
    is spread by the strides and the window moves by 1."""
    rule, advice = "Rank must be the window's plus 2", "Give x as (batch, *spatial, channels)."
    _require(len(dims) == len(window) + 2, name, rule, advice, x=dims, window=list(window))
    counts: list[Any] = []
    settings = zip(dims[1:-1], window, strides, pads, dilation, strict=True)
    for size, extent, stride, (low, high), rate in settings:
        spare = low + high - (extent - 1) * rate
        if name == "conv_transpose":
            counts.append(size * stride + (spare + 1 - stride))
        else:
            counts.append(size + spare if stride == 1 else (size + (spare - 1)) // stride + 1)
    rule = "The input is too small: it must be as large as the window"
    advice = "Give a larger input, a smaller window or dilation, or padding='same'."
    received = {"window": list(window), "pads": list(pads), "dilation": list(dilation)}
    fits = not any(_known(count) and count <= 0 for count in counts)
    _require(fits, name, rule, advice, x=dims, **received)
    return counts


#: Primitives that share a rule: the rule, their names, and the result's dtype if it is not x's.
FAMILIES: tuple[Any, ...] = (
    (_unary, "negative sign ceil floor round trunc sqrt rsqrt exp expm1 log log1p log2 log10"),
    (_unary, "sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh sigmoid"),
    (_unary, "erf erfc erfinv i0 lgamma conj bitwise_not stop_gradient"),
    (_unary, "cumsum cumprod flip sort fft ifft"),
    (_unary, "isnan isinf isfinite logical_not", "bool"),
    (_unary, "argsort", "int32"),
    (_unary, "abs real imag", _real),
    (_binary, "add subtract multiply divide floor_divide mod fmod power maximum minimum arctan2"),
    (_binary, "nextafter bitwise_and bitwise_or bitwise_xor left_shift right_shift"),
    (_binary, "equal not_equal less less_equal greater greater_equal", "bool"),
    (_binary, "logical_and logical_or logical_xor", "bool"),
    (_reduction, "sum prod max min mean var"),
    (_reduction, "all any", "bool"),
    (_arg_reduction, "argmax argmin"),
    (_pool, "max_pool average_pool"),
    (_random, "random_gamma random_binomial"),
)

# ------------------------------------------------------------------- the engine


class SpecEngine(Engine):
    """The engine that infers shapes and dtypes."""

    name = "spec"
    computes = False
    overrides = False
    native = frozenset({Spec, Dimension, type(None), bool, int, float, np.ndarray})
    #: The class of the results; a floor above puts its symbolic tensor here.
    tensor: ClassVar[type[Spec]] = Spec

    for _make, _names, *_dtype in FAMILIES:
        vars().update(_family(_make, _names, *_dtype))
    del _make, _names, _dtype

    # ---------------------------------------------------------------- tensor

    def convert_to_tensor(self, x: Any, dtype: str | None = None) -> Spec:
        if isinstance(x, Spec) and dtype in (None, x.dtype):
            return x
        dims, found = _describe(x)
        return self.tensor(dims, dtype or found)

    def convert_to_numpy(self, x: Any) -> Any:
        raise TypeError(
            "A symbolic tensor has a shape and a dtype but no values, so it can't become a NumPy "
            f"array. Received: x={x!r}. Call the function on an array, or use ops of `cornu.ops`, "
            "which work on symbolic tensors."
        )

    def is_tensor(self, x: Any) -> bool:
        return isinstance(x, Spec)

    def dtype_of(self, x: Any) -> str:
        return x.dtype if isinstance(x, Spec) else _describe(x)[1]

    def shape_of(self, x: Any) -> Dims:
        return x.dims if isinstance(x, Spec) else _describe(x)[0]

    def _shared_dtype(self, *operands: Any) -> str:
        """The dtype of operands of one dtype, to which Python's numbers adapt."""
        strong = (x for x in operands if type(x) not in _PYTHON)
        return self.dtype_of(next(strong, operands[0]))

    def weak_type(self, x: Any) -> Any:
        return int if isinstance(x, Dimension) else super().weak_type(x)

    def cast(self, x: Any, dtype: str) -> Spec:
        return self.tensor(self.shape_of(x), dtype)

    def view(self, x: Any, dtype: str) -> Spec:
        dims, old, new = self.shape_of(x), _item_size(self.dtype_of(x)), _item_size(dtype)
        if old != new:
            fits = dims and not (_known(dims[-1]) and dims[-1] * old % new)
            rule, advice = f"The last axis must hold whole {dtype}s", "Use a dtype of that size."
            _require(fits, "view", rule, advice, x=dims)
            dims = (*dims[:-1], dims[-1] * old // new)
        return self.tensor(dims, dtype)

    def stand_in(self, variable: Any) -> Spec:
        return self.tensor(variable.stored_shape, variable.stored_dtype)

    # ------------------------------------------------------------ transforms

    def cond(self, pred: Any, true_fn: Rule, false_fn: Rule) -> Any:
        def either(left: Any, right: Any) -> Any:
            if left == right:
                return left
            return None if _known(left, right) else Dimension()

        rule = "The branches must give the same structure, shapes and dtypes"
        return self._merged("cond", rule, either, true_fn=true_fn(), false_fn=false_fn())

    def while_loop(self, cond: Rule, body: Rule, state: tuple[Any, ...]) -> Any:
        loose: set[Any] = set()  # dimensions that differ from one turn to the next

        def widened(left: Any, right: Any) -> Any:
            if left == right or left in loose:
                return left
            loose.add(fresh := Dimension())
            return fresh

        rule = "The body must keep the structure, ranks and dtypes of the state"
        while True:
            cond(*state)
            count, result = len(loose), body(*state)
            result = tuple(result) if isinstance(result, (list, tuple)) else (result,)
            state = self._merged("while_loop", rule, widened, state=tuple(state), result=result)
            if len(loose) == count:
                return state

    def scan(
        self, f: Rule, init: Any, xs: Any, length: int | None, reverse: bool
    ) -> tuple[Any, Any]:
        init, steps = self._specs(init), self._steps("scan", xs, length)
        carry, ys = f(init, self._inner(xs))
        rule = "The function must keep the structure, shapes and dtypes of the carry"
        self._merged("scan", rule, _equal, init=init, carry=carry)
        return self._specs(init), self._stacked(steps, ys)

    def vectorized_map(self, f: Rule, elements: Any) -> Any:
        steps = self._steps("vectorized_map", elements, None)
        return self._stacked(steps, f(self._inner(elements)))

    def custom_gradient(self, f: Callable[..., tuple[Any, Rule]]) -> Rule:
        return lambda *arguments, **named: f(*arguments, **named)[0]

    def value_and_grad(self, f: Callable[[list[Any]], tuple[Any, Any]]) -> Rule:
        return lambda values: (f(values), self._specs(values))

    def vjp(self, f: Rule, *primals: Any) -> tuple[Any, Rule]:
        return f(*primals), lambda *cotangents: self._specs(primals)

    def jvp(self, f: Rule, primals: Any, tangents: Any) -> tuple[Any, Any]:
        result = f(*primals)
        return result, self._specs(result)

    def compile(self, step: Rule, state: State, jit: bool | None = None) -> Rule:
        return step

    # -------------------------------------- structures: nested lists, dicts, ...

    def _specs(self, tree: Any) -> Any:
        """New tensors of the same shapes and dtypes."""
        return optree.tree_map(lambda x: self.tensor(*_describe(x)), tree)

    def _inner(self, tree: Any) -> Any:
        """What one step along the leading axis sees."""
        return optree.tree_map(lambda x: self.tensor(self.shape_of(x)[1:], self.dtype_of(x)), tree)

    def _stacked(self, steps: Any, tree: Any) -> Any:
        """The results of all the steps along a new leading axis."""
        return optree.tree_map(
            lambda x: self.tensor((steps, *self.shape_of(x)), self.dtype_of(x)), tree
        )

    def _steps(self, name: str, xs: Any, length: int | None) -> Any:
        """The size of the leading axis that every tensor has."""
        shapes = [self.shape_of(x) for x in optree.tree_leaves(xs)]
        sizes = [dims[0] if dims else None for dims in shapes]
        sizes += [] if length is None else [dimension(length)]
        steps = None if not sizes or None in sizes else functools.reduce(_equal, sizes)
        rule, advice = "There must be leading axes of one size", "Reshape them, or give `length`."
        _require(steps is not None, name, rule, advice, shapes=shapes, length=length)
        return steps

    def _merged(self, name: str, rule: str, choose: Rule, **trees: Any) -> Any:
        """Two structures made one; `choose` gives each dimension, or None where they conflict."""
        (left, structure), (right, other) = (optree.tree_flatten(t) for t in trees.values())
        merged: list[tuple[Dims, str]] = []
        agree = structure == other
        for one, two in zip(left, right, strict=False):
            (dims, dtype), (others, other_dtype) = _describe(one), _describe(two)
            agree = agree and dtype == other_dtype and len(dims) == len(others)
            merged.append((tuple(map(choose, dims, others)) if agree else (None,), dtype))
        agree = agree and not any(None in dims for dims, _ in merged)
        _require(agree, name, rule, "Make them equal, e.g. with `cast` or `reshape`.", **trees)
        return optree.tree_unflatten(structure, [self.tensor(*both) for both in merged])

    # ---------------------------------------------------------------- create

    def full(self, shape: Dims, value: Any, dtype: str) -> Spec:
        return self.tensor(shape, dtype)

    def arange(self, start: Any, stop: Any, step: Any, dtype: str) -> Spec:
        bounds = (start, stop, step)
        size: Any = Dimension()
        if all(isinstance(bound, (int, float, np.number)) for bound in bounds):
            size = max(0, math.ceil((stop - start) / step))
        elif not any(isinstance(bound, Spec) for bound in bounds) and step == 1:
            size = stop - (int(start) if isinstance(start, float) else start)
        return self.tensor((size,), dtype)

    def complex(self, real: Any, imag: Any) -> Spec:
        dims = _broadcast("complex", real=self.shape_of(real), imag=self.shape_of(imag))
        return self.tensor(dims, _complex(self._shared_dtype(real, imag)))

    def where(self, condition: Any, x1: Any, x2: Any) -> Spec:
        shapes = {"condition": self.shape_of(condition), "x1": self.shape_of(x1)}
        dims = _broadcast("where", **shapes, x2=self.shape_of(x2))
        return self.tensor(dims, self._shared_dtype(x1, x2))

    # ---------------------------------------------------------- move, index

    def reshape(self, x: Any, shape: Dims) -> Spec:
        dims = self.shape_of(x)
        target = [None if size is None or _is_rest(size) else dimension(size) for size in shape]
        total: Any = math.prod(dims)
        rest: Any = math.prod([size for size in target if size is not None])
        holes = target.count(None)
        size: Any = total // rest if holes == 1 and rest != 0 else Dimension()
        if not _known(total) and not _known(rest) and total.symbols == rest.symbols:
            total, rest = total.coefficient, rest.coefficient
        fits = sum(map(_is_rest, shape)) <= 1
        if _known(total, rest) and holes < 2:
            fits = rest != 0 and total % rest == 0 if holes else total == rest
        advice = "Give a shape of as many elements; one dimension may be -1."
        _require(fits, "reshape", "The elements must fit", advice, x=dims, target=tuple(shape))
        return self.tensor([size if known is None else known for known in target], self.dtype_of(x))

    def transpose(self, x: Any, axes: Axes) -> Spec:
        dims = self.shape_of(x)
        holds = sorted(axes) == list(range(len(dims)))
        rule, advice = "Axes must be a permutation", "Name each axis once, as in (1, 0)."
        _require(holds, "transpose", rule, advice, x=dims, axes=list(axes))
        return self.tensor([dims[axis] for axis in axes], self.dtype_of(x))

    def broadcast_to(self, x: Any, shape: Dims) -> Spec:
        dims, shape = self.shape_of(x), tuple(shape)
        target = _stretched(dims, shape)
        rule, advice = "The shape must fit", "Dimensions of 1 can be repeated, others must stay."
        _require(target is not None, "broadcast_to", rule, advice, x=dims, target=shape)
        return self.tensor(target or (), self.dtype_of(x))

    def concatenate(self, xs: Sequence[Any], axis: int) -> Spec:
        shapes = [self.shape_of(x) for x in xs]
        rule, advice = f"Shapes must be equal but for axis {axis}", "Reshape or pad the tensors."
        result = list(shapes[0])
        for dims in shapes[1:]:
            ranks_agree = len(dims) == len(result)
            result = [_equal(*pair) for pair in zip(result, dims, strict=False)]
            result[axis : axis + 1] = [0]
            _require(ranks_agree and None not in result, "concatenate", rule, advice, shapes=shapes)
        result[axis] = sum([dims[axis] for dims in shapes])
        return self.tensor(result, self._shared_dtype(*xs))

    def pad(self, x: Any, pads: Pads, value: Any) -> Spec:
        sizes = zip(self.shape_of(x), pads, strict=True)
        return self.tensor([size + low + high for size, (low, high) in sizes], self.dtype_of(x))

    def take(self, x: Any, indices: Any, axis: int) -> Spec:
        dims = self.shape_of(x)
        taken = (*dims[:axis], *self.shape_of(indices), *dims[axis + 1 :])
        return self.tensor(taken, self.dtype_of(x))

    def take_along_axis(self, x: Any, indices: Any, axis: int) -> Spec:
        dims, places = self.shape_of(x), self.shape_of(indices)
        rule, advice = "Ranks must be equal", "Reshape the indices to the rank of x."
        _require(len(dims) == len(places), "take_along_axis", rule, advice, x=dims, indices=places)
        others = (*dims[:axis], 1, *dims[axis + 1 :])
        taken = list(_broadcast("take_along_axis", x=others, indices=places))
        taken[axis] = places[axis]
        return self.tensor(taken, self.dtype_of(x))

    def get_item(self, x: Any, key: tuple[Any, ...]) -> Spec:
        dims = self.shape_of(x)
        sizes = iter(dims)
        pairs = [(e, 1 if e is None else next(sizes)) for e in full_key(len(dims), key)]
        kept = [
            _slice_length(size, entry) if isinstance(entry, slice) else size
            for entry, size in pairs
            if entry is None or isinstance(entry, slice)
        ]
        return self.tensor(kept, self.dtype_of(x))

    def gather(self, x: Any, indices: Any) -> Spec:
        dims, (*places, depth) = self.shape_of(x), self.shape_of(indices)
        return self.tensor((*places, *dims[depth:]), self.dtype_of(x))

    def slice(self, x: Any, start: Sequence[Any], shape: Dims) -> Spec:
        self._check_block("slice", x, start, tuple(shape))
        return self.tensor(shape, self.dtype_of(x))

    def slice_update(self, x: Any, start: Sequence[Any], updates: Any) -> Spec:
        self._check_block("slice_update", x, start, self.shape_of(updates))
        return self.cast(x, self.dtype_of(x))

    def _check_block(self, name: str, x: Any, start: Sequence[Any], block: Dims) -> None:
        dims = self.shape_of(x)
        fits = len(dims) == len(start) == len(block) and not any(
            _known(size, taken) and size < taken for size, taken in zip(dims, block, strict=True)
        )
        advice = "Give a start and a size for each axis, within x."
        shown = [at if isinstance(at, int) else "a tensor" for at in start]
        _require(fits, name, "The block must lie in x", advice, x=dims, block=block, start=shown)

    def scatter(self, x: Any, indices: Any, updates: Any, reduction: str) -> Spec:
        dims, places, given = self.shape_of(x), self.shape_of(indices), self.shape_of(updates)
        rule, advice = "Updates must be one slice of x for each index", "Indices are (..., k)."
        fits = places and not _known(places[-1])
        if places and _known(places[-1]) and places[-1] <= len(dims):
            fits = _stretched(given, (*places[:-1], *dims[places[-1] :])) is not None
        _require(fits, "scatter", rule, advice, x=dims, indices=places, updates=given)
        return self.cast(x, self.dtype_of(x))

    # ---------------------------------------------------------------- order

    def top_k(self, x: Any, k: int) -> tuple[Spec, Spec]:
        dims = self.shape_of(x)
        fits = dims and (not _known(dims[-1]) or k <= dims[-1])
        rule, advice = "k must be at most the size of the last axis", "Use a smaller k."
        _require(fits, "top_k", rule, advice, x=dims, k=k)
        return self.tensor((*dims[:-1], k), self.dtype_of(x)), self.tensor((*dims[:-1], k), "int32")

    def searchsorted(self, sequence: Any, values: Any, side: str) -> Spec:
        return self.tensor(self.shape_of(values), "int32")

    def unique(self, x: Any, size: int | None, fill: Any) -> tuple[Spec, Spec, Spec, Spec]:
        found = (dimension(size),)
        shapes = found, self.shape_of(x), found
        first, inverse, counts = (self.tensor(dims, "int32") for dims in shapes)
        return self.tensor(found, self.dtype_of(x)), first, inverse, counts

    def nonzero(self, x: Any, size: int | None, fill: int) -> tuple[Spec, ...]:
        found = (dimension(size),)
        return tuple([self.tensor(found, "int32") for _ in self.shape_of(x)])

    # ----------------------------------------------------- contract, window

    def matmul(self, x1: Any, x2: Any) -> Spec:
        left, right = self.shape_of(x1), self.shape_of(x2)
        rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
        agree = left and right and _equal(left[-1], right[-2:][0]) is not None
        rule = "The last axis of x1 must be as long as the last but one of x2"
        _require(agree, "matmul", rule, "Transpose or reshape one.", x1=left, x2=right)
        batch = _broadcast("matmul", x1=left[:-2], x2=right[:-2])
        return self.tensor((*batch, *rows, *columns), self._shared_dtype(x1, x2))

    def einsum(self, subscripts: str, operands: Sequence[Any]) -> Spec:
        shapes = [self.shape_of(x) for x in operands]
        terms, result = subscripts.replace(" ", "").split("->")
        received = {"subscripts": repr(subscripts), "shapes": shapes}
        sizes: dict[str, Any] = {}
        rest: Dims = ()  # the axes that ... stands for
        for term, dims in zip(terms.split(","), shapes, strict=True):
            head, dots, tail = term.partition("...")
            last = len(dims) - len(tail)
            fits = last >= len(head) if dots else last == len(head)
            rule, advice = "There must be a letter for each axis", "Use ... for the others."
            _require(fits, "einsum", rule, advice, **received)
            rest = _broadcast("einsum", first=rest, next=dims[len(head) : last])
            for letter, size in zip(head + tail, dims[: len(head)] + dims[last:], strict=True):
                known = sizes.get(letter, size)
                sizes[letter] = _joined(known, size) if _known(known) or _known(size) else known
        rule, advice = "Axes of one letter must be equal", "Reshape, or use other letters."
        _require(None not in sizes.values(), "einsum", rule, advice, **received)
        head, dots, tail = result.partition("...")
        inner = rest if dots else ()
        dims = (*(sizes[key] for key in head), *inner, *(sizes[key] for key in tail))
        return self.tensor(dims, self._shared_dtype(*operands))

    def conv(
        self, x: Any, kernel: Any, strides: Axes, pads: Pads, dilation: Axes, groups: int
    ) -> Spec:
        dims, (*window, depth, filters) = self.shape_of(x), self.shape_of(kernel)
        fits = _equal(dims[-1], depth * groups) is not None and not (
            _known(filters) and filters % groups
        )
        rule = "Channels must be groups times the kernel's, filters a multiple of groups"
        shapes = {"x": dims, "kernel": (*window, depth, filters)}
        _require(fits, "conv", rule, "Change groups or channels.", **shapes, groups=groups)
        positions = _positions("conv", dims, tuple(window), strides, pads, dilation)
        return self.tensor((dims[0], *positions, filters), self._shared_dtype(x, kernel))

    def conv_transpose(
        self, x: Any, kernel: Any, strides: Axes, pads: Pads, dilation: Axes
    ) -> Spec:
        dims, (*window, filters, depth) = self.shape_of(x), self.shape_of(kernel)
        rule, advice = "Channels must be the kernel's", "A kernel is (*window, filters, channels)."
        shapes = {"x": dims, "kernel": (*window, filters, depth)}
        _require(_equal(dims[-1], depth) is not None, "conv_transpose", rule, advice, **shapes)
        positions = _positions("conv_transpose", dims, tuple(window), strides, pads, dilation)
        return self.tensor((dims[0], *positions, filters), self._shared_dtype(x, kernel))

    def patches(
        self, x: Any, window: Axes, strides: Axes, pads: Pads, dilation: Axes, fill: float
    ) -> Spec:
        dims = self.shape_of(x)
        positions = _positions("patches", dims, window, strides, pads, dilation)
        return self.tensor((dims[0], *positions, math.prod(window), dims[-1]), self.dtype_of(x))

    # ---------------------------------------------------------- linalg, fft

    def cholesky(self, x: Any) -> Any:
        return self._factors("cholesky", x, "mn", square=True)[0]

    def solve(self, a: Any, b: Any) -> Spec:
        left, right = self.shape_of(a), self.shape_of(b)
        fits = len(left) > 1 < len(right) and None not in map(_equal, left[-2:], right[-2:-1] * 2)
        rule = "a must hold square matrices, b as many rows"
        advice = "Reshape b to (..., rows, columns)."
        _require(fits, "solve", rule, advice, a=left, b=right)
        batch = _broadcast("solve", a=left[:-2], b=right[:-2])
        return self.tensor((*batch, *right[-2:]), self._shared_dtype(a, b))

    def solve_triangular(self, a: Any, b: Any, lower: bool) -> Spec:
        return self.solve(a, b)

    def qr(self, x: Any, mode: str) -> Any:
        factors = {"reduced": ("mk", "kn"), "complete": ("mm", "mn")}[mode]
        return self._factors("qr", x, *factors)

    def svd(self, x: Any, full_matrices: bool) -> Any:
        left, right = ("mm", "nn") if full_matrices else ("mk", "kn")
        return self._factors("svd", x, left, "k real", right)

    def eigh(self, x: Any) -> Any:
        return self._factors("eigh", x, "m real", "mn", square=True)

    def eig(self, x: Any) -> Any:
        return self._factors("eig", x, "m complex", "mn complex", square=True)

    def lu_factor(self, x: Any) -> Any:
        return self._factors("lu_factor", x, "mn", "k int32")

    def rfft(self, x: Any) -> Spec:
        dims = self.shape_of(x)
        return self.tensor((*dims[:-1], dims[-1] // 2 + 1), _complex(self.dtype_of(x)))

    def irfft(self, x: Any, length: int) -> Spec:
        dtype = self.dtype_of(x)
        return self.tensor((*self.shape_of(x)[:-1], length), _real(dtype))

    def _factors(self, name: str, x: Any, *factors: str, square: bool = False) -> Any:
        """Factors of matrices (m, n), each given by the letters of its axes, k for the smaller of m
        and n, and after a space its dtype where it is not that of x."""
        dims, dtype = self.shape_of(x), self.dtype_of(x)
        fits = len(dims) > 1 and (not square or _equal(*dims[-2:]) is not None)
        rule = "The last two axes must be a square matrix" if square else "There must be matrices"
        _require(fits, name, rule, "Reshape x to (..., rows, columns).", x=dims)
        rows, columns = dims[-2:]
        sizes = {"m": rows, "n": columns, "k": _least(rows, columns)}
        kinds = {"": dtype, "real": _real(dtype), "complex": _complex(dtype)}
        results = []
        for letters, _, kind in (factor.partition(" ") for factor in factors):
            axes = [sizes[letter] for letter in letters]
            results.append(self.tensor((*dims[:-2], *axes), kinds.get(kind, kind)))
        return tuple(results)
