"""Public `keras.utils.bounding_boxes`: boxes in an image, converted, moved, cut, compared.

Boxes are arrays of shape `(..., count, 4)`. `bounding_box_format`, in any case, says what the
four numbers are, in pixels:

* "xyxy": left, top, right, bottom; "yxyx": top, left, bottom, right;
* "xywh": left, top, width, height;
* "center_xywh", "center_yxhw": the center and the size;
* with "rel_" before it: parts of the image's width and height.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from keraunos.core.fields import did_you_mean
from keraunos.core.graph import Tensor, op

Boxes = Any  # an array, or a dict that has one under "boxes", and "labels"

# How to get left, top, right, bottom from the four numbers of a format, and back.
_CORNERS: dict[str, tuple[Callable, Callable]] = {
    "xyxy": (lambda *box: box, lambda *box: box),
    "yxyx": (lambda y, x, v, u: (x, y, u, v), lambda x, y, u, v: (y, x, v, u)),
    "xywh": (lambda x, y, w, h: (x, y, x + w, y + h), lambda x, y, u, v: (x, y, u - x, v - y)),
    "center_xywh": (
        lambda x, y, w, h: (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
        lambda x, y, u, v: ((x + u) / 2, (y + v) / 2, u - x, v - y),
    ),
    "center_yxhw": (
        lambda y, x, h, w: (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
        lambda x, y, u, v: ((y + v) / 2, (x + u) / 2, v - y, u - x),
    ),
}
_FORMATS = (*_CORNERS, *(f"rel_{name}" for name in _CORNERS))
_EPSILON = 1e-7  # what the size of a box is at least, where something is divided by it


def checked_format(name: str, value: Any) -> str:
    """`value` in lower case, if it is a format; `name` is who asks."""
    found = str(value).lower()
    if found not in _FORMATS:
        raise ValueError(
            f"{name} needs a format of boxes, one of {', '.join(_FORMATS)}, got {value!r}"
            f"{did_you_mean(found, _FORMATS)}"
        )
    return found


def _four(name: str, boxes: Any) -> jax.Array:
    boxes = jnp.asarray(boxes)
    if not boxes.ndim or boxes.shape[-1] != 4:
        raise ValueError(f"{name} needs boxes of shape (..., 4), got {boxes.shape}.")
    return boxes


def _apart(boxes) -> list:
    return [boxes[..., i] for i in range(4)]


def convert_format(
    boxes: Boxes,
    source: str,
    target: str,
    height: Any = None,
    width: Any = None,
    dtype: Any = "float32",
) -> Boxes:
    """Boxes, or a dict of them, in another format.

    Args:
        height, width: The image's, for formats that are parts of it.
        dtype: That of the result; None for that of `boxes`.
    """
    if isinstance(boxes, dict):
        converted = convert_format(boxes["boxes"], source, target, height, width, dtype)
        return {**boxes, "boxes": converted}
    source, target = (checked_format("convert_format()", name) for name in (source, target))
    relative = [name.startswith("rel_") for name in (source, target)]
    if any(relative) and relative[0] != relative[1] and (height is None or width is None):
        raise ValueError(
            f"convert_format() needs the image's `height` and `width` to go from {source!r} to "
            f"{target!r}, got {height} and {width}."
        )
    return _converted(boxes, source, target, height, width, dtype)


@op
def _converted(boxes: Tensor, source: str, target: str, height, width, dtype):
    boxes = _four("convert_format()", boxes)
    box = _CORNERS[source.removeprefix("rel_")][0](*_apart(boxes.astype(dtype or boxes.dtype)))
    if (from_parts := source.startswith("rel_")) != target.startswith("rel_"):
        factors = (width, height) * 2
        box = [x * n if from_parts else x / n for x, n in zip(box, factors)]
    box = _CORNERS[target.removeprefix("rel_")][1](*box)
    return jnp.stack(box, axis=-1).astype(dtype or boxes.dtype)


def clip_to_image_size(
    bounding_boxes: dict[str, Any],
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:
    """Boxes cut off at the edges of the image; a box of which nothing is left gets label -1."""
    if checked_format("clip_to_image_size()", bounding_box_format).startswith("rel_"):
        height = width = 1
    if height is None or width is None:
        raise ValueError(
            f"clip_to_image_size() needs the image's `height` and `width` for boxes in "
            f"{bounding_box_format!r}, got {height} and {width}."
        )
    boxes = convert_format(bounding_boxes["boxes"], bounding_box_format, "xyxy", height, width)
    box = [jnp.clip(x, 0, n) for x, n in zip(_apart(boxes), (width, height) * 2)]
    clipped = jnp.stack(box, axis=-1)
    result = convert_format(clipped, "xyxy", bounding_box_format, height, width)
    labels = bounding_boxes.get("labels")
    if labels is None:
        return {**bounding_boxes, "boxes": result}
    area = (box[2] - box[0]) * (box[3] - box[1])
    return {**bounding_boxes, "boxes": result, "labels": jnp.where(area > 0, labels, -1)}


# Moving ----------------------------------------------------------------------------------------


def around(boxes, move: Callable):
    """The boxes around the places to which `move(x, y)` takes the corners of "xyxy" boxes."""
    left, top, right, bottom = _apart(boxes)
    corners = [(left, top), (right, top), (left, bottom), (right, bottom)]
    x, y = (jnp.stack(of_corners) for of_corners in zip(*(move(*place) for place in corners)))
    return jnp.stack([x.min(0), y.min(0), x.max(0), y.max(0)], axis=-1)


@op
def affine_transform(
    boxes: Tensor,
    angle: Tensor,
    translate_x: Tensor,
    translate_y: Tensor,
    scale: Tensor,
    shear_x: Tensor,
    shear_y: Tensor,
    height: Any,
    width: Any,
    center_x: Any = None,
    center_y: Any = None,
    bounding_box_format: str = "xyxy",
):
    """The boxes around boxes that are moved, turned, slanted and scaled, in this order.

    All but the sizes of the image are numbers, or arrays of one number for each image.

    Args:
        angle, shear_x, shear_y: In degrees; `angle` counterclockwise.
        translate_x, translate_y: As parts of the image's size.
        center_x, center_y: The place that stays where it is, as parts; the middle by default.
    """
    per_image = (angle, translate_x, translate_y, scale, shear_x, shear_y)
    given = [jnp.asarray(n, "float32").reshape(-1, *[1] * bool(jnp.ndim(n))) for n in per_image]
    angle, translate_x, translate_y, scale, shear_x, shear_y = given
    across, down = width - 1, height - 1
    middle_x = (0.5 if center_x is None else center_x) * across
    middle_y = (0.5 if center_y is None else center_y) * down
    sine, cosine = jnp.sin(jnp.deg2rad(angle)), jnp.cos(jnp.deg2rad(angle))
    slant_x, slant_y = jnp.tan(jnp.deg2rad(shear_x)), jnp.tan(jnp.deg2rad(shear_y))
    y_of_x, y_of_y = slant_y * cosine - sine, slant_y * sine + cosine
    x_of_x, x_of_y = cosine - slant_x * y_of_x, sine + slant_x * y_of_y  # this minus is Keras's

    def move(x, y):
        x, y = x - middle_x + translate_x * across, y - middle_y + translate_y * down
        return (
            scale * (x_of_x * x + x_of_y * y) + middle_x,
            scale * (y_of_x * x + y_of_y * y) + middle_y,
        )

    corners = convert_format(boxes, bounding_box_format, "xyxy", height, width)
    return convert_format(around(corners, move), "xyxy", bounding_box_format, height, width)


def _in_pixels(name: str, boxes, bounding_box_format: str):
    if checked_format(name, bounding_box_format).startswith("rel_"):
        raise ValueError(
            f"{name} needs boxes in pixels, got the format {bounding_box_format!r}, which changes "
            "its meaning with the size of the image. Call `convert_format` before and after."
        )
    return convert_format(boxes, bounding_box_format, "xyxy")


@op
def crop(
    boxes: Tensor,
    top: Any,
    left: Any,
    height: Any,
    width: Any,
    bounding_box_format: str = "xyxy",
):
    """Boxes in the part of the image that starts at `top` and `left`, cut off at its edges."""
    moved = _in_pixels("crop()", boxes, bounding_box_format) - jnp.array([left, top] * 2)
    inside = jnp.clip(moved, 0, jnp.array([width, height] * 2))
    return convert_format(inside, "xyxy", bounding_box_format)


@op
def pad(
    boxes: Tensor,
    top: Any,
    left: Any,
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
):
    """Boxes in the image when `top` rows and `left` columns were added to it.

    Args:
        height, width: Of the image; nothing depends on them.
    """
    moved = _in_pixels("pad()", boxes, bounding_box_format) + jnp.array([left, top] * 2)
    return convert_format(moved, "xyxy", bounding_box_format)


# Comparing -------------------------------------------------------------------------------------


def _sized(image_shape: Any) -> dict[str, Any]:
    return {} if image_shape is None else {"height": image_shape[0], "width": image_shape[1]}


def _overlap(a: list, b: list):
    """The area that two boxes share, and that of the two together."""
    right, bottom = jnp.minimum(a[2], b[2]), jnp.minimum(a[3], b[3])
    left, top = jnp.maximum(a[0], b[0]), jnp.maximum(a[1], b[1])
    shared = jnp.maximum(right - left, 0) * jnp.maximum(bottom - top, 0)
    area = lambda box: (box[2] - box[0]) * (box[3] - box[1])
    return shared, area(a) + area(b) - shared


@op
def compute_iou(
    boxes1: Tensor,
    boxes2: Tensor,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Any = None,
):
    """How much each box overlaps with each other: the area shared over the area of both.

    Shapes: `(m, 4)` and `(n, 4)`, or either with a batch, to `(m, n)` or `(batch, m, n)`.

    Args:
        use_masking: Whether boxes of negative numbers get `mask_val`.
        image_shape: Of the image; nothing depends on it.
    """
    source = checked_format("compute_iou()", bounding_box_format)
    corners = "rel_xyxy" if source.startswith("rel_") else "xyxy"  # a quotient has no unit
    first, second = (convert_format(boxes, source, corners) for boxes in (boxes1, boxes2))
    pairs = first[..., :, None, :], second[..., None, :, :]
    shared, together = _overlap(*map(_apart, pairs))
    overlap = jnp.where(together > 0, shared / jnp.where(together > 0, together, 1), 0)
    if not use_masking:
        return overlap
    left_out = jnp.all(pairs[0] < 0, axis=-1) | jnp.all(pairs[1] < 0, axis=-1)
    return jnp.where(left_out, mask_val, overlap)


@op
def compute_ciou(boxes1: Tensor, boxes2: Tensor, bounding_box_format: str, image_shape: Any = None):
    """How much boxes overlap, less for distant centers and other proportions.

    Shapes: `(..., 4)` and `(..., 4)` to `(...)`. Zheng et al., 2020, arXiv:1911.08287

    Args:
        image_shape: `(height, width, ...)`, for formats that are parts of the image.
    """
    a, b = (
        _apart(convert_format(boxes, bounding_box_format, "xyxy", **_sized(image_shape)))
        for boxes in (boxes1, boxes2)
    )
    shared, together = _overlap(a, b)
    overlap = shared / (together + _EPSILON)
    spans = [jnp.maximum(a[i + 2], b[i + 2]) - jnp.minimum(a[i], b[i]) for i in (0, 1)]
    diagonal = jnp.square(spans[0]) + jnp.square(spans[1]) + _EPSILON
    apart = [(a[i] + a[i + 2] - b[i] - b[i + 2]) / 2 for i in (0, 1)]
    distance = jnp.square(apart[0]) + jnp.square(apart[1])
    slope = lambda box: jnp.arctan((box[2] - box[0]) / (box[3] - box[1] + _EPSILON))
    shape = 4 / jnp.pi**2 * jnp.square(slope(a) - slope(b))
    return overlap - distance / diagonal - shape * shape / (shape - overlap + 1 + _EPSILON)


# What a detector predicts ----------------------------------------------------------------------


def _scales(name: str, argument: str, encoding: str, variance: Any):
    if str(encoding).lower() not in ("center_xywh", "center_yxhw"):
        raise ValueError(
            f"{name} needs 'center_xywh' or 'center_yxhw' for `{argument}`, got {encoding!r}."
        )
    if variance is not None and len(variance) != 4:
        raise ValueError(f"{name} needs 4 numbers for `variance`, got {variance}.")
    return 1.0 if variance is None else jnp.asarray(variance, "float32")


def _centered(boxes, source: str, encoding: str, image_shape: Any):
    """Centers and sizes; the sizes not quite 0."""
    boxes = convert_format(boxes, source, encoding, **_sized(image_shape))
    return boxes[..., :2], jnp.maximum(boxes[..., 2:], _EPSILON)


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """How boxes differ from anchors: centers apart in sizes, and the log of sizes' quotients.

    Shapes: `(n, 4)` and `(n, 4)` or `(batch, n, 4)` to the latter; or dicts of these.

    Args:
        variance: Four numbers that the result is divided by.
        image_shape: `(height, width, ...)`, for formats that are parts of the image.
    """
    scales = _scales("encode_box_to_deltas()", "encoding_format", encoding_format, variance)

    def encoded(anchor, box):
        place, size = _centered(anchor, anchor_format, encoding_format, image_shape)
        center, extent = _centered(box, box_format, encoding_format, image_shape)
        deltas = [(center - place) / size, jnp.log(extent / size)]
        return jnp.concatenate(jnp.broadcast_arrays(*deltas), axis=-1) / scales

    return jax.tree.map(encoded, anchors, boxes)


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """The boxes that differ from anchors as `encode_box_to_deltas` says.

    Shapes: `(n, 4)` and `(n, 4)` or `(batch, n, 4)` to the latter; or dicts of these.

    Args:
        variance: Four numbers that the differences are multiplied by first.
        image_shape: `(height, width, ...)`, for formats that are parts of the image.
    """
    scales = _scales("decode_deltas_to_boxes()", "encoded_format", encoded_format, variance)

    def decoded(anchor, deltas):
        place, size = _centered(anchor, anchor_format, encoded_format, image_shape)
        deltas = jnp.asarray(deltas, "float32") * scales
        box = [deltas[..., :2] * size + place, jnp.exp(deltas[..., 2:]) * size]
        boxes = jnp.concatenate(box, axis=-1)
        return convert_format(boxes, encoded_format, box_format, **_sized(image_shape))

    return jax.tree.map(decoded, anchors, boxes_delta)


__all__ = [
    "affine_transform", "clip_to_image_size", "compute_ciou", "compute_iou", "convert_format",
    "crop", "decode_deltas_to_boxes", "encode_box_to_deltas", "pad",
]  # fmt: skip
