"""Quantizers as objects, and what `quantize` is told: how weights and what they are multiplied with become codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.checks import is_size
from ..core.described import Described
from ..core.serialization import serialize_keras_object
from ..core.types import Tensor
from ._functions import abs_max_quantize


class Quantizer(Described):
    """How numbers become codes.

    Args:
        output_dtype: The dtype of the codes.

    >>> Quantizer()([1.5])
    [1.5]
    """

    def __init__(self, output_dtype: str = "int8") -> None:
        super().__init__()

    def __call__(self, x: Any) -> Any:
        """The codes and their scales; here the numbers as they are."""
        return x


class AbsMaxQuantizer(Quantizer):
    """Integers in proportion to the largest magnitude along an axis.

    Args:
        axis: The axis, or axes, that share a scale.
        value_range: The least and the largest integer.
        epsilon: Added to the largest magnitude.
        output_dtype: The dtype of the integers.

    >>> codes, scale = AbsMaxQuantizer(axis=-1)([[1.5, -2.0]])
    >>> codes.tolist()
    [[95, -127]]
    """

    _optional_arguments = frozenset({"axis"})
    _converters = {"axis": lambda axis: (axis,) if isinstance(axis, int) else axis and tuple(axis)}

    def __init__(
        self,
        axis: int | Sequence[int] | None = None,
        value_range: Sequence[int] = (-127, 127),
        epsilon: float = 1e-7,
        output_dtype: str = "int8",
    ) -> None:
        super().__init__(output_dtype=output_dtype)
        self.value_range = tuple(value_range)

    def __call__(
        self, x: Tensor, axis: int | Sequence[int] | None = None, to_numpy: bool = False
    ) -> tuple[Tensor, Tensor]:
        """The codes and their scales.

        Args:
            x: Numbers of any shape.
            axis: Takes the place of the quantizer's own; the last one where neither is given.
            to_numpy: Whether NumPy computes it.
        """
        axis = next((given for given in (axis, self.axis) if given is not None), -1)
        return abs_max_quantize(
            x, axis, self.value_range, self.output_dtype, self.epsilon, to_numpy
        )


class QuantizationConfig(Described):
    """How a layer is quantized.

    Args:
        weight_quantizer: For the weights; None for the mode's own.
        activation_quantizer: For what they are multiplied with; None to leave that as it is.
    """

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = None) -> None:
        super().__init__()
        for name in ("weight_quantizer", "activation_quantizer"):
            given = getattr(self, name)
            if given is not None and not isinstance(given, Quantizer):
                raise TypeError(
                    f"`{name}` must be a Quantizer or None. Received: {name}={given!r}. "
                    "An example is AbsMaxQuantizer(axis=0)."
                )

    @property
    def mode(self) -> str:
        """How weights are quantized: `"int8"`, `"int4"`, ..."""
        raise NotImplementedError(
            f"{type(self).__name__} must have a `mode`. Use one of its subclasses, such as "
            "Int8QuantizationConfig()."
        )

    def dtype_policy_string(self) -> str:
        """The mode of the dtype policy that a layer so quantized has."""
        return self.mode


def _default(activation_quantizer: Any, own: Quantizer | None) -> Any:
    return own if activation_quantizer == "default" else activation_quantizer


class Int8QuantizationConfig(QuantizationConfig):
    """Weights of 8 bits.

    Args:
        weight_quantizer: Gives the codes of weights; one scale for each output where it is left out.
        activation_quantizer: For what is multiplied with them. By default its integers too are of 8 bits, and
            products are integers; None to multiply floats with the weights that the codes stand for.

    Raises:
        ValueError: If the codes of weights are no int8.

    >>> Int8QuantizationConfig(activation_quantizer=None).mode
    'int8'
    """

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = "default") -> None:
        self.activation_quantizer = _default(activation_quantizer, AbsMaxQuantizer())
        super().__init__(weight_quantizer, self.activation_quantizer)
        found = getattr(weight_quantizer, "output_dtype", "int8")
        if found != "int8":
            raise ValueError(
                "The codes of weights of 8 bits must be int8. Received: weight_quantizer with "
                f"output_dtype={found!r}."
            )

    @property
    def mode(self) -> str:
        """`"int8"`."""
        return "int8"


class Int4QuantizationConfig(QuantizationConfig):
    """Weights of 4 bits, two in a byte.

    Args:
        weight_quantizer: Gives the codes of weights, from -8 to 7.
        activation_quantizer: For what is multiplied with them; it stays as it is by default.
        block_size: How many weights of an output share a scale and a zero; None or -1 for all of them, which
            share a scale then, and have no zero.

    Raises:
        ValueError: If there is no such size, or quantizers are given beside blocks.

    >>> Int4QuantizationConfig(block_size=64).dtype_policy_string()
    'int4/64'
    """

    def __init__(
        self,
        weight_quantizer: Any = None,
        activation_quantizer: Any = "default",
        block_size: int | None = 128,
    ) -> None:
        self.activation_quantizer = _default(activation_quantizer, None)
        super().__init__(weight_quantizer, self.activation_quantizer)
        if block_size not in (None, -1) and not is_size(block_size):
            raise ValueError(
                "`block_size` must be a positive integer, or None or -1 for one block. "
                f"Received: block_size={block_size!r}."
            )
        own = weight_quantizer is not None or self.activation_quantizer is not None
        if own and block_size not in (None, -1):
            raise ValueError(
                "Blocks have a quantizer of their own. Received: block_size="
                f"{block_size} beside a quantizer. Give block_size=None, or leave the quantizer out."
            )

    @property
    def mode(self) -> str:
        """`"int4"`."""
        return "int4"

    def dtype_policy_string(self) -> str:
        """The mode of the dtype policy that a layer so quantized has."""
        return f"int4/{-1 if self.block_size is None else self.block_size}"


class Float8QuantizationConfig(QuantizationConfig):
    """Products of floats of 8 bits; weights stay as they are.

    >>> Float8QuantizationConfig().mode
    'float8'
    """

    _unwritten_arguments = frozenset({"weight_quantizer", "activation_quantizer"})

    def __init__(self) -> None:
        super().__init__()

    @property
    def mode(self) -> str:
        """`"float8"`."""
        return "float8"


#: The configs of modes that need no arguments.
CONFIGS: Mapping[str, type[QuantizationConfig]] = {
    "int8": Int8QuantizationConfig,
    "int4": Int4QuantizationConfig,
    "float8": Float8QuantizationConfig,
}


def serialize(initializer: Any) -> Any:
    """What a file can hold of a quantizer or of a config.

    >>> serialize(AbsMaxQuantizer(axis=0))["config"]["axis"]
    (0,)
    """
    return serialize_keras_object(initializer)
