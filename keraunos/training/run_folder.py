"""What a run is, on the disk: two generations, each whole or not there."""

import contextlib
import hashlib
import io
import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keraunos.saving.files import sync

_TEXT = "record"  # the member of a file that holds JSON, beside the arrays
_KEPT = 2
_DIGITS = 16  # of the checksum
_NAME = re.compile(rf"state-\d+-[0-9a-f]{{{_DIGITS}}}\.npz")


class RunFolder:
    """Generations of `(record, arrays)`: JSON types, and NumPy arrays by name.

    Each is a `.npz` file whose name says its checksum, which tells a torn or altered one.
    """

    def __init__(self, path: Any):
        self.path = Path(path).expanduser()

    def files(self) -> list[Path]:
        """The generations, the newest first."""
        found = [path for path in self.path.glob("state-*.npz") if _NAME.fullmatch(path.name)]
        return sorted(found, key=_number, reverse=True)

    def write(self, record: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Add a generation; then only the one before it is kept.

        Errors: OSError if the disk is full or must not be written to; what is there stays.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        before = self.files()
        number = _number(before[0]) + 1 if before else 1
        text = np.frombuffer(json.dumps(record).encode(), "uint8")
        new = self.path / f".state-{number}"
        try:
            with open(new, "wb") as file:
                np.savez(file, **{_TEXT: text}, **arrays)  # type: ignore[arg-type]
            sync(new)
            with open(new, "rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
            os.replace(new, self.path / f"state-{number}-{checksum}.npz")
            sync(self.path)
        finally:
            new.unlink(missing_ok=True)
        for path in before[_KEPT - 1 :]:
            with contextlib.suppress(OSError):
                path.unlink()

    def read(self) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """The newest generation that is whole; None if there is none. Says what it passes over."""
        files = self.files()
        for path, older in zip(files, [*files[1:], None]):
            try:
                content = path.read_bytes()
            except OSError as error:
                problem = str(error)
            else:
                if hashlib.sha256(content).hexdigest()[:_DIGITS] == path.stem.split("-")[-1]:
                    return _parsed(content)
                problem = "it is not what was written: cut short or altered"
            goes_on = f"from {older.name}, written before it" if older else "from its beginning"
            warnings.warn(f"Cannot use {path}: {problem}. The run goes on {goes_on}.", stacklevel=2)
        return None

    def clear(self) -> None:
        """Remove the generations, and the folder if nothing else is in it."""
        for path in self.files():
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()


def _number(path: Path) -> int:
    return int(path.name.split("-")[1])


def _parsed(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(arrays.pop(_TEXT).tobytes()), arrays
