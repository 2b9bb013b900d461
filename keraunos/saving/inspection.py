"""What a file holds, without making any of it: `keraunos inspect model.keras`."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keraunos.core import console, registry
from keraunos.saving import archive, configs, hdf5, stores
from keraunos.saving.files import as_path, magic, reading

_CODE = ("__lambda__", "TorchModuleWrapper", "TFSMLayer")


def inspect(filepath: Any) -> str:
    """What a file of a model or of weights holds: versions, layers, shapes, what is suspicious.

    Nothing of it is built or run. Raises `FileError` if loading it would.
    """
    path = as_path(filepath)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    with reading(path):
        return "\n".join(_lines(path))


def _lines(path: Path) -> Iterator[str]:
    size = sum(p.stat().st_size for p in path.rglob("*")) if path.is_dir() else path.stat().st_size
    yield f"{path} ({console.readable(size)})"
    if path.is_file() and magic(path) == "hdf5":
        with hdf5.opened(path) as (file, arrays):
            config = hdf5.text(file, "model_config")
            if config is not None:
                yield f"A model as Keras 1 and 2 wrote it ({hdf5.text(file, 'keras_version')})"
                yield from _of_config(configs.mapping(config))
            yield from _of_arrays({name: (a.shape, a.dtype.name) for name, a in arrays.items()})
        return
    if path.name.endswith(stores.BY_NAME):
        yield from _of_weights(path)
        return
    with archive.opened(path) as members:
        if archive.METADATA in members:
            about = configs.mapping(members.text(archive.METADATA, configs.MOST_BYTES))
            yield f"Keras {about.get('keras_version')}, saved {about.get('date_saved')}"
        yield from _of_config(configs.mapping(members.text(archive.CONFIG, configs.MOST_BYTES)))
        with members.stream(archive.WEIGHTS) as file:
            yield from _of_weights(file)


def _of_weights(source: Any) -> Iterator[str]:
    with stores.opened(source) as reader:
        found = {}
        for path in reader:
            for key, item in reader.groups[path].items():
                found[f"{path}/{key}".lstrip("/")] = tuple(item.shape), reader.dtype(item)
        yield from _of_arrays(found)


def _of_arrays(found: dict[str, tuple[tuple[int, ...], str]]) -> Iterator[str]:
    yield f"Arrays: {len(found)}"
    for name, (shape, dtype) in found.items():
        yield f"  {name}: {shape} {dtype}"


def _of_config(config: dict[str, Any]) -> Iterator[str]:
    inner = config.get("config")
    layers = inner.get("layers", []) if isinstance(inner, dict) else inner
    yield f"{config.get('class_name')}: {len(layers) if isinstance(layers, list) else 0} layers"
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, dict) and isinstance(layer.get("config"), dict):
            name = layer.get("name") or layer["config"].get("name")
            yield f"  {name}: {layer.get('class_name')}"
    if warnings := Counter(_suspicious(config)):
        yield "Suspicious:"
        for said, count in warnings.items():
            yield f"  {said}" + (f" ({count} times)" if count > 1 else "")


def _suspicious(config: dict[str, Any]) -> Iterator[str]:
    """What loading would refuse, or needs the user's own classes for."""
    waiting: list[Any] = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        if not isinstance(part, dict):
            continue
        waiting += part.values()
        name, module = part.get("class_name"), part.get("module") or ""
        if name in _CODE:
            yield f"{name} holds code, or opens other files; it is refused unless you trust it"
        elif isinstance(name, str) and "config" in part and not _known(part, str(module)):
            yield f"{name} of {module or 'the script'} is none of Keras's classes"
        if isinstance(part.get("vocabulary"), str):
            yield f"a vocabulary is to be read from the file {part['vocabulary']!r}; it is refused"


def _known(part: dict[str, Any], module: str) -> bool:
    if part["class_name"].startswith("__") or module.startswith(("keras.src.ops", "builtins")):
        return True
    try:
        return registry.class_of(part) is not None
    except TypeError:
        return False
