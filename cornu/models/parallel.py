"""A layout of a model's weights over devices, found from its layers."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..distribution import DeviceMesh, LayoutMap, list_devices
from ..layers import Conv1D, Conv2D, Conv3D, Dense, EinsumDense, Embedding

Sizes = tuple[int, ...]


def tensor_parallel(
    model: Any, device_mesh: DeviceMesh | None = None, axis_name: str = "model"
) -> LayoutMap:
    """Layouts that divide the weights of a model among devices, in pairs: of the first product of two the outputs, of
    the second what it sums over.

    So a device computes both with its parts alone, and one sum over the devices follows ("Megatron",
    https://arxiv.org/abs/1909.08053): heads of attention, the inner units of a perceptron, channels of convolutions.
    Tables of embeddings are divided by entries. A size that is no multiple of the devices stays whole, and so do
    recurrent weights and those of layers of a user's own: add what is to be divided beside.

    Args:
        model: The model, which is built.
        device_mesh: The devices; all that there are along `axis_name`, where it is left out.
        axis_name: The axis of the mesh.

    Returns:
        A map for `ModelParallel(layout_map=...)`, or for `fsdp(layout_map=...)`.

    >>> from cornu import Input, Sequential, layers
    >>> model = Sequential([Input((8,)), layers.Dense(16, name="up"), layers.Dense(8, name="down")], name="net")
    >>> mesh = DeviceMesh((1, 2), ["batch", "model"], ["cpu:0", "cpu:1"])
    >>> for path, layout in tensor_parallel(model, mesh).items():
    ...     print(path, layout.axes)
    net/up/kernel (None, 'model')
    net/up/bias ('model',)
    net/down/kernel ('model', None)
    """
    if device_mesh is None:
        names = list_devices()
        device_mesh = DeviceMesh((1, len(names)), ["batch", axis_name], names)
    parts = device_mesh.shape[list(device_mesh.axis_names).index(axis_name)]
    layout_map = LayoutMap(device_mesh)
    given: set[Sizes] = set()  # what the products before give that are divided by their outputs
    for layer in model._flatten_layers():
        if isinstance(layer, Embedding):
            table = layer.embeddings
            axes = [i for i, size in enumerate(table.stored_shape) if size % parts == 0]
            if axes:
                layout_map[table.path] = _along(2, axes[0], axis_name)
        product = _product(layer)
        if product is None:
            continue
        shape, bias = product.kernel.stored_shape, layer.bias
        is_second = product.sizes(product.summed) in given
        axis = product.summed[0] if is_second else product.outputs[0]
        divides = shape[axis] % parts == 0
        if divides:
            layout_map[product.kernel.path] = _along(len(shape), axis, axis_name)
        if is_second or not divides:
            given.clear()
            continue
        sizes = product.sizes(product.outputs)
        given.add(sizes)
        if bias is not None and bias.stored_shape == sizes:
            layout_map[bias.path] = _along(len(sizes), 0, axis_name)
    return layout_map


class _Product(NamedTuple):
    """A product with a kernel: the kernel's axes that it sums over, and those that it gives."""

    kernel: Any
    summed: tuple[int, ...]
    outputs: tuple[int, ...]

    def sizes(self, axes: tuple[int, ...]) -> Sizes:
        return tuple(self.kernel.stored_shape[axis] for axis in axes)


def _product(layer: Any) -> _Product | None:
    if isinstance(layer, Dense):
        return _Product(layer.kernel, (0,), (1,))
    if isinstance(layer, (Conv1D, Conv2D, Conv3D)) and layer.groups == 1:
        rank = len(layer.kernel.stored_shape)
        return _Product(layer.kernel, (rank - 2,), (rank - 1,))
    if not isinstance(layer, EinsumDense):
        return None
    terms, _, result = layer.equation.replace(" ", "").partition("->")
    _, _, own = terms.partition(",")
    summed = tuple(i for i, letter in enumerate(own) if letter not in result)
    outputs = tuple(i for i, letter in enumerate(own) if letter in result)
    return _Product(layer.kernel, summed, outputs) if outputs else None


def _along(rank: int, axis: int, name: str) -> tuple[str | None, ...]:
    return tuple(name if i == axis else None for i in range(rank))
