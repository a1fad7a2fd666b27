"""The samples that a model is run on, for weights to be fitted to what comes in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import ops
from .grouped import Array


def samples(dataset: Any, tokenizer: Any, count: int, length: int) -> Array:
    """Windows of tokens at equal distances, `(count, length)`, of a data set that is repeated as is needed.

    Args:
        dataset: Strings, or arrays of tokens; without a tokenizer also arrays of floats, each of which is a sample.
        tokenizer: Has a method `tokenize(string)`.
        count: How many samples there shall be; of floats there may be less.
        length: The tokens of each.

    Raises:
        TypeError: If the data set can't be iterated over, or is one string.
        ValueError: If it has no tokens, or strings and no tokenizer.

    >>> class Letters:
    ...     def tokenize(self, text):
    ...         return [ord(letter) for letter in text]
    >>> samples(["abcd"], Letters(), 2, 2).tolist()
    [[97, 98], [98, 99]]
    >>> samples(np.arange(6), None, 2, 2).tolist(), samples(np.ones((3, 4)), None, 2, 9).shape
    ([[0, 1], [2, 3]], (2, 4))
    """
    if isinstance(dataset, str) or not isinstance(dataset, Iterable):
        raise TypeError(
            "`dataset` must be strings or arrays to calibrate on. Received: "
            f"dataset={dataset!r:.60} of type {type(dataset).__name__}. Give a list."
        )
    found = [_tokens(item, tokenizer) for item in dataset]
    if found and tokenizer is None and np.issubdtype(found[0].dtype, np.floating):
        return np.stack(found[:count])
    tokens = np.concatenate([[], *(item.reshape(-1) for item in found)]).astype("int32")
    if not len(tokens):
        raise ValueError(f"`dataset` must have tokens. Received: {len(found)} items without any.")
    tokens = np.tile(tokens, -(-count * length // len(tokens)))
    last = len(tokens) - length + 1
    starts = np.arange(count) * max(1, last // count) % last
    return tokens[starts[:, None] + np.arange(length)]


def _tokens(item: Any, tokenizer: Any) -> Array:
    if isinstance(item, str):
        if not hasattr(tokenizer, "tokenize"):
            raise ValueError(
                "Strings need a tokenizer with a method `tokenize`. Received: "
                f"tokenizer={tokenizer!r}, and strings in `dataset`."
            )
        item = tokenizer.tokenize(item)
    return np.asarray(ops.convert_to_numpy(item))
