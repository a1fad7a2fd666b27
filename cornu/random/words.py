"""Random words from a key, and the plain numbers made of them: the same on every engine.

A draw is a function of the key and of each element's position, written elementwise: a compiler fuses
it with what uses it (on a 2-core CPU a dropout mask of (256, 26, 26, 32) takes JAX 1.1 ms, and by the
bits of its own generator 61 ms), and a custom training step gives the same losses on every engine.
"""

from __future__ import annotations

import math
from typing import Any

from ..core.types import Tensor
from ..engines import current as engine

#: How many random bits a float of each dtype is made of: those of its significand.
_BITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 24}


def words(key: Tensor, shape: Any) -> Tensor:
    """Uniform int32 words for a key, uint32 `(2,)`; within one draw no word comes twice."""
    key = engine().view(key, "int32")
    first, second = (engine().get_item(key, (slice(i, i + 1),)) for i in range(2))
    start = _hashed(engine().add(first, _hashed(second)))
    salt = _hashed(engine().bitwise_xor(second, _hashed(engine().add(first, word(1)))))
    places = engine().arange(0, math.prod(shape), 1, "int32")
    mixed = _hashed(engine().bitwise_xor(_hashed(engine().add(places, start)), salt))
    return engine().reshape(mixed, shape)


def uniform(key: Tensor, shape: Any, dtype: str) -> Tensor:
    """Floats in [0, 1)."""
    bits = _BITS[dtype]
    return _over(_high_bits(words(key, shape), bits), bits, dtype)


def normal(key: Tensor, shape: Any, dtype: str) -> Tensor:
    """Standard normal numbers: the inverse of their distribution function at the midpoints of 2**23
    intervals, which are symmetric and never -1, 0 or 1."""
    halves = engine().left_shift(_high_bits(words(key, shape), 23), word(1))
    centred = engine().add(halves, word(1 - 2**23))
    wide = "float64" if dtype == "float64" else "float32"
    numbers = engine().erfinv(_over(centred, 23, wide))
    numbers = engine().multiply(numbers, engine().full((), math.sqrt(2), wide))
    return numbers if dtype == wide else engine().cast(numbers, dtype)


def randint(key: Tensor, shape: Any, low: Tensor, high: Tensor, dtype: str) -> Tensor:
    """Integers in [low, high), scalars or tensors of 32 bits."""
    low, high = engine().cast(low, "int32"), engine().cast(high, "int32")
    span, drawn = engine().subtract(high, low), words(key, shape)
    offset = engine().mod(drawn, engine().maximum(span, word(1)))
    # A span of 2**31 or more wraps below zero; most words then lie in the range as they are.
    inside = engine().logical_and(engine().less_equal(low, drawn), engine().less(drawn, high))
    folded = engine().add(low, engine().subtract(drawn, high))
    wrapped = engine().where(inside, drawn, folded)
    numbers = engine().where(engine().less(span, word(0)), wrapped, engine().add(low, offset))
    return engine().cast(numbers, dtype)


def permutation(key: Tensor, x: Tensor, axis: int) -> Tensor:
    """The slices along an axis in random order: that of their words."""
    order = engine().argsort(words(key, (engine().shape_of(x)[axis],)), 0)
    return engine().take(x, order, axis)


def split(key: Tensor, count: int) -> list[Tensor]:
    """Independent keys from one."""
    pairs = engine().view(words(key, (count, 2)), "uint32")
    return [engine().get_item(pairs, (i,)) for i in range(count)]


def word(value: int) -> Tensor:
    """A scalar of 32 bits."""
    return engine().full((), value, "int32")


def _high_bits(x: Tensor, count: int) -> Tensor:
    """The first bits of words, as integers that are not negative."""
    shifted = engine().right_shift(x, word(32 - count))
    return engine().bitwise_and(shifted, word((1 << count) - 1))


def _over(integers: Tensor, bits: int, dtype: str) -> Tensor:
    """Integers over 2**bits, as floats."""
    return engine().multiply(engine().cast(integers, dtype), engine().full((), 2.0**-bits, dtype))


def _hashed(x: Tensor) -> Tensor:
    """Words of 32 bits mixed, one to one. Source: the hash "lowbias32" of C. Wellons.

    In signed words, which every library multiplies; masks make their shifts logical.
    """
    x = _folded(x, 16)
    x = _folded(engine().multiply(x, word(0x7FEB352D)), 15)
    return _folded(engine().multiply(x, word(0x846CA68B - 2**32)), 16)


def _folded(x: Tensor, bits: int) -> Tensor:
    return engine().bitwise_xor(x, _high_bits(x, 32 - bits))
