"""Our files open in Keras and Keras's here: same outputs, same optimizer, same paths."""

import io
import json
import zipfile

import h5py
import jax
import keras
import numpy as np
import pytest

import keraunos
from keraunos.core import naming
from tests.saving import models
from tests.saving.models import MODELS, inputs, targets

BOTH = [(keraunos, keras), (keras, keraunos)]
by_library = pytest.mark.parametrize(
    ("writer", "reader"), BOTH, ids=["ours to theirs", "theirs to ours"]
)


def made(make, library, **options):
    """A compiled model whose variables, and those of its optimizer, are all different."""
    naming.reset()
    keras.utils.clear_session()
    if make is models.subclassed:  # both libraries know the class when a file names it
        make(keraunos if library is keras else keras)
    model = make(library)
    options = {"loss": library.losses.MeanSquaredError(), **options}
    model.compile(library.optimizers.Adam(0.01), **options)
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(3)
    for variable in [*model.variables, *model.optimizer.variables[2:]]:
        if "float" in str(variable.dtype):
            variable.assign(rng.uniform(0.1, 0.9, variable.shape))
    model.optimizer.variables[0].assign(7)
    return model


def same(one, other):
    x = inputs(one)
    one_is, other_is = jax.tree.leaves(one(x)), jax.tree.leaves(other(x))
    assert len(one_is) == len(other_is) > 0
    for a, b in zip(one_is, other_is):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def same_optimizer(one, other):
    ours, theirs = one.optimizer.variables, other.optimizer.variables
    assert type(one.optimizer).__name__ == type(other.optimizer).__name__
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert np.array_equal(np.array(a.value), np.array(b.value))


def contents(file):
    found = {}
    with h5py.File(file) as opened:
        opened.visititems(lambda name, item: found.update({name: getattr(item, "shape", None)}))
    return found


@by_library
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_a_model_is_the_same_in_both_libraries(make, writer, reader, tmp_path):
    path = tmp_path / "model.keras"
    model = made(make, writer)
    model.save(path)
    again = reader.saving.load_model(path)
    same(model, again)
    same_optimizer(model, again)
    assert again.compiled and type(again).__name__ == type(model).__name__


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_files_have_the_paths_of_keras(make, tmp_path):
    listed, configs = [], []
    for library in (keraunos, keras):
        made(make, library).save(tmp_path / "model.keras")
        with zipfile.ZipFile(tmp_path / "model.keras") as file:
            assert file.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
            metadata = json.loads(file.read("metadata.json"))
            assert metadata.keys() == {"keras_version", "date_saved"}
            assert metadata["keras_version"] == keras.__version__
            configs.append(json.loads(file.read("config.json")))
            listed.append(contents(io.BytesIO(file.read("model.weights.h5"))))
    assert listed[0] == listed[1]
    for key in ("class_name", "registered_name"):
        assert configs[0][key] == configs[1][key]


@by_library
def test_training_goes_on_where_it_was(writer, reader, tmp_path):
    model = made(models.sequential, writer, loss="mse", metrics=["mae"])
    x = inputs(model)
    y = targets(np.asarray(model(x)))
    model.save(tmp_path / "model.keras")
    again = reader.saving.load_model(tmp_path / "model.keras")
    losses = [m.fit(x, y, epochs=2, verbose=0).history["loss"] for m in (model, again)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@by_library
def test_weights_alone(writer, reader, tmp_path):
    path = tmp_path / "model.weights.h5"
    model, other = made(models.functional, writer), made(models.functional, reader)
    model.optimizer.variables[2].assign(model.optimizer.variables[2].value * 0 + 5)
    for variable in model.variables:
        variable.assign(variable.value / 2)
    model.save_weights(path)
    other.load_weights(path)
    same(model, other)
    same_optimizer(model, other)


@by_library
@pytest.mark.parametrize("make", [models.sequential, models.two_inputs])
def test_files_of_keras_2(make, writer, reader, tmp_path):
    path = tmp_path / "model.h5"
    model = made(make, writer)
    model.save(path)
    again = reader.saving.load_model(path)
    same(model, again)
    if reader is keraunos:  # Keras builds no optimizer here, so that it forgets the slots
        same_optimizer(model, again)


def test_shared_layers_stay_shared(tmp_path):
    L = keraunos.layers
    dense = L.Dense(4)
    x, rows = L.Input((4,)), L.Input((2, 4))
    model = keraunos.Model([x, rows], [dense(x), L.TimeDistributed(dense)(rows)])
    model.save(tmp_path / "model.keras")
    again = keraunos.saving.load_model(tmp_path / "model.keras")
    assert again.layers[-1].layer is again.layers[-2] and len(again.weights) == 2
    theirs = keras.saving.load_model(tmp_path / "model.keras")
    assert theirs.layers[-1].layer is theirs.layers[-2]


def test_a_folder_instead_of_a_file(tmp_path):
    model = made(models.sequential, keraunos)
    for _ in range(2):  # the second time over the first
        model.save(tmp_path / "model", zipped=False)
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "config.json",
        "metadata.json",
        "model.weights.h5",
    ]
    same(model, keraunos.saving.load_model(tmp_path / "model"))


def test_what_load_model_is_told(tmp_path):
    model = made(models.sequential, keraunos)
    model.save(tmp_path / "model.keras")
    again = keraunos.saving.load_model(str(tmp_path / "model.keras"), compile=False)
    assert not again.compiled
    with pytest.raises(ValueError, match=r"File not found: .*In .* there are: model\.keras\."):
        keraunos.saving.load_model(tmp_path / "mode.keras")
    (tmp_path / "torn.keras").write_bytes((tmp_path / "model.keras").read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"torn\.keras is no `\.keras` file, or not all of one"):
        keraunos.saving.load_model(tmp_path / "torn.keras")
    model.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ValueError, match=r"holds weights only\. Make the model first"):
        keraunos.saving.load_model(tmp_path / "w.weights.h5")
    with pytest.raises(ValueError, match=r"ends in `\.keras`.*got '.*model\.tf'"):
        model.save(tmp_path / "model.tf")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        model.save(tmp_path / "nowhere" / "model.keras")


class Doubled(keraunos.layers.Layer):
    def call(self, x):
        return x * 2


def test_classes_and_lambdas_of_users(tmp_path):
    x = keraunos.Input((2,))
    path = tmp_path / "model.keras"
    keraunos.Model(x, Doubled()(x)).save(path)
    said = r"model\.keras cannot be read: .*'Doubled', which is not known here"
    with pytest.raises(keraunos.saving.FileError, match=said):
        keraunos.saving.load_model(path)
    again = keraunos.saving.load_model(path, custom_objects={"Doubled": Doubled})
    assert isinstance(again.layers[-1], Doubled)
    keraunos.Model(x, keraunos.layers.Lambda(lambda t: t * 3)(x)).save(path)
    with pytest.raises(ValueError, match=r"pass `safe_mode=False`"):
        keraunos.saving.load_model(path)
    again = keraunos.saving.load_model(path, safe_mode=False)
    np.testing.assert_allclose(again(np.ones((1, 2))), [[3.0, 3.0]])


def test_an_existing_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    model = made(models.sequential, keraunos)
    model.save(path)
    before = path.read_bytes()
    monkeypatch.setattr("builtins.input", lambda prompt: "n")
    model.save(path, overwrite=False)
    assert path.read_bytes() == before
    broken = made(models.sequential, keraunos)
    monkeypatch.setattr(broken.layers[-1], "save_own_variables", lambda store: 1 / 0, False)
    with pytest.raises(ZeroDivisionError):
        broken.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]
    monkeypatch.setattr("builtins.input", lambda prompt: "y")
    model.save(path, overwrite=False)
    assert path.read_bytes() != b""
