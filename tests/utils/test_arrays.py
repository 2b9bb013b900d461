"""One-hot labels, norms, padded sequences and batches as Keras makes them."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest

from keraunos import preprocessing, utils


def same(name, *args, **kwargs):
    """The same result or the same message."""
    said = []
    for library in (utils, keras.utils):
        try:
            result = getattr(library, name)(*args, **kwargs)
            array = np.asarray(result)
            said.append((type(result), array.dtype, array.shape, array.tolist()))
        except ValueError as error:
            said.append(str(error))
    ours, theirs = said
    assert ours == theirs


LABELS = [
    [0, 2, 1], [[0], [1]], [[0, 1], [1, 2]], 1, [0.0, 1.9], [[[0]], [[1]]], [-1, 1], [True, False],
]  # fmt: skip


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_to_categorical(labels):
    same("to_categorical", labels)
    same("to_categorical", np.array(labels), num_classes=4)
    same("to_categorical", jnp.array(labels, "int32"), num_classes=3)


def test_to_categorical_finds_classes_of_jax_arrays():
    result = utils.to_categorical(jnp.array([[0], [2]]))
    assert result.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_to_categorical_errors():
    with pytest.raises(
        IndexError, match=r"`num_classes=4`, which are 0 to 3, but `x` contains class 5"
    ):
        utils.to_categorical([0, 5], 4)
    with pytest.raises(ValueError, match="needs `num_classes`, or at least one class"):
        utils.to_categorical([])
    assert utils.to_categorical([], 3).shape == (0, 3)


@pytest.mark.parametrize("order", [1, 2, 3, np.inf, 0])
def test_normalize(order, rng):
    for shape in ((2, 3), (4,), (2, 3, 4), (0, 2)):
        x = rng.normal(size=shape)
        np.testing.assert_allclose(
            utils.normalize(x, order=order), keras.utils.normalize(x, order=order), rtol=1e-6
        )
    same("normalize", np.zeros((1, 2)), order=order)


@pytest.mark.parametrize("x", [[[3.0, 4.0]], [3.0, 4.0], 3.0, jnp.ones((2, 2)), np.array([[3, 4]])])
def test_normalize_keeps_the_kind_of_array(x):
    same("normalize", x)


def test_normalize_along_another_axis(rng):
    x = rng.normal(size=(3, 3))
    np.testing.assert_allclose(utils.normalize(x, axis=0), utils.normalize(x.T).T, rtol=1e-12)


LISTS = [[1], [2, 3], [4, 5, 6]]
PADDED = [
    (LISTS, {}),
    (LISTS, {"maxlen": 2}),
    (LISTS, {"maxlen": 5}),
    (LISTS, {"maxlen": 2, "truncating": "post"}),
    (LISTS, {"padding": "post"}),
    (LISTS, {"maxlen": 2, "padding": "post", "truncating": "post", "value": 7}),
    (LISTS, {"value": -1, "dtype": "float32"}),
    ([["a"], ["b", "c"]], {"dtype": object, "value": "z"}),
    ([["a"], ["b", "c"]], {"dtype": "U3", "value": "z"}),
    ([["a"], ["b", "c"]], {"value": "z"}),
    ([np.ones((2, 2)), np.ones((1, 2))], {}),
    ([np.ones((2, 2)), np.ones((1, 3))], {}),
    ([[], np.ones((1, 2))], {}),
    ([[], [1]], {}),
    ([[], []], {}),
    ([[1.7]], {}),
    ([1, 2], {}),
    (5, {}),
    (LISTS, {"padding": "x"}),
    (LISTS, {"truncating": "x"}),
]


@pytest.mark.parametrize(("sequences", "options"), PADDED)
def test_pad_sequences(sequences, options):
    same("pad_sequences", sequences, **options)


def test_pad_sequences_elsewhere():
    assert preprocessing.sequence.pad_sequences is utils.pad_sequences
    with pytest.raises(ValueError, match="needs `maxlen`, or at least one sequence"):
        utils.pad_sequences([])


@pytest.mark.parametrize(
    "parts", [(1,), (1, 2), (1, 2, 3), (1, None, 3), ([1],), ([1], 2), ((1, 2),), (None,)]
)
def test_pack(parts):
    assert utils.pack_x_y_sample_weight(*parts) == keras.utils.pack_x_y_sample_weight(*parts)


@pytest.mark.parametrize(
    "data", [(1,), (1, 2), (1, 2, 3), 1, [1, 2], {"a": 1}, None, (1, 2, 3, 4), ()], ids=str
)
def test_unpack(data):
    said = []
    for library in (utils, keras.utils):
        try:
            said.append(library.unpack_x_y_sample_weight(data))
        except ValueError as error:
            said.append(str(error))
    assert said[0] == said[1]
