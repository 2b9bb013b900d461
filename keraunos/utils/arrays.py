"""Small preparations of arrays: one-hot labels, unit lengths, padded sequences, batches."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Class numbers as rows of zeros with a one.

    Shapes: `(...)` or `(..., 1)` to `(..., num_classes)`.

    Args:
        num_classes: One more than the largest class by default.
    Returns:
        A NumPy array, or a JAX one for a JAX array.
    """
    if isinstance(x, jax.Array):
        x = x[..., 0] if x.ndim > 1 and x.shape[-1] == 1 else x
        return jax.nn.one_hot(x, num_classes or int(x.max()) + 1)
    labels = np.array(x, "int64")
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    if not num_classes and not labels.size:
        raise ValueError("to_categorical() needs `num_classes`, or at least one class in `x`.")
    count = num_classes or int(labels.max()) + 1
    if labels.size and labels.max() >= count:
        raise IndexError(
            f"to_categorical() was given `num_classes={count}`, which are 0 to {count - 1}, "
            f"but `x` contains class {labels.max()}."
        )
    ones = np.zeros((labels.size, count))
    ones[np.arange(labels.size), labels.ravel()] = 1
    return ones.reshape((*shape, count))


def normalize(x: Any, axis: int = -1, order: Any = 2) -> Any:
    """`x` divided by its norm along `axis`; zeros stay zeros.

    Differs: Keras divides by the wrong norms unless `axis` is the last one.
    """
    if isinstance(x, np.ndarray):
        x = x[None] if x.ndim == 1 else x  # a vector becomes a row, as in Keras
        norm = np.linalg.norm(x, order, axis, keepdims=True)
        return x / np.where(norm == 0, 1, norm)
    x = jnp.asarray(x, None if hasattr(x, "dtype") else "float32")
    norm = jnp.linalg.norm(x if x.ndim else x[None], order, axis, keepdims=True)
    return x / jnp.where(norm == 0, 1, norm)


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as one array.

    Shapes: a list of `(length, ...)` to `(len(sequences), maxlen, ...)`.

    Args:
        maxlen: The length of the longest sequence by default.
        padding, truncating: "pre" or "post": where `value` is put into shorter sequences,
            where longer ones are cut.
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ValueError(f'{name.capitalize()} type "{given}" not understood')
    if not hasattr(sequences, "__len__"):
        raise ValueError("`sequences` must be iterable.")
    for sequence in sequences:
        if not hasattr(sequence, "__len__"):
            raise ValueError(
                f"`sequences` must be a list of iterables. Found non-iterable: {sequence}"
            )
    if not len(sequences) and maxlen is None:
        raise ValueError("pad_sequences() needs `maxlen`, or at least one sequence.")
    length = max(map(len, sequences)) if maxlen is None else maxlen
    shape = next((np.shape(sequence)[1:] for sequence in sequences if len(sequence)), ())
    if isinstance(value, str) and np.dtype(dtype).kind not in "OUS":
        raise ValueError(
            f"`dtype` {dtype} is not compatible with `value`'s type: {type(value)}\n"
            "You should set `dtype=object` for variable length strings."
        )
    padded = np.full((len(sequences), length, *shape), value, dtype)
    for i, sequence in enumerate(sequences):
        kept = sequence[max(len(sequence) - length, 0) :] if truncating == "pre" else sequence
        kept = np.asarray(kept[:length], dtype)
        if not len(kept):
            continue
        if kept.shape[1:] != shape:
            raise ValueError(
                f"Shape of sample {kept.shape[1:]} of sequence at position {i} is different from "
                f"expected shape {shape}"
            )
        where = slice(len(kept)) if padding == "post" else slice(length - len(kept), None)
        padded[i, where] = kept
    return padded


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """The shortest tuple that `unpack_x_y_sample_weight` takes apart again; `x` if that is all."""
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """`(x, y, sample_weight)` of a batch, with None for what it does not have."""
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "Data is expected to be in format `x`, `(x,)`, `(x, y)`, or `(x, y, sample_weight)`, "
            f"found: {data}"
        )
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight
