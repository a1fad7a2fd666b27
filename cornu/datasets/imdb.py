"""IMDB: reviews of films, liked or not."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._files import Split, arrays, fetched, numbered, shuffled, word_index


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    **kwargs: Any,
) -> Split:
    """25,000 reviews of films to train on and 25,000 to test with, as numbers of words (Maas et al., 2011).

    Args:
        path: The name of the file in the cache folder.
        num_words: Numbers from this one on count as unknown; None for none.
        skip_top: As do those below this one.
        maxlen: Only texts shorter than this are kept.
        seed: What the order is drawn from.
        start_char: What each text begins with; None for nothing.
        oov_char: What stands for an unknown word; None to leave them out.
        index_from: What is added to the numbers of words, the most frequent of which is 1 in `get_word_index`.
        **kwargs: Refused.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: arrays of lists of integers, and 1 for those who liked the film.

    >>> (x_train, y_train), (x_test, y_test) = load_data(num_words=10_000)  # doctest: +SKIP
    """
    if kwargs:
        raise TypeError(f"`load_data` takes no such arguments. Received: {sorted(kwargs)}.")
    found = arrays(fetched("imdb.npz", path))
    draw = np.random.RandomState(seed)
    largest = max(max(text) for name in ("x_train", "x_test") for text in found[name])
    limit = num_words or largest + (index_from or 0)  # of both parts
    parts = []
    for name in ("train", "test"):
        order = shuffled(len(found[f"x_{name}"]), draw)
        x, y = found[f"x_{name}"][order], found[f"y_{name}"][order]
        parts.append(numbered(x, y, limit, skip_top, maxlen, start_char, oov_char, index_from))
    return parts[0], parts[1]


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """The number of each word in the reviews, without what `index_from` adds.

    >>> get_word_index()["film"]  # doctest: +SKIP
    19
    """
    return word_index("imdb_word_index.json", path)
