"""Where today's code meets that of Keras 1 and 2: what is not known here, `legacy` is asked for.

Each of these is reached only where Python would raise an error; the tables are read on first use.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import jax

F = TypeVar("F", bound=Callable)


def _legacy(room: str) -> Any:
    return importlib.import_module(f"keraunos.legacy.{room}")


def names_of(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a public package: its names of Keras 1 and 2, or who is meant.

    A package ends with `__getattr__ = names_of(__name__)`.
    """

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return _legacy("modules").answer(package.partition(".")[2], name, sys._getframe(1))

    return __getattr__


def named(kind: str, identifier: str) -> Any:
    """What a string such as "cosine_proximity" stood for, or None."""
    return _legacy("modules").named(kind, identifier)


def member(owner: Any, name: str) -> Any:
    """The `__getattr__` of a class: what its objects had once, as `model.fit_generator`."""
    if not name.startswith("__"):
        found = _legacy("members").find(type(owner), name)
        if found is not None:
            return found.__get__(owner, type(owner))
    return object.__getattribute__(owner, name)  # raises what Python would have


def arguments(owner: Any, known: Collection[str], args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """`(args, kwargs)` as `owner`, which has arguments called `known`, takes them today."""
    if all(name in known for name in kwargs):
        return args, kwargs
    return _legacy("arguments").of_today(owner, known, args, kwargs)


def takes_old_names(fn: F) -> F:
    """Let a method take its arguments by the names that they had, as `nb_epoch` for `epochs`."""
    known = inspect.signature(fn).parameters

    @functools.wraps(fn)
    def call(self, *args, **kwargs):
        if len(args) > 2 or not all(name in known for name in kwargs):
            args, kwargs = _legacy("arguments").of_method(self, fn, known, args, kwargs)
        return fn(self, *args, **kwargs)

    return call  # type: ignore[return-value]


def name_first(fn: F) -> F:
    """Let `add_weight` take a name in first place, and what followed it."""
    fn = takes_old_names(fn)
    order = ("name", "shape", "dtype", "initializer", "regularizer", "trainable", "constraint")

    @functools.wraps(fn)
    def call(self, *args, **kwargs):
        if args and isinstance(args[0], str):
            args, kwargs = (), {**dict(zip(order, args)), **kwargs}
        return fn(self, *args, **kwargs)

    return call  # type: ignore[return-value]


class Logs(dict):
    """A dict by name, which also knows names that things had."""

    _ALSO = {
        "lr": "learning_rate",
        "acc": "accuracy",
        "val_acc": "val_accuracy",
        "nb_epoch": "epochs",
    }

    def __missing__(self, name: Any) -> Any:
        for old, now in self._ALSO.items():
            other = {old: now, now: old}.get(name)
            if other in self:
                return self[other]
        raise KeyError(name)


jax.tree_util.register_pytree_node(  # as any dict
    Logs,
    lambda logs: ([logs[name] for name in sorted(logs)], tuple(sorted(logs))),
    lambda names, values: Logs(dict(zip(names, values))),  # type: ignore[arg-type]
)


class Params(Logs):
    """What a callback is told of a run; names of metrics when it asks for them."""

    def __init__(self, params: dict[str, Any], model: Any):
        super().__init__(params)
        self._model = model

    def __missing__(self, name: Any) -> Any:
        if name != "metrics" or self._model is None:
            return super().__missing__(name)
        names = self._model.metrics_names
        return [*names, *(f"val_{name}" for name in names)]
