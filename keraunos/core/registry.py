"""From an object to its public name and config, and back.

This is the only place that knows how anything is written into a saved file or looked up
from a string. An object enters it once, where it is defined:

    @export("losses.MeanSquaredError", "mse", "MSE")
    class MeanSquaredError(Loss): ...

and is then found as `find("losses", x)` for x a class name, a snake_case name, an alias,
a config, an instance or a plain callable. Users' objects enter by
`register_keras_serializable`, by `custom_object_scope`, or by a `custom_objects` argument.
"""

import base64
import contextlib
import contextvars
import difflib
import importlib
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from keraunos.core import config as settings, past
from keraunos.core.naming import snake_case

T = TypeVar("T")

# The public packages whose objects a file may name; each registers its own when imported.
PACKAGES = (
    "activations", "callbacks", "constraints", "distribution", "dtype_policies", "initializers",
    "layers", "losses", "metrics", "models", "ops", "optimizers", "optimizers.schedules",
    "quantizers", "random", "regularizers", "applications", "utils", "distillation",
)  # fmt: skip

_LARGEST = 16  # bytes of a number: complex128

# Those of which no file has objects: what they do is done to folders and devices.
_NOT_IN_FILES = ("callbacks", "distribution")

_FUNCTIONS = ("activations", "losses", "metrics", "ops", "initializers", "layers", "callbacks")

_by_path: dict[str, Any] = {}
_by_name: dict[tuple[str, str], Any] = {}
_registered: dict[str, Any] = {}  # "package>Name" and plain names of users' objects
_registered_names: dict[Any, str] = {}
_scoped: contextvars.ContextVar[Mapping[str, Any] | None] = contextvars.ContextVar(
    "scoped", default=None
)
_safe_mode: contextvars.ContextVar[bool | None] = contextvars.ContextVar("safe_mode", default=None)
_shared: contextvars.ContextVar[dict[int, Any] | None] = contextvars.ContextVar(
    "shared", default=None
)

# Classes that files of Keras name by a private path.
_PRIVATE = {
    "Functional": ("keras.src.models.functional", "Functional"),
    "applications.LayerScale": ("keras.src.applications.convnext", "LayerScale"),
    "applications.CustomScaleLayer": (
        "keras.src.applications.inception_resnet_v2",
        "CustomScaleLayer",
    ),
    **{
        f"layers.{name}": ("keras.src.layers.preprocessing.feature_space", name)
        for name in ("Cross", "Feature", "TFDIdentity")
    },
}


def export(path: str, *aliases: str) -> Callable[[T], T]:
    """Give an object its public path (`"layers.Dense"`) and its other names.

    A name that is given wins over one that is derived: "hinge" is the function of that name,
    though `Hinge` in lower case is the same.
    """
    kind, _, name = path.rpartition(".")

    def decorate(thing: T) -> T:
        if "_path" not in vars(thing):
            thing._path = path  # type: ignore[attr-defined]
        _by_path[path] = thing
        for key in (name, *aliases):
            _by_name[kind, key] = thing
        for key in (name.lower(), snake_case(name)):
            _by_name.setdefault((kind, key), thing)
        return thing

    return decorate


def find(kind: str, identifier: Any) -> Any:
    """The object of `kind` that `identifier` stands for; None stays None.

    A name or a class gives an instance, with default arguments.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return deserialize(identifier, kind=kind)
    if isinstance(identifier, str):
        thing = custom(identifier) or _by_name.get((kind, identifier))
        thing = past.named(kind, identifier) if thing is None else thing
        if thing is None:
            raise ValueError(_unknown(kind, identifier))
        return thing() if isinstance(thing, type) else thing
    if callable(identifier) or hasattr(identifier, "get_config"):
        return identifier() if isinstance(identifier, type) else identifier
    raise ValueError(_unknown(kind, identifier))


def known(kind: str) -> list[str]:
    """The snake_case names of all objects of `kind`."""
    names = {name for k, name in _by_name if k == kind and name == name.lower()}
    return sorted(names - {name.replace("_", "") for name in names if "_" in name})


def _unknown(kind: str, identifier) -> str:
    names = known(kind)
    close = difflib.get_close_matches(str(identifier), names, 1)
    hint = f" Did you mean {close[0]!r}?" if close else f" Known names: {', '.join(names)}."
    if kind == "regularizers" and isinstance(identifier, (int, float)):
        hint = f" Did you mean `keras.regularizers.L2({identifier})`?"
    elif len(hint) > 400:
        hint = f" Their names are in `keras.{kind}`."
    return (
        f"{identifier!r} is not one of keras.{kind}.{hint} "
        "An instance or a callable also works; name your own by `custom_objects`."
    )


# Users' objects ---------------------------------------------------------------------------


def register_keras_serializable(package: str = "Custom", name: str | None = None):
    """Decorator: let files name this class or function, as `package>name`."""

    def decorate(thing: T) -> T:
        registered = f"{package}>{name or thing.__name__}"  # type: ignore[attr-defined]
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ValueError(f"{thing.__name__} needs a `get_config` method to be registered.")
        _registered[registered] = thing
        _registered_names[thing] = registered
        return thing

    return decorate


def get_registered_name(obj: Any) -> str:
    """The name under which files know `obj`: "package>Name" if it is registered."""
    return _registered_names.get(obj, getattr(obj, "__name__", str(obj)))


def get_registered_object(name: str, custom_objects=None, module_objects=None) -> Any:
    """The object that files call `name`, or None."""
    found = custom(name, custom_objects)
    return (module_objects or {}).get(name) if found is None else found


def get_custom_objects() -> dict[str, Any]:
    """Users' objects by name, for the whole process; may be changed in place."""
    return _registered


def custom(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The user's object called `name`, from the argument, the scopes or the registry."""
    for objects in (custom_objects or {}, _scoped.get() or {}, _registered):
        if name in objects:
            return objects[name]
    return None


class CustomObjectScope(contextlib.AbstractContextManager):
    """Within it, names in `custom_objects` (a dict) stand for the user's objects."""

    def __init__(self, custom_objects: Mapping[str, Any] | None):
        self.custom_objects = dict(custom_objects or {})

    def __enter__(self) -> "CustomObjectScope":
        self._token = _scoped.set({**(_scoped.get() or {}), **self.custom_objects})
        return self

    def __exit__(self, *_) -> None:
        _scoped.reset(self._token)


@contextlib.contextmanager
def safe_mode(value: bool | None) -> Iterator[None]:
    """Within it, lambdas in configs are refused (True) or made (False); None changes nothing."""
    token = _safe_mode.set(_safe_mode.get() if value is None else value)
    try:
        yield
    finally:
        _safe_mode.reset(token)


def in_safe_mode() -> bool:
    """Whether lambdas are refused; they are unless somebody said otherwise."""
    value = _safe_mode.get()
    return not settings.get("unsafe_deserialization") if value is None else value


@contextlib.contextmanager
def sharing() -> Iterator[None]:
    """Within it, an object that is met again is written as the same one, and read as such."""
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


# Configs ----------------------------------------------------------------------------------


def serialize(thing: Any) -> Any:
    """What a saved file holds for `thing`: JSON types, or a dict naming its class.

    Functions that have a public name are written as that name.
    """
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, bytes):
        return {"class_name": "__bytes__", "config": {"value": thing.decode()}}
    if isinstance(thing, (tuple, list)):
        items = [serialize(item) for item in thing]
        return tuple(items) if type(thing) is tuple else items
    if isinstance(thing, Mapping) and not hasattr(thing, "get_config"):
        return {key: serialize(value) for key, value in thing.items()}
    if isinstance(thing, np.generic):
        return thing.item()
    if isinstance(thing, np.dtype):
        return thing.name
    if isinstance(thing, slice):
        parts = {name: serialize(getattr(thing, name)) for name in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": parts}
    if thing is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if hasattr(thing, "__array__") and hasattr(thing, "shape"):
        array = np.asarray(thing)
        config = {"value": array.tolist(), "dtype": array.dtype.name}
        kind = "__numpy__" if isinstance(thing, np.ndarray) else "__tensor__"
        return {"class_name": kind, "config": config}
    if isinstance(thing, types.FunctionType) and thing.__name__ == "<lambda>":
        return _serialize_lambda(thing)
    if isinstance(thing, types.FunctionType) and "_path" in vars(thing):
        return thing.__name__
    if isinstance(thing, (types.FunctionType, types.BuiltinFunctionType, type)):
        return named(thing)
    return _serialize_object(thing)


def named(thing: Any) -> dict[str, Any]:
    """What files hold for a function or a class itself: its name."""
    kind = "type" if isinstance(thing, type) else "function"
    return {
        "module": "builtins",
        "class_name": kind,
        "config": get_registered_name(thing),
        "registered_name": kind,
    }


def _serialize_object(thing) -> dict[str, Any]:
    if not hasattr(thing, "get_config"):
        raise TypeError(f"{thing!r} cannot be saved: it has no `get_config` method.")
    cls = type(thing)
    public = cls.__dict__.get("_path")
    if public in _PRIVATE:
        module, name = _PRIVATE[public]
        registered = name
    elif public and cls not in _registered_names:
        kind, _, name = public.rpartition(".")
        module, registered = f"keras.{kind}".rstrip("."), None
    else:
        module = None if cls.__module__ in ("__main__", "builtins") else cls.__module__
        name, registered = cls.__name__, get_registered_name(cls)
    config: dict[str, Any] = {
        "module": module,
        "class_name": name,
        "config": thing.get_config(),
        "registered_name": registered,
    }
    built_with = thing.get_build_config() if hasattr(thing, "get_build_config") else None
    if built_with is not None:
        config["build_config"] = serialize(built_with)
    if hasattr(thing, "get_compile_config"):
        compiled_with = thing.get_compile_config()
        if compiled_with is not None:
            config["compile_config"] = serialize(compiled_with)
    if (shared := _shared.get()) is not None:
        # a negative number: what is read meanwhile is kept by what files call it
        _, first = shared.setdefault(-id(thing), (thing, config))
        if first is not config:
            first["shared_object_id"] = config["shared_object_id"] = id(thing)
    return config


def _serialize_lambda(thing) -> dict[str, Any]:
    """Code, defaults and closure, as `keras.layers.Lambda` has always written them."""
    import marshal

    closure = tuple(c.cell_contents for c in thing.__closure__) if thing.__closure__ else None
    code = base64.b64encode(marshal.dumps(thing.__code__)).decode("ascii")
    config = {"code": code, "defaults": thing.__defaults__, "closure": closure}
    return {"class_name": "__lambda__", "config": config}


def _deserialize_lambda(config) -> Callable:
    import builtins
    import marshal

    if in_safe_mode():
        raise ValueError(
            "The file holds a Python lambda, which would run as code of whoever wrote the file. "
            "If you trust it, pass `safe_mode=False` to the call that loads it."
        )
    parts = config.get("value") or [config.get(k) for k in ("code", "defaults", "closure")]
    encoded, defaults, closure = parts
    code = marshal.loads(base64.b64decode(encoded))
    cells = tuple(types.CellType(value) for value in closure) if closure else None
    names = {"__builtins__": builtins}
    return types.FunctionType(code, names, "<lambda>", defaults and tuple(defaults), cells)


def _deserialize_array(config: Mapping[str, Any]) -> np.ndarray:
    dtype = np.dtype(config["dtype"])
    if dtype.itemsize > _LARGEST and dtype.kind not in "US":
        raise ValueError(f"An array in a config has the dtype {str(dtype)!r}.")
    # Strings have the length that they need; a file could ask for any.
    return np.array(config["value"], dtype.kind if dtype.kind in "US" else dtype)


_PLAIN: dict[str, Callable[[dict], Any]] = {
    "__bytes__": lambda config: config["value"].encode(),
    "__tuple__": lambda config: tuple(deserialize(item) for item in config["value"]),
    "__numpy__": _deserialize_array,
    "__tensor__": _deserialize_array,
    "__slice__": lambda config: slice(
        *(deserialize(config[part]) for part in ("start", "stop", "step"))
    ),
    "__ellipsis__": lambda config: Ellipsis,
    "__lambda__": _deserialize_lambda,
}


def deserialize(
    config: Any, custom_objects: Mapping[str, Any] | None = None, kind: str | None = None
) -> Any:
    """The object that `serialize` described.

    `kind` is the package of objects that a bare name or an old config without a module
    belongs to.
    """
    if custom_objects:
        with CustomObjectScope(custom_objects):
            return deserialize(config, kind=kind)
    if isinstance(config, (list, tuple)):
        return type(config)(deserialize(item) for item in config)
    if not isinstance(config, dict):
        return find(kind, config) if kind and isinstance(config, str) else config
    if config.get("class_name") == "__tuple__" and "items" in config:  # Keras 2
        return tuple(deserialize(item) for item in config["items"])
    if "class_name" not in config or "config" not in config:
        return {key: deserialize(value) for key, value in config.items()}
    name, inner = config["class_name"], config["config"]
    if name in _PLAIN:
        return _PLAIN[name](inner)
    if name in ("function", "type"):
        return function(inner, kind)
    return _build(class_of(config, kind), config)


def function(name: str, kind: str | None = None) -> Any:
    """The function or class called `name`: the user's, or one of ours."""
    if (found := custom(name)) is not None:
        return found
    for home in [kind] if kind else _FUNCTIONS:
        found = lookup(home, name)
        if found is None and home == "ops":
            found = getattr(importlib.import_module("keraunos.ops"), name, None)
            found = found if hasattr(found, "tensor_arguments") else None
        if found is not None:
            return found
    return _known_to_user(name, name)


def _known_to_user(registered: str, name: str) -> Any:
    thing = custom(registered) or custom(name)
    if thing is None:
        raise TypeError(
            f"The config names {name!r}, which is not known here. Register it with "
            "`@keras.saving.register_keras_serializable()` or pass it in `custom_objects`."
        )
    return thing


def class_of(config: Mapping[str, Any], kind: str | None = None) -> Any:
    """The class that a config names. Raises `TypeError` if there is none."""
    name, registered = config["class_name"], config.get("registered_name")
    found = custom(registered or name)
    if found is None and registered:
        found = custom(name)
    if found is not None:
        return found
    module = config.get("module", "")
    if module is None:  # a class of the script itself
        homes: Iterable[str] = []
    elif module == "keras" or module.startswith("keras."):
        homes = [_public(module.removeprefix("keras").lstrip("."))]
    elif module in ("", "builtins"):
        homes = (kind, "models") if kind else PACKAGES
    else:
        homes = []
    for home in homes:
        if home not in _NOT_IN_FILES and (thing := lookup(home, name)):
            return thing
    return _known_to_user(registered or name, name)


def _public(module: str) -> str:
    """`src.layers.core.dense` is a private path of what is public in `layers`."""
    parts = [part for part in module.split(".") if part != "src"]
    while parts and ".".join(parts) not in PACKAGES:
        parts.pop()
    return ".".join(parts)


def lookup(home: str, name: str) -> Any:
    """The public object `name` of package `home` ("layers"; "" is the top level), or None."""
    path = f"{home}.{name}".lstrip(".")
    if path not in _by_path:
        importlib.import_module(f"keraunos.{home if home in PACKAGES else 'models'}")
    return _by_path.get(path) or _by_name.get((home, name))


def _build(cls: Any, config: dict) -> Any:
    if not isinstance(cls, type):
        return cls
    if not hasattr(cls, "from_config"):
        raise TypeError(f"{cls.__name__} cannot be made from a config: it has no `from_config`.")
    key, shared = config.get("shared_object_id"), _shared.get()
    if shared is not None and key in shared:
        return shared[key]
    thing = cls.from_config(config["config"])  # type: ignore[attr-defined]
    if shared is not None and key is not None:
        shared[key] = thing
    build_config = config.get("build_config")
    if build_config and not getattr(thing, "built", False):
        thing.build_from_config(deserialize(build_config))
    if config.get("compile_config"):
        thing.compile_from_config(config["compile_config"])
    return thing


def is_custom(thing: Any) -> bool:
    """Whether `thing` is a user's function or class, not one of ours."""
    return "_path" not in vars(thing if inspect.isroutine(thing) else type(thing))
