"""Losses that are content with a margin: of scores, and of similarities of embeddings."""

import jax
import jax.numpy as jnp

from keraunos.core.graph import Tensor, op
from keraunos.core.registry import export
from keraunos.losses.loss import LossFunctionWrapper, of
from keraunos.losses.regression import matched, pair


def _signed(who: str, y_true, y_pred) -> tuple[jax.Array, jax.Array]:
    """Targets of 0 and 1, and nothing else, as -1 and 1; others as they are."""
    y_true, y_pred = matched(who, y_true, y_pred)
    binary = jnp.all((y_true == 0) | (y_true == 1))
    return jnp.where(binary, 2 * y_true - 1, y_true), y_pred


@export("losses.hinge")
@op
def hinge(y_true: Tensor, y_pred: Tensor):
    """Mean of what `y_true * y_pred` lacks to 1. Targets: -1 and 1, or 0 and 1.

    Shapes: twice `(..., n)` to `(...)`.
    """
    y_true, y_pred = _signed("hinge", y_true, y_pred)
    return jnp.mean(jnp.maximum(1 - y_true * y_pred, 0), axis=-1)


@export("losses.squared_hinge")
@op
def squared_hinge(y_true: Tensor, y_pred: Tensor):
    """Mean of the squares of what `y_true * y_pred` lacks to 1.

    Targets: -1 and 1, or 0 and 1. Shapes: twice `(..., n)` to `(...)`.
    """
    y_true, y_pred = _signed("squared_hinge", y_true, y_pred)
    return jnp.mean(jnp.square(jnp.maximum(1 - y_true * y_pred, 0)), axis=-1)


@export("losses.categorical_hinge")
@op
def categorical_hinge(y_true: Tensor, y_pred: Tensor):
    """What the score of the true class lacks to be 1 above the best other score.

    Shapes: twice `(..., classes)` to `(...)`; targets are one-hot.
    """
    y_true, y_pred = pair(y_true, y_pred)
    true = jnp.sum(y_true * y_pred, axis=-1)
    other = jnp.max((1 - y_true) * y_pred, axis=-1)
    return jnp.maximum(other - true + 1, 0)


@export("losses.circle")
@op
def circle(
    y_true: Tensor,
    y_pred: Tensor,
    ref_labels: Tensor = None,
    ref_embeddings: Tensor = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
):
    """How little each embedding is like those of its class, and how much like the others.

    A similarity weighs the more, the farther it is from where it should be; `gamma` scales it,
    `margin` is the room between. Sun et al., Circle Loss, 2020.

    Shapes: class numbers `(batch,)` or `(batch, 1)` and unit vectors `(batch, n)` to `(batch,)`.

    Args:
        ref_labels, ref_embeddings: What to compare with; the batch itself by default.
        remove_diagonal: Whether the i-th is not compared with the i-th.
    """
    labels, (_, y_pred) = jnp.ravel(jnp.asarray(y_true)), pair(0, y_pred)
    others = labels if ref_labels is None else jnp.ravel(jnp.asarray(ref_labels))
    ref = y_pred if ref_embeddings is None else jnp.asarray(ref_embeddings, y_pred.dtype)
    alike = jnp.minimum(y_pred @ ref.T, 1)
    same = labels[:, None] == others.astype(labels.dtype)[None]
    apart = ~same
    if remove_diagonal:
        same = same & ~jnp.eye(same.shape[0], same.shape[1], dtype=bool)
    lacks = gamma * jnp.maximum(1 + margin - alike, 0) * (1 - margin - alike)
    excess = gamma * jnp.maximum(margin + alike, 0) * (alike - margin)
    return jax.nn.softplus(_log_sum(lacks, same) + _log_sum(excess, apart))


def _log_sum(x: jax.Array, where: jax.Array) -> jax.Array:
    return jax.nn.logsumexp(jnp.where(where, x, -jnp.inf), axis=1)


@export("losses.Hinge")
@of(hinge)
class Hinge(LossFunctionWrapper):
    """What `y_true * y_pred` lacks to 1."""


@export("losses.SquaredHinge")
@of(squared_hinge)
class SquaredHinge(LossFunctionWrapper):
    """The square of what `y_true * y_pred` lacks to 1."""


@export("losses.CategoricalHinge")
@of(categorical_hinge)
class CategoricalHinge(LossFunctionWrapper):
    """What the score of the true class lacks to be 1 above the best other score."""


@export("losses.Circle")
@of(circle)
class Circle(LossFunctionWrapper):
    """How little embeddings are like those of their class, and how much like the others."""

    gamma: float = 80.0
    margin: float = 0.4
    remove_diagonal: bool = True
