"""Layers that add noise in training: the same noise as Keras adds for the same seed."""

import keras
import numpy as np
import pytest

from keraunos import layers
from tests.oracle import close, same_layer

RNG = np.random.default_rng(0)
X1, X2, X3 = (
    RNG.normal(size=(2, *space, 3)).astype("float32") for space in ((4,), (2, 4), (1, 2, 4))
)
TABLE = [
    ("Dropout", {"rate": 0.4}, X1),
    ("Dropout", {"rate": 0.4, "noise_shape": (None, 1, 3)}, X1),
    ("SpatialDropout1D", {"rate": 0.4}, X1),
    ("SpatialDropout2D", {"rate": 0.4}, X2),
    ("SpatialDropout2D", {"rate": 0.4, "data_format": "channels_first"}, X2),
    ("SpatialDropout3D", {"rate": 0.4}, X3),
    ("AlphaDropout", {"rate": 0.4}, X1),
    ("AlphaDropout", {"rate": 0.4, "noise_shape": (None, 4, 1)}, X1),
    ("GaussianDropout", {"rate": 0.4}, X1),
    ("GaussianNoise", {"stddev": 0.4}, X1),
]


@pytest.mark.parametrize(
    ("name", "arguments", "x"),
    TABLE,
    ids=lambda v: str(v) if not isinstance(v, np.ndarray) else "",
)
def test_same_noise(name, arguments, x):
    ours, theirs = same_layer(name, arguments | {"seed": 3}, x, call={"training": True})
    np.testing.assert_array_equal(ours(x), x)
    np.testing.assert_array_equal(ours(x, training=False), x)
    mine, yours = ours.get_config(), theirs.get_config()
    yours["dtype"] = mine["dtype"]  # some of Keras's write the policy by its name
    assert mine == yours | {"name": mine["name"]}
    first, second = ours(x, training=True), ours(x, training=True)
    assert not np.array_equal(first, second)
    assert ours.weights == [] and len(ours.variables) == 1


def test_dropout_keeps_the_mean():
    y = np.asarray(layers.Dropout(0.3, seed=1)(np.ones((100, 100), "float32"), training=True))
    assert abs(y.mean() - 1) < 0.02 and abs((y == 0).mean() - 0.3) < 0.02


@pytest.mark.parametrize("rate", [0, 1])
def test_all_or_nothing(rate):
    ours, theirs = layers.Dropout(rate), keras.layers.Dropout(rate)
    close(ours(X1, training=True), np.asarray(theirs(X1, training=True)))
    assert hasattr(ours, "seed_generator") == hasattr(theirs, "seed_generator")


def test_activity_regularization():
    ours, theirs = (library.ActivityRegularization(0.1, 0.2) for library in (layers, keras.layers))
    close(ours(X1), np.asarray(theirs(X1)))
    np.testing.assert_allclose(ours.losses[0], theirs.losses[0], 1e-5)
    assert ours.get_config().keys() == theirs.get_config().keys()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dropout(1.5), "Dropout needs a number from 0 to 1 for `rate`, got 1.5"),
        (lambda: layers.Dropout(0.5, noise_shape=3), "a tuple of sizes for `noise_shape`, got 3"),
        (lambda: layers.Dropout(0.5, seed=0.5), "an integer for `seed`, got 0.5"),
        (lambda: layers.GaussianDropout(1), "below 1 for `rate`, got 1"),
        (lambda: layers.GaussianNoise(-1), "from 0 up for `stddev`, got -1"),
        (lambda: layers.SpatialDropout1D(0.5)(X2), "an input of 3 axes"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
