"""The activation functions of `keras.ops`, element by element unless an axis is named."""

import jax
import jax.numpy as jnp

from keraunos.core import errors
from keraunos.core.graph import Tensor, op
from keraunos.ops.families import inexact, plain_axis


@op
def relu(x: Tensor):
    """The positive part: `max(x, 0)`."""
    return jax.nn.relu(x)


@op
def relu6(x: Tensor):
    """`min(max(x, 0), 6)`."""
    return jax.nn.relu6(inexact(x))


@op
def leaky_relu(x: Tensor, negative_slope: float = 0.2):
    """`x` where it is positive, `negative_slope * x` elsewhere."""
    return jax.nn.leaky_relu(inexact(x), negative_slope)


@op
def sigmoid(x: Tensor):
    """`1 / (1 + exp(-x))`, between 0 and 1."""
    return jax.nn.sigmoid(inexact(x))


@op
def hard_sigmoid(x: Tensor):
    """A sigmoid of straight lines: `x / 6 + 1 / 2`, kept between 0 and 1."""
    return jax.nn.hard_sigmoid(inexact(x))


@op
def sparse_sigmoid(x: Tensor):
    """A sigmoid of straight lines: `(x + 1) / 2`, kept between 0 and 1."""
    return jax.nn.sparse_sigmoid(inexact(x))


@op
def log_sigmoid(x: Tensor):
    """The logarithm of `sigmoid(x)`, without overflow."""
    return jax.nn.log_sigmoid(inexact(x))


@op
def silu(x: Tensor):
    """`x * sigmoid(x)`, also called swish."""
    return jax.nn.silu(inexact(x))


@op
def hard_silu(x: Tensor):
    """`x * hard_sigmoid(x)`, also called hard swish."""
    return jax.nn.hard_silu(inexact(x))


swish, hard_swish = silu, hard_silu


@op
def hard_tanh(x: Tensor):
    """`x`, kept between -1 and 1."""
    return jax.nn.hard_tanh(x)


@op
def tanh_shrink(x: Tensor):
    """`x - tanh(x)`."""
    x = inexact(x)
    return x - jnp.tanh(x)


@op
def softplus(x: Tensor):
    """`log(1 + exp(x))`, a smooth relu."""
    return jax.nn.softplus(inexact(x))


@op
def sparse_plus(x: Tensor):
    """A relu whose corner is a parabola: `(x + 1)**2 / 4` between -1 and 1."""
    return jax.nn.sparse_plus(inexact(x))


@op
def squareplus(x: Tensor, b: float = 4):
    """`(x + sqrt(x**2 + b)) / 2`, a smooth relu without exponentials."""
    return jax.nn.squareplus(inexact(x), b)


@op
def softsign(x: Tensor):
    """`x / (1 + abs(x))`."""
    return jax.nn.soft_sign(inexact(x))


@op
def soft_shrink(x: Tensor, threshold: float = 0.5):
    """`x` moved towards 0 by `threshold`; 0 where that would pass it."""
    x = inexact(x)
    zero = jnp.zeros_like(x)
    return jnp.where(x > threshold, x - threshold, jnp.where(x < -threshold, x + threshold, zero))


@op
def hard_shrink(x: Tensor, threshold: float = 0.5):
    """`x` where it is further than `threshold` from 0, and 0 elsewhere."""
    x = inexact(x)
    return jnp.where(jnp.abs(x) > threshold, x, jnp.zeros_like(x))


@op
def threshold(x: Tensor, threshold: float, default_value: float):
    """`x` where it is above `threshold`, `default_value` elsewhere."""
    x = jnp.asarray(x)
    return jnp.where(x > threshold, x, jnp.asarray(default_value, x.dtype))


@op
def elu(x: Tensor, alpha: float = 1.0):
    """`x` where it is positive, `alpha * (exp(x) - 1)` elsewhere."""
    return jax.nn.elu(inexact(x), alpha)


@op
def selu(x: Tensor):
    """`elu`, scaled so that layers of it keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return jax.nn.selu(inexact(x))


@op
def celu(x: Tensor, alpha: float = 1.0):
    """`x` where it is positive, `alpha * (exp(x / alpha) - 1)` elsewhere."""
    return jax.nn.celu(inexact(x), alpha)


@op
def gelu(x: Tensor, approximate: bool = True):
    """`x` times the share of a normal distribution below it; through a tanh if `approximate`."""
    return jax.nn.gelu(inexact(x), approximate)


@op
def glu(x: Tensor, axis: int = -1):
    """The first half of `x` along `axis`, times the sigmoid of the second half."""
    x = inexact(x)
    if isinstance(x.shape[axis], int) and x.shape[axis] % 2:
        raise ValueError(
            f"glu splits `x` in two halves along axis {axis}, which needs an even size; "
            f"got a tensor of shape {x.shape}."
        )
    return jax.nn.glu(x, axis)


@op
def softmax(x: Tensor, axis=-1):
    """Exponentials of `x`, scaled to sum to 1 along `axis` (one, several, or None for all)."""
    x = inexact(x)
    if isinstance(axis, int) and x.ndim and x.shape[axis] == 1:
        errors.warn(
            f"softmax over axis {axis} of a tensor of shape {x.shape}: the axis has size 1, so "
            "that the result is always 1. Did you mean `sigmoid`?"
        )
    return jax.nn.softmax(x, plain_axis(axis))


@op
def log_softmax(x: Tensor, axis=-1):
    """The logarithm of `softmax(x, axis)`, without overflow."""
    return jax.nn.log_softmax(inexact(x), plain_axis(axis))


@op
def sparsemax(x: Tensor, axis: int = -1):
    """The nearest point to `x` with parts that are not negative and sum to 1 along `axis`.

    Most parts are 0. From "From Softmax to Sparsemax" (Martins and Astudillo, 2016). Differs:
    each vector by itself, where Keras 3.15 mixes them.
    """
    x = jnp.moveaxis(inexact(x), axis, -1)
    ordered = -jnp.sort(-x, axis=-1)
    count = jnp.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    sums = jnp.cumsum(ordered, axis=-1)
    supported = 1 + count * ordered > sums
    size = jnp.sum(supported, axis=-1, keepdims=True).astype(x.dtype)
    level = (jnp.sum(jnp.where(supported, ordered, 0), axis=-1, keepdims=True) - 1) / size
    return jnp.moveaxis(jnp.maximum(x - level, 0), -1, axis)


@op
def polar(abs_: Tensor, angle: Tensor):
    """The complex numbers of a distance from 0 and an angle: `abs_ * exp(1j * angle)`."""
    size, angle = inexact(abs_), inexact(angle)
    return jax.lax.complex(*jnp.broadcast_arrays(size * jnp.cos(angle), size * jnp.sin(angle)))


__all__ = [
    "celu", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "polar", "relu", "relu6", "selu",
    "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus",
    "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh_shrink", "threshold",
]  # fmt: skip
