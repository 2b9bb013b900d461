"""Attention: means of values, weighted by how well keys meet queries."""

import math

import jax
import jax.numpy as jnp

from keraunos.core.graph import Tensor, op


@op
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor = None,
    mask: Tensor = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
):
    """`softmax(query @ key.T * scale + bias) @ value`, head by head (Vaswani et al., 2017).

    Shapes: `query` `(batch, T, heads, n)`, `key` `(batch, S, key_heads, n)`, `value`
    `(batch, S, key_heads, m)` to `(batch, T, heads, m)`. `key_heads` divides `heads`: neighbouring
    heads of the query share one of the keys.

    Args:
        bias: Added to the products, broadcast to `(batch, heads, T, S)`.
        mask: Where it is False nothing is seen, broadcast likewise.
        scale: `1 / sqrt(n)` by default.
        is_causal: Whether a query sees only the keys up to its own place.
        flash_attention: Whether cuDNN's fused kernel computes it, on GPUs that have one.
        attn_logits_soft_cap: Keeps the products between this and its negative, by a tanh.
    """
    query, key, value = jnp.asarray(query), jnp.asarray(key), jnp.asarray(value)
    if not query.ndim == key.ndim == value.ndim == 4:
        raise ValueError(
            "dot_product_attention needs tensors of 4 axes (batch, length, heads, width); got "
            f"shapes {query.shape} for `query`, {key.shape} for `key`, {value.shape} for `value`."
        )
    heads, key_heads = query.shape[2], key.shape[2]
    if heads % key_heads or query.shape[3] != key.shape[3] or value.shape[2] != key_heads:
        raise ValueError(
            "dot_product_attention needs `query` and `key` of one width, `key` and `value` of as "
            f"many heads, which divide those of `query`; got shapes {query.shape}, {key.shape} and "
            f"{value.shape}."
        )
    dtype = jnp.result_type(query, key, value)
    query, key, value = (x.astype(dtype) for x in (query, key, value))
    mask = None if mask is None else jnp.asarray(mask).astype(bool)
    if flash_attention and attn_logits_soft_cap is None:
        return jax.nn.dot_product_attention(
            query, key, value, bias, mask, scale=scale, is_causal=is_causal, implementation="cudnn"
        )
    scale = 1 / math.sqrt(query.shape[3]) if scale is None else scale
    wide = jnp.promote_types(dtype, jnp.float32)
    grouped = query.reshape(*query.shape[:2], key_heads, heads // key_heads, query.shape[3])
    scores = jnp.einsum("btkgn,bskn->bkgts", grouped, key, preferred_element_type=wide)
    scores = scores.reshape(scores.shape[0], heads, *scores.shape[3:]) * jnp.asarray(scale, wide)
    if attn_logits_soft_cap is not None:
        scores = attn_logits_soft_cap * jnp.tanh(scores / attn_logits_soft_cap)
    if bias is not None:
        scores = scores + bias
    if is_causal:
        place = jnp.arange(key.shape[1]) <= jnp.arange(query.shape[1])[:, None]
        mask = place if mask is None else mask & place
    if mask is not None:
        scores = jnp.where(mask, scores, 0.7 * float(jnp.finfo(wide).min))
    shares = jax.nn.softmax(scores, axis=-1).astype(dtype)
    shares = shares.reshape(shares.shape[0], key_heads, heads // key_heads, *shares.shape[2:])
    out = jnp.einsum("bkgts,bskm->btkgm", shares, value)
    return out.reshape(*query.shape[:3], value.shape[3])


__all__ = ["dot_product_attention"]
