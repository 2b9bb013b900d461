"""Nested plain data as JSON types and arrays beside them, and back."""

import contextlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

_SCALARS = (type(None), bool, int, float, str)


class NotPlain(TypeError):
    """What only code could write down."""


def split(value: Any, arrays: dict[str, np.ndarray], name: str) -> Any:
    """`value` as JSON types; its arrays go to `arrays`, under names that begin with `name`.

    Errors: `NotPlain` for anything but numbers, text, bytes, None, arrays and nests of them.
    """
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        array = np.asarray(value)
        if array.dtype.kind not in "biufcUS" and array.dtype.name != "bfloat16":
            raise NotPlain(f"an array of {array.dtype}")
        key = f"{name}.{len(arrays)}"
        kind = "scalar" if isinstance(value, np.generic) else "array"
        arrays[key] = array.view("uint16") if array.dtype.name == "bfloat16" else array
        return {kind: key, "dtype": array.dtype.name}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Mapping):
        pairs = [[split(part, arrays, name) for part in pair] for pair in value.items()]
        return {"dict": pairs}
    if type(value) in (list, tuple, set):
        return {type(value).__name__: [split(item, arrays, name) for item in value]}
    raise NotPlain(type(value).__name__)


def part(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that `split` takes."""
    found = {}
    for name, value in values.items():
        with contextlib.suppress(NotPlain):
            split(value, {}, name)
            found[name] = value
    return found


def join(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `split` was given."""
    if not isinstance(value, dict):
        return value
    kind, held = next(iter(value.items()))
    if kind in ("array", "scalar"):
        array = arrays[held]
        array = array.view(value["dtype"]) if value["dtype"] == "bfloat16" else array
        return array[()] if kind == "scalar" else array
    if kind == "bytes":
        return bytes.fromhex(held)
    if kind == "dict":
        return {join(k, arrays): join(v, arrays) for k, v in held}
    return {"list": list, "tuple": tuple, "set": set}[kind](join(item, arrays) for item in held)
