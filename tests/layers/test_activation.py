"""Activations that are layers, against Keras."""

import keras
import numpy as np
import pytest

from keraunos import layers
from tests.oracle import close, same_layer

X = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Activation", {"activation": "gelu"}),
        ("ReLU", {}),
        ("ReLU", {"max_value": 1.0, "negative_slope": 0.2, "threshold": 0.5}),
        ("LeakyReLU", {}),
        ("ELU", {"alpha": 0.5}),
        ("PReLU", {}),
        ("PReLU", {"shared_axes": [1]}),
        ("PReLU", {"shared_axes": 2}),
        ("Softmax", {}),
        ("Softmax", {"axis": (1, 2)}),
    ],
    ids=str,
)
def test_same_as_keras(name, arguments):
    ours, theirs = same_layer(name, arguments, X)
    ours, theirs = ours.get_config(), theirs.get_config()
    assert ours == theirs | {"name": ours["name"]}


@pytest.mark.parametrize("axis", [-1, (1, 2)])
def test_masked_softmax(axis):
    mask = X > -0.5
    mask[0] = False
    ours, theirs = layers.Softmax(axis), keras.layers.Softmax(axis)
    close(ours(X, mask=mask), np.asarray(theirs(X, mask=mask)))
    steps = mask.any(-1)
    close(ours(X, mask=steps), ours(X, mask=np.broadcast_to(steps[..., None], X.shape)))


def test_old_name_of_the_slope():
    assert layers.LeakyReLU(alpha=0.1).negative_slope == 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ReLU(max_value=-1), "ReLU needs a number from 0 up for `max_value`"),
        (lambda: layers.LeakyReLU(None), "number from 0 up for `negative_slope`, got None"),
        (lambda: layers.PReLU().build((None, None, 3)), "`shared_axes`"),
        (lambda: layers.Activation("rellu"), "Did you mean 'relu'"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
