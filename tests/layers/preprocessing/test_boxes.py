"""`keras.utils.bounding_boxes` against Keras."""

import keras
import numpy as np
import pytest

from keraunos import KerasTensor
from keraunos.utils import bounding_boxes as ours
from tests.oracle import close

theirs = keras.utils.bounding_boxes
BOXES = np.array([[10, 20, 30, 50], [0, 0, 20, 10]], "float32")
OTHERS = np.array([[5, 10, 30, 40], [1, 2, 30, 10]], "float32")
ABSENT = np.full((1, 4), -1, "float32")
FORMATS = [
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh",
    "rel_center_xywh",
]  # fmt: skip


@pytest.mark.parametrize("target", FORMATS)
def test_convert_format(target):
    for source in FORMATS:
        how = (BOXES, source, target.upper(), 100, 200)
        close(ours.convert_format(*how), np.asarray(theirs.convert_format(*how)), atol=1e-5)
    labeled = ours.convert_format({"boxes": BOXES, "labels": [1, 2]}, "xyxy", target, 100, 200)
    assert labeled["labels"] == [1, 2]
    close(ours.convert_format(labeled, target, "xyxy", 100, 200)["boxes"], BOXES, atol=1e-4)
    assert ours.convert_format(BOXES.astype("int32"), "xyxy", "xywh", dtype=None).dtype == "int32"


@pytest.mark.parametrize("form", ["xyxy", "rel_xyxy"])
def test_clip(form):
    boxes = np.array([[-10, -20, 150, 60], [50, 40, 70, 80], [130, 10, 140, 20]], "float32")
    boxes = boxes / 100 if form.startswith("rel") else boxes
    given = {"boxes": boxes, "labels": np.array([0, 1, 2])}
    mine, yours = (m.clip_to_image_size(dict(given), 100, 120, form) for m in (ours, theirs))
    close(mine, {k: np.asarray(v) for k, v in yours.items()})
    assert mine["labels"].tolist()[-1] == -1


def test_moves():
    given = [np.array([n, n / 2]) for n in (30, 0.1, 0.2, 2.0, 5, 7)]
    both, where = np.stack([BOXES, OTHERS]), {"height": 100, "width": 200, "center_x": 0.1}
    expected = np.asarray(theirs.affine_transform(both, *given, **where))
    close(ours.affine_transform(both, *given, **where), expected, atol=1e-4)
    alone = ours.affine_transform(BOXES, 30, 0.1, 0.2, 2.0, 5, 7, **where)
    close(alone, expected[0], atol=1e-4)
    close(ours.crop(BOXES, 10, 20, 40, 30), np.asarray(theirs.crop(BOXES, 10, 20, 40, 30)))
    close(ours.pad(BOXES, 10, 20), np.asarray(theirs.pad(BOXES, 10, 20)))
    shift = np.array([20, 10, 0, 0], "float32")
    close(ours.pad(BOXES, 10, 20, bounding_box_format="xywh"), BOXES + shift)
    still = {"angle": 0, "translate_x": 0, "translate_y": 0, "scale": 1, "shear_x": 0, "shear_y": 0}
    close(ours.affine_transform(BOXES, **still, height=9, width=9), BOXES)


@pytest.mark.parametrize("form", ["xyxy", "xywh", "center_xywh", "yxyx"])
def test_overlaps(form):
    first = np.concatenate([BOXES, ABSENT])
    for a, b in ((first, OTHERS), (first[None], OTHERS), (first, OTHERS[None])):
        close(ours.compute_iou(a, b, form), np.asarray(theirs.compute_iou(a, b, form)))
    masked = {"use_masking": True, "mask_val": -3}
    expected = np.asarray(theirs.compute_iou(first, OTHERS, form, **masked))
    close(ours.compute_iou(first, OTHERS, form, **masked), expected)
    close(ours.compute_iou(first[None], OTHERS, form, **masked), expected[None])
    expected = np.asarray(theirs.compute_ciou(BOXES, OTHERS, form))
    close(ours.compute_ciou(BOXES, OTHERS, form), expected)
    assert ours.compute_iou(KerasTensor((None, 3, 4)), OTHERS, form).shape == (None, 3, 2)


@pytest.mark.parametrize("encoding", ["center_yxhw", "center_xywh"])
def test_deltas(encoding):
    for variance in (None, [0.1, 0.1, 0.2, 0.2]):
        how = ("xyxy", "xywh", encoding, variance)
        deltas = np.asarray(theirs.encode_box_to_deltas(BOXES, OTHERS[None], *how))
        close(ours.encode_box_to_deltas(BOXES, OTHERS[None], *how), deltas, atol=1e-5)
        close(ours.decode_deltas_to_boxes(BOXES, deltas, *how), OTHERS[None], atol=1e-4)
    level = ours.decode_deltas_to_boxes({0: BOXES}, {0: 0 * BOXES}, "xyxy", "xyxy", encoding)
    close(level[0], BOXES, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ours.convert_format(BOXES, "xyhw", "xywh"), "Did you mean `xywh`"),
        (lambda: ours.convert_format(BOXES, "xyxy", "rel_xywh"), "needs the image's `height`"),
        (lambda: ours.convert_format(BOXES[:, :3], "xyxy", "xywh"), r"needs boxes of shape"),
        (lambda: ours.clip_to_image_size({"boxes": BOXES}), "needs the image's `height`"),
        (lambda: ours.crop(BOXES, 1, 1, 2, 2, "rel_xyxy"), "needs boxes in pixels"),
        (lambda: ours.encode_box_to_deltas(BOXES, BOXES, "xyxy", "xyxy", "xyxy"), "center_xywh"),
        (
            lambda: ours.decode_deltas_to_boxes(BOXES, BOXES, "xyxy", "xyxy", variance=[1]),
            "needs 4 numbers for `variance`",
        ),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call()
