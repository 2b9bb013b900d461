"""Public `keras.applications.inception_resnet_v2`. arXiv:1602.07261"""

from keraunos import layers
from keraunos.applications.assembly import FOLDER, Parts, depth, plain, pooled
from keraunos.applications.files import KERNELS
from keraunos.applications.imagenet_utils import decode_predictions
from keraunos.applications.inception_v3 import (
    Branches,
    convolution,
    fine,
    mixed,
    preprocess_input,
    stem,
)
from keraunos.core.fields import fields
from keraunos.core.graph import KerasTensor
from keraunos.core.registry import export

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]


@export("applications.CustomScaleLayer")
@fields
class CustomScaleLayer(layers.Layer):
    """The first of two inputs plus `scale` times the second."""

    scale: float

    def call(self, inputs):
        return inputs[0] + inputs[1] * self.scale


# Of each stage: the branches that lead to it, and their name; the name of its residual blocks,
# how many there are, how much each adds, and its branches.
_STAGES: list[tuple[Branches, str, str, int, float, Branches]] = [
    (
        fine(96, 64),
        "mixed_5b",
        *("block35", 10, 0.17),
        [[(32, 1)], [(32, 1), (32, 3)], [(32, 1), (48, 3), (64, 3)]],
    ),
    (
        [[(384, 3, 2)], [(256, 1), (256, 3), (384, 3, 2)], ["max"]],
        "mixed_6a",
        *("block17", 20, 0.1),
        [[(192, 1)], [(128, 1), (160, (1, 7)), (192, (7, 1))]],
    ),
    (
        [
            *[[(256, 1), *row] for row in ([(384, 3, 2)], [(288, 3, 2)], [(288, 3), (320, 3, 2)])],
            ["max"],
        ],
        "mixed_7a",
        *("block8", 10, 0.2),
        [[(192, 1)], [(192, 1), (224, (1, 3)), (256, (3, 1))]],
    ),
]


def _body(x: KerasTensor) -> KerasTensor:
    x = stem(x)
    for before, joined, block, count, scale, branches in _STAGES:
        x = mixed(x, before, joined)
        for i in range(1, count + 1):
            name, final = f"{block}_{i}", (block, i) == ("block8", count)
            up = mixed(x, branches, f"{name}_mixed")
            up = layers.Conv2D(depth(x), 1, padding="same", name=f"{name}_conv")(up)
            x = CustomScaleLayer(1.0 if final else scale)([x, up])
            x = x if final else layers.Activation("relu", name=f"{name}_ac")(x)
    return convolution(x, 1536, 1, name="conv_7b")


InceptionResNetV2 = plain(
    "InceptionResNetV2",
    "inception_resnet_v2",
    "Inception's branches in residual blocks. arXiv:1602.07261",
    Parts(_body, f"{FOLDER}inception_resnet_v2/inception_resnet_v2{KERNELS}", 299, 75, pool=pooled),
)
