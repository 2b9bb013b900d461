"""Convolutions over one, two or three axes of space.

XLA compiles a convolution for the CPU well only if the axes carry their usual labels (`NHWC`,
`HWIO`); with others it relabels, but not inside of loops, and there it falls back to a naive
program. JAX's gradients of a convolution have other labels. So on the CPU two ways are taken,
both of plain differentiable operations, so that derivatives of any order and mode exist:

* `_relabelled`: the convolution itself, with a derivative written as convolutions whose
  transposes have the usual labels;
* `_taps`: the sum, over the positions in the kernel, of the input moved by that much times
  the kernel's matrix there. Better for groups and in three dimensions.

Milliseconds on one core for the gradients of `sum(sin(conv(x, w)))` by x and w, called / in a
loop (jax 0.10, machine not idle):

    x, kernel                                    XLA's        relabelled     taps
    (64, 13, 13, 32), (3, 3, 32, 64)              26 /  708    36 /  28      27 / 34
    (32, 16, 16, 32), (3, 3, 32, 32)              14 /  313    10 /  10      16 / 16
    the same, dilated by 2                        14 /  229    11 /  10      16 / 16
    (8, 64, 64, 3), (7, 7, 3, 32), strides 2      13 /  109    16 /  13      38 / 33
    (8, 1000, 64), (9, 64, 64)                    26 / 1909    26 /  28      45 / 43
    (8, 12, 12, 12, 8), (3, 3, 3, 8, 16)          67 /  127    49 /  49      21 / 20
    (4, 8, 8, 8, 32), (3, 3, 3, 32, 32)           27 /  134    40 /  27       9 /  9
    (32, 16, 16, 32), (3, 3, 8, 32), 4 groups    196 /   92   193 /  38      16 / 17
    (8, 14, 14, 128), (3, 3, 4, 128), 32 groups 1256 /   37  1058 /  29      17 / 16
    (4, 56, 56, 64), (3, 3, 1, 64), depthwise     87 / 3933   143 / 138      23 / 25

One step of SGD of a small CNN (two convolutions, two poolings, batch 128), on one core: 75 ms
called and 60 ms in a loop, against 168 and 2068 with XLA's own.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from keraunos.core import config
from keraunos.core.graph import Tensor, op


class Window(NamedTuple):
    """How a kernel slides: for each axis of space a step, zeros before and after, gaps."""

    strides: tuple[int, ...]
    padding: str | tuple[tuple[int, int], ...]
    stretch: tuple[int, ...]  # the distance of the elements of the input
    dilation: tuple[int, ...]  # the distance of the elements of the kernel
    groups: int = 1


@op
def conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
):
    """Slide a kernel over `inputs`, summing products at every step.

    Shapes: `(batch, *space, channels)` and `(*window, channels // groups, filters)` to
    `(batch, *new_space, filters)`; there are as many groups as the sizes imply.
    """
    x, kernel = jnp.asarray(inputs), jnp.asarray(kernel)
    rank = kernel.ndim - 2
    _check_rank("conv", x, rank)
    strides, dilation = per_axis(strides, rank), per_axis(dilation_rate, rank)
    axis = channel_axis(data_format)
    channels, per_group = x.shape[axis], kernel.shape[-2]
    if channels % per_group or kernel.shape[-1] % (channels // per_group):
        raise ValueError(
            f"conv: {channels} channels of the input (shape {x.shape}) and {kernel.shape[-1]} "
            f"filters do not split into groups of {per_group} channels, as a kernel of shape "
            f"{kernel.shape} needs."
        )
    window = Window(strides, pad_name(padding), (1,) * rank, dilation, channels // per_group)
    space = x.shape[1:-1] if axis == -1 else x.shape[2:]
    for have, size, gap in zip(space, kernel.shape, dilation):
        if padding.lower() == "valid" and isinstance(have, int) and have <= (size - 1) * gap:
            raise ValueError(
                f"conv: the output would be empty, for a kernel of shape {kernel.shape} with "
                f"dilation {dilation} does not fit into an input of shape {x.shape}. "
                "Use a smaller kernel, or padding='same'."
            )
    return _slide(x, kernel, window, axis)


@op
def depthwise_conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
):
    """Slide kernels over `inputs`, over every channel its own.

    Shapes: `(batch, *space, channels)` and `(*window, channels, multiplier)` to
    `(batch, *new_space, channels * multiplier)`.
    """
    kernel = jnp.asarray(kernel)
    kernel = kernel.reshape(*kernel.shape[:-2], 1, kernel.shape[-2] * kernel.shape[-1])
    return conv(inputs, kernel, strides, padding, data_format, dilation_rate)


@op
def separable_conv(
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
):
    """A convolution of every channel by itself, then a mix of the channels of each point."""
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(y, pointwise_kernel, 1, "valid", data_format)


@op
def conv_transpose(
    inputs: Tensor,
    kernel: Tensor,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
):
    """The transpose of a convolution: every element of `inputs` adds a multiple of the kernel.

    Shapes: `(batch, *space, channels)` and `(*window, filters, channels)` to
    `(batch, *new_space, filters)`. Without `output_padding`, a size n becomes `n * stride`,
    and with padding "valid" at least what the kernel covers; with it, exactly
    `(n - 1) * stride + window - 2 * pad + output_padding`, where `pad` is 0 for "valid"
    and `window // 2` for "same".
    """
    x, kernel = jnp.asarray(inputs), jnp.asarray(kernel)
    rank = kernel.ndim - 2
    _check_rank("conv_transpose", x, rank)
    axis = channel_axis(data_format)
    if x.shape[axis] != kernel.shape[-1]:
        raise ValueError(
            f"conv_transpose: an input of shape {x.shape} has {x.shape[axis]} channels, a kernel "
            f"of shape {kernel.shape} needs {kernel.shape[-1]}."
        )
    strides, dilation = per_axis(strides, rank), per_axis(dilation_rate, rank)
    extra = (None,) * rank if output_padding is None else per_axis(output_padding, rank)
    same = pad_name(padding) == "SAME"
    margins = tuple(
        _transposed_margins((size - 1) * gap + 1, step, same, more)
        for size, gap, step, more in zip(kernel.shape, dilation, strides, extra)
    )
    flipped = jnp.swapaxes(jnp.flip(kernel, tuple(range(rank))), -1, -2)
    return _slide(x, flipped, Window((1,) * rank, margins, strides, dilation), axis)


def _transposed_margins(size: int, step: int, same: bool, extra: int | None) -> tuple[int, int]:
    """The zeros around an input that is stretched by `step`, for a window of `size`.

    `cut` elements at the start of the whole result are not wanted, and `grown` is how
    much larger than `step` times the input the wanted result is.
    """
    if extra is None:
        grown = 0 if same else max(size - step, 0)
        cut = max(size - step, 0) // 2 if same else 0
    else:
        pad = size // 2 if same else 0
        grown = size - 2 * pad + extra - step
        cut = max(2 * pad - extra, 0) // 2
    before = size - 1 - cut
    return before, step + grown + size - 2 - before


# How it is computed -------------------------------------------------------------------------


def _slide(x, kernel, window: Window, axis: int):
    x = x.astype(kernel.dtype)
    if not on_cpu(x):
        return _convolve(x, kernel, window, axis)
    x = jnp.moveaxis(x, axis, -1)
    rank = kernel.ndim - 2
    window = window._replace(padding=margins(x.shape[1:-1], kernel.shape, window))
    margin = [n for pair in window.padding for n in pair]
    apart = window.groups > 1 or rank == 3
    plain = all(n == 1 for n in window.stretch)
    point = math.prod((window.groups, *kernel.shape[:rank])) == 1 and not any(margin)
    if point and plain:  # 1.3 times as fast as the convolution, its gradients up to 2 times
        y = x[:, *(slice(None, None, step) for step in window.strides)] @ kernel[(0,) * rank]
    elif jnp.issubdtype(x.dtype, jnp.floating) and apart and plain:
        y = _taps(x, kernel, window)
    elif window.groups == 1:
        y = _relabelled(x, kernel, window)
    else:
        y = _convolve(x, kernel, window)
    return jnp.moveaxis(y, -1, axis)


def _convolve(x, kernel, window: Window, axis: int = -1, labels: Any = None):
    space = "DHW"[5 - kernel.ndim :]
    tensor = f"N{space}C" if axis == -1 else f"NC{space}"
    return lax.conv_general_dilated(
        x,
        kernel,
        window.strides,
        window.padding,
        window.stretch,
        window.dilation,
        labels or (tensor, f"{space}IO", tensor),
        window.groups,
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _relabelled(x, kernel, window: Window):
    return _convolve(x, kernel, window)


@_relabelled.defjvp
def _relabelled_jvp(window: Window, primals, tangents):
    x, kernel = primals
    dx, dkernel = tangents
    space = "DHW"[5 - kernel.ndim :]
    by_input = (f"N{space}C", f"{space}OI", f"N{space}C")
    by_kernel = (f"C{space}N", f"I{space}O", f"{space}NC")
    from_input = _convolve(dx, jnp.swapaxes(kernel, -1, -2), window, labels=by_input)
    padded, taller, rows = _kept_from_ynnpack(x, kernel, window)
    turned = jnp.swapaxes(padded, 0, -1), jnp.moveaxis(dkernel, -2, 0)
    from_kernel = jnp.moveaxis(_convolve(*turned, taller, labels=by_kernel)[:rows], -2, 0)
    return _relabelled(x, kernel, window), from_input + from_kernel


def _kept_from_ynnpack(x, kernel, window: Window):
    """The input, the window, and how many rows of their convolution are wanted.

    The kernel gradient is a convolution whose kernel is the gradient of the output. XLA gives
    it to YNNPACK, which is up to 3 times slower there than Eigen, unless that kernel is higher
    than its input; so a few rows are added, which the gradient sees as zeros. If the kernel
    also were the larger one in all, XLA would exchange the two, and be 30 times slower.
    """
    if kernel.ndim != 4 or max(window.stretch + window.dilation) > 1:
        return x, window, None
    padded = pad_space(x, window.padding, 0)
    height, width = padded.shape[1:3]
    rows, columns = (
        (n - size) // step + 1
        for n, size, step in zip((height, width), kernel.shape, window.strides)
    )
    more = height - rows + 1
    if 3 * more > rows or (rows + more) * columns > height * width:
        return x, window, None
    return padded, window._replace(padding=((0, more * window.strides[0]), (0, 0))), rows


@functools.partial(jax.jit, static_argnums=2)
def _taps(x, kernel, window: Window):
    """The convolution as a sum over the positions in the kernel.

    In a loop, so that XLA does not compute what comes before once for every position, which
    in a chain of layers grows exponentially. The moved inputs are made again for the
    gradient: kept, they would take as many times the memory of the input as there are positions.
    """
    rank, dtype = kernel.ndim - 2, x.dtype
    wide = jnp.float32 if dtype.itemsize < 4 else dtype
    x, kernel = pad_space(x.astype(wide), window.padding, 0), kernel.astype(wide)
    out = [
        (n - (size - 1) * gap - 1) // step + 1
        for n, size, gap, step in zip(x.shape[1:-1], kernel.shape, window.dilation, window.strides)
    ]
    reach = [(n - 1) * step + 1 for n, step in zip(out, window.strides)]
    space = tuple(range(1, rank + 1))

    def add(total, tap):
        start, matrix = tap
        starts = (0, *(start[i] for i in range(rank)), 0)
        moved = lax.dynamic_slice(x, starts, (x.shape[0], *reach, x.shape[-1]))
        for axis, step in zip(space, window.strides):
            moved = lax.slice_in_dim(moved, 0, None, step, axis)
        return total + _times(moved, matrix, window.groups), None

    places = np.array(list(np.ndindex(*kernel.shape[:rank])), "int32")
    places = places * np.array(window.dilation, "int32")
    matrices = kernel.reshape(-1, *kernel.shape[rank:])
    total = jnp.zeros((x.shape[0], *out, kernel.shape[-1]), wide)
    again = jax.checkpoint(add, prevent_cse=False)
    return lax.scan(again, total, (jnp.asarray(places), matrices))[0].astype(dtype)


def _times(x, matrix, groups: int):
    """Every group of channels by its part of the matrix, `(channels // groups, filters)`."""
    channels, filters = x.shape[-1], matrix.shape[-1]
    if groups == 1:
        return x @ matrix
    if groups == channels == filters:
        return x * matrix[0]
    if groups == channels:
        y = x[..., None] * matrix.reshape(groups, filters // groups)
    else:
        x = x.reshape(*x.shape[:-1], groups, channels // groups)
        matrix = matrix.reshape(channels // groups, groups, filters // groups)
        y = jnp.einsum("...gi,igo->...go", x, matrix)
    return y.reshape(*y.shape[:-2], filters)


# Shared with pooling ------------------------------------------------------------------------


def on_cpu(x) -> bool:
    """Whether the formulations for the CPU apply: they need numbers for all sizes."""
    return jax.default_backend() == "cpu" and all(isinstance(n, int) for n in x.shape)


def channel_axis(data_format: str | None) -> int:
    """The axis of the channels: -1, or 1 for "channels_first"."""
    return -1 if config.standardize_data_format(data_format) == "channels_last" else 1


def pad_name(padding: str) -> str:
    """XLA's name of a padding."""
    if str(padding).lower() not in ("valid", "same"):
        raise ValueError(f"`padding` must be 'valid' or 'same', got {padding!r}.")
    return padding.upper()


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    """One size for each of `rank` axes, from an integer for all of them or from one each."""
    sizes = tuple(value) if hasattr(value, "__len__") else (value,) * rank
    if len(sizes) != rank:
        raise ValueError(
            f"An integer is needed, or {rank} of them, one for each axis; got {value!r}."
        )
    return tuple(int(n) for n in sizes)


def margins(space, sizes, window: Window) -> tuple[tuple[int, int], ...]:
    """How many elements are added before and after each axis of space."""
    if not isinstance(window.padding, str):
        return window.padding
    if window.padding == "VALID":
        return ((0, 0),) * len(space)
    totals = [
        max((-(-n // step) - 1) * step + (size - 1) * gap + 1 - n, 0)
        for n, size, step, gap in zip(space, sizes, window.strides, window.dilation)
    ]
    return tuple((total // 2, total - total // 2) for total in totals)


def pad_space(x, margins, value):
    """`x` with `value` put around its axes of space; channels are last."""
    if not any(map(any, margins)):
        return x
    around = [(0, 0, 0), *((a, b, 0) for a, b in margins), (0, 0, 0)]
    return lax.pad(x, jnp.asarray(value, x.dtype), around)


def _check_rank(name: str, x, rank: int) -> None:
    if not 1 <= rank <= 3 or x.ndim != rank + 2:
        raise ValueError(
            f"{name} needs an input and a kernel of equal rank, 3 to 5: batch, one to three axes "
            f"of space, channels. Got an input of shape {x.shape} and a kernel of {rank + 2} axes."
        )


__all__ = [
    "conv", "conv_transpose", "depthwise_conv", "separable_conv",
]  # fmt: skip
