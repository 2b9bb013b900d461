"""Losses of numbers: how far predictions are from targets.

Shapes: functions take two tensors `(..., n)` and return `(...)`, a mean over the last axis.
"""

import math

import jax
import jax.numpy as jnp

from keraunos.core import config
from keraunos.core.graph import Tensor, op
from keraunos.core.registry import export
from keraunos.losses.loss import LossFunctionWrapper, of, same_rank


def pair(y_true, y_pred) -> tuple[jax.Array, jax.Array]:
    """Targets and predictions as floats of one dtype, that of the predictions."""
    y_pred = jnp.asarray(y_pred)
    if not jnp.issubdtype(y_pred.dtype, jnp.floating):
        y_pred = y_pred.astype(config.floatx())
    return jnp.asarray(y_true).astype(y_pred.dtype), y_pred


def matched(who: str, y_true, y_pred) -> tuple[jax.Array, jax.Array]:
    """`pair`, of shapes that broadcast together."""
    shapes = jnp.shape(y_true), jnp.shape(y_pred)
    y_true, y_pred = same_rank(*pair(y_true, y_pred))
    for m, n in zip(y_true.shape[::-1], y_pred.shape[::-1]):
        if isinstance(m, int) and isinstance(n, int) and m != n and 1 not in (m, n):
            raise ValueError(
                f"{who} needs targets that fit the predictions, got y_true of shape {shapes[0]} "
                f"and y_pred of shape {shapes[1]}."
            )
    return y_true, y_pred


def _error(who: str, y_true, y_pred) -> jax.Array:
    y_true, y_pred = matched(who, y_true, y_pred)
    return y_true - y_pred


@export("losses.mean_squared_error", "mse", "MSE")
@op
def mean_squared_error(y_true: Tensor, y_pred: Tensor):
    """Mean of the squared differences."""
    return jnp.mean(jnp.square(_error("mean_squared_error", y_true, y_pred)), axis=-1)


@export("losses.mean_absolute_error", "mae", "MAE")
@op
def mean_absolute_error(y_true: Tensor, y_pred: Tensor):
    """Mean of the absolute differences."""
    return jnp.mean(jnp.abs(_error("mean_absolute_error", y_true, y_pred)), axis=-1)


@export("losses.mean_absolute_percentage_error", "mape", "MAPE")
@op
def mean_absolute_percentage_error(y_true: Tensor, y_pred: Tensor):
    """Mean of the absolute differences, as percentages of the targets."""
    y_true, y_pred = matched("mean_absolute_percentage_error", y_true, y_pred)
    share = (y_true - y_pred) / jnp.maximum(jnp.abs(y_true), config.epsilon())
    return 100 * jnp.mean(jnp.abs(share), axis=-1)


@export("losses.mean_squared_logarithmic_error", "msle", "MSLE")
@op
def mean_squared_logarithmic_error(y_true: Tensor, y_pred: Tensor):
    """Mean of the squared differences of `log(1 + y)`, for `y` above 0."""
    y_true, y_pred = matched("mean_squared_logarithmic_error", y_true, y_pred)
    log = lambda y: jnp.log(jnp.maximum(y, config.epsilon()) + 1)
    return jnp.mean(jnp.square(log(y_true) - log(y_pred)), axis=-1)


@export("losses.huber", "huber_loss")
@op
def huber(y_true: Tensor, y_pred: Tensor, delta: float = 1.0):
    """Half the squared difference up to `delta`, and from there on a straight line.

    Huber, Robust estimation of a location parameter, 1964.
    """
    error = jnp.abs(_error("huber", y_true, y_pred))
    line = delta * error - 0.5 * delta**2
    return jnp.mean(jnp.where(error <= delta, 0.5 * jnp.square(error), line), axis=-1)


@export("losses.log_cosh", "logcosh")
@op
def log_cosh(y_true: Tensor, y_pred: Tensor):
    """Mean of `log(cosh(x))` of the differences: squares near 0, absolute values far away."""
    error = -_error("log_cosh", y_true, y_pred)
    return jnp.mean(error + jax.nn.softplus(-2 * error) - math.log(2), axis=-1)


@export("losses.cosine_similarity", "cosine_proximity")
@op
def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1):
    """Minus the cosine of the angle between the vectors along `axis`: -1 is best."""
    y_true, y_pred = matched("cosine_similarity", y_true, y_pred)
    return -jnp.sum(unit(y_true, axis) * unit(y_pred, axis), axis=axis)


def unit(x: jax.Array, axis) -> jax.Array:
    """The vectors along `axis`, divided by their length; 0 is left alone, and so its gradient."""
    square = jnp.sum(jnp.square(x), axis=axis, keepdims=True)
    return jnp.where(square == 0, 0, x * jax.lax.rsqrt(jnp.where(square == 0, 1, square)))


@export("losses.MeanSquaredError")
@of(mean_squared_error)
class MeanSquaredError(LossFunctionWrapper):
    """Mean of the squared differences."""


@export("losses.MeanAbsoluteError")
@of(mean_absolute_error)
class MeanAbsoluteError(LossFunctionWrapper):
    """Mean of the absolute differences."""


@export("losses.MeanAbsolutePercentageError")
@of(mean_absolute_percentage_error)
class MeanAbsolutePercentageError(LossFunctionWrapper):
    """Mean of the absolute differences, as percentages of the targets."""


@export("losses.MeanSquaredLogarithmicError")
@of(mean_squared_logarithmic_error)
class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """Mean of the squared differences of `log(1 + y)`."""


@export("losses.Huber")
@of(huber, name="huber_loss")
class Huber(LossFunctionWrapper):
    """Half the squared difference up to `delta`, and from there on a straight line."""

    delta: float = 1.0


@export("losses.LogCosh")
@of(log_cosh)
class LogCosh(LossFunctionWrapper):
    """Mean of `log(cosh(x))` of the differences."""


@export("losses.CosineSimilarity")
@of(cosine_similarity)
class CosineSimilarity(LossFunctionWrapper):
    """Minus the cosine of the angle between targets and predictions."""

    axis: int = -1
