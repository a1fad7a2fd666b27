"""How the ONNX engine writes nodes: dtypes that have kernels, sizes, tensors, what is known already."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import optree

from .. import get, host
from ..contract import Axes, Engine, Tensor
from ..spec import Dimension, Spec
from .graph import TYPES, Codes, Graph, Value, pairs

OPSET = 17
#: Of up to how many elements a known result stands in the file, where its operands are smaller.
KNOWN = 1 << 14
#: Computes what is known while a graph is written.
NUMPY: Any = get("numpy")
#: The dtype in which operations run that have no kernel for a dtype.
WIDE = pairs(
    "int8:int32 int16:int32 uint8:int32 uint16:int32 bool:int32 uint32:int64 uint64:int64 "
    "float16:float32 bfloat16:float32 float8_e4m3fn:float32 float8_e5m2:float32"
)
#: Operations that only move elements, which have kernels for every dtype.
_MOVES = frozenset(
    "Cast Concat Reshape Transpose Expand Slice Squeeze Unsqueeze Gather GatherElements GatherND Shape "
    "Identity ScatterND If Loop Scan Not And Or Xor NonZero QuantizeLinear DequantizeLinear".split()
)
#: Operations whose kernels know float32 alone.
_SINGLE = frozenset(
    "Erf Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Conv ConvTranspose AveragePool Softplus "
    "Softsign Elu Selu Celu LeakyRelu HardSigmoid HardSwish LSTM GRU RNN".split()
)
_GIVES_BOOLEANS = frozenset("Equal Less LessOrEqual Greater GreaterOrEqual IsNaN IsInf".split())
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
        "bitwise_xor sum prod max min"
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


class Nodes(Engine):
    """What all primitives are written with.

    Args:
        opset: The version of ONNX's operations.
        half: Whether float32 weights are stored in 16 bits, where they fit.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, method in list(vars(cls).items()):
            if name in _LINEAR:
                method = _by_parts(method)
            if name in _FOLDED:
                method = _folded(name, method)
            if method is not vars(cls)[name]:
                setattr(cls, name, method)

    def __init__(self, opset: int = OPSET, half: bool = False) -> None:
        super().__init__()
        self.opset = opset
        self.graph = Graph(half=half)
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
        if kind not in _MOVES:
            inputs = [x if x is None else self._runnable(kind, x) for x in inputs]
        real = [gives or self._run_dtype(kind, spec.dtype) for spec in specs]
        given = [Spec(spec.dims, dtype) for spec, dtype in zip(specs, real, strict=True)]
        attributes = {key: value for key, value in attributes.items() if value is not None}
        results = self.graph.add(kind, inputs, given, attributes, bodies)
        return [self.cast(x, spec.dtype) for x, spec in zip(results, specs, strict=True)]

    def _node(self, kind: str, inputs: Sequence[Value | None], spec: Spec, **more: Any) -> Value:
        return self._nodes(kind, inputs, [spec], **more)[0]

    def _run_dtype(self, kind: str, dtype: str) -> str:
        if kind in _MOVES or (dtype == "bool" and kind in _GIVES_BOOLEANS):
            return dtype
        if kind in _SINGLE:
            return "float32"
        return WIDE.get(dtype, dtype)

    def _runnable(self, kind: str, x: Value) -> Value:
        """An operand in a dtype that the operation has a kernel for."""
        if x.dtype == "bool" and kind in ("Where", "Equal"):
            return x
        wide = WIDE.get(x.dtype, x.dtype)
        if kind in _SINGLE and (wide != "int64" or kind.startswith("Conv")):
            wide = "float32"
        return x if wide == x.dtype else self.cast(x, wide)

    def _elementwise(
        self, kind: str, inputs: Sequence[Value], spec: Spec, **attributes: Any
    ) -> Value:
        """An operation element by element. Where its operands are transposes, the operation goes before
        them: convolutions, which are channels-first here, then follow each other without any."""
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
        options: dict[str, Any] = {"keepdims": int(keepdims)}
        if kind == "ReduceSum" or self.opset >= 18:
            return self._node(kind, [x, self._vector(axes)], spec, **options)
        return self._node(kind, [x], spec, axes=list(axes), **options)

    # -------------------------------------------------- sizes, known or not

    def _constant(self, value: Any, dtype: str = "int64") -> Value:
        return self.graph.constant(np.asarray(host.as_array(np.asarray(value), dtype)))

    def _size(self, size: Any) -> Value:
        """A size as a vector of one int64, known or computed when the graph runs."""
        if isinstance(size, Dimension):
            factors = [self._symbol(symbol) for symbol in size.symbols]
            if size.coefficient != 1:
                factors.append(self._constant([size.coefficient]))
            return functools.reduce(self.multiply, factors)
        if isinstance(size, Value):
            return self.reshape(self.cast(size, "int64"), (1,))
        return self._constant([size])

    def _symbol(self, symbol: Any) -> Value:
        place = self.graph.place_of(symbol)
        if place is not None:
            x, axis = place
            return self._node("Shape", [x], Spec((1,), "int64"), start=axis, end=axis + 1)
        operation, left, right = symbol.origin
        primitive = getattr(self, _OF_SIZES[operation.__name__])
        return primitive(self._size(left), self._size(right))

    def _vector(self, sizes: Sequence[Any]) -> Value:
        """Sizes as a vector of int64."""
        if all(isinstance(size, (int, np.integer)) for size in sizes):
            return self._constant(np.array(sizes, np.int64))
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
        if dtype.startswith("float8") and self.opset < 19:
            raise ValueError(
                "Floats of 8 bits came with version 19 of ONNX's operations. Received: "
                f"opset_version={self.opset}. Export with opset_version=19."
            )
        return self._elementwise("Cast", [x], Spec(x.dims, dtype), to=TYPES[dtype])

    def stop_gradient(self, x: Tensor) -> Tensor:
        return x

    def view(self, x: Tensor, dtype: str) -> Tensor:
        integers = {"int32", "uint32"}
        if x.array is not None:
            return self.graph.constant(NUMPY.view(x.array, dtype))
        if x.dtype == dtype or {x.dtype, dtype} == integers:
            return self.cast(x, dtype)
        raise NotImplementedError(
            f"The onnx engine can't do `view` of other dtypes: ONNX has no operation on bits. "
            f"Received: x.dtype={x.dtype}, dtype={dtype!r}. Use `ops.cast`, or another engine."
        )

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


# ---------------------------------------------- what is known, and complex numbers


def _folded(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A primitive that the NumPy engine computes where all its operands are known."""
    compute, rearranges = getattr(NUMPY, name), name in _REARRANGES

    @functools.wraps(method)
    def call(self: Nodes, *args: Any) -> Any:
        values = [x for x in _leaves(args) if _is_value(x)]
        arrays = [getattr(x, "array", None) for x in values]
        label = next((x.label for x in values if isinstance(x, Value) and x.label), None)
        if not arrays or any(array is None for array in arrays) or (label and not rearranges):
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
    def call(self: Nodes, *args: Any) -> Any:
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
