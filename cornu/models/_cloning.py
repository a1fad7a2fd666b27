"""Copies of models: the same layers, with new weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..core import tree
from ..core.keras_tensor import KerasTensor
from ..core.operation import Operation
from ..core.scopes import here, within
from ..core.serialization import functions_as_they_are
from ..layers import Input, InputLayer, Layer
from ..transforms.on_layers import when_built
from ._functional import Functional
from ._sequential import Sequential

CloneLayer = Callable[[Any], Any]
CallLayer = Callable[..., Any]


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: CloneLayer | None = None,
    call_function: CallLayer | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Any:
    """A copy of a model, with layers and weights of its own. A compiled model's copy is compiled.

    Args:
        model: The model.
        input_tensors: Symbolic tensors that the copy starts from, in the structure of the inputs;
            not for subclassed models.
        clone_function: Gives the copy of a layer, or another layer for its place; that of
            its config where it is left out. Not for subclassed models.
        call_function: Calls a layer: `call_function(layer, *args, **kwargs)`; for graphs only.
        recursive: Whether the layers of models inside the model are copied one by one as well.

    Returns:
        A model of the same class; a `Functional` or `Sequential` for subclasses of these.

    Raises:
        ValueError: If an argument does not go with the kind of model.

    >>> from cornu import Input, Sequential, layers
    >>> model = Sequential([Input((4,)), layers.Dense(3), layers.Dense(2)])
    >>> clone_model(model).count_params()
    23
    """
    copies: dict[int, Any] = kwargs.pop("cache", None) or {}
    if kwargs:
        raise ValueError(f"`clone_model` has no such arguments. Received: {sorted(kwargs)}.")
    graph = isinstance(model, Functional)
    if not graph and call_function is not None:
        raise ValueError(
            "`call_function` is for models made of a graph, whose layers are called for the copy. "
            f"Received: call_function={call_function!r} for a {type(model).__name__}. "
            "Leave it out."
        )
    if not graph and not isinstance(model, Sequential):
        if clone_function is not None or input_tensors is not None:
            raise ValueError(
                "`clone_function` and `input_tensors` are for Sequential and Functional models. "
                f"Received: clone_function={clone_function!r}, input_tensors={input_tensors!r} for "
                f"the {type(model).__name__} {model.name!r}, whose `call` says what happens. Leave "
                "them out."
            )
        copy = _copy_of_config(model)
        _take_transforms(model, copy)
    else:
        copier = _Copier(clone_function or _copy_of_config, call_function, recursive, copies)
        copy = (copier.graph if graph else copier.stack)(model, input_tensors)
    if getattr(model, "compiled", False) and (config := model.get_compile_config()) is not None:
        copy.compile_from_config(config)
    return copy


def _copy_of_config(layer: Any) -> Any:
    with functions_as_they_are(), within(here.adapted, True):
        return type(layer).from_config(layer.get_config())


class _Copier:
    """How the layers of a model are copied and called."""

    def __init__(
        self,
        clone_function: CloneLayer,
        call_function: CallLayer | None,
        recursive: bool,
        copies: dict[int, Any],
    ) -> None:
        self.clone = clone_function
        self.call = call_function
        self.recursive = recursive
        #: The copy of each layer that there is one of already, by id.
        self.copies = copies

    def layer(self, layer: Any) -> Any:
        """The copy of a layer: one, however often the layer is used."""
        found = self.copies.get(id(layer))
        if found is not None:
            return found
        if self.recursive and isinstance(layer, Functional):
            copy: Any = self.graph(layer, None)
        elif self.recursive and isinstance(layer, Sequential):
            copy = self.stack(layer, None)
        else:
            copy = self.clone(layer)
        if isinstance(layer, Layer) and not isinstance(copy, Operation):
            raise TypeError(
                "`clone_function` must return a layer. Received: "
                f"{copy!r} for the layer {layer.name!r}. Return `layer.from_config("
                "layer.get_config())` for a plain copy."
            )
        if isinstance(layer, Layer) and type(copy) is type(layer):
            _take_transforms(layer, copy)
        self.copies[id(layer)] = copy
        return copy

    def stack(self, model: Sequential, input_tensors: Any) -> Sequential:
        """The copy of a Sequential model."""
        layers = [self.layer(layer) for layer in model.layers]
        start = model._stack[0] if model._stack else None
        given = None if input_tensors is None else _single(input_tensors)
        if given is not None:
            layers.insert(0, _new_input(given)._keras_history.operation)
        elif isinstance(start, InputLayer):
            layers.insert(0, _copy_of_config(start))
        copy = Sequential(layers, name=model.name)
        _take_trainable(model, copy)
        return copy

    def graph(self, model: Functional, input_tensors: Any) -> Functional:
        """The copy of a Functional model."""
        if input_tensors is None:
            inputs = tree.map_structure(_copy_of_input, model._inputs_struct)
        else:
            inputs = _checked_inputs(model, input_tensors)

        def run(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            copy = self.layer(operation)
            return copy(*args, **kwargs) if self.call is None else self.call(copy, *args, **kwargs)

        outputs = model._run_steps(tree.flatten(inputs), run)
        copy = Functional(inputs, outputs, name=model.name)
        _take_trainable(model, copy)
        return copy


def _take_transforms(layer: Layer, copy: Layer) -> None:
    """Have a copy, and the layers inside it, transform their weights as a layer and those inside do.

    Those that it makes when it is built do so from then on.
    """
    known, made = layer._flatten_layers(), copy._flatten_layers()
    if len(made) < len(known) and not copy.built:
        when_built(copy, functools.partial(_take_transforms, layer))
        return
    for one, other in zip(known, made, strict=False):
        if one.transforms and type(one) is type(other):
            other.transform_from_config(one.get_transforms_config())


def _take_trainable(model: Any, copy: Any) -> None:
    """Whether the model itself is trainable; its layers' copies know that of theirs."""
    copy._trainable = model._trainable


def _new_input(x: KerasTensor) -> Any:
    """An input of its own like a given one, which may belong to another model."""
    name = x._keras_history.operation.name if x._keras_history is not None else None
    return Input(batch_shape=x.shape, dtype=x.dtype, name=name)


def _copy_of_input(x: KerasTensor) -> Any:
    assert x._keras_history is not None
    return _copy_of_config(x._keras_history.operation).output


def _single(input_tensors: Any) -> KerasTensor:
    found = tree.flatten(input_tensors)
    if len(found) != 1 or not isinstance(found[0], KerasTensor):
        raise ValueError(
            "The copy of a Sequential model starts from one symbolic tensor. Received: "
            f"input_tensors={input_tensors!r}. Make one by `Input(shape)`."
        )
    return found[0]


def _checked_inputs(model: Functional, input_tensors: Any) -> Any:
    expected = model._inputs_struct
    if not isinstance(expected, KerasTensor) and isinstance(input_tensors, KerasTensor):
        input_tensors = [input_tensors]
    try:
        tree.assert_same_structure(expected, input_tensors)
    except ValueError as error:
        raise ValueError(
            "`input_tensors` must have the structure of the model's inputs. Received: "
            f"input_tensors={input_tensors!r} for {model.name!r}, whose inputs are {expected!r}."
        ) from error
    for x in tree.flatten(input_tensors):
        if not isinstance(x, KerasTensor):
            raise ValueError(
                "`input_tensors` must be symbolic. Received: "
                f"{x!r} for {model.name!r}. Make them by `Input(shape)`."
            )
    return input_tensors
