"""compile, fit, evaluate and predict.

A step is a pure function of `(state, batch)`, and every loop hands one to a `Program`.
Between two calls of a program the variables hold their values, so a callback may look at
the model, save it or change it, at any time that it is called.
"""

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from keraunos import optimizers
from keraunos import random as random_module
from keraunos.callbacks import CallbackList
from keraunos.core import registry, state
from keraunos.core.graph import KerasTensor
from keraunos.core.state import StatelessScope, Variable, pure
from keraunos.data import source, split_off
from keraunos.layers.layer import Layer
from keraunos.metrics import Mean, Metric
from keraunos.optimizers import Optimizer
from keraunos.training.compiled import CompiledLoss, CompiledMetrics
from keraunos.training.program import Pacer, Program

STEPS = {"train": "train_step", "test": "test_step", "predict": "predict_step"}


@dataclasses.dataclass
class Compiled:
    """What `compile` was told, and what it made of it."""

    optimizer: Any
    loss: CompiledLoss | None
    metrics: CompiledMetrics | None
    tracker: Mean
    config: dict[str, Any]
    run_eagerly: bool = False
    steps_per_execution: int | None = None
    programs: dict[tuple, Program] = dataclasses.field(default_factory=dict)


class Trainer(Layer):
    """A layer that can be trained."""

    stop_training: bool = False
    history: Any = None
    _compiled: Compiled | None = None
    _predictors: dict[tuple, Program]

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int | None = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose what to minimize, how, and what to report.

        Args:
            loss, loss_weights, metrics, weighted_metrics: One for all outputs, a list in
                their order, or a dict by their names. Metrics are not weighted by
                `sample_weight`, `weighted_metrics` are.
            run_eagerly: Run steps as plain Python, to debug them.
            steps_per_execution: Steps between calls of batch hooks. By default as many as
                callbacks can wait for; the numbers do not depend on it.
            jit_compile: Accepted; steps are always compiled unless `run_eagerly`.
            auto_scale_loss: With a float16 policy, wrap the optimizer in
                `LossScaleOptimizer`.
        """
        names = getattr(self, "output_names", None)
        found = optimizers.get(optimizer)
        if auto_scale_loss and found is not None and self.dtype_policy.name == "mixed_float16":
            scaled = isinstance(found, optimizers.LossScaleOptimizer)
            found = found if scaled else optimizers.LossScaleOptimizer(found)
        has_metrics = metrics is not None or weighted_metrics is not None
        self._compiled = Compiled(
            optimizer=found,
            loss=None if loss is None else CompiledLoss(loss, loss_weights, names),
            metrics=CompiledMetrics(metrics, weighted_metrics, names=names)
            if has_metrics
            else None,
            tracker=Mean(name="loss"),
            config={
                "optimizer": optimizer,
                "loss": loss,
                "loss_weights": loss_weights,
                "metrics": metrics,
                "weighted_metrics": weighted_metrics,
                "run_eagerly": run_eagerly,
                "steps_per_execution": steps_per_execution,
                "jit_compile": jit_compile,
            },
            run_eagerly=bool(run_eagerly),
            steps_per_execution=steps_per_execution,
        )
        self.stop_training = False

    # What compile left ---------------------------------------------------------------------

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    @property
    def optimizer(self) -> Any:
        return self._compiled.optimizer if self._compiled else vars(self).get("_own_optimizer")

    @optimizer.setter
    def optimizer(self, value: Any) -> None:
        if self._compiled:
            self._compiled.optimizer = value
        else:
            self._own_optimizer = value

    @property
    def loss(self) -> Any:
        return self._compiled.config["loss"] if self._compiled else vars(self).get("_own_loss")

    @loss.setter
    def loss(self, value: Any) -> None:
        self._own_loss = value

    @property
    def run_eagerly(self) -> bool:
        return bool(self._compiled and self._compiled.run_eagerly)

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._needs_compile("run_eagerly").run_eagerly = bool(value)

    @property
    def steps_per_execution(self) -> int:
        return (self._compiled and self._compiled.steps_per_execution) or 1

    @steps_per_execution.setter
    def steps_per_execution(self, value: int) -> None:
        self._needs_compile("steps_per_execution").steps_per_execution = value

    @property
    def jit_compile(self) -> bool:
        return not self.run_eagerly

    @property
    def metrics(self) -> list[Metric]:
        """The loss, the metrics held by the model and its layers, those of `compile`."""
        if self._compiled is None:
            return super().metrics
        own = [self._compiled.tracker, *super().metrics]
        if self._compiled.metrics is not None:
            own.append(self._compiled.metrics)
        return own + (self._compiled.loss.metrics if self._compiled.loss else [])

    @property
    def metrics_names(self) -> list[str]:
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Start all metrics again."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """What all metrics say now, by name."""
        found: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            found |= result if isinstance(result, dict) else {metric.name: result}
        return found

    def _needs_compile(self, method: str) -> Compiled:
        if self._compiled is None:
            raise ValueError(
                f"`{self.name}` must be compiled before `{method}`: call "
                "`model.compile(optimizer=..., loss=...)` first."
            )
        return self._compiled

    # Steps -----------------------------------------------------------------------------------

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The scalar to minimize: the compiled loss, and the losses that layers add."""
        compiled = self._needs_compile("compute_loss")
        parts = [jnp.sum(loss) for loss in self.losses]
        if compiled.loss is not None:
            if y is None:
                raise ValueError(
                    f"`{self.name}` was compiled with the loss {compiled.config['loss']!r}, which "
                    "needs targets, but `y` is None."
                )
            parts.insert(0, compiled.loss(y, y_pred, sample_weight))
        if not parts:
            raise ValueError(
                f"`{self.name}` has no loss to minimize: give `compile` a `loss`, or call "
                "`add_loss` in a layer."
            )
        return sum(parts[1:], parts[0])

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict:
        """Add a batch to the metrics; what they say now."""
        if self._compiled and self._compiled.metrics is not None and y is not None:
            self._compiled.metrics.update_state(y, y_pred, sample_weight=sample_weight)
        return self.get_metrics_result()

    def stateless_compute_loss(
        self,
        trainable_variables,
        non_trainable_variables,
        metrics_variables,
        x=None,
        y=None,
        y_pred=None,
        sample_weight=None,
        training=True,
    ):
        """`compute_loss` as a pure function: `(loss, the three lists of values)`."""
        groups = self.trainable_variables, self.non_trainable_variables, self.metrics_variables
        given = trainable_variables, non_trainable_variables, metrics_variables
        run = pure(lambda: self.compute_loss(x, y, y_pred, sample_weight, training), *groups)
        return run(given)

    def train_step(self, state, data):
        """One step of gradient descent: `(logs, new state)`, as a pure function.

        `state` is `(trainable, non_trainable, optimizer, metrics)`, lists of values of
        these variables.
        """
        trainable, frozen, slots, meters = state
        compiled = self._needs_compile("train_step")
        optimizer = compiled.optimizer

        def objective(trainable):
            (loss, logs), (_, frozen_, meters_) = self._forward(
                (trainable, frozen, meters), data, True
            )
            scaled = optimizer.scale_loss(loss) if optimizer is not None else loss
            return scaled, (logs, frozen_, meters_)

        variables = self.trainable_variables
        with StatelessScope(zip(optimizer.variables, slots, strict=True)):
            gradients, (logs, frozen, meters) = jax.grad(objective, has_aux=True)(trainable)
        pairs = [*zip(variables, trainable), *zip(optimizer.variables, slots)]
        with StatelessScope(pairs) as scope:
            optimizer.apply(gradients, variables)
            trainable = [scope.get_current_value(v) for v in variables]
            slots = [scope.get_current_value(v) for v in optimizer.variables]
        return logs, (trainable, frozen, slots, meters)

    def test_step(self, state, data):
        """Loss and metrics of a batch: `(logs, new state)`, as a pure function."""
        (_, logs), state = self._forward(state, data, False)
        return logs, state

    def predict_step(self, state, data):
        """Outputs for a batch: `(outputs, new state)`, as a pure function."""
        trainable, frozen = state
        groups = self.trainable_variables, self.non_trainable_variables
        return pure(lambda: self._call(unpack(data)[0], False), *groups)((trainable, frozen))

    def _forward(self, values, data, training: bool):
        """`((loss, logs), new values)` of a batch."""
        x, y, sample_weight = unpack(data)

        def forward():
            y_pred = self._call(x, training)
            loss = self.compute_loss(x, y, y_pred, sample_weight, training)
            tracker = self._needs_compile("train_step").tracker
            tracker.update_state(loss, sample_weight=jax.tree.leaves(x)[0].shape[0])
            return loss, self.compute_metrics(x, y, y_pred, sample_weight)

        groups = self.trainable_variables, self.non_trainable_variables, self.metrics_variables
        return pure(forward, *groups)(values)

    def _call(self, x, training: bool):
        return self(x, training=training) if "training" in self._takes else self(x)

    # Loops -------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
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
    ) -> Any:
        """Train for some epochs; returns the `History` of the logs.

        Args:
            x, y, sample_weight: Arrays, or lists or dicts of them by the names of inputs
                and outputs; or in `x` anything that gives `(x, y, sample_weight)` in
                batches.
            batch_size: Rows in a step; 32.
            verbose: 0 silent, 1 or "auto" a progress bar, 2 a line an epoch.
            validation_split: Share of the rows, the last ones, to validate on.
            validation_data: `(x, y)` or `(x, y, sample_weight)`, or batches.
            shuffle: Take rows in a new order in each epoch; "batch" moves whole batches.
            class_weight: Weight of the samples of each class.
            initial_epoch: Number of the first epoch.
            steps_per_epoch: Batches that make an epoch, where the data does not end.
            validation_freq: Validate every so many epochs, or after those in a list.
        """
        compiled = self._needs_compile("fit")
        self._check_counts(batch_size=batch_size, epochs=epochs, steps_per_epoch=steps_per_epoch)
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
            held_out = self._source(
                *unpack(validation_data), batch_size=size, steps=validation_steps
            )
        self._make_ready(data.first(), training=True)
        callbacks = self._callback_list(callbacks, verbose, epochs, data.num_batches)
        program = self._program("train", data.pick)
        self._own_buffers()

        self.stop_training = False
        logs: dict[str, float] = {}
        callbacks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            self.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            pacer = Pacer(callbacks.patience, self._fixed_pace(compiled))
            logs = {}
            for _, logs in self._steps(program, data, epoch, pacer, callbacks, "train"):
                if self.stop_training:
                    break
            if not logs:
                warnings.warn(
                    "The data ended before the epoch began. Give data that can be read again, "
                    "or at least `steps_per_epoch * epochs` batches.",
                    stacklevel=2,
                )
                break
            if held_out is not None and _due(epoch + 1, validation_freq):
                scores = self._evaluate(held_out, callbacks)
                logs |= {f"val_{name}": value for name, value in scores.items()}
            callbacks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        if isinstance(compiled.optimizer, Optimizer) and epochs > initial_epoch:
            compiled.optimizer.finalize_variable_values(self.trainable_weights)
        callbacks.on_train_end(logs)
        return self.history

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
        logs = self._evaluate(data, callbacks)
        if return_dict:
            return logs
        values = [logs[name] for name in self._in_order(logs)]
        return values[0] if len(values) == 1 else values

    def _evaluate(self, data, callbacks: CallbackList) -> dict[str, float]:
        program = self._program("test", data.pick)
        pacer = Pacer(callbacks.patience, self._fixed_pace(self._compiled))
        self.reset_metrics()
        logs: dict[str, float] = {}
        callbacks.on_test_begin()
        for _, logs in self._steps(program, data, 0, pacer, callbacks, "test"):
            if self.stop_training and not self._training_now(callbacks):
                break
        callbacks.on_test_end(logs)
        return logs

    @staticmethod
    def _training_now(callbacks: CallbackList) -> bool:
        return bool(getattr(callbacks, "params", {}).get("epochs", 1) > 1)

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
        program = self._program("predict", data.pick, keep="all")
        pacer = Pacer(callbacks.patience, self._fixed_pace(self._compiled))
        parts: list = []
        callbacks.on_predict_begin()
        done = 0
        for feed, steps_here in data.feeds(0):
            room = min(steps_here, 64)
            for start, count in pacer.runs(steps_here, min(room, program.most)):
                callbacks.on_predict_batch_begin(done)
                outputs = jax.device_get(program(feed, start, count, room=room))
                parts.append(jax.tree.map(lambda y: _rows(y, count), outputs))
                done += count
                callbacks.on_predict_batch_end(done - 1, {"outputs": parts[-1]})
        callbacks.on_predict_end()
        return jax.tree.map(lambda *ys: ys[0] if len(ys) == 1 else np.concatenate(ys), *parts)

    def _steps(
        self, program: Program, data, epoch: int, pacer: Pacer, callbacks: CallbackList, kind: str
    ) -> Iterator[tuple[int, dict]]:
        """Run over an epoch of data; whenever control comes back, `(step, logs)`."""
        begin = getattr(callbacks, f"on_{kind}_batch_begin")
        end = getattr(callbacks, f"on_{kind}_batch_end")
        done = 0
        for feed, steps in data.feeds(epoch):
            for start, count in pacer.runs(steps, program.most):
                begin(done)
                logs = numbers(program(feed, start, count))
                done += count
                end(done - 1, logs)
                yield done - 1, logs

    # One batch ---------------------------------------------------------------------------------

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

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch."""
        return self._on_batch("test", self._source(x, y, sample_weight, 2**31 - 1), return_dict)

    def _on_batch(self, kind: str, data, return_dict: bool) -> Any:
        self._needs_compile(f"{kind}_on_batch")
        self._make_ready(data.first(), training=kind == "train")
        ((feed, _),) = data.feeds(0)
        logs = numbers(self._program(kind, data.pick)(feed, 0, 1))
        if return_dict:
            return logs
        values = [logs[name] for name in self._in_order(logs)]
        return values[0] if len(values) == 1 else values

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch, as NumPy arrays."""
        return self.predict(x, batch_size=2**31 - 1, verbose=0)

    # What the loops share ------------------------------------------------------------------------

    def _source(self, x, y=None, sample_weight=None, batch_size=None, **options) -> Any:
        return source(self._standard_inputs(x), y, sample_weight, batch_size, **options)

    def _standard_inputs(self, x: Any) -> Any:
        """`x` in the structure that the model's `call` takes; checked where that is known."""
        return x

    def _check_counts(self, **counts: Any) -> None:
        for name, value in counts.items():
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if value is not None and (not whole or value < 1):
                raise ValueError(f"`{name}` must be a positive integer, got {value!r}.")

    @staticmethod
    def _fixed_pace(compiled: Compiled | None) -> int | None:
        fixed = compiled.steps_per_execution if compiled else None
        return fixed if fixed and fixed > 1 else None

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

    def _program(self, kind: str, pick: Callable, keep: str = "last") -> Program:
        """The compiled step; another one after layers were frozen or thawed."""
        groups = self._groups(kind)
        key = kind, pick, keep, self.run_eagerly, *(tuple(map(id, group)) for group in groups)
        programs = self._compiled.programs if self._compiled else self._predictors_here()
        if key not in programs:
            step = self._pure_step(kind, groups)
            programs[key] = Program(step, groups, pick, keep, eager=self.run_eagerly)
        return programs[key]

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
        if len(needed) >= 2:
            return step
        run = pure(step, *groups)
        return lambda values, data: run(values, data)

    def _make_ready(self, batch: tuple, training: bool, targets: bool = True) -> None:
        """Make the variables that are not there yet, of layers, metrics and optimizer."""
        x, y, _ = unpack(batch)
        compiled = self._compiled
        parts = [p for p in (compiled.loss, compiled.metrics) if p is not None] if compiled else []
        missing = [part for part in parts if not part.built] if targets and y is not None else []
        y_pred = getattr(self, "_symbolic_outputs", None)
        if not self.built or (missing and y_pred is None):
            symbol = lambda a: KerasTensor((None, *a.shape[1:]), a.dtype)
            y_pred = self._rehearse(jax.tree.map(symbol, x))
        for part in missing:
            part.build(y, y_pred)
        if training and isinstance(self.optimizer, Optimizer):
            self.optimizer.build(self.trainable_variables)

    def _rehearse(self, symbols: Any) -> Any:
        """Call the model on shapes only: layers make their variables, nothing is computed."""
        calls = len(self._inbound_nodes)
        try:
            return self(symbols)
        finally:
            del self._inbound_nodes[calls:]

    def _own_buffers(self) -> None:
        """Copy the arrays once, so that those a user took out before `fit` stay alive."""
        for group in self._groups("train"):
            for variable in group:
                variable._array = variable._array.copy()

    def _in_order(self, logs: dict) -> list[str]:
        """The names of logs: those of metrics first, in their order, the others sorted."""
        first = [name for name in self.metrics_names if name in logs]
        return first + sorted(name for name in logs if name not in first)

    # Files -------------------------------------------------------------------------------------

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile_from_config` takes; None if `compile` was not called."""
        if self._compiled is None:
            return None
        config = dict(self._compiled.config)
        config["optimizer"] = self._compiled.optimizer
        return {name: registry.serialize(value) for name, value in config.items()}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as another model was."""
        given = {name: registry.deserialize(value) for name, value in config.items()}
        self.compile(**given)
        if self.built and isinstance(self.optimizer, Optimizer):
            self.optimizer.build(self.trainable_variables)


# Pieces of the above --------------------------------------------------------------------------


def unpack(data: Any) -> tuple:
    """`(x, y, sample_weight)` of a batch; what it lacks is None."""
    data = tuple(data) if isinstance(data, (tuple, list)) else (data,)
    return (*data, None, None)[:3]


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


def _due(epoch: int, frequency: Any) -> bool:
    return epoch % frequency == 0 if isinstance(frequency, int) else epoch in frequency


def _no_more(method: str, kwargs: dict) -> None:
    if kwargs:
        raise TypeError(f"{method}() got an unexpected argument {next(iter(kwargs))!r}.")


__all__ = ["Trainer", "numbers", "unpack"]
