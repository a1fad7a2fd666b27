"""What Cornu relies on in a library and no documentation promises: one check each.

Where one fails after an update, the place that it names wants another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import cornu
from cornu.engines import get, use
from tests.engines_tested import ENGINES

#: Checks by engine, the place that relies on it, and what it says.
PINS: list[tuple[str, str, Callable[[], Any]]] = []


def pin(engine: str, place: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def put(check: Callable[[], Any]) -> Callable[[], Any]:
        PINS.append((engine, place, check))
        return check

    return put


@pin("jax", "jax/engine.py: _ARRAY, the fast path's one type test")
def concrete_arrays_are_of_one_class() -> Any:
    import jaxlib.xla_client
    from jax import numpy as jnp

    return type(jnp.ones(2) + 1) is jaxlib.xla_client.ArrayImpl


@pin("jax", "jax/engine.py: jvp tells this refusal from other errors by its text")
def a_written_gradient_refuses_forward_mode_by_name() -> Any:
    import jax

    squared = jax.custom_gradient(lambda x: (x * x, lambda g: 2 * x * g))
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(squared, (3.0,), (1.0,))
    return get("jax").jvp(squared, (3.0,), (1.0,)) == (9, 6)


@pin("jax", "jax/engine.py: take and gather clamp, and count from the end, by XLA alone")
def indexing_promises_what_is_in_bounds() -> Any:
    import jax
    from jax import numpy as jnp

    made = str(jax.make_jaxpr(lambda x, i: x[i])(jnp.ones(3), jnp.array([0])))
    return "PROMISE_IN_BOUNDS" in made


@pin("torch", "torch/opaque.py: what a gradient needs travels on an empty tensor")
def a_recorded_call_is_replayed_as_its_function() -> Any:
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    from cornu.engines.torch.opaque import DIRECT, call, call_backward, opaque

    def tripled(x: torch.Tensor) -> list[torch.Tensor]:
        return [x * 3]

    run = opaque(tripled)

    def slope(x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(run(leaf)[0].sum(), leaf)[0]

    graph = make_fx(slope, tracing_mode="fake")(torch.ones(2)).graph
    *results, held = call("tripled", [torch.ones(2)], True)
    found = call_backward(held, [torch.ones(2)], [torch.ones(2)])
    return {node.target for node in graph.nodes} >= set(DIRECT) and found[0].tolist() == [3, 3]


@pin("torch", "torch/graph.py: operations are known by `_opname` and `_schema`")
def operations_tell_their_names() -> Any:
    import torch

    listed, written = torch.ops.aten._foreach_add.List, torch.ops.aten.add_.Tensor
    return listed._opname == "_foreach_add" and written._schema.is_mutable


@pin("torch", "torch/engine.py: untraced, a variable made while a step is recorded has values")
def recording_can_be_left() -> Any:
    import torch
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    with FakeTensorMode():
        inside = torch.ones(2)
        with get("torch").untraced():
            outside = torch.ones(2)
    return isinstance(inside, FakeTensor) and type(outside) is torch.Tensor


@pin("torch", "torch/graph.py: _LOOKS, a step that looks at values is none for recording")
def looking_at_a_stand_in_raises() -> Any:
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from cornu.engines.torch.graph import _LOOKS

    with FakeTensorMode(), pytest.raises(_LOOKS):
        bool(torch.ones(()) > 0)
    return True


@pin("torch", "torch/engine.py: gamma numbers from a key")
def gamma_numbers_take_a_generator() -> Any:
    import torch

    drawn = [torch._standard_gamma(torch.ones(3), torch.Generator().manual_seed(7)) for _ in "12"]
    return torch.equal(*drawn)


@pin("tensorflow", "data/_iterables.py: _in_arrays, which else takes what the iterator gives")
def an_iterator_of_tf_data_has_a_resource() -> Any:
    import tensorflow as tf

    iterator = iter(tf.data.Dataset.from_tensor_slices(([1.0], [2])))
    wanted = {"output_types": [tf.float32, tf.int32], "output_shapes": [(), ()]}
    found = tf.raw_ops.IteratorGetNext(iterator=iterator._iterator_resource, **wanted)
    return [x.numpy() for x in found] == [1.0, 2]


@pin("tensorflow", "tensorflow/engine.py: container, a tape takes a Cornu variable for its own")
def a_tape_differentiates_by_a_variable() -> Any:
    import tensorflow as tf

    with use("tensorflow"):
        weight = cornu.Variable([1.0, 2.0])
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(weight * 3.0)
        return tape.gradient(loss, weight).numpy().tolist() == [3, 3]


@pin(
    "pytensor",
    "pytensor/arrays.py: cornu_interpreted sets a loop's mode and an Elemwise's function",
)
def nodes_have_what_the_interpreter_sets() -> Any:
    import pytensor
    import pytensor.tensor as pt

    x = pt.vector()
    loop = pytensor.scan(lambda x: x * 2, sequences=[x], return_updates=False).owner.op.clone()
    made = "mode" in vars(loop) and "_fn" in type(loop).fn.fget.__code__.co_names
    return made and hasattr(pt.exp(x).owner.op, "ufunc")


@pytest.mark.parametrize(
    ("engine", "place", "check"),
    [pytest.param(*row, id=row[2].__name__) for row in PINS if row[0] in ENGINES],
)
def test_what_is_relied_on_holds(engine: str, place: str, check: Callable[[], Any]) -> None:
    assert check(), f"{check.__name__.replace('_', ' ')} no more. cornu/engines/{place}."
