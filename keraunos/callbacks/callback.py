"""The hooks around a training, and the simplest callbacks."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from keraunos.core import past, plain, registry
from keraunos.core.fields import checked


@registry.export("callbacks.Callback")
class Callback:
    """Base class; every hook does nothing until it is overridden.

    `logs` hold numbers by name. Those of a batch may still be computing on the device:
    `float` waits for them. A hook on batches is called after every single step, which takes
    time where steps are short; a callback that can wait says so with `every`.

    Attributes:
        model: The model that is trained.
        params: Of this run: `verbose`, `epochs`, `steps` (None if not known).
        every: Seconds that the callback can do without its hooks on batches.
    """

    every: float = 0.0

    def __init__(self) -> None:
        self.params: Any = None
        self._model: Any = None

    @property
    def model(self) -> Any:
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before a run, with what it is going to be."""
        self.params = past.Params(params, self._model)

    def set_model(self, model: Any) -> None:
        """Called before a run, with the model."""
        self._model = model

    def get_run_state(self) -> dict[str, Any]:
        """What `set_run_state` needs for a run to go on as if it had not been left.

        By default, all attributes that hold plain data: numbers, text, arrays, and nests of them.
        """
        return plain.part({k: v for k, v in vars(self).items() if k not in _OF_THE_CALL})

    def set_run_state(self, state: dict[str, Any]) -> None:
        """Remember again what `get_run_state` said in a run that was left; after the hooks
        that begin the training, and the epoch if it is entered in the middle."""
        vars(self).update(state)

    def on_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Another name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Another name of `on_train_batch_end`."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Before an epoch of training; the first is 0."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """After an epoch of training and its validation, whose numbers are `val_...`."""

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Before a training step; the first of an epoch is 0."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """After a training step; numbers are averages over the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Before a step of `evaluate`, or of validation within `fit`."""

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """After a step of `evaluate`, or of validation within `fit`."""

    def on_predict_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Before a step of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """After a step of `predict`; `logs["outputs"]` is what the model returned."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        """At the start of `fit`."""

    def on_train_end(self, logs: dict | None = None) -> None:
        """At the end of `fit`; `logs` are those of the last epoch."""

    def on_test_begin(self, logs: dict | None = None) -> None:
        """At the start of `evaluate`, or of validation within `fit`."""

    def on_test_end(self, logs: dict | None = None) -> None:
        """At the end of `evaluate`, or of validation within `fit`."""

    def on_predict_begin(self, logs: dict | None = None) -> None:
        """At the start of `predict`."""

    def on_predict_end(self, logs: dict | None = None) -> None:
        """At the end of `predict`."""

    if not TYPE_CHECKING:
        __getattr__ = past.member


_OF_THE_CALL = ("params", "_model", "validation_data")

HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


@registry.export("callbacks.History")
class History(Callback):
    """Keeps the numbers of every epoch; `fit` returns one.

    Attributes:
        history: A list for each name in the logs.
        epoch: The number of each epoch.
        within: Of each validation within an epoch its epoch and step, from 1 on, and its numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list] = past.Logs()
        self.within: list[dict[str, Any]] = []

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(number(value))
        self.model.history = self


def number(value: Any) -> Any:
    """`value` as a Python number, if it is an array of one; a copy of it if it has more."""
    if not hasattr(value, "dtype") and not hasattr(value, "__array__"):
        return value
    array = np.asarray(value)
    return array.item() if array.size == 1 else array


@registry.export("callbacks.LambdaCallback")
class LambdaCallback(Callback):
    """A callback made of functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`.

    All hooks of `Callback` are taken, by their names.
    """

    @checked
    def __init__(
        self,
        on_epoch_begin: Callable | None = None,
        on_epoch_end: Callable | None = None,
        on_train_begin: Callable | None = None,
        on_train_end: Callable | None = None,
        on_train_batch_begin: Callable | None = None,
        on_train_batch_end: Callable | None = None,
        **kwargs: Any,
    ):
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        vars(self).update({name: fn for name, fn in given.items() if fn is not None} | kwargs)
