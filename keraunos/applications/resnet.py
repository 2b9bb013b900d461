"""Public `keras.applications.resnet`; and what ResNet V2 shares with it."""

from keraunos import layers
from keraunos.applications import assembly
from keraunos.applications.assembly import FOLDER, Parts, plain
from keraunos.applications.files import KERNELS
from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.core.graph import KerasTensor

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]


def normalized(x: KerasTensor, name: str, relu: str | None = None) -> KerasTensor:
    """Batch normalization, and ReLU if that has a name."""
    x = assembly.normalized(x, name, 3, epsilon=1.001e-5)
    return layers.Activation("relu", name=relu)(x) if relu else x


def _block(x: KerasTensor, filters: int, name: str, first: bool, stride: int) -> KerasTensor:
    """The residual block of arXiv:1512.03385, after which comes a ReLU."""
    short = x
    if first:
        short = layers.Conv2D(4 * filters, 1, stride, name=f"{name}_0_conv")(x)
        short = normalized(short, f"{name}_0_bn")
    x = layers.Conv2D(filters, 1, stride, name=f"{name}_1_conv")(x)
    x = normalized(x, f"{name}_1_bn", f"{name}_1_relu")
    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x)
    x = normalized(x, f"{name}_2_bn", f"{name}_2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    x = layers.Add(name=f"{name}_add")([short, normalized(x, f"{name}_3_bn")])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _block_v2(x: KerasTensor, filters: int, name: str, first: bool, stride: int) -> KerasTensor:
    """The residual block of arXiv:1603.05027: normalization and ReLU come before."""
    active = normalized(x, f"{name}_preact_bn", f"{name}_preact_relu")
    if first:
        short = layers.Conv2D(4 * filters, 1, stride, name=f"{name}_0_conv")(active)
    else:
        short = layers.MaxPooling2D(1, stride)(x) if stride > 1 else x
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(active)
    x = normalized(x, f"{name}_1_bn", f"{name}_1_relu")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = layers.Conv2D(filters, 3, stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = normalized(x, f"{name}_2_bn", f"{name}_2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    return layers.Add(name=f"{name}_out")([short, x])


def resnet(title: str, *blocks: int):
    """The constructor of a ResNet with so many residual blocks in each of the four stages."""
    name, v2 = title.lower(), title.endswith("V2")
    block = _block_v2 if v2 else _block

    def body(x):
        x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
        x = layers.Conv2D(64, 7, 2, name="conv1_conv")(x)
        x = x if v2 else normalized(x, "conv1_bn", "conv1_relu")
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
        for stage, count in enumerate(blocks):
            halving = (count - 1 if stage < 3 else None) if v2 else (0 if stage else None)
            for i in range(count):
                own, stride = f"conv{stage + 2}_block{i + 1}", 2 if i == halving else 1
                x = block(x, 64 * 2**stage, own, i == 0, stride)
        return normalized(x, "post_bn", "post_relu") if v2 else x

    about = f"Residual blocks. arXiv:{'1603.05027' if v2 else '1512.03385'}"
    return plain(title, name, about, Parts(body, f"{FOLDER}resnet/{name}{KERNELS}"))


ResNet50 = resnet("ResNet50", 3, 4, 6, 3)
ResNet101 = resnet("ResNet101", 3, 4, 23, 3)
ResNet152 = resnet("ResNet152", 3, 8, 36, 3)
preprocess_input = preprocessing("caffe")
