"""InputSpec: what a layer asks of its inputs, and the check."""

from __future__ import annotations

from typing import Any

from ..core import tree


class InputSpec:
    """What an input must be like: rank, shape, single axes, dtype.

    Args:
        dtype: The dtype's name.
        shape: The shape; `None` entries take any size.
        ndim: The exact rank.
        max_ndim: The largest rank.
        min_ndim: The smallest rank.
        axes: Sizes of single axes, as `{axis: size}`.
        allow_last_axis_squeeze: Whether a last axis of size 1 may be missing or added.
        name: The input's key, where inputs are a dictionary.
        optional: Whether the input may be None.

    >>> InputSpec(min_ndim=2, axes={-1: 4})
    InputSpec(min_ndim=2, axes={-1: 4})
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = dtype
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if shape is None else len(tuple(shape))
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional
        limit = self.ndim if self.ndim is not None else max_ndim
        if self.axes and limit is not None and max(self.axes) > limit - 1:
            raise ValueError(
                f"An axis must be below the rank. Received: axes={axes} for rank {limit}."
            )

    def __repr__(self) -> str:
        shown = {key: value for key, value in vars(self).items() if value}
        return f"InputSpec({', '.join(f'{key}={value!r}' for key, value in shown.items())})"

    def get_config(self) -> dict[str, Any]:
        """What makes an equal spec."""
        config = dict(vars(self))
        return config if self.shape is None else {**config, "ndim": None}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """The spec that `get_config` described."""
        return cls(**config)

    def problem(self, shape: tuple[Any, ...], dtype: str) -> str | None:
        """The rule that a shape and dtype break, or None."""
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim and not self._squeezes(shape):
            return f"must have rank {self.ndim}, not {rank}"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"must have rank {self.max_ndim} at most, not {rank}"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"must have rank {self.min_ndim} at least, not {rank}"
        if self.dtype is not None and dtype != self.dtype:
            return f"must have dtype {self.dtype}, not {dtype}"
        for axis, size in self.axes.items():
            if size is not None and -rank <= axis < rank and shape[axis] not in (size, None):
                return f"must have size {size} along axis {axis}, not {shape[axis]}"
        if self.shape is not None and not self._squeezes(shape):
            for wanted, size in zip(self.shape, shape, strict=True):
                if wanted is not None and size is not None and wanted != size:
                    return f"must have shape {self.shape}"
        return None

    def _squeezes(self, shape: tuple[Any, ...]) -> bool:
        if not self.allow_last_axis_squeeze or self.shape is None:
            return False
        return (shape[-1:] == (1,) and len(shape) == len(self.shape) + 1) or (
            self.shape[-1:] == (1,) and len(shape) == len(self.shape) - 1
        )


def assert_input_compatibility(
    input_spec: Any, inputs: Any, path: str, shape_of: Any, dtype_of: Any
) -> None:
    """Raise a ValueError where inputs are not what a spec asks for."""
    specs = input_spec if isinstance(input_spec, (list, tuple, dict)) else [input_spec]
    if (
        isinstance(inputs, dict)
        and isinstance(specs, (list, tuple))
        and all(spec.name is not None for spec in specs)
    ):
        missing = [spec.name for spec in specs if spec.name not in inputs]
        if missing:
            raise ValueError(
                f"The layer {path!r} needs the inputs {[spec.name for spec in specs]}. "
                f"Received: {sorted(inputs)}. Missing: {missing}."
            )
        values = [inputs[spec.name] for spec in specs]
    else:
        values = tree.flatten(inputs)
    flat_specs: list[Any] = tree.flatten(specs)
    if len(values) != len(flat_specs):
        raise ValueError(
            f"The layer {path!r} takes {len(flat_specs)} input(s). Received: {len(values)}. "
            "Pass one tensor for each."
        )
    for index, (spec, value) in enumerate(zip(flat_specs, values, strict=True)):
        if spec is None or (value is None and spec.optional):
            continue
        if value is None or not hasattr(value, "shape"):
            raise ValueError(
                f"Input {index} of the layer {path!r} must be a tensor. Received: {value!r}."
            )
        shape = shape_of(value)
        problem = spec.problem(shape, dtype_of(value))
        if problem:
            raise ValueError(
                f"Input {index} of the layer {path!r} {problem}. Received: shape={shape}, "
                f"dtype={dtype_of(value)}. Reshape or cast the data, or change the layer."
            )


def broadcasts(shape: Any, to: Any) -> bool:
    """Whether a shape broadcasts to another; an unknown size may be any."""
    pairs = zip(reversed(tuple(shape)), reversed(tuple(to)), strict=False)
    return len(shape) <= len(to) and all(a in (1, None, b) or b is None for a, b in pairs)
