"""Which layers of a model read and give what, so that each number is quantized once: where one reads it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from .. import activations, layers
from ..core.dtypes import is_float
from ..layers import Layer
from ..models.traces import Trace, Visit, inputs_of, trace
from ._choice import FOLLOWING, kernels

#: Layers that give what they are called on, in another place or in part: of numbers of few bits such numbers.
_MOVING = (
    *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
    *(layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector, layers.Identity),
    *(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D),
    *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
    *(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D),
    *(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D),
    *(layers.UpSampling1D, layers.UpSampling3D, layers.Masking, layers.InputLayer),
)


@dataclass
class Place:
    """A layer without parts that are called, or a recurrent one, in a call of a model.

    Attributes:
        layer: The layer.
        reads: Whether it has a kernel, for what it is called on, of numbers that no layer before it has quantized.
        gives: Whether what it gives is a number by itself: not what the layer after it goes on with, nor the
            model's output.
    """

    layer: Layer
    reads: bool
    gives: bool


def places(model: Layer, quantized: Any) -> list[Place]:
    """The layers of a model in the order of their calls, each once.

    Args:
        model: A built model of any kind, or a layer.
        quantized: A call that tells of a layer whether what it gives is to be quantized.

    >>> from cornu import Input, Sequential
    >>> model = Sequential([Input((8, 8, 1)), layers.Conv2D(2, 3), layers.BatchNormalization(), layers.ReLU(),
    ...     layers.Flatten(), layers.Dense(2)])
    >>> [(place.layer.name, place.reads, place.gives) for place in places(model, lambda layer: True)]
    [('conv2d', True, False), ('batch_normalization', False, False), ('re_lu', False, True), ('dense', False, False)]
    """
    found = trace(model, inputs_of(model, None), training=False)
    visits = [visit for visit, begins in found.events if not begins and _is_leaf(visit)]
    readers = _readers(found, visits)
    outputs = {id(x) for x in found.outputs}
    for visit in reversed(visits):
        if isinstance(visit.operation, _MOVING) and any(id(x) in outputs for x in visit.outputs):
            outputs.update(id(x) for x in visit.inputs)
    done: set[int] = set()
    made: dict[int, Place] = {}
    for visit in visits:
        layer = visit.operation
        if isinstance(layer, _MOVING):
            if all(id(x) in done for x in visit.inputs):
                done.update(id(x) for x in visit.outputs)
            continue
        fresh = [x for x in visit.inputs[:1] if id(x) not in done and is_float(x.dtype)]
        reads = bool(fresh) and has_kernel(layer)
        one = len(visit.outputs) == 1 and is_float(visit.outputs[0].dtype)
        gives = one and not any(
            id(x) in outputs or _goes_on(layer, readers[id(x)]) for x in visit.outputs
        )
        if gives and quantized(layer):
            done.update(id(x) for x in visit.outputs)
        known = made.setdefault(id(layer), Place(layer, False, False))
        known.reads, known.gives = known.reads or reads, known.gives or gives
    return list(made.values())


def has_kernel(layer: Layer) -> bool:
    """Whether a layer multiplies what it is called on by a kernel."""
    if isinstance(layer, layers.Embedding):
        return False
    return any(kernels(part) for part in layer._flatten_layers())


def _is_leaf(visit: Visit) -> bool:
    """Whether a call is that of a layer without parts, or of a recurrent one, and not within such a one."""
    layer, around = visit.operation, visit.within
    while around is not None:
        if isinstance(around.operation, layers.RNN):
            return False
        around = around.within
    return isinstance(layer, layers.RNN) or (isinstance(layer, Layer) and not layer._layers)


def _readers(found: Trace, visits: list[Visit]) -> dict[int, list[Any]]:
    """The layers that tensors go to, by their ids; None stands for what is computed outside of such layers."""
    readers: dict[int, list[Any]] = defaultdict(list)
    leaves = {id(visit.operation) for visit in visits}
    for visit in visits:
        for x in visit.inputs:
            readers[id(x)].append(visit.operation)
    for call in found.calls:
        if not any(id(operation) in leaves for operation in call.within):
            for x in call.operands:
                readers[id(x)].append(None)
    return readers


def _goes_on(layer: Layer, readers: list[Any]) -> bool:
    """Whether all that read what a layer gives are computed in one with it."""
    linear = getattr(layer, "activation", None) in (None, activations.linear)
    folded = (layers.BatchNormalization,) if linear and has_kernel(layer) else ()
    return bool(readers) and all(isinstance(x, (*FOLLOWING, *folded)) for x in readers)
