"""Attention: each query answered by a mixture of values."""

from __future__ import annotations

import math
import string
from operator import attrgetter
from typing import Any

from .. import ops, random
from ..core.checks import one_of, positive_integer, share
from ..core.dtypes import standardize_dtype
from ..core.masks import get_keras_mask
from ..ops.shared import axis_from_front
from ._activations import Softmax
from ._core import EinsumDense
from ._layer import Layer
from ._regularization import Dropout


class Attention(Layer):
    """Dot-product attention (Luong et al., 2015).

    Args:
        use_scale: Whether scores are multiplied by a learned number.
        score_mode: `dot`, or `concat` for tanh of the sum of query and key.
        dropout: The share of scores that is dropped in training.
        seed: What dropout is drawn from.

    Call with `[query, value]` or `[query, value, key]`, each (batch, time, features).

    >>> import numpy as np
    >>> Attention()([np.ones((1, 2, 3)), np.ones((1, 4, 3))]).shape
    (1, 2, 3)
    """

    _supports_masking = True

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("dot", "concat"), score_mode=score_mode)
        share(dropout=dropout)
        if dropout > 0:
            self.seed_generator = random.SeedGenerator(seed)
        self.scale: Any = None
        self.concat_score_weight: Any = None

    def build(self, input_shape: Any) -> None:
        """Make the learned numbers."""
        self._check_list(input_shape)
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(
                name="concat_score_weight", shape=(), initializer="ones"
            )

    def _check_list(self, given: Any) -> None:
        if not isinstance(given, (list, tuple)) or len(given) not in (2, 3):
            raise ValueError(
                f"{type(self).__name__} takes [query, value] or [query, value, key]. Received: "
                f"{given} in the layer {self.path!r}."
            )

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        """Scores (batch, queries, keys)."""
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
            return scores if self.scale is None else scores * self.scale
        joined = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)
        if self.scale is not None:
            joined = self.scale * joined
        return self.concat_score_weight * ops.sum(ops.tanh(joined), axis=-1)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """The mixtures of values, and the scores where they are asked for."""
        self._check_list(inputs)
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        masks = list(mask) if isinstance(mask, (list, tuple)) else [mask] * len(inputs)
        scores = self._calculate_scores(query, key)
        allowed = self._allowed(scores, masks[1], use_causal_mask)
        if allowed is not None:
            floor = 65504.0 if standardize_dtype(scores.dtype) == "float16" else 1e9
            scores = scores - floor * ops.cast(ops.logical_not(allowed), scores.dtype)
        weights = ops.softmax(scores, axis=-1)
        if training and self.dropout > 0:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        result = ops.matmul(weights, value)
        if masks[0] is not None:
            kept = ops.expand_dims(_over_axes(masks[0], len(result.shape) - 1), -1)
            result = result * ops.cast(kept, result.dtype)
        return (result, weights) if return_attention_scores else result

    def _allowed(self, scores: Any, value_mask: Any, causal: bool) -> Any:
        allowed = None
        if value_mask is not None:
            allowed = ops.expand_dims(_over_axes(value_mask, len(scores.shape) - 1), -2)
        if causal:
            past = causal_mask(ops.shape(scores)[-2], ops.shape(scores)[-1])
            allowed = past if allowed is None else ops.logical_and(allowed, past)
        return allowed

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the queries."""
        return mask[0] if isinstance(mask, (list, tuple)) else None


class AdditiveAttention(Attention):
    """Attention by tanh of the sum of query and key (Bahdanau et al., 2014).

    Args:
        use_scale: Whether the sum over features is weighted by learned numbers.
        dropout: The share of scores that is dropped in training.
    """

    _unwritten_arguments = frozenset({"score_mode"})

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make the learned numbers, one for each feature."""
        self._check_list(input_shape)
        if self.use_scale:
            self.scale = self.add_weight(
                name="scale", shape=(input_shape[1][-1],), initializer="glorot_uniform"
            )

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        joined = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
        return ops.sum(joined if self.scale is None else self.scale * joined, axis=-1)


def _over_axes(mask: Any, rank: int) -> Any:
    """A mask (batch, time) of so many axes: those between the batch and the time share it."""
    while len(mask.shape) < rank:
        mask = ops.expand_dims(mask, 1)
    return mask


def causal_mask(queries: Any, keys: Any) -> Any:
    """True where a key is not after the query: (1, queries, keys)."""
    rows = ops.arange(queries, dtype="int32")
    columns = ops.arange(keys, dtype="int32")
    allowed = ops.greater_equal(ops.expand_dims(rows, 1), ops.expand_dims(columns, 0))
    return ops.expand_dims(allowed, 0)


class _Underscored:
    """An argument under the name that Keras keeps it by: what inherits from its layers reads and sets it there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, layer: Any, kind: type | None = None) -> Any:
        return self if layer is None else getattr(layer, self.name)

    def __set__(self, layer: Any, value: Any) -> None:
        setattr(layer, self.name, value)


class _Projected(Layer):
    """What attention over projected heads shares: masks, the inner computation, projections.

    Its methods and attributes with an underscore have Keras's names where what inherits from Keras's layers uses them.
    """

    _supports_masking = True

    _unwritten_arguments = frozenset({"flash_attention"})

    _scale: float
    _attention_axes: tuple[int, ...] | None = (1,)
    _num_heads, _key_dim, _value_dim = map(_Underscored, ("num_heads", "key_dim", "value_dim"))
    _dropout, _use_bias, _use_gate = map(_Underscored, ("dropout", "use_bias", "use_gate"))
    _flash_attention, _sliding_window = map(_Underscored, ("flash_attention", "sliding_window"))
    _inverse_sqrt_key_dim, _kernel_initializer = map(_Underscored, ("_scale", "kernel_initializer"))
    _kernel_regularizer, _kernel_constraint, _bias_initializer, _bias_regularizer = map(
        _Underscored,
        ("kernel_regularizer", "kernel_constraint", "bias_initializer", "bias_regularizer"),
    )
    _bias_constraint, _activity_regularizer = map(
        _Underscored, ("bias_constraint", "activity_regularizer")
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("num_heads", "key_dim", "sliding_window"):
            if getattr(self, name, None) is not None:
                positive_integer(**{name: getattr(self, name)})
        share(dropout=self.dropout)

    def _get_common_kwargs_for_sublayer(self) -> dict[str, Any]:
        """What all projections are given."""
        shared = {
            f"{part}_{kind}": getattr(self, f"{part}_{kind}")
            for part in ("kernel", "bias")
            for kind in ("initializer", "regularizer", "constraint")
        }
        for key in ("kernel_initializer", "bias_initializer"):
            shared[key] = type(shared[key]).from_config(shared[key].get_config())
        return {**shared, "dtype": self.dtype_policy}

    def _projection(
        self, equation: str, output: Any, bias_axes: str, name: str, input_shape: Any
    ) -> EinsumDense:
        others = len(equation.partition("->")[2]) - 1 - len(output)
        layer = EinsumDense(
            equation,
            output_shape=(*([None] * others), *output),
            bias_axes=bias_axes if self.use_bias else None,
            name=name,
            **self._get_common_kwargs_for_sublayer(),
        )
        layer.build(input_shape)
        return layer

    def _to_heads(self, heads: int, size: int, name: str, shape: Any) -> EinsumDense:
        """The projection of (batch, ..., features) to (batch, ..., heads, size)."""
        letters = string.ascii_lowercase[: len(shape) - 1]
        return self._projection(f"{letters}x,xyz->{letters}yz", (heads, size), "yz", name, shape)

    def _make_inner(self, output: Any, query_shape: Any, heads: int, size: int) -> None:
        """What is between the projections to heads and the outputs, and the projection of these."""
        self._build_attention(len(query_shape) + 1)
        letters = string.ascii_lowercase[: len(query_shape) - 1]
        result = string.ascii_uppercase[: len(output)]
        equation = f"{letters}xy,xy{result}->{letters}{result}"
        shape = (*query_shape[:-1], heads, size)
        self._output_dense = self._projection(equation, output, result, "attention_output", shape)

    def _build_attention(self, rank: int) -> None:
        """What is between the projections to heads, which give so many axes: (batch, ..., heads, size)."""
        if self._attention_axes is None:
            self._attention_axes = tuple(range(1, rank - 2))
        self._attention_axes = tuple(axis_from_front(x, rank - 1) for x in self._attention_axes)
        self._dot_product_equation, self._combine_equation = self._equations(rank)
        axes = tuple(range(-len(self._attention_axes), 0))
        self._softmax = Softmax(axis=axes, dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self.dropout, dtype=self.dtype_policy, seed=self.seed)

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: Any = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """The heads' mixtures of values, projected; and the scores where they are asked for."""
        key = value if key is None else key
        if key_mask is None and value_mask is None:
            value_mask = get_keras_mask(value)
        # The op for attention knows of the causal mask.
        fused = len(query.shape) == 3 and self._is_fused(training, return_attention_scores)
        fused = fused and type(self)._compute_attention is _Projected._compute_attention
        mask = self._compute_attention_mask(
            query,
            value,
            query_mask=query_mask,
            value_mask=value_mask,
            key_mask=key_mask,
            attention_mask=attention_mask,
            use_causal_mask=use_causal_mask and not fused,
        )
        gate = ops.sigmoid(self._gate_dense(query)) if self.use_gate else None
        heads = (self._query_dense(query), self._keys(key), self._values(value))
        causal = {"use_causal_mask": True} if use_causal_mask and fused else {}
        output, scores = self._compute_attention(
            *heads, mask, training, return_attention_scores, **causal
        )
        output = output if gate is None else output * gate
        output = self._output_dense(output)
        return (output, scores) if return_attention_scores else output

    def _keys(self, key: Any) -> Any:
        """The keys of all heads."""
        return self._key_dense(key)

    def _values(self, value: Any) -> Any:
        """The values of all heads."""
        return self._value_dense(value)

    def _compute_attention_mask(
        self,
        query: Any,
        value: Any,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """What every mask allows: (batch, queries, keys), or None where all is allowed."""
        parts = []
        if query_mask is not None:
            parts.append(ops.expand_dims(ops.cast(query_mask, "bool"), -1))
        if value_mask is not None:
            parts.append(ops.expand_dims(ops.cast(value_mask, "bool"), -2))
        if key_mask is not None:
            parts.append(ops.expand_dims(ops.cast(key_mask, "bool"), -2))
        queries, keys = ops.shape(query)[1], ops.shape(value)[1]
        if use_causal_mask:
            parts.append(causal_mask(queries, keys))
        if self.sliding_window is not None:
            rows = ops.expand_dims(ops.arange(queries, dtype="int32"), 1)
            columns = ops.expand_dims(ops.arange(keys, dtype="int32"), 0)
            near = ops.less(ops.abs(rows - columns), self.sliding_window)
            parts.append(ops.expand_dims(near, 0))
        if attention_mask is not None:
            parts.append(ops.cast(attention_mask, "bool"))
        if not parts:
            return None
        mask = parts[0]
        for part in parts[1:]:
            mask = ops.logical_and(mask, part)
        return mask

    def _is_fused(self, training: Any, return_attention_scores: bool) -> bool:
        """Whether the op for attention does it: nobody asks for scores, and none is dropped."""
        return not return_attention_scores and not (training and self.dropout > 0)

    def _compute_attention(
        self,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: Any = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Any, Any]:
        """The mixtures (batch, ..., heads, size), and the scores where they are found on the way."""
        if len(query.shape) == 4 and self._is_fused(training, return_attention_scores):
            mask = None if attention_mask is None else ops.expand_dims(attention_mask, -3)
            fused = ops.dot_product_attention(
                query,
                key,
                value,
                mask=mask,
                scale=self._scale,
                is_causal=use_causal_mask,
                flash_attention=self.flash_attention,
            )
            return fused, None
        scores = ops.einsum(self._dot_product_equation, query * self._scale, key)
        scores = self._masked_softmax(scores, attention_mask)
        kept = self._dropout_layer(scores, training=bool(training)) if self.dropout else scores
        return ops.einsum(self._combine_equation, kept, value), scores

    def _masked_softmax(self, attention_scores: Any, attention_mask: Any = None) -> Any:
        """The scores' shares among the keys that a mask (batch, queries, keys) allows."""
        if attention_mask is not None:
            axis = -len(self._attention_axes or ()) * 2 - 1
            while len(attention_mask.shape) < len(attention_scores.shape):
                attention_mask = ops.expand_dims(attention_mask, axis)
        return self._softmax(attention_scores, mask=attention_mask)

    def _equations(self, rank: int) -> tuple[str, str]:
        """The einsums of scores and mixtures for tensors (batch, ..., heads, size)."""
        axes = self._attention_axes or ()
        letters = string.ascii_lowercase
        query = list(letters[:rank])
        key = list(query)
        for place, axis in enumerate(axes):
            key[axis] = letters[rank + place]
        batch = [query[i] for i in range(rank) if i not in axes and i != rank - 1]
        attended = [query[axis] for axis in axes]
        source = [key[axis] for axis in axes]
        scores = "".join([*batch, *attended, *source])
        return (
            f"{''.join(query)},{''.join(key)}->{scores}",
            f"{scores},{''.join(key)}->{''.join(query)}",
        )

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the queries."""
        return previous_mask


class MultiHeadAttention(_Projected):
    """Attention of several heads, each over a projection of its own (Vaswani et al., 2017).

    Args:
        num_heads: The number of heads.
        key_dim: The size of queries and keys in a head.
        value_dim: The size of values in a head, `key_dim` where it is left out.
        dropout: The share of scores that is dropped in training.
        use_bias: Whether projections have a bias.
        output_shape: The output's features, the query's where it is left out.
        attention_axes: The axes of the queries that are attended over, 1 where it is left out.
        sliding_window: How near a key must be.
        flash_attention: Whether to use a fused kernel; as `cornu.config` says where it is left out.
        kernel_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, bias_constraint: Projections after each update.
        use_gate: Whether the heads' outputs are multiplied by a sigmoid of the query.
        seed: What dropout is drawn from.

    >>> import numpy as np
    >>> x = np.ones((2, 5, 8), "float32")
    >>> MultiHeadAttention(num_heads=2, key_dim=4)(x, x).shape
    (2, 5, 8)
    """

    _kept_as = {"output_shape": "_output_shape", "attention_axes": "_attention_axes"}

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.value_dim = value_dim or key_dim
        self._output_shape = (output_shape,) if isinstance(output_shape, int) else output_shape
        if attention_axes is not None:
            axes = (attention_axes,) if isinstance(attention_axes, int) else tuple(attention_axes)
            self._attention_axes = axes
        self._scale = 1.0 / math.sqrt(float(key_dim))

    @property
    def attention_axes(self) -> tuple[int, ...] | None:
        """The axes of the queries that are attended over."""
        return self._attention_axes

    @property
    def output_shape(self) -> Any:
        """The output's features, where they were given."""
        return self._output_shape

    query_dense = property(attrgetter("_query_dense"), doc="The layer that projects queries.")
    key_dense = property(attrgetter("_key_dense"), doc="The layer that projects keys.")
    value_dense = property(attrgetter("_value_dense"), doc="The layer that projects values.")
    output_dense = property(
        attrgetter("_output_dense"), doc="Projects the heads' outputs together."
    )

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Make the projections."""
        key_shape = value_shape if key_shape is None else key_shape
        if value_shape[1:-1] != key_shape[1:-1]:
            raise ValueError(
                "Keys and values must have one shape apart from the last axis. Received: "
                f"value_shape={tuple(value_shape)}, key_shape={tuple(key_shape)} in {self.path!r}."
            )
        heads = self.num_heads
        self._query_dense = self._to_heads(heads, self.key_dim, "query", query_shape)
        self._key_dense = self._to_heads(heads, self.key_dim, "key", key_shape)
        if self.use_gate:
            self._gate_dense = self._to_heads(heads, self.value_dim, "gate", query_shape)
        self._value_dense = self._to_heads(heads, self.value_dim, "value", value_shape)
        output = self._output_shape or (query_shape[-1],)
        self._make_inner(output, query_shape, heads, self.value_dim)


class GroupedQueryAttention(_Projected):
    """Attention in which groups of query heads share keys and values (Ainslie et al., 2023).

    Args:
        head_dim: The size of a head.
        num_query_heads: The number of query heads.
        num_key_value_heads: The number of key and value heads, which divides it.
        dropout: The share of scores that is dropped in training.
        use_bias: Whether projections have a bias.
        sliding_window: How near a key must be.
        flash_attention: Whether to use a fused kernel; as `cornu.config` says where it is left out.
        kernel_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, bias_constraint: Projections after each update.
        use_gate: Whether the heads' outputs are multiplied by a sigmoid of the query.
        seed: What dropout is drawn from.

    >>> import numpy as np
    >>> x = np.ones((2, 5, 8), "float32")
    >>> GroupedQueryAttention(4, num_query_heads=4, num_key_value_heads=2)(x, x).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                "`num_query_heads` must be a multiple of `num_key_value_heads`. Received: "
                f"{num_query_heads}, {num_key_value_heads}."
            )
        self._scale = 1.0 / math.sqrt(float(head_dim))

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Make the projections."""
        key_shape = value_shape if key_shape is None else key_shape
        own, shared, size = self.num_query_heads, self.num_key_value_heads, self.head_dim
        self._query_dense = self._to_heads(own, size, "query", query_shape)
        self._key_dense = self._to_heads(shared, size, "key", key_shape)
        self._value_dense = self._to_heads(shared, size, "value", value_shape)
        if self.use_gate:
            self._gate_dense = self._to_heads(own, size, "gate", query_shape)
        self._make_inner(query_shape[-1:], query_shape, own, size)

    def _keys(self, key: Any) -> Any:
        return self._for_all_heads(super()._keys(key))

    def _values(self, value: Any) -> Any:
        return self._for_all_heads(super()._values(value))

    def _for_all_heads(self, x: Any) -> Any:
        """Heads that groups share, once for each query head."""
        return ops.repeat(x, self.num_query_heads // self.num_key_value_heads, axis=2)
