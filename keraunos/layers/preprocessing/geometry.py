"""Layers that move the pixels of images at random, and boxes and masks with them."""

import functools
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from keraunos import ops, random
from keraunos.core.fields import DataFormat, Fraction, Numbers, Positive, fields, one_of
from keraunos.core.registry import export
from keraunos.layers.preprocessing.boxes import around
from keraunos.layers.preprocessing.image import (
    Chance,
    FillMode,
    Framed,
    ImageLayer,
    Interpolation,
    Mirrored,
    Seed,
    ValueRange,
    bounds,
    each,
    signs,
)
from keraunos.ops.warping import crumpled, projection

# Rows and columns -------------------------------------------------------------------------------


@export("layers.RandomFlip")
@fields
class RandomFlip(ImageLayer):
    """Half of the images as in a mirror: left for right, top for bottom, or both at once."""

    mode: Annotated[str, one_of("horizontal", "vertical", "horizontal_and_vertical")] = (
        "horizontal_and_vertical"
    )
    seed: Seed = None
    data_format: DataFormat = None

    def _drawn(self, shape, seed):
        flips = random.uniform((shape[0], 1, 1, 1), seed=seed) <= 0.5
        return {"flips": flips, "input_shape": shape}

    def _changed(self, x, drawn):
        axes = [axis for axis, way in ((1, "vertical"), (2, "horizontal")) if way in self.mode]
        return jnp.where(each(drawn["flips"]), jnp.flip(x, axes), x)

    _masks = _changed

    def _boxes(self, boxes, drawn):
        height, width = self._size_seen(drawn)
        flipped = boxes
        if "horizontal" in self.mode:
            flipped = flipped.at[..., ::2].set(width - flipped[..., 2::-2])
        if "vertical" in self.mode:
            flipped = flipped.at[..., 1::2].set(height - flipped[..., 3::-2])
        return jnp.where(each(drawn["flips"])[..., 0], flipped, boxes)


@export("layers.RandomCrop")
@fields
class RandomCrop(Framed):
    """In training, a part of the images, for a whole batch the same one.

    What is cut out of smaller images is resized.

    Shapes: `(..., height, width, channels)`, in training.
    """

    height: Positive
    width: Positive
    seed: Seed = None
    data_format: DataFormat = None
    name: Any = None

    def _drawn(self, shape, seed):
        rows, columns = shape[1:3]
        if rows >= self.height and columns >= self.width:
            start = lambda most: random.uniform((), 0, most + 1, seed=seed).astype("int32")
            return start(rows - self.height), start(columns - self.width), rows, columns
        high = int(columns * self.height / self.width)
        wide = int(rows * self.width / self.height)
        return max(rows - high, 0) // 2, max(columns - wide, 0) // 2, rows, columns

    def _changed(self, x, drawn, interpolation: str = "bilinear"):
        part = self._part(x, drawn)
        whole = part.shape[1:3] == (self.height, self.width)
        return part if whole else self._resized(part, interpolation)

    def _part(self, x, drawn):
        top, left, rows, columns = (*drawn[:2], *x.shape[1:3])
        if rows >= self.height and columns >= self.width:
            sizes = (x.shape[0], self.height, self.width, x.shape[-1])
            return jax.lax.dynamic_slice(x, (0, top, left, 0), sizes)
        return x[:, top : top + self.height, left : left + self.width]

    def _masks(self, x, drawn):
        return self._changed(x, drawn, "nearest")

    def _boxes(self, boxes, drawn):
        top, left, *size = drawn
        moved = boxes - jnp.array([left, top] * 2)
        if not size or (size[0] >= self.height and size[1] >= self.width):
            return moved
        high, wide = min(self.height, size[0] - top), min(self.width, size[1] - left)
        return moved * jnp.array([self.width / wide, self.height / high] * 2)


# Affine maps ------------------------------------------------------------------------------------


class Warp(ImageLayer):
    """Base of layers that read the pixel at `(x, y)` from `(a x + b y + c, d x + e y + f)`."""

    interpolation: str
    fill_mode: str
    fill_value: float
    height_lower: float
    height_upper: float
    width_lower: float
    width_upper: float

    def _matrix(self, drawn: Any) -> jax.Array:
        """`a, b, c, d, e, f, 0, 0` for each image."""
        raise NotImplementedError

    def _warped(self, x, drawn, interpolation: str):
        given = (interpolation, self.fill_mode, self.fill_value, "channels_last")
        return ops.image.affine_transform(x, self._matrix(drawn), *given)

    def _changed(self, x, drawn):
        return self._warped(x, drawn, self.interpolation)

    def _masks(self, x, drawn):
        return self._warped(x.astype("float32"), drawn, "nearest")

    def _boxes(self, boxes, drawn):
        a, b, c, d, e, f, *_ = self._matrix(drawn).T
        back = jnp.stack([e, -b, b * f - c * e, -d, a, c * d - a * f]) / (a * e - b * d)
        inverse = jnp.moveaxis(back, 0, -1)[:, None]
        return around(boxes, lambda x, y: self.get_transformed_x_y(x, y, inverse))

    def get_transformed_x_y(self, x: Any, y: Any, transform: Any) -> tuple:
        """Where places are taken by `(a, b, c, d, e, f, ...)`."""
        a, b, c, d, e, f = (transform[..., i] for i in range(6))
        return a * x + b * y + c, d * x + e * y + f

    def get_shifted_bbox(
        self, bounding_boxes: dict[str, Any], w_shift_factor: Any, h_shift_factor: Any
    ) -> dict[str, Any]:
        """Boxes in "xyxy", this much less to the right and this much higher."""
        shift = jnp.stack([jnp.asarray(w_shift_factor), jnp.asarray(h_shift_factor)] * 2, axis=-1)
        return {**bounding_boxes, "boxes": bounding_boxes["boxes"] - shift}

    def get_clipped_bbox(
        self, bounding_boxes: dict[str, Any], h_end: Any, h_start: Any, w_end: Any, w_start: Any
    ) -> dict[str, Any]:
        """Boxes in "xyxy", in the part of the image between these rows and columns."""
        start, end = jnp.array([w_start, h_start] * 2), jnp.array([w_end, h_end] * 2)
        return {**bounding_boxes, "boxes": jnp.clip(bounding_boxes["boxes"], start, end) - start}


def _matrix(*rows: Any) -> jax.Array:
    """The numbers of `Warp`, each given as an array for the batch, or as one for all."""
    count = max(jnp.size(n) for n in rows)
    return jnp.stack([jnp.broadcast_to(jnp.ravel(jnp.asarray(n)), (count,)) for n in rows], -1)


@export("layers.RandomRotation")
@fields
class RandomRotation(Warp):
    """Images turned around their middle.

    Args:
        factor: By how much, counterclockwise, in full turns.
    """

    factor: Mirrored
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def _drawn(self, shape, seed):
        count, height, width, _ = shape
        low, high = (360.0 * n for n in self.factor)
        angle = random.uniform((count,), low, high, seed=seed)
        sine, cosine = jnp.sin(jnp.deg2rad(angle)), jnp.cos(jnp.deg2rad(angle))
        x, y = (width - 1) / 2, (height - 1) / 2
        ends = (x - (cosine * x - sine * y), y - (sine * x + cosine * y))
        matrix = _matrix(cosine, -sine, ends[0], sine, cosine, ends[1], 0.0, 0.0)
        sizes = {"batch_size": count, "image_height": height, "image_width": width}
        return {"angle": angle, "rotation_matrix": matrix, **sizes}

    def _matrix(self, drawn):
        return drawn["rotation_matrix"]

    def _size_seen(self, drawn):
        return drawn["image_height"], drawn["image_width"]


def _two_ways(value, name, owner):
    if value is not None:
        side = name.removesuffix("_factor")
        low, high = bounds(-1, 1, mirrored=True, strict=True)(value, name, owner)
        setattr(owner, f"{side}_lower", low)
        setattr(owner, f"{side}_upper", high)
    return value


@export("layers.RandomTranslation")
@fields
class RandomTranslation(Warp):
    """Images moved down by `height_factor` of their height, right by `width_factor`."""

    height_factor: Annotated[Any, _two_ways]
    width_factor: Annotated[Any, _two_ways]
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def _drawn(self, shape, seed):
        count, height, width, _ = shape
        draw = lambda low, high: random.uniform((count, 1), low, high, seed=seed)
        down = draw(self.height_lower, self.height_upper) * height
        right = draw(self.width_lower, self.width_upper) * width
        return {"translations": jnp.concatenate([right, down], axis=1), "input_shape": shape}

    def _matrix(self, drawn):
        right, down = jnp.asarray(drawn["translations"]).T
        return _matrix(1.0, 0.0, -right, 0.0, 1.0, -down, 0.0, 0.0)


@export("layers.RandomZoom")
@fields
class RandomZoom(Warp):
    """Images made smaller around their middle, or larger, for negative factors.

    Args:
        height_factor: How much higher the part of the plane is that is seen.
        width_factor: How much wider; by default as much as higher.
    """

    height_factor: Annotated[Any, _two_ways]
    width_factor: Annotated[Any, _two_ways] = None
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def _drawn(self, shape, seed):
        draw = lambda low, high: 1 + random.uniform((shape[0], 1), low, high, seed=seed)
        wide = high = draw(self.height_lower, self.height_upper)
        if self.width_factor is not None:
            wide = draw(self.width_lower, self.width_upper)
        return {"height_zoom": high, "width_zoom": wide, "input_shape": shape}

    def _matrix(self, drawn):
        high, wide = jnp.asarray(drawn["height_zoom"]), jnp.asarray(drawn["width_zoom"])
        height, width = self._size_seen(drawn)
        ends = ((width - 1) / 2 * (1 - wide), (height - 1) / 2 * (1 - high))
        return _matrix(wide, 0.0, ends[0], 0.0, high, ends[1], 0.0, 0.0)


@export("layers.RandomShear")
@fields
class RandomShear(Warp):
    """Images slanted to either side.

    Args:
        x_factor: How far rows move, in parts of their distance from the top.
        y_factor: How far columns move, in parts of their distance from the left.
    """

    x_factor: Annotated[Any, bounds(-1, 1, mirrored=True, strict=True)] = 0.0
    y_factor: Annotated[Any, bounds(-1, 1, mirrored=True, strict=True)] = 0.0
    interpolation: Interpolation = "bilinear"
    fill_mode: FillMode = "reflect"
    fill_value: float = 0.0
    data_format: DataFormat = None
    seed: Seed = None

    def _drawn(self, shape, seed):
        count = shape[0]
        side = signs(count, seed)[:, None]
        y, x = (
            side * random.uniform((count, 1), *factor, seed=seed)
            for factor in (self.y_factor, self.x_factor)
        )
        return {"shear_factor": jnp.concatenate([x, y], axis=1), "input_shape": shape}

    def _matrix(self, drawn):
        x, y = jnp.asarray(drawn["shear_factor"]).T
        return _matrix(1.0, x, 0.0, y, 1.0, 0.0, 0.0, 0.0)


# Other maps -------------------------------------------------------------------------------------


@export("layers.RandomPerspective")
@fields
class RandomPerspective(ImageLayer):
    """Images seen from another point: each of their corners moved.

    Args:
        factor: The chance that an image is changed.
        scale: How far corners move, in parts of the image's size.
    """

    factor: Chance = 1.0
    scale: Fraction = 1.0
    interpolation: Interpolation = "bilinear"
    fill_value: float = 0.0
    seed: Seed = None
    data_format: DataFormat = None

    def _drawn(self, shape, seed):
        count, height, width, _ = shape
        chosen = self._chosen(count, seed)
        across, down = jnp.asarray(width - 1.0), jnp.asarray(height - 1.0)
        corners = jnp.stack([across * jnp.array([0, 1, 0, 1]), down * jnp.array([0, 0, 1, 1])], -1)
        moved = random.uniform((count, 4, 2), -self.scale / 2, self.scale / 2, seed=seed)
        return {
            "apply_perspective": chosen,
            "start_points": jnp.broadcast_to(corners, moved.shape),
            "end_points": corners * (1 + moved),
            "input_shape": shape,
        }

    def _seen(self, x, drawn, interpolation: str):
        seen = ops.image.perspective_transform(
            x, drawn["start_points"], drawn["end_points"], interpolation, self.fill_value,
            "channels_last",
        )  # fmt: skip
        return jnp.where(each(drawn["apply_perspective"]), seen, x)

    def _changed(self, x, drawn):
        return self._seen(x, drawn, self.interpolation)

    def _masks(self, x, drawn):
        return self._seen(x.astype("float32"), drawn, "nearest")

    def _boxes(self, boxes, drawn):
        points = jnp.asarray(drawn["start_points"]), jnp.asarray(drawn["end_points"])
        a, b, c, d, e, f, g, h = jax.vmap(projection)(*points).T[..., None]

        def move(x, y):
            depth = g * x + h * y + 1
            return (a * x + b * y + c) / depth, (d * x + e * y + f) / depth

        return jnp.where(each(drawn["apply_perspective"])[..., 0], around(boxes, move), boxes)


@export("layers.RandomElasticTransform")
@fields
class RandomElasticTransform(ImageLayer):
    """Images crumpled. See `keras.ops.image.elastic_transform`.

    Args:
        factor: The chance that an image is changed.
        scale: How much: how far pixels move is a tenth of this, in parts of the longer side.
    """

    factor: Chance = 1.0
    scale: Chance = 1.0
    interpolation: Interpolation = "bilinear"
    fill_mode: FillMode = "reflect"
    fill_value: float = 0.0
    value_range: ValueRange = (0, 255)
    seed: Seed = None
    data_format: DataFormat = None

    def get_elastic_transform_params(self, height: int, width: int, factor: Any) -> tuple[Any, Any]:
        """How far places move, and how wide the Gaussian is that makes neighbours move alike."""
        return max(height, width) * 0.1 * factor, min(height, width) * 0.05 * factor

    def _drawn(self, shape, seed):
        return {
            "apply_transform": self._chosen(shape[0], seed),
            "distortion_factor": random.uniform((), *self.scale, seed=seed),
            "seed": random.draw_seed(seed),
        }

    def _crumpled(self, x, drawn, interpolation: str):
        _, rows, columns, _ = x.shape
        of = functools.partial(self.get_elastic_transform_params, rows, columns)
        (reach, width), (_, widest) = of(drawn["distortion_factor"]), of(self.scale[1])
        crumpled_ = crumpled(
            x, reach, width, widest, interpolation, self.fill_mode, self.fill_value,
            drawn["seed"], "channels_last",
        )  # fmt: skip
        return jnp.where(each(drawn["apply_transform"]), crumpled_, x)

    def _changed(self, x, drawn):
        return jnp.clip(self._crumpled(x, drawn, self.interpolation), *self.value_range)

    def _masks(self, x, drawn):
        return self._crumpled(x.astype("float32"), drawn, "nearest")

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        raise NotImplementedError(
            f"{self._who} crumples images, and a crumpled box is none. Leave out the boxes, or "
            "this layer."
        )


# Parts ------------------------------------------------------------------------------------------


def patches(shape: tuple, wide: jax.Array, high: jax.Array, seed: Any) -> jax.Array:
    """Where rectangles are, somewhere in images of `shape`: one for each, by the parts of the
    sides that they take."""
    count, height, width, _ = shape

    def along(size, part):
        length = part * size
        start = random.uniform((count,), seed=seed) * (size - length)
        place = jnp.arange(size)
        return (place >= start[:, None]) & (place < (start + length)[:, None])

    columns, rows = along(width, wide), along(height, high)
    return (rows[:, :, None] & columns[:, None, :])[..., None]


@export("layers.RandomErasing")
@fields
class RandomErasing(ImageLayer):
    """Images with a rectangle of noise, or of `fill_value`, in them. arXiv:1708.04896

    Boxes and masks stay as they are.

    Args:
        factor: The chance that an image is changed.
        scale: The squares of the parts of the image's sides that those of the rectangle are.
    """

    factor: Chance = 1.0
    scale: Chance = (0.02, 0.33)
    fill_value: Numbers = None
    value_range: ValueRange = (0, 255)
    seed: Seed = None
    data_format: DataFormat = None

    def _drawn(self, shape, seed):
        wide, high = jnp.sqrt(random.uniform((shape[0], 2), *self.scale, seed=seed)).T
        where = patches(shape, wide, high, seed)
        chosen = self._chosen(shape[0], seed)
        if self.fill_value is None:
            noise = random.normal(shape, seed=seed) * self.value_range[1]
        else:
            noise = jnp.full(shape, self.fill_value, "float32")
        filled = jnp.clip(noise, *self.value_range)
        return {"apply_erasing": chosen, "batch_masks": where, "fill_value": filled}

    def _changed(self, x, drawn):
        erased = each(drawn["apply_erasing"]) & drawn["batch_masks"]
        return jnp.where(erased, drawn["fill_value"], x)


__all__ = [
    "RandomCrop", "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomPerspective",
    "RandomRotation", "RandomShear", "RandomTranslation", "RandomZoom",
]  # fmt: skip
