"""Low-rank adaptation: how a kernel is read while a small product is trained in its place.

Hu et al., 2021, https://arxiv.org/abs/2106.09685.
"""

from __future__ import annotations

from typing import Any

from .. import initializers, ops
from ..core.variable import Variable
from ._layer import Layer


class AdaptableKernel(Layer):
    """A layer whose kernel can be frozen and adapted by a product of two small matrices.

    The weight is kept as `_<name>`; the attribute `<name>` reads it with the adaptation added.
    The constructors of its classes take `lora_rank` and `lora_alpha`.
    """

    _kernel_name = "kernel"
    lora_enabled = False
    lora_rank: int
    lora_alpha: float | None
    _optional_arguments = frozenset({"lora_rank", "lora_alpha"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lora_alpha = self.lora_rank if self.lora_alpha is None else self.lora_alpha
        for name in ("quantization_config", "gptq_unpacked_column_size"):
            if getattr(self, name, None) is not None:
                raise ValueError(
                    f"Kernels are not quantized. Received: {name}={getattr(self, name)!r} for the "
                    f"layer {self.name!r}. Leave it out."
                )

    def _post_build(self) -> None:
        super()._post_build()
        if self.lora_rank:
            self.enable_lora(self.lora_rank, lora_alpha=self.lora_alpha)

    @property
    def _adapted(self) -> Any:
        """The kernel that the layer computes with."""
        weight: Variable = getattr(self, f"_{self._kernel_name}")
        if not self.lora_enabled:
            return weight
        product = ops.matmul(self.lora_kernel_a, self.lora_kernel_b)
        return weight + (self.lora_alpha / self.lora_rank) * product  # type: ignore[operator]

    def enable_lora(
        self,
        rank: int,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
        lora_alpha: float | None = None,
    ) -> None:
        """Freeze the kernel and train a product of rank `rank` that is added to it.

        Args:
            rank: The inner dimension of the product.
            a_initializer: Draws the first factor.
            b_initializer: Draws the second factor.
            lora_alpha: The product is scaled by `lora_alpha / rank`.
        """
        weight: Variable | None = getattr(self, f"_{self._kernel_name}", None)
        if weight is None or not self.built:
            raise ValueError(
                f"The layer must be built before LoRA is enabled. Received: {self.path!r}, never "
                "built. Call it on data first."
            )
        if self.lora_enabled:
            raise ValueError(
                f"LoRA is enabled once. Received: {self.path!r}, which has it already."
            )
        tracker = self._tracker
        locked, tracker.locked = tracker.locked, ""
        *leading, last = weight.shape
        self.lora_kernel_a = self.add_weight(
            name=f"lora_{self._kernel_name}_a",
            shape=(*leading, rank),
            initializer=initializers.get(a_initializer),
            regularizer=weight.regularizer,
        )
        self.lora_kernel_b = self.add_weight(
            name=f"lora_{self._kernel_name}_b",
            shape=(rank, last),
            initializer=initializers.get(b_initializer),
            regularizer=weight.regularizer,
        )
        tracker.locked = locked
        weight.trainable = False
        tracker.frozen.add(weight)
        self.lora_enabled = True
        self.lora_rank = rank
        self.lora_alpha = rank if lora_alpha is None else lora_alpha

    def load_own_variables(self, store: Any) -> None:
        """Take the weights from a mapping; an adaptation starts again from zero."""
        if not self.lora_enabled:
            super().load_own_variables(store)
            return
        for index, variable in enumerate(self._stored_weights()):
            variable.assign(store[str(index)])
        self.lora_kernel_b.assign(ops.zeros(self.lora_kernel_b.shape))

    def _stored_values(self) -> list[Any]:
        """The weights, the adaptation added to the kernel."""
        weight = getattr(self, f"_{self._kernel_name}") if self.lora_enabled else None
        return [self._adapted if v is weight else v for v in self._stored_weights()]

    def _stored_weights(self) -> list[Variable]:
        """The weights in the order in which they were made, without the adaptation's."""
        if not self.lora_enabled:
            return super()._stored_weights()
        factors = (self.lora_kernel_a, self.lora_kernel_b)
        return [v for v in self._owned("variables") if all(v is not f for f in factors)]
