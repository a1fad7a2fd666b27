"""Cross-entropies."""

from __future__ import annotations

from ..core.config import epsilon
from ..core.dtypes import result_type
from ..core.op import floating, namespace
from ..core.types import Index, Tensor
from ..engines import current as engine
from ._activations import log_softmax
from ._bodies import axis_from_front, constant, differ, rank_of, same_shape
from ._encoding import is_class

op = namespace("nn")


def _clipped(probabilities: Tensor) -> Tensor:
    """Probabilities kept away from 0 and 1, so that their logarithms are finite."""
    low, high = constant(epsilon(), probabilities), constant(1 - epsilon(), probabilities)
    return engine().minimum(engine().maximum(probabilities, low), high)


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return log_softmax(output, axis)
    total = engine().sum(output, (axis,), True)
    # Where all are 0 they stay so: a quotient by 0, and its gradient, would be NaN.
    return engine().log(_clipped(output / engine().where(total == 0, constant(1, total), total)))


def _class_axis(output: Tensor, axis: int) -> int:
    if rank_of(output) < 1:
        raise ValueError(
            "The output must have an axis of classes. "
            f"Received: output.shape={engine().shape_of(output)}."
        )
    return axis_from_front(axis, rank_of(output))


@op(promote=floating)
def categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-sum(target * log(output)) along the axis of classes.

    Args:
        target: Probabilities, such as one-hot classes, of the shape of the output.
        output: Probabilities, which are scaled to a sum of 1, or logits.
        from_logits: Whether the output is logits.
        axis: The axis of classes.

    >>> categorical_crossentropy([[0.0, 1.0]], [[0.0, 0.0]], from_logits=True).tolist()
    [0.6931471824645996]
    """
    same_shape("categorical_crossentropy", target=target, output=output)
    place = _class_axis(output, axis)
    return engine().negative(
        engine().sum(target * _log_probabilities(output, from_logits, place), (place,), False)
    )


@op(promote=floating)
def sparse_categorical_crossentropy(
    target: Index, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log(output[target]) along the axis of classes; 0 where the target is no class.

    Args:
        target: Classes as integers, of the shape of the output without the axis of classes, or with
            that axis of size 1.
        output: Probabilities, which are scaled to a sum of 1, or logits.
        from_logits: Whether the output is logits.
        axis: The axis of classes.

    >>> sparse_categorical_crossentropy([1], [[0.0, 0.0]], from_logits=True).tolist()
    [0.6931471824645996]
    """
    place = _class_axis(output, axis)
    sizes = engine().shape_of(output)
    expected = sizes[:place] + sizes[place + 1 :]
    shape = engine().shape_of(target)
    if len(shape) == len(sizes) and isinstance(shape[place], int) and shape[place] == 1:
        shape = shape[:place] + shape[place + 1 :]
        target = engine().reshape(target, shape)
    if len(shape) != len(expected) or any(map(differ, shape, expected)):
        raise ValueError(
            "The target must have the shape of the output without its axis of classes. Received: "
            f"target.shape={engine().shape_of(target)}, output.shape={sizes}, axis={axis}."
        )
    log_probabilities = _log_probabilities(output, from_logits, place)
    hit = is_class(target, sizes[place], place)
    chosen = engine().where(hit, log_probabilities, constant(0, output))
    loss = engine().negative(engine().sum(chosen, (place,), False))
    return engine().cast(loss, result_type(engine().dtype_of(loss), "float32"))


@op(promote=floating)
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """-target log(output) - (1 - target) log(1 - output), elementwise.

    Args:
        target: Probabilities of the shape of the output.
        output: Probabilities or logits.
        from_logits: Whether the output is logits; then the stable form max(x, 0) - x target +
            log1p(exp(-|x|)) is computed.

    >>> binary_crossentropy([1.0], [0.0], from_logits=True).tolist()
    [0.6931471824645996]
    """
    same_shape("binary_crossentropy", target=target, output=output)
    if from_logits:
        decay = engine().exp(engine().negative(engine().abs(output)))
        linear = engine().maximum(output, constant(0, output)) - output * target
        return linear + engine().log1p(decay)
    output = _clipped(output)
    one = constant(1, output)
    positive = target * engine().log(output)
    return engine().negative(positive + (one - target) * engine().log(one - output))
