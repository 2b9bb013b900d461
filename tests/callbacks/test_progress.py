"""Progress bars: in a terminal the same characters as Keras's, in a pipe one plain line."""

import io
import math
import sys
import time

import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos.callbacks import ProgbarLogger
from keraunos.callbacks.progress import Progbar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that both libraries read, and that stands still until it is set."""
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def written(monkeypatch, run, where=Terminal):
    stream = where()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        run()
    return stream.getvalue()


def drawn(monkeypatch, clock, bar, target, updates, where=Terminal, **options):
    def run():
        clock[0] = 1000.0
        made = bar(target, **options)
        for seconds, *arguments in updates:
            clock[0] += seconds
            made.update(*arguments)

    return written(monkeypatch, run, where)


def each(seconds, steps, *values):
    return [(seconds, i, [(k, v * i) for k, v in values], None) for i in range(1, steps + 1)]


LOSS, BOTH = [("loss", 0.5)], [("loss", 0.5), ("acc", 1e-4)]
BARS = [
    *((5, each(dt, 5, *BOTH), {}) for dt in (0.001, 0.07, 0.5, 3, 61, 3700, 1e5, 12, 15, 60)),
    *((12, each(dt, 3, *BOTH), {}) for dt in (0.07, 61)),
    (None, each(0.07, 3, *BOTH), {}),
    (None, [(1, 1, LOSS), (1, 2, LOSS), (1, 2, LOSS, True)], {}),
    (5, each(0.5, 5, ("loss", 123456789.0)), {}),
    (5, each(0.5, 5, ("loss", 1000)), {}),
    (5, each(0.5, 5), {}),
    (5, each(0.5, 5, *LOSS), {"unit_name": "sample"}),
    (5, each(0.5, 5, *LOSS), {"width": 5}),
    (5, each(0.5, 5, *LOSS), {"stateful_metrics": ["loss"]}),
    (5, each(0.5, 5, *LOSS), {"stateless_metrics": ["loss"]}),
    (5, each(0.5, 5, *LOSS), {"stateless_metrics": ["acc"]}),
    (5, each(0.5, 5, *LOSS), {"interval": 1.2}),
    (5, each(1e-6, 5, *LOSS), {"interval": 0}),
    (5, each(0, 5, *LOSS), {"interval": 0}),
    (4, [(10, 1, [("a", 1)]), (1, 2, [("a", 2)]), (2, 4, [("a", 3)])], {}),
    (8, [(10, 0, [("a", 1)]), (1, 8, [("a", 2)])], {}),
    (2, [(1, 1), (1, 2), (1, 3)], {}),
    (2, [(1, 1, [], False), (1, 2, [], False), (1, 2, [("x", 1)], True)], {}),
    (3, [(1, 1, [("b", np.float32(1.5)), ("c", np.array([1.0, 2.0]))]), (1, 3, [])], {}),
    (3, [(1, 1, [("a", 1)]), (1, 2, [("a", 1), ("b", 2)]), (1, 3, [("a", 1), ("b", 2)])], {}),
    (3, [(1, 1, [("a", math.nan), ("b", math.inf), ("c", -1e-3), ("d", 1e-3), ("e", 0)])], {}),
    (5, each(0.5, 5, *LOSS), {"verbose": 0}),
    *((n, each(0.5, n, *LOSS), {"verbose": 2}) for n in (5, 12)),
    (12, [(1, 1, LOSS), (1, 5, LOSS, True)], {"verbose": 2}),
    (1234, [(1, 1, LOSS), (1, 1234, LOSS, True)], {"verbose": 2}),
    (3, [(1, 1, LOSS), (1, 3, LOSS, False)], {"verbose": 2}),
    (3, [(1, 1, None), (1, 3, None)], {"verbose": True}),
]


@pytest.mark.parametrize(("target", "updates", "options"), BARS)
def test_same_characters(monkeypatch, clock, target, updates, options):
    ours = drawn(monkeypatch, clock, Progbar, target, updates, **options)
    assert ours == drawn(monkeypatch, clock, keras.utils.Progbar, target, updates, **options)


def test_time_per_step_leaves_out_the_first_update(monkeypatch, clock):
    updates = [(10, 3, LOSS), (1, 5, LOSS), (1, 8, LOSS)]
    text = drawn(monkeypatch, clock, Progbar, 8, updates)
    assert "3s/step" in text and "500ms/step" in text and "400ms/step" in text


@pytest.mark.parametrize("verbose", [1, 2])
def test_one_plain_line_in_a_pipe(monkeypatch, clock, verbose):
    text = drawn(monkeypatch, clock, Progbar, 5, each(0.5, 5, *LOSS), io.StringIO, verbose=verbose)
    assert text == "5/5 - 2s - 500ms/step - loss: 2.5000\n"


def test_unknown_target_in_a_pipe(monkeypatch, clock):
    updates = [(1, 1, LOSS), (1, 2, LOSS, True)]
    text = drawn(monkeypatch, clock, Progbar, None, updates, io.StringIO)
    assert text == "      2/Unknown - 2s - 1s/step - loss: 0.5000\n"


def test_console_without_bars(monkeypatch, clock):
    where = lambda: io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    stream = where()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", stream)
    Progbar(1).update(1)
    stream.seek(0)
    assert "1/1" in stream.read()


def test_only_one_kind_of_names():
    with pytest.raises(ValueError, match="not both"):
        Progbar(1, stateful_metrics=[], stateless_metrics=[])


LOGS = [{"acc": 0.25, "loss": 2.0}, {"acc": 0.5, "loss": 1.0}]


def hooks_of(run):
    """Calls of hooks as `fit`, `evaluate` and `predict` make them."""
    if run == "fit":
        yield "on_train_begin", ({},)
        for epoch in (0, 1):
            yield "on_epoch_begin", (epoch, {})
            yield from (("on_train_batch_end", (i, logs)) for i, logs in enumerate(LOGS))
            yield "on_test_begin", ({},)
            yield "on_test_batch_end", (0, {"loss": 7.0})
            yield "on_test_end", ({"loss": 7.0},)
            yield "on_epoch_end", (epoch, {**LOGS[-1], "val_loss": 7.0})
        yield "on_train_end", ({},)
    elif run == "evaluate":
        yield "on_test_begin", ({},)
        yield from (("on_test_batch_end", (i, logs)) for i, logs in enumerate(LOGS))
        yield "on_test_end", (LOGS[-1],)
    else:
        yield "on_predict_begin", ({},)
        yield from (("on_predict_batch_end", (i, {"outputs": np.ones(3)})) for i in (0, 1))
        yield "on_predict_end", ({},)


def logged(monkeypatch, clock, logger, run, params, convert=float, where=Terminal):
    def call():
        clock[0] = 1000.0
        logger.set_params(params)
        for hook, (*index, logs) in hooks_of(run):
            clock[0] += 0.5
            logs = {k: convert(v) if np.ndim(v) == 0 else v for k, v in logs.items()}
            getattr(logger, hook)(*index, logs)

    return written(monkeypatch, call, where)


@pytest.mark.parametrize("run", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("steps", [2, None])
@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("verbose", [0, 1, 2, "auto", True])
def test_logger(monkeypatch, clock, run, steps, epochs, verbose):
    params = {"verbose": verbose, "epochs": epochs, "steps": steps}
    ours = logged(monkeypatch, clock, ProgbarLogger(), run, params, jnp.float32)
    theirs = logged(monkeypatch, clock, keras.callbacks.ProgbarLogger(), run, params)
    assert ours == theirs


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_logger_in_a_pipe(monkeypatch, clock, verbose):
    params = {"verbose": verbose, "epochs": 2, "steps": 2}
    text = logged(monkeypatch, clock, ProgbarLogger(), "fit", params, where=io.StringIO)
    line = "2/2 - 3s - 2s/step - acc: 0.5000 - loss: 1.0000 - val_loss: 7.0000\n"
    assert text == f"Epoch 1/2\n{line}Epoch 2/2\n{line}"


def test_every(monkeypatch):
    logger = ProgbarLogger()
    waits = {}
    for verbose in (1, 2):
        for where in (Terminal, io.StringIO):
            logger.set_params({"verbose": verbose, "epochs": 1, "steps": 1})
            monkeypatch.setattr(sys, "stdout", where())
            waits[verbose, where] = logger.every
            monkeypatch.undo()
    assert waits.pop((1, Terminal)) == 0.2
    assert set(waits.values()) == {math.inf}


def test_no_interactive_logging(monkeypatch, clock, caplog):
    keraunos.core.console.disable_interactive_logging()
    try:
        params = {"verbose": 1, "epochs": 2, "steps": 2}
        with caplog.at_level("INFO", "keraunos"):
            assert logged(monkeypatch, clock, ProgbarLogger(), "fit", params) == ""
        assert caplog.messages[0] == "Epoch 1/2" and "loss: 1.0000" in caplog.messages[1]
    finally:
        keraunos.core.console.enable_interactive_logging()
