"""What XLA compiles well on a CPU: other formulations of ops, of the same results.

XLA on a CPU computes a shared subexpression again in each fusion that needs it, has slow code for some
operations (`erfc`, `pad`), and gives no attention and no recurrent kernels. `barrier` makes it keep
what comes before: one pass that stores its result in place of several that compute it. What is said
here of times is measured on an AMD EPYC, forward and backward: on one core, convolutions on two.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..contract import Axes, Pads, Tensor

barrier: Callable[[Any], Any] = lax.optimization_barrier

#: Rows from which a product keeps a transposed copy of its kernel (see `product`).
_MANY_ROWS = 1024
#: Up to how many columns patches are made, and for how many places (see `convolution`).
_FEW_COLUMNS, _FEW_PLACES = 32, 8
#: The most elements of a window that is unrolled.
_MOST_SLICES = 25
#: The fewest queries that attend together where none sees a later key, and the most blocks of them.
_BLOCK, _MOST_BLOCKS = 32, 4
#: The score of a key that is left out: far below any other, and finite.
_LOWEST = np.float32(-0.7 * float(np.finfo(np.float32).max))


def applies(*xs: Any) -> bool:
    """Whether tensors are computed here: of 32-bit floats, on a CPU."""
    floats = all(x is None or x.dtype == np.float32 for x in xs)
    return floats and jax.default_backend() == "cpu"


def product(x: Tensor, kernel: Tensor) -> Tensor:
    """x (rows, in) times a kernel (in, out).

    The gradient of a kernel that is taller than wide is slow: of (512, 128), for 2048 rows, it takes 4.8
    ms. That of its transpose takes 2.6 ms, and the copy 0.05 ms, so the product is one with that.
    """
    (rows, inner), outer = x.shape, kernel.shape[1]
    if inner > outer and rows >= _MANY_ROWS and applies(x, kernel):
        return lax.dot_general(x, barrier(kernel.T), (((1,), (1,)), ((), ())))
    return lax.dot(x, kernel)


def gelu(x: Tensor) -> Tensor:
    """x times the normal distribution function: 1.2 ms for a million numbers, by `erfc` 2.6 ms."""
    return x * barrier(0.5 + 0.5 * lax.erf(x * math.sqrt(0.5)))


def layer_normalization(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float
) -> Tensor:
    """Over the last axis. What is normalized is stored: later fusions would normalize again."""
    centred = barrier(x - x.mean(-1, keepdims=True))
    variance = jnp.square(centred).mean(-1, keepdims=True)
    result = barrier(centred * barrier(lax.rsqrt(variance + epsilon)))
    result = result if gamma is None else result * gamma
    return result if beta is None else result + beta


# ------------------------------------------------------------------ convolution


def windows(
    x: Tensor, window: Axes, strides: Axes, dilation: Axes | None = None
) -> Iterator[Tensor]:
    """For each element of the window, what it sees as the window moves over x (n, *spatial, channels)."""
    dilation = dilation or (1,) * len(window)
    sizes = zip(x.shape[1:-1], window, strides, dilation, strict=True)
    extents = [(n - (k - 1) * d - 1) // s * s + 1 for n, k, s, d in sizes]
    for at in itertools.product(*map(range, window)):
        start = [i * d for i, d in zip(at, dilation, strict=True)]
        stop = [i + extent for i, extent in zip(start, extents, strict=True)]
        limits = (x.shape[0], *stop, x.shape[-1])
        yield lax.slice(x, (0, *start, 0), limits, (1, *strides, 1))


def convolution(
    x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes, groups: int
) -> Tensor | None:
    """The convolution of channels last, where other forms than XLA's are faster; None elsewhere.

    Of each channel by itself: the sum over the window of slices by weights, which is one loop. (32, 28,
    28, 128) by 3x3 takes 41 ms in place of 225, without gradients 2.8 in place of 84. Weights that are computed
    are computed again for each place in that loop, which a barrier doesn't keep XLA from; a product it does once.
    With the unit matrix it changes nothing, and a step of a network of rounded weights takes 63 ms in place of 92.

    As a product of patches, which pays for the copies of x where few are made or XLA is slow: windows of
    one element (2.0 to 1.0 ms), one or few channels ((128, 28, 28, 1) by 3x3x32, 10.9 to 3.4), and few
    places: (32, 2, 2, 512) by 3x3x512 takes 14 ms in place of 538; at 4x4 places both take 12.
    """
    *window, depth, filters = kernel.shape
    size, channels = math.prod(window), x.shape[-1]
    alone = depth == 1 and groups == channels > 1 and size <= _MOST_SLICES
    if not alone and groups > 1:
        return None
    pad = ((0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0))
    x = lax.pad(x, np.zeros((), x.dtype), pad)
    sizes = zip(x.shape[1:-1], window, strides, dilation, strict=True)
    places = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in sizes]
    columns = size * depth
    few = size == 1 or columns <= _FEW_COLUMNS or math.prod(places) <= _FEW_PLACES
    if min(places) < 1 or not (alone or few):
        return None
    seen = list(windows(x, tuple(window), strides, dilation))
    if alone:
        kept = lax.dot(np.eye(size, dtype=kernel.dtype), kernel.reshape(size, -1))
        weights = kept.reshape(size, channels, filters // channels)
        total = sum(part[..., None] * weight for part, weight in zip(seen, weights, strict=True))
        return total.reshape(*total.shape[:-2], filters)
    patches = seen[0] if size == 1 else barrier(jnp.concatenate(seen, -1))
    flat = product(patches.reshape(-1, columns), kernel.reshape(columns, filters))
    return flat.reshape(x.shape[0], *places, filters)


# ------------------------------------------------------------------- attention


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, causal: bool
) -> Tensor:
    """Attention over (batch, time, heads, size), with as many heads in keys and values as in queries.

    With batch and heads in front the products are plain ones, and where no query sees a later key
    blocks of queries leave those out: of (16, 128, 4, 32) 5.8 ms in place of 9.7.
    """
    query, key, value = (x.transpose(0, 2, 1, 3) for x in (query, key, value))
    query, key, value = barrier((query * np.float32(scale), key, value))
    queries, keys = query.shape[2], key.shape[2]
    earlier = np.tri(queries, keys, dtype=bool)
    if mask is not None:
        mask, causal = mask & earlier if causal else mask, False
    later = np.where(earlier, np.float32(0), _LOWEST)
    edges = _edges(queries) if causal and queries == keys else [0, queries]
    parts = []
    for start, stop in itertools.pairwise(edges):
        seen = stop if len(edges) > 2 else keys
        scores = barrier(query[:, :, start:stop] @ key[:, :, :seen].transpose(0, 1, 3, 2))
        if mask is not None:
            scores = jnp.where(mask, scores, _LOWEST)
        elif causal:
            scores = scores + later[start:stop, :seen]
        parts.append(_softmax(scores) @ value[:, :, :seen])
    return jnp.concatenate(parts, 2).transpose(0, 2, 1, 3)


def _edges(queries: int) -> list[int]:
    """Where blocks of queries begin and end."""
    count = max(1, min(_MOST_BLOCKS, queries // _BLOCK))
    return [round(i * queries / count) for i in range(count + 1)]


@jax.custom_jvp
def _softmax(x: Tensor) -> Tensor:
    exponentials = barrier(jnp.exp(x - x.max(-1, keepdims=True)))
    return barrier(exponentials * (1 / exponentials.sum(-1, keepdims=True)))


@_softmax.defjvp
def _softmax_along(primals: tuple[Tensor], tangents: tuple[Tensor]) -> tuple[Tensor, Tensor]:
    y = _softmax(*primals)
    moved = y * tangents[0]
    return y, moved - y * moved.sum(-1, keepdims=True)


# ------------------------------------------------------------------- recurrence
# Gradients are written out: a loop stores what its gradient needs, once activated, and the recurrent
# kernel's gradient is one product after the loop. A training step with an LSTM over 100 times of
# (32, 64) takes 9.0 ms in place of 12.7.

Carry = tuple[Tensor, ...]


def recurrent(
    forward: Callable[..., Any], backward: Callable[..., Any]
) -> Callable[..., tuple[Carry, Tensor | None]]:
    """A loop over time-major inputs, as `loop(sequences, inputs, states, kernel, bias)`.

    It gives the last states, and with `sequences` the first state at all times.

    Args:
        forward: `(inputs, states, recurrent product) -> (new states, what backward needs)`.
        backward: `(gradients of new states, what forward kept, states) -> (gradients of the inputs, of
            the recurrent product, and of the states beside that by the product)`.
    """

    @functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
    def loop(
        sequences: bool, inputs: Tensor, states: Carry, kernel: Tensor, bias: Tensor | None
    ) -> Any:
        def turn(states: Carry, x: Tensor) -> tuple[Carry, Any]:
            states, _ = forward(x, states, _plus(states[0] @ kernel, bias))
            return states, states[0] if sequences else None

        return lax.scan(turn, states, inputs)

    def ahead(
        sequences: bool, inputs: Tensor, states: Carry, kernel: Tensor, bias: Tensor | None
    ) -> Any:
        def turn(states: Carry, x: Tensor) -> tuple[Carry, Any]:
            new, kept = forward(x, states, _plus(states[0] @ kernel, bias))
            return new, (new[0] if sequences else None, kept, states)

        states, (outputs, kept, before) = lax.scan(turn, states, inputs)
        return (states, outputs), (kept, before, kernel, bias)

    def back(sequences: bool, saved: Any, gradients: Any) -> Any:
        kept, before, kernel, bias = saved
        transposed = barrier(kernel.T)

        def turn(after: Carry, at: Any) -> tuple[Carry, Any]:
            kept, states, output = at
            if sequences:
                after = (after[0] + output, *after[1:])
            inputs, product, direct = backward(after, kept, states)
            return (direct[0] + product @ transposed, *direct[1:]), (inputs, product)

        states, outputs = gradients
        states, (inputs, products) = lax.scan(
            turn, tuple(states), (kept, before, outputs), reverse=True
        )
        flat = products.reshape(-1, products.shape[-1])
        by_kernel = barrier(before[0].reshape(-1, kernel.shape[0]).T) @ flat
        return inputs, states, by_kernel, None if bias is None else flat.sum(0)

    loop.defvjp(ahead, back)
    return loop


def _plus(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias


def _lstm_forward(x: Tensor, states: Carry, product: Tensor) -> tuple[Carry, Any]:
    _, cell = states
    i, f, g, o = jnp.split(barrier(x + product), 4, -1)
    i, f, g, o = barrier((lax.logistic(i), lax.logistic(f), jnp.tanh(g), lax.logistic(o)))
    cell = barrier(f * cell + i * g)
    bounded = barrier(jnp.tanh(cell))
    return (o * bounded, cell), (i, f, g, o, bounded)


def _lstm_backward(after: Carry, kept: Any, states: Carry) -> tuple[Tensor, Tensor, Carry]:
    (output, cell), (i, f, g, o, bounded) = after, kept
    cell = barrier(cell + output * o * (1 - bounded * bounded))
    by_i, by_f = cell * g * i * (1 - i), cell * states[1] * f * (1 - f)
    by_g, by_o = cell * i * (1 - g * g), output * bounded * o * (1 - o)
    gates = barrier(jnp.concatenate([by_i, by_f, by_g, by_o], -1))
    return gates, gates, (jnp.zeros_like(output), cell * f)


def _gru_forward(x: Tensor, states: Carry, product: Tensor) -> tuple[Carry, Any]:
    (state,) = states
    x, product = barrier((x, product))
    units = state.shape[-1]
    gates = barrier(lax.logistic(x[:, : 2 * units] + product[:, : 2 * units]))
    z, r = jnp.split(gates, 2, -1)
    reset = product[:, 2 * units :]
    candidate = barrier(jnp.tanh(x[:, 2 * units :] + r * reset))
    return (z * state + (1 - z) * candidate,), (z, r, reset, candidate)


def _gru_backward(after: Carry, kept: Any, states: Carry) -> tuple[Tensor, Tensor, Carry]:
    (output,), (z, r, reset, candidate) = after, kept
    by_z = output * (states[0] - candidate) * z * (1 - z)
    by_candidate = barrier(output * (1 - z) * (1 - candidate * candidate))
    by_r = by_candidate * reset * r * (1 - r)
    inputs = barrier(jnp.concatenate([by_z, by_r, by_candidate], -1))
    product = barrier(jnp.concatenate([by_z, by_r, by_candidate * r], -1))
    return inputs, product, (output * z,)


lstm = recurrent(_lstm_forward, _lstm_backward)
gru = recurrent(_gru_forward, _gru_backward)


def over_time(
    loop: Callable[..., Any],
    x: Tensor,
    states: Carry,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    biases: tuple[Tensor | None, Tensor | None],
    go_backwards: bool,
    return_sequences: bool,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Outputs (batch, time or 1, units), the last one, and the states, for x (batch, time, features)."""
    x = x.transpose(1, 0, 2)
    x = lax.rev(x, (0,)) if go_backwards else x
    projected = product(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:2], -1)
    new, outputs = loop(
        return_sequences, _plus(projected, biases[0]), states, recurrent_kernel, biases[1]
    )
    last = new[0]
    return (outputs.transpose(1, 0, 2) if return_sequences else last[:, None]), last, list(new)


def remat(f: Callable[[list[Any]], Any], values: list[Any]) -> Any:
    """`f(values)`, computed again during differentiation.

    For a CPU XLA takes barriers out before it joins what is computed twice, so that `jax.checkpoint` saves
    nothing: twelve blocks of 256, 1024 and 256 units on 4096 rows take 654 MB with and without. It joins
    nothing across the branch of a condition: 101 MB.
    """
    pure, read = jax.closure_convert(f, values)
    floats = [i for i, x in enumerate((*values, *read)) if jnp.issubdtype(x.dtype, jnp.inexact)]

    def run(*args: Any) -> Any:
        return pure(list(args[: len(values)]), *args[len(values) :])

    def back(args: Any, cotangents: Any) -> tuple[Any, ...]:
        leaves, structure = jax.tree.flatten(cotangents)
        places = [i for i, g in enumerate(leaves) if g.dtype != jax.dtypes.float0]

        def gradients(args: Any, given: list[Any]) -> list[Any]:
            def of_floats(some: list[Any]) -> Any:
                return run(*_replaced(args, floats, some))

            pull = jax.vjp(of_floats, [args[i] for i in floats])[1]
            return pull(jax.tree.unflatten(structure, _replaced(leaves, places, given)))[0]

        def zeros(args: Any, _: list[Any]) -> list[Any]:
            return [jnp.zeros_like(args[i]) for i in floats]

        given = [leaves[i] for i in places]
        first = next((g for g in given if g.size), None)
        if first is None:
            return (None,) * len(args)
        always = jnp.isfinite(first.reshape(-1)[0]).astype("int32") * 2 != 1  # XLA can't tell
        found = lax.cond(always, gradients, zeros, args, given)
        return tuple(_replaced([None] * len(args), floats, found))

    again = jax.custom_vjp(run)
    again.defvjp(lambda *args: (run(*args), args), back)
    return again(*values, *read)


def _replaced(values: Sequence[Any], places: list[int], others: list[Any]) -> list[Any]:
    """Values, others in some places."""
    result = list(values)
    for i, other in zip(places, others, strict=True):
        result[i] = other
    return result
