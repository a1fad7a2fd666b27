"""Computing again during differentiation, in place of keeping what was made on the way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar, copy_context
from typing import Any

from ..engines import current
from .checks import one_of
from .masks import masks_of, put_masks
from .scopes import StatelessScope, autocast, here, within
from .variable import Variable

_MODES = ("full", "activations", "larger_than", "list_of_layers", None)


class _Again(StatelessScope):
    """A block that may run again: variables read as they did the first time, and writes are collected."""

    def __init__(self, pairs: Iterable[tuple[Variable, Any]], seen: dict[int, Any]) -> None:
        super().__init__(collect_losses=True)
        self._given = {id(variable): value for variable, value in pairs}
        self._seen = seen

    def get_current_value(self, variable: Variable) -> Any:
        """The variable's value, remembered."""
        key = id(variable)
        if key in self._written:
            return self._written[key][1]
        if key not in self._given and key not in self._seen:
            with within(here.stateless, self._outer), autocast(None):
                self._seen[key] = variable.value
        return self._given.get(key, self._seen.get(key))


def remat(f: Callable[..., Any], *, variables: Sequence[Variable] = ()) -> Callable[..., Any]:
    """`f`, computed again during differentiation: what it makes on the way takes no memory till then.

    TensorFlow and PyTensor keep it all the same.

    Args:
        f: A function of tensors. It may read and write variables, draw random numbers and add losses:
            the second time it sees what it saw the first time, and changes nothing.
        variables: Variables that it reads and is differentiated by. The NumPy engine must know them.

    >>> from cornu import ops, value_and_grad
    >>> w = Variable([2.0])
    >>> value_and_grad(lambda: ops.sum(remat(lambda x: ops.exp(x * w))(ops.zeros(1))), [w])()[1][0].tolist()
    [0.0]
    """
    variables = list(variables)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        context = copy_context()
        seen: dict[int, Any] = {}
        written: list[Variable] = []
        owners: list[Any] = []

        def pure(values: list[Any], masks: list[Any], args: Any, kwargs: Any) -> Any:
            put_masks((args, kwargs), masks)
            scope = _Again(zip(variables, values, strict=True), seen)
            with scope, within(here.recomputed, True):
                result = f(*args, **kwargs)
            written[:] = [variable for variable, _ in scope.updates()]
            owners[:] = [layer for layer, _ in scope.losses]
            values = [value for _, value in scope.updates()]
            return result, masks_of(result), values, [loss for _, loss in scope.losses]

        def run(*given: Any) -> Any:  # the second time in another thread, maybe
            return context.copy().run(pure, *given)

        with autocast(None):
            values = [variable.value for variable in variables]
        given = masks_of((args, kwargs))
        result, masks, values, losses = current().remat(run)(values, given, args, kwargs)
        put_masks(result, masks)
        for variable, value in zip(written, values, strict=True):
            variable.assign(value)
        for layer, loss in zip(owners, losses, strict=True):
            layer.add_loss(loss)
        return result

    return call


class RematScope:
    """A block in which layers are made that compute their call again during differentiation.

    That takes time, about that of the call, in place of the memory for all that the call makes on its
    way. Layers within such a layer don't do so once more. A layer that was made already is told by
    `layer.rematerialize()`. TensorFlow and PyTensor compute as usual.

    Args:
        mode: `"full"` for all layers but models, `"activations"` for activation functions alone,
            `"larger_than"` for layers with large outputs, `"list_of_layers"` for those of some names;
            None for no layer.
        output_size_threshold: From how many elements on, without the batch, an output is large.
        layer_names: The layers' names.

    >>> from cornu import layers
    >>> with RematScope(mode="list_of_layers", layer_names=["block"]):
    ...     block = layers.Dense(4, name="block")
    """

    _current: ContextVar[RematScope | None] = ContextVar("remat", default=None)

    def __init__(
        self,
        mode: str | None = "full",
        output_size_threshold: int = 1024,
        layer_names: Sequence[str] | None = None,
    ) -> None:
        one_of(_MODES, mode=mode)
        self.mode = mode
        self.output_size_threshold = output_size_threshold
        self.layer_names = list(layer_names or ())
        self._outer: RematScope | None = None

    def __enter__(self) -> RematScope:
        self._outer = self._current.get()
        self._current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._current.set(self._outer)

    @classmethod
    def tell(cls, layer: Any) -> None:
        """Tell a new layer what the scope around it says, if there is one."""
        scope = cls._current.get()
        if scope is None or scope.mode is None:
            return
        if scope.mode == "list_of_layers":
            layer.rematerialize(layer.name in scope.layer_names)
        elif scope.mode == "activations":
            if callable(getattr(layer, "activation", None)):
                layer.activation = remat(layer.activation)
        elif layer._may_rematerialize:
            layer.rematerialize(
                larger_than=scope.output_size_threshold if scope.mode != "full" else 0
            )
