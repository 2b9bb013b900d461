"""Images in files and arrays, as Keras reads and writes them."""

import io
import warnings

import jax
import keras
import numpy as np
import pytest
from PIL import Image

from keraunos import preprocessing, utils


def said(run):
    """What `run` returns, warns and raises, for each of the libraries."""
    found = []
    for library, images in (
        (utils, preprocessing.image),
        (keras.utils, keras.preprocessing.image),
    ):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                result = run(library, images)
                kind = getattr(result, "mode", type(result))
                result = None if result is None else np.asarray(result)
            except (ValueError, TypeError, FileNotFoundError) as error:
                kind, result = type(error), str(error)
        found.append((kind, result, [str(w.message) for w in warned]))
    return found


def same(run):
    (kind, result, warned), (its_kind, its_result, its_warned) = said(run)
    assert (kind, warned) == (its_kind, its_warned)
    if isinstance(result, np.ndarray):
        assert result.dtype == its_result.dtype
        np.testing.assert_allclose(result, its_result, rtol=1e-5, atol=1e-5)
    else:
        assert result == its_result


@pytest.fixture
def picture(tmp_path, rng):
    path = tmp_path / "picture.png"
    Image.fromarray(rng.integers(0, 255, (6, 5, 3)).astype("uint8")).save(path)
    return path


@pytest.mark.parametrize(
    "shape", [(4, 5, 3), (4, 5, 1), (4, 5, 4), (4, 5, 2), (4, 5), (2, 4, 5, 3)]
)
def test_array_to_img(rng, shape):
    x = rng.uniform(-3, 250, shape)
    for options in ({}, {"dtype": "float64"}):
        same(lambda library, _: library.array_to_img(x, **options))
    same(lambda library, _: library.array_to_img(np.abs(x), scale=False))


def test_array_to_img_of_other_kinds(rng):
    same(lambda library, _: library.array_to_img(np.zeros((3, 3, 1))))
    same(lambda library, _: library.array_to_img(np.full((3, 3, 3), 7, "uint8")))
    same(lambda library, _: library.array_to_img(jax.numpy.ones((3, 3, 3))))
    x = rng.uniform(0, 1000, (3, 4, 5))
    same(lambda library, _: library.array_to_img(x, data_format="channels_first"))
    same(lambda library, _: library.array_to_img(x[:, :, :1], scale=False))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "I"])
@pytest.mark.parametrize("options", [{}, {"data_format": "channels_first", "dtype": "uint8"}])
def test_img_to_array(picture, mode, options):
    img = Image.open(picture).convert(mode)
    same(lambda library, _: library.img_to_array(img, **options))


def test_img_to_array_of_a_vector():
    same(lambda library, _: library.img_to_array(np.ones(2)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"color_mode": "grayscale"},
        {"color_mode": "rgba"},
        {"color_mode": "cmyk"},
        {"target_size": (2, 3)},
        {"target_size": (6, 5)},
        {"target_size": (4, 9), "interpolation": "lanczos"},
        {"target_size": (4, 9), "interpolation": "bilinear", "keep_aspect_ratio": True},
        {"target_size": (9, 2), "interpolation": "box", "keep_aspect_ratio": True},
        {"target_size": (9, 2), "interpolation": "cubic"},
    ],
    ids=str,
)
def test_load_img(picture, options):
    same(lambda library, _: library.load_img(picture, **options))
    same(lambda library, _: library.load_img(str(picture), **options))
    content = picture.read_bytes()
    same(lambda library, _: library.load_img(io.BytesIO(content), **options))


@pytest.mark.parametrize("path", [3, "/nowhere/none.png"])
def test_load_img_errors(path):
    same(lambda library, _: library.load_img(path))


@pytest.mark.parametrize(
    ("name", "channels", "options"),
    [
        ("a.png", 3, {}),
        ("a.jpg", 4, {}),
        ("a.dat", 4, {"file_format": "jpg"}),
        ("a.dat", 1, {"file_format": "png", "compress_level": 1, "scale": False}),
        ("a.png", 3, {"data_format": "channels_last"}),
    ],
)
def test_save_img(tmp_path, rng, name, channels, options):
    x = rng.uniform(0, 200, (4, 5, channels))

    def saved(library, _):
        path = tmp_path / name
        library.save_img(path, x, **options)
        return np.asarray(Image.open(io.BytesIO(path.read_bytes())))

    same(saved)


@pytest.mark.parametrize("shape", [(6, 4, 3), (3, 9, 1), (2, 6, 4, 3), (4, 4)])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_smart_resize(rng, shape, interpolation):
    x = rng.uniform(0, 255, shape)
    same(lambda _, images: images.smart_resize(x, (3, 2), interpolation=interpolation))


def test_smart_resize_of_other_kinds(rng):
    x = rng.uniform(0, 255, (3, 5, 4))
    same(lambda _, images: images.smart_resize(x, (2, 2), data_format="channels_first"))
    same(lambda _, images: images.smart_resize(x, (2,)))
    same(lambda _, images: images.smart_resize(x, (2, 2), foo=1))
    same(lambda _, images: images.smart_resize(x.astype("uint8"), (2, 2)))
    assert isinstance(
        preprocessing.image.smart_resize(jax.numpy.ones((2, 2, 3)), (1, 1)), jax.Array
    )
