"""Categories as vectors, numbers as categories: layers that compute on the engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..core.checks import one_of, positive_integer
from ..core.dtypes import numpy_dtype
from ..core.keras_tensor import KerasTensor
from ..core.scopes import SymbolicScope
from ..data import on_host
from ._preprocessing import _Preparing, learn, of_kind

Array = np.ndarray[Any, Any]

#: How categories become vectors.
MODES = ("one_hot", "multi_hot", "count")


def check_sparse(sparse: bool, output_mode: str) -> None:
    """Indices have no zeros to leave out."""
    if sparse and output_mode == "int":
        raise ValueError(
            "`sparse` goes with vectors. Received: sparse=True, output_mode='int'. Leave it out."
        )


def encoded(indices: Any, mode: str, depth: int, dtype: str, weights: Any = None) -> Any:
    """Indices `(..., n)` as vectors `(..., depth)`; what is out of range is left out.

    Args:
        indices: Integers; a scalar is a vector of one.
        mode: `one_hot`, which gives each index a vector `(..., n, depth)` unless n is 1; `multi_hot` or `count`.
        depth: The number of categories.
        dtype: The dtype of the result.
        weights: What each index counts, of its shape, for `count`.
    """
    if not len(indices.shape):
        indices = ops.reshape(indices, (1,))
    if mode == "one_hot" and len(indices.shape) > 1 and indices.shape[-1] == 1:
        indices = ops.squeeze(indices, -1)
    hot = ops.one_hot(indices, depth, dtype=dtype)
    if mode == "one_hot":
        return hot
    if weights is not None:
        hot = hot * ops.expand_dims(ops.cast(weights, dtype), -1)
    return (ops.max if mode == "multi_hot" else ops.sum)(hot, axis=-2)


def host_encoded(indices: Array, mode: str, depth: int, dtype: str, weights: Any = None) -> Array:
    """`encoded` in NumPy, which takes no more memory than its result; `tf_idf` is counts times `weights`."""
    indices = indices.reshape(indices.shape or (1,))
    if mode == "one_hot" and (indices.ndim == 1 or indices.shape[-1] != 1):
        indices = indices[..., None]
    shape = indices.shape[:-1]
    rows = np.arange(int(np.prod(shape))).reshape(*shape, 1)
    inside = (indices >= 0) & (indices < depth)
    places = (rows * depth + indices)[inside]
    counts = np.bincount(places, minlength=rows.size * depth).reshape(*shape, depth)
    capped = counts.clip(max=1) if mode in ("one_hot", "multi_hot") else counts
    found = capped.astype(numpy_dtype(dtype))
    return found if weights is None else found * weights.astype(found.dtype)


def encoded_spec(shape: Any, mode: str, depth: int, dtype: str) -> KerasTensor:
    """The shape and dtype of encoded indices of a shape."""
    with SymbolicScope():
        spec = encoded(
            KerasTensor(shape, "int32"), "count" if mode == "tf_idf" else mode, depth, dtype
        )
    return KerasTensor(spec.shape, spec.dtype)


def plain_config(config: dict[str, Any], layer: Any) -> dict[str, Any]:
    """A config as some layers have it: without `trainable`, their dtype by its name alone."""
    return {k: v for k, v in config.items() if k != "trainable"} | {
        "dtype": layer.dtype_policy.name
    }


class CategoryEncoding(_Preparing):
    """Categories, integers from 0, as vectors of zeros and ones, or of counts.

    Args:
        num_tokens: The number of categories; what is outside of them gives zeros.
        output_mode: `one_hot`, a vector for each integer; `multi_hot` or `count`, one for all of a sample.
        sparse: Accepted; the result is dense.

    Inputs are integers `(batch, n)`, outputs `(batch, num_tokens)`, or `(batch, n, num_tokens)` for `one_hot` of
    n > 1. A vector is one sample, but for `one_hot`.

    >>> import numpy as np
    >>> CategoryEncoding(3, output_mode="count")(np.array([[0, 1, 1]])).tolist()
    [[1.0, 2.0, 0.0]]
    """

    _weightless = True
    _unwritten_arguments = frozenset({"sparse"})

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(MODES, output_mode=output_mode)
        positive_integer(num_tokens=num_tokens)

    @property
    def input_dtype(self) -> str:
        """Inputs are integers."""
        return "int32"

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        """The vectors; `count_weights`, of the inputs' shape, says how much each integer counts."""
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(
                "`count_weights` go with `output_mode='count'`. Received: "
                f"output_mode={self.output_mode!r} in {self.name!r}. Leave them out."
            )
        indices = ops.cast(inputs, "int32")
        return encoded(
            indices, self.output_mode, self.num_tokens, self.compute_dtype, count_weights
        )


class Discretization(_Preparing):
    """Numbers as the indices of the bins in which they lie.

    Args:
        bin_boundaries: Where bins end and the next ones begin, rising: n of them make n + 1 bins.
        num_bins: The number of bins, where `adapt` is to find boundaries between which as many numbers lie.
        epsilon: How far a boundary that `adapt` finds may be off, as a share of the numbers.
        output_mode: `int`, or as in `CategoryEncoding`: `one_hot`, `multi_hot`, `count`.
        sparse: Accepted; the result is dense.

    A number that equals a boundary is of the bin that begins there; NaN is of the last one.

    >>> import numpy as np
    >>> Discretization([0.0, 1.0])(np.array([[-3.0, 0.0, 0.5, 7.0]])).tolist()
    [[0, 1, 1, 2]]
    """

    _weightless = True

    def __init__(
        self,
        bin_boundaries: Any = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        one_of(("int", *MODES), output_mode=output_mode)
        check_sparse(sparse, output_mode)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError(
                "Bins are given by their boundaries, or by their number to be adapted. Received: "
                f"bin_boundaries={bin_boundaries}, num_bins={num_bins}. Pass one of them."
            )
        if num_bins is not None:
            positive_integer(num_bins=num_bins)
        else:
            self.bin_boundaries = _rising(bin_boundaries)
        if not 0 < epsilon < 1:
            raise ValueError(f"`epsilon` is a share between 0 and 1. Received: epsilon={epsilon}.")
        self.reset_state()

    @property
    def output_dtype(self) -> str:
        """The dtype of the outputs: int32, or that of the vectors."""
        return "int32" if self.output_mode == "int" else self.compute_dtype

    def call(self, inputs: Any) -> Any:
        """The indices of the bins, or vectors of them."""
        boundaries = self.bin_boundaries
        if boundaries is None:
            if not isinstance(inputs, KerasTensor):
                raise ValueError(
                    "A Discretization needs boundaries before it is called. Received: the layer "
                    f"{self.name!r} without any. Pass `bin_boundaries`, or `adapt` it to data."
                )
            boundaries = [0.0] * (self.num_bins - 1)
        inputs = ops.cast(inputs, self.compute_dtype)
        edges = ops.convert_to_tensor(np.asarray(boundaries), self.compute_dtype)
        found = ops.cast(ops.searchsorted(edges, inputs, side="right"), "int32")
        if self.output_mode == "int":
            return found
        return encoded(found, self.output_mode, len(boundaries) + 1, self.compute_dtype)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find boundaries between which as many numbers of data lie.

        What is held is a summary of `1 / epsilon` numbers, not the data.

        Args:
            data: An array, or batches in whatever form `fit` takes. Targets are left out.
            steps: How many batches to read; all where it is left out.
        """
        learn(self, data, steps)

    def reset_state(self) -> None:
        """Forget the numbers seen; boundaries stay."""
        #: Numbers in rising order, each with how many it stands for.
        self._summary = np.empty((2, 0))

    def update_state(self, data: Any) -> None:
        """Take the numbers of a batch into the summary; NaN is none."""
        if self.num_bins is None:
            raise ValueError(
                "`adapt` finds boundaries where none were given. Received: a layer with "
                f"bin_boundaries={self.bin_boundaries} ({self.name!r}). Pass `num_bins` instead."
            )
        values = np.asarray(on_host(data), "float64").ravel()
        values = values[~np.isnan(values)]
        self._merge(np.stack([values, np.ones_like(values)]))

    def merge_state(self, layers: Any) -> None:
        """Take in what other layers have seen, of other parts of the data say."""
        for layer in of_kind(Discretization, layers):
            self._merge(layer._summary)

    def _merge(self, other: Array) -> None:
        merged = np.concatenate([self._summary, other], axis=1)
        merged = merged[:, np.argsort(merged[0], kind="stable")]
        most = int(np.ceil(1 / self.epsilon))
        if merged.shape[1] > 8 * most:  # so that many merges stay within epsilon
            total = merged[1].sum()
            shares = np.arange(1, 4 * most + 1) / (4 * most)
            values = _at_shares(merged, shares)
            merged = np.stack([values, np.full(values.size, total / values.size)])
        self._summary = merged

    def finalize_state(self) -> None:
        """Make boundaries of the numbers seen."""
        if self.num_bins is None or not self._summary.size:
            return
        shares = np.arange(1, self.num_bins) / self.num_bins
        self.bin_boundaries = _at_shares(self._summary, shares).astype("float32").tolist()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; `bin_boundaries` once there are some."""
        return plain_config(super().get_config(), self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The layer that `get_config` described, with the boundaries that it has found."""
        given = dict(config)
        adapted = given["bin_boundaries"] if given.get("num_bins") is not None else None
        if adapted is not None:
            given["bin_boundaries"] = None
        layer = super().from_config(given, custom_objects)
        if adapted is not None:
            layer.bin_boundaries = adapted and _rising(adapted)  # of one bin there are none
        return layer


def _rising(boundaries: Any) -> list[float]:
    found = np.asarray(boundaries, "float64").ravel()
    # Equal ones come of numbers that are frequent, none of one bin.
    if np.isnan(found).any() or np.any(np.diff(found) < 0):
        raise ValueError(
            "`bin_boundaries` are numbers that never fall. Received: "
            f"bin_boundaries={np.asarray(boundaries).tolist()}. `sorted(...)` lets them."
        )
    return found.tolist()


def _at_shares(summary: Array, shares: Array) -> Array:
    """The numbers below which these shares of a summary lie."""
    values, weights = summary
    below = np.cumsum(weights)
    return np.interp(shares, below / below[-1], values)
