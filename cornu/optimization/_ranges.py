"""Ranges: where the numbers of few bits lie that stand for floats, and how that is found in training."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, ClassVar, Self

import numpy as np

from .. import ops
from ..core.checks import is_number, is_size
from ..core.scopes import here
from ..core.transforms import FAKE, Transform
from ..core.variable import Variable
from ..quantizers import fake_quant_with_min_max_vars
from ._weights import channel_axes, read

#: Whether activations are observed outside of training.
observing: ContextVar[bool] = ContextVar("observing", default=False)


def observed(
    x: Any, axes: tuple[int, ...], num_bits: int, symmetric: bool, narrow_range: bool
) -> tuple[Any, Any]:
    """The range of a tensor's elements, 0 among them.

    Args:
        x: The tensor.
        axes: The axes that ranges of their own lie along.
        num_bits: How many bits a number has.
        symmetric: Whether 0 is in the middle: the codes are -127 to 127 of 8 bits, and -128.
        narrow_range: Whether there is no -128.

    Returns:
        The least and the largest number, of x's rank where there are axes, else scalars.

    >>> import numpy as np
    >>> x = np.array([[-1.0, 2.0], [3.0, 1.0]])
    >>> [end.tolist() for end in observed(x, (1,), 8, False, False)]
    [[[-1.0, 0.0]], [[3.0, 2.0]]]
    >>> [float(end) for end in observed(x, (), 2, True, False)]
    [-6.0, 3.0]
    """
    x = ops.cast(ops.stop_gradient(x), "float32")
    over: dict[str, Any] = {
        "axis": tuple(axis for axis in range(len(x.shape)) if axis not in axes),
        "keepdims": bool(axes),
    }
    if not symmetric:
        return ops.minimum(ops.min(x, **over), 0.0), ops.maximum(ops.max(x, **over), 0.0)
    high = ops.max(ops.abs(x), **over)
    above = 2 ** (num_bits - 1) - 1
    return high * (-1.0 if narrow_range else -(above + 1) / above), high


def moving_average(old: Any, new: Any, count: Any, momentum: float) -> Any:
    """The mean of the first `1 / (1 - momentum)` values, an exponential average from then on.

    Args:
        old: The average of `count` values.
        new: The next one.
        count: How many there were.
        momentum: The share of the average that stays.

    >>> [float(moving_average(9.0, 3.0, count, 0.9)) for count in (0.0, 1.0)]
    [3.0, 6.0]
    """
    share = ops.maximum(1.0 / (count + 1.0), 1.0 - momentum)
    return old + (new - old) * share


class RangeQuantizer(Transform):
    """Weights or activations as the nearest of the numbers that few bits can say within a range.

    Gradients pass within the range. A subclass says how the range follows from those of single steps.

    Args:
        num_bits: How many bits a number has, 2 to 16.
        per_axis: Whether each output channel of a weight has a range of its own.
        symmetric: Whether 0 is in the middle of the range.
        narrow_range: Whether the least of the numbers is left out, so that as many are below 0 as above.

    Raises:
        ValueError: If there are no so many bits, or a range for each channel is asked for of activations.
    """

    order = FAKE
    #: Whether the range of weights is another than that of the weights as they are.
    _remembers: ClassVar[bool] = True
    _axes: tuple[int, ...] = ()

    def __init__(
        self,
        num_bits: int = 8,
        per_axis: bool = False,
        symmetric: bool = False,
        narrow_range: bool = False,
    ) -> None:
        super().__init__()
        _check_bits(num_bits)

    def build(self, owner: Any, variable: Variable | None) -> None:
        """Make the range: that of the weights as they are; of activations -6 to 6, until some are seen."""
        if variable is None and self.per_axis:
            raise ValueError(
                "Activations have one range. Received: per_axis=True for what passes through the layer "
                f"{owner.path!r}. Leave it out."
            )
        self._axes = channel_axes(owner, variable) if variable is not None and self.per_axis else ()
        if variable is None:
            self._keep(-6.0, 6.0, 0.0)
        elif self._remembers:
            low, high = map(ops.convert_to_numpy, self._observed(read(variable, self.order)))
            self._keep(low, high, 1.0)

    def _keep(self, low: Any, high: Any, count: float) -> None:
        """Make the range a part, after so many steps."""
        for name, value in (("min", low), ("max", high), ("count", count)):
            self.part(name, np.shape(value), np.asarray(value), dtype="float32")

    def _observed(self, x: Any) -> tuple[Any, Any]:
        return observed(x, self._axes, self.num_bits, self.symmetric, self.narrow_range)

    def _next(self, old: tuple[Any, Any], new: tuple[Any, Any], count: Any) -> tuple[Any, Any]:
        """The range after `count` others, from the last one and that of a step."""
        return new

    def observe(self, x: Any) -> None:
        """Take notice of the range of a step."""
        low, high, count = (self.parts[name] for name in ("min", "max", "count"))
        found = self._next((low.value, high.value), self._observed(x), count.value)
        low.assign(found[0])
        high.assign(found[1])
        count.assign_add(1.0)

    def limits(self, stored: Any) -> tuple[Any, Any]:
        """The range that a tensor is read in: scalars, or one for each place along the channels' axes."""
        if not self.parts:
            return self._observed(stored)
        return self.parts["min"].value, self.parts["max"].value

    @classmethod
    def trained(cls, members: Sequence[tuple[Self, Variable]]) -> None:
        """Take notice of weights that have changed."""
        for quantizer, variable in members:
            if quantizer.parts:
                quantizer.observe(read(variable, cls.order - 1))

    def value(self, stored: Any) -> Any:
        """The nearest numbers; activations are taken notice of in training."""
        if self._of in ("inputs", "outputs") and (here.training.get() or observing.get()):
            self.observe(stored)
        # All of what the range is that of lies in it: the ends, which may be rounded below the largest, too.
        if self.symmetric and not self._remembers and not self.parts:
            return ops.custom_gradient(lambda x: (self._nearest(x), _passing))(stored)
        return self._nearest(stored)

    def _nearest(self, stored: Any) -> Any:
        low, high = self.limits(stored)
        axis = None
        if len(self._axes) == 1:
            (axis,) = self._axes
            low, high = ops.reshape(low, (-1,)), ops.reshape(high, (-1,))
        return fake_quant_with_min_max_vars(
            stored, low, high, self.num_bits, self.narrow_range, axis
        )


class LastValueQuantizer(RangeQuantizer):
    """Numbers of few bits within the range of the weights as they are, or of the activations of the last step.

    Args:
        num_bits, per_axis, symmetric, narrow_range: As of every quantizer.

    >>> from cornu import layers
    >>> layer = layers.Dense(2, kernel_initializer="identity")
    >>> layer.build((None, 2))
    >>> quantizer = layer.add_transform(layer.kernel, LastValueQuantizer(2, symmetric=True, narrow_range=True))
    >>> layer.kernel.assign([[0.2, 0.6], [-0.8, 0.3]]) is not None
    True
    >>> layer.kernel.effective().tolist()
    [[0.0, 0.800000011920929], [-0.800000011920929, 0.0]]
    """

    _remembers = False


class MovingAverageQuantizer(RangeQuantizer):
    """Numbers of few bits within the average of the ranges of all steps, those of long ago counting less.

    Args:
        num_bits, per_axis, symmetric, narrow_range: As of every quantizer.

    >>> MovingAverageQuantizer(8).get_config()
    {'num_bits': 8, 'per_axis': False, 'symmetric': False, 'narrow_range': False}
    """

    #: The share of the average that stays at a step, once there were many.
    momentum = 0.999

    def _next(self, old: tuple[Any, Any], new: tuple[Any, Any], count: Any) -> tuple[Any, Any]:
        low, high = (
            moving_average(a, b, count, self.momentum) for a, b in zip(old, new, strict=True)
        )
        return low, high


class AllValuesQuantizer(RangeQuantizer):
    """Numbers of few bits within the range of all that was ever seen.

    Args:
        num_bits, per_axis, symmetric, narrow_range: As of every quantizer.

    >>> AllValuesQuantizer(4, symmetric=True).num_bits
    4
    """

    def _next(self, old: tuple[Any, Any], new: tuple[Any, Any], count: Any) -> tuple[Any, Any]:
        first = ops.equal(count, 0.0)
        low, high = ops.minimum(old[0], new[0]), ops.maximum(old[1], new[1])
        return ops.where(first, new[0], low), ops.where(first, new[1], high)


class FixedQuantizer(RangeQuantizer):
    """Numbers of few bits within a range that is given.

    Args:
        num_bits: How many bits a number has, 2 to 16.
        init_min, init_max: The range; it is moved so that 0 is one of the numbers.
        narrow_range: Whether the least of the numbers is left out.

    Raises:
        ValueError: If the range is empty.

    >>> FixedQuantizer(2, 0.0, 3.0).value(ops.convert_to_tensor([0.4, 1.6, 7.0])).tolist()
    [0.0, 2.0, 3.0]
    """

    _unwritten_arguments = frozenset({"per_axis", "symmetric"})

    def __init__(
        self, num_bits: int, init_min: float, init_max: float, narrow_range: bool = False
    ) -> None:
        super().__init__(num_bits=num_bits, narrow_range=narrow_range)
        if not (is_number(init_min) and is_number(init_max) and init_min < init_max):
            raise ValueError(
                "A range goes from a number to a larger one. Received: "
                f"init_min={init_min!r}, init_max={init_max!r}."
            )

    def build(self, owner: Any, variable: Variable | None) -> None:
        """There is nothing to make."""

    def observe(self, x: Any) -> None:
        """Nothing: the range is given."""

    def limits(self, stored: Any) -> tuple[Any, Any]:
        """The range that was given."""
        return self.init_min, self.init_max


def _passing(*args: Any, upstream: Any = None) -> Any:
    """The gradient that comes, unchanged."""
    return args[0] if upstream is None else upstream


def _check_bits(num_bits: Any) -> None:
    if not is_size(num_bits, 2) or num_bits > 16:
        raise ValueError(
            f"`num_bits` must be an integer from 2 to 16. Received: num_bits={num_bits!r}."
        )
