"""Callbacks that follow a number decide as Keras's do, and say the same."""

import functools
import math
import warnings

import keras
import numpy as np
import pytest

from keraunos import callbacks

NAN = math.nan


class Optimizer:
    """Keeps its learning rate in float32, as real ones do."""

    learning_rate = property(
        lambda self: self._rate,
        lambda self, value: setattr(self, "_rate", np.float32(value)),
    )

    def __init__(self):
        self.learning_rate = 0.1


class Model:
    def __init__(self, metrics=()):
        self.metrics, self.optimizer, self.weights = list(metrics), Optimizer(), 0
        self.stop_training = False

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = f"restored {weights}"


def driven(library, name, arguments, values, monitor):
    """All that can be seen of a callback and its model while it is given `values`."""
    seen, model = [], Model()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        callback = getattr(library, name)(**arguments)
        callback.set_model(model)
        callback.on_train_begin()
        for epoch, value in enumerate(values):
            model.weights = epoch
            logs = {"loss": 1.0} | ({} if value is None else {monitor: value})
            callback.on_epoch_begin(epoch, logs)
            callback.on_epoch_end(epoch, logs)
            state = [getattr(callback, a, None) for a in ("best", "wait", "best_epoch")]
            state += [getattr(callback, a, None) for a in ("stopped_epoch", "cooldown_counter")]
            state += [getattr(callback, "best_weights", None)]
            seen.append((repr(state), model.stop_training, float(model.optimizer.learning_rate)))
            seen.append(repr(logs))
            if model.stop_training:
                break
        callback.on_train_end()
    return seen, model.weights, [str(warning.message) for warning in warned]


def same(capsys, name, arguments, values, monitor="val_loss"):
    seen = []
    for library in (callbacks, keras.callbacks):
        seen.append((driven(library, name, arguments, values, monitor), capsys.readouterr().out))
    assert seen[0] == seen[1]
    return seen[0]


SEQUENCES = [
    [3, 2, 1, 2, 2, 2, 2, 0],
    [3, 3, 3, 3, 3, 3],
    [1, 2, 3, 4, 5],
    [3.0, 2.9, 2.85, 2.4, 2.45, 2.6, 2.3],
    [0.34, 0.24, 0.14, 1e300, 1e301],  # differences that float32 does not see
    [None, 1, None, 2, 3],
    [NAN, 1, NAN, NAN],
    [1, NAN, 0.5, NAN, NAN, NAN],
    [np.float32(0.3), np.float32(0.2), np.float32(0.25)],
    [1],
    [],
]
EARLY = [
    {},
    {"patience": 1},
    {"patience": 2, "restore_best_weights": True},
    {"patience": 1, "min_delta": 0.3},
    {"patience": 2, "min_delta": -0.3},
    {"patience": 1, "baseline": 2.5, "restore_best_weights": True},
    {"patience": 2, "start_from_epoch": 2, "restore_best_weights": True},
    {"patience": 2, "mode": "max", "min_delta": 0.5, "baseline": 2.9},
    {"patience": 1, "mode": "max", "restore_best_weights": True},
]
PLATEAU = [
    {"patience": 1},
    {"patience": 0},
    {"patience": 2, "factor": 0.5, "cooldown": 2},
    {"patience": 1, "factor": 0.5, "cooldown": 1, "min_lr": 0.03},
    {"patience": 1, "factor": 0.3, "min_lr": 0.1},
    {"patience": 1, "mode": "max", "min_delta": 0.5},
    {"patience": 1, "min_delta": -0.3},
    {"patience": 1, "factor": 0},
]


@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize("arguments", EARLY)
def test_early_stopping(capsys, arguments, verbose):
    for values in SEQUENCES:
        same(capsys, "EarlyStopping", {**arguments, "verbose": verbose}, values)


@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize("arguments", PLATEAU)
def test_reduce_lr_on_plateau(capsys, arguments, verbose):
    for values in SEQUENCES:
        same(capsys, "ReduceLROnPlateau", {**arguments, "verbose": verbose}, values)


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau"])
def test_long_random_sequences(capsys, rng, name):
    for _ in range(60):
        values = np.round(rng.uniform(0, 1, 30) + np.linspace(1, 0, 30), 2).tolist()
        arguments = {
            "patience": int(rng.integers(0, 6)),
            "min_delta": float(rng.choice([0, 0.01, 0.1])),
            "mode": str(rng.choice(["min", "max", "auto"])),
            "verbose": 1,
        }
        if name == "EarlyStopping":
            arguments["restore_best_weights"] = bool(rng.integers(0, 2))
            arguments["baseline"] = [None, 1.0][rng.integers(0, 2)]
        else:
            arguments["cooldown"] = int(rng.integers(0, 4))
        same(capsys, name, arguments, values)


def test_monitored_under_another_name(capsys):
    same(capsys, "EarlyStopping", {"monitor": "foo", "mode": "min", "patience": 1}, [1, 2], "foo")


@pytest.mark.parametrize("mode", ["bad", None, "MAX"])
@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau"])
def test_unknown_mode(capsys, name, mode):
    (_, _, warned), _ = same(capsys, name, {"mode": mode, "patience": 1}, [2, 1, 1])
    assert warned == [f"{name} mode '{mode}' is unknown, fallback to auto mode."]


class Metric:
    def __init__(self, name, direction=None):
        self.name, self._direction = name, direction


class Container:
    name = "compile_metrics"

    def __init__(self, *metrics):
        self.metrics = list(metrics)


DIRECTIONS = [
    ("val_loss", [], False),
    ("loss", [], False),
    ("val_foo", [Metric("foo", "up")], True),
    ("foo", [Container(Metric("bar", "up"), Metric("foo", "down"))], False),
    ("accuracy", [Metric("accuracy", "down")], False),
    ("val_out_foo", [Container(Metric("foo", "up"))], True),
    ("val_out_loss", [], False),
    ("val_accuracy", [], True),
    ("acc", [], True),
    ("val_out_auc", [], True),
    ("mean_iou", [], True),
]


@pytest.mark.parametrize(("monitor", "metrics", "rises"), DIRECTIONS)
@pytest.mark.parametrize("kind", [callbacks.EarlyStopping, callbacks.ReduceLROnPlateau])
def test_auto_mode(kind, monitor, metrics, rises):
    callback = kind(monitor=monitor)
    callback.set_model(Model(metrics))
    callback.on_epoch_end(0, {monitor: 1.0})
    assert callback.monitor_op is (np.greater if rises else np.less)


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau"])
def test_no_direction(name):
    messages = []
    for library in (callbacks, keras.callbacks):
        callback = getattr(library, name)(monitor="val_foo")
        callback.set_model(Model())
        with pytest.raises(ValueError, match="maximized or minimized") as error:
            callback.on_epoch_end(0, {"val_foo": 1.0})
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    callback = callbacks.EarlyStopping(monitor="val_foo")
    callback.set_model(Model())
    with pytest.raises(ValueError, match="The logs have only loss, bar"):
        callback.on_epoch_end(0, {"loss": 1.0, "bar": 2.0})


def test_plateau_arguments():
    with pytest.raises(ValueError, match=r"a factor >= 1.0. Received factor=2"):
        callbacks.ReduceLROnPlateau(factor=2)
    with pytest.raises(TypeError, match=r"unexpected argument 'patients'. Did you mean `patience`"):
        callbacks.ReduceLROnPlateau(patients=2)
    assert callbacks.ReduceLROnPlateau(epsilon=0.5).min_delta == 0.5  # Keras 2


SCHEDULES = [
    lambda epoch, rate: rate * 0.5,
    lambda epoch: 0.1 / (epoch + 1),
    lambda epoch, rate=0.5: rate * 0.9,
    lambda epoch: np.float64(0.25),
    lambda epoch: np.float32(0.1),
    functools.partial(lambda decay, epoch, rate: rate * decay, 0.5),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("verbose", [0, 1])
def test_scheduler(capsys, schedule, verbose):
    arguments = {"schedule": schedule, "verbose": verbose}
    same(capsys, "LearningRateScheduler", arguments, [1, 1, 1])


@pytest.mark.parametrize(
    ("output", "good"),
    [(1, True), (np.array(0.5), True), ("a", False), ("1", False), (None, False), ([1], False)],
)
def test_what_a_schedule_may_return(output, good):
    callback = callbacks.LearningRateScheduler(lambda epoch: output)
    callback.set_model(Model())
    if good:
        callback.on_epoch_begin(0)
        assert callback.model.optimizer.learning_rate == np.float32(output)
    else:
        with pytest.raises(ValueError, match=r"should be a float\. Got: "):
            callback.on_epoch_begin(0)


def test_errors_in_a_schedule_are_its_own():
    callback = callbacks.LearningRateScheduler(lambda epoch, rate: None + 1)
    callback.set_model(Model())
    with pytest.raises(TypeError, match="unsupported operand"):
        callback.on_epoch_begin(0)


@pytest.mark.parametrize("name", ["ReduceLROnPlateau", "LearningRateScheduler"])
def test_optimizer_without_a_learning_rate(name):
    model = Model()
    model.optimizer = object()
    callback = getattr(callbacks, name)(*([len] if name == "LearningRateScheduler" else []))
    callback.set_model(model)
    with pytest.raises(ValueError, match='must have a "learning_rate" attribute'):
        callback.on_epoch_begin(0)
        callback.on_epoch_end(0, {"val_loss": 1.0})


@pytest.mark.parametrize("loss", [1.0, None, NAN, math.inf, -math.inf, np.float32("nan")])
@pytest.mark.parametrize("raises", [False, True])
def test_terminate_on_nan(capsys, loss, raises):
    seen = []
    for library in (callbacks, keras.callbacks):
        callback, model = library.TerminateOnNaN(raise_error=raises), Model()
        callback.set_model(model)
        try:
            callback.on_train_batch_end(3, {} if loss is None else {"loss": loss})
            error = None
        except RuntimeError as raised:
            error = str(raised)
        seen.append((model.stop_training, error, capsys.readouterr().out))
    assert seen[0] == seen[1]
