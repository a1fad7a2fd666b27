"""Processes that compute together, and how tensors are divided among them.

PyTorch has one device to a process, so a mesh is one of processes. Outside of steps each of them has the whole of
every tensor that is computed with. Divided are variables, batches, and what a recorded step is made of: there a
process has its part alone.
"""

from __future__ import annotations

import atexit
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist

from ... import tuning
from ..contract import Layout, names_of, parts

#: How long a process waits for one that says nothing, as one that was stopped.
_PATIENCE = timedelta(minutes=5)
#: What is said of layouts while a step is recorded for a mesh (`partition.Marks`).
recording: list[Any] = []
#: The meshes of PyTorch by the devices of those of `cornu.distribution`; making one is a call of all processes.
_meshes: dict[Any, Any] = {}


def connect(address: str, size: int, rank: int, local_rank: int | None) -> None:
    """Meet the other processes."""
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank or 0)
    dist.init_process_group(
        init_method=f"tcp://{address}", world_size=size, rank=rank, timeout=_PATIENCE
    )
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def names(kind: str | None) -> list[str]:
    """The devices of a kind: one of each process."""
    known = {"cpu", "gpu"} if torch.cuda.is_available() else {"cpu"}
    kind = kind or max(known)
    if kind not in known:
        raise ValueError(
            f"There must be devices of the kind. Received: {kind!r}. PyTorch finds {sorted(known)}."
        )
    if kind == "gpu" and processes() == 1 < torch.cuda.device_count():
        tuning.say(
            "PyTorch has one GPU to a process, and there are %d: start the script by "
            "`python -m cornu launch --workers %d`.",
            *[torch.cuda.device_count()] * 2,
            level="warning",
        )
    return [f"{kind}:{number}" for number in range(processes())]


# --------------------------------------------------------------------- layouts


class Division(NamedTuple):
    """How a tensor is divided: a mesh of PyTorch, and for each of its axes what lies along it."""

    mesh: Any
    placements: tuple[Any, ...]

    @property
    def is_whole(self) -> bool:
        """Whether each process has all of it."""
        return all(placement.is_replicate() for placement in self.placements)

    def elements(self, shape: Sequence[int]) -> tuple[slice, ...]:
        """Which elements this process has of a tensor of a shape."""
        index = [slice(0, size) for size in shape]
        places = zip(self.mesh.shape, self.mesh.get_coordinate(), self.placements, strict=True)
        for size, at, placement in places:
            if placement.is_shard():
                start, stop = index[placement.dim].start, index[placement.dim].stop
                length = (stop - start) // size
                index[placement.dim] = slice(start + at * length, start + (at + 1) * length)
        return tuple(index)

    def part(self, x: Any) -> Any:
        """What this process has of a whole tensor, or of an array of the host."""
        return x[self.elements(x.shape)]

    def shape(self, local: Sequence[int]) -> list[int]:
        """The shape of the whole, by that of a part."""
        shape = list(local)
        for size, placement in zip(self.mesh.shape, self.placements, strict=True):
            if placement.is_shard():
                shape[placement.dim] *= size
        return shape

    def joined(self, local: torch.Tensor) -> Any:
        """The parts of all processes as one tensor, which stay where they are."""
        from torch.distributed.tensor import DTensor

        with torch.no_grad():
            return DTensor.from_local(local.detach(), *self, run_check=False)

    def whole(self, local: torch.Tensor) -> torch.Tensor:
        """The whole of a tensor of which each process has a part. All call it."""
        if self.is_whole:
            return local
        with torch.no_grad():
            found: torch.Tensor = self.joined(local.contiguous()).full_tensor()
            return found


def mesh_of(mesh: Any) -> Any:
    """A mesh as PyTorch has it, without axes of one device; None where one process computes alone."""
    if math.prod(mesh.shape) == 1:
        return None
    key = (tuple(mesh.devices.flat), tuple(mesh.shape), tuple(mesh.axis_names))
    if key not in _meshes:
        ranks = [int(name.partition(":")[2] or 0) for name in mesh.devices.flat]
        if sorted(ranks) != list(range(processes())):
            raise ValueError(
                "A mesh on torch has one device of each process. Received: "
                f"{[*mesh.devices.flat]} in {processes()} processes. Start as many by "
                "`python -m cornu launch --workers N`, and leave `devices` out."
            )
        from torch.distributed.device_mesh import DeviceMesh

        kind = "cuda" if mesh.devices.flat[0].startswith("gpu") else "cpu"
        axes = [(n, name) for n, name in zip(mesh.shape, mesh.axis_names, strict=True) if n > 1]
        sizes, labels = zip(*axes, strict=True)
        _meshes[key] = DeviceMesh(kind, np.reshape(ranks, sizes).tolist(), mesh_dim_names=labels)
    return _meshes[key]


def division_of(layout: Layout | None) -> Division | None:
    """A layout as PyTorch has it; None where nobody says anything, or there is one process."""
    if layout is None or layout.device_mesh is None:
        return None
    mesh = mesh_of(layout.device_mesh)
    if mesh is None:
        return None
    from torch.distributed.tensor import Replicate, Shard

    axes = {name: i for i, axis in enumerate(layout.axes) for name in names_of(axis)}
    found = [Shard(axes[name]) if name in axes else Replicate() for name in mesh.mesh_dim_names]
    for axis in map(names_of, layout.axes):
        if list(axis) != [name for name in layout.device_mesh.axis_names if name in axis]:
            raise ValueError(
                "On torch several axes of a mesh divide an axis of a tensor in the mesh's order. Received: "
                f"{axis} of a mesh with {layout.device_mesh.axis_names}."
            )
    return Division(mesh, tuple(found))


class Part(torch.nn.Parameter):  # type: ignore[misc]
    """What a process holds of a variable that is divided."""

    division: Division

    @classmethod
    def of(cls, container: torch.nn.Parameter, division: Division | None) -> Any:
        """A parameter, the same object, that holds a part from now on, or all again."""
        if division is None or division.is_whole:
            container.__class__ = torch.nn.Parameter
        else:
            container.__class__ = cls
            container.division = division
        return container

    def whole(self) -> torch.Tensor:
        """The value. All processes call it."""
        return self.division.whole(self.detach()).requires_grad_(self.requires_grad)


def placed(x: torch.Tensor, layout: Layout | None) -> Any:
    """A tensor that every process has the whole of, laid out."""
    division = division_of(layout)
    if division is None or parts(layout) == 1:
        return x
    check(x.shape, layout)
    return division.joined(division.part(x).clone())


def check(shape: Sequence[int], layout: Any) -> None:
    """Refuse a layout that divides an axis into unequal parts."""
    from ..contract import divisions

    for size, count in zip(shape, divisions(layout), strict=False):
        if size % count:
            raise ValueError(
                "A layout must divide an axis into equal parts. Received: "
                f"shape={tuple(shape)}, axes={layout.axes}: {size} entries by {count}."
            )


def part(x: Any, division: Division | None) -> Any:
    """What this process has of a tensor, divided or not."""
    if division is None:
        return x
    if hasattr(x, "full_tensor"):
        return x.redistribute(division.mesh, division.placements).to_local()
    return division.part(x)


def own_part(container: Part) -> tuple[tuple[int, ...], torch.Tensor] | None:
    """What this process has of a container, with where it begins; None where another one with the same writes it."""
    division = container.division
    places = zip(division.mesh.get_coordinate(), division.placements, strict=True)
    if any(at and placement.is_replicate() for at, placement in places):
        return None
    index = division.elements(division.shape(container.shape))
    return tuple(i.start for i in index), container.detach()


def part_for(container: Any, x: torch.Tensor) -> torch.Tensor:
    """What a container of this process holds of a tensor."""
    return part(x, container.division).clone() if isinstance(container, Part) else x


def rows(size: int, layout: Layout | None) -> slice:
    """Which entries of the first axis this process has."""
    division = division_of(layout)
    if division is None:
        return slice(0, size)
    mine = _first(division).part(torch.arange(size))
    return slice(int(mine[0]), int(mine[-1]) + 1) if size else slice(0, 0)


def _first(division: Division) -> Division:
    """What of a division is along the first axis."""
    from torch.distributed.tensor import Replicate

    kept = [p if p.is_shard(0) else Replicate() for p in division.placements]
    return division._replace(placements=tuple(kept))


def joined(x: torch.Tensor, layout: Layout | None) -> Any:
    """A tensor of whose first axis each process gives its rows."""
    division = division_of(layout)
    if division is None or parts(layout) == 1:
        return x
    from torch.distributed.tensor import Replicate

    others = [Replicate() if p.is_shard(0) else p for p in division.placements]
    return division.joined(division._replace(placements=tuple(others)).part(x).clone())


# --------------------------------------------------------------- all processes


def agreed(x: Any) -> np.ndarray[Any, Any]:
    """What process 0 gives."""
    x = np.asarray(x)
    sent = _bytes(x)
    dist.broadcast(sent, 0)
    return sent.numpy().view(x.dtype).reshape(x.shape)


def of_all(x: Any) -> np.ndarray[Any, Any]:
    """What each process gives."""
    x = np.asarray(x)
    sent = _bytes(x)
    found = [torch.empty_like(sent) for _ in range(processes())]
    dist.all_gather(found, sent)
    return torch.cat(found).numpy().view(x.dtype).reshape(processes(), *x.shape)


def _bytes(x: np.ndarray[Any, Any]) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(x.tobytes(), np.uint8).copy())


def worst(flag: int) -> int:
    """The largest number that a process gives."""
    given = torch.tensor([flag])
    dist.all_reduce(given, dist.ReduceOp.MAX)
    return int(given)


def barrier() -> None:
    """Wait for all processes."""
    worst(0)
