"""Texts as lists of the numbers of their words: what IMDB and Reuters share."""

from typing import Any

import numpy as np

Rows = list[list[int]]


def numbered(
    sequences: Any, labels: Any, start_char: int | None, index_from: int | None, maxlen: int | None
) -> tuple[Rows, list[int]]:
    """Sequences with room for special numbers, and a mark of the start; only the short ones."""
    begin = [] if start_char is None else [start_char]
    rows = [[*begin, *(int(word) + (index_from or 0) for word in row)] for row in sequences]
    if not maxlen:
        return rows, list(labels)
    kept = [i for i, row in enumerate(rows) if len(row) < maxlen]
    if not kept:
        raise ValueError(
            f"After filtering for sequences shorter than maxlen={maxlen}, no sequence was kept. "
            "Increase maxlen."
        )
    return [rows[i] for i in kept], [labels[i] for i in kept]


def cut(rows: Rows, num_words: int | None, skip_top: int, oov_char: int | None) -> np.ndarray:
    """Sequences, an array of lists, with rare and frequent words as `oov_char`, or left out."""
    end = num_words or max((word for row in rows for word in row), default=0)  # Keras cuts it too
    result = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        if oov_char is None:
            result[i] = [word for word in row if skip_top <= word < end]
        else:
            result[i] = [word if skip_top <= word < end else oov_char for word in row]
    return result
