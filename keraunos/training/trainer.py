"""compile, fit, evaluate and predict.

A step is a pure function of `(state, batch)`, and every loop hands one to a `Program`.
Between two calls of a program the variables hold their values, so a callback may look at
the model, save it or change it, at any time that it is called.
"""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from keraunos import random as random_module
from keraunos.callbacks import CallbackList
from keraunos.core import errors, past, placement, state
from keraunos.core.fields import did_you_mean
from keraunos.core.graph import KerasTensor, tensor
from keraunos.core.state import Variable, keep_what_others_hold, lend, pure
from keraunos.data import Arrays, Blocks, columns, source, split_off
from keraunos.optimizers import Optimizer
from keraunos.training import checks, forks, rates, state_tree as states
from keraunos.training.doctor import KINDS, Watch
from keraunos.training.fitting import Fit, run_to_keep
from keraunos.training.program import Pacer, Program
from keraunos.training.rates import Rates
from keraunos.training.sizes import largest_batch
from keraunos.training.steps import Steps, unpack

STEPS = {"train": "train_step", "test": "test_step", "predict": "predict_step"}


class Trainer(Steps):
    """A layer that can be trained."""

    stop_evaluating: bool = False

    # Loops -------------------------------------------------------------------------------------

    @errors.door
    @past.takes_old_names
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: Any = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: dict | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        *,
        resume: Any = None,
        check_data: bool = True,
        on_nan: str | None = None,
        validation_every: int | None = None,
    ) -> Any:
        """Train for some epochs; returns the `History` of the logs.

        Args:
            x, y, sample_weight: Arrays, or lists or dicts of them by the names of inputs
                and outputs; or in `x` anything that gives `(x, y, sample_weight)` in
                batches.
            batch_size: Rows in a step; 32. "auto" for as large a power of two as the data and the
                memory of the device allow.
            verbose: 0 silent, 1 or "auto" a progress bar, 2 a line an epoch.
            validation_split: Share of the rows, the last ones, to validate on.
            validation_data: `(x, y)` or `(x, y, sample_weight)`, or batches.
            shuffle: Take rows in a new order in each epoch; "batch" moves whole batches.
            class_weight: Weight of the samples of each class.
            initial_epoch: Number of the first epoch.
            steps_per_epoch: Batches that make an epoch, where the data does not end.
            validation_freq: Validate every so many epochs, or after those in a list.
            resume: A folder that keeps the run. The same call, in a process started anew, goes on
                where the last one ended, and ends as if there had been only one.
            check_data: Look for mistakes in the data before the first step, in one pass; not done
                with `on_nan`, which looks at each step.
            on_nan: At the first step whose loss or weights are not finite, say in which layer and
                rows that began; and "stop" before it, "skip" such steps, or only "report". By
                default a warning names the step, as far as it is known.
            validation_every: Also validate within epochs, every so many steps; `History.within`
                keeps what that says, and logs of these steps have it.
        """
        self._needs_compile("fit")
        if on_nan not in (None, *KINDS):
            raise ValueError(
                f"`on_nan` must be one of {', '.join(map(repr, KINDS))} or None, got {on_nan!r}"
                f"{did_you_mean(str(on_nan), KINDS) or '.'}"
            )
        run = run_to_keep(resume, callbacks)
        x, y, sample_weight = self._columns(x, y, sample_weight)
        took = batch_size == "auto" and self._largest_batch(x, y, sample_weight)
        batch_size = took or batch_size
        self._check_counts(
            batch_size=batch_size,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            validation_every=validation_every,
        )
        if check_data:
            checks.arguments(self, x, y, validation_split, validation_data, class_weight)
        if validation_split and validation_data is None:
            kept, held = split_off(validation_split, x, y, sample_weight)
            (x, y, sample_weight), validation_data = kept, held
        data = self._source(
            x,
            y,
            sample_weight,
            batch_size,
            shuffle=shuffle,
            steps=steps_per_epoch,
            class_weight=class_weight,
            seed=random_module.make_default_seed(),
        )
        held_out = None
        if validation_data is not None:
            size = validation_batch_size or batch_size
            with errors.noting("So it is in `validation_data`."):
                held_out = self._source(
                    *unpack(validation_data), batch_size=size, steps=validation_steps
                )
        for each in (data, held_out):
            if run and each is not None:
                each.keeps_place = True
        if validation_every and held_out is None:
            raise ValueError("`validation_every` needs `validation_data` or `validation_split`.")
        self._make_ready(data.first(), training=True)
        callbacks = self._callback_list(callbacks, verbose, epochs, data.num_batches)
        if took:
            for callback in callbacks.callbacks:
                callback.params["batch_size"] = took
            if verbose not in (0, False):
                print(f"batch_size='auto': {took} rows, {data.num_batches} steps an epoch")
        if check_data and on_nan is None:
            checks.data(self, data, held_out, class_weight)
            checks.monitors(self, callbacks.callbacks, held_out)
        self.history.validation_data = validation_data
        program: Any = self._program("train", data.pick)
        for group in program.groups:
            keep_what_others_hold(group)
        if on_nan is not None:
            program = Watch(self, functools.partial(self._program, "train", data.pick), on_nan)
        self.stop_training = False
        fit = Fit(self, program, data, held_out, callbacks, validation_freq, run, validation_every)
        return fit.go(initial_epoch, epochs)

    def _largest_batch(self, x: Any, y: Any, sample_weight: Any) -> int:
        data = self._source(x, y, sample_weight, 2)
        if not isinstance(data, Arrays):
            raise ValueError("`batch_size='auto'` needs arrays; loaders make batches themselves.")
        self._make_ready(data.first(), training=True)
        groups = self._groups("train")
        return largest_batch(self._pure_step("train", groups), lend(*groups), data)

    def find_learning_rate(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        lowest: float = 1e-7,
        highest: float = 10.0,
        steps: int = 100,
        smoothing: float = 0.9,
    ) -> Rates:
        """Train with ever higher learning rates, and see where the loss falls fastest.

        The model, its optimizer and random numbers are then as they were before. It ends early
        where the loss is four times what it was at best.

        Args:
            lowest, highest: The first rate and the last.
            smoothing: Share of the losses before in the running mean that is judged.
        """
        self._needs_compile("find_learning_rate")
        self._check_counts(batch_size=batch_size, steps=steps)
        with rates.trial(self):
            seed = random_module.make_default_seed()
            data = self._source(x, y, sample_weight, batch_size, shuffle=True, seed=seed)
            self._make_ready(data.first(), training=False)
            with rates.trial(self, rates.growing(self.optimizer, lowest, highest, steps)):
                self._make_ready(data.first(), training=True)
                program = self._program("train", data.pick)
                losses = itertools.islice(self._each_loss(program, data), steps)
                return rates.judged(lowest, highest, steps, losses, smoothing)

    def _each_loss(self, program: Program, data: Any) -> Iterator[float]:
        """The losses of one step after the other, epoch after epoch."""
        for epoch in itertools.count():
            before = None
            for feed, room in data.feeds(epoch):
                for before in room:
                    self.reset_metrics()
                    yield numbers(program(feed, before, 1))["loss"]
            if before is None:
                return

    @errors.door
    @past.takes_old_names
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics over all batches: a number or a list of them, or a dict."""
        _no_more("evaluate", kwargs)
        self._needs_compile("evaluate")
        self._check_counts(batch_size=batch_size, steps=steps)
        data = self._source(x, y, sample_weight, batch_size, steps=steps)
        self._make_ready(data.first(), training=False)
        callbacks = self._callback_list(callbacks, verbose, 1, data.num_batches, history=False)
        logs, _ = self._evaluate(data, callbacks)
        if return_dict:
            return logs
        values = [logs[name] for name in self._in_order(logs)]
        return values[0] if len(values) == 1 else values

    def _evaluate(self, data, callbacks: CallbackList) -> tuple[dict[str, float], int]:
        """The logs, and the number of steps."""
        self.reset_metrics()
        self.stop_evaluating = False
        callbacks.on_test_begin()
        logs, steps = self._epoch(self._program("test", data.pick), data, 0, callbacks, "test")
        callbacks.on_test_end(logs)
        return logs, steps

    @errors.door
    @past.takes_old_names
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Outputs for all batches, as NumPy arrays joined along axis 0."""
        self._check_counts(batch_size=batch_size, steps=steps)
        data = self._source(x, None, None, batch_size, steps=steps)
        self._make_ready(data.first(), training=False, targets=False)
        callbacks = self._callback_list(callbacks, verbose, 1, data.num_batches, history=False)
        program, feeds = self._to_predict(data)
        pacer = Pacer(callbacks.patience, self._fixed_pace())
        parts: list = []
        callbacks.on_predict_begin()
        done = 0
        for feed, batches, rows in feeds:
            room = min(len(batches), 64)
            for start, count in pacer.runs(batches, min(room, program.most(feed))):
                callbacks.on_predict_batch_begin(done)
                outputs = jax.device_get(program(feed, start, count, room=room))
                parts.append(jax.tree.map(lambda y: _rows(y, count)[:rows], outputs))
                done += count
                callbacks.on_predict_batch_end(done - 1, {"outputs": parts[-1]})
        callbacks.on_predict_end()
        return jax.tree.map(lambda *ys: ys[0] if len(ys) == 1 else np.concatenate(ys), *parts)

    def _to_predict(self, data: Any) -> tuple[Program, Iterable]:
        """The program, and triples `(feed, its steps, rows of the result that count or None)`."""
        plain = isinstance(data, Arrays) and placement.current() is None
        if not plain or any(a.dtype.kind in "OSUT" for a in jax.tree.leaves(data.data)):
            feeds = ((feed, batches, None) for feed, batches in data.feeds(0))
            return self._program("predict", data.pick, keep="all"), feeds
        program = self._program("predict", Blocks.pick, keep="all")
        return program, Blocks(data, program.rowwise(data.first())).feeds()

    def _epoch(
        self,
        program: Program,
        data: Any,
        epoch: int,
        callbacks: CallbackList,
        kind: str,
        done: int = 0,
        logs: dict[str, Any] | None = None,
        between: Callable | None = None,
        every: int | None = None,
        look: Callable[[int], dict] | None = None,
    ) -> tuple[dict[str, Any], int]:
        """Run over an epoch of data, as far as callbacks let it; the last logs, and the steps.

        Args:
            done, logs: Steps of the epoch that are behind us, what they said.
            between: Called as `between(done, logs)` whenever the program returns.
            every, look: After so many steps, `look(done)` is called and gives further logs.
        """
        begin = getattr(callbacks, f"on_{kind}_batch_begin")
        end = getattr(callbacks, f"on_{kind}_batch_end")
        pacer = Pacer(callbacks.patience, self._fixed_pace())
        stopped = lambda: self.stop_training if kind == "train" else self.stop_evaluating
        logs = logs or {}
        if done and stopped():
            return logs, done
        for feed, steps in data.feeds(epoch, done):
            most = program.most(feed)
            for start, count in pacer.runs(
                steps, most if every is None else lambda: min(most, every - done % every)
            ):
                begin(done)
                logs = numbers(program(feed, start, count))
                done += count
                if every and look and done % every == 0:
                    logs |= look(done)
                end(done - 1, logs)
                if between:
                    between(done, logs)
                if stopped():
                    return logs, done
        return logs, done

    # One batch ---------------------------------------------------------------------------------

    @errors.door
    @past.takes_old_names
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch; the logs."""
        data = self._source(x, y, sample_weight, 2**31 - 1, class_weight=class_weight)
        return self._on_batch("train", data, return_dict)

    @errors.door
    @past.takes_old_names
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch."""
        return self._on_batch("test", self._source(x, y, sample_weight, 2**31 - 1), return_dict)

    def _on_batch(self, kind: str, data, return_dict: bool) -> Any:
        self._needs_compile(f"{kind}_on_batch")
        self._make_ready(data.first(), training=kind == "train")
        self.reset_metrics()
        ((feed, _),) = data.feeds(0)
        logs = numbers(self._program(kind, data.pick)(feed, 0, 1))
        if return_dict:
            return logs
        values = [logs[name] for name in self._in_order(logs)]
        return values[0] if len(values) == 1 else values

    @errors.door
    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch, as NumPy arrays."""
        return self.predict(x, batch_size=2**31 - 1, verbose=0)

    # State ---------------------------------------------------------------------------------------

    @property
    def _state_groups(self) -> dict[str, list[Variable]]:
        return {
            "trainable_variables": self.trainable_variables,
            "non_trainable_variables": self.non_trainable_variables,
            "optimizer_variables": self.optimizer.variables if self.optimizer else [],
            "metrics_variables": self.metrics_variables,
        }

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """The values of all variables as nested dicts: by what they are for, then by path.

        Args:
            value_format: "backend_tensor" for JAX arrays, "numpy_array" for NumPy's.
        """
        return states.read(self._state_groups, value_format)

    def set_state_tree(self, state_tree: dict[str, Any]) -> None:
        """Assign what `get_state_tree` returned, or a part of it."""
        states.assign(self._state_groups, state_tree)

    def jax_state_sync(self) -> None:
        """Nothing is left to do: variables hold their values whenever code of yours runs."""

    # What the loops share ------------------------------------------------------------------------

    def _source(self, x, y=None, sample_weight=None, batch_size=None, **options) -> Any:
        x, y, sample_weight = self._columns(x, y, sample_weight)
        options |= self._names()
        return source(self._standard_inputs(x), y, sample_weight, batch_size, **options)

    def _columns(self, x: Any, y: Any, sample_weight: Any) -> tuple:
        """The same with arrays in the place of tables."""
        return columns(x, y, sample_weight, **self._names())

    def _names(self) -> dict[str, Any]:
        """The names of inputs and outputs that columns of tables may bear, where they are known."""
        graph = getattr(self, "_graph", None)
        if graph is None:
            return {}
        inputs, outputs = (
            list(struct) if isinstance(struct, dict) else names
            for struct, names in (
                (graph._inputs_struct, graph.input_names),
                (graph._outputs_struct, graph.output_names),
            )
        )
        return {"inputs": inputs, "outputs": outputs}

    def _standard_inputs(self, x: Any) -> Any:
        """`x` in the structure that the model's `call` takes; checked where that is known."""
        return x

    def _check_counts(self, **counts: Any) -> None:
        for name, value in counts.items():
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if value is not None and (not whole or value < 1):
                raise ValueError(f"`{name}` must be a positive integer, got {value!r}.")

    def _fixed_pace(self) -> int | None:
        return self.steps_per_execution if self.steps_per_execution > 1 else None

    def _callback_list(self, callbacks, verbose, epochs, steps, history=True) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(
            callbacks,
            add_history=history,
            add_progbar=verbose not in (0, False),
            verbose=1 if verbose in ("auto", True) else verbose,
            epochs=epochs,
            steps=steps,
            model=self,
        )

    def _groups(self, kind: str) -> tuple[list[Variable], ...]:
        """The variables that a step takes the values of."""
        weights = self.trainable_variables, self.non_trainable_variables
        if kind == "predict":
            return weights
        if kind == "test":
            return (*weights, self.metrics_variables)
        return (*weights, self._optimizer_variables(), self.metrics_variables)

    def _optimizer_variables(self) -> list[Variable]:
        """Those of the compiled optimizer, and of others that the model holds."""
        held = [child for child in state.walk(self) if isinstance(child, Optimizer)]
        compiled = [] if self.optimizer is None else [self.optimizer]
        found = {id(o): o for o in compiled + held}
        variables = [variable for o in found.values() for variable in o.variables]
        return list({id(v): v for v in variables}.values())

    def _program(
        self,
        kind: str,
        pick: Callable,
        guard: Callable | None = None,
        noted: Any = None,
        keep: str = "last",
    ) -> Program:
        """The compiled step; another one after layers were frozen or thawed.

        Args:
            guard: What is put around the step, whose state then has `noted` as a last group.
        """
        groups = self._groups(kind)
        ids = (tuple(map(id, group)) for group in groups)
        key = kind, pick, keep, str(guard), self.run_eagerly, placement.current(), *ids
        programs = self._compiled.programs if self._compiled else self._predictors_here()
        if key not in programs:
            if kind == "train" and self._compiled:
                checks.frozen(self)
            step = self._pure_step(kind, groups)
            if guard is not None:
                step, groups = guard(step), (*groups, [noted])
            programs[key] = Program(step, groups, pick, keep, eager=self.run_eagerly)
        return programs[key]

    def make_train_function(self, force: bool = False) -> None:
        """Programs are made when they are first used; `force` has the training step traced anew."""
        self._forget("train", force)

    def make_test_function(self, force: bool = False) -> None:
        """The same for `evaluate`."""
        self._forget("test", force)

    def make_predict_function(self, force: bool = False) -> None:
        """The same for `predict`."""
        self._forget("predict", force)

    def _forget(self, kind: str, force: bool) -> None:
        programs = self._compiled.programs if self._compiled else self._predictors_here()
        for key in [key for key in programs if force and key[0] == kind]:
            del programs[key]

    def _predictors_here(self) -> dict[tuple, Program]:
        return self.__dict__.setdefault("_predictors", {})

    def _pure_step(self, kind: str, groups) -> Callable:
        """The step as `(state, batch) -> (out, state)`; users may write it as `(batch)` only."""
        step = getattr(self, STEPS[kind])
        needed = [
            p
            for p in inspect.signature(step).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
        ]
        run = step if len(needed) >= 2 else pure(step, *groups)

        def finished(values, data):
            out, values = run(values, data)
            if out is None and kind != "predict":
                raise TypeError(
                    f"`{STEPS[kind]}`{errors.defined_at(step)}, returned None. Let it return the "
                    "logs, a dict of numbers by name, as `{'loss': loss}`."
                )
            return jax.tree.map(tensor, out), values  # a metric's result may be its variable

        return finished

    def _make_ready(self, batch: tuple, training: bool, targets: bool = True) -> None:
        """Make the variables that are not there yet, of layers, metrics and optimizer."""
        forks.check()
        with state.lending:
            self._make(unpack(batch), training, targets)

    def _make(self, batch: tuple, training: bool, targets: bool) -> None:
        x, y, _ = batch
        compiled = self._compiled
        parts = [p for p in (compiled.loss, compiled.metrics) if p is not None] if compiled else []
        missing = [part for part in parts if not part.built] if targets and y is not None else []
        y_pred = getattr(self, "_symbolic_outputs", None)
        if not self.built or (missing and y_pred is None):
            symbol = lambda a: KerasTensor((None, *a.shape[1:]), a.dtype)
            y_pred = self._rehearse(jax.tree.map(symbol, x))
        for part in missing:
            part.build(y, y_pred)
        if compiled and y_pred is not None:
            compiled.outputs = y_pred
        if training and isinstance(self.optimizer, Optimizer):
            self.optimizer.build(self.trainable_variables)

    def _rehearse(self, symbols: Any) -> Any:
        """Call the model on shapes only: layers make their variables, nothing is computed."""
        calls = len(self._inbound_nodes)
        try:
            return self(symbols)
        finally:
            del self._inbound_nodes[calls:]

    def _in_order(self, logs: dict) -> list[str]:
        """The names of logs: those of metrics first, in their order, the others sorted."""
        parts = [part for metric in self.metrics for part in getattr(metric, "metrics", [metric])]
        first = [part.name for part in parts if part.name in logs]
        return first + sorted(name for name in logs if name not in first)


# Pieces of the above --------------------------------------------------------------------------


def numbers(logs: Any) -> dict[str, Any]:
    """Logs as Python floats, in the order of their names. Waits for the device."""
    found = jax.device_get(logs) or {}
    return {
        name: float(value) if np.ndim(value) == 0 else value
        for name, value in sorted(found.items())
    }


def _rows(stacked: np.ndarray, count: int) -> np.ndarray:
    part = stacked[:count]
    return part.reshape(-1, *part.shape[2:]) if part.ndim > 1 else part


def _no_more(method: str, kwargs: dict) -> None:
    if kwargs:
        raise TypeError(f"{method}() got an unexpected argument {next(iter(kwargs))!r}.")


__all__ = ["Trainer", "numbers", "unpack"]
