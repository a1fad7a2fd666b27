"""CIFAR-10: small photographs of ten classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._files import Split, as_images, fetched, unpickled


def load_data() -> Split:
    """50,000 photographs of 10 classes to train on and 10,000 to test with (Krizhevsky, 2009).

    Returns:
        `(x_train, y_train), (x_test, y_test)`: uint8 images (samples, 32, 32, 3), channels first where that is
        configured, and the classes (samples, 1).

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    """
    folder = fetched("cifar-10-batches-py-target", extract=True) / "cifar-10-batches-py"
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    *train, test = ((folder / name).read_bytes() for name in names)
    return _joined([_batch(content) for content in train]), _joined([_batch(test)])


def _batch(content: bytes) -> Any:
    import io

    found = unpickled(io.BytesIO(content))
    return found[b"data"], found[b"labels"]


def _joined(batches: Any) -> Any:
    rows, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return as_images(rows), labels.astype("uint8")[:, None]
