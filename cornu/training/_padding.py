"""Short batches of evaluation and prediction, filled up to the size of those before: nothing is compiled for them.

What was filled in is the last sample again. Predictions are cut; in an evaluation a mask says which samples
count, which losses and metrics leave out as they do any masked values, so that its program takes the number
of them beside each batch. That needs a model which keeps samples apart (`engines/samples.py`), and no
code of the user's: batches of other models stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import ops
from ..core import tree
from ..core.keras_tensor import KerasTensor
from ..core.masks import get_keras_mask, set_keras_mask
from ..core.naming import is_ours
from ..core.scopes import SymbolicScope, here, within
from ..data import unpack_x_y_sample_weight
from ..engines import current
from ..layers.plain import is_plain, runs_alone
from ..losses import LossFunctionWrapper
from ._batches import Stack

#: How many samples count of a batch that is not looked at: on its device already, or of arrays of many lengths.
ALL = int(np.iinfo("int32").max)
#: The shape of a sample and the dtype, of each array of a batch.
Kind = tuple[Any, ...]


def rows(data: Any) -> int:
    """The samples of a batch."""
    return int(next(x for x in tree.flatten(data) if x is not None).shape[0])


def kind(data: Any) -> Kind:
    """What batches of one program have in common, but for their size."""
    return tuple((x.shape[1:], str(x.dtype)) for x in tree.flatten(data) if x is not None)


def samples(x: Any) -> Any:
    """How many samples of a batch count."""
    counted = here.counted.get()
    first = next(leaf for leaf in tree.flatten(x) if leaf is not None)
    size = ops.shape(first)[0]
    return size if counted is None else ops.minimum(counted, size)


def with_mask(outputs: Any) -> Any:
    """Outputs whose masks leave out what a batch was filled up with."""
    counted = here.counted.get()
    if counted is None:
        return outputs
    for y in tree.flatten(outputs):
        valid = ops.arange(y.shape[0], dtype="int32") < counted
        mask = get_keras_mask(y)
        if mask is not None:
            valid = ops.logical_and(mask, ops.reshape(valid, (-1, *[1] * (len(mask.shape) - 1))))
        set_keras_mask(y, valid)
    return outputs


class Counted:
    """A step that takes pairs: a batch, and how many of its samples count."""

    def __init__(self, step: Callable[[Any], Any]) -> None:
        self.step = step

    def __call__(self, pair: Any) -> Any:
        data, count = pair
        with within(here.counted, count):
            return self.step(data)


class Padding:
    """Fills up the batches of a run.

    Args:
        model: The model.
        which: `"test"` or `"predict"`.
    """

    def __init__(self, model: Any, which: str) -> None:
        self.model, self.which = model, which
        #: The largest batch of each kind so far.
        self._sizes: dict[Kind, int] = {}

    def __call__(self, data: Any) -> tuple[Any, int]:
        """A batch, filled up where it is short and that may be, and how many of its samples count."""
        leaves = [x for x in tree.flatten(data) if x is not None]
        on_host = all(isinstance(x, np.ndarray) for x in leaves)
        if not on_host or len({x.shape[:1] for x in leaves}) > 1:
            return data, ALL
        count, found = rows(data), kind(data)
        size = self._sizes.get(found, 0)
        if count >= size or not self.allows(data):
            self._sizes[found] = max(count, size)
            return data, count
        return tree.map_structure(lambda x: _filled(x, size), data), count

    def allows(self, data: Any) -> bool:
        """Whether batches like this may be filled up."""
        known = self.model._programs.fillable()
        key = (self.which, current(), kind(data), self.model._compile_loss)
        if key not in known:
            known[key] = _may_be_filled(self.model, self.which, data)
        return known[key]


def predicted(function: Callable[..., Any], padding: Padding, execution: Any) -> Any:
    """The outputs for the batches of one execution."""
    batches = [(unpack_x_y_sample_weight(data)[0],) for data in execution]
    *others, last = batches
    for data in others:
        padding(data)
    filled, count = padding(last)
    outputs = function([*others, filled])
    left_out = 0 if filled is last else rows(filled) - count
    if not left_out:
        return outputs
    engine = current()  # on the host: a slice of a tensor may be one more program
    return tree.map_structure(lambda y: engine.convert_to_numpy(y)[:-left_out], outputs)


def counted(padding: Padding, execution: Any) -> Any:
    """The batches of one execution, each with how many of its samples count."""
    if isinstance(execution, Stack):
        size = next(x for x in tree.flatten(execution.data) if x is not None).shape[1]
        return replace(execution, data=(execution.data, np.full(len(execution), size, "int32")))
    pairs = map(padding, execution)
    return [(data, np.asarray(count, "int32")) for data, count in pairs]


def _filled(x: Any, size: int) -> Any:
    return None if x is None else np.concatenate([x, np.repeat(x[-1:], size - len(x), axis=0)])


def _may_be_filled(model: Any, which: str, data: Any) -> bool:
    names = (f"{which}_step", f"make_{which}_function", "compute_loss", "compute_metrics")
    if (
        model.run_eagerly
        or not current().compiles
        or any(name in vars(model) for name in names)
        or not all(x is None or isinstance(x, np.ndarray) for x in tree.flatten(data))
        or not all(map(is_plain, model._family().members))
    ):
        return False
    from ..engines.samples import keeps_apart

    x, y = tree.map_structure(_spec, unpack_x_y_sample_weight(data)[:2])
    with SymbolicScope():
        outputs = keeps_apart(lambda: model._predicted(x, training=False))
        if outputs is None or which == "predict":
            return outputs is not None
        return _losses_do(model, y, outputs) and all(map(runs_alone, model.metrics))


def _losses_do(model: Any, y: Any, outputs: Any) -> bool:
    """Whether the losses are those of each sample."""
    from ..engines.samples import keeps_apart

    if any(layer._owned("metrics") for layer in model._flatten_layers()) or y is None:
        return False
    compiled = model._compile_loss
    return compiled is None or all(
        isinstance(loss, LossFunctionWrapper)
        and is_ours(loss.fn)
        and loss.reduction not in (None, "none")
        and keeps_apart(loss.call, target, prediction) is not None
        for _, loss, target, prediction in compiled._pairs(y, outputs)
    )


def _spec(x: Any) -> Any:
    from ..engines.samples import SAMPLES

    if x is None:
        return None
    return KerasTensor((SAMPLES, *x.shape[1:]), current().canonical_dtype(str(x.dtype)))
