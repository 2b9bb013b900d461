"""Files that Keras 1, Keras 2 and tf.keras wrote: `tests/fixtures/make_old_files.py` tells how."""

import functools
import json
import pathlib
import re
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest

import keraunos
from keraunos.models import model_from_json
from keraunos.saving import load_model, old

FOLDER = pathlib.Path(__file__).parent.parent / "fixtures"
KERAS_1, KERAS_2, TF = "keras-1.2.2", "keras-2.3.1", "tf.keras-2.15.0"
VERSIONS = sorted(path.stem for path in FOLDER.glob("*.zip"))


class Scaled(keraunos.layers.Layer):
    def __init__(self, by=2.0, **kwargs):
        super().__init__(**kwargs)
        self.by = by

    def call(self, inputs):
        return inputs * self.by


def double_loss(true, predicted):
    return 2 * keraunos.ops.mean(keraunos.ops.square(true - predicted), axis=-1)


CUSTOM = {"Scaled": Scaled, "double_loss": double_loss}


@pytest.fixture(scope="session")
def opened(tmp_path_factory):
    """A function from a version to the folder of its files, and their data."""

    @functools.cache
    def opened(version):
        folder = tmp_path_factory.mktemp("old")
        with zipfile.ZipFile(FOLDER / f"{version}.zip") as file:
            file.extractall(folder)
        with np.load(folder / "data.npz") as data:
            return folder, dict(data)

    return opened


def listed(data, name, kind):
    found = []
    while f"{name}/{kind}{len(found)}" in data:
        found.append(data[f"{name}/{kind}{len(found)}"])
    return found


def one_or_all(items):
    return items if len(items) > 1 else items[0]


def same(model, data, name, kind="y", tolerance=2e-6):
    x = listed(data, name, "x")
    given = model(one_or_all(x))
    given = given if isinstance(given, (list, tuple)) else [given]
    wanted = listed(data, name, kind)
    assert len(given) == len(wanted) > 0
    for a, b in zip(given, wanted):
        np.testing.assert_allclose(np.asarray(a, "float32"), b, rtol=tolerance, atol=tolerance)


def models():
    for version in VERSIONS:
        with zipfile.ZipFile(FOLDER / f"{version}.zip") as file:
            for name in file.namelist():
                new = version != "keras-2.2.4" or name in ("cells.h5", "functional.h5", "cudnn.h5")
                if name.endswith(".h5") and not re.search("_weights|code", name) and new:
                    yield version, name.removesuffix(".h5")


@pytest.mark.parametrize(("version", "name"), list(models()))
def test_whole_models_predict_what_they_did(version, name, opened):
    folder, data = opened(version)
    with warnings.catch_warnings():
        if version == KERAS_1:
            warnings.filterwarnings("ignore", "The state of the optimizer was not loaded")
        model = load_model(folder / f"{name}.h5", custom_objects=CUSTOM)
    low = name == "mixed" and version != "tf.keras-2.4.0"  # in bfloat16
    same(model, data, name, tolerance=1e-2 if low else 2e-6)
    assert model.compiled == (f"{name}/loss" in data)


TRAINED = [  # where no batch is normalized, and the rule of the optimizer is today's
    (TF, "recurrent"), (TF, "by_class"), (TF, "modern"), (TF, "cells"), ("tf.keras-2.4.0", "cells"),
    ("tf.keras-2.4.0", "by_class"), ("keras-2.2.4", "cells"),
    *((version, "custom") for version in (KERAS_1, KERAS_2, TF)),
]  # fmt: skip


@pytest.mark.parametrize(("version", "name"), TRAINED)
def test_training_goes_on_where_it_was(version, name, opened):
    folder, data = opened(version)
    model = load_model(folder / f"{name}.h5", custom_objects=CUSTOM)
    before = int(model.optimizer.iterations)
    y = one_or_all(listed(data, name, "target"))
    loss = model.train_on_batch(one_or_all(listed(data, name, "x")), y)
    np.testing.assert_allclose(np.ravel(loss)[0], data[f"{name}/loss"], rtol=1e-5)
    assert int(model.optimizer.iterations) == before + 1
    same(model, data, name, "after", tolerance=2e-5)


@pytest.mark.parametrize(
    ("version", "first"), [("keras-2.0.8", 0), (KERAS_2, 1), ("tf.keras-2.4.0", 1)]
)
def test_the_state_of_an_optimizer_is_that_of_the_file(version, first, opened):
    folder, _ = opened(version)
    model = load_model(folder / "recurrent.h5")
    with h5py.File(folder / "recurrent.h5") as file:
        group = file["optimizer_weights"]
        arrays = [np.asarray(group[name]) for name in group.attrs["weight_names"]][first:]
    slots = [v for v in model.optimizer.variables if "velocity" in v.name]
    assert len(slots) == len(arrays) == len(model.trainable_variables)
    assert all(np.array_equal(slot.value, array) for slot, array in zip(slots, arrays))


@pytest.mark.parametrize("version", [KERAS_1, KERAS_2, TF])
@pytest.mark.parametrize("by_name", [False, True])
def test_weights_alone(version, by_name, opened):
    folder, data = opened(version)
    for name in ("functional", "recurrent"):
        model = model_from(folder, name)
        model.load_weights(folder / f"{name}_weights.h5", by_name=by_name)
        same(model, data, name)


def model_from(folder, name):
    texts = json.loads((folder / "architectures.json").read_text())
    return model_from_json(texts[name], CUSTOM)


def test_weights_of_cudnn_go_into_plain_layers(opened):
    folder, data = opened(KERAS_2)
    L = keraunos.layers
    model = keraunos.Sequential(
        [
            L.Input((4, 2)),
            L.LSTM(3, return_sequences=True, name="one"),
            L.GRU(2, go_backwards=True, return_sequences=True, name="two"),
            L.Bidirectional(L.LSTM(2, return_sequences=True), name="three"),
            L.GRU(2, name="four"),
        ]
    )
    for by_name in (False, True):
        for variable in model.variables:
            variable.assign(variable.value * 0)
        model.load_weights(folder / "cudnn_weights.h5", by_name=by_name)
        same(model, data, "cudnn")


def test_what_does_not_fit_is_said_or_skipped(opened):
    folder, _ = opened(KERAS_2)
    make = lambda units: keraunos.Sequential(
        [keraunos.layers.Input((4,)), keraunos.layers.Dense(units, name="dense_1")]
    )
    model = make(3)
    path = folder / "custom_weights.h5"
    with h5py.File(path) as file:
        (name,) = (n for n in file.attrs["layer_names"] if n.startswith(b"dense"))
    model.layers[0].name = name.decode()
    model.load_weights(path, by_name=True)
    other = make(2)
    other.layers[0].name = name.decode()
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"has weights of shapes \[\(4, 2\), \(2,\)\]"):
        other.load_weights(path, by_name=True)
    with pytest.warns(UserWarning, match="was left as it is"):
        other.load_weights(path, by_name=True, skip_mismatch=True)
    assert all(map(np.array_equal, before, other.get_weights()))


@pytest.mark.parametrize("version", VERSIONS)
def test_code_in_a_file_is_never_run(version, opened, monkeypatch):
    folder, _ = opened(version)
    monkeypatch.setattr("marshal.loads", lambda *_: pytest.fail("unmarshalled"))
    for safe_mode in (True, False):
        with pytest.raises(ValueError, match="code of Python, which is never run"):
            load_model(folder / "code.h5", safe_mode=safe_mode)
    model = load_model(folder / "code.h5", custom_objects={"code": lambda x: x * 2})
    plain = keraunos.Model(model.inputs, model.layers[0].output)
    x = np.ones((2, 4), "float32")
    np.testing.assert_allclose(model(x), 2 * np.asarray(plain(x)), rtol=1e-6)


def test_functions_of_tensorflow_that_nobody_knows():
    node = {"class_name": "TFOpLambda", "name": "odd", "inbound_nodes": [["x", 0, 0, {}]]}
    node["config"] = {"name": "odd", "function": "strings.join"}
    config = {"layers": [node], "input_layers": [["x", 0, 0]], "output_layers": [["odd", 0, 0]]}
    with pytest.raises(ValueError, match=r"'odd' of the file calls .*'strings.join'.*TFOpLambda"):
        old.upgraded({"class_name": "Functional", "config": config})


@pytest.mark.parametrize("name", ["convolutional", "cells"])
def test_keras_reads_what_we_write_of_it(name, opened, tmp_path):
    folder, data = opened(TF)
    model = load_model(folder / f"{name}.h5", compile=False)
    model.save(tmp_path / "again.h5")
    theirs = keras.models.load_model(tmp_path / "again.h5", compile=False)
    same(theirs, data, name)


def test_the_old_hard_sigmoid_stays(opened, tmp_path):
    folder, data = opened(KERAS_2)
    model = load_model(folder / "hard.h5")
    model.save(tmp_path / "again.keras")
    same(load_model(tmp_path / "again.keras"), data, "hard")
    np.testing.assert_allclose(
        old.hard_sigmoid_of_keras_2(np.array([-3.0, 0.0, 1.0, 3.0])), [0.0, 0.5, 0.7, 1.0]
    )


def test_save_format(tmp_path):
    model = keraunos.Sequential([keraunos.layers.Input((2,)), keraunos.layers.Dense(1)])
    model.save(tmp_path / "x", save_format="h5")
    model.save_weights(tmp_path / "w", save_format="h5")
    assert h5py.is_hdf5(tmp_path / "x") and h5py.is_hdf5(tmp_path / "w")
    model.save(tmp_path / "y.keras", save_format="keras")
    assert zipfile.is_zipfile(tmp_path / "y.keras")
    for path in ("x", "y.keras"):
        assert len(load_model(tmp_path / path).layers) == 1
    with pytest.raises(ValueError, match=r"save_format='tf'.*ends in `\.keras`"):
        model.save(tmp_path / "z", save_format="tf")
