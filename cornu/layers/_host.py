"""The base of layers that run on the host: they take strings, or integers of any size, and compute in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import tree
from ..core.keras_tensor import KerasTensor
from ..core.operation import any_symbolic
from ..data import on_host
from ..engines import current
from ..engines.host import Tabled, holds_text
from ._preprocessing import _Preparing


class HostLayer(_Preparing):
    """A layer that computes in NumPy, in `_compute`, and says the shapes of its outputs.

    A model that begins with such layers runs them where data comes in, before its step. Numbers that one gives
    are tensors of the current engine; strings are NumPy arrays on every engine.
    """

    on_host = True
    _weightless = True
    _convert_input_args = False
    _allow_non_tensor_positional_args = True

    def _taken(self, x: Any) -> Any:
        is_plain = isinstance(x, (str, bytes, int, float, list, tuple)) and not any_symbolic(x)
        return self._gathered(x) if is_plain else x

    def _gathered(self, x: Any) -> Any:
        """A Python value, or a list of them, as an array."""
        return on_host(x)

    def call(self, inputs: Any) -> Any:
        """What the layer makes of its inputs."""
        if any_symbolic(inputs):
            return self.compute_output_spec(inputs)
        engine = current()
        leaves = tree.flatten(inputs)
        specs: list[KerasTensor] = []
        if any(map(engine.is_traced, leaves)):
            given = [KerasTensor(x.shape, engine.dtype_of(x)) for x in leaves]
            given = tree.pack_sequence_as(inputs, given)
            specs = tree.flatten(self.compute_output_spec(given))

        def compute(*values: Any) -> list[Any]:
            return [self._compute(tree.pack_sequence_as(inputs, list(map(on_host, values))))]

        table = None if engine.computes else self._table()
        function: Callable[..., Any] = compute if table is None else Tabled(compute, *table)
        (found,) = engine.on_host(function, leaves, [(x.shape, x.dtype) for x in specs])
        is_ready = holds_text(found) or engine.is_tensor(found) or isinstance(found, list)
        return found if is_ready else engine.convert_to_tensor(found)

    def _table(self) -> tuple[list[Any], list[int], int] | None:
        """Keys, their values and what else is given, where the layer is a table of integers."""
        return None

    def _compute(self, inputs: Any) -> Any:
        """The output, for NumPy arrays."""
        raise NotImplementedError

    def compute_output_spec(self, inputs: Any) -> Any:
        """The output's shape and dtype, as a KerasTensor."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input's shape."""
        spec = tree.map_shape_structure(lambda s: KerasTensor(s, self.input_dtype), input_shape)
        return self.compute_output_spec(spec).shape
