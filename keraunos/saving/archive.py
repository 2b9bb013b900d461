"""The `.keras` file: a zip of a config, weights, and files that layers write themselves."""

import contextlib
import datetime
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keraunos.core import registry, untrusted
from keraunos.core.untrusted import FileError
from keraunos.saving import configs, h5, hdf5, orbax, stores, weights
from keraunos.saving.files import as_path, magic, may_write, reading, replaced, sync
from keraunos.saving.zips import Folder, Zip

# The version of Keras whose format and whose names of classes we write.
KERAS_VERSION = "3.15.1"
CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets"
_OLD = (".h5", ".hdf5")  # the files of Keras 1 and 2
_CHUNK = 16 << 20
# What a model may take while it is read: so many times its weights (an optimizer, an average of
# them, gradients that wait), and some more for what no file holds.
_TIMES, _BESIDES = 8, 64 << 20


def save_model(
    model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
) -> None:
    """Write a model to a `.keras` file: its layers, its weights, and what `compile` was told.

    A name that ends in `.h5` or `.hdf5` gives the file of Keras 2.

    Args:
        overwrite: If False, ask before an existing file is replaced.
        zipped: If False, `filepath` becomes a folder instead.
        include_optimizer: Whether the state of the optimizer is written too.
    """
    path = as_path(filepath)
    include_optimizer = kwargs.pop("include_optimizer", True)
    save_format = kwargs.pop("save_format", None)
    if kwargs:
        raise TypeError(f"save_model() got an unexpected argument {next(iter(kwargs))!r}.")
    zipped = True if zipped is None else zipped
    old = h5.asked_for(save_format, path.suffix in _OLD)
    if zipped and not old and path.suffix not in (".keras", ""):
        raise ValueError(
            "A model is saved to a file that ends in `.keras`, or in `.h5` as Keras 2 writes it; "
            f"got {str(path)!r}. `zipped=False` writes a folder; `model.export` other formats."
        )
    if not may_write(path, overwrite):
        return
    if old:
        with replaced(path) as new:
            h5.save_model(model, new, KERAS_VERSION, include_optimizer)
        return
    with registry.sharing():
        config = json.dumps(registry.serialize(model))
    date = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = json.dumps({"keras_version": KERAS_VERSION, "date_saved": date})
    with replaced(path) as new:
        folder = new.with_name("content") if zipped else new
        folder.mkdir()
        (folder / METADATA).write_text(metadata)
        (folder / CONFIG).write_text(config)
        weights.write(model, stores.Writer(folder / WEIGHTS), not include_optimizer)
        _write_assets(model, folder / ASSETS)
        if zipped:
            _zip(folder, new)
        elif path.exists():
            _remove(path)


def _zip(folder: Path, path: Path) -> None:
    names = [METADATA, CONFIG, WEIGHTS]
    names += [str(inner.relative_to(folder)) for inner in sorted((folder / ASSETS).rglob("*"))]
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            if (folder / name).is_dir():
                file.mkdir(name)
                continue
            with open(folder / name, "rb") as source, file.open(name, "w", force_zip64=True) as to:
                shutil.copyfileobj(source, to, _CHUNK)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _write_assets(model: Any, folder: Path) -> None:
    for path, thing in weights.walk(model):
        if hasattr(thing, "save_assets"):
            (folder / path).mkdir(parents=True)
            thing.save_assets(str(folder / path))


def load_model(
    filepath: Any,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Read a model that `save_model`, or Keras, wrote; or the last checkpoint in Orbax's folder.

    Args:
        custom_objects: Classes and functions of yours that the file names.
        compile: Whether to compile it as it was, with the state of its optimizer.
        safe_mode: Whether to refuse Python lambdas, which are code of whoever wrote the file.
    """
    path = as_path(filepath)
    with (
        registry.CustomObjectScope(custom_objects),
        registry.safe_mode(safe_mode and registry.in_safe_mode()),
        registry.sharing(),
        reading(path),
    ):
        if path.is_file() and magic(path) == "hdf5":
            with hdf5.opened(path) as (file, arrays), allowed(stores.Reader(arrays)):
                return h5.load_model(file, path, compile)
        if path.is_dir() and (step := orbax.find(path)):
            return orbax.load_model(step, compile)
        return _load(path, compile)


def allowed(reader: stores.Reader) -> contextlib.AbstractContextManager:
    """Within it, a model takes no more memory than one with these weights can need."""
    return untrusted.allowance(_TIMES * reader.nbytes + _BESIDES)


def _load(path: Path, compile: bool) -> Any:
    with opened(path) as members, members.stream(WEIGHTS) as file, stores.opened(file) as reader:
        config = configs.mapping(members.text(CONFIG, configs.MOST_BYTES))
        if not compile:
            config.pop("compile_config", None)
        with allowed(reader):
            model = registry.deserialize(config, kind="models")
            if not weights.is_saved(model):
                raise FileError(f"its config is that of no model, but {type(model).__name__}")
            weights.read(model, reader, source=path)
        with members.folder(ASSETS) as assets:
            for inner, thing in weights.walk(model) if assets else ():
                if hasattr(thing, "load_assets") and (assets / inner).is_dir():
                    thing.load_assets(str(assets / inner))
    return model


def opened(path: Path) -> Zip | Folder:
    """What the file, or the folder, holds."""
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*.keras")) if path.parent.is_dir() else []
        hint = f" In {path.parent} there are: {', '.join(near[:8])}." if near else ""
        raise FileError(f"File not found: {path}. `load_model` reads `.keras` files.{hint}")
    if path.is_file() and (kind := magic(path)) != "zip":
        said = "it is empty" if kind == "empty" else "it is not a zip archive, or not all of one"
        raise FileError(
            f"{path} is no `.keras` file: {said}. "
            "If it holds only weights, make the model and call `model.load_weights`."
        )
    try:
        members = Folder(path) if path.is_dir() else Zip(path)
    except zipfile.BadZipFile as error:
        raise FileError(f"{path} is no `.keras` file, or not all of one: {error}") from None
    for name in (CONFIG, WEIGHTS):
        if name not in members:
            members.__exit__()
            raise FileError(f"{path} is no `.keras` file: it holds no {name}.")
    return members


@contextlib.contextmanager
def opened_weights(path: Path) -> Iterator[tuple[stores.Reader, dict[str, Any] | None]]:
    """The weights that a file is or holds, and the metadata beside them."""
    if path.is_file() and (magic(path) == "hdf5" or path.name.endswith(stores.BY_NAME)):
        with stores.opened(path) as reader:
            yield reader, None
        return
    with opened(path) as members, members.stream(WEIGHTS) as file, stores.opened(file) as reader:
        known = METADATA in members
        yield reader, configs.mapping(members.text(METADATA, configs.MOST_BYTES)) if known else None


# Weights alone ------------------------------------------------------------------------------


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: Any = None, **kwargs: Any
) -> None:
    """Write the variables of a model, and the state of its optimizer, to a `.weights.h5` file.

    `.safetensors` holds the same for other libraries. Other names give the file of Keras 2, which
    holds the weights alone.

    Args:
        overwrite: If False, ask before an existing file is replaced.
        max_shard_size: In GB: write files of at most this size, `<name>_00000.weights.h5` and
            on, and their list, `<name>.weights.json`, which is what `load_weights` is given.
    """
    path = as_path(filepath)
    save_format = kwargs.pop("save_format", None)
    if kwargs:
        raise TypeError(f"save_weights() got an unexpected argument {next(iter(kwargs))!r}.")
    if max_shard_size is not None:
        _save_shards(model, path, overwrite, max_shard_size)
        return
    known = path.name.endswith((".weights.h5", ".safetensors"))
    old = h5.asked_for(save_format, path.suffix in (*_OLD, "") and not known)
    if not old and not known:
        raise ValueError(
            f"The filename must end in `.weights.h5`, or in `.safetensors`, got {str(path)!r}."
        )
    if may_write(path, overwrite):
        with replaced(path) as new:
            if old:
                h5.save_weights(model, new, KERAS_VERSION)
            else:
                tensors = path.suffix == ".safetensors"
                weights.write(model, (stores.TensorsWriter if tensors else stores.Writer)(new))


def _save_shards(model: Any, path: Path, overwrite: bool, size: Any) -> None:
    stem = path.name.removesuffix(stores.SHARDS).removesuffix(stores.SHARD)
    if stem == path.name:
        raise ValueError(
            "With `max_shard_size`, the filename must end in `.weights.json` or `.weights.h5`, "
            f"got {str(path)!r}."
        )
    if not isinstance(size, (int, float)) or not size > 0:
        raise ValueError(f"`max_shard_size` must be a positive number of GB, got {size!r}.")
    listed = path.with_name(stem + stores.SHARDS)
    if not may_write(listed, overwrite):
        return
    own, before = re.compile(rf"{re.escape(stem)}_+\d{{5}}\.weights\.h5"), []
    with contextlib.suppress(FileError):
        found = stores.shards(listed) if listed.is_file() else []
        before = [file for file in found if own.fullmatch(file.name)]  # a list may name any file
    while path.with_name(stores.shard(stem, 0)).exists():
        stem += "_"  # the files of before stay whole until the new list is there
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{listed.name}.") as folder:
        writer = stores.ShardsWriter(Path(folder) / listed.name, stem, int(size * 2**30))
        weights.write(model, writer)
        for file in writer.files:
            sync(file)
            os.replace(file, path.with_name(file.name))
    sync(path.parent)
    for file in before:
        file.unlink(missing_ok=True)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Read weights that `save_weights`, `save_model`, `OrbaxCheckpoint` or Keras wrote.

    All or nothing: if the file and the model differ, an error lists where.

    Args:
        skip_mismatch: Load what fits instead, and warn of the rest.
        by_name: For files of Keras 1 and 2: load the layers that have the same name.
    """
    path = as_path(filepath)
    by_name = kwargs.pop("by_name", False)
    if kwargs:
        raise TypeError(f"load_weights() got an unexpected argument {next(iter(kwargs))!r}.")
    if path.is_dir() and not by_name and (step := orbax.find(path)):
        orbax.load_weights(model, step, skip_mismatch)
        return
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with reading(path):
        kind = magic(path)
        if kind == "hdf5":
            with hdf5.opened(path) as (file, arrays):
                if h5.is_old(file):
                    h5.load_weights(model, file, path, by_name, skip_mismatch)
                else:
                    _refuse(by_name, path)
                    weights.read(model, stores.Reader(arrays), skip_mismatch, source=path)
            return
        _refuse(by_name, path)
        if kind != "zip" and not path.name.endswith(stores.BY_NAME):
            raise FileError(
                f"{path} holds no weights: it is neither HDF5 nor safetensors nor a `.keras` file."
            )
        with opened_weights(path) as (reader, _):
            weights.read(model, reader, skip_mismatch, source=path)


def _refuse(by_name: bool, path: Path) -> None:
    if by_name:
        raise FileError(f"`by_name` is for files of Keras 1 and 2; {path} is a newer one.")
