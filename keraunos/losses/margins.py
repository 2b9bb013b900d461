"""Losses that are content with a margin, and losses of sets and embeddings."""

import jax
import jax.numpy as jnp

from keraunos.core.graph import Tensor, op
from keraunos.core.registry import export
from keraunos.losses.loss import LossFunctionWrapper, of, same_rank
from keraunos.losses.regression import pair


def _signed(y_true, y_pred) -> tuple[jax.Array, jax.Array]:
    """Targets of 0 and 1, and nothing else, as -1 and 1; others as they are."""
    y_true, y_pred = same_rank(*pair(y_true, y_pred))
    binary = jnp.all((y_true == 0) | (y_true == 1))
    return jnp.where(binary, 2 * y_true - 1, y_true), y_pred


@export("losses.hinge")
@op
def hinge(y_true: Tensor, y_pred: Tensor):
    """Mean of what `y_true * y_pred` lacks to 1. Targets: -1 and 1, or 0 and 1.

    Shapes: twice `(..., n)` to `(...)`.
    """
    y_true, y_pred = _signed(y_true, y_pred)
    return jnp.mean(jnp.maximum(1 - y_true * y_pred, 0), axis=-1)


@export("losses.squared_hinge")
@op
def squared_hinge(y_true: Tensor, y_pred: Tensor):
    """Mean of the squares of what `y_true * y_pred` lacks to 1.

    Targets: -1 and 1, or 0 and 1. Shapes: twice `(..., n)` to `(...)`.
    """
    y_true, y_pred = _signed(y_true, y_pred)
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
