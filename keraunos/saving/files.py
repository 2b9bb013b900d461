"""Writing files so that nobody ever sees half of one."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keraunos.core.untrusted import FileError


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; what is there afterwards takes its place at once.

    Nothing changes if an error comes first.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"Cannot write {path}: there is no folder {path.parent}.")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        new = Path(folder) / path.name
        try:
            yield new
        except (OSError, RuntimeError) as error:  # a full disk, as HDF5 tells of it
            error.add_note(f"{path} was not written; what was there before is as it was.")
            raise
        sync(new)
        os.replace(new, path)
    sync(path.parent)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Around all that reads `path`: whatever goes wrong is a `FileError` that names the file."""
    try:
        yield
    except FileError as error:
        said = str(error)
        raise FileError(said if str(path) in said else f"{path} cannot be read: {said}.") from error
    except RecursionError:
        raise FileError(f"{path} cannot be read: it is nested too deeply.") from None
    except MemoryError as error:
        raise FileError(f"{path} cannot be read: there is not enough memory.") from error
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise FileError(f"{path} cannot be read: {said}") from error


def sync(path: Path) -> None:
    """Wait until `path` is on the disk, so that a rename never outruns what was written."""
    with contextlib.suppress(OSError):  # folders cannot be synced everywhere
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def may_write(path: Path, overwrite: bool) -> bool:
    """Whether `path` may be written: it is new, or `overwrite`, or who is asked says so."""
    if overwrite or not path.exists():
        return True
    while True:
        answer = input(f"[WARNING] {path} already exists - overwrite? [y/n]").strip().lower()
        if answer in ("y", "n"):
            return answer == "y"


def magic(path: Path) -> str | None:
    """What a file is by its first bytes, "zip", "hdf5" or None; "empty" if it has none."""
    with open(path, "rb") as file:
        start = file.read(4)
    return {b"PK\x03\x04": "zip", b"\x89HDF": "hdf5", b"": "empty"}.get(start)


def as_path(path: Any) -> Path:
    """`path` as the user means it: a `str`, a `Path`, with `~` for the home folder."""
    return Path(os.fspath(path)).expanduser()
