"""What of TensorFlow does no harm, and so has an answer where TensorFlow is not installed.

Settings of an engine that is not there, its devices, its logger, sessions that have nothing to do.
"""

import contextlib
import logging
from typing import Any, NamedTuple

import jax

from keraunos.legacy.graphs import Graph, Session
from keraunos.legacy.tensorflow import VERSION
from keraunos.random import set_random_seed


class _Device(NamedTuple):
    name: str
    device_type: str
    physical_device_desc: str = ""


def _devices(device_type: str | None = None) -> list[_Device]:
    """What JAX computes on, as TensorFlow lists it."""
    found = [(d.platform.upper(), d.id) for d in jax.devices()]
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
    "version.VERSION": VERSION,
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
