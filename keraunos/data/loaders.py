"""Datasets and loaders of other libraries, known by what they can do; none is imported."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from keraunos.core.listed import as_numpy
from keraunos.data.elements import stacked
from keraunos.data.passes import Passes
from keraunos.data.tables import divided

_FOREVER = 2**62  # lengths from here on mean that there is no end


def samples(x: Any, y: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Callable | None:
    """What brings the samples with some numbers, if `x` has numbered samples, as a batch.

    So do map-style datasets of PyTorch, and those of Hugging Face, of which `y` may name columns.
    """
    if _has(x, "column_names", "features", "__getitem__", "__len__"):
        pick = _picker(x, y, inputs, outputs)
        columns = x.with_format("numpy") if hasattr(x, "with_format") else x
        return lambda rows: pick(columns[rows.tolist()])
    if _has(x, "__getitem__", "__len__") and not _has(x, "shape") and not _has(x, "__iter__"):
        arrays = lambda sample: jax.tree.map(_part, _tuples(sample))
        return lambda rows: stacked([arrays(x[int(row)]) for row in rows])
    return None


def passes(
    x: Any, y: Any, inputs: Sequence[str], outputs: Sequence[str], batch_size: int, endless: bool
) -> Passes:
    """An iterable as passes over its batches."""
    if _has(x, "as_numpy_iterator", "element_spec"):  # TensorFlow's
        return Passes(x, endless, lambda data: data.as_numpy_iterator())
    if _has(x, "column_names", "features", "iter"):  # Hugging Face's, as a stream
        pick = _picker(x, y, inputs, outputs)
        return Passes(x, endless, lambda data: map(pick, data.iter(batch_size=batch_size)))
    return Passes(x, endless)


def takes_names(x: Any) -> bool:
    """Whether `y` may name columns of `x`."""
    return _has(x, "column_names", "features")


def length(x: Any) -> int | None:
    """How many batches there are; None if it is not known. -1 stands for no end."""
    try:
        found = int(x.cardinality()) if _has(x, "cardinality", "element_spec") else len(x)
    except TypeError:
        return None
    if found == -1 or found >= _FOREVER:
        return -1
    return None if found < 0 else found


def _picker(x: Any, y: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Callable:
    names = divided(list(x.column_names), y, inputs, outputs)

    def pick(columns: Any) -> tuple:
        parts = jax.tree.map(lambda name: as_numpy(columns[name]), names)
        return parts if parts[1] is not None else parts[:1]

    return pick


def _tuples(sample: Any) -> Any:
    return tuple(sample) if isinstance(sample, list) else sample


def _part(value: Any) -> Any:
    return value if isinstance(value, (str, bytes, int, float)) else as_numpy(value)


def _has(x: Any, *names: str) -> bool:
    return all(hasattr(x, name) for name in names) and not isinstance(x, (np.ndarray, dict, str))
