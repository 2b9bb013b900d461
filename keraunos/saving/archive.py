"""The `.keras` file: a zip of a config, weights, and files that layers write themselves."""

import contextlib
import datetime
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keraunos.core import registry
from keraunos.saving import h5, orbax, weights
from keraunos.saving.files import as_path, magic, may_write, replaced

# The version of Keras whose format and whose names of classes we write.
KERAS_VERSION = "3.15.1"
_WEIGHTS = "model.weights.h5"
_OLD = (".h5", ".hdf5")  # the files of Keras 1 and 2


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
    kwargs.pop("save_format", None)
    if kwargs:
        raise TypeError(f"save_model() got an unexpected argument {next(iter(kwargs))!r}.")
    zipped = True if zipped is None else zipped
    old = path.suffix in _OLD
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
        (folder / "metadata.json").write_text(metadata)
        (folder / "config.json").write_text(config)
        weights.write(model, folder / _WEIGHTS, without_optimizer=not include_optimizer)
        _write_assets(model, folder / "assets")
        if zipped:
            _zip(folder, new)
        elif path.exists():
            _remove(path)


def _zip(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name in ("metadata.json", "config.json", _WEIGHTS):
            file.write(folder / name, name)
        for inner in sorted((folder / "assets").rglob("*")):
            file.write(inner, str(inner.relative_to(folder)))


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
    ):
        if path.is_file() and magic(path) == "hdf5":
            return _load_old(path, compile)
        if path.is_dir() and (step := orbax.find(path)):
            return orbax.load_model(step, compile)
        return _load(path, compile)


def _load_old(path: Path, compile: bool) -> Any:
    if not h5.is_whole_model(path):
        raise ValueError(
            f"{path} holds weights only. Make the model first, then call `model.load_weights`."
        )
    return h5.load_model(path, compile)


def _load(path: Path, compile: bool) -> Any:
    with _opened(path) as folder:
        config = json.loads((folder / "config.json").read_text())
        if not compile:
            config.pop("compile_config", None)
        try:
            model = registry.deserialize(config, kind="models")
        except Exception as error:
            error.add_note(f"While the model was made from the config in {path}.")
            raise
        weights.read(model, folder / _WEIGHTS, source=path)
        for inner, thing in weights.walk(model):
            if hasattr(thing, "load_assets") and (folder / "assets" / inner).is_dir():
                thing.load_assets(str(folder / "assets" / inner))
    return model


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """The folder of what the file holds."""
    if path.is_dir() and (path / "config.json").is_file():
        yield path
        return
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*.keras")) if path.parent.is_dir() else []
        hint = f" In {path.parent} there are: {', '.join(near[:8])}." if near else ""
        raise ValueError(f"File not found: {path}. `load_model` reads `.keras` files.{hint}")
    if path.is_dir() or magic(path) != "zip" or not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is no `.keras` file: it is not a zip archive, or not all of one. "
            "If it holds only weights, make the model and call `model.load_weights`."
        )
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as file:
        missing = {"config.json", _WEIGHTS} - set(file.namelist())
        if missing:
            raise ValueError(f"{path} is no `.keras` file: it holds no {missing.pop()}.")
        file.extractall(folder)  # refuses paths that lead out of the folder
        yield Path(folder)


@contextlib.contextmanager
def weights_file(path: Path) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """The HDF5 file of weights that `path` is or holds, and the metadata beside it."""
    if path.is_file() and magic(path) == "hdf5":
        yield path, None
        return
    with _opened(path) as folder:
        yield folder / _WEIGHTS, json.loads((folder / "metadata.json").read_text())


# Weights alone ------------------------------------------------------------------------------


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: Any = None, **kwargs: Any
) -> None:
    """Write the variables of a model, and the state of its optimizer, to a `.weights.h5` file.

    Other names give the file of Keras 2, which holds the weights alone.

    Args:
        overwrite: If False, ask before an existing file is replaced.
    """
    path = as_path(filepath)
    kwargs.pop("save_format", None)
    old = path.suffix in (*_OLD, "") and not path.name.endswith(".weights.h5")
    if kwargs or max_shard_size is not None:
        name = next(iter(kwargs), "max_shard_size")
        raise TypeError(f"save_weights() does not take `{name}`: weights are one file here.")
    if not old and not path.name.endswith(".weights.h5"):
        raise ValueError(f"The filename must end in `.weights.h5`, got {str(path)!r}.")
    if may_write(path, overwrite):
        with replaced(path) as new:
            h5.save_weights(model, new, KERAS_VERSION) if old else weights.write(model, new)


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
    kind = magic(path)
    if kind == "hdf5" and h5.is_old(path):
        h5.load_weights(model, path, by_name, skip_mismatch)
        return
    if by_name:
        raise ValueError(f"`by_name` is for files of Keras 1 and 2; {path} is a newer one.")
    if kind == "zip":
        with _opened(path) as folder:
            weights.read(model, folder / _WEIGHTS, skip_mismatch, source=path)
    elif kind == "hdf5":
        weights.read(model, path, skip_mismatch)
    else:
        raise ValueError(f"{path} holds no weights: it is neither HDF5 nor a `.keras` file.")
