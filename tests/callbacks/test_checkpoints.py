"""Models are saved when Keras saves them, under the same names, with the same messages."""

import math
import os
import warnings

import keras
import numpy as np
import pytest

import keraunos
from keraunos import callbacks


class Model:
    metrics = ()
    stop_training = False

    def __init__(self):
        self.saved = []

    def save(self, path, overwrite=True):
        self.saved.append(("model", path, overwrite))

    def save_weights(self, path, overwrite=True):
        self.saved.append(("weights", path, overwrite))


def run(library, folder, path, epochs, batches=0, **options):
    """What is saved, warned, raised; and the best number."""
    model, error, best = Model(), None, None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            callback = library.ModelCheckpoint(os.path.join(folder, path), **options)
            callback.set_model(model)
            for epoch, logs in enumerate(epochs):
                callback.on_epoch_begin(epoch)
                for batch in range(batches):
                    callback.on_train_batch_end(batch, {"loss": 1.5, **logs})
                callback.on_epoch_end(epoch, logs)
            best = repr(callback.best)
        except (ValueError, KeyError, OSError) as raised:
            error = type(raised), str(raised)
    return model.saved, [str(w.message) for w in warned], error, best


LOSSES = [{"val_loss": 3.0, "loss": 1.0}, {"val_loss": 2.0}, {"val_loss": 2.5}, {"val_loss": 1.0}]
CASES = [
    ("m.keras", {}),
    ("m.h5", {}),
    ("m.keras", {"save_best_only": True}),
    ("m.keras", {"save_best_only": True, "mode": "max"}),
    ("m.keras", {"save_best_only": True, "mode": "zz"}),
    ("m.keras", {"save_best_only": True, "monitor": "nope", "mode": "min"}),
    ("m.keras", {"save_best_only": True, "initial_value_threshold": 2.2}),
    ("m.keras", {"save_best_only": True, "save_freq": 2, "batches": 3, "monitor": "loss"}),
    ("a/{epoch:02d}-{val_loss:.2f}.keras", {}),
    ("w.weights.h5", {"save_weights_only": True}),
    ("{epoch}-{batch}.keras", {"save_freq": 2, "batches": 3}),
    ("m.keras", {"save_freq": 5, "batches": 3}),
    ("m.keras", {"save_freq": "batch"}),
    ("{nope}.keras", {}),
    ("m.npz", {"save_weights_only": True}),
    ("m", {}),
    ("m", {"save_weights_only": True}),
]


@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize(("path", "options"), CASES, ids=str)
def test_same_as_keras(tmp_path, capsys, path, options, verbose):
    seen = []
    for library in (callbacks, keras.callbacks):
        found = run(library, tmp_path, path, LOSSES, verbose=verbose, **options)
        seen.append((found, capsys.readouterr().out))
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "values", [[2.0, 2.0], [math.nan, 2.0], [np.array([1.0, 2.0])], [np.float64(3), 2]], ids=str
)
def test_other_numbers(tmp_path, values):
    epochs = [{"val_loss": value} for value in values]
    ours, theirs = (
        run(library, tmp_path, "m.keras", epochs, save_best_only=True)[:3]
        for library in (callbacks, keras.callbacks)
    )
    assert ours == theirs


def test_a_folder_of_that_name(tmp_path):
    (tmp_path / "m.keras").mkdir()
    saved, _, (kind, message), _ = run(callbacks, tmp_path, "m.keras", LOSSES)
    assert kind is OSError and not saved
    assert message.startswith("Please specify a non-directory filepath for ModelCheckpoint.")


def test_period_of_keras_2(tmp_path):
    saved, *_ = run(callbacks, tmp_path, "{epoch}.keras", LOSSES, period=2, options=None)
    assert [os.path.basename(path) for _, path, _ in saved] == ["2.keras", "4.keras"]
    with pytest.raises(
        TypeError, match=r"unexpected argument 'save_best'. Did you mean `save_best"
    ):
        callbacks.ModelCheckpoint("m.keras", save_best=True)


def test_patience():
    of = lambda freq: callbacks.CallbackList([callbacks.ModelCheckpoint("m.keras", save_freq=freq)])
    assert of("epoch").patience == math.inf
    assert of(5).patience == 0


def test_saved_while_training(tmp_path):
    inputs = keraunos.Input((2,))
    model = keraunos.Model(inputs, keraunos.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    path = tmp_path / "new" / "{epoch}.keras"
    model.fit(x, y, epochs=2, verbose=0, callbacks=[callbacks.ModelCheckpoint(path)])
    loaded = keras.saving.load_model(tmp_path / "new" / "2.keras")
    for ours, theirs in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(ours, theirs)
