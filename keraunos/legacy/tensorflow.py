"""What stands where TensorFlow is not installed: `tf.keras`, and good advice for the rest."""

import importlib
import linecache
import re
import sys
import types
from typing import Any

from keraunos.core import errors
from keraunos.legacy.modules import importing
from keraunos.legacy.names import TENSORFLOW

_DTYPE = re.compile(r"b?float\d+|u?int\d+|bool|string|complex\d+|double|half")
_OPS = ("ops", "ops.linalg", "ops.image", "random")
_FAMILIES = {"linalg": "ops.linalg", "image": "ops.image", "random": "random"}


VERSION = "2.20.0"


class Stand(types.ModuleType):
    """A module named `tensorflow` that holds Keras and nothing else."""

    __version__ = VERSION
    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name == "keras":
            return importlib.import_module("keraunos")
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return _answer(f"{self.__name__}.{name}".partition(".")[2], sys._getframe(1))


class _Part:
    """A part of TensorFlow, such as `tf.config`, of which something has an answer."""

    def __init__(self, path: str):
        self._path = path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _answer(f"{self._path}.{name}", sys._getframe(1))


def _answer(path: str, frame: types.FrameType) -> Any:
    plain = re.sub(r"^(compat\.v[12]\.|python\.)", "", path)
    if plain == "keras":
        return importlib.import_module("keraunos")
    answers = importlib.import_module("keraunos.legacy.harmless").ANSWERS
    if plain in answers:
        return answers[plain]
    if _DTYPE.fullmatch(plain):
        return "float64" if plain == "double" else plain
    if any(known.startswith(f"{plain}.") for known in answers):
        return _Part(plain)
    raise (ImportError if importing(frame) else AttributeError)(explained(path))


def explained(path: str) -> str:
    """That TensorFlow is not here, which line needs it, and what to use instead."""
    line = errors.users_line()
    full = path if line is None else _as_written(path, line)
    where = f" (at {line})" if line else ""
    return (
        f"`tf.{full}`{where} is TensorFlow, which is not installed: here `tensorflow` holds only "
        f"`tf.keras`, and that is keraunos. {_advice(full)}"
    )


def _as_written(path: str, line: str) -> str:
    """`random.normal` where the user's line has `tf.random.normal` and `random` failed."""
    file, _, number = line.rpartition(":")
    found = re.search(rf"\b{re.escape(path)}(\.\w+)+", linecache.getline(file, int(number)))
    return found[0] if found else path


def _advice(path: str) -> str:
    family, _, rest = path.partition(".")
    name = path.rpartition(".")[2]
    for key in (path, family):
        if key in TENSORFLOW and not (key == family and rest and _ours(name, family)):
            return f"Use {TENSORFLOW[key]}."
    if found := _ours(name, family):
        return f"Use `keras.{found}`."
    return "See `keras.ops`, `keras.random` and `jax.numpy`."


def _ours(name: str, family: str) -> str | None:
    """The public path of the function of ours that does what TensorFlow's does."""
    short = name.removeprefix("reduce_")
    for package in (_FAMILIES.get(family, "ops"), *_OPS):
        try:
            module = importlib.import_module(f"keraunos.{package}")
        except ModuleNotFoundError:
            continue
        for candidate in (short, name):
            if hasattr(module, candidate) and not candidate.startswith("_"):
                return f"{package}.{candidate}"
    return None
