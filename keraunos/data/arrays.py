"""Arrays that live where they are used: put on the device once, read there by row number."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from keraunos.core import config, placement


class Arrays:
    """Nested arrays of one length, cut into batches along axis 0.

    Args:
        data: Nested tuples, lists and dicts of arrays.
        batch_size: Rows in a batch; the last one of an epoch may have fewer.
        shuffle: True for a new order of rows in each epoch; "batch" for a new order of
            batches, whose rows stay together.
        seed: Of the orders; the order of a pass depends on it and on the pass alone.
        steps: Batches that make an epoch; those of one pass over the rows by default. Other
            epochs begin where the one before ended, in the endless row of passes.
    """

    def __init__(
        self,
        data: Any,
        batch_size: int = 32,
        shuffle: Any = False,
        seed: int = 0,
        steps: int | None = None,
    ):
        self.data = jax.tree.map(np.asarray, data)
        self.size = len(jax.tree.leaves(self.data)[0])
        self.batch_size = min(batch_size, max(self.size, 1))
        self.shuffle, self.seed = shuffle, seed
        self._in_a_pass = math.ceil(self.size / self.batch_size)
        self.num_batches: int | None = steps or self._in_a_pass
        self._on_device: Any = None

    def order(self, number: int) -> np.ndarray:
        """The row numbers of a pass over the data, in order."""
        rows = np.arange(self.size, dtype="int32")
        if not self.shuffle:
            return rows
        chance = np.random.default_rng([self.seed, number])
        if self.shuffle == "batch":
            full = self.size - self.size % self.batch_size
            blocks = chance.permutation(rows[:full].reshape(-1, self.batch_size))
            return np.concatenate([blocks.reshape(-1), rows[full:]])
        return chance.permutation(rows)

    def on_device(self) -> Any:
        """The data as arrays of the device, floats as `floatx()`; put there on first use."""
        if self._on_device is None:
            self._on_device = jax.tree.map(_placed, self.data)
        return self._on_device

    def catch_up(self, epochs: int, batches: int) -> None:
        """Be as if so many epochs, of so many batches in all, had been read."""

    def feeds(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, range]]:
        """Pairs `(feed, its steps)` from batch `start` on: full batches, then the rest.

        A feed has the shape of a whole pass, wherever it is entered: programs see no difference.
        """
        length = self.num_batches or 0
        at, end = epoch * length + start, (epoch + 1) * length
        while at < end:
            number, first = divmod(at, self._in_a_pass)
            count = min(self._in_a_pass - first, end - at)
            yield from self._part(self.order(number), first, first + count)
            at += count

    def _part(self, order: np.ndarray, first: int, end: int) -> Iterator[tuple[Any, range]]:
        """The batches `first` to `end` of a pass."""
        size, full = self.batch_size, self.size // self.batch_size
        if first < min(end, full):
            rows = order[: full * size].reshape(full, size)
            yield (self.on_device(), placement.whole(rows)), range(first, min(end, full))
        if end > full:
            yield (self.on_device(), placement.whole(order[None, full * size :])), range(1)

    @staticmethod
    def pick(feed: Any, step: Any) -> Any:
        """The batch of a step, inside of a program."""
        data, order = feed
        rows = jax.lax.dynamic_index_in_dim(order, step, keepdims=False)
        take = lambda array: array.at[rows].get(mode="clip", unique_indices=True)
        return placement.batch(jax.tree.map(take, data))

    def first(self) -> Any:
        """A batch to learn shapes and dtypes from."""
        return jax.tree.map(lambda a: standard(a[: self.batch_size]), self.data)


def standard(array: Any) -> Any:
    """`array` in the dtype that programs see: floats as `floatx()`, text as it is."""
    array = np.asarray(array) if not hasattr(array, "dtype") else array
    if array.dtype.kind == "f" and array.dtype != config.floatx():
        return array.astype(config.floatx())
    if str(array.dtype) in ("int64", "uint64"):
        return array.astype(str(array.dtype).replace("64", "32"))
    return array


def _placed(array: np.ndarray) -> Any:
    return placement.whole(standard(array))
