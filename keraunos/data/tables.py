"""Columns of tables as arrays: pandas, polars and Arrow by one way, narwhals."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keraunos.core.fields import did_you_mean

_MAKERS = {"pandas", "polars", "pyarrow", "modin", "cudf"}
_TARGETS = ("label", "labels")  # what loaders call them, where no output of the model says it

Names = Sequence[str]


def columns(
    x: Any, y: Any = None, sample_weight: Any = None, inputs: Names = (), outputs: Names = ()
) -> tuple[Any, Any, Any]:
    """`x`, `y` and `sample_weight` with arrays in the place of tables and their columns.

    Columns that bear the names of all of a model's inputs, or outputs, become a dict; other
    tables a matrix, one column beside the other. A `y` that names columns of `x` takes them out
    of it.

    Errors: TypeError for columns of a table that no array of numbers or text can hold;
    ValueError for missing text, or names that are no columns.
    """
    if not _MAKERS & sys.modules.keys():
        return x, y, sample_weight
    frame = _frame(x)
    if frame is not None and (names := _named(y)):
        y, x = frame.select(_known(names, frame.columns)), frame.drop(names)
        y = y[names[0]] if len(names) == 1 else y
    wanted = (x, "x", inputs), (y, "y", outputs), (sample_weight, "sample_weight", outputs)
    return tuple(_part(*each) for each in wanted)  # type: ignore[return-value]


def divided(names: Names, y: Any, inputs: Names, outputs: Names) -> tuple[Any, Any]:
    """Of columns with `names`, those for `x` and those for `y`, nested as a model takes them.

    `y` may name them; else they bear the names of outputs, or are "label" or "labels".
    """
    targets: Any = _known(_named(y), names)
    if not targets and outputs and set(outputs) <= set(names):
        targets = list(outputs)
    if not targets:
        targets = [n for n in names if n in _TARGETS and n not in inputs][:1]
    rest = [name for name in names if name not in targets]
    x: Any = {name: name for name in inputs if name in rest}
    if not inputs or len(x) < len(inputs):
        x = rest[0] if len(rest) == 1 else {name: name for name in rest}
    by_name = len(targets) > 1 and set(targets) == set(outputs)
    y = {n: n for n in targets} if by_name else targets if len(targets) > 1 else (*targets, None)[0]
    return x, y


def _named(y: Any) -> list[str]:
    names = [y] if isinstance(y, str) else y if isinstance(y, (list, tuple)) else []
    return list(names) if all(isinstance(name, str) for name in names) else []


def _known(names: list[str], there: Names) -> list[str]:
    for name in names:
        if name not in there:
            raise ValueError(
                f"`y` names the column {name!r}, but the table has {', '.join(there)}"
                f"{did_you_mean(name, there) or '.'}"
            )
    return names


def _frame(value: Any) -> Any:
    """A table as narwhals's; None for anything else."""
    if isinstance(value, (np.ndarray, Mapping, list, tuple)):
        return None
    import narwhals.stable.v2 as nw  # when there is a table: it takes a while

    found = nw.from_native(value, pass_through=True)
    if isinstance(found, nw.LazyFrame):
        return found.collect()
    return found if isinstance(found, nw.DataFrame) else None


def _part(part: Any, what: str, names: Names) -> Any:
    """A table, a column, or nests of them, as arrays."""
    if isinstance(part, Mapping):
        return {name: _part(value, f"{what}[{name!r}]", ()) for name, value in part.items()}
    if isinstance(part, (list, tuple)) and any(hasattr(value, "shape") for value in part):
        return type(part)(_part(value, f"{what}[{i}]", ()) for i, value in enumerate(part))
    frame = _frame(part)
    if frame is None:
        return _column(part, what)
    there = frame.columns
    missing = [name for name in names if name not in there]
    if names and (not missing or len(names) > 1):  # if some are missing, the model will say so
        wanted = there if missing else names
        return {name: _column(frame[name], f"{what}[{name!r}]") for name in wanted}
    held = [_column(frame[name], f"{what}[{name!r}]") for name in there]
    text = [name for name, array in zip(there, held) if array.dtype.kind == "O"]
    if text and len(text) < len(there):
        raise TypeError(
            f"`{what}` is a table whose columns {', '.join(map(repr, text))} hold text, the others "
            "numbers: no matrix can hold both. Give the model inputs with the names of columns, "
            f"`keras.Input((1,), name={text[0]!r}, dtype='string')`, or leave these columns out."
        )
    return np.concatenate([a[:, None] if a.ndim == 1 else a for a in held], axis=1)


def _column(series: Any, what: str) -> Any:
    """A column as an array; what is none stays as it is."""
    if series is None or isinstance(series, np.ndarray):
        return series
    import narwhals.stable.v2 as nw

    series = nw.from_native(series, allow_series=True, pass_through=True)
    if not isinstance(series, nw.Series):
        return series
    dtype = series.dtype
    if dtype.is_temporal():
        raise TypeError(
            f"`{what}` holds {dtype}: a model takes numbers or text. Say what is meant by a "
            "number, as days since a date, the hour, or the weekday."
        )
    array = series.cast(nw.Float64).to_numpy() if dtype.is_decimal() else series.to_numpy()
    if array.dtype.kind in "biuf":
        return array
    if isinstance(dtype, nw.List) and len(array):
        if len({len(row) for row in array}) > 1:
            raise ValueError(f"`{what}` holds lists of several lengths; pad them to one.")
        return np.stack(list(array))
    known = np.array([value is not None and value == value for value in array.tolist()], bool)
    if not known.all():
        raise ValueError(
            f"`{what}` lacks {np.sum(~known)} of {len(known)} values, the first in row "
            f"{int(np.argmin(known))}. Fill them, with '' or a word of their own."
        )
    if not all(isinstance(value, (str, bytes)) for value in array.tolist()):
        raise TypeError(f"`{what}` holds {dtype}, of which no array of numbers or text is made.")
    return array.astype(object)
