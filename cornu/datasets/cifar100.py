"""CIFAR-100: small photographs of a hundred classes."""

from __future__ import annotations

import numpy as np

from ..core.checks import one_of
from ._files import Split, as_images, fetched, unpickled


def load_data(label_mode: str = "fine") -> Split:
    """50,000 photographs of 100 classes to train on and 10,000 to test with (Krizhevsky, 2009).

    Args:
        label_mode: `"fine"` for the 100 classes, `"coarse"` for the 20 that these make up.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: uint8 images (samples, 32, 32, 3), channels first where that is
        configured, and the classes (samples, 1).

    >>> (x_train, y_train), (x_test, y_test) = load_data("coarse")  # doctest: +SKIP
    """
    one_of(("fine", "coarse"), label_mode=label_mode)
    folder = fetched("cifar-100-python-target", extract=True) / "cifar-100-python"
    parts = []
    for name in ("train", "test"):
        with open(folder / name, "rb") as file:
            found = unpickled(file)
        labels = np.array(found[f"{label_mode}_labels".encode()])
        parts.append((as_images(found[b"data"]), labels[:, None]))
    return parts[0], parts[1]
