"""Activations against Keras: numbers, names, configs."""

import inspect

import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import activations
from tests.oracle import close

FUNCTIONS = ("get", "serialize", "deserialize")
NAMES = [n for n in dir(keras.activations) if not n.startswith("_") and n not in FUNCTIONS]
X = np.linspace(-4, 4, 6).astype("float32").reshape(1, 6)


@pytest.mark.parametrize("name", NAMES)
def test_same_function(name):
    ours, theirs = getattr(activations, name), getattr(keras.activations, name)
    args = (0.5, 2.0) if name == "threshold" else ()
    close(ours(X, *args), theirs(X, *args))
    assert ours(jnp.asarray(X, "bfloat16"), *args).dtype == "bfloat16"
    assert ours(keraunos.KerasTensor((None, 6)), *args).shape[0] is None
    told = lambda fn: [(p.name, p.default) for p in inspect.signature(fn).parameters.values()]
    assert told(ours) == told(theirs)


@pytest.mark.parametrize("name", NAMES)
def test_name_and_back(name):
    fn = activations.get(name)
    assert fn is getattr(activations, name)
    assert activations.serialize(fn) == keras.activations.serialize(keras.activations.get(name))
    assert activations.deserialize(activations.serialize(fn)) is fn


@pytest.mark.parametrize(
    "arguments",
    [
        {"negative_slope": 0.1},
        {"max_value": 1.0},
        {"threshold": 1.0},
        {"negative_slope": 0.1, "threshold": 1.0, "max_value": 2.0},
        {"threshold": 1.0, "max_value": 2.0},
    ],
)
def test_relu(arguments):
    close(activations.relu(X, **arguments), keras.activations.relu(X, **arguments))


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get(jnp.tanh) is jnp.tanh
    assert activations.serialize(keraunos.ops.relu) == "relu"
    with pytest.raises(ValueError, match="Did you mean 'softmax'"):
        activations.get("softmx")


def half(x):
    return x / 2


def test_users_own():
    with pytest.raises(TypeError, match="register_keras_serializable"):
        activations.deserialize(activations.serialize(half))
    assert activations.deserialize(activations.serialize(half), {"half": half}) is half


def test_softmax_of_one_class():
    with pytest.warns(UserWarning, match="Did you mean `sigmoid`"):
        activations.softmax(np.ones((2, 1)))
