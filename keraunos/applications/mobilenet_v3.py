"""Public `keras.applications.mobilenet_v3`. arXiv:1905.02244"""

from typing import Any

from keraunos import layers
from keraunos.applications.assembly import FOLDER, Parts, constructor, depth, rounded
from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.applications.mobilenet import square, trained
from keraunos.applications.mobilenet_v2 import depthwise, normalized, pointwise
from keraunos.core.graph import KerasTensor

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]

# Of each block: by how much it widens its input, filters, kernel, stride, whether it weighs
# its channels, whether its activation is hard_silu, not relu.
_Row = tuple[float, int, int, int, bool, bool]
_SMALL: list[_Row] = [
    (1, 16, 3, 2, True, False),
    (72 / 16, 24, 3, 2, False, False),
    (88 / 24, 24, 3, 1, False, False),
    (4, 40, 5, 2, True, True),
    *[(6, 40, 5, 1, True, True)] * 2,
    *[(3, 48, 5, 1, True, True)] * 2,
    (6, 96, 5, 2, True, True),
    *[(6, 96, 5, 1, True, True)] * 2,
]
_LARGE: list[_Row] = [
    (1, 16, 3, 1, False, False),
    (4, 24, 3, 2, False, False),
    (3, 24, 3, 1, False, False),
    (3, 40, 5, 2, True, False),
    *[(3, 40, 5, 1, True, False)] * 2,
    (6, 80, 3, 2, False, True),
    (2.5, 80, 3, 1, False, True),
    *[(2.3, 80, 3, 1, False, True)] * 2,
    *[(6, 112, 3, 1, True, True)] * 2,
    (6, 160, 5, 2, True, True),
    *[(6, 160, 5, 1, True, True)] * 2,
]


def _active(x: KerasTensor, hard: bool) -> KerasTensor:
    return (layers.Activation("hard_silu") if hard else layers.ReLU())(x)


def _weighed(x: KerasTensor, name: str) -> KerasTensor:
    """Each channel times a number from 0 to 1 that all channels together decide."""
    y: Any = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_avg_pool")(x)
    y = pointwise(y, rounded(depth(x) * 0.25), f"{name}_conv", use_bias=True)
    y = layers.ReLU(name=f"{name}_relu")(y)
    y = pointwise(y, depth(x), f"{name}_conv_1", use_bias=True)
    return layers.Multiply(name=f"{name}_mul")([x, layers.ReLU(6.0)(y + 3.0) * (1.0 / 6.0)])


def _block(x: KerasTensor, row: _Row, alpha: float, name: str) -> KerasTensor:
    widening, filters, kernel, stride, weighs, hard = row
    start, filters = x, rounded(filters * alpha)
    if name != "expanded_conv":
        x = pointwise(x, rounded(depth(x) * widening), f"{name}_expand")
        x = _active(normalized(x, f"{name}_expand_bn"), hard)
    x = depthwise(x, kernel, stride, f"{name}_depthwise", f"{name}_depthwise_pad")
    x = _active(normalized(x, f"{name}_depthwise_bn"), hard)
    x = _weighed(x, f"{name}_squeeze_excite") if weighs else x
    x = normalized(pointwise(x, filters, f"{name}_project"), f"{name}_project_bn")
    same = stride == 1 and depth(start) == filters
    return layers.Add(name=f"{name}_add")([start, x]) if same else x


def _v3(title: str, all_rows: list[_Row], last: int):
    @constructor(title, "Residual blocks that weigh their channels. arXiv:1905.02244")
    def build(
        input_shape: Any = None,
        alpha: float = 1.0,
        minimalistic: bool = False,
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        classes: int = 1000,
        pooling: str | None = None,
        dropout_rate: float = 0.2,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str | None = title,
    ) -> Parts:
        trained(title, weights, "alpha", alpha, (1.0,) if minimalistic else (0.75, 1.0))
        hard, rows = not minimalistic, all_rows
        if minimalistic:
            rows = [(*row[:2], 3, row[3], False, False) for row in all_rows]

        def scale(x, weights):
            return layers.Rescaling(1.0 / 127.5, offset=-1.0)(x) if include_preprocessing else x

        def body(x):
            x = layers.Conv2D(16, 3, 2, padding="same", use_bias=False, name="conv")(x)
            x = _active(normalized(x, "conv_bn"), hard)
            for i, row in enumerate(rows):
                x = _block(x, row, alpha, f"expanded_conv_{i}" if i else "expanded_conv")
            x = pointwise(x, rounded(depth(x) * 6), "conv_1")
            return _active(normalized(x, "conv_1_bn"), hard)

        def top(x, classes, activation):
            x = layers.GlobalAveragePooling2D(keepdims=True)(x)
            wide = rounded(last * alpha) if alpha > 1 else last
            x = _active(pointwise(x, wide, "conv_2", use_bias=True), hard)
            x = layers.Dropout(dropout_rate)(x) if dropout_rate > 0 else x
            x = layers.Flatten()(pointwise(x, classes, "logits", use_bias=True))
            return layers.Activation(activation, name="predictions")(x)

        def file(shape):
            kind = title.removeprefix("MobileNetV3").lower() + "_minimalistic" * minimalistic
            size = square(title, shape, [224])
            return f"{FOLDER}mobilenet_v3/weights_mobilenet_v3_{kind}_{size}_{float(alpha)}_float"

        return Parts(body, file, no_top="_no_top_v2", fixed=False, scale=scale, top=top)

    return build


MobileNetV3Small = _v3("MobileNetV3Small", _SMALL, 1024)
MobileNetV3Large = _v3("MobileNetV3Large", _LARGE, 1280)
preprocess_input = preprocessing(None)
