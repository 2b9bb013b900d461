"""Normalization, Discretization and CategoryEncoding beside Keras."""

import keras
import numpy as np
import pandas as pd
import pytest

import keraunos
from keraunos import layers
from tests.oracle import close

TABLE = np.array([[0.0, 7.0, 4.0], [2.0, 9.0, 6.0], [0.0, 7.0, 4.0], [2.0, 9.0, 7.0]])


@pytest.mark.parametrize("axis", [-1, None, 0, (0, 1), 1])
@pytest.mark.parametrize("invert", [False, True])
def test_normalization(axis, invert):
    ours, theirs = (
        library.layers.Normalization(axis=axis, invert=invert) for library in (keraunos, keras)
    )
    for layer in (ours, theirs):
        layer.adapt(TABLE)
    close(ours(TABLE), theirs(TABLE))
    close((ours.mean, ours.variance), (theirs.mean, theirs.variance))
    assert ours.get_config() == theirs.get_config()
    assert ours.get_build_config() == theirs.get_build_config()
    assert [(w.name, w.shape) for w in ours.weights] == [(w.name, w.shape) for w in theirs.weights]


def test_normalization_given():
    for options, x in (
        ({"mean": 3.0, "variance": 2.0}, np.array([[1], [2], [3]])),
        ({"mean": [1.0, 2.0, 3.0], "variance": [1.0, 2.0, 0.0]}, TABLE),
        ({"mean": 3.0, "variance": 0.0, "invert": True}, TABLE),
    ):
        ours, theirs = (lib.layers.Normalization(**options) for lib in (keraunos, keras))
        close(ours(x), theirs(x))
        assert ours.get_config() == theirs.get_config() and not ours.weights


class Batches:
    """Batches by number, as PyDataset has them, and without an end as a list."""

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return TABLE[2 * i : 2 * i + 2]


@pytest.mark.parametrize(
    "data",
    [
        TABLE.tolist(),
        [TABLE[:3], TABLE[3:]],
        Batches(),
        pd.DataFrame(TABLE),
        keraunos.ops.convert_to_tensor(TABLE),
    ],
    ids=lambda data: type(data).__name__,
)
def test_adapt(data):
    layer, again = layers.Normalization(), layers.Normalization()
    layer.adapt(data)
    again.adapt(row[None] for row in TABLE)
    for each in (layer, again):
        close(np.asarray(each.mean)[0], TABLE.mean(0).astype("float32"))
        close(np.asarray(each.variance)[0], TABLE.var(0).astype("float32"))
    layer.adapt(TABLE[:2])  # anew
    close(np.asarray(layer.mean)[0], TABLE[:2].mean(0).astype("float32"))


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_discretization(mode):
    ours, theirs = (
        library.layers.Discretization([0.0, 1.0, 2.0], output_mode=mode)
        for library in (keraunos, keras)
    )
    table = np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, np.nan, -np.inf]])
    for x in (table, table[0], table[:, :1]):
        close(ours(x), theirs(x))
    mine, yours = ours(keraunos.Input((4,))), theirs(keras.Input((4,)))
    assert (mine.shape, mine.dtype) == (yours.shape, yours.dtype)
    assert ours.get_config() == theirs.get_config()
    assert ours.output_dtype == theirs.output_dtype


@pytest.mark.parametrize("bins, epsilon", [(4, 0.01), (7, 0.1), (3, 0.3), (20, 0.03)])
@pytest.mark.parametrize("count", [3, 8, 101, 995])
def test_discretization_learns(count, bins, epsilon, rng):
    values = rng.normal(size=count).astype("float32")
    ours, theirs = (
        library.layers.Discretization(num_bins=bins, epsilon=epsilon)
        for library in (keraunos, keras)
    )
    for layer in (ours, theirs):
        layer.update_state(values[: count // 3])
        layer.update_state(values[count // 3 :])
        layer.finalize_state()
    np.testing.assert_allclose(ours.bin_boundaries, theirs.bin_boundaries, 1e-5, 1e-5)
    again = type(ours).from_config(ours.get_config())
    assert again.get_config() == ours.get_config()
    batch = layers.Discretization(num_bins=bins, epsilon=epsilon)
    batch.adapt((part for part in (values[: count // 3], values[count // 3 :], values)), steps=2)
    assert batch.bin_boundaries == ours.bin_boundaries


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
def test_category_encoding(mode):
    ours, theirs = (lib.layers.CategoryEncoding(4, mode) for lib in (keraunos, keras))
    for x in ([3, 2, 0, 1], [[0, 1], [0, 0]], [[1], [2]], [[0, 4], [-1, 2]]):
        close(ours(np.array(x)), theirs(np.array(x)))
    mine = ours(keraunos.Input((3,), dtype="int32"))
    yours = theirs(keras.Input((3,), dtype="int32"))
    assert (mine.shape, mine.dtype) == (yours.shape, yours.dtype)
    assert ours.get_config() == theirs.get_config()


@pytest.mark.parametrize("weights", [[[0.1, 0.2], [0.3, 0.4]], [0.1, 0.2]])
def test_count_weights(weights):
    ours, theirs = (lib.layers.CategoryEncoding(4, "count") for lib in (keraunos, keras))
    x, weights = np.array([[0, 1], [0, 0]]), np.array(weights)
    close(ours(x, count_weights=weights), theirs(x, count_weights=weights))


def test_files(tmp_path):
    """A model goes to Keras and back."""
    for here, there in ((keraunos, keras), (keras, keraunos)):
        normalization = here.layers.Normalization()
        normalization.adapt(TABLE)
        bins = here.layers.Discretization(num_bins=3, output_mode="one_hot")
        bins.update_state(TABLE)
        bins.finalize_state()
        inputs = here.Input((3,))
        flat = here.layers.Flatten()(bins(inputs))
        outputs = here.layers.Concatenate()([normalization(inputs), flat])
        model = here.Model(inputs, outputs)
        model.save(tmp_path / "model.keras")
        loaded = there.models.load_model(tmp_path / "model.keras")
        close(loaded.predict(TABLE, verbose=0), model.predict(TABLE, verbose=0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Normalization(mean=1.0), "needs both `mean` and `variance`"),
        (lambda: layers.Normalization(axis=3)(TABLE), "keeps the axes (3,), but its input has"),
        (lambda: layers.Normalization(axis=0)(keraunos.Input((2,))), "needs to know the sizes"),
        (lambda: layers.Normalization(mean=[1, 2], variance=[1, 2])(TABLE), "cannot spread mean="),
        (lambda: layers.Normalization(mean=1, variance=1).adapt(TABLE), "it cannot `adapt`"),
        (lambda: layers.Normalization().adapt([]), "cannot adapt to data without a batch"),
        (lambda: layers.Normalization().adapt((x, 1) for x in TABLE), "as `(x for x, y in data)`"),
        (lambda: layers.Normalization().adapt(3), "needs an array, a list or an iterable"),
        (lambda: layers.Normalization().mean, "must be built before `mean`"),
        (lambda: layers.Discretization(), "needs either `bin_boundaries`, or `num_bins`"),
        (lambda: layers.Discretization([1.0], 3), "needs either `bin_boundaries`, or `num_bins`"),
        (lambda: layers.Discretization(num_bins=-1), "needs a count for `num_bins`, got -1"),
        (lambda: layers.Discretization(num_bins=3)(TABLE), "has no boundaries yet: call `adapt"),
        (lambda: layers.Discretization([1.0]).adapt(TABLE), "it cannot `adapt`"),
        (lambda: layers.Discretization([1.0], output_mode="x"), "needs one of int, one_hot"),
        (lambda: layers.CategoryEncoding(), "use `IntegerLookup`, which learns it"),
        (lambda: layers.CategoryEncoding(0), "needs a positive integer for `num_tokens`, got 0"),
        (lambda: layers.CategoryEncoding(3, "int"), "needs one of one_hot, multi_hot, count for"),
        (lambda: layers.CategoryEncoding(3)([1], count_weights=[1]), "is for the mode 'count'"),
    ],
)
def test_errors(make, message):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert message in str(error.value)
