"""Steps that are divided among processes on PyTorch: right, made of parts, with few collectives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.lockstep import divided

aten = torch.ops.aten


def _gradients(f: Callable[..., torch.Tensor]) -> Callable[..., list[torch.Tensor]]:
    """A function of tensors, and its gradients along its sines."""

    def both(*xs: torch.Tensor) -> list[torch.Tensor]:
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_() if x.is_floating_point() else x for x in xs]
            y = f(*leaves)
            floats = [x for x in leaves if x.requires_grad]
            return [y.detach(), *torch.autograd.grad(y, floats, y.detach().sin())]

    return both


def _written(x: torch.Tensor) -> list[torch.Tensor]:
    made = x.clone()
    made[1:3].copy_(x[:2])
    return [made]


def _image(*shape: int) -> torch.Tensor:
    return torch.randn(shape)


#: A function, its operands, the axis along which each is divided, and the collectives that it takes.
STEPS: dict[str, tuple[Any, list[torch.Tensor], list[int | None], dict[str, int]]] = {
    "of samples alone": (
        _gradients(torch.tanh),
        [_image(4, 3)],
        [0],
        {"all_gather_into_tensor": 2},
    ),
    "dense": (
        _gradients(lambda x, w: x @ w),
        [_image(4, 6), _image(6, 2)],
        [0, None],
        {"all_gather_into_tensor": 2, "all_reduce": 1},
    ),
    "convolution": (
        _gradients(lambda x, w: F.conv2d(x.movedim(-1, 1), w).movedim(1, -1).reshape(4, -1)),
        [_image(4, 5, 5, 2), _image(3, 2, 2, 2)],
        [0, None],
        {"all_gather_into_tensor": 2, "all_reduce": 1},
    ),
    "convolution, its outputs divided": (
        _gradients(lambda x, w: F.conv2d(x, w)),
        [_image(4, 2, 5, 5), _image(4, 2, 2, 2)],
        [None, 0],
        {"all_gather_into_tensor": 2, "all_reduce": 1},
    ),
    "attention": (
        _gradients(F.scaled_dot_product_attention),
        [_image(4, 2, 3, 8) for _ in range(3)],
        [0, 0, 0],
        {"all_gather_into_tensor": 4},
    ),
    "attention, its heads divided": (
        _gradients(F.scaled_dot_product_attention),
        [_image(4, 2, 3, 8) for _ in range(3)],
        [1, 1, 1],
        {"all_gather_into_tensor": 4},
    ),
    "batch normalization": (
        _gradients(
            lambda x, w, b: torch.native_batch_norm(x, w, b, None, None, True, 0.0, 1e-3)[0]
        ),
        [_image(4, 3, 2, 2), _image(3), _image(3)],
        [0, None, None],
        {"all_gather_into_tensor": 2, "all_reduce": 2, "all_reduce_coalesced": 1},
    ),
    "variance": (
        lambda x: [torch.var(x, (0,), correction=0)],
        [_image(4, 3)],
        [0],
        {"all_reduce": 2},
    ),
    "written in place": (_written, [_image(4, 3)], [0], {"all_gather_into_tensor": 2}),
    "sums that nothing waits for": (
        lambda x: [x.sum(0), (x * 2).sum(0), x.exp().sum(0)],
        [_image(4, 3)],
        [0],
        {"all_reduce_coalesced": 1},
    ),
    "a sum that several ask for": (
        lambda x: [x - x.sum(0), x * x.sum(0)],
        [_image(4, 3)],
        [0],
        {"all_reduce": 2, "all_gather_into_tensor": 2},
    ),
    "lists": (
        lambda x, y, z: [*torch._foreach_add([x, y], [z, y])],
        [_image(4, 3), _image(2, 2), _image(4, 3)],
        [0, None, None],
        {"all_gather_into_tensor": 1},
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_of_two_processes(name: str) -> None:
    """What two processes get is what one gets, by so many collectives."""
    f, inputs, axes, collectives = STEPS[name]
    found, graphs, _ = divided(f, inputs, axes, 2)
    for results in found:
        torch.testing.assert_close(results, f(*inputs), rtol=1e-5, atol=1e-5)
    calls = Counter(
        node.target._opname
        for node in graphs[0].graph.nodes
        if str(node.target).startswith("_c10d_functional")
    )
    del calls["wait_tensor"]
    assert calls == collectives
