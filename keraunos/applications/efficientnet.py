"""Public `keras.applications.efficientnet`; and what EfficientNet V2 shares with it."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from keraunos import layers
from keraunos.applications import assembly
from keraunos.applications.assembly import (
    Parts,
    around,
    channels,
    classifier,
    depth,
    plain,
    rounded,
)
from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.core.graph import KerasTensor
from keraunos.initializers import VarianceScaling

__all__ = [
    "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3", "EfficientNetB4",
    "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "decode_predictions", "preprocess_input",
]  # fmt: skip

# Of each of seven stages.
_KERNELS = (3, 3, 5, 3, 5, 5, 3)
_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
_FILTERS = (16, 24, 40, 80, 112, 192, 320)
_WIDENING = (1, 6, 6, 6, 6, 6, 6)  # how many times wider a block is within than at its ends
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
DEVIATION = (0.229, 0.224, 0.225)


def top(dropout: float, **dense: Any):
    """The mean over space, dropout, and scores."""

    def scores(x, classes, activation):
        start = VarianceScaling(1.0 / 3.0, "fan_out", "uniform")
        named = {"dropout": dropout, "kernel_initializer": start}
        return classifier(x, classes, activation, **named, **dense)

    return scores


def convolution(
    x: KerasTensor, filters: int, kernel: int, name: str, padding: str = "same", **kwargs: Any
) -> KerasTensor:
    start = VarianceScaling(2.0, "fan_out", "truncated_normal")
    kwargs = {"use_bias": False, "kernel_initializer": start, "name": name} | kwargs
    return layers.Conv2D(filters, kernel, padding=padding, **kwargs)(x)


def normalized(x: KerasTensor, name: str, activation: str | None = None, **kwargs: Any):
    """Batch normalization, and silu if that has a name."""
    x = assembly.normalized(x, name, 3, **kwargs)
    return layers.Activation("silu", name=activation)(x) if activation else x


def depthwise(x: KerasTensor, kernel: int, stride: int, padding: str, name: str) -> KerasTensor:
    start = VarianceScaling(2.0, "fan_out", "truncated_normal")
    how: dict[str, Any] = {"use_bias": False, "depthwise_initializer": start, "name": name}
    return layers.DepthwiseConv2D(kernel, stride, padding, **how)(x)


def weighed(x: KerasTensor, narrow: int, name: str) -> KerasTensor:
    """Each channel times a number from 0 to 1 that all channels together decide."""
    filters = depth(x)
    y = layers.GlobalAveragePooling2D(name=f"{name}_se_squeeze")(x)
    shape = (1, 1, filters) if channels() == -1 else (filters, 1, 1)
    y = layers.Reshape(shape, name=f"{name}_se_reshape")(y)
    y = convolution(y, narrow, 1, f"{name}_se_reduce", use_bias=True, activation="silu")
    y = convolution(y, filters, 1, f"{name}_se_expand", use_bias=True, activation="sigmoid")
    return layers.Multiply(name=f"{name}_se_excite")([x, y])


def added(x: KerasTensor, start: KerasTensor, rate: float, name: str) -> KerasTensor:
    """A block and its input; the block is dropped from a share of the rows in training."""
    if rate > 0:
        x = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
    return layers.Add(name=f"{name}_add")([x, start])


def _block(
    x: KerasTensor, kernel: int, filters: int, widening: int, stride: int, rate: float, name: str
) -> KerasTensor:
    start = x
    if widening != 1:
        x = convolution(x, depth(x) * widening, 1, f"{name}_expand_conv")
        x = normalized(x, f"{name}_expand_bn", f"{name}_expand_activation")
    if stride == 2:
        x = layers.ZeroPadding2D(around(x, kernel), name=f"{name}_dwconv_pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = depthwise(x, kernel, stride, padding, f"{name}_dwconv")
    x = normalized(x, f"{name}_bn", f"{name}_activation")
    x = weighed(x, max(1, depth(start) // 4), name)
    x = normalized(convolution(x, filters, 1, f"{name}_project_conv"), f"{name}_project_bn")
    return added(x, start, rate, name) if stride == 1 and depth(start) == filters else x


def named(blocks: Sequence[int], total: int) -> Iterator[tuple[int, str, float, bool]]:
    """Of each block: its stage, name, how often it is dropped, whether it is the stage's first."""
    number = 0
    for stage, count in enumerate(blocks):
        for i in range(count):
            yield stage, f"block{stage + 1}{chr(97 + i)}", 0.2 * number / total, i == 0
            number += 1


def _efficientnet(title: str, width: float, deepness: float, size: int, dropout: float):
    """`width` and `deepness` are how many times the filters and blocks of B0 there are."""
    blocks = [math.ceil(deepness * count) for count in _BLOCKS]

    def scale(x, weights):
        x = layers.Normalization(axis=channels(3))(layers.Rescaling(1.0 / 255.0)(x))
        if weights == "imagenet":  # they were trained with the roots of the deviations
            x = layers.Rescaling([1.0 / math.sqrt(deviation) for deviation in DEVIATION])(x)
        return x

    def body(x):
        x = layers.ZeroPadding2D(around(x, 3), name="stem_conv_pad")(x)
        x = convolution(x, rounded(32 * width), 3, "stem_conv", "valid", strides=2)
        x = normalized(x, "stem_bn", "stem_activation")
        for i, name, rate, first in named(blocks, sum(blocks)):
            stride, filters = _STRIDES[i] if first else 1, rounded(_FILTERS[i] * width)
            x = _block(x, _KERNELS[i], filters, _WIDENING[i], stride, rate, name)
        x = convolution(x, rounded(1280 * width), 1, "top_conv")
        return normalized(x, "top_bn", "top_activation")

    name, about = title.lower(), "Width, depth and size of images grow together. arXiv:1905.11946"
    parts = Parts(body, f"keras-applications/{name}", size, scale=scale, top=top(dropout))
    return plain(title, name, about, parts)


EfficientNetB0 = _efficientnet("EfficientNetB0", 1.0, 1.0, 224, 0.2)
EfficientNetB1 = _efficientnet("EfficientNetB1", 1.0, 1.1, 240, 0.2)
EfficientNetB2 = _efficientnet("EfficientNetB2", 1.1, 1.2, 260, 0.3)
EfficientNetB3 = _efficientnet("EfficientNetB3", 1.2, 1.4, 300, 0.3)
EfficientNetB4 = _efficientnet("EfficientNetB4", 1.4, 1.8, 380, 0.4)
EfficientNetB5 = _efficientnet("EfficientNetB5", 1.6, 2.2, 456, 0.4)
EfficientNetB6 = _efficientnet("EfficientNetB6", 1.8, 2.6, 528, 0.5)
EfficientNetB7 = _efficientnet("EfficientNetB7", 2.0, 3.1, 600, 0.5)
preprocess_input = preprocessing(None)
