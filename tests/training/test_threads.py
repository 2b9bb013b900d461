"""One model in many threads: each gets its own answers, whatever the others do meanwhile."""

import threading

import numpy as np
import pytest

import keraunos
from keraunos import layers

X = np.random.RandomState(0).rand(60, 4).astype("float32")


def made(trained: bool):
    model = keraunos.Sequential(
        [
            keraunos.Input((4,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    if trained:
        model.predict(X, verbose=0)
    return model


def in_threads(*works):
    failures = []

    def run(work):
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures and not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("trained", [True, False], ids=["run before", "never run before"])
def test_predict_in_16_threads(trained):
    model, found = made(trained), {}
    sizes = [60, 1, 7, 33]

    def work(i):
        for _ in range(3):
            found[i] = model.predict(X[: sizes[i % 4]], verbose=0)

    in_threads(*(lambda i=i: work(i) for i in range(16)))
    for i in range(16):
        expected = np.asarray(model(X[: sizes[i % 4]]))
        np.testing.assert_allclose(found[i], expected, rtol=1e-5, atol=1e-6)


def test_predict_while_fit_trains():
    model, alone, shapes = made(False), made(False), []
    alone.set_weights(model.get_weights())

    def watch():
        for _ in range(5):
            shapes.append(model.predict(X, verbose=0).shape)

    y = X[:, :1]
    train = lambda m: m.fit(X, y, epochs=20, shuffle=False, verbose=0)
    model.layers[2].rate = alone.layers[2].rate = 0.0  # no chance that threads would share
    in_threads(lambda: train(model), watch, watch)
    train(alone)
    assert shapes == [(60, 1)] * 10
    for a, b in zip(model.get_weights(), alone.get_weights()):
        assert np.array_equal(a, b)  # those who only look change nothing


def test_what_a_step_does_not_change_is_not_taken():
    model = made(True)
    arrays = [variable._array for variable in model.variables]
    model.predict(X, verbose=0)
    assert all(v._array is a for v, a in zip(model.variables, arrays))
    model.fit(X, X[:, :1], verbose=0)
    assert not any(v._array is a for v, a in zip(model.trainable_variables, arrays))
