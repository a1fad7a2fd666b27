"""An engine that writes a file: tensors are values of a graph, and a primitive writes nodes.

Shapes and dtypes are the spec engine's. What is known while the graph is written is computed by the
NumPy engine, so that tables and masks stand in the file as numbers.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import optree

from .. import get, host
from ..contract import Axes, Engine, Pads, State, Tensor
from ..spec import Dimension, Spec
from .graph import Codes, Graph, Value, pairs

#: Of up to how many elements a known result stands in the file, where its operands are smaller.
KNOWN = 1 << 14
#: Computes what is known while a graph is written.
NUMPY: Any = get("numpy")
#: The primitives for the operations on sizes.
_OF_SIZES = pairs("add:add floordiv:floor_divide mod:mod max:maximum")

#: Primitives that NumPy computes where all their operands are known.
_FOLDED = frozenset(
    (
        "cast multiply abs trunc expm1 log1p erfinv lgamma i0 bitwise_not complex real imag conj "
        "fft ifft rfft irfft divide floor_divide mod fmod arctan2 left_shift right_shift mean all "
        "any argmax argmin cumsum cumprod transpose broadcast_to concatenate pad flip take "
        "take_along_axis gather get_item slice slice_update scatter sort argsort top_k searchsorted "
        "unique nonzero matmul einsum where cholesky solve solve_triangular qr svd eigh eig "
        "lu_factor nextafter random_gamma random_binomial negative sign sqrt exp log sin cos tan "
        "arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh erf isnan isinf logical_not "
        "sigmoid ceil floor round add subtract maximum minimum equal less less_equal greater "
        "greater_equal logical_and logical_or logical_xor power bitwise_and bitwise_or "
        "bitwise_xor sum prod max min rsqrt not_equal"
    ).split()
)
#: Those of them that weights go through while the graph is written.
_REARRANGES = frozenset("transpose concatenate flip get_item slice".split())
#: Primitives that treat the real and the imaginary part of complex numbers alike.
_LINEAR = frozenset(
    (
        "negative add subtract sum mean reshape transpose broadcast_to concatenate pad flip take cumsum "
        "take_along_axis gather get_item slice where"
    ).split()
)


class Writing(Engine):
    """What all primitives are written with; a format says how its nodes are named.

    Args:
        graph: An empty graph of the format.
    """

    trains: ClassVar[bool] = False
    computes: ClassVar[bool] = False
    writes_files: ClassVar[bool] = True
    native = frozenset({Value, Dimension, type(None), bool, int, float, np.ndarray})
    #: The dtype of sizes and indices.
    sizes: ClassVar[str] = "int64"
    #: What the format calls a choice between two bodies, and these.
    branches: ClassVar[tuple[str, str, str]]
    #: What it calls numbers at equal distances.
    counting: ClassVar[str] = "Range"
    #: Whether what follows from weights alone stands in the file, rather than being computed by it.
    folds_weights: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Facts about primitives, whichever format writes them: a format need not repeat them.
        super().__init_subclass__(**kwargs)
        methods: dict[str, Any] = dict(vars(cls))
        for name, plain in methods.items():
            method = _of_complex(_OF_COMPLEX[name], plain) if name in _OF_COMPLEX else plain
            method = _by_parts(method) if name in _LINEAR else method
            method = _folded(name, method) if name in _FOLDED else method
            if method is not plain:
                setattr(cls, name, method)

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.spec: Any = get("spec")
        self._weights: dict[int, tuple[Any, Value]] = {}

    # ----------------------------------------------------------------- nodes

    def _nodes(
        self,
        kind: str,
        inputs: Sequence[Value | None],
        specs: Sequence[Spec],
        gives: str | None = None,
        bodies: dict[str, Graph] | None = None,
        **attributes: Any,
    ) -> list[Value]:
        """The results of an operation, run in the dtypes of its kernels; `gives` is the dtype that it
        gives where the format says so."""
        inputs = [x if x is None else self._runnable(kind, x) for x in inputs]
        real = [gives or self._result_dtype(kind, spec.dtype) for spec in specs]
        given = [Spec(spec.dims, dtype) for spec, dtype in zip(specs, real, strict=True)]
        attributes = {key: value for key, value in attributes.items() if value is not None}
        results = self.graph.add(kind, inputs, given, attributes, bodies)
        return [self.cast(x, spec.dtype) for x, spec in zip(results, specs, strict=True)]

    def _node(self, kind: str, inputs: Sequence[Value | None], spec: Spec, **more: Any) -> Value:
        return self._nodes(kind, inputs, [spec], **more)[0]

    def _runnable(self, kind: str, x: Value) -> Value:
        """An operand in a dtype that the operation has a kernel for."""
        wide = self._operand_dtype(kind, x.dtype)
        return x if wide == x.dtype else self.cast(x, wide)

    def _operand_dtype(self, kind: str, dtype: str) -> str:
        """The dtype in which an operation takes an operand of a dtype."""
        return dtype

    def _result_dtype(self, kind: str, dtype: str) -> str:
        """The dtype in which an operation gives a result of a dtype."""
        return dtype

    def _elementwise(
        self, kind: str, inputs: Sequence[Value], spec: Spec, **attributes: Any
    ) -> Value:
        """An operation element by element. Where its operands are transposes, the operation goes before
        them: convolutions of channels-first formats then follow each other without any."""
        axes = next((x.origin[1] for x in inputs if x.origin is not None), None)
        moved = None if axes is None or len(axes) != len(spec.dims) else self._before(inputs, axes)
        if axes is None or moved is None:
            return self._node(kind, inputs, spec, **attributes)
        dims = [spec.dims[axes.index(k)] for k in range(len(axes))]
        return self.transpose(self._node(kind, moved, Spec(dims, spec.dtype), **attributes), axes)

    def _before(self, inputs: Sequence[Value], axes: Axes) -> list[Value] | None:
        """What operands are the transposes of; small ones that are none are moved."""
        found: list[Value] = []
        for x in inputs:
            sizes = [size for size in x.dims if isinstance(size, Dimension) or size != 1]
            if x.origin is not None and x.origin[1] == axes:
                found.append(x.origin[0])
            elif not x.dims:
                found.append(x)
            elif len(sizes) < 2 and not any(isinstance(size, Dimension) for size in sizes):
                full = (1,) * (len(axes) - len(x.dims)) + x.dims
                found.append(self.reshape(x, tuple(full[axes.index(k)] for k in range(len(axes)))))
            else:
                return None
        return found

    def _reduce(self, kind: str, x: Value, axes: Axes, keepdims: bool) -> Value:
        spec = self.spec.sum(x, axes, keepdims)
        if not axes:
            return x
        if x.origin is not None:
            source, order = x.origin
            places = tuple(sorted(order[axis] for axis in axes))
            reduced = self._reduce(kind, source, places, True)
            reduced = self.transpose(reduced, order)
            return reduced if keepdims else self.reshape(reduced, spec.dims)
        return self._reduced(kind, x, axes, keepdims, spec)

    # -------------------------------------------------- sizes, known or not

    def _constant(self, value: Any, dtype: str | None = None) -> Value:
        array = host.as_array(np.asarray(value), dtype or self.sizes)
        return self.graph.constant(np.asarray(array))

    def _size(self, size: Any) -> Value:
        """A size as a vector of one integer, known or computed when the graph runs."""
        if isinstance(size, Dimension):
            factors = [self._symbol(symbol) for symbol in size.symbols]
            if size.coefficient != 1:
                factors.append(self._constant([size.coefficient]))
            return functools.reduce(self.multiply, factors)
        if isinstance(size, Value):
            return self.reshape(self.cast(size, self.sizes), (1,))
        return self._constant([size])

    def _symbol(self, symbol: Any) -> Value:
        place = self.graph.place_of(symbol)
        if place is not None:
            return self._length(*place)
        if symbol.origin is None:
            raise NotImplementedError(
                f"The {self.name} engine can't do with a size that no input of the graph tells. Received: a size "
                "that shows as None, of a symbolic tensor that was asked for it while the model was made. Use -1 "
                "in `ops.reshape`, or ask for the size in a layer's `call`."
            )
        operation, left, right = symbol.origin
        primitive = getattr(self, _OF_SIZES[operation.__name__])
        return primitive(self._size(left), self._size(right))

    def _vector(self, sizes: Sequence[Any]) -> Value:
        """Sizes as a vector of integers."""
        if all(isinstance(size, (int, np.integer)) for size in sizes):
            return self._constant(np.array(sizes, self.sizes))
        return self.concatenate([self._size(size) for size in sizes], 0)

    # ---------------------------------------------------------------- tensor

    def convert_to_tensor(self, x: Any, dtype: str | None = None) -> Tensor:
        if isinstance(x, Value):
            return x if dtype in (None, x.dtype) else self.cast(x, dtype)
        if isinstance(x, Dimension):
            return self.cast(self.reshape(self._size(x), ()), dtype or "int32")
        if isinstance(x, (list, tuple)) and any(map(_is_value, _leaves(x))):
            parts = [self.convert_to_tensor(part, dtype) for part in x]
            dtype = host.common_dtype([part.dtype for part in parts])
            return self.concatenate([self._expanded(self.cast(part, dtype)) for part in parts], 0)
        return self.graph.constant(np.asarray(host.as_array(x, dtype)))

    def _expanded(self, x: Value) -> Value:
        return self.reshape(x, (1, *x.dims))

    def convert_to_numpy(self, x: Tensor) -> Any:
        return np.asarray(x)

    def is_tensor(self, x: Any) -> bool:
        return isinstance(x, Value)

    def dtype_of(self, x: Tensor) -> str:
        if isinstance(x, Value):
            return x.dtype
        return "int32" if isinstance(x, Dimension) else host.dtype_of(x)

    def shape_of(self, x: Tensor) -> tuple[Any, ...]:
        return x.dims if isinstance(x, Value) else self.spec.shape_of(x)

    def weak_type(self, x: Any) -> Any:
        return int if isinstance(x, Dimension) else super().weak_type(x)

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        x = self.convert_to_tensor(x)
        if x.dtype == dtype:
            return x
        if x.array is not None and x.label is None:
            return self.graph.constant(host.cast(x.array, dtype))
        if dtype.startswith("complex"):
            return self.complex(x, self.full((), 0, x.dtype))
        if x.parts is not None:
            return self.cast(x.parts[0], dtype)
        return self._converted(x, dtype)

    def stop_gradient(self, x: Tensor) -> Tensor:
        return x

    def stand_in(self, variable: Any) -> Tensor:
        known = self._weights.get(id(variable))
        if known is None:
            known = (variable, self.graph.constant(variable.held(), variable.path))
            self._weights[id(variable)] = known
        return known[1]

    def _like(self, value: Any, x: Value) -> Value:
        return self._constant(value, x.dtype)

    def _last(self, x: Value) -> Value:
        return self.reshape(x, (*x.dims, 1))

    # ------------------------------------------------------------ transforms

    @contextmanager
    def _body(self, branch: bool = False) -> Iterator[Graph]:
        """A graph within the current one, current in the block."""
        outer = self.graph
        self.graph = type(outer)(outer, branch)
        try:
            yield self.graph
        finally:
            self.graph = outer

    def _tensors(self, tree: Any) -> Any:
        return optree.tree_map(self.convert_to_tensor, tree)

    def cond(self, pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        if pred.array is not None:
            return self._tensors(true_fn() if pred.array else false_fn())
        kind, *keys = self.branches
        bodies, results = {}, []
        for name, function in zip(keys, (true_fn, false_fn), strict=True):
            with self._body(branch=True) as bodies[name]:
                results.append(self._tensors(function()))
                bodies[name].finish(optree.tree_leaves(results[-1]))
        merged = self.spec.cond(None, *[lambda tree=tree: tree for tree in results])
        leaves, structure = optree.tree_flatten(merged)
        made = self._nodes(kind, [self.reshape(pred, ())], leaves, bodies=bodies)
        return optree.tree_unflatten(structure, made)

    def vectorized_map(self, f: Callable[[Any], Any], elements: Any) -> Any:
        return self.scan(lambda carry, x: (carry, f(x)), (), elements, None, False)[1]

    def custom_gradient(
        self, f: Callable[..., tuple[Any, Callable[..., Any]]]
    ) -> Callable[..., Any]:
        return lambda *args, **kwargs: f(*args, **kwargs)[0]

    def compile(
        self, step: Callable[..., Any], state: State, jit: bool | None = None
    ) -> Callable[..., Any]:
        return step

    def shape_alone(self, name: str) -> None:
        raise NotImplementedError(
            f"The {self.name} engine can't do `{name}` along an axis of unknown size, from which its tables "
            "follow. Received: a size that shows as None. Give it where the input is made: "
            "`Input(shape=(28, 28, 1))`."
        )

    # ---------------------------------------------------- what a format writes

    @abstractmethod
    def _converted(self, x: Value, dtype: str) -> Value:
        """x in another dtype."""

    @abstractmethod
    def _length(self, x: Value, axis: int) -> Value:
        """The size of an axis as a vector of one integer."""

    @abstractmethod
    def _reduced(self, kind: str, x: Value, axes: Axes, keepdims: bool, spec: Spec) -> Value:
        """A reduction, of at least one axis; `kind` is what the format calls it."""

    @abstractmethod
    def _reshaped(self, x: Value, sizes: Sequence[Any], spec: Spec) -> Value:
        """x in another shape; at most one size is -1, for the rest."""

    @abstractmethod
    def _transposed(self, x: Value, order: Axes, spec: Spec) -> Value:
        """x with its axes in another order."""

    @abstractmethod
    def _spread(self, x: Value, sizes: Sequence[Any], spec: Spec) -> Value:
        """x broadcast to a shape; a size of 1 keeps the axis as it is."""

    @abstractmethod
    def _joined(self, xs: Sequence[Value], axis: int, spec: Spec) -> Value:
        """Two and more values, one after the other."""

    @abstractmethod
    def _filled(self, x: Value, pads: Pads, fill: Value, spec: Spec) -> Value:
        """x with elements before and after its axes."""

    @abstractmethod
    def _strided(self, x: Value, parts: Mapping[int, slice], spec: Spec) -> Value:
        """What slices take of some axes, each with bounds and a step; the bounds may be unknown sizes."""

    @abstractmethod
    def _block(self, x: Value, begins: Value, shape: Sequence[Any], spec: Spec) -> Value:
        """A block of a shape from a place that is computed when the graph runs."""


def tabled(f: Any) -> tuple[list[Any], list[int], int]:
    """The keys, values and default of a function of the host that is a table: files have no other ones."""
    if not isinstance(f, host.Tabled):
        raise NotImplementedError(
            "A file has no functions of NumPy's, as layers of strings and look-ups are, but for look-ups "
            "with `output_mode='int'` and one index for unknown tokens. Received: another one. Export what "
            "comes after it, `cornu.Model(layer.output, model.output)`, and call the layer before that; "
            "JavaScript does with `preprocessing='model.json'`."
        )
    return f.keys, f.values, f.default


def widened(specs: Sequence[Spec], results: Sequence[Spec]) -> list[Spec]:
    """The state of a loop, with an unknown dimension where a turn changes one."""
    return [
        Spec(
            [
                a if a == b or isinstance(a, Dimension) else Dimension()
                for a, b in zip(x.dims, y.dims, strict=True)
            ],
            x.dtype,
        )
        for x, y in zip(specs, results, strict=True)
    ]


# ---------------------------------------------- what is known, and complex numbers


def _folded(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A primitive that the NumPy engine computes where all its operands are known."""
    compute, rearranges = getattr(NUMPY, name), name in _REARRANGES

    @functools.wraps(method)
    def call(self: Writing, *args: Any) -> Any:
        values = [x for x in _leaves(args) if _is_value(x)]
        arrays = [getattr(x, "array", None) for x in values]
        label = next((x.label for x in values if isinstance(x, Value) and x.label), None)
        kept = label and not (rearranges or self.folds_weights)
        if not arrays or any(array is None for array in arrays) or kept:
            made = method(self, *args)
            if isinstance(made, Value) and made.array is None:
                made.follow(values, lambda: compute(*_with_arrays(args)))
            return made
        known = compute(*_with_arrays(args))
        sizes = [array.size for array in arrays if array is not None]
        if sum(np.size(part) for part in optree.tree_leaves(known)) > max(KNOWN, *sizes):
            return method(self, *args)
        codes = [getattr(x, "codes", None) for x in values]
        if rearranges and all(x is not None for x in codes):
            moved = Codes(*(compute(*_with_arrays(args, part)) for part in range(3)))
            return self.graph.constant(known, label, moved)
        return optree.tree_map(lambda x: self.graph.constant(np.asarray(x), label), known)

    return call


def _is_value(x: Any) -> bool:
    return isinstance(x, (Value, Dimension))


def _leaves(args: Any) -> Iterator[Any]:
    """Operands, also those within lists, keys and slices."""
    for x in args:
        if isinstance(x, (list, tuple)):
            yield from _leaves(x)
        elif isinstance(x, slice):
            yield from (x.start, x.stop, x.step)
        else:
            yield x


def _with_arrays(args: Any, part: int | None = None) -> Any:
    """Operands as arrays: what they are, or a part of the codes that they are stored as."""

    def known(x: Any) -> Any:
        if isinstance(x, (list, tuple)):
            return type(x)(map(known, x))
        if isinstance(x, slice):
            return slice(known(x.start), known(x.stop), known(x.step))
        if isinstance(x, Value):
            return x.known() if part is None or x.codes is None else x.codes[part]
        return x

    return [known(x) for x in args]


def _by_parts(method: Callable[..., Any]) -> Callable[..., Any]:
    """A linear primitive on complex operands: once on the real parts, once on the imaginary ones."""

    @functools.wraps(method)
    def call(self: Writing, *args: Any) -> Any:
        if not any(isinstance(x, Value) and x.dtype.startswith("complex") for x in _leaves(args)):
            return method(self, *args)

        def part(at: int) -> Any:
            def of(x: Any) -> Any:
                if isinstance(x, list):
                    return [of(one) for one in x]
                is_number = isinstance(x, Value) and x.dtype.startswith("complex")
                return (self.real, self.imag)[at](x) if is_number else x

            return method(self, *map(of, args))

        return self.complex(part(0), part(1))

    return call


def _of_complex(rule: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    """A primitive that has a rule of its own for complex operands."""

    @functools.wraps(method)
    def call(self: Writing, *args: Any) -> Any:
        if any(isinstance(x, Value) and x.dtype.startswith("complex") for x in args):
            return rule(self, *args)
        return method(self, *args)

    return call


def _modulus(self: Writing, x: Value) -> Value:
    return self.sqrt(
        self.add(*(self.multiply(part(x), part(x)) for part in (self.real, self.imag)))
    )


def _product(self: Writing, x1: Value, x2: Value) -> Value:
    (a, b), (c, d) = ((self.real(x), self.imag(x)) for x in (x1, x2))
    real = self.subtract(self.multiply(a, c), self.multiply(b, d))
    return self.complex(real, self.add(self.multiply(a, d), self.multiply(b, c)))


_OF_COMPLEX = {"abs": _modulus, "multiply": _product}
