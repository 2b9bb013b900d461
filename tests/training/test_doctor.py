"""A training that stops being finite says when, where, and for which rows; and stops if told."""

import contextlib
import re
import warnings

import numpy as np
import pytest

import keraunos
from keraunos import layers, ops

X = np.random.RandomState(0).rand(40, 4).astype("float32")
Y = X[:, :1]


class Log(layers.Layer):
    def call(self, x):
        return ops.log(x)


@contextlib.contextmanager
def said():
    """The warnings about numbers that are not finite, as they come; others are other tests'."""
    texts = []
    with warnings.catch_warnings(record=True) as all_of_them:
        warnings.simplefilter("always")
        yield texts
    found = [str(each.message) for each in all_of_them]
    texts += [text for text in found if re.match("Training stopped|The loss is|[0-9]+ steps", text)]


def chain(*parts, optimizer="sgd", loss="mse"):
    keraunos.utils.set_random_seed(0)
    model = keraunos.Sequential([keraunos.Input((4,)), *parts], name="net")
    model.compile(optimizer, loss)
    return model


def noisy():
    return layers.Dropout(0.5, seed=1), layers.Dense(1, kernel_initializer="ones")


def graph(function, loss="mae", initializer="ones"):
    inputs = keraunos.Input((4,))
    dense = layers.Dense(1, kernel_initializer=initializer, name="dense")
    model = keraunos.Model(inputs, function(inputs, dense), name="net")
    model.compile("sgd", loss)
    return model


def changed(array, row, value):
    array = array.copy()
    array[row] = value
    return array


def exploding():
    inner = keraunos.Sequential(
        [layers.Dense(3, activation="exponential", kernel_initializer="ones", name="boom")],
        name="inner",
    )
    return chain(inner, layers.Dense(1))


CASES = {
    "a row of the data": (
        lambda: chain(layers.Dense(1)), changed(X, (17, 2), np.nan), Y,
        "step 3: the data: `x` holds nan in row 1 of the batch .sample 17 of the data",
    ),
    "a target": (
        lambda: chain(layers.Dense(1)), X, changed(Y, 9, np.inf),
        "step 2: the data: `y` holds inf in row 1 of the batch .sample 9 of",
    ),
    "a layer within a model": (
        exploding, changed(X, slice(20, 22), 500), Y,
        r"step 3: layer 'inner/boom' \(Dense\) gave inf in rows 4, 5 of the batch "
        r"\(samples 20, 21 of the data\) for inputs up to 5e\+02 in size",
    ),
    "a layer of one's own": (
        lambda: chain(Log(name="log"), layers.Dense(1)), changed(X, (8, 1), 0), Y,
        r"step 2: layer 'log' \(Log\) gave inf in row 0",
    ),
    "an operation in a graph": (
        lambda: graph(lambda x, dense: dense(ops.log(x))), changed(X, (0, 0), -1), Y,
        "step 1: operation 'log.*' of 'net' gave nan in row 0",
    ),
    "a gradient": (
        lambda: graph(lambda x, dense: ops.sqrt(dense(x)), initializer="zeros"), X, Y + 1,
        "step 1: the gradient of dense/bias was not finite, and those of 1 variables before it",
    ),
    "a loss": (
        lambda: chain(layers.Dense(1, kernel_initializer="ones")), changed(X, 3, 1e30), Y,
        r"step 1: the loss was inf in row 3 of the batch .* for outputs up to 4e\+30 in size",
    ),
    "an update": (
        lambda: chain(layers.Dense(1, name="d"), optimizer=keraunos.optimizers.SGD(3e38)), X,
        Y + 30, "step 1: d/.* was not finite after the update by sgd",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_where_it_began(case):
    make, x, y, message = CASES[case]
    model = make()
    with said() as told:
        history = model.fit(x, y, batch_size=8, verbose=0, on_nan="stop", shuffle=False, epochs=3)
    assert len(told) == 1 and "Training stops; the variables are as" in told[0]
    assert re.search("in epoch 1, " + message, told[0])
    assert len(history.epoch) == 1
    assert all(np.isfinite(v.numpy()).all() for v in model.variables)


def test_a_variable_that_was_not_finite():
    model = chain(layers.Dense(1, name="d"))
    model.layers[0].bias.assign([np.nan])
    with said() as told:
        model.fit(X, Y, verbose=0, on_nan="stop")
    assert "step 1: the variable d/bias held nan before it" in told[0]


BAD = changed(X, (slice(16, 24), 2), np.nan)  # the third of five steps


@pytest.mark.parametrize("kind", ["stop", "skip", "report"])
@pytest.mark.parametrize("made", ["arrays", "batches"])
def test_what_is_left(kind, made):
    def trained(steps):
        model = chain(*noisy(), optimizer="adam")
        for i in steps:
            model.train_on_batch(BAD[8 * i : 8 * i + 8], Y[8 * i : 8 * i + 8])
        return model

    model = trained(())
    batches = [(BAD[i : i + 8], Y[i : i + 8]) for i in range(0, 40, 8)]
    data = (BAD, Y) if made == "arrays" else (batches.__iter__(),)
    with said() as told:
        history = model.fit(*data, batch_size=8, verbose=0, shuffle=False, on_nan=kind).history
    assert re.search("step 3: the data.*in rows 0, 1, 2, 3, 4, 5, 6, 7 of", told[0])
    expected = trained({"stop": [0, 1], "skip": [0, 1, 3, 4], "report": range(5)}[kind])
    for mine, theirs in zip(model.get_weights(), expected.get_weights()):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)
    assert np.isfinite(history["loss"]).all() == (kind != "report")
    assert model.optimizer.iterations.numpy() == {"stop": 2, "skip": 4, "report": 5}[kind]


def test_steps_left_out_are_counted():
    model = chain(layers.Dense(1))
    with said() as told:
        model.fit(BAD, Y, batch_size=8, epochs=4, verbose=0, on_nan="skip", shuffle=False)
    assert len(told) == 2 and told[1] == "4 steps were left out because they were not finite."


def test_watching_changes_nothing_where_all_is_finite():
    one, other = (chain(*noisy()) for _ in range(2))
    options = {"epochs": 2, "verbose": 0, "shuffle": False}
    histories = [
        one.fit(X, Y, **options).history,
        other.fit(X, Y, on_nan="skip", **options).history,
    ]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-6)
    for mine, theirs in zip(one.get_weights(), other.get_weights()):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_without_a_doctor_one_warning_names_the_step():
    model = chain(layers.Dense(1))
    options = {"batch_size": 8, "verbose": 0, "shuffle": False, "check_data": False}
    each = keraunos.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    with said() as told:
        model.fit(BAD, Y, callbacks=[each], epochs=2, **options)
    assert len(told) == 1 and "loss is nan since epoch 1, step 3. With `fit" in told[0]
    with said() as told:
        stop = keraunos.callbacks.TerminateOnNaN()  # says so itself
        model.fit(BAD, Y, callbacks=[stop], **options)
    assert not told


def test_a_run_that_became_nan_is_taken_up_with_a_doctor(tmp_path):
    options = {"batch_size": 8, "verbose": 0, "resume": tmp_path, "shuffle": False}
    with said() as told:
        chain(layers.Dense(1)).fit(BAD, Y, check_data=False, **options)
        chain(layers.Dense(1)).fit(BAD, Y, epochs=2, on_nan="stop", **options)
    assert re.match("Training .* epoch 2, step 1: the variable .* held nan before it", told[1])


def test_kinds_are_checked():
    kinds = r"`on_nan` must be one of 'stop', 'skip', 'report' or None, got 'skp'. Did you mean `sk"
    with pytest.raises(ValueError, match=kinds):
        chain(layers.Dense(1)).fit(X, Y, on_nan="skp")
