"""The JAX engine: arrays are compiled by XLA, on CPUs, GPUs and TPUs.

JAX computes in 32 bits unless it was told otherwise (`jax_enable_x64`), so 64-bit dtypes are
narrowed without a word, as Keras does on JAX.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib.xla_client
import numpy as np
from jax import lax

from ... import tuning
from .. import cache, host, programs
from ..contract import Axes, Engine, Layout, Pads, State, Tensor
from ..profiles import Profile
from ..sparse import SparseTensor, children, of_children
from . import cpu as on_cpu
from . import devices

_WEAK: dict[str, Any] = {"i": int, "u": int, "f": float, "c": complex}
_SCATTER = {"set": "set", "add": "add", "max": "max", "min": "min", "mul": "multiply"}
#: Up to how many elements a pooling window is unrolled on a CPU (see `_unrolled`).
_UNROLLED_WINDOW = 16


def _named(module: Any, names: str, **renamed: Any) -> dict[str, Any]:
    """Functions of a module by their names, as methods that have no use for the engine."""
    functions = {name: getattr(module, name) for name in names.split()} | renamed
    return {name: staticmethod(function) for name, function in functions.items()}


jax.tree_util.register_pytree_node(SparseTensor, children, of_children)


class JaxEngine(Engine):
    """The primitives on `jax.Array`."""

    name = "jax"
    repeats_steps = True
    whole_calls = True
    distributes = True
    adopts = frozenset({"functions"})

    vars().update(
        **_named(
            jnp, "negative abs sign ceil floor round trunc sqrt exp expm1 log log1p log2 log10"
        ),
        **_named(jnp, "sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh"),
        **_named(jnp, "isnan isinf isfinite logical_not bitwise_not real imag conj i0"),
        **_named(jnp, "add subtract multiply divide floor_divide mod fmod power maximum minimum"),
        **_named(jnp, "arctan2 nextafter equal not_equal less less_equal greater greater_equal"),
        **_named(jnp, "logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor"),
        **_named(jnp, "left_shift right_shift where reshape broadcast_to"),
        **_named(lax, "rsqrt erf erfc lgamma", sigmoid=lax.logistic, erfinv=lax.erf_inv),
        **_named(lax, "transpose stop_gradient", flip=lax.rev),
        **_named(jnp.linalg, "cholesky solve", lu_factor=jax.scipy.linalg.lu_factor),
        **_named(jnp.fft, "fft ifft rfft irfft"),
    )

    def __init__(self) -> None:
        super().__init__()
        tuning.compile_cache.follow(_keep_compiled)
        self.arrays = frozenset(_array_types())
        self.native = frozenset({*type(self).native, np.ndarray, *self.arrays})

    # ---------------------------------------------------------------- tensor

    def convert_to_tensor(self, x: Any, dtype: str | None = None) -> Tensor:
        if isinstance(x, jax.Array):
            return x if dtype is None or self.weak_type(x) == dtype else self.cast(x, dtype)
        if isinstance(x, (list, tuple)) and not all(map(_is_plain, x)):
            items = [
                item if type(item) in host.PYTHON else self.convert_to_tensor(item) for item in x
            ]
            return self.convert_to_tensor(jnp.stack(items), dtype)
        if not isinstance(x, (np.ndarray, np.generic, list, tuple, *host.PYTHON)):
            x = _foreign(x)
            if isinstance(x, jax.Array):
                return self.convert_to_tensor(x, dtype)
        with np.errstate(all="ignore"):
            # `jnp.asarray` compiles a program for each new shape, in 13 ms, and takes 11 us less after that.
            return jax.device_put(_host_array(x, dtype))

    def sparse_parts(self, x: Any) -> tuple[Tensor, Tensor, tuple[int, ...]] | None:
        library: Any = sys.modules.get("jax.experimental.sparse")  # 0.1 s, where nobody uses it
        if library is None or not isinstance(x, library.BCOO):
            return None
        x = x if x.unique_indices else x.sum_duplicates(nse=x.nse)
        # Places beyond the shape stand for nothing.
        known = (x.indices < jnp.asarray(x.shape)).all(-1)
        indices = jnp.where(known[:, None], x.indices, 0)
        return indices, jnp.where(known, x.data, 0), tuple(x.shape)

    def convert_to_numpy(self, x: Tensor) -> Any:
        try:
            return np.asarray(x)
        except RuntimeError:  # a part of it is another process's
            if not isinstance(x, jax.Array) or x.is_fully_addressable:
                raise
        return devices.gathered(x)

    def is_tensor(self, x: Any) -> bool:
        # The class first: an instance check of `jax.Array` takes 0.5 us, this 0.04.
        return x.__class__ is _ARRAY or isinstance(x, jax.Array)

    def is_traced(self, x: Any) -> bool:
        return isinstance(x, jax.core.Tracer)

    def dtype_of(self, x: Tensor) -> str:
        if x.__class__ is _ARRAY:
            return host.name_of(x.dtype)
        dtype = getattr(x, "dtype", None)
        if dtype is None:
            return host.PYTHON.get(type(x)) or self.dtype_of(self.convert_to_tensor(x))
        return dtype.name if isinstance(x, jax.Array) else _dtype(dtype.name).name

    def shape_of(self, x: Tensor) -> tuple[Any, ...]:
        return x.shape if hasattr(x, "shape") else np.shape(x)

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        target = _dtype(dtype)
        if isinstance(x, (np.ndarray, np.generic, *host.PYTHON)):
            return self.convert_to_tensor(x, dtype)
        if x.dtype.kind == "c" and target.kind not in "cb":
            x = lax.real(x)  # said aloud: JAX warns of it otherwise
        return lax.convert_element_type(x, target)

    def view(self, x: Tensor, dtype: str) -> Tensor:
        return x.view(_dtype(dtype))

    def weak_type(self, x: Any) -> Any:
        if getattr(x, "weak_type", False):
            return _WEAK.get(x.dtype.kind) or x.dtype.name
        return type(x) if type(x) in host.PYTHON else self.dtype_of(x)

    def canonical_dtype(self, dtype: str) -> str:
        return _dtype(dtype).name

    def device(self, name: str) -> AbstractContextManager[Any]:
        platform, _, index = name.lower().partition(":")
        try:
            return jax.default_device(jax.devices(platform)[int(index or 0)])
        except (RuntimeError, IndexError, ValueError) as error:
            known = sorted({f"{d.platform}:{d.id}" for d in (*jax.devices(), *jax.devices("cpu"))})
            raise ValueError(
                f"A device must exist. Received: name={name!r}. JAX finds {known}."
            ) from error

    def synchronize(self, x: Tensor) -> None:
        jax.block_until_ready(x)  # type: ignore[no-untyped-call]

    def is_out_of_memory(self, error: BaseException) -> bool:
        # One class for all that XLA says, which begins with the kind.
        of_xla = isinstance(error, jax.errors.JaxRuntimeError)
        return super().is_out_of_memory(error) or (of_xla and "RESOURCE_EXHAUSTED" in str(error))

    def is_ready(self, x: Tensor) -> bool:
        return x.is_ready()

    @property
    def is_far(self) -> bool:
        return jax.default_backend() != "cpu"

    def send(self, x: Any) -> Any:
        return jax.device_put(x)

    def from_dlpack(self, x: Any) -> Tensor:
        return jnp.from_dlpack(x)

    def received(self, x: Tensor, sender: Engine) -> Tensor:
        with jax.ensure_compile_time_eval():  # a variable may move while a step is traced
            return super().received(x, sender)

    # ---------------------------------------------------------------- state

    def untraced(self) -> AbstractContextManager[Any]:
        return jax.ensure_compile_time_eval()

    def container(self, value: Tensor, trainable: bool, layout: Layout | None = None) -> Any:
        if layout is not None and not isinstance(value, jax.Array):
            return self.place(value, layout)  # shard by shard, of memory of their own
        value = self.place(value, layout)
        # A variable made while a step is traced outlives the trace, so its value is no tracer; and
        # steps give its memory away (see `compile`), so nobody else may hold that.
        with self.untraced():
            return jnp.array(value, _dtype(value.dtype.name), copy=True)

    # -------------------------------------------------------------- devices

    def devices(self, kind: str | None = None) -> list[str]:
        return devices.names(kind)

    def connect(self, address: str, size: int, rank: int, local_rank: int | None = None) -> None:
        devices.connect(address, size, rank, local_rank)

    @property
    def rank(self) -> int:
        return jax.process_index() if jax.distributed.is_initialized() else 0

    @property
    def processes(self) -> int:
        return jax.process_count() if jax.distributed.is_initialized() else 1

    def place(self, x: Any, layout: Layout | None) -> Tensor:
        sharding = devices.sharding_of(layout)
        if sharding is None:
            return x
        return devices.laid_out(x if isinstance(x, jax.Array) else _host_array(x, None), sharding)

    def rows(self, size: int, layout: Layout | None) -> slice:
        sharding = devices.sharding_of(layout)
        return slice(0, size) if sharding is None else devices.rows(size, sharding)

    def joined(self, rows: Any, size: int, layout: Layout | None) -> Tensor:
        sharding = devices.sharding_of(layout)
        if sharding is None:
            return rows
        return devices.joined(_host_array(rows, None), size, sharding)

    def gathered(self, x: Tensor) -> Any:
        return devices.gathered(x)

    def own_parts(self, container: Any) -> list[tuple[tuple[int, ...], Any]]:
        return devices.own_parts(container)

    def agreed(self, x: Any) -> Any:
        return devices.agreed(x) if self.processes > 1 else x

    def of_all(self, x: Any) -> Any:
        return devices.of_all(x) if self.processes > 1 else super().of_all(x)

    def barrier(self) -> None:
        if self.processes > 1:
            devices.barrier()

    # ------------------------------------------------------------ transforms

    def cond(self, pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        if isinstance(pred, jax.core.Tracer):
            return lax.cond(pred, true_fn, false_fn)
        return jax.tree.map(jnp.asarray, true_fn() if pred else false_fn())

    def while_loop(
        self, cond: Callable[..., Tensor], body: Callable[..., Any], state: tuple[Any, ...]
    ) -> Any:
        def turn(state: tuple[Any, ...]) -> tuple[Any, ...]:
            result = body(*state)
            return tuple(result) if isinstance(result, (list, tuple)) else (result,)

        return lax.while_loop(lambda state: cond(*state), turn, tuple(state))

    def scan(
        self,
        f: Callable[[Any, Any], tuple[Any, Any]],
        init: Any,
        xs: Any,
        length: int | None,
        reverse: bool,
    ) -> tuple[Any, Any]:
        return lax.scan(f, init, xs, length, reverse)

    def vectorized_map(self, f: Callable[[Any], Any], elements: Any) -> Any:
        return jax.vmap(f)(elements)

    def custom_gradient(
        self, f: Callable[..., tuple[Any, Callable[..., Any]]]
    ) -> Callable[..., Any]:
        return jax.custom_gradient(f)  # type: ignore[no-untyped-call]

    def watch_gradient(self, x: Tensor, look: Callable[[Tensor], None]) -> Tensor:
        def back(_: None, gradient: Tensor) -> tuple[Tensor]:
            look(gradient)
            return (gradient,)

        watched = jax.custom_vjp(
            lambda x: x
        )  # whose `back` runs on values, unlike `custom_gradient`'s
        watched.defvjp(lambda x: (x, None), back)
        return watched(x)

    def value_and_grad(
        self, f: Callable[[list[Tensor]], tuple[Tensor, Any]]
    ) -> Callable[[list[Tensor]], Any]:
        differentiated = jax.value_and_grad(f, has_aux=True, allow_int=True)

        def call(values: list[Tensor]) -> Any:
            result, gradients = differentiated(values)
            # The gradient by an integer is of JAX's dtype `float0`: it has none.
            return result, [
                None if g is None or g.dtype == jax.dtypes.float0 else g for g in gradients
            ]

        return call

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        return jax.vjp(f, *primals)

    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        try:
            return jax.jvp(f, tuple(primals), tuple(tangents))
        except TypeError as error:
            if "custom_vjp" not in str(error):
                raise
        # Something within has a gradient written out. That is linear: its gradient is the derivative.
        result, pull = jax.vjp(f, *primals)
        zeros = jax.tree.map(jnp.zeros_like, result)
        return result, jax.vjp(pull, zeros)[1](tuple(tangents))[0]

    def compile(
        self, step: Callable[..., Any], state: State, jit: bool | None = None
    ) -> Callable[..., Any]:
        made: list[programs.Kind] = []
        began = 0.0

        def pure(
            changing: list[Tensor], constant: list[Tensor], *args: Any
        ) -> tuple[Any, list[Tensor]]:
            nonlocal began
            began = (
                time.perf_counter() if jit is not False else 0.0
            )  # this runs when a program is made
            with state.bound(changing, constant) as collect:
                result = step(*args)
                return devices.settled(result, collect(), *state.layouts())

        pure.__name__ = getattr(step, "__name__", "step")
        # New values go where the old ones were.
        jitted = pure if jit is False else jax.jit(pure, donate_argnums=0)

        def run(*args: Any) -> Any:
            nonlocal began
            changing, constant = state.containers()  # an array is its own container
            if changing:
                changing = _apart(changing, (constant, args))
            result, values = jitted(changing, constant, *args)
            if began:
                programs.say_made("compiled", step, args, time.perf_counter() - began, made)
                began = 0.0
            if values:
                state.write(values)
            return result

        run.jitted = jitted  # type: ignore[attr-defined]
        return run

    def leaves(self, structure: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
        leaves, form = jax.tree.flatten(structure)
        return leaves, lambda others: jax.tree.unflatten(form, others)

    def scope(self, name: str) -> AbstractContextManager[Any]:
        return jax.named_scope(name)

    def profile(
        self, step: Callable[[], Any], plain: Callable[[], Any], times: int
    ) -> Profile | None:
        from .profiler import profile

        return profile(step, times)

    def compose(
        self, body: Callable[..., Any], static: tuple[int, ...], name: str
    ) -> Callable[..., Any]:
        def composed(*args: Any) -> Any:
            return body(*args)

        composed.__name__ = composed.__qualname__ = name
        return jax.jit(composed, static_argnums=static, inline=True)

    def remat(self, f: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            leaves, structure = jax.tree.flatten((args, kwargs))
            traced = [i for i, x in enumerate(leaves) if isinstance(x, (jax.Array, np.ndarray))]

            def rest(values: list[Any]) -> Any:
                given = leaves.copy()
                for i, value in zip(traced, values, strict=True):
                    given[i] = value
                args, kwargs = jax.tree.unflatten(structure, given)
                return f(*args, **kwargs)

            again = on_cpu.remat if jax.default_backend() == "cpu" else _checkpoint
            return again(rest, [leaves[i] for i in traced])

        return call

    def eval_shape(self, f: Callable[..., Any], *specs: Any) -> Any:
        given = [jax.ShapeDtypeStruct(shape, _dtype(dtype)) for shape, dtype in specs]  # type: ignore[no-untyped-call]
        return jax.tree.map(lambda x: (x.shape, x.dtype.name), jax.eval_shape(f, *given))

    def on_host(
        self, f: Callable[..., list[Any]], tensors: Sequence[Any], specs: Sequence[Any]
    ) -> list[Any]:
        if not any(map(self.is_traced, tensors)):
            return super().on_host(f, tensors, specs)
        given = [jax.ShapeDtypeStruct(shape, _dtype(dtype)) for shape, dtype in specs]  # type: ignore[no-untyped-call]

        def arrays(*values: Any) -> list[Any]:
            found = f(*map(np.asarray, values))
            return [np.asarray(x, spec.dtype) for x, spec in zip(found, given, strict=True)]

        return list(jax.pure_callback(arrays, given, *tensors))

    # ---------------------------------------------------------------- create

    def full(self, shape: tuple[Any, ...], value: Any, dtype: str) -> Tensor:
        with np.errstate(all="ignore"):  # -1e9 is -inf in float16: no reason to warn
            return lax.full(shape, value, _dtype(dtype))

    def arange(self, start: Any, stop: Any, step: Any, dtype: str) -> Tensor:
        return jnp.arange(start, stop, step, _dtype(dtype))

    def complex(self, real: Tensor, imag: Tensor) -> Tensor:
        parts = jnp.broadcast_arrays(real, imag)
        if parts[0].dtype.itemsize < 4:
            parts = [lax.convert_element_type(part, np.float32) for part in parts]
        return lax.complex(*parts)

    # ------------------------------------------------- select, reduce, scan

    def sum(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return jnp.sum(x, axes, x.dtype, keepdims=keepdims)

    def prod(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return jnp.prod(x, axes, x.dtype, keepdims=keepdims)

    def max(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return jnp.max(x, axes, keepdims=keepdims)

    def min(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return jnp.min(x, axes, keepdims=keepdims)

    def all(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return jnp.all(x, axes, keepdims=keepdims)

    def any(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return jnp.any(x, axes, keepdims=keepdims)

    def mean(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return jnp.mean(x, axes, keepdims=keepdims)

    def var(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return jnp.var(x, axes, keepdims=keepdims)

    def argmax(self, x: Tensor, axis: int) -> Tensor:
        return lax.argmax(x, axis, np.int32)

    def argmin(self, x: Tensor, axis: int) -> Tensor:
        return lax.argmin(x, axis, np.int32)

    def cumsum(self, x: Tensor, axis: int) -> Tensor:
        return lax.cumsum(x, axis)

    def cumprod(self, x: Tensor, axis: int) -> Tensor:
        return lax.cumprod(x, axis)

    # ---------------------------------------------------------- move, index

    def concatenate(self, xs: Sequence[Tensor], axis: int) -> Tensor:
        return lax.concatenate(xs, axis)

    def pad(self, x: Tensor, pads: Pads, value: Any) -> Tensor:
        return lax.pad(x, self.full((), value, x.dtype.name), [(*pad, 0) for pad in pads])

    # Indexing says `promise_in_bounds`, JAX's default for `x[...]`: XLA then clamps by itself,
    # where the modes of `jnp.take` would compute masks.

    def take(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        return x[(slice(None),) * axis + (indices,)]

    def take_along_axis(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        indices = jnp.where(indices < 0, indices + x.shape[axis], indices)
        return jnp.take_along_axis(x, indices, axis, mode="promise_in_bounds")

    def get_item(self, x: Tensor, key: tuple[Any, ...]) -> Tensor:
        return x[key]

    def gather(self, x: Tensor, indices: Tensor) -> Tensor:
        return x[tuple(jnp.moveaxis(indices, -1, 0))]

    def slice(self, x: Tensor, start: Sequence[Any], shape: tuple[int, ...]) -> Tensor:
        return lax.dynamic_slice(x, list(start), shape)

    def slice_update(self, x: Tensor, start: Sequence[Any], updates: Tensor) -> Tensor:
        return lax.dynamic_update_slice(x, updates, list(start))

    def scatter(self, x: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
        places = x.at[tuple(jnp.moveaxis(indices, -1, 0))]
        return getattr(places, _SCATTER[reduction])(updates)

    # ---------------------------------------------------------------- order

    def sort(self, x: Tensor, axis: int) -> Tensor:
        return lax.sort(x, dimension=axis, is_stable=False)

    def argsort(self, x: Tensor, axis: int) -> Tensor:
        return lax.sort((x, lax.broadcasted_iota(np.int32, x.shape, axis)), dimension=axis)[1]

    def top_k(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        values, indices = lax.top_k(x, k)
        return values, indices

    def searchsorted(self, sequence: Tensor, values: Tensor, side: str) -> Tensor:
        return jnp.searchsorted(sequence, values, side=side).astype(np.int32)

    def unique(
        self, x: Tensor, size: int | None, fill: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        values, *found = jnp.unique(x, True, True, True, size=size, fill_value=fill)
        index, inverse, counts = (part.astype(np.int32) for part in found)
        return values, index, inverse, counts

    def nonzero(self, x: Tensor, size: int | None, fill: int) -> tuple[Tensor, ...]:
        found = jnp.nonzero(x, size=size, fill_value=fill)
        return tuple(part.astype(np.int32) for part in found)

    # ------------------------------------------------------------- contract

    def matmul(self, x1: Tensor, x2: Tensor) -> Tensor:
        # A Dense layer on (batch, time, features): two, 128-512-128 on (16, 128, 128), forward
        # and backward on a 2-core CPU, take 14.8 ms as a 3-D product and 11.7 ms as a 2-D one.
        if x1.ndim > 2 and x2.ndim == 2:
            return _product(x1, x2, 1)
        return jnp.matmul(x1, x2)

    def einsum(self, subscripts: str, operands: Sequence[Tensor]) -> Tensor:
        ranks, contracted = _plain_product(subscripts)
        if contracted and ranks == tuple(x.ndim for x in operands):
            return _product(operands[0], operands[1], contracted)
        return jnp.einsum(subscripts, *operands)

    # --------------------------------------------------------------- window

    def conv(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes, groups: int
    ) -> Tensor:
        if on_cpu.applies(x, kernel):
            found = on_cpu.convolution(x, kernel, strides, pads, dilation, groups)
            if found is not None:
                return found
        return lax.conv_general_dilated(
            x,
            kernel,
            strides,
            pads,
            rhs_dilation=dilation,
            dimension_numbers=_channels_last(len(strides)),
            feature_group_count=groups,
        )

    def conv_transpose(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes
    ) -> Tensor:
        rank = len(strides)
        flipped = lax.rev(jnp.swapaxes(kernel, rank, rank + 1), tuple(range(rank)))
        return lax.conv_general_dilated(
            x,
            flipped,
            (1,) * rank,
            pads,
            lhs_dilation=strides,
            rhs_dilation=dilation,
            dimension_numbers=_channels_last(rank),
        )

    def max_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        is_float = jnp.issubdtype(x.dtype, np.floating)
        lowest = -np.inf if is_float else jnp.iinfo(x.dtype).min  # type: ignore[no-untyped-call]
        if _unrolled(window):
            padded = self.pad(x, ((0, 0), *pads, (0, 0)), lowest)
            return functools.reduce(_first_largest, on_cpu.windows(padded, window, strides))
        return lax.reduce_window(
            x, np.array(lowest, x.dtype), lax.max, (1, *window, 1), (1, *strides, 1), _framed(pads)
        )

    def average_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        if _unrolled(window):
            padded = self.pad(x, ((0, 0), *pads, (0, 0)), 0)
            total = functools.reduce(lax.add, on_cpu.windows(padded, window, strides))
        else:
            total = lax.reduce_window(
                x, np.zeros((), x.dtype), lax.add, (1, *window, 1), (1, *strides, 1), _framed(pads)
            )
        counts = []
        for size, kernel, stride, (low, _), out in zip(
            x.shape[1:-1], window, strides, pads, total.shape[1:-1], strict=True
        ):
            start = np.arange(out) * stride - low
            counts.append(np.minimum(start + kernel, size) - np.maximum(start, 0))
        count = functools.reduce(np.multiply.outer, counts)[..., None]
        return total / count.astype(x.dtype)

    # ---------------------------------------------------------- linalg, fft

    def solve_triangular(self, a: Tensor, b: Tensor, lower: bool) -> Tensor:
        return jax.scipy.linalg.solve_triangular(a, b, lower=lower)

    def qr(self, x: Tensor, mode: str) -> tuple[Tensor, Tensor]:
        q, r = jnp.linalg.qr(x, mode)
        return q, r

    def eigh(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = jnp.linalg.eigh(x)
        return values, vectors

    def eig(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = jnp.linalg.eig(x)
        return values, vectors

    def svd(self, x: Tensor, full_matrices: bool) -> tuple[Tensor, Tensor, Tensor]:
        u, s, v = jnp.linalg.svd(x, full_matrices)
        return u, s, v

    # --------------------------------------------------------------- random

    def random_gamma(
        self, key: Tensor, shape: tuple[Any, ...], alpha: Tensor, dtype: str
    ) -> Tensor:
        return jax.random.gamma(_key(key), alpha, shape, _dtype(dtype))

    def random_binomial(
        self, key: Tensor, shape: tuple[Any, ...], counts: Tensor, p: Tensor, dtype: str
    ) -> Tensor:
        drawn = jax.random.binomial(_key(key), counts, p, shape, np.float32)
        return self.cast(drawn, dtype)

    # ------------------------------------------------------------------- ops
    # On a CPU, where XLA makes slow code of the op's default body (`cpu.py`).

    def gelu(self, x: Tensor, approximate: bool) -> Tensor:
        return NotImplemented if approximate or not on_cpu.applies(x) else on_cpu.gelu(x)

    def layer_normalization(
        self,
        x: Tensor,
        gamma: Tensor | None,
        beta: Tensor | None,
        axis: Any,
        epsilon: float | None,
        rms_scaling: bool,
    ) -> Tensor:
        last = axis in (-1, x.ndim - 1, (-1,), [-1])
        if rms_scaling or not last or epsilon is None or not on_cpu.applies(x, gamma, beta):
            return NotImplemented
        return on_cpu.layer_normalization(x, gamma, beta, epsilon)

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
        same = query.ndim == key.ndim == 4 and query.shape[2] == key.shape[2]
        plain = bias is None and attn_logits_soft_cap is None and same
        if not plain or not on_cpu.applies(query, key, value):
            return NotImplemented
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        return on_cpu.attention(query, key, value, mask, scale, is_causal)

    def lstm(
        self,
        x: Tensor,
        h: Tensor,
        c: Tensor,
        kernel: Tensor,
        recurrent_kernel: Tensor,
        bias: Tensor | None,
        mask: Tensor | None,
        activation: str,
        recurrent_activation: str,
        go_backwards: bool,
        unroll: bool,
        return_sequences: bool,
        zero_output_for_mask: bool,
    ) -> Any:
        plain = (activation, recurrent_activation) == ("tanh", "sigmoid") and not unroll
        if mask is not None or not plain or not on_cpu.applies(x, h, c, kernel):
            return NotImplemented
        return on_cpu.over_time(
            *(on_cpu.lstm, x, (h, c), kernel, recurrent_kernel),
            *((bias, None), go_backwards, return_sequences),
        )

    def gru(
        self,
        x: Tensor,
        h: Tensor,
        kernel: Tensor,
        recurrent_kernel: Tensor,
        bias: Tensor | None,
        mask: Tensor | None,
        activation: str,
        recurrent_activation: str,
        reset_after: bool,
        go_backwards: bool,
        unroll: bool,
        return_sequences: bool,
        zero_output_for_mask: bool,
    ) -> Any:
        plain = (activation, recurrent_activation) == ("tanh", "sigmoid") and not unroll
        plain = plain and mask is None and reset_after
        if not plain or not on_cpu.applies(x, h, kernel):
            return NotImplemented
        biases = (None, None) if bias is None else (bias[0], bias[1])
        return on_cpu.over_time(
            *(on_cpu.gru, x, (h,), kernel, recurrent_kernel),
            *(biases, go_backwards, return_sequences),
        )


# ------------------------------------------------------------------ conversion


#: The class of concrete arrays.
_ARRAY = jaxlib.xla_client.ArrayImpl


def _keep_compiled(chosen: str | bool | None) -> None:
    """Let later processes read the programs that took long to compile: the first step of a small CNN takes
    0.4 s then, in place of 1.6."""
    place = cache.programs(f"jax-{jax.__version__}") if chosen is True else chosen
    if place:
        config: Any = jax.config
        config.update("jax_compilation_cache_dir", str(place))
        config.update("jax_persistent_cache_min_compile_time_secs", tuning.LONG_COMPILATION)


def _array_types() -> set[type]:
    """The exact classes of JAX's arrays: the concrete one, and those of each transformation."""
    found: set[type] = {_ARRAY}

    def look(x: Any) -> Any:
        found.add(type(x))
        return x

    one = np.float32(1)
    jax.eval_shape(look, one)
    jax.vmap(look)(np.ones(1, np.float32))
    jax.jvp(look, (one,), (one,))
    jax.vjp(look, one)
    jax.linearize(look, one)
    return found


def _dtype(name: str) -> np.dtype[Any]:
    """The dtype that JAX computes in when asked for `name`."""
    dtype: np.dtype[Any] = jax.dtypes.canonicalize_dtype(name)
    return dtype


def _is_plain(x: Any) -> bool:
    """Whether NumPy can read x without the help of another library."""
    if isinstance(x, (list, tuple)):
        return all(map(_is_plain, x))
    return isinstance(x, (bool, int, float, complex, np.generic, np.ndarray, str, bytes))


def _host_array(x: Any, dtype: str | None) -> np.ndarray[Any, Any]:
    """Numbers, nested lists and NumPy arrays as an array that nobody else holds.

    Without a dtype literals take 32 bits. The copy is made here: XLA reads the array's own memory,
    and its own copy (`jnp.array`) is not done when the next call starts, which then costs a (1, 64)
    input 30 us more.
    """
    array = host.as_array(x, None if dtype is None else _dtype(dtype).name)
    held = array is x or array.base is not None
    return array.astype(_dtype(host.name_of(array.dtype)), copy=held)


def _foreign(x: Any) -> Any:
    """The tensor of another library, as a JAX or a NumPy array."""
    if hasattr(x, "__jax_array__"):
        return x.__jax_array__()
    if hasattr(x, "detach"):  # a tensor that is being differentiated isn't given away otherwise
        x = x.detach()
    exports = hasattr(x, "__dlpack__")
    if hasattr(x, "__array__") or not exports:
        try:
            return np.asarray(x)
        except (TypeError, RuntimeError):  # on another device, or of a dtype that NumPy lacks
            if not exports:
                raise
    return jnp.array(jnp.from_dlpack(x), copy=True)


def _key(key: Tensor) -> Any:
    return jax.random.wrap_key_data(key, impl="threefry2x32")


def _apart(values: list[Tensor], others: Any) -> list[Tensor]:
    """Values to donate, with a copy of each that is also somewhere else in the same call."""
    held = [id(value) for value in jax.tree.leaves(others)]
    if len({*held, *map(id, values)}) == len(held) + len(values):
        return values
    seen, result = set(held), []
    for value in values:
        result.append(jnp.copy(value) if id(value) in seen else value)
        seen.add(id(value))
    return result


# -------------------------------------------------------------------- products


@functools.cache
def _plain_product(subscripts: str) -> tuple[tuple[int, ...], int]:
    """The operands' ranks and how many axes are contracted in `abc,cde->abde`; else 0 axes."""
    left, _, result = subscripts.replace(" ", "").partition("->")
    x, _, kernel = left.partition(",")
    count = len(set(x) & set(kernel))
    kept = x[: len(x) - count]
    plain = (
        (x + kernel).isalpha()
        and len(set(x)) == len(x)
        and len(set(kernel)) == len(kernel)
        and x[len(x) - count :] == kernel[:count]
        and result == kept + kernel[count:]
    )
    return (len(x), len(kernel)), count if plain else 0


def _product(x: Tensor, kernel: Tensor, contracted: int) -> Tensor:
    """The last axes of x with the first ones of a kernel, as one product of matrices."""
    leading, inner = x.shape[: x.ndim - contracted], kernel.shape[:contracted]
    if x.shape[x.ndim - contracted :] != inner:
        raise ValueError(
            "The axes that a product joins must be equal. Received: "
            f"x.shape={x.shape}, kernel.shape={kernel.shape}, {contracted} joined."
        )
    size, outer = math.prod(inner), kernel.shape[contracted:]
    flat = on_cpu.product(
        x.reshape(math.prod(leading), size), kernel.reshape(size, math.prod(outer))
    )
    return flat.reshape(*leading, *outer)


# --------------------------------------------------------------------- windows


@functools.cache
def _channels_last(rank: int) -> lax.ConvDimensionNumbers:
    spatial = tuple(range(1, rank + 1))
    image = (0, rank + 1, *spatial)
    return lax.ConvDimensionNumbers(image, (rank + 1, rank, *range(rank)), image)


def _framed(pads: Pads) -> Pads:
    return ((0, 0), *pads, (0, 0))


def _unrolled(window: Axes) -> bool:
    """Whether to pool by slices, one for each element of the window.

    On a 2-core CPU the gradient of 2x2 max pooling of (128, 26, 26, 32) takes 60 ms by
    `reduce_window` and 3.2 ms by slices, 3x3 with stride 2 of (32, 56, 56, 64) 163 ms and 19 ms;
    average pooling of the same 40 and 10 ms. For 6x6 the slices are slower: 2.5 against 0.6 ms.
    """
    return math.prod(window) <= _UNROLLED_WINDOW and jax.default_backend() == "cpu"


def _first_largest(a: Tensor, b: Tensor) -> Tensor:
    """The larger one, or NaN. Of equal ones the first has the gradient, as in `reduce_window`."""
    return lax.select((a >= b) | jnp.isnan(a), a, b)


def _checkpoint(f: Callable[[list[Any]], Any], values: list[Any]) -> Any:
    return jax.checkpoint(f)(values)
