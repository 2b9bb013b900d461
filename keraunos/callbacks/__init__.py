"""Callbacks: what is done around the steps and epochs of a training."""

from typing import TYPE_CHECKING

from keraunos.callbacks.backup import BackupAndRestore
from keraunos.callbacks.callback import Callback, History, LambdaCallback
from keraunos.callbacks.callback_list import CallbackList
from keraunos.callbacks.checkpoints import ModelCheckpoint
from keraunos.callbacks.ema import SwapEMAWeights
from keraunos.callbacks.monitors import (
    EarlyStopping,
    LearningRateScheduler,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from keraunos.callbacks.orbax import OrbaxCheckpoint
from keraunos.callbacks.progress import ProgbarLogger
from keraunos.callbacks.tensorboard import TensorBoard
from keraunos.callbacks.writers import CSVLogger, RemoteMonitor
from keraunos.core.past import names_of

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "OrbaxCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
