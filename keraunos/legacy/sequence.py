"""`keras.preprocessing.sequence`: windows of time series, pairs of words."""

import json
import random
from typing import Any

import numpy as np

from keraunos.data import PyDataset
from keraunos.utils.arrays import pad_sequences


class TimeseriesGenerator(PyDataset):
    """Batches of windows of a series, each with the target that follows it.

    Args:
        data, targets: Along axis 0; `targets[i]` belongs to the window that ends before `i`.
        length: How long a window is, before `sampling_rate` thins it.
        sampling_rate, stride: Steps within a window, and from one window to the next.
        start_index, end_index: Of the part of the series to use; the end is included.
        reverse: Whether the newest is first in a window.
    """

    def __init__(
        self, data: Any, targets: Any, length: int, sampling_rate: int = 1, stride: int = 1,
        start_index: int = 0, end_index: int | None = None, shuffle: bool = False,
        reverse: bool = False, batch_size: int = 128,
    ):  # fmt: skip
        super().__init__()
        if len(data) != len(targets):
            raise ValueError(
                "TimeseriesGenerator needs `data` and `targets` of the same length, got "
                f"{len(data)} and {len(targets)}."
            )
        self.data, self.targets, self.length = data, targets, length
        self.sampling_rate, self.stride, self.batch_size = sampling_rate, stride, batch_size
        self.start_index = start_index + length
        self.end_index = len(data) - 1 if end_index is None else end_index
        self.shuffle, self.reverse = shuffle, reverse
        if self.start_index > self.end_index:
            raise ValueError(
                f"TimeseriesGenerator has no window of length {length} between {start_index} and "
                f"{self.end_index}."
            )

    def __len__(self) -> int:
        steps = self.batch_size * self.stride
        return (self.end_index - self.start_index + steps) // steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, self.batch_size)
        else:
            first = self.start_index + self.batch_size * self.stride * index
            last = min(first + self.batch_size * self.stride, self.end_index + 1)
            rows = np.arange(first, last, self.stride)
        step = slice(None, None, -1 if self.reverse else 1)
        take = lambda row: self.data[row - self.length : row : self.sampling_rate][step]
        return np.array([take(row) for row in rows]), np.array([self.targets[r] for r in rows])

    def get_config(self) -> dict[str, Any]:
        config = {k: v for k, v in vars(self).items() if k not in ("workers", "max_queue_size")}
        data, targets = (np.asarray(config[name]).tolist() for name in ("data", "targets"))
        return {**config, "data": json.dumps(data), "targets": json.dumps(targets)}

    def to_json(self, **kwargs: Any) -> str:
        config = {"class_name": type(self).__name__, "config": self.get_config()}
        return json.dumps(config, **kwargs)


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> np.ndarray:
    """How likely the word of each rank is kept, so that frequent ones are rarer.

    Words are taken to follow Zipf's law (Mikolov et al., 2013).
    """
    rank = np.arange(size)
    rank[0] = 1
    inverse = rank * (np.log(rank) + np.euler_gamma) + 0.5 - 1.0 / (12.0 * rank)
    f = sampling_factor * inverse
    return np.minimum(1.0, f / np.sqrt(f))


def skipgrams(
    sequence: Any, vocabulary_size: int, window_size: int = 4, negative_samples: float = 1.0,
    shuffle: bool = True, categorical: bool = False, sampling_table: Any = None, seed: Any = None,
) -> tuple[list, list]:  # fmt: skip
    """`(couples, labels)`: pairs of words that are near each other, and pairs drawn at random.

    Args:
        negative_samples: Random pairs for each real one.
        sampling_table: Of `make_sampling_table`.
    """
    couples, labels = [], []
    yes, no = ([0, 1], [1, 0]) if categorical else (1, 0)
    for i, word in enumerate(sequence):
        if not word or (sampling_table is not None and sampling_table[word] < random.random()):
            continue
        for j in range(max(0, i - window_size), min(len(sequence), i + window_size + 1)):
            if j != i and sequence[j]:
                couples.append([word, sequence[j]])
                labels.append(yes)
    if negative_samples > 0:
        words = [couple[0] for couple in couples]
        random.shuffle(words)
        for i in range(int(len(labels) * negative_samples)):
            couples.append([words[i % len(words)], random.randint(1, vocabulary_size - 1)])
            labels.append(no)
    if shuffle:
        order = random.Random(random.randint(0, 10**6) if seed is None else seed)
        pairs = list(zip(couples, labels))
        order.shuffle(pairs)
        couples, labels = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return couples, labels


__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]
