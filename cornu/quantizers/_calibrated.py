"""What GPTQ and AWQ are told: the data that weights are fitted to, and how few bits they have."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.checks import is_number, is_size, one_of, positive_integer
from ._config import QuantizationConfig
from .grouped import Array, Grid, Grouped, awq, gptq, nearest


class CalibratedConfig(QuantizationConfig):
    """What both have in common; not to be made."""

    #: What only the run needs, and no file has.
    _unwritten_arguments = frozenset({"dataset", "tokenizer", "quantization_layer_structure"})

    def __init__(self) -> None:
        super().__init__()
        positive_integer(num_samples=self.num_samples, sequence_length=self.sequence_length)
        if self.group_size != -1 and not is_size(self.group_size):
            raise ValueError(
                "`group_size` must be a positive integer, or -1 for all inputs of an output. "
                f"Received: group_size={self.group_size!r}."
            )

    def dtype_policy_string(self) -> str:
        """The mode of the dtype policy of layers that are quantized so."""
        return f"{self.mode}/{self.weight_bits}/{self.group_size}"

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, without those that only the run needs."""
        return {**super().get_config(), **dict.fromkeys(CalibratedConfig._unwritten_arguments)}

    def without_data(self) -> Any:
        """What a layer keeps of it."""
        return type(self).from_config(self.get_config())

    @property
    def grid(self) -> Grid:
        """The numbers that weights may become."""
        return Grid(self.weight_bits, self.group_size)

    def fitted(self, weight: Array, moments: Array, magnitudes: Array) -> Grouped:
        """A weight `(outputs, inputs)` in few bits, fitted to what comes in (`grouped`)."""
        raise NotImplementedError

    def rounded(self, weight: Array) -> Grouped:
        """A weight `(outputs, inputs)` in few bits without data."""
        return nearest(weight, self.grid)


class GPTQConfig(CalibratedConfig):
    """Weights of 2, 3, 4 or 8 bits by GPTQ: the error of each is made good by those that follow it.

    Args:
        dataset: What the model is run on: strings, or arrays of tokens, of which windows are taken. Without a
            tokenizer arrays of floats may be given: samples of the model's input.
        tokenizer: Has a method `tokenize(string)` that gives tokens; None for data that needs none.
        weight_bits: 2, 3, 4 or 8; two of 4 bits share a byte in memory and files.
        num_samples: How many samples are run.
        per_channel: Whether each output has scales of its own.
        sequence_length: The tokens of a sample.
        hessian_damping: What is added to the diagonal of the inputs' second moments, as a share of its mean.
        group_size: How many inputs share a scale; -1 for all.
        symmetric: Whether as many of the numbers lie below 0 as above.
        activation_order: Whether the largest inputs' weights come first.
        quantization_layer_structure: The parts of the model in order: `pre_block_layers`, which run before, and
            `sequential_blocks`, which are quantized one by one, each fed by those before it as they are by
            then. Left out: what the model's `get_quantization_layer_structure("gptq")` gives; the
            whole model at once if it has no such method.

    Raises:
        ValueError: If an argument has a value that it may not have.

    Frantar et al., 2022, https://arxiv.org/abs/2210.17323.

    >>> GPTQConfig(dataset=["some text"], tokenizer=None, group_size=32).dtype_policy_string()
    'gptq/4/32'
    """

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        per_channel: bool = True,
        sequence_length: int = 512,
        hessian_damping: float = 0.01,
        group_size: int = 128,
        symmetric: bool = False,
        activation_order: bool = False,
        quantization_layer_structure: Any = None,
    ) -> None:
        super().__init__()
        one_of((2, 3, 4, 8), weight_bits=weight_bits)
        if not is_number(hessian_damping) or not 0 <= hessian_damping <= 1:
            raise ValueError(
                f"`hessian_damping` must be between 0 and 1. Received: hessian_damping={hessian_damping!r}."
            )

    @property
    def mode(self) -> str:
        """`"gptq"`."""
        return "gptq"

    @property
    def grid(self) -> Grid:
        """The numbers that weights may become."""
        return Grid(self.weight_bits, self.group_size, self.symmetric, self.per_channel)

    def fitted(self, weight: Array, moments: Array, magnitudes: Array) -> Grouped:
        """A weight `(outputs, inputs)` in few bits, fitted to what comes in."""
        return gptq(weight, moments, self.grid, self.hessian_damping, self.activation_order)


class AWQConfig(CalibratedConfig):
    """Weights of 4 bits by AWQ: those of large inputs are made larger before they are rounded, so more finely.

    Args:
        dataset, tokenizer, num_samples, sequence_length, group_size, quantization_layer_structure: As
            in `GPTQConfig`.
        weight_bits: 4.
        num_grid_points: How many powers of the inputs' magnitudes are tried as factors.

    Raises:
        ValueError: If an argument has a value that it may not have.

    Lin et al., 2023, https://arxiv.org/abs/2306.00978.

    >>> AWQConfig(dataset=["some text"], tokenizer=None).dtype_policy_string()
    'awq/4/128'
    """

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        sequence_length: int = 512,
        group_size: int = 128,
        num_grid_points: int = 20,
        quantization_layer_structure: Any = None,
    ) -> None:
        super().__init__()
        one_of((4,), weight_bits=weight_bits)
        positive_integer(num_grid_points=num_grid_points)

    @property
    def mode(self) -> str:
        """`"awq"`."""
        return "awq"

    def fitted(self, weight: Array, moments: Array, magnitudes: Array) -> Grouped:
        """A weight `(outputs, inputs)` in few bits, fitted to what comes in."""
        return awq(weight, moments, magnitudes, self.grid, self.num_grid_points)

    def rounded(self, weight: Array) -> Grouped:
        """A weight `(outputs, inputs)` in few bits without data: no input is larger than another."""
        return super().rounded(weight)._replace(sizes=np.ones(weight.shape[1], weight.dtype))
