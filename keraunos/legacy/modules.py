"""Modules of the past, and the answer of a public package to a name that it does not have."""

import difflib
import dis
import functools
import importlib
import sys
import types
from collections.abc import Iterable
from typing import Any

from keraunos.core import errors
from keraunos.legacy.names import GONE, MODULES, NAMES, ROOMS
from keraunos.legacy.note import note

# Where somebody looks who does not know where a name is.
_PUBLIC = (
    "layers", "models", "utils", "saving", "ops", "losses", "metrics", "optimizers",
    "optimizers.schedules", "callbacks", "initializers", "regularizers", "constraints",
    "activations", "random", "backend", "config", "applications", "datasets",
)  # fmt: skip
_MIRRORS = ("src", "api._v1.keras", "api._v2.keras", "api", "_tf_keras.keras")


def find(path: str) -> types.ModuleType | None:
    """What `import keras.<path>` means: a module of today, or one of the past, or None."""
    plain = _without_mirror(path)
    if plain in MODULES:
        return load(plain)
    try:
        return _import(plain)
    except ModuleNotFoundError as error:
        if not f"keraunos.{plain}.".startswith(f"{error.name}."):
            raise
    return None if plain == path else load(plain)


def _without_mirror(path: str) -> str:
    for mirror in _MIRRORS:
        if path == mirror or path.startswith(f"{mirror}."):
            return path[len(mirror) + 1 :]
    return path


@functools.cache
def load(path: str) -> types.ModuleType:
    """The module of the past at `path`, whose names are those of its successors."""
    return _Module(path, MODULES.get(path) or _nearest(path))


class _Module(types.ModuleType):
    """A module without contents: a name is looked up in the packages of today."""

    def __init__(self, path: str, homes: tuple[str, ...]):
        super().__init__(f"keras.{path}", f"What was in keras.{path}, from where it is now.")
        if any(module.startswith(f"{path}.") for module in MODULES):
            self.__path__ = []
        self._path, self._homes = path, homes

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if f"{self._path}.{name}" in MODULES:
            return load(f"{self._path}.{name}")
        for package in self._homes:
            try:
                return _attribute(package, name)
            except AttributeError:
                continue
            except ModuleNotFoundError as error:
                if not (error.name or "").startswith("keraunos"):
                    raise
        raise _missing(f"keras.{self._path}", name, self._homes, sys._getframe(1))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`layers.merge` was a function before it was a module."""
        function = named(*self._path.rpartition(".")[::2])
        if function is None:
            raise TypeError(f"module {self.__name__!r} is not callable")
        return function(*args, **kwargs)

    def __dir__(self) -> list[str]:
        return sorted({name for package in self._homes for name in _names(package)})


def answer(path: str, name: str, frame: types.FrameType | None) -> Any:
    """What the public package at `path` has under a name that is not in it; see `core.past`."""
    if (found := named(path, name)) is not None:
        note(f"`keras.{path}.{name}`".replace("..", "."))
        return found
    below = f"{path}.{name}".lstrip(".")
    if below in MODULES:
        return load(below)
    raise _missing(f"keras.{path}".rstrip("."), name, (path,), frame)


def named(path: str, name: str) -> Any:
    """What `name` was in the package at `path`, or None."""
    if now := NAMES.get(path, {}).get(name):
        return _attribute(*now.rpartition(".")[::2]) if "." in now else _import(now)
    if path not in ROOMS or name.startswith("__"):
        return None
    room = _import(f"legacy.{ROOMS[path]}")
    found = getattr(room, name, None)
    return None if isinstance(found, types.ModuleType) else found


def unknown(path: str, shown: str) -> str:
    """What to say of a module that there is not."""
    packages = _PUBLIC if "." not in path else (path.rpartition(".")[0],)
    known = {*MODULES, *packages}
    close = difflib.get_close_matches(path, known, 1, 0.75)
    meant = f" Did you mean 'keras.{close[0]}'?" if close else ""
    return f"No module named {shown!r}.{f' {GONE[path]}' if path in GONE else meant}"


def _nearest(path: str) -> tuple[str, ...]:
    """For a private path of Keras, the public package it belongs to."""
    parts = path.split(".")
    while parts and ".".join(parts) not in (*_PUBLIC, *MODULES):
        parts.pop()
    near = ".".join(parts)
    return MODULES.get(near) or (near, "utils", "ops") if near else ("", "ops")


def _import(path: str) -> types.ModuleType:
    return importlib.import_module(f"keraunos.{path}".rstrip("."))


def _attribute(package: str, name: str) -> Any:
    return getattr(_import(package), name)


def _names(package: str) -> Iterable[str]:
    try:
        return [name for name in dir(_import(package)) if not name.startswith("_")]
    except ImportError:
        return []


def _missing(module: str, name: str, homes: tuple[str, ...], frame) -> Exception:
    """What to raise for a name that is not there: it says where it is, or what is near."""
    homes = tuple(home for home in homes if not home.startswith("legacy."))
    where = f"cannot import name {name!r} from {module!r}"
    in_import = importing(frame)
    text = [where if in_import else f"module {module!r} has no attribute {name!r}"]
    told = [GONE[f"{package}.{name}"] for package in homes if f"{package}.{name}" in GONE]
    close = [
        f"keras.{package}.{match}".replace("..", ".")
        for package in homes
        for match in difflib.get_close_matches(name, _names(package), 1, 0.75)
    ]
    if told:
        text.append(told[0])
    elif elsewhere := _elsewhere(name, homes, in_import):
        text.append(f"It is {elsewhere} now.")
    elif close:
        text.append(f"Did you mean {close[0]}?")
    message = ". ".join([text[0], *text[1:]]).rstrip(".")
    message += "." if message[-1] not in "?." else ""
    if line := errors.users_line():
        message += f" (At {line}.)"
    if in_import:
        return ImportError(message, name=module)
    return AttributeError(message, name=name)


def _elsewhere(name: str, homes: tuple[str, ...], everywhere: bool) -> str | None:
    """The public path of `name`, if another package has it.

    `everywhere` looks into packages that are not loaded yet, which takes its time.
    """
    for package in _PUBLIC:
        loaded = f"keraunos.{package}" in sys.modules
        if package not in homes and (everywhere or loaded) and name in _names(package):
            return f"keras.{package}.{name}"
    return None


def importing(frame: types.FrameType | None) -> bool:
    """Whether `frame` is in the middle of `from ... import ...`.

    Python replaces the message of an AttributeError there by one that says nothing.
    """
    return frame is not None and frame.f_code.co_code[frame.f_lasti] == dis.opmap["IMPORT_FROM"]
