"""A layer as a `torch.nn.Module`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn.modules.module import register_module_module_registration_hook

from .. import use
from ..contract import Engine, Tensor

#: What PyTorch, and programs in its style, ask of a module and of its submodules.
NAMES = frozenset(name for name in dir(torch.nn.Module()) if not name.startswith("__"))


class LayerModule(torch.nn.Module):  # type: ignore[misc]
    """A layer as a module, which reads the layer's parts whenever it is asked for them.

    Variables made to be trained are parameters, the others buffers. Among its submodules the sublayers stand
    themselves: a layer answers what PyTorch asks of modules by its own module.
    """

    def __init__(self, engine: Engine, layer: Any) -> None:
        self.__dict__.update(engine=engine, _layer=layer)  # past PyTorch: the layer is no submodule
        super().__init__()
        #: None as long as nobody has said `train` or `eval`, and no other module has taken it in.
        self.training: bool | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the hooks stand around: the layer's call, in training where the module is."""
        return self._layer._call_within(args, kwargs, self.training)

    run = torch.nn.Module.__call__

    def refresh(self) -> None:
        """Nothing: parts are read when they are asked for."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer, which runs the hooks."""
        with use(self.engine):
            return self._layer(*args, **kwargs)

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """The layer, then those inside of it."""
        for name, module in super().named_modules(memo, prefix, remove_duplicate):
            yield name, self._layer if module is self else module

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Move the tensors, as `to`, `cuda` and `half` do."""
        for child in self.children() if recurse else ():
            child._apply(fn)
        for tensor in (*self._parameters.values(), *self._buffers.values()):
            moved = fn(tensor.data)
            if moved.dtype != tensor.dtype:
                raise TypeError(
                    "The dtype of a layer is its policy's. Received: "
                    f"{moved.dtype} for weights of {tensor.dtype} in the layer {self._layer.path!r}. "
                    "Make the layer with `dtype=`, and leave it out of `to`, `half` or `double`."
                )
            tensor.data = moved
            if tensor.grad is not None:
                tensor.grad.data = fn(tensor.grad.data)
        return self._layer

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        """Copy values into the layer's tensors, which stay the same with `assign=True` too."""
        copied = {**local_metadata, "assign_to_params_buffers": False}
        super()._load_from_state_dict(state_dict, prefix, copied, *args)

    def __getattr__(self, name: str) -> Any:
        """A part, else what the layer has beside, such as its `name` in a hook."""
        if name in NAMES or "_layer" not in vars(self):
            return super().__getattr__(name)
        parts = {**self._parameters, **self._buffers, **self._modules}
        return parts[name] if name in parts else getattr(self._layer, name)

    def train(self, mode: bool = True) -> Any:
        """Say whether calls train, where they don't say so themselves."""
        super().train(mode)
        return self._layer

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Say whether the parameters take part in differentiation."""
        super().requires_grad_(requires_grad)
        return self._layer

    def apply(self, fn: Callable[[Any], None]) -> Any:
        """Call a function on the layers inside, then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self._layer)
        return self._layer


class _View:
    """An attribute that PyTorch keeps in a module, read off the layer instead."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def __get__(self, module: Any, owner: type) -> Any:
        layer = module._layer
        if not layer.built and self.kind == 0:
            warnings.warn(
                f"The layer {layer.name!r} has no parameters before it is built. Call it on data, or "
                "`build(input_shape)`, before its parameters are given to an optimizer or saved.",
                stacklevel=4,
            )
        return _Parts(layer._parts_on(module.engine)[self.kind])

    def __set__(self, module: Any, value: Any) -> None:
        """Nothing: modules start with empty ones."""


def _refuse(owner: Any, name: str, *args: Any, **kwargs: Any) -> None:
    raise AttributeError(
        "A layer makes its own parts, and they stay. Received: another parameter, buffer or module "
        f"{name!r}. Make new ones by `add_weight` or as attributes of the layer, change their values in "
        "place, and call it with other values by `stateless_call`."
    )


class _Parts(dict[str, Any]):
    """Parts of a layer by name."""

    __setitem__ = _refuse


for _name in ("register_parameter", "register_buffer", "register_module", "add_module"):
    setattr(LayerModule, _name, _refuse)
for _kind, _name in enumerate(("_parameters", "_buffers", "_modules")):
    setattr(LayerModule, _name, _View(_kind))


def _take_mode(parent: torch.nn.Module, name: str, module: Any) -> None:
    """A layer that becomes a part of a module trains where the module does."""
    if getattr(module, "training", True) is None:
        module.train(parent.training)


register_module_module_registration_hook(_take_mode)
