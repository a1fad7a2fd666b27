"""Hashing: strings and integers as numbers below a bound, without a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.checks import one_of, positive_integer
from ..core.dtypes import numpy_dtype
from ..core.keras_tensor import KerasTensor
from ..data import Packed, on_host, packed
from ..engines.host import holds_text
from ._categories import MODES, check_sparse, encoded_spec, host_encoded, plain_config
from ._fingerprints import crossed, fingerprint64, siphash
from ._host import HostLayer

Array = np.ndarray[Any, Any]


def salt_key(salt: Any) -> tuple[int, int] | None:
    """The key of SipHash that a salt is: one integer, twice, or two; None where there is none."""
    if salt is None:
        return None
    pair = (salt, salt) if np.ndim(salt) == 0 else tuple(salt)
    if len(pair) != 2 or not all(isinstance(x, (int, np.integer)) for x in pair):
        raise ValueError(
            f"`salt` is an integer or a pair of integers. Received: salt={salt!r}. Pass `salt=133`, say."
        )
    return int(pair[0]), int(pair[1])


def hashed(strings: Packed, salt: tuple[int, int] | None) -> Array:
    """The fingerprint of each string, or its SipHash under a salt, uint64."""
    return fingerprint64(strings) if salt is None else siphash(strings, salt)


def whole(x: Array, layer: HostLayer) -> Array:
    """Numbers that a layer takes for categories, as integers."""
    if x.dtype.kind == "i":
        return x
    with np.errstate(invalid="ignore"):
        found = x.astype("int64")
    if x.dtype.kind == "f" and (found != x).any():
        raise ValueError(
            f"Categories are whole numbers. Received: {x[found != x].flat[0]} for {layer.name!r}. Make bins of numbers "
            "first: `layers.Discretization`."
        )
    return found


class Hashing(HostLayer):
    """Strings and integers as numbers below `num_bins`: equal ones get equal numbers, others mostly not.

    Args:
        num_bins: The number of bins.
        mask_value: A value that gets the bin 0, which no other value gets then.
        salt: An integer or a pair of them, for other numbers: SipHash-2-4 under this key in place of FarmHash64.
        output_mode: `int`, or as in `CategoryEncoding`: `one_hot`, `multi_hot`, `count`.
        sparse: Accepted; the result is dense.

    >>> Hashing(num_bins=3)([["A"], ["B"], ["C"], ["D"], ["E"]]).tolist()
    [[1], [0], [1], [1], [2]]
    """

    _converters = {"salt": salt_key}

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else None
        super().__init__(**kwargs)
        positive_integer(num_bins=num_bins)
        one_of(("int", *MODES), output_mode=output_mode)
        check_sparse(sparse, output_mode)

    @property
    def input_dtype(self) -> str:
        """Inputs are strings, or integers of any size."""
        return "string"

    def _compute(self, inputs: Array) -> Array:
        if not holds_text(inputs):
            inputs = whole(inputs, self)
        bins = self.num_bins
        found = hashed(packed(inputs), self.salt).reshape(inputs.shape)
        if self.mask_value is None:
            found = found % np.uint64(bins)
        else:
            found = found % np.uint64(max(1, bins - 1)) + np.uint64(1)
            found[self._is_mask(inputs)] = 0
        indices = found.astype("int64")
        if self.output_mode == "int":
            return indices.astype(numpy_dtype(self.compute_dtype), copy=False)
        return host_encoded(indices, self.output_mode, bins, self.compute_dtype)

    def _is_mask(self, inputs: Array) -> Array:
        if not holds_text(inputs):
            return np.asarray(inputs == self.mask_value)
        mask = self.mask_value
        both = {mask, mask.encode() if isinstance(mask, str) else bytes(mask).decode()}
        return np.array([x in both for x in inputs.ravel().tolist()], bool).reshape(inputs.shape)

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        """The output's shape and dtype."""
        if self.output_mode == "int":
            return KerasTensor(inputs.shape, self.compute_dtype)
        return encoded_spec(inputs.shape, self.output_mode, self.num_bins, self.compute_dtype)


class HashedCrossing(HostLayer):
    """One category for the values of several features together, as a number below `num_bins`.

    Args:
        num_bins: The number of bins.
        output_mode: `int` or `one_hot`.
        sparse: Accepted; the result is dense.

    A call takes a list or tuple of strings and integers, each `()`, `(batch,)` or `(batch, 1)`.

    >>> HashedCrossing(5)((["A", "B", "A"], [101, 101, 102])).tolist()
    [1, 4, 3]
    """

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        dtype = "int64" if dtype is None and output_mode == "int" else dtype
        super().__init__(name=name, dtype=dtype, **kwargs)
        positive_integer(num_bins=num_bins)
        one_of(("int", "one_hot"), output_mode=output_mode)

    @property
    def input_dtype(self) -> str:
        """Inputs are strings or integers."""
        return "string"

    def _gathered(self, x: Any) -> Any:
        plain = (str, bytes, int, list, tuple)
        several = isinstance(x, (list, tuple))
        return [on_host(part) if isinstance(part, plain) else part for part in x] if several else x

    def _check(self, inputs: Any) -> None:
        """Check that there are several features, of one shape, of strings or integers."""
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ValueError(
                "A crossing takes a list of at least two features. Received: "
                f"{type(inputs).__name__} of {len(inputs) if isinstance(inputs, (list, tuple)) else 'one'} for "
                f"{self.name!r}. Pass `[a, b]`."
            )
        shapes = [tuple(x.shape) for x in inputs]
        if any(len(s) > 2 or (len(s) == 2 and s[1] != 1) for s in shapes) or len(set(shapes)) > 1:
            raise ValueError(
                "The features of a crossing have one shape: (), (batch,) or (batch, 1). Received: "
                f"shapes={shapes} for {self.name!r}. Cross columns one by one."
            )
        kinds = [x.dtype if isinstance(x, KerasTensor) else _kind(x) for x in inputs]
        wrong = [kind for kind in kinds if kind != "string" and "int" not in kind]
        if wrong:
            raise ValueError(
                f"The features of a crossing are strings or integers. Received: dtype={wrong[0]} for "
                f"{self.name!r}. Make bins of numbers first: `layers.Discretization`."
            )

    def _compute(self, inputs: Any) -> Array:
        self._check(inputs)
        columns = [
            hashed(packed(x), None) if holds_text(x) else x.ravel().astype("int64").view("uint64")
            for x in inputs
        ]
        found = (crossed(columns) % np.uint64(self.num_bins)).astype("int64")
        indices = found.reshape(inputs[0].shape)
        if self.output_mode == "int":
            return indices.astype(numpy_dtype(self.compute_dtype), copy=False)
        return host_encoded(indices, "one_hot", self.num_bins, self.compute_dtype)

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        """The output's shape and dtype."""
        self._check(inputs)
        shape = inputs[0].shape
        if self.output_mode == "int":
            return KerasTensor(shape, self.compute_dtype)
        return encoded_spec(shape, "one_hot", self.num_bins, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for the inputs' shapes."""
        return self.compute_output_spec([KerasTensor(s, "string") for s in input_shape]).shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return plain_config(super().get_config(), self)


def _kind(x: Array) -> str:
    return "string" if holds_text(x) else str(x.dtype)
