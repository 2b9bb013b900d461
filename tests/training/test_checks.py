"""What `fit` says of data before the first step, and what it lets pass: all that may be meant."""

import re
import warnings

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers, ops
from keraunos.training import trainer

X = np.random.default_rng(0).standard_normal((8, 4)).astype("float32")
Y = np.eye(3, dtype="float32")[np.arange(8) % 3]
LABELS = np.arange(8) % 3
NAN = np.where(np.arange(8)[:, None] == 3, np.nan, X)


@pytest.fixture(autouse=True)
def stop(monkeypatch):
    """`fit` ends where the first step would begin: nothing is compiled."""
    monkeypatch.setattr(trainer.Fit, "go", lambda self, *_: "trained")


def model(*inner, inputs=(4,), loss="mse", **compiled):
    made = keras.Sequential([keras.Input(inputs, name="x"), *inner])
    made.compile("sgd", loss, **compiled)
    return made


def classifier(loss, units=3, activation="softmax", **compiled):
    return model(layers.Dense(units, activation=activation), loss=loss, **compiled)


class Filled(layers.Layer):
    def call(self, x):
        return ops.nan_to_num(x)


def own_loss(y_true, y_pred):
    return ops.mean(ops.where(ops.isnan(y_true), 0.0, y_true - y_pred))


def padded(**options):
    """A model whose output has a mask, where padding is."""
    return model(
        layers.Embedding(9, 4, mask_zero=True),
        layers.LSTM(4, return_sequences=True),
        layers.Dense(3, activation="softmax"),
        inputs=(5,),
        loss="sparse_categorical_crossentropy",
    )


def branches(**compiled):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    made = keras.Model({"a": a, "b": b}, {"p": layers.Dense(1)(a), "q": layers.Dense(1)(b)})
    made.compile("sgd", "mse", **compiled)
    return made


class Plain(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x)


def plain(loss="mse"):
    made = Plain()
    made.compile("sgd", loss)
    return made


sparse, bce = "sparse_categorical_crossentropy", "binary_crossentropy"
from_logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
some = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
BIG = np.random.default_rng(0).uniform(0, 255, (200, 4)).astype("float32")
MANY = np.zeros((200, 3), "float32")

MEANT = {
    "targets without the last axis": lambda: classifier(bce, 1, "sigmoid").fit(X, LABELS % 2),
    "numbers without the last axis": lambda: model(layers.Dense(1)).fit(X, X[:, 0]),
    "class numbers as columns": lambda: classifier(sparse).fit(X, LABELS[:, None]),
    "class numbers as floats": lambda: classifier(sparse).fit(X, LABELS.astype("float32")),
    "logits": lambda: classifier(from_logits, activation=None).fit(X, LABELS),
    "soft targets": lambda: classifier("categorical_crossentropy").fit(X, Y * 0.9 + 0.1 / 3),
    "soft yes and no": lambda: classifier(bce, 1, "sigmoid").fit(X, np.full((8, 1), 0.3)),
    "several yes and no": lambda: classifier(bce, 3, "sigmoid").fit(X, np.ones((8, 3))),
    "-1 in a hinge": lambda: model(layers.Dense(1, activation="tanh"), loss="hinge").fit(
        X, np.sign(X[:, :1])
    ),
    "a class to ignore": lambda: classifier(some).fit(X, LABELS - 1),
    "labels that weigh nothing": lambda: classifier(sparse).fit(
        X, LABELS - 1, sample_weight=(LABELS > 0) * 1.0
    ),
    "labels of padding": lambda: padded().fit(
        np.array([[1, 2, 0, 0, 0]] * 8), np.array([[1, 2, -100, -100, -100]] * 8)
    ),
    "weights as a column": lambda: classifier(sparse).fit(X, LABELS, sample_weight=X[:, :1] ** 2),
    "NaN in targets of one's own loss, warned": None,
    "several losses": lambda: branches().fit(
        {"a": X, "b": X}, {"p": X[:, :1], "q": X[:, 0]}, sample_weight={"p": np.ones(8)}
    ),
    "a loss of one's own": lambda: model(layers.Dense(3), loss=own_loss).fit(X, X[:, :1]),
    "ids": lambda: model(layers.Embedding(9, 2), layers.Flatten(), layers.Dense(3)).fit(
        np.full((8, 4), 8), Y
    ),
    "pixels that are scaled": lambda: model(layers.Rescaling(1 / 255), layers.Dense(3)).fit(
        BIG, MANY
    ),
    "pixels that an inner model scales": lambda: model(
        keras.Sequential([keras.Input((4,)), layers.Rescaling(1 / 255), layers.Dense(3)])
    ).fit(BIG, MANY),
    "few rows that are the same": lambda: model(layers.Dense(3)).fit(np.ones((8, 4)), Y),
    "large numbers": lambda: model(layers.Dense(3)).fit(X * 1e30, Y),
    "no loss, no targets": lambda: model(Filled(), loss=None).fit(X),
    "a model of one's own": lambda: plain().fit(X, Y),
    "batches": lambda: classifier(sparse).fit(iter([(X, LABELS)] * 3), steps_per_epoch=3),
    "validation": lambda: classifier(sparse).fit(X, LABELS, validation_split=0.25),
    "weights of some classes": lambda: classifier(sparse).fit(X, LABELS, class_weight={1: 2.0}),
    "a number that will be logged": lambda: classifier(sparse, metrics=["accuracy"]).fit(
        X,
        LABELS,
        validation_data=(X, LABELS),
        callbacks=[keras.callbacks.EarlyStopping("val_accuracy")],
    ),
    "a checkpoint of every epoch": lambda: classifier(sparse).fit(
        X, LABELS, callbacks=[keras.callbacks.ModelCheckpoint("m.keras")]
    ),
    "a number that a callback of one's own may log": lambda: classifier(sparse).fit(
        X,
        LABELS,
        callbacks=[
            type("Mine", (keras.callbacks.Callback,), {})(),
            keras.callbacks.EarlyStopping(),
        ],
    ),
    "half precision": lambda: classifier(sparse).fit(X.astype("float16"), LABELS),
}
del MEANT["NaN in targets of one's own loss, warned"]


@pytest.mark.parametrize("case", MEANT)
def test_what_may_be_meant_passes(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert MEANT[case]() == "trained"


WRONG = {
    "NaN in the inputs": (lambda **k: classifier(sparse).fit(NAN, LABELS, **k), "NaN in 1 of 8"),
    "NaN in half precision": (
        lambda **k: classifier(sparse).fit(NAN.astype("float16"), LABELS, **k),
        "first in row 3",
    ),
    "labels of a batch": (
        lambda **k: classifier(sparse).fit(iter([(X, LABELS + 1)]), steps_per_epoch=1, **k),
        "use `y - 1`",
    ),
    "labels of validation": (
        lambda **k: classifier(sparse).fit(X, LABELS, validation_data=(X, LABELS + 1), **k),
        "validation_data: `y` holds the class 3, first in row 2",
    ),
    "labels of a model of one's own": (
        lambda **k: plain(from_logits).fit(X, LABELS + 5, **k),
        "`y` holds the class 7",
    ),
    "ids of an inner model": (
        lambda **k: model(
            keras.Sequential([keras.Input((4,)), layers.Embedding(9, 2), layers.Flatten()]),
            layers.Dense(3),
        ).fit(np.full((8, 4), 9), Y, **k),
        "holds the id 9, first in row 0",
    ),
    "one of several outputs": (
        lambda **k: branches().fit({"a": X, "b": X}, {"p": X[:, 0], "q": NAN[:, 1]}, **k),
        "`y` of the output 'q' holds NaN",
    ),
    "one of several inputs": (
        lambda **k: branches().fit({"a": X, "b": NAN}, {"p": X[:, 0], "q": X[:, 1]}, **k),
        "`x` of the input 'b' holds NaN",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_unless_nobody_looks(case):
    make, message = WRONG[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
    assert make(check_data=False) == "trained"


DOUBTFUL = {
    "NaN that a layer may fill": (
        lambda: model(Filled(), layers.Dense(3)).fit(NAN, Y),
        "`x` holds NaN in 1 of 8 rows",
    ),
    "NaN that a loss may leave out": (
        lambda: model(layers.Dense(3), loss=own_loss).fit(X, NAN[:, :3]),
        "`y` holds NaN",
    ),
    "one column for three outputs": (
        lambda: model(layers.Dense(3)).fit(X, X[:, :1]),
        "each single number would be compared with several",
    ),
    "a number that is logged with validation": (
        lambda: classifier(sparse).fit(X, LABELS, callbacks=[keras.callbacks.EarlyStopping()]),
        "EarlyStopping follows 'val_loss', which will not be logged; there will be loss",
    ),
    "a layer that is frozen": (lambda: frozen().fit(X, Y), "is frozen since `compile`"),
}


def frozen():
    made = model(layers.Dense(3))
    made.layers[0].trainable = False
    return made


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_is_doubtful_is_warned_of_at_the_users_line(case):
    make, message = DOUBTFUL[case]
    with pytest.warns(UserWarning, match=re.escape(message)) as caught:
        assert make() == "trained"
    assert [warning.filename for warning in caught] == [__file__]


def test_compiling_again_settles_what_is_frozen():
    made = frozen()
    made.compile("sgd", "mse")
    assert made.fit(X, Y) == "trained"


def test_a_large_array_is_looked_at_in_part_but_labels_as_a_whole():
    labels = np.zeros(10_000, int)
    labels[9_999] = 3
    with pytest.raises(ValueError, match="first in row 9999"):
        classifier(sparse).fit(np.zeros((10_000, 4), "float32") + X[:1], labels)
