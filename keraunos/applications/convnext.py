"""Public `keras.applications.convnext`. arXiv:2201.03545"""

from typing import Any

from keraunos import layers
from keraunos.applications.assembly import FOLDER, Parts, constructor, depth, pooled
from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.core.fields import Positive, fields, owned
from keraunos.core.graph import KerasTensor
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.initializers import Constant
from keraunos.models import Sequential

__all__ = [
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "decode_predictions",
    "preprocess_input",
]

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@export("applications.LayerScale")
@fields
class LayerScale(layers.Layer):
    """Multiply each channel by a number of its own. arXiv:2103.17239

    Args:
        init_values: Where the numbers start.
        projection_dim: How many channels there are.
    """

    init_values: float
    projection_dim: Positive

    gamma: Variable = owned()

    def build(self, input_shape):
        self.gamma = self.add_weight((self.projection_dim,), Constant(self.init_values))

    def call(self, x):
        return x * self.gamma


def _normalization(name: str | None = None) -> layers.Layer:
    return layers.LayerNormalization(epsilon=1e-6, name=name)


def _block(x: KerasTensor, name: str) -> KerasTensor:
    filters = depth(x)
    conv = layers.Conv2D(filters, 7, padding="same", groups=filters, name=f"{name}_depthwise_conv")
    y = _normalization(f"{name}_layernorm")(conv(x))
    y = layers.Dense(4 * filters, name=f"{name}_pointwise_conv_1")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    y = layers.Dense(filters, name=f"{name}_pointwise_conv_2")(y)
    y = LayerScale(1e-6, filters, name=f"{name}_layer_scale")(y)
    return x + layers.Activation("linear", name=f"{name}_identity")(y)


def _convnext(kind: str, blocks: int, *filters: int):
    """`blocks` is how many there are in the third of four stages; each other has three."""
    title, model_name = f"ConvNeXt{kind}", f"convnext_{kind.lower()}"

    @constructor(title, "Residual blocks with the habits of transformers. arXiv:2201.03545")
    def build(
        include_top: bool = True,
        include_preprocessing: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str | None = model_name,
    ) -> Parts:
        def scale(x, weights):
            mean, variance = [255 * m for m in _MEAN], [(255 * d) ** 2 for d in _DEVIATION]
            own = f"{name}_prestem_normalization"
            return layers.Normalization(mean=mean, variance=variance, name=own)(x)

        def body(x):
            steps = [
                layers.Conv2D(filters[0], 4, 4, name=f"{name}_stem_conv"),
                _normalization(f"{name}_stem_layernorm"),
            ]
            x = Sequential(steps, name=f"{name}_stem")(x)
            for stage, count in enumerate((3, 3, blocks, 3)):
                if stage:
                    own, end = f"{name}_downsampling", f"_{stage - 1}"
                    steps = [
                        _normalization(f"{own}_layernorm{end}"),
                        layers.Conv2D(filters[stage], 2, 2, name=f"{own}_conv{end}"),
                    ]
                    x = Sequential(steps, name=f"{own}_block{end}")(x)
                for i in range(count):
                    x = _block(x, f"{name}_stage_{stage}_block_{i}")
            return x

        def top(x, classes, activation):
            x = layers.GlobalAveragePooling2D(name=f"{name}_head_gap")(x)
            x = _normalization(f"{name}_head_layernorm")(x)
            return layers.Dense(classes, activation=activation, name=f"{name}_head_dense")(x)

        pool = lambda x, pooling: _normalization()(pooled(x, pooling))
        how = {"last_only": True, "top": top, "pool": pool}
        how |= {"scale": scale} if include_preprocessing else {}
        return Parts(body, f"{FOLDER}convnext/{model_name}", **how)

    return build


ConvNeXtTiny = _convnext("Tiny", 9, 96, 192, 384, 768)
ConvNeXtSmall = _convnext("Small", 27, 96, 192, 384, 768)
ConvNeXtBase = _convnext("Base", 27, 128, 256, 512, 1024)
ConvNeXtLarge = _convnext("Large", 27, 192, 384, 768, 1536)
ConvNeXtXLarge = _convnext("XLarge", 27, 256, 512, 1024, 2048)
preprocess_input = preprocessing(None)
