"""Layers of images: resized, rescaled, cut; and the base of those that change them at random.

Such a layer takes one image `(height, width, channels)` or a batch of them, or a dict with
"images" and what belongs to them: "labels", "segmentation_masks" and "bounding_boxes", a dict of
"boxes" and their "labels". What it does to images it does to these, by one `transformation`:
what `get_random_transformation` drew.

Arguments that these layers share:

* `factor`: a pair of bounds that a number is drawn from, or one number, for `(0, factor)` or
  `(-factor, factor)`.
* `value_range`: the least and the largest value of a pixel.
* `seed`: an integer; the layer then draws the same numbers in every program.
* `bounding_box_format`: see `keras.utils.bounding_boxes`.
"""

from collections.abc import Callable
from numbers import Real
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp

from keraunos import ops, random
from keraunos.core import registry
from keraunos.core.config import standardize_data_format
from keraunos.core.fields import DataFormat, Numbers, Positive, fields, needs, one_of
from keraunos.core.registry import export
from keraunos.layers.layer import Layer
from keraunos.layers.preprocessing.boxes import (
    checked_format,
    clip_to_image_size,
    convert_format,
)
from keraunos.layers.preprocessing.host import DataLayer, as_array
from keraunos.ops.image import as_batch

# Kinds of argument ------------------------------------------------------------------------------


def _seeded(value, name, owner):
    if value is not None and not isinstance(value, int):
        raise ValueError(needs(owner, "an integer or None", name, value))
    owner.generator = random.SeedGenerator(value)
    return value


def _two_numbers(value: Any) -> bool:
    number = lambda n: isinstance(n, Real) and not isinstance(n, bool)
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(map(number, value))


def _range(value, name, owner):
    if not _two_numbers(value) or value[0] >= value[1]:
        raise ValueError(needs(owner, "two numbers, the lower first,", name, value))
    return tuple(value)


def bounds(low: float, high: float, mirrored: bool = False, strict: bool = False) -> Callable:
    """The converter of a factor: a number from `low` to `high`, or two.

    Args:
        mirrored: Whether a number means `(-number, number)`, not `(low, number)`.
        strict: Whether both of two must be within; else a part of what is between them.
    """

    def convert(value, name, owner):
        pair = tuple(sorted(value)) if _two_numbers(value) else (value, value)
        if _two_numbers(pair):
            inner, outer = pair if strict else pair[::-1]
            if low <= inner and outer <= high:
                if isinstance(value, (tuple, list)):
                    return pair
                return (-abs(value), abs(value)) if mirrored else (low, value)
        expected = f"a number from {low} to {high}, or two,"
        raise ValueError(needs(owner, expected, name, value))

    return convert


Seed = Annotated[int | None, _seeded]
ValueRange = Annotated[Any, _range]
Chance = Annotated[Any, bounds(0, 1)]
Mirrored = Annotated[Any, bounds(-1, 1, mirrored=True)]
Interpolation = Annotated[str, one_of("nearest", "bilinear")]
FillMode = Annotated[str, one_of("reflect", "wrap", "constant", "nearest")]


# The base ---------------------------------------------------------------------------------------


class ImageLayer(DataLayer):
    """Base of layers that change images and what belongs to them.

    A layer says what it draws, `_drawn(shape, seed)`, and what this does to a batch with the
    channels last: `_changed`, `_boxes` (in "xyxy"), `_masks`. Only one that draws rests unless
    it trains.
    """

    _floats: ClassVar[bool] = True  # whether images of integers become floats
    generator: random.SeedGenerator | None = None

    def __init__(
        self,
        *,
        data_format: str | None = None,
        bounding_box_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.data_format = standardize_data_format(data_format)
        if bounding_box_format is not None:
            who = f"`bounding_box_format` of {type(self).__name__}"
            bounding_box_format = checked_format(who, bounding_box_format)
        self.bounding_box_format = bounding_box_format

    def _read(self, inputs):
        return inputs if isinstance(inputs, dict) else as_array(inputs)

    def call(self, data, training=True):
        record = data if isinstance(data, dict) else {"images": data}
        if "images" not in record:
            raise ValueError(f"{self._who} needs 'images', got a dict of {', '.join(record)}.")
        single = record["images"].ndim == 3
        if single:
            record = jax.tree.map(lambda x: jnp.asarray(x)[None], record)
        drawn = self.get_random_transformation(record, training=training)
        result = {
            name: getattr(self, f"transform_{name}")(value, drawn, training=training)
            if name in ("images", "labels", "bounding_boxes", "segmentation_masks")
            else value
            for name, value in record.items()
        }
        if single:
            result = jax.tree.map(lambda x: x[0], result)
        return result if isinstance(data, dict) else result["images"]

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """What a call on `data`, images or a dict of them, does; None for nothing.

        Args:
            seed: An integer or a `SeedGenerator`; the layer's own by default.
        """
        if self.generator is not None and not training:
            return None
        images = jnp.asarray(data["images"] if isinstance(data, dict) else data)
        batch, _ = as_batch(type(self).__name__, images, self.data_format)
        if isinstance(seed, int):
            seed = random.SeedGenerator(seed)
        return self._drawn(batch.shape, self.generator if seed is None else seed)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True):
        """Images, changed by a transformation."""
        images = jnp.asarray(images)
        if self._floats:
            images = images.astype(self.compute_dtype)
        return self._at_work(self._changed, images, transformation, training)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
    ):
        """The class of each pixel, moved with the images; of the same dtype."""
        masks = jnp.asarray(segmentation_masks)
        return self._at_work(self._masks, masks, transformation, training)

    def transform_labels(self, labels: Any, transformation: Any = None, training: bool = True):
        """The labels of images, the same unless images are mixed."""
        return labels

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        """`{"boxes": ..., "labels": ...}`, moved with the images and cut off at their edges.

        A box that is outside gets the label -1.
        """
        unmoved = type(self)._boxes is ImageLayer._boxes
        if unmoved or not self._works(transformation, training):
            return bounding_boxes
        if self.bounding_box_format is None:
            raise ValueError(
                f"{self._who} moves bounding boxes, and needs to know what their numbers mean. "
                "Give it, for example, `bounding_box_format='xyxy'`."
            )
        size = self._size_seen(transformation)
        found = convert_format(bounding_boxes, self.bounding_box_format, "xyxy", *size)
        moved = {**found, "boxes": self._boxes(found["boxes"], transformation)}
        size = self._size_made(size)
        clipped = clip_to_image_size(moved, *size)
        return convert_format(clipped, "xyxy", self.bounding_box_format, *size)

    def transform_single_image(self, image: Any, transformation: Any, training: bool = True):
        """As `transform_images`, without a batch."""
        return _one(self.transform_images, image, transformation, training)

    def transform_single_label(self, label: Any, transformation: Any, training: bool = True):
        """As `transform_labels`, without a batch."""
        return _one(self.transform_labels, label, transformation, training)

    def transform_single_bounding_box(
        self, bounding_box: dict[str, Any], transformation: Any, training: bool = True
    ):
        """As `transform_bounding_boxes`, without a batch."""
        return _one(self.transform_bounding_boxes, bounding_box, transformation, training)

    def transform_single_segmentation_mask(
        self, segmentation_mask: Any, transformation: Any, training: bool = True
    ):
        """As `transform_segmentation_masks`, without a batch."""
        return _one(self.transform_segmentation_masks, segmentation_mask, transformation, training)

    def get_config(self) -> dict[str, Any]:
        own = {"data_format": self.data_format}
        if self.bounding_box_format is not None:
            own["bounding_box_format"] = self.bounding_box_format
        return super().get_config() | own

    # What a layer says of itself ----------------------------------------------------------

    def _drawn(self, shape: tuple, seed: Any) -> Any:
        """The transformation of images of `shape`, with a batch and channels last."""
        return None

    def _changed(self, x: jax.Array, drawn: Any) -> jax.Array:
        raise NotImplementedError

    def _boxes(self, boxes: jax.Array, drawn: Any) -> jax.Array:
        return boxes

    def _masks(self, x: jax.Array, drawn: Any) -> jax.Array:
        return x

    def _size_seen(self, drawn: Any) -> tuple:
        """Height and width of the images that a transformation was drawn for."""
        return tuple(drawn["input_shape"][-3:-1]) if isinstance(drawn, dict) else drawn[-2:]

    def _size_made(self, size: tuple) -> tuple:
        """Height and width of the changed images."""
        return size

    # Pieces -------------------------------------------------------------------------------

    def _works(self, drawn: Any, training: bool) -> bool:
        return self.generator is None or (training and drawn is not None)

    def _at_work(self, change: Callable, x: jax.Array, drawn: Any, training: bool) -> jax.Array:
        if not self._works(drawn, training):
            return x
        batch, back = as_batch(type(self).__name__, x, self.data_format)
        return back(change(batch, drawn).astype(x.dtype))

    def _chosen(self, count: int, seed: Any) -> jax.Array:
        """Which images are changed: each with a chance that is drawn from `factor`."""
        low, high = self.factor  # type: ignore[attr-defined]
        chances = random.uniform((count,), low, high, seed=seed)
        return random.uniform((count,), seed=seed) < chances


def _one(transform: Callable, value: Any, transformation: Any, training: bool) -> Any:
    batch = jax.tree.map(lambda x: jnp.asarray(x)[None], value)
    return jax.tree.map(lambda x: x[0], transform(batch, transformation, training=training))


def each(values: Any) -> jax.Array:
    """One number for each image, shaped so that it meets all of its pixels."""
    return jnp.reshape(jnp.asarray(values), (-1, 1, 1, 1))


def signs(count: int, seed: Any) -> jax.Array:
    """1 or -1, as likely."""
    return jnp.where(random.uniform((count,), seed=seed) > 0.5, -1.0, 1.0)


# Size -------------------------------------------------------------------------------------------


class Framed(ImageLayer):
    """Base of layers that make images of `height` and `width`."""

    height: int
    width: int

    def _size_made(self, size):
        return self.height, self.width

    def _resized(self, x, interpolation: str = "bilinear", **how):
        size = (self.height, self.width)
        return ops.image.resize(x, size, interpolation, data_format="channels_last", **how)

    def _boxes_in_part(self, boxes, rows, columns):
        """Boxes in the largest part in the middle that has the proportions of the result."""
        high = max(min(rows, int(columns * self.height / self.width)), 1)
        wide = max(min(columns, int(rows * self.width / self.height)), 1)
        start = jnp.array([(columns - wide) // 2, (rows - high) // 2] * 2)
        return (boxes - start) * jnp.array([self.width / wide, self.height / high] * 2)


@export("layers.Resizing")
@fields
class Resizing(Framed):
    """Images in another size, of the same dtype. See `keras.ops.image.resize`.

    Shapes: `(..., height, width, channels)`, whatever they were.

    Args:
        crop_to_aspect_ratio: Cut the longer side first, so that nothing is distorted.
        pad_to_aspect_ratio: Fill up the shorter side first, with `fill_value`.
    """

    height: Positive
    width: Positive
    interpolation: Annotated[
        str, one_of("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
    ] = "bilinear"
    crop_to_aspect_ratio: bool = False
    pad_to_aspect_ratio: bool = False
    fill_mode: Annotated[str, one_of("constant")] = "constant"
    fill_value: float = 0.0
    antialias: bool = False
    data_format: DataFormat = None

    _floats = False

    def __post_init__(self):
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ValueError(
                "Resizing can cut images or fill them up, not both: give only one of "
                "`crop_to_aspect_ratio` and `pad_to_aspect_ratio`."
            )

    def _drawn(self, shape, seed):
        return shape[1:3]

    def _fitted(self, x, interpolation: str, antialias: bool):
        return self._resized(
            x,
            interpolation,
            antialias=antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_value=self.fill_value,
        )

    def _changed(self, x, drawn):
        return self._fitted(x, self.interpolation, self.antialias)

    def _masks(self, x, drawn):
        return self._fitted(x, "nearest", False)

    def _boxes(self, boxes, drawn):
        rows, columns = drawn
        if self.crop_to_aspect_ratio:
            return self._boxes_in_part(boxes, rows, columns)
        if not self.pad_to_aspect_ratio:
            return boxes * jnp.array([self.width / columns, self.height / rows] * 2)
        scale = min(self.height / rows, self.width / columns)
        left = (self.width - int(columns * scale)) // 2
        top = (self.height - int(rows * scale)) // 2
        return boxes * scale + jnp.array([left, top] * 2)


@export("layers.CenterCrop")
@fields
class CenterCrop(Framed):
    """The middle of images; of smaller ones, the largest part of its proportions, resized.

    Shapes: `(..., height, width, channels)`, whatever they were.
    """

    height: Positive
    width: Positive
    data_format: DataFormat = None

    def _drawn(self, shape, seed):
        return {"input_shape": shape}

    def _changed(self, x, drawn):
        rows, columns = x.shape[1:3]
        if rows < self.height or columns < self.width:
            return self._resized(x, crop_to_aspect_ratio=True)
        top, left = (rows - self.height) // 2, (columns - self.width) // 2
        return x[:, top : top + self.height, left : left + self.width]

    def _masks(self, x, drawn):
        if x.shape[1] < self.height or x.shape[2] < self.width:
            return self._resized(x, "nearest", crop_to_aspect_ratio=True)
        return self._changed(x, drawn)

    def _boxes(self, boxes, drawn):
        rows, columns = self._size_seen(drawn)
        if rows < self.height or columns < self.width:
            return self._boxes_in_part(boxes, rows, columns)
        return boxes - jnp.array([(columns - self.width) // 2, (rows - self.height) // 2] * 2)


# Values, boxes, layers in a row -----------------------------------------------------------------


@export("layers.Rescaling")
@fields
class Rescaling(DataLayer):
    """`x * scale + offset`, as floats. Both may be lists of a number for each channel."""

    scale: Numbers
    offset: Numbers = 0.0
    supports_masking = True

    def call(self, inputs):
        return inputs.astype(self.compute_dtype) * self._of(self.scale) + self._of(self.offset)

    def _of(self, value: Any) -> Any:
        value = jnp.asarray(value, self.compute_dtype)
        first = value.ndim == 1 and standardize_data_format(None) == "channels_first"
        return value[:, None, None] if first else value


@export("layers.MaxNumBoundingBoxes")
@fields
class MaxNumBoundingBoxes(ImageLayer):
    """The first `max_number` bounding boxes of each image, filled up by boxes of `fill_value`."""

    max_number: Positive
    fill_value: float = -1

    _floats = False

    def _changed(self, x, drawn):
        return x

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        def fitted(x):
            x = jnp.asarray(x)[:, : self.max_number]
            around = [(0, 0), (0, self.max_number - x.shape[1])] + [(0, 0)] * (x.ndim - 2)
            return jnp.pad(x, around, constant_values=self.fill_value)

        return jax.tree.map(fitted, bounding_boxes)


@export("layers.Pipeline")
@fields
class Pipeline(Layer):
    """Layers, each called on what the one before it returned."""

    layers: Any
    name: Any = None

    def __post_init__(self):
        good = isinstance(self.layers, (list, tuple))
        if not good or not all(isinstance(layer, Layer) for layer in self.layers):
            raise ValueError(needs(self, "a list of layers", "layers", self.layers))
        self.layers = list(self.layers)

    def call(self, inputs, training=True, mask=None):
        for layer in self.layers:
            inputs = layer(inputs, training=training)
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {"layers": registry.serialize(self.layers), "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(registry.deserialize(config["layers"]), config.get("name"))


__all__ = ["CenterCrop", "MaxNumBoundingBoxes", "Pipeline", "Rescaling", "Resizing"]
