"""The base of losses, and the loss that a function makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import dtype_policies, ops
from ..core import naming, tree
from ..core.config import floatx
from ..core.described import Described
from ..core.masks import get_keras_mask
from ..core.serialization import serialize_keras_object
from ._declared import Declared
from ._reduction import (
    reduce_weighted_values,
    squeeze_or_expand_to_same_rank,
    standardize_reduction,
)

DEFAULT_REDUCTION = "sum_over_batch_size"


class Loss(Described):
    """What training minimizes: a number from targets and predictions.

    A subclass of your own defines `call(y_true, y_pred)`, which gives a loss for each sample;
    calling the loss weighs and averages them.

    Args:
        name: The name; made from the class name where it is left out.
        reduction: `"sum_over_batch_size"` (or `"mean"`): the sum over the number of values;
            `"sum"`; `"mean_with_sample_weight"`: the sum over the sum of the sample weights; None
            or `"none"`: the values as they are.
        dtype: The dtype, or policy, of the computation; floatx where it is left out.

    Raises:
        ValueError: If there is no such reduction.

    >>> class Absolute(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return ops.mean(ops.absolute(y_true - y_pred), axis=-1)
    >>> float(Absolute()([[0.0, 0.0]], [[1.0, 2.0]]))
    1.5
    """

    _converters = {"reduction": standardize_reduction}
    _kept_as = {"dtype": "_given_dtype"}
    _optional_arguments = frozenset({"dtype"})

    def __init__(
        self, name: str | None = None, reduction: str | None = DEFAULT_REDUCTION, dtype: Any = None
    ) -> None:
        super().__init__()
        self.name = name or naming.auto_name(type(self).__name__)
        self._dtype_policy = dtype_policies.get(dtype or floatx())
        self._dtype: str = self._dtype_policy.compute_dtype

    @property
    def dtype(self) -> str:
        """The dtype that the loss is computed in."""
        return self._dtype

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of predictions.

        Args:
            y_true: The targets.
            y_pred: The predictions. Where they have a mask, masked values don't count.
            sample_weight: The weight of each sample, or of each value; it must broadcast.

        Returns:
            A scalar, or without reduction a loss for each sample.
        """
        given_mask = tree.map_structure(get_keras_mask, y_pred)
        y_true, y_pred = (_tensors(y, self._dtype) for y in (y_true, y_pred))
        losses = self.call(y_true, y_pred)
        mask = get_keras_mask(losses)
        if given_mask is not None and not tree.is_nested(given_mask):
            mask = given_mask if mask is None else ops.logical_and(given_mask, mask)
        return reduce_weighted_values(losses, self.reduction, sample_weight, mask, self._dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample; a subclass defines it."""
        raise NotImplementedError(
            f"A loss must have a method `call`. Received: {type(self).__name__}, which has none. "
            "Define `call(self, y_true, y_pred)`."
        )


class LossFunctionWrapper(Loss):
    """The loss that a function `fn(y_true, y_pred, **kwargs)` makes.

    The losses of this package are subclasses that name their function: their parameters are the
    function's, and their config holds them.

    Args:
        fn: The function. It gives a loss for each sample.
        reduction: As in `Loss`.
        name: The name.
        dtype: As in `Loss`.
        **kwargs: Further arguments of the function.

    >>> def off_by(y_true, y_pred, scale):
    ...     return scale * ops.absolute(y_true - y_pred)
    >>> float(LossFunctionWrapper(off_by, scale=2.0)([1.0], [4.0]))
    6.0
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample."""
        if tree.is_nested(y_true) or tree.is_nested(y_pred):
            paired = tree.map_structure_up_to(
                y_true, squeeze_or_expand_to_same_rank, y_true, y_pred
            )
            y_true, y_pred = (
                tree.map_structure_up_to(y_true, lambda pair, i=i: pair[i], paired) for i in (0, 1)
            )
        else:
            y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, as what a file can hold."""
        return {**super().get_config(), **serialize_keras_object(self._fn_kwargs)}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self.fn.__name__}, kwargs={self._fn_kwargs})>"


class NamedLoss(Declared, LossFunctionWrapper):
    """A loss of this package: `class Huber(NamedLoss, function=huber)`.

    A subclass whose function has parameters declares them in an `__init__` of its own.
    """

    def __init__(
        self,
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        name = name or self._default_name
        super().__init__(self._function, reduction, name, dtype, **self._options())


def _tensors(structure: Any, dtype: str) -> Any:
    """Arrays in a structure as tensors; lists of numbers are arrays."""
    if all(isinstance(leaf, (bool, int, float)) for leaf in tree.flatten(structure)):
        return ops.convert_to_tensor(structure, dtype)
    return tree.map_structure(lambda x: ops.convert_to_tensor(x, dtype), structure)
