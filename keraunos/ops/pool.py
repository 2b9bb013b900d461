"""Pooling: one number for each window, channel by channel.

On the CPU a window is folded axis by axis, by comparing (or adding) strided views of the
input. Where two elements are the largest, the first one gets the gradient, as in
XLA's `select_and_scatter`, and derivatives of any order and mode exist. Milliseconds on one
core for the gradient, called / in a loop (jax 0.10), against `reduce_window`:

    maximum                              reduce_window   folded
    (64, 26, 26, 32), 2x2 by 2           34 / 30         1.9 / 2.7
    (16, 56, 56, 32), 3x3 by 2, same     56 / 42         5.8 / 6.0
    (16, 28, 28, 32), 3x3 by 1, same     33 / 32         1.8 / 2.3
    (8, 16, 16, 16, 16), 2x2x2 by 2       6 / 8          0.9 / 1.1
    mean
    (16, 56, 56, 32), 3x3 by 2, same     17 / 18         3.8 / 4.1
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from keraunos.core.graph import Tensor, op
from keraunos.ops.conv import Window, channel_axis, margins, on_cpu, pad_name, pad_space, per_axis
from keraunos.ops.families import inexact

MOST_VIEWS = 64  # of one input; each is compiled by itself


@op
def max_pool(
    inputs: Tensor,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
):
    """The largest element of each window.

    Shapes: `(batch, *space, channels)` to `(batch, *new_space, channels)`.
    """
    x = jnp.asarray(inputs)
    floats = jnp.issubdtype(x.dtype, jnp.floating)
    lowest = -jnp.inf if floats else jnp.iinfo(x.dtype).min
    return _pool(x, lowest, _first_of_largest, lax.max, pool_size, strides, padding, data_format)


@op
def average_pool(
    inputs: Tensor,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
):
    """The mean of each window; elements that padding adds do not count.

    Shapes: `(batch, *space, channels)` to `(batch, *new_space, channels)`.
    """
    x = jnp.asarray(inexact(inputs))
    arguments = (pool_size, strides, padding, data_format)
    wide = jnp.float32 if x.dtype.itemsize < 4 else x.dtype
    total = _pool(x.astype(wide), 0, lax.add, lax.add, *arguments)
    if padding.lower() == "valid":
        count = np.prod(per_axis(pool_size, x.ndim - 2))
    else:
        axis = channel_axis(data_format)
        shape = [1 if i in (0, axis % x.ndim) else n for i, n in enumerate(x.shape)]
        count = _pool(jnp.ones(shape, wide), 0, lax.add, lax.add, *arguments)
    return (total / count).astype(x.dtype)


def _pool(x, start, fold: Callable, xla_fold: Callable, pool_size, strides, padding, data_format):
    rank = x.ndim - 2
    if not 1 <= rank <= 3:
        raise ValueError(
            "Pooling needs a batch, one to three axes of space, and channels; got an input of "
            f"shape {x.shape}."
        )
    size = per_axis(pool_size, rank)
    steps = size if strides is None else per_axis(strides, rank)
    axis, padding = channel_axis(data_format), pad_name(padding)
    if on_cpu(x) and sum(size) <= MOST_VIEWS:
        window = Window(steps, padding, (1,) * rank, (1,) * rank)
        y = _folded(jnp.moveaxis(x, axis, -1), start, fold, size, window)
        return jnp.moveaxis(y, -1, axis)
    frame = lambda sizes: (1, *sizes, 1) if axis == -1 else (1, 1, *sizes)
    start = np.array(start, x.dtype)
    return lax.reduce_window(x, start, xla_fold, frame(size), frame(steps), padding)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _folded(x, start, fold: Callable, size: tuple[int, ...], window: Window):
    x = pad_space(x, margins(x.shape[1:-1], size, window), start)
    for axis in range(x.ndim - 2, 0, -1):  # the last first: so ties fall in the order of rows
        length, step = size[axis - 1], window.strides[axis - 1]
        last = (x.shape[axis] - length) // step * step
        views = [lax.slice_in_dim(x, i, i + last + 1, step, axis) for i in range(length)]
        x = functools.reduce(fold, views)
    return x


def _first_of_largest(a, b):
    """`maximum(a, b)`, with the gradient all to `a` where they are equal."""
    return jnp.where((a >= b) | (a != a), a, b)


@op
def adaptive_max_pool(inputs: Tensor, output_size: Any, data_format: str | None = None):
    """The largest element of each of `output_size` windows, which cover the input evenly.

    Window i of n, over a size s, reaches from `floor(i * s / n)` to `ceil((i + 1) * s / n)`.
    """

    def pool(x, axis, starts, stops):
        longest = int(max(stops - starts))
        places = np.minimum(starts[:, None] + np.arange(longest), stops[:, None] - 1)
        windows = jnp.take(x, places, axis)
        views = [lax.index_in_dim(windows, i, axis + 1, False) for i in range(longest)]
        return functools.reduce(_first_of_largest, views)

    return _adaptive(inputs, output_size, data_format, pool)


@op
def adaptive_average_pool(inputs: Tensor, output_size: Any, data_format: str | None = None):
    """The mean of each of `output_size` windows, which cover the input evenly.

    Window i of n, over a size s, reaches from `floor(i * s / n)` to `ceil((i + 1) * s / n)`.
    """

    def pool(x, axis, starts, stops):
        place = np.arange(x.shape[axis])
        inside = (place >= starts[:, None]) & (place < stops[:, None])
        shares = jnp.asarray(inside / (stops - starts)[:, None], x.dtype)
        return jnp.moveaxis(jnp.tensordot(x, shares, (axis, 1)), -1, axis)

    return _adaptive(inexact(inputs), output_size, data_format, pool)


def _adaptive(x, output_size, data_format, pool: Callable):
    x = jnp.asarray(x)
    first = 1 if channel_axis(data_format) == -1 else 2
    for axis, n in enumerate(per_axis(output_size, x.ndim - 2), first):
        size = int(x.shape[axis])
        starts = np.arange(n) * size // n
        stops = -(-np.arange(1, n + 1) * size // n)
        x = pool(x, axis, starts, stops)
    return x


__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "max_pool",
]  # fmt: skip
