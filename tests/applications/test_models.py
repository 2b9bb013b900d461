"""The models of keras.applications: what they are made of, their numbers, their arguments."""

import inspect
import json

import jax
import keras
import numpy as np
import pytest

import keraunos
from keraunos import applications
from tests.applications import structure

TABLE = json.loads(structure.FILE.read_text())
# One of each family; `structure.py check` builds all of them.
LIGHT = [
    "VGG16", "ResNet50", "ResNet50V2", "DenseNet121", "InceptionV3", "InceptionResNetV2",
    "Xception", "MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "EfficientNetB0",
    "EfficientNetV2B0", "ConvNeXtTiny",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*input channels", "ignore:.*was made for 1 or 3 channels")
@pytest.mark.parametrize("case", structure.cases(LIGHT), ids=lambda case: structure.key(*case))
def test_same_layers(case, empty):
    assert structure.facts(keraunos, *case) == TABLE[structure.key(*case)]


# Numbers --------------------------------------------------------------------------------

# How strong the weights are, so that the input matters in the end; and, of large models, up to
# which layer they are compared. `structure.py check` knows that all of their layers are the same.
NUMBERS = {
    "VGG16": (1.4, "block3_pool"),
    "ResNet50": (1.4, "conv3_block2_out"),
    "ResNet50V2": (1.4, "conv3_block1_out"),
    "DenseNet121": (1.4, "conv3_block2_concat"),
    "InceptionV3": (1.4, "mixed4"),
    "InceptionResNetV2": (1.4, "block17_1_ac"),
    "Xception": (1.4, "block7_sepconv1_act"),
    "MobileNet": (1.4, None),
    "MobileNetV2": (1.7, None),
    "MobileNetV3Small": (1.7, None),
    "NASNetMobile": (1.4, "normal_concat_1"),
    "EfficientNetB0": (1.65, "block4b_add"),
    "EfficientNetV2B0": (1.3, "block5b_add"),
    "ConvNeXtTiny": (1.4, "convnext_tiny_stage_1_block_1_depthwise_conv"),
}
SIDES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}


def fill(model, strength, rng):
    """Random weights by which signals neither vanish nor explode."""
    deep = set()
    for layer in model.layers:
        if isinstance(layer, (keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)):
            deep.add(id(layer.weights[0]))
    for variable in model.weights:
        value = rng.standard_normal(variable.shape, dtype="float32")
        if value.ndim > 1:
            fan = np.prod(value.shape[:2] if id(variable) in deep else value.shape[:-1])
            value *= strength / np.sqrt(fan)
        elif any(word in variable.path for word in ("variance", "gamma", "variable", "count")):
            value = 1 + 0.2 * np.tanh(value)
        else:
            value = 0.1 * value
        variable.assign(value)


def outputs(model, x):
    trained = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    run = jax.jit(lambda *args: model.stateless_call(*args, training=False)[0])
    return np.asarray(run(trained, others, x))


@pytest.mark.parametrize("name", LIGHT)
def test_same_numbers_from_a_file_of_keras(name, empty, rng, tmp_path):
    strength, last = NUMBERS[name]
    side, path = SIDES.get(name, 32), tmp_path / "a.weights.h5"
    arguments = {"input_shape": (side, side, 3), "classes": 5, "classifier_activation": None}
    theirs = getattr(keras.applications, name)(weights=None, **arguments)
    if last is not None:
        theirs = keras.Model(theirs.inputs, theirs.get_layer(last).output)
    fill(theirs, strength, rng)
    theirs.save_weights(path)
    theirs.load_weights(path)  # Normalization only now takes what it was assigned
    if last is None:
        ours = getattr(applications, name)(weights=str(path), **arguments)
    else:
        ours = getattr(applications, name)(weights=None, **arguments)
        ours = keraunos.Model(ours.inputs, ours.get_layer(last).output)
        ours.load_weights(path)
    x = rng.uniform(0, 255, (2, side, side, 3)).astype("float32")
    mine, yours = outputs(ours, x), outputs(theirs, x)
    assert abs(yours[0] - yours[1]).max() > 0.01 * abs(yours).max()
    np.testing.assert_allclose(mine, yours, rtol=1e-4, atol=1e-4 * abs(yours).max())


def test_the_layers_within_are_files_of_keras(rng):
    from keraunos.applications.convnext import LayerScale
    from keraunos.applications.inception_resnet_v2 import CustomScaleLayer

    x = rng.normal(size=(2, 3)).astype("float32")
    for layer, inputs in ((LayerScale(0.5, 3), x), (CustomScaleLayer(0.25), [x, 2 * x])):
        theirs = keras.saving.deserialize_keras_object(
            keraunos.saving.serialize_keras_object(layer)
        )
        np.testing.assert_allclose(layer(inputs), theirs(inputs), rtol=1e-6)
        again = keraunos.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(theirs)
        )
        np.testing.assert_allclose(again(inputs), theirs(inputs), rtol=1e-6)


# Arguments ------------------------------------------------------------------------------

NAMES = sorted(name for name in dir(keras.applications) if name[0].isupper())
MODULES = sorted(name for name in dir(keras.applications) if name[0].islower())


@pytest.mark.parametrize("name", NAMES)
def test_same_signature(name):
    plain = lambda f: [(p.name, p.default) for p in inspect.signature(f).parameters.values()]
    build = getattr(applications, name)
    assert plain(build) == plain(getattr(keras.applications, name))
    assert build.__name__ == name and "include_top" in build.__doc__


@pytest.mark.parametrize("name", MODULES)
def test_same_modules(name):
    mine, yours = getattr(applications, name), getattr(keras.applications, name)
    assert {n for n in dir(yours) if not n.startswith("_")} <= set(dir(mine))
    for public in set(NAMES) & set(dir(yours)):
        assert getattr(mine, public) is getattr(applications, public)


def test_old_modules():
    from keraunos.legacy import modules

    assert modules.load("applications.resnetv2").ResNet50V2 is applications.ResNet50V2
    assert modules.load("applications.mobilenetv2").MobileNetV2 is applications.MobileNetV2


def test_an_input_tensor(empty):
    image = keraunos.Input((40, 36, 3), name="image")
    scaled = keraunos.layers.Activation("tanh")(image)
    model = applications.MobileNet(weights=None, include_top=False, input_tensor=scaled, alpha=0.25)
    assert [layer.name for layer in model.layers[:3]] == ["image", "activation", "conv1"]
    assert model.output_shape == (None, 1, 1, 256) and model.name == "mobilenet_0.25_None"


SMALL = {"weights": None, "alpha": 0.25}
MISTAKES = {
    "no file": (
        lambda: applications.VGG16(weights="nix.h5"),
        "VGG16 needs None (random), 'imagenet' or the path of a file for `weights`, got 'nix.h5'; "
        "there is no such file.",
    ),
    "classes": (
        lambda: applications.ResNet50(classes=10),
        "ResNet50: the pretrained top has 1000 classes, got classes=10. Pass `weights=None`, or "
        "`include_top=False` and add a top of your own.",
    ),
    "activation": (
        lambda: applications.ResNet50(classifier_activation="relu"),
        "ResNet50: the pretrained top needs 'softmax' or None for `classifier_activation`, got "
        "'relu'.",
    ),
    "rank": (
        lambda: applications.MobileNet(**SMALL, input_shape=(32, 32)),
        "MobileNet needs three sizes for `input_shape`, got (32, 32).",
    ),
    "pretrained size": (
        lambda: applications.Xception(input_shape=(96, 96, 3)),
        "Xception: pretrained weights that depend on the size of images need `input_shape` "
        "(299, 299, 3), got (96, 96, 3). Without top, most models take other sizes.",
    ),
    "pretrained channels": (
        lambda: applications.DenseNet121(include_top=False, input_shape=(96, 96, 1)),
        "DenseNet121: pretrained weights need 3 channels, got `input_shape` (96, 96, 1).",
    ),
    "too small": (
        lambda: applications.InceptionV3(weights=None, input_shape=(74, 80, 3)),
        "InceptionV3 needs images of at least 75x75, got `input_shape` (74, 80, 3).",
    ),
    "unknown size": (
        lambda: applications.VGG19(weights=None, input_shape=(None, None, 3)),
        "VGG19 needs to know the size of the images, got `input_shape` (None, None, 3). Without "
        "top, most models do not.",
    ),
    "a tensor": (
        lambda: applications.MobileNet(**SMALL, input_tensor=np.zeros((1, 32, 32, 3))),
        "MobileNet needs a symbolic tensor for `input_tensor`, got <class 'numpy.ndarray'>. Call "
        "the model on data once it is made.",
    ),
    "alpha": (
        lambda: applications.MobileNetV3Small(minimalistic=True, alpha=0.75),
        "MobileNetV3Small: there are pretrained weights for `alpha` 1.0, got 0.75. Pass "
        "`weights=None` for others.",
    ),
    "depth": (
        lambda: applications.MobileNet(depth_multiplier=2),
        "MobileNet: there are pretrained weights for `depth_multiplier` 1, got 2. Pass "
        "`weights=None` for others.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    call, message = MISTAKES[mistake]
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message


def test_channels_first_is_refused_where_keras_does():
    keraunos.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="NASNetMobile needs images with channels last"):
            applications.NASNetMobile(weights=None)
    finally:
        keraunos.config.set_image_data_format("channels_last")


def test_other_channels_are_warned_of(empty):
    with pytest.warns(UserWarning, match="MobileNet was made for 1 or 3 channels, got 4") as caught:
        applications.MobileNet(**SMALL, include_top=False, input_shape=(32, 32, 4))
    assert caught[0].filename == __file__


def test_seeds_are_drawn_for_each_model():
    from keraunos.applications import efficientnet

    scores, x = efficientnet.top(0.5), keraunos.KerasTensor((None, 2, 2, 4))
    first, second = (scores(x, 3, None).node.operation.kernel.numpy() for _ in range(2))
    assert not np.array_equal(first, second)
