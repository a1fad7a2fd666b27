"""Logs of a batch that wait for the device only when somebody reads them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from ..engines import current

T = TypeVar("T")


def as_number(value: Any) -> Any:
    """A metric or setting as a Python number, an array of several as a NumPy array.

    >>> as_number(np.float32(0.5))
    0.5
    """
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    if not isinstance(value, (np.ndarray, np.generic)):
        if hasattr(value, "numpy"):  # a variable, or a tensor on the host
            value = value.numpy()
        elif current().is_tensor(value):
            value = current().convert_to_numpy(value)
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else array


def _of_numbers(method: Any) -> Any:
    """A dictionary's method, called once the values are numbers."""

    @functools.wraps(method)
    def fetched(self: LazyLogs, *args: Any) -> Any:
        self.fetch()
        return method(self, *args)

    return fetched


class LazyLogs(dict[str, Any]):
    """Metrics by name, whose values stay tensors until one of them is read.

    Reading any value makes all of them Python numbers, which waits for the device once. The names
    and their number are known without that. It is a `dict` in every other way: `dict(logs)`,
    `{**logs}`, `json.dumps(logs)` see numbers.

    >>> logs = LazyLogs({"loss": np.float32(0.5)})
    >>> list(logs), logs.fetched
    (['loss'], False)
    >>> logs["loss"], logs.fetched
    (0.5, True)
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.fetched = False

    def fetch(self) -> None:
        """Make the values numbers, unless that was done."""
        if not self.fetched:
            self.fetched = True
            for name, value in super().items():
                super().__setitem__(name, as_number(value))

    __getitem__ = _of_numbers(dict.__getitem__)
    get = _of_numbers(dict.get)
    items = _of_numbers(dict.items)
    values = _of_numbers(dict.values)
    pop = _of_numbers(dict.pop)
    __repr__ = _of_numbers(dict.__repr__)
    __eq__ = _of_numbers(dict.__eq__)
    __hash__ = None

    def copy(self) -> dict[str, Any]:
        """A plain dictionary of the values."""
        return dict(self.items())

    # `dict(logs)` and `{**logs}` read the tensors themselves unless iteration is overridden.
    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def __or__(self, other: Any) -> dict[str, Any]:  # type: ignore[override]
        return self.copy() | other

    def __ror__(self, other: Any) -> dict[str, Any]:  # type: ignore[override]
        return other | self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self.copy(),)
