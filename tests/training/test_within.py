"""Validation within epochs: the same numbers, more often; training goes on as if it were not."""

import numpy as np
import pytest

import keraunos
from keraunos import layers

X = np.random.RandomState(0).rand(40, 3).astype("float32")
Y = X.sum(1, keepdims=True)
HELD = X[:12] * 2, Y[:12]


def made():
    model = keraunos.Sequential([keraunos.Input((3,)), layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


class Log(keraunos.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_test_begin(self, logs=None):
        self.calls.append("test")

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append((batch, "val_loss" in logs))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("epoch", "val_loss" in logs))


OPTIONS = {"batch_size": 8, "validation_data": HELD, "verbose": 0, "shuffle": False}


def test_numbers_and_hooks():
    model, log = made(), Log()
    history = model.fit(X, Y, validation_every=2, callbacks=[log], **OPTIONS)
    step = lambda i, looked=False: ["test", (i, True)] if looked else [(i, False)]
    expected = [*step(0), *step(1, True), *step(2), *step(3, True), *step(4), "test"]
    assert log.calls == [*expected, ("epoch", True)]
    other, seen = made(), []
    for i in range(5):
        other.train_on_batch(X[8 * i : 8 * i + 8], Y[8 * i : 8 * i + 8])
        seen.append(other.evaluate(*HELD, verbose=0))
    for found, at in zip(history.within, (1, 3), strict=True):
        assert (found["epoch"], found["step"]) == (1, at + 1)
        np.testing.assert_allclose([found["val_loss"], found["val_mae"]], seen[at], rtol=1e-6)
    quiet = made().fit(X, Y, **OPTIONS)
    for name, values in quiet.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-6)


def test_an_epoch_that_is_not_validated_has_the_last_numbers():
    history = made().fit(X, Y, validation_every=3, validation_freq=2, epochs=2, **OPTIONS)
    assert [each["step"] for each in history.within] == [3, 3]
    assert history.history["val_loss"][0] == history.within[0]["val_loss"]
    assert history.history["val_loss"][1] != history.within[1]["val_loss"]


def test_the_pace_does_not_matter():
    fits = [made().fit(X, Y, validation_every=2, epochs=2, callbacks=calls, **OPTIONS)
            for calls in ([], [Log()])]  # fmt: skip
    assert fits[0].within == fits[1].within and fits[0].history == fits[1].history


def test_a_run_goes_on_between_validations(tmp_path):
    class Crash(keraunos.callbacks.Callback):
        left = -1

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if not self.left:
                raise OSError("the process dies")

        def get_run_state(self):
            return {}

    def train(folder, left):
        crash, backup = Crash(), keraunos.callbacks.BackupAndRestore(folder, save_freq=1)
        crash.left, callbacks = left, [backup, crash]
        return made().fit(X, Y, validation_every=2, epochs=2, callbacks=callbacks, **OPTIONS)

    whole = train(tmp_path / "whole", -1)
    for left in (3, 6):
        with pytest.raises(OSError, match="dies"):
            train(tmp_path / str(left), left)
        again = train(tmp_path / str(left), -1)
        assert again.within == whole.within and again.history == whole.history


def test_it_needs_data():
    with pytest.raises(ValueError, match="`validation_every` needs `validation_data` or"):
        made().fit(X, Y, validation_every=2)
    with pytest.raises(ValueError, match="`validation_every` must be a positive integer, got 0"):
        made().fit(X, Y, validation_every=0, **OPTIONS)
