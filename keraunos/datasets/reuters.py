"""Public `keras.datasets.reuters`."""

import numpy as np

from keraunos.datasets import texts
from keraunos.datasets.files import Split, fetch, read_index, read_npz, shuffled

_LABELS = """cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade
    reserves ship cotton carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed
    gold tin strategic-metal livestock retail ipi iron-steel rubber heat jobs lei bop zinc orange
    pet-chem dlr gas silver wpi hog lead"""


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> Split:
    """11,228 newswires of 46 topics, as numbers of words.

    Args: as of `imdb.load_data`, and
        test_split: Share of the newswires to test with.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: arrays of lists; topics, int64.
    """
    if not 0 <= test_split <= 1:
        raise ValueError(f"`test_split` must be between 0 and 1, got {test_split}.")
    x, y = shuffled(seed, *read_npz(fetch(path, "reuters.npz"), "x", "y"))
    rows, labels = texts.numbered(x, y, start_char, index_from, maxlen)
    x, y = texts.cut(rows, num_words, skip_top, oov_char), np.array(labels)
    end = int(len(x) * (1 - test_split))
    return (x[:end], y[:end]), (x[end:], y[end:])


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """The rank of each word among the frequent ones, from 1 on."""
    return read_index(fetch(path, "reuters_word_index.json"))


def get_label_names() -> tuple[str, ...]:
    """The 46 topics, by number."""
    return tuple(_LABELS.split())
