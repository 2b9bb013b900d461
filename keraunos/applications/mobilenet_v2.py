"""Public `keras.applications.mobilenet_v2`. arXiv:1801.04381"""

import functools
from typing import Any

from keraunos import layers
from keraunos.applications import assembly
from keraunos.applications.assembly import (
    FOLDER,
    Parts,
    around,
    constructor,
    depth,
    pooled,
    rounded,
    sides,
    unnamed_classifier,
)
from keraunos.applications.files import KERNELS
from keraunos.applications.imagenet_utils import decode_predictions
from keraunos.applications.mobilenet import preprocess_input, square, trained
from keraunos.core.graph import KerasTensor

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

_SIZES = (96, 128, 160, 192, 224)
# Of each stage: filters, blocks, stride of the first.
_STAGES = [(16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)]

normalized = functools.partial(assembly.normalized, momentum=0.999)


def pointwise(x: KerasTensor, filters: int, name: str, use_bias: bool = False) -> KerasTensor:
    """A 1x1 convolution."""
    return layers.Conv2D(filters, 1, padding="same", use_bias=use_bias, name=name)(x)


def depthwise(x: KerasTensor, kernel: int, stride: int, name: str, pad: str) -> KerasTensor:
    """A depthwise convolution; one that halves the sides has its zeros from a layer `pad`."""
    padding = "same"
    if stride == 2:
        x, padding = layers.ZeroPadding2D(around(x, kernel), name=pad)(x), "valid"
    return layers.DepthwiseConv2D(kernel, stride, padding, use_bias=False, name=name)(x)


def _block(x: KerasTensor, filters: int, stride: int, name: str) -> KerasTensor:
    """Six times wider, filtered in space, narrow again; added to the input if it has the shape."""
    start = x
    if name != "expanded_conv":
        x = normalized(pointwise(x, 6 * depth(x), f"{name}_expand"), f"{name}_expand_BN")
        x = layers.ReLU(6.0, name=f"{name}_expand_relu")(x)
    x = depthwise(x, 3, stride, f"{name}_depthwise", f"{name}_pad")
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(normalized(x, f"{name}_depthwise_BN"))
    x = normalized(pointwise(x, filters, f"{name}_project"), f"{name}_project_BN")
    same = stride == 1 and depth(start) == filters
    return layers.Add(name=f"{name}_add")([start, x]) if same else x


@constructor("MobileNetV2", "Residual blocks between narrow layers. arXiv:1801.04381")
def MobileNetV2(
    input_shape: Any = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Parts:
    trained("MobileNetV2", weights, "alpha", alpha, (0.35, 0.5, 0.75, 1.0, 1.3, 1.4))

    def body(x):
        conv = layers.Conv2D(rounded(32 * alpha), 3, 2, "same", use_bias=False, name="Conv1")
        x = layers.ReLU(6.0, name="Conv1_relu")(normalized(conv(x), "bn_Conv1"))
        number = 0
        for filters, count, stride in _STAGES:
            for i in range(count):
                block = f"block_{number}" if number else "expanded_conv"
                x = _block(x, rounded(int(filters * alpha)), 1 if i else stride, block)
                number += 1
        last = rounded(1280 * alpha) if alpha > 1 else 1280
        x = layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
        return layers.ReLU(6.0, name="out_relu")(normalized(x, "Conv_1_bn"))

    def file(shape):
        size = square("MobileNetV2", shape, _SIZES)
        return f"{FOLDER}mobilenet_v2/mobilenet_v2{KERNELS}_{float(alpha)}_{size}"

    named = lambda shape: f"mobilenetv2_{alpha:.2f}_{sides(shape)[0]}"
    how = {"top": unnamed_classifier, "pool": pooled, "name": named}
    return Parts(body, file, no_top="_no_top", sizes=_SIZES, **how)
