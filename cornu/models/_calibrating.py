"""Kernels in few bits that are fitted to what comes in, block by block."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .. import ops, tuning
from ..core.dtypes import is_float
from ..core.transforms import UPDATE, Transform, Use
from ..core.variable import Variable
from ..layers import Layer
from ..quantizers.codes import as_matrix, matrix_shape
from ..quantizers.grouped import Array
from ..quantizers.samples import samples
from ..transforms.quantizing import axes_of, kernels

#: How many samples are run at once.
_BATCH = 8


class Observed(Transform):
    """Notes what a kernel is multiplied with: second moments and mean magnitudes of the inputs.

    Attributes:
        variable: The kernel.
        axes: Its axes that are contracted, once it was used in a product.
        count: How many inputs there were.
    """

    # It sees what ops are given, and changes nothing: behind all that do.
    order = UPDATE + 1

    def build(self, owner: Any, variable: Variable | None) -> None:
        """Begin anew."""
        assert variable is not None
        self.variable = variable
        self.axes: tuple[int, ...] = ()
        self.count = 0
        self._moments: Any = 0.0
        self._sizes: Any = 0.0

    def value(self, stored: Any) -> Any:
        """What is stored."""
        return stored

    def product(self, use: Use) -> Any:
        """Nothing better than the op; its other operand is noted."""
        found = _contraction(use)
        if found is not None:
            x, self.axes = found
            x = ops.cast(x, "float32")
            moments, sizes = ops.matmul(ops.transpose(x), x), ops.sum(ops.abs(x), axis=0)
            self._moments += ops.convert_to_numpy(moments).astype("float64")
            self._sizes += ops.convert_to_numpy(sizes).astype("float64")
            self.count += x.shape[0]
        return NotImplemented

    def moments(self) -> tuple[Array, Array]:
        """The mean of `x x^T`, `(inputs, inputs)`, and that of `|x|`, `(inputs,)`."""
        return self._moments / self.count, self._sizes / self.count


def _contraction(use: Use) -> tuple[Any, tuple[int, ...]] | None:
    """What a kernel is multiplied with, `(positions, inputs)`, and which of its axes go away; None for other ops."""
    where = use.contraction()
    if where is None or not where[2]:
        return None
    place, others, own = where
    x, axes, places = ops.convert_to_tensor(use.arguments[place]), tuple(own), others[: len(own)]
    inputs = matrix_shape(use.inner.shape, axes)[0]
    moved = ops.moveaxis(x, places, list(range(-len(places), 0)))
    return ops.reshape(moved, (-1, inputs)), axes


def calibrate(
    model: Any, config: Any, accepts: Callable[[Layer], bool], store: Callable[..., None]
) -> None:
    """Fit the kernels of a model to what comes in, block after block.

    Args:
        model: A built model.
        config: A `GPTQConfig` or `AWQConfig`.
        accepts: Which layers' kernels.
        store: Is called with a layer, a kernel of it, the axes that are contracted and a `Grouped`.
    """
    structure = config.quantization_layer_structure
    if structure is None and hasattr(model, "get_quantization_layer_structure"):
        structure = model.get_quantization_layer_structure(config.mode)
    structure = {"sequential_blocks": [model]} if structure is None else structure
    blocks = structure.get("sequential_blocks")
    if not blocks:
        raise ValueError(
            "A quantization structure must have blocks. Received: "
            f"{structure!r}, without any in 'sequential_blocks'. Leave it out for the model as a whole."
        )
    found = samples(config.dataset, config.tokenizer, config.num_samples, config.sequence_length)
    batches: list[Any] = [found[at : at + _BATCH] for at in range(0, len(found), _BATCH)]
    left: list[str] = []
    for layer in structure.get("pre_block_layers", ()):
        batches = [layer(batch) for batch in batches]
    for block in blocks:
        for layer, observed in _observe(block, batches, accepts):
            if not observed.count:
                if _is_kernel(layer, observed.variable):
                    left.append(observed.variable.path)
                continue
            weight = as_matrix(observed.variable.numpy(), observed.axes)
            store(
                layer, observed.variable, observed.axes, config.fitted(weight, *observed.moments())
            )
        if block is not blocks[-1]:
            batches = [block(batch) for batch in batches]
    if left:
        warnings.warn(
            f"{config.mode!r} is for kernels that vectors are multiplied with. Floats stay {', '.join(left)}. "
            "`quantize('int8')` takes those too.",
            stacklevel=5,
        )


def _is_kernel(layer: Layer, variable: Variable) -> bool:
    """Whether a weight is a kernel that is no table, which nothing is ever multiplied with."""
    return any(v is variable for v in kernels(layer)) and not axes_of(layer, variable).is_table


def _observe(
    block: Layer, batches: Sequence[Any], accepts: Callable[[Layer], bool]
) -> Iterator[tuple[Layer, Observed]]:
    """The matrices of a block, and what they are multiplied with for these inputs."""
    observing = [
        (layer, variable, Observed())
        for layer in block._flatten_layers()
        if accepts(layer)
        for variable in layer._owned("variables")
        if len(variable.shape) > 1 and is_float(variable.dtype)
    ]
    for layer, variable, observed in observing:
        layer.add_transform(variable, observed)
    try:
        with tuning.whole_calls(0):  # a compiled step has no numbers to note
            for batch in batches:
                block(batch)
    finally:
        for layer, variable, observed in observing:
            layer.remove_transform(variable, observed)
    return ((layer, seen) for layer, _, seen in observing)
