"""Averaged weights are seen where Keras shows them, and the weights come back for training."""

import keras
import numpy as np
import pytest

import keraunos
from tests.oracle import close

X = np.random.default_rng(0).random((12, 3), "float32")
Y = X.sum(1, keepdims=True)


def model(library, optimizer):
    model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
    model.compile(optimizer, "mse")
    model.set_weights([np.zeros((3, 1)), np.zeros(1)])
    return model


def sgd(library, **options):
    return library.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, **options)


OPTIMIZERS = {
    "plain": sgd,
    "overwriting": lambda library: sgd(library, ema_overwrite_frequency=2),
    "wrapped": lambda library: library.optimizers.LossScaleOptimizer(sgd(library)),
}


def watching(library, seen, **also):
    look = lambda self, *_, **__: seen.append(np.array(self.model.get_weights()[0]))
    hooks = {"on_epoch_begin": look, "on_epoch_end": look, "on_train_end": look}
    return type("Watching", (library.callbacks.Callback,), hooks | also)()


def fitted(library, optimizer, **options):
    """All that is seen of the weights, before and after the callback in the list."""
    seen, trained = [], model(library, OPTIMIZERS[optimizer](library))
    swap = library.callbacks.SwapEMAWeights(**options)
    history = trained.fit(
        X,
        Y,
        batch_size=4,
        epochs=3,
        shuffle=False,
        verbose=0,
        validation_data=(X, Y),
        callbacks=[watching(library, seen), swap, watching(library, seen)],
    )
    averages = [v.numpy() for v in trained.optimizer.variables if "average" in v.name]
    weights = trained.get_weights()
    score = np.float32(trained.evaluate(X, Y, verbose=0, callbacks=[swap]))
    return history.history["val_loss"], seen, weights, averages, score


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_same_as_keras(optimizer, swap_on_epoch):
    ours, theirs = (
        fitted(library, optimizer, swap_on_epoch=swap_on_epoch) for library in (keraunos, keras)
    )
    close(ours, theirs)


@pytest.mark.parametrize("first", [False, True])
def test_a_training_that_is_stopped_ends_with_the_averages(first):
    def stop(self, epoch, logs=None):
        self.model.stop_training = epoch == 1

    whole = model(keraunos, sgd(keraunos))
    whole.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    stopped = model(keraunos, sgd(keraunos))
    callbacks = [
        keraunos.callbacks.SwapEMAWeights(swap_on_epoch=True),
        watching(keraunos, [], on_epoch_end=stop),
    ]
    stopped.fit(
        X, Y, epochs=5, shuffle=False, verbose=0, callbacks=callbacks[:: -1 if first else 1]
    )
    close(stopped.get_weights(), whole.get_weights())


def test_a_checkpoint_holds_the_averages_and_training_goes_on(tmp_path):
    path = str(tmp_path / "{epoch}.keras")
    plain, swapped = model(keraunos, sgd(keraunos)), model(keraunos, sgd(keraunos))
    swap = keraunos.callbacks.SwapEMAWeights(swap_on_epoch=True)
    averages = []

    def look(self, *_, **__):
        averages.append([v.numpy() for v in plain.optimizer.variables if "average" in v.name])

    for trained, callbacks in (
        (swapped, [swap, keraunos.callbacks.ModelCheckpoint(path)]),
        (plain, [watching(keraunos, [], on_epoch_end=look)]),
    ):
        trained.fit(X, Y, batch_size=4, epochs=3, verbose=0, shuffle=False, callbacks=callbacks)
    for epoch, average in enumerate(averages):
        saved = keraunos.saving.load_model(path.format(epoch=epoch + 1))
        close(saved.get_weights(), average)
    close(swapped.get_weights(), plain.get_weights())
    swapped.fit(X, Y, verbose=0, callbacks=[swap])  # and once more


def test_evaluating_between_epochs_leaves_the_averages():
    seen, swap = [], keraunos.callbacks.SwapEMAWeights(swap_on_epoch=True)

    def evaluate(self, *_, **__):
        seen.append(self.model.get_weights())
        self.model.evaluate(X, Y, verbose=0, callbacks=[swap])
        seen.append(self.model.get_weights())

    trained = model(keraunos, sgd(keraunos))
    callbacks = [swap, watching(keraunos, [], on_epoch_end=evaluate)]
    trained.fit(X, Y, verbose=0, callbacks=callbacks)
    close(seen[0], seen[1])
    close(seen[1], trained.get_weights())


def test_it_needs_averages():
    message = (
        "SwapEMAWeights must be used when `use_ema=True` is set on the optimizer. "
        "Received: use_ema=False"
    )
    for library in (keraunos, keras):
        trained = model(library, "sgd")
        with pytest.raises(ValueError, match=message):
            swap = library.callbacks.SwapEMAWeights()
            trained.fit(X, Y, verbose=0, callbacks=[swap], validation_data=(X, Y))
    trained = model(keraunos, sgd(keraunos))  # nothing is there yet
    swap = keraunos.callbacks.SwapEMAWeights()
    assert trained.predict(X[:1], verbose=0, callbacks=[swap]).item() == 0
