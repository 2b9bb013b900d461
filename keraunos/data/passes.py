"""Iterables that are read pass after pass, and the places in them that can be found again."""

from collections.abc import Callable, Iterator
from typing import Any

_STATES = ("get_state", "set_state"), ("state_dict", "load_state_dict")  # grain's, torchdata's


class Passes:
    """Any iterable, pass after pass, as one iterator; it ends after each unless `endless`.

    Its place is known where the iterable, or its iterators, can say and set their state.

    Args:
        begin: Gives the iterator of a pass, called with the iterable.
    """

    def __init__(self, reader: Any, endless: bool = False, begin: Callable[[Any], Any] = iter):
        self.reader, self.endless, self._begin = reader, endless, begin
        self.once = hasattr(reader, "__next__")
        self._now: Any = None

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        begun = self._now is not None
        while True:
            for item in self._opened():
                return item
            self._now = None
            if not (self.endless and begun):
                raise StopIteration
            begun = False  # an endless row of nothing would never return

    def _opened(self) -> Any:
        if self._now is None:
            self._now = self._begin(self.reader)
        return self._now

    def restart(self) -> None:
        """Leave this pass; the next item is the first of another."""
        self._now = None

    def state(self) -> Any:
        """What `enter` takes to go on from here; None where nobody knows."""
        opened = self._opened()  # else the state might be that of the end of the pass before
        for holder in (self.reader, opened):
            for get, put in _STATES:
                if hasattr(holder, get) and hasattr(holder, put):
                    return {"state": getattr(holder, get)()}
        return None

    def enter(self, state: Any) -> None:
        """Go on from where `state` was said."""
        self._now = None
        for whose in (lambda: self.reader, self._opened):
            for get, put in _STATES:
                if hasattr(whose(), get) and hasattr(whose(), put):
                    getattr(whose(), put)(state["state"])
                    return
