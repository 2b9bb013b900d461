"""Where arrays lie: groups of them by path, in one HDF5 file, several, or one of safetensors.

`layers/dense/vars/0` is array "0" of group "layers/dense". In HDF5 a group has a name, which is
only for people.
"""

import collections
import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np

from keraunos.core import console
from keraunos.core.untrusted import FileError
from keraunos.saving import configs, hdf5
from keraunos.saving.zips import leads_out

SHARDS = ".weights.json"  # the list of the files that hold the weights
SHARD = ".weights.h5"
BY_NAME = (SHARDS, ".safetensors")  # files that their names tell apart

# Writing ------------------------------------------------------------------------------------


class Writer(contextlib.AbstractContextManager):
    """An HDF5 file being written."""

    def __init__(self, path: Path):
        self._open = hdf5.written(path)
        self._file = self._open.__enter__()

    def write(self, path: str, arrays: Mapping[str, Any], name: str | None = None) -> None:
        """Write a group of arrays."""
        group = self._file.require_group(f"{path}/vars".lstrip("/"))
        if name:
            group.attrs["name"] = name
        for key, value in arrays.items():
            array = np.asarray(value)
            data = group.create_dataset(key, data=array)
            if array.dtype.kind == "V":  # HDF5 knows no bfloat16
                data.attrs["dtype"] = array.dtype.name

    def __exit__(self, *details: Any) -> None:
        self._open.__exit__(*(details or (None, None, None)))


class ShardsWriter(contextlib.AbstractContextManager):
    """HDF5 files of at most `limit` bytes each, `<stem>_00000.weights.h5` and on, and their list.

    Attributes:
        files: Their paths; the list, which makes them valid, is the last.
    """

    def __init__(self, listed: Path, stem: str, limit: int):
        self.files: list[Path] = []
        self._listed, self._stem, self._limit = listed, stem, limit
        self._map: dict[str, list[str]] = {}
        self._total = self._size = 0
        self._begin()

    def _begin(self) -> None:
        self.files.append(self._listed.with_name(shard(self._stem, len(self.files))))
        self._shard, self._size = Writer(self.files[-1]), 0

    def write(self, path: str, arrays: Mapping[str, Any], name: str | None = None) -> None:
        """Write a group of arrays, to several files if one cannot take all."""
        for key, value in arrays.items():
            array = np.asarray(value)
            if array.nbytes > self._limit:
                raise ValueError(
                    f"{path}/vars/{key} has {console.readable(array.nbytes)}, which is more than "
                    f"`max_shard_size`, {console.readable(self._limit)}."
                )
            if self._size + array.nbytes > self._limit:
                self._shard.__exit__()
                self._begin()
            self._shard.write(path, {key: array}, name)
            self._size, self._total = self._size + array.nbytes, self._total + array.nbytes
            held_by = self._map.setdefault(f"/{path}/vars".replace("//", "/"), [])
            if self.files[-1].name not in held_by:
                held_by.append(self.files[-1].name)

    def __exit__(self, *details: Any) -> None:
        self._shard.__exit__(*details)
        about = {"metadata": {"total_size": self._total}, "weight_map": self._map}
        self.files.append(self._listed)
        self._listed.write_text(json.dumps(about, indent=4))


def shard(stem: str, number: int) -> str:
    """The name of one of several files."""
    return f"{stem}_{number:05d}{SHARD}"


class TensorsWriter(contextlib.AbstractContextManager):
    """A safetensors file being written."""

    def __init__(self, file: Path):
        self._path = file
        self._arrays: dict[str, np.ndarray] = {}

    def write(self, path: str, arrays: Mapping[str, Any], name: str | None = None) -> None:
        """Write a group of arrays."""
        for key, value in arrays.items():
            place = f"{path}/vars/{key}".lstrip("/")
            self._arrays[place] = np.ascontiguousarray(value).reshape(np.shape(value))

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            safetensors().numpy.save_file(self._arrays, self._path, {"format": "keras"})


def safetensors() -> Any:
    """The library that reads and writes these files."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "`.safetensors` files need a library: `pip install 'keraunos[safetensors]'`."
        ) from error
    return safetensors


# Reading ------------------------------------------------------------------------------------


class Reader:
    """Files being read: a table of groups, and their arrays on demand.

    Attributes:
        groups: By path, what each group holds: things that have a shape and become arrays.
    """

    def __init__(self, items: Mapping[str, Any]):
        self.groups: dict[str, dict[str, Any]] = collections.defaultdict(dict)
        for name, item in items.items():
            path, _, key = f"/{name}".rpartition("/vars/")
            self.groups[_today(path.lstrip("/"))][key] = item

    @property
    def nbytes(self) -> int:
        """What all arrays take in memory."""
        return sum(item.nbytes for group in self.groups.values() for item in group.values())

    def shapes(self, path: str) -> dict[str, tuple[int, ...]]:
        """The shapes of a group's arrays; empty if there is no such group."""
        return {key: tuple(item.shape) for key, item in self.groups.get(path, {}).items()}

    def read(self, path: str) -> dict[str, np.ndarray]:
        """A group's arrays; empty if there is no such group."""
        return {key: _array(item) for key, item in self.groups.get(path, {}).items()}

    def dtype(self, item: Any) -> str:
        """The name of an array's dtype."""
        name = hdf5.text(item, "dtype") if hasattr(item, "attrs") else None
        return name or str(item.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self.groups)


@contextlib.contextmanager
def opened(source: Path | IO[bytes]) -> Iterator[Reader]:
    """What a file of weights holds, and the files beside it if it is a list of them."""
    if isinstance(source, Path) and source.name.endswith(".safetensors"):
        with safetensors().safe_open(source, framework="np") as file:
            yield Reader({name: _Tensor(file, name) for name in file.keys()})  # noqa: SIM118
        return
    with contextlib.ExitStack() as stack:
        items: dict[str, Any] = {}
        places: list[Any] = [source]
        if isinstance(source, Path) and source.name.endswith(SHARDS):
            places = [*shards(source)]
        for place in places:
            items |= stack.enter_context(hdf5.opened(place))[1]
        yield Reader(items)


def shards(path: Path) -> list[Path]:
    """The files that a list of them names: files beside it, and no links."""
    with open(path, "rb") as file:
        held_by = configs.mapping(file.read(configs.MOST_BYTES + 1).decode()).get("weight_map")
    if not isinstance(held_by, dict):
        raise FileError("it has no `weight_map`, so it is no list of files of weights")
    names = {name for found in held_by.values() for name in _names(found)}
    places = [path.with_name(name) for name in sorted(names)]
    for place in places:
        if not place.is_file() or place.is_symlink():
            said = "is a link" if place.is_symlink() else "is not beside it"
            raise FileError(f"it names {place.name}, which {said}")
    return places


def _names(found: Any) -> list[str]:
    names = [found] if isinstance(found, str) else found
    for name in names if isinstance(names, list) else [names]:
        if not isinstance(name, str) or leads_out(name) or os.path.basename(name) != name:
            raise FileError(f"it names {name!r}, which is no file beside it")
    return names


class _Tensor:
    """An array in a safetensors file."""

    def __init__(self, file: Any, name: str):
        self._file, self._name = file, name
        about = file.get_slice(name)
        self.shape, self.dtype = tuple(about.get_shape()), about.get_dtype()

    @property
    def nbytes(self) -> int:
        return np.asarray(self).nbytes

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self._file.get_tensor(self._name)


def _today(path: str) -> str:
    """A path as it is written today; Keras 2.12 to 2.15 wrote others."""
    return path.replace("\\", "/").replace("_layer_checkpoint_dependencies", "layers")


def _array(item: Any) -> np.ndarray:
    array = np.asarray(item)
    name = hdf5.text(item, "dtype") if array.dtype.kind == "V" and hasattr(item, "attrs") else None
    return array if name is None else array.view(_custom_dtype(name))


def _custom_dtype(name: str) -> Any:
    dtype = getattr(ml_dtypes, name, None)
    if not isinstance(dtype, type) or not issubclass(dtype, np.generic):
        raise FileError(f"an array has the dtype {name!r}, which is not known")
    return dtype
