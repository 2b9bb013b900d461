"""Writing files so that nobody ever sees half of one."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; what is there afterwards takes its place at once.

    Nothing changes if an error comes first.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"Cannot write {path}: there is no folder {path.parent}.")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        new = Path(folder) / path.name
        yield new
        sync(new)
        os.replace(new, path)
    sync(path.parent)


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
    """What a file is by its first bytes: "zip", "hdf5", or None."""
    with open(path, "rb") as file:
        start = file.read(8)
    return {b"PK\x03\x04": "zip", b"\x89HDF": "hdf5"}.get(start[:4])


def as_path(path: Any) -> Path:
    """`path` as the user means it: a `str`, a `Path`, with `~` for the home folder."""
    return Path(os.fspath(path)).expanduser()
