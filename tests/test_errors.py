"""Mistakes meet an error before the first step, which says what was found and the way out."""

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers


def mlp(**compiled):
    model = keras.Sequential(
        [keras.Input((4,), name="x"), layers.Dense(3, activation="softmax", name="out")]
    )
    model.compile(**{"optimizer": "sgd", "loss": "categorical_crossentropy", **compiled})
    return model


def two():
    a, b = keras.Input((4,), name="first"), keras.Input((2,), name="second")
    x = layers.concatenate([a, b])
    outputs = [layers.Dense(1, name="p")(x), layers.Dense(2, name="q")(x)]
    model = keras.Model([a, b], outputs)
    model.compile("sgd", "mse")
    return model


X, Y = np.ones((8, 4), "float32"), np.eye(3, dtype="float32")[np.arange(8) % 3]
PAIR, TARGETS = [X, np.ones((8, 2))], [np.ones((8, 1)), np.ones((8, 2))]

MISTAKES = {
    "wrong width": (
        lambda: mlp().fit(X[:, :3], Y),
        "The input 'x' of the model has shape (None, 4), got data of shape (8, 3).",
    ),
    "wrong rank": (
        lambda: mlp().predict(X[None]),
        "The input 'x' of the model has shape (None, 4), got data of shape (1, 8, 4).",
    ),
    "wrong width of a layer": (
        lambda: layer_twice(),
        "expects size 3 on axis -1, got an input of shape (None, 5).",
    ),
    "different counts": (
        lambda: mlp().fit(X, Y[:5]),
        "All arrays must have the same number of samples, but x has 8, y has 5.",
    ),
    "different counts in a list": (
        lambda: two().fit([X, np.ones((7, 2))], TARGETS),
        "x[0] has 8, x[1] has 7, y[0] has 8, y[1] has 8.",
    ),
    "unknown loss": (
        lambda: mlp(loss="categorical_crossentropi").fit(X, Y),
        "Did you mean 'categorical_crossentropy'?",
    ),
    "unknown optimizer": (lambda: mlp(optimizer="adamm"), "Did you mean 'adam'?"),
    "unknown metric": (lambda: mlp(metrics=["acuracy"]).fit(X, Y), "'acuracy' is not one of"),
    "unknown activation": (
        lambda: layers.Dense(3, activation="rellu"),
        "'rellu' is not one of keras.activations. Did you mean 'relu'?",
    ),
    "unknown argument": (lambda: layers.Dense(3, activaton="relu"), "Did you mean `activation`?"),
    "not compiled": (
        lambda: keras.Sequential([layers.Dense(1)]).fit(X, Y),
        "must be compiled before `fit`: call `model.compile(optimizer=..., loss=...)` first.",
    ),
    "disconnected": (
        lambda: keras.Model(keras.Input((4,)), layers.Dense(1)(keras.Input((4,), name="lost"))),
        "The graph is disconnected: an output depends on",
    ),
    "targets that do not fit": (
        lambda: mlp().fit(X, np.arange(8)[:, None] % 3),
        "sparse_categorical_crossentropy",
    ),
    "missing input": (
        lambda: two().fit({"first": X}, TARGETS),
        "The model has an input 'second', which is missing from the dict of inputs",
    ),
    "misspelt input": (
        lambda: two().fit({"first": X, "secnd": PAIR[1]}, TARGETS),
        "Did you mean 'second' by 'secnd'?",
    ),
    "misspelt output": (
        lambda: two().fit(PAIR, {"p": TARGETS[0], "qq": TARGETS[1]}),
        "`y` has the key 'qq', which is no output of the model. Its outputs are p, q.",
    ),
    "missing target": (
        lambda: two().fit(PAIR, {"p": TARGETS[0]}),
        "The output 'q' has the loss",
    ),
    "too few inputs": (
        lambda: two().predict(PAIR[:1]),
        "The model has 2 inputs (first, second), but got 1 arrays.",
    ),
    "too many losses": (
        lambda: keras.Model.fit(compiled_with(["mse"] * 3), PAIR, TARGETS),
        "`loss` has 3 entries, but the model has 2 outputs: p, q.",
    ),
    "no targets": (lambda: mlp().fit(X), "needs targets, but `y` is None."),
    "empty": (lambda: mlp().fit(X[:0], Y[:0]), "The data is empty: x, y hold no samples."),
    "batch size": (
        lambda: mlp().fit(X, Y, batch_size=0),
        "`batch_size` must be a positive integer, got 0.",
    ),
    "epochs": (
        lambda: mlp().fit(X, Y, epochs=1.5),
        "`epochs` must be a positive integer, got 1.5.",
    ),
    "validation split": (
        lambda: mlp().fit(X, Y, validation_split=1.5),
        "`validation_split` must lie between 0 and 1, got 1.5.",
    ),
    "fixed batch": (lambda: fixed().predict(np.ones((5, 6, 8))), "its batch size is fixed to 32"),
    "y beside batches": (
        lambda: mlp().fit(iter([(X, Y)]), Y),
        "`y` must be None when `x` is a list_iterator",
    ),
    "two layers of one name": (
        lambda: keras.Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")]),
        "already has a layer called 'a'",
    ),
    "a function among layers": (
        lambda: keras.Sequential([lambda x: x]),
        "Wrap it in `keras.layers.Lambda`.",
    ),
    "no such layer": (lambda: mlp().get_layer("outt"), "No layer is called 'outt'."),
    "a Python if on a symbol": (
        lambda: 1 if keras.Input((2,)) else 0,
        "A KerasTensor has no truth value",
    ),
    "NumPy on a symbol": (lambda: np.sin(keras.Input((2,))), "in `keras.ops`"),
}


def layer_twice():
    layer = layers.Dense(2)
    layer(keras.Input((3,)))
    return layer(keras.Input((5,)))


def compiled_with(loss):
    model = two()
    model.compile("sgd", loss)
    return model


def fixed():
    model = keras.Sequential([layers.LSTM(4, batch_size=32, input_shape=(6, 8)), layers.Dense(1)])
    model.compile("rmsprop", "mse")
    return model


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_explained(mistake):
    make, message = MISTAKES[mistake]
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert message in str(error.value)


def test_an_error_inside_call_names_layer_line_and_shapes():
    class Bad(layers.Layer):
        def call(self, x):
            return keras.ops.matmul(x, np.ones((7, 2), "float32"))

    with pytest.raises(TypeError) as error:
        Bad(name="bad")(keras.Input((4,)))
    notes = "\n".join(error.value.__notes__)
    assert "Bad layer 'bad', made at" in notes and "test_errors.py" in notes
    assert "x: (None, 4) float32" in notes
