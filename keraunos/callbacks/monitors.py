"""Callbacks that follow a number, and stop training or change the learning rate by it."""

import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keraunos.callbacks.callback import Callback
from keraunos.core import console, errors, registry
from keraunos.core.fields import checked, did_you_mean

# What a metric without a direction of its own is called if it is to grow.
_GROWING = {"acc", "accuracy", "auc", "precision", "recall", "f1", "fmeasure", "iou", "dice", "r2"}


class Monitor(Callback):
    """Base class of callbacks that follow one number in the logs of an epoch.

    Args:
        monitor: Its name in the logs.
        mode: "min" or "max" is better; "auto" asks the model's metric of that name.
        min_delta: A smaller change is no improvement.
    """

    _missing: str = (
        "Monitoring conditioned on metric `{}` which is not available. Available metrics are: {}"
    )

    @checked
    def __init__(self, monitor: str = "val_loss", mode: str | None = "auto", min_delta: float = 0):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode.",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self.best: Any = None
        self.monitor_op: Any = None

    def improved(self, value: Any, best: Any) -> bool:
        """Whether `value` beats `best`, which may be None, by more than `min_delta`."""
        if best is None:
            return True
        least = abs(self.min_delta)
        reached = value - least if self.monitor_op is np.greater else value + least
        with np.errstate(over="ignore"):  # in float32, as metrics are computed
            return bool(self.monitor_op(np.float32(reached), np.float32(best)))

    def decide_direction(self, logs: dict) -> None:
        """Find out which way is better; done at the first epoch, when the metrics are known."""
        if self.monitor_op is None:
            rises = self.mode == "max" or (self.mode == "auto" and self._auto(logs))
            self.monitor_op = np.greater if rises else np.less

    def _auto(self, logs: dict) -> bool:
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return False
        for metric in _parts(getattr(self.model, "metrics", None) or ()):
            direction = getattr(metric, "_direction", None)
            if direction and (name == metric.name or name.endswith(f"_{metric.name}")):
                return direction == "up"
        if name.endswith("loss"):
            return False
        if not _GROWING.isdisjoint(name.split("_")):
            return True
        raise ValueError(
            f"{type(self).__name__} callback received monitor={self.monitor}, but Keras isn't "
            "able to automatically determine whether that metric should be maximized or "
            "minimized. Pass `mode='max'` in order to monitor based on the highest metric value, "
            "or pass `mode='min'` in order to use the lowest value."
            + ("" if self.monitor in logs else f" The logs have only {', '.join(logs)}.")
        )

    def get_monitor_value(self, logs: dict | None) -> Any:
        """The number in the logs; None, and a warning, if it is not there."""
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(self._missing.format(self.monitor, ",".join(logs)), stacklevel=2)
        return value


def _parts(metrics: Any) -> Iterator[Any]:
    """Metrics, and those that are kept in one."""
    for metric in metrics:
        inner = getattr(metric, "metrics", None)
        if isinstance(inner, (list, tuple)):
            yield from _parts(inner)
        else:
            yield metric


@registry.export("callbacks.EarlyStopping")
class EarlyStopping(Monitor):
    """Stop training when a number has stopped improving.

    Args:
        monitor, mode, min_delta: The number, and what an improvement of it is.
        patience: Epochs without improvement after which training stops.
        verbose: 1 says when it stops.
        baseline: An epoch counts as an improvement only if it beats this too.
        restore_best_weights: Whether training ends with the weights of the best epoch.
        start_from_epoch: Epochs before this one are not looked at.
    """

    _missing = Monitor._missing.replace("Monitoring", "Early stopping")

    @checked
    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str | None = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.decide_direction(logs or {})
        value = self.get_monitor_value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.improved(value, self.best):
            self.best = value
            self._remember(epoch)
            if self.baseline is None or self.improved(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _remember(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: dict | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            console.say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose > 0:
                console.say(
                    "Restoring model weights from the end of the best epoch: "
                    f"{self.best_epoch + 1}."
                )
            self.model.set_weights(self.best_weights)


@registry.export("callbacks.ReduceLROnPlateau")
class ReduceLROnPlateau(Monitor):
    """Reduce the learning rate when a number has stopped improving.

    Args:
        monitor, mode, min_delta: The number, and what an improvement of it is.
        factor: The learning rate is multiplied by it.
        patience: Epochs without improvement after which that is done.
        verbose: 1 says when it is done.
        cooldown: Epochs after a reduction in which nothing is counted.
        min_lr: The learning rate does not go below it.
    """

    _missing = Monitor._missing.replace("Monitoring", "Learning rate reduction is") + "."

    @checked
    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str | None = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(monitor, mode, kwargs.pop("epsilon", min_delta))
        for name in kwargs:
            hint = did_you_mean(name, inspect.signature(ReduceLROnPlateau).parameters)
            raise TypeError(f"ReduceLROnPlateau() got an unexpected argument {name!r}{hint}")
        if factor >= 1.0:
            raise ValueError(
                f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}"
            )
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.cooldown_counter = self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether the learning rate was reduced less than `cooldown` epochs ago."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = {} if logs is None else logs
        self.decide_direction(logs)
        rate = _learning_rate(self.model)
        logs["learning_rate"] = rate
        value = self.get_monitor_value(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improved(value, self.best):
            self.best, self.wait = value, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and np.float32(rate) > np.float32(self.min_lr):
                rate = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = rate
                if self.verbose > 0:
                    console.say(
                        f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {rate}."
                    )
                self.cooldown_counter, self.wait = self.cooldown, 0


def _learning_rate(model: Any) -> float:
    if not hasattr(model.optimizer, "learning_rate"):
        raise ValueError('Optimizer must have a "learning_rate" attribute.')
    return float(np.asarray(model.optimizer.learning_rate))


@registry.export("callbacks.LearningRateScheduler")
class LearningRateScheduler(Callback):
    """Set the learning rate at the start of every epoch.

    Args:
        schedule: A function of the epoch, from 0, or of the epoch and the learning rate
            so far; it returns the new one.
        verbose: 1 says what is set.
    """

    @checked
    def __init__(self, schedule: Callable, verbose: int = 0):
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        old = _learning_rate(self.model)
        rate = self.schedule(epoch, old) if _takes_two(self.schedule) else self.schedule(epoch)
        rate = _as_rate(rate, self.schedule)
        self.model.optimizer.learning_rate = rate
        if self.verbose > 0:
            console.say(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}."
            )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = _learning_rate(self.model)


def _as_rate(value: Any, schedule: Callable) -> float:
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, ValueError):
        pass
    hint = " Does it `return` it?" if value is None else ""
    raise ValueError(
        f"The output of the `schedule` function should be a float. Got: {value}. The function is "
        f"`{getattr(schedule, '__name__', schedule)}`{errors.defined_at(schedule)}.{hint}"
    )


def _takes_two(schedule: Callable) -> bool:
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except ValueError:  # a function of C tells no signature
        return True
    except TypeError:
        return False
    return True


@registry.export("callbacks.TerminateOnNaN")
class TerminateOnNaN(Callback):
    """Stop training when the loss is NaN or infinite.

    Args:
        raise_error: Whether that is a RuntimeError instead.
    """

    @checked
    def __init__(self, raise_error: bool = False):
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: dict | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(value := float(loss)):
            return
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. Loss value: {value}. "
                "Terminating training immediately."
            )
        console.say(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
