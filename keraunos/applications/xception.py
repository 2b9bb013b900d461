"""Public `keras.applications.xception`. arXiv:1610.02357"""

from keraunos import layers
from keraunos.applications.assembly import FOLDER, Parts, depth, normalized, plain, pooled
from keraunos.applications.files import KERNELS
from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.core.graph import KerasTensor

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

# Of each block: the filters of its separable convolutions. One that changes the number of
# channels also halves the sides.
_BLOCKS = [(128, 128), (256, 256), (728, 728), *[(728, 728, 728)] * 8, (728, 1024)]


def _relu(x: KerasTensor, name: str) -> KerasTensor:
    return layers.Activation("relu", name=f"{name}_act")(x)


def _separable(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return normalized(x, f"{name}_bn")


def _body(x: KerasTensor) -> KerasTensor:
    for name, filters, stride in (("block1_conv1", 32, 2), ("block1_conv2", 64, 1)):
        x = layers.Conv2D(filters, 3, stride, use_bias=False, name=name)(x)
        x = _relu(normalized(x, f"{name}_bn"), name)
    for block, all_filters in enumerate(_BLOCKS, 2):
        short, last = x, all_filters[-1]
        halving = last != depth(x)
        if halving:
            short = layers.Conv2D(last, 1, 2, padding="same", use_bias=False)(x)
            short = normalized(short)
        for i, filters in enumerate(all_filters, 1):
            name = f"block{block}_sepconv{i}"
            x = x if (block, i) == (2, 1) else _relu(x, name)  # block 1 ends with one
            x = _separable(x, filters, name)
        if halving:
            x = layers.MaxPooling2D(3, 2, padding="same", name=f"block{block}_pool")(x)
        x = layers.Add()([x, short])
    for name, filters in (("block14_sepconv1", 1536), ("block14_sepconv2", 2048)):
        x = _relu(_separable(x, filters, name), name)
    return x


Xception = plain(
    "Xception",
    "xception",
    "Residual blocks of separable convolutions. arXiv:1610.02357",
    Parts(_body, f"{FOLDER}xception/xception{KERNELS}", 299, 71, pool=pooled),
)
preprocess_input = preprocessing("tf")
