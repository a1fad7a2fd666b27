"""InputLayer: where data comes into a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtype_policies
from ..core.dtypes import standardize_dtype
from ..core.keras_tensor import KerasTensor
from ..core.operation import Node
from ._input_spec import InputSpec
from ._layer import Layer


class InputLayer(Layer):
    """Where data comes into a graph of layers.

    Args:
        shape: The shape of one sample; `None` where a dimension is unknown.
        batch_size: The number of samples in a batch, where it is fixed.
        dtype: The dtype of the data; floatx where it is left out.
        sparse: Whether the data is sparse; layers that can't keep it so make it dense.
        batch_shape: The shape with the batch, instead of `shape` and `batch_size`.
        input_tensor: An existing symbolic tensor to take as the input.
        optional: Whether None may be passed.
        name: The input's name.
    """

    _describes_itself = True

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        # As the name of a policy, "int8" would be a way to quantize.
        policy = dtype_policies.DTypePolicy(dtype) if dtype == "int8" else dtype
        super().__init__(name=name, dtype=policy, **kwargs)
        if ragged:
            raise ValueError(
                "Inputs are dense or sparse tensors. Received: ragged=True for the input "
                f"{self.name!r}. Pad the data, with a mask where padding must not count."
            )
        if input_tensor is not None and not isinstance(input_tensor, KerasTensor):
            raise ValueError(
                "An input takes a symbolic tensor. Received: "
                f"tensor={input_tensor!r} (of {type(input_tensor).__name__}). Leave it out, and pass "
                "the array to the model."
            )
        if shape is not None and batch_shape is not None:
            raise ValueError(
                "An input takes `shape` or `batch_shape`, not both. Received: "
                f"shape={shape}, batch_shape={batch_shape}."
            )
        if batch_size is not None and batch_shape is not None:
            raise ValueError(
                "`batch_size` is part of `batch_shape`. Received: "
                f"batch_size={batch_size}, batch_shape={batch_shape}."
            )
        if input_tensor is not None:
            _check_fits(input_tensor, batch_size, shape, batch_shape, dtype, sparse)
            batch_shape, dtype, sparse = input_tensor.shape, input_tensor.dtype, input_tensor.sparse
        elif batch_shape is None:
            if shape is None:
                raise ValueError("An input needs a `shape`. Received: shape=None.")
            batch_shape = (batch_size, *_as_tuple(shape))
        self._batch_shape = tuple(int(n) if isinstance(n, np.integer) else n for n in batch_shape)
        for size in self._batch_shape:
            if size is not None and (not isinstance(size, int) or size < 0):
                raise ValueError(
                    "Every dimension of an input is an integer or None. Received: "
                    f"batch_shape={self._batch_shape} for the input {self.name!r}."
                )
        self._dtype = standardize_dtype(dtype)
        self.optional = optional
        self.sparse, self.ragged = bool(sparse), False
        self.supports_masking = True
        self.built = True
        output = input_tensor
        if output is None:
            output = KerasTensor(self._batch_shape, self._dtype, self.sparse, name=self.name)
        Node(self, (), {}, output)
        self.input_spec = InputSpec(
            shape=self._batch_shape, dtype=None, name=self.name, optional=optional
        )

    def call(self) -> Any:
        """An input computes nothing."""

    @property
    def dtype(self) -> str:
        """The dtype of the data."""
        return self._dtype

    @property
    def batch_shape(self) -> tuple[Any, ...]:
        """The shape, with the batch."""
        return self._batch_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "batch_shape": self._batch_shape,
            "dtype": self._dtype,
            "sparse": self.sparse,
            "ragged": False,
            "name": self.name,
            "optional": self.optional,
        }


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> KerasTensor:
    """A symbolic tensor that stands for data, to build a model on.

    Args:
        shape: The shape of one sample; `None` where a dimension is unknown.
        batch_size: The number of samples in a batch, where it is fixed.
        dtype: The dtype of the data; floatx where it is left out.
        sparse: Whether the data is sparse; layers that can't keep it so make it dense.
        batch_shape: The shape with the batch, instead of `shape` and `batch_size`.
        name: The input's name.
        tensor: An existing symbolic tensor to take as the input.
        optional: Whether None may be passed.

    >>> Input((28, 28, 1)).shape
    (None, 28, 28, 1)
    """
    sample = (shape, batch_size, dtype, sparse, ragged)
    layer = InputLayer(*sample, batch_shape, tensor, optional, name)
    output: KerasTensor = layer.output
    return output


def _as_tuple(shape: Any) -> tuple[Any, ...]:
    return (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)


def _check_fits(
    x: KerasTensor, batch_size: Any, shape: Any, batch_shape: Any, dtype: Any, sparse: Any
) -> None:
    """Refuse arguments that say something else than the tensor that is the input."""
    for name, given, own in (
        ("batch_size", batch_size, x.shape[:1]),
        ("shape", shape, x.shape[1:]),
        ("batch_shape", batch_shape, x.shape),
        ("dtype", dtype and standardize_dtype(dtype), x.dtype),
        ("sparse", sparse, x.sparse),
    ):
        if given is not None and (_as_tuple(given) if isinstance(own, tuple) else given) != own:
            raise ValueError(
                f"`{name}` of an input must be that of its tensor. Received: {name}={given!r} "
                f"beside tensor={x!r}. Leave it out."
            )
