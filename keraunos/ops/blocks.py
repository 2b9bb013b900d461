"""Blocks of neighbouring elements, moved to another axis and back."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from keraunos.core.graph import Tensor, op
from keraunos.ops.conv import channel_axis, per_axis


@op
def depth_to_space(x: Tensor, block_size: int, data_format: str = "channels_last"):
    """Turn groups of `block_size**2` channels into squares of elements.

    Shapes: `(batch, h, w, c)` to `(batch, h * block, w * block, c // block**2)`.
    """
    x = _image("depth_to_space", x, block_size, data_format)
    batch, height, width, channels = x.shape
    if channels % block_size**2:
        raise ValueError(
            f"depth_to_space needs a number of channels that {block_size}**2 divides, got "
            f"{channels}."
        )
    x = x.reshape(batch, height, width, block_size, block_size, channels // block_size**2)
    if data_format == "channels_first":  # the channel counts first there, the place in a block last
        x = x.reshape(batch, height, width, -1, block_size, block_size)
        x = jnp.moveaxis(x, 3, -1)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(batch, height * block_size, width * block_size, channels // block_size**2)
    return jnp.moveaxis(x, -1, channel_axis(data_format))


@op
def space_to_depth(x: Tensor, block_size: int, data_format: str = "channels_last"):
    """Turn squares of `block_size**2` elements into groups of channels.

    Shapes: `(batch, h, w, c)` to `(batch, h // block, w // block, c * block**2)`.
    """
    x = _image("space_to_depth", x, block_size, data_format)
    batch, height, width, channels = x.shape
    for size in (height, width):
        if isinstance(size, int) and size % block_size:
            raise ValueError(
                f"space_to_depth needs a height and a width that {block_size} divides, got "
                f"{height} and {width}."
            )
    rows, columns = height // block_size, width // block_size
    x = x.reshape(batch, rows, block_size, columns, block_size, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    if data_format == "channels_first":
        x = jnp.moveaxis(x, -1, 3)
    x = x.reshape(batch, rows, columns, channels * block_size**2)
    return jnp.moveaxis(x, -1, channel_axis(data_format))


def _image(name: str, x, block_size: int, data_format: str):
    """`x` with the channels last."""
    if not isinstance(block_size, int) or block_size < 2:
        raise ValueError(f"{name} needs an integer above 1 for `block_size`, got {block_size!r}.")
    x = jnp.asarray(x)
    if x.ndim != 4:
        raise ValueError(f"{name} needs images, of 4 axes with the batch; got shape {x.shape}.")
    return jnp.moveaxis(x, channel_axis(data_format), -1)


@op
def unfold(x: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
    """The elements of every window of an image, as a column.

    Shapes: `(batch, channels, h, w)` to `(batch, channels * window, number of windows)`.
    """
    x = jnp.asarray(x)
    if x.ndim != 4:
        raise ValueError(f"unfold needs images, (batch, channels, h, w); got shape {x.shape}.")
    return _unfold(x, *(per_axis(value, 2) for value in (kernel_size, dilation, padding, stride)))


def _unfold(x, size, dilation, padding, stride):
    batch, channels = x.shape[:2]
    x = jnp.pad(x, [(0, 0), (0, 0), *((n, n) for n in padding)])
    out = _windows(x.shape[2:], size, dilation, (0, 0), stride)
    views = []
    for tap in np.ndindex(*size):
        start = [place * gap for place, gap in zip(tap, dilation)]
        stop = [a + (n - 1) * step + 1 for a, n, step in zip(start, out, stride)]
        views.append(lax.slice(x, (0, 0, *start), (batch, channels, *stop), (1, 1, *stride)))
    columns = jnp.stack(views, axis=2)
    return columns.reshape(batch, channels * len(views), out[0] * out[1])


def _windows(space, size, dilation, padding, stride) -> list:
    """How many windows fit on each axis."""
    return [
        (n + 2 * pad - (length - 1) * gap - 1) // step + 1
        for n, length, gap, pad, step in zip(space, size, dilation, padding, stride)
    ]


@op
def fold(
    x: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
):
    """Add columns to the places of an image where `unfold` would have found them.

    Shapes: `(batch, channels * window, number of windows)` to `(batch, channels, *output_size)`.
    """
    x = jnp.asarray(x)
    space = per_axis(output_size, 2)
    how = [per_axis(value, 2) for value in (kernel_size, dilation, padding, stride)]
    window = how[0][0] * how[0][1]
    count = np.prod(_windows(space, *how))
    if x.ndim != 3 or x.shape[1] % window or (isinstance(x.shape[2], int) and x.shape[2] != count):
        raise ValueError(
            f"fold needs an input of shape (batch, channels * {window}, {count}), for windows of "
            f"{how[0]} in an output of {space}; got {x.shape}."
        )
    image = jax.ShapeDtypeStruct((x.shape[0], x.shape[1] // window, *space), x.dtype)
    unfolding = functools.partial(
        _unfold, size=how[0], dilation=how[1], padding=how[2], stride=how[3]
    )
    return jax.linear_transpose(unfolding, image)(x)[0]


__all__ = ["depth_to_space", "fold", "space_to_depth", "unfold"]
