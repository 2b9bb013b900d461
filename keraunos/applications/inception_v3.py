"""Public `keras.applications.inception_v3`; and what InceptionResNetV2 shares with it."""

from collections.abc import Sequence
from typing import Any

from keraunos import layers
from keraunos.applications.assembly import FOLDER, Parts, channels, normalized, plain, pooled
from keraunos.applications.files import KERNELS
from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.core.graph import KerasTensor

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]

# A branch is a row of steps: "mean" and "max" pool; `(filters, size)` is a convolution, with a
# third element 2 one that halves the sides; a dict `{name: branches}` is where it parts.
Branches = Sequence[Sequence[Any]]
_ROW, _COLUMN = (1, 7), (7, 1)


def convolution(
    x: KerasTensor, filters: int, size: Any, stride: int = 1, padding: str | None = None, name=None
) -> KerasTensor:
    """A convolution, normalization and ReLU."""
    named = lambda ending: name and f"{name}{ending}"
    padding = padding or ("same" if stride == 1 else "valid")
    x = layers.Conv2D(filters, size, stride, padding, use_bias=False, name=name)(x)
    x = normalized(x, named("_bn"), 3, scale=False)
    return layers.Activation("relu", name=named("_ac"))(x)


def mixed(x: KerasTensor, branches: Branches, name: str | None) -> KerasTensor:
    """All branches from `x`, joined."""
    return layers.Concatenate(axis=channels(3), name=name)([_walk(x, steps) for steps in branches])


def _walk(x: KerasTensor, steps: Sequence[Any]) -> KerasTensor:
    for step in steps:
        if step == "mean":
            x = layers.AveragePooling2D(3, 1, "same")(x)
        elif step == "max":
            x = layers.MaxPooling2D(3, 2)(x)
        elif isinstance(step, dict):
            ((name, branches),) = step.items()
            x = mixed(x, branches, name)
        else:
            x = convolution(x, *step)
    return x


def stem(x: KerasTensor) -> KerasTensor:
    """From an image to an eighth of its sides and 192 channels."""
    x = convolution(x, 32, 3, 2)
    x = convolution(x, 32, 3, padding="valid")
    x = layers.MaxPooling2D(3, 2)(convolution(x, 64, 3))
    x = convolution(x, 80, 1, padding="valid")
    return layers.MaxPooling2D(3, 2)(convolution(x, 192, 3, padding="valid"))


def fine(single: int, mean: int) -> Branches:
    """The first branches after the stem."""
    double = [(64, 1), (96, 3), (96, 3)]
    return [[(single, 1)], [(48, 1), (64, 5)], double, ["mean", (mean, 1)]]


def _middle(n: int) -> Branches:
    double = [(n, 1), (n, _COLUMN), (n, _ROW), (n, _COLUMN), (192, _ROW)]
    return [[(192, 1)], [(n, 1), (n, _ROW), (192, _COLUMN)], double, ["mean", (192, 1)]]


def _coarse(part: str) -> Branches:
    parted = [[(384, (1, 3))], [(384, (3, 1))]]
    single, double = [(384, 1), {part: parted}], [(448, 1), (384, 3), {None: parted}]
    return [[(320, 1)], single, double, ["mean", (192, 1)]]


_SEVEN = [(192, 1), (192, _ROW), (192, _COLUMN), (192, 3, 2)]
_MIXED: list[Branches] = [
    *[fine(64, n) for n in (32, 64, 64)],
    [[(384, 3, 2)], [(64, 1), (96, 3), (96, 3, 2)], ["max"]],
    *[_middle(n) for n in (128, 160, 160, 192)],
    [[(192, 1), (320, 3, 2)], _SEVEN, ["max"]],
    *[_coarse(f"mixed9_{i}") for i in range(2)],
]


def _body(x: KerasTensor) -> KerasTensor:
    x = stem(x)
    for i, branches in enumerate(_MIXED):
        x = mixed(x, branches, f"mixed{i}")
    return x


InceptionV3 = plain(
    "InceptionV3",
    "inception_v3",
    "Branches of small convolutions side by side. arXiv:1512.00567",
    Parts(_body, f"{FOLDER}inception_v3/inception_v3{KERNELS}", 299, 75, pool=pooled),
)
preprocess_input = preprocessing("tf")
