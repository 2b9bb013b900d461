"""Whatever is given as data becomes batches, in an order that seed and epoch alone decide."""

import time

import jax
import numpy as np
import pytest
from hypothesis import given, strategies as st

from keraunos.data import Arrays, PyDataset, Stream, source, split_off
from keraunos.data.source import weighted


def rows(data, epoch=0):
    """The rows of an epoch in order, and the sizes of its batches."""
    found, sizes = [], []
    for feed, steps in data.feeds(epoch):
        for step in steps:
            batch = jax.tree.leaves(data.pick(feed, step))[0]
            found += np.asarray(batch).tolist()
            sizes.append(len(batch))
    return found, sizes


@given(
    st.integers(1, 40),
    st.integers(1, 50),
    st.sampled_from([False, True, "batch"]),
    st.integers(0, 5),
)
def test_an_epoch_has_every_row_once(size, batch_size, shuffle, epoch):
    data = Arrays((np.arange(size),), batch_size, shuffle, seed=3)
    found, sizes = rows(data, epoch)
    assert sorted(found) == list(range(size))
    assert len(sizes) == data.num_batches and all(n <= batch_size for n in sizes)
    assert found == rows(Arrays((np.arange(size),), batch_size, shuffle, seed=3), epoch)[0]
    if not shuffle:
        assert found == list(range(size))


def test_orders_differ_between_epochs_and_seeds():
    orders = [rows(Arrays((np.arange(50),), 8, True, seed), epoch)[0] for seed, epoch in
              ((0, 0), (0, 1), (1, 0))]  # fmt: skip
    assert len(set(map(tuple, orders))) == 3


def test_floats_and_integers_come_in_the_dtypes_of_programs():
    data = source({"a": np.ones((3, 2)), "b": np.ones(3, "int64"), "c": [True, False, True]})
    batch = data.first()[0]
    assert {k: str(v.dtype) for k, v in batch.items()} == {
        "a": "float32",
        "b": "int32",
        "c": "bool",
    }


def test_a_stream_stacks_equal_batches_and_keeps_the_others_apart():
    batches = [np.arange(start, stop) for start, stop in ((0, 3), (3, 6), (6, 8), (8, 11))]
    data = Stream(batches)
    assert [len(steps) for _, steps in data.feeds(0)] == [2, 1, 1]
    assert rows(data)[0] == list(range(11)) == rows(data)[0]


def test_one_iterator_serves_all_epochs():
    data = source(iter([np.array([i]) for i in range(6)]), steps=2)
    assert data.first()[0].tolist() == [0]
    assert [rows(data)[0] for _ in range(4)] == [[0, 1], [2, 3], [4, 5], []]


class Sequence:
    ended = 0

    def __len__(self):
        return 3

    def __getitem__(self, i):
        return np.full((2, 1), i), np.zeros((2, 1))

    def on_epoch_end(self):
        self.ended += 1


def test_sequences_are_read_by_index_and_told_of_the_end():
    sequence = Sequence()
    data = source(sequence)
    assert data.num_batches == 3 and rows(data)[0] == [[0], [0], [1], [1], [2], [2]]
    rows(data)
    assert sequence.ended == 2


@given(st.integers(2, 30), st.floats(0.1, 0.9))
def test_the_last_share_is_split_off(size, share):
    x = np.arange(size)
    if not 0 < int(size * (1 - share)) < size:
        return
    (kept, none), (held, also_none) = split_off(share, x, None)
    assert [*kept, *held] == list(x) and none is None is also_none
    assert len(kept) == int(size * (1 - share))


@pytest.mark.parametrize(
    "y", [np.array([0, 1, 2, 1]), np.array([[0], [1], [2], [1]]), np.eye(3)[[0, 1, 2, 1]]]
)
def test_class_weights(y):
    *_, weight = weighted((None, y, None), {0: 1.0, 1: 2.0, 2: 5.0})
    assert weight.tolist() == [1, 2, 5, 2]
    *_, weight = weighted((None, y, np.array([1.0, 1.0, 2.0, 0.5])), {1: 2.0})
    assert weight.tolist() == [1, 2, 2, 1]


def test_workers_read_ahead_in_order_and_name_the_batch_that_fails():
    class Slow(PyDataset):
        def __len__(self):
            return 6

        def __getitem__(self, i):
            time.sleep(0.02 * (6 - i))
            if i == self.bad:
                raise OSError("gone")
            return (np.full((2, 1), i),)

    data = Slow(workers=3, max_queue_size=4)
    data.bad = None
    assert rows(source(data))[0] == [[i] for i in range(6) for _ in range(2)]
    data.bad = 4
    with pytest.raises(OSError, match="gone") as error:
        rows(source(data))
    assert error.value.__notes__ == ["While reading batch 4 of Slow."]
