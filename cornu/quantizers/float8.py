"""Products of floats of 8 bits, scaled by the largest magnitudes of the steps before."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.dtypes import is_float
from ..core.scopes import here
from ..core.transforms import FAKE, Transform, Use
from ..core.variable import Variable
from ..ops.shared import largest_finite
from ._functions import compute_float8_amax_history, compute_float8_scale, quantize_and_dequantize

#: The dtypes of what goes forward and of gradients.
FORWARD, BACKWARD = "float8_e4m3fn", "float8_e5m2"
#: What is rounded in a product, and what its parts are called.
_ROUNDED = ("inputs", "kernel", "outputs_grad")
_PRODUCTS = ("matmul", "affine", "einsum", "conv", "conv_transpose", "depthwise_conv")


class Float8(Transform):
    """A weight that is multiplied in floats of 8 bits, as is what it is multiplied with; gradients too.

    Each has a scale, and the largest magnitudes of the last steps, which the next scale is made of. They are
    trained: their gradient is the value that they have after a step. As in Keras.

    Args:
        amax_history_length: How many steps.

    Micikevicius et al., 2022, https://arxiv.org/abs/2209.05433.

    >>> import numpy as np
    >>> from cornu import layers
    >>> layer = layers.Dense(1, kernel_initializer="ones")
    >>> layer.build((None, 1))
    >>> layer.add_transform(layer.kernel, Float8())
    <Float8 of dense/kernel>
    >>> layer(np.array([[0.3]])).tolist()
    [[0.3125]]
    """

    order = FAKE
    quantizes = True

    def __init__(self, amax_history_length: int = 1024) -> None:
        super().__init__()

    def build(self, owner: Any, variable: Variable | None) -> None:
        """Make scales and histories."""
        taken = {weight.name for weight in owner._own_weights()}
        self._prefix = f"{self._of}_" if "inputs_scale" in taken else ""
        settings = {"trainable": True, "autocast": False, "overwrite_with_gradient": True}
        for name in _ROUNDED:
            self.part(f"{name}_scale", (), "ones", dtype="float32", **settings)
            sizes = (self.amax_history_length,)
            self.part(f"{name}_amax_history", sizes, "zeros", dtype="float32", **settings)

    def part_name(self, name: str, of: str) -> str:
        """As in Keras."""
        return self._prefix + name

    def value(self, stored: Any) -> Any:
        """The weight, rounded; what else there is to round is not seen here, and its scales stay."""
        unused = [p.stored for name, p in self.parts.items() if not name.startswith("kernel")]
        return self._rounded("kernel", with_gradients(stored, *unused))

    def product(self, use: Use) -> Any:
        """The product of what is rounded."""
        place = 3 - use.place if use.name == "einsum" else 0
        if use.name not in _PRODUCTS or use.place == place or len(use.arguments) <= place:
            return NotImplemented
        x, weight = ops.convert_to_tensor(use.arguments[place]), use.inner.value()
        if not is_float(ops.dtype(x)):
            return NotImplemented
        arguments = list(use.arguments)
        arguments[place] = self._rounded("inputs", x)
        arguments[use.place] = self._rounded("kernel", weight)
        if use.name == "affine":
            product = self._rounded("outputs_grad", ops.matmul(*arguments[:2]))
            return ops.add(product, arguments[2])
        return self._rounded("outputs_grad", use.op.wrapper(*arguments, **use.named))

    def _rounded(self, name: str, x: Any) -> Any:
        scale, history = (self.parts[f"{name}_{kind}"].stored for kind in ("scale", "amax_history"))
        return (round_gradient if name == "outputs_grad" else round_value)(x, scale, history)


def _next(x: Any, scale: Any, history: Any, dtype: str) -> tuple[Any, Any]:
    """The scale and the history after a step."""
    found = compute_float8_scale(ops.max(history), scale, largest_finite(dtype))
    return found, compute_float8_amax_history(x, history)


@ops.custom_gradient
def round_value(x: Any, scale: Any, history: Any) -> Any:
    """x in floats of 8 bits; gradients pass as they are."""
    training = here.training.get()

    def gradient(*args: Any, upstream: Any = None) -> Any:
        (upstream,) = args or (upstream,)
        after = _next(x, scale, history, FORWARD) if training else (scale * 0, history * 0)
        return upstream, *after

    return quantize_and_dequantize(x, scale, FORWARD, x.dtype), gradient


@ops.custom_gradient
def with_gradients(x: Any, *values: Any) -> Any:
    """x; values that are replaced by their gradients stay as they are."""

    def gradient(*args: Any, upstream: Any = None) -> Any:
        (upstream,) = args or (upstream,)
        return upstream, *values

    return x, gradient


@ops.custom_gradient
def round_gradient(x: Any, scale: Any, history: Any) -> Any:
    """x as it is, its gradient in floats of 8 bits."""

    def gradient(*args: Any, upstream: Any = None) -> Any:
        (upstream,) = args or (upstream,)
        rounded = quantize_and_dequantize(upstream, scale, BACKWARD, upstream.dtype)
        return rounded, *_next(upstream, scale, history, BACKWARD)

    return x, gradient
