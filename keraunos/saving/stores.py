"""Where arrays lie in a file: groups of them by path, in HDF5.

`layers/dense/vars/0` is array "0" of group "layers/dense". A group has a name, which is only for
people.
"""

import collections
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np


class Writer:
    """An HDF5 file being written."""

    def __init__(self, file: Any):
        import h5py

        self._file = h5py.File(file, "w")

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

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()


class Reader:
    """An HDF5 file being read: a table of groups, and their arrays on demand."""

    def __init__(self, file: Any):
        import h5py

        self._file = h5py.File(file, "r")
        self.groups: dict[str, dict[str, Any]] = collections.defaultdict(dict)
        self._file.visititems(self._enter)

    def _enter(self, name: str, item: Any) -> None:
        if hasattr(item, "shape"):
            path, _, key = f"/{name}".rpartition("/vars/")
            self.groups[_today(path.lstrip("/"))][key] = item

    def shapes(self, path: str) -> dict[str, tuple[int, ...]]:
        """The shapes of a group's arrays; empty if there is no such group."""
        return {key: item.shape for key, item in self.groups.get(path, {}).items()}

    def read(self, path: str) -> dict[str, np.ndarray]:
        """A group's arrays; empty if there is no such group."""
        return {key: _array(item) for key, item in self.groups.get(path, {}).items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.groups)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()


def _today(path: str) -> str:
    """A path as it is written today; Keras 2.12 to 2.15 wrote others."""
    return path.replace("\\", "/").replace("_layer_checkpoint_dependencies", "layers")


def _array(item: Any) -> np.ndarray:
    array = np.asarray(item)
    name = item.attrs.get("dtype")
    return array if name is None else array.view(getattr(ml_dtypes, name))
