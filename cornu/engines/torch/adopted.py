"""A `torch.nn.Module` as a part of a layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ..contract import Tensor


class AdoptedModule:
    """A module, called with the values of a layer's variables in place of its own tensors.

    The variables hold the module's own tensors, so that a training changes the module too.
    """

    def __init__(self, module: Any) -> None:
        if not isinstance(module, torch.nn.Module):
            raise TypeError(
                "What is wrapped must be a `torch.nn.Module`. Received: "
                f"module={module!r} (of {type(module).__name__})."
            )
        self.module = module

    def parts(self) -> Iterator[tuple[str, Any, bool]]:
        """Parameters, then buffers."""
        for name, tensor in (*self.module.named_parameters(), *self.module.named_buffers()):
            if torch.nn.parameter.is_lazy(tensor):
                raise ValueError(
                    "The parameters of a module must be there when it is wrapped. Received: "
                    f"{name!r} of {type(self.module).__name__}, which has no shape yet. "
                    "Call the module on a batch first."
                )
            trained = isinstance(tensor, torch.nn.Parameter) and tensor.requires_grad
            yield name, tensor, trained

    def call(
        self, values: Mapping[str, Tensor], args: Any, kwargs: Any, training: bool | None
    ) -> tuple[Any, dict[str, Tensor]]:
        """The module's result, and its buffers, which training changes."""
        if training is not None:
            self.module.train(training)
        buffers = {name for name, _ in self.module.named_buffers()}
        # A module changes its buffers in place: these are not the variables' own.
        copies = {name: values[name].clone() for name in buffers}
        given = {**values, **copies}
        result = torch.func.functional_call(self.module, given, tuple(args), dict(kwargs))
        # Kernels such as batch norm's change a buffer without counting it as changed.
        return result, {name: given[name] for name in buffers} if training else {}
