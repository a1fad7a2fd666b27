"""Dtype policies of layers whose weights are kept in fewer bits than they compute with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..core.checks import is_size, one_of
from ._policy import QUANTIZED, DTypePolicy, dtype_policy


class QuantizedDTypePolicy(DTypePolicy):
    """Weights in few bits; computation, and weights that are not quantized, as another policy has them.

    Args:
        mode: `"int8"`, `"int4"`, `"float8"`, `"gptq"` or `"awq"`.
        source_name: The name of the other policy; that of the global one where it is left out.

    Raises:
        ValueError: If there is no such mode, or int8 would be computed with in float16, which has not its range.

    >>> policy = QuantizedDTypePolicy("int8", "mixed_bfloat16")
    >>> policy.name, policy.compute_dtype, policy.variable_dtype
    ('int8_from_mixed_bfloat16', 'bfloat16', 'float32')
    """

    _kept_as = {"mode": "_mode", "source_name": "_source_name"}

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        source = dtype_policy().name if source_name is None else source_name
        self._quantization_mode = self._read(mode)
        super().__init__(source)
        self._source_name = source
        self._name = f"{mode}_from_{source}"
        if self._quantization_mode == "int8" and self._compute_dtype == "float16":
            raise ValueError(
                "float16 has not the range for sums of int8 products. Received: "
                f"source_name={source!r} for mode={mode!r}. Use 'bfloat16' or 'mixed_bfloat16'."
            )

    def _read(self, mode: str) -> str:
        """How weights are quantized, from what the mode says."""
        one_of(QUANTIZED, mode=mode)
        return mode

    @property
    def quantization_mode(self) -> str:
        """How weights are quantized."""
        return self._quantization_mode

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self.name}">'


class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """Computation with floats of 8 bits, scaled by the largest magnitudes of the last steps.

    Args:
        mode: `"float8"`.
        source_name: The name of the policy that weights are kept by.
        amax_history_length: How many steps.

    >>> QuantizedFloat8DTypePolicy("float8", "float32").amax_history_length
    1024
    """

    default_amax_history_length = 1024
    _kept_as = {"amax_history_length": "_amax_history_length"}

    def __init__(
        self, mode: str, source_name: str | None = None, amax_history_length: int = 1024
    ) -> None:
        super().__init__(mode, source_name)
        if not is_size(amax_history_length):
            raise TypeError(
                "`amax_history_length` must be a positive integer. "
                f"Received: amax_history_length={amax_history_length!r}."
            )

    @property
    def amax_history_length(self) -> int:
        """How many steps count for a scale."""
        length: int = vars(self)["_amax_history_length"]
        return length

    def __eq__(self, other: object) -> bool:
        return (
            super().__eq__(other)
            and isinstance(other, QuantizedFloat8DTypePolicy)
            and self.amax_history_length == other.amax_history_length
        )

    __hash__ = None  # type: ignore[assignment]


def _is_size_or_all(value: int) -> bool:
    return value == -1 or value > 0


class _Numbered(QuantizedDTypePolicy):
    """A policy whose mode has numbers behind it, each after a slash."""

    #: The name of the mode; those of the numbers, and what they may be.
    _mode_name: ClassVar[str]
    _numbers: ClassVar[Mapping[str, Callable[[int], bool]]]

    def _read(self, mode: str) -> str:
        name, *given = str(mode).split("/")
        form = "/".join((self._mode_name, *(f"<{number}>" for number in self._numbers)))
        try:
            numbers = dict(zip(self._numbers, map(int, given), strict=True))
        except ValueError:
            numbers = {}
        right = name == self._mode_name and len(numbers) == len(self._numbers)
        if not right or not all(self._numbers[key](value) for key, value in numbers.items()):
            raise ValueError(
                f"The mode of a {type(self).__name__} must have the form {form!r}, of numbers that there "
                f"are. Received: mode={mode!r}. An example is {self._example!r}."
            )
        self.mode = name
        vars(self).update(numbers)
        return name

    _example: ClassVar[str]


class Int4DTypePolicy(_Numbered):
    """Weights of 4 bits, in blocks that share a scale.

    Args:
        mode: `"int4/<block_size>"`; -1 for one block.
        source_name: The name of the policy that is computed by.

    >>> Int4DTypePolicy("int4/64", "float32").block_size
    64
    """

    _mode_name, _example = "int4", "int4/128"
    _numbers = {"block_size": _is_size_or_all}


class GPTQDTypePolicy(_Numbered):
    """Weights of 2, 3, 4 or 8 bits by GPTQ.

    Args:
        mode: `"gptq/<weight_bits>/<group_size>"`; -1 for one group.
        source_name: The name of the policy that is computed by.

    >>> GPTQDTypePolicy("gptq/4/128", "float32").weight_bits
    4
    """

    _mode_name, _example = "gptq", "gptq/4/128"
    _numbers = {"weight_bits": (2, 3, 4, 8).__contains__, "group_size": _is_size_or_all}


class AWQDTypePolicy(_Numbered):
    """Weights of 4 bits by AWQ.

    Args:
        mode: `"awq/4/<group_size>"`; -1 for one group.
        source_name: The name of the policy that is computed by.

    >>> AWQDTypePolicy("awq/4/128", "float32").group_size
    128
    """

    _mode_name, _example = "awq", "awq/4/128"
    _numbers = {"weight_bits": (4,).__contains__, "group_size": _is_size_or_all}


def named(name: str) -> DTypePolicy:
    """The quantized policy of a name such as `int4/64_from_float32`.

    Raises:
        ValueError: If there is none.

    >>> named("float8_from_float32")
    <QuantizedFloat8DTypePolicy "float8_from_float32">
    """
    mode, between, source = name.partition("_from_")
    if not between:
        raise ValueError(
            "The name of a quantized dtype policy says what it is made from. "
            f"Received: {name!r}. Write '{name}_from_float32'."
        )
    kinds: dict[str, Any] = {
        "float8": QuantizedFloat8DTypePolicy,
        "gptq": GPTQDTypePolicy,
        "awq": AWQDTypePolicy,
    }
    kind = Int4DTypePolicy if mode.startswith("int4/") else QuantizedDTypePolicy
    policy: DTypePolicy = kinds.get(mode.partition("/")[0], kind)(mode, source)
    return policy
