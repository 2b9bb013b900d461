"""Downloads: what is fetched, where it is kept, what is unpacked."""

import hashlib
import os
import pathlib
import tarfile
import zipfile

import keras
import pytest

from keraunos import utils

SHA256, MD5 = hashlib.sha256(b"hello").hexdigest(), hashlib.md5(b"hello").hexdigest()


@pytest.fixture
def site(tmp_path):
    """The address of a folder with files, served as `file:`."""
    root = tmp_path / "site"
    root.mkdir()
    (root / "a.txt").write_text("hello")
    with tarfile.open(root / "t.tar.gz", "w:gz") as file:
        file.add(root / "a.txt", "within/a.txt")
    with zipfile.ZipFile(root / "z.zip", "w") as file:
        file.write(root / "a.txt", "within/a.txt")
    return root.as_uri()


CASES = [
    ("a.txt", "/a.txt", {}),
    (None, "/a.txt", {"cache_subdir": "x/y"}),
    (pathlib.Path("p.txt"), "/a.txt", {}),
    ("a.txt", "/a.txt", {"file_hash": SHA256}),
    ("a.txt", "/a.txt", {"file_hash": SHA256, "hash_algorithm": "sha256"}),
    ("a.txt", "/a.txt", {"md5_hash": MD5}),
    ("a.txt", "/a.txt", {"file_hash": "0" * 64}),
    ("t.tar.gz", "/t.tar.gz", {"extract": True}),
    ("t", "/t.tar.gz", {"extract": True}),
    ("t", "/t.tar.gz", {"untar": True}),
    ("z.zip", "/z.zip", {"extract": True, "archive_format": "zip"}),
    (None, "/z.zip", {"extract": True}),
    ("a.txt", None, {}),
    (None, "/", {}),
    ("../a.txt", "/a.txt", {}),
    ("/a.txt", "/a.txt", {}),
    ("a.txt", "/nope.txt", {}),
]


@pytest.mark.parametrize(("name", "path", "options"), CASES, ids=str)
def test_same_as_keras(tmp_path, site, name, path, options):
    seen = []
    for library in (utils, keras.utils):
        cache = tmp_path / library.__name__
        cache.mkdir()
        try:
            origin = None if path is None else site + path
            found = library.get_file(name, origin, cache_dir=cache, **options)
            result = os.path.relpath(found, cache)
        except Exception as error:
            result = str(error)
        files = sorted(str(f.relative_to(cache)) for f in cache.rglob("*") if f.is_file())
        seen.append((result, files))
    (result, files), (their_result, their_files) = seen
    assert result == their_result
    assert files == ([] if "hash" in result else their_files)  # nothing wrong is kept


def test_only_once(tmp_path, site, capsys):
    get = lambda **options: utils.get_file("a.txt", f"{site}/a.txt", cache_dir=tmp_path, **options)
    path = pathlib.Path(get())
    assert "Downloading data from file:" in capsys.readouterr().out
    path.write_text("mine")
    get()
    assert path.read_text() == "mine" and capsys.readouterr().out == ""
    get(file_hash=SHA256)
    assert path.read_text() == "hello"
    assert "does not match the original value" in capsys.readouterr().out
    path.write_text("mine")
    get(force_download=True)
    assert path.read_text() == "hello"


def test_unpacked_only_once(tmp_path, site):
    get = lambda: utils.get_file("z", f"{site}/z.zip", cache_dir=tmp_path, extract=True)
    folder = pathlib.Path(get())
    (folder / "within" / "a.txt").write_text("mine")
    assert pathlib.Path(get(), "within", "a.txt").read_text() == "mine"


def test_home(tmp_path, site, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    assert utils.get_file(origin=f"{site}/a.txt") == str(tmp_path / "home" / "datasets" / "a.txt")


def test_what_is_no_archive(tmp_path, site):
    with pytest.warns(UserWarning, match="Could not extract archive"):
        utils.get_file("a", f"{site}/a.txt", cache_dir=tmp_path, extract=True)
    with pytest.raises(
        NotImplementedError, match="must be 'tar', 'zip', 'auto' or None, got 'rar'"
    ):
        utils.get_file("a", f"{site}/a.txt", cache_dir=tmp_path, archive_format="rar")
    with pytest.raises(ValueError, match="`hash_algorithm` must be"):
        utils.get_file("b", f"{site}/a.txt", cache_dir=tmp_path, file_hash="0", hash_algorithm="x")


def test_an_archive_that_reaches_outside(tmp_path, site):
    evil = tmp_path / "site" / "evil.tar"
    with tarfile.open(evil, "w") as file:
        file.add(tmp_path / "site" / "a.txt", "../../outside.txt")
    with pytest.raises(tarfile.OutsideDestinationError):
        utils.get_file("evil", f"{site}/evil.tar", cache_dir=tmp_path / "c", extract=True)
    assert not (tmp_path / "c" / "outside.txt").exists()


def test_archives_that_reach_outside_by_other_ways(tmp_path, site):
    get = lambda name: utils.get_file(
        name, f"{site}/{name}.x", cache_dir=tmp_path / "c", extract=True
    )
    with zipfile.ZipFile(tmp_path / "site" / "slip.x", "w") as file:
        file.writestr("../../outside.txt", "evil")
    folder = pathlib.Path(get("slip"))
    assert [p.name for p in folder.rglob("*")] == ["outside.txt"]  # kept within
    for name, target in (("up", "../../.."), ("root", "/tmp")):
        with tarfile.open(tmp_path / "site" / f"{name}.x", "w") as file:
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, target
            file.addfile(link)
        with pytest.raises(tarfile.FilterError):
            get(name)
        assert not (tmp_path / "c" / "datasets" / name).exists()
    assert not list(tmp_path.glob("**/outside.txt"))[1:]
