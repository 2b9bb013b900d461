"""Automatic names (`dense_1`) and the path of names around a variable being made."""

import contextlib
import contextvars
import re
from collections import Counter
from typing import Any

_counts: Counter[str] = Counter()
_path: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("path", default=())


def snake_case(name: str) -> str:
    """`"MaxPooling2D"` becomes `"max_pooling2d"`, the stem of automatic names."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(stem: str) -> str:
    """A name nobody has yet: `dense`, then `dense_1`, `dense_2`, ..."""
    return uniquify(snake_case(stem))


def uniquify(name: str) -> str:
    """`name`, with a number behind it from its second use on."""
    _counts[name] += 1
    return name if _counts[name] == 1 else f"{name}_{_counts[name] - 1}"


def get_uid(prefix: str = "") -> int:
    """How often `prefix` has been asked for, this time included."""
    _counts[prefix] += 1
    return _counts[prefix]


def reset() -> None:
    """Start all counts again."""
    _counts.clear()


def path(name: str) -> str:
    """`name` behind the names of the scopes around it: `"model/dense/kernel"`."""
    return "/".join((*_path.get(), name))


class name_scope(contextlib.AbstractContextManager):
    """Within it, paths carry `name`.

    Args:
        kwargs: `caller`, `deduplicate` and `override_parent` are accepted.
    """

    def __init__(self, name: str, **kwargs: Any):
        unknown = kwargs.keys() - {"caller", "deduplicate", "override_parent"}
        if unknown or not isinstance(name, str):
            got = f"unexpected {', '.join(unknown)}" if unknown else f"name={name!r}"
            raise ValueError(f"name_scope needs a string for `name` and nothing else, got {got}.")
        self.name = name

    def __enter__(self) -> "name_scope":
        self._token = _path.set((*_path.get(), self.name))
        return self

    def __exit__(self, *_: Any) -> None:
        _path.reset(self._token)
