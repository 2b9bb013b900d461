"""Public `keras.applications.efficientnet_v2`. arXiv:2104.00298"""

import functools
import math
from typing import Any

from keraunos import layers
from keraunos.applications import efficientnet
from keraunos.applications.assembly import FOLDER, Parts, channels, constructor, depth, rounded
from keraunos.applications.efficientnet import (
    DEVIATION,
    added,
    convolution,
    depthwise,
    named,
    top,
    weighed,
)
from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.core.graph import KerasTensor
from keraunos.initializers import Constant

__all__ = [
    "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3",
    "EfficientNetV2L", "EfficientNetV2M", "EfficientNetV2S", "decode_predictions",
    "preprocess_input",
]  # fmt: skip

# Of each of up to seven stages. The convolutions of the first three are fused; the blocks of
# the others weigh their channels.
_WIDENING = (1, 4, 4, 4, 6, 6, 6)  # how many times wider a block is within than at its ends
_STRIDES = (1, 2, 2, 2, 1, 2, 1)

_normalized = functools.partial(efficientnet.normalized, momentum=0.9)


def _block(
    x: KerasTensor, filters: int, widening: int, stride: int, fused: bool, rate: float, name: str
) -> KerasTensor:
    start, wide = x, depth(x) * widening
    if widening != 1:
        kernel, step = (3, stride) if fused else (1, 1)
        x = convolution(x, wide, kernel, f"{name}_expand_conv", strides=step)
        x = _normalized(x, f"{name}_expand_bn", f"{name}_expand_activation")
    if not fused:
        x = depthwise(x, 3, stride, "same", f"{name}_dwconv2")
        x = _normalized(x, f"{name}_bn", f"{name}_activation")
        x = weighed(x, max(1, depth(start) // 4), name)
    alone = fused and widening == 1
    kernel, step = (3, stride) if alone else (1, 1)
    x = convolution(x, filters, kernel, f"{name}_project_conv", strides=step)
    x = _normalized(x, f"{name}_project_bn", f"{name}_project_activation" if alone else None)
    return added(x, start, rate, name) if stride == 1 and depth(start) == filters else x


def _v2(kind: str, blocks: Any, filters: Any, size: int, width: float = 1.0, deeper: float = 1.0):
    """`width` and `deeper` are how many times `filters` and `blocks` there are."""
    title, model_name = f"EfficientNetV2{kind}", f"efficientnetv2-{kind.lower()}"
    small = kind[0] == "B"
    wide = lambda filters: rounded(filters * width, tolerant=True)

    def body(x):
        x = convolution(x, wide(32 if small else filters[0]), 3, "stem_conv", strides=2)
        x = _normalized(x, "stem_bn", "stem_activation")
        counts, total = [math.ceil(deeper * count) for count in blocks], sum(blocks)
        for i, own, rate, first in named(counts, total):  # of B0's blocks, as Keras has it
            stride = _STRIDES[i] if first else 1
            x = _block(x, wide(filters[i]), _WIDENING[i], stride, i < 3, rate, own)
        x = convolution(x, wide(1280), 1, "top_conv")
        return _normalized(x, "top_bn", "top_activation")

    def scaled(x, weights):
        if not small:
            return layers.Rescaling(1.0 / 128.0, -1)(x)
        mean, variance = [0.485, 0.456, 0.406], [deviation**2 for deviation in DEVIATION]
        return layers.Normalization(channels(3), mean, variance)(layers.Rescaling(1.0 / 255)(x))

    @constructor(title, "EfficientNet with plain convolutions first. arXiv:2104.00298")
    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str | None = model_name,
    ) -> Parts:
        scale = scaled if include_preprocessing else None
        end = top(0.2, bias_initializer=Constant(0.0))
        file = f"{FOLDER}efficientnet_v2/{model_name}"
        return Parts(body, file, size, scale=scale, top=end)

    return build


_B = ((1, 2, 2, 3, 5, 8), (16, 32, 48, 96, 112, 192))
_M = (24, 48, 80, 160, 176, 304, 512)
_L = (32, 64, 96, 192, 224, 384, 640)
EfficientNetV2B0 = _v2("B0", *_B, 224)
EfficientNetV2B1 = _v2("B1", *_B, 240, 1.0, 1.1)
EfficientNetV2B2 = _v2("B2", *_B, 260, 1.1, 1.2)
EfficientNetV2B3 = _v2("B3", *_B, 300, 1.2, 1.4)
EfficientNetV2S = _v2("S", (2, 4, 4, 6, 9, 15), (24, 48, 64, 128, 160, 256), 384)
EfficientNetV2M = _v2("M", (3, 5, 5, 7, 14, 18, 5), _M, 480)
EfficientNetV2L = _v2("L", (4, 7, 7, 10, 19, 25, 7), _L, 480)
preprocess_input = preprocessing(None)
