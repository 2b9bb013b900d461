"""Pretrained weights, names of classes and images: what is fetched, and what is made of it."""

import functools
import hashlib
import http.server
import json
import threading

import keras
import numpy as np
import pytest

import keraunos
from keraunos import applications
from keraunos.applications import files, imagenet_utils


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that is served in place of Keras's; and the paths that were asked for."""
    root, asked = tmp_path / "site", []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path.lstrip("/"))

    root.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(root))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(files, "BASE", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    keraunos.utils.disable_interactive_logging()
    yield root, asked
    keraunos.utils.enable_interactive_logging()
    server.shutdown()
    server.server_close()


def put(root, path, content):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)


def test_pretrained_weights(site, empty, tmp_path):
    root, asked = site
    given = {"alpha": 0.25, "include_top": False, "input_shape": (32, 32, 3)}
    theirs = keras.applications.MobileNet(weights=None, **given)
    for variable in theirs.weights:
        variable.assign(np.random.normal(size=variable.shape))
    theirs.save(tmp_path / "a.h5")
    path = "tensorflow/keras-applications/mobilenet/mobilenet_2_5_224_tf_no_top.h5"
    put(root, path, (tmp_path / "a.h5").read_bytes())
    for _ in range(2):
        with pytest.warns(UserWarning, match="those for 224 are loaded") as caught:
            ours = applications.MobileNet(**given)
        assert caught[0].filename == __file__
        for a, b in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert len(asked) == 1 and path in asked[0]
    assert (tmp_path / "home/models/mobilenet_2_5_224_tf_no_top.h5").is_file()


def test_a_damaged_file_is_refused(site, empty, tmp_path):
    path = "tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    put(site[0], path, b"abc")
    with pytest.raises(ValueError, match="6d6bbae143d832006294945121d1f1fc"):
        applications.VGG16(include_top=False)
    assert not list((tmp_path / "home/models").iterdir())


def test_weights_of_another_shape_are_refused(site, empty, tmp_path):
    other = applications.MobileNet(weights=None, alpha=0.5, include_top=False)
    other.save_weights(tmp_path / "a.weights.h5")
    path = "tensorflow/keras-applications/mobilenet/mobilenet_2_5_160_tf_no_top.h5"
    put(site[0], path, (tmp_path / "a.weights.h5").read_bytes())
    with pytest.raises(ValueError, match="Nothing was loaded"):
        applications.MobileNet(alpha=0.25, include_top=False, input_shape=(160, 160, 3))


# Where Keras's own constructors look for weights: the arguments, and the path below BASE.
FOLDER = "tensorflow/keras-applications/"
ADDRESSES = [
    ("ResNet152", {}, f"{FOLDER}resnet/resnet152{files.KERNELS}.h5"),
    ("ResNet50V2", {"include_top": False}, f"{FOLDER}resnet/resnet50v2{files.KERNELS}_notop.h5"),
    ("VGG19", {}, f"{FOLDER}vgg19/vgg19{files.KERNELS}.h5"),
    ("DenseNet201", {}, f"{FOLDER}densenet/densenet201{files.KERNELS}.h5"),
    ("InceptionV3", {}, f"{FOLDER}inception_v3/inception_v3{files.KERNELS}.h5"),
    ("Xception", {}, f"{FOLDER}xception/xception{files.KERNELS}.h5"),
    ("NASNetLarge", {"include_top": False}, f"{FOLDER}nasnet/NASNet-large-no-top.h5"),
    ("EfficientNetB3", {}, "keras-applications/efficientnetb3.h5"),
    ("EfficientNetV2S", {}, f"{FOLDER}efficientnet_v2/efficientnetv2-s.h5"),
    ("ConvNeXtXLarge", {"include_top": False}, f"{FOLDER}convnext/convnext_xlarge_notop.h5"),
    (
        "MobileNet",
        {"alpha": 0.75, "input_shape": (128, 128, 3)},
        f"{FOLDER}mobilenet/mobilenet_7_5_128_tf.h5",
    ),
    (
        "MobileNetV2",
        {"alpha": 1.3, "input_shape": (224, 224, 3)},
        f"{FOLDER}mobilenet_v2/mobilenet_v2{files.KERNELS}_1.3_224.h5",
    ),
    (
        "MobileNetV3Large",
        {"minimalistic": True, "include_top": False, "input_shape": (224, 224, 3)},
        f"{FOLDER}mobilenet_v3/weights_mobilenet_v3_large_minimalistic_224_1.0_float_no_top_v2.h5",
    ),
]


@pytest.mark.parametrize(("name", "given", "path"), ADDRESSES, ids=lambda value: str(value)[:60])
def test_addresses_of_weights(name, given, path, monkeypatch):
    asked = {}
    monkeypatch.setattr(files, "get_file", lambda name, origin, **how: asked.update(how, at=origin))
    parts = getattr(applications, name).__wrapped__(**given)
    file = parts.file if isinstance(parts.file, str) else parts.file(given["input_shape"])
    files.weights(file, given.get("include_top", True), parts.no_top)
    assert asked["at"] == files.BASE + path and asked["cache_subdir"] == "models"
    assert bool(asked["file_hash"]) == (name not in ("MobileNet", "MobileNetV2"))


def test_every_model_has_checksums():
    table = files._table()
    assert len(table) == 42 and len({s for pair in table.values() for s in pair}) == 84
    assert {len(s) for pair in table.values() for s in pair} == {32, 64}


# Names of classes -----------------------------------------------------------------------


def test_decode_predictions(site, tmp_path, monkeypatch):
    root, asked = site
    content = json.dumps({str(i): [f"n{i:08}", f"thing_{i}"] for i in range(1000)}).encode()
    path, _ = files.CLASSES
    monkeypatch.setattr(files, "CLASSES", (path, hashlib.md5(content).hexdigest()))
    put(root, path, content)
    scores = np.zeros((2, 1000), "float32")
    scores[0, [7, 5, 900]] = 0.1, 0.6, 0.3
    scores[1, 3] = 1.0
    found = applications.resnet50.decode_predictions(scores, top=3)
    assert found[0] == [
        ("n00000005", "thing_5", np.float32(0.6)),
        ("n00000900", "thing_900", np.float32(0.3)),
        ("n00000007", "thing_7", np.float32(0.1)),
    ]
    assert [len(row) for row in found] == [3, 3] and found[1][0][1] == "thing_3"
    assert len(imagenet_utils.decode_predictions(keraunos.ops.convert_to_tensor(scores))[0]) == 5
    assert len(asked) == 1


@pytest.mark.parametrize("shape", [(1, 10), (1000,)])
def test_decode_predictions_of_other_shapes(shape):
    message = r"1000 classes of ImageNet in an array of shape \(batch, 1000\), got one of shape"
    with pytest.raises(ValueError, match=message):
        imagenet_utils.decode_predictions(np.zeros(shape))


# Images ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
@pytest.mark.parametrize("data_format", [None, "channels_first"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_preprocess_input(mode, data_format, batch, rng):
    shape = (4, 5, 3) if data_format is None else (3, 4, 5)
    for dtype in ("float32", "float64", "uint8"):
        x = rng.uniform(0, 255, (*batch, *shape)).astype(dtype)
        before = x.copy()
        ours = imagenet_utils.preprocess_input(x, data_format, mode)
        theirs = keras.applications.imagenet_utils.preprocess_input(x.copy(), data_format, mode)
        np.testing.assert_array_equal(x, before)
        assert type(ours) is np.ndarray and ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
        tensor = imagenet_utils.preprocess_input(keraunos.ops.array(x), data_format, mode)
        np.testing.assert_allclose(tensor, theirs, rtol=1e-4, atol=1e-3)
        symbol = keraunos.KerasTensor((None, *shape), dtype if dtype != "float64" else "float32")
        symbolic = imagenet_utils.preprocess_input(symbol, data_format, mode)
        assert symbolic.shape == (None, *shape) and symbolic.dtype == "float32"


@pytest.mark.parametrize("name", sorted(n for n in dir(keras.applications) if n[0].islower()))
def test_preprocess_input_of_each_module(name, rng):
    x = rng.uniform(0, 255, (1, 2, 2, 3)).astype("float32")
    ours = getattr(applications, name).preprocess_input(x)
    theirs = getattr(keras.applications, name).preprocess_input(x.copy())
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_an_unknown_mode():
    with pytest.raises(ValueError, match="`mode` must be 'caffe', 'tf' or 'torch', got 'x'"):
        imagenet_utils.preprocess_input(np.zeros((1, 1, 3)), mode="x")


def test_pretrained_efficientnet_scales_once_more(empty, tmp_path, monkeypatch):
    path = tmp_path / "a.weights.h5"
    applications.EfficientNetB0(weights=None, include_top=False).save_weights(path)
    monkeypatch.setattr(files, "weights", lambda *args: path)
    model = applications.EfficientNetB0(include_top=False)
    kinds = [type(layer).__name__ for layer in model.layers[1:4]]
    assert kinds == ["Rescaling", "Normalization", "Rescaling"]
    scale = [2.0896918976428642, 2.1128856368212916, 2.1081851067789197]  # as Keras's has
    assert model.layers[3].scale == scale
