"""Arrays in another size along their axes, in NumPy: nothing is compiled for each new shape."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def _cubic(b: float, c: float) -> Callable[[np.ndarray], np.ndarray]:
    """The cubic of Mitchell and Netravali (1988)."""
    near = np.array([12 - 9 * b - 6 * c, -18 + 12 * b + 6 * c, 0, 6 - 2 * b]) / 6
    far = np.array([-b - 6 * c, 6 * b + 30 * c, -12 * b - 48 * c, 8 * b + 24 * c]) / 6
    return lambda x: np.where(x < 1, np.polyval(near, x), np.polyval(far, x))


def _lanczos(a: int) -> tuple[float, Callable]:
    return a, lambda x: np.sinc(x) * np.sinc(x / a)


# How far a sample reaches, and its weight at a distance of 0 and more.
_KERNELS: dict[str, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    "bilinear": (1, lambda x: 1 - x),
    "bicubic": (2, _cubic(0, 0.5)),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
    "gaussian": (1.5, lambda x: np.exp(-2 * x * x)),
    "mitchellcubic": (2, _cubic(1 / 3, 1 / 3)),
}
INTERPOLATIONS = (
    "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic",
)  # fmt: skip


def resized(array: Any, sizes: Any, interpolation: str, smooth: bool = False) -> np.ndarray:
    """`array` with `sizes` as its first axes, float32.

    Args:
        smooth: Whether an axis that shrinks is smoothed first, so that nothing aliases.
    """
    array = np.asarray(array, "float32")
    for axis, size in enumerate(sizes):
        if array.shape[axis] != size:
            places, weights = _taps(array.shape[axis], size, interpolation, smooth)
            weights = weights.reshape(*weights.shape, *[1] * (array.ndim - axis - 1))
            array = sum(array.take(place, axis) * weight for place, weight in zip(places, weights))
    return array


def _taps(size: int, wanted: int, interpolation: str, smooth: bool) -> tuple:
    """For each of the samples that a new one is made of: where they are, what they weigh."""
    ratio = size / wanted
    middle = (np.arange(wanted) + 0.5) * ratio
    if interpolation == "nearest":
        return np.floor(middle).astype(int)[None], np.ones((1, wanted), "float32")
    if interpolation == "area":
        places = np.floor(middle - ratio / 2) + np.arange(math.ceil(ratio) + 1)[:, None]
        ends = np.minimum(places + 1, middle + ratio / 2), np.maximum(places, middle - ratio / 2)
        weights = np.maximum(ends[0] - ends[1], 0)
    else:
        reach, kernel = _KERNELS[interpolation]
        stretch = max(ratio, 1) if smooth else 1
        first = np.floor(middle - 0.5 - reach * stretch) + 1
        places = first + np.arange(math.ceil(2 * reach * stretch))[:, None]
        distance = abs(places + 0.5 - middle) / stretch
        weights = np.where(distance < reach, kernel(distance), 0)
    weights = np.where((places >= 0) & (places < size), weights, 0)
    places = np.clip(places, 0, size - 1).astype(int)
    return places, (weights / weights.sum(0)).astype("float32")
