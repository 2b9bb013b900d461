"""Checkpoints by Orbax: Keras reads ours, we read Keras's, and nothing is left out in silence."""

import os
import sys

import keras
import numpy as np
import pytest

import keraunos
from keraunos.callbacks import OrbaxCheckpoint
from keraunos.saving import orbax
from tests.oracle import close

X = np.random.default_rng(0).random((12, 3), "float32")
Y = X.sum(1, keepdims=True)
OTHERS = "ignore:__array__ implementation:DeprecationWarning", "ignore:Sharding info"
pytestmark = [pytest.mark.filterwarnings(text) for text in OTHERS]


def model(library, units=4, functional=False, **names):
    layers = library.layers
    parts = [layers.Dense(units, **names), layers.BatchNormalization(), layers.Dropout(0.5)]
    parts += [layers.Dense(1)]
    if functional:
        inputs = outputs = library.Input((3,))
        for layer in parts:
            outputs = layer(outputs)
        model = library.Model(inputs, outputs)
    else:
        model = library.Sequential([library.Input((3,)), *parts])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def train(library, folder, epochs=1, first=0, trained=None, **options):
    trained = trained or model(library)
    callback = library.callbacks.OrbaxCheckpoint(folder, **options)
    trained.fit(
        X, Y, epochs=epochs, initial_epoch=first, batch_size=4, verbose=0, callbacks=[callback]
    )
    return trained


def state(model):
    weights = [v for v in model.variables if "seed" not in v.path]
    return [np.asarray(v.value) for v in [*weights, *model.optimizer.variables]]


WAYS = [(keraunos, keraunos, False), (keras, keraunos, False), (keras, keraunos, True)]


# Keras itself finds no weights of a Sequential, whose paths change when it is read.
@pytest.mark.parametrize("writer, reader, functional", [*WAYS, (keraunos, keras, True)])
def test_models_go_both_ways(writer, reader, functional, tmp_path):
    trained = train(writer, tmp_path, epochs=2, trained=model(writer, functional=functional))
    loaded = reader.saving.load_model(tmp_path)
    close(state(loaded), state(trained))
    train(reader, tmp_path, epochs=3, first=2, trained=loaded)
    assert os.listdir(tmp_path) == ["2"]
    if reader is keraunos:  # automatic names have counted on; Keras then loads nothing
        weights = model(keraunos, functional=functional)
        weights.load_weights(tmp_path / "2")
        close(weights.get_weights(), loaded.get_weights())
        assert int(weights.optimizer.iterations) == 0
        plain = reader.saving.load_model(tmp_path, compile=False)
        assert plain.optimizer is None
        close(plain.get_weights(), loaded.get_weights())


def test_seeds_and_metrics_are_saved_too(tmp_path):
    trained = train(keraunos, tmp_path, save_on_background=False)
    tree, _ = orbax._read(tmp_path / "0")
    assert tree.keys() == trained.get_state_tree().keys()
    close(tree, trained.get_state_tree())
    again = keraunos.saving.load_model(tmp_path)
    seeds = [v for v in again.variables if "seed" in v.path]
    close([v.value for v in seeds], [v.value for v in trained.variables if "seed" in v.path])


LOSSES = [3.0, 2.0, 2.5, 1.0]
CASES = [
    {"max_to_keep": None},
    {"max_to_keep": 2, "save_on_background": False},
    {"save_best_only": True, "max_to_keep": None},
    {"save_best_only": True, "max_to_keep": None, "mode": "max"},
    {"save_best_only": True, "max_to_keep": None, "initial_value_threshold": 2.2},
    {"save_freq": 2, "max_to_keep": None},
    {"save_weights_only": True},
]


def saved(library, folder, options):
    """The checkpoints that are there after four epochs of two batches, and the best number."""
    few = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
    few.compile("sgd", "mse")
    few.optimizer.build(few.trainable_variables)
    few.optimizer.iterations.assign(3)
    callback = library.callbacks.OrbaxCheckpoint(folder, **options)
    callback.set_model(few)
    callback.on_train_begin()
    for epoch, loss in enumerate(LOSSES):
        callback.on_epoch_begin(epoch)
        for batch in range(2):
            callback.on_train_batch_begin(batch)
            callback.on_train_batch_end(batch, {"loss": loss})
        callback.on_epoch_end(epoch, {"loss": loss, "val_loss": loss})
    callback.on_train_end()
    assert callback.is_primary_host() and not callback.is_multihost_enabled()
    names = sorted(os.listdir(folder))
    return (
        names,
        callback.best,
        [p.name in ("pytree", "model_config") for p in sorted((folder / names[-1]).iterdir())],
    )


@pytest.mark.parametrize("options", CASES, ids=str)
def test_saved_when_keras_saves(options, tmp_path):
    ours, theirs = (
        saved(library, tmp_path / library.__name__, options) for library in (keraunos, keras)
    )
    assert ours == theirs


def test_what_does_not_fit(tmp_path):
    train(keraunos, tmp_path / "a", save_weights_only=True)
    with pytest.raises(ValueError, match=r"holds weights only\. Make the model first, then call"):
        keraunos.saving.load_model(tmp_path / "a")
    other = keraunos.Sequential([keraunos.Input((3,)), keraunos.layers.Dense(4, name="two")])
    before = other.get_weights()
    for asked, told in (
        (model(keraunos, 5), r"dense_\d/kernel has shape \(3, 5\), in the checkpoint \(3, 4\)"),
        (other, r"two/kernel is missing from the checkpoint"),
        (other, r"/dense/kernel is only in the checkpoint\n(?s:.*)Nothing was loaded. `skip_mis"),
    ):
        with pytest.raises(ValueError, match=told):
            asked.load_weights(tmp_path / "a")
    close(other.get_weights(), before)
    with pytest.warns(UserWarning, match="These were left as they are"):
        other.load_weights(tmp_path / "a", skip_mismatch=True)
    with pytest.raises(ValueError, match="holds a checkpoint of step 0, but this training begins"):
        train(keraunos, tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        other.load_weights(tmp_path)


def test_names_may_be_others_and_layers_frozen(tmp_path):
    """As with `.weights.h5`, whose paths do not depend on names either."""

    def nested(**names):
        inner = keraunos.Sequential([keraunos.Input((3,)), keraunos.layers.Dense(3, **names)])
        inputs = keraunos.Input((3,))
        model = keraunos.Model(inputs, keraunos.layers.Dense(1)(inner(inputs)))
        model.compile("adam", "mse")
        return model

    trained = train(keraunos, tmp_path, trained=nested(name="one"))
    close(state(keraunos.saving.load_model(tmp_path)), state(trained))
    other = nested(name="two")
    other.layers[1].trainable = False
    other.load_weights(tmp_path)
    close([v.value for v in other.variables], [v.value for v in trained.variables])


def test_an_optimizer_that_does_not_fit_starts_fresh(tmp_path):
    trained = train(keraunos, tmp_path)
    read = orbax._read

    def older(step):
        tree, order = read(step)
        del tree["optimizer_variables"]["adam"]["iteration"]
        return tree, order

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orbax, "_read", older)
        with pytest.warns(UserWarning, match="adam/iteration is missing from the checkpoint"):
            loaded = keraunos.saving.load_model(tmp_path)
    close(loaded.get_weights(), trained.get_weights())
    assert int(loaded.optimizer.iterations) == 0


def test_two_layers_of_one_name(tmp_path):
    class Twins(keraunos.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = (keraunos.layers.Dense(1, name="same") for _ in "ab")

        def call(self, x):
            return self.a(x) + self.b(x)

    twins = Twins()
    twins.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"are called '.*same/.*Give their layers names of their"):
        train(keraunos, tmp_path, trained=twins)


def test_arguments(tmp_path, monkeypatch, capsys):
    with pytest.raises(ValueError, match=r"max_to_keep.*0"):
        OrbaxCheckpoint(tmp_path, max_to_keep=0)
    with pytest.raises(ValueError, match=r"Unrecognized save_freq: x\. Expected save_freq are"):
        OrbaxCheckpoint(tmp_path, save_freq="x")
    monkeypatch.chdir(tmp_path)
    train(keraunos, "here", verbose=1)  # Orbax itself wants an absolute path
    assert f"Epoch 1: saving model to {tmp_path}/here/0" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "orbax.checkpoint.experimental.v1", None)
    with pytest.raises(ImportError, match=r"pip install keraunos\[distributed\]"):
        OrbaxCheckpoint(tmp_path)
