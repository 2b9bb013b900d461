"""From strings or integers to their places in a vocabulary, and back."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from keraunos.core import config as settings, registry
from keraunos.core.fields import fields, needs, one_of
from keraunos.core.graph import KerasTensor
from keraunos.core.listed import as_numpy
from keraunos.core.registry import export
from keraunos.layers.preprocessing import hashing
from keraunos.layers.preprocessing.features import Dense, Salt
from keraunos.layers.preprocessing.host import (
    HostLayer,
    array_of,
    batches,
    encode,
    in_python,
    mode_of,
    narrowed,
    strings,
)

Mode = Annotated[str, mode_of("int", "one_hot", "multi_hot", "count", "tf_idf")]
_FILE = "vocabulary.txt"


def _count(value, name, owner):
    if not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(needs(owner, "a count", name, value))
    return int(value)


def _most(value, name, owner):
    if value is not None and (not isinstance(value, (int, np.integer)) or value <= 1):
        raise ValueError(needs(owner, "an integer above 1, or None", name, value))
    return value


Count = Annotated[int, _count]
Most = Annotated[Any, _most]


def _vocabulary(value: Any, name: str, owner: Any) -> Any:
    """The check for a vocabulary: tokens in a row, or the path of a file of them."""
    if value is not None and not _is_path(value) and not np.iterable(value):
        raise ValueError(needs(owner, "a list of tokens, or the path of a file", name, value))
    return value


Vocabulary = Annotated[Any, _vocabulary]


class IndexLookup(HostLayer):
    """What `StringLookup` and `IntegerLookup` share.

    The places are: the mask token (in the mode "int", if there is one), those of tokens that are
    not in the vocabulary, the vocabulary. Programs that are compiled already do not see a change
    of the vocabulary: call `compile` again.
    """

    max_tokens: Any
    num_oov_indices: int
    mask_token: Any
    oov_token: Any
    vocabulary: Any
    idf_weights: Any
    invert: bool
    output_mode: str
    pad_to_max_tokens: bool
    salt: Any
    encoding: str = "utf-8"

    def __post_init__(self):
        if self.invert and self.output_mode != "int":
            expected = "'int' where `invert` is set"
            raise ValueError(needs(self, expected, "output_mode", self.output_mode))
        if self.pad_to_max_tokens and self.max_tokens is None:
            expected = "an integer to pad to"
            raise ValueError(needs(self, expected, "max_tokens", self.max_tokens))
        self._frozen_size: int | None = None
        self._tokens: list | None = None
        self._idf: np.ndarray | None = None
        self.reset_state()
        given, weights = self.vocabulary, self.idf_weights
        if given is None and weights is not None:
            raise ValueError(needs(self, "a `vocabulary`", "idf_weights", weights))
        self.vocabulary = self.idf_weights = None
        if given is not None:
            self.set_vocabulary(given, weights)
            if not _is_path(given):  # of a file, the model's own file keeps the contents
                self.vocabulary = self._tokens_of(given)
                self.idf_weights = None if weights is None else np.asarray(weights).tolist()

    # Tokens ---------------------------------------------------------------------------------

    def _tokens_of(self, data: Any) -> list:
        """The tokens of an array or a list, in a row."""
        raise NotImplementedError

    def _read_token(self, line: str) -> Any:
        """A token as a file has it."""
        raise NotImplementedError

    # The vocabulary -----------------------------------------------------------------------------

    def _special(self) -> list:
        masked = self.mask_token is not None and self.output_mode == "int"
        return [self.mask_token] * masked + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list:
        """The tokens, each at its place; without those for masked and unknown input, if asked."""
        tokens = list(self._tokens or ())
        return self._special() + tokens if include_special_tokens else tokens

    def vocabulary_size(self) -> int:
        """How many places there are, those of special tokens included."""
        if self._tokens is None and self._frozen_size is not None:
            return self._frozen_size
        return len(self._special()) + len(self._tokens or ())

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Replace the vocabulary, by a list or the path of a file with a token in each line.

        Args:
            idf_weights: In the mode "tf_idf", the weight of each token.
        """
        if _is_path(vocabulary):
            tokens = self._tokens_in(Path(vocabulary))
        else:
            tokens = self._tokens_of(vocabulary)
        if (idf_weights is None) == (self.output_mode == "tf_idf"):
            expected = "weights" if idf_weights is None else "None"
            expected += f" in the mode {self.output_mode!r}"
            raise ValueError(needs(self, expected, "idf_weights", idf_weights))
        weights = None if idf_weights is None else np.asarray(idf_weights, "float32")
        if weights is not None and weights.shape != (len(tokens),):
            raise ValueError(
                f"{self._who} got {weights.size} `idf_weights` for {len(tokens)} tokens."
            )
        special = self._special()
        unknown = None
        if special and tokens[: len(special)] == special:
            tokens = tokens[len(special) :]
            if weights is not None:
                unknown, weights = weights[: len(special)], weights[len(special) :]
        self._check_tokens(tokens)
        self._tokens = tokens
        if weights is not None:
            mean = np.full(len(special), weights.mean(), "float32")
            self._idf = np.concatenate([mean if unknown is None else unknown, weights])
        self._fill()

    def _check_tokens(self, tokens: list) -> None:
        if not tokens:
            raise ValueError(f"{self._who} needs at least one token in its vocabulary.")
        most = None if self.max_tokens is None else self.max_tokens - len(self._special())
        if most is not None and len(tokens) > most:
            raise ValueError(
                f"{self._who} has room for {most} tokens (`max_tokens={self.max_tokens}`, special "
                f"ones included), got {len(tokens)}."
            )
        for token in (self.mask_token, self.oov_token if self.num_oov_indices else None):
            if token is not None and token in tokens:
                raise ValueError(
                    f"{self._who} reserves {token!r}, which is in the vocabulary at place "
                    f"{tokens.index(token)}. Take it out, or give special tokens all together "
                    f"at the beginning: {self._special()}."
                )
        if len(set(tokens)) != len(tokens):
            repeated = [token for token, n in Counter(tokens).items() if n > 1]
            raise ValueError(f"{self._who} got tokens more than once: {repeated[:10]}.")

    def _fill(self) -> None:
        """Make the table in which tokens are looked up."""
        special = self._special()
        self._table = {token: i for i, token in enumerate(self._tokens or (), len(special))}
        if self.mask_token is not None:
            self._table[self.mask_token] = 0 if self.output_mode == "int" else -1

    def _tokens_in(self, path: Path) -> list:
        with open(path.expanduser(), encoding=self.encoding, newline="\n") as file:
            lines = file.read().split("\n")
        return [self._read_token(line) for line in (lines if lines[-1] else lines[:-1])]

    # Learning it ----------------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: the tokens of `data`, the most frequent first, anew.

        Args:
            data: An array or a list, or batches of them.
            steps: How many batches to take at most.
        """
        self.reset_state()
        for batch in batches(data, steps):
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget the tokens that were counted."""
        self._counts: Counter = Counter()
        self._documents: Counter = Counter()
        self._seen = 0

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch, whose first axis is that of the documents."""
        array = np.atleast_1d(as_numpy(data))
        tokens = self._tokens_of(array)
        width = max(1, array.size // max(len(array), 1))
        self._count(tokens, [width] * (len(tokens) // width))

    def _count(self, tokens: list, lengths: list[int]) -> None:
        """Count the tokens of some documents, which have these lengths."""
        self._counts.update(tokens)
        if self.output_mode == "tf_idf":
            ends = itertools.accumulate(lengths)
            for end, length in zip(ends, lengths):
                self._documents.update(set(tokens[end - length : end]))
            self._seen += len(lengths)

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        if not self._counts:
            return
        reserved = {self.mask_token, self.oov_token}
        ranked = sorted(
            ((n, t) for t, n in self._counts.items() if t not in reserved), reverse=True
        )
        room = None if self.max_tokens is None else self.max_tokens - len(self._special())
        tokens = [token for _, token in ranked[:room]]
        idf = None
        if self.output_mode == "tf_idf":
            within = np.array([self._documents[token] for token in tokens])
            idf = np.log1p(self._seen / (1 + within))
        self.set_vocabulary(tokens, idf)

    # Looking up -----------------------------------------------------------------------------------

    @property
    def input_dtype(self) -> str:
        """Of the input that a first layer asks for."""
        return "int64" if self.invert else self.compute_dtype

    def _check_known(self) -> None:
        if self._tokens is None:
            raise ValueError(
                f"{self._who} has no vocabulary yet: call `adapt(data)` or "
                "`set_vocabulary(tokens)` first."
            )

    def _places(self, tokens: list) -> np.ndarray:
        """The places of tokens, one after the other."""
        self._check_known()
        first = len(self._special()) - self.num_oov_indices
        if self.num_oov_indices == 1:
            found = map(self._table.get, tokens, itertools.repeat(first))
            return np.fromiter(found, "int32", len(tokens))
        places = list(map(self._table.get, tokens))
        unknown = [token for token, place in zip(tokens, places) if place is None]
        if unknown and not self.num_oov_indices:
            raise ValueError(
                f"{self._who} has no place for tokens outside of its vocabulary, got "
                f"{unknown[:10]}. `num_oov_indices=1` makes one."
            )
        bins = iter(self._bins(unknown))
        return np.array([first + next(bins) if p is None else p for p in places], "int32")

    def _bins(self, tokens: list) -> list[int]:
        """Which of several places for unknown tokens each of these has."""
        return hashing.buckets([str(t).encode() for t in tokens], self.num_oov_indices, self.salt)

    def _depth(self) -> int:
        if self.pad_to_max_tokens:
            return self.max_tokens
        if self._frozen_size is None:
            self._check_known()
        return self.vocabulary_size()

    def _finish(self, indices):
        if self.output_mode == "int":
            return jnp.asarray(indices, "int32")
        depth, dtype = self._depth(), settings.floatx()
        if self.output_mode != "tf_idf":
            return encode(indices, self.output_mode, depth, dtype)
        weights = np.zeros(depth, "float32") if self._idf is None else self._idf
        counts = encode(indices, "count", depth, dtype)
        return counts * jnp.asarray(np.pad(weights, (0, depth - len(weights))), dtype)

    # Files ----------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        known = self._tokens is not None or self._frozen_size is not None
        return super().get_config() | {"vocabulary_size": self.vocabulary_size() if known else None}

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        config, size = checked_config(cls, config)
        layer = super().from_config(config)
        layer._frozen_size = size
        return layer

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary to a file, unless the config holds it."""
        if self.vocabulary is not None or self._tokens is None:
            return
        lines = [str(token) for token in self.get_vocabulary()]
        if broken := [line for line in lines if "\n" in line]:
            raise ValueError(
                f"{self._who} cannot be saved: a file has a token in each line, and in the "
                f"vocabulary is {broken[0]!r}. Give such tokens as the argument `vocabulary`."
            )
        path = Path(dir_path) / _FILE
        path.write_text("\n".join(lines), encoding=self.encoding, newline="\n")

    def load_assets(self, dir_path: str) -> None:
        """Read the vocabulary that `save_assets` wrote."""
        path = Path(dir_path) / _FILE
        if self.vocabulary is None and path.is_file():
            tokens = self._tokens_in(path)
            self.set_vocabulary(tokens, self._idf if self.output_mode == "tf_idf" else None)

    def save_own_variables(self, store) -> None:
        """Put the weights of the mode "tf_idf" into `store`."""
        if self._idf is not None:
            store["idf_weights"] = self._idf

    def load_own_variables(self, store) -> None:
        """Take the weights of the mode "tf_idf" from `store`."""
        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self._idf = np.asarray(store["idf_weights"], "float32")


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, Path))


def checked_config(cls: type, config: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
    """The arguments in a config, and the size of the vocabulary.

    Raises if it names a file to be opened, unless who loads it trusts it.
    """
    path = config.get("vocabulary")
    if _is_path(path) and registry.in_safe_mode():
        raise ValueError(
            f"The config of {cls.__name__} names the file {str(path)!r} as its vocabulary; "
            "what is loaded may not open other files. If you trust it, pass `safe_mode=False` "
            "to the call that loads it, or call `keras.config.enable_unsafe_deserialization()`."
        )
    besides = ("vocabulary_size", "has_input_vocabulary")  # the latter is of Keras 2
    arguments = {name: value for name, value in config.items() if name not in besides}
    return arguments, config.get("vocabulary_size")


@export("layers.StringLookup")
@fields
class StringLookup(IndexLookup):
    """Strings as their places in a vocabulary, or as vectors of its size.

    Args:
        max_tokens: The most places there may be, special ones included.
        num_oov_indices: Places for strings that are not in the vocabulary; with several, the
            hash of a string chooses. With 0 such strings are an error.
        mask_token: A string that is place 0 in the mode "int", and counts nowhere in the others.
        oov_token: What `invert` gives for places of unknown strings.
        vocabulary: A list, or the path of a file with a string in each line.
        idf_weights: In the mode "tf_idf", the weight of each string of the vocabulary.
        invert: Go from places to strings.
        output_mode: "int", "one_hot", "multi_hot", "count" or "tf_idf".
        pad_to_max_tokens: Whether vectors have the size `max_tokens` in any case.
        encoding: Of strings given as bytes, and of files.
        salt: An integer, or two, that make the hash another one.
    """

    max_tokens: Most = None
    num_oov_indices: Count = 1
    mask_token: str | None = None
    oov_token: str | None = "[UNK]"
    vocabulary: Vocabulary = None
    idf_weights: Any = None
    invert: bool = False
    output_mode: Mode = "int"
    pad_to_max_tokens: bool = False
    sparse: Dense = False
    encoding: str = "utf-8"
    name: Any = None
    salt: Salt = None

    _holds = "string"
    __post_init__ = IndexLookup.__post_init__

    def _tokens_of(self, data):
        return strings(data, self, self.encoding)[0]

    def _read_token(self, line):
        return line

    def _prepare(self, inputs):
        flat, shape = strings(inputs, self, self.encoding)
        return self._places(flat).reshape(shape)

    def call(self, inputs):
        if not self.invert:
            return super().call(inputs)
        if isinstance(inputs, Tracer):
            raise TypeError(
                f"{self._who} gives strings, which no compiled program can: call it on what "
                "`predict` returns."
            )
        self._check_known()
        table = dict(enumerate(self.get_vocabulary()))
        places = np.asarray(inputs)
        found = (table.get(place, self.oov_token) for place in places.ravel().tolist())
        return array_of(found, places.shape)

    def compute_output_spec(self, inputs):
        if self.invert:
            return KerasTensor(inputs.shape, "string")
        return super().compute_output_spec(inputs)


@export("layers.IntegerLookup")
@fields
class IntegerLookup(IndexLookup):
    """Integers as their places in a vocabulary, or as vectors of its size.

    Args:
        max_tokens: The most places there may be, special ones included.
        num_oov_indices: Places for integers that are not in the vocabulary. With 0 such integers
            are an error.
        mask_token: An integer that is place 0 in the mode "int", and counts nowhere in the others.
        oov_token: What `invert` gives for places of unknown integers.
        vocabulary: A list, or the path of a file with an integer in each line.
        idf_weights: In the mode "tf_idf", the weight of each integer of the vocabulary.
        invert: Go from places to integers.
        output_mode: "int", "one_hot", "multi_hot", "count" or "tf_idf".
        pad_to_max_tokens: Whether vectors have the size `max_tokens` in any case.
        oov_method: Which of several places an unknown integer has: "floormod", what remains of
            it, or "farmhash", the hash of its digits.
        salt: An integer, or two, that make the hash another one.
    """

    max_tokens: Most = None
    num_oov_indices: Count = 1
    mask_token: Any = None
    oov_token: Any = -1
    vocabulary: Vocabulary = None
    vocabulary_dtype: Annotated[str, one_of("int64")] = "int64"
    idf_weights: Any = None
    invert: bool = False
    output_mode: Mode = "int"
    sparse: Dense = False
    pad_to_max_tokens: bool = False
    oov_method: Annotated[str, one_of("floormod", "farmhash")] = "floormod"
    salt: Salt = None
    name: Any = None

    _holds = "int64"
    __post_init__ = IndexLookup.__post_init__

    def _tokens_of(self, data):
        array = np.asarray(data)
        if array.dtype.kind not in "iub" and not (array.dtype.kind == "f" and _whole(array)):
            raise TypeError(f"{self._who} needs integers, got {array.dtype}.")
        return array.astype("int64").ravel().tolist()

    def _read_token(self, line):
        return int(line)

    def _bins(self, tokens):
        if self.oov_method == "floormod" and self.salt is None:
            return [token % self.num_oov_indices for token in tokens]
        return super()._bins(tokens)

    def _prepare(self, inputs):
        self._check_known()
        hashed = self.num_oov_indices > 1 and (self.oov_method == "farmhash" or self.salt)
        if hashed or not self.num_oov_indices:
            of = lambda x: self._places(self._tokens_of(x)).reshape(np.shape(x))
            return in_python(of, inputs)
        traced = isinstance(inputs, Tracer)
        x = inputs if traced else np.array(self._tokens_of(inputs), "int64").reshape(inputs.shape)
        fits = [token for token in self._table if not traced or -(2**31) <= token < 2**31]
        keys = np.array(sorted(fits), x.dtype)
        places = jnp.asarray([self._table[key] for key in keys.tolist()], "int32")
        xp = jnp if traced else np
        at = xp.minimum(xp.searchsorted(keys, x), len(keys) - 1)
        first = len(self._special()) - self.num_oov_indices
        unknown = (first + x % self.num_oov_indices).astype("int32")
        return xp.where(xp.asarray(keys)[at] == x, xp.asarray(places)[at], unknown)

    def call(self, inputs):
        if not self.invert:
            return super().call(inputs)
        self._check_known()
        table = np.array([*self.get_vocabulary(), self.oov_token], "int64")
        places = inputs if isinstance(inputs, Tracer) else np.asarray(inputs)
        known = (places >= 0) & (places < len(table) - 1)
        if isinstance(places, np.ndarray):
            return narrowed(table[np.where(known, places, -1)])
        return jnp.asarray(narrowed(table))[jnp.where(known, places, len(table) - 1)]

    def compute_output_spec(self, inputs):
        if self.invert:
            return KerasTensor(inputs.shape, "int32")
        return super().compute_output_spec(inputs)


def _whole(array: np.ndarray) -> bool:
    return bool(np.all(array == np.floor(array)))
