"""Boxes and masks on images, and galleries of them, beside Keras's where that needs no OpenCV."""

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from keraunos.visualization import (
    draw_bounding_boxes,
    draw_segmentation_masks,
    plot_bounding_box_gallery,
    plot_image_gallery,
    plot_segmentation_mask_gallery,
)

IMAGES = np.full((2, 8, 6, 3), 10, "uint8")
MASKS = np.zeros((2, 8, 6), "int32")
MASKS[:, 0] = np.arange(6)
BOX = {"boxes": np.array([[[1, 2, 4, 6.0]]] * 2), "labels": np.array([[3]] * 2)}


@pytest.fixture(autouse=True)
def figures():
    matplotlib.use("agg")
    plt.close("all")
    yield
    plt.close("all")


@pytest.mark.parametrize("options", [{}, {"alpha": 0.5}])
def test_masks_as_in_keras(options):
    options = {"num_classes": 6, "ignore_index": 0} | options
    theirs = keras.visualization.draw_segmentation_masks(IMAGES, MASKS[..., None], **options)
    ours = draw_segmentation_masks(IMAGES, MASKS, **options)
    assert ours.dtype == "uint8"
    np.testing.assert_array_equal(ours, np.asarray(theirs))


def test_masks_without_a_color_are_not_painted():
    painted = draw_segmentation_masks(IMAGES, MASKS, alpha=1)
    assert painted[0, 0].tolist()[:3] == [[10, 10, 10], [1, 127, 31], [2, 254, 62]]
    assert painted[0, 0, 5].tolist() == [5, 125, 155]
    unblended = draw_segmentation_masks(IMAGES, MASKS, blend=False, ignore_index=5)
    np.testing.assert_array_equal(unblended[:, :, :5], painted[:, :, :5])
    assert unblended[0, 0, 5].tolist() == [10, 10, 10]
    few = draw_segmentation_masks(IMAGES, MASKS, 1, alpha=1)
    assert (few[0, 0] != 10).any(axis=-1).tolist() == [False, True, False, False, False, False]
    red = draw_segmentation_masks(IMAGES, MASKS, color_mapping={0: (255, 0, 0)}, alpha=1)
    assert red[0, 1, 0].tolist() == [255, 0, 0] and red[0, 0, 1].tolist() == [10, 10, 10]
    first = IMAGES.transpose(0, 3, 1, 2)
    turned = draw_segmentation_masks(first, MASKS, alpha=1, data_format="channels_first")
    np.testing.assert_array_equal(turned.transpose(0, 2, 3, 1), painted)


def test_boxes():
    drawn = draw_bounding_boxes(IMAGES, BOX, "xyxy", color=(255, 0, 0), line_thickness=1)
    red = (drawn[0] == (255, 0, 0)).all(axis=-1)
    frame = np.zeros((8, 6), bool)
    frame[2:7, 1:5] = True
    frame[3:6, 2:4] = False
    np.testing.assert_array_equal(red, frame)
    parts = {**BOX, "boxes": BOX["boxes"] / [6, 8, 6, 8]}
    again = draw_bounding_boxes(IMAGES, parts, "rel_xyxy", color=(255, 0, 0), line_thickness=1)
    np.testing.assert_array_equal(again, drawn)
    first = IMAGES.transpose(0, 3, 1, 2)
    again = draw_bounding_boxes(
        first, BOX, "xyxy", None, (255, 0, 0), 1, data_format="channels_first"
    )
    np.testing.assert_array_equal(again.transpose(0, 2, 3, 1), drawn)
    absent = {**BOX, "labels": np.full((2, 1), -1)}
    np.testing.assert_array_equal(draw_bounding_boxes(IMAGES, absent, "xyxy"), IMAGES)


def test_names_are_written_at_boxes():
    images = np.zeros((1, 40, 80, 1), "float32")
    box = {"boxes": [[[5, 25, 70, 35.0]]], "labels": [[0]]}
    bare = draw_bounding_boxes(images, box, "xyxy")
    named = draw_bounding_boxes(images, box, "xyxy", {0: "cat"})
    sure = draw_bounding_boxes(images, {**box, "confidences": [[0.9]]}, "xyxy", {0: "cat"})
    assert bare.shape == (1, 40, 80, 3)
    assert 0 < (bare > 0).sum() < (named > 0).sum() < (sure > 0).sum()
    assert (bare[0, :24] == 0).all()


def seen():
    """What is in the open figure: its size, the titles and the images."""
    figure = plt.gcf()
    axes = [axis for axis in figure.axes if axis.images]
    return (
        figure.get_size_inches().tolist(),
        [axis.get_title() for axis in axes],
        [np.asarray(axis.images[0].get_array()) for axis in axes],
        [[t.get_text() for t in legend.get_texts()] for legend in figure.legends],
    )


GALLERIES = [
    ("plot_image_gallery", (IMAGES,), {}),
    ("plot_image_gallery", (IMAGES / 255.0,), {"value_range": (0, 1), "scale": 3, "rows": 1}),
    (
        "plot_image_gallery",
        (IMAGES, np.array([0, 1]), np.array([1, 7])),
        {"label_map": {0: "cat", 1: "dog"}, "cols": 1},
    ),
    ("plot_segmentation_mask_gallery", (IMAGES, 6), {"y_true": MASKS, "ignore_index": 0}),
    (
        "plot_segmentation_mask_gallery",
        (IMAGES, 6),
        {"y_true": MASKS, "y_pred": MASKS, "ignore_index": 0},
    ),
    ("plot_bounding_box_gallery", (IMAGES, "xyxy"), {"legend": True}),
]


@pytest.mark.parametrize("name, args, options", GALLERIES)
def test_galleries_as_in_keras(name, args, options):
    given = {k: v[..., None] if v is MASKS else v for k, v in options.items()}
    getattr(keras.visualization, name)(*args, show=False, **given)
    theirs = seen()
    plt.close("all")
    assert globals()[name](*args, show=False, **options) is None
    ours = seen()
    assert ours[:2] == theirs[:2] and ours[3] == theirs[3]
    np.testing.assert_array_equal(ours[2], theirs[2])


def test_every_image_is_shown():
    plot_image_gallery(np.zeros((5, 4, 4, 1)), show=False)
    assert len(seen()[2]) == 5 and len(plt.gcf().axes) == 6


def test_a_gallery_of_boxes_in_a_file(tmp_path):
    plot_bounding_box_gallery(IMAGES, "xyxy", BOX, BOX, path=tmp_path / "boxes.png")
    assert (tmp_path / "boxes.png").stat().st_size > 100 and not plt.get_fignums()
    plot_bounding_box_gallery(IMAGES, "xyxy", BOX, pred_color=(1, 2, 3), show=False)
    assert [0, 188, 212] in seen()[2][0].reshape(-1, 3).tolist()


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: plot_image_gallery(IMAGES[0]), ValueError, r"4 dimensions, got shape \(8, 6, 3\)"),
        (lambda: plot_image_gallery(IMAGES, [0, 1]), ValueError, "needs a `label_map`"),
        (lambda: plot_image_gallery(IMAGES, path="a", show=True), ValueError, "leave one of them"),
        (
            lambda: plot_bounding_box_gallery(IMAGES, "xyxy", legend=True, legend_handles=[]),
            ValueError,
            "leave it or `legend_handles` out",
        ),
        (
            lambda: plot_segmentation_mask_gallery(IMAGES, 2, y_true=MASKS[:, :3]),
            ValueError,
            r"of shape \(2, 8, 6\), got \(2, 3, 6\)",
        ),
        (lambda: draw_segmentation_masks(IMAGES, MASKS / 1), TypeError, "of integers, got float64"),
        (lambda: draw_bounding_boxes(IMAGES, 3, "xyxy"), TypeError, "a dict .* got 3"),
        (
            lambda: draw_bounding_boxes(IMAGES, {"boxes": 1}, "xyxy"),
            ValueError,
            "'labels'. missing",
        ),
        (lambda: draw_bounding_boxes(IMAGES, BOX, "xyyx"), ValueError, "Did you mean"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
