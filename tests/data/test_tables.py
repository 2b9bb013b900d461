"""Tables of pandas, polars and Arrow, and sparse matrices, train as the arrays they stand for."""

import keras
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

import keraunos
from keraunos import layers
from keraunos.data import Arrays, Stream, columns, source

RNG = np.random.RandomState(0)
COLUMNS = {
    "age": RNG.randint(20, 60, 12),
    "size": RNG.rand(12),
    "member": RNG.rand(12) > 0.5,
    "city": ["Rome", "Oslo", "Rome", "Bonn"] * 3,
    "price": RNG.rand(12).astype("float32"),
}
MAKERS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table, "lazy": pl.LazyFrame}
NUMBERS = np.stack([COLUMNS["age"], COLUMNS["size"], COLUMNS["member"]], 1).astype("float32")


def part(kind, *names):
    return MAKERS[kind]({name: COLUMNS[name] for name in names})


def by_name(library=keraunos):
    """A model with inputs that bear the names of columns."""
    age, size = library.Input((1,), name="age"), library.Input((1,), name="size")
    joined = library.layers.Concatenate()([age, size])
    out = library.layers.Dense(1, kernel_initializer="ones", name="price")(joined)
    model = library.Model([age, size], out)
    model.compile("sgd", "mse")
    return model


def matrix_model(library=keraunos):
    model = library.Sequential(
        [library.Input((3,)), library.layers.Dense(1, kernel_initializer="ones")]
    )
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("kind", MAKERS)
def test_a_table_is_a_matrix_for_one_input(kind):
    x, y, weight = columns(part(kind, "age", "size", "member"), part(kind, "price"), None)
    np.testing.assert_array_equal(x.astype("float32"), NUMBERS)
    np.testing.assert_array_equal(y[:, 0], COLUMNS["price"])
    assert weight is None


@pytest.mark.parametrize("kind", MAKERS)
def test_columns_find_inputs_by_name(kind):
    given = columns(part(kind, "price", "size", "age"), "price", None, ["age", "size"], ["price"])
    assert list(given[0]) == ["age", "size"]
    np.testing.assert_array_equal(given[0]["age"], COLUMNS["age"])
    np.testing.assert_array_equal(given[1], COLUMNS["price"])


def test_training_on_a_table_is_training_on_its_arrays():
    ours, theirs = matrix_model(), matrix_model(keras)
    options = {"shuffle": False, "batch_size": 5, "epochs": 2, "verbose": 0}
    frame, price = pd.DataFrame(COLUMNS), pd.Series(COLUMNS["price"])
    features = frame[["age", "size", "member"]].astype("float32")
    mine = ours.fit(features / 60, price, validation_split=0.25, **options).history
    real = theirs.fit(features / 60, price, validation_split=0.25, **options).history
    for name in real:
        np.testing.assert_allclose(mine[name], real[name], rtol=1e-5)
    np.testing.assert_allclose(
        ours.predict(features, verbose=0), theirs.predict(features, verbose=0), rtol=1e-5
    )


def test_a_model_with_named_inputs():
    model, seen = by_name(), []
    arrays = {"age": COLUMNS["age"] / 60, "size": COLUMNS["size"]}
    tables = [MAKERS[kind](COLUMNS | arrays) for kind in ("pandas", "polars")]
    for x, y in ((arrays, COLUMNS["price"]), *((table, "price") for table in tables)):
        model.set_weights([np.ones((2, 1)), np.zeros(1)])
        loss = model.fit(x, y, shuffle=False, batch_size=4, verbose=0).history["loss"]
        seen.append((*loss, *model.evaluate(x, y, return_dict=True, verbose=0).values(),
                     *model.predict(x, verbose=0)[:, 0]))  # fmt: skip
    assert seen[0] == seen[1] == seen[2]
    with pytest.raises(ValueError, match=r"'size', which is missing .* Did you mean 'size' by"):
        model.predict(pd.DataFrame({"age": [1.0], "sizes": [2.0]}))


def test_text_goes_to_inputs_of_text():
    cities = ["Bonn", "Oslo", "Rome"]
    city = keraunos.Input((1,), name="city", dtype="string")
    size = keraunos.Input((1,), name="size")
    encoded = layers.StringLookup(vocabulary=cities, num_oov_indices=0, output_mode="one_hot")(city)
    model = keraunos.Model([city, size], layers.Concatenate()([encoded, size]))
    expected = np.array([[c == name for name in cities] for c in COLUMNS["city"]], "float32")
    texts = (
        pd.DataFrame(COLUMNS),
        pl.DataFrame(COLUMNS),
        pd.DataFrame(COLUMNS).astype({"city": "category"}),
        pl.DataFrame(COLUMNS).with_columns(pl.col("city").cast(pl.Categorical)),
    )
    for table in texts:
        np.testing.assert_array_equal(model.predict(table, verbose=0)[:, :3], expected)


def test_batches_may_be_tables():
    frame = pd.DataFrame(COLUMNS)
    chunks = [(frame[i : i + 4][["age", "size"]], frame[i : i + 4]["price"]) for i in (0, 4, 8)]
    one, other = by_name(), by_name()
    one.fit(iter(chunks), verbose=0)
    other.fit(frame, "price", batch_size=4, shuffle=False, verbose=0)
    for mine, theirs in zip(one.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    "table, error",
    [
        (pd.DataFrame(COLUMNS), "columns 'city' hold text, the others numbers"),
        (pd.DataFrame({"t": pd.to_datetime(["2020-01-01"])}), r"`x\['t'\]` holds Datetime.*number"),
        (pl.DataFrame({"s": ["a", None, "b"]}), "lacks 1 of 3 values, the first in row 1"),
        (pl.DataFrame({"l": [[1], [1, 2]]}), "lists of several lengths"),
        (pd.DataFrame({"o": [object(), 1]}), "holds Object"),
    ],
)
def test_tables_that_no_model_takes(table, error):
    with pytest.raises((TypeError, ValueError), match=error):
        columns(table)


def test_columns_of_other_kinds():
    table = pl.DataFrame({"v": [[1.0, 2.0], [3.0, 4.0]], "n": [1, None]})
    np.testing.assert_array_equal(columns(table)[0], [[1, 2, 1], [3, 4, np.nan]])
    with pytest.raises(ValueError, match=r"the column 'prize', but the table has v, price. Did"):
        columns(pl.DataFrame({"v": [1], "price": [2]}), "prize")


@pytest.mark.parametrize("form", ["csr_matrix", "coo_array", "csc_array"])
def test_sparse_matrices_are_made_dense_batch_by_batch(form):
    dense = np.where(NUMBERS > 0.5, NUMBERS, 0) / 60
    sparse = getattr(scipy.sparse, form)(dense)
    rows = lambda data: [np.asarray(leaf) for feed, steps in data.feeds(1) for step in steps
                         for leaf in data.pick(feed, step)]  # fmt: skip
    order = {"batch_size": 5, "shuffle": True, "seed": 3}
    mine = source(sparse, COLUMNS["price"], **order)
    assert isinstance(mine, Stream)
    theirs = source(dense, COLUMNS["price"], **order)
    assert isinstance(theirs, Arrays)
    for one, other in zip(rows(mine), rows(theirs), strict=True):
        np.testing.assert_array_equal(one, other)
    one, other = matrix_model(), matrix_model()
    options = {"validation_split": 0.25, "verbose": 0, "shuffle": False, "class_weight": {0: 2.0}}
    mine = one.fit(sparse, COLUMNS["price"], **options).history
    theirs = other.fit(dense, COLUMNS["price"], **options).history
    assert mine == theirs
    np.testing.assert_array_equal(one.predict(sparse, verbose=0), other.predict(dense, verbose=0))
