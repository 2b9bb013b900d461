"""HDF5 files that nobody vouches for: arrays in groups, and nothing else, are read from them."""

import contextlib
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from keraunos.core import console
from keraunos.core.untrusted import FileError
from keraunos.saving.zips import INFLATED, TIMES

MOST_OBJECTS = 1_000_000
_FILTERS = {1, 2, 3, 5, 6, 32000}  # those within HDF5, and lzf within h5py: none loads a plug-in
_KINDS = "biufcVS"  # numbers, what HDF5 has no name for (bfloat16), text of a fixed length


class _Sink(io.FileIO):
    """A file whose failures HDF5 is not told of: it cannot clean up after them, and crashes later.

    Attributes:
        error: The first failure, of a full disk as a rule.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


@contextlib.contextmanager
def written(path: Path) -> Iterator[Any]:
    """An `h5py.File` to be written. Raises `OSError` at its end if the disk was full."""
    import h5py

    with _Sink(path, "w+") as sink:
        with h5py.File(sink, "w") as file:
            yield file
        if sink.error:
            raise sink.error


@contextlib.contextmanager
def opened(source: Path | IO[bytes]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """An `h5py.File`, and its arrays by path, once all that it holds is known to be harmless.

    Raises `FileError` if it holds links to other places or files, objects that are held twice,
    data that lies elsewhere or that a plug-in would unpack, or less data than it says.
    """
    import h5py

    try:
        file = h5py.File(source, "r")
    except OSError as error:
        raise FileError(f"it is no HDF5 file, or not all of one ({_short(error)})") from None
    with file:
        yield file, _checked(file)


def _checked(file: Any) -> dict[str, Any]:
    """The arrays of a file, in the order of their paths."""
    import h5py

    arrays: dict[str, Any] = {}

    size, seen = file.id.get_filesize(), {_address(file)}
    stored = logical = 0
    waiting = [("", file)]
    while waiting:
        path, group = waiting.pop()
        for name in group:
            inner = f"{path}/{name}".lstrip("/")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise FileError(f"{inner!r} is a link to another place")
            item = group[name]
            if (address := _address(item)) in seen:
                raise FileError(f"{inner!r} is held in two places")
            seen.add(address)
            if len(seen) > MOST_OBJECTS:
                raise FileError(f"it holds more than {MOST_OBJECTS:,} objects")
            if isinstance(item, h5py.Group):
                waiting.append((inner, item))
                continue
            if said := _wrong(item):
                raise FileError(f"{inner!r} {said}")
            arrays[inner] = item
            stored += item.id.get_storage_size()
            logical += (nbytes := math.prod(item.shape) * item.dtype.itemsize)
            if nbytes > 2000 * item.id.get_storage_size() + 65536 or stored > size:
                raise FileError(
                    f"{inner!r} has shape {item.shape}, {console.readable(nbytes)}, but the file "
                    f"holds {console.readable(min(item.id.get_storage_size(), size))} for it"
                )
    if logical > max(INFLATED, TIMES * size):
        raise FileError(f"its arrays would take {console.readable(logical)}")
    return dict(sorted(arrays.items(), key=lambda entry: entry[0].split("/")))


def _address(item: Any) -> tuple[int, bytes]:
    from h5py import h5o  # type: ignore[attr-defined]

    info = h5o.get_info(item.id)
    return info.fileno, info.addr


def _wrong(item: Any) -> str:
    """What is wrong with an array in a file, if something is."""
    import h5py

    if not isinstance(item, h5py.Dataset):
        return f"is no array, but {type(item).__name__}"
    if item.dtype.kind not in _KINDS or item.dtype.fields or item.shape is None:
        return f"has the dtype {item.dtype}, which no weight has"
    plan = item.id.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        return "has its data in another file"
    filters = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())}
    return f"needs the filters {filters - _FILTERS}" if filters - _FILTERS else ""


def text(item: Any, name: str) -> str | None:
    """An attribute that is text; None if there is none of that name."""
    value = item.attrs.get(name)
    return value.decode() if isinstance(value, bytes) else value and str(value)


def _short(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]
