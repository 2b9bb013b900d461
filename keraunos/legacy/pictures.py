"""One picture changed: turned, shifted, sheared, zoomed, brightened, flipped."""

from typing import Any

import numpy as np
import scipy.ndimage

from keraunos.utils.images import array_to_img


def apply_affine_transform(
    x: np.ndarray, theta: float = 0, tx: float = 0, ty: float = 0, shear: float = 0, zx: float = 1,
    zy: float = 1, row_axis: int = 0, col_axis: int = 1, channel_axis: int = 2,
    fill_mode: str = "nearest", cval: float = 0.0, order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Turn (degrees), shift (pixels), shear (degrees) and zoom a picture about its middle."""
    turn, lean = np.deg2rad(theta), np.deg2rad(shear)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    leaning = np.array([[1, -np.sin(lean)], [0, np.cos(lean)]])
    matrix = rotation @ leaning @ np.diag([zx, zy])
    if np.array_equal(matrix, np.eye(2)) and not (tx or ty):
        return x
    middle: Any = np.array([x.shape[row_axis], x.shape[col_axis]]) / 2 - 0.5
    offset: Any = middle + rotation @ np.array([tx, ty]) - matrix @ middle
    planes = np.moveaxis(x, channel_axis, 0)
    moved = [
        scipy.ndimage.affine_transform(
            plane, matrix, offset, order=order, mode=fill_mode, cval=cval
        )
        for plane in planes
    ]
    return np.moveaxis(np.stack(moved), 0, channel_axis)


def random_rotation(x: Any, rg: float, *args: Any, **kwargs: Any) -> np.ndarray:
    """Turned by up to `rg` degrees."""
    return _about(x, args, kwargs, theta=np.random.uniform(-rg, rg))


def random_shift(x: Any, wrg: float, hrg: float, *args: Any, **kwargs: Any) -> np.ndarray:
    """Shifted by up to these shares of its width and height."""
    row, col, _ = _axes(args, kwargs)
    tx = np.random.uniform(-hrg, hrg) * x.shape[row]
    return _about(x, args, kwargs, tx=tx, ty=np.random.uniform(-wrg, wrg) * x.shape[col])


def random_shear(x: Any, intensity: float, *args: Any, **kwargs: Any) -> np.ndarray:
    return _about(x, args, kwargs, shear=np.random.uniform(-intensity, intensity))


def random_zoom(x: Any, zoom_range: Any, *args: Any, **kwargs: Any) -> np.ndarray:
    zx, zy = (1, 1) if tuple(zoom_range) == (1, 1) else np.random.uniform(*zoom_range, size=2)
    return _about(x, args, kwargs, zx=zx, zy=zy)


AXES = ("row_axis", "col_axis", "channel_axis", "fill_mode", "cval", "interpolation_order")


def _axes(args: tuple, kwargs: dict) -> tuple[int, int, int]:
    given = dict(zip(AXES, args)) | kwargs
    return tuple(given.get(name, i) for name, i in zip(AXES, (1, 2, 0)))  # type: ignore


def _about(x: Any, args: tuple, kwargs: dict, **change: Any) -> np.ndarray:
    given = dict(zip(AXES[3:], args[3:])) | {k: v for k, v in kwargs.items() if "axis" not in k}
    given["order"] = given.pop("interpolation_order", 1)
    axes = dict(zip(AXES, _axes(args, kwargs)))
    return apply_affine_transform(x, **change, **axes, **given)


def apply_channel_shift(x: Any, intensity: float, channel_axis: int = 0) -> np.ndarray:
    """All channels brighter by `intensity`, within the range of the picture."""
    return np.clip(x + intensity, np.min(x), np.max(x))


def random_channel_shift(x: Any, intensity_range: float, channel_axis: int = 0) -> np.ndarray:
    return apply_channel_shift(x, np.random.uniform(-intensity_range, intensity_range))


def apply_brightness_shift(x: Any, brightness: float, scale: bool = True) -> np.ndarray:
    """The picture with its brightness multiplied; as a picture of 0 to 255 if `scale`."""
    low, high = np.min(x), np.max(x)
    local = scale and (low < 0 or high > 255)
    pixels = np.asarray(array_to_img(x, scale=bool(local)), "float32")
    pixels = np.clip(np.rint(pixels * brightness - 1e-3), 0, 255).reshape(np.shape(x))
    return pixels / 255 * (high - low) + low if local else pixels


def random_brightness(x: Any, brightness_range: Any, scale: bool = True) -> np.ndarray:
    if len(brightness_range) != 2:
        raise ValueError(f"`brightness_range` must be two numbers, got {brightness_range!r}.")
    return apply_brightness_shift(x, np.random.uniform(*brightness_range), scale)


def flip_axis(x: Any, axis: int) -> np.ndarray:
    return np.flip(x, axis)
