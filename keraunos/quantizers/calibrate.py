"""Rounding weights while looking at data: GPTQ and AWQ, and what both need.

Matrices here lie from outputs to inputs, `(outputs, inputs)`, as in the papers; a "group" is that
many neighbouring inputs, which share a scale and a zero point in each output.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from keraunos.quantizers.configs import AWQConfig, GPTQConfig
from keraunos.quantizers.quantize import scale_and_zero

_BLOCK = 128  # of inputs, after which GPTQ passes on what it owes to those behind


class Rounded(NamedTuple):
    """A matrix in integers: about `(integers - zero[:, group]) * scale[:, group] / factors`."""

    integers: Any
    scale: Any
    zero: Any
    group: Any
    factors: Any = None

    @property
    def value(self) -> np.ndarray:
        group = self.group.astype(int)
        value = (self.integers - self.zero[:, group]) * self.scale[:, group]
        return value if self.factors is None else value / self.factors


class Hessian:
    """Of the squared error of a product with respect to one row of weights: twice the mean of
    `x xᵀ` over the inputs seen."""

    def __init__(self):
        self.total: Any = 0.0
        self.count = 0

    def see(self, inputs: Any) -> None:
        """Take more inputs, `(count, inputs)`, into the mean."""
        x = np.asarray(inputs, "float32")
        before, self.count = self.count, self.count + len(x)
        self.total = self.total * (before / self.count) + (2 / self.count) * (x.T @ x)


class Magnitudes:
    """The largest magnitude seen of each input."""

    def __init__(self):
        self.largest: Any = 0.0

    def see(self, inputs: Any) -> None:
        self.largest = np.maximum(self.largest, np.max(np.abs(np.asarray(inputs, "float32")), 0))


def _parameters(weights: Any, bits: int, size: int, **options: Any) -> tuple[Any, Any]:
    """Scales and zero points; the latter as they are stored, from 0 to 255."""
    # Not in numpy, whose last bit differs: in a symmetric range the largest weight is a tie.
    scale, zero = scale_and_zero(jnp.asarray(weights), bits, size, **options)
    return np.array(scale), np.clip(np.array(zero), 0, 255)


def _round(weights: Any, scale: Any, zero: Any, bits: int) -> Any:
    return np.clip(np.round(weights / scale) + zero, 0, 2**bits - 1)


def gptq(weights: Any, hessian: Hessian, config: GPTQConfig) -> Rounded:
    """Round input by input; what comes later makes up for the error (Frantar et al., 2022).

    Differs: Keras takes rows of the inverse Hessian where the paper takes those of its Cholesky
    factor, which corrects for inputs that are rounded already. Where inputs are not correlated
    the two are the same.
    """
    w, h = np.array(weights, "float32"), np.array(hessian.total, "float32")
    inputs, bits, size = w.shape[1], config.weight_bits, config.group_size
    size = inputs if size == -1 else size
    h = np.broadcast_to(h, (inputs, inputs)).copy()
    diagonal = np.diagonal(h)
    diagonal = np.where(diagonal == 0, 1, diagonal)
    np.fill_diagonal(h, diagonal + config.hessian_damping * np.mean(diagonal))
    order = np.arange(inputs)
    if config.activation_order:
        order = np.argsort(-diagonal, kind="stable")
        w, h = w[:, order], h[np.ix_(order, order)]
    factor = np.linalg.cholesky(np.linalg.inv(h.astype("float64"))).T.astype("float32")
    options = {"symmetric": config.symmetric, "per_channel": config.per_channel}
    integers, scales, zeros = np.zeros_like(w), [], []
    for start in range(0, inputs, _BLOCK):
        stop = min(start + _BLOCK, inputs)
        errors = np.zeros((len(w), stop - start), "float32")
        for i in range(start, stop):
            if i % size == 0:
                scale, zero = _parameters(w[:, i : i + size], bits, -1, **options)
                scales.append(scale)
                zeros.append(zero)
            scale, zero = scales[-1][:, 0], zeros[-1][:, 0]
            integers[:, i] = _round(w[:, i], scale, zero, bits)
            error = (w[:, i] - (integers[:, i] - zero) * scale) / factor[i, i]
            w[:, i + 1 : stop] -= np.outer(error, factor[i, i + 1 : stop])
            errors[:, i - start] = error
        w[:, stop:] -= errors @ factor[start:stop, stop:]
    back = np.argsort(order)
    group = (back // size).astype("float32")
    return Rounded(integers[:, back], np.hstack(scales), np.hstack(zeros), group)


def awq(weights: Any, magnitudes: Magnitudes, config: AWQConfig) -> Rounded:
    """Enlarge the weights of large inputs before rounding, so that they lose less; the factors
    are powers of the inputs' magnitudes, the best of a grid (Lin et al., 2023)."""
    w, points = np.array(weights, "float32"), config.num_grid_points
    seen = np.where(magnitudes.largest > 0, magnitudes.largest, 1)
    tried = (_scaled(w, seen, i / points, config) for i in range(points + 1))
    loss = lambda rounded: np.mean(np.square((rounded.value - w) * seen))
    return min(tried, key=loss)


def _scaled(w: Any, seen: Any, power: float, config: AWQConfig) -> Rounded:
    factors = np.maximum(seen**power, 1e-4).astype("float32")
    factors = factors / np.sqrt(factors.max() * factors.min())
    inputs, bits = w.shape[1], config.weight_bits
    size = inputs if config.group_size == -1 else config.group_size
    group = np.arange(inputs) // size
    scale, zero = _parameters(w * factors, bits, size)
    integers = _round(w * factors, scale[:, group], zero[:, group], bits)
    return Rounded(integers, scale, zero, group.astype("float32"), factors)


# Data ---------------------------------------------------------------------------------------


def samples(config: Any) -> np.ndarray:
    """Pieces of the dataset of a `GPTQConfig` or `AWQConfig`: tokens, `(samples, length)`.

    All texts are joined, repeated if they are too short, and cut at regular distances.
    Differs: the first piece is the beginning; in Keras another place in every process.
    """
    who, dataset = type(config).__name__, config.dataset
    if dataset is None or isinstance(dataset, (str, bytes)) or not isinstance(dataset, Iterable):
        raise TypeError(
            f"{who} needs texts or arrays of tokens for `dataset`, such as a list of strings, got "
            f"{dataset!r}."
        )
    pieces = [np.ravel(_tokens(item, config.tokenizer, who)) for item in dataset]
    tokens = np.concatenate(pieces).astype("int32") if pieces else np.zeros(0, "int32")
    if not len(tokens):
        raise ValueError(f"The `dataset` of {who} is empty.")
    count, length = config.num_samples, config.sequence_length
    tokens = np.tile(tokens, -(-count * length // len(tokens)))
    places = len(tokens) - length + 1
    starts = np.arange(count) * max(1, places // count) % places
    return tokens[starts[:, None] + np.arange(length)]


def _tokens(item: Any, tokenizer: Any, who: str) -> Any:
    if not isinstance(item, str):
        return np.asarray(item)
    tokenize = getattr(tokenizer, "tokenize", tokenizer)
    if not callable(tokenize):
        raise ValueError(f"{who} needs a `tokenizer` for texts, got {tokenizer!r}.")
    return np.asarray(tokenize(item))
