"""Public `keras.backend`: the settings that old code asks the engine for."""

import contextlib
import gc
from typing import TYPE_CHECKING, Any

import jax

from keraunos import random
from keraunos.core import config, dtypes, naming, placement
from keraunos.core.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from keraunos.core.dtypes import is_float_dtype, is_int_dtype, result_type, standardize_dtype
from keraunos.core.graph import is_symbolic
from keraunos.core.naming import get_uid, name_scope
from keraunos.core.past import names_of


def clear_session(free_memory: bool = True) -> None:
    """Start afresh: automatic names, the seed of the process, the dtype policy, devices, logging.

    Args:
        free_memory: Whether Python's unused objects are collected, arrays among them.
    """
    naming.reset()
    random._global.clear()
    dtypes.set_dtype_policy(None)
    placement.set_current(None)
    config.put("traceback_filtering", True)
    config.put("interactive_logging", True)
    if free_memory:
        gc.collect()


def is_keras_tensor(x: Any) -> bool:
    """Whether `x` is a symbolic tensor."""
    return is_symbolic(x)


def device(device_name: Any) -> contextlib.AbstractContextManager:
    """A scope within which tensors are made on a device: "cpu:0", "gpu", or a JAX device."""
    if isinstance(device_name, str):
        platform, _, index = device_name.lower().lstrip("/").partition(":")
        found = jax.devices(platform)
        if not (index or "0").isdigit() or int(index or 0) >= len(found):
            raise ValueError(f"There is no device {device_name!r}; there are {found}.")
        return jax.default_device(found[int(index or 0)])
    if not isinstance(device_name, jax.Device):
        raise ValueError(
            f"A device is named by a string such as 'gpu:0', or is a `jax.Device`; got "
            f"{device_name!r}."
        )
    return jax.default_device(device_name)


__all__ = [
    "backend", "clear_session", "device", "epsilon", "floatx", "get_uid", "image_data_format",
    "is_float_dtype", "is_int_dtype", "is_keras_tensor", "name_scope", "result_type",
    "set_epsilon", "set_floatx", "set_image_data_format", "standardize_dtype",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
