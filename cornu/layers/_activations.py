"""Activations that are layers because they have arguments or weights."""

from __future__ import annotations

from typing import Any

from .. import activations, ops
from ..core.dtypes import standardize_dtype
from ..ops.shared import axes_from_front
from ._input_spec import InputSpec, broadcasts
from ._layer import Layer


class ReLU(Layer):
    """`max(x, 0)`, with a limit, a slope below and a threshold.

    Args:
        max_value: The largest output.
        negative_slope: The slope below the threshold.
        threshold: Below it the slope holds.

    >>> import numpy as np
    >>> ReLU(max_value=2.0)(np.array([0.5, 1.0, 3.0])).tolist()
    [0.5, 1.0, 2.0]
    """

    _supports_masking = True
    _weightless = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (
            ("max_value", max_value),
            ("negative_slope", negative_slope),
            ("threshold", threshold),
        ):
            if (value is None and name != "max_value") or (value is not None and value < 0):
                raise ValueError(
                    f"`{name}` of ReLU must not be negative. Received: {name}={value}."
                )

    def call(self, inputs: Any) -> Any:
        """The activation of each element."""
        return activations.relu(
            inputs,
            negative_slope=self.negative_slope,
            max_value=self.max_value,
            threshold=self.threshold,
        )


class LeakyReLU(Layer):
    """x where it is positive, else a share of it.

    Args:
        negative_slope: The share.

    >>> import numpy as np
    >>> LeakyReLU(0.5)(np.array([-1.0, 1.0])).tolist()
    [-0.5, 1.0]
    """

    _supports_masking = True
    _weightless = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        alpha = kwargs.pop("alpha", None)
        super().__init__(**kwargs)
        negative_slope = negative_slope if alpha is None else alpha
        if negative_slope is None or negative_slope < 0:
            raise ValueError(
                "`negative_slope` of LeakyReLU must not be negative. Received: "
                f"negative_slope={negative_slope}."
            )
        self.negative_slope = negative_slope

    def call(self, inputs: Any) -> Any:
        """The activation of each element."""
        return ops.leaky_relu(inputs, negative_slope=self.negative_slope)


class PReLU(Layer):
    """x where it is positive, else a learned share of it (He et al., 2015).

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: Of the shares.
        shared_axes: Axes along which one share serves all.

    >>> import numpy as np
    >>> PReLU()(np.array([[-1.0, 1.0]])).tolist()
    [[0.0, 1.0]]
    """

    _supports_masking = True

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if shared_axes is not None and not isinstance(shared_axes, (list, tuple)):
            shared_axes = [shared_axes]
        self.shared_axes = None if shared_axes is None else list(shared_axes)

    def build(self, input_shape: Any) -> None:
        """Make the shares, of the sample's shape."""
        shape = list(input_shape[1:])
        shared = axes_from_front(tuple(self.shared_axes or ()), len(input_shape))
        for axis in shared:
            shape[axis - 1] = 1
        self.alpha = self._described_weight("alpha", tuple(shape))
        axes = {i: size for i, size in enumerate(input_shape) if i > 0 and i not in shared}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)

    def call(self, inputs: Any) -> Any:
        """The activation of each element."""
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)


class ELU(Layer):
    """x where it is positive, else `alpha (exp(x) - 1)` (Clevert et al., 2015).

    Args:
        alpha: The limit, far below 0.
    """

    _supports_masking = True
    _weightless = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        """The activation of each element."""
        return ops.elu(inputs, alpha=self.alpha)


class Softmax(Layer):
    """Exponentials scaled to a sum of 1.

    Args:
        axis: The axis of the sum, or several.

    >>> import numpy as np
    >>> Softmax()(np.zeros((1, 2))).tolist()
    [[0.5, 0.5]]
    """

    _supports_masking = True
    _weightless = True

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The shares; what the mask leaves out gets none."""
        if mask is None:
            return ops.softmax(inputs, axis=self._axes())
        if not broadcasts(mask.shape, inputs.shape):
            raise ValueError(
                "The mask of a softmax must broadcast to the inputs. Received: "
                f"mask.shape={tuple(mask.shape)}, inputs.shape={tuple(inputs.shape)} in the layer "
                f"{self.path!r}."
            )
        floor = -3e4 if standardize_dtype(inputs.dtype) == "float16" else -1e9
        inputs = inputs + (1.0 - ops.cast(mask, inputs.dtype)) * floor
        shares = ops.softmax(inputs, axis=self._axes())
        return shares * ops.cast(mask, inputs.dtype)

    def _axes(self) -> Any:
        return tuple(self.axis) if isinstance(self.axis, (list, tuple)) else self.axis
