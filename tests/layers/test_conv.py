"""Convolution layers against Keras: outputs, gradients, shapes, messages."""

import inspect

import keras
import numpy as np
import pytest

import keraunos
from tests.oracle import same_layer

SPACE = {1: (7,), 2: (6, 5), 3: (4, 5, 4)}


def data(rng, rank, channels=2, first=False, space=None):
    space = space or SPACE[rank]
    shape = (2, channels, *space) if first else (2, *space, channels)
    return rng.normal(size=shape).astype("float32")


CONV = [
    (1, {"filters": 3, "kernel_size": 3}),
    (
        1,
        {
            "filters": 3,
            "kernel_size": 2,
            "padding": "causal",
            "dilation_rate": 2,
            "activation": "relu",
        },
    ),
    (1, {"filters": 3, "kernel_size": 3, "padding": "causal", "strides": 2}),
    (1, {"filters": 4, "kernel_size": 2, "padding": "causal", "data_format": "channels_first"}),
    (1, {"filters": 4, "kernel_size": 3, "groups": 2, "padding": "same", "use_bias": False}),
    (2, {"filters": 3, "kernel_size": (3, 2), "padding": "same"}),
    (2, {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}),
    (2, {"filters": 3, "kernel_size": 3, "strides": (2, 1)}),
    (2, {"filters": 4, "kernel_size": 3, "groups": 2, "strides": 2, "padding": "same"}),
    (2, {"filters": 4, "kernel_size": 2, "groups": 2, "dilation_rate": 2}),
    (2, {"filters": 3, "kernel_size": 2, "data_format": "channels_first", "strides": 2}),
    (2, {"filters": 5, "kernel_size": 1, "strides": 2}),
    (3, {"filters": 3, "kernel_size": 2}),
    (3, {"filters": 3, "kernel_size": (2, 3, 1), "strides": (1, 2, 1), "padding": "same"}),
    (3, {"filters": 2, "kernel_size": 2, "dilation_rate": 2, "data_format": "channels_first"}),
    (3, {"filters": 4, "kernel_size": 2, "groups": 2}),
]


@pytest.mark.parametrize("rank, arguments", CONV)
def test_conv(rng, rank, arguments):
    first = arguments.get("data_format") == "channels_first"
    same_layer(f"Conv{rank}D", arguments, data(rng, rank, 4 if "groups" in arguments else 2, first))


TRANSPOSE = [
    (1, {"filters": 3, "kernel_size": 3}),
    (1, {"filters": 3, "kernel_size": 2, "strides": 3}),
    (1, {"filters": 3, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}),
    (1, {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1}),
    (2, {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}),
    (2, {"filters": 3, "kernel_size": (2, 3), "strides": (1, 2)}),
    (
        2,
        {"filters": 3, "kernel_size": 4, "strides": 3, "output_padding": (0, 2), "padding": "same"},
    ),
    (2, {"filters": 3, "kernel_size": 2, "strides": 2, "data_format": "channels_first"}),
    (3, {"filters": 2, "kernel_size": 2, "strides": 2, "padding": "same", "use_bias": False}),
    (3, {"filters": 2, "kernel_size": 3, "data_format": "channels_first", "activation": "tanh"}),
]


@pytest.mark.parametrize("rank, arguments", TRANSPOSE)
def test_transpose(rng, rank, arguments):
    first = arguments.get("data_format") == "channels_first"
    x = data(rng, rank, 2, first, (3, 4, 2)[:rank])
    same_layer(f"Conv{rank}DTranspose", arguments, x)


DEPTHWISE = [
    (1, {"kernel_size": 3}),
    (1, {"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2}),
    (2, {"kernel_size": 3, "padding": "same", "activation": "relu"}),
    (2, {"kernel_size": 2, "depth_multiplier": 3, "dilation_rate": 2, "use_bias": False}),
    (2, {"kernel_size": 3, "strides": 2, "data_format": "channels_first", "depth_multiplier": 2}),
]


@pytest.mark.parametrize("rank, arguments", DEPTHWISE)
def test_depthwise(rng, rank, arguments):
    first = arguments.get("data_format") == "channels_first"
    same_layer(f"DepthwiseConv{rank}D", arguments, data(rng, rank, 3, first))


SEPARABLE = [
    (1, {"filters": 4, "kernel_size": 3, "depth_multiplier": 2}),
    (
        1,
        {
            "filters": 4,
            "kernel_size": 2,
            "dilation_rate": 2,
            "padding": "same",
            "activation": "relu",
        },
    ),
    (2, {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}),
    (2, {"filters": 4, "kernel_size": 2, "data_format": "channels_first", "use_bias": False}),
]


@pytest.mark.parametrize("rank, arguments", SEPARABLE)
def test_separable(rng, rank, arguments):
    first = arguments.get("data_format") == "channels_first"
    same_layer(f"SeparableConv{rank}D", arguments, data(rng, rank, 3, first))


NAMES = [name for name in dir(keras.layers) if "Conv" in name and "LSTM" not in name]


@pytest.mark.parametrize("name", NAMES)
def test_signature_and_name(name):
    ours, theirs = getattr(keraunos.layers, name), getattr(keras.layers, name)
    assert ours.__name__ == theirs.__name__

    def told(cls):
        items = list(inspect.signature(cls.__init__).parameters.values())[1:]
        placed = [p for p in items if p.kind is p.POSITIONAL_OR_KEYWORD]
        return [(p.name, p.default) for p in placed if not p.name.startswith("lora_")]

    assert told(ours) == told(theirs)


@pytest.mark.parametrize(
    "name", ["Conv1D", "Conv3DTranspose", "DepthwiseConv2D", "SeparableConv2D"]
)
def test_config(name):
    sizes = {} if name.startswith("Depthwise") else {"filters": 4}
    arguments = dict(**sizes, kernel_size=3, activation="relu", name="layer")
    ours = getattr(keraunos.layers, name)(**arguments)
    theirs = getattr(keras.layers, name)(**arguments)
    assert ours.get_config() == theirs.get_config()
    again = type(ours).from_config(theirs.get_config())
    assert again.get_config() == ours.get_config()


@pytest.mark.parametrize("name", ["Conv1D", "Conv2DTranspose", "SeparableConv2D"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_unknown_space(name, padding):
    shape = (None, None, 3) if "1D" in name else (None, None, 8, 3)
    shapes = []
    for library in (keraunos, keras):
        layer = getattr(library.layers, name)(4, 3, strides=2, padding=padding)
        shapes.append(layer(library.KerasTensor(shape)).shape)
        assert tuple(layer.compute_output_shape(shape)) == shapes[-1]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", ["Conv2D", "DepthwiseConv2D"])
def test_half_precision(rng, name, dtype):
    arguments = {"kernel_size": 3, "dtype": dtype} | ({"filters": 3} if name == "Conv2D" else {})
    x = data(rng, 2)
    outputs = []
    for library in (keraunos, keras):
        layer = getattr(library.layers, name)(**arguments)
        layer.build(x.shape)
        layer.set_weights([np.full(w.shape, 0.1, "float32") for w in layer.weights])
        outputs.append(layer(x))
    assert outputs[0].dtype == outputs[1].dtype
    np.testing.assert_allclose(*(np.asarray(y, "float32") for y in outputs), rtol=0.02, atol=0.02)


ERRORS = [
    (lambda: keraunos.layers.Conv2D(3, 2, groups=2), "3 `filters` do not split into 2 equal"),
    (lambda: keraunos.layers.Conv2D(0, 2), "a positive integer for `filters`, got 0"),
    (lambda: keraunos.layers.Conv2D(2, (3, 3, 3)), "or 2 of them for `kernel_size`"),
    (lambda: keraunos.layers.Conv2D(2, 3, padding="causal"), "valid, same for `padding`"),
    (lambda: keraunos.layers.Conv2D(2, 3, strides=2, dilation_rate=2), "Make one of them 1"),
    (lambda: keraunos.layers.Conv2DTranspose(2, 3, strides=2, output_padding=2), "less than the"),
    (lambda: keraunos.layers.Conv2D(4, 2, groups=2)(np.ones((1, 4, 4, 3))), "the 3 channels of"),
    (lambda: keraunos.layers.Conv2D(2, 5)(np.ones((1, 3, 3, 1))), "would be empty"),
    (lambda: keraunos.layers.Conv2D(2, 3)(np.ones((1, 3, 3))), "at least 4 axes"),
    (lambda: keraunos.layers.DepthwiseConv1D(3)(np.ones((1, 3))), "at least 3 axes"),
    (
        lambda: keraunos.layers.Conv1D(2, 3)(keraunos.KerasTensor((None, 5, None))),
        "with a known size on axis -1, the channels",
    ),
]


@pytest.mark.parametrize("make, message", ERRORS, ids=[message for _, message in ERRORS])
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_other_channels_are_refused(rng):
    layer = keraunos.layers.Conv1D(2, 3)
    layer(data(rng, 1, 2))
    with pytest.raises(ValueError, match="expects size 2 on axis -1"):
        layer(data(rng, 1, 3))
