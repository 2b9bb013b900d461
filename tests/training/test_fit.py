"""Training gives Keras's numbers: same weights, same batches, same history."""

import keras
import numpy as np
import pytest

import keraunos
from tests.oracle import close

LIBRARIES = keraunos, keras
N = 44  # with batches of 16, the last one has 12 rows


def table(seed=0, width=6):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, width)).astype("float32")
    return x, rng


def mlp(k, units=3, activation="softmax", **options):
    return k.Sequential(
        [
            k.Input((6,)),
            k.layers.Dense(8, activation="tanh", **options),
            k.layers.Dense(units, activation=activation),
        ]
    )


def alike(build):
    """The model of both libraries, with the same weights."""
    models = [build(k) for k in LIBRARIES]
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=w.shape, scale=0.3).astype("float32") for w in models[0].weights]
    for model in models:
        model.set_weights(weights)
    return models


def trained(models, *data, rtol=2e-5, atol=2e-6, weights=True, **options):
    """Fit both; assert that history and weights agree; the histories."""
    options = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0} | options
    histories = [model.fit(*data, **options).history for model in models]
    assert list(histories[0]) == list(histories[1])
    for name in histories[0]:
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol, atol, name)
        assert all(type(value) is float for value in histories[0][name])
    if weights:
        close(models[0].get_weights(), models[1].get_weights(), rtol * 10, atol * 5)
    return histories[0]


@pytest.mark.parametrize(
    ("loss", "units", "activation", "metrics", "target"),
    [
        ("sparse_categorical_crossentropy", 3, "softmax", ["accuracy"], "labels"),
        ("categorical_crossentropy", 3, "softmax", ["acc", "mae"], "one-hot"),
        ("binary_crossentropy", 1, "sigmoid", ["accuracy", "AUC"], "binary"),
        ("mse", 2, None, ["mae", "mape"], "numbers"),
        (
            "sparse_categorical_crossentropy",
            3,
            "softmax",
            ["accuracy", "sparse_categorical_crossentropy"],
            "labels of rank 2",
        ),
    ],
)
def test_losses_and_metrics(loss, units, activation, metrics, target):
    x, rng = table()
    labels = rng.integers(3, size=N)
    y = {
        "labels": labels,
        "labels of rank 2": labels[:, None],
        "one-hot": np.eye(3, dtype="float32")[labels],
        "binary": (labels > 1).astype("float32")[:, None],
        "numbers": rng.normal(size=(N, 2)).astype("float32"),
    }[target]
    models = alike(lambda k: mlp(k, units, activation))
    for model in models:
        model.compile("sgd", loss, metrics=metrics)
    history = trained(models, x, y, validation_split=0.25)
    assert set(history) == {f"{v}{n}" for v in ("", "val_") for n in ("loss", *metrics)}
    scores = [model.evaluate(x, y, batch_size=16, verbose=0) for model in models]
    np.testing.assert_allclose(*scores, rtol=1e-4)
    scores = [model.evaluate(x, y, batch_size=16, verbose=0, return_dict=True) for model in models]
    assert list(scores[0]) == list(scores[1])
    close(*[model.predict(x, batch_size=16, verbose=0) for model in models], rtol=1e-4)


def two_outputs(k):
    a, b = k.Input((6,), name="a"), k.Input((2,), name="b")
    x = k.layers.concatenate([k.layers.Dense(5, activation="relu")(a), b])
    return k.Model([a, b], [k.layers.Dense(1, name="p")(x), k.layers.Dense(2, name="q")(x)])


@pytest.mark.parametrize(
    "compiled",
    [
        {"loss": ["mse", "mse"], "loss_weights": [1.0, 0.2]},
        {"loss": ["mse", "mae"], "metrics": [["mae"], ["mse", "mae"]]},
        {
            "loss": {"p": "mse", "q": "mae"},
            "loss_weights": {"p": 2.0, "q": 0.1},
            "metrics": {"q": "mse"},
        },
        {"loss": {"p": "mse", "q": None}, "weighted_metrics": {"p": ["mae"]}},
    ],
)
@pytest.mark.parametrize("by_name", [False, True])
def test_several_inputs_and_outputs(compiled, by_name):
    x, rng = table()
    inputs = [x, rng.normal(size=(N, 2)).astype("float32")]
    targets = [rng.normal(size=(N, n)).astype("float32") for n in (1, 2)]
    if by_name:
        inputs, targets = dict(zip("ab", inputs)), dict(zip("pq", targets))
    models = alike(two_outputs)
    for model in models:
        model.compile("adam", **compiled)
    trained(models, inputs, targets)
    scores = [model.evaluate(inputs, targets, verbose=0) for model in models]
    np.testing.assert_allclose(*scores, rtol=1e-4)


def test_one_loss_serves_all_outputs():
    x, rng = table()
    inputs = [x, rng.normal(size=(N, 2)).astype("float32")]
    targets = [rng.normal(size=(N, n)).astype("float32") for n in (1, 2)]
    models = alike(lambda _: two_outputs(keraunos))
    models[0].compile("sgd", "mse", loss_weights=[1.0, 0.2], metrics=["mae"])
    models[1].compile("sgd", ["mse", "mse"], loss_weights=[1.0, 0.2], metrics=[["mae"], ["mae"]])
    trained(models, inputs, targets)


def test_weights_of_samples_and_classes():
    x, rng = table()
    y = rng.integers(3, size=N)
    weight = rng.uniform(0.5, 2, size=N).astype("float32")
    for options in (
        {"sample_weight": weight},
        {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}},
    ):
        models = alike(mlp)
        for model in models:
            model.compile(
                "sgd",
                "sparse_categorical_crossentropy",
                metrics=["accuracy"],
                weighted_metrics=["accuracy"] if "class_weight" not in options else None,
            )
        trained(models, x, y, **options)
    models = alike(mlp)
    for model in models:
        model.compile("sgd", "sparse_categorical_crossentropy")
    both = weight * np.array([1.0, 3.0, 0.5], "float32")[y]
    ours = models[0].fit(
        x, y, sample_weight=weight, class_weight={0: 1.0, 1: 3.0, 2: 0.5}, shuffle=False, verbose=0
    )
    theirs = models[1].fit(x, y, sample_weight=both, shuffle=False, verbose=0)
    np.testing.assert_allclose(ours.history["loss"], theirs.history["loss"], rtol=1e-5)


def test_regularizers_constraints_and_batch_normalization():
    x, rng = table()
    y = rng.normal(size=(N, 2)).astype("float32")

    def build(k):
        return k.Sequential(
            [
                k.Input((6,)),
                k.layers.Dense(
                    5, kernel_regularizer="l2", bias_constraint=k.constraints.MaxNorm(0.1)
                ),
                k.layers.BatchNormalization(),
                k.layers.Dense(2, activity_regularizer=k.regularizers.L1(0.01)),
            ]
        )

    models = [build(k) for k in LIBRARIES]
    models[0].set_weights(models[1].get_weights())
    for model in models:
        model.compile("rmsprop", "mse")
    trained(models, x, y, validation_data=(x, y), rtol=1e-4, atol=1e-5)


OPTIMIZERS = sorted(
    name
    for name, thing in vars(keras.optimizers).items()
    if isinstance(thing, type)
    and issubclass(thing, keras.optimizers.Optimizer)
    and name not in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_steps_of_every_optimizer(name):
    x, rng = table()
    y = rng.integers(3, size=N)
    models = alike(mlp)
    for model, k in zip(models, LIBRARIES):
        options = {"exclude_layers": ["dense_1"]} if name == "Muon" else {}
        optimizer = getattr(k.optimizers, name)(learning_rate=0.01, **options)
        model.compile(optimizer, "sparse_categorical_crossentropy")
    trained(models, x[:40], y[:40], batch_size=8, epochs=2)
    assert int(models[0].optimizer.iterations) == 10


def test_generators_and_steps():
    x, rng = table()
    y = rng.normal(size=(N, 3)).astype("float32")

    def batches():
        while True:
            for start in range(0, 32, 16):
                yield x[start : start + 16], y[start : start + 16]

    models = alike(lambda k: mlp(k, activation=None))
    for model in models:
        model.compile("sgd", "mse")
    histories = [
        model.fit(batches(), steps_per_epoch=3, epochs=2, verbose=0).history for model in models
    ]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)
    parts = lambda: ((part,) for part in (x[:16], x[16:40]))
    close(*[m.predict(parts(), steps=2, verbose=0) for m in models], rtol=1e-4)


def test_one_batch():
    x, rng = table()
    y = rng.normal(size=(N, 3)).astype("float32")
    models = alike(lambda k: mlp(k, activation=None))
    for model in models:
        model.compile("sgd", "mse", metrics=["mae"])
    for _ in range(2):
        np.testing.assert_allclose(*[m.train_on_batch(x, y) for m in models], rtol=1e-5)
    np.testing.assert_allclose(*[m.test_on_batch(x, y) for m in models], rtol=1e-5)
    close(*[m.predict_on_batch(x) for m in models])
    ours, theirs = [m.train_on_batch(x, y, return_dict=True) for m in models]
    assert sorted(ours) == sorted(theirs)


@pytest.mark.parametrize("pace", [1, 7, 32, None])
def test_the_pace_never_changes_the_numbers(pace):
    def run(steps_per_execution):
        keraunos.utils.set_random_seed(3)
        k = keraunos
        model = k.Sequential(
            [
                k.Input((6,)),
                k.layers.Dense(8, activation="relu"),
                k.layers.Dropout(0.3),
                k.layers.BatchNormalization(),
                k.layers.Dense(3, activation="softmax"),
            ]
        )
        model.compile(
            "adam",
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            steps_per_execution=steps_per_execution,
        )
        x, rng = table()
        history = model.fit(x, rng.integers(3, size=N), batch_size=3, epochs=3, verbose=0)
        return model.get_weights(), model.optimizer.variables, history.history

    weights, slots, history = run(pace)
    weights_all, slots_all, history_all = run(1000)
    assert history == history_all
    for one, other in zip(weights, weights_all):
        assert np.array_equal(one, other)
    for one, other in zip(slots, slots_all):
        assert np.array_equal(one, other)


def test_a_callback_that_looks_at_batches_gets_every_batch_and_changes_nothing():
    x, rng = table()
    y = rng.normal(size=(N, 3)).astype("float32")
    seen = []

    class Watch(keraunos.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, logs["loss"], self.model.get_weights()[0][0, 0]))

    runs = []
    for callbacks in ([], [Watch()]):
        keraunos.utils.set_random_seed(3)
        model = mlp(keraunos, activation=None)
        model.compile("sgd", "mse")
        model.fit(x, y, batch_size=8, verbose=0, callbacks=callbacks)
        runs.append(model.get_weights())
    assert [batch for batch, _, _ in seen] == list(range(6))
    assert len({weight for _, _, weight in seen}) == 6  # current weights at every step
    assert all(np.array_equal(a, b) for a, b in zip(*runs))


def test_eagerly_gives_the_same_numbers():
    x, rng = table()
    y = rng.normal(size=(N, 3)).astype("float32")
    models = [mlp(keraunos, activation=None) for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    for model, eagerly in zip(models, (False, True)):
        model.compile("adam", "mse", run_eagerly=eagerly)
    trained(models, x, y, rtol=1e-5)


def test_frozen_layers_take_effect_without_compiling_again():
    x, rng = table()
    y = rng.normal(size=(N, 3)).astype("float32")
    model = mlp(keraunos, activation=None)
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    before = model.get_weights()
    model.layers[0].trainable = False
    with pytest.warns(UserWarning, match="is frozen since `compile`"):
        model.fit(x, y, verbose=0)
    after = model.get_weights()
    assert np.array_equal(before[0], after[0]) and not np.array_equal(before[2], after[2])
    model.layers[0].trainable = True
    model.fit(x, y, verbose=0)
    assert not np.array_equal(after[0], model.get_weights()[0])


def test_arrays_taken_before_fit_stay_alive():
    x, rng = table()
    model = mlp(keraunos)
    model.compile("sgd", "mse")
    kept = model.layers[0].kernel.value
    model.fit(x, rng.normal(size=(N, 3)), verbose=0)
    assert np.isfinite(np.asarray(kept)).all()
