"""Pruning: weights of least magnitude are zero, ever more of them while a model trains."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

from .. import ops
from ..core import naming
from ..core.checks import is_size, listed, one_of
from ..core.transforms import MASK, Operand, Transform
from ..core.variable import Variable
from ..engines import current
from ..layers import Layer
from ..transforms.on_layers import when_built
from ..transforms.quantizing import axes_of
from ._choice import all_kernels, chosen, listed_layers, warn_of_idle
from ._masks import Finding, Rule
from ._schedules import ConstantSparsity
from ._weights import require_weight


class Mask(Transform):
    """Zeros in the place of the weights of least magnitude.

    What is stored keeps its numbers: a weight that was masked may come back when the mask is found anew, after as
    many updates by an optimizer as the schedule says.

    Args:
        pruning_schedule: When masks are found, and how many zeros they have: `schedule(step) -> (due, sparsity)`.
        block_size: The rows and columns that are masked as one, of the weight as a matrix of its last axis and all
            others; None for all of them, so that `(None, 1)` are whole filters.
        block_pooling_type: Whether a block is as large as the mean of its magnitudes, `"AVG"`, or the largest, `"MAX"`.
        sparsity_m_by_n: How many of how many consecutive weights along the inputs are zero, such as `(2, 4)`; the
            schedule says then at which step that is found, once.
        group: A name that the masks share that have one threshold; None for one of its own.

    >>> import numpy as np
    >>> from cornu import layers
    >>> layer = layers.Dense(1, kernel_initializer="ones")
    >>> layer.build((None, 2))
    >>> mask = layer.add_transform(layer.kernel, Mask(ConstantSparsity(0.5, 0)))
    >>> mask.mask.assign([[True], [False]]).tolist(), layer(np.ones((1, 2))).tolist()
    ([[True], [False]], [[1.0]])
    """

    order = MASK

    def __init__(
        self,
        pruning_schedule: Callable[[Any], tuple[Any, Any]],
        block_size: Sequence[int | None] = (1, 1),
        block_pooling_type: str = "AVG",
        sparsity_m_by_n: Sequence[int] | None = None,
        group: str | None = None,
    ) -> None:
        super().__init__()
        one_of(("AVG", "MAX"), block_pooling_type=block_pooling_type)
        _check_schedule(pruning_schedule)
        self.block_size = _pair("block_size", block_size, lambda x: x is None or is_size(x))
        if sparsity_m_by_n is not None:
            zeros, of = self.sparsity_m_by_n = _pair("sparsity_m_by_n", sparsity_m_by_n, is_size)
            if zeros >= of or self.block_size != (1, 1):
                raise ValueError(
                    "Of each n weights fewer than n are zero, and that goes by single weights. Received: "
                    f"sparsity_m_by_n={sparsity_m_by_n}, block_size={block_size}."
                )

    def build(self, owner: Any, variable: Any) -> None:
        """Make the mask, and count updates from 0."""
        require_weight(self, owner, variable)
        self.mask = self.part("mask", variable.effective().shape, "ones", dtype="bool")
        self.pruning_step = self.part("pruning_step", (), "zeros", dtype="int32")
        self._axis = _input_axis(owner, variable)

    def value(self, stored: Any) -> Any:
        """What is stored, or 0."""
        # Not by `where`: PyTorch takes 0.94 ms for 262,144 weights on a CPU, and 0.2 ms for this.
        return ops.multiply(stored, ops.cast(self.mask, ops.dtype(stored)))

    @classmethod
    def trained(cls, members: Sequence[tuple[Self, Variable]]) -> None:
        """Count the update, and find the masks that are due."""
        for mask, _ in members:
            mask.pruning_step.assign_add(1)
        refresh(members)

    def due(self) -> tuple[Any, Any]:
        """Whether the mask is found anew at the step that is counted, and the share of zeros."""
        step = self.pruning_step.value
        if self.sparsity_m_by_n is None:
            return self.pruning_schedule(step)
        first = getattr(self.pruning_schedule, "begin_step", 0)
        return ops.equal(step, first), self.sparsity_m_by_n[0] / self.sparsity_m_by_n[1]

    @property
    def rule(self) -> Rule:
        """How the mask is found of what it is given."""
        return Rule(self.block_size, self.block_pooling_type, self.sparsity_m_by_n, self._axis)

    def given(self, variable: Variable) -> Any:
        """What the transforms of its variable before it give."""
        depth = next(i for i, x in enumerate(variable.transforms) if x is self)
        return Operand(variable, depth).value()


def refresh(members: Sequence[tuple[Mask, Variable]]) -> None:
    """Find the masks that are due at the steps that they have counted."""
    groups: dict[Any, list[tuple[Mask, Variable]]] = {}
    for mask, variable in members:
        groups.setdefault(mask.group or id(mask), []).append((mask, variable))
    ordered = [pair for group in groups.values() for pair in group]
    asked = [group[0][0].due() for group in groups.values()]
    dues = [ops.convert_to_tensor(due, "bool") for due, _ in asked]
    shares = [ops.convert_to_tensor(share, "float32") for _, share in asked]
    find = Finding(tuple(tuple(mask.rule for mask, _ in group) for group in groups.values()))
    found = current().renewed(
        functools.reduce(ops.logical_or, dues),
        find,
        [mask.mask.value for mask, _ in ordered],
        [*(mask.given(variable) for mask, variable in ordered), *dues, *shares],
    )
    for (mask, _), value in zip(ordered, found, strict=True):
        mask.mask.assign(value)


def prune_low_magnitude(
    to_prune: Any,
    pruning_schedule: Any = None,
    block_size: Sequence[int | None] = (1, 1),
    block_pooling_type: str = "AVG",
    pruning_policy: Any = None,
    sparsity_m_by_n: Sequence[int] | None = None,
    scope: str = "local",
) -> Any:
    """Let the weights of least magnitude of a model or layer be zero.

    It holds at once, on the model itself: compiled or not, trained or not, its optimizer and its names stay. Pruned are
    the kernels of all layers: weights of two axes and more, biases and normalizations left out. What a schedule
    counts are updates by an optimizer since, of the weight at hand; no callback is needed. Masks stay as they are
    where others update: optimizers of an engine's library, and `stateless_apply`, which gives no masks back.

    Args:
        to_prune: A model of any kind, a layer, or a list of layers. One that is not built yet is pruned when it is.
        pruning_schedule: How many weights are zero, and when that is found; half of them from now on where it is None.
        block_size, block_pooling_type, sparsity_m_by_n: What is masked as one, as `Mask` takes them.
        pruning_policy: Which weights: a pattern of paths of weights or layers, or several, such as
            `["encoder/*", "head/kernel"]`; a call `policy(layer)`; or a `PruningPolicy`.
        scope: `"local"` where each weight has that share of zeros, `"global"` where all of them together have it.

    Returns:
        `to_prune`.

    Raises:
        ValueError: If nothing is found to prune, a weight is pruned already, or an argument is out of its range.

    >>> from cornu import Input, Sequential, layers, optimization
    >>> model = Sequential([Input((8,)), layers.Dense(16), layers.Dense(4)])
    >>> model = prune_low_magnitude(model, ConstantSparsity(0.75, begin_step=0))
    >>> optimization.sparsity_report(model).sparsity
    0.75
    """
    one_of(("local", "global"), scope=scope)
    schedule = ConstantSparsity(0.5, 0) if pruning_schedule is None else pruning_schedule
    group = naming.auto_name("pruning") if scope == "global" else None
    arguments = (schedule, block_size, block_pooling_type, sparsity_m_by_n, group)
    Mask(*arguments)  # which checks them
    given = listed_layers(to_prune=to_prune)
    prune = functools.partial(_prune, policy=pruning_policy, arguments=arguments)
    if all(layer.built for layer in given):
        prune(*given)
    else:
        for layer in given:
            when_built(layer, prune)
    return to_prune


def _prune(*given: Layer, policy: Any, arguments: tuple[Any, ...]) -> None:
    if hasattr(policy, "ensure_model_supports_pruning"):
        for model in given:
            policy.ensure_model_supports_pruning(model)
    known = all_kernels(*given)
    found = [(x, w) for x, w in known if chosen(policy, x, w)]
    masked = [w.path for _, w in found if any(isinstance(t, Mask) for t in w.transforms)]
    if masked or not found:
        wrong = f"weights with a mask, {masked[:3]}" if masked else "none"
        raise ValueError(
            "What is pruned are kernels without a mask. Received: "
            f"{[x.name for x in given]}, pruning_policy={policy!r}, where are {wrong}. "
            "`strip_pruning` takes masks off; `sparsity_report` lists kernels."
        )
    warn_of_idle(policy, known)
    members: list[tuple[Any, Variable]] = []
    for layer, weight in found:
        members.append((layer.add_transform(weight, Mask(*arguments)), weight))
    refresh(members)


def strip_pruning(model: Any) -> Any:
    """Store the zeros of pruned weights, and take the masks off: a plain model, the same object.

    Args:
        model: A model or layer, or a list of layers, that `prune_low_magnitude` was given.

    Returns:
        `model`.

    >>> from cornu import layers
    >>> layer = layers.Dense(4)
    >>> layer.build((None, 4))
    >>> kernel = strip_pruning(prune_low_magnitude(layer)).kernel
    >>> int((kernel.numpy() == 0).sum()), kernel.transforms
    (8, ())
    """
    for layer in listed_layers(model=model):
        layer.strip_transforms(Mask)
    return model


def prune_scope() -> AbstractContextManager[None]:
    """A block for loading pruned models. They need none: it is there for programs that open one."""
    return nullcontext()


def _check_schedule(schedule: Any) -> None:
    if not callable(schedule):
        raise ValueError(
            "`pruning_schedule` is a call that gives, for a step, whether it prunes and how much. Received: "
            f"pruning_schedule={schedule!r}. `ConstantSparsity(0.5, begin_step=0)` is one."
        )


def _pair(name: str, given: Any, fits: Callable[[Any], bool]) -> tuple[Any, Any]:
    pair = listed(given) or ()
    if len(pair) != 2 or not all(map(fits, pair)):
        raise ValueError(f"`{name}` is two sizes, at least 1 each. Received: {name}={given!r}.")
    return pair[0], pair[1]


def _input_axis(layer: Any, weight: Variable) -> int:
    """The last axis of a kernel that a product sums over."""
    axes = axes_of(layer, weight)
    return axes.weight.index(axes.shared[-1]) if axes.shared else -1
