"""Public `keras.applications.mobilenet`; and what all MobileNets share. arXiv:1704.04861"""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from keraunos import layers
from keraunos.applications.assembly import FOLDER, Parts, constructor, normalized, pooled, sides
from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.core.graph import KerasTensor

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

_SIZES = (128, 160, 192, 224)
_ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
# Filters and stride of each pair of a depthwise and a pointwise convolution.
_PAIRS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
_PAIRS += [(1024, 2), (1024, 1)]


def trained(title: str, weights: Any, name: str, value: Any, known: Iterable[Any]) -> None:
    """Refuse values of an argument that no pretrained weights are for, if those are wanted."""
    if weights == "imagenet" and value not in (known := list(known)):
        raise ValueError(
            f"{title}: there are pretrained weights for `{name}` {' or '.join(map(str, known))}, "
            f"got {value!r}. Pass `weights=None` for others."
        )


def square(title: str, shape: tuple, sizes: Sequence[int]) -> int:
    """The size of images among the pretrained `sizes`; 224, and a warning, if it is none."""
    rows, columns = sides(shape)
    if rows == columns and rows in sizes:
        return rows
    warnings.warn(
        f"{title}: there are pretrained weights for square images of "
        f"{', '.join(map(str, sizes))}; for `input_shape` {shape}, those for 224 are loaded.",
        stacklevel=5,
    )
    return 224


@constructor("MobileNet", "Depthwise convolutions, each before a pointwise one. arXiv:1704.04861")
def MobileNet(
    input_shape: Any = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Parts:
    trained("MobileNet", weights, "alpha", alpha, _ALPHAS)
    trained("MobileNet", weights, "depth_multiplier", depth_multiplier, [1])

    def conv(x: KerasTensor, filters: int, name: str, *rest: Any) -> KerasTensor:
        filters = int(filters * alpha)
        args = (filters, *(rest or (1,)))
        return relu(layers.Conv2D(*args, padding="same", use_bias=False, name=name)(x), name)

    def relu(x: KerasTensor, name: str) -> KerasTensor:
        return layers.ReLU(6.0, name=f"{name}_relu")(normalized(x, f"{name}_bn"))

    def body(x):
        x = conv(x, 32, "conv1", 3, 2)
        for i, (filters, stride) in enumerate(_PAIRS, 1):
            padding, own = "same", f"conv_dw_{i}"
            if stride == 2:
                x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{i}")(x)
                padding = "valid"
            args = (3, stride, padding, depth_multiplier)
            x = relu(layers.DepthwiseConv2D(*args, use_bias=False, name=own)(x), own)
            x = conv(x, filters, f"conv_pw_{i}")
        return x

    def top(x, classes, activation):
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Dropout(dropout, name="dropout")(x)
        x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
        x = layers.Reshape((classes,), name="reshape_2")(x)
        return layers.Activation(activation, name="predictions")(x)

    def file(shape):
        size = square("MobileNet", shape, _SIZES)
        return f"{FOLDER}mobilenet/mobilenet_{_ALPHAS[alpha]}_{size}_tf"

    named = lambda shape: f"mobilenet_{alpha:.2f}_{sides(shape)[0]}"
    return Parts(body, file, no_top="_no_top", sizes=_SIZES, top=top, pool=pooled, name=named)


preprocess_input = preprocessing("tf")
