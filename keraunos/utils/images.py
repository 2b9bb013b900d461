"""Images in files, as Pillow images and as arrays."""

import io
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from keraunos import ops
from keraunos.core import config
from keraunos.core.dtypes import standardize_dtype

if TYPE_CHECKING:
    from PIL.Image import Image

_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
_MODES = {"grayscale": "L", "rgba": "RGBA", "rgb": "RGB"}


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(
            "Images need Pillow: install it by `pip install keraunos[viz]`."
        ) from None
    return Image


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Any = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> "Image":
    """Read an image file.

    Args:
        path: Of the file, or the file's bytes as `io.BytesIO`.
        color_mode: "grayscale", "rgb" or "rgba".
        target_size: `(height, width)`; the image's own by default.
        interpolation: How it is resized: "nearest", "bilinear", "bicubic", "hamming", "box"
            or "lanczos".
        keep_aspect_ratio: Whether the longer side is cut, so that nothing is distorted.
    """
    if color_mode not in _MODES:
        raise ValueError('color_mode must be "grayscale", "rgb", or "rgba"')
    if isinstance(path, io.BytesIO):
        img = _pillow().open(path)
    elif isinstance(path, (str, bytes, os.PathLike)):
        with open(path, "rb") as file:
            img = _pillow().open(io.BytesIO(file.read()))
    else:
        raise TypeError(f"path should be path-like or io.BytesIO, not {type(path)}")
    if img.mode != _MODES[color_mode] and not (
        color_mode == "grayscale" and img.mode in ("I;16", "I")
    ):
        img = img.convert(_MODES[color_mode])
    if target_size is None or img.size == (target_size[1], target_size[0]):
        return img
    if interpolation not in _INTERPOLATIONS:
        raise ValueError(
            f"Invalid interpolation method {interpolation} specified. Supported methods are "
            f"{', '.join(_INTERPOLATIONS)}"
        )
    height, width = target_size
    method = getattr(_pillow().Resampling, interpolation.upper())
    box = None
    if keep_aspect_ratio:
        top, left, rows, columns = _centre(img.height, img.width, height, width)
        box = (left, top, left + columns, top + rows)
    return img.resize((width, height), method, box)


def _centre(height: int, width: int, target_height: int, target_width: int):
    """The largest part in the middle that has the target's proportions."""
    rows = max(min(height, width * target_height // target_width), 1)
    columns = max(min(width, height * target_width // target_height), 1)
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array as an image file.

    Args:
        file_format: Of the name's ending by default.
        scale: Whether values are stretched to 0 to 255.
        kwargs: For Pillow's `Image.save`.
    """
    img = array_to_img(x, data_format=data_format, scale=scale)
    ending = os.path.splitext(path)[1] if isinstance(path, (str, os.PathLike)) else ""
    if img.mode == "RGBA" and (file_format or ending.lstrip(".")).lower() in ("jpg", "jpeg"):
        warnings.warn(
            "The JPEG format does not support RGBA images, converting to RGB.", stacklevel=2
        )
        img = img.convert("RGB")
    file_format = "jpeg" if file_format and file_format.lower() == "jpg" else file_format
    img.save(path, format=file_format, **kwargs)


def array_to_img(
    x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None
) -> "Image":
    """An array as a Pillow image.

    Shapes: `(height, width, channels)`, with 1, 3 or 4 channels.

    Args:
        scale: Whether values are stretched to 0 to 255.
        dtype: To compute in; `floatx()` by default.
    """
    data_format = config.standardize_data_format(data_format)
    x = np.asarray(x, dtype or config.floatx())
    if x.ndim != 3:
        raise ValueError(
            f"Expected image array to have rank 3 (single image). Got array with shape: {x.shape}"
        )
    if data_format == "channels_first":
        x = x.transpose(1, 2, 0)
    if scale:
        x = x - x.min()
        x = x / (x.max() or 1) * 255
    channels = x.shape[2]
    if channels == 1 and x.max() > 255:  # 32 bits
        return _pillow().fromarray(x[:, :, 0].astype("int32"))
    if channels not in (1, 3, 4):
        raise ValueError(f"Unsupported channel number: {channels}")
    return _pillow().fromarray((x[:, :, 0] if channels == 1 else x).astype("uint8"))


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """A Pillow image as an array.

    Args:
        dtype: `floatx()` by default.
    """
    data_format = config.standardize_data_format(data_format)
    x = np.asarray(img, standardize_dtype(dtype))
    if x.ndim not in (2, 3):
        raise ValueError(f"Unsupported image shape: {x.shape}")
    x = x[:, :, None] if x.ndim == 2 else x
    return x.transpose(2, 0, 1) if data_format == "channels_first" else x


def smart_resize(
    x: Any,
    size: Any,
    interpolation: str = "bilinear",
    data_format: str | None = "channels_last",
    **kwargs: Any,
) -> Any:
    """Images in another size; what does not fit its proportions is cut off at the edges.

    Shapes: `(..., height, width, channels)` to `(..., *size, channels)`.

    Returns:
        A NumPy array if `x` is one, else a JAX array; of floats.
    """
    kwargs.pop("backend_module", None)
    if kwargs:
        raise TypeError(f"smart_resize() got unexpected keyword arguments: {list(kwargs)}")
    if not hasattr(size, "__len__") or len(size) != 2:
        raise ValueError(f"Expected `size` to be a tuple of 2 integers, but got: {size}.")
    data_format = config.standardize_data_format(data_format)
    images = ops.convert_to_tensor(x, None if hasattr(x, "dtype") else config.floatx())
    if images.ndim not in (3, 4):
        raise ValueError(
            "Expected an image array with shape `(height, width, channels)`, or `(batch_size, "
            "height, width, channels)`, but got input with incorrect rank, of shape "
            f"{tuple(images.shape)}."
        )
    first = data_format == "channels_first"
    rows, columns = images.shape[-2:] if first else images.shape[-3:-1]
    top, left, height, width = _centre(rows, columns, *size)
    window = (slice(top, top + height), slice(left, left + width))
    cut = images[(..., *window) if first else (..., *window, slice(None))]
    resized = ops.image.resize(
        cut.astype(config.floatx()), size, interpolation=interpolation, data_format=data_format
    )
    return np.asarray(resized) if isinstance(x, np.ndarray) else resized
