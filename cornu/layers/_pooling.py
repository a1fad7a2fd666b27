"""Pooling: windows of the space reduced to their largest element or their mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import ops
from ..core.checks import one_of, per_axis
from ._convolution import PADDINGS, say_defaults_per_axis
from ._input_spec import InputSpec
from ._layer import Layer


class _Pooling(Layer):
    """A reduction of each window of (batch, *space, channels).

    Args:
        pool_size: The window's size: a number, or one for each spatial axis.
        strides: The window's step, its size where it is left out.
        padding: `valid` or `same`.
        data_format: `channels_last` or `channels_first`.
    """

    _weightless = True

    rank: ClassVar[int]
    _reduce: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = per_axis(pool_size, self.rank, "pool_size")
        chosen = self.pool_size if strides is None else strides
        self.strides = per_axis(chosen, self.rank, "strides")
        self.padding = str(padding).lower()
        one_of(PADDINGS, padding=self.padding)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        say_defaults_per_axis(cls, "pool_size")

    def call(self, inputs: Any) -> Any:
        """The reduction of each window."""
        return type(self)._reduce(
            inputs,
            pool_size=self.pool_size,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
        )


class _AveragePooling(_Pooling):
    __doc__ = _Pooling.__doc__

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class _GlobalPooling(Layer):
    """A reduction of the whole space of (batch, *space, channels).

    Args:
        data_format: `channels_last` or `channels_first`.
        keepdims: Whether the spatial axes stay, with size 1.
    """

    _weightless = True

    rank: ClassVar[int]
    _reduce: ClassVar[Callable[..., Any]]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def _space(self) -> tuple[int, ...]:
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))

    def call(self, inputs: Any) -> Any:
        """The reduction of the space."""
        return type(self)._reduce(inputs, axis=self._space, keepdims=self.keepdims)


class _AdaptivePooling(Layer):
    """A reduction to a space of a given size.

    Args:
        output_size: The size: a number, or one for each spatial axis.
        data_format: `channels_last` or `channels_first`.
    """

    _weightless = True

    rank: ClassVar[int]
    _reduce: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = per_axis(output_size, self.rank, "output_size")
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Any) -> Any:
        """The reduction of the windows that make up the output."""
        return type(self)._reduce(
            inputs, output_size=self.output_size, data_format=self.data_format
        )


_WHAT = {1: "a sequence", 2: "an image", 3: "a volume"}


def _family(base: type, reduce: Callable[..., Any], name: str, what: str) -> list[Any]:
    """The classes of one kind of pooling, of rank 1, 2 and 3."""
    options = (base.__doc__ or "").partition("\n")[2]
    made = []
    for rank in (1, 2, 3):
        doc = f"{what} of {_WHAT[rank]}.\n{options}"
        members = {"rank": rank, "_reduce": staticmethod(reduce), "__doc__": doc}
        made.append(type(f"{name}{rank}D", (base,), {**members, "__module__": __name__}))
    return made


MaxPooling1D, MaxPooling2D, MaxPooling3D = _family(
    _Pooling, ops.max_pool, "MaxPooling", "The largest element in each window"
)
AveragePooling1D, AveragePooling2D, AveragePooling3D = _family(
    _AveragePooling, ops.average_pool, "AveragePooling", "The mean of each window"
)
_, GlobalAveragePooling2D, GlobalAveragePooling3D = _family(
    _GlobalPooling, ops.mean, "GlobalAveragePooling", "The mean"
)
GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D = _family(
    _GlobalPooling, ops.max, "GlobalMaxPooling", "The largest element"
)
AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D = _family(
    _AdaptivePooling, ops.adaptive_average_pool, "AdaptiveAveragePooling", "Means"
)
AdaptiveMaxPooling1D, AdaptiveMaxPooling2D, AdaptiveMaxPooling3D = _family(
    _AdaptivePooling, ops.adaptive_max_pool, "AdaptiveMaxPooling", "Largest elements"
)


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean of a sequence, over the steps that a mask keeps.

    Args:
        data_format: `channels_last` or `channels_first`.
        keepdims: Whether the axis of time stays, with size 1.

    >>> import numpy as np
    >>> GlobalAveragePooling1D()(np.ones((2, 5, 3))).shape
    (2, 3)
    """

    _supports_masking = True

    rank = 1
    _reduce = staticmethod(ops.mean)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The mean over time; 0 where the mask keeps no step."""
        if mask is None:
            return super().call(inputs)
        (axis,) = self._space
        kept = ops.expand_dims(ops.cast(mask, inputs.dtype), 2 if axis == 1 else 1)
        total = ops.sum(inputs * kept, axis=axis, keepdims=self.keepdims)
        return ops.divide_no_nan(total, ops.sum(kept, axis=axis, keepdims=self.keepdims))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Time is gone, and its mask with it."""
        return None
