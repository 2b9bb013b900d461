"""The list of callbacks, history, and callbacks made of functions."""

import inspect
import math

import jax.numpy as jnp
import keras
import numpy as np
import pytest

from keraunos import callbacks
from keraunos.callbacks.callback import HOOKS
from tests.callbacks.calls import recorder

NAMES = [name for name in callbacks.__all__ if name != "Callback"]


class Model:
    stop_training = False
    history = None


@pytest.mark.parametrize("name", NAMES)
def test_same_signature(name):
    ours, theirs = (getattr(m, name).__init__ for m in (callbacks, keras.callbacks))
    given, known = (
        [(p.name, p.default, p.kind) for p in inspect.signature(init).parameters.values()]
        for init in (ours, theirs)
    )
    assert given[: len(known)] == known
    assert {kind for *_, kind in given[len(known) :]} <= {inspect.Parameter.VAR_KEYWORD}


@pytest.mark.parametrize("hook", HOOKS)
def test_same_hooks(hook):
    ours, theirs = (getattr(m.Callback, hook) for m in (callbacks, keras.callbacks))
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


def called(library, run):
    calls = []
    run(library, library.callbacks, recorder(library, calls), calls)
    return calls


def all_hooks(library, module, callback, calls):
    many = module.CallbackList([callback], model=Model(), epochs=2, steps=None, verbose=0)
    for hook in HOOKS:
        arguments = (3,) if "batch" in hook or "epoch" in hook else ()
        getattr(many, hook)(*arguments)
        getattr(many, hook)(*arguments, {"loss": 1.0})
        getattr(many, hook)(*arguments, logs={"loss": 1.0})


def test_hooks_of_a_list_are_called_as_keras_does():
    import keraunos

    assert called(keraunos, all_hooks) == called(keras, all_hooks)


@pytest.mark.parametrize("library", [callbacks, keras.callbacks])
def test_old_names_of_hooks(library):
    seen = []

    class Old(library.Callback):
        def on_batch_end(self, batch, logs=None):
            seen.append((batch, logs))

    library.CallbackList([Old()]).on_train_batch_end(1, {"loss": 2})
    assert seen == [(1, {"loss": 2})]


@pytest.mark.parametrize("library", [callbacks, keras.callbacks])
def test_what_a_list_adds(library):
    kinds = lambda *a, **k: [type(c).__name__ for c in library.CallbackList(*a, **k).callbacks]
    assert kinds() == []
    assert kinds(add_history=True, add_progbar=True) == ["History", "ProgbarLogger"]
    given = [library.ProgbarLogger(), library.History(), library.Callback()]
    assert kinds(given, add_history=True, add_progbar=True) == [
        "ProgbarLogger",
        "History",
        "Callback",
    ]
    assert kinds(library.Callback()) == ["Callback"]
    many, model = library.CallbackList(add_history=True), Model()
    many.set_model(model)
    assert model.history is many.callbacks[0]


def test_lists_within_lists():
    one = callbacks.Callback()
    assert callbacks.CallbackList([one, [(one, None)]]).callbacks == [one, one]


def test_what_is_no_callback():
    with pytest.raises(TypeError, match=r"got the class History. Did you mean `History\(\)`\?"):
        callbacks.CallbackList([callbacks.History])
    with pytest.raises(TypeError, match="got 3"):
        callbacks.CallbackList([3])


class Sleepy(callbacks.Callback):
    every = 5.0

    def on_test_batch_begin(self, batch, logs=None):
        pass


class Watching(callbacks.Callback):
    def on_batch_end(self, batch, logs=None):
        pass


@pytest.mark.parametrize(
    ("members", "patience"),
    [
        ([], math.inf),
        ([callbacks.History(), callbacks.EarlyStopping()], math.inf),
        ([callbacks.LambdaCallback(on_epoch_end=print)], math.inf),
        ([callbacks.LambdaCallback(on_train_batch_end=print)], 0),
        ([Sleepy(), callbacks.ProgbarLogger()], 5),
        ([Sleepy(), Watching()], 0),
        ([callbacks.TerminateOnNaN()], 0),
        ([keras.callbacks.Callback()], 0),
    ],
)
def test_patience(members, patience):
    assert callbacks.CallbackList(members).patience == patience


def test_history():
    histories = []
    for library in (callbacks, keras.callbacks):
        history = library.History()
        history.set_model(Model())
        for run in range(2):
            history.on_train_begin()
            history.on_epoch_end(run, {"loss": 1.5, "acc": 0.5})
            history.on_epoch_end(run + 1, {"loss": 0.5, "new": 1})
        histories.append((history.history, history.epoch, history.model.history is history))
    assert histories[0] == histories[1]


def test_history_holds_python_numbers():
    history = callbacks.History()
    history.set_model(Model())
    history.on_train_begin()
    logs = {"a": jnp.float32(0.5), "b": np.float32(0.25), "c": np.ones(1), "d": jnp.ones(2), "e": 1}
    history.on_epoch_end(0, logs)
    kinds = {name: type(values[0]) for name, values in history.history.items()}
    assert kinds == {"a": float, "b": float, "c": float, "d": np.ndarray, "e": int}


@pytest.mark.parametrize("library", [callbacks, keras.callbacks])
def test_lambda_callback(library):
    seen = []
    callback = library.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(("begin", epoch)),
        on_train_end=lambda logs: seen.append(("end", logs)),
        on_test_batch_end=lambda batch, logs: seen.append(("test", batch)),
    )
    many = library.CallbackList([callback])
    many.on_train_begin()
    many.on_epoch_begin(1)
    many.on_epoch_end(1)
    many.on_test_batch_end(4)
    many.on_train_end({"loss": 1})
    assert seen == [("begin", 1), ("test", 4), ("end", {"loss": 1})]
