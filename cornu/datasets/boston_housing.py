"""Boston housing: prices of homes by district, in 1978."""

from __future__ import annotations

from ._files import Split, arrays, fetched, split


def load_data(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> Split:
    """506 districts with 13 numbers each, and the median price of a home in 1,000 dollars.

    One of the numbers is made from the share of Black people, on an assumption that has been shown to be false: for
    anything but old comparisons take `california_housing`.

    Args:
        path: The name of the file in the cache folder.
        test_split: The share of the districts to test with.
        seed: What their order is drawn from.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: float64 (samples, 13) and (samples,).

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    """
    found = arrays(fetched("boston_housing.npz", path))
    return split(found["x"], found["y"], test_split, seed)
