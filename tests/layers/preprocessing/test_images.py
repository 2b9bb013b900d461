"""Layers of images: the same numbers as Keras, for the same seed, and laws where it has none."""

import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import layers
from tests.oracle import close

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (2, 6, 7, 3)).astype("float32")
CLASSES = RNG.integers(0, 5, (2, 6, 7, 1)).astype("int32")
BOXES = np.array([[[1, 2, 4, 5], [0, 0, 3, 3], [5, 1, 7, 6]]] * 2, "float32")
LABELED = {"boxes": BOXES, "labels": np.array([[1, 2, 3]] * 2)}
HALF = {"value_range": (-1, 1)}

pytestmark = pytest.mark.filterwarnings("ignore:.*Explicitly requested dtype int64")  # of Keras

TABLE = [
    ("Resizing", {"height": 4, "width": 9}),
    ("Resizing", {"height": 12, "width": 21, "pad_to_aspect_ratio": True, "fill_value": 7.0}),
    ("Resizing", {"height": 12, "width": 21, "crop_to_aspect_ratio": True, "antialias": True}),
    ("CenterCrop", {"height": 3, "width": 4}),
    ("CenterCrop", {"height": 8, "width": 3}),
    ("RandomFlip", {}),
    ("RandomFlip", {"mode": "vertical"}),
    ("RandomCrop", {"height": 4, "width": 5}),
    ("RandomCrop", {"height": 8, "width": 3}),
    ("RandomRotation", {"factor": 0.2, "fill_mode": "constant", "fill_value": 3.0}),
    ("RandomTranslation", {"height_factor": 0.2, "width_factor": (0.1, 0.3)}),
    ("RandomZoom", {"height_factor": 0.2}),
    ("RandomZoom", {"height_factor": (0.1, 0.3), "width_factor": 0.2}),
    ("RandomShear", {"x_factor": 0.2, "y_factor": (0.1, 0.3), "interpolation": "nearest"}),
    ("RandomPerspective", {"factor": 0.9, "scale": 0.4}),
    ("RandomElasticTransform", {"factor": 0.9, "scale": (0.5, 1)}),
    ("RandomErasing", {"factor": 0.9, "scale": (0.1, 0.4)}),
    ("RandomErasing", {"scale": 0.4, "fill_value": 7.0}),
    ("RandomBrightness", {"factor": 0.2} | HALF),
    ("RandomContrast", {"factor": (0.2, 0.4)} | HALF),
    ("RandomHue", {"factor": 0.3} | HALF),
    ("RandomSaturation", {"factor": (0.1, 0.5)}),
    (
        "RandomColorJitter",
        {
            "brightness_factor": 0.2,
            "contrast_factor": 0.3,
            "saturation_factor": 0.6,
            "hue_factor": 0.4,
        },
    ),
    ("RandomColorDegeneration", {"factor": 0.9} | HALF),
    ("RandomGrayscale", {"factor": 0.6}),
    ("RandomInvert", {"factor": (0.4, 0.9)}),
    ("RandomPosterization", {"factor": (2, 6)} | HALF),
    ("RandomSharpness", {"factor": 0.9} | HALF),
    ("RandomGaussianBlur", {"kernel_size": (3, 5), "sigma": (0.3, 0.9)}),
    ("Solarization", {"addition_factor": 0.2, "threshold_factor": 0.6} | HALF),
    ("AutoContrast", HALF),
    ("Equalization", {"bins": 10} | HALF),
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (4, 3)} | HALF),
    ("MixUp", {}),
    ("CutMix", {"factor": 0.9}),
    ("RandAugment", {"factor": (0.1, 0.4), "num_ops": 3}),
]
SEEDED = {name for name in layers.__all__ if hasattr(keras.layers, name)} & {
    name for name, _ in TABLE if "seed" in inspect.signature(getattr(keras.layers, name)).parameters
}


def pair(name, arguments, **more):
    given = {**arguments, **more} | ({"seed": 3} if name in SEEDED else {})
    return [getattr(library.layers, name)(**given) for library in (keraunos, keras)]


def same(mine, yours, atol=2e-4):
    close(mine, np.asarray(yours), 1e-5, atol)


@pytest.mark.parametrize(("name", "arguments"), TABLE, ids=str)
def test_same_seed(name, arguments):
    low, high = arguments.get("value_range", (0, 255))
    x = (X / 255 * (high - low) + low).astype("float32")
    ours, theirs = pair(name, arguments)
    made = ours(x)
    same(made, theirs(x))
    if name in ("CenterCrop", "RandomContrast", "RandomErasing", "CutMix"):
        same(ours(x[0]), theirs(x[0]))
    same(ours(x, training=False), theirs(x, training=False))
    first, _ = pair(name, arguments, data_format="channels_first")
    turned = first(np.moveaxis(x, -1, 1))
    same(turned, np.moveaxis(made, -1, 1))
    assert first.compute_output_shape((None, 3, 6, 7)) == (None, *turned.shape[1:])
    mine, yours = ours.get_config(), theirs.get_config()
    alike = lambda value: list(value) if isinstance(value, tuple) else value
    assert {k: alike(mine[k]) for k in yours if k not in ("name", "dtype")} == {
        k: alike(v) for k, v in yours.items() if k not in ("name", "dtype")
    }


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        row
        for row in TABLE
        if row[0] in ("Resizing", "CenterCrop", "RandomCrop", "RandomFlip", "RandomErasing")
        or row[0] in ("RandomRotation", "RandomTranslation", "RandomZoom", "RandomPerspective")
    ],
    ids=str,
)
def test_boxes_and_masks(name, arguments):
    """By Keras's own transformation, boxes and masks come to lie where Keras puts them."""
    ours, theirs = pair(name, arguments, bounding_box_format="xyxy")
    drawn = theirs.get_random_transformation(X, training=True)
    same(ours.transform_images(X, drawn), theirs.transform_images(X, drawn))
    copy = lambda: jax.tree.map(np.array, LABELED)
    if not (name == "RandomCrop" and arguments["height"] == 8):  # Keras forgets that it resized
        yours = theirs.transform_bounding_boxes(copy(), drawn)
        mine = ours.transform_bounding_boxes(copy(), drawn)
        same(mine["boxes"], yours["boxes"])
        assert mine["labels"].tolist() == np.asarray(yours["labels"]).tolist()
    mine = ours.transform_segmentation_masks(CLASSES, drawn)
    assert mine.dtype == "int32" and set(np.unique(mine)) <= {0, 1, 2, 3, 4, 7}
    if arguments.get("height") != 8:  # Keras mixes the numbers of classes where it resizes
        same(mine, np.asarray(theirs.transform_segmentation_masks(CLASSES, drawn)).astype("int32"))


@pytest.mark.parametrize("form", ["xyxy", "center_xywh", "rel_yxyx"])
@pytest.mark.parametrize("name", ["RandomFlip", "RandomCrop", "RandomShear", "Resizing"])
def test_boxes_follow_what_is_in_them(name, form):
    """The box around a white rectangle, moved, is around the white rectangle, moved."""
    arguments = {"RandomShear": {"x_factor": 0.3, "y_factor": 0.1, "fill_mode": "constant"}}
    size = {"height": 40, "width": 60}
    given = arguments.get(name, {} if name == "RandomFlip" else size)
    layer = getattr(layers, name)(**given, bounding_box_format=form)
    image = np.zeros((50, 80, 1), "float32")
    image[20:30, 30:50] = 255
    at = keraunos.utils.bounding_boxes.convert_format(
        np.array([[30, 20, 50, 30]], "float32"), "xyxy", form, 50, 80
    )
    made = layer({"images": image, "bounding_boxes": {"boxes": at, "labels": np.array([1])}})
    y = np.asarray(made["images"])[..., 0]
    found = keraunos.utils.bounding_boxes.convert_format(
        made["bounding_boxes"]["boxes"], form, "xyxy", *y.shape
    )
    rows, columns = np.where(y > 127)
    around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(found[0], around, atol=1.6)
    assert made["bounding_boxes"]["labels"].tolist() == [1]


def test_record():
    """A dict with everything, batched or not; what is not known goes through."""
    record = {
        "images": X.astype("uint8"),
        "labels": np.array([0, 1]),
        "segmentation_masks": CLASSES,
        "bounding_boxes": LABELED,
        "id": np.array([7, 8]),
    }
    layer = layers.RandomFlip("horizontal", seed=1, bounding_box_format="xyxy")
    drawn = layer.get_random_transformation(record, seed=5)
    for n in range(2):
        one = jax.tree.map(lambda value, n=n: value[n], record)
        flip = {"flips": drawn["flips"][n : n + 1], "input_shape": (1, 6, 7, 3)}
        image = layer.transform_single_image(one["images"], flip)
        way = -1 if flip["flips"].all() else 1
        close(image, one["images"][:, ::way].astype("float32"))
        boxes = layer.transform_single_bounding_box(one["bounding_boxes"], flip)
        assert boxes["boxes"].shape == (3, 4)
        mask = layer.transform_single_segmentation_mask(one["segmentation_masks"], flip)
        assert mask.dtype == "int32"
        assert layer.transform_single_label(one["labels"], flip) == n
    made = layer(record)
    assert made["images"].dtype == "float32" and made["id"].tolist() == [7, 8]
    single = layer(jax.tree.map(lambda value: value[0], record))
    assert [v.shape for v in jax.tree.leaves(single)] == [
        v.shape[1:] for v in jax.tree.leaves(record)
    ]
    given = layer(record, training=False)
    close(given["segmentation_masks"], CLASSES)
    flipped_twice = layer.transform_images(layer.transform_images(X, drawn), drawn)
    close(flipped_twice, X)
    assert (
        set(record["bounding_boxes"]) == {"boxes", "labels"} and record["images"].dtype == "uint8"
    )


def test_same_numbers_from_own_seed():
    ours, theirs = pair("RandomRotation", {"factor": 0.2})
    mine = ours.get_random_transformation(X, seed=9)
    again = ours.get_random_transformation({"images": X}, seed=keraunos.random.SeedGenerator(9))
    close(mine["angle"], again["angle"])
    assert ours.get_random_transformation(X, training=False) is None
    assert set(mine) == set(theirs.get_random_transformation(X))


def test_mix_up_and_cut_mix():
    classes = np.eye(2, dtype="float32")
    for name in ("MixUp", "CutMix"):
        ours, theirs = pair(name, {})
        drawn = theirs.get_random_transformation(X)
        same(ours.transform_images(X, drawn), theirs.transform_images(X, drawn))
        same(ours.transform_labels(classes, drawn), theirs.transform_labels(classes, drawn))
        mask = ours.transform_segmentation_masks(CLASSES, drawn)
        assert mask.shape == CLASSES.shape
        assert ours.transform_labels(classes, drawn, training=False) is classes
    up = layers.MixUp(seed=1)({"images": X, "bounding_boxes": LABELED})["bounding_boxes"]
    assert up["boxes"].shape == (2, 6, 4) and up["labels"].shape == (2, 6)
    with pytest.raises(NotImplementedError, match="cuts images up"):
        layers.CutMix()({"images": X, "bounding_boxes": LABELED})
    with pytest.raises(NotImplementedError, match="crumples images"):
        layers.RandomElasticTransform()({"images": X, "bounding_boxes": LABELED})


def test_rand_augment_moves_boxes():
    ours, _ = pair("RandAugment", {"num_ops": 1}, bounding_box_format="xyxy")
    drawn = ours.get_random_transformation(X)
    drawn["layer_idxes"] = jnp.array([2])
    turn, given = ours.random_rotation, drawn["transforms"]["random_rotation"]
    turn.bounding_box_format = "xyxy"
    close(ours.transform_images(X, drawn), turn.transform_images(X, given))
    moved = ours.transform_bounding_boxes(LABELED, drawn)
    close(moved, turn.transform_bounding_boxes(LABELED, given))
    moved = ours.transform_segmentation_masks(CLASSES, drawn)
    close(moved, turn.transform_segmentation_masks(CLASSES, given))


def test_aug_mix_is_what_its_chains_are():
    layer = layers.AugMix(num_chains=2, chain_depth=1, factor=(0, 0.6), all_ops=False, seed=3)
    drawn = layer.get_random_transformation(X)
    close(drawn["chain_mixing_weights"].sum(), np.float32(1))
    assert drawn["layers"].shape == (2, 1) and 0 <= int(drawn["layers"].max()) < 7
    close(layer.transform_images(X, {**drawn, "weight_sample": jnp.ones(())}), X)
    idle = {**drawn, "layers": jnp.full((2, 1), -1)}
    close(layer.transform_images(X, idle), X, atol=1e-4)
    traced = jax.jit(layer.transform_images)(X, drawn)  # where a branch is chosen by the program
    close(traced, layer.transform_images(X, drawn), atol=1e-3)


def test_rescaling():
    for scale, offset in ((1 / 255, 0.0), ([1, 2, 3], [0.5, 0.0, 1]), (2, -1)):
        ours, theirs = (library.Rescaling(scale, offset) for library in (layers, keras.layers))
        for x in (X, X.astype("uint8"), X.astype("float16")):
            same(ours(x), theirs(x))
    close(layers.Rescaling(2.0)([[1, 2]]), np.array([[2, 4]], "float32"))
    assert layers.Rescaling(2, dtype="uint8")(X).dtype == "uint8"


def test_max_num_bounding_boxes():
    for most in (2, 5):
        given = {"max_number": most, "fill_value": -2, "bounding_box_format": "xyxy"}
        ours, theirs = pair("MaxNumBoundingBoxes", given)
        given = {"images": X, "bounding_boxes": LABELED}
        mine, yours = ours(given), theirs(jax.tree.map(np.array, given))
        close(mine, jax.tree.map(np.asarray, yours))


def test_pipeline():
    steps = lambda library: [library.Rescaling(0.5), library.RandomFlip(seed=1)]
    ours, theirs = (lib.Pipeline(steps(lib), name="p") for lib in (layers, keras.layers))
    close(ours(X), np.asarray(theirs(X)))
    close(ours(X, training=False), X / 2)
    assert set(ours.get_config()) == set(theirs.get_config())
    again = layers.Pipeline.from_config(ours.get_config())
    close(again(X, training=False), X / 2)
    assert [type(layer).__name__ for layer in again.layers] == ["Rescaling", "RandomFlip"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("RandomBrightness", {"factor": 0.9}),
        ("RandomGrayscale", {"factor": 1.0}),
        ("Resizing", {"height": 4, "width": 9}),
        ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (2, 2)}),
    ],
)
def test_bytes_stay_bytes(name, arguments):
    """And what is too bright is white: it does not start again from black."""
    layer = getattr(layers, name)(**arguments)
    made = layer(X.astype("uint8"))
    assert made.dtype == "uint8"
    assert np.abs(np.asarray(made, "float32") - np.asarray(layer(X.astype("uint8")))).max() <= 255
    if name == "RandomBrightness":
        brighter = layer.transform_images(
            X.astype("uint8"), {"rgb_delta": np.full((2, 1, 1, 1), 99.0)}
        )
        assert (np.asarray(brighter) >= X.astype("uint8")).all()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("RandomRotation", {"factor": 0.0}),
        ("RandomTranslation", {"height_factor": 0.0, "width_factor": 0.0}),
        ("RandomZoom", {"height_factor": 0.0}),
        ("RandomShear", {}),
        ("RandomPerspective", {"scale": 0.0}),
        ("RandomPerspective", {"factor": 0.0}),
        ("RandomElasticTransform", {"scale": 0.0}),
        ("RandomErasing", {"factor": 0.0}),
        ("RandomBrightness", {"factor": 0.0}),
        ("RandomContrast", {"factor": 0.0}),
        ("RandomHue", {"factor": 0.0}),
        ("RandomSaturation", {"factor": (0.5, 0.5)}),
        ("RandomColorJitter", {}),
        ("RandomColorDegeneration", {"factor": 0.0}),
        ("RandomGrayscale", {"factor": 0.0}),
        ("RandomInvert", {"factor": 0.0}),
        ("RandomSharpness", {"factor": (0.5, 0.5)}),
        ("RandomGaussianBlur", {"factor": 0.0}),
        ("Solarization", {"threshold_factor": (1.0, 1.0)}),
    ],
    ids=str,
)
def test_nothing_to_do(name, arguments):
    close(getattr(layers, name)(**arguments, seed=1)(X), X, atol=1e-3)


def test_where_the_least_value_is_not_0():
    """Keras forgets the least value of the range for these."""
    x = X / 127.5 - 1
    close(layers.RandomInvert((1.0, 1.0), **HALF)(x), -x)
    gray = layers.RandomSaturation((0.0, 0.0), **HALF)(x)
    close(gray, np.broadcast_to(np.max(x, -1, keepdims=True), x.shape))
    bright = layers.Solarization((0.5, 0.5), (1.0, 1.0), **HALF)(x)
    close(bright, np.where(x >= 0, -1, x + 1).astype("float32"), atol=1e-5)


def test_factors_are_spread():
    layer = layers.RandomBrightness((-0.2, 0.6), (0, 1), seed=1)
    drawn = np.ravel(layer.get_random_transformation(np.zeros((4000, 1, 1, 3)))["rgb_delta"])
    assert -0.2 <= drawn.min() < -0.19 and 0.59 < drawn.max() <= 0.6
    assert abs(drawn.mean() - 0.2) < 0.02


def test_in_a_model_that_is_trained():
    """In the compiled program of `fit`, and out of the way in `predict`."""
    inputs = keraunos.Input((6, 7, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    for name in ("RandomFlip", "RandomContrast", "RandAugment"):
        given = {} if name == "RandomFlip" else {"value_range": (0, 1)}
        given |= {"factor": 0.2} if name == "RandomContrast" else {}
        x = getattr(layers, name)(seed=1, **given)(x)
    model = keraunos.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))
    model.compile("sgd", "mse")
    before = [np.asarray(v) for v in model.variables if v.dtype == "uint32"]
    model.fit(X, np.zeros((2, 1)), batch_size=1, epochs=2, verbose=0)
    after = [np.asarray(v) for v in model.variables if v.dtype == "uint32"]
    assert any((a != b).any() for a, b in zip(before, after))
    flat = (X / 255).reshape(2, -1) @ model.layers[-1].kernel.numpy()
    np.testing.assert_allclose(
        model.predict(X, verbose=0), flat + model.layers[-1].bias.numpy(), 1e-4, 1e-5
    )


MISTAKES = [
    ("RandomRotation", {"factor": 2}, "a number from -1 to 1, or two, for `factor`, got 2"),
    ("RandomHue", {"factor": (0.1, 0.2, 0.3)}, "a number from 0 to 1, or two, for `factor`"),
    ("RandomTranslation", {"height_factor": 3, "width_factor": 0}, "for `height_factor`, got 3"),
    ("RandomPosterization", {"factor": 9}, "a number from 1 to 8"),
    ("RandomPosterization", {"factor": (1.5, 3)}, "an integer from 1 to 8"),
    ("RandomFlip", {"mode": "sideways"}, "one of horizontal, vertical, horizontal_and_vertical"),
    ("RandomFlip", {"seed": "a"}, "an integer or None for `seed`"),
    ("RandomFlip", {"bounding_box_format": "xyyx"}, "Did you mean `xyxy`"),
    ("RandomBrightness", {"factor": 0.1, "value_range": (1,)}, "two numbers, the lower first"),
    ("RandomGaussianBlur", {"kernel_size": 4}, "an odd integer or two of them for `kernel_size`"),
    ("RandomZoom", {"height_factor": 0.1, "fill_mode": "edge"}, "one of reflect, wrap"),
    ("RandomGrayscale", {"factor": 2}, "a number from 0 to 1 for `factor`"),
    ("MixUp", {"alpha": 0}, "a number above 0 for `alpha`"),
    ("Resizing", {"height": 0, "width": 1}, "a positive integer for `height`"),
    ("Pipeline", {"layers": [1]}, "a list of layers for `layers`"),
    (
        "Resizing",
        {"height": 1, "width": 1, "crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True},
        "only one of",
    ),
    (
        "ContrastLimitedAdaptiveHistogramEqualization",
        {"tile_grid_size": 3},
        "two positive integers for `tile_grid_size`",
    ),
]


@pytest.mark.parametrize(("name", "arguments", "message"), MISTAKES)
def test_mistakes(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**arguments)


def test_mistakes_in_calls():
    with pytest.raises(ValueError, match="needs 'images', got a dict of labels"):
        layers.RandomFlip()({"labels": X})
    with pytest.raises(ValueError, match="Give it, for example, `bounding_box_format='xyxy'`"):
        layers.RandomFlip()({"images": X, "bounding_boxes": LABELED})
    with pytest.raises(ValueError, match="needs images of 3 axes, or 4 with a batch"):
        layers.RandomFlip()(X[..., 0, 0])
