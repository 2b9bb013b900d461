"""The callback that says where a run is kept, so that it can go on after a crash."""

import os
from typing import Any

import numpy as np

from keraunos.callbacks.callback import Callback
from keraunos.core import registry
from keraunos.core.fields import Path, checked


@registry.export("callbacks.BackupAndRestore")
class BackupAndRestore(Callback):
    """Keep all that a run is in a folder; the same `fit`, started again, goes on from there.

    The run ends with the weights, optimizer state and history that it would have had without
    the interruption, bit for bit; also if that came in the middle of an epoch. `fit` does the
    work: this callback tells it where and how often.

    Args:
        backup_dir: The folder.
        save_freq: "epoch", a number of batches, or "auto": every few seconds, as far as that costs
            less than two percent of the time.
        double_checkpoint: With a number of batches, save at the end of each epoch too.
        delete_checkpoint: Whether the folder is emptied when the training is done.

    Errors: ValueError from `fit` if another program wrote the folder: it says what differs.
    """

    @checked
    def __init__(
        self,
        backup_dir: Path,
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ):
        super().__init__()
        if not backup_dir:
            raise ValueError("Empty `backup_dir` argument passed")
        self.backup_dir = os.fspath(backup_dir)
        whole = isinstance(save_freq, (int, np.integer)) and not isinstance(save_freq, bool)
        if save_freq not in ("epoch", "auto") and not (whole and save_freq > 0):
            raise ValueError(
                "BackupAndRestore needs 'epoch', 'auto' or a positive number of batches for "
                f"`save_freq`, got {save_freq!r}."
            )
        self.save_freq, self.double_checkpoint = save_freq, bool(double_checkpoint)
        self.delete_checkpoint = bool(delete_checkpoint)
