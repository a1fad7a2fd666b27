"""Functions that are recorded as one call, however many kernels they are made of.

Recorded, an LSTM would be the calls of each of its steps, where its own kernel is a single one. While
a step is recorded such a function is the operator `cornu::call`; replayed it runs as it is, with
PyTorch's own gradient. What that keeps for the backward call travels on an empty tensor.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode

Function = Callable[..., Sequence[Tensor]]

_FUNCTIONS: dict[str, Function] = {}
#: The names of those that can write their result over their first operand, and then are given it as `out` too.
WRITERS: set[str] = set()
#: By name: how many of its first operands have samples along their first axis, as all results do.
_SAMPLES: dict[str, int] = {}


def opaque(function: Function, samples: int = 0) -> Function:
    """A function from tensors to tensors that is one call of a recording.

    Args:
        function: The function.
        samples: How many of its first operands have samples along their first axis, that it treats one by one, as
            all results do; with 0 that is unknown.
    """
    name = function.__name__
    _FUNCTIONS[name] = function
    if "out" in inspect.signature(function).parameters:
        WRITERS.add(name)
    _SAMPLES[name] = samples

    def run(*xs: Tensor) -> Sequence[Tensor]:
        if get_proxy_mode() is None:
            return function(*xs)
        keep = torch.is_grad_enabled() and any(x.requires_grad for x in xs)
        return _operator(name, list(xs), keep)[: -1 if keep else None]

    return run


def renewed(
    due: Tensor, f: Callable[..., list[Tensor]], olds: list[Tensor], others: list[Tensor]
) -> list[Tensor]:
    """`f(*olds, *others)` if `due`, which only a replay looks at: a step with it is recorded; else copies of `olds`."""
    count = len(olds)

    def run(due: Tensor, *xs: Tensor) -> Sequence[Tensor]:
        if isinstance(due, FakeTensor) or not due:
            return [x.clone() for x in xs[:count]]
        return f(*xs)

    run.__name__ = f"{f!r} of {count}"
    return list(opaque(run)(due, *olds, *others))


def call(name: str, xs: list[Tensor], keep: bool) -> list[Tensor]:
    """The results, and with `keep` a tensor that holds what `call_backward` needs."""
    if not keep:
        return list(_FUNCTIONS[name](*xs))
    with torch.enable_grad():
        leaves = [x.detach().requires_grad_() for x in xs]
        results = list(_FUNCTIONS[name](*leaves))
    held = torch.empty(0)
    held.kept = leaves, results
    return [*(x.detach() for x in results), held]


def call_over(name: str, xs: list[Tensor], keep: bool) -> list[Tensor]:
    """The result, in the memory of the first operand."""
    return list(_FUNCTIONS[name](*xs, out=xs[0]))


def call_backward(held: Tensor, upstream: list[Tensor], xs: list[Tensor]) -> list[Tensor]:
    """The cotangents of the arguments."""
    leaves, results = held.kept
    found = torch.autograd.grad(results, leaves, upstream, allow_unused=True)
    return [_laid_as(x, g) for g, x in zip(found, leaves, strict=True)]


def _laid_as(x: Tensor, gradient: Tensor | None) -> Tensor:
    """A gradient in memory as its argument is, which is what a recording was told."""
    if gradient is None:
        return torch.zeros_like(x)
    same = gradient.stride() == x.stride()
    return gradient if same else torch.empty_like(x).copy_(gradient)


def samples_of(name: str) -> int:
    """How many of a function's first operands have samples along their first axis; 0 where that is unknown."""
    return _SAMPLES[name]


_operator: Any = torch.library.custom_op("cornu::call", call, mutates_args=())
_backward: Any = torch.library.custom_op("cornu::call_backward", call_backward, mutates_args=())
#: What a recording calls, past PyTorch's dispatcher.
DIRECT: dict[Any, Callable[..., Any]] = {
    torch.ops.cornu.call.default: call,
    torch.ops.cornu.call_backward.default: call_backward,
}


def _shapes(name: str, xs: list[Tensor], keep: bool) -> list[Tensor]:
    shapes = [torch.empty_like(x) for x in _FUNCTIONS[name](*xs)]
    return [*shapes, torch.empty(0)] if keep else shapes


def _shapes_backward(held: Tensor, upstream: list[Tensor], xs: list[Tensor]) -> list[Tensor]:
    return [torch.empty_like(x) for x in xs]


def _keep(ctx: Any, inputs: Any, output: list[Tensor]) -> None:
    ctx.count = len(inputs[1])
    ctx.save_for_backward(*inputs[1], *output)


def _pull(ctx: Any, upstream: list[Any]) -> Any:
    xs, (*results, held) = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
    pairs = zip(upstream, results, strict=False)
    given = [torch.zeros_like(x) if g is None else g for g, x in pairs]
    return None, _backward(held, given, list(xs)), None


_operator.register_fake(_shapes)
_backward.register_fake(_shapes_backward)
_operator.register_autograd(_pull, setup_context=_keep)
