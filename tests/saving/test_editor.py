"""Files of weights, looked into and changed, beside the oracle."""

import keras
import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.saving import KerasFileEditor


def model(*units):
    dense = [layers.Dense(n) for n in units]
    return keraunos.Sequential([keraunos.Input((3,)), *dense])


@pytest.fixture
def path(tmp_path):
    saved = model(2, 2)
    saved.compile("sgd", "mse")
    saved.fit(np.ones((2, 3)), np.ones((2, 2)), verbose=0)
    saved.save(tmp_path / "model.keras")
    saved.save_weights(tmp_path / "model.weights.h5")
    return tmp_path / "model.keras"


@pytest.fixture
def editor(path):
    return KerasFileEditor(path)


def test_it_says_what_the_oracle_says(path, capsys):
    KerasFileEditor(str(path)).summary()
    ours = capsys.readouterr().out
    keras.saving.KerasFileEditor(str(path)).summary()
    theirs = capsys.readouterr().out
    assert "".join(ours.split()) == "".join(theirs.split())  # it folds lines at some width


@pytest.mark.parametrize("units, count", [((2, 2), 0), ((2, 4), 3), ((2, 2, 1), 2), ((2,), 2)])
def test_comparison(path, units, count):
    ours = KerasFileEditor(path).compare(model(*units))
    theirs = keras.saving.KerasFileEditor(str(path)).compare(
        keras.Sequential([keras.Input((3,)), *(keras.layers.Dense(n) for n in units)])
    )
    ours.pop("match_count"), theirs.pop("match_count")  # the oracle counts most twice
    assert ours == theirs
    assert ours["error_count"] == count + (count == 0)  # the file has an optimizer too


def test_both_kinds_of_file_hold_the_same(path, editor):
    other = KerasFileEditor(path.with_name("model.weights.h5"))
    assert other.metadata is None and editor.metadata["keras_version"]
    for name in ("dense", "dense_1"):
        for key in "01":
            one, two = (e.weights_dict["layers"][name][key] for e in (editor, other))
            assert np.array_equal(one, two)


def test_an_edited_file_fits_another_model(editor, tmp_path):
    kernel, bias = np.ones((2, 4), "float32"), np.zeros(4, "float32")
    editor.rename_object("dense_1", "old")
    editor.add_object("layers/dense_1", {"0": kernel})
    editor.add_weights("layers/dense_1", {"1": bias, "2": bias})
    editor.delete_weight("dense_1", "2")
    editor.delete_object("old")
    editor.delete_object("optimizer")
    for save in (editor.save, editor.resave_weights):
        save(tmp_path / "new.weights.h5")
    for lib, made in (
        (keraunos, model(2, 4)),
        (
            keras,
            keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(4)]),
        ),
    ):
        made.load_weights(tmp_path / "new.weights.h5")
        assert np.array_equal(made.get_weights()[2], kernel), lib
    assert editor.compare(model(2, 4))["status"] == "success"


@pytest.mark.parametrize(
    "act, said",
    [
        (lambda e: e.delete_object("dens"), r"no object 'dens'. Did you mean `dense`\?"),
        (lambda e: e.rename_object("layers/none", "a"), "no object 'layers/none'"),
        (lambda e: e.delete_weight("dense", "7"), r"Weight 7 not found in object dense.*'0', '1'"),
        (lambda e: e.add_weights("dense", [1]), r"must be a dict of arrays by name, got \[1\]"),
        (lambda e: e.save("x.h5"), "expected a `.weights.h5` extension"),
        (lambda e: KerasFileEditor("x.h5"), "expected a `.keras` `.weights.h5` extension"),
    ],
)
def test_mistakes(editor, act, said):
    with pytest.raises(ValueError, match=said):
        act(editor)


def test_a_name_that_two_objects_have(editor):
    editor.add_object("other/dense", {"0": np.ones(1)})
    with pytest.raises(ValueError, match=r"2 objects called 'dense'.* Give a path"):
        editor.delete_object("dense")
