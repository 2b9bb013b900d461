"""StringLookup and IntegerLookup: Keras's documented examples, laws, files, errors."""

import json
import zipfile

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

import keraunos
from keraunos import layers
from keraunos.core import registry

ABCD = ["a", "b", "c", "d"]
FOUR = [["a", "c", "d", "d"], ["d", "z", "b", "z"]]
IDF = [0.25, 0.75, 0.6, 0.4]


# The documented examples ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "inputs", "expected"),
    [
        ({}, [["a", "c", "d"], ["d", "z", "b"]], [[1, 3, 4], [4, 0, 2]]),
        ({"num_oov_indices": 2}, [["a", "c", "d"], ["m", "z", "b"]], [[2, 4, 5], [0, 1, 3]]),
        ({"mask_token": "z"}, ["a", "z", "y"], [2, 0, 1]),
        ({"output_mode": "one_hot"}, [*ABCD, "z"], np.eye(5)[[1, 2, 3, 4, 0]]),
        ({"output_mode": "one_hot"}, [["a"], ["z"]], np.eye(5)[[1, 0]]),
        ({"output_mode": "multi_hot"}, FOUR, [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]]),
        ({"output_mode": "count"}, FOUR, [[0, 1, 0, 1, 2], [2, 0, 1, 0, 1]]),
        ({"output_mode": "count", "mask_token": "d"}, FOUR, None),
        (
            {"output_mode": "count", "pad_to_max_tokens": True, "max_tokens": 7},
            FOUR,
            [[0, 1, 0, 1, 2, 0, 0], [2, 0, 1, 0, 1, 0, 0]],
        ),
        (
            {"output_mode": "tf_idf", "idf_weights": IDF},
            FOUR,
            [[0, 0.25, 0, 0.6, 0.8], [1, 0, 0.75, 0, 0.4]],
        ),
    ],
)
def test_strings(options, inputs, expected):
    if expected is None:  # the mask token is not in the vocabulary
        layer = layers.StringLookup(vocabulary=["a", "b", "c"], **options)
        expected = [[0, 1, 0, 1], [2, 0, 1, 0]]
    else:
        layer = layers.StringLookup(vocabulary=ABCD, **options)
    out = layer(inputs)
    assert isinstance(out, jax.Array)
    assert out.dtype == ("int32" if options.get("output_mode", "int") == "int" else "float32")
    np.testing.assert_allclose(out, expected, 1e-6)


def test_weights_of_unknown_tokens():
    layer = layers.StringLookup(output_mode="tf_idf")
    layer.set_vocabulary(["[UNK]", *ABCD], idf_weights=[0.9, *IDF])
    expected = [[0, 0.25, 0, 0.6, 0.8], [1.8, 0, 0.75, 0, 0.4]]
    np.testing.assert_allclose(layer(FOUR), expected, 1e-6)


@pytest.mark.parametrize(
    ("options", "inputs", "expected"),
    [
        ({}, [[12, 1138, 42], [42, 1000, 36]], [[1, 3, 4], [4, 0, 2]]),
        ({"num_oov_indices": 2}, [[12, 1138, 42], [37, 1000, 36]], [[2, 4, 5], [1, 0, 3]]),
        ({"output_mode": "count"}, [[12, 42, 42], [7, 7, 36]], [[0, 1, 0, 0, 2], [2, 0, 1, 0, 0]]),
        ({"mask_token": 0}, [[12, 0, 5]], [[2, 0, 1]]),
        ({"num_oov_indices": 2, "oov_method": "farmhash"}, [[12, 7]], None),
        ({"num_oov_indices": 0}, [[12, 36]], [[0, 1]]),
    ],
)
def test_integers(options, inputs, expected):
    """In Python as in programs."""
    layer = layers.IntegerLookup(vocabulary=[12, 36, 1138, 42], **options)
    if expected is None:
        expected = [[2, layers.Hashing(2)([7])[0]]]
    np.testing.assert_array_equal(layer(inputs), expected)
    np.testing.assert_array_equal(jax.jit(layer)(np.array(inputs, "int32")), expected)


def test_inverse():
    places = [[1, 3, 4], [4, 0, 9]]
    words = layers.StringLookup(vocabulary=ABCD, invert=True)(places)
    assert words.tolist() == [["a", "c", "d"], ["d", "[UNK]", "[UNK]"]]
    layer = layers.IntegerLookup(vocabulary=[12, 36, 1138, 42], invert=True)
    expected = [[12, 1138, 42], [42, -1, -1]]
    np.testing.assert_array_equal(layer(places), expected)
    np.testing.assert_array_equal(jax.jit(layer)(np.array(places)), expected)
    large = layers.IntegerLookup(vocabulary=[2**40], invert=True)([1])
    assert large.tolist() == [2**40]
    assert layers.IntegerLookup(vocabulary=[2**40])([2**40, 5]).tolist() == [1, 0]


# Learning ---------------------------------------------------------------------------------------


def test_adapt():
    data = [["a", "c", "d"], ["d", "z", "b"]]
    layer = layers.StringLookup()
    layer.adapt(data)
    assert layer.get_vocabulary() == ["[UNK]", "d", "z", "c", "b", "a"]
    np.testing.assert_array_equal(layer(data), [[5, 3, 1], [1, 2, 4]])
    few = layers.StringLookup(max_tokens=4, mask_token="")
    few.adapt(np.array([*row, "", "[UNK]"]) for row in [*data, ["x"] * 9])
    assert few.get_vocabulary() == ["", "[UNK]", "x", "d"] and few.vocabulary_size() == 4
    few.adapt((np.array(row) for row in [*data, ["x"] * 9]), steps=1)
    assert few.get_vocabulary(include_special_tokens=False) == ["d", "c"]
    numbers = layers.IntegerLookup()
    numbers.adapt([[7, 7, 3]])
    assert numbers.get_vocabulary() == [-1, 7, 3]


def test_adapt_weights():
    layer = layers.StringLookup(output_mode="tf_idf")
    layer.adapt([["a", "b", "a"], ["a", "c", "c"]])
    assert layer.get_vocabulary() == ["[UNK]", "a", "c", "b"]
    weights = np.log(1 + 2 / (1 + np.array([2, 1, 1])))
    expected = [[weights.mean(), 2 * weights[0], 0, 0]]
    np.testing.assert_allclose(layer([["a", "a", "x"]]), expected, 1e-6)


SOURCES = [
    np.array(["a", "d"]),
    np.array([b"a", b"d"]),
    np.array(["a", "d"], object),
    np.array([b"a", "d"], object),
    np.array(["a", "d"], np.dtypes.StringDType()),
    pd.Series(["a", "d"]),
    pd.Series(["a", "d"], dtype="string"),
    pd.Series(["a", "d"], dtype="category"),
    ("a", b"d"),
]


@pytest.mark.parametrize("data", SOURCES, ids=lambda data: str(getattr(data, "dtype", "tuple")))
def test_kinds_of_strings(data):
    layer = layers.StringLookup(vocabulary=ABCD)
    assert layer(data).tolist() == [1, 4]
    layer.adapt(data)
    assert layer.get_vocabulary() == ["[UNK]", "d", "a"]
    assert layers.StringLookup(vocabulary=data).get_vocabulary() == ["[UNK]", "a", "d"]


def test_encoding():
    layer = layers.StringLookup(vocabulary=["ä"], encoding="latin-1")
    assert layer(np.array(["ä".encode("latin-1")])).tolist() == [1]


# Laws -------------------------------------------------------------------------------------------

words = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=8, unique=True).filter(
    lambda words: "[UNK]" not in words
)


@given(words, st.sampled_from([None, ""]), st.integers(1, 3))
def test_round_trips(vocabulary, mask, oov):
    options = {"mask_token": mask, "num_oov_indices": oov}
    layer = layers.StringLookup(vocabulary=vocabulary, **options)
    other = layers.StringLookup(**options)
    other.set_vocabulary(layer.get_vocabulary())
    assert other.get_vocabulary() == layer.get_vocabulary()
    inverse = layers.StringLookup(vocabulary=vocabulary, invert=True, **options)
    array = np.array(vocabulary, object)
    assert inverse(layer(array)).tolist() == vocabulary
    places = layer(layer.get_vocabulary(include_special_tokens=False))
    assert places.tolist() == list(range(layer.vocabulary_size()))[-len(vocabulary) :]


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=8, unique=True))
def test_integers_round_trip(vocabulary):
    vocabulary = [n for n in vocabulary if n != -1] or [1]
    layer = layers.IntegerLookup(vocabulary=vocabulary)
    inverse = layers.IntegerLookup(vocabulary=vocabulary, invert=True)
    assert inverse(layer(vocabulary)).tolist() == vocabulary


# Files ------------------------------------------------------------------------------------------


DATA = [np.array([["a", "b"], ["b", "x"]]), np.array([[5, 2**40], [5, 7]])]


@pytest.mark.parametrize("mode", ["int", "count", "tf_idf"])
def test_files(mode, tmp_path):
    text, number = keraunos.Input((2,), dtype="string"), keraunos.Input((2,), dtype="int64")
    words = layers.StringLookup(output_mode=mode, mask_token="x", name="words")
    numbers = layers.IntegerLookup(output_mode=mode, name="numbers")
    words.adapt(DATA[0])
    numbers.adapt(DATA[1])
    outputs = keraunos.ops.concatenate([words(text), numbers(number)], axis=1)
    model = keraunos.Model([text, number], outputs)
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        vocabulary = file.read("assets/layers/string_lookup/vocabulary.txt").decode()
        assert vocabulary == "\n".join(words.get_vocabulary())
        assert file.read("assets/layers/integer_lookup/vocabulary.txt").startswith(b"-1\n5\n")
        (config,) = [
            layer["config"]
            for layer in json.loads(file.read("config.json"))["config"]["layers"]
            if layer["name"] == "words"
        ]
        assert config["vocabulary"] is None and config["output_mode"] == mode
    loaded = keraunos.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("words").get_vocabulary() == words.get_vocabulary()
    np.testing.assert_array_equal(loaded(DATA), model(DATA))
    np.testing.assert_array_equal(loaded.predict(DATA, verbose=0), model(DATA))


def test_vocabulary_in_config(tmp_path):
    for options in ({}, {"output_mode": "tf_idf", "idf_weights": IDF}):
        layer = layers.StringLookup(vocabulary=ABCD, **options)
        again = layers.deserialize(json.loads(json.dumps(layers.serialize(layer))))
        assert again.get_config() == layer.get_config()
        np.testing.assert_array_equal(again(FOUR), layer(FOUR))
        layer.save_assets(str(tmp_path))
        assert not list(tmp_path.iterdir())


def test_vocabulary_file(tmp_path):
    """A file is read when a user names it; the model's file keeps what it held."""
    path = tmp_path / "words.txt"
    path.write_text("a\nb\nä\n", encoding="utf-8")
    layer = layers.StringLookup(vocabulary=str(path))
    assert layer.get_vocabulary() == ["[UNK]", "a", "b", "ä"]
    assert layer.get_config()["vocabulary"] is None
    model = keraunos.Sequential([keraunos.Input((1,), dtype="string"), layer])
    model.save(tmp_path / "model.keras")
    path.unlink()
    loaded = keraunos.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_vocabulary() == layer.get_vocabulary()
    path.write_text("3\n5")
    numbers = layers.IntegerLookup()
    numbers.set_vocabulary(path)
    assert numbers.get_vocabulary() == [-1, 3, 5]


@pytest.mark.parametrize("name", ["StringLookup", "TextVectorization", "IntegerLookup"])
def test_no_other_file(name, tmp_path):
    """What is loaded may not open a file that its config names."""
    path = tmp_path / "words.txt"
    path.write_text("1\n2")
    cls = getattr(layers, name)
    config = {"module": "keras.layers", "class_name": name, "config": {"vocabulary": str(path)}}
    with pytest.raises(ValueError, match=r"may not open other files.*safe_mode=False"):
        layers.deserialize(config)
    with registry.safe_mode(False):
        assert (
            layers.deserialize(config).vocabulary_size() == cls(vocabulary=path).vocabulary_size()
        )


def test_lines_in_tokens(tmp_path):
    layer = layers.StringLookup()
    layer.adapt(["a\nb"])
    with pytest.raises(ValueError, match="a file has a token in each line"):
        layer.save_assets(str(tmp_path))


# Symbols and errors -----------------------------------------------------------------------------


def test_symbols():
    text = keraunos.Input((3,), dtype="string")
    layer = layers.StringLookup(vocabulary=ABCD, output_mode="count")
    assert (layer(text).shape, layer(text).dtype) == ((None, 5), "float32")
    assert layer.compute_output_shape((None, 7)) == (None, 5)
    assert layers.StringLookup()(text).shape == (None, 3)
    inverse = layers.StringLookup(vocabulary=ABCD, invert=True)
    assert inverse(keraunos.Input((3,), dtype="int32")).dtype == "string"
    assert (layer.compute_dtype, layer.variable_dtype) == ("string", "string")
    assert layers.IntegerLookup().compute_dtype == "int64"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.StringLookup(max_tokens=1), "an integer above 1, or None for `max_tokens`"),
        (lambda: layers.StringLookup(num_oov_indices=-1), "a count for `num_oov_indices`, got -1"),
        (lambda: layers.StringLookup(output_mode="x"), "one of int, one_hot, multi_hot, count, tf"),
        (lambda: layers.StringLookup(invert=True, output_mode="count"), "'int' where `invert` is"),
        (lambda: layers.StringLookup(pad_to_max_tokens=True), "an integer to pad to for `max_tok"),
        (lambda: layers.StringLookup(sparse=True), "gives dense tensors only: `sparse=True`"),
        (lambda: layers.StringLookup(idf_weights=[1]), "needs a `vocabulary` for `idf_weights`"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), "got tokens more than once: ['a']"),
        (lambda: layers.StringLookup(vocabulary=["b", "[UNK]"]), "reserves '[UNK]', which is in"),
        (lambda: layers.StringLookup(vocabulary=[]), "needs at least one token"),
        (lambda: layers.StringLookup(2, vocabulary=ABCD), "has room for 1 tokens (`max_tokens=2`"),
        (lambda: layers.StringLookup(vocabulary=ABCD, idf_weights=IDF), "None in the mode 'int'"),
        (
            lambda: layers.StringLookup(vocabulary=ABCD, output_mode="tf_idf"),
            "needs weights in the mode 'tf_idf' for `idf_weights`, got None",
        ),
        (
            lambda: layers.StringLookup(vocabulary=["a"], idf_weights=IDF, output_mode="tf_idf"),
            "got 4 `idf_weights` for 1 tokens",
        ),
        (lambda: layers.StringLookup()(["a"]), "has no vocabulary yet: call `adapt(data)` or"),
        (lambda: layers.StringLookup(vocabulary=ABCD)([1]), "needs strings, got int64."),
        (lambda: layers.StringLookup(vocabulary=ABCD)([None, "a"]), "among them is None. Fill in"),
        (
            lambda: layers.StringLookup(vocabulary=ABCD, num_oov_indices=0)(["x"]),
            "outside of its vocabulary, got ['x']. `num_oov_indices=1` makes one.",
        ),
        (
            lambda: jax.jit(layers.StringLookup(vocabulary=ABCD, invert=True))(np.array([1])),
            "gives strings, which no compiled program can",
        ),
        (
            lambda: jax.jit(layers.StringLookup(vocabulary=ABCD))(np.array([1])),
            "Strings never enter a compiled program: call the layer on the data before",
        ),
        (lambda: layers.IntegerLookup(vocabulary=[1.5]), "needs integers, got float64"),
        (lambda: layers.IntegerLookup(vocabulary_dtype="int32"), "one of int64 for `vocabulary_d"),
        (lambda: layers.IntegerLookup(oov_method="x"), "one of floormod, farmhash for"),
        (
            lambda: layers.StringLookup(output_mode="count")(keraunos.Input((1,), dtype="string")),
            "has no vocabulary yet",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert message in str(error.value)
