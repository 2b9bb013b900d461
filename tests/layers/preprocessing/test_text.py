"""TextVectorization: Keras's documented examples, every option, files, errors."""

import json
import string
import zipfile

import numpy as np
import pytest
from hypothesis import given, strategies as st

import keraunos
from keraunos import layers
from keraunos.saving import register_keras_serializable


def test_documented():
    layer = layers.TextVectorization(max_tokens=5000, output_mode="int", output_sequence_length=4)
    layer.adapt(["foo bar", "bar baz", "baz bada boom"])
    out = layer([["foo qux bar"], ["qux baz"]])
    assert out.dtype == "int32" and out.tolist() == [[4, 1, 3, 0], [1, 2, 0, 0]]
    layer = layers.TextVectorization(vocabulary=["earth", "wind", "and", "fire"])
    assert layer.get_vocabulary() == ["", "[UNK]", "earth", "wind", "and", "fire"]
    assert layer.get_vocabulary(include_special_tokens=False) == ["earth", "wind", "and", "fire"]
    assert layer.vocabulary_size() == 6


@register_keras_serializable("tests")
def upper(texts):
    return np.strings.upper(texts)


@register_keras_serializable("tests")
def by_dashes(texts):
    return [text.split("-") for text in texts.tolist()]


@pytest.mark.parametrize(
    ("options", "texts", "vocabulary", "expected"),
    [
        ({}, ["It's a B!", "a"], ["b", "a", "its"], [[4, 3, 2], [3, 0, 0]]),
        ({"standardize": "lower"}, ["A, b", "a,"], ["a,", "b"], [[2, 3], [2, 0]]),
        ({"standardize": "strip_punctuation"}, ["A, a"], ["a", "A"], [[3, 2]]),
        ({"standardize": None}, ["A, a"], ["a", "A,"], [[3, 2]]),
        ({"standardize": upper}, ["a b", "é"], ["A", "É"], [[2, 1], [3, 0]]),
        ({"split": "character"}, ["ab c"], ["a", "b", "c", " "], [[2, 3, 5, 4]]),
        ({"split": by_dashes, "standardize": None}, ["a-b", "b"], ["b", "a"], [[3, 2], [2, 0]]),
        ({"split": None}, [["a b", "c"]], ["a b", "c"], [[2, 3]]),
        ({"split": None}, ["a b", "c"], ["a b", "c"], [[2], [3]]),
        ({"split": None, "output_sequence_length": 1}, [["c", "d"]], ["c"], [[2]]),
        ({"ngrams": 2}, ["a b c"], ["a", "a b", "b c"], [[2, 1, 1, 3, 4]]),
        ({"ngrams": (2, 3)}, ["a b c"], ["a b", "a b c"], [[2, 1, 3]]),
        ({"output_sequence_length": 2}, ["a b c", "c"], ["a", "b"], [[2, 3], [1, 0]]),
        ({"output_sequence_length": 4}, ["a b"], ["a", "b"], [[2, 3, 0, 0]]),
        ({}, ["", " "], ["a"], [[], []]),
        ({}, "b a", ["a", "b"], [3, 2]),
        ({}, ["a\0b", "b"], ["b", "a\0b"], [[3], [2]]),
        ({"output_mode": "multi_hot"}, ["a a x", ""], ["a", "b"], [[1, 1, 0], [0, 0, 0]]),
        ({"output_mode": "count"}, ["a a x", "b"], ["a", "b"], [[1, 2, 0], [0, 0, 1]]),
        (
            {"output_mode": "count", "pad_to_max_tokens": True, "max_tokens": 5},
            ["a a x"],
            ["a", "b"],
            [[1, 2, 0, 0, 0]],
        ),
        (
            {"output_mode": "tf_idf", "idf_weights": [0.5, 1.5]},
            ["a a x"],
            ["a", "b"],
            [[1, 1, 0]],
        ),
    ],
)
def test_options(options, texts, vocabulary, expected):
    layer = layers.TextVectorization(vocabulary=vocabulary, **options)
    np.testing.assert_allclose(layer(texts), expected, 1e-6)
    again = layers.deserialize(json.loads(json.dumps(layers.serialize(layer))))
    assert json.dumps(again.get_config()) == json.dumps(layer.get_config())
    np.testing.assert_array_equal(again(texts), layer(texts))
    if isinstance(texts, list) and np.ndim(texts) == 1 and layer.split is not None:
        np.testing.assert_array_equal(layer(np.array(texts, object)[:, None]), layer(texts))


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=6))
def test_as_by_hand(texts):
    """Joined to one, texts give what each does alone by Python's own methods."""
    layer = layers.TextVectorization(vocabulary=["a"])
    tokens, lengths, _ = layer._read_texts(np.array(texts, object))
    none = dict.fromkeys(map(ord, string.punctuation))
    rows = [text.lower().translate(none).split() for text in texts]
    assert (tokens, lengths) == ([token for row in rows for token in row], list(map(len, rows)))


def test_adapt():
    texts = np.array(["b a b", "c", "a [UNK]"])
    layer = layers.TextVectorization(standardize=None)
    layer.adapt(texts)
    assert layer.get_vocabulary() == ["", "[UNK]", "b", "a", "c"]
    layer.adapt((texts[i : i + 1] for i in range(3)), steps=1, batch_size=7)
    assert layer.get_vocabulary() == ["", "[UNK]", "b", "a"]
    layer.adapt(texts[:, None].tolist())
    assert layer.vocabulary_size() == 5
    few = layers.TextVectorization(max_tokens=3)
    few.adapt(texts)
    assert few.get_vocabulary() == ["", "[UNK]", "b"]
    weighted = layers.TextVectorization(output_mode="tf_idf", standardize=None)
    weighted.adapt(texts)
    idf = np.log(1 + 3 / (1 + np.array([1, 2, 1])))
    np.testing.assert_allclose(weighted(["b b a"])[0], [0, 2 * idf[0], idf[1], 0], 1e-6)


@pytest.mark.parametrize("mode", ["int", "count", "tf_idf"])
def test_files(mode, tmp_path):
    layer = layers.TextVectorization(output_mode=mode, standardize=upper)
    layer.adapt(["some words", "more words"])
    model = keraunos.Sequential([keraunos.Input((1,), dtype="string"), layer])
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        text = file.read("assets/layers/text_vectorization/vocabulary.txt").decode()
    assert text == "\n".join(layer.get_vocabulary())
    loaded = keraunos.models.load_model(tmp_path / "model.keras")
    texts = np.array(["more some", "new words"])
    assert loaded.layers[0].get_vocabulary() == layer.get_vocabulary()
    np.testing.assert_array_equal(loaded(texts), model(texts))


def test_symbols():
    text = keraunos.Input((1,), dtype="string")
    known = {"vocabulary": ["a", "b"]}
    for options, shape in (
        ({}, (None, None)),
        ({"output_sequence_length": 7}, (None, 7)),
        ({"output_mode": "count"}, (None, 3)),
        ({"split": None}, (None, 1)),
    ):
        layer = layers.TextVectorization(**known, **options)
        assert layer(text).shape == shape and layer.compute_output_shape((None, 1)) == shape
    assert layer.compute_dtype == layer.variable_dtype == "string"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.TextVectorization(standardize="x"), "needs one of lower_and_strip_punct"),
        (
            lambda: layers.TextVectorization(split="x"),
            "one of whitespace, character, a function, o",
        ),
        (
            lambda: layers.TextVectorization(ngrams=0),
            "needs a positive integer, or a tuple of them",
        ),
        (lambda: layers.TextVectorization(output_mode="x"), "one of int, multi_hot, count, tf_idf"),
        (
            lambda: layers.TextVectorization(output_sequence_length=0),
            "a positive integer for `outp",
        ),
        (lambda: layers.TextVectorization(ragged=True), "gives dense tensors only: `ragged=True`"),
        (
            lambda: layers.TextVectorization(output_sequence_length=3, output_mode="count"),
            "needs None in the mode 'count' for `output_sequence_length`, got 3",
        ),
        (lambda: layers.TextVectorization()(["a"]), "has no vocabulary yet"),
        (
            lambda: layers.TextVectorization(vocabulary=["a"])([["a", "b"]]),
            "splits texts in an array of shape (batch,) or (batch, 1), got one of shape (1, 2)",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert message in str(error.value)
