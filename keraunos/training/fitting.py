"""The loop of `fit`: epochs, validation, hooks; entered at its start, or where a run was left."""

import contextlib
import warnings
from typing import Any

import numpy as np

from keraunos.callbacks import BackupAndRestore, CallbackList, TerminateOnNaN
from keraunos.core import errors
from keraunos.optimizers import Optimizer
from keraunos.training.doctor import Watch
from keraunos.training.interrupts import Deferred
from keraunos.training.program import Program
from keraunos.training.run import Position, Run, described


class Fit:
    """One call of `fit`.

    Args:
        held_out: The data to validate on; None for none.
        validation_freq: Every so many epochs, or after those in a list.
        run: What keeps the state of all this; None if nobody asked for it.
        validation_every: Also validate within epochs, every so many steps.
    """

    def __init__(
        self,
        model: Any,
        program: Program | Watch,
        data: Any,
        held_out: Any,
        callbacks: CallbackList,
        validation_freq: Any,
        run: Run | None,
        validation_every: int | None = None,
    ):
        self.model, self.program, self.data, self.held_out = model, program, data, held_out
        self.callbacks, self.validation_freq, self.run = callbacks, validation_freq, run
        self.validation_every = validation_every
        self._scores: dict[str, float] = {}  # of the last validation within this epoch
        self.at = run.position if run else Position()
        self.signals = Deferred() if run else None
        watched = isinstance(program, Watch) or any(
            isinstance(callback, TerminateOnNaN) for callback in callbacks.callbacks
        )
        self._told = watched  # whether somebody says, or said, that the loss is not finite

    def go(self, first: int, epochs: int) -> Any:
        """Train from epoch `first` until `epochs` are done; the history."""
        model, at, run = self.model, self.at, self.run
        if run:
            self._identify(run)
            if at.finished and (at.stopped or at.epoch >= epochs):
                run.enter(model, self.callbacks)
                return model.history
        if run is None or not run.found:
            at.epoch = first
        at.finished = False
        self.callbacks.on_train_begin()
        with self.signals or contextlib.nullcontext(), run or contextlib.nullcontext():
            if run:
                self._take_up(run, first)
            while at.epoch < epochs and (at.step or not model.stop_training):
                if not self._epoch():
                    break
            if isinstance(model.optimizer, Optimizer) and at.epoch > first:
                model.optimizer.finalize_variable_values(model.trainable_weights)
            if isinstance(self.program, Watch):
                self.program.finish()
            self.callbacks.on_train_end(at.logs)
            if run:
                run.finish(model, self.callbacks, at.read)
        return model.history

    def _identify(self, run: Run) -> None:
        step = self.program.traced(self.data.first())
        run.check(described(self.model, self.data, self.held_out, self.callbacks, step))

    def _take_up(self, run: Run, first: int) -> None:
        """Be where the run was left; or write down where it begins."""
        at = self.at
        run.begin(self.callbacks)
        self.data.catch_up(at.epoch - first, at.read, at.reader)
        if self.held_out is not None:
            self.held_out.catch_up(at.validations, at.validated, at.held_out)
        if not run.found:
            self._save(run, 0)
        elif not at.step:
            run.enter(self.model, self.callbacks)

    def _epoch(self) -> bool:
        """One epoch, or the rest of it; whether there was data for it."""
        model, callbacks, at = self.model, self.callbacks, self.at
        model.reset_metrics()
        callbacks.on_epoch_begin(at.epoch)
        if at.step and self.run:
            self.run.enter(model, callbacks)
        if isinstance(self.program, Watch):
            self.program.epoch, self.program.done = at.epoch, at.step
        logs, at.step = model._epoch(
            self.program,
            self.data,
            at.epoch,
            callbacks,
            "train",
            at.step,
            at.logs,
            self._between,
            self.validation_every,
            self._within,
        )
        if not at.step:
            errors.warn(
                "The data ended before the epoch began. Give data that can be read again, or at "
                "least `steps_per_epoch * epochs` batches."
            )
            return False
        if at.step < (self.data.num_batches or 0) and not model.stop_training:
            errors.warn(
                f"The data ended in epoch {at.epoch + 1}, after {at.step} of "
                f"{self.data.num_batches} batches. Give data that can be read again, or at "
                "least `steps_per_epoch * epochs` batches."
            )
        if self._validates_after(at.epoch):
            self._scores = self._validate()
        logs |= self._scores
        self._scores = {}
        callbacks.on_epoch_end(at.epoch, logs)
        at.epoch, at.step, at.read, at.logs = at.epoch + 1, 0, at.read + at.step, logs
        self._keep(at_end_of_epoch=True)
        return True

    def _validates_after(self, epoch: int) -> bool:
        return self.held_out is not None and _due(epoch + 1, self.validation_freq)

    def _validate(self) -> dict[str, float]:
        scores, steps = self.model._evaluate(self.held_out, self.callbacks)
        self.at.validations, self.at.validated = self.at.validations + 1, self.at.validated + steps
        return {f"val_{name}": value for name, value in scores.items()}

    def _within(self, step: int) -> dict[str, float]:
        """What a validation says, `step` steps into the epoch; metrics go on as if it were not."""
        if step == self.data.num_batches and self._validates_after(self.at.epoch):
            return {}
        held = [(variable, variable.numpy()) for variable in self.model.metrics_variables]
        self._scores = self._validate()
        for variable, value in held:
            variable.assign(value)
        self.model.history.within.append({"epoch": self.at.epoch + 1, "step": step, **self._scores})
        return self._scores

    def _between(self, step: int, logs: dict[str, Any]) -> None:
        """Between two calls of the program, `step` steps into the epoch."""
        before, self.at.step, self.at.logs = self.at.step, step, logs
        loss = logs.get("loss", 0.0)
        if not self._told and not np.isfinite(loss):
            self._told = True
            where = (
                f"step {step}" if step - before == 1 else f"one of the steps {before + 1} to {step}"
            )
            warnings.warn(
                f"The loss is {loss} since epoch {self.at.epoch + 1}, {where}. With "
                "`fit(..., on_nan='stop')` training stops there and says where that came from; "
                "'skip' leaves such steps out.",
                stacklevel=5,
            )
        self._keep(at_end_of_epoch=False)

    def _keep(self, at_end_of_epoch: bool) -> None:
        """Save the run if it is time to; if a signal asks for it, and leave."""
        if self.run is None or self.signals is None:
            return
        steps, leaving = self.at.read + self.at.step, self.signals.pending is not None
        if leaving or self.run.due(at_end_of_epoch, steps):
            self._save(self.run, steps, wait=leaving)
        self.signals.leave()

    def _save(self, run: Run, steps: int, wait: bool = False) -> None:
        at = self.at
        at.reader = self.data.place(at.step)
        at.held_out = None if self.held_out is None else self.held_out.place(0)
        run.save(self.model, self.callbacks, steps, wait=wait)


def run_to_keep(resume: Any, callbacks: Any) -> Run | None:
    """The run that `fit` was asked to keep: by a folder, or by a callback."""
    if resume is not None:
        return Run(BackupAndRestore(resume, save_freq="auto", delete_checkpoint=False))
    asked = [c for c in CallbackList(callbacks).callbacks if isinstance(c, BackupAndRestore)]
    return Run(asked[0]) if asked else None


def _due(epoch: int, frequency: Any) -> bool:
    return epoch % frequency == 0 if isinstance(frequency, int) else epoch in frequency
