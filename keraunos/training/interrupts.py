"""Ctrl-C and SIGTERM at moments that are not fit for them."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Around code that must be done or not be begun: Ctrl-C comes when it is over."""
    before = _in_main_thread() and signal.getsignal(signal.SIGINT)
    if not before:  # in another thread, or no handler of Python's to put back
        yield
        return
    held: list[tuple] = []
    signal.signal(signal.SIGINT, lambda *details: held.append(details))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    for _ in held:
        signal.raise_signal(signal.SIGINT)


class Deferred:
    """Within it, Ctrl-C and SIGTERM wait for `leave`; a second one does not wait."""

    def __init__(self):
        self.pending: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Deferred":
        if _in_main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._come)
        return self

    def __exit__(self, *_) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()

    def _come(self, number: int, frame: Any) -> None:
        if self.pending is not None:
            self._now(number)
        self.pending = number

    def leave(self) -> None:
        """Do now what the signal asked for."""
        if self.pending is not None:
            self._now(self.pending)

    def _now(self, number: int) -> None:
        self.__exit__()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        os.kill(os.getpid(), number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
