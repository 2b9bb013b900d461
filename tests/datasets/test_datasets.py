"""Data sets: the same arrays as Keras makes of the same files, fetched and read with care."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import tarfile
import threading
import urllib.request
import urllib.response

import keras
import numpy as np
import pytest

from keraunos import config, datasets
from keraunos.datasets import files
from keraunos.datasets.pickles import load_pickle

CHANCE = np.random.default_rng(0)
TEXTS = np.array(
    [CHANCE.integers(1, 12, n).tolist() for n in (3, 7, 4, 9, 5, 2, 4, 1, 8, 6)], dtype=object
)
COLUMNS = {"x": np.arange(1400.0).reshape(700, 2), "y": np.arange(700.0)}
IMAGES = {
    "x_train": CHANCE.integers(0, 256, (3, 28, 28), "uint8"),
    "y_train": np.arange(3, dtype="uint8"),
    "x_test": np.zeros((2, 28, 28), "uint8"),
    "y_test": np.arange(2, dtype="uint8"),
}
REVIEWS = {
    "x_train": TEXTS,
    "y_train": np.arange(10) % 2,
    "x_test": TEXTS[:4],
    "y_test": np.arange(4) % 2,
}


def saved(path, arrays):
    np.savez(path, **arrays)
    return str(path)


def both(monkeypatch, name, path):
    """`load_data` of keraunos and of Keras, both reading the file at `path`."""
    theirs = getattr(keras.datasets, name).load_data
    monkeypatch.setitem(theirs.__globals__, "get_file", lambda *_, **__: path)
    monkeypatch.setattr(files, "get_file", lambda *_, **__: path)
    return getattr(datasets, name).load_data, theirs


def assert_same(ours, theirs):
    for mine, their in zip(sum(ours, ()), sum(theirs, ())):
        assert type(mine) is np.ndarray and mine.dtype == their.dtype
        if mine.dtype != object:  # of lists that happen to be of one length, Keras makes a table
            assert mine.shape == their.shape
        assert mine.tolist() == their.tolist()


OPTIONS = [
    {}, {"num_words": 6}, {"skip_top": 4}, {"num_words": 9, "skip_top": 5}, {"maxlen": 6},
    {"start_char": None}, {"start_char": 0}, {"num_words": 6, "oov_char": None},
    {"oov_char": None, "skip_top": 3}, {"index_from": 0}, {"seed": 1},
    {"start_char": None, "index_from": None, "maxlen": 8},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(
    ("name", "arrays"), [("imdb", REVIEWS), ("reuters", {"x": TEXTS, "y": np.arange(10)})]
)
def test_texts(monkeypatch, tmp_path, name, arrays, options):
    ours, theirs = both(monkeypatch, name, saved(tmp_path / "a.npz", arrays))
    assert_same(ours(**options), theirs(**options))


HOUSES = [
    ("boston_housing", {}), ("boston_housing", {"test_split": 0.35, "seed": 1}),
    ("boston_housing", {"test_split": 0}), ("california_housing", {}),
    ("california_housing", {"version": "small"}), ("california_housing", {"seed": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), HOUSES)
def test_houses(monkeypatch, tmp_path, name, options):
    ours, theirs = both(monkeypatch, name, saved(tmp_path / "a.npz", COLUMNS))
    assert_same(ours(**options), theirs(**options))


def test_mnist(monkeypatch, tmp_path):
    ours, theirs = both(monkeypatch, "mnist", saved(tmp_path / "a.npz", IMAGES))
    assert_same(ours(), theirs())


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return gzip.compress(head + array.tobytes(), mtime=0)


def test_fashion_mnist(monkeypatch, tmp_path):
    for part, prefix in (("train", "train"), ("test", "t10k")):
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(IMAGES[f"x_{part}"]))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(IMAGES[f"y_{part}"]))
    ours, theirs = both(monkeypatch, "fashion_mnist", "")
    find = lambda name, *_, **__: str(tmp_path / name)
    monkeypatch.setitem(theirs.__globals__, "get_file", find)
    monkeypatch.setattr(files, "get_file", find)
    assert_same(ours(), theirs())


def cifar(folder, parts, labels, size=4):
    folder.mkdir(parents=True)
    for i, part in enumerate(parts):
        chance = np.random.default_rng(i)
        content = {b"data": chance.integers(0, 256, (size, 3072), "uint8")}
        content |= {name: chance.integers(0, 10, size).tolist() for name in labels}
        (folder / part).write_bytes(pickle.dumps(content, protocol=4))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("label_mode", ["fine", "coarse"])
def test_cifar100(monkeypatch, tmp_path, data_format, label_mode):
    names = [b"fine_labels", b"coarse_labels"]
    cifar(tmp_path / "cifar-100-python", ["train", "test"], names)
    ours, theirs = both(monkeypatch, "cifar100", str(tmp_path))
    before = config.image_data_format()
    for library in (config, keras.config):
        library.set_image_data_format(data_format)
    try:
        assert_same(ours(label_mode), theirs(label_mode))
    finally:
        for library in (config, keras.config):
            library.set_image_data_format(before)


def test_cifar10(monkeypatch, tmp_path):
    """Keras wants the full size of each file; what a file becomes is as in CIFAR-100."""
    parts = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    cifar(tmp_path / "cifar-10-batches-py", parts, [b"labels"])
    ours, _ = both(monkeypatch, "cifar10", str(tmp_path))
    (x, y), (x_test, y_test) = ours()
    assert x.shape == (20, 32, 32, 3) and y.shape == (20, 1) and y_test.shape == (4, 1)
    assert {a.dtype.name for a in (x, y, x_test, y_test)} == {"uint8"}
    pixels = np.random.default_rng(1).integers(0, 256, (4, 3072), "uint8")
    np.testing.assert_array_equal(x[4:8], pixels.reshape(4, 3, 32, 32).transpose(0, 2, 3, 1))
    assert type(x_test) is type(y_test) is np.ndarray


def test_names():
    assert datasets.reuters.get_label_names() == keras.datasets.reuters.get_label_names()


ERRORS = [
    ("imdb", {"maxlen": 1}, REVIEWS), ("california_housing", {"version": "x"}, COLUMNS),
    ("boston_housing", {"test_split": 1}, COLUMNS), ("cifar100", {"label_mode": "x"}, COLUMNS),
    ("california_housing", {"test_split": -1}, COLUMNS),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "arrays"), ERRORS)
def test_same_errors(monkeypatch, tmp_path, name, options, arrays):
    said = []
    for load in both(monkeypatch, name, saved(tmp_path / "a.npz", arrays)):
        with pytest.raises(ValueError) as caught:
            load(**options)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_our_errors(monkeypatch, tmp_path):
    path = saved(tmp_path / "a.npz", {**REVIEWS, "x": TEXTS, "y": np.arange(10)})
    load, _ = both(monkeypatch, "imdb", path)
    assert_same(load(nb_words=6), load(num_words=6))
    with pytest.raises(TypeError, match=r"Unrecognized keyword arguments: {'words': 3}"):
        load(words=3)
    load, _ = both(monkeypatch, "reuters", path)
    with pytest.raises(ValueError, match="`test_split` must be between 0 and 1, got 2"):
        load(test_split=2)
    with pytest.raises(ValueError, match="no sequence was kept"):
        load(maxlen=1)
    load, _ = both(monkeypatch, "mnist", saved(tmp_path / "b.npz", COLUMNS))
    with pytest.raises(ValueError, match=r"no arrays \['x_train', .* only \['x', 'y'\]"):
        load()


# What runs no code.


class Evil:
    def __reduce__(self):
        return os.mkdir, ("/tmp/keraunos-was-here",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_of_arrays_are_read(protocol):
    content = {
        "f": np.arange(6.0).reshape(2, 3).T, "i": np.arange(3, dtype=">i2"), "n": np.float32(2),
        "o": np.array([[1], [2, 3], None, "x"], object), "l": [1, 2.5, True], "b": b"\xff\0",
    }  # fmt: skip
    written = pickle.dumps(content, protocol)
    read = load_pickle(io.BytesIO(written))
    for name, value in pickle.loads(written).items():
        assert np.asarray(read[name]).dtype == np.asarray(value).dtype
        assert np.asarray(read[name]).tolist() == np.asarray(value).tolist()


@pytest.mark.parametrize(
    "evil", [Evil(), [np.ones(2), Evil()], eval, os.system, np.load, np.array([Evil()], object)]
)
def test_pickles_run_no_code(tmp_path, evil):
    with pytest.raises(pickle.UnpicklingError, match="nothing that runs"):
        load_pickle(io.BytesIO(pickle.dumps(evil, 4)))
    path = saved(tmp_path / "a.npz", {"x": np.array([evil, None], object)})
    with pytest.raises(pickle.UnpicklingError, match="nothing that runs"):
        files.read_npz(path, "x")
    assert not os.path.exists("/tmp/keraunos-was-here")


def test_arrays_put_together_wrongly():
    """Pointers from a file: bytes as an array of objects; and data that is too short."""
    good = pickle.dumps(np.arange(3, dtype="int64"), 2)
    for bad in (good.replace(b"i8", b"O8"), good.replace(b"i8", b"f16"[:2])[:-12] + b"."):
        with pytest.raises(Exception):  # noqa: B017 - whichever it is, it is no array
            np.asarray(load_pickle(io.BytesIO(bad)))[0].real.bit_count()
    path_like = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        path_like, {"descr": "<f8", "fortran_order": False, "shape": (5,)}
    )
    path_like.write(b"12345678")
    path_like.seek(0)
    with pytest.raises(ValueError, match="is cut short: 8 bytes of float64"):
        files._read_npy(path_like)


def test_read_npz_gives_what_numpy_gives(tmp_path):
    arrays = {
        "a": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.array(3), "t": np.array("xy"),
        "o": np.array([[1, 2], "x"], object), "e": np.zeros((0, 3), "int8"),
    }  # fmt: skip
    for mine, value in zip(
        files.read_npz(saved(tmp_path / "a.npz", arrays), *arrays), arrays.values()
    ):
        assert mine.dtype == value.dtype and mine.shape == value.shape
        assert mine.tolist() == value.tolist()


# Downloads.


class Site(http.server.SimpleHTTPRequestHandler):
    cut_short = False

    def log_message(self, *_):
        pass

    def send_header(self, keyword, value):
        more = 1000 if keyword == "Content-Length" and Site.cut_short else 0
        super().send_header(keyword, str(int(value) + more) if more else value)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that is served where data sets are fetched from, and an empty cache."""
    root = tmp_path / "site"
    root.mkdir()
    handler = functools.partial(Site, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    for name in ("BASE", "CIFAR"):
        monkeypatch.setattr(files, name, f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Site, "cut_short", False)
    yield root
    server.shutdown()
    server.server_close()
    thread.join()


def put(monkeypatch, path):
    """Let the file at `path` be the right one."""
    monkeypatch.setitem(files.HASHES, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def cached(site):
    return sorted(p.name for p in site.parent.rglob("home/**/*") if p.is_file())


def test_download(site, monkeypatch, capsys):
    saved(site / "mnist.npz", IMAGES)
    put(monkeypatch, site / "mnist.npz")
    (x, _), _ = datasets.mnist.load_data()
    np.testing.assert_array_equal(x, IMAGES["x_train"])
    assert "Downloading data from http://127.0.0.1" in capsys.readouterr().out
    datasets.mnist.load_data()
    datasets.mnist.load_data("mine.npz")
    assert cached(site) == ["mine.npz", "mnist.npz"]
    assert capsys.readouterr().out.count("Downloading") == 1


def test_download_of_an_archive(site, monkeypatch):
    cifar(site / "cifar-100-python", ["train", "test"], [b"fine_labels"])
    archive = site / "cifar-100-python.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(site / "cifar-100-python", "cifar-100-python")
    put(monkeypatch, archive)
    (x, _), _ = datasets.cifar100.load_data()
    assert x.shape == (4, 32, 32, 3)


def test_download_of_word_indices(site, monkeypatch):
    for name in ("imdb", "reuters"):
        path = site / f"{name}_word_index.json"
        path.write_text(json.dumps({"the": 1, "naïve": 2}), encoding="utf-8")
        put(monkeypatch, path)
        assert getattr(datasets, name).get_word_index() == {"the": 1, "naïve": 2}


def test_a_wrong_checksum_leaves_nothing(site):
    saved(site / "mnist.npz", IMAGES)
    with pytest.raises(ValueError, match=r"corrupted file detected.*731c5ac602752760c8e48fbffcf8"):
        datasets.mnist.load_data()
    assert cached(site) == []


def test_an_interrupted_download_leaves_nothing(site, monkeypatch):
    for name in ("t10k-labels-idx1-ubyte.gz", "train-labels-idx1-ubyte.gz"):  # without a hash
        (site / name).write_bytes(idx(IMAGES["y_test"]))
    monkeypatch.setattr(Site, "cut_short", True)
    with pytest.raises(Exception, match=r"URL fetch failure on .* retrieval incomplete: got only"):
        datasets.fashion_mnist.load_data()
    assert cached(site) == []
    monkeypatch.setattr(Site, "cut_short", False)
    with pytest.raises(Exception, match=r"URL fetch failure on .*images-idx3-ubyte.gz: 404"):
        datasets.fashion_mnist.load_data()
    assert cached(site) == ["train-labels-idx1-ubyte.gz"]


@pytest.mark.parametrize(
    "damage",
    [b"junk", idx(np.zeros(3, "uint8"))[:-9], idx(np.ones((2, 2)))],
    ids=["no archive", "cut short", "other sizes"],
)
def test_a_damaged_file_without_a_checksum_is_removed(site, damage):
    (site / "train-labels-idx1-ubyte.gz").write_bytes(damage)
    for name in (
        "train-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
    ):
        (site / name).write_bytes(idx(IMAGES["x_test"]))
    with pytest.raises(ValueError, match="was damaged and is removed, load it again"):
        datasets.fashion_mnist.load_data()
    assert "train-labels-idx1-ubyte.gz" not in cached(site)


def test_what_keras_asks_for(tmp_path, monkeypatch):
    """The addresses and checksums that Keras itself uses, from what it says of a wrong file."""
    asked = []

    class Nothing(urllib.request.BaseHandler):
        handler_order = 1

        def https_open(self, request):
            asked.append(request.full_url)
            response = urllib.response.addinfourl(io.BytesIO(b"junk"), {}, request.full_url, 200)
            response.msg = "OK"
            return response

    opener = urllib.request.build_opener(Nothing)
    monkeypatch.setattr(urllib.request, "_opener", opener)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    calls = [(name, "load_data") for name in datasets.__all__ if name != "fashion_mnist"]
    for name, function in [*calls, ("imdb", "get_word_index"), ("reuters", "get_word_index")]:
        said = []
        for library in (datasets, keras.datasets):
            loads = getattr(getattr(library, name), function)
            cache = {"get_file": functools.partial(keras.utils.get_file, cache_dir=tmp_path)}
            with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
                if library is not datasets:
                    patch.setitem(loads.__globals__, "get_file", cache["get_file"])
                with pytest.raises(ValueError) as caught:
                    loads()
            said.append(str(caught.value))
        assert said[0] == said[1] and asked[-1] == asked[-2]
