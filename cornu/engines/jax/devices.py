"""Meshes and shardings: tensors that lie on several devices, of several processes."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..contract import Layout

#: The meshes and shardings of those of `cornu.distribution`, made once.
_meshes: WeakKeyDictionary[Any, Mesh] = WeakKeyDictionary()
_shardings: WeakKeyDictionary[Any, NamedSharding] = WeakKeyDictionary()
#: Seconds after which a process that says nothing counts as gone; JAX's own are 100.
_HEARTBEAT = 30


def names(kind: str | None) -> list[str]:
    """The names of the devices of a kind, of all processes."""
    try:
        return [name_of(device) for device in jax.devices(kind)]
    except RuntimeError as error:
        known = sorted({device.platform for device in (*jax.devices(), *jax.devices("cpu"))})
        raise ValueError(
            f"There must be devices of the kind. Received: {kind!r}. JAX finds {known}."
        ) from error


def name_of(device: Any) -> str:
    """What a device is called; its number is no rank: those of process 1 start at 2048 on CPUs."""
    return f"{device.platform}:{device.id}"


def connect(address: str, size: int, rank: int, local_rank: int | None) -> None:
    """Meet the other processes."""
    jax.distributed.initialize(
        address,
        size,
        rank,
        local_device_ids=None if local_rank is None else [local_rank],
        cluster_detection_method="deactivate",
        heartbeat_timeout_seconds=_HEARTBEAT,
    )


def mesh_of(mesh: Any) -> Mesh:
    """A mesh as JAX has it. `Mesh` leaves the layouts of results to the compiler, which `jax.make_mesh` doesn't."""
    if mesh not in _meshes:
        names = mesh.devices.ravel().tolist()
        kinds = {name.partition(":")[0] for name in names}
        known = {name_of(device): device for kind in kinds for device in jax.devices(kind)}
        lacks = [name for name in names if name not in known]
        if lacks:
            raise ValueError(
                f"A mesh is of devices that there are. Received: {lacks}. JAX finds {[*known]}."
            )
        devices = np.array([known[name] for name in names])
        _meshes[mesh] = Mesh(devices.reshape(mesh.devices.shape), tuple(mesh.axis_names))
    return _meshes[mesh]


def sharding_of(layout: Layout | None) -> NamedSharding | None:
    """A layout as JAX has it; None where nobody says anything."""
    if layout is None or layout.device_mesh is None:
        return None
    if layout not in _shardings:
        spec = PartitionSpec(*layout.axes)  # type: ignore[no-untyped-call]
        _shardings[layout] = NamedSharding(mesh_of(layout.device_mesh), spec)
    return _shardings[layout]


def laid_out(x: Any, sharding: NamedSharding) -> Any:
    """An array laid out so: one of the host, of one device, of several processes, or one that is traced."""
    if isinstance(x, jax.core.Tracer):
        return lax.with_sharding_constraint(x, sharding)  # type: ignore[no-untyped-call]
    if isinstance(x, jax.Array):
        if x.sharding == sharding or x.sharding.is_equivalent_to(sharding, x.ndim):
            return x
        if sharding.is_fully_addressable and x.is_fully_addressable:
            return jax.device_put(x, sharding)
        if not x.is_fully_addressable:
            return jax.jit(lambda x: x, out_shardings=sharding)(x)
        x = np.asarray(x)
    # Each process moves only its parts; a copy of each, for XLA may compute in the memory of what is given to it.
    return jax.make_array_from_callback(x.shape, sharding, lambda part: np.array(x[part]))


def rows(size: int, sharding: NamedSharding) -> slice:
    """Which entries of the first axis the devices of this process have; all, where these are not in a row."""
    spec = PartitionSpec(*sharding.spec[:1])  # type: ignore[no-untyped-call]
    parts = NamedSharding(sharding.mesh, spec).addressable_devices_indices_map((size,))
    found = sorted({part[0].indices(size)[:2] for part in parts.values() if part})
    start, stop = found[0][0], found[-1][1]
    is_whole = sum(end - begin for begin, end in found) == stop - start
    return slice(start, stop) if is_whole else slice(0, size)


def joined(x: np.ndarray[Any, Any], size: int, sharding: NamedSharding) -> Any:
    """An array of so many entries, of which each process gives its `rows`."""
    first = rows(size, sharding).start
    shape = (size, *x.shape[1:])

    def part(index: Any) -> Any:
        start, stop, _ = index[0].indices(size)
        return np.array(x[(slice(start - first, stop - first), *index[1:])])

    return jax.make_array_from_callback(shape, sharding, part)


def settled(
    result: Any, values: list[Any], changing: list[Layout | None], constant: list[Layout | None]
) -> tuple[Any, list[Any]]:
    """What a step gives, all of it on each device, and the new values of variables, where the old ones were: XLA might
    choose otherwise, and then nothing could be donated, and the next call would be compiled anew."""
    shardings = [sharding_of(layout) for layout in changing]
    known = next(filter(None, (*shardings, *map(sharding_of, constant))), None)
    if known is None:
        return result, values
    whole = NamedSharding(known.mesh, PartitionSpec())  # type: ignore[no-untyped-call]
    result = jax.tree.map(lambda x: laid_out(x, whole) if isinstance(x, jax.Array) else x, result)
    pairs = zip(values, shardings, strict=True)
    return result, [x if sharding is None else laid_out(x, sharding) for x, sharding in pairs]


def gathered(x: Any) -> np.ndarray[Any, Any]:
    """The whole value on the host of each process."""
    if not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated:
        return np.asarray(x)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(x, tiled=True))


def own_parts(x: Any) -> list[tuple[tuple[int, ...], Any]]:
    """The parts that this process writes, each with where it begins."""
    shards = [shard for shard in x.addressable_shards if shard.replica_id == 0]
    sizes = x.shape
    return [
        (tuple(i.indices(n)[0] for i, n in zip(s.index, sizes, strict=True)), np.asarray(s.data))
        for s in shards
    ]


def agreed(x: Any) -> np.ndarray[Any, Any]:
    """What process 0 gives."""
    from jax.experimental import multihost_utils

    return _from_bytes(multihost_utils.broadcast_one_to_all(_bytes(x)), x)


def of_all(x: Any) -> np.ndarray[Any, Any]:
    """What each process gives."""
    from jax.experimental import multihost_utils

    return _from_bytes(multihost_utils.process_allgather(_bytes(x)), x, (jax.process_count(),))


def _bytes(x: Any) -> np.ndarray[Any, Any]:
    """An array as bytes: JAX would narrow 64 bits."""
    return np.frombuffer(np.asarray(x).tobytes(), np.uint8)


def _from_bytes(found: Any, x: Any, leading: tuple[int, ...] = ()) -> np.ndarray[Any, Any]:
    like = np.asarray(x)
    return np.frombuffer(np.asarray(found).tobytes(), like.dtype).reshape((*leading, *like.shape))


def barrier() -> None:
    """Wait for all processes."""
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("cornu")
