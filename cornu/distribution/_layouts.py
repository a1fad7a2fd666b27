"""Layouts of tensors over a mesh, and which variable has which."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

from ..core.keras_tensor import KerasTensor
from ..engines import current
from ..engines.contract import names_of
from ._mesh import DeviceMesh


class TensorLayout:
    """How a tensor lies over a mesh of devices.

    Args:
        axes: For each axis of the tensor the name of the axis of the mesh along which it is divided, or None where
            each device has all of it; a tuple of names divides it along several.
        device_mesh: The mesh. It may be set later, once.

    Raises:
        ValueError: If the mesh has no such axis, or a name comes twice.

    >>> mesh = DeviceMesh((2,), ("model",), ["cpu:0", "cpu:1"])
    >>> TensorLayout((None, "model"), mesh)
    <TensorLayout axes=(None, 'model'), device_mesh=<DeviceMesh shape=(2,), axis_names=('model',)>>
    """

    def __init__(self, axes: Sequence[Any], device_mesh: DeviceMesh | None = None) -> None:
        self._axes = tuple(tuple(axis) if isinstance(axis, list) else axis for axis in axes)
        self._mesh = device_mesh
        self._check()

    def _check(self) -> None:
        names = [name for axis in self._axes for name in names_of(axis)]
        known = names if self._mesh is None else self._mesh.axis_names
        if not {*names} <= {*known} or len({*names}) != len(names):
            raise ValueError(
                "A layout names axes of its mesh, each once. Received: "
                f"axes={self._axes} for the axes {list(known)}. None stands for an axis that is not divided."
            )

    @property
    def axes(self) -> tuple[Any, ...]:
        """For each axis of the tensor the axis of the mesh, or None."""
        return self._axes

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh."""
        return self._mesh

    @device_mesh.setter
    def device_mesh(self, device_mesh: DeviceMesh) -> None:
        if self._mesh is not None:
            raise ValueError(
                "The mesh of a layout is set once. Received: "
                f"device_mesh={device_mesh}, beside {self._mesh}. Make another layout."
            )
        self._mesh = device_mesh
        self._check()

    def __repr__(self) -> str:
        return f"<TensorLayout axes={self.axes}, device_mesh={self.device_mesh}>"


class LayoutMap(MutableMapping[str, Any]):
    """Layouts by the paths of variables, and of layers' outputs (`"dense/output"`).

    A key is a path, or a regular expression for whole paths. Looking up a path that none stands for gives None.

    Args:
        device_mesh: The mesh of layouts that have none.

    >>> layout_map = LayoutMap(DeviceMesh((2,), ("model",), ["cpu:0", "cpu:1"]))
    >>> layout_map[".*/kernel"] = (None, "model")
    >>> layout_map["block/dense/kernel"].axes, layout_map["block/dense/bias"]
    ((None, 'model'), None)
    """

    def __init__(self, device_mesh: DeviceMesh) -> None:
        self._mesh = device_mesh
        self._layouts: dict[str, TensorLayout] = {}

    @property
    def device_mesh(self) -> DeviceMesh:
        """The mesh of layouts that have none."""
        return self._mesh

    def key_of(self, path: str) -> str | None:
        """The key that stands for a path, if one does.

        Raises:
            ValueError: If several do.
        """
        if path in self._layouts:
            return path
        found = [key for key in self._layouts if re.fullmatch(key, path)]
        if len(found) > 1:
            raise ValueError(
                "One key of a layout map stands for a path, at most. Received: the path "
                f"{path!r}, for which {found} do. Narrow one of them, or add the path itself."
            )
        return found[0] if found else None

    def summary(self, model: Any, print_fn: Callable[[str], Any] = print) -> int:
        """Print how each weight of a model lies, and the bytes that a device has of it and of what an optimizer that is
        built keeps.

        Args:
            model: The model, which is built. No weight of it is drawn.
            print_fn: What prints a line.

        Returns:
            The bytes that a device has of all.

        >>> from cornu import layers
        >>> layout_map = LayoutMap(DeviceMesh((2,), ["model"], ["cpu:0", "cpu:1"]))
        >>> layout_map[".*kernel"] = (None, "model")
        >>> layer = layers.Dense(4)
        >>> layer.build((None, 8))
        >>> layout_map.summary(layer)
        variable      shape   layout    bytes per device
        dense/kernel  (8, 4)  -, model                64
        dense/bias    (4,)    -                       16
        weights: 80 bytes on each device of 144
        80
        """
        from ._distributions import ModelParallel

        return ModelParallel(layout_map=self).summary(model, print_fn)

    def __getitem__(self, key: str) -> TensorLayout | None:
        found = self.key_of(key)
        return None if found is None else self._layouts[found]

    def __setitem__(self, key: str, layout: Any) -> None:
        if key in self._layouts:
            raise ValueError(
                "A key of a layout map is set once. Received: "
                f"{key!r}, which has {self._layouts[key]}. Delete it first: `del layout_map[{key!r}]`."
            )
        if isinstance(layout, (tuple, list)):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            raise ValueError(
                "The value of a layout map is a layout, or its axes. Received: "
                f"{layout!r} for {key!r}. Pass `(None, 'model')`, say."
            )
        if layout.device_mesh is None:
            layout.device_mesh = self._mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __len__(self) -> int:
        return len(self._layouts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)


def distribute_tensor(tensor: Any, layout: TensorLayout) -> Any:
    """A tensor laid out over a mesh, within a step too.

    Args:
        tensor: A tensor; a symbolic one stays as it is.
        layout: The layout, with a mesh.

    >>> import numpy as np
    >>> mesh = DeviceMesh((1,), ("batch",), ["cpu:0"])
    >>> distribute_tensor(np.ones((4, 2)), TensorLayout(("batch", None), mesh)).shape
    (4, 2)
    """
    if isinstance(tensor, KerasTensor):
        return tensor
    if layout.device_mesh is None:
        raise ValueError(
            f"A tensor is laid out over a mesh. Received: {layout=}. Set its `device_mesh`."
        )
    engine = current()
    return engine.constrain(engine.convert_to_tensor(tensor), layout)
