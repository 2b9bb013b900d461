"""Public `keras.applications.densenet`. arXiv:1608.06993"""

from keraunos import layers
from keraunos.applications.assembly import FOLDER, Parts, depth, plain
from keraunos.applications.files import KERNELS
from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.applications.resnet import normalized
from keraunos.core.graph import KerasTensor

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]


def _conv(x: KerasTensor, filters: int, kernel: int, name: str, stride: int = 1) -> KerasTensor:
    padding = "same" if (kernel, stride) == (3, 1) else "valid"
    return layers.Conv2D(filters, kernel, stride, padding, use_bias=False, name=name)(x)


def _densenet(title: str, *blocks: int):
    def body(x):
        x = _conv(layers.ZeroPadding2D(3)(x), 64, 7, "conv1_conv", 2)
        x = normalized(x, "conv1_bn", "conv1_relu")
        x = layers.MaxPooling2D(3, 2, name="pool1")(layers.ZeroPadding2D(1)(x))
        for stage, count in enumerate(blocks, 2):
            for i in range(count):
                own = f"conv{stage}_block{i + 1}"
                y = normalized(x, f"{own}_0_bn", f"{own}_0_relu")
                y = _conv(y, 128, 1, f"{own}_1_conv")
                y = normalized(y, f"{own}_1_bn", f"{own}_1_relu")
                y = _conv(y, 32, 3, f"{own}_2_conv")
                x = layers.Concatenate(axis=3, name=f"{own}_concat")([x, y])
            if stage < 5:
                x = normalized(x, f"pool{stage}_bn", f"pool{stage}_relu")
                x = _conv(x, depth(x) // 2, 1, f"pool{stage}_conv")
                x = layers.AveragePooling2D(2, 2, name=f"pool{stage}_pool")(x)
        return normalized(x, "bn", "relu")

    name, about = title.lower(), "Each layer sees what all before it in its block made."
    parts = Parts(body, f"{FOLDER}densenet/{name}{KERNELS}", last_only=True)
    return plain(title, name, f"{about} arXiv:1608.06993", parts)


DenseNet121 = _densenet("DenseNet121", 6, 12, 24, 16)
DenseNet169 = _densenet("DenseNet169", 6, 12, 32, 32)
DenseNet201 = _densenet("DenseNet201", 6, 12, 48, 32)
preprocess_input = preprocessing("torch")
