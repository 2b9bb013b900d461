"""Batches by number, read ahead by workers."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keraunos.core.registry import export
from keraunos.data.threads import in_order


@export("utils.PyDataset")
class PyDataset:
    """Base class of data that can say its batch number `i`.

    A subclass defines `__len__`, the number of batches, and `__getitem__(i)`, which returns
    `(x, y)` or `(x, y, sample_weight)`, each with the batch as its first axis; and, if it
    wants, `on_epoch_begin()` and `on_epoch_end()`.

    Args:
        workers: Threads that read ahead if more than one. Batches come in the same order
            whatever their number.
        use_multiprocessing: Accepted; workers are threads.
        max_queue_size: How many batches may be read ahead.
    """

    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ):
        self.workers, self.max_queue_size = workers, max_queue_size
        self.use_multiprocessing = use_multiprocessing

    @property
    def num_batches(self) -> int | None:
        """How many batches an epoch has; `len(self)`."""
        return len(self)

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define `__len__`.")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define `__getitem__`.")

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


class Items:
    """The batches of anything with `__len__`, `__getitem__` and `on_epoch_end`, epoch by epoch.

    Args:
        sequence: A `PyDataset`, or what looks like one.
        shuffle: Whether batches come in a new order in each epoch.
    """

    def __init__(self, sequence: Any, shuffle: bool = False):
        self.sequence, self.shuffle = sequence, shuffle

    def __iter__(self) -> Iterator:
        return self.epoch(0)

    def epoch(self, number: int, start: int = 0) -> Iterator:
        """The batches of the next epoch, whatever its number, from number `start` on."""
        places = np.arange(len(self.sequence))
        if self.shuffle:
            np.random.shuffle(places)
        self._begin()
        workers = getattr(self.sequence, "workers", 1)
        read = self._ahead if workers > 1 else self._one_by_one
        yield from read([int(i) for i in places[start:]])
        self.sequence.on_epoch_end()

    def _begin(self) -> None:
        getattr(self.sequence, "on_epoch_begin", lambda: None)()

    def catch_up(self, epochs: int) -> None:
        """Be as if so many epochs had been read: what was done around each is done."""
        for _ in range(epochs):
            if self.shuffle:
                np.random.shuffle(np.arange(len(self.sequence)))
            self._begin()
            self.sequence.on_epoch_end()

    def _one_by_one(self, places: list[int]) -> Iterator:
        for i in places:
            yield self.sequence[i]

    def _ahead(self, places: list[int]) -> Iterator:
        """Read by threads, a bounded number of batches ahead; an error says at which batch."""
        workers = self.sequence.workers
        return in_order(
            self._read, places, workers, max(workers, getattr(self.sequence, "max_queue_size", 10))
        )

    def _read(self, i: int) -> Any:
        try:
            return self.sequence[i]
        except Exception as error:
            error.add_note(f"While reading batch {i} of {type(self.sequence).__name__}.")
            raise
