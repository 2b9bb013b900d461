"""Arrays that live where they are used: put on the device once, read there by row number."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from keraunos.core import config, placement


class Order:
    """The order in which rows are read, pass after pass, cut into batches and epochs.

    Args:
        size: The number of rows.
        batch_size: Rows in a batch; the last one of an epoch may have fewer.
        shuffle: True for a new order of rows in each epoch; "batch" for a new order of
            batches, whose rows stay together.
        seed: Of the orders; the order of a pass depends on it and on the pass alone.
        steps: Batches that make an epoch; those of one pass over the rows by default. Other
            epochs begin where the one before ended, in the endless row of passes.
    """

    def __init__(
        self,
        size: int,
        batch_size: int = 32,
        shuffle: Any = False,
        seed: int = 0,
        steps: int | None = None,
    ):
        self.size, self.shuffle, self.seed = size, shuffle, seed
        self.batch_size, self.asked = min(batch_size, max(size, 1)), batch_size
        self._in_a_pass = math.ceil(size / self.batch_size)
        self.num_batches: int | None = steps or self._in_a_pass

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

    def parts(self, epoch: int, start: int = 0) -> Iterator[tuple[np.ndarray, int, int]]:
        """The parts of passes that make an epoch: `(order of the rows, first batch, end)`."""
        length = self.num_batches or 0
        at, end = epoch * length + start, (epoch + 1) * length
        while at < end:
            number, first = divmod(at, self._in_a_pass)
            count = min(self._in_a_pass - first, end - at)
            yield self.order(number), first, first + count
            at += count


class Rows(Order):
    """Batches of rows that `take(row numbers)` brings when they are needed."""

    def __init__(self, take: Callable[[np.ndarray], Any], *args: Any):
        super().__init__(*args)
        self.take = take

    def epoch(self, number: int, start: int = 0) -> Iterator:
        """The batches of an epoch, from number `start` on."""
        for order, first, end in self.parts(number, start):
            for at in range(first * self.batch_size, end * self.batch_size, self.batch_size):
                yield self.take(order[at : at + self.batch_size])


class Arrays(Order):
    """Nested arrays of one length, cut into batches along axis 0.

    Args:
        data: Nested tuples, lists and dicts of arrays; the other arguments are those of `Order`.
    """

    def __init__(self, data: Any, *args: Any, **options: Any):
        self.data = jax.tree.map(np.asarray, data)
        super().__init__(len(jax.tree.leaves(self.data)[0]), *args, **options)
        self._on_device: Any = None

    def on_device(self) -> Any:
        """The data as arrays of the device, floats as `floatx()`; put there on first use."""
        if self._on_device is None:
            self._on_device = jax.tree.map(_placed, self.data)
        return self._on_device

    def catch_up(self, epochs: int, batches: int, place: Any = None) -> None:
        """Be as if so many epochs, of so many batches in all, had been read."""

    def place(self, step: int) -> None:
        """Nothing but the numbers of epoch and batch is needed to know where one is."""

    def feeds(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, range]]:
        """Pairs `(feed, its steps)` from batch `start` on: full batches, then the rest.

        A feed has the shape of a whole pass, wherever it is entered: programs see no difference.
        """
        for part in self.parts(epoch, start):
            yield from self._part(*part)

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


class Blocks:
    """The batches of arrays in order, as stacks of few shapes: one program serves many lengths.

    Args:
        padded: Whether a last batch of fewer rows may be filled up with copies of a row.
    """

    most = 32  # batches in a stack

    def __init__(self, arrays: Arrays, padded: bool):
        self.arrays, self.padded = arrays, padded

    def feeds(self) -> Iterator[tuple[Any, range, int | None]]:
        """Triples `(stack, its steps, rows that count if some were added)`."""
        arrays = self.arrays
        for _, first, end in arrays.parts(0):
            at, full = first, min(end, arrays.size // arrays.asked)
            while at < full:
                count = self.most if full - at >= self.most else 1
                yield self._stack(at, count, arrays.asked), range(count), None
                at += count
            if at < end:
                rows = arrays.size - at * arrays.asked
                yield self._stack(at, 1, rows), range(1), rows if self.padded else None

    def _stack(self, first: int, count: int, rows: int) -> Any:
        start = first * self.arrays.asked
        size = 1 if rows == 1 else 2
        while size < rows:
            size *= 4
        size = min(size, self.arrays.asked) if self.padded else rows

        def stack(array):
            part = standard(array[start : start + count * rows])
            if size > rows:
                part = np.concatenate([part, np.repeat(part[-1:], size - rows, axis=0)])
            return part.reshape(count, size, *part.shape[1:])

        return jax.tree.map(stack, self.arrays.data)

    @staticmethod
    def pick(stack: Any, step: Any) -> Any:
        """The batch of a step, inside of a program."""
        return jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, step, keepdims=False), stack)


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
