"""California housing: prices of homes by district, in 1990."""

from __future__ import annotations

from ..core.checks import one_of
from ._files import Split, arrays, fetched, split


def load_data(
    version: str = "large",
    path: str = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> Split:
    """20,640 districts with 8 numbers each, and the median price of a home in dollars (Pace and Barry, 1997).

    Args:
        version: `"large"`, or `"small"` for the first 600 districts.
        path: The name of the file in the cache folder.
        test_split: The share of the districts to test with.
        seed: What their order is drawn from.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: float32 (samples, 8) and (samples,).

    >>> (x_train, y_train), (x_test, y_test) = load_data("small")  # doctest: +SKIP
    """
    one_of(("large", "small"), version=version)
    found = arrays(fetched("california_housing.npz", path))
    rows = slice(600 if version == "small" else None)
    return split(found["x"][rows], found["y"][rows], test_split, seed)
