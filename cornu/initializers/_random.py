"""Random initializers: drawn on the host by a counter-based generator, the same on every engine."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ..core.checks import one_of
from ..core.dtypes import is_float
from ..core.seeding import make_default_seed
from ..engines import current
from ._initializer import Array, Initializer, cast

#: The standard deviation of a standard normal distribution that is cut off at -2 and 2.
TRUNCATED_STDDEV = 0.87962566103423978


class RandomInitializer(Initializer):
    """An initializer with a seed.

    With an integer as seed (or without one: an integer is then chosen) every call draws the same
    values. With a `SeedGenerator` every call draws new ones.

    Args:
        seed: An integer, a `cornu.random.SeedGenerator`, or None.
    """

    _kept_as: ClassVar[dict[str, str]] = {"seed": "_init_seed"}

    def __init__(self, seed: Any = None) -> None:
        super().__init__()
        if seed is None:
            seed = make_default_seed()
        elif not isinstance(seed, (int, np.integer)) and not hasattr(seed, "next"):
            raise ValueError(
                "A seed must be an integer, a `keras.random.SeedGenerator` or None. "
                f"Received: seed={seed!r}."
            )
        self.seed = seed

    def _check(self, shape: tuple[int, ...], dtype: str) -> None:
        _precision(dtype)

    def _fixed(self, shape: tuple[int, ...], dtype: str) -> Self:
        self._check(shape, dtype)
        fixed = copy.copy(self)
        if not isinstance(self.seed, (int, np.integer)):
            fixed.seed = _next_seed(self.seed)  # the key of this draw: others may be made before it
        return fixed

    def _generator(self) -> np.random.Generator:
        seed = self.seed if isinstance(self.seed, (int, np.integer)) else _next_seed(self.seed)
        return np.random.default_rng(int(seed) % 2**128)

    def _uniform(self, shape: tuple[int, ...], dtype: str, low: float, high: float) -> Array:
        """Numbers from `low` up to but not including `high`."""
        precision = _precision(dtype)
        values = self._generator().random(shape, precision)
        values *= precision(high - low)
        values += precision(low)
        return cast(values, dtype)

    def _normal(self, shape: tuple[int, ...], dtype: str, mean: float, stddev: float) -> Array:
        precision = _precision(dtype)
        values = self._generator().standard_normal(shape, precision)
        return _moved(values, precision, dtype, mean, stddev)

    def _truncated(self, shape: tuple[int, ...], dtype: str, mean: float, stddev: float) -> Array:
        """Normal numbers, drawn again where they are more than two deviations from the mean."""
        precision = _precision(dtype)
        generator = self._generator()
        values = generator.standard_normal(math.prod(shape), precision)
        outside = np.flatnonzero(np.abs(values) > 2)
        while outside.size:
            again = generator.standard_normal(outside.size, precision)
            values[outside] = again
            outside = outside[np.abs(again) > 2]
        return _moved(values.reshape(shape), precision, dtype, mean, stddev)


def _next_seed(generator: Any) -> int:
    """The next key of a `SeedGenerator`, two 32-bit numbers, as one."""
    high, low = np.asarray(current().convert_to_numpy(generator.next())).tolist()
    return int(high) << 32 | int(low)


def _precision(dtype: str) -> type[np.float32] | type[np.float64]:
    """What numbers of a dtype are drawn in."""
    if not is_float(dtype):
        raise ValueError(
            f"Random weights must be floats. Received: dtype={dtype!r}. "
            "Give the weight a float dtype, or an initializer such as 'zeros'."
        )
    return np.float64 if dtype == "float64" else np.float32


def _moved(values: Array, precision: Any, dtype: str, mean: float, stddev: float) -> Array:
    values *= precision(stddev)
    if mean:
        values += precision(mean)
    return cast(values, dtype)


class _Normal(RandomInitializer):
    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)


class RandomNormal(_Normal):
    """Normal numbers.

    Args:
        mean: The mean.
        stddev: The standard deviation.
        seed: An integer, a `SeedGenerator`, or None.

    >>> RandomNormal(seed=1).draw((2, 3)).shape
    (2, 3)
    """

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        return self._normal(shape, dtype, self.mean, self.stddev)


class TruncatedNormal(_Normal):
    """Normal numbers, drawn again where they are more than two deviations from the mean.

    Args:
        mean: The mean.
        stddev: The standard deviation, before the cut.
        seed: An integer, a `SeedGenerator`, or None.

    >>> bool(abs(TruncatedNormal(stddev=1.0, seed=1).draw((1000,))).max() <= 2)
    True
    """

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        return self._truncated(shape, dtype, self.mean, self.stddev)


class RandomUniform(RandomInitializer):
    """Uniform numbers.

    Args:
        minval: The lower bound, included.
        maxval: The upper bound, excluded.
        seed: An integer, a `SeedGenerator`, or None.

    >>> bool(RandomUniform(0.0, 1.0, seed=1).draw((100,)).min() >= 0)
    True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        return self._uniform(shape, dtype, self.minval, self.maxval)


class VarianceScaling(RandomInitializer):
    """Numbers whose variance is `scale / n`, so that signals keep theirs from layer to layer.

    `n` is the number of inputs of a unit (`"fan_in"`), of its outputs (`"fan_out"`), or their mean
    (`"fan_avg"`).

    Args:
        scale: A positive number.
        mode: `"fan_in"`, `"fan_out"` or `"fan_avg"`.
        distribution: `"truncated_normal"` (or `"normal"`), `"untruncated_normal"` or `"uniform"`.
        seed: An integer, a `SeedGenerator`, or None.
        input_axes: The axes of the weight whose sizes make up the fan in. With `output_axes` they
            are for weights that are not laid out as a kernel `(*window, inputs, outputs)`.
        output_axes: The axes whose sizes make up the fan out.

    >>> round(float(VarianceScaling(2.0, seed=1).draw((1000, 100)).var()), 4)
    0.002
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if scale <= 0:
            raise ValueError(f"`scale` must be positive. Received: scale={scale}.")
        one_of(("fan_in", "fan_out", "fan_avg"), mode=mode)
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        distributions = ("uniform", "truncated_normal", "untruncated_normal")
        one_of(distributions, distribution=distribution)
        super().__init__(seed)
        self.distribution = distribution

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = self.scale / max(1.0, fans[self.mode])
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return self._uniform(shape, dtype, -limit, limit)
        stddev = math.sqrt(variance)
        if self.distribution == "truncated_normal":
            return self._truncated(shape, dtype, 0.0, stddev / TRUNCATED_STDDEV)
        return self._normal(shape, dtype, 0.0, stddev)


def compute_fans(
    shape: tuple[int, ...],
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[float, float]:
    """How many inputs and outputs a unit has, for a kernel of shape `(*window, inputs, outputs)`.

    >>> compute_fans((3, 3, 16, 32))
    (144, 288)
    """
    if input_axes is not None and output_axes is not None:
        out_of_range = [a for a in (*input_axes, *output_axes) if not -len(shape) <= a < len(shape)]
        if out_of_range:
            raise IndexError(
                f"Axes must be those of the weight, which has rank {len(shape)}. Received: "
                f"input_axes={input_axes}, output_axes={output_axes} for shape {shape}."
            )
        return (
            math.prod(shape[axis] for axis in input_axes),
            math.prod(shape[axis] for axis in output_axes),
        )
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class _Scaled(VarianceScaling):
    """A variance scaling that has a name."""

    #: Scale, mode and distribution.
    recipe: ClassVar[tuple[float, str, str]]

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.recipe, seed, input_axes, output_axes)


class GlorotUniform(_Scaled):
    """Uniform within sqrt(6 / (fan_in + fan_out)): Glorot and Bengio, 2010.

    >>> round(float(GlorotUniform(seed=1).draw((300, 300)).max()), 2)
    0.1
    """

    recipe = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal of variance 2 / (fan_in + fan_out): Glorot and Bengio, 2010."""

    recipe = (1.0, "fan_avg", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform within sqrt(3 / fan_in): LeCun et al., 1998."""

    recipe = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal of variance 1 / fan_in: LeCun et al., 1998."""

    recipe = (1.0, "fan_in", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform within sqrt(6 / fan_in): He et al., 2015, for units that are rectified."""

    recipe = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal of variance 2 / fan_in: He et al., 2015, for units that are rectified."""

    recipe = (2.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal rows or columns, whichever are fewer: Saxe et al., 2014.

    A weight of higher rank is such a matrix of shape `(product of all other axes, last axis)`.

    Args:
        gain: What the matrix is multiplied by.
        seed: An integer, a `SeedGenerator`, or None.

    Raises:
        ValueError: If the weight is a vector or a scalar.

    >>> matrix = Orthogonal(seed=1).draw((3, 3))
    >>> bool(np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-5))
    True
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)

    def _check(self, shape: tuple[int, ...], dtype: str) -> None:
        super()._check(shape, dtype)
        if len(shape) < 2:
            raise ValueError(
                "An orthogonal weight must have at least two axes. "
                f"Received: shape={shape} of rank {len(shape)}. Use another initializer."
            )

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        self._check(shape, dtype)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        precision = "float64" if dtype == "float64" else "float32"
        q, r = np.linalg.qr(self._normal(tall, precision, 0.0, 1.0))
        # The factorization is unique, and so q uniform, only with a positive diagonal of r.
        q *= np.where(np.diagonal(r) < 0, -1, 1).astype(q.dtype)
        q = q if rows >= columns else q.T
        return cast(self.gain * q.reshape(shape), dtype)
