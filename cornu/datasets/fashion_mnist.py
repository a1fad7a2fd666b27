"""Fashion-MNIST: clothes, in the form of MNIST."""

from __future__ import annotations

import gzip

import numpy as np

from ._files import Array, Split, fetched

#: The first bytes of a file of images, and of one of labels: uint8, with so many axes.
_MAGIC = b"\0\0\x08"


def load_data() -> Split:
    """60,000 images of clothes of 10 kinds to train on and 10,000 to test with (Xiao, Rasul and Vollgraf, 2017).

    Returns:
        `(x_train, y_train), (x_test, y_test)`: uint8 images (samples, 28, 28), and the kinds (samples,).

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    """
    train, test = (
        (_read(f"{part}-images-idx3-ubyte.gz"), _read(f"{part}-labels-idx1-ubyte.gz"))
        for part in ("train", "t10k")
    )
    return train, test


def _read(name: str) -> Array:
    """An array in the IDX format: its axes, and their sizes as big-endian integers of 32 bits."""
    path = fetched(name, cache_subdir="datasets/fashion-mnist")
    with gzip.open(path) as file:
        content = file.read()
    axes = content[3]
    if content[:3] != _MAGIC:
        raise ValueError(
            f"A file of Fashion-MNIST is in the IDX format. Received: {path}. Remove it."
        )
    sizes = np.frombuffer(content, ">i4", axes, 4)
    return np.frombuffer(content, "uint8", offset=4 + 4 * axes).reshape(sizes).copy()
