"""Numbers from strings: FarmHash64's fingerprint, SipHash-2-4, and the fingerprint of several in a row.

Each is computed for all strings of an array at once, on 64-bit words that are read from any place of their bytes.
FarmHash: https://github.com/google/farmhash (`farmhashna::Hash64`); SipHash: Aumasson and Bernstein, "SipHash: a
fast short-input PRF" (2012), https://cr.yp.to/siphash/siphash-20120918.pdf.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data import Packed
from ._table import pieces, words_of

Words = np.ndarray[Any, Any]  # of uint64: sums and products are modulo 2**64

_K0, _K1, _K2 = (np.uint64(k) for k in (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F))


def fingerprint64(strings: Packed) -> Words:
    """FarmHash64's fingerprint of each string, uint64, the same on every machine.

    >>> from cornu.data import joined
    >>> fingerprint64(joined([b"a", b"abcdefghijklmnopqrstuvwxyz"])).tolist()
    [12917804110809363939, 6822236678030897597]
    """
    parts = [_fingerprint64(part) for part in pieces(strings)]
    return np.concatenate(parts) if parts else np.empty(0, "uint64")


def _fingerprint64(strings: Packed) -> Words:
    words, starts, lengths = words_of(strings), strings.starts, strings.lengths
    found = np.empty(lengths.size, "uint64")
    bounds = (0, 1, 4, 8, 17, 33, 65, np.inf)
    kinds = (_empty, _to_3, _to_7, _to_16, _to_32, _to_64, _longer)
    for low, high, hashed in zip(bounds, bounds[1:], kinds, strict=False):
        places = np.flatnonzero((lengths >= low) & (lengths < high))
        if places.size:
            found[places] = hashed(words, starts[places], lengths[places])
    return found


def _empty(words: Words, at: Words, n: Words) -> Words:
    return np.full(at.size, _K2)


def _to_3(words: Words, at: Words, n: Words) -> Words:
    first, middle, last = (words[i] & np.uint64(0xFF) for i in (at, at + (n >> 1), at + n - 1))
    y, z = first + (middle << np.uint64(8)), n.astype("uint64") + (last << np.uint64(2))
    return _shifted(y * _K2 ^ z * _K0) * _K2


def _to_7(words: Words, at: Words, n: Words) -> Words:
    first, last = (words[i] & np.uint64(0xFFFFFFFF) for i in (at, at + n - 4))
    return _mixed(n.astype("uint64") + (first << np.uint64(3)), last, _factor(n))


def _to_16(words: Words, at: Words, n: Words) -> Words:
    factor = _factor(n)
    a, b = words[at] + _K2, words[at + n - 8]
    c, d = _rotated(b, 37) * factor + a, (_rotated(a, 25) + b) * factor
    return _mixed(c, d, factor)


def _to_32(words: Words, at: Words, n: Words) -> Words:
    factor = _factor(n)
    a, b = words[at] * _K1, words[at + 8]
    c, d = words[at + n - 8] * factor, words[at + n - 16] * _K2
    y = _rotated(a + b, 43) + _rotated(c, 30) + d
    return _mixed(y, a + _rotated(b + _K2, 18) + c, factor)


def _to_64(words: Words, at: Words, n: Words) -> Words:
    factor = _factor(n)
    a, b = words[at] * _K2, words[at + 8]
    c, d = words[at + n - 8] * factor, words[at + n - 16] * _K2
    y = _rotated(a + b, 43) + _rotated(c, 30) + d
    z = _mixed(y, a + _rotated(b + _K2, 18) + c, factor)
    e, f = words[at + 16] * factor, words[at + 24]
    g, h = (y + words[at + n - 32]) * factor, (z + words[at + n - 24]) * factor
    return _mixed(_rotated(e + f, 43) + _rotated(g, 30) + h, e + _rotated(f + a, 18) + g, factor)


def _longer(words: Words, at: Words, n: Words) -> Words:
    """Of strings of more than 64 bytes: block by block, then the last 64 bytes once more."""
    seed = np.full(at.size, 81, "uint64")
    x, y = words[at] + seed * _K2, seed * _K1 + np.uint64(113)
    z = _shifted(y * _K2 + np.uint64(113)) * _K2
    state = np.stack([x, y, z, *np.zeros((4, at.size), "uint64")])
    blocks = (n - 1) // 64
    for block in range(int(blocks.max())):
        open_ = np.flatnonzero(blocks > block)
        state[:, open_] = _block(words, at[open_] + 64 * block, state[:, open_])
    x, y, z, v1, v2, w1, w2 = state
    factor = _K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
    w1 = w1 + (n - 1 & 63).astype("uint64")
    v1 = v1 + w1
    w1 = w1 + v1
    x, y, z, v1, v2, w1, w2 = _block(words, at + n - 64, (x, y, z, v1, v2, w1, w2), factor, 9)
    return _mixed(
        _mixed(v1, w1, factor) + _shifted(y) * _K0 + z, _mixed(v2, w2, factor) + x, factor
    )


def _block(
    words: Words, at: Words, state: Any, factor: Any = _K1, more: int = 1
) -> tuple[Words, ...]:
    """The state after 64 bytes more."""
    x, y, z, v1, v2, w1, w2 = state
    x = _rotated(x + y + v1 + words[at + 8], 37) * factor
    y = _rotated(y + v2 + words[at + 48], 42) * factor
    x = x ^ w2 * np.uint64(more)
    y = y + v1 * np.uint64(more) + words[at + 40]
    z = _rotated(z + w1, 33) * factor
    v1, v2 = _weak(words, at, v2 * factor, x + w1)
    w1, w2 = _weak(words, at + 32, z + w2, y + words[at + 16])
    return z, y, x, v1, v2, w1, w2


def _weak(words: Words, at: Words, a: Words, b: Words) -> tuple[Words, Words]:
    w, x, y, z = (words[at + i] for i in (0, 8, 16, 24))
    a = a + w
    b = _rotated(b + a + z, 21)
    return a + x + y + z, b + _rotated(a + x + y, 44) + a


def _factor(n: Words) -> Words:
    return _K2 + n.astype("uint64") * np.uint64(2)


def _mixed(u: Words, v: Words, factor: Any) -> Words:
    a = _shifted((u ^ v) * factor)
    return _shifted((v ^ a) * factor) * factor


def _shifted(x: Words) -> Words:
    return x ^ (x >> np.uint64(47))


def _rotated(x: Words, right: int) -> Words:
    return (x >> np.uint64(right)) | (x << np.uint64(64 - right))


# ------------------------------------------------------------------------------------- SipHash


def siphash(strings: Packed, key: Sequence[int]) -> Words:
    """SipHash-2-4 of each string under a key of two 64-bit integers, uint64.

    >>> from cornu.data import joined
    >>> key = 0x0706050403020100, 0x0F0E0D0C0B0A0908
    >>> hex(siphash(joined([bytes(range(15))]), key)[0])
    '0xa129ca6149be45e5'
    """
    words, at, n = words_of(strings), strings.starts, strings.lengths
    k0, k1 = (np.uint64(int(k) & 0xFFFFFFFFFFFFFFFF) for k in key)
    constants = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    starting = [np.uint64(c) ^ k for c, k in zip(constants, (k0, k1, k0, k1), strict=True)]
    state = np.repeat(np.array(starting)[:, None], n.size, axis=1)
    for block in range(int(n.max(initial=0)) // 8):
        whole = np.flatnonzero(n // 8 > block)
        state[:, whole] = _absorbed(state[:, whole], words[at[whole] + 8 * block])
    rest = (n % 8).astype("uint64")
    # The last bytes, and the length in the highest one.
    kept = (np.uint64(1) << (rest * np.uint64(8))) - np.uint64(1)
    last = words[at + n // 8 * 8] & kept | n.astype("uint64") << np.uint64(56)
    v = list(_absorbed(state, last))
    v[2] = v[2] ^ np.uint64(0xFF)
    for _ in range(4):
        v = _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _absorbed(state: Any, word: Words) -> Any:
    v = list(state)
    v[3] = v[3] ^ word
    v = _round(_round(v))
    v[0] = v[0] ^ word
    return v


def _round(v: list[Words]) -> list[Words]:
    a, b, c, d = v
    a, c = a + b, c + d
    b, d = _rotated(b, 51) ^ a, _rotated(d, 48) ^ c
    a = _rotated(a, 32)
    c, a = c + b, a + d
    b, d = _rotated(b, 47) ^ c, _rotated(d, 43) ^ a
    return [a, b, _rotated(c, 32), d]


# ---------------------------------------------------------------------------------- crossing

_KEY, _CAT = np.uint64(0xDECAFCAFFE), np.uint64(0xC6A4A7935BD1E995)


def crossed(columns: Sequence[Words]) -> Words:
    """One number for the numbers of several columns, uint64: fingerprints of strings, integers themselves.

    It is that of TensorFlow's `FingerprintCat64`, from the key of its crossed columns on.
    """
    found = np.full_like(columns[0], _KEY)
    for column in columns:
        mixed = found ^ _CAT ^ _shifted(column * _CAT) * _CAT
        found = _shifted(_shifted(mixed * _CAT) * _CAT)
    return found
