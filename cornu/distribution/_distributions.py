"""Distributions: which variable, batch and output lies where."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core import layouts
from ..engines import current
from ._layouts import LayoutMap, TensorLayout
from ._mesh import DeviceMesh, list_devices
from ._summary import summary


class Distribution:
    """What lies where on a mesh of devices. The samples of a batch are divided along one axis of it.

    A step is written for the whole batch and gives what it gives on one device: losses, metrics,
    normalization and random numbers are those of all samples.

    Args:
        device_mesh: The devices.
        batch_dim_name: The axis of the mesh along which samples are divided; the first one where it is left out.
        auto_shard_dataset: Whether `fit` is given the same data in each process, and `batch_size` counts the samples
            of all; else each process has data of its own, and its own batches of that size.
    """

    def __init__(
        self,
        device_mesh: DeviceMesh,
        batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
    ) -> None:
        names = device_mesh.axis_names
        if batch_dim_name is not None and batch_dim_name not in names:
            raise ValueError(
                f"Samples are divided along an axis of the mesh. Received: {batch_dim_name=}, {device_mesh=}."
            )
        self._mesh = device_mesh
        self._batch_dim_name = names[0] if batch_dim_name is None else batch_dim_name
        self.auto_shard_dataset = auto_shard_dataset

    @property
    def device_mesh(self) -> DeviceMesh:
        """The devices."""
        return self._mesh

    @property
    def batch_dim_name(self) -> str:
        """The axis of the mesh along which samples are divided."""
        return self._batch_dim_name

    @property
    def num_model_replicas(self) -> int:
        """Into how many parts a batch is divided."""
        return self._mesh.shape[self._mesh.axis_names.index(self._batch_dim_name)]

    @property
    def num_processes(self) -> int:
        """How many processes compute together."""
        return current().processes

    @property
    def data_shard_id(self) -> int:
        """Which part of the data is this process's."""
        engine = current()
        return engine.rank // max(1, engine.processes // self.num_model_replicas)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Within it, this is the distribution of the process."""
        before = distribution()
        set_distribution(self)
        try:
            yield
        finally:
            set_distribution(before)

    def get_data_layout(self, data_shape: Sequence[int | None]) -> TensorLayout:
        """The layout of a batch of a shape: its samples divided, where their number is a multiple of the parts."""
        axes: list[str | None] = [None] * len(data_shape)
        if axes and (data_shape[0] or 0) % self.num_model_replicas == 0:
            axes[0] = self._batch_dim_name
        return TensorLayout(axes, self._mesh)

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """The layout of a variable."""
        raise NotImplementedError(f"{type(self).__name__} must have `get_variable_layout`.")

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout of an output by its path, such as `"block/dense/output"`; None leaves it to the compiler."""
        return None

    def check(self, model: Any) -> None:
        """See that the layouts of a model's variables fit them.

        Raises:
            ValueError: If one doesn't.
        """
        for variable in model.variables:
            layout = self.get_variable_layout(variable)
            layouts.check(layout, variable.stored_shape, variable.path)

    def summary(self, model: Any, print_fn: Callable[[str], Any] = print) -> int:
        """Print how each weight of a model lies, and the bytes that a device has of it and of what an optimizer that is
        built keeps.

        Args:
            model: The model, which is built. No weight of it is drawn.
            print_fn: What prints a line.

        Returns:
            The bytes that a device has of all.
        """
        return summary(self, model, print_fn)

    def _whole(self, rank: int) -> TensorLayout:
        """The layout of what each device has."""
        return TensorLayout((None,) * rank, self._mesh)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} device_mesh={self._mesh}>"


class DataParallel(Distribution):
    """Each device has all variables, and a part of each batch.

    Args:
        device_mesh: The devices, along one axis; of a mesh of more the first one divides batches.
        devices: Names of devices, in place of a mesh; all that there are where both are left out.
        auto_shard_dataset: As of `Distribution`.

    >>> DataParallel(devices=["cpu:0"])
    <DataParallel device_mesh=<DeviceMesh shape=(1,), axis_names=['batch']>>
    """

    def __init__(
        self,
        device_mesh: DeviceMesh | None = None,
        devices: Sequence[str] | None = None,
        auto_shard_dataset: bool = True,
    ) -> None:
        if device_mesh is None:
            names = np.array(list_devices() if devices is None else devices).ravel()
            device_mesh = DeviceMesh(names.shape, ["batch"], names)
        if not isinstance(device_mesh, DeviceMesh):
            raise ValueError(f"A mesh is a `DeviceMesh`. Received: {device_mesh=}.")
        super().__init__(device_mesh, None, auto_shard_dataset)
        if len(device_mesh.shape) > 1:
            warnings.warn(
                "Data is divided along one axis of a mesh, the first. Received: "
                f"{device_mesh=}. Use `ModelParallel` to divide variables along the others.",
                stacklevel=2,
            )

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """The layout of a variable: its own, else each device has all of it."""
        return variable._layout or self._whole(len(variable.stored_shape))


class ModelParallel(Distribution):
    """Variables are divided as a layout map says, batches along an axis of the mesh.

    Args:
        layout_map: The layouts of variables by their paths; each device has all of those that it has none for.
        batch_dim_name: The axis of the mesh along which samples are divided; the first one where it is left out.
        auto_shard_dataset: As of `Distribution`.

    >>> layout_map = LayoutMap(DeviceMesh((1, 2), ("batch", "model"), ["cpu:0", "cpu:1"]))
    >>> layout_map[".*/kernel"] = (None, "model")
    >>> ModelParallel(layout_map=layout_map).batch_dim_name
    'batch'
    """

    def __init__(
        self,
        *,
        layout_map: LayoutMap | None = None,
        batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("device_mesh", None)  # as in Keras, whose own is the map's
        if kwargs:
            raise ValueError(
                f"`ModelParallel` takes no such arguments. Received: {sorted(kwargs)}."
            )
        if not isinstance(layout_map, LayoutMap):
            raise ValueError(
                f"The layouts of variables are a `LayoutMap`. Received: {layout_map=}. Pass one as `layout_map`."
            )
        super().__init__(layout_map.device_mesh, batch_dim_name, auto_shard_dataset)
        self._layout_map = layout_map

    @property
    def layout_map(self) -> LayoutMap:
        """The layouts of variables by their paths."""
        return self._layout_map

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """The layout of a variable: its own, else that of its path, else each device has all of it."""
        layout = variable._layout or self._layout_map[variable.path]
        return layout or self._whole(len(variable.stored_shape))

    def check(self, model: Any) -> None:
        """See that the layouts of a model's variables fit them, and warn of keys that stand for nothing."""
        super().check(model)
        owners = (
            model.variables,
            getattr(model.optimizer, "variables", []),
            model.metrics_variables,
        )
        paths = [variable.path for variables in owners for variable in variables]
        paths += [f"{layer.path}/output" for layer in model._flatten_layers()]
        idle = {*self._layout_map} - {self._layout_map.key_of(path) for path in paths}
        if idle:
            warnings.warn(
                "A key of a layout map stands for the whole path of a variable, or of an output. Received: "
                f"{sorted(idle)}, which stand for none. Some paths are {paths[:3]}; '.*' stands for any text.",
                stacklevel=6,
            )

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout of an output that the map has for its path."""
        return self._layout_map[path]


def distribution() -> Distribution | None:
    """The distribution of the process; None where there is none."""
    found: Any = layouts.current()
    return found


def set_distribution(value: Distribution | None) -> None:
    """Have a distribution from now on, or None. Variables that were made before move, when they are next read.

    Args:
        value: The distribution.

    Raises:
        ValueError: If it is none.
        NotImplementedError: If the current engine uses one device.

    >>> set_distribution(DataParallel(devices=["cpu:0"]))
    >>> distribution()
    <DataParallel device_mesh=<DeviceMesh shape=(1,), axis_names=['batch']>>
    >>> set_distribution(None)
    """
    if value is not None and not isinstance(value, Distribution):
        raise ValueError(
            f"A distribution is a `DataParallel`, a `ModelParallel` or None. Received: {value=}."
        )
    if value is not None:
        current().devices()  # an engine that uses one device refuses it here
    layouts.change(value)
