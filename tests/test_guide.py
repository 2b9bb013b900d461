"""The guide's first steps, which train nothing: the same models as Keras makes of them.

Those that train have their twins in `examples/`.
"""

import keras
import numpy as np
import pytest

import keraunos
from keraunos.layers import Activation, Dense
from keraunos.models import Sequential


def from_a_list(k):
    layers = k.layers
    return k.Sequential(
        [
            layers.Dense(32, input_shape=(784,)),
            layers.Activation("relu"),
            layers.Dense(10),
            layers.Activation("softmax"),
        ]
    )


@pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`")
def test_a_model_from_a_list():
    ours, theirs = from_a_list(keraunos), from_a_list(keras)
    shown: list[list[str]] = [[], []]
    for model, lines in zip((ours, theirs), shown):
        model.summary(print_fn=lambda line, **_: lines.append(line))
    assert "25,450" in "\n".join(shown[0]) and shown[0] == shown[1]
    ours.set_weights(theirs.get_weights())
    x = np.random.default_rng(0).random((3, 784), "float32")
    np.testing.assert_allclose(
        ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-7
    )


def test_a_model_by_add():
    model = Sequential()
    model.add(Dense(32, input_dim=784))
    model.add(Activation("relu"))
    other = Sequential()
    other.add(Dense(32, input_shape=(784,)))
    assert model.input_shape == other.input_shape == (None, 784)
    assert model.output_shape == other.output_shape == (None, 32)
    assert model.count_params() == other.count_params() == 25_120


@pytest.mark.parametrize(
    ("compiled", "y", "names"),
    [
        (
            {"loss": "categorical_crossentropy", "metrics": ["accuracy"]},
            np.eye(3)[[0, 1, 2, 0]],
            {"loss", "accuracy"},
        ),
        (
            {"loss": "binary_crossentropy", "metrics": ["accuracy"]},
            np.eye(3)[[0, 1, 2, 0]],
            {"loss", "accuracy"},
        ),
        ({"loss": "mse"}, np.ones((4, 3)), {"loss"}),
    ],
)
def test_a_model_compiled_again(compiled, y, names):
    model = Sequential([Dense(3, activation="sigmoid", input_dim=4)])
    model.compile(optimizer="sgd", loss="mae")
    model.compile(optimizer="rmsprop", **compiled)
    assert set(model.fit(np.ones((4, 4)), y, verbose=0).history) == names
