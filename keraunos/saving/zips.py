"""Zip files that nobody vouches for: looked through before anything in them is read."""

import contextlib
import io
import os
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from keraunos.core import console
from keraunos.core.untrusted import FileError

MOST_MEMBERS = 10_000
# What all members may inflate to: as much as any machine has, or so many times the file's size.
INFLATED, TIMES = 1 << 30, 100
_DIRECTORY = 4 << 20  # bytes of a list of that many members
_CHUNK = 1 << 20
_HEADER = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}


class Window(io.RawIOBase):
    """A part of an open file, as a file; `read`, which asks for its memory first, has a limit."""

    def __init__(self, file: IO[bytes], start: int, size: int, limit: int = _CHUNK):
        self._file, self._start, self._size, self._limit = file, start, size, limit
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(self._size - self._at, 0)]
        self._file.seek(self._start + self._at)
        count = self._file.readinto(view)  # type: ignore[attr-defined]
        self._at += count
        return count

    def read(self, size: int | None = -1) -> bytes:
        left = max(self._size - self._at, 0)
        size = left if size is None or size < 0 else min(size, left)
        if size > self._limit:
            raise FileError(f"a part of {console.readable(size)} where there is none so large")
        return super().read(size) or b""

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


class Zip(contextlib.AbstractContextManager):
    """A zip file being read.

    Raises `FileError` if it is torn, or has members that are encrypted, double, overlapping,
    links, too many, too large, or named like other places than this file.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file = open(path, "rb")  # noqa: SIM115
        try:
            size = os.fstat(self._file.fileno()).st_size
            self._zip = zipfile.ZipFile(Window(self._file, 0, size, _DIRECTORY))  # type: ignore[arg-type]
            self.members = {info.filename: info for info in self._zip.infolist()}
            self._check(size)
        except BaseException:
            self._file.close()
            raise

    def __exit__(self, *_: Any) -> None:
        self._zip.close()
        self._file.close()

    def _check(self, size: int) -> None:
        infos = sorted(self._zip.infolist(), key=lambda info: info.header_offset)
        if len(infos) > MOST_MEMBERS:
            raise FileError(f"it has {len(infos):,} members; {MOST_MEMBERS:,} are allowed")
        if len(infos) > len(self.members):
            raise FileError("it has two members of one name, so readers may see different things")
        end = 0
        for info in infos:
            if said := _wrong(info) or ("overlaps another one" if info.header_offset < end else ""):
                raise FileError(f"its member {info.filename!r} {said}")
            end = info.header_offset + _HEADER.size + info.compress_size
        if end > size:
            raise FileError(f"it ends within its member {infos[-1].filename!r}")
        inflated, allowed = sum(info.file_size for info in infos), max(INFLATED, TIMES * size)
        if inflated > allowed:
            raise FileError(
                f"its members would take {console.readable(inflated)}, which is more than "
                f"{console.readable(allowed)} (1 GB, or {TIMES} times its size). If you trust it, "
                "unpack it and load the folder"
            )

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self.members:
            raise FileError(f"it holds no {name}")
        return self.members[name]

    def text(self, name: str, limit: int) -> str:
        """A member of at most `limit` bytes, as text."""
        size = self._member(name).file_size
        if size > limit:
            allowed = console.readable(limit)
            raise FileError(f"{name} has {console.readable(size)}; {allowed} are allowed")
        return self.data(name).decode()

    def data(self, name: str) -> bytes:
        """A member, whole."""
        with self.stream(name) as file:
            return file.read()

    @contextlib.contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """A member as a file that can be read in any order; its checksum has been verified."""
        info = self._member(name)
        if info.compress_type == zipfile.ZIP_STORED:
            part = self._stored(info)
            yield part  # type: ignore[misc]
            return
        with tempfile.TemporaryFile() as file:
            with self._zip.open(info) as member:
                shutil.copyfileobj(member, file, _CHUNK)
            file.seek(0)
            yield file

    def _stored(self, info: zipfile.ZipInfo) -> Window:
        self._file.seek(info.header_offset)
        magic, *_, name, extra = _HEADER.unpack(self._file.read(_HEADER.size))
        start = info.header_offset + _HEADER.size + name + extra
        if magic != b"PK\x03\x04" or info.file_size != info.compress_size:
            raise FileError(f"its member {info.filename!r} is not where the file says")
        part = Window(self._file, start, info.file_size, info.file_size)
        buffer, crc = memoryview(bytearray(_CHUNK)), 0
        while count := part.readinto(buffer):
            crc = zlib.crc32(buffer[:count], crc)
        if crc != info.CRC:
            raise FileError(f"its member {info.filename!r} is damaged: the checksum is another one")
        part.seek(0)
        return part

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[Path | None]:
        """The members within a folder, unpacked; None if there are none."""
        inner = [member for member in self.members if member.startswith(f"{name}/")]
        with tempfile.TemporaryDirectory() as place:
            self._zip.extractall(place, inner)
            yield Path(place) / name if inner else None


def _wrong(info: zipfile.ZipInfo) -> str:
    """What is wrong with a member, if something is."""
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in _METHODS:
        return f"is packed by a method (number {info.compress_type}) that is not read here"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link"
    return "is named like a place outside of it" if leads_out(info.filename) else ""


def leads_out(name: str) -> bool:
    """Whether a path may lead out of the folder that it is meant in."""
    parts = re.split(r"[/\\]", name)
    return ".." in parts or not parts[0] or ":" in parts[0] or "\0" in name or "\\" in name


class Folder(contextlib.AbstractContextManager):
    """A folder that holds what a `.keras` file holds, being read."""

    def __init__(self, path: Path):
        self.path = path
        for place in path.rglob("*"):
            if place.is_symlink():
                raise FileError(f"its member {place.relative_to(path)} is a link")

    def __exit__(self, *_: Any) -> None:
        pass

    def __contains__(self, name: str) -> bool:
        return (self.path / name).is_file()

    def text(self, name: str, limit: int) -> str:
        with open(self.path / name, "rb") as file:
            return Window(file, 0, os.path.getsize(file.name), limit).read().decode()

    @contextlib.contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        with open(self.path / name, "rb") as file:
            yield file

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[Path | None]:
        yield self.path / name if (self.path / name).is_dir() else None
