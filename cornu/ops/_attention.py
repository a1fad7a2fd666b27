"""Scaled dot-product attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.dtypes import numpy_dtype
from ..core.op import floating, namespace
from ..core.types import Bool, Raw, Tensor
from ..engines import current as engine
from ._activations import normalized_exponentials
from ._bodies import constant, rank_of

op = namespace("nn")


@op(promote=floating, called=("scale",))
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Raw | None = None,
    mask: Bool | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """softmax(query key^T * scale + bias) value, over several heads.

    Vaswani et al., 2017, https://arxiv.org/abs/1706.03762. With fewer heads in key and value than
    in query, consecutive heads of the query share one (grouped-query attention). Scores are
    computed in at least 32 bits. Where a row of the mask is all false, its weights are equal.

    Args:
        query: (batch, queries, heads, size).
        key: (batch, keys, key heads, size); the heads are a multiple of the key heads.
        value: (batch, keys, key heads, size).
        bias: Added to the scores; broadcasts to (batch, heads, queries, keys).
        mask: False where a key is left out; broadcasts to (batch, heads, queries, keys).
        scale: Factor of the scores; 1 / sqrt(size) where it is left out.
        is_causal: Whether a query sees no later key.
        flash_attention: Whether to use a fused kernel; as `cornu.config` says where it is left out. Engines without
            one ignore it.
        attn_logits_soft_cap: The scores are limited to (-cap, cap) by cap tanh(scores / cap).

    Returns:
        (batch, queries, heads, size).

    >>> import numpy as np
    >>> dot_product_attention(*(np.ones((1, n, 2, 4)) for n in (3, 5, 5))).shape
    (1, 3, 2, 4)
    """
    if not all(rank_of(x) == 4 for x in (query, key, value)):
        shapes = [engine().shape_of(x) for x in (query, key, value)]
        raise ValueError(
            "Query, key and value must be (batch, time, heads, size). Received: "
            f"query.shape={shapes[0]}, key.shape={shapes[1]}, value.shape={shapes[2]}."
        )
    dtype = engine().dtype_of(query)
    batch, queries, heads, size = engine().shape_of(query)
    keys, groups = engine().shape_of(key)[1:3]
    shared = _heads_per_group(heads, groups)
    grouped = engine().reshape(query, (batch, queries, groups, shared, size))
    scores = engine().einsum("btgrh,bsgh->bgrts", [grouped, key])
    scores = engine().reshape(scores, (batch, heads, queries, keys))
    if dtype in ("float16", "bfloat16"):
        scores = engine().cast(scores, "float32")
    scores = (
        scores * engine().rsqrt(constant(size, scores))
        if scale is None
        else scores * constant(scale, scores)
    )
    if attn_logits_soft_cap is not None:
        cap = constant(attn_logits_soft_cap, scores)
        scores = cap * engine().tanh(scores / cap)
    if bias is not None:
        scores = scores + engine().cast(bias, engine().dtype_of(scores))
    weights = normalized_exponentials(_masked(scores, mask, is_causal), (3,))
    weights = engine().cast(weights, dtype)
    weights = engine().reshape(weights, (batch, groups, shared, queries, keys))
    result = engine().einsum("bgrts,bsgh->btgrh", [weights, value])
    return engine().reshape(result, (batch, queries, heads, engine().shape_of(value)[-1]))


def _heads_per_group(heads: Any, groups: Any) -> Any:
    if isinstance(heads, int) and isinstance(groups, int) and heads % groups:
        raise ValueError(
            "The heads of the query must be a multiple of those of key and value. "
            f"Received: query heads={heads}, key heads={groups}."
        )
    return heads // groups


def _masked(scores: Tensor, mask: Tensor | None, is_causal: bool) -> Tensor:
    """Scores with a large negative number where a key is left out."""
    lowest = constant(-0.7 * float(np.finfo(numpy_dtype(engine().dtype_of(scores))).max), scores)
    if mask is not None:
        scores = engine().where(mask, scores, lowest)
    if is_causal:
        queries, keys = engine().shape_of(scores)[-2:]
        rows = engine().reshape(engine().arange(0, queries, 1, "int32"), (queries, 1))
        columns = engine().arange(0, keys, 1, "int32")
        scores = engine().where(engine().less_equal(columns, rows), scores, lowest)
    return scores
