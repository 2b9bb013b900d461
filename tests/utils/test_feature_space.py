"""FeatureSpace beside Keras, where that needs no TensorFlow, and by its documentation."""

import copy
import json
import pickle
import warnings

import keras
import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.utils import FeatureSpace
from tests.oracle import close

RAW = {
    "f": [0.0, 0.1, 0.2, 0.3],
    "s": ["zero", "one", "two", "three"],
    "i": [0, 1, 2, 3],
}


def documented() -> FeatureSpace:
    kinds = {"f": "float_normalized", "s": "string_categorical", "i": "integer_categorical"}
    space = FeatureSpace(kinds, crosses=[("s", "i")])
    space.adapt(RAW)
    return space


def test_documented():
    """All features in the order of their names, then the crosses."""
    space = documented()
    out = np.asarray(space(RAW))
    assert out.shape == (4, 1 + 5 + 5 + 32)
    column = np.array(RAW["f"], "float32")
    np.testing.assert_allclose(out[:, 0], (column - column.mean()) / column.std(), 1e-5)
    np.testing.assert_array_equal(out[:, 1:6], np.eye(5)[[4, 3, 2, 1]])
    np.testing.assert_array_equal(out[:, 6:11], np.eye(5)[[1, 4, 2, 3]])
    cross = layers.HashedCrossing(32, output_mode="one_hot")
    np.testing.assert_array_equal(out[:, 11:], cross([[1, 4, 2, 3], [4, 3, 2, 1]]))
    row = space({name: column[1] for name, column in RAW.items()})
    np.testing.assert_allclose(row, out[1], 1e-5)
    assert list(space.preprocessors) == ["f", "s", "i"] and list(space.crossers) == ["s_X_i"]


def test_in_a_model(tmp_path):
    space = documented()
    inputs, encoded = space.get_inputs(), space.get_encoded_features()
    assert encoded.shape == (None, 43) and {t.name for t in inputs.values()} == {"f", "s", "i"}
    encoder = keraunos.Model(inputs, encoded)
    np.testing.assert_allclose(encoder.predict(RAW, verbose=0), space(RAW), 1e-5)
    model = keraunos.Model(inputs, layers.Dense(1)(encoded))
    model.compile("sgd", "mse")
    model.fit(RAW, np.zeros(4), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keraunos.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(RAW, verbose=0), model.predict(RAW, verbose=0))


def test_copies(tmp_path):
    space = documented()
    space.save(tmp_path / "space.keras")
    others = [
        keraunos.models.load_model(tmp_path / "space.keras"),
        copy.deepcopy(space),
        pickle.loads(pickle.dumps(space)),
    ]
    for other in others:
        np.testing.assert_array_equal(other(RAW), space(RAW))


def numbers(library):
    """The same space in both libraries, where Keras does without TensorFlow."""
    kinds = library.utils.FeatureSpace
    features = {
        "b": "float_normalized",
        "a": "float",
        "c": kinds.float_normalized("other"),
        "e": kinds.float_rescaled(2.0, 1.0),
        "d": kinds.float_discretized(3),
    }
    return kinds(features)


COLUMNS = {"a": [1.0, 2.0], "b": [1.0, 3.0], "c": [0.5, 0.7], "d": np.arange(10.0), "e": [0.5, 1.0]}
BATCH = {name: np.array([[1.0], [5.0]]) for name in "abcde"}


def test_beside_keras(tmp_path):
    """Numbers, configs and files; Keras's `adapt` needs TensorFlow, ours is loaded there."""
    ours = numbers(keraunos)
    ours.adapt(COLUMNS)
    ours.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    assert json.dumps(ours.get_config()) == json.dumps(theirs.get_config())
    model = keras.Model(theirs.get_inputs(), theirs.get_encoded_features())
    expected = model(dict(sorted(BATCH.items())))
    close(ours(BATCH), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not been built
        theirs.save(tmp_path / "theirs.keras")
    close(keraunos.models.load_model(tmp_path / "theirs.keras")(BATCH), expected)


def test_own_preprocessor():
    """Layers of one's own, bins with given bounds, integers left as they are, a dict."""
    features = {
        "text": FeatureSpace.feature(
            "string", layers.TextVectorization(output_mode="count"), "float"
        ),
        "hash": FeatureSpace.string_hashed(4, output_mode="int"),
        "id": "integer_hashed",
        "bins": FeatureSpace.float_discretized(3, [0.0, 1.0]),
    }
    crosses = [FeatureSpace.cross(("hash", "id"), 5, output_mode="int")]
    space = FeatureSpace(features, "dict", crosses, hashing_dim=6)
    data = {
        "text": ["1st string", "2nd string"],
        "hash": ["a", "b"],
        "id": [1, 2],
        "bins": [0.5, 2],
    }
    space.adapt([data, data])
    found = {name: np.asarray(value) for name, value in space(data).items()}
    assert {name: value.shape for name, value in found.items()} == {
        "bins": (2, 3),
        "hash": (2, 1),
        "id": (2, 6),
        "text": (2, 4),
        "hash_X_id": (2, 1),
    }
    np.testing.assert_array_equal(found["text"], [[0, 1, 0, 1], [0, 1, 1, 0]])
    np.testing.assert_array_equal(found["bins"], [[0, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(found["hash"], layers.Hashing(4)([["a"], ["b"]]))
    single = {name: column[0] for name, column in data.items()}
    assert {name: np.shape(value) for name, value in space(single).items()} == {
        name: value.shape[1:] for name, value in found.items()
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FeatureSpace({}), "needs a dict of features, got {}"),
        (lambda: FeatureSpace({"a": "floaty"}), "got 'floaty'. Did you mean `float`?"),
        (lambda: FeatureSpace({"a": "float"}, "x"), "`output_mode` must be one of concat, dict"),
        (lambda: FeatureSpace({"a": "float"}, crosses=[("a", "z")]), "names 'z', which is no feat"),
        (
            lambda: FeatureSpace.cross(("a", "b"), 3, "x"),
            "`output_mode` must be one of int, one_hot",
        ),
        (
            lambda: FeatureSpace({"a": "float_normalized"}).get_inputs(),
            "call `adapt(dataset)` first",
        ),
        (lambda: FeatureSpace({"a": "float"})({"b": 1}), "needs the feature 'a', which is missing"),
        (
            lambda: FeatureSpace({"a": "float_normalized"}).adapt([({}, 1)]),
            "needs dicts of feature",
        ),
        (
            lambda: FeatureSpace({"a": FeatureSpace.integer_hashed(3, "int")})({"a": [1]}),
            "The feature 'a' is not encoded, it has the dtype int32",
        ),
        (
            lambda: FeatureSpace(
                {"a": FeatureSpace.feature("float32", layers.Identity(), "one_hot")}
            )({"a": [1.0]}),
            "is to be encoded as 'one_hot', but its preprocessor gives float32",
        ),
        (
            lambda: FeatureSpace(
                {"a": FeatureSpace.feature("int32", layers.Identity(), "one_hot")}
            )({"a": [1]}),
            "how many integers Identity may give is not known",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert message in str(error.value)
