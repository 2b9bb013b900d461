"""Layers that change the colors of images, most of them at random."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from keraunos import ops, random
from keraunos.core.fields import DataFormat, Fraction, Numbers, Positive, fields, needs
from keraunos.core.registry import export
from keraunos.layers.preprocessing.image import (
    Chance,
    ImageLayer,
    Mirrored,
    Seed,
    ValueRange,
    bounds,
    each,
    signs,
)


class Recolored(ImageLayer):
    """Base of layers that compute with values from `value_range`, and stay within it."""

    value_range: tuple

    def _as_parts(self, x):
        """From 0 to 1."""
        low, high = self.value_range
        return (x - low) / (high - low)

    def _from_parts(self, x):
        low, high = self.value_range
        return jnp.clip(x * (high - low) + low, low, high)

    def _changed(self, x, drawn):
        return jnp.clip(self._recolored(x, drawn), *self.value_range)

    def _recolored(self, x, drawn):
        raise NotImplementedError


# Brightness and contrast ------------------------------------------------------------------------


@export("layers.RandomBrightness")
@fields
class RandomBrightness(Recolored):
    """Images made brighter or darker, of the same dtype.

    Args:
        factor: What is added, in parts of the range of values; 1 makes all white, -1 black.
    """

    factor: Mirrored
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    _floats = False

    def _drawn(self, shape, seed):
        low, high = self.value_range
        added = random.uniform((shape[0], 1, 1, 1), *self.factor, seed=seed)
        return {"rgb_delta": added * (high - low)}

    def _recolored(self, x, drawn):
        return x + drawn["rgb_delta"]


@export("layers.RandomContrast")
@fields
class RandomContrast(Recolored):
    """`(x - mean) * factor + mean`, with the mean of each channel of each image.

    Args:
        factor: How far from 1 the factor is: `(less, more)`, or `more`.
    """

    factor: Chance
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    def _drawn(self, shape, seed):
        less, more = self.factor
        shape = (shape[0], 1, 1, 1)
        return {"contrast_factor": random.uniform(shape, 1 - less, 1 + more, seed=seed)}

    def _recolored(self, x, drawn):
        mean = jnp.mean(x, (1, 2), keepdims=True)
        return (x - mean) * drawn["contrast_factor"] + mean


@export("layers.AutoContrast")
@fields
class AutoContrast(Recolored):
    """Each channel of each image spread over the whole range of values; also after training."""

    value_range: ValueRange = (0, 255)

    def _recolored(self, x, drawn):
        least, most = (f(x, axis=(1, 2), keepdims=True) for f in (jnp.min, jnp.max))
        spread = most - least
        parts = (x - least) / jnp.where(spread > 0, spread, 1)
        return jnp.where(spread > 0, self._from_parts(parts), x)


# Hue and saturation -----------------------------------------------------------------------------


class Hued(Recolored):
    """Base of layers that change hue or saturation."""

    def _recolored(self, x, drawn):
        hsv = ops.image.rgb_to_hsv(jnp.clip(self._as_parts(x), 0, 1), "channels_last")
        hue, saturation, value = jnp.split(hsv, 3, axis=-1)
        parts = self._turned(hue, saturation, value, each(drawn["factor"]))
        hsv = jnp.concatenate(parts, axis=-1).astype(x.dtype)
        return self._from_parts(ops.image.hsv_to_rgb(hsv, "channels_last"))

    def _turned(self, hue, saturation, value, factor) -> tuple:
        raise NotImplementedError


@export("layers.RandomHue")
@fields
class RandomHue(Hued):
    """Colors moved around the circle of hues.

    Args:
        factor: How far, in half turns, one way or the other.
    """

    factor: Chance
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def _drawn(self, shape, seed):
        count = shape[0]
        way = signs(count, seed)
        return {"factor": way * random.uniform((count,), *self.factor, seed=seed) / 2}

    def _turned(self, hue, saturation, value, factor):
        return (hue + factor) % 1, saturation, value


@export("layers.RandomSaturation")
@fields
class RandomSaturation(Hued):
    """Images made more colorful, or grayer.

    Args:
        factor: 0 makes all gray, 0.5 changes nothing, 1 makes colors as full as can be.
    """

    factor: Mirrored
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def _drawn(self, shape, seed):
        share = random.uniform((shape[0],), *self.factor, seed=seed)
        return {"factor": share / (1 - share + 1e-7)}

    def _turned(self, hue, saturation, value, factor):
        return hue, jnp.clip(saturation * factor, 0, 1), value


# Less color -------------------------------------------------------------------------------------


@export("layers.RandomColorDegeneration")
@fields
class RandomColorDegeneration(Recolored):
    """Images on the way to gray.

    Args:
        factor: How far: 0 changes nothing, 1 makes all gray.
    """

    factor: Mirrored
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def _drawn(self, shape, seed):
        return {"factor": random.uniform((shape[0], 1, 1, 1), *self.factor, seed=seed)}

    def _recolored(self, x, drawn):
        return x + drawn["factor"] * (ops.image.rgb_to_grayscale(x, "channels_last") - x)


@export("layers.RandomGrayscale")
@fields
class RandomGrayscale(ImageLayer):
    """Some images made gray, of as many channels and the same dtype.

    Args:
        factor: The share of them.
    """

    factor: Fraction = 0.5
    data_format: DataFormat = None
    seed: Seed = None

    _floats = False

    def _drawn(self, shape, seed):
        return random.uniform((shape[0], 1, 1, 1), seed=seed) < self.factor

    def _changed(self, x, drawn):
        return jnp.where(drawn, ops.image.rgb_to_grayscale(x, "channels_last"), x)


@export("layers.RandomInvert")
@fields
class RandomInvert(Recolored):
    """Some images as negatives.

    Args:
        factor: The chance that an image is changed.
    """

    factor: Chance = 1.0
    value_range: ValueRange = (0, 255)
    seed: Seed = None
    data_format: DataFormat = None

    def _drawn(self, shape, seed):
        return {"apply_inversion": self._chosen(shape[0], seed)}

    def _changed(self, x, drawn):
        return jnp.where(each(drawn["apply_inversion"]), sum(self.value_range) - x, x)


def _bits(value, name, owner):
    low, high = bounds(1, 8)(value, name, owner)
    if low < 1 or int(low) != low or int(high) != high:
        raise ValueError(needs(owner, "an integer from 1 to 8, or two,", name, value))
    return int(low), int(high)


@export("layers.RandomPosterization")
@fields
class RandomPosterization(Recolored):
    """Images of few colors. arXiv:1805.09501

    Args:
        factor: How many bits of a channel are kept: a number less than the second of two is
            drawn, from the first on, which is 1 by default.
    """

    factor: Annotated[Any, _bits]
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def _drawn(self, shape, seed):
        low, high = self.factor
        count = (shape[0],)
        bits = jnp.full(count, low) if low == high else random.randint(count, low, high, seed=seed)
        return {"shift_factor": (8 - bits).astype("uint8")}

    def _recolored(self, x, drawn):
        cut = each(drawn["shift_factor"]).astype("uint8")
        level = (jnp.clip(self._as_parts(x), 0, 1) * 255).astype("uint8")
        return self._from_parts(((level >> cut) << cut) / 255)


@export("layers.Solarization")
@fields
class Solarization(Recolored):
    """Negatives of what is bright.

    Args:
        addition_factor: What is added first, in parts of the range of values.
        threshold_factor: Up to where values are left as they are.
    """

    addition_factor: Annotated[Any, bounds(0, 1, strict=True)] = 0.0
    threshold_factor: Annotated[Any, bounds(0, 1, strict=True)] = 0.0
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    def _drawn(self, shape, seed):
        draw = lambda factor: 255 * random.uniform((shape[0], 1, 1, 1), *factor, seed=seed)
        return {"additions": draw(self.addition_factor), "thresholds": draw(self.threshold_factor)}

    def _recolored(self, x, drawn):
        level = jnp.clip(self._as_parts(x) * 255 + drawn["additions"], 0, 255)
        return self._from_parts(jnp.where(level < drawn["thresholds"], level, 255 - level) / 255)


# Sharpness --------------------------------------------------------------------------------------


@export("layers.RandomSharpness")
@fields
class RandomSharpness(Recolored):
    """Images made sharper, or blurred.

    Args:
        factor: 0 blurs, 0.5 changes nothing, 1 sharpens.
    """

    factor: Chance
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def _drawn(self, shape, seed):
        return {"factor": random.uniform((shape[0],), *self.factor, seed=seed)}

    def _recolored(self, x, drawn):
        sizes, strides = (1, 3, 3, 1), (1, 1, 1, 1)
        around = jax.lax.reduce_window(x, 0.0, jax.lax.add, sizes, strides, "SAME")
        blurred = (around + 4 * x) / 13
        return blurred + 2 * each(drawn["factor"]) * (x - blurred)


def _odd_pair(value, name, owner):
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(n, int) and n % 2 for n in pair):
        raise ValueError(needs(owner, "an odd integer or two of them", name, value))
    return pair


@export("layers.RandomGaussianBlur")
@fields
class RandomGaussianBlur(Recolored):
    """Some images smoothed by a Gaussian, as if zeros were around them.

    Args:
        factor: The chance that an image is changed.
        kernel_size: How far the Gaussian reaches, `(width, height)`.
        sigma: How wide it is; drawn for each of the two directions.
    """

    factor: Chance = 1.0
    kernel_size: Annotated[Any, _odd_pair] = 3
    sigma: Chance = 1.0
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def _drawn(self, shape, seed):
        chosen = self._chosen(shape[0], seed)
        width = random.uniform((2,), *self.sigma, seed=seed) + 1e-6
        return {"blur_factor": width, "should_apply_blur": chosen}

    def _changed(self, x, drawn):
        across, down = drawn["blur_factor"]
        size = self.kernel_size[::-1]
        blurred = ops.image.gaussian_blur(x, size, (down, across), "channels_last")
        blurred = jnp.clip(blurred, *self.value_range)
        return jnp.where(each(drawn["should_apply_blur"]), blurred, x)


# All of them ------------------------------------------------------------------------------------


@export("layers.RandomColorJitter")
@fields
class RandomColorJitter(ImageLayer):
    """Brightness, contrast, saturation and hue changed in turn; those whose factor is given."""

    value_range: ValueRange = (0, 255)
    brightness_factor: Numbers = None
    contrast_factor: Numbers = None
    saturation_factor: Numbers = None
    hue_factor: Numbers = None
    seed: Seed = None
    data_format: DataFormat = None

    def __post_init__(self):
        for layer in (RandomBrightness, RandomContrast, RandomSaturation, RandomHue):
            name = layer.__name__.removeprefix("Random").lower()
            factor = getattr(self, f"{name}_factor")
            made = None if factor is None else layer(factor, self.value_range, seed=self.seed)
            setattr(self, f"random_{name}", made)

    @property
    def _parts(self) -> dict[str, ImageLayer]:
        names = ("brightness", "contrast", "saturation", "hue")
        found = {f"random_{name}": getattr(self, f"random_{name}") for name in names}
        return {name: layer for name, layer in found.items() if layer is not None}

    def _drawn(self, shape, seed):
        return {name: layer._drawn(shape, seed) for name, layer in self._parts.items()}

    def _changed(self, x, drawn):
        for name, layer in self._parts.items():
            x = layer._changed(x, drawn[name])
        return x


# Histograms -------------------------------------------------------------------------------------


@export("layers.Equalization")
@fields
class Equalization(Recolored):
    """Values spread so that all are as frequent, for each channel of a batch; in training.

    Args:
        bins: How many values are told apart.
    """

    value_range: ValueRange = (0, 255)
    bins: Positive = 256
    data_format: DataFormat = None

    def _works(self, drawn, training):
        return training

    def _recolored(self, x, drawn):
        level = (jnp.clip(self._as_parts(x), 0, 1) * (self.bins - 1)).astype("int32")
        channel = jnp.arange(x.shape[-1])
        counts = jnp.zeros((self.bins, x.shape[-1])).at[level, channel].add(1)
        below = jnp.cumsum(counts, axis=0)
        total = below[-1]
        least = jnp.min(jnp.where(below > 0, below, total), axis=0)
        parts = (below - least) / jnp.where(total > least, total - least, 1)
        equal = self._from_parts(jnp.round(parts * 255) / 255)[level, channel]
        return jnp.where(total > least, equal, x)


def _tiles(value, name, owner):
    good = isinstance(value, (tuple, list)) and len(value) == 2
    if not good or not all(isinstance(n, int) and n > 0 for n in value):
        raise ValueError(needs(owner, "two positive integers", name, value))
    return tuple(value)


@export("layers.ContrastLimitedAdaptiveHistogramEqualization")
@fields
class ContrastLimitedAdaptiveHistogramEqualization(Recolored):
    """Values spread so that all are about as frequent in each tile of an image.

    Between the middles of tiles their effects are interpolated. The dtype stays. Pizer et al.,
    "Adaptive histogram equalization and its variations", 1987.

    Args:
        clip_limit: How many times the average a value may count, so that noise is not made
            strong; 0 for any number.
        tile_grid_size: How many tiles there are, `(vertically, horizontally)`.
    """

    value_range: ValueRange = (0, 255)
    clip_limit: float = 4.0
    tile_grid_size: Annotated[Any, _tiles] = (8, 8)
    data_format: DataFormat = None

    _floats = False

    def _recolored(self, x, drawn):
        rows, columns = x.shape[1:3]
        down, across = self.tile_grid_size
        padded = ((0, 0), (0, -rows % down), (0, -columns % across), (0, 0))
        level = (jnp.clip(self._as_parts(x), 0, 1) * 255).astype("int32")
        level = jnp.moveaxis(jnp.pad(level, padded, "symmetric"), -1, 1)
        height, width = level.shape[2] // down, level.shape[3] // across
        curves = self._curves(level, height, width)
        image, channel = jnp.arange(level.shape[0]), jnp.arange(level.shape[1])
        rest = (image[:, None, None, None], channel[:, None, None])

        def between(size, tile, count):
            """The tiles on both sides of each row or column, and how near it is to the second."""
            place = jnp.clip(jnp.arange(size) / tile - 0.5, 0, count - 1)
            before = place.astype("int32")
            return (before, jnp.minimum(before + 1, count - 1)), place - before

        ys, low = between(rows, height, down)
        xs, right = between(columns, width, across)
        level = level[:, :, :rows, :columns]
        left_of, right_of = ([curves[(*rest, y[:, None], x, level)] for y in ys] for x in xs)
        low = low[:, None]
        upper, lower = (a * (1 - right) + b * right for a, b in zip(left_of, right_of))
        return self._from_parts(jnp.moveaxis(upper * (1 - low) + lower * low, 1, -1))

    def _curves(self, level, height: int, width: int):
        """What each of 256 levels becomes in each tile: `(batch, channels, *tiles, 256)`."""
        count, channels, rows, columns = level.shape
        tiles = level.reshape(count, channels, rows // height, height, columns // width, width)
        tiles = jnp.moveaxis(tiles, 3, 4)
        flat = tiles.reshape(-1, height * width)
        counts = jax.vmap(lambda tile: jnp.bincount(tile, length=256))(flat).astype("float32")
        if self.clip_limit > 0:
            most = self.clip_limit * height * width / 256
            excess = jnp.sum(jnp.maximum(counts - most, 0), axis=-1, keepdims=True)
            counts = jnp.minimum(counts, most) + excess / 256
        below = jnp.cumsum(counts, axis=-1)
        parts = (below - below[:, :1]) / jnp.maximum(below[:, -1:] - below[:, :1], 1e-7)
        return parts.reshape(*tiles.shape[:4], 256)


__all__ = [
    "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "Equalization",
    "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast",
    "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPosterization",
    "RandomSaturation", "RandomSharpness", "Solarization",
]  # fmt: skip
