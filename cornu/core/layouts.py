"""Where variables lie on several devices: what core asks of the distribution of the process.

The floor of distribution puts one here. A variable asks when its value comes to an engine, and keeps what it
was told beside the value. When the distribution changes, the values of those on engines that divide tensors
wait on the host, as initial ones do, and are laid out anew where they are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from ..engines.contract import divisions
from .tracking import Tracker

if TYPE_CHECKING:
    from ..engines import Engine
    from ..engines.contract import Layout
    from .variable import Variable


class Layouts(Protocol):
    """What a distribution says."""

    def get_variable_layout(self, variable: Any) -> Layout | None:
        """Where a variable lies."""

    def get_tensor_layout(self, path: str) -> Layout | None:
        """Where the output of a layer lies, by its path; None where nobody says."""

    def get_data_layout(self, data_shape: Any) -> Layout | None:
        """Where a batch of a shape lies."""

    def check(self, model: Any) -> None:
        """See that what it says fits a model."""


_distribution: Layouts | None = None
#: Variables whose values lie on an engine that divides tensors, and steps that were compiled there.
_placed: WeakValueDictionary[int, Any] = WeakValueDictionary()


def current() -> Layouts | None:
    """The distribution of the process; None where there is none."""
    return _distribution


def layout_of(variable: Variable, engine: Engine) -> Layout | None:
    """Where a variable is to lie that comes to an engine: as it says itself, as the distribution says of what it is
    kept for, or of itself."""
    if not engine.distributes:
        return variable._layout
    note(variable)
    kept_for = variable.kept_for
    is_alike = kept_for is not None and kept_for.stored_shape == variable.stored_shape
    of: Any = kept_for if is_alike else variable
    layout: Layout | None = variable._layout or of._layout
    if layout is None and _distribution is not None:
        layout = _distribution.get_variable_layout(of)
    check(layout, variable.stored_shape, variable.path)
    return layout


def check(layout: Layout | None, shape: tuple[int, ...], path: str) -> None:
    """See that a layout fits a tensor.

    Raises:
        ValueError: If it names more axes, or divides one that is no multiple.
    """
    if layout is None or layout.device_mesh is None:
        return
    found = divisions(layout)
    if len(found) > len(shape) or any(n % parts for n, parts in zip(shape, found, strict=False)):
        mesh = dict(zip(layout.device_mesh.axis_names, layout.device_mesh.shape, strict=True))
        raise ValueError(
            "A layout has an axis for each of a tensor's at most, and divides it into equal parts. Received: "
            f"axes={layout.axes} on the mesh {mesh} for {path!r} of shape {shape}. Divide another axis, or None."
        )


def note(placed: Any) -> None:
    """Note what is to be told, by `leave_devices`, when the distribution changes."""
    _placed[id(placed)] = placed


def change(distribution: Layouts | None) -> None:
    """Have another distribution, or none, from now on."""
    global _distribution
    if distribution is _distribution:
        return
    _distribution = distribution
    for placed in list(_placed.values()):
        placed.leave_devices()
    _placed.clear()
    Tracker().change()  # what was read off the parts of models is looked at again
