"""Callbacks that save the model while it is trained."""

import math
import os
import warnings
from typing import Any

import numpy as np

from keraunos.callbacks.callback import number
from keraunos.callbacks.monitors import Monitor
from keraunos.core import console, registry
from keraunos.core.fields import Path, checked, did_you_mean


class Saver(Monitor):
    """Base class of callbacks that save: says when.

    Args:
        save_freq: "epoch", or a number of batches.
        save_best_only: Whether only a model that beats all before it is saved.
        initial_value_threshold: What the first model has to beat.
    """

    period: int = 1  # epochs

    @checked
    def __init__(
        self,
        monitor: str,
        verbose: int,
        save_best_only: bool,
        mode: str | None,
        save_freq: Any,
        initial_value_threshold: float | None,
    ):
        super().__init__(monitor, mode)
        self.best, self.verbose = initial_value_threshold, verbose
        self.save_best_only, self.save_freq = save_best_only, save_freq
        if save_freq != "epoch" and not isinstance(save_freq, (int, np.integer)):
            raise ValueError(
                f"Unrecognized save_freq: {save_freq}. "
                "Expected save_freq are 'epoch' or integer values"
            )
        self.every = math.inf if save_freq == "epoch" else 0.0
        self._epoch = self._since_saved = self._epochs_since_saved = 0
        self._batches, self._last_batch = 0, -1

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch, self._last_batch = epoch, -1

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._since_saved += batch - self._last_batch
        self._batches += batch - self._last_batch
        self._last_batch = batch
        if self._since_saved >= self.save_freq:
            self._since_saved = 0
            self._consider(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self.save_freq != "epoch":
            return
        self._epochs_since_saved += 1
        if self._epochs_since_saved >= self.period:
            self._epochs_since_saved = 0
            self._consider(None, logs)

    def _consider(self, batch: int | None, logs: dict | None) -> None:
        """Save the model if that is wanted now."""
        raise NotImplementedError

    def _is_wanted(self, logs: dict, path: str) -> bool:
        if not self.save_best_only:
            self._say(f"saving model to {path}")
            return True
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(f"Can save best model only with {self.monitor} available.", stacklevel=5)
            return True
        if np.ndim(value):
            warnings.warn(
                "Can save best model only when `monitor` is a scalar value. "
                f"Received: {value}. Falling back to `save_best_only=False`.",
                stacklevel=5,
            )
            return True
        self.decide_direction(logs)
        if not self.improved(value, self.best):
            self._say(f"{self.monitor} did not improve from {self.best:.5f}")
            return False
        before = None if self.best is None else f"{self.best:.5f}"
        self._say(f"{self.monitor} improved from {before} to {value:.5f}, saving model to {path}")
        self.best = value
        return True

    def _say(self, text: str) -> None:
        if self.verbose > 0:
            console.say(f"\nEpoch {self._epoch + 1}: {text}")


_OLD = (".h5", ".hdf5")  # as Keras 2 writes them, but for `.weights.h5`


@registry.export("callbacks.ModelCheckpoint")
class ModelCheckpoint(Saver):
    """Save the model, or its weights, after every epoch or every so many batches.

    Args:
        filepath: Ends in `.keras` or `.h5`, or in `.weights.h5` for weights only; may hold
            `{epoch}`, `{batch}` and names in the logs, as `{val_loss:.2f}`.
        monitor, mode: The number that says which model is best.
        verbose: 1 says when the model is saved.
        save_best_only: Whether only a model that beats all before it is saved.
        save_weights_only: Whether weights are saved without the architecture.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: What the first model has to beat.
        kwargs: Of Keras 2: `period`, a number of epochs; `options` means nothing.
    """

    @checked
    def __init__(
        self,
        filepath: Path,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str | None = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(monitor, verbose, save_best_only, mode, save_freq, initial_value_threshold)
        self.filepath, self.save_weights_only = os.fspath(filepath), save_weights_only
        self.period = kwargs.pop("period", 1)
        kwargs.pop("options", None)
        for name in kwargs:
            hint = did_you_mean(name, ("filepath", "monitor", "save_best_only", "save_freq"))
            raise TypeError(f"ModelCheckpoint() got an unexpected argument {name!r}{hint}")
        if save_weights_only and not self.filepath.endswith(_OLD):
            raise ValueError(
                "When using `save_weights_only=True` in `ModelCheckpoint`, the filepath provided "
                "must end in `.weights.h5` (Keras weights format). Received: "
                f"filepath={self.filepath}"
            )
        if not save_weights_only and not self.filepath.endswith((".keras", *_OLD)):
            raise ValueError(
                "The filepath provided must end in `.keras` (Keras model format). Received: "
                f"filepath={self.filepath}"
            )

    def _consider(self, batch: int | None, logs: dict | None) -> None:
        """Save the model if that is wanted now."""
        logs = {name: number(value) for name, value in (logs or {}).items()}
        path = self._path(batch, logs)
        if os.path.isdir(path):
            raise OSError(
                "Please specify a non-directory filepath for ModelCheckpoint. "
                f"Filepath used is an existing directory: {path}"
            )
        if not self._is_wanted(logs, path):
            return
        if folder := os.path.dirname(path):
            os.makedirs(folder, exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(
            path, overwrite=True
        )
        self._say(f"finished saving model to {path}")

    def _path(self, batch: int | None, logs: dict) -> str:
        places = {"epoch": self._epoch + 1} | ({} if batch is None else {"batch": batch + 1})
        try:
            return self.filepath.format(**logs | places)
        except KeyError as error:
            raise KeyError(
                f'Failed to format this callback filepath: "{self.filepath}". Reason: {error}'
            ) from None
