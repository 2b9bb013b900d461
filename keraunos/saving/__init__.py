"""Models, weights and configs in files, in the formats of Keras 3."""

from collections.abc import Mapping
from typing import Any

from keraunos.core import registry
from keraunos.core.registry import (
    CustomObjectScope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from keraunos.core.untrusted import FileError
from keraunos.saving.archive import load_model, load_weights, save_model, save_weights
from keraunos.saving.editor import KerasFileEditor

custom_object_scope = CustomObjectScope


def serialize_keras_object(obj: Any) -> Any:
    """What a saved file holds for an object: JSON types, or a dict that names its class."""
    if callable(obj) and hasattr(obj, "__name__") and obj.__name__ != "<lambda>":
        return registry.named(obj)
    return registry.serialize(obj)


def deserialize_keras_object(
    config: Any,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    **kwargs: Any,
) -> Any:
    """The object that `serialize_keras_object` described.

    Args:
        custom_objects: Classes and functions of yours that the config names.
        safe_mode: Whether to refuse Python lambdas, which are code of whoever wrote the config.
    """
    with registry.safe_mode(safe_mode and registry.in_safe_mode()):
        return registry.deserialize(config, custom_objects)


__all__ = [
    "CustomObjectScope",
    "FileError",
    "KerasFileEditor",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]
