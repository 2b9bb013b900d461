"""Models that begin with strings: these are looked up before the program, everywhere alike."""

import copy
import pickle

import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.models.hosted import Ready

TEXTS = np.array(["good film", "bad film", "good", "bad bad"] * 2, object)
LABELS = np.array([1, 0, 1, 0] * 2)


class Batches(keraunos.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return TEXTS[2 * i : 2 * i + 2], LABELS[2 * i : 2 * i + 2]


def classifier(mode: str, with_input: bool) -> keraunos.Sequential:
    length = 2 if mode == "int" else None
    first = layers.TextVectorization(output_mode=mode, output_sequence_length=length)
    first.adapt(TEXTS)
    middle = [
        layers.Embedding(first.vocabulary_size(), 3, mask_zero=True),
        layers.GlobalAveragePooling1D(),
    ]
    start = [keraunos.Input((1,), dtype="string")] if with_input else []
    last = layers.Dense(1, "sigmoid")
    model = keraunos.Sequential([*start, first, *(middle if mode == "int" else []), last])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("mode", ["int", "tf_idf"])
@pytest.mark.parametrize("with_input", [True, False])
def test_text(mode, with_input, tmp_path):
    """fit, evaluate, predict, train_on_batch, files: on arrays and on batches."""
    model = classifier(mode, with_input)
    head = classifier(mode, True)
    model.fit(TEXTS, LABELS, batch_size=2, shuffle=False, verbose=0, validation_split=0.5)
    head.set_weights(model.get_weights())
    places = head.layers[0](TEXTS)
    by_hand = keraunos.Sequential(head.layers[1:])
    by_hand.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    np.testing.assert_allclose(model.predict(TEXTS, verbose=0), by_hand(places), 1e-5)
    np.testing.assert_allclose(model(TEXTS), by_hand(places), 1e-5)
    assert model.predict(["good", "bad"], verbose=0).shape == (2, 1)
    for each, x in ((model, TEXTS), (by_hand, places)):
        each.fit(x, LABELS, batch_size=2, epochs=2, shuffle=False, verbose=0)
    model.fit(Batches(), verbose=0, shuffle=False)
    by_hand.fit(places, LABELS, batch_size=2, shuffle=False, verbose=0)
    model.fit((Batches()[i] for i in range(1)), verbose=0)
    by_hand.train_on_batch(places[:2], LABELS[:2])
    model.train_on_batch(TEXTS, LABELS)
    by_hand.train_on_batch(places, LABELS)
    for mine, yours in zip(model.weights, by_hand.weights, strict=True):
        np.testing.assert_allclose(mine, yours, 1e-4, 1e-6)
    assert model.evaluate(TEXTS, LABELS, verbose=0) == pytest.approx(
        by_hand.evaluate(places, LABELS, verbose=0), 1e-4
    )
    model.save(tmp_path / "model.keras")
    loaded = keraunos.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(TEXTS, verbose=0), model.predict(TEXTS, verbose=0))


DATA = {"word": ["x", "y", "z"], "id": [2**40, 3, 4], "size": np.array([[1.0, 3.0]] * 3)}


def table() -> tuple[keraunos.Model, keraunos.Model]:
    """A model of lookups, and one that uses it."""
    word = keraunos.Input((1,), dtype="string", name="word")
    number = keraunos.Input((1,), dtype="int64", name="id")
    size = keraunos.Input((2,), name="size")
    hot = {"output_mode": "one_hot"}
    features = [
        layers.StringLookup(vocabulary=["x", "y"], **hot)(word),
        layers.IntegerLookup(vocabulary=[2**40, 3], **hot)(number),
        layers.HashedCrossing(3, **hot)([word, number]),
        layers.Normalization(mean=1.0, variance=4.0)(size),
    ]
    encoder = keraunos.Model([word, number, size], layers.Concatenate()(features))
    outputs = layers.Dense(1)(encoder([word, number, size]))
    return encoder, keraunos.Model({"word": word, "id": number, "size": size}, outputs)


def test_nested():
    """Strings and integers of 64 bits, among others, in a model within a model."""
    encoder, model = table()
    encoded = encoder.predict(DATA, verbose=0)
    np.testing.assert_array_equal(encoded[:, :3], np.eye(3)[[1, 2, 0]])
    np.testing.assert_array_equal(encoded[:, 3:6], np.eye(3)[[1, 2, 0]])
    assert (encoded[:, 6:9].sum(-1) == 1).all()
    np.testing.assert_array_equal(encoded[:, 9:], [[0, 1]] * 3)
    columns = {name: np.array(column) for name, column in DATA.items()}
    np.testing.assert_array_equal(encoder(columns), encoded)
    model.compile("sgd", "mse")
    model.fit(columns, np.zeros(3), verbose=0)
    expected = model.layers[-1](encoded)
    for each in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_allclose(each.predict(columns, verbose=0), expected, 1e-5)
        np.testing.assert_allclose(each(columns), expected, 1e-5)
    again = keraunos.models.clone_model(model)
    assert again.predict(columns, verbose=0).shape == (3, 1)


def test_own_layers_of_strings():
    """Any layer may come before the lookup: it runs on NumPy arrays."""

    class First(layers.Layer):
        def call(self, texts):
            return np.array([[str(text)[:1] for text in row] for row in texts], object)

        def compute_output_spec(self, texts):
            return keraunos.KerasTensor(texts.shape, "string")

    class Length(layers.Layer):
        def call(self, texts):
            return np.array([[len(text) for text in row] for row in texts], "float32")

        def compute_output_spec(self, texts):
            return keraunos.KerasTensor(texts.shape, "float32")

    text = keraunos.Input((1,), dtype="string")
    places = layers.StringLookup(vocabulary=["a", "b"])(First()(text))
    model = keraunos.Model(text, [places, keraunos.ops.multiply(Length()(text), 2.0)])
    found = model.predict(np.array(["all", "be", "c"]), verbose=0)
    assert [part.tolist() for part in found] == [[[1], [2], [0]], [[6.0], [4.0], [2.0]]]


def test_strings_out():
    number = keraunos.Input((1,), dtype="int64")
    model = keraunos.Model(number, layers.StringLookup(vocabulary=["x"], invert=True)(number))
    assert model(np.array([[1], [0]])).tolist() == [["x"], ["[UNK]"]]
    with pytest.raises(TypeError, match="gives strings, which no compiled program can"):
        model.predict(np.array([[1]]), verbose=0)


def test_int64_without_lookup():
    """Integers for which 64 bits were asked enter a program as 32, without a warning."""
    number = keraunos.Input((1,), dtype="int64")
    model = keraunos.Model(number, layers.Embedding(4, 2)(number))
    x = np.array([[1], [3]])
    np.testing.assert_array_equal(model.predict(x, verbose=0), model(x))


def test_subclass():
    class Own(keraunos.Model):
        def __init__(self):
            super().__init__()
            self.lookup = layers.StringLookup(vocabulary=["x"])

        def call(self, x):
            return self.lookup(x)

    assert Own()(np.array(["x", "y"])).tolist() == [1, 0]
    for data in (np.array(["x", "y"]), [np.array(["x"])].__iter__()):
        with pytest.raises(TypeError, match="given strings, which never enter a compiled program"):
            Own().predict(data, verbose=0)


def test_ready():
    """What a step of one's own is given can be passed to the model."""
    seen = []

    class Own(keraunos.Model):
        def predict_step(self, state, data):
            seen.append(data[0])
            return super().predict_step(state, data)

    text = keraunos.Input((1,), dtype="string")
    model = Own(text, layers.StringLookup(vocabulary=["x"])(text))
    assert model.predict(np.array(["x"]), verbose=0).tolist() == [[1]]
    assert isinstance(seen[0], Ready)
