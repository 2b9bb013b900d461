"""A lazy row of elements: what it yields, in which order, and what its threads do."""

import gc
import threading
import time
import traceback

import jax
import numpy as np
import pytest

import keraunos
from keraunos.data import (
    INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY,
    Dataset,
    TensorSpec,
    source,
)


def plain(elements):
    """Elements as lists and numbers, with the dtypes of their arrays."""
    return jax.tree.map(lambda a: a if isinstance(a, str) else np.asarray(a).tolist(), [*elements])


def numbers(size=10):
    return Dataset.range(size)


ROWS = [  # what is made, its elements, its cardinality
    (lambda: numbers(4), [0, 1, 2, 3], 4),
    (lambda: Dataset.range(1, 7, 2), [1, 3, 5], 3),
    (lambda: Dataset.from_tensors(([1, 2], 3.0)), [([1, 2], 3.0)], 1),
    (lambda: Dataset.from_tensor_slices({"a": [1, 2], "b": ["x", "y"]}),
     [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], 2),
    (lambda: numbers(5).batch(2), [[0, 1], [2, 3], [4]], 3),
    (lambda: numbers(5).batch(2, drop_remainder=True), [[0, 1], [2, 3]], 2),
    (lambda: numbers(5).batch(2).unbatch(), [0, 1, 2, 3, 4], UNKNOWN_CARDINALITY),
    (lambda: numbers(3).map(lambda x: x * 2), [0, 2, 4], 3),
    (lambda: numbers(3).map(lambda x: (x, [x, 1.5]), num_parallel_calls=2),
     [(0, [0, 1.5]), (1, [1, 1.5]), (2, [2, 1.5])], 3),
    (lambda: numbers(3).enumerate(4).map(lambda i, x: i * x), [0, 5, 12], 3),
    (lambda: numbers(6).filter(lambda x: x % 2), [1, 3, 5], UNKNOWN_CARDINALITY),
    (lambda: numbers(6).take(4).skip(1), [1, 2, 3], 3),
    (lambda: numbers(2).take(-1), [0, 1], 2),
    (lambda: numbers(2).skip(-1), [], 0),
    (lambda: numbers(2).repeat(2), [0, 1, 0, 1], 4),
    (lambda: numbers(2).repeat().take(3), [0, 1, 0], 3),
    (lambda: numbers(0).repeat(), [], 0),
    (lambda: numbers(2).concatenate(numbers(3)), [0, 1, 0, 1, 2], 5),
    (lambda: Dataset.zip((numbers(3), numbers(2).map(lambda x: -x))), [(0, 0), (1, -1)], 2),
    (lambda: Dataset.zip(numbers(1), numbers(2)), [(0, 0)], 1),
    (lambda: Dataset.zip({"a": numbers(2), "b": numbers(2)}), [{"a": 0, "b": 0}, {"a": 1, "b": 1}],
     2),
    (lambda: numbers(4).prefetch(1).cache().prefetch(), [0, 1, 2, 3], 4),
    (lambda: Dataset.from_generator(lambda n: range(n), output_types="int32", args=(3,)),
     [0, 1, 2], UNKNOWN_CARDINALITY),
    (lambda: numbers(3).map(lambda n: np.ones(n)).padded_batch(2), [[[0], [1]], [[1, 1]]], 2),
    (lambda: numbers(2).map(lambda n: (n, np.ones(n))).padded_batch(2, ((), (3,)), -1.0),
     [([0, 1], [[-1, -1, -1], [1, -1, -1]])], 1),
    (lambda: Dataset.from_tensors(["a", "b"]).concatenate(Dataset.from_tensors(["c"]))
     .padded_batch(2), [[["a", "b"], ["c", ""]]], 1),
]  # fmt: skip


@pytest.mark.parametrize(("make", "elements", "cardinality"), ROWS)
def test_elements(make, elements, cardinality):
    dataset = make()
    assert plain(dataset) == elements == plain(dataset.as_numpy_iterator())
    assert dataset.cardinality() == cardinality
    for start in range(len(elements) + 2):  # entered anywhere, it goes on as it would have
        assert plain(dataset.epoch(0, start)) == elements[start:]
    if cardinality >= 0:
        assert len(dataset) == len(elements) and len(dataset.batch(2)) == -(-len(elements) // 2)


ORDERS = [
    lambda: numbers(9).shuffle(seed=1),
    lambda: numbers(9).map(lambda x: x).shuffle(100, seed=1),
    lambda: numbers(9).shuffle(3, seed=1),
    lambda: numbers(9).shuffle(3, seed=1).batch(2).unbatch(),
    lambda: numbers(9).filter(lambda x: True).shuffle(4, seed=1).prefetch(),
]


@pytest.mark.parametrize("make", ORDERS)
def test_order_depends_on_seed_and_epoch_alone(make):
    first, second = (plain(make().epoch(n)) for n in (0, 1))
    assert sorted(first) == sorted(second) == list(range(9)) and first != second
    dataset = make()
    assert [plain(dataset), plain(dataset)] == [first, second]
    assert plain(make().epoch(1, 4)) == second[4:]
    twice = plain(make().repeat(2).epoch(0))
    assert sorted(twice[:9]) == list(range(9)) and twice[:9] != twice[9:]
    assert plain(make().repeat().take(14).epoch(0, 12)) == twice[12:14]


def test_shuffle_keeps_an_order_or_a_draw():
    kept = numbers(9).shuffle(seed=1, reshuffle_each_iteration=False)
    assert plain(kept) == plain(kept) != list(range(9))
    for seed in range(3):  # drawn from two: none comes earlier than one place before its own
        assert all(x <= at + 1 for at, x in enumerate(plain(numbers(30).shuffle(2, seed=seed))))
    assert plain(numbers(20).shuffle(seed=1)) != plain(numbers(20).shuffle(seed=2))
    assert plain(numbers(20).map(lambda x: x).shuffle(seed=1)) == plain(numbers(20).shuffle(seed=1))


SPECS = [
    (lambda: numbers(3), ((), "int64")),
    (lambda: numbers(3).batch(2), ((None,), "int64")),
    (lambda: numbers(3).batch(2, True), ((2,), "int64")),
    (lambda: numbers(3).batch(2).unbatch(), ((), "int64")),
    (lambda: numbers(3).batch(2).map(lambda x: x[:, None] * np.ones(4, "float32")).take(1),
     ((None, 4), "float64")),
    (lambda: Dataset.from_tensor_slices([[1.0, 2.0]]), ((2,), "float32")),
    (lambda: Dataset.from_tensor_slices(["a"]).batch(1), ((None,), "string")),
    (lambda: Dataset.from_generator(list, output_signature=TensorSpec((None, 2), "int8")),
     ((None, 2), "int8")),
    (lambda: numbers(2).map(lambda x: np.ones(2)).padded_batch(2, (None,)),
     ((None, None), "float64")),
    (lambda: numbers(2).map(lambda x: np.ones(2)).padded_batch(2, (5,)), ((None, 5), "float64")),
]  # fmt: skip


@pytest.mark.parametrize(("make", "spec"), SPECS)
def test_element_spec(make, spec):
    assert make().element_spec == TensorSpec(*spec)


def test_spec_of_nested_elements():
    pairs = Dataset.zip((numbers(2), Dataset.from_tensor_slices({"a": np.zeros((2, 3), "int8")})))
    assert pairs.batch(2).element_spec == (
        TensorSpec((None,), "int64"),
        {"a": TensorSpec((None, 3), "int8")},
    )


ERRORS = [
    (lambda: Dataset.from_tensor_slices((np.ones(2), np.ones(3))), ValueError,
     r"same number of rows, got shapes \[\(2,\), \(3,\)\]"),
    (lambda: Dataset.from_tensor_slices(3), ValueError, "Use `from_tensors`"),
    (lambda: Dataset.from_generator([1]), TypeError, "must be a function that returns an iterator"),
    (lambda: numbers().batch(0), ValueError, "`batch_size` must be an integer of at least 1"),
    (lambda: numbers().shuffle(0), ValueError, "`buffer_size` must be"),
    (lambda: numbers().cache("x"), ValueError, "keeps elements in memory"),
    (lambda: len(numbers().repeat()), TypeError, "is infinite"),
    (lambda: len(numbers().filter(bool)), TypeError, "that only a pass would tell"),
    (lambda: list(numbers(3).map(np.ones).batch(2)), ValueError,
     r"elements of one shape, got \[\(0,\), \(1,\)\].*padded_batch"),
    (lambda: list(numbers(3).map(np.ones).padded_batch(3, (1,))), ValueError, "must have room"),
    (lambda: list(Dataset.from_generator(lambda: [[1]], output_signature=TensorSpec((2,), "int8"))),
     ValueError, r"array of shape \(1,\) where `output_signature` has \(2,\)"),
    (lambda: numbers(0).map(np.ones).element_spec, ValueError, "The dataset is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), ERRORS)
def test_errors(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_truth_and_length():
    assert numbers(0) and numbers().filter(bool)
    assert numbers().repeat().cardinality() == INFINITE_CARDINALITY
    assert repr(numbers(4).batch(2)) == "<Dataset cardinality=2 batch_size=2>"


def test_cache_keeps_complete_passes_only():
    calls = []
    dataset = numbers(3).map(lambda x: calls.append(int(x)) or x).shuffle(seed=1).cache()
    plain(dataset.take(1))
    first = plain(dataset)
    assert plain(dataset) == plain(dataset.epoch(7)) == first and len(calls) == 6


def readers():
    return [t for t in threading.enumerate() if t.name.startswith("keraunos")]


def until(condition):
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_prefetch_reads_a_bounded_number_ahead_and_ends_when_dropped():
    read = []
    iterator = iter(numbers(100).map(lambda x: read.append(int(x)) or x).prefetch(3))
    assert next(iterator) == 0 and until(lambda: len(read) == 4)
    assert next(iterator) == 1 and until(lambda: len(read) == 5) and readers()
    del iterator
    gc.collect()
    assert until(lambda: not readers()) and len(read) <= 6


@pytest.mark.parametrize("options", [{}, {"num_parallel_calls": 3}])
def test_a_workers_error_arrives_with_its_traceback(options):
    def fails(x):
        if x == 2:
            raise KeyError("here")
        return x

    seen = []
    with pytest.raises(KeyError, match="here") as caught:
        for x in numbers(5).map(fails, **options).prefetch(2):
            seen.append(int(x))
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fails"
    assert until(lambda: not readers()) and seen == [0, 1]


def test_a_parallel_map_stops_when_dropped():
    done = []
    iterator = iter(numbers(1000).map(lambda x: done.append(x) or x, num_parallel_calls=2))
    next(iterator)
    iterator.close()
    count = len(done)
    assert count < 20
    time.sleep(0.05)
    assert len(done) == count


@pytest.fixture
def model():
    model = keraunos.Sequential([keraunos.Input((1,)), keraunos.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def pairs(size=12):
    x = np.arange(size, dtype="float32")[:, None] / size
    return Dataset.from_tensor_slices((x, 2 * x)).shuffle(seed=3).batch(4).prefetch()


def test_fit_evaluate_predict(model):
    history = model.fit(pairs(), epochs=2, validation_data=pairs(8), verbose=0)
    assert len(history.history["val_loss"]) == 2 and history.params["steps"] == 3
    inputs = pairs().map(lambda x, y: x)
    assert model.predict(inputs, verbose=0).shape == (12, 1)
    assert model.evaluate(pairs(), verbose=0) >= 0
    weighted = model.fit(pairs(), class_weight={0: 0.0, 1: 0.0, 2: 0.0}, verbose=0)
    assert weighted.history["loss"] == [0.0]


def test_training_entered_at_an_epoch_is_the_same(model):
    start = model.get_weights()
    results = []
    for steps in (None, 2):
        model.set_weights(start)
        model.fit(pairs(), epochs=3, steps_per_epoch=steps, verbose=0)
        whole = model.get_weights()
        model.set_weights(start)
        model.fit(pairs(), epochs=1, steps_per_epoch=steps, verbose=0)
        model.fit(pairs(), initial_epoch=1, epochs=3, steps_per_epoch=steps, verbose=0)
        results.append((whole, model.get_weights()))
    for whole, parts in results:
        np.testing.assert_array_equal(whole[0], parts[0])
    assert not np.array_equal(results[0][0][0], results[1][0][0])


def test_sources_of_datasets(model):
    assert source(pairs()).num_batches == 3
    assert source(pairs().filter(lambda x, y: True)).num_batches is None
    assert source(pairs().repeat(), steps=5).num_batches == 5
    whole = source(pairs(), steps=2)
    read = lambda feeds: [x[list(steps)].tolist() for (x, _), steps in feeds]
    batches = [read(whole.feeds(epoch)) for epoch in range(3)]
    for epoch in (2, 1):  # entered anywhere, also after a look at the first batch
        part = source(pairs(), steps=2)
        part.first()
        assert read(part.feeds(epoch)) == batches[epoch]
        assert read(part.feeds(epoch, 1)) == [[batches[epoch][0][1]]]
    with pytest.raises(ValueError, match="never ends: say how many batches"):
        model.fit(pairs().repeat())
    with pytest.raises(ValueError, match="`y` must be None when `x` is a Dataset"):
        model.fit(pairs(), np.ones(3))
