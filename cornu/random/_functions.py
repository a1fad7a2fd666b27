"""The public random ops: arguments checked, the key drawn, the numbers made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.dtypes import is_float, is_integer, standardize_dtype
from ..core.keras_tensor import KerasTensor
from ..core.types import DType, Shape, Tensor
from ..core.variable import Variable
from ..engines import current as engine
from ..engines.spec import Dimension
from . import _draws
from ._seeds import SeedGenerator, draw_seed

Seed = int | SeedGenerator | None


def normal(
    shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: DType = None, seed: Seed = None
) -> Tensor:
    """Numbers from a normal distribution.

    Args:
        shape: The result's shape.
        mean, stddev: Numbers, or tensors that broadcast to the shape.
        dtype: A float dtype; floatx by default.
        seed: An integer for the same numbers each time, a `SeedGenerator` for new ones.

    >>> normal((2, 3), seed=1).shape
    (2, 3)
    """
    dtype = _float_dtype("normal", dtype)
    return _draws.normal(draw_seed(seed), _shape(shape), mean, stddev, dtype)


def uniform(
    shape: Shape, minval: Any = 0.0, maxval: Any = 1.0, dtype: DType = None, seed: Seed = None
) -> Tensor:
    """Floats that are equally likely anywhere in [minval, maxval).

    Args:
        shape: The result's shape.
        minval, maxval: Numbers, or tensors that broadcast to the shape.
        dtype: A float dtype; floatx by default. `randint` gives integers.
        seed: An integer for the same numbers each time, a `SeedGenerator` for new ones.

    >>> bool((uniform((100,), 2.0, 3.0, seed=1) >= 2).all())
    True
    """
    dtype = _float_dtype("uniform", dtype)
    return _draws.uniform(draw_seed(seed), _shape(shape), minval, maxval, dtype)


def randint(
    shape: Shape, minval: Any, maxval: Any, dtype: DType = "int32", seed: Seed = None
) -> Tensor:
    """Integers that are equally likely in [minval, maxval).

    Args:
        shape: The result's shape.
        minval, maxval: Integers.
        dtype: An integer dtype.
        seed: An integer for the same numbers each time, a `SeedGenerator` for new ones.

    >>> bool((randint((100,), 0, 6, seed=1) < 6).all())
    True
    """
    dtype = standardize_dtype(dtype)
    if not is_integer(dtype):
        raise ValueError(
            f"`randint` gives integers. Received: dtype={dtype!r}. "
            "Use an integer dtype, or `uniform` for floats."
        )
    return _draws.randint(draw_seed(seed), _shape(shape), minval, maxval, dtype)


def truncated_normal(
    shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: DType = None, seed: Seed = None
) -> Tensor:
    """Numbers from a normal distribution without those over two standard deviations off the mean.

    Args:
        shape: The result's shape.
        mean, stddev: Those of the normal distribution before it is cut.
        dtype: A float dtype; floatx by default.
        seed: An integer for the same numbers each time, a `SeedGenerator` for new ones.

    >>> bool((abs(truncated_normal((100,), seed=1)) <= 2).all())
    True
    """
    dtype = _float_dtype("truncated_normal", dtype)
    return _draws.truncated_normal(draw_seed(seed), _shape(shape), mean, stddev, dtype)


def categorical(
    logits: Tensor, num_samples: int, dtype: DType = "int32", seed: Seed = None
) -> Tensor:
    """Class indices `(batch, num_samples)`, drawn by unnormalized log-probabilities.

    Args:
        logits: `(batch, classes)`.
        num_samples: How many draws for each row.
        dtype: An integer dtype.
        seed: An integer for the same numbers each time, a `SeedGenerator` for new ones.

    >>> categorical([[0.0, 100.0]], 3, seed=1).tolist()
    [[1, 1, 1]]
    """
    logits = _operand("categorical", logits)
    shape = engine().shape_of(logits)
    if len(shape) != 2:
        raise ValueError(
            "`logits` must have the shape (batch, classes). "
            f"Received: logits.shape={shape}. Reshape them to two axes."
        )
    return _draws.categorical(logits, draw_seed(seed), num_samples, standardize_dtype(dtype))


def gamma(shape: Shape, alpha: Any, dtype: DType = None, seed: Seed = None) -> Tensor:
    """Numbers from a gamma distribution of scale 1.

    Args:
        shape: The result's shape.
        alpha: The shape parameter: a positive number, or a tensor that broadcasts to the shape.
        dtype: A float dtype; floatx by default.
        seed: An integer for the same numbers each time, a `SeedGenerator` for new ones.

    >>> bool((gamma((100,), 0.5, seed=1) >= 0).all())
    True
    """
    dtype = _float_dtype("gamma", dtype)
    return _draws.gamma(draw_seed(seed), _shape(shape), alpha, dtype)


def beta(shape: Shape, alpha: Any, beta: Any, dtype: DType = None, seed: Seed = None) -> Tensor:
    """Numbers in [0, 1] from a beta distribution.

    Args:
        shape: The result's shape.
        alpha, beta: Positive numbers, or tensors that broadcast to the shape.
        dtype: A float dtype; floatx by default.
        seed: An integer for the same numbers each time, a `SeedGenerator` for new ones.

    >>> bool((beta((100,), 2.0, 3.0, seed=1) <= 1).all())
    True
    """
    dtype = _float_dtype("beta", dtype)
    return _draws.beta(draw_seed(seed), _shape(shape), alpha, beta, dtype)


def binomial(
    shape: Shape, counts: Any, probabilities: Any, dtype: DType = None, seed: Seed = None
) -> Tensor:
    """How many of `counts` trials succeed.

    Args:
        shape: The result's shape.
        counts: Numbers of trials: a number, or a tensor that broadcasts to the shape.
        probabilities: Of success in one trial, likewise.
        dtype: A float dtype; floatx by default.
        seed: An integer for the same numbers each time, a `SeedGenerator` for new ones.

    >>> binomial((3,), 5, 1.0, seed=1).tolist()
    [5.0, 5.0, 5.0]
    """
    dtype = _float_dtype("binomial", dtype)
    return _draws.binomial(draw_seed(seed), _shape(shape), counts, probabilities, dtype)


def dropout(
    inputs: Tensor, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Seed = None
) -> Tensor:
    """Inputs of which a part is set to zero; the others are scaled up so that the mean stays.

    Args:
        inputs: A float tensor.
        rate: The part that is dropped, from 0 to 1.
        noise_shape: The shape in which it is drawn what is dropped, which broadcasts to that of the
            inputs; None, as a whole or for an axis, means the inputs' own.
        seed: An integer for the same numbers each time, a `SeedGenerator` for new ones.

    >>> dropout([1.0, 2.0], 0.0).tolist()
    [1.0, 2.0]
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"`rate` must be from 0 to 1. Received: rate={rate}.")
    inputs = _operand("dropout", inputs)
    if rate == 0:
        return inputs
    if noise_shape is not None and len(noise_shape) != len(engine().shape_of(inputs)):
        raise ValueError(
            "`noise_shape` must have as many axes as the inputs. "
            f"Received: noise_shape={tuple(noise_shape)}, "
            f"inputs.shape={engine().shape_of(inputs)}. Use 1 for the axes that share one draw."
        )
    return _draws.dropout(inputs, draw_seed(seed), rate, noise_shape)


def shuffle(x: Tensor, axis: int = 0, seed: Seed = None) -> Tensor:
    """The slices of a tensor along an axis in random order.

    >>> sorted(shuffle([1, 2, 3], seed=1).tolist())
    [1, 2, 3]
    """
    return _draws.shuffle(_operand("shuffle", x), draw_seed(seed), axis)


def _float_dtype(name: str, dtype: DType) -> str:
    dtype = standardize_dtype(dtype)
    if not is_float(dtype):
        raise ValueError(
            f"`{name}` gives floats. Received: dtype={dtype!r}. "
            "Use a float dtype, or `randint` for integers."
        )
    return dtype


def _shape(shape: Any) -> tuple[Any, ...]:
    sizes = (shape,) if isinstance(shape, int) else shape
    return tuple(Dimension() if size is None else size for size in sizes)


def _operand(name: str, x: Any) -> Tensor:
    """x as a tensor that has values, unless shapes are being inferred."""
    if isinstance(x, KerasTensor) and engine().computes:
        raise ValueError(
            f"`random.{name}` needs a tensor with values: in a graph its numbers would be drawn "
            f"only once. Received: {x!r}. Call it within a layer's `call`, or use a layer such as "
            "`layers.Dropout`."
        )
    return engine().convert_to_tensor(x.value if isinstance(x, Variable) else x)
