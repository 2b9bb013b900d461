"""Penalties are those of Keras, with their gradients."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from keraunos import layers, regularizers
from tests.oracle import close

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("L1", {"l1": 0.1}),
        ("L2", {"l2": 0.1}),
        ("L1L2", {"l1": 0.1, "l2": 0.2}),
        ("OrthogonalRegularizer", {"factor": 0.1}),
        ("OrthogonalRegularizer", {"factor": 0.1, "mode": "columns"}),
    ],
    ids=str,
)
def test_same_penalties(name, arguments):
    ours = getattr(regularizers, name)(**arguments)
    theirs = getattr(keras.regularizers, name)(**arguments)
    x = jnp.asarray(X)
    close(jax.value_and_grad(ours)(x), jax.value_and_grad(theirs)(x))
    mine, yours = regularizers.serialize(ours), keras.regularizers.serialize(theirs)
    assert mine.keys() == yours.keys() and mine["class_name"] == yours["class_name"]
    assert mine["config"] == pytest.approx(yours["config"])
    close(regularizers.deserialize(yours)(x), theirs(x))


@pytest.mark.parametrize(
    "name",
    ["l1", "L1", "l2", "L2", "l1l2", "L1L2", "l1_l2", "orthogonal_regularizer", "orthogonal"],
)
def test_names(name):
    cls = {"l1": "L1", "l2": "L2", "or": "OrthogonalRegularizer"}[name.lower()[:2]]
    expected = "L1L2" if len(name) in (4, 5) else cls
    assert type(regularizers.get(name)).__name__ == expected


def test_none_is_zero():
    assert regularizers.L1L2(None, 0.2).get_config() == {"l1": 0.0, "l2": 0.2}
    assert regularizers.Regularizer()(X) == 0.0


def test_on_a_layer():
    layer = layers.Dense(2, kernel_regularizer="l2", activity_regularizer=regularizers.L1(0.1))
    y = layer(X)
    expected = [0.1 * np.abs(y).sum() / len(y), 0.01 * np.square(layer.kernel.numpy()).sum()]
    np.testing.assert_allclose(layer.losses, expected, 1e-5)


@pytest.mark.parametrize("value", ["a", -1.0, float("nan"), float("inf")])
def test_bad_factors(value):
    with pytest.raises(ValueError, match="L1 needs a number from 0 up for `l1`, got "):
        regularizers.L1(value)


def test_errors():
    with pytest.raises(ValueError, match="one of rows, columns"):
        regularizers.OrthogonalRegularizer(mode="x")
    with pytest.raises(ValueError, match=r"needs a matrix, got an array of shape \(3,\)"):
        regularizers.OrthogonalRegularizer()(X[0])
    with pytest.raises(ValueError, match=r"not one of keras.regularizers"):
        regularizers.get("l3")
