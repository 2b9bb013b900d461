"""What stands where TensorFlow is not installed: `tf.keras`, and good advice for the rest.

What does no harm has an answer: settings of an engine that is not there, its devices, the logger.
"""

import contextlib
import importlib
import linecache
import logging
import re
import sys
import types
from typing import Any, NamedTuple

import jax

from keraunos.core import errors
from keraunos.legacy.graphs import Graph, Session
from keraunos.legacy.modules import importing
from keraunos.legacy.names import TENSORFLOW
from keraunos.random import set_random_seed

_DTYPE = re.compile(r"b?float\d+|u?int\d+|bool|string|complex\d+|double|half")
_OPS = ("ops", "ops.linalg", "ops.image", "random")
_FAMILIES = {"linalg": "ops.linalg", "image": "ops.image", "random": "random"}


class Stand(types.ModuleType):
    """A module named `tensorflow` that holds Keras and nothing else."""

    __version__ = "2.20.0"
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
    if plain in ANSWERS:
        return ANSWERS[plain]
    if _DTYPE.fullmatch(plain):
        return "float64" if plain == "double" else plain
    if any(known.startswith(f"{plain}.") for known in ANSWERS):
        return _Part(plain)
    raise (ImportError if importing(frame) else AttributeError)(explained(path))


class _Device(NamedTuple):
    name: str
    device_type: str
    physical_device_desc: str = ""


def _devices(device_type: str | None = None) -> list[_Device]:
    """What JAX computes on, as TensorFlow lists it."""
    kinds = {"cpu": "CPU", "gpu": "GPU", "tpu": "TPU"}
    found = [(kinds.get(d.platform, d.platform), d.id) for d in jax.devices()]
    if not any(kind == "CPU" for kind, _ in found):
        found.insert(0, ("CPU", 0))
    return [
        _Device(f"/physical_device:{kind}:{number}", kind, f"name: {kind} {number}")
        for kind, number in found
        if device_type in (None, kind)
    ]


class _Options:
    """A bag of options that mean nothing here: `tf.ConfigProto()`."""

    def __init__(self, *args: Any, **options: Any):
        vars(self).update(options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return vars(self).setdefault(name, _Options())


class _Strategy:
    """A way to spread work over devices; `keras.distribution` is ours."""

    num_replicas_in_sync = 1

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    @staticmethod
    def scope() -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Accepted: there is nothing to set."""


def _as_it_is(fn: Any = None, **kwargs: Any) -> Any:
    return (lambda fn: fn) if fn is None else fn


_gpus = lambda *args, **kwargs: bool(_devices("GPU"))

ANSWERS: dict[str, Any] = {
    **dict.fromkeys(
        """
        compat.v1.disable_eager_execution config.experimental.set_memory_growth
        config.experimental.set_virtual_device_configuration
        config.experimental_run_functions_eagerly
        config.optimizer.set_experimental_options config.optimizer.set_jit
        config.run_functions_eagerly config.set_logical_device_configuration
        config.set_soft_device_placement config.set_visible_devices
        config.experimental.set_visible_devices config.threading.set_inter_op_parallelism_threads
        config.threading.set_intra_op_parallelism_threads disable_eager_execution
        disable_v2_behavior enable_eager_execution enable_v2_behavior global_variables_initializer
        autograph.set_verbosity local_variables_initializer logging.set_verbosity
        reset_default_graph tables_initializer
        """.split(),
        _nothing,
    ),
    **dict.fromkeys(
        """
        config.list_physical_devices config.experimental.list_physical_devices
        config.list_logical_devices config.experimental.list_logical_devices
        config.get_visible_devices client.device_lib.list_local_devices
        """.split(),
        _devices,
    ),
    **{f"logging.{name}": getattr(logging, name) for name in ("DEBUG", "INFO", "WARN", "ERROR")},
    "logging.FATAL": logging.FATAL,
    "get_logger": lambda: logging.getLogger("tensorflow"),
    "random.set_seed": set_random_seed,
    "random.set_random_seed": set_random_seed,
    "set_random_seed": set_random_seed,
    "executing_eagerly": lambda: True,
    "test.is_gpu_available": _gpus,
    "test.is_built_with_cuda": _gpus,
    "test.gpu_device_name": lambda: "/device:GPU:0" if _gpus() else "",
    "device": lambda name: contextlib.nullcontext(),
    "function": _as_it_is,
    "newaxis": None,
    "version.VERSION": Stand.__version__,
    "Session": Session,
    "InteractiveSession": Session,
    "Graph": Graph,
    "get_default_graph": Graph,
    "ConfigProto": _Options,
    "GPUOptions": _Options,
    "distribute.Strategy": _Strategy,
    "distribute.MirroredStrategy": _Strategy,
    "distribute.get_strategy": _Strategy,
}


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
