"""MNIST: handwritten digits."""

from __future__ import annotations

from ._files import Split, arrays, fetched


def load_data(path: str = "mnist.npz") -> Split:
    """60,000 images of handwritten digits to train on and 10,000 to test with (LeCun, Cortes and Burges, 1998).

    Args:
        path: The name of the file in the cache folder, or another path.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: uint8 images (samples, 28, 28), and the digits (samples,).

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    """
    found = arrays(fetched("mnist.npz", path))
    return (found["x_train"], found["y_train"]), (found["x_test"], found["y_test"])
