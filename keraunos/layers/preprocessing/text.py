"""TextVectorization: from text to the places of its words in a vocabulary."""

import string
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from keraunos.core.fields import OptionalPositive, fields, needs
from keraunos.core.listed import as_numpy
from keraunos.core.registry import export
from keraunos.layers.preprocessing.features import Dense
from keraunos.layers.preprocessing.host import HostLayer, batches, mode_of, strings
from keraunos.layers.preprocessing.lookup import StringLookup, Vocabulary, checked_config

_PUNCTUATION = string.punctuation.encode()
_STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
_SPLIT = ("whitespace", "character")


def _named(*names: str) -> Callable:
    def convert(value, name, owner):
        if value is not None and not callable(value) and value not in names:
            expected = f"one of {', '.join(names)}, a function, or None"
            raise ValueError(needs(owner, expected, name, value))
        return value

    return convert


def _sizes(value, name, owner):
    sizes = range(1, value + 1) if isinstance(value, int) else value
    if sizes is None:
        return None
    if not sizes or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise ValueError(needs(owner, "a positive integer, or a tuple of them", name, value))
    return value if isinstance(value, int) else tuple(value)


@export("layers.TextVectorization")
@fields
class TextVectorization(HostLayer):
    """Texts as rows of the places of their words in a vocabulary, or as vectors of its size.

    Each text is standardized, split, and its tokens, or the n-grams of these, are looked up. Place
    0 fills rows up in the mode "int", the next one is for unknown tokens.

    Shapes: `(batch,)` or `(batch, 1)` to `(batch, length)` or `(batch, size of the vocabulary)`.

    Args:
        max_tokens: The most places there may be, the special ones included.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a
            function from an array of strings to one.
        split: "whitespace", "character", None, or a function from an array of strings to a list
            of tokens for each.
        ngrams: Join up to so many neighbours to tokens; or as many as the tuple says.
        output_mode: "int", "multi_hot", "count" or "tf_idf".
        output_sequence_length: The length that rows are cut, or filled up, to; that of the
            longest in the batch by default.
        pad_to_max_tokens: Whether vectors have the size `max_tokens` in any case.
        vocabulary: A list, or the path of a file with a token in each line.
        idf_weights: In the mode "tf_idf", the weight of each token.
        encoding: Of strings given as bytes, and of files.
    """

    max_tokens: Any = None
    standardize: Annotated[Any, _named(*_STANDARDIZE)] = "lower_and_strip_punctuation"
    split: Annotated[Any, _named(*_SPLIT)] = "whitespace"
    ngrams: Annotated[Any, _sizes] = None
    output_mode: Annotated[str, mode_of("int", "multi_hot", "count", "tf_idf")] = "int"
    output_sequence_length: OptionalPositive = None
    pad_to_max_tokens: bool = False
    vocabulary: Vocabulary = None
    idf_weights: Any = None
    sparse: Dense = False
    ragged: Dense = False
    encoding: str = "utf-8"
    name: Any = None

    _holds = "string"

    def __post_init__(self):
        if self.output_sequence_length is not None and self.output_mode != "int":
            expected = f"None in the mode {self.output_mode!r}"
            length = self.output_sequence_length
            raise ValueError(needs(self, expected, "output_sequence_length", length))
        self._lookup_layer = StringLookup(
            max_tokens=self.max_tokens,
            mask_token="",
            vocabulary=self.vocabulary,
            idf_weights=self.idf_weights,
            output_mode=self.output_mode,
            pad_to_max_tokens=self.pad_to_max_tokens,
            encoding=self.encoding,
        )
        self.vocabulary = self._lookup_layer.vocabulary
        self.idf_weights = self._lookup_layer.idf_weights

    # The vocabulary -----------------------------------------------------------------------------

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The tokens, each at its place; without the special ones, if asked."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """How many places there are, the special ones included."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Replace the vocabulary, by a list or the path of a file with a token in each line."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary: the tokens of `data`, the most frequent first, anew.

        Args:
            data: An array or a list of texts, or batches of them.
            batch_size: Accepted; an array is read at once.
            steps: How many batches to take at most.
        """
        self.reset_state()
        for batch in batches(data, steps):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch of texts."""
        tokens, lengths, _ = self._read_texts(as_numpy(data))
        self._lookup_layer._count(tokens, lengths)

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forget the tokens that were counted."""
        self._lookup_layer.reset_state()

    # From text to places ------------------------------------------------------------------------

    def _read_texts(self, inputs: np.ndarray) -> tuple[list[str], list[int], tuple]:
        """The tokens of all texts, how many each text has, and the shape the texts come in."""
        texts, shape = strings(inputs, self, self.encoding)
        if callable(self.standardize):
            given = np.asarray(self.standardize(np.array(texts, dtype=np.str_).reshape(shape)))
            texts, shape = strings(given, self, self.encoding)
        texts = self._standardized(texts)
        if self.split is not None and shape[1:] not in ((), (1,)):
            raise ValueError(
                f"{self._who} splits texts in an array of shape (batch,) or (batch, 1), got one "
                f"of shape {shape}. With `split=None` any shape will do."
            )
        width = shape[-1] if self.split is None and len(shape) > 1 else 1
        if self.split is None:
            rows: Any = (texts[i : i + width] for i in range(0, len(texts), width))
        elif callable(self.split):
            found: Any = self.split(np.array(texts, dtype=np.str_))
            rows = (strings(row, self, self.encoding)[0] for row in found)
        else:
            rows = map(list if self.split == "character" else str.split, texts)
        tokens: list[str] = []
        lengths: list[int] = []
        for row in rows if self.ngrams is None else map(self._joined, rows):
            tokens += row
            lengths.append(len(row))
        return tokens, lengths, shape[:-1] if len(shape) > 1 else shape

    def _standardized(self, texts: list[str]) -> list[str]:
        if not isinstance(self.standardize, str):
            return texts
        whole = "\0".join(texts)  # one long string takes a fraction of the time of many short ones
        if whole.count("\0") >= len(texts) > 1:
            return [self._standardized([text])[0] for text in texts]
        if "lower" in self.standardize:
            whole = whole.lower()
        if "strip" in self.standardize:  # bytes lose characters fastest; ASCII is in no others
            encoded = whole.encode("utf-8", "surrogatepass")
            whole = encoded.translate(None, _PUNCTUATION).decode("utf-8", "surrogatepass")
        return whole.split("\0") if len(texts) > 1 else [whole][: len(texts)]

    def _joined(self, row: list[str]) -> list[str]:
        sizes = range(1, self.ngrams + 1) if isinstance(self.ngrams, int) else self.ngrams
        return [" ".join(row[i : i + n]) for n in sizes for i in range(len(row) - n + 1)]

    def _prepare(self, inputs):
        tokens, counts, shape = self._read_texts(inputs)
        places, lengths = self._lookup_layer._places(tokens), np.array(counts, "int64")
        longest = int(lengths.max(initial=0))
        width = self.output_sequence_length or longest
        filled = np.full((len(counts), width), 0 if self.output_mode == "int" else -1, "int32")
        if longest > width:
            starts = np.cumsum(lengths) - lengths
            places = places[np.arange(len(places)) - np.repeat(starts, lengths) < width]
        filled[np.arange(width) < lengths[:, None]] = places
        return filled.reshape(*shape, width)

    def _finish(self, indices):
        return self._lookup_layer._finish(indices)

    def _prepared_shape(self, shape):
        if self.split is None:
            width = shape[-1] if len(shape) > 1 and self.ngrams is None else None
            return (
                *(shape[:-1] if len(shape) > 1 else shape),
                self.output_sequence_length or width,
            )
        return (*shape[:1], self.output_sequence_length)

    # Files ----------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        size = self._lookup_layer.get_config()["vocabulary_size"]
        return super().get_config() | {"vocabulary_size": size}

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        config, size = checked_config(cls, config)
        layer = super().from_config(config)
        layer._lookup_layer._frozen_size = size
        return layer

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary to a file, unless the config holds it."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str) -> None:
        """Read the vocabulary that `save_assets` wrote."""
        self._lookup_layer.load_assets(dir_path)

    def save_own_variables(self, store) -> None:
        """Put the weights of the mode "tf_idf" into `store`."""
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store) -> None:
        """Take the weights of the mode "tf_idf" from `store`."""
        self._lookup_layer.load_own_variables(store)
