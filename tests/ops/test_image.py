"""`keras.ops.image` against Keras."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest

from keraunos import KerasTensor, ops
from tests.ops.table import rand, same_numbers, shape_differences
from tests.oracle import close

X = rand(2, 4, 5, 3)
RGB = rand(1, 3, 3, 3, low=0.0, high=1.0)
FIRST = {"data_format": "channels_first"}
PLANE, AT = rand(4, 4), np.array([[0.5, 1.25, -1.5, 2.2], [0.5, 2.0, 4.2, 1.3]], "float32")
# Not of NumPy, so no gradient is asked for: Keras has one for the two numbers that do nothing.
AFFINE = jnp.array([[1, 0.1, 0.5, 0.2, 1, 0.25, 0, 0], [1, 0, 1.5, 0, 1, -0.25, 0, 0]])
START = np.array([[[0, 0], [0, 3], [3, 0], [3, 3]]], "float32")
END = np.array([[[0.5, 0.1], [0.2, 2.2], [3, 1], [3.3, 3.1]]], "float32")

CASES = [
    ("image.resize", [X, (2, 7)]),
    ("image.resize", [X, (2, 2)], {"antialias": True}),
    ("image.resize", [X, (3, 3)], {"interpolation": "nearest"}),
    ("image.resize", [X, (6, 3)], {"interpolation": "bicubic"}),
    ("image.resize", [X, (6, 3)], {"interpolation": "lanczos3"}),
    ("image.resize", [X, (6, 3)], {"interpolation": "lanczos5"}),
    ("image.resize", [X[0], (3, 3)]),
    ("image.resize", [X, (2, 4)], {"crop_to_aspect_ratio": True}),
    ("image.resize", [X, (2, 4)], {"pad_to_aspect_ratio": True, "fill_value": 2.0}),
    ("image.resize", [X, (4, 2), "bilinear"], {"pad_to_aspect_ratio": True}),
    ("image.resize", [X, (2, 3)], FIRST),
    ("image.pad_images", [X, 1, 2], {"target_height": 8, "target_width": 9}),
    ("image.pad_images", [X, 1, 2, 0, 1]),
    ("image.pad_images", [X[0]], {
        "bottom_padding": 1, "right_padding": 0, "target_height": 6, "target_width": 6,
    }),
    ("image.crop_images", [X, 1, 2], {"target_height": 2, "target_width": 2}),
    ("image.crop_images", [X, 1, 0, 1, 2]),
    ("image.extract_patches", [X, 2]),
    ("image.extract_patches", [X, (3, 2)], {"strides": 1}),
    ("image.extract_patches", [X, 2], {"strides": (1, 2), "padding": "same"}),
    ("image.extract_patches", [X, 2], {"strides": 1, "dilation_rate": 2}),
    ("image.extract_patches", [X[0], 2]),
    ("image.extract_patches", [X, 2], FIRST),
    ("image.extract_patches", [rand(1, 2, 3, 2, 2), (2, 1, 2)]),
    ("image.extract_patches_3d", [rand(1, 2, 3, 2, 2), 2], {"padding": "same"}),
    ("image.rgb_to_grayscale", [X]),
    ("image.rgb_to_grayscale", [RGB], FIRST),
    ("image.rgb_to_hsv", [RGB]),
    ("image.hsv_to_rgb", [RGB]),
    ("image.hsv_to_rgb", [RGB], FIRST),
    ("image.sobel_edges", [X]),
    ("image.sobel_edges", [X], FIRST),
    ("image.ssim", [RGB, RGB * 0.5], {"filter_size": 3}),
    ("image.ssim", [RGB, RGB * 0.5], {"filter_size": 2, "filter_sigma": 0.5, "k1": 0.1}),
    *(
        ("image.map_coordinates", [PLANE, AT, 1], {"fill_mode": mode, "fill_value": 2.0})
        for mode in ("constant", "nearest", "wrap", "mirror", "reflect")
    ),
    ("image.map_coordinates", [PLANE, AT, 0]),
    ("image.affine_transform", [X, AFFINE]),
    ("image.affine_transform", [X[0], AFFINE[0]], {"interpolation": "nearest"}),
    ("image.affine_transform", [X[1], AFFINE[0]], {"fill_mode": "reflect"}),
    ("image.affine_transform", [X[0], AFFINE[1]], {"fill_value": 3.0}),
    ("image.affine_transform", [X, AFFINE], FIRST),
    ("image.perspective_transform", [X[:1], START, END]),
    ("image.perspective_transform", [X[0], START[0], END[0], "nearest", 3.0]),
    (
        "image.scale_and_translate",
        [X, (2, 6, 6, 3), np.array([1.5, 1.2], "float32"), np.array([0, 1], "float32"), (1, 2)],
        {"method": "linear"},
    ),
]  # fmt: skip


def test_numbers_and_gradients_are_those_of_keras():
    same_numbers(CASES, atol=1e-5)


@pytest.mark.parametrize("unknown", [0, None])
def test_symbolic_shapes_are_those_of_keras(unknown):
    batches = [case for case in CASES if np.ndim(case[1][0]) > 3]
    found = shape_differences(batches, unknown)
    if unknown == 0:  # two transforms, or a shape that says 2, for an unknown number of images
        found.pop("image.affine_transform", None)
        found.pop("image.scale_and_translate", None)
    assert found == {}


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "nearest"])
def test_resize_of_integers(name):
    for dtype in ("uint8", "int32"):
        image = np.arange(48).reshape(4, 4, 3).astype(dtype)
        mine = ops.image.resize(image, (3, 5), interpolation=name)
        close(mine, keras.ops.image.resize(image, (3, 5), interpolation=name))
    gray = np.arange(48).reshape(4, 4, 3).astype("uint8")
    close(ops.image.rgb_to_grayscale(gray), keras.ops.image.rgb_to_grayscale(gray))


def test_gaussian_blur():
    """Keras on JAX blurs in one direction only, and darkens; this is a Gaussian."""
    spot = np.zeros((1, 5, 5, 1), "float32")
    spot[0, 2, 2] = 1.0
    blurred = np.asarray(ops.image.gaussian_blur(spot, (3, 3), (1.0, 0.5)))[0, ..., 0]
    line = lambda sigma: np.exp(-np.square([-1.0, 0.0, 1.0]) / (2 * sigma**2))
    kernel = np.outer(line(1.0), line(0.5))
    np.testing.assert_allclose(blurred[1:4, 1:4], kernel / kernel.sum(), rtol=1e-5)
    assert blurred.sum() == pytest.approx(1.0)
    assert ops.image.gaussian_blur(KerasTensor((None, 4, 4, 3))).shape == (None, 4, 4, 3)


def test_elastic_transform():
    crumpled = ops.image.elastic_transform(X, alpha=2.0, sigma=1.0, seed=1)
    assert crumpled.shape == X.shape and not np.allclose(crumpled, X)
    theirs = keras.ops.image.elastic_transform(X, alpha=2.0, sigma=1.0, seed=1)
    close(crumpled, np.asarray(theirs))
    close(ops.image.elastic_transform(X, alpha=0.0, seed=1), X)
    assert ops.image.elastic_transform(KerasTensor((None, 4, 4, 3))).shape == (None, 4, 4, 3)


def test_sizes_that_are_not_known():
    images = KerasTensor((None, None, None, 3))
    turned = ops.image.affine_transform(KerasTensor((None, 4, 4, 1)), KerasTensor((None, 8)))
    assert turned.shape == (None, 4, 4, 1)
    assert ops.image.resize(images, (2, 4), pad_to_aspect_ratio=True).shape == (None, 2, 4, 3)
    padded = ops.image.pad_images(images, 1, 2, target_height=6, target_width=8)
    assert padded.shape == (None, 6, 8, 3)
    assert ops.image.crop_images(images, 1, 1, 1, 1).shape == (None, None, None, 3)
    assert ops.image.extract_patches(images, 2).shape == (None, None, None, 12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.image.resize(X, (2, 2), "bilinaer"), "Did you mean `bilinear`"),
        (lambda: ops.image.resize(X[0, 0], (2, 2)), r"3 axes, or 4 .* got shape \(5, 3\)"),
        (lambda: ops.image.pad_images(X, 1, 2), "two of `top_padding`, `bottom_padding`"),
        (lambda: ops.image.pad_images(X, 1, 1, None, 1, 3), "`bottom_padding` .* got -2"),
        (lambda: ops.image.crop_images(X, 3, 0, None, 1, 3), "`bottom_cropping` .* got -2"),
        (lambda: ops.image.extract_patches(X, 0), "positive integer or 2 .* got 0"),
        (lambda: ops.image.extract_patches(X, 2, padding="full"), "'valid' or 'same'"),
        (lambda: ops.image.rgb_to_grayscale(X[..., :2]), "1 or 3 channels, got 2"),
        (lambda: ops.image.rgb_to_hsv(jnp.ones((2, 2, 3), "uint8")), "needs floats .* uint8"),
        (lambda: ops.image.map_coordinates(PLANE, AT, 2), "0, 1 for `order`, got 2"),
        (lambda: ops.image.map_coordinates(PLANE, AT[:1], 1), "coordinates of 2 axes"),
        (lambda: ops.image.affine_transform(X, AFFINE[:, :7]), "8 numbers for each"),
        (lambda: ops.image.affine_transform(X, AFFINE, "cubic"), "got 'cubic'"),
        (lambda: ops.image.ssim(RGB, RGB), "at least `filter_size`, 11"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()
