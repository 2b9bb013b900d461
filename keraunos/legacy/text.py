"""`keras.preprocessing.text`: words to numbers, by a vocabulary or by hashing."""

import collections
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


def text_to_word_sequence(
    text: str, filters: str = FILTERS, lower: bool = True, split: str = " "
) -> list[str]:
    """The words of a text, without the characters in `filters`."""
    text = text.lower() if lower else text
    return [word for word in text.translate({ord(c): split for c in filters}).split(split) if word]


def one_hot(
    text: str, n: int, filters: str = FILTERS, lower: bool = True, split: str = " "
) -> list[int]:
    """A number from 1 to `n - 1` for each word, by Python's own hash."""
    return hashing_trick(text, n, hash, filters, lower, split)


def hashing_trick(
    text: str, n: int, hash_function: Any = None, filters: str = FILTERS, lower: bool = True,
    split: str = " ",
) -> list[int]:  # fmt: skip
    """A number from 1 to `n - 1` for each word.

    Args:
        hash_function: From a string to an integer; "md5" is the same in every process, None is
            Python's own, which is not.
    """
    if hash_function == "md5":
        hash_function = lambda word: int(hashlib.md5(word.encode()).hexdigest(), 16)
    hashed = hash_function or hash
    return [
        hashed(word) % (n - 1) + 1 for word in text_to_word_sequence(text, filters, lower, split)
    ]


class Tokenizer:
    """A vocabulary, most frequent words first, and texts by its numbers, which start at 1.

    Args:
        num_words: Words of this number and above are left out.
        char_level: Whether characters are the words.
        oov_token: Stands for words that are not known, and has number 1.
        analyzer: From a text to its words, instead of the arguments before it.
    """

    def __init__(
        self, num_words: int | None = None, filters: str = FILTERS, lower: bool = True,
        split: str = " ", char_level: bool = False, oov_token: Any = None,
        analyzer: Callable | None = None, document_count: int = 0, **kwargs: Any,
    ):  # fmt: skip
        self.num_words = kwargs.pop("nb_words", num_words)
        if kwargs:
            raise TypeError(f"Tokenizer() got an unexpected argument {next(iter(kwargs))!r}.")
        self.filters, self.lower, self.split = filters, lower, split
        self.char_level, self.oov_token, self.analyzer = char_level, oov_token, analyzer
        self.document_count = document_count
        self.word_counts: collections.OrderedDict[str, int] = collections.OrderedDict()
        self.word_docs: dict[str, int] = collections.defaultdict(int)
        self.index_docs: dict[int, int] = collections.defaultdict(int)
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def _words(self, text: Any) -> list[str]:
        if isinstance(text, list) or self.char_level:
            lower = (lambda word: word.lower()) if self.lower else (lambda word: word)
            return [lower(word) for word in text]
        if self.analyzer is not None:
            return self.analyzer(text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable) -> None:
        """Learn the vocabulary of texts, or of lists of words."""
        self.fit_on_words([self._words(text) for text in texts])

    def fit_on_words(self, texts: list[list[str]]) -> None:
        for words in texts:
            self.document_count += 1
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] += 1
        known = sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        first = [] if self.oov_token is None else [self.oov_token]
        self.word_index = {word: i for i, word in enumerate([*first, *known], 1)}
        self.index_word = {i: word for word, i in self.word_index.items()}
        for word, count in self.word_docs.items():
            self.index_docs[self.word_index[word]] = count

    def fit_on_sequences(self, sequences: Iterable) -> None:
        """Count in how many sequences of numbers each occurs, for `mode="tfidf"`."""
        for sequence in sequences:
            self.document_count += 1
            for number in set(sequence):
                self.index_docs[number] += 1

    def _number(self, word: str) -> int | None:
        """The number of a word; of the one for unknown words, or None."""
        number = self.word_index.get(word)
        if number is not None and (not self.num_words or number < self.num_words):
            return number
        return self.word_index.get(self.oov_token) if self.oov_token is not None else None

    def texts_to_sequences(self, texts: Iterable) -> list[list[int]]:
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable):
        for text in texts:
            numbers = map(self._number, self._words(text))
            yield [number for number in numbers if number is not None]

    def sequences_to_texts(self, sequences: Iterable) -> list[str]:
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable):
        for sequence in sequences:
            words = []
            for number in sequence:
                word = self.index_word.get(number)
                if word is None or (self.num_words and number >= self.num_words):
                    word = self.oov_token
                words += [] if word is None else [word]
            yield " ".join(words)

    def texts_to_matrix(self, texts: Iterable, mode: str = "binary") -> np.ndarray:
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences: Any, mode: str = "binary") -> np.ndarray:
        """`(texts, words)`.

        Args:
            mode: "binary", "count", "freq" or "tfidf".
        """
        if mode not in ("binary", "count", "freq", "tfidf"):
            raise ValueError(f"Tokenizer needs binary, count, freq or tfidf for `mode`: {mode!r}.")
        if not self.num_words and not self.word_index:
            raise ValueError("Tokenizer needs `num_words`, or texts by `fit_on_texts`, first.")
        if mode == "tfidf" and not self.document_count:
            raise ValueError("Tokenizer needs `fit_on_texts` or `fit_on_sequences` for tfidf.")
        found = np.zeros((len(sequences), self.num_words or len(self.word_index) + 1))
        for row, sequence in zip(found, sequences):
            counts = collections.Counter(n for n in sequence if n < len(row))
            for number, count in counts.items():
                row[number] = self._weight(mode, number, count, len(sequence))
        return found

    def _weight(self, mode: str, number: int, count: int, length: int) -> float:
        if mode == "tfidf":
            rarity = np.log(1 + self.document_count / (1 + self.index_docs.get(number, 0)))
            return (1 + np.log(count)) * rarity
        return {"binary": 1, "count": count, "freq": count / length}[mode]

    def get_config(self) -> dict[str, Any]:
        plain = ("num_words", "filters", "lower", "split", "char_level", "oov_token")
        held = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")
        config = {name: getattr(self, name) for name in (*plain, "document_count")}
        return config | {name: json.dumps(getattr(self, name)) for name in held}

    def to_json(self, **kwargs: Any) -> str:
        """As `tokenizer_from_json` reads it."""
        config = {"class_name": type(self).__name__, "config": self.get_config()}
        return json.dumps(config, **kwargs)


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """The tokenizer that `to_json` described."""
    config = json.loads(json_string)["config"]
    held = {
        name: json.loads(config.pop(name))
        for name in ("word_counts", "word_docs", "index_docs", "index_word", "word_index")
    }
    tokenizer = Tokenizer(**config)
    for name, values in held.items():
        kind = type(getattr(tokenizer, name))
        pairs = {int(k) if name.startswith("index") else k: v for k, v in values.items()}
        setattr(
            tokenizer, name, kind(int, pairs) if kind is collections.defaultdict else kind(pairs)
        )
    return tokenizer


__all__ = [
    "Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json",
]  # fmt: skip
