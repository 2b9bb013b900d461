"""Datasets from folders: which files, in which order, what becomes of them, what is said."""

import os
import struct
import wave

import keras
import numpy as np
import pytest
from PIL import Image

import keraunos
from keraunos import preprocessing, utils
from keraunos.utils.directories import _cut, _widened
from keraunos.utils.sampling import resized

KINDS = ["image", "text", "audio"]


def write(path, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".png":
        Image.fromarray(np.full((4, 6, 3), number, "uint8")).save(path, "png")
    elif path.suffix.lower() == ".wav":
        sound(path, np.full((number % 3 + 2, 1), number, "<i2").tobytes())
    else:
        path.write_text(f"näme {number}", encoding="utf-8")


def sound(path, data, width=2, channels=1, rate=8000):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(data)


@pytest.fixture
def folder(tmp_path):
    """Three classes of three files of each kind, and things that are none."""
    for i, name in enumerate("cab"):
        for k in range(3):
            for ending in ("png", "txt", "wav"):
                write(tmp_path / "data" / name / f"{k}.{ending}", 10 * i + k)
        (tmp_path / "data" / name / "notes.md").write_text("")
    return tmp_path / "data"


def load(kind, directory, library=utils, **options):
    options.setdefault("shuffle", False)
    return getattr(library, f"{kind}_dataset_from_directory")(directory, **options)


def said(capsys, kind, directory, library, **options):
    """What is printed, or which error is raised; that TensorFlow is missing is no error."""
    capsys.readouterr()
    try:
        load(kind, directory, library, **options)
        error = None
    except ImportError:
        error = None
    except Exception as caught:
        error = f"{type(caught).__name__}: {caught}"
    return capsys.readouterr().out, error


SAYINGS = [
    {}, {"labels": None}, {"label_mode": None}, {"label_mode": "categorical"},
    {"label_mode": "binary"}, {"class_names": ["b", "a"]}, {"class_names": ["a", "x"]},
    {"labels": [0, 0, 0, 1, 1, 1, 2, 2, 2]}, {"labels": "x"},
    {"labels": [0] * 9, "class_names": ["a"]}, {"labels": None, "class_names": ["a"]},
    {"label_mode": "x"}, {"validation_split": 2, "subset": "training"}, {"subset": "training"},
    {"validation_split": 0.3}, {"validation_split": 0.3, "subset": "x"},
    {"validation_split": 0.3, "subset": "training", "shuffle": True},
    {"validation_split": 0.3, "subset": "both"}, {"validation_split": 0.99, "subset": "training"},
    {"validation_split": 0.3, "subset": "validation", "shuffle": True, "seed": 3},
    {"verbose": False}, {"validation_split": 0},
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", SAYINGS, ids=str)
def test_says_what_keras_says(folder, capsys, kind, options):
    ours, theirs = (said(capsys, kind, folder, lib, **options) for lib in (utils, keras.utils))
    assert ours == theirs


@pytest.mark.parametrize("kind", KINDS)
def test_finds_what_keras_finds(folder, capsys, kind):
    ending = {"image": "png", "text": "txt", "audio": "wav"}[kind]
    for path in (".hidden/1", "top", "a/deep/x", "a/.dot"):
        write(folder / f"{path}.{ending}")
    write(folder / "a" / f"UP.{ending.upper()}")
    os.symlink(folder / "b", folder / "a" / "link")
    os.symlink(folder / "b", folder / "linked")
    for options in ({}, {"labels": None}):
        for follow in (False, True):
            both = [
                said(capsys, kind, folder, lib, follow_links=follow, **options)
                for lib in (utils, keras.utils)
            ]
            assert both[0] == both[1] and "Found" in both[0][0]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_found(tmp_path, capsys, kind):
    for options in ({}, {"labels": None}):
        both = [said(capsys, kind, tmp_path, lib, **options) for lib in (utils, keras.utils)]
        assert both[0] == both[1] and "found in directory" in both[0][1]
    with pytest.raises(FileNotFoundError):
        load(kind, tmp_path / "nowhere")


def test_same_order_as_keras(folder):
    """Keras shuffles the list of labels that it is given: so its order can be seen."""
    labels = list(range(9))
    with pytest.raises(ImportError):
        load("text", folder, keras.utils, labels=labels, shuffle=True, seed=7)
    mine = list(range(9))
    dataset = load("text", folder, labels=mine, shuffle=True, seed=7)
    found = sorted(dataset.file_paths, key=dataset.file_paths.index)
    paths = sorted(dataset.file_paths)
    assert [paths.index(path) for path in found] == labels and mine == list(range(9))


def test_labels_and_paths(folder):
    modes = {"int": ((9,), "int32"), "categorical": ((9, 3), "float32")}
    for mode, (shape, dtype) in modes.items():
        dataset = load("text", folder, label_mode=mode)
        ((texts, labels),) = dataset
        assert labels.shape == shape and labels.dtype == dtype and len(dataset) == 1
        classes = labels if mode == "int" else labels.argmax(-1)
        assert classes.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        assert texts[0] == "näme 10" and texts.dtype == object
    assert dataset.class_names == ["a", "b", "c"]
    names = [os.path.relpath(path, folder) for path in dataset.file_paths]
    assert names == [os.path.join(c, f"{k}.txt") for c in "abc" for k in range(3)]
    ((_, labels),) = load("text", folder, label_mode="binary", class_names=["c", "a"])
    assert labels.tolist() == [[0]] * 3 + [[1]] * 3 and labels.dtype == "float32"
    (texts,) = load("text", folder, label_mode=None, max_length=2)
    assert texts.tolist() == ["nä"] * 9
    single = next(iter(load("text", folder, labels=[5] * 9, batch_size=None)))
    assert single[0] == "näme 10" and single[1] == 5
    with pytest.raises(ValueError, match=r"must be from 0 to 0, as there are 1 .*got \[5\]"):
        load("text", folder, labels=[5] * 9, label_mode="categorical")


def test_both_parts_make_the_whole(folder):
    options = {"shuffle": True, "seed": 3, "validation_split": 0.4, "batch_size": 2}
    train, held = load("image", folder, subset="both", **options)
    alone = [load("image", folder, subset=s, **options) for s in ("training", "validation")]
    assert [train.file_paths, held.file_paths] == [a.file_paths for a in alone]
    assert len({*train.file_paths, *held.file_paths}) == 9 and len(held.file_paths) == 3
    corners = train.unbatch().map(lambda x, _: x[0, 0, 0])
    orders = [[int(x) for x in corners] for _ in "ab"]
    assert sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]
    valid = [np.concatenate([x[:, 0, 0, 0] for x, _ in held]).tolist() for _ in "ab"]
    assert valid[0] == valid[1]


def test_images(tmp_path, folder):
    (batch, _), *rest = load("image", folder, batch_size=4, image_size=(3, 5))
    assert batch.shape == (4, 3, 5, 3) and batch.dtype == "float32" and len(rest) == 2
    assert batch[:, 1, 1, 1].tolist() == [10, 11, 12, 20]
    pixels = np.random.default_rng(0).integers(0, 256, (7, 10, 4), "uint8")
    one = tmp_path / "one"
    one.mkdir()
    Image.fromarray(pixels).save(one / "x.png")
    for options, expected in (
        ({"color_mode": "rgba"}, pixels),
        ({"color_mode": "rgb"}, pixels[..., :3]),
        ({"data_format": "channels_first"}, pixels[..., :3].transpose(2, 0, 1)),
    ):
        (x,) = load("image", one, labels=None, image_size=(7, 10), **options)
        np.testing.assert_array_equal(x, expected[None])
    (x,) = load("image", one, labels=None, image_size=(7, 10), color_mode="grayscale")
    luma = pixels[..., :3] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(x[0, ..., 0], luma, atol=1)
    for option in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        (x,) = load("image", one, labels=None, image_size=(5, 4), **{option: True})
        theirs = keras.ops.image.resize(
            pixels[..., :3].astype("float32"), (5, 4), antialias=False, **{option: True}
        )
        np.testing.assert_allclose(x[0], theirs, rtol=1e-5, atol=1e-3)
    Image.fromarray(np.array([[0, 256, 65535]], "uint16")).save(one / "x.png")
    (x,) = load("image", one, labels=None, image_size=(1, 3), color_mode="grayscale")
    assert x.ravel().tolist() == [0, 1, 255]
    (one / "x.png").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"x\.png cannot be read as an image"):
        list(load("image", one, labels=None))


@pytest.mark.parametrize("method", ["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"])
def test_resizing(rng, method):
    x = rng.random((7, 10, 2)).astype("float32")
    for size, smooth in (((4, 5), True), ((13, 17), False), ((5, 3), False)):
        theirs = keras.ops.image.resize(x, size, interpolation=method, antialias=smooth)
        np.testing.assert_allclose(resized(x, size, method, smooth), theirs, atol=2e-6)


def test_resizing_by_hand():
    ramp = lambda n: np.arange(n, dtype="float32")
    np.testing.assert_allclose(resized(ramp(4), [2], "area"), [0.5, 2.5])
    np.testing.assert_allclose(resized(ramp(3), [2], "area"), [1 / 3, 5 / 3])
    bell = np.exp(-2 * np.array([0.75, 0.25, 1.25]) ** 2)  # the last one is 1.25 away
    expected = (bell[1] * 0 + bell[0] * 1) / (bell[0] + bell[1])
    np.testing.assert_allclose(resized(ramp(2), [4], "gaussian")[1], expected, rtol=1e-6)
    for method in ("gaussian", "mitchellcubic"):
        found = resized(ramp(20), [30], method)
        np.testing.assert_allclose(found[6:-6], (ramp(30)[6:-6] + 0.5) / 1.5 - 0.5, atol=0.06)
    assert _cut(np.zeros((2, 90, 1)), (90, 1)).shape == (2, 1, 1)
    assert _widened(np.ones((4, 6, 1)), (6, 6)).sum() == 24


def test_sounds(tmp_path):
    whole = np.array([[-1, 0.5], [0, -0.25]])
    for width in (1, 2, 3, 4):
        values = (whole * 2 ** (8 * width - 1)).astype("int64").ravel()
        packed = [struct.pack("<q", v)[:width] for v in values + (128 if width == 1 else 0)]
        sound(tmp_path / "x.wav", b"".join(packed), width, 2)
        ((x),) = load("audio", tmp_path, labels=None)
        np.testing.assert_array_equal(x, whole[None])
        assert x.dtype == "float32"
    (tmp_path / "x.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"x\.wav cannot be read as WAV of PCM samples"):
        list(load("audio", tmp_path, labels=None))


def test_lengths_of_sounds(folder):
    ((x, y),) = load("audio", folder, class_names=["c"])  # 2, 3 and 4 samples
    assert x.shape == (3, 4, 1) and y.tolist() == [0, 0, 0] and x[0, 2:].tolist() == [[0], [0]]
    for length in (1, 6):
        ((x, _),) = load("audio", folder, class_names=["c"], output_sequence_length=length)
        assert x.shape == (3, length, 1) and x[2, 0, 0] == np.float32(2 / 2**15)
    ((x, _),) = load("audio", folder, class_names=["c"], ragged=True)
    assert x.dtype == object and [a.shape for a in x] == [(2, 1), (3, 1), (4, 1)]
    singles = load("audio", folder, class_names=["c"], batch_size=None)
    assert [x.shape for x, _ in singles] == [(2, 1), (3, 1), (4, 1)]


@pytest.mark.parametrize("rate", [4000, 12000])
def test_rate_of_sounds(tmp_path, rate):
    wave_of = lambda rate: np.sin(2 * np.pi * 440 * (np.arange(rate // 10) + 0.5) / rate)
    sound(tmp_path / "x.wav", (wave_of(8000) * 32767).astype("<i2").tobytes())
    (x,) = load("audio", tmp_path, labels=None, sampling_rate=rate)
    assert x.shape == (1, rate // 10, 1)
    np.testing.assert_allclose(x[0, 20:-20, 0], wave_of(rate)[20:-20], atol=0.01)


ERRORS = [
    ("image", {"color_mode": "x"}), ("image", {"interpolation": "x"}), ("text", {"format": "x"}),
    ("image", {"format": "x"}), ("audio", {"sampling_rate": 0}), ("audio", {"sampling_rate": 1.5}),
    ("audio", {"ragged": True, "output_sequence_length": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), ERRORS)
def test_same_errors(folder, capsys, kind, options):
    ours, theirs = (said(capsys, kind, folder, lib, **options) for lib in (utils, keras.utils))
    assert ours[1] == theirs[1] and ours[1].startswith("ValueError")


def test_our_errors(folder):
    with pytest.raises(ValueError, match=r"len\(labels\) is 8 while we found 9 files in directory"):
        load("text", folder, labels=[0] * 8)
    with pytest.raises(ValueError, match=r"No validation text files found in .*format: \.txt"):
        load("text", folder, validation_split=0.05, subset="both", verbose=False)
    for size in (3, (3, 0), (3, 4, 5), (2.5, 3)):
        with pytest.raises(ValueError, match=r"`image_size` must be \(height, width\), got"):
            load("image", folder, image_size=size)
    with pytest.raises(ValueError, match="Only one of `pad_to_aspect_ratio`"):
        load("image", folder, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)
    with pytest.raises(ValueError, match="`data_format` must be one of"):
        load("image", folder, data_format="x")
    with pytest.raises(ValueError, match="`batch_size` must be an integer of at least 1"):
        load("image", folder, batch_size=0)


def test_into_training(folder):
    data = load("image", folder, image_size=(2, 2), shuffle=True, seed=1, batch_size=4)
    model = keraunos.Sequential(
        [keraunos.Input((2, 2, 3)), keraunos.layers.Flatten(), keraunos.layers.Dense(3)]
    )
    model.compile("sgd", keraunos.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(data, epochs=1, verbose=0)
    assert history.params["steps"] == 3


def test_names():
    assert preprocessing.image_dataset_from_directory is utils.image_dataset_from_directory
    assert preprocessing.text.text_dataset_from_directory is utils.text_dataset_from_directory
    assert preprocessing.timeseries_dataset_from_array is utils.timeseries_dataset_from_array
