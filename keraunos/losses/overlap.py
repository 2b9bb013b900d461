"""Losses of regions: how little predictions cover the places that they should.

Shapes: targets and predictions of one shape. The sums go over `axis`, over everything if it is
None; what is left of the shape is the shape of the loss.
"""

from typing import Any

import jax.numpy as jnp

from keraunos.core import config
from keraunos.core.fields import Axes
from keraunos.core.graph import Tensor, op
from keraunos.core.registry import export
from keraunos.losses.loss import LossFunctionWrapper, of
from keraunos.losses.regression import matched


@export("losses.dice")
@op
def dice(y_true: Tensor, y_pred: Tensor, axis: Any = None):
    """1 less the Dice coefficient: twice the common area over the sum of both.

    Milletari et al., V-Net, 2016.
    """
    y_true, y_pred = matched("dice", y_true, y_pred)
    common = jnp.sum(y_true * y_pred, axis=axis)
    both = jnp.sum(y_true, axis=axis) + jnp.sum(y_pred, axis=axis)
    return 1 - 2 * common / (both + config.epsilon())


@export("losses.tversky")
@op
def tversky(
    y_true: Tensor, y_pred: Tensor, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
):
    """1 less the Tversky index, in which misses weigh `alpha` and false alarms `beta`.

    With 0.5 for both it is `dice`. Salehi et al., Tversky loss function, 2017.
    """
    y_true, y_pred = matched("tversky", y_true, y_pred)
    common = jnp.sum(y_true * y_pred, axis=axis)
    alarms = jnp.sum((1 - y_true) * y_pred, axis=axis)
    misses = jnp.sum(y_true * (1 - y_pred), axis=axis)
    return 1 - common / (common + alpha * misses + beta * alarms + config.epsilon())


@export("losses.Dice")
@of(dice)
class Dice(LossFunctionWrapper):
    """1 less the Dice coefficient of predicted and true regions."""

    reduction: str | None = "sum_over_batch_size"
    name: str | None = None
    axis: Axes = None


@export("losses.Tversky")
@of(tversky)
class Tversky(LossFunctionWrapper):
    """1 less the Tversky index of predicted and true regions."""

    alpha: float = 0.5
    beta: float = 0.5
    reduction: str | None = "sum_over_batch_size"
    name: str | None = None
    axis: Axes = None
