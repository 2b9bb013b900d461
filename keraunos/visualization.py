"""Public `keras.visualization`: images in rows, with boxes, masks and labels drawn on them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from keraunos.core import config
from keraunos.layers.preprocessing.boxes import checked_format, convert_format

__all__ = [
    "draw_bounding_boxes",
    "draw_segmentation_masks",
    "plot_bounding_box_gallery",
    "plot_image_gallery",
    "plot_segmentation_mask_gallery",
]

_Color = tuple[int, int, int]


def _needed(name: str, package: str) -> ImportError:
    return ImportError(f"{name} needs {package}: install it by `pip install keraunos[viz]`.")


def _batch(name: str, images: Any, data_format: str | None) -> tuple[np.ndarray, bool]:
    """Images as `(batch, height, width, channels)`, and whether channels were first."""
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(f"{name} needs `images` of 4 dimensions, got shape {images.shape}.")
    first = config.standardize_data_format(data_format) == "channels_first"
    return images.transpose(0, 2, 3, 1) if first else images, first


def _colored(images: np.ndarray) -> np.ndarray:
    """A copy of images as red, green and blue from 0 to 255."""
    images = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
    return np.array(np.clip(images, 0, 255), "uint8")


def _bytes(images: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """Images with values in `value_range` as those from 0 to 255."""
    low, high = value_range
    if (low, high) == (0, 255):
        return np.clip(images, 0, 255).astype("uint8")
    scaled = (images.astype("float32") - low) / (high - low) * 255
    return np.clip(np.rint(scaled), 0, 255).astype("uint8")


def draw_bounding_boxes(
    images: Any,
    bounding_boxes: dict[str, Any],
    bounding_box_format: str,
    class_mapping: Mapping[int, str] | None = None,
    color: Any = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> np.ndarray:
    """Images with boxes drawn on them, as a NumPy array of values from 0 to 255.

    Args:
        images: `(batch, height, width, channels)`, of values from 0 to 255.
        bounding_boxes: "boxes" of shape `(batch, boxes, 4)`, "labels" of shape `(batch, boxes)`
            and, if there are, "confidences" of that shape. A label of -1 marks a place without
            a box.
        class_mapping: Names of labels, written at the boxes.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise _needed("draw_bounding_boxes()", "Pillow") from None
    name = "draw_bounding_boxes()"
    batch, first = _batch(name, images, data_format)
    if not isinstance(bounding_boxes, dict):
        raise TypeError(f"{name} needs a dict for `bounding_boxes`, got {bounding_boxes!r}.")
    if missing := {"boxes", "labels"} - bounding_boxes.keys():
        raise ValueError(
            f"{name} needs 'boxes' and 'labels' in `bounding_boxes`; {sorted(missing)} missing."
        )
    source = checked_format(name, bounding_box_format)
    boxes = convert_format(bounding_boxes["boxes"], source, "xyxy", *batch.shape[1:3])
    boxes, labels = np.asarray(boxes), np.asarray(bounding_boxes["labels"])
    confidences = bounding_boxes.get("confidences")
    font = ImageFont.load_default(max(12 * font_scale, 1))
    drawn = []
    for i, array in enumerate(_colored(batch)):
        image = Image.fromarray(array)
        pen = ImageDraw.Draw(image)
        for j, (box, label) in enumerate(zip(np.rint(boxes[i]), labels[i].astype(int))):
            if label == -1 or (box[2:] < box[:2]).any():
                continue
            pen.rectangle([float(x) for x in box], outline=tuple(color), width=line_thickness)
            if class_mapping is None:
                continue
            text = str(class_mapping.get(int(label), label))
            if confidences is not None:
                text += f" {float(np.asarray(confidences)[i, j]):.2f}"
            above = max(float(box[1]) - line_thickness, font.getbbox(text)[3])
            pen.text(
                (float(box[0]), above),
                text,
                fill=tuple(color),
                font=font,
                anchor="ls",
                stroke_width=max(text_thickness - 1, 0),
            )
        drawn.append(np.asarray(image))
    result = np.stack(drawn) if drawn else _colored(batch)
    return result.transpose(0, 3, 1, 2) if first else result


def draw_segmentation_masks(
    images: Any,
    segmentation_masks: Any,
    num_classes: int | None = None,
    color_mapping: Mapping[int, _Color] | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> np.ndarray:
    """Images with the classes of their pixels painted over them, from 0 to 255.

    Args:
        images: `(batch, height, width, channels)`, of values from 0 to 255.
        segmentation_masks: Integers of shape `(batch, height, width)`, or with a 1 behind.
        num_classes: The largest class that is painted; that of the masks by default.
        color_mapping: Colors of classes; those without one are not painted. By default all have
            one but 0, which is the background.
        alpha: How much of the color is taken, from 0 to 1, if `blend` is True; else all.
        ignore_index: A class that is not painted.
    """
    name = "draw_segmentation_masks()"
    batch, first = _batch(name, images, data_format)
    masks = np.asarray(segmentation_masks)
    if masks.dtype.kind not in "iu":
        raise TypeError(f"{name} needs `segmentation_masks` of integers, got {masks.dtype.name}.")
    if masks.ndim == 4 and masks.size == math.prod(batch.shape[:3]):
        masks = masks.reshape(batch.shape[:3])
    if masks.shape != batch.shape[:3]:
        raise ValueError(
            f"{name} needs `segmentation_masks` of shape {batch.shape[:3]}, got {masks.shape}."
        )
    if num_classes is None:
        num_classes = int(masks.max(initial=0))
    if color_mapping is None:
        color_mapping = {
            c: (c % 255, c * 127 % 255, c * 31 % 255) for c in range(1, num_classes + 1)
        }
    result = _colored(batch)
    for number, color in color_mapping.items():
        if number <= num_classes and number != ignore_index:
            of_class = masks == number
            share = alpha if blend else 1
            result[of_class] = (1 - share) * result[of_class] + share * np.array(color, "float64")
    return result.transpose(0, 3, 1, 2) if first else result


# Galleries -------------------------------------------------------------------------------------


def plot_image_gallery(
    images: Any,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: Mapping[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: tuple[float, float] = (0, 255),
    scale: float = 2,
    path: Any = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Any = None,
    data_format: str | None = None,
) -> None:
    """Show images in rows, or write them to a file.

    Args:
        images: `(batch, height, width, channels)`.
        y_true, y_pred: Class numbers, of shape `(batch,)`, written over the images.
        label_map: Names of the classes.
        rows, cols: As square as can be by default. What does not fit is left out.
        scale: Inches of an image.
        path: Of the file. Without one, the gallery is shown.
        show: False to leave the figure to matplotlib.
        transparent, dpi: Of the file.
        legend_handles: What a legend at the bottom is made of.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise _needed("plot_image_gallery()", "matplotlib") from None
    if path is not None and show:
        raise ValueError(
            "plot_image_gallery() writes a file if `path` is given, and shows the images if `show` "
            "is True: leave one of them out."
        )
    if label_map is None and (y_true is not None or y_pred is not None):
        raise ValueError("plot_image_gallery() needs a `label_map` to name `y_true` and `y_pred`.")
    batch, _ = _batch("plot_image_gallery()", images, data_format)
    batch = _bytes(batch, value_range)
    if rows is None:
        rows = max(math.ceil(len(batch) ** 0.5 if cols is None else len(batch) / cols), 1)
    cols = max(math.ceil(len(batch) / rows), 1) if cols is None else cols
    figure, axes = plt.subplots(rows, cols, figsize=(cols * scale, rows * scale), squeeze=False)
    figure.subplots_adjust(wspace=0, hspace=0)
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="lower center")
    given = [(word, y) for word, y in (("Label", y_true), ("Pred", y_pred)) if y is not None]
    for i, axis in enumerate(axes.flat):
        axis.axis("off")
        if i < len(batch):
            axis.imshow(batch[i].squeeze(-1) if batch.shape[-1] == 1 else batch[i], cmap="gray")
            named = [
                f"{word}: {(label_map or {}).get(np.asarray(y)[i].item(), 'Unknown')}"
                for word, y in given
            ]
            axis.set_title("  ".join(named))
    if path is not None:
        figure.savefig(path, pad_inches=0, bbox_inches="tight", transparent=transparent, dpi=dpi)
    elif show or show is None:
        plt.show()
    if path is not None or show is not False:
        plt.close(figure)


def plot_bounding_box_gallery(
    images: Any,
    bounding_box_format: str,
    y_true: dict[str, Any] | None = None,
    y_pred: dict[str, Any] | None = None,
    value_range: tuple[float, float] = (0, 255),
    true_color: Any = (0, 188, 212),
    pred_color: Any = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: Mapping[int, str] | None = None,
    ground_truth_mapping: Mapping[int, str] | None = None,
    prediction_mapping: Mapping[int, str] | None = None,
    legend: bool = False,
    legend_handles: Any = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Show images with the boxes that are and those that were predicted.

    Args:
        y_true, y_pred: As `draw_bounding_boxes` takes them.
        text_thickness: That of the lines by default.
        class_mapping: Names of classes, of both kinds of boxes unless `ground_truth_mapping` or
            `prediction_mapping` say otherwise.
        legend: Whether the two colors are explained.
        kwargs: For `plot_image_gallery`.
    """
    if legend and legend_handles is not None:
        raise ValueError(
            "plot_bounding_box_gallery() makes a legend itself if `legend` is True: leave it or "
            "`legend_handles` out."
        )
    batch, _ = _batch("plot_bounding_box_gallery()", images, data_format)
    batch = _bytes(batch, value_range)
    kinds = (
        ("Ground Truth", y_true, true_color, ground_truth_mapping),
        ("Prediction", y_pred, pred_color, prediction_mapping),
    )
    for _, boxes, color, mapping in kinds:
        if boxes is not None:
            batch = draw_bounding_boxes(
                batch,
                boxes,
                bounding_box_format,
                class_mapping if mapping is None else mapping,
                color,
                line_thickness,
                line_thickness if text_thickness is None else text_thickness,
                font_scale,
                "channels_last",
            )
    if legend:
        from matplotlib.patches import Patch

        legend_handles = [
            Patch(color=f"#{bytes(color).hex()}", label=kind) for kind, _, color, _ in kinds
        ]
    options = {"rows": rows, "cols": cols, "legend_handles": legend_handles, **kwargs}
    plot_image_gallery(batch, data_format="channels_last", **options)


def plot_segmentation_mask_gallery(
    images: Any,
    num_classes: int,
    value_range: tuple[float, float] = (0, 255),
    y_true: Any = None,
    y_pred: Any = None,
    color_mapping: Mapping[int, _Color] | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Show images, each in a row with its masks: those that are, those that were predicted.

    Args:
        y_true, y_pred, num_classes, color_mapping, alpha, blend, ignore_index: As
            `draw_segmentation_masks` takes them.
        kwargs: For `plot_image_gallery`.
    """
    batch, _ = _batch("plot_segmentation_mask_gallery()", images, data_format)
    batch = _colored(_bytes(batch, value_range))
    painted = [
        draw_segmentation_masks(
            batch, masks, num_classes, color_mapping, alpha, blend, ignore_index, "channels_last"
        )
        for masks in (y_true, y_pred)
        if masks is not None
    ]
    columns = [batch, *painted]
    together = np.stack(columns, axis=1).reshape(-1, *batch.shape[1:])
    size: dict[str, Any] = {"rows": len(batch), "cols": len(columns)} if painted else {}
    plot_image_gallery(together, data_format="channels_last", **size | kwargs)
