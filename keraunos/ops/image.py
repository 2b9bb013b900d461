"""Public `keras.ops.image`: images resized, cut up, filtered, recolored, moved.

Shapes: `(height, width, channels)` of one image or `(batch, height, width, channels)` of several,
with the channels before the height if `data_format` is "channels_first".
"""

import functools
import inspect
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from keraunos.core.config import standardize_data_format
from keraunos.core.fields import did_you_mean
from keraunos.core.graph import KerasTensor, Tensor, op
from keraunos.ops.core import saturate_cast
from keraunos.ops.families import inexact, sized
from keraunos.ops.warping import (
    affine_transform,
    elastic_transform,
    map_coordinates,
    perspective_transform,
    scale_and_translate,
)

_METHODS = {
    "bilinear": "linear",
    "nearest": "nearest",
    "bicubic": "cubic",
    "lanczos3": "lanczos3",
    "lanczos5": "lanczos5",
}


def as_batch(
    name: str, images: Any, data_format: str | None, rank: int = 2
) -> tuple[Any, Callable]:
    """`images` as a batch with channels last, and the way back."""
    images = jnp.asarray(images)
    if images.ndim not in (rank + 1, rank + 2):
        raise ValueError(
            f"{name}() needs images of {rank + 1} axes, or {rank + 2} with a batch, "
            f"got shape {images.shape}."
        )
    single = images.ndim == rank + 1
    first = standardize_data_format(data_format) == "channels_first"
    batch = images[None] if single else images
    batch = jnp.moveaxis(batch, 1, -1) if first else batch

    def back(result):
        result = jnp.moveaxis(result, -1, 1) if first else result
        return result[0] if single else result

    return batch, back


# Size ------------------------------------------------------------------------------------


@op
def resize(
    images: Tensor,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
):
    """Images in another size, `(height, width)`.

    Args:
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        antialias: Whether to smooth when making smaller.
        crop_to_aspect_ratio: Cut the longer side first, so that nothing is distorted.
        pad_to_aspect_ratio: Fill up the shorter side first, with `fill_value`.
    """
    if interpolation not in _METHODS:
        raise ValueError(
            f"resize() needs one of {', '.join(_METHODS)} for `interpolation`, "
            f"got {interpolation!r}{did_you_mean(interpolation, _METHODS)}"
        )
    if fill_mode != "constant":
        raise ValueError(f"resize() needs 'constant' for `fill_mode`, got {fill_mode!r}.")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("resize() can crop or pad to the aspect ratio, not both.")
    height, width = size
    batch, back = as_batch("resize", images, data_format)
    dtype = batch.dtype
    if crop_to_aspect_ratio:
        batch = _cropped(batch, height, width)
    if pad_to_aspect_ratio:
        batch = _filled_up(batch, height, width, fill_value)
    exact = jnp.issubdtype(dtype, jnp.floating) or interpolation == "nearest"
    values = batch if exact else batch.astype("float32")
    shape = (batch.shape[0], height, width, batch.shape[-1])
    values = jax.image.resize(values, shape, _METHODS[interpolation], antialias=antialias)
    return back(values if exact else saturate_cast(jnp.round(values), dtype))


def _cropped(batch, height: int, width: int):
    """The largest part in the middle with the proportions of `height` to `width`."""
    rows, columns = batch.shape[1:3]
    high = max(min(rows, int(columns * height / width)), 1)
    wide = max(min(columns, int(rows * width / height)), 1)
    top, left = (rows - high) // 2, (columns - wide) // 2
    return batch[:, top : top + high, left : left + wide]


def _filled_up(batch, height: int, width: int, value: float):
    """The images in the middle of `value`, in the proportions of `height` to `width`."""
    rows, columns = batch.shape[1:3]
    top = (max(rows, int(columns * height / width)) - rows) // 2
    left = (max(columns, int(rows * width / height)) - columns) // 2
    around = ((0, 0), (top, top), (left, left), (0, 0))  # as much on both sides, as Keras does
    return jnp.pad(batch, around, constant_values=jnp.asarray(value, batch.dtype))


def _ends(name: str, what: str, size, before, after, target, sign: int) -> tuple:
    """How much is added, or cut off, before and after an axis of `size`."""
    start, end = ("top", "bottom") if what == "height" else ("left", "right")
    kind = "padding" if sign > 0 else "cropping"
    if [before, after, target].count(None) != 1:
        raise ValueError(
            f"{name}() needs two of `{start}_{kind}`, `{end}_{kind}` and `target_{what}`, "
            f"got {before}, {after} and {target}."
        )
    if target is not None:
        between = (target - size) * sign
        before = between - after if before is None else before
        after = between - before
    for value, side in ((before, start), (after, end)):
        if isinstance(value, int) and value < 0:
            raise ValueError(
                f"{name}() needs a `{side}_{kind}` that is not negative, got {value} for images "
                f"of {what} {size}."
            )
    return before, after


def _framed(compute: Callable, *args: Any, **kwargs: Any) -> KerasTensor:
    """A target is the size of the result, also where the size of the images is not known."""
    bound = inspect.signature(compute).bind(*args, **kwargs)
    bound.apply_defaults()
    images, top, left, bottom, right, height, width, data_format = bound.arguments.values()
    rows = images.ndim - (2 if standardize_data_format(data_format) == "channels_first" else 3)
    name, sign = compute.__name__, 1 if compute.__name__ == "pad_images" else -1
    shape = list(images.shape)
    for axis, what, ends in (
        (rows, "height", (top, bottom, height)),
        (rows + 1, "width", (left, right, width)),
    ):
        if shape[axis] is None:
            shape[axis] = ends[-1]
        else:
            shape[axis] += sign * sum(_ends(name, what, shape[axis], *ends, sign))
    return KerasTensor(shape, images.dtype)


@sized(_framed)
def pad_images(
    images: Tensor,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
):
    """Images with zeros around; of top, bottom and height two are given, the third follows."""
    batch, back = as_batch("pad_images", images, data_format)
    _, rows, columns, _ = batch.shape
    high = _ends("pad_images", "height", rows, top_padding, bottom_padding, target_height, 1)
    wide = _ends("pad_images", "width", columns, left_padding, right_padding, target_width, 1)
    return back(jnp.pad(batch, ((0, 0), high, wide, (0, 0))))


@sized(_framed)
def crop_images(
    images: Tensor,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
):
    """The inside of images; of top, bottom and height two are given, the third follows."""
    batch, back = as_batch("crop_images", images, data_format)
    _, rows, columns, _ = batch.shape
    top, bottom = _ends(
        "crop_images", "height", rows, top_cropping, bottom_cropping, target_height, -1
    )
    left, right = _ends(
        "crop_images", "width", columns, left_cropping, right_cropping, target_width, -1
    )
    return back(batch[:, top : rows - bottom, left : columns - right])


# Patches ---------------------------------------------------------------------------------


def _per_axis(name: str, argument: str, value: Any, rank: int) -> tuple[int, ...]:
    values = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(values) != rank or any(n < 1 for n in values):
        raise ValueError(
            f"{name}() needs a positive integer or {rank} of them for `{argument}`, got {value}."
        )
    return values


def _windows(x, axis: int, size: int, stride: int, dilation: int, same: bool):
    """`x` with `axis` made two: the windows, and the places in each."""
    span = (size - 1) * dilation + 1
    if same:
        length = x.shape[axis]
        missing = max((-(-length // stride) - 1) * stride + span - length, 0)
        around = [(0, 0)] * x.ndim
        around[axis] = (missing // 2, missing - missing // 2)
        x = jnp.pad(x, around)
    count = (x.shape[axis] - span) // stride + 1
    if stride == size and dilation == 1:  # no element twice: no gather
        x = jax.lax.slice_in_dim(x, 0, count * size, axis=axis)
        return x.reshape(*x.shape[:axis], count, size, *x.shape[axis + 1 :])
    places = jnp.arange(count)[:, None] * stride + jnp.arange(size) * dilation
    return jnp.take(x, places, axis=axis)


def _patches(name: str, images, size, strides, dilation_rate, padding, data_format, rank: int):
    size = _per_axis(name, "size", size, rank)
    strides = size if strides is None else _per_axis(name, "strides", strides, rank)
    dilation = _per_axis(name, "dilation_rate", dilation_rate, rank)
    if padding not in ("valid", "same"):
        raise ValueError(f"{name}() needs 'valid' or 'same' for `padding`, got {padding!r}.")
    x, back = as_batch(name, images, data_format, rank)
    for i in range(rank):
        x = _windows(x, 1 + 2 * i, size[i], strides[i], dilation[i], padding == "same")
    x = x.transpose(0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
    return back(x.reshape(*x.shape[: rank + 1], math.prod(size) * x.shape[-1]))


@op
def extract_patches(
    images: Tensor,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
):
    """Windows of images, each as the channels of one place; of volumes, for a `size` of three.

    Shapes: `(batch, *space, channels)` to `(batch, *windows, prod(size) * channels)`.

    Args:
        strides: How far windows are apart; `size` by default.
    """
    rank = 2 if isinstance(size, int) else len(size)
    return _patches(
        "extract_patches", images, size, strides, dilation_rate, padding, data_format, rank
    )


@op
def extract_patches_3d(
    volumes: Tensor,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
):
    """Windows of volumes, each as the channels of one place.

    Shapes: `(batch, *space, channels)` to `(batch, *windows, prod(size) * channels)`.
    """
    return _patches(
        "extract_patches_3d", volumes, size, strides, dilation_rate, padding, data_format, 3
    )


# Filters ---------------------------------------------------------------------------------


def _along(x, weights, axis: int, same: bool):
    """`x` filtered along one axis: a sum of `x` moved by each place, times its weight."""
    count = len(weights)
    if same:
        around = [(0, 0)] * x.ndim
        around[axis] = ((count - 1) // 2, count // 2)
        x = jnp.pad(x, around)
    length = x.shape[axis] - count + 1
    part = lambda i: jax.lax.slice_in_dim(x, i, i + length, axis=axis)
    return functools.reduce(operator.add, (part(i) * weights[i] for i in range(count)))


def _gauss(size: int, sigma: float, dtype: Any):
    """The weights of a Gaussian, of sum 1."""
    places = jnp.arange(size, dtype=dtype) - (size - 1) / 2
    weights = jnp.exp(-jnp.square(places) / (2 * sigma**2))
    return weights / jnp.sum(weights)


@op
def gaussian_blur(
    images: Tensor,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Sequence[float] = (1.0, 1.0),
    data_format: str | None = None,
):
    """Images smoothed by a Gaussian, as if zeros were around them.

    Args:
        kernel_size: How far it reaches, `(height, width)`.
        sigma: How wide it is, `(vertically, horizontally)`.
    """
    batch, back = as_batch("gaussian_blur", inexact(images), data_format)
    for axis, (size, width) in enumerate(zip(kernel_size, sigma)):
        batch = _along(batch, _gauss(size, width, batch.dtype), axis + 1, same=True)
    return back(batch)


@op
def sobel_edges(images: Tensor, data_format: str | None = None):
    """How images change downwards and to the right, by Sobel's filters, on a new last axis."""
    batch, back = as_batch("sobel_edges", inexact(images), data_format)
    change, smooth = (-1, 0, 1), (1, 2, 1)
    pairs = ((change, smooth), (smooth, change))
    edges = (_along(_along(batch, down, 1, True), right, 2, True) for down, right in pairs)
    return jnp.stack([back(edge) for edge in edges], axis=-1)


@op
def ssim(
    image1: Tensor,
    image2: Tensor,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
):
    """Structural similarity of images, 1 for equal ones (Wang et al., 2004).

    Shapes: `(batch, height, width, channels)` to `(batch,)`, of one image to `()`.

    Args:
        max_val: The range of the values: 255 for bytes.
        filter_size, filter_sigma: Of the Gaussian that weights a neighbourhood.
        k1, k2: Keep the quotients stable.
    """
    x, _ = as_batch("ssim", inexact(image1), data_format)
    y, _ = as_batch("ssim", inexact(image2), data_format)
    weights = _gauss(filter_size, filter_sigma, x.dtype)
    if any(isinstance(n, int) and n < filter_size for n in x.shape[1:3]):
        raise ValueError(
            f"ssim() needs images of at least `filter_size`, {filter_size}, got shape {x.shape}."
        )
    local = lambda image: _along(_along(image, weights, 1, False), weights, 2, False)
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean_x, mean_y = local(x), local(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance, variances = local(x * y) - product, local(x * x + y * y) - squares
    light = (2 * product + c1) / (squares + c1)
    structure = (2 * covariance + c2) / (variances + c2)
    result = jnp.mean(light * structure, axis=(1, 2, 3))
    return result if jnp.ndim(image1) == 4 else result[0]


# Colors ----------------------------------------------------------------------------------


@op
def rgb_to_grayscale(images: Tensor, data_format: str | None = None):
    """Images of one channel, as bright as the given colors seem to the eye."""
    batch, back = as_batch("rgb_to_grayscale", images, data_format)
    if batch.shape[-1] not in (1, 3):
        raise ValueError(f"rgb_to_grayscale() needs 1 or 3 channels, got {batch.shape[-1]}.")
    if batch.shape[-1] == 1:
        return back(batch)
    values = inexact(batch)
    weights = jnp.asarray([0.2989, 0.5870, 0.1140], values.dtype)
    gray = jnp.sum(values * weights, axis=-1, keepdims=True)
    return back(gray.astype(batch.dtype))


def _colors(name: str, images, data_format):
    batch, back = as_batch(name, images, data_format)
    if not jnp.issubdtype(batch.dtype, jnp.floating):
        raise ValueError(f"{name}() needs floats from 0 to 1, got {batch.dtype}.")
    if batch.shape[-1] != 3:
        raise ValueError(f"{name}() needs 3 channels, got {batch.shape[-1]}.")
    return batch, back


@op
def rgb_to_hsv(images: Tensor, data_format: str | None = None):
    """Red, green and blue as hue, saturation and value, all from 0 to 1."""
    batch, back = _colors("rgb_to_hsv", images, data_format)
    red, green, blue = (batch[..., i] for i in range(3))
    value, least = jnp.max(batch, axis=-1), jnp.min(batch, axis=-1)
    spread = value - least
    safe = jnp.where(spread > 0, spread, 1)
    hue = jnp.where(
        red == value,
        (green - blue) / safe,
        jnp.where(green == value, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = jnp.where(spread > 0, hue / 6, 0)
    saturation = jnp.where(value > 0, spread / jnp.where(value > 0, value, 1), 0)
    return back(jnp.stack([jnp.where(hue < 0, hue + 1, hue), saturation, value], axis=-1))


@op
def hsv_to_rgb(images: Tensor, data_format: str | None = None):
    """Hue, saturation and value as red, green and blue, all from 0 to 1."""
    batch, back = _colors("hsv_to_rgb", images, data_format)
    hue, saturation, value = (batch[..., i] for i in range(3))
    of = lambda ahead: value - value * saturation * _ramp(hue * 6 + ahead)
    return back(jnp.stack([of(5), of(3), of(1)], axis=-1))


def _ramp(angle):
    """How much of a color is missing around the circle of hues."""
    place = angle % 6
    return jnp.clip(jnp.minimum(place, 4 - place), 0, 1)


__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches",
    "extract_patches_3d", "gaussian_blur", "hsv_to_rgb", "map_coordinates", "pad_images",
    "perspective_transform", "resize", "rgb_to_grayscale", "rgb_to_hsv", "scale_and_translate",
    "sobel_edges", "ssim",
]  # fmt: skip
