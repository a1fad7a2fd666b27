"""Random numbers from a key: the distributions, over uniform and normal numbers and the engine's gamma."""

from __future__ import annotations

import math
from typing import Any

from ..core.op import floating, namespace
from ..core.types import Raw, Tensor
from ..engines import current as engine
from . import words

op = namespace("random")


@op
def normal(key: Raw, shape: Any, mean: Raw, stddev: Raw, dtype: str) -> Tensor:
    """Normal numbers."""
    return _scaled(words.normal(key, shape, dtype), stddev, mean, dtype)


@op
def uniform(key: Raw, shape: Any, low: Raw, high: Raw, dtype: str) -> Tensor:
    """Uniform floats in [low, high)."""
    low, high = engine().cast(low, dtype), engine().cast(high, dtype)
    numbers = words.uniform(key, shape, dtype)
    numbers = _scaled(numbers, engine().subtract(high, low), low, dtype)
    # low + (high - low) * u can round up to `high`, or down below `low` by cancellation.
    return engine().maximum(low, engine().minimum(numbers, high))


@op
def randint(key: Raw, shape: Any, low: Raw, high: Raw, dtype: str) -> Tensor:
    """Uniform integers in [low, high)."""
    return words.randint(key, shape, low, high, dtype)


@op
def truncated_normal(key: Raw, shape: Any, mean: Raw, stddev: Raw, dtype: str) -> Tensor:
    """Normal numbers within two standard deviations of the mean, by the inverse of their
    distribution function."""
    wide = "float32" if dtype in ("float16", "bfloat16") else dtype
    numbers = words.uniform(key, shape, wide)
    edge = math.erf(math.sqrt(2))
    numbers = engine().subtract(_times(numbers, 2 * edge, wide), _number(edge, wide))
    numbers = _times(engine().erfinv(numbers), math.sqrt(2), wide)
    numbers = engine().maximum(_number(-2, wide), engine().minimum(numbers, _number(2, wide)))
    return engine().cast(_scaled(numbers, stddev, mean, wide), dtype)


@op(promote=floating)
def categorical(logits: Tensor, key: Raw, num_samples: int, dtype: str) -> Tensor:
    """Class indices `(batch, num_samples)` by the Gumbel trick: the largest of the logits
    `(batch, classes)` after Gumbel noise is a draw from their softmax."""
    batch, classes = engine().shape_of(logits)
    logits = engine().cast(logits, "float32")
    numbers = words.uniform(key, (batch, num_samples, classes), "float32")
    noise = engine().negative(engine().log(engine().negative(engine().log(numbers))))
    scores = engine().add(engine().reshape(logits, (batch, 1, classes)), noise)
    return engine().cast(engine().argmax(scores, 2), dtype)


@op
def gamma(key: Raw, shape: Any, alpha: Raw, dtype: str) -> Tensor:
    """Gamma numbers of scale 1."""
    return engine().random_gamma(key, shape, engine().cast(alpha, dtype), dtype)


@op
def beta(key: Raw, shape: Any, alpha: Raw, beta: Raw, dtype: str) -> Tensor:
    """x / (x + y) for gamma numbers x and y, in logarithms: small parameters give numbers that
    floats can't hold otherwise."""
    keys = words.split(key, 4)
    x = _log_gamma(keys[:2], shape, engine().cast(alpha, "float32"))
    y = _log_gamma(keys[2:], shape, engine().cast(beta, "float32"))
    return engine().cast(engine().sigmoid(engine().subtract(x, y)), dtype)


@op
def binomial(key: Raw, shape: Any, counts: Raw, probabilities: Raw, dtype: str) -> Tensor:
    """Successes among `counts` trials."""
    counts, probabilities = engine().cast(counts, dtype), engine().cast(probabilities, dtype)
    return engine().random_binomial(key, shape, counts, probabilities, dtype)


@op(promote=floating)
def dropout(inputs: Tensor, key: Raw, rate: float, noise_shape: Any) -> Tensor:
    """Inputs set to zero at `rate`, the others scaled so that the mean stays.

    The mask is the same on every engine.
    """
    dtype, shape = engine().dtype_of(inputs), engine().shape_of(inputs)
    if rate == 1:
        return engine().multiply(inputs, _number(0, dtype))
    if noise_shape is not None:
        pairs = zip(noise_shape, shape, strict=True)
        shape = tuple(own if given is None else given for given, own in pairs)
    scaled = _times(inputs, 1 / (1 - rate), dtype)
    return engine().where(_kept(key, shape, rate), scaled, _number(0, dtype))


@op
def shuffle(x: Raw, key: Raw, axis: int) -> Tensor:
    """The slices along an axis in random order."""
    axis = axis % len(engine().shape_of(x))
    return words.permutation(key, x, axis)


def _kept(key: Tensor, shape: Any, rate: float) -> Tensor:
    """Booleans that are False at `rate`."""
    threshold = min(round(rate * 2**32), 2**32 - 1) - 2**31
    return engine().greater_equal(words.words(key, shape), words.word(threshold))


def _log_gamma(keys: list[Tensor], shape: Any, alpha: Tensor) -> Tensor:
    """Logarithms of gamma numbers: G(a) = G(a + 1) * u ** (1 / a) holds in distribution."""
    numbers_key, power_key = keys
    one = _number(1, "float32")
    numbers = engine().random_gamma(numbers_key, shape, engine().add(alpha, one), "float32")
    uniform_numbers = words.uniform(power_key, shape, "float32")
    # 1 - u lies in (0, 1]: its logarithm is finite.
    powers = engine().log(engine().subtract(one, uniform_numbers))
    return engine().add(engine().log(numbers), engine().divide(powers, alpha))


def _number(value: float, dtype: str) -> Tensor:
    return engine().full((), value, dtype)


def _times(x: Tensor, factor: float, dtype: str) -> Tensor:
    return engine().multiply(x, _number(factor, dtype))


def _scaled(x: Tensor, factor: Tensor, offset: Tensor, dtype: str) -> Tensor:
    """x * factor + offset."""
    scaled = engine().multiply(x, engine().cast(factor, dtype))
    return engine().add(scaled, engine().cast(offset, dtype))
