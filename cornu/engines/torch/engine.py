"""The PyTorch engine: eager tensors, on CPUs and GPUs; a compiled step is replayed as a graph of kernels.

PyTorch lacks kernels for some dtypes, such as sums of uint32 or roots of float8. Those are computed
in a wider dtype (`_wide`). Which they are is tried once for each function and dtype, on small tensors.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

import numpy as np
import optree
import torch
import torch.nn.functional as F
from torch._C._functorch import is_functorch_wrapped_tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.checkpoint import checkpoint

from ... import tuning
from .. import host, loops
from ..contract import Axes, Layout, Native, Pads, State, Tensor
from ..keeping import KeepingEngine
from ..profiles import Profile
from . import mesh
from .adopted import AdoptedModule
from .graph import RecordedStep
from .lists import Group, together
from .module import NAMES, LayerModule
from .opaque import opaque, renewed

_DTYPES: dict[str, torch.dtype] = {
    name: getattr(torch, name)
    for name in (
        "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64 "
        "complex64 complex128 float8_e4m3fn float8_e5m2"
    ).split()
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_TENSORS = (torch.Tensor, Group)
_DENSE = torch.strided
#: Where PyTorch has no kernel for a dtype: the one to compute in.
_WIDER = {
    torch.bool: torch.int32,
    torch.uint8: torch.int32,
    torch.uint16: torch.int32,
    torch.int16: torch.int32,
    torch.int8: torch.int32,
    **dict.fromkeys((torch.uint32, torch.uint64, torch.int32), torch.int64),
    **dict.fromkeys((torch.float16, torch.bfloat16), torch.float32),
    **dict.fromkeys((torch.float8_e4m3fn, torch.float8_e5m2), torch.float32),
}
#: Dtypes that have next to no kernels. A step that is being recorded would not see that.
_BARE = frozenset(
    [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2]
)
_REDUCTIONS = {"max": "amax", "min": "amin", "mul": "prod"}


#: Where tensors are made; None for the engine's default.
_chosen: ContextVar[torch.device | None] = ContextVar("device", default=None)
#: How many differentiations are going on, one inside of the other.
_depth: ContextVar[int] = ContextVar("depth", default=0)


def _choose_kernels(deterministic: bool) -> None:
    """Let PyTorch use deterministic kernels alone, while that is chosen."""
    if deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(deterministic, warn_only=True)


# ---------------------------------------------------------------- wider dtypes


def _wide(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors, computed in a wider dtype where PyTorch has no kernel for theirs."""
    #: By dtype, device and what else chooses a kernel: whether it lacks one. Made as they are met.
    lacks: dict[Any, bool] = {}

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        dtype = getattr(args[0], "dtype", None) or _narrow(args)
        wide = _WIDER.get(dtype)
        if wide is None:
            return function(*args)
        if dtype not in _BARE:
            modes = (x for x in args if isinstance(x, str) or callable(x))
            key = (dtype, getattr(args[0], "device", None), *modes)
            if key not in lacks and (found := _lacks(call, function, args, dtype)) is not None:
                lacks[key] = found
            if not lacks.get(key, False):
                return function(*args)
        result = call(*(_cast_tree(arg, dtype, wide) for arg in args))
        return _cast_tree(result, wide, dtype)

    return call


def _lacks(call: Any, function: Any, args: Any, dtype: torch.dtype) -> bool | None:
    """Whether a function has no kernel for a dtype, tried on small tensors that stand for the arguments; None
    where they say nothing, as it fails on them in a wider dtype too."""
    for limit in (16, 1):
        small = optree.tree_map(lambda x, limit=limit: _small(x, limit, dtype), args)
        with _disable_current_modes(), torch.no_grad():
            try:
                function(*small)
                return False
            except (RuntimeError, TypeError, ValueError):  # a kernel is missing, or what follows
                pass
            try:
                call(*_cast_tree(small, dtype, _WIDER[dtype]))
                return True
            except (RuntimeError, TypeError, ValueError):
                pass
    return None


def _small(x: Any, limit: int, dtype: torch.dtype) -> Any:
    """A tensor like another one, of few elements: identities, which have inverses and roots; indices are
    zero."""
    if not isinstance(x, torch.Tensor):
        return x
    shape = [min(size, limit) for size in x.shape]
    small = torch.zeros(shape, dtype=torch.int32, device=x.device)
    if x.dtype == dtype:
        small = small + (torch.eye(*shape[-2:]) if len(shape) > 1 else torch.ones(()))
    return small.to(x.dtype)


def _narrow(args: Any) -> torch.dtype | None:
    """The dtype of the first tensor."""
    return next((x.dtype for x in loops.flatten(args)[0] if isinstance(x, torch.Tensor)), None)


def _cast_tree(tree: Any, source: torch.dtype, target: torch.dtype) -> Any:
    """Tensors of one dtype in another, also within tuples and lists."""
    if isinstance(tree, torch.Tensor):
        return tree.to(target) if tree.dtype == source else tree
    if isinstance(tree, (tuple, list)):
        return type(tree)(_cast_tree(entry, source, target) for entry in tree)
    return tree


def _named(module: Any, names: str, **renamed: str) -> dict[str, Any]:
    """Functions of a module by their names, as methods that have no use for the engine."""
    functions = {name: getattr(module, name) for name in names.split()}
    functions |= {name: getattr(module, theirs) for name, theirs in renamed.items()}
    return {name: staticmethod(_wide(function)) for name, function in functions.items()}


def _are_numbers(*ends: Tensor) -> bool:
    """Whether the host reads the ends of a range at no cost: kernels that take numbers pass over memory once."""
    return not any(
        x.ndim
        or x.device.type != "cpu"
        or isinstance(x, FakeTensor)
        or is_functorch_wrapped_tensor(x)
        for x in ends
    )


_HALF = torch.tensor(0.5)


# Calls of a recording: it could not look at the ends otherwise, and what is written in place there keeps it from
# computing its constants once.
@opaque
def _nearest(
    x: Tensor,
    bottom: Tensor,
    top: Tensor,
    inverse: Tensor,
    scale: Tensor,
    out: Tensor | None = None,
) -> list[Tensor]:
    """The multiples of `scale` nearest to what lies between two ends."""
    if _are_numbers(bottom, top, inverse) and not is_functorch_wrapped_tensor(x):
        made = torch.clamp(x, bottom.item(), top.item(), out=out)
        torch.add(_HALF, made, alpha=inverse.item(), out=made)
    else:
        made = torch.clamp(x, bottom, top, out=out).mul_(inverse).add_(0.5)
    return [made.floor_().mul_(scale)]


@opaque
def _passed(
    upstream: Tensor, x: Tensor, bottom: Tensor, top: Tensor, out: Tensor | None = None
) -> list[Tensor]:
    """A gradient where x is between two ends or at one."""
    if _are_numbers(bottom, top):
        low, high = bottom.nextafter(bottom - math.inf).item(), top.nextafter(top + math.inf).item()
        if out is None:
            return [torch.ops.aten.hardtanh_backward(upstream, x, low, high)]
        return [torch.ops.aten.hardtanh_backward.grad_input(upstream, x, low, high, grad_input=out)]
    outside = torch.minimum(torch.maximum(x, bottom), top).sub_(x).abs_().sign_()
    return [torch.addcmul(upstream, upstream, outside, value=-1, out=out)]


class _Rounded(torch.autograd.Function):  # type: ignore[misc]
    """The nearest numbers between two ends, whose gradient is that of the input between them."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, bottom: Tensor, top: Tensor, inverse: Tensor, scale: Tensor) -> Tensor:
        (made,) = _nearest(x, bottom, top, inverse, scale)
        return made

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs[:3])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        return *_passed(upstream, *ctx.saved_tensors), *[None] * 4


class TorchEngine(KeepingEngine):
    """The primitives on `torch.Tensor`."""

    name = "torch"
    mixes_sparse: ClassVar[bool] = True
    distributes: ClassVar[bool] = True
    module_type: ClassVar[type | None] = torch.nn.Module
    module_names: ClassVar[frozenset[str]] = NAMES
    adopts: ClassVar[frozenset[str]] = frozenset({"modules"})

    vars().update(
        **_named(torch, "abs ceil floor round trunc sqrt rsqrt exp expm1 log log1p log2 log10"),
        **_named(torch, "sin cos tan sinh cosh tanh sigmoid erf erfc erfinv lgamma i0 isnan isinf"),
        **_named(torch, "isfinite logical_not bitwise_not logical_and logical_or logical_xor"),
        **_named(torch, "add subtract multiply divide maximum minimum arctan2 nextafter"),
        **_named(torch, "not_equal less less_equal greater greater_equal bitwise_and bitwise_or"),
        **_named(torch, "bitwise_xor where", negative="neg", arcsin="asin", arccos="acos"),
        **_named(torch, "", arctan="atan", arcsinh="asinh", arccosh="acosh", arctanh="atanh"),
        **_named(torch, "flip", power="pow", equal="eq", concatenate="cat"),
        **_named(torch, "", left_shift="bitwise_left_shift", right_shift="bitwise_right_shift"),
        **_named(torch.linalg, "cholesky solve"),
        **_named(torch.fft, "fft ifft"),
    )

    def __init__(self) -> None:
        super().__init__()
        tuning.deterministic.follow(_choose_kernels)
        self._default_device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.arrays = frozenset({torch.Tensor, torch.nn.Parameter})
        self.native = frozenset({*type(self).native, *self.arrays, Group, np.ndarray})

    # ---------------------------------------------------------------- tensor

    @property
    def _device(self) -> torch.device:
        return _chosen.get() or self._default_device

    def convert_to_tensor(self, x: Any, dtype: str | None = None) -> Tensor:
        if isinstance(x, torch.Tensor):
            x = x if x.device == self._device or _chosen.get() is None else x.to(self._device)
            return x if dtype is None or x.dtype == _DTYPES[dtype] else self.cast(x, dtype)
        if isinstance(x, (list, tuple)) and any(map(_holds_tensors, x)):
            items = [x if type(x) in host.PYTHON else self.convert_to_tensor(x) for x in x]
            wanted = dtype or next(_NAMES[x.dtype] for x in items if isinstance(x, torch.Tensor))
            return torch.stack([self.convert_to_tensor(item, wanted) for item in items])
        if type(x) in host.PYTHON:
            return torch.tensor(
                x, dtype=_DTYPES[dtype or host.PYTHON[type(x)]], device=self._device
            )
        return self._from_host(host.as_array(x, dtype))

    def _from_host(self, x: Any) -> Tensor:
        """An array's values in memory of their own."""
        name = x.dtype.name
        if name not in _DTYPES:
            raise TypeError(
                f"A tensor holds numbers of a dtype that PyTorch has. Received: dtype={name!r}."
            )
        if x.dtype.isbuiltin != 1:  # bfloat16 and float8: PyTorch reads their bytes
            bits = np.dtype(f"u{x.dtype.itemsize}")
            return torch.tensor(x.view(bits), device=self._device).view(_DTYPES[name])
        if not x.flags.writeable or any(stride < 0 for stride in x.strides):
            x = np.array(x)
        return torch.tensor(x, device=self._device)

    def sparse_parts(self, x: Any) -> tuple[Tensor, Tensor, tuple[int, ...]] | None:
        if not isinstance(x, torch.Tensor) or x.layout is torch.strided:
            return None
        x = (x if x.layout is torch.sparse_coo else x.to_sparse_coo()).coalesce()
        return x.indices().T, x.values(), tuple(x.shape)

    def convert_to_numpy(self, x: Tensor) -> Any:
        if not isinstance(x, torch.Tensor):
            return host.as_array(x)
        if type(x) not in self.arrays and hasattr(x, "full_tensor"):
            x = x.full_tensor()
        x = x.detach().cpu().resolve_conj().resolve_neg()
        if x.dtype in _UNKNOWN_TO_NUMPY:
            bits = x.view(_UNKNOWN_TO_NUMPY[x.dtype]).numpy()
            return bits.view(host.numpy_dtype(_NAMES[x.dtype]))
        return x.numpy()

    def is_tensor(self, x: Any) -> bool:
        return isinstance(x, _TENSORS) and getattr(x, "layout", _DENSE) is _DENSE

    def is_traced(self, x: Any) -> bool:
        return isinstance(x, torch.Tensor) and is_functorch_wrapped_tensor(x)

    def dtype_of(self, x: Tensor) -> str:
        return _NAMES[x.dtype] if isinstance(x, _TENSORS) else host.dtype_of(x)

    def shape_of(self, x: Tensor) -> tuple[Any, ...]:
        return tuple(x.shape) if isinstance(x, _TENSORS) else np.shape(x)

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        if not isinstance(x, _TENSORS):
            return self.convert_to_tensor(x, dtype)
        target = _DTYPES[dtype]
        if isinstance(x, Group):
            return x.to(target)
        if x.dtype.is_complex and not target.is_complex and target is not torch.bool:
            x = x.real  # said aloud: PyTorch warns of it otherwise
        return x.to(target)

    def stop_gradient(self, x: Tensor) -> Tensor:
        return x.detach() if isinstance(x, torch.Tensor) else x

    def view(self, x: Tensor, dtype: str) -> Tensor:
        return x.contiguous().view(_DTYPES[dtype])

    def device(self, name: str) -> AbstractContextManager[Any]:
        kind, _, index = name.lower().partition(":")
        kind = {"gpu": "cuda"}.get(kind, kind)
        try:
            device = torch.device(kind, int(index)) if index else torch.device(kind)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ValueError(
                f"A device must exist. Received: name={name!r}. PyTorch finds {_devices()}."
            ) from error
        return _placed(device)

    def synchronize(self, x: Tensor) -> None:
        if x.device.type == "cuda":
            torch.cuda.synchronize(x.device)

    def is_out_of_memory(self, error: BaseException) -> bool:
        # Of a device it is a class of its own; on the host it is a `RuntimeError` with these words.
        on_host = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
        on_device = isinstance(error, torch.OutOfMemoryError)
        return super().is_out_of_memory(error) or on_device or on_host

    def is_ready(self, x: Tensor) -> bool:
        return x.device.type != "cuda" or torch.cuda.current_stream(x.device).query()

    @property
    def is_far(self) -> bool:
        return self._device.type == "cuda"

    def send(self, x: Any) -> Any:
        # From memory that may be swapped out, the copy would wait for all steps before it.
        return torch.as_tensor(x).pin_memory().to(self._device, non_blocking=True)

    def from_dlpack(self, x: Any) -> Tensor:
        return torch.from_dlpack(x)

    # ---------------------------------------------------------------- state
    # A container stays the same object, a parameter, so that modules, optimizers and `backward` of
    # PyTorch can hold it; a new value takes the place of its memory, without a copy.

    def untraced(self) -> AbstractContextManager[Any]:
        return _disable_current_modes()

    def container(self, value: Tensor, trainable: bool, layout: Layout | None = None) -> Any:
        division = mesh.division_of(layout)
        # A variable made while a step is recorded outlives the recording, so it holds values.
        with self.untraced():
            value = _laid_out(self.convert_to_tensor(mesh.part(value, division)).detach())
            made = torch.nn.Parameter(value, trainable and value.dtype.is_floating_point)
        return mesh.Part.of(made, division)

    def read(self, container: Any) -> Tensor:
        if type(container) is mesh.Part:
            return container.whole()
        return container if container.requires_grad else container.detach()

    def write(self, container: Any, value: Tensor) -> Any:
        # A copy: the caller may go on and change his tensor.
        value = self.convert_to_tensor(value).detach()
        container.data = _laid_out(mesh.part_for(container, value))
        return container

    def kind_of(self, container: Any) -> tuple[Any, ...]:
        if type(container) is not mesh.Part:
            return super().kind_of(container)
        return _NAMES[container.dtype], tuple(container.division.shape(container.shape))

    def lay(self, container: Any, layout: Layout | None) -> None:
        mesh.Part.of(container, mesh.division_of(layout))

    def set_trainable(self, container: Any, trainable: bool) -> None:
        container.requires_grad_(trainable and container.dtype.is_floating_point)

    # -------------------------------------------------------------- devices

    def devices(self, kind: str | None = None) -> list[str]:
        return mesh.names(kind)

    def connect(self, address: str, size: int, rank: int, local_rank: int | None = None) -> None:
        mesh.connect(address, size, rank, local_rank)

    @property
    def rank(self) -> int:
        return mesh.rank()

    @property
    def processes(self) -> int:
        return mesh.processes()

    def place(self, x: Any, layout: Layout | None) -> Tensor:
        return x if layout is None else mesh.placed(self.convert_to_tensor(x), layout)

    def constrain(self, x: Tensor, layout: Layout | None) -> Tensor:
        division = mesh.division_of(layout)
        return mesh.recording[-1].constrain(x, division) if division and mesh.recording else x

    def rows(self, size: int, layout: Layout | None) -> slice:
        return mesh.rows(size, layout)

    def joined(self, rows: Any, size: int, layout: Layout | None) -> Tensor:
        return rows if layout is None else mesh.joined(self.convert_to_tensor(rows), layout)

    def own_parts(self, container: Any) -> list[tuple[tuple[int, ...], Any]]:
        if type(container) is not mesh.Part:
            return super().own_parts(container)
        found = mesh.own_part(container)
        return [] if found is None else [(found[0], self.convert_to_numpy(found[1]))]

    def agreed(self, x: Any) -> Any:
        return mesh.agreed(x) if self.processes > 1 else x

    def of_all(self, x: Any) -> Any:
        return mesh.of_all(x) if self.processes > 1 else super().of_all(x)

    def barrier(self) -> None:
        if self.processes > 1:
            mesh.barrier()

    def module(self, layer: Any) -> Any:
        return LayerModule(self, layer)

    def adopt(self, native: Any, *options: Any) -> Native:
        return AdoptedModule(native)

    # ------------------------------------------------------------ transforms

    def cond(self, pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        return self._tensors(true_fn() if pred else false_fn())

    def while_loop(
        self, cond: Callable[..., Tensor], body: Callable[..., Any], state: tuple[Any, ...]
    ) -> Any:
        return loops.while_loop(self._tensors, cond, body, state)

    def scan(
        self,
        f: Callable[[Any, Any], tuple[Any, Any]],
        init: Any,
        xs: Any,
        length: int | None,
        reverse: bool,
    ) -> tuple[Any, Any]:
        return loops.scan(self, f, init, xs, length, reverse)

    def vectorized_map(self, f: Callable[[Any], Any], elements: Any) -> Any:
        batched = torch.vmap(lambda x: self._tensors(f(x)), randomness="different")
        return batched(self._tensors(elements))

    def custom_gradient(
        self, f: Callable[..., tuple[Any, Callable[..., Any]]]
    ) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            leaves, structure = loops.flatten(args)
            made: list[Any] = []

            class Custom(torch.autograd.Function):  # type: ignore[misc]
                @staticmethod
                def forward(ctx: Any, *leaves: Any) -> Any:
                    result, ctx.pull = f(*optree.tree_unflatten(structure, leaves), **kwargs)
                    results, shape = loops.flatten(self._tensors(result))
                    made[:] = [shape]
                    return tuple(x.view_as(x) for x in results)

                @staticmethod
                def backward(ctx: Any, *upstream: Tensor) -> Any:
                    pulled: Any = ctx.pull(optree.tree_unflatten(made[0], upstream))
                    return tuple(optree.tree_leaves(pulled, none_is_leaf=True))

            results = Custom.apply(*leaves)
            return optree.tree_unflatten(made[0], results)

        return call

    def value_and_grad(
        self, f: Callable[[list[Tensor]], tuple[Tensor, Any]]
    ) -> Callable[[list[Tensor]], Any]:
        def call(values: list[Tensor]) -> Any:
            with _differentiating() as nested:
                leaves = [_leaf(x, nested) for x in values]
                loss, aux = f(leaves if nested or not mesh.recording else _marked(values, leaves))
                loss = self.convert_to_tensor(loss)
                gradients = _gradients([loss], leaves, None, nested)
            return _settled(((loss, aux), gradients), nested)

        return call

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        with _differentiating() as nested:
            leaves, structure = loops.flatten(self._tensors(primals))
            leaves = [_leaf(x, nested) for x in leaves]
            result = self._tensors(f(*optree.tree_unflatten(structure, leaves)))
        results, made = loops.flatten(result)

        def pull(cotangents: Any) -> Any:
            upstream = loops.flatten(self._tensors(cotangents))[0]
            gradients = _gradients(results, leaves, upstream, nested, keep=True)
            zeroed = [
                torch.zeros_like(x) if g is None else g
                for g, x in zip(gradients, leaves, strict=True)
            ]
            return _settled(optree.tree_unflatten(structure, zeroed), nested)

        return _settled(optree.tree_unflatten(made, results), nested), pull

    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        # The gradient is linear in the cotangents: its own gradient by them, along the tangents, is
        # the derivative.
        with _differentiating() as nested:
            inputs = [_leaf(x, nested) for x in loops.flatten(self._tensors(tuple(primals)))[0]]
            structure = loops.flatten(tuple(primals))[1]
            result = self._tensors(f(*optree.tree_unflatten(structure, inputs)))
            ys, made = loops.flatten(result)
            upstream = [torch.zeros_like(y).requires_grad_() for y in ys]
            pulled = _gradients(ys, inputs, upstream, nested=True)
            along = loops.flatten(self._tensors(tuple(tangents)))[0]
            pairs = [(g, t) for g, t in zip(pulled, along, strict=True) if g is not None]
            linear, given = ([pair[i] for pair in pairs] for i in (0, 1))
            found = _gradients(linear, upstream, given, nested)
            derivative = [
                torch.zeros_like(y) if g is None else g for y, g in zip(ys, found, strict=True)
            ]
        return _settled((result, optree.tree_unflatten(made, derivative)), nested)

    def compile(
        self, step: Callable[..., Any], state: State, jit: bool | None = None
    ) -> Callable[..., Any]:
        if mesh.processes() == 1:
            return RecordedStep(self, step, state)
        from .partition import DividedStep

        return DividedStep(self, step, state)

    def scope(self, name: str) -> AbstractContextManager[Any]:
        from .profiler import scope

        return scope(name)

    def profile(
        self, step: Callable[[], Any], plain: Callable[[], Any], times: int
    ) -> Profile | None:
        from .profiler import profile

        return profile(step, plain, times)

    def each(self, f: Callable[..., Any], rows: Sequence[Sequence[Tensor]]) -> list[Any]:
        if len(rows) < 2 or _depth.get():
            return super().each(f, rows)
        with torch.no_grad():
            return together(f, rows)

    def renewed(
        self, due: Tensor, f: Callable[..., list[Tensor]], olds: list[Tensor], others: list[Tensor]
    ) -> list[Tensor]:
        return renewed(due, f, olds, others)

    def remat(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return functools.partial(checkpoint, f, use_reentrant=False, preserve_rng_state=False)

    def eval_shape(self, f: Callable[..., Any], *specs: Any) -> Any:
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            result = f(*(torch.empty(shape, dtype=_DTYPES[dtype]) for shape, dtype in specs))
            return optree.tree_map(
                lambda x: (tuple(x.shape), _NAMES[x.dtype]), self._tensors(result)
            )

    def _tensors(self, tree: Any) -> Any:
        return optree.tree_map(self.convert_to_tensor, tree)

    # ---------------------------------------------------------------- create

    def full(self, shape: tuple[Any, ...], value: Any, dtype: str) -> Tensor:
        if isinstance(value, torch.Tensor):
            return self.cast(value, dtype).expand(shape)
        if dtype == "float16":  # -1e9 is -inf in it, which PyTorch refuses
            return torch.full(shape, value, dtype=torch.float32, device=self._device).half()
        return torch.full(shape, value, dtype=_DTYPES[dtype], device=self._device)

    def arange(self, start: Any, stop: Any, step: Any, dtype: str) -> Tensor:
        wide = _WIDER[_DTYPES[dtype]] if dtype.startswith(("uint", "bool", "float8")) else None
        made = torch.arange(start, stop, step, dtype=wide or _DTYPES[dtype], device=self._device)
        return made if wide is None else made.to(_DTYPES[dtype])

    def complex(self, real: Tensor, imag: Tensor) -> Tensor:
        narrow = real.dtype in (torch.float16, torch.bfloat16)
        parts = (real.float(), imag.float()) if narrow else (real, imag)
        return torch.complex(*torch.broadcast_tensors(*parts))

    # ---------------------------------------------------------------- unary

    def sign(self, x: Tensor) -> Tensor:
        return torch.where(torch.isnan(x), x, _sign(x)) if x.dtype.is_floating_point else _sign(x)

    def real(self, x: Tensor) -> Tensor:
        return x.real if x.dtype.is_complex else x

    def imag(self, x: Tensor) -> Tensor:
        return x.imag if x.dtype.is_complex else torch.zeros_like(x)

    def conj(self, x: Tensor) -> Tensor:
        return x.conj().resolve_conj()

    # --------------------------------------------------------------- binary

    def floor_divide(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _divided(torch.floor_divide, x1, x2)

    def mod(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _divided(torch.remainder, x1, x2)

    def fmod(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _divided(torch.fmod, x1, x2)

    # ------------------------------------------------- select, reduce, scan

    def sum(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        if x.dtype == torch.bool:
            return self.any(x, axes, keepdims)
        return _sum(x, axes, keepdims) if axes else x

    def prod(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        for axis in sorted(axes, reverse=True):
            x = _prod(x, axis, keepdims)
        return x

    def max(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return _amax(x, axes, keepdims) if axes else x

    def min(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return _amin(x, axes, keepdims) if axes else x

    def all(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return torch.all(x, axes, keepdims) if axes else x

    def any(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return torch.any(x, axes, keepdims) if axes else x

    def mean(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return _mean(x, axes, keepdims) if axes else x

    def var(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        if not axes or x.dtype.is_complex:
            return super().var(x, axes, keepdims)
        return _var(x, axes, keepdims)

    def argmax(self, x: Tensor, axis: int) -> Tensor:
        return _argmax(x, axis).to(torch.int32)

    def argmin(self, x: Tensor, axis: int) -> Tensor:
        return _argmin(x, axis).to(torch.int32)

    def cumsum(self, x: Tensor, axis: int) -> Tensor:
        return _cumsum(x, axis)

    def cumprod(self, x: Tensor, axis: int) -> Tensor:
        return _cumprod(x, axis)

    # ---------------------------------------------------------- move, index

    def reshape(self, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
        return x.reshape(shape)

    def transpose(self, x: Tensor, axes: Axes) -> Tensor:
        return x.permute(axes)

    def broadcast_to(self, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
        return x.expand(shape)

    def pad(self, x: Tensor, pads: Pads, value: Any) -> Tensor:
        if not any(map(any, pads)):
            return x
        if isinstance(value, (torch.Tensor, np.generic, np.ndarray)):
            value = value.item()
        if x.dtype is torch.float16 and abs(value) > 65504:  # PyTorch may refuse it
            value = math.copysign(math.inf, value)
        return _pad(x, [size for pad in reversed(pads) for size in pad], "constant", value)

    def take(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        indices = _wrapped(indices, x.shape[axis])
        if axis == 0 and x.ndim == 2 and x.dtype.is_floating_point:
            return F.embedding(indices, x)
        found = _index_select(x, axis, indices.reshape(-1))
        return found.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])

    def take_along_axis(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        pairs = list(zip(x.shape, indices.shape, strict=True))
        common = [max(n, m) if min(n, m) else 0 for n, m in pairs]
        x = x.expand([*common[:axis], x.shape[axis], *common[axis + 1 :]])
        indices = indices.expand([*common[:axis], indices.shape[axis], *common[axis + 1 :]])
        return _gather(x, axis, _wrapped(indices, x.shape[axis]))

    def get_item(self, x: Tensor, key: tuple[Any, ...]) -> Tensor:
        return x[key]

    def gather(self, x: Tensor, indices: Tensor) -> Tensor:
        return x[tuple(indices.unbind(-1))]

    def slice(self, x: Tensor, start: Sequence[Any], shape: tuple[int, ...]) -> Tensor:
        return _block(x, start, shape)

    def slice_update(self, x: Tensor, start: Sequence[Any], updates: Tensor) -> Tensor:
        if all(isinstance(at, int) for at in start):
            result = x.clone()
            _block(result, start, updates.shape).copy_(updates)
            return result
        places = [
            _begin(at, size, length)
            + torch.arange(length, device=x.device).reshape([-1] + [1] * (x.ndim - 1 - axis))
            for axis, (at, size, length) in enumerate(
                zip(start, x.shape, updates.shape, strict=True)
            )
        ]
        return x.index_put(places, updates)

    @staticmethod
    @_wide
    def scatter(x: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
        indices = indices.long()
        depth = indices.shape[-1]
        rest = x.shape[depth:]
        updates = updates.expand(indices.shape[:-1] + rest)
        if reduction in ("set", "add"):
            places = tuple(indices.unbind(-1))
            return x.index_put(places, updates, accumulate=reduction == "add")
        flat = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=x.device)
        for axis, size in enumerate(x.shape[:depth]):
            flat = flat * size + _wrapped(indices[..., axis], size)
        columns = math.prod(rest)
        index = flat.reshape(-1, 1).expand(-1, columns)
        result = x.reshape(-1, columns).scatter_reduce(
            0, index, updates.reshape(-1, columns), _REDUCTIONS[reduction]
        )
        return result.reshape(x.shape)

    # ---------------------------------------------------------------- order

    def sort(self, x: Tensor, axis: int) -> Tensor:
        return _sort(x, axis)

    def argsort(self, x: Tensor, axis: int) -> Tensor:
        return torch.argsort(_sortable(x), dim=axis, stable=True).to(torch.int32)

    def top_k(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        values, order = torch.sort(_sortable(x), dim=-1, descending=True, stable=True)
        return values[..., :k].to(x.dtype), order[..., :k].to(torch.int32)

    def searchsorted(self, sequence: Tensor, values: Tensor, side: str) -> Tensor:
        pair = (_sortable(sequence).contiguous(), _sortable(values).contiguous())
        return torch.searchsorted(*pair, side=side, out_int32=True)

    def unique(
        self, x: Tensor, size: int | None, fill: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        values, inverse, counts = torch.unique(
            _sortable(x), return_inverse=True, return_counts=True
        )
        order = torch.argsort(inverse, stable=True)
        index = order[torch.cumsum(counts, 0) - counts]
        values = values.to(x.dtype)
        if size is not None:
            first = values[:1].sum() if fill is None else fill
            values = _resized(values, size, first)
            index = _resized(index, size, index[:1].sum())
            counts = _resized(counts, size, 0)
        return values, *(part.to(torch.int32) for part in (index, inverse, counts))

    def nonzero(self, x: Tensor, size: int | None, fill: int) -> tuple[Tensor, ...]:
        found = [part.to(torch.int32) for part in torch.nonzero(x != 0, as_tuple=True)]
        return tuple(found if size is None else [_resized(part, size, fill) for part in found])

    # ----------------------------------------------------- contract, window

    def matmul(self, x1: Tensor, x2: Tensor) -> Tensor:
        if (
            x1.dtype is torch.bool
        ):  # which kernel it is depends on the shapes: some know no booleans
            return _matmul(x1.int(), x2.int()).bool()
        return _matmul(x1, x2)

    def einsum(self, subscripts: str, operands: Sequence[Tensor]) -> Tensor:
        return _einsum(subscripts, *operands)

    def conv(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes, groups: int
    ) -> Tensor:
        rank = len(strides)
        if any(low != high or low < 0 for low, high in pads):
            x, pads = self.pad(x, ((0, 0), *pads, (0, 0)), 0), ((0, 0),) * rank
        weights = kernel.permute(rank + 1, rank, *range(rank))
        padding = [low for low, _ in pads]
        made = _CONVOLUTIONS[rank](
            x.movedim(-1, 1), weights, None, strides, padding, dilation, groups
        )
        return made.movedim(1, -1)

    def conv_transpose(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes
    ) -> Tensor:
        rank = len(strides)
        weights = kernel.permute(rank + 1, rank, *range(rank))
        made = _TRANSPOSED[rank](
            x.movedim(-1, 1), weights, None, strides, 0, 0, 1, dilation
        ).movedim(1, -1)
        reach = [(n - 1) * gap for n, gap in zip(kernel.shape[:rank], dilation, strict=True)]
        more = [(low - n, high - n) for (low, high), n in zip(pads, reach, strict=True)]
        return self.pad(made, ((0, 0), *more, (0, 0)), 0)

    def max_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        if not x.dtype.is_floating_point:
            return super().max_pool(x, window, strides, pads)
        if not _is_framed(window, pads):
            x, pads = self.pad(x, ((0, 0), *pads, (0, 0)), -math.inf), ((0, 0),) * len(window)
        padding = [low for low, _ in pads]
        return _MAXIMA[len(window)](x.movedim(-1, 1), window, strides, padding).movedim(1, -1)

    def average_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        if not _is_framed(window, pads):
            return super().average_pool(x, window, strides, pads)
        padding = [low for low, _ in pads]
        made = _MEANS[len(window)](x.movedim(-1, 1), window, strides, padding, False, False)
        return made.movedim(1, -1)

    # ---------------------------------------------------------- linalg, fft

    def solve_triangular(self, a: Tensor, b: Tensor, lower: bool) -> Tensor:
        return torch.linalg.solve_triangular(a, b, upper=not lower)

    def qr(self, x: Tensor, mode: str) -> tuple[Tensor, Tensor]:
        q, r = torch.linalg.qr(x, mode)
        return q, r

    def svd(self, x: Tensor, full_matrices: bool) -> tuple[Tensor, Tensor, Tensor]:
        u, s, v = torch.linalg.svd(x, full_matrices)
        return u, s, v

    def eigh(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(x)
        return values, vectors

    def eig(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eig(x)
        return values, vectors

    def lu_factor(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lu, pivots = torch.linalg.lu_factor(x)
        return lu, pivots - 1

    def rfft(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(x.float() if x.dtype in (torch.float16, torch.bfloat16) else x)

    def irfft(self, x: Tensor, length: int) -> Tensor:
        return torch.fft.irfft(x, length)

    # --------------------------------------------------------------- random

    def random_gamma(
        self, key: Tensor, shape: tuple[Any, ...], alpha: Tensor, dtype: str
    ) -> Tensor:
        wide = torch.float64 if dtype == "float64" else torch.float32
        drawn = torch._standard_gamma(alpha.to(wide).expand(shape), generator=_generator(key))
        return drawn.to(_DTYPES[dtype])

    def random_binomial(
        self, key: Tensor, shape: tuple[Any, ...], counts: Tensor, p: Tensor, dtype: str
    ) -> Tensor:
        trials, chance = counts.float().expand(shape), p.float().expand(shape)
        return torch.binomial(trials, chance, _generator(key)).to(_DTYPES[dtype])

    # ------------------------------------------------------------------- ops
    # Fused kernels: each is one call in place of the several of the op's default body.

    def relu(self, x: Tensor) -> Tensor:
        return torch.relu(x)

    def relu6(self, x: Tensor) -> Tensor:
        return torch.nn.functional.relu6(x)

    def fake_quant_with_min_max_vars(
        self, inputs: Tensor, low: Tensor, high: Tensor, bits: int, narrow: bool, axis: int | None
    ) -> Tensor:
        """In place, by no truth values: a step of a MobileNet takes 1.5 times the plain one, else 2.1."""
        if inputs.dtype != torch.float32 or bits not in range(2, 17):
            return NotImplemented
        if low.requires_grad or high.requires_grad or low.dtype != inputs.dtype != high.dtype:
            return NotImplemented
        if axis is not None and low.ndim:
            if low.ndim > 1 or axis not in range(-inputs.ndim, inputs.ndim):
                return NotImplemented
            sizes = (-1, *(1,) * (inputs.ndim - 1 - axis % inputs.ndim))
            low, high = low.reshape(sizes), high.reshape(sizes)
        span, first, last = high - low, float(narrow), 2.0**bits - 1
        empty = span == 0
        span = torch.where(empty, 1.0, span)
        scale, inverse = span / (last - first), (last - first) / span
        zero = (first - low / scale).clamp(first, last).round()
        ends = (first - zero) * scale, (last - zero) * scale
        rounded: Tensor = _Rounded.apply(inputs, *ends, inverse, torch.where(empty, 0.0, scale))
        return rounded

    def gelu(self, x: Tensor, approximate: bool) -> Tensor:
        return F.gelu(x, approximate="tanh" if approximate else "none")

    def silu(self, x: Tensor) -> Tensor:
        return F.silu(x)

    def image_warp_images(
        self,
        images: Tensor,
        transform: Tensor,
        interpolation: str,
        fill_mode: str,
        fill_value: float,
        data_format: str,
    ) -> Any:
        """One kernel, on channels first: a rotation takes 22 ms an image of (224, 224, 3), by gathers 97."""
        modes = {"constant": "zeros", "nearest": "border", "reflect": "reflection"}
        if images.dtype != torch.float32 or interpolation != "bilinear" or fill_mode not in modes:
            return NotImplemented
        batch = images if data_format == "channels_first" else images.permute(0, 3, 1, 2)
        height, width = batch.shape[2:]
        a = transform.to(torch.float32).unbind(1)
        a0, a1, a2, b0, b1, b2, c0, c1 = (x[:, None, None] for x in a)
        x = torch.arange(width, device=images.device)
        y = torch.arange(height, device=images.device)[:, None]
        depth = c0 * x + c1 * y + 1
        # The kernel's -1 and 1 are the outer edges of the first and the last pixel.
        columns = ((a0 * x + a1 * y + a2) / depth * 2 + 1) / width - 1
        rows = ((b0 * x + b1 * y + b2) / depth * 2 + 1) / height - 1
        grid = torch.stack((columns, rows), -1)
        offset = fill_value if fill_mode == "constant" else 0.0
        batch = batch - offset if offset else batch
        warped = F.grid_sample(batch, grid, "bilinear", modes[fill_mode], align_corners=False)
        warped = warped + offset if offset else warped
        return warped if data_format == "channels_first" else warped.permute(0, 2, 3, 1)

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
        fused = self.flash_attention if flash_attention is None else flash_attention
        # The kernel reads values at every key, also where there are none.
        unsafe = key.shape[:3] != value.shape[:3]
        if attn_logits_soft_cap is not None or fused is False or unsafe:
            return NotImplemented
        causal, rest = is_causal, [x for x in (mask, bias) if x is not None]
        if rest or (causal and query.shape[1] != key.shape[1]):
            if causal:
                shape = (query.shape[1], key.shape[1])
                earlier = torch.ones(shape, dtype=torch.bool, device=query.device).tril()
                mask, causal = earlier if mask is None else mask & earlier, False
            bias = _score_bias(mask, bias, query.dtype)
        average = None if mask is None else value.mean(1, keepdim=True)
        query, key, value = (x.movedim(2, 1) for x in (query, key, value))
        grouped = query.shape[1] != key.shape[1]
        found = F.scaled_dot_product_attention(
            query, key, value, bias, is_causal=causal, scale=scale, enable_gqa=grouped
        )
        if mask is None or average is None:
            return found.movedim(1, 2)
        # Where all keys are left out their weights are equal, which the kernel's gradient is not.
        if grouped:
            average = average.repeat_interleave(query.shape[1] // key.shape[1], 2)
        seen = torch.broadcast_to(mask, found.shape[:-1] + mask.shape[-1:]).any(-1, keepdim=True)
        return torch.where(seen.movedim(1, 2), found.movedim(1, 2), average)

    def softmax(self, x: Tensor, axis: Any) -> Tensor:
        return torch.softmax(x, axis) if isinstance(axis, int) else NotImplemented

    def log_softmax(self, x: Tensor, axis: Any) -> Tensor:
        return torch.log_softmax(x, axis) if isinstance(axis, int) else NotImplemented

    def batch_normalized(
        self, x: Tensor, axis: int, offset: Tensor | None, scale: Tensor | None, epsilon: float
    ) -> Any:
        """One kernel each way: a training step of a ResNet-18 takes 370 ms, without it 412."""
        if x.dtype not in (torch.float32, torch.float64) or x.ndim < 2:
            return NotImplemented
        if any(w is not None and w.shape != (x.shape[axis],) for w in (offset, scale)):
            return NotImplemented  # the kernel reads one for each channel
        # Channels that are last are taken for those of one image, for which the kernel goes along memory.
        last = axis in (-1, x.ndim - 1)
        image = x.reshape(1, -1, 1, x.shape[-1]) if last else x
        axis = -1 if last else axis
        y, mean, inverse = torch.native_batch_norm(
            image.movedim(axis, 1), scale, offset, None, None, True, 0.0, epsilon
        )
        variance = (inverse.detach().pow(-2) - epsilon).clamp_min(0)
        return y.movedim(1, axis).reshape(x.shape), mean.detach(), variance

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
        same = all(w is None or w.dtype == x.dtype for w in (gamma, beta))
        if rms_scaling or not last or not same or epsilon is None:
            return NotImplemented
        return F.layer_norm(x, x.shape[-1:], gamma, beta, epsilon)

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
        if mask is not None or (activation, recurrent_activation) != ("tanh", "sigmoid"):
            return NotImplemented
        weights = [kernel.t(), recurrent_kernel.t()]
        if bias is not None:
            weights += [bias, torch.zeros_like(bias)]
        return _over_time(_lstm, x, (h, c), weights, go_backwards, return_sequences)

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
        plain = (activation, recurrent_activation) == ("tanh", "sigmoid")
        if mask is not None or not plain or not reset_after:
            return NotImplemented
        weights = [_reset_first(kernel).t(), _reset_first(recurrent_kernel).t()]
        if bias is not None:
            weights += list(_reset_first(bias))
        return _over_time(_gru, x, (h,), weights, go_backwards, return_sequences)


# ------------------------------------------------------------------ conversion

#: Dtypes that NumPy has no name for, and ones of their size that it has.
_UNKNOWN_TO_NUMPY = {
    torch.bfloat16: torch.int16,
    torch.float8_e4m3fn: torch.int8,
    torch.float8_e5m2: torch.int8,
}


def _holds_tensors(x: Any) -> bool:
    return isinstance(x, torch.Tensor) or (
        isinstance(x, (list, tuple)) and any(map(_holds_tensors, x))
    )


@contextmanager
def _placed(device: torch.device) -> Iterator[None]:
    """New tensors lie on a device."""
    before = _chosen.get()
    _chosen.set(device)
    try:
        yield
    finally:
        _chosen.set(before)


def _devices() -> list[str]:
    return ["cpu", *(f"gpu:{i}" for i in range(torch.cuda.device_count()))]


# ------------------------------------------------------------- differentiation


@contextmanager
def _differentiating() -> Iterator[bool]:
    """Within it gradients are recorded; gives whether another differentiation is around it."""
    depth = _depth.get()
    _depth.set(depth + 1)
    try:
        with torch.enable_grad():
            yield depth > 0
    finally:
        _depth.set(depth)


def _leaf(x: Tensor, nested: bool) -> Tensor:
    """A tensor of its own to differentiate by."""
    if x is None or not (x.dtype.is_floating_point or x.dtype.is_complex):
        return x
    return x.view_as(x) if nested and x.requires_grad else x.detach().requires_grad_()


def _gradients(
    ys: Sequence[Tensor],
    leaves: Sequence[Tensor],
    upstream: Sequence[Tensor] | None,
    nested: bool,
    keep: bool = False,
) -> list[Tensor | None]:
    """The cotangents of the leaves; None for those that are no floats, or have no part in ys."""
    given: Sequence[Any] = upstream or [None] * len(ys)
    pairs = [(y, g) for y, g in zip(ys, given, strict=True) if y.requires_grad]
    wanted = [x for x in leaves if x is not None and x.requires_grad]
    if not pairs or not wanted:
        return [None] * len(leaves)
    outputs, sources = zip(*pairs, strict=True)
    found = iter(
        torch.autograd.grad(
            outputs, wanted, sources, keep or None, create_graph=nested, allow_unused=True
        )
    )
    return [next(found) if x is not None and x.requires_grad else None for x in leaves]


def _marked(values: Sequence[Tensor], leaves: Sequence[Tensor]) -> list[Tensor]:
    """The leaves, with how what they stand for is divided."""
    marks = mesh.recording[-1]
    return [marks.leaf(value, x) for value, x in zip(values, leaves, strict=True)]


def _settled(result: Any, nested: bool) -> Any:
    """A result without the graph that it came from, unless something around still differentiates."""
    if nested:
        return result
    return optree.tree_map(lambda x: x.detach() if isinstance(x, torch.Tensor) else x, result)


# ------------------------------------------------------- arithmetic and order

_sum = _wide(lambda x, axes, keepdims: torch.sum(x, axes, keepdims, dtype=x.dtype))
_prod = _wide(lambda x, axis, keepdims: torch.prod(x, axis, keepdims, dtype=x.dtype))
_cumsum = _wide(lambda x, axis: torch.cumsum(x, axis, dtype=x.dtype))
_cumprod = _wide(lambda x, axis: torch.cumprod(x, axis, dtype=x.dtype))
_sign = _wide(torch.sgn)
_mean = _wide(lambda x, axes, keepdims: torch.mean(x, axes, keepdims))
_var = _wide(lambda x, axes, keepdims: torch.var(x, axes, correction=0, keepdim=keepdims))
_amax, _amin, _gather, _index_select, _pad, _matmul, _einsum = map(
    _wide,
    (torch.amax, torch.amin, torch.gather, torch.index_select, F.pad, torch.matmul, torch.einsum),
)
_sort = _wide(lambda x, axis: torch.sort(x, dim=axis)[0])


def _argmax(x: Tensor, axis: int) -> Tensor:
    return torch.argmax(_sortable(x), axis)


def _argmin(x: Tensor, axis: int) -> Tensor:
    return torch.argmin(_sortable(x), axis)


def _sortable(x: Tensor) -> Tensor:
    """Numbers in the order of x, of a dtype that PyTorch sorts."""
    sorts = x.dtype not in _WIDER or x.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32)
    return x if sorts else x.to(_WIDER[x.dtype])


@_wide
def _divided(op: Callable[..., Tensor], x1: Tensor, x2: Tensor) -> Tensor:
    """A quotient or remainder; that of an integer and zero is zero, which PyTorch refuses."""
    if x1.dtype.is_floating_point:
        return op(x1, x2)
    if x1.dtype == torch.bool:
        raise NotImplementedError("of booleans")
    zero = x2 == 0
    return torch.where(zero, 0, op(x1, torch.where(zero, 1, x2)))


# -------------------------------------------------------------------- indexing


def _wrapped(indices: Tensor, size: int) -> Tensor:
    """Indices that count from the end made to count from the front."""
    indices = indices.long()
    return torch.where(indices < 0, indices + size, indices)


def _begin(at: Any, size: int, length: int) -> Any:
    """Where a block begins, moved inside as XLA does where it reaches over the edge."""
    if isinstance(at, torch.Tensor):
        return at.long().clamp(0, size - length)
    return min(max(at, 0), size - length)


def _block(x: Tensor, start: Sequence[Any], shape: Sequence[int]) -> Tensor:
    """The block of that shape at `start`."""
    for axis, (at, length) in enumerate(zip(start, shape, strict=True)):
        begin = _begin(at, x.shape[axis], length)
        if isinstance(begin, torch.Tensor):
            x = torch.index_select(x, axis, begin + torch.arange(length, device=x.device))
        elif length != x.shape[axis]:
            x = x.narrow(axis, begin, length)
    return x


def _resized(x: Tensor, size: int, fill: Any) -> Tensor:
    """The first `size` elements, padded with `fill` where there are fewer."""
    return torch.cat([x[:size], x.new_full((max(size - len(x), 0),), fill)])


# --------------------------------------------------------------------- windows

_CONVOLUTIONS = {rank: _wide(getattr(F, f"conv{rank}d")) for rank in (1, 2, 3)}
_TRANSPOSED = {rank: _wide(getattr(F, f"conv_transpose{rank}d")) for rank in (1, 2, 3)}
_MAXIMA = {rank: getattr(F, f"max_pool{rank}d") for rank in (1, 2, 3)}
_MEANS = {rank: getattr(F, f"avg_pool{rank}d") for rank in (1, 2, 3)}


def _laid_out(x: Tensor) -> Tensor:
    """A copy of a variable's value, the kernel of a convolution (*window, in, out) in memory as
    (out, *window, in): so oneDNN reads kernels and writes their gradients, without a copy on the way."""
    if x.ndim not in (4, 5):
        return x.clone(memory_format=torch.contiguous_format)
    order = (x.ndim - 1, *range(x.ndim - 1))
    return x.permute(order).clone(memory_format=torch.contiguous_format).movedim(0, -1)


def _is_framed(window: Axes, pads: Pads) -> bool:
    """Whether the padding is one that PyTorch's pooling takes: even, at most half the window."""
    return all(
        low == high and 0 <= 2 * low <= n for (low, high), n in zip(pads, window, strict=True)
    )


def _generator(key: Tensor) -> torch.Generator:
    """A generator that starts at a key; PyTorch's on the CPU takes 32 bits of a seed."""
    first, second = key.tolist()
    return torch.Generator(key.device).manual_seed((first * 0x9E3779B1 + second) % 2**32)


def _score_bias(mask: Tensor | None, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """What is added to attention's scores: a bias, and a large negative number where a key is left out."""
    kept = torch.zeros((), dtype=dtype) if bias is None else bias.to(dtype)
    if mask is None:
        return kept
    lowest = torch.tensor(-0.7 * torch.finfo(dtype).max, dtype=dtype, device=mask.device)
    return torch.where(mask, kept, lowest)


# ------------------------------------------------------------------- recurrence
# As one call of a recording: as the calls of each step, a training step of an LSTM (64 units, 100
# steps, batch 32) takes 52 ms, and so 15.


def _run(run: Callable[..., Any], count: int) -> Callable[..., Any]:
    """A native recurrence as a function of x, the states and the weights: outputs and last states."""

    def recurrent(x: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        states = [state[None].contiguous() for state in given[:count]]
        weights = list(given[count:])
        # Layers, dropout, training, both directions, batch first.
        options = (len(weights) == 4, 1, 0.0, True, False, True)
        outputs, *last = run(x, states if count > 1 else states[0], weights, *options)
        return outputs, *(state[0].clone() for state in last)

    recurrent.__name__ = run.__name__
    return opaque(recurrent, samples=1 + count)


_lstm, _gru = _run(torch.lstm, 2), _run(torch.gru, 1)


def _over_time(
    run: Callable[..., Any],
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    backwards: bool,
    every: bool,
) -> Any:
    """What an op of recurrence gives: outputs of every step or the last one, that one, the states."""
    (batch, _, features), units = x.shape, states[0].shape[-1]
    width = units * (4 if run is _lstm else 3)
    sizes = [(batch, units)] * len(states) + [(width, features), (width, units)] + [(width,)] * 2
    if any(y.shape != size for y, size in zip([*states, *weights], sizes, strict=False)):
        return NotImplemented  # the kernels check no size, and write where states do not reach
    outputs, *last = run(torch.flip(x, (1,)) if backwards else x, *states, *weights)
    final = last[0]  # whose gradient has no zeros for the other steps to write, as a slice's has
    return outputs if every else final[:, None], final, last


def _reset_first(x: Tensor) -> Tensor:
    """Weights of a GRU, whose gates come as z, r, candidate, in the order r, z, candidate."""
    update, reset, candidate = x.chunk(3, -1)
    return torch.cat([reset, update, candidate], -1)
