"""Recordings of the processes of a mesh of one axis, run in one process, call by call: each has its part, and what they
send to each other is computed from the parts of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg
from torch.testing._internal.distributed.fake_pg import FakeStore

from cornu.engines.torch.mesh import Division
from cornu.engines.torch.partition import MADE_OF, partitioned

_REDUCED = {
    "sum": torch.sum,
    "avg": torch.mean,
    "max": torch.amax,
    "min": torch.amin,
    "product": torch.prod,
}


@contextmanager
def process(rank: int, size: int) -> Iterator[DeviceMesh]:
    """Within it, this process counts as one of several, of whom there are no others; gives their mesh."""
    dist.init_process_group("fake", rank=rank, world_size=size, store=FakeStore())
    try:
        # Of a name of its own: PyTorch remembers what it did for a mesh, as another process too.
        yield DeviceMesh("cpu", torch.arange(size), mesh_dim_names=(f"batch{rank}",))
    finally:
        dist.destroy_process_group()


def divided(
    f: Callable[..., list[torch.Tensor]],
    inputs: Sequence[torch.Tensor],
    axes: Sequence[int | None],
    size: int,
) -> tuple[list[list[Any]], list[Any], dict[str, str]]:
    """What each of several processes gets from a function, recorded over parts of the inputs along their axes; the
    recordings, and the calls that are made on whole tensors, with the reasons."""
    whole = make_fx(f, MADE_OF, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)
    graphs, parts = [], []
    noted: dict[str, str] = {}
    for rank in range(size):
        with process(rank, size) as mesh:
            ways = [None if axis is None else Division(mesh, (Shard(axis),)) for axis in axes]
            parts.append([x if d is None else d.part(x) for x, d in zip(inputs, ways, strict=True)])
            wanted = [None] * len(_output(whole).args[0])
            samples = {0} if any(axis == 0 for axis in axes) else set()
            graphs.append(partitioned(whole, mesh, parts[-1], ways, wanted, samples, 0, noted))
    return run(graphs, parts), graphs, noted


def run(graphs: Sequence[Any], inputs: Sequence[Sequence[torch.Tensor]]) -> list[list[Any]]:
    """What each recording gives for its inputs."""
    values: list[dict[Any, Any]] = [{} for _ in graphs]
    given = [iter(xs) for xs in inputs]
    for row in zip(*(graph.graph.nodes for graph in graphs), strict=True):
        assert len({(node.op, str(node.target)) for node in row if node.op != "get_attr"}) <= 1, row
        if row[0].op == "output":
            return [
                list(map_arg(node.args[0], known.__getitem__))
                for node, known in zip(row, values, strict=True)
            ]
        if row[0].op == "placeholder":
            found = [next(xs) for xs in given]
        elif row[0].op == "get_attr":
            found = [getattr(graph, node.target) for graph, node in zip(graphs, row, strict=True)]
        else:
            calls = [
                map_arg((node.args, node.kwargs), known.__getitem__)
                for node, known in zip(row, values, strict=True)
            ]
            found = _called(row[0].target, calls)
        for node, known, x in zip(row, values, found, strict=True):
            assert not isinstance(x, DTensor), node
            known[node] = x
    raise AssertionError("no output")


def _called(target: Any, calls: Sequence[Any]) -> list[Any]:
    name = target.__name__ if hasattr(target, "__name__") else ""
    if not str(target).startswith(("_c10d_functional", "_dtensor")):
        with torch.no_grad():
            return [target(*args, **kwargs) for args, kwargs in calls]
    xs = [args[0] for args, _ in calls]
    rest = calls[0][0][1:]
    kind = name.partition(".")[0]
    if kind == "wait_tensor":
        return xs
    if kind == "all_reduce":
        return [_reduced(xs, rest[0])] * len(xs)
    if kind == "all_reduce_coalesced":
        made = [_reduced(column, rest[0]) for column in zip(*xs, strict=True)]
        return [list(made) for _ in xs]
    if kind == "all_gather_into_tensor":
        return [torch.cat(xs)] * len(xs)
    if kind == "reduce_scatter_tensor":
        return list(_reduced(xs, rest[0]).chunk(len(xs)))
    if kind == "shard_dim_alltoall":
        whole = torch.cat(xs, rest[0])
        return list(whole.chunk(len(xs), rest[1]))
    raise NotImplementedError(str(target))


def _reduced(xs: Sequence[torch.Tensor], how: str) -> torch.Tensor:
    stacked = torch.stack(list(xs))
    made: torch.Tensor = _REDUCED[how](stacked, 0)
    return made.to(xs[0].dtype)


def _output(module: Any) -> Any:
    (node,) = [node for node in module.graph.nodes if node.op == "output"]
    return node
