"""Public `keras.applications.nasnet`. arXiv:1707.07012"""

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
    unnamed_classifier,
)
from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.core.graph import KerasTensor
from keraunos.core.naming import name_scope

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]

_PLAIN: dict[str, Any] = {"use_bias": False, "kernel_initializer": "he_normal"}
_normalized = functools.partial(assembly.normalized, momentum=0.9997)


def _relu(x: KerasTensor, name: str | None = None) -> KerasTensor:
    return layers.Activation("relu", name=name)(x)


def _conv(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    return layers.Conv2D(filters, 1, padding="same", name=name, **_PLAIN)(x)


def _separable(x: KerasTensor, filters: int, kernel: int, name: str, stride: int = 1):
    """Two separable convolutions, each between a ReLU and a normalization."""
    with name_scope(f"separable_conv_block_{name}"):
        x = _relu(x)
        padding = "same"
        if stride == 2:
            pad = f"separable_conv_1_pad_{name}"
            x, padding = layers.ZeroPadding2D(around(x, kernel), name=pad)(x), "valid"
        for i, (step, how) in enumerate([(stride, padding), (1, "same")], 1):
            x = _relu(x) if i == 2 else x
            own = f"separable_conv_{i}_{name}"
            x = layers.SeparableConv2D(filters, kernel, step, how, use_bias=False, name=own)(x)
            x = _normalized(x, f"separable_conv_{i}_bn_{name}")
        return x


def _adjusted(previous: KerasTensor | None, x: KerasTensor, filters: int, cell: str):
    """The output of the cell before the last, with the size of `x` and so many filters."""
    if previous is None:
        return x
    p = previous
    with name_scope("adjust_block"):
        if p.shape[1:3] != x.shape[1:3]:
            with name_scope(f"adjust_reduction_block_{cell}"):
                p = _relu(p, f"adjust_relu_1_{cell}")
                shifted = layers.ZeroPadding2D(((0, 1), (0, 1)))(p)
                shifted = layers.Cropping2D(((1, 0), (1, 0)))(shifted)
                halves = []
                for i, half in enumerate((p, shifted), 1):
                    half = layers.AveragePooling2D(1, 2, name=f"adjust_avg_pool_{i}_{cell}")(half)
                    halves.append(_conv(half, filters // 2, f"adjust_conv_{i}_{cell}"))
                return _normalized(layers.Concatenate()(halves), f"adjust_bn_{cell}")
        if depth(p) != filters:
            with name_scope(f"adjust_projection_block_{cell}"):
                p = _conv(_relu(p), filters, f"adjust_conv_projection_{cell}")
                return _normalized(p, f"adjust_bn_{cell}")
    return p


def _normal(x: KerasTensor, previous: KerasTensor | None, filters: int, cell: str) -> KerasTensor:
    """The cell that keeps the size."""
    mean = lambda y, name: layers.AveragePooling2D(3, 1, "same", name=f"normal_{name}_{cell}")(y)
    separable = lambda y, kernel, name: _separable(y, filters, kernel, f"normal_{name}_{cell}")
    with name_scope(f"normal_A_block_{cell}"):
        p = _adjusted(previous, x, filters, cell)
        h = _conv(_relu(x), filters, f"normal_conv_1_{cell}")
        h = _normalized(h, f"normal_bn_1_{cell}")
        pairs = [
            lambda: [separable(h, 5, "left1"), separable(p, 3, "right1")],
            lambda: [separable(p, 5, "left2"), separable(p, 3, "right2")],
            lambda: [mean(h, "left3"), p],
            lambda: [mean(p, "left4"), mean(p, "right4")],
            lambda: [separable(h, 3, "left5"), h],
        ]
        parts = [p]
        for i, pair in enumerate(pairs, 1):
            with name_scope(f"block_{i}"):
                parts.append(layers.Add(name=f"normal_add_{i}_{cell}")(pair()))
        return layers.Concatenate(name=f"normal_concat_{cell}")(parts)


def _reduction(
    x: KerasTensor, previous: KerasTensor | None, filters: int, cell: str
) -> KerasTensor:
    """The cell that halves the sides."""
    named = lambda name: f"reduction_{name}_{cell}"
    halving = lambda y, kernel, name: _separable(y, filters, kernel, named(name), 2)
    with name_scope(f"reduction_A_block_{cell}"):
        p = _adjusted(previous, x, filters, cell)
        h = _normalized(_conv(_relu(x), filters, named("conv_1")), named("bn_1"))
        wide = layers.ZeroPadding2D(around(h, 3), name=named("pad_1"))(h)
        with name_scope("block_1"):
            pair = [halving(h, 5, "left1"), halving(p, 7, "right1")]
            a = layers.Add(name=named("add_1"))(pair)
        with name_scope("block_2"):
            pair = [layers.MaxPooling2D(3, 2, name=named("left2"))(wide), halving(p, 7, "right2")]
            b = layers.Add(name=named("add_2"))(pair)
        with name_scope("block_3"):
            pair = [
                layers.AveragePooling2D(3, 2, name=named("left3"))(wide),
                halving(p, 5, "right3"),
            ]
            c = layers.Add(name=named("add3"))(pair)
        with name_scope("block_4"):
            d = layers.Add()([b, layers.AveragePooling2D(3, 1, "same", name=named("left4"))(a)])
        with name_scope("block_5"):
            left = _separable(a, filters, 3, named("left4"))
            e = layers.Add(name=named("add4"))(
                [left, layers.MaxPooling2D(3, 2, name=named("right5"))(wide)]
            )
        return layers.Concatenate(name=named("concat"))([b, c, d, e])


def _nasnet(title: str, size: int, cells: int, stem: int, filters: int, skips: bool):
    kind = title.removeprefix("NASNet").lower()

    def body(x):
        x = layers.Conv2D(stem, 3, 2, name="stem_conv1", **_PLAIN)(x)
        x, p = _normalized(x, "stem_bn1"), None
        x, p = _reduction(x, p, filters // 4, "stem_1"), x
        x, p = _reduction(x, p, filters // 2, "stem_2"), x
        for stage in range(3):
            if stage:
                reduced = _reduction(x, p, filters * 2**stage, f"reduce_{stage * cells}")
                x, p = reduced, p if skips else x
            for i in range(cells):
                cell = str(stage * cells + min(stage, 1) + i)
                x, p = _normal(x, p, filters * 2**stage, cell), x
        return _relu(x)

    @constructor(title, "Cells found by search. arXiv:1707.07012")
    def build(
        input_shape: Any = None,
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str | None = f"nasnet_{kind}",
    ) -> Parts:
        how = {"top": unnamed_classifier, "pool": pooled, "fixed": True, "last_only": True}
        return Parts(body, f"{FOLDER}nasnet/NASNet-{kind}", size, no_top="-no-top", **how)

    return build


NASNetMobile = _nasnet("NASNetMobile", 224, 4, 32, 44, skips=False)
NASNetLarge = _nasnet("NASNetLarge", 331, 6, 96, 168, skips=True)
preprocess_input = preprocessing("tf")
