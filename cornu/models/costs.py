"""What a call of a model takes: multiply-adds, and memory for what is made on the way.

Nothing is computed: the model runs on shapes, on an engine that writes down every primitive. So what is
counted are the library's own bodies of ops. A kernel that an engine has for several of them (attention
that keeps no scores) or a compiler that joins them takes less memory, and the same multiply-adds.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..core.dtypes import numpy_dtype
from ..engines.counting import ELEMENTWISE, VIEWS, Call
from ..engines.spec import Dimension
from ..layers import Layer
from .traces import Trace, inputs_of, trace

#: What the gradient of a primitive reads: `others` are the operands beside the one that it is for, a `mask`
#: is a truth value an element. Of primitives that are not named it reads nothing.
_READS: dict[str, str] = {
    **dict.fromkeys("matmul einsum conv conv_transpose multiply".split(), "others"),
    **dict.fromkeys("exp expm1 sqrt rsqrt tanh sigmoid tan erfinv".split(), "result"),
    **dict.fromkeys("maximum minimum abs max min".split(), "mask"),
    **dict.fromkeys("take take_along_axis gather scatter".split(), "indices"),
    **dict.fromkeys(
        """divide power arctan2 mod fmod log log1p log2 log10 sin cos sinh cosh arcsin arccos arctan arcsinh
        arccosh arctanh erf erfc i0 lgamma prod cumprod var max_pool solve solve_triangular cholesky qr eigh
        svd remat""".split(),
        "operands",
    ),
    "where": "condition",
}


def costs(model: Layer, batch_size: int = 1, input_shape: Any = None) -> Costs:
    """What a call of a built model takes, without computing it.

    Args:
        model: The model, or any built layer.
        batch_size: How many samples a batch has.
        input_shape: The shapes of the inputs with the batch, where the model leaves more open than that.

    Raises:
        ValueError: If the model was never built, so that the shapes of its inputs are not known.

    >>> from cornu import Input, Sequential, layers
    >>> found = costs(Sequential([Input((8,)), layers.Dense(4), layers.Dense(2)]), batch_size=10)
    >>> found.multiply_adds(), found.by_primitive(), found.kept()
    (400, Counter({'matmul': 400}), 160)
    """
    specs = inputs_of(model, batch_size, input_shape)
    return Costs(*(Record(trace(model, specs, training)) for training in (False, True)))


class Costs:
    """What a call of a model takes.

    A `path` is operations from the outside in, such as a nested model and a layer of it; the figures are those
    of what runs within. A figure that depends on a size that is not known is None.
    """

    def __init__(self, inference: Record, training: Record) -> None:
        self._inference = inference
        self._training = training

    def multiply_adds(self, path: Sequence[Any] = ()) -> int | None:
        """The multiply-adds of products and convolutions."""
        return _known(call.multiply_adds * call.times for call in self._inference.inside(path))

    def by_primitive(self, path: Sequence[Any] = ()) -> Counter[str]:
        """The multiply-adds by primitive, those that are known."""
        found: Counter[str] = Counter()
        for call in self._inference.inside(path):
            found[call.primitive] += _known([call.multiply_adds * call.times]) or 0
        return +found

    def elementwise(self, path: Sequence[Any] = ()) -> int | None:
        """How many elements are computed from single elements: additions, activations, comparisons."""
        return _known(
            math.prod(call.results[0].dims) * call.times
            for call in self._inference.inside(path)
            if call.primitive in ELEMENTWISE
        )

    def peak(self) -> int | None:
        """The most bytes that are alive at once in inference, beside weights and inputs."""
        return self._inference.peak()

    def kept(self, path: Sequence[Any] = ()) -> int | None:
        """The bytes that training keeps for the way back, beside weights and inputs."""
        return self._training.kept(path)


def _known(numbers: Iterable[Any]) -> int | None:
    total: Any = sum(numbers)
    return None if isinstance(total, Dimension) else total


# -------------------------------------------------------------------- reckoning


class _Buffer:
    """Memory of a tensor: its bytes in all turns of a loop, and what was being called when it was made."""

    def __init__(self, dims: Any, dtype: str, call: Call) -> None:
        self.bytes: Any = math.prod(dims) * numpy_dtype(dtype).itemsize
        self.times = call.times
        self.within = call.within


class Record:
    """What ran in a call of a model, and which memory each tensor has."""

    def __init__(self, found: Trace) -> None:
        self.calls = found.calls
        self._trace = found

    def inside(self, path: Sequence[Any]) -> list[Call]:
        """The calls within operations, from the outside in."""
        return [call for call in self.calls if self._is_inside(call.within, path)]

    def _is_inside(self, within: tuple[Any, ...], path: Sequence[Any]) -> bool:
        return within[: len(path) + 1] == (self._trace.model, *path)

    @functools.cached_property
    def _buffers(self) -> dict[int, _Buffer]:
        """The memory of each tensor; weights, inputs, constants and views of them have none here."""
        found: dict[int, _Buffer] = {}
        for call in self.calls:
            if call.primitive in ("full", "arange"):
                continue
            seen = bool(call.operands) and (_is_view(call) or _is_cast(call, found))
            for place, result in enumerate(call.results):
                if seen:
                    source = id(call.operands[min(place, len(call.operands) - 1)])
                    if source in found:
                        found[id(result)] = found[source]
                else:
                    found.setdefault(id(result), _Buffer(result.dims, result.dtype, call))
        return found

    def peak(self) -> int | None:
        """The most bytes that are alive at once, each tensor from where it is made to its last use.

        An element-wise result takes the place of an operand of its size that nobody needs any more.
        """
        buffers = self._buffers
        last: dict[_Buffer, int] = {}
        for index, call in enumerate(self.calls):
            for x in (*call.operands, *call.results):
                if id(x) in buffers:
                    last[buffers[id(x)]] = index
        last |= {buffers[id(x)]: len(self.calls) for x in self._trace.outputs if id(x) in buffers}
        if any(isinstance(buffer.bytes, Dimension) for buffer in last):
            return None
        alive: set[_Buffer] = set()
        total = most = 0
        for index, call in enumerate(self.calls):
            touched = {buffers[id(x)] for x in (*call.operands, *call.results) if id(x) in buffers}
            made = touched - alive
            total += sum(buffer.bytes for buffer in made)
            done = {buffer for buffer in touched if last[buffer] == index}
            spare = {b.bytes for b in done - made if call.primitive in ELEMENTWISE}
            most = max(most, total - sum(b.bytes for b in made if b.bytes in spare))
            total -= sum(buffer.bytes for buffer in done)
            alive = (alive | made) - done
        return most

    def kept(self, path: Sequence[Any]) -> int | None:
        """The bytes made within operations that the gradients of later calls read."""
        buffers = self._kept
        return _known(b.bytes * b.times for b in buffers if self._is_inside(b.within, path))

    @functools.cached_property
    def _kept(self) -> dict[_Buffer, None]:
        kept: dict[_Buffer, None] = {}
        varying = {key for key, trainable in self._trace.weights.items() if trainable}
        for call in self.calls:
            given = [id(x) in varying for x in call.operands]
            if any(given) or call.primitive in ("carry", "remat"):
                if call.primitive != "stop_gradient":
                    varying |= {id(x) for x in call.results if "float" in x.dtype}
                if not call.again:
                    kept |= dict.fromkeys(self._read_back(call, given))
        return kept

    def _read_back(self, call: Call, varying: list[bool]) -> list[_Buffer]:
        """What the gradient of a call reads, where the operands that vary with weights are these."""
        reads = _READS.get(call.primitive)
        if reads == "mask":
            largest = max((*call.operands, *call.results), key=lambda x: len(x.dims))
            return [_Buffer(largest.dims, "bool", call)]
        tensors: Sequence[Any] = {
            "result": call.results,
            "operands": call.operands,
            "indices": call.operands[1:],
            "condition": call.operands[:1],
            "others": [
                x
                for place, x in enumerate(call.operands)
                if any(varying[:place] + varying[place + 1 :])
            ],
            None: (),
        }[reads]
        return [self._buffers[id(x)] for x in tensors if id(x) in self._buffers]


def _is_view(call: Call) -> bool:
    return call.primitive in VIEWS or (
        call.primitive == "cast" and call.results[0].dtype == call.operands[0].dtype
    )


def _is_cast(call: Call, buffers: dict[int, _Buffer]) -> bool:
    """Whether a call gives weights, inputs or constants in another dtype."""
    return call.primitive == "cast" and id(call.operands[0]) not in buffers
