"""Public `keras.applications.vgg16`; and what VGG19 shares with it. arXiv:1409.1556"""

from typing import Any

from keraunos import layers
from keraunos.applications.assembly import FOLDER, Parts, plain, pooled
from keraunos.applications.files import KERNELS
from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.core.graph import KerasTensor

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]


def vgg(title: str, *convolutions: int):
    """The constructor of a VGG with so many convolutions in each of the five blocks."""

    def body(x):
        for block, (count, filters) in enumerate(zip(convolutions, (64, 128, 256, 512, 512)), 1):
            for i in range(count):
                name = f"block{block}_conv{i + 1}"
                x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
            x = layers.MaxPooling2D(2, 2, name=f"block{block}_pool")(x)
        return x

    name = title.lower()
    parts = Parts(body, f"{FOLDER}{name}/{name}{KERNELS}", top=_top, pool=pooled)
    return plain(title, name, "Blocks of 3x3 convolutions, and a large top. arXiv:1409.1556", parts)


def _top(x: KerasTensor, classes: int, activation: Any) -> KerasTensor:
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


VGG16 = vgg("VGG16", 2, 2, 3, 3, 3)
preprocess_input = preprocessing("caffe")
