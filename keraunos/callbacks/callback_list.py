"""The list that calls every hook of many callbacks, and how long they all can wait."""

import math
from collections.abc import Callable
from typing import Any

from keraunos.callbacks.callback import HOOKS, Callback, History
from keraunos.callbacks.progress import ProgbarLogger
from keraunos.core import registry
from keraunos.core.fields import checked

BATCH_HOOKS = tuple(hook for hook in HOOKS if "batch" in hook)


def _watches_batches(callback: Any) -> bool:
    kind, own = type(callback), getattr(callback, "__dict__", {})
    return any(
        hook in own or getattr(kind, hook, None) is not getattr(Callback, hook)
        for hook in BATCH_HOOKS
    )


@registry.export("callbacks.CallbackList")
class CallbackList(Callback):
    """Many callbacks as one: calls each hook of all of them, in their order.

    Args:
        callbacks: One, a list of them, or nested lists.
        add_history, add_progbar: Whether a `History`, a `ProgbarLogger` is appended if
            there is none.
        model: Given to the callbacks' `set_model`, if not None.
        params: Given to the callbacks' `set_params`, if there are any.
    """

    @checked
    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ):
        super().__init__()
        self.callbacks: list[Any] = [_checked(callback) for callback in _flat(callbacks)]
        self._history = self._the(History, add_history)
        self._progbar = self._the(ProgbarLogger, add_progbar)
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def _the(self, kind: type, wanted: bool) -> Any:
        found = [callback for callback in self.callbacks if isinstance(callback, kind)]
        if not found and wanted:
            found.append(kind())
            self.callbacks += found
        return found[-1] if found else None

    @property
    def patience(self) -> float:
        """Seconds for which no callback needs to see a batch; infinite if none ever does."""
        waits = [getattr(c, "every", 0.0) for c in self.callbacks if _watches_batches(c)]
        return min(waits, default=math.inf)

    def append(self, callback: Any) -> None:
        """Add a callback at the end."""
        self.callbacks.append(_checked(callback))

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if self._history is not None:
            model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)


def _to_all_at_batch(hook: str) -> Callable:
    def call(self, batch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        for callback in self.callbacks:
            getattr(callback, hook)(batch, logs)

    return call


def _to_all_at_epoch(hook: str) -> Callable:
    to_all = _to_all_at_batch(hook)
    return lambda self, epoch, logs=None: to_all(self, epoch, logs)


def _to_all(hook: str) -> Callable:
    def call(self, logs: dict | None = None) -> None:
        logs = logs or {}
        for callback in self.callbacks:
            getattr(callback, hook)(logs)

    return call


_KINDS: dict[str, Callable] = {"batch": _to_all_at_batch, "epoch": _to_all_at_epoch, "": _to_all}
for _hook in HOOKS:
    _kind = next(part for part in _KINDS if part in _hook)
    setattr(CallbackList, _hook, _KINDS[_kind](_hook))


def _flat(callbacks: Any) -> list:
    if callbacks is None:
        return []
    if isinstance(callbacks, (list, tuple)):
        return [callback for item in callbacks for callback in _flat(item)]
    return [callbacks]


def _checked(callback: Any) -> Any:
    if isinstance(callback, type):
        raise TypeError(
            f"A callback must be an instance, got the class {callback.__name__}. "
            f"Did you mean `{callback.__name__}()`?"
        )
    if not hasattr(callback, "set_model"):
        raise TypeError(f"A callback must be an instance of keras.callbacks.Callback, "
                        f"got {callback!r}.")  # fmt: skip
    return callback
