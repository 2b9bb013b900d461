"""Layers that move, cut, pad and repeat, against Keras."""

import numpy as np
import pytest

import keraunos
from keraunos import layers
from tests.oracle import same_layer

RNG = np.random.default_rng(0)
X1, X2, X3 = (
    RNG.normal(size=(2, *space, 3)).astype("float32") for space in ((5,), (4, 5), (3, 4, 5))
)
FIRST = {"data_format": "channels_first"}


@pytest.mark.parametrize(
    ("name", "arguments", "x"),
    [
        ("Flatten", {}, X2),
        ("Flatten", FIRST, X2),
        ("Flatten", {}, X1[:, 0, 0]),
        ("Reshape", {"target_shape": (3, -1)}, X1),
        ("Permute", {"dims": (3, 1, 2)}, X2),
        ("RepeatVector", {"n": 3}, X1[:, 0]),
        ("Cropping1D", {"cropping": 2}, X1),
        ("Cropping1D", {"cropping": (0, 3)}, X1),
        ("Cropping2D", {"cropping": 1}, X2),
        ("Cropping2D", {"cropping": ((0, 1), (2, 0)), **FIRST}, X2.swapaxes(1, 3)),
        ("Cropping3D", {"cropping": (1, 1, 2)}, X3),
        ("ZeroPadding1D", {"padding": (1, 2)}, X1),
        ("ZeroPadding1D", {"padding": 1, **FIRST}, X1),
        ("ZeroPadding2D", {"padding": ((1, 2), (0, 1))}, X2),
        ("ZeroPadding2D", {"padding": (1, 2), **FIRST}, X2),
        ("ZeroPadding3D", {"padding": 2}, X3[:, :1]),
        ("UpSampling1D", {"size": 3}, X1),
        ("UpSampling2D", {"size": (2, 3)}, X2),
        ("UpSampling2D", FIRST, X2),
        ("UpSampling2D", {"interpolation": "bilinear"}, X2),
        ("UpSampling2D", {"interpolation": "bicubic", **FIRST}, X2),
        ("UpSampling2D", {"interpolation": "lanczos3"}, X2),
        ("UpSampling3D", {"size": (1, 2, 1)}, X3),
    ],
    ids=lambda v: str(v) if not isinstance(v, np.ndarray) else "",
)
def test_same_as_keras(name, arguments, x):
    ours, theirs = same_layer(name, arguments, x)
    ours, theirs = ours.get_config(), theirs.get_config()
    assert ours == theirs | {"name": ours["name"]}


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (lambda: layers.Flatten(), (None, None, 3), (None, None)),
        (lambda: layers.Flatten(), (None,), (None, 1)),
        (lambda: layers.Reshape((3, -1)), (None, None, 4), (None, 3, None)),
        (lambda: layers.Reshape((3, -1)), (None, 6, 4), (None, 3, 8)),
        (lambda: layers.Cropping1D(1), (None, None, 3), (None, None, 3)),
        (lambda: layers.ZeroPadding2D(1), (None, None, 4, 3), (None, None, 6, 3)),
        (lambda: layers.UpSampling2D(2), (None, None, 4, 3), (None, None, 8, 3)),
    ],
)
def test_unknown_sizes(layer, shape, expected):
    assert layer()(keraunos.KerasTensor(shape)).shape == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Reshape((4, 4))(X1), r"the 15 elements of an input of shape \(2, 5, 3\)"),
        (lambda: layers.Reshape((-1, -1)), "at most one of them -1"),
        (lambda: layers.Permute((0, 1)), "each of 1 to 2 once"),
        (lambda: layers.Permute((2, 1))(X2), "an input of 3 axes"),
        (lambda: layers.RepeatVector(0), "positive integer for `n`"),
        (lambda: layers.Cropping1D((3, 2))(X1), "leave nothing of an input of shape"),
        (lambda: layers.Cropping2D((1, 2, 3)), "2 integers or pairs of them for `cropping`"),
        (lambda: layers.ZeroPadding1D((1, -1)), "integer from 0 up or two integers"),
        (lambda: layers.UpSampling2D(2, interpolation="x"), "one of nearest, bilinear"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
