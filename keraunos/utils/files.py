"""Files from the network, kept in a folder for the next time."""

import hashlib
import http.client
import os
import re
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zipfile
from pathlib import Path
from typing import Any

from keraunos.callbacks.progress import Progbar
from keraunos.core import config, console

_CHUNK = 1 << 16
_ARCHIVE_ENDINGS = re.compile(r"\.(tar(\.(gz|bz2|bz|xz))?|tgz|tbz2?|txz|zip)$", re.IGNORECASE)


def get_file(
    fname: Any = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: Any = "auto",
    cache_dir: Any = None,
    force_download: bool = False,
) -> str:
    """Download a file, unless it is there already; returns its path.

    Args:
        fname: What it is called here; as in `origin` by default. Of an archive that is
            extracted, the name of its folder, unless the name ends as archives do.
        origin: The URL.
        untar, extract: Whether to unpack it, and return the path of the folder.
        md5_hash, file_hash: What the file's hash must be.
        cache_subdir, cache_dir: The folder; `~/.keras/datasets` by default.
        hash_algorithm: "md5" or "sha256"; told from the hash by default.
        archive_format: "tar", "zip", a list of them, "auto" for all, None for none.
        force_download: Whether to download it again.
    """
    if origin is None:
        raise ValueError('Please specify the "origin" argument (URL of the file to download).')
    formats = _formats(archive_format)
    file_hash = file_hash or md5_hash
    folder = _folder(cache_dir) / cache_subdir
    folder.mkdir(parents=True, exist_ok=True)
    name = _name(fname, origin)
    extracted = folder / name
    if not (extract or untar):
        archive = extracted
    elif fname and (ending := _ARCHIVE_ENDINGS.search(name)):
        archive, extracted = extracted, folder / f"{name[: ending.start()]}_extracted"
    else:
        archive = folder / f"{name}_archive"

    fresh = force_download or not archive.exists()
    if not fresh and file_hash and not _matches(archive, file_hash, hash_algorithm):
        console.say(
            "A local file was found, but it seems to be incomplete or outdated because the "
            f"{hash_algorithm} file hash does not match the original value of {file_hash} so we "
            "will re-download the data."
        )
        fresh = True
    if fresh:
        _download(origin, archive, file_hash, hash_algorithm)
    if archive == extracted:
        return str(archive)
    if fresh or not extracted.exists():
        _extract(archive, extracted, formats)
    return str(extracted)


def _name(fname: Any, origin: str) -> str:
    name = os.fspath(fname) if fname else os.path.basename(urllib.parse.urlsplit(origin).path)
    if not name:
        raise ValueError(
            f"Can't parse the file name from the origin provided: '{origin}'."
            "Please specify the `fname` argument."
        )
    if os.path.basename(name) != name or name in (".", ".."):
        raise ValueError(
            "Paths are no longer accepted as the `fname` argument. To specify the file's parent "
            f"directory, use the `cache_dir` argument. Received: fname={name}"
        )
    return name


def _folder(cache_dir: Any) -> Path:
    """Where downloads go; a temporary folder if that place cannot be written to."""
    wanted = config.home() if cache_dir is None else Path(cache_dir).expanduser()
    there = next(folder for folder in (wanted, *wanted.absolute().parents) if folder.exists())
    return wanted if os.access(there, os.W_OK) else Path(tempfile.gettempdir()) / ".keras"


def _formats(archive_format: Any) -> list[str]:
    if archive_format is None:
        return []
    given = [archive_format] if isinstance(archive_format, str) else list(archive_format)
    formats = [one for name in given for one in (("tar", "zip") if name == "auto" else (name,))]
    for name in formats:
        if name not in ("tar", "zip"):
            raise NotImplementedError(
                f"`archive_format` must be 'tar', 'zip', 'auto' or None, got {name!r}."
            )
    return formats


def _matches(path: Path, wanted: str, algorithm: str) -> bool:
    if algorithm not in ("auto", "md5", "sha256"):
        raise ValueError(f"`hash_algorithm` must be 'md5', 'sha256' or 'auto', got {algorithm!r}.")
    sha256 = algorithm == "sha256" or (algorithm == "auto" and len(wanted) == 64)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256" if sha256 else "md5").hexdigest() == wanted


def _download(origin: str, path: Path, file_hash: str | None, algorithm: str) -> None:
    """To a file beside it first: what is at `path` is always whole."""
    console.say(f"Downloading data from {origin}")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with urllib.request.urlopen(origin) as response, open(part, "wb") as file:
            size = int(response.headers.get("Content-Length") or 0) or None
            bar = Progbar(size)
            done = 0
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                bar.update(done, finalize=False)
            bar.update(done, finalize=True)
        if size and done < size:
            raise OSError(f"retrieval incomplete: got only {done} out of {size} bytes")
        if file_hash and not _matches(part, file_hash, algorithm):
            raise ValueError(
                f"Incomplete or corrupted file detected. The {algorithm} file hash does not "
                f"match the provided value of {file_hash}."
            )
        part.replace(path)
    except urllib.error.HTTPError as error:
        raise Exception(f"URL fetch failure on {origin}: {error.code} -- {error.msg}") from error
    except (OSError, http.client.HTTPException) as error:  # a lost connection included
        reason = getattr(error, "reason", error)
        raise Exception(f"URL fetch failure on {origin}: None -- {reason}") from error
    finally:
        part.unlink(missing_ok=True)


def _extract(archive: Path, folder: Path, formats: list[str]) -> None:
    """To a folder beside it first, as above."""
    if "tar" in formats and tarfile.is_tarfile(archive):
        unpack = lambda to: _untar(archive, to)
    elif "zip" in formats and zipfile.is_zipfile(archive):
        unpack = lambda to: _unzip(archive, to)
    else:
        warnings.warn("Could not extract archive.", stacklevel=3)
        return
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        unpack(part)
        if folder.is_dir():
            shutil.rmtree(folder)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _untar(archive: Path, to: Path) -> None:
    with tarfile.open(archive) as file:
        file.extractall(to, filter="data")  # nothing outside of the folder


def _unzip(archive: Path, to: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        file.extractall(to)
