"""Hooks are called as Keras calls them, and a training looks as it does there."""

import io
import json
import sys
import time

import keras
import numpy as np
import pytest

import keraunos
from tests.callbacks import calls

TABLE = json.loads(calls.TABLE.read_text())


@pytest.fixture(scope="module")
def live():
    return calls.record(keras)


@pytest.fixture(scope="module")
def ours():
    return calls.record(keraunos)


@pytest.mark.parametrize("run", TABLE)
def test_the_table_is_what_keras_does(live, run):
    assert live[run] == TABLE[run]


@pytest.mark.parametrize("run", TABLE)
def test_the_trainer_does_the_same(ours, run):
    assert ours[run] == TABLE[run]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_a_training_in_a_terminal(monkeypatch, verbose):
    seen = []
    for library in (keraunos, keras):
        inputs = library.Input((3,))
        dense = library.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")
        model = library.Model(inputs, dense(inputs))
        model.compile(
            library.optimizers.SGD(0.5), "binary_crossentropy", metrics=["accuracy", "mse"]
        )
        stream = Terminal()
        look = lambda batch, logs: None  # lest Keras calls hooks from several threads at once
        watcher = library.callbacks.LambdaCallback(
            on_train_batch_end=look, on_test_batch_end=look, on_predict_batch_end=look
        )
        watched = [
            watcher,
            library.callbacks.EarlyStopping(
                monitor="val_accuracy", patience=1, restore_best_weights=True, verbose=1
            ),
            library.callbacks.ReduceLROnPlateau(
                monitor="val_mse", min_delta=1, patience=1, verbose=1
            ),
            library.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5, verbose=1),
        ]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            patch.setattr(time, "time", lambda: 1000.0)
            patch.setattr(time, "perf_counter", lambda: 1000.0)
            options = {"batch_size": 3, "verbose": verbose}
            history = model.fit(
                calls.X,
                calls.Y,
                epochs=4,
                shuffle=False,
                validation_data=(calls.X, calls.Y),
                callbacks=watched,
                **options,
            )
            model.evaluate(calls.X, calls.Y, callbacks=[watcher], **options)
            model.predict(calls.X, callbacks=[watcher], **options)
        seen.append((stream.getvalue(), list(history.history), history.epoch, model.get_weights()))
    (text, names, epochs, weights), (their_text, *others) = seen
    assert text == their_text
    assert [names, epochs] == others[:2]
    for mine, theirs in zip(weights, others[2]):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
