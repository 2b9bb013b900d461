"""Public `keras.datasets.imdb`."""

from typing import Any

import numpy as np

from keraunos.datasets import texts
from keraunos.datasets.files import Split, fetch, read_index, read_npz, shuffled


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
    **kwargs: Any,
) -> Split:
    """50,000 reviews of films, as numbers of words, half of them to test with.

    A word's number is its rank among the frequent ones plus `index_from`; 0 is for padding.

    Args:
        path: What the file is called in `~/.keras/datasets`.
        num_words: Words from this number on become `oov_char`.
        skip_top: So do words below this number.
        maxlen: Reviews of this length or longer are left out.
        seed: Of the order of reviews.
        start_char: Put before each review; nothing if None.
        oov_char: Stands for words that are left out; nothing if None.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: arrays of lists; 1 for praise, 0 for blame, int64.
    """
    num_words = kwargs.pop("nb_words", num_words)
    if kwargs:
        raise TypeError(f"Unrecognized keyword arguments: {kwargs}.")
    arrays = read_npz(fetch(path, "imdb.npz"), "x_train", "y_train", "x_test", "y_test")
    chance = np.random.RandomState(seed)
    rows, labels, ends = [], [], []
    for x, y in (arrays[:2], arrays[2:]):
        x, y = shuffled(chance, x, y)
        kept = texts.numbered(x, y, start_char, index_from, maxlen)
        rows, labels = rows + kept[0], labels + kept[1]
        ends.append(len(rows))
    x, y = texts.cut(rows, num_words, skip_top, oov_char), np.array(labels)
    return (x[: ends[0]], y[: ends[0]]), (x[ends[0] :], y[ends[0] :])


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """The rank of each word among the frequent ones, from 1 on."""
    return read_index(fetch(path, "imdb_word_index.json"))
