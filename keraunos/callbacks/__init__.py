"""Callbacks: what is done around the steps and epochs of a training."""

from keraunos.callbacks.callback import Callback, History, LambdaCallback
from keraunos.callbacks.callback_list import CallbackList
from keraunos.callbacks.monitors import (
    EarlyStopping,
    LearningRateScheduler,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from keraunos.callbacks.progress import ProgbarLogger

__all__ = [
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
