"""Windows of a series, counted by hand; and datasets in two parts."""

import re

import keras
import numpy as np
import pytest

from keraunos import utils
from keraunos.data import Dataset

windows = utils.timeseries_dataset_from_array

WINDOWS = [  # length of the series, options, the windows
    (6, {}, [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]),
    (6, {"sequence_stride": 3}, [[0, 1, 2], [3, 4, 5]]),
    (7, {"sampling_rate": 2}, [[0, 2, 4], [1, 3, 5], [2, 4, 6]]),
    (9, {"sampling_rate": 2, "sequence_stride": 3}, [[0, 2, 4], [3, 5, 7]]),
    (9, {"start_index": 2, "end_index": 7}, [[2, 3, 4], [3, 4, 5], [4, 5, 6]]),
    (9, {"start_index": 5}, [[5, 6, 7], [6, 7, 8]]),
    (9, {"end_index": 3}, [[0, 1, 2]]),
    (2, {}, []),
]


@pytest.mark.parametrize(("size", "options", "expected"), WINDOWS)
def test_windows(size, options, expected):
    data = np.arange(size, dtype="float32")
    for batch_size in (None, 2, 128):
        dataset = windows(data, None, 3, batch_size=batch_size, **options)
        found = [row.tolist() for row in (dataset.unbatch() if batch_size else dataset)]
        assert found == expected
        assert len(dataset) == -(-len(expected) // (batch_size or 1))
        pairs = windows(data, 10 * data, 3, batch_size=batch_size, **options)
        rows = list(pairs.unbatch() if batch_size else pairs)
        assert [x.tolist() for x, _ in rows] == expected
        assert [y for _, y in rows] == [10 * row[0] for row in expected]


def test_last_windows_of_the_documentation():
    found = list(windows(np.arange(99), None, 10, 3, 2, batch_size=None))
    assert found[0].tolist() == list(range(0, 20, 2)) and found[1][0] == 3
    assert found[-1].tolist() == list(range(78, 98, 2))


def test_windows_of_many_values_with_few_targets():
    data = np.random.default_rng(0).random((8, 2))
    ((x, y),) = windows(data, np.arange(4), 3)
    assert x.shape == (4, 3, 2) and x.dtype == "float64" and y.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(x[3], data[3:6])
    (x,) = windows([0, 1, 2], None, 2)
    assert x.dtype == "int32" and x.tolist() == [[0, 1], [1, 2]]


def test_windows_in_another_order():
    made = [windows(np.arange(20), None, 2, shuffle=True, seed=5) for _ in "ab"]
    first, second, again = (next(x[:, 0].tolist() for x in made[i]) for i in (0, 0, 1))
    assert first == again != second and sorted(first) == sorted(second) == list(range(19))


ERRORS = [
    {"sampling_rate": 0}, {"sampling_rate": 20}, {"sequence_stride": 0}, {"sequence_stride": 30},
    {"start_index": -1}, {"start_index": 20}, {"end_index": -1}, {"end_index": 20},
    {"format": "x"},
]  # fmt: skip


@pytest.mark.parametrize("options", ERRORS, ids=str)
def test_same_errors(options):
    said = []
    for library in (utils, keras.utils):
        with pytest.raises(ValueError) as caught:
            library.timeseries_dataset_from_array(np.arange(20), None, 3, **options)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_our_errors_of_windows():
    with pytest.raises(ValueError, match=r"`end_index` must be higher than `start_index`.*5, and"):
        windows(np.arange(20), None, 3, start_index=5, end_index=5)
    for name, options in (("end_index", {"end_index": 0}), ("sequence_length", {})):
        with pytest.raises(ValueError, match=f"`{name}` must be higher than 0"):
            windows(np.arange(20), None, 3 if options else 0, **options)


X = np.arange(20)
SIZES = [  # arguments, samples on the left, samples on the right
    ({"left_size": 0.5}, range(10), range(10, 20)),
    ({"left_size": 3}, range(3), range(3, 20)),
    ({"right_size": 0.25}, range(15), range(15, 20)),
    ({"left_size": 4, "right_size": 0.5}, range(4), range(10, 20)),
    ({"left_size": 0.04}, range(1), range(1, 20)),
]


@pytest.mark.parametrize(("options", "left", "right"), SIZES)
def test_split(options, left, right):
    parts = utils.split_dataset(X, **options)
    assert [list(map(int, part)) for part in parts] == [list(left), list(right)]
    assert [len(part) for part in parts] == [len(left), len(right)]


def test_split_of_everything_that_can_be_split():
    for pair in ((X, 2 * X), [X, 2 * X]):
        left, right = utils.split_dataset(pair, 4)
        assert [tuple(map(int, row)) for row in left] == [(i, 2 * i) for i in range(4)]
        assert len(right) == 16
    left, right = utils.split_dataset(Dataset.range(10).batch(3), 4)
    assert [b.tolist() for b in left] == [[0, 1, 2], [3]] and len(right) == 2
    left, right = utils.split_dataset(Dataset.from_tensor_slices({"a": X}), 0.9)
    assert list(right) == [{"a": 18}, {"a": 19}]


def test_split_of_a_dataset_of_pytorch():
    base = type("Dataset", (), {"__module__": "torch.utils.data"})
    rows = type("Rows", (base,), {"__len__": lambda _: 5, "__getitem__": lambda _, i: (i, [i])})
    _, right = utils.split_dataset(rows(), 2)
    assert [(int(a), b.tolist()) for a, b in right] == [(2, [2]), (3, [3]), (4, [4])]


def test_split_shuffled():
    found = [
        [list(map(int, part)) for part in utils.split_dataset(X, 5, shuffle=True, seed=s)]
        for s in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2] and sorted(found[0][0] + found[0][1]) == X.tolist()


SPLIT_ERRORS = [
    (X, ()), (X, (1.5,)), (X, (30,)), (X, (-1,)), (X, (10, 30)), (X, (0.5, 0.6)), (X, (0.0,)),
    (3, (0.5,)), ("abc", (0.5,)), ({"a": X}, (0.5,)), (X, (1.0,)), (X, (None, 0)), (X, (True,)),
    (X, ("a",)), (X, (10, 11)), (X, (0.01,)), (X, (0.5, 0.01)), ((X, X[:3]), (0.5,)),
    (([1], [2]), (0.5,)), ([], (0.5,)), ([1, 2], (0.5,)),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "sizes"), SPLIT_ERRORS)
def test_same_errors_of_split(dataset, sizes):
    """Word for word, but for blanks and commas that Keras leaves out here and there."""
    said = []
    for library in (utils, keras.utils):
        with pytest.raises((ValueError, TypeError)) as caught:
            library.split_dataset(dataset, *sizes)
        text = f"{caught.type.__name__}{caught.value}"
        said.append(re.sub(r"(?<=integer) and|\.0(?=and)|[\s,]", "", text))
    assert said[0] == said[1]


def test_our_errors_of_split():
    with pytest.raises(ValueError, match=r"never ends: split `dataset.take"):
        utils.split_dataset(Dataset.range(3).repeat(), 2)
    with pytest.raises(ValueError, match="there are no samples to split"):
        utils.split_dataset(np.zeros((0, 2)), 2)
