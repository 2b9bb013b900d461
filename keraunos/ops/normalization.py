"""Means and variances, and what is scaled by them."""

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from keraunos.core import config
from keraunos.core.graph import Tensor, op
from keraunos.ops.families import Axis, inexact


def _wide(x):
    """`x` as floats, and at least float32: squares of half precision overflow soon."""
    x = jnp.asarray(inexact(x))
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def _along(axis: int | tuple[int, ...], value, x):
    """`value`, which has the sizes of `x` on `axis`, such that it broadcasts with `x`."""
    axes = sorted(i % x.ndim for i in ((axis,) if isinstance(axis, int) else axis))
    value = jnp.asarray(value)
    if value.ndim == 0:
        return value
    return value.reshape([x.shape[i] if i in axes else 1 for i in range(x.ndim)])


@op
def moments(x: Tensor, axes: Any, keepdims: bool = False, synchronized: bool = False):
    """The mean and the variance over `axes`.

    Args:
        synchronized: Over all replicas. Always so here: under a data-parallel distribution the
            batch is one array, and its mean is the mean over all devices.
    """
    given = jnp.asarray(inexact(x))
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    x = _wide(given)
    mean = jnp.mean(x, axes, keepdims=True)
    variance = jnp.mean(jnp.square(x - mean), axes, keepdims=True)
    if given.dtype == jnp.float16:
        top = float(jnp.finfo(given.dtype).max)
        mean, variance = jnp.clip(mean, -top, top), jnp.minimum(variance, top)
    if not keepdims:
        mean, variance = jnp.squeeze(mean, axes), jnp.squeeze(variance, axes)
    return mean.astype(given.dtype), variance.astype(given.dtype)


@op
def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: int,
    offset: Tensor = None,
    scale: Tensor = None,
    epsilon: float = 1e-3,
):
    """`(x - mean) / sqrt(variance + epsilon) * scale + offset`, all vectors along `axis`."""
    x = jnp.asarray(inexact(x))
    names = ("mean", "variance", "offset", "scale")
    for name, value in zip(names, (mean, variance, offset, scale)):
        if value is not None and jnp.shape(value) != (x.shape[axis],):
            raise ValueError(
                f"batch_normalization needs a vector of size {x.shape[axis]} for `{name}`, since "
                f"that is the size of axis {axis} of `x`, of shape {x.shape}; got the shape "
                f"{jnp.shape(value)}."
            )
    factor = lax.rsqrt(_along(axis, variance, x) + epsilon)
    if scale is not None:
        factor = factor * _along(axis, scale, x)
    rest = -_along(axis, mean, x) * factor
    if offset is not None:
        rest = rest + _along(axis, offset, x)
    return x * factor + rest


@op
def layer_normalization(
    x: Tensor,
    gamma: Tensor = None,
    beta: Tensor = None,
    axis: int | tuple[int, ...] = -1,
    epsilon: float | None = None,
    **kwargs: Any,
):
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta`, with the moments over `axis`.

    (Ba et al., 2016)
    """
    scaled_only = kwargs.pop("rms_scaling", False)
    x = jnp.asarray(inexact(x))
    axis = tuple(axis) if isinstance(axis, list) else axis
    wide = _wide(x)
    mean = jnp.mean(wide, axis, keepdims=True)
    variance = jnp.mean(jnp.square(wide - mean), axis, keepdims=True)
    factor = lax.rsqrt(variance + (config.epsilon() if epsilon is None else epsilon))
    if gamma is not None:
        factor = factor * _along(axis, gamma, x).astype(wide.dtype)
    if scaled_only:
        warnings.warn(
            "`rms_scaling` of layer_normalization divides by the standard deviation and leaves "
            "the mean; `rms_normalization` divides by the root of the mean square.",
            stacklevel=3,
        )
        return (wide * factor).astype(x.dtype)
    y = (wide - mean) * factor
    if beta is not None:
        y = y + _along(axis, beta, x).astype(wide.dtype)
    return y.astype(x.dtype)


@op
def rms_normalization(
    x: Tensor,
    scale: Tensor = None,
    axis: int | tuple[int, ...] = -1,
    epsilon: float | None = None,
):
    """`x / sqrt(mean(x**2) + epsilon) * scale`, with the mean over `axis`.

    (Zhang and Sennrich, 2019)
    """
    x = jnp.asarray(inexact(x))
    axis = tuple(axis) if isinstance(axis, list) else axis
    wide = _wide(x)
    square = jnp.mean(jnp.square(wide), axis, keepdims=True)
    y = wide * lax.rsqrt(square + (config.epsilon() if epsilon is None else epsilon))
    if scale is not None:
        y = y * _along(axis, scale, x).astype(wide.dtype)
    return y.astype(x.dtype)


@op
def normalize(x: Tensor, axis: Axis = -1, order: int = 2, epsilon: float | None = None):
    """`x` divided by its norm of that `order` along `axis`, or by `epsilon` if that is more.

    Differs: over two axes this is the norm of all elements, in Keras that of a matrix.
    """
    if not isinstance(order, (int, np.integer)) or order < 1:
        raise ValueError(f"normalize needs an integer above 0 for `order`, got {order!r}.")
    x = jnp.asarray(inexact(x))
    epsilon = config.epsilon() if epsilon is None else epsilon
    axis = tuple(axis) if isinstance(axis, list) else axis
    if order == 2:  # the root has no gradient at 0
        square = jnp.sum(jnp.square(x), axis, keepdims=True)
        return x * lax.rsqrt(jnp.maximum(square, jnp.asarray(epsilon**2, x.dtype)))
    total = jnp.sum(jnp.abs(x) ** order, axis, keepdims=True)
    return x / jnp.maximum(total ** (1 / order), epsilon)


__all__ = [
    "batch_normalization", "layer_normalization", "moments", "normalize", "rms_normalization",
]  # fmt: skip
