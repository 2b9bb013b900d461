"""What a public package answers when it is asked for a name that it does not have."""

import importlib
import sys
from collections.abc import Callable
from typing import Any


def names_of(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a public package: its names of Keras 1 and 2, or who is meant.

    A package ends with `__getattr__ = names_of(__name__)`. The tables are read on first use.
    """

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        past = importlib.import_module("keraunos.legacy.modules")
        return past.answer(package.partition(".")[2], name, sys._getframe(1))

    return __getattr__
