"""Reuters: newswires and their topics."""

from __future__ import annotations

import numpy as np

from ._files import Split, arrays, fetched, numbered, parted, shuffled, word_index

#: The topics, by their numbers.
_TOPICS = """
    cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves
    ship cotton carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold
    tin strategic-metal livestock retail ipi iron-steel rubber heat jobs lei bop zinc orange
    pet-chem dlr gas silver wpi hog lead
    """


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> Split:
    """11,228 newswires of 1987 on 46 topics, as numbers of words.

    Args:
        path: The name of the file in the cache folder.
        num_words, skip_top, maxlen: As of `imdb.load_data`.
        test_split: The share of the texts to test with.
        seed, start_char, oov_char, index_from: As of `imdb.load_data`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: arrays of lists of integers, and the topics.

    >>> (x_train, y_train), (x_test, y_test) = load_data(num_words=10_000)  # doctest: +SKIP
    """
    found = arrays(fetched("reuters.npz", path))
    order = shuffled(len(found["x"]), np.random.RandomState(seed))
    x, y = found["x"][order], found["y"][order]
    x, y = numbered(x, y, num_words, skip_top, maxlen, start_char, oov_char, index_from)
    return parted(x, y, test_split)


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """The number of each word in the newswires, without what `index_from` adds.

    >>> get_word_index()["the"]  # doctest: +SKIP
    1
    """
    return word_index("reuters_word_index.json", path)


def get_label_names() -> tuple[str, ...]:
    """The names of the topics, by their numbers.

    >>> get_label_names()[3]
    'earn'
    """
    return tuple(_TOPICS.split())
