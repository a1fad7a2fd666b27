"""Layers that make training harder so that models generalize: dropout, noise, penalties."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import ops, random, regularizers
from ..core.checks import is_size, listed, share
from ._input_spec import InputSpec, broadcasts
from ._layer import Layer


class _Random(Layer):
    """A layer that draws numbers in training and gives its inputs otherwise."""

    _supports_masking = True
    _weightless = True

    #: The argument that says how strongly.
    _strength: ClassVar[str] = "rate"
    seed_generator: random.SeedGenerator

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        strength = getattr(self, self._strength)
        share(**{self._strength: strength})
        if strength > 0:
            self.seed_generator = random.SeedGenerator(self.seed)


class Dropout(_Random):
    """In training, elements set to 0 at random, the others scaled up (Srivastava et al., 2014).

    Args:
        rate: The share that is dropped.
        noise_shape: The shape of the choice, which broadcasts to the inputs; None where it is theirs.
        seed: What the choice is drawn from.

    >>> import numpy as np
    >>> Dropout(0.5)(np.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if noise_shape is None:
            return
        sizes = listed(noise_shape)
        if sizes is None or not all(size is None or is_size(size) for size in sizes):
            raise ValueError(
                "`noise_shape` must have a size or None for each axis. Received: "
                f"noise_shape={noise_shape!r}."
            )
        self.noise_shape = sizes

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The inputs, in training with elements dropped."""
        if not training or self.rate == 0:
            return inputs
        return random.dropout(
            inputs,
            self.rate,
            noise_shape=self._shape(inputs),
            seed=self.seed_generator,
        )

    def _shape(self, inputs: Any) -> Any:
        """The shape of the choice."""
        if self.noise_shape is None:
            return None
        rank = len(inputs.shape)
        shape = (*(1,) * (rank - len(self.noise_shape)), *self.noise_shape)
        if not broadcasts(shape, inputs.shape):
            raise ValueError(
                "`noise_shape` must broadcast to the inputs: 1, the size or None for each axis. "
                f"Received: noise_shape={self.noise_shape}, inputs.shape={tuple(inputs.shape)} in the "
                f"layer {self.path!r}."
            )
        sizes = ops.shape(inputs)
        return tuple(
            size if noise is None else noise for noise, size in zip(shape, sizes, strict=True)
        )


class _SpatialDropout(Dropout):
    """Dropout of whole channels."""

    rank: ClassVar[int]
    data_format: str
    _unwritten_arguments = frozenset({"noise_shape"})

    def _shape(self, inputs: Any) -> Any:
        batch, *rest = ops.shape(inputs)
        if self.data_format == "channels_first":
            return (batch, rest[0], *(1,) * self.rank)
        return (batch, *(1,) * self.rank, rest[-1])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {**super().get_config(), "dtype": self.dtype}
        del config["trainable"]
        return config


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole features of a sequence (batch, time, features).

    Args:
        rate: The share of features that is dropped.
        seed: What the choice is drawn from.
    """

    rank = 1
    data_format = "channels_last"

    def __init__(
        self, rate: float, seed: Any = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.input_spec = InputSpec(ndim=3)


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of an image.

    Args:
        rate: The share of channels that is dropped.
        data_format: `channels_last` or `channels_first`.
        seed: What the choice is drawn from.
    """

    rank = 2

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: Any = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.input_spec = InputSpec(ndim=self.rank + 2)


class SpatialDropout3D(SpatialDropout2D):
    """Dropout of whole channels of a volume; arguments as in `SpatialDropout2D`."""

    rank = 3


class AlphaDropout(Dropout):
    """Dropout that keeps mean and variance, for SELU networks (Klambauer et al., 2017).

    Args:
        rate: The share that is dropped.
        noise_shape: The shape of the choice, which broadcasts to the inputs.
        seed: What the choice is drawn from.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The inputs, in training with elements set to the value of no activation."""
        if not training or self.rate == 0:
            return inputs
        rate: float = self.rate
        dropped = -1.0507009873554805 * 1.6732632423543772
        shape = self._shape(inputs) or ops.shape(inputs)
        kept = random.uniform(shape, seed=self.seed_generator, dtype=inputs.dtype) >= rate
        kept = ops.cast(kept, inputs.dtype)
        scale = 1 / math.sqrt((1 - rate) * (1 + rate * dropped**2))
        offset = -scale * dropped * rate
        return scale * (inputs * kept + dropped * (1 - kept)) + offset


class GaussianDropout(_Random):
    """In training, elements times normal numbers around 1 (Srivastava et al., 2014).

    Args:
        rate: The share that dropout of the same strength would drop.
        seed: What the numbers are drawn from.
    """

    def __init__(self, rate: float, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The inputs, in training times noise."""
        rate: float = self.rate
        if not training or rate == 0:
            return inputs
        spread = math.sqrt(rate / (1.0 - rate))
        shape = ops.shape(inputs)
        return inputs * random.normal(
            shape, mean=1.0, stddev=spread, dtype=self.compute_dtype, seed=self.seed_generator
        )


class GaussianNoise(_Random):
    """In training, normal numbers added.

    Args:
        stddev: Their standard deviation.
        seed: What they are drawn from.
    """

    _strength = "stddev"

    def __init__(self, stddev: float, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The inputs, in training with noise."""
        stddev: float = self.stddev
        if not training or stddev == 0:
            return inputs
        return inputs + random.normal(
            ops.shape(inputs), stddev=stddev, dtype=self.compute_dtype, seed=self.seed_generator
        )


class ActivityRegularization(Layer):
    """The inputs as they are, with a penalty on them.

    Args:
        l1: The weight of the sum of absolute values.
        l2: The weight of the sum of squares.
    """

    _supports_masking = True
    _weightless = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return config
