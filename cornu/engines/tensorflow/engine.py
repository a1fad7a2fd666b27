"""The TensorFlow engine: eager tensors, and steps as one `tf.function`, compiled by XLA where that wins.

TensorFlow lacks kernels for some dtypes, such as products of matrices in uint8 or the inverse of erf
in bfloat16. Those are computed in a wider dtype (`_through`).
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

import numpy as np

from ... import tuning
from .. import host, loops, use
from ..contract import Axes, Layout, Native, Pads, State, Tensor
from ..keeping import KeepingEngine
from ..loops import flatten


@contextmanager
def _unheard() -> Iterator[None]:
    """What is written to the process's standard error is lost."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def _loading() -> Iterator[None]:
    """While TensorFlow loads, its libraries read their log level, and look for Keras and JAX.

    Keras serves TensorFlow's registry, which loads it when it is used, and JAX a converter to TFLite:
    without them loading takes 2.0 s and 491 MB, else 4.0 s and 736 MB (`tuning.light_import`).
    """
    level = "TF_CPP_MIN_LOG_LEVEL"
    is_told = level in os.environ
    os.environ.setdefault(level, "2")
    names = ("keras.src", "jax") if tuning.light_import() else ()
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        with _unheard() if tuning.quiet_import() else nullcontext():
            yield
    finally:
        for name in absent:
            del sys.modules[name]
        if not is_told:  # it is not for the processes that start later
            del os.environ[level]


with _loading():
    import tensorflow as tf

from .adopted import SavedProgram  # noqa: E402
from .module import NAMES, LayerModule  # noqa: E402
from .steps import EAGER, GraphStep, unflatten  # noqa: E402

raw = tf.raw_ops
Wider = dict[Any, Any]

_HALF: Wider = {tf.float16: tf.float32, tf.bfloat16: tf.float32}
_UNSIGNED: Wider = {
    **dict.fromkeys((tf.uint8, tf.uint16), tf.int32),
    **dict.fromkeys((tf.uint32, tf.uint64), tf.int64),
}
_SMALL: Wider = {**_UNSIGNED, tf.bool: tf.int32, tf.int8: tf.int32, tf.int16: tf.int32}
_BOOL: Wider = {tf.bool: tf.int32}
_SCATTER = {
    "set": tf.tensor_scatter_nd_update,
    "add": tf.tensor_scatter_nd_add,
    "max": tf.tensor_scatter_nd_max,
    "min": tf.tensor_scatter_nd_min,
}


def _through(wider: Wider) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function of tensors, computed in a wider dtype where TensorFlow has no kernel for theirs."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*xs: Tensor) -> Tensor:
            wide = wider.get(xs[0].dtype)
            if wide is None:
                return function(*xs)
            return tf.cast(function(*(tf.cast(x, wide) for x in xs)), xs[0].dtype)

        return call

    return decorate


def _unary(names: str, wider: Wider | None = None) -> dict[str, Any]:
    """Methods that are a raw op each, which has less overhead than the public function (19 us against
    34 us for an eager sum of two small tensors)."""

    def method(op: Callable[..., Any]) -> Any:
        function = lambda x: op(x=x)  # noqa: E731
        return staticmethod(_through(wider)(function) if wider else function)

    pairs = (pair.split(":") for pair in names.split())
    return {name: method(getattr(raw, op)) for name, op in pairs}


def _binary(names: str, wider: Wider | None = None) -> dict[str, Any]:
    """The same, of two operands."""

    def method(op: Callable[..., Any]) -> Any:
        function = lambda x1, x2: op(x=x1, y=x2)  # noqa: E731
        return staticmethod(_through(wider)(function) if wider else function)

    pairs = (pair.split(":") for pair in names.split())
    return {name: method(getattr(raw, op)) for name, op in pairs}


def _choose_kernels(deterministic: bool) -> None:
    """Let TensorFlow use deterministic kernels alone, from now on."""
    if deterministic:
        tf.config.experimental.enable_op_determinism()
        tf.random.set_seed(0)  # without a seed it refuses to draw, and so to ask XLA for a program


class TensorFlowEngine(KeepingEngine):
    """The primitives on `tf.Tensor`."""

    name = "tensorflow"
    protocols: ClassVar[frozenset[str]] = frozenset({"__tf_tensor__"})
    module_type: ClassVar[type | None] = tf.Module
    module_names: ClassVar[frozenset[str]] = NAMES
    adopts: ClassVar[frozenset[str]] = frozenset({"programs"})
    repeats_steps: ClassVar[bool] = True

    vars().update(
        **_unary("ceil:Ceil floor:Floor sqrt:Sqrt rsqrt:Rsqrt exp:Exp expm1:Expm1 log:Log"),
        **_unary("log1p:Log1p sin:Sin cos:Cos tan:Tan arcsin:Asin arccos:Acos arctan:Atan"),
        **_unary("sinh:Sinh cosh:Cosh tanh:Tanh arcsinh:Asinh arccosh:Acosh arctanh:Atanh"),
        **_unary("sigmoid:Sigmoid erf:Erf erfc:Erfc logical_not:LogicalNot isnan:IsNan"),
        **_unary("isinf:IsInf isfinite:IsFinite"),
        **_unary("round:Rint erfinv:Erfinv lgamma:Lgamma i0:BesselI0", _HALF),
        **_unary("negative:Neg sign:Sign", _UNSIGNED),
        **_binary("subtract:Sub divide:RealDiv"),
        **_binary("equal:Equal not_equal:NotEqual logical_and:LogicalAnd logical_or:LogicalOr"),
        **_binary("left_shift:LeftShift right_shift:RightShift"),
        **_binary("less:Less less_equal:LessEqual", _BOOL),
        **_binary("greater:Greater greater_equal:GreaterEqual", _BOOL),
        **_binary("add:AddV2 multiply:Mul maximum:Maximum minimum:Minimum", _BOOL),
        **_binary("power:Pow", _UNSIGNED),
    )

    def __init__(self) -> None:
        super().__init__()
        tuning.deterministic.follow(_choose_kernels)
        self.arrays = frozenset({EAGER, _graph_tensor_type()})
        with (
            tf.Graph().as_default()
        ):  # an eager one would start threads, and who has them can't be forked
            variable = type(tf.Variable(0))
        self.native = frozenset({*type(self).native, np.ndarray, variable, *self.arrays})

    # ---------------------------------------------------------------- tensor

    def convert_to_tensor(self, x: Any, dtype: str | None = None) -> Tensor:
        if not isinstance(x, (*_TENSORS, tf.IndexedSlices)):
            if isinstance(x, (list, tuple)) and any(map(_holds_tensors, x)):
                return self._stacked(x, dtype)
            return tf.convert_to_tensor(host.as_array(x, dtype))
        x = tf.convert_to_tensor(x)
        return x if dtype is None or x.dtype.name == dtype else self.cast(x, dtype)

    def _stacked(self, items: Sequence[Any], dtype: str | None) -> Tensor:
        """A list with tensors somewhere in it; numbers beside them take their dtype."""
        if dtype is None:
            leaves, _ = flatten(list(items))
            dtype = next(leaf.dtype.name for leaf in leaves if isinstance(leaf, _TENSORS))
        return tf.stack([self.convert_to_tensor(item, dtype) for item in items])

    def sparse_parts(self, x: Any) -> tuple[Tensor, Tensor, tuple[int, ...]] | None:
        if not isinstance(x, tf.SparseTensor):
            return None
        return x.indices, x.values, tuple(x.shape)

    def convert_to_numpy(self, x: Tensor) -> Any:
        if isinstance(x, _TENSORS):
            return tf.convert_to_tensor(x).numpy()
        return host.as_array(x)

    def is_tensor(self, x: Any) -> bool:
        return isinstance(x, _TENSORS)

    def is_traced(self, x: Any) -> bool:
        return isinstance(x, tf.Tensor) and not hasattr(x, "numpy")

    def dtype_of(self, x: Tensor) -> str:
        return x.dtype.name if isinstance(x, _TENSORS) else host.dtype_of(x)

    def shape_of(self, x: Tensor) -> tuple[Any, ...]:
        shape = tuple(x.shape) if hasattr(x, "shape") else np.shape(x)
        if None not in shape:
            return shape
        sizes = tf.shape(x)
        return tuple(sizes[i] if size is None else size for i, size in enumerate(shape))

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        if not isinstance(x, _TENSORS):
            return self.convert_to_tensor(x, dtype)
        if x.dtype.is_complex and dtype[0] not in "cb":
            x = tf.math.real(x)  # said aloud: TensorFlow warns of it otherwise
        if dtype.startswith("float8") and not x.dtype.is_floating:
            x = tf.cast(x, tf.float32)
        return tf.cast(x, dtype)

    def stop_gradient(self, x: Tensor) -> Tensor:
        return tf.stop_gradient(x)

    def view(self, x: Tensor, dtype: str) -> Tensor:
        x = tf.cast(x, tf.uint8) if x.dtype == tf.bool else x
        ratio = tf.as_dtype(dtype).size // x.dtype.size
        *leading, last = self.shape_of(x)
        if ratio > 1:
            x = self.reshape(x, (*leading, last // ratio, ratio))
        seen = tf.bitcast(x, dtype)
        return seen if len(seen.shape) <= len(leading) + 1 else self.reshape(seen, (*leading, -1))

    def device(self, name: str) -> AbstractContextManager[Any]:
        kind, _, index = name.lower().partition(":")
        known = {
            x.name.removeprefix("/physical_device:") for x in tf.config.list_physical_devices()
        }
        if f"{kind.upper()}:{index or 0}" not in known:
            raise ValueError(
                f"A device must exist. Received: name={name!r}. TensorFlow finds "
                f"{sorted(device.lower() for device in known)}."
            )
        return tf.device(f"/{kind}:{index or 0}")

    def synchronize(self, x: Tensor) -> None:
        tf.test.experimental.sync_devices()

    def is_out_of_memory(self, error: BaseException) -> bool:
        found = isinstance(error, tf.errors.ResourceExhaustedError)
        return super().is_out_of_memory(error) or found

    def from_dlpack(self, x: Any) -> Tensor:
        capsule = x.__dlpack__()
        if not _is_aligned(capsule):
            raise BufferError(
                "TensorFlow computes on memory that begins at a multiple of 64 bytes."
            )
        try:
            return tf.experimental.dlpack.from_dlpack(capsule)
        except tf.errors.InvalidArgumentError as error:
            raise BufferError("TensorFlow reads memory in order of the axes alone.") from error

    # ---------------------------------------------------------------- state

    def untraced(self) -> AbstractContextManager[Any]:
        return tf.init_scope()

    def container(self, value: Tensor, trainable: bool, layout: Layout | None = None) -> Any:
        value = self.place(value, layout)
        with self.untraced():  # a variable made while a step is traced outlives the trace
            variable = tf.Variable(value, trainable=trainable)
        # By this name `GradientTape.gradient` knows what to take for a variable: ours, which has
        # its container's attributes, is one to it.
        variable._should_act_as_resource_variable = True
        return variable

    def read(self, container: Any) -> Tensor:
        # A tape finds its sources by the variable's handle, so what is differentiated by is read
        # by the op that uses it. The rest is read here, once.
        return container if container.trainable else container.read_value()

    def write(self, container: Any, value: Tensor) -> Any:
        container.assign(value)
        return container

    def set_trainable(self, container: Any, trainable: bool) -> None:
        container._trainable = trainable  # it can't be changed otherwise

    def module(self, layer: Any) -> Any:
        return LayerModule(self, layer)

    def adopt(self, native: Any, *options: Any) -> Native:
        return SavedProgram(native, *options)

    # ------------------------------------------------------------ transforms

    def cond(self, pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        if isinstance(pred, EAGER):
            return self._tensors(true_fn() if pred else false_fn())
        structures: list[Any] = []

        def flat(function: Callable[[], Any]) -> Callable[[], list[Tensor]]:
            def branch() -> list[Tensor]:
                leaves, structure = flatten(self._tensors(function()))
                structures.append(structure)
                return leaves

            return branch

        leaves = tf.cond(pred, flat(true_fn), flat(false_fn))
        return unflatten(structures[0], leaves)

    def while_loop(
        self, cond: Callable[..., Tensor], body: Callable[..., Any], state: tuple[Any, ...]
    ) -> Any:
        leaves, structure = flatten(self._tensors(tuple(state)))

        def turn(*leaves: Tensor) -> list[Tensor]:
            result = body(*unflatten(structure, leaves))
            result = tuple(result) if isinstance(result, (list, tuple)) else (result,)
            return flatten(self._tensors(result))[0]

        leaves = tf.while_loop(
            lambda *leaves: cond(*unflatten(structure, leaves)),
            turn,
            leaves,
            parallel_iterations=1,
        )
        return unflatten(structure, leaves)

    def scan(
        self,
        f: Callable[[Any, Any], tuple[Any, Any]],
        init: Any,
        xs: Any,
        length: int | None,
        reverse: bool,
    ) -> tuple[Any, Any]:
        if tf.executing_eagerly():
            return loops.scan(self, f, init, xs, length, reverse)
        xs, structure = flatten(self._tensors(xs))
        init, kept = flatten(self._tensors(init))
        steps = self.shape_of(xs[0])[0] if length is None else length
        made: list[Any] = []

        def step(carry: Sequence[Tensor], x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            after, y = f(unflatten(kept, carry), unflatten(structure, x))
            leaves, shape = flatten(self._tensors(y))
            made[:] = [shape]
            return flatten(self._tensors(after))[0], leaves

        # What a step gives must be known before the loop: tracing it tells, and computes nothing.
        specs = [tf.TensorSpec(x.shape, x.dtype) for x in init]
        slices = [tf.TensorSpec(x.shape[1:], x.dtype) for x in xs]
        _, ys = _traced(step, specs, slices).structured_outputs
        read = [tf.TensorArray(x.dtype, steps, element_shape=x.shape[1:]).unstack(x) for x in xs]
        write = [tf.TensorArray(y.dtype, steps, element_shape=y.shape) for y in ys]

        def turn(time: Tensor, carry: Any, write: Any) -> Any:
            at = steps - 1 - time if reverse else time
            carry, ys = step(carry, [array.read(at) for array in read])
            return time + 1, carry, [array.write(at, y) for array, y in zip(write, ys, strict=True)]

        limit = steps if isinstance(steps, int) else None
        start = (tf.constant(0), init, write)
        _, carry, write = tf.while_loop(
            lambda time, *_: time < steps, turn, start, maximum_iterations=limit
        )
        return unflatten(kept, carry), unflatten(made[0], [array.stack() for array in write])

    def vectorized_map(self, f: Callable[[Any], Any], elements: Any) -> Any:
        leaves, structure = flatten(self._tensors(elements))
        made: list[Any] = []

        def one(leaves: Any) -> list[Tensor]:
            result, shape = flatten(self._tensors(f(unflatten(structure, leaves))))
            made[:] = [shape]
            return result

        def batched(*leaves: Tensor) -> Any:
            # An op that no rule turns into a batched one runs in a loop.
            plain = tf.autograph.experimental.do_not_convert(one)
            return tf.vectorized_map(plain, list(leaves))

        specs = [tf.TensorSpec(x.shape, x.dtype) for x in leaves]
        result = _traced(batched, *specs)(*leaves)
        return unflatten(made[0], result)

    def custom_gradient(
        self, f: Callable[..., tuple[Any, Callable[..., Any]]]
    ) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            leaves, structure = flatten(self._tensors(args))
            made: list[Any] = []

            def flat(*leaves: Tensor) -> Any:
                y, vjp = f(*unflatten(structure, leaves), **kwargs)
                results, shape = flatten(self._tensors(y))
                made[:] = [shape]

                def gradient(*upstream: Tensor) -> list[Tensor]:
                    given = vjp(unflatten(shape, upstream))
                    given = given if isinstance(given, (list, tuple)) else (given,)
                    return flatten(self._tensors(tuple(given)))[0]

                return results, gradient

            if not leaves:
                return f(*args, **kwargs)[0]
            results = tf.custom_gradient(flat)(*leaves)
            return unflatten(made[0], results)

        return call

    def value_and_grad(
        self, f: Callable[[list[Tensor]], tuple[Tensor, Any]]
    ) -> Callable[[list[Tensor]], Any]:
        def call(values: list[Tensor]) -> Any:
            # Read once: a loop would read a variable at each turn.
            values = [x if x is None else tf.convert_to_tensor(x) for x in values]
            floats = [x for x in values if x is not None and x.dtype.is_floating]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(floats)
                loss, aux = f(values)
                loss = self.convert_to_tensor(loss)
            given = tape.gradient(loss, floats)
            found = {id(x): g for x, g in zip(floats, given, strict=True) if g is not None}
            gradients = [found.get(id(x)) for x in values]
            return (loss, aux), [None if g is None else tf.convert_to_tensor(g) for g in gradients]

        return call

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        leaves, structure = flatten(self._tensors(primals))
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch([x for x in leaves if x.dtype.is_floating or x.dtype.is_complex])
            results, made = flatten(self._tensors(f(*unflatten(structure, leaves))))

        def pull(cotangents: Any) -> Any:
            upstream = flatten(self._tensors(cotangents))[0]
            zero = tf.UnconnectedGradients.ZERO
            found = tape.gradient(results, leaves, upstream, zero)
            return unflatten(structure, [tf.convert_to_tensor(g) for g in found])

        return unflatten(made, results), pull

    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        leaves, structure = flatten(self._tensors(tuple(primals)))
        along = flatten(self._tensors(tuple(tangents)))[0]
        with tf.autodiff.ForwardAccumulator(leaves, along) as accumulator:
            results, made = flatten(self._tensors(f(*unflatten(structure, leaves))))
        zero = tf.UnconnectedGradients.ZERO
        moved = [accumulator.jvp(y, zero) for y in results]
        return unflatten(made, results), unflatten(made, moved)

    def compile(
        self, step: Callable[..., Any], state: State, jit: bool | None = None
    ) -> Callable[..., Any]:
        return GraphStep(self, step, state, jit)

    def save_functions(
        self,
        path: str,
        functions: Mapping[str, Any],
        groups: Mapping[str, Any],
        options: Any = None,
    ) -> None:
        root = tf.train.Checkpoint()
        signatures, read = {}, []
        for name, one in functions.items():
            function = self._function(one.call, one.specs)
            setattr(root, name, function)
            signatures[name] = function.get_concrete_function()
            read += signatures[name].graph.variables
        for name, variables in groups.items():
            setattr(root, name, [variable.move_to(self).container for variable in variables])
        root.read = read  # those that nobody named among them
        signatures.setdefault("serving_default", next(iter(signatures.values())))
        tf.saved_model.save(root, path, signatures=signatures, options=options)

    def _function(self, call: Callable[..., Any], specs: Sequence[Any]) -> Any:
        def run(*args: Any) -> Any:
            with use(self):
                return call(*args)

        leaves, structure = flatten(list(specs))
        given = [tf.TensorSpec(x.shape, x.dtype, x._name) for x in leaves]
        return tf.function(run, unflatten(structure, given), autograph=False)

    def dataset(self, arrays: Any) -> Any:
        return tf.data.Dataset.from_tensor_slices(arrays)

    def stream(
        self, elements: Callable[[], Iterator[Any]], like: Any, batched: bool, length: int
    ) -> Any:
        def spec(part: Any) -> Any:
            array = np.asarray(part)
            dtype = tf.string if array.dtype.kind in "OUS" else array.dtype
            return tf.TensorSpec((None, *array.shape[1:]) if batched else array.shape, dtype)

        signature = tf.nest.map_structure(spec, like)
        data = tf.data.Dataset.from_generator(elements, output_signature=signature)
        return data.apply(tf.data.experimental.assert_cardinality(length))

    def each(self, f: Callable[..., Any], rows: Sequence[Sequence[Tensor]]) -> list[Any]:
        leaves, structure = flatten([list(row) for row in rows])
        sizes = [x.shape.num_elements() or 0 for x in leaves]
        if tf.executing_eagerly() or sum(sizes) < _MANY or not _is_arithmetic(f, rows[0]):
            return super().each(f, rows)
        made: list[Any] = []

        def flat(*leaves: Tensor) -> list[Tensor]:
            found, shape = flatten([f(*row) for row in unflatten(structure, leaves)])
            made[:] = [shape]
            return found

        found = tf.function(flat, autograph=False, jit_compile=True)(*self._tensors(leaves))
        return list(unflatten(made[0], found))

    def eval_shape(self, f: Callable[..., Any], *specs: Any) -> Any:
        made: list[Any] = []

        def flat(*tensors: Tensor) -> list[Tensor]:
            leaves, structure = flatten(self._tensors(f(*tensors)))
            made[:] = [structure]
            return leaves

        given = [tf.TensorSpec(shape, dtype) for shape, dtype in specs]
        results = _traced(flat, *given).structured_outputs
        return unflatten(made[0], [(tuple(x.shape), x.dtype.name) for x in results])

    def on_host(
        self, f: Callable[..., list[Any]], tensors: Sequence[Any], specs: Sequence[Any]
    ) -> list[Any]:
        if not any(map(self.is_traced, tensors)):
            return super().on_host(f, tensors, specs)
        dtypes = [tf.as_dtype(dtype) for _, dtype in specs]

        def arrays(*values: Any) -> list[Any]:
            pairs = zip(f(*map(np.asarray, values)), dtypes, strict=True)
            return [np.asarray(x, object if d == tf.string else d.as_numpy_dtype) for x, d in pairs]

        results = tf.numpy_function(arrays, tensors, dtypes)
        for result, (shape, _) in zip(results, specs, strict=True):
            result.set_shape(shape)
        return list(results)

    def _tensors(self, tree: Any) -> Any:
        leaves, structure = flatten(tree)
        return unflatten(structure, [self.convert_to_tensor(leaf) for leaf in leaves])

    # ---------------------------------------------------------------- create

    def full(self, shape: tuple[Any, ...], value: Any, dtype: str) -> Tensor:
        if isinstance(value, _TENSORS):
            return tf.broadcast_to(self.cast(value, dtype), shape)
        with np.errstate(all="ignore"):  # -1e9 is -inf in float16: no reason to warn
            number = tf.constant(np.asarray(value).astype(host.numpy_dtype(dtype)))
        return tf.fill(shape, number) if shape else number

    def arange(self, start: Any, stop: Any, step: Any, dtype: str) -> Tensor:
        wide = _SMALL.get(tf.as_dtype(dtype), dtype)
        return tf.cast(tf.range(start, stop, step, wide), dtype)

    # ---------------------------------------------------------------- unary

    @staticmethod
    @_through(_UNSIGNED)
    def abs(x: Tensor) -> Tensor:
        return tf.abs(x)

    def trunc(self, x: Tensor) -> Tensor:
        return tf.where(x < 0, tf.math.ceil(x), tf.floor(x))

    def bitwise_not(self, x: Tensor) -> Tensor:
        return tf.logical_not(x) if x.dtype == tf.bool else tf.bitwise.invert(x)

    def real(self, x: Tensor) -> Tensor:
        return tf.math.real(x)

    def imag(self, x: Tensor) -> Tensor:
        return tf.math.imag(x) if x.dtype.is_complex else tf.zeros_like(x)

    def conj(self, x: Tensor) -> Tensor:
        return tf.math.conj(x)

    def complex(self, real: Tensor, imag: Tensor) -> Tensor:
        wide = _HALF.get(real.dtype, real.dtype)
        return tf.complex(tf.cast(real, wide), tf.cast(imag, wide))

    # --------------------------------------------------------------- binary

    def floor_divide(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _divided(tf.math.floordiv, x1, x2)

    def mod(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _divided(tf.math.floormod, x1, x2)

    def fmod(self, x1: Tensor, x2: Tensor) -> Tensor:
        if x1.dtype.is_floating:  # the other op has no gradient
            return tf.sign(x1) * tf.math.floormod(tf.abs(x1), tf.abs(x2))
        return _divided(_through(_SMALL)(tf.truncatemod), x1, x2)

    def arctan2(self, x1: Tensor, x2: Tensor) -> Tensor:
        return tf.atan2(x1, x2)

    def nextafter(self, x1: Tensor, x2: Tensor) -> Tensor:
        return tf.math.nextafter(x1, x2)

    def bitwise_and(self, x1: Tensor, x2: Tensor) -> Tensor:
        return (tf.logical_and if x1.dtype == tf.bool else tf.bitwise.bitwise_and)(x1, x2)

    def bitwise_or(self, x1: Tensor, x2: Tensor) -> Tensor:
        return (tf.logical_or if x1.dtype == tf.bool else tf.bitwise.bitwise_or)(x1, x2)

    def bitwise_xor(self, x1: Tensor, x2: Tensor) -> Tensor:
        return (tf.math.logical_xor if x1.dtype == tf.bool else tf.bitwise.bitwise_xor)(x1, x2)

    # ------------------------------------------------- select, reduce, scan

    def where(self, condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
        if _is_by_sample(condition, x1, x2):  # in 3 ms for 50 images of 224 x 224, below in 35
            return raw.Select(condition=raw.Reshape(tensor=condition, shape=[-1]), x=x1, y=x2)
        return raw.SelectV2(condition=condition, t=x1, e=x2)

    def sum(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return raw.Sum(input=x, axis=_vector(axes), keep_dims=keepdims)

    def prod(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return raw.Prod(input=x, axis=_vector(axes), keep_dims=keepdims)

    def max(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        reduce = lambda x: raw.Max(input=x, axis=_vector(axes), keep_dims=keepdims)  # noqa: E731
        return _through(_BOOL)(reduce)(x)

    def min(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        reduce = lambda x: raw.Min(input=x, axis=_vector(axes), keep_dims=keepdims)  # noqa: E731
        return _through(_BOOL)(reduce)(x)

    def all(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return raw.All(input=x, axis=_vector(axes), keep_dims=keepdims)

    def any(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return raw.Any(input=x, axis=_vector(axes), keep_dims=keepdims)

    def mean(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return raw.Mean(input=x, axis=_vector(axes), keep_dims=keepdims)

    def argmax(self, x: Tensor, axis: int) -> Tensor:
        return _first_extreme(tf.argmax, x, axis)

    def argmin(self, x: Tensor, axis: int) -> Tensor:
        return _first_extreme(tf.argmin, x, axis)

    def cumsum(self, x: Tensor, axis: int) -> Tensor:
        return tf.cumsum(x, axis)

    def cumprod(self, x: Tensor, axis: int) -> Tensor:
        return tf.math.cumprod(x, axis)

    # ---------------------------------------------------------- move, index

    def reshape(self, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
        return tf.reshape(x, _vector(shape))

    def transpose(self, x: Tensor, axes: Axes) -> Tensor:
        return raw.Transpose(x=x, perm=_vector(axes))

    def broadcast_to(self, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
        if len(shape) > 5 and all(isinstance(n, int) for n in (*shape, *x.shape)):
            # The kernel knows five axes that are broadcast or not by turns, that of `tile` more.
            sizes = (*(1,) * (len(shape) - len(x.shape)), *x.shape)
            pairs = zip(sizes, shape, strict=True)
            return tf.tile(tf.reshape(x, sizes), [n if size == 1 else 1 for size, n in pairs])
        return tf.broadcast_to(x, _vector(shape))

    def concatenate(self, xs: Sequence[Tensor], axis: int) -> Tensor:
        return tf.concat(xs, axis)

    def pad(self, x: Tensor, pads: Pads, value: Any) -> Tensor:
        sizes = self.shape_of(x)
        if any(low < 0 or high < 0 for low, high in pads):  # a negative pad takes away
            cuts = [(max(-low, 0), max(-high, 0)) for low, high in pads]
            x = x[tuple(slice(a, n - b) for n, (a, b) in zip(sizes, cuts, strict=True))]
            pads = tuple((max(low, 0), max(high, 0)) for low, high in pads)
        return tf.pad(x, pads, constant_values=self.full((), value, x.dtype.name))

    def flip(self, x: Tensor, axes: Axes) -> Tensor:
        return raw.ReverseV2(tensor=x, axis=_vector(axes))

    def take(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        return tf.gather(x, _wrapped(indices, self.shape_of(x)[axis]), axis=axis)

    def take_along_axis(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        last = len(x.shape) - 1
        order = (*(i for i in range(last + 1) if i != axis), axis)
        indices = _wrapped(indices, self.shape_of(x)[axis])
        x, indices = self.transpose(x, order), self.transpose(indices, order)
        if x.shape[:-1].as_list() != indices.shape[:-1].as_list():
            leading = [tf.shape(part)[:-1] for part in (x, indices)]
            shape = tf.broadcast_dynamic_shape(*leading)
            x, indices = (
                tf.broadcast_to(part, tf.concat([shape, tf.shape(part)[-1:]], 0))
                for part in (x, indices)
            )
        found = tf.gather(x, indices, axis=last, batch_dims=last)
        return self.transpose(found, tuple(np.argsort(order)))

    def get_item(self, x: Tensor, key: tuple[Any, ...]) -> Tensor:
        return x[key]

    def gather(self, x: Tensor, indices: Tensor) -> Tensor:
        depth = indices.shape[-1]
        if 0 in x.shape[depth:]:  # which TensorFlow's kernel takes for an error
            return tf.zeros([*self.shape_of(indices)[:-1], *self.shape_of(x)[depth:]], x.dtype)
        return tf.gather_nd(x, self._from_front(x, indices))

    def slice(self, x: Tensor, start: Sequence[Any], shape: tuple[int, ...]) -> Tensor:
        return tf.slice(x, self._inside(x, start, shape), shape)

    def slice_update(self, x: Tensor, start: Sequence[Any], updates: Tensor) -> Tensor:
        shape = self.shape_of(updates)
        begin = self._inside(x, start, shape)
        ones = _vector((1,) * len(shape))
        end = begin + _vector(shape)
        return tf.raw_ops.TensorStridedSliceUpdate(
            input=x, begin=begin, end=end, strides=ones, value=updates
        )

    def _inside(self, x: Tensor, start: Sequence[Any], shape: Sequence[Any]) -> Any:
        """Where a block starts, moved inside as XLA does where it reaches over the edge."""
        sizes = zip(start, self.shape_of(x), shape, strict=True)
        limits = [(at, size - length) for at, size, length in sizes]
        if all(isinstance(number, int) for pair in limits for number in pair):
            return np.array([min(max(at, 0), last) for at, last in limits], np.int32)
        begins = [tf.clip_by_value(tf.cast(at, tf.int32), 0, last) for at, last in limits]
        return tf.stack(begins)

    def scatter(self, x: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
        indices = self._from_front(x, indices)
        if reduction == "mul":
            return _scatter_products(self, x, indices, updates)
        rest = self.shape_of(x)[indices.shape[-1] :]
        updates = tf.broadcast_to(updates, [*self.shape_of(indices)[:-1], *rest])
        return _through(_BOOL)(lambda x, u: _SCATTER[reduction](x, indices, u))(x, updates)

    def _from_front(self, x: Tensor, indices: Tensor) -> Tensor:
        return _wrapped(indices, _vector(self.shape_of(x)[: indices.shape[-1]]))

    # ---------------------------------------------------------------- order

    def sort(self, x: Tensor, axis: int) -> Tensor:
        if x.dtype.is_floating:
            return self.take_along_axis(x, self.argsort(x, axis), axis)
        return _through(_BOOL)(lambda x: tf.sort(x, axis))(x)

    def argsort(self, x: Tensor, axis: int) -> Tensor:
        return tf.argsort(_ordered(x), axis, stable=True)

    def top_k(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        _, indices = tf.math.top_k(_ordered(x), k)
        return tf.gather(x, indices, batch_dims=len(x.shape) - 1), indices

    def searchsorted(self, sequence: Tensor, values: Tensor, side: str) -> Tensor:
        found = tf.searchsorted(sequence, tf.reshape(values, [-1]), side)
        return self.reshape(found, self.shape_of(values))

    def unique(
        self, x: Tensor, size: int | None, fill: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        order = self.argsort(x, 0)
        ordered = tf.gather(x, order)
        new = tf.concat([tf.ones_like(order[:1], tf.bool), ordered[1:] != ordered[:-1]], 0)
        group = tf.cumsum(tf.cast(new, tf.int32)) - 1
        inverse = tf.scatter_nd(order[:, None], group, tf.shape(order))
        count = tf.reduce_sum(tf.cast(new, tf.int32)) if size is None else size
        # An element beyond the end stands for the first one of an empty vector.
        first = [tf.pad(part, [(0, 1)])[0] for part in (ordered, order)]
        first[0] = first[0] if fill is None else self.full((), fill, x.dtype.name)
        values = _collected(ordered, new, count, first[0])
        index = _collected(order, new, count, first[1])
        within = tf.where(group < count, group, -1)  # an element of no segment is dropped
        counts = tf.math.unsorted_segment_sum(tf.ones_like(group), within, count)
        return values, index, inverse, counts

    def nonzero(self, x: Tensor, size: int | None, fill: int) -> tuple[Tensor, ...]:
        nonzero = tf.reshape(tf.cast(x, tf.bool), [-1])
        count = tf.reduce_sum(tf.cast(nonzero, tf.int32)) if size is None else size
        places = _collected(tf.range(tf.size(x)), nonzero, count, -1)
        parts, rest = [], places
        for length in reversed(self.shape_of(x)):
            parts.append(tf.where(places < 0, fill, rest % length))
            rest = rest // length
        return tuple(reversed(parts))

    # ------------------------------------------------------------- contract

    def matmul(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _through(_SMALL)(_product)(x1, x2)

    def einsum(self, subscripts: str, operands: Sequence[Tensor]) -> Tensor:
        return _through(_SMALL)(lambda *xs: tf.einsum(subscripts, *xs))(*operands)

    # --------------------------------------------------------------- window

    def conv(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes, groups: int
    ) -> Tensor:
        if len(strides) == 1:
            return _flat(self.conv, x, kernel, strides, pads, dilation, groups)
        plain = x.dtype.is_floating and not _is_spread(dilation)
        if plain and _is_depthwise(x, kernel, strides, groups):
            weights = tf.reshape(kernel, (*kernel.shape[:2], groups, -1))
            steps = (1, max(strides), max(strides), 1)
            return tf.nn.depthwise_conv2d(self._framed(x, pads), weights, steps, "VALID")
        # For no images the native op gives a result of the images' depth.
        if not plain or groups > 1 or x.shape[0] == 0:
            return super().conv(x, kernel, strides, pads, dilation, groups)
        if len(strides) == 3:
            return tf.nn.conv3d(self._framed(x, pads), kernel, (1, *strides, 1), "VALID")
        return tf.nn.conv2d(x, kernel, strides, _padding(x, kernel.shape[:2], strides, pads))

    def conv_transpose(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes
    ) -> Tensor:
        if len(strides) == 1:
            return _flat(self.conv_transpose, x, kernel, strides, pads, dilation)
        if not x.dtype.is_floating or _is_spread(dilation):
            return super().conv_transpose(x, kernel, strides, pads, dilation)
        # The op that is the gradient of a convolution without padding; what pads add or take away
        # from its result comes after it.
        batch, *sizes, _ = self.shape_of(x)
        *window, filters, _ = kernel.shape
        moves = list(zip(sizes, strides, window, strict=True))
        shape = (batch, *((n - 1) * stride + k for n, stride, k in moves), filters)
        transpose = tf.nn.conv2d_transpose if len(strides) == 2 else tf.nn.conv3d_transpose
        full = transpose(x, kernel, _vector(shape), strides, "VALID")
        rest = tuple((a - k + 1, b - k + 1) for k, (a, b) in zip(window, pads, strict=True))
        return self._framed(full, rest)

    def max_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        if len(window) == 1:
            return _flat(self.max_pool, x, window, strides, pads)
        if len(window) == 3 or x.dtype in (tf.uint32, tf.uint64) or _is_wide(window, pads):
            return super().max_pool(x, window, strides, pads)
        return tf.nn.max_pool2d(x, window, strides, _padding(x, window, strides, pads))

    def average_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        if len(window) == 1:
            return _flat(self.average_pool, x, window, strides, pads)
        if len(window) == 3 or any(map(any, pads)):
            return super().average_pool(x, window, strides, pads)
        return tf.nn.avg_pool2d(x, window, strides, "VALID")

    def _framed(self, x: Tensor, pads: Pads) -> Tensor:
        return self.pad(x, ((0, 0), *pads, (0, 0)), 0) if any(map(any, pads)) else x

    # ---------------------------------------------------------- linalg, fft

    def cholesky(self, x: Tensor) -> Tensor:
        return tf.linalg.cholesky(x)

    def solve(self, a: Tensor, b: Tensor) -> Tensor:
        return tf.linalg.solve(a, b)

    def solve_triangular(self, a: Tensor, b: Tensor, lower: bool) -> Tensor:
        return tf.linalg.triangular_solve(a, b, lower)

    def qr(self, x: Tensor, mode: str) -> tuple[Tensor, Tensor]:
        q, r = tf.linalg.qr(x, full_matrices=mode == "complete")
        return q, r

    def svd(self, x: Tensor, full_matrices: bool) -> tuple[Tensor, Tensor, Tensor]:
        s, u, v = tf.linalg.svd(x, full_matrices)
        return u, s, tf.linalg.adjoint(v)

    def eigh(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = tf.linalg.eigh(x)
        return values, vectors

    def eig(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = tf.linalg.eig(x)
        return values, vectors

    def lu_factor(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Gaussian elimination with partial pivoting: `tf.linalg.lu` takes square matrices only."""
        rows, columns = (tf.range(size) for size in x.shape[-2:])
        steps = min(x.shape[-2:])

        def step(lu: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
            column = tf.gather(lu, k, axis=-1)
            size = tf.abs(column)
            pivot = tf.argmax(tf.where(rows < k, -tf.ones_like(size), size), -1, tf.int32)[
                ..., None
            ]
            swapped = tf.where(rows == k, pivot, tf.where(rows == pivot, k, rows))
            lu = tf.gather(lu, swapped, axis=-2, batch_dims=len(x.shape) - 2)
            row, column = tf.gather(lu, k, axis=-2), tf.gather(lu, k, axis=-1)
            head = tf.gather(row, k, axis=-1)[..., None]
            factor = tf.where(rows > k, tf.math.divide_no_nan(column, head), 0)
            below = lu - factor[..., None] * tf.where(columns > k, row, 0)[..., None, :]
            here = (columns == k) & (rows > k)[:, None]
            return tf.where(here, factor[..., None], below), pivot[..., 0]

        lu, pivots = self.scan(step, x, tf.range(steps), steps, False)
        return lu, self.transpose(pivots, (*range(1, len(pivots.shape)), 0))

    def fft(self, x: Tensor) -> Tensor:
        return tf.signal.fft(x)

    def ifft(self, x: Tensor) -> Tensor:
        return tf.signal.ifft(x)

    def rfft(self, x: Tensor) -> Tensor:
        return tf.signal.rfft(tf.cast(x, _HALF.get(x.dtype, x.dtype)))

    def irfft(self, x: Tensor, length: int) -> Tensor:
        return tf.signal.irfft(x, [length])

    # --------------------------------------------------------------- random

    def random_gamma(
        self, key: Tensor, shape: tuple[Any, ...], alpha: Tensor, dtype: str
    ) -> Tensor:
        seed, wide = tf.bitcast(key, tf.int32), _HALF.get(tf.as_dtype(dtype), dtype)
        drawn = tf.random.stateless_gamma(_vector(shape), seed, tf.cast(alpha, wide), dtype=wide)
        return tf.cast(drawn, dtype)

    def random_binomial(
        self, key: Tensor, shape: tuple[Any, ...], counts: Tensor, p: Tensor, dtype: str
    ) -> Tensor:
        seed = tf.bitcast(key, tf.int32)
        trials, chance = tf.cast(counts, tf.float32), tf.cast(p, tf.float32)
        drawn = tf.random.stateless_binomial(_vector(shape), seed, trials, chance, tf.int32)
        return tf.cast(drawn, dtype)

    # ------------------------------------------------------------------ ops

    def relu(self, x: Tensor) -> Tensor:
        """One kernel, and one for the gradient: a step of a CNN takes 14.3 ms, without it 16.1."""
        return tf.nn.relu(x)

    def fake_quant_with_min_max_vars(
        self, inputs: Tensor, low: Tensor, high: Tensor, bits: int, narrow: bool, axis: int | None
    ) -> Tensor:
        """The ops that LiteRT's converter takes for quantized tensors."""
        rank, sizes = len(inputs.shape), tf.TensorShape(low.shape).as_list()
        if (
            inputs.dtype != tf.float32
            or bits not in range(2, 17)
            or sizes != low.shape != high.shape
        ):
            return NotImplemented
        low, high = tf.cast(low, tf.float32), tf.cast(high, tf.float32)
        if sizes in ([], [1]):
            ends = {"min": tf.reshape(low, ()), "max": tf.reshape(high, ())}
            return tf.quantization.fake_quant_with_min_max_vars(
                inputs, **ends, num_bits=bits, narrow_range=narrow
            )
        if axis not in (None, -1, rank - 1) or sizes != [inputs.shape[-1]]:
            return NotImplemented
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(
            inputs, low, high, bits, narrow
        )

    def batch_normalized(
        self, x: Tensor, axis: int, offset: Tensor | None, scale: Tensor | None, epsilon: float
    ) -> Any:
        """One kernel each way: a training step of a ResNet-18 takes 321 ms, without it 375."""
        rank = len(x.shape)
        if x.dtype != tf.float32 or rank < 2 or axis not in (-1, rank - 1):
            return NotImplemented
        channels, sizes = x.shape[-1], self.shape_of(x)
        image = x if rank == 4 else tf.reshape(x, (1, -1, 1, channels))
        scale = tf.ones(channels) if scale is None else scale
        offset = tf.zeros(channels) if offset is None else offset
        y, mean, variance, *_ = raw.FusedBatchNormV3(
            x=image, scale=scale, offset=offset, mean=[], variance=[], epsilon=epsilon
        )
        count = math.prod(sizes[:-1])
        count = tf.cast(count, tf.float32)
        # The kernel gives the unbiased variance, over one element less.
        variance *= tf.maximum(count - 1, 1) / count
        y = y if rank == 4 else self.reshape(y, sizes)
        return y, tf.stop_gradient(mean), tf.stop_gradient(variance)

    def image_warp_images(
        self,
        images: Tensor,
        transform: Tensor,
        interpolation: str,
        fill_mode: str,
        fill_value: float,
        data_format: str,
    ) -> Any:
        """One kernel: a rotation takes 9 ms an image of (224, 224, 3), by gathers 30. It rounds halves away
        from zero, so it reads no nearest pixels, and wraps only as far as one image."""
        known = images.dtype in (tf.float16, tf.float32, tf.float64) and fill_mode not in (
            "mirror",
            "wrap",
        )
        if not known or interpolation != "bilinear":
            return NotImplemented
        first = data_format == "channels_first"
        batch = tf.transpose(images, (0, 2, 3, 1)) if first else images
        warped = raw.ImageProjectiveTransformV3(
            images=batch,
            transforms=tf.cast(transform, tf.float32),
            output_shape=tf.shape(batch)[1:3],
            fill_value=float(fill_value),
            interpolation="BILINEAR",
            fill_mode=fill_mode.upper(),
        )
        warped.set_shape(batch.shape)
        return tf.transpose(warped, (0, 3, 1, 2)) if first else warped

    def dot_product_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        mask: Tensor | None,
        scale: float | None,
        is_causal: bool,
        flash_attention: bool | None,
        attn_logits_soft_cap: float | None,
    ) -> Tensor:
        """As batched products: a step of a small GPT takes 19.2 ms of the CPU, by `einsum` 22.8."""
        shapes = [x.shape for x in (query, key, value)]
        plain = all(len(shape) == 4 for shape in shapes) and shapes[0][2] == shapes[1][2]
        wide = query.dtype in (tf.float32, tf.float64)
        if not (plain and wide) or bias is not None or attn_logits_soft_cap is not None:
            return NotImplemented
        query, key, value = (self.transpose(x, (0, 2, 1, 3)) for x in (query, key, value))
        size = tf.cast(self.shape_of(query)[-1], query.dtype)
        query *= tf.math.rsqrt(size) if scale is None else tf.cast(scale, query.dtype)
        scores = tf.matmul(query, key, transpose_b=True)
        lowest = tf.constant(-0.7 * query.dtype.max, query.dtype)
        if mask is not None:
            scores = self.where(mask, scores, lowest)
        if is_causal:
            seen = tf.linalg.band_part(tf.ones(tf.shape(scores)[-2:], tf.bool), -1, 0)
            scores = self.where(seen, scores, lowest)
        return self.transpose(tf.matmul(tf.nn.softmax(scores), value), (0, 2, 1, 3))


# ------------------------------------------------------------------ conversion


_address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _is_aligned(capsule: Any) -> bool:
    """Whether a tensor in a DLPack capsule lies where kernels take it: on others they end the process."""
    tensor = _address(capsule, b"dltensor")
    begin = ctypes.c_void_p.from_address(tensor).value or 0
    offset = ctypes.c_uint64.from_address(tensor + 40).value
    return (begin + offset) % 64 == 0


_TENSORS: Any = (tf.Tensor, tf.Variable)
_ARRAYS: Any = (*_TENSORS, np.ndarray)


def _is_by_sample(condition: Tensor, x1: Tensor, x2: Tensor) -> bool:
    """Whether a condition says which samples of two tensors are taken: it is of shape (samples, 1, ...)."""
    shape = condition.shape
    if (shape.rank or 0) < 2 or shape.num_elements() != shape[0]:
        return False
    whole = x1.shape
    is_whole = whole.is_fully_defined() and whole == x2.shape
    return bool(is_whole and whole.rank == shape.rank and whole[0] == shape[0])


def _graph_tensor_type() -> type:
    """The exact class of tensors within a `tf.function`."""
    with tf.Graph().as_default():
        return type(tf.constant(0))


def _holds_tensors(x: Any) -> bool:
    return any(isinstance(leaf, _TENSORS) for leaf in flatten(x)[0])


def _vector(numbers: Sequence[Any]) -> Any:
    """Integers as a vector: an array where they are known, else a tensor."""
    if all(isinstance(number, (int, np.integer)) for number in numbers):
        return np.array(numbers, np.int32)
    return tf.stack([tf.cast(number, tf.int32) for number in numbers])


#: The numbers in an optimizer's weights and slots from which XLA computes its rule, in fewer passes over
#: memory: of a step of a ResNet-18 with Adam (45 M) 17 ms of 310, by kernels 27; compiling takes 0.7 s.
_MANY = 4_000_000
#: The ops of such rules, all of which XLA has.
_ARITHMETIC = frozenset(
    "Abs AddV2 Cast Const Equal Greater GreaterEqual Identity Less LessEqual LogicalAnd LogicalNot "
    "LogicalOr Maximum Minimum Mul Neg NoOp NotEqual Placeholder Pow ReadVariableOp RealDiv Rsqrt "
    "SelectV2 Sign Sqrt Square Sub ZerosLike".split()
)


def _is_arithmetic(f: Callable[..., Any], row: Sequence[Tensor]) -> bool:
    """Whether a rule is made of arithmetic alone, from what it does to one row."""
    leaves, structure = flatten(list(row))

    def flat(*leaves: Tensor) -> list[Tensor]:
        return flatten(f(*unflatten(structure, leaves)))[0]

    graph = _traced(flat, *(tf.TensorSpec(x.shape, x.dtype) for x in leaves)).graph
    return {node.type for node in graph.get_operations()} <= _ARITHMETIC


def _as_index(indices: Tensor) -> Tensor:
    return indices if indices.dtype in (tf.int32, tf.int64) else tf.cast(indices, tf.int32)


def _traced(f: Callable[..., Any], *specs: Any) -> Any:
    return tf.function(f, autograph=False).get_concrete_function(*specs)


# -------------------------------------------------------------------- indexing


def _divided(op: Callable[..., Tensor], x1: Tensor, x2: Tensor) -> Tensor:
    """A quotient or remainder; that of an integer and zero is zero, which TensorFlow refuses."""
    if not x1.dtype.is_integer:
        return op(x1, x2)
    zero = tf.equal(x2, tf.zeros_like(x2))
    result = op(x1, tf.where(zero, tf.ones_like(x2), x2))
    return tf.where(zero, tf.zeros_like(result), result)


def _ordered(x: Tensor) -> Tensor:
    """Numbers in the order of x that TensorFlow can sort: its order of NaN is none.

    A float's bits are ordered as it is, once those of negative numbers are inverted; a NaN's are last.
    """
    if not x.dtype.is_floating:
        return tf.cast(x, tf.int32) if x.dtype == tf.bool else x
    x = tf.cast(tf.where(x == 0, tf.zeros_like(x), x), _HALF.get(x.dtype, x.dtype))  # -0 as 0
    bits = tf.bitcast(x, tf.int64 if x.dtype == tf.float64 else tf.int32)
    ordered = tf.where(bits < 0, tf.bitwise.invert(bits) ^ bits.dtype.min, bits)
    return tf.where(tf.math.is_nan(x), bits.dtype.max, ordered)


def _first_extreme(find: Callable[..., Tensor], x: Tensor, axis: int) -> Tensor:
    """The place of the largest or smallest element, or of the first NaN."""
    index = find(x, axis, tf.int32)
    if not x.dtype.is_floating:
        return index
    nan = tf.math.is_nan(x)
    return tf.where(tf.reduce_any(nan, axis), tf.argmax(nan, axis, tf.int32), index)


def _wrapped(indices: Tensor, sizes: Any) -> Tensor:
    """Indices that count from the end made to count from the front."""
    indices = _as_index(indices)
    return tf.where(indices < 0, indices + tf.cast(sizes, indices.dtype), indices)


def _scatter_products(
    engine: TensorFlowEngine, x: Tensor, indices: Tensor, updates: Tensor
) -> Tensor:
    """x times the products of the updates at each index, by places in x with its first axes joined."""
    depth, sizes = indices.shape[-1], engine.shape_of(x)
    rest = sizes[depth:]
    places, count = tf.zeros((), indices.dtype), 1
    for axis, size in enumerate(sizes[:depth]):
        places, count = places * size + indices[..., axis], count * size
    shape = (*engine.shape_of(indices)[:-1], *rest)
    updates = engine.reshape(engine.broadcast_to(updates, shape), (-1, *rest))
    products = tf.math.unsorted_segment_prod(updates, tf.reshape(places, [-1]), count)
    return x * engine.reshape(products, sizes)


def _collected(x: Tensor, kept: Tensor, size: Any, fill: Any) -> Tensor:
    """The first `size` elements that are kept, padded with `fill` where there are fewer."""
    places = tf.cumsum(tf.cast(kept, tf.int32)) - 1
    places = tf.where(kept, tf.minimum(places, size), size)
    room = tf.fill([size + 1], tf.cast(fill, x.dtype))
    return tf.tensor_scatter_nd_update(room, places[:, None], x)[:size]


# -------------------------------------------------------- products and windows


def _product(x1: Tensor, x2: Tensor) -> Tensor:
    """The product of matrices, with vectors and batches as in NumPy."""
    if len(x1.shape) == 1:
        return tf.squeeze(_product(x1[None], x2), -2 if len(x2.shape) > 1 else 0)
    if len(x2.shape) == 1:
        return tf.squeeze(_product(x1, x2[:, None]), -1)
    if (
        len(x1.shape) > 2 and len(x2.shape) == 2 and x2.shape[0] != 0
    ):  # one large product in place of many
        leading = [n if n is not None else tf.shape(x1)[i] for i, n in enumerate(x1.shape[:-1])]
        flat = tf.matmul(tf.reshape(x1, [-1, x2.shape[0]]), x2)
        return tf.reshape(flat, _vector([*leading, x2.shape[1]]))
    return tf.matmul(x1, x2)


def _flat(method: Callable[..., Tensor], x: Tensor, *args: Any) -> Tensor:
    """A method on sequences (n, length, i), as images of height 1."""

    def wide(arg: Any) -> Any:
        if isinstance(arg, tuple):
            return ((0, 0), *arg) if isinstance(arg[0], tuple) else (1, *arg)
        return arg if isinstance(arg, int) else arg[None]

    return tf.squeeze(method(x[:, None], *map(wide, args)), 1)


def _is_depthwise(x: Tensor, kernel: Tensor, strides: Axes, groups: int) -> bool:
    """Whether each channel has kernels of its own, with the one stride that the native op takes."""
    one_stride = len(strides) == 2 and (strides[0] == strides[1] or x.shape[1] == 1)
    return groups > 1 and kernel.shape[-2] == 1 and one_stride


def _is_spread(dilation: Axes) -> bool:
    return any(step != 1 for step in dilation)


def _padding(x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Any:
    """Pads as the native ops take them: by name where there is one, since a training step of 3x3
    convolutions of (32, 32, 32, 64) takes 37 ms with "SAME" and 52 ms with the same pads in numbers."""
    if not any(map(any, pads)):
        return "VALID"
    sizes = zip(x.shape[1:-1], window, strides, pads, strict=True)
    same = all(n is not None and pad == _same(n, k, stride) for n, k, stride, pad in sizes)
    return "SAME" if same else [(0, 0), *pads, (0, 0)]


def _same(size: int, window: int, stride: int) -> tuple[int, int]:
    """What TensorFlow pads an axis by when it is told "SAME"."""
    total = max(((size - 1) // stride) * stride + window - size, 0)
    return total // 2, total - total // 2


def _is_wide(window: Axes, pads: Pads) -> bool:
    """Whether padding is as large as the window, which the native op refuses."""
    return any(max(pad) >= size for pad, size in zip(pads, window, strict=True))
