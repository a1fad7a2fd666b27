"""Low-rank adaptation: weights that stay as they are, and a small product that is trained beside each."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from .. import initializers, ops
from ..core.checks import is_number, is_size, positive_integer
from ..core.naming import matches
from ..core.transforms import UPDATE, Operand, Transform, Use
from ..core.variable import Variable
from .quantizing import kernels


class LowRank(Transform):
    """A product of two small matrices that is added to a weight, and trained in its place.

    `w + alpha / rank * a b` (LoRA: Hu et al., 2021, https://arxiv.org/abs/2106.09685). With `dora` the sum's
    columns have lengths that are trained by themselves (DoRA: Liu et al., 2024,
    https://arxiv.org/abs/2402.09353); what they are divided by is a constant to gradients, as in its section 4.3.

    Args:
        rank: The inner dimension of the product.
        alpha: The product is scaled by `alpha / rank`; by 1 where it is left out.
        a_initializer: Draws `a` (*rows, rank).
        b_initializer: Draws `b` (rank, *columns).
        rows: How many of the weight's axes are rows, those that follow are columns. All but the last one, where it
            is left out, and but for axes of size 1 at the end.
        dora: Whether the lengths of columns are trained.
        merged: Whether the product is in what is stored already.

    >>> import numpy as np
    >>> from cornu import layers
    >>> layer = layers.Dense(3)
    >>> layer.build((None, 4))
    >>> layer.add_transform(layer.kernel, LowRank(2))
    <LowRank of dense/kernel>
    >>> [(v.name, v.shape) for v in layer.trainable_variables]
    [('bias', (3,)), ('lora_kernel_a', (4, 2)), ('lora_kernel_b', (2, 3))]
    """

    order = UPDATE
    is_baked = True
    _converters = {"initializer": initializers.get}

    def __init__(
        self,
        rank: int,
        alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
        rows: int | None = None,
        dora: bool = False,
        merged: bool = False,
    ) -> None:
        super().__init__()
        positive_integer(rank=rank)
        if alpha is not None and not (is_number(alpha) and math.isfinite(alpha)):
            raise ValueError(f"`alpha` is a finite number. Received: alpha={alpha!r}.")
        self.alpha = rank if alpha is None else alpha
        self.rows = rows
        self._variable: Variable | None = None
        self._thaws = False

    def part_name(self, name: str, of: str) -> str:
        """Keras's names: `lora_kernel_a`."""
        return f"lora_{of}_{name}"

    def build(self, owner: Any, variable: Variable | None) -> None:
        """Draw the factors, and freeze the weight."""
        shape = () if variable is None else Operand(variable, len(variable.transforms)).shape
        if variable is None or len(shape) < 2:
            raise ValueError(
                "A low-rank product is added to a weight of two axes or more. Received: "
                f"{self._of!r} of the layer {owner.path!r}, with the shape {shape}."
            )
        if variable.constraint is not None:
            raise ValueError(
                "A constraint holds for what is trained, not for its sum with a product. Received: "
                f"{variable.constraint!r} of {variable.path!r}. Leave the constraint out for LoRA."
            )
        if self.rows is None:
            self.rows = max((i for i, size in enumerate(shape) if size > 1 and i), default=1)
        if not (is_size(self.rows) and self.rows < len(shape)):
            raise ValueError(
                "`rows` leaves an axis of the weight for rows, and one for columns. Received: "
                f"rows={self.rows!r} for {variable.path!r}, of shape {shape}."
            )
        options: dict[str, Any] = {"trainable": True, "regularizer": variable.regularizer}
        self.a = self.part("a", (*shape[: self.rows], self.rank), self.a_initializer, **options)
        self.b = self.part("b", (self.rank, *shape[self.rows :]), self.b_initializer, **options)
        if self.dora:
            lengths = self._lengths(variable.effective())
            self.magnitude = self.part(
                "magnitude", shape[self.rows :], ops.convert_to_numpy(lengths), trainable=True
            )
        self._variable, self._thaws = variable, variable.trainable
        variable.trainable = False
        owner._tracker.frozen.add(variable)
        owner.lora_enabled, owner.lora_rank, owner.lora_alpha = True, self.rank, self.alpha
        for part in self.parts.values():
            setattr(owner, part.name, part)
        self._set_merged(self.merged)

    def detach(self) -> None:
        """Give up the factors, and let the weight be trained again."""
        owner, variable = self._owner, self._variable
        for part in self.parts.values():
            vars(owner).pop(part.name, None)
        if variable is not None:
            if self._thaws:
                owner._tracker.frozen.discard(variable)
                variable.trainable = owner.trainable
            if not any(isinstance(other, LowRank) for _, other in owner.transforms):
                owner.lora_enabled, owner.lora_rank, owner.lora_alpha = False, None, None
        self._variable = None
        super().detach()

    @property
    def alpha(self) -> float:
        """The product is scaled by `alpha / rank`; what was compiled for another one is compiled again."""
        return self._alpha

    @alpha.setter
    def alpha(self, value: float | None) -> None:
        # While the constructor's arguments are kept there is no owner yet.
        self._alpha: Any = value
        if (owner := vars(self).get("_owner")) is not None:
            owner.lora_alpha = value
            self.change()

    @property
    def scaled(self) -> Any:
        """The second factor, scaled: it is smaller than any product."""
        return ops.multiply(self.b, float(self.alpha / self.rank))

    def _update(self) -> Any:
        return ops.tensordot(self.a, self.scaled, axes=1)

    def _lengths(self, columns: Any) -> Any:
        """The norms of columns, without gradients."""
        squares = ops.square(ops.stop_gradient(columns))
        return ops.sqrt(ops.sum(squares, axis=tuple(range(self.rows or 0))))

    def _share(self, whole: Any) -> Any:
        """What the columns of a sum are multiplied by, so that they have their lengths."""
        return self.magnitude / self._lengths(whole)

    def value(self, stored: Any) -> Any:
        """The sum of what is stored and the product, its columns of their lengths."""
        if self.merged:
            return stored
        whole = stored + ops.cast(self._update(), stored.dtype)
        return whole * ops.cast(self._share(whole), whole.dtype) if self.dora else whole

    def product(self, use: Use) -> Any:
        """`x w + (x a) b`: no gradient of the weight's size is ever made."""
        if self.merged:
            return use.on(use.inner)
        update = _UPDATES.get(use.name, _by_value)(self, use)
        if update is NotImplemented:
            return NotImplemented
        if not self.dora:
            return use.on(use.inner) + update
        x, bias = use.arguments[0], None
        if use.name == "affine":
            bias = use.arguments[2]
            plain = ops.matmul(x, use.inner)
        elif use.name in ("matmul", "take"):
            plain = use.on(use.inner)
        else:
            return NotImplemented
        whole = use.inner.value()
        share = self._share(whole + ops.cast(self._update(), whole.dtype))
        result = (plain + update) * ops.cast(share, plain.dtype)
        return result if bias is None else result + bias

    # ------------------------------------------------------------------ merged

    def merge(self) -> None:
        """Put the product into what is stored: calls then take no longer than without it.

        Raises:
            ValueError: If there is another transform before it.
        """
        variable = self._stored_alone()
        if self.merged:
            return
        whole = variable.stored + self._update()
        if (
            self.dora
        ):  # the share is kept in the place of the lengths, which the stored columns have by then
            share = self._share(whole)
            self.magnitude.assign(share)
            whole = whole * share
        variable.assign(whole)
        self._set_merged(True)

    def unmerge(self) -> None:
        """Take the product out of what is stored, and train it on; equal up to rounding."""
        variable = self._stored_alone()
        if not self.merged:
            return
        whole = variable.stored
        if self.dora:
            share = self.magnitude.stored
            self.magnitude.assign(self._lengths(whole) * ops.sign(share))
            whole = whole / share
        variable.assign(whole - self._update())
        self._set_merged(False)

    def _set_merged(self, merged: bool) -> None:
        self.merged = merged
        frozen = self._owner._tracker.frozen
        for part in self.parts.values():
            (frozen.add if merged else frozen.discard)(part)
            part.trainable = not merged and self._owner.trainable
        self._owner._tracker.change()

    def _stored_alone(self) -> Variable:
        variable = self._variable
        if variable is None or variable.transforms[0] is not self:
            raise ValueError(
                "A product is merged with the weight itself. Received: "
                f"{[] if variable is None else list(variable.transforms)}. Strip all transforms."
            )
        return variable

    def restart(self) -> None:
        """Begin again at nothing, beside a weight that has been loaded."""
        self.b.assign(ops.zeros_like(self.b))
        if self.dora and self._variable is not None:
            chain = self._variable.transforms
            lengths = self._lengths(Operand(self._variable, chain.index(self)).value())
            self.magnitude.assign(ops.ones_like(lengths) if self.merged else lengths)


# ------------------------------------------------------- what ops do with the product


def _by_value(low_rank: LowRank, use: Use) -> Any:
    return NotImplemented


def _matmul(low_rank: LowRank, use: Use) -> Any:
    if use.place != 1 or len(low_rank.b.shape) != 2 or len(low_rank.a.shape) != 2:
        return NotImplemented
    return ops.matmul(ops.matmul(use.arguments[0], low_rank.a), low_rank.scaled)


def _take(low_rank: LowRank, use: Use) -> Any:
    if use.place != 0 or use.arguments[2] != 0 or len(low_rank.a.shape) != 2:
        return NotImplemented
    return ops.tensordot(use.on(low_rank.a), low_rank.scaled, axes=1)


def _einsum(low_rank: LowRank, use: Use) -> Any:
    """In two steps, from the factor on that is summed over axes of the inputs."""
    terms, arrow, result = use.arguments[0].replace(" ", "").partition("->")
    names = terms.split(",")
    if not arrow or len(names) != 2:
        return NotImplemented
    x, letters = names[2 - use.place], names[use.place - 1]
    rank = next((letter for letter in "rstuvwxyzRSTUVWXYZ" if letter not in terms), "")
    if not rank or "." in letters:
        return NotImplemented
    rows = low_rank.rows or 0
    factors = [(letters[:rows] + rank, low_rank.a), (rank + letters[rows:], low_rank.scaled)]
    factors.sort(key=lambda factor: set(factor[0]) - {rank} <= set(result))
    (first, one), (second, other) = factors
    kept = [c for c in dict.fromkeys(x.replace(".", "") + first) if c in result + second]
    between = ("..." if "." in x else "") + "".join(kept)
    inner = ops.einsum(f"{x},{first}->{between}", use.arguments[3 - use.place], one)
    return ops.einsum(f"{between},{second}->{result}", inner, other)


def _conv(low_rank: LowRank, use: Use) -> Any:
    """A convolution to `rank` channels of each group, then one of windows of 1."""
    a, b = low_rank.a, low_rank.scaled
    if use.place != 1 or len(b.shape) != 2:
        return NotImplemented
    x, _, _, _, data_format, _ = use.arguments
    channels = x.shape[-1 if data_format == "channels_last" else 1]
    groups = channels // a.shape[-2] if channels else 1
    narrow = use.on(a if groups == 1 else ops.concatenate([a] * groups, axis=-1))
    window = ops.reshape(b, (1,) * (len(a.shape) - 2) + tuple(b.shape))
    return ops.conv(narrow, window, data_format=data_format)


_UPDATES: dict[str, Callable[[LowRank, Use], Any]] = {
    "affine": _matmul,
    "conv": _conv,
    "einsum": _einsum,
    "matmul": _matmul,
    "take": _take,
}


# --------------------------------------------------------------------------- layers


class Adaptable:
    """A layer's part that has to do with low-rank adaptation."""

    _optional_arguments: ClassVar[frozenset[str]] = frozenset({"lora_rank", "lora_alpha"})
    lora_enabled = False
    lora_rank: int | None
    lora_alpha: float | None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if vars(self).get("lora_rank") and self.lora_alpha is None:
            self.lora_alpha = self.lora_rank

    def _post_build(self) -> None:
        """Enable what the constructor was asked for."""
        if rank := vars(self).get("lora_rank"):
            self.enable_lora(rank, lora_alpha=self.lora_alpha)

    def enable_lora(
        self,
        rank: int,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
        lora_alpha: float | None = None,
        *,
        targets: str | Sequence[str] = "*",
        dora: bool = False,
        alone: bool = False,
    ) -> None:
        """Freeze the kernels, of the layers inside too, and train a product of low rank beside each.

        Kernels are the weights of two axes or more that a layer was made to train, but for biases. Other weights
        stay trainable, as in Keras, unless products are trained `alone`; `layer.trainable = True` thaws those again.

        Args:
            rank: The inner dimension of the products.
            a_initializer: Draws the first factors.
            b_initializer: Draws the second factors.
            lora_alpha: Products are scaled by `lora_alpha / rank`; by 1 where it is left out.
            targets: Which kernels, by patterns of their paths as in a shell, from any of their names on:
                `["*/query/kernel", "*/value/kernel"]`.
            dora: Whether the lengths of columns are trained by themselves.
            alone: Whether all else is frozen: the layers without a product, and biases beside those with one.

        Raises:
            ValueError: If the layer is not built, a pattern matches no kernel, or one has a product already.

        >>> from cornu import Input, Sequential, layers
        >>> model = Sequential([Input((4,)), layers.Dense(3, name="first"), layers.Dense(2)])
        >>> model.enable_lora(1, targets="first/kernel")
        >>> [v.name for v in model.trainable_variables]
        ['bias', 'lora_kernel_a', 'lora_kernel_b', 'kernel', 'bias']
        """
        layer: Any = self
        if not layer.built:
            raise ValueError(
                f"The layer must be built before LoRA is enabled. Received: {layer.path!r}, never "
                "built. Call it on data first."
            )
        owners: dict[Variable, Any] = {}
        for part in layer._flatten_layers():
            for variable in kernels(part):
                owners.setdefault(variable, part)  # of another layer too, maybe
        chosen = _matching(
            [(part, variable) for variable, part in owners.items()],
            [targets] if isinstance(targets, str) else targets,
        )
        for _, variable in chosen:
            if any(isinstance(transform, LowRank) for transform in variable.transforms):
                raise ValueError(
                    f"LoRA is enabled once. Received: {variable.path!r}, which has it already."
                )
        put: list[tuple[Any, Variable, LowRank]] = []
        try:
            for owner, variable in chosen:
                made = LowRank(rank, lora_alpha, a_initializer, b_initializer, dora=dora)
                owner.add_transform(variable, made)
                put.append((owner, variable, made))
        except BaseException:
            for owner, variable, made in put:
                owner.remove_transform(variable, made)
            raise
        if alone:
            _freeze_others(layer)

    def merge_lora(self) -> None:
        """Put the products into the weights, of the layers inside too: calls then take no longer than without.

        They stay beside the weights, so that `unmerge_lora` takes them out again; `strip_transforms` leaves plain
        weights.
        """
        for transform in _products(self):
            transform.merge()

    def unmerge_lora(self) -> None:
        """Take the products out of the weights again, and let them be trained."""
        for transform in _products(self):
            transform.unmerge()


def _products(layer: Any) -> list[LowRank]:
    found = (t for part in layer._flatten_layers() for _, t in part.transforms)
    return [transform for transform in found if isinstance(transform, LowRank)]


def _freeze_others(layer: Any) -> None:
    for part in layer._flatten_layers():
        if not _products(part):
            part.trainable = False
        for variable in part._transformable():
            variable.trainable = False


def _matching(
    found: list[tuple[Any, Variable]], targets: Sequence[str]
) -> list[tuple[Any, Variable]]:
    paths = [variable.path for _, variable in found]
    for pattern in targets:
        if not any(matches(pattern, path) for path in paths):
            near = difflib.get_close_matches(pattern, paths, n=3, cutoff=0.0)
            raise ValueError(
                "`targets` are patterns of the paths of kernels. Received: "
                f"{pattern!r}, which matches none of {len(paths)}. The nearest are {near}."
            )
    return [pair for pair in found if any(matches(pattern, pair[1].path) for pattern in targets)]
