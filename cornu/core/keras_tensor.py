"""KerasTensor: a tensor that is not there yet, and how it came to be.

Its shape and dtype are those of the spec engine; its history names the operation that makes it, so
that a model can be read off its outputs. Its operators (`x + 1`, `x[:, 0]`) are ops.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..engines.spec import Spec, SpecEngine
from . import naming
from .dtypes import standardize_dtype
from .operators import OPS, OpOperators


class KerasHistory(NamedTuple):
    """The operation that makes a tensor, which of its calls, and which of the call's outputs."""

    operation: Any
    node_index: int
    tensor_index: int


class NoValueError(TypeError):
    """A value was asked of a symbolic tensor."""


class KerasTensor(OpOperators, Spec):
    """A symbolic tensor: a shape, a dtype, and the operation that gives it.

    Args:
        shape: The dimensions; `None` where one is unknown.
        dtype: The dtype's name.
        name: A unique name; made up where it is left out.

    >>> KerasTensor((None, 3))
    <KerasTensor shape=(None, 3), dtype=float32, name=keras_tensor>
    """

    def __init__(
        self,
        shape: Any,
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise TypeError(
                f"KerasTensor takes shape, dtype, sparse, ragged and name. Received: {kwargs}."
            )
        if ragged:
            raise ValueError(
                f"Tensors are dense or sparse. Received: ragged={ragged!r}. Pad the data, with a mask "
                "where padding must not count."
            )
        super().__init__(shape, standardize_dtype(dtype))
        self.sparse = bool(sparse)
        self.ragged = False
        self.record_history = record_history
        self._name = name
        self._keras_history: KerasHistory | None = None

    @property
    def name(self) -> str:
        """The name, made unique at its first use."""
        if self._name is None:
            self._name = naming.auto_name("keras_tensor")
        return self._name

    @property
    def ragged_rank(self) -> None:
        """Ragged tensors are not represented."""

    @property
    def row_splits_dtype(self) -> None:
        """Ragged tensors are not represented."""

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def _no_value(self, what: str) -> NoValueError:
        return NoValueError(
            f"A KerasTensor has no value: it is part of a model under construction. Received: {what} "
            f"of {self!r}. Use functions of `cornu.ops` on it, or do this in a layer's `call`."
        )

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self._no_value("the NumPy value")

    def __float__(self) -> float:
        raise self._no_value("the number")

    __int__ = __index__ = __float__

    def __bool__(self) -> bool:
        raise self._no_value("the truth")

    def __len__(self) -> int:
        raise self._no_value("the length")

    def __iter__(self) -> Any:
        raise self._no_value("the elements")

    def reshape(self, newshape: Any) -> Any:
        """The elements in another shape."""
        return OPS["reshape"].wrapper(self, newshape)

    def squeeze(self, axis: Any = None) -> Any:
        """The tensor without axes of size 1."""
        return OPS["squeeze"].wrapper(self, axis)

    # It equals itself only: it is looked up in lists and dictionaries.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


def made_by(x: KerasTensor) -> Any:
    """The operation that makes a tensor of a graph."""
    history = x._keras_history
    if history is None:
        raise ValueError(f"A tensor of a graph is made by an operation. Received: {x!r}.")
    return history.operation


def is_keras_tensor(x: Any) -> bool:
    """Whether x is a symbolic tensor.

    >>> is_keras_tensor(KerasTensor((2,))), is_keras_tensor(1.0)
    (True, False)
    """
    return isinstance(x, KerasTensor)


SpecEngine.tensor = KerasTensor
SpecEngine.native = SpecEngine.native | {KerasTensor}
