"""Pooling layers against Keras: outputs, gradients, shapes, messages."""

import inspect

import keras
import numpy as np
import pytest

import keraunos
from tests.oracle import close, same_layer

SPACE = {1: (7,), 2: (6, 5), 3: (4, 5, 4)}


def data(rng, rank, first=False, space=None):
    space = space or SPACE[rank]
    shape = (2, 3, *space) if first else (2, *space, 3)
    return rng.integers(-3, 3, size=shape).astype("float32")  # with many ties


WINDOWS = [
    (1, {"pool_size": 2}),
    (1, {"pool_size": 3, "strides": 2, "padding": "same"}),
    (2, {"pool_size": 2}),
    (2, {"pool_size": (2, 3), "strides": 1, "padding": "same"}),
    (2, {"pool_size": 3, "strides": (2, 1)}),
    (2, {"pool_size": 2, "padding": "same", "data_format": "channels_first"}),
    (3, {"pool_size": 2}),
    (3, {"pool_size": (2, 3, 2), "strides": (1, 2, 2), "padding": "same"}),
]


@pytest.mark.parametrize("rank, arguments", WINDOWS)
@pytest.mark.parametrize("name", ["MaxPooling", "AveragePooling"])
def test_windows(rng, name, rank, arguments):
    x = data(rng, rank, "data_format" in arguments)
    same_layer(f"{name}{rank}D", arguments, x)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", ["GlobalMaxPooling", "GlobalAveragePooling"])
@pytest.mark.parametrize("arguments", [{}, {"keepdims": True, "data_format": "channels_first"}])
def test_global(rng, name, rank, arguments):
    same_layer(f"{name}{rank}D", arguments, data(rng, rank, "data_format" in arguments))


ADAPTIVE = [
    (1, {"output_size": 3}),
    (2, {"output_size": (2, 5)}),
    (2, {"output_size": 2, "data_format": "channels_first"}),
    (3, {"output_size": (3, 2, 1)}),
]


@pytest.mark.parametrize("rank, arguments", ADAPTIVE)
@pytest.mark.parametrize("name", ["AdaptiveMaxPooling", "AdaptiveAveragePooling"])
def test_adaptive(rng, name, rank, arguments):
    x = data(rng, rank, "data_format" in arguments)
    same_layer(f"{name}{rank}D", arguments, x)


@pytest.mark.parametrize("arguments", [{}, {"keepdims": True}, {"data_format": "channels_first"}])
def test_mean_of_the_steps_that_count(rng, arguments):
    x = data(rng, 1, "data_format" in arguments)
    mask = np.arange(7) < np.array([[3], [6]])
    ours, theirs = (
        library.layers.GlobalAveragePooling1D(**arguments)(x, mask=mask)
        for library in (keraunos, keras)
    )
    close(ours, theirs)


NAMES = [name for name in dir(keras.layers) if "Pool" in name]


@pytest.mark.parametrize("name", NAMES)
def test_signature_and_name(name):
    ours, theirs = getattr(keraunos.layers, name), getattr(keras.layers, name)
    assert ours.__name__ == theirs.__name__

    def told(cls):
        items = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return [(p.name, p.default) for p in items if p.kind is p.POSITIONAL_OR_KEYWORD]

    assert told(ours) == told(theirs)


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("MaxPooling2D", {}),
        ("AveragePooling1D", {"pool_size": 3, "strides": 2}),
        ("GlobalMaxPooling3D", {"keepdims": True}),
        ("AdaptiveMaxPooling2D", {"output_size": 3}),
    ],
)
def test_config(name, arguments):
    ours, theirs = (getattr(lib.layers, name)(**arguments, name="p") for lib in (keraunos, keras))
    assert ours.get_config() == theirs.get_config()
    assert type(ours).from_config(theirs.get_config()).get_config() == ours.get_config()


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("name", ["MaxPooling2D", "AveragePooling2D"])
def test_unknown_space(name, padding):
    arguments = {"pool_size": 3, "strides": 2, "padding": padding}
    ours, theirs = (
        getattr(lib.layers, name)(**arguments)(lib.KerasTensor((None, None, 8, 3)))
        for lib in (keraunos, keras)
    )
    assert ours.shape == theirs.shape


def test_unknown_space_adaptive():
    x = keraunos.KerasTensor((None, None, None, 3))
    assert keraunos.layers.AdaptiveMaxPooling2D((2, 3))(x).shape == (None, 2, 3, 3)


def test_half_precision(rng):
    x = data(rng, 2).astype("float16")
    for name in ("MaxPooling2D", "AveragePooling2D"):
        ours, theirs = (
            getattr(lib.layers, name)(2, dtype="float16")(x) for lib in (keraunos, keras)
        )
        close(ours, theirs, rtol=1e-3, atol=1e-3)


ERRORS = [
    (lambda: keraunos.layers.MaxPooling2D(0), "for `pool_size`, got 0"),
    (lambda: keraunos.layers.MaxPooling2D((2, 2, 2)), "or 2 of them for `pool_size`"),
    (lambda: keraunos.layers.MaxPooling2D(3)(np.ones((1, 2, 2, 1))), "would be empty"),
    (lambda: keraunos.layers.MaxPooling2D(2)(np.ones((1, 2, 2))), "an input of 4 axes"),
    (lambda: keraunos.layers.AdaptiveMaxPooling1D("a"), "for `output_size`, got 'a'"),
]


@pytest.mark.parametrize("make, message", ERRORS, ids=[message for _, message in ERRORS])
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
