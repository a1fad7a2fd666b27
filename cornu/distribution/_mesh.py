"""Devices, and meshes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engines import current


def list_devices(device_type: str | None = None) -> list[str]:
    """The devices that compute together, those of all processes among them.

    Args:
        device_type: `"cpu"`, `"gpu"` or `"tpu"`; left out, the best kind that there is.

    Returns:
        Their names, such as `"gpu:0"`, in the same order in each process.

    Raises:
        ValueError: If there are none of the kind.
        NotImplementedError: On an engine that uses one device.

    >>> list_devices("cpu")[0]
    'cpu:0'
    """
    return current().devices(None if device_type is None else device_type.lower())


def get_device_count(device_type: str | None = None) -> int:
    """How many devices compute together.

    Args:
        device_type: `"cpu"`, `"gpu"` or `"tpu"`; left out, the best kind that there is.

    >>> get_device_count("cpu") == len(list_devices("cpu"))
    True
    """
    return len(list_devices(device_type))


class DeviceMesh:
    """Devices in the form of an array, whose axes have names.

    Layouts name axes of the mesh along which tensors are divided. Neighbours along the last axis are
    neighbours among the devices, so that one which talks much, such as that of a model's parts, comes last.

    Args:
        shape: How many devices there are along each axis.
        axis_names: The axes' names.
        devices: The devices' names; all that there are where they are left out.

    Raises:
        ValueError: If they don't fit each other.

    >>> mesh = DeviceMesh((1, 2), ("batch", "model"), ["cpu:0", "cpu:1"])
    >>> mesh.devices.tolist()
    [['cpu:0', 'cpu:1']]
    """

    def __init__(
        self, shape: Sequence[int], axis_names: Sequence[str], devices: Any = None
    ) -> None:
        if not shape or not axis_names:
            raise ValueError(
                f"A mesh has an axis at least. Received: {shape=}, {axis_names=}. Pass "
                "`(len(devices),), ('batch',)`, say."
            )
        names = axis_names
        if len(shape) != len(names) or len({*names}) != len(names):
            raise ValueError(
                f"Each axis of a mesh has a name of its own. Received: {shape=}, {axis_names=}."
            )
        found = np.array(list_devices() if devices is None else devices)
        if math.prod(shape) != found.size:
            raise ValueError(
                "The shape of a mesh is that of its devices. Received: "
                f"shape={tuple(shape)}, {math.prod(shape)} devices, for {found.size} devices: "
                f"{found.ravel()[:8].tolist()}{' and more' if found.size > 8 else ''}."
            )
        self._shape, self._names = tuple(map(int, shape)), names
        self._devices = found.reshape(self._shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many devices there are along each axis."""
        return self._shape

    @property
    def axis_names(self) -> Sequence[str]:
        """The axes' names."""
        return self._names

    @property
    def devices(self) -> np.ndarray[Any, Any]:
        """The devices' names, an array of the shape."""
        return self._devices

    def __repr__(self) -> str:
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"
