"""Weights in parts: each device keeps one of each weight, and of what an optimizer keeps for it."""

from __future__ import annotations

import math
from typing import Any

from ._distributions import ModelParallel
from ._layouts import LayoutMap, TensorLayout
from ._mesh import DeviceMesh, list_devices


class FullySharded(ModelParallel):
    """`fsdp`, as a distribution."""

    def __init__(self, smallest: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._smallest = smallest

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """The layout that the map has, or none, with the largest axis that it leaves whole divided too."""
        layout = super().get_variable_layout(variable)
        shape, parts = variable.stored_shape, self.num_model_replicas
        if variable._layout is not None or math.prod(shape) < self._smallest:
            return layout
        axes = [*layout.axes, *[None] * (len(shape) - len(layout.axes))]
        may = [i for i, size in enumerate(shape) if axes[i] is None and size % parts == 0]
        if not may or any(self.batch_dim_name in names for names in map(_names, axes)):
            return layout
        axes[max(may, key=lambda i: shape[i])] = self.batch_dim_name
        return TensorLayout(axes, self.device_mesh)


def fsdp(
    device_mesh: DeviceMesh | None = None,
    layout_map: LayoutMap | None = None,
    smallest: int = 1024,
    auto_shard_dataset: bool = True,
) -> ModelParallel:
    """A distribution in which samples, weights and what optimizers keep for them are divided along the same axis of a
    mesh: the first one.

    A device has one part of each weight, and the whole for as long as it computes with it ("fully sharded data
    parallel", https://arxiv.org/abs/2304.11277). Of each weight the largest axis is divided that is a multiple of
    the parts; one without such an axis is whole on each device.

    Args:
        device_mesh: The devices; all that there are along one axis, `batch`, where it is left out.
        layout_map: Layouts that divide weights along other axes of the mesh, such as `tensor_parallel` gives: what they
            leave whole is divided beside.
        smallest: From how many numbers on a weight is divided: to gather smaller ones takes longer than it saves.
        auto_shard_dataset: As of `Distribution`.

    >>> from cornu import Variable
    >>> import numpy as np
    >>> found = fsdp(DeviceMesh((2,), ["batch"], ["cpu:0", "cpu:1"]))
    >>> found.get_variable_layout(Variable(np.zeros((33, 64)))).axes
    (None, 'batch')
    """
    if layout_map is None:
        if device_mesh is None:
            names = list_devices()
            device_mesh = DeviceMesh((len(names),), ["batch"], names)
        layout_map = LayoutMap(device_mesh)
    return FullySharded(smallest, layout_map=layout_map, auto_shard_dataset=auto_shard_dataset)


def _names(axis: Any) -> tuple[Any, ...]:
    return axis if isinstance(axis, tuple) else (axis,)
