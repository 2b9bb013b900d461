"""The callback that saves checkpoints in the background, and from many hosts, by Orbax."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from keraunos.callbacks.callback import number
from keraunos.callbacks.checkpoints import Saver
from keraunos.core import registry
from keraunos.core.fields import checked, needs
from keraunos.saving import orbax


@registry.export("callbacks.OrbaxCheckpoint")
class OrbaxCheckpoint(Saver):
    """Save weights, the state of optimizer and metrics, and the config of the model by Orbax.

    A checkpoint is a folder in `directory`, named by its epoch, or by the number of steps
    where `save_freq` is a number of batches. `load_model` and `load_weights` read the last of
    them, or one that is named. Extra `distributed`.

    Args:
        monitor, mode: The number that says which model is best.
        verbose: 1 says when the model is saved.
        save_best_only: Whether only a model that beats all before it is saved.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: What the first model has to beat.
        max_to_keep: How many checkpoints stay, the last ones; None for all.
        save_on_background: Whether training goes on while files are written.
        save_weights_only: Whether nothing but weights is saved.

    Errors: ValueError as training starts, if the folder holds checkpoints of later steps: those
    of another run would be taken for the last ones of this.
    """

    @checked
    def __init__(
        self,
        directory: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = 1,
        save_on_background: bool = True,
        save_weights_only: bool = False,
    ):
        super().__init__(monitor, verbose, save_best_only, mode, save_freq, initial_value_threshold)
        whole = isinstance(max_to_keep, (int, np.integer)) and not isinstance(max_to_keep, bool)
        if max_to_keep is not None and not (whole and max_to_keep > 0):
            raise ValueError(needs(self, "a positive integer or None", "max_to_keep", max_to_keep))
        self.directory = str(Path(directory).expanduser().absolute())
        self.max_to_keep, self.save_on_background = max_to_keep, save_on_background
        self.save_weights_only = save_weights_only
        self._saving: Any = None
        self._first_step, self._knows_folder = 0, False
        training = orbax.library().training
        self.checkpointer = training.Checkpointer(
            self.directory,
            preservation_policy=training.preservation_policies.LatestN(max_to_keep),
        )

    def on_train_begin(self, logs: dict | None = None) -> None:
        optimizer = self.model.optimizer
        self._first_step = 0 if optimizer is None else int(np.asarray(optimizer.iterations))
        self._batches, self._knows_folder = 0, False

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        if self._knows_folder:
            return
        self._knows_folder = True
        first = self._epoch if self.save_freq == "epoch" else self._first_step + 1
        last = max(orbax.steps(Path(self.directory)), default=-1)
        if last >= first:
            raise ValueError(
                f"{self.directory} holds a checkpoint of step {last}, but this training begins "
                f"with step {first}. Give another folder; or go on from there, by `load_model` and "
                "`fit(initial_epoch=...)`."
            )

    def on_train_end(self, logs: dict | None = None) -> None:
        self.wait_until_finished()

    def wait_until_finished(self) -> None:
        """Wait for the checkpoint that is being written, if there is one."""
        if self._saving is not None:
            saving, self._saving = self._saving, None
            saving.result()

    def is_multihost_enabled(self) -> bool:
        """Whether several processes train together, as `jax.distributed` has it."""
        return jax.process_count() > 1

    def is_primary_host(self) -> bool:
        """Whether this process is the one that speaks for all."""
        return jax.process_index() == 0

    def _consider(self, batch: int | None, logs: dict | None) -> None:
        logs = {name: number(value) for name, value in (logs or {}).items()}
        step = self._epoch if batch is None else self._first_step + self._batches
        if not self._is_wanted(logs, f"{self.directory}/{step}"):
            return
        self.wait_until_finished()
        items, about = orbax.content(self.model, self.save_weights_only)
        # A run that is resumed may come to its last steps again.
        options = {"force": True, "overwrite": True, "custom_metadata": about}
        if self.save_on_background:
            self._saving = self.checkpointer.save_checkpointables_async(step, items, **options)
        else:
            self.checkpointer.save_checkpointables(step, items, **options)

    def _say(self, text: str) -> None:
        if self.is_primary_host():
            super()._say(text)
