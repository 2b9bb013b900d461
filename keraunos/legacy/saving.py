"""Configs as Keras 2 wrote them: `{"class_name": ..., "config": ...}`, without modules."""

from typing import Any

from keraunos.core import registry


def serialize_keras_object(instance: Any) -> Any:
    """Class name and config of an object; the name of a function."""
    if instance is None:
        return None
    if hasattr(instance, "get_config"):
        name = registry.get_registered_name(type(instance))
        return {"class_name": name, "config": instance.get_config()}
    if hasattr(instance, "__name__"):
        return registry.get_registered_name(instance)
    raise ValueError(f"{instance!r} cannot be saved: it has neither `get_config` nor a name.")


def deserialize_keras_object(
    identifier: Any,
    module_objects: dict[str, Any] | None = None,
    custom_objects: dict[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """What a name or a config of Keras 2 stands for.

    Args:
        module_objects: Where names are looked up that are not the user's.
        printable_module_name: What an error calls the thing that was not found.
    """
    if identifier is None:
        return None
    if callable(identifier) and not isinstance(identifier, type):
        return identifier
    name = str(identifier["class_name"] if isinstance(identifier, dict) else identifier)
    found = registry.get_registered_object(name, custom_objects, module_objects)
    if found is None:
        raise ValueError(
            f"Unknown {printable_module_name}: {name!r}. Register it with "
            "`@keras.saving.register_keras_serializable()` or pass it in `custom_objects`."
        )
    if not isinstance(identifier, dict):
        return found() if isinstance(found, type) else found
    with registry.CustomObjectScope(custom_objects):
        return found.from_config(identifier["config"])
