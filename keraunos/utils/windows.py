"""Datasets made of arrays: windows of a series, and two parts of a whole."""

import math
import random
from typing import Any

import jax
import numpy as np

from keraunos.data import AUTOTUNE, INFINITE_CARDINALITY, Dataset
from keraunos.data.elements import as_element


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Dataset:
    """A dataset of the windows of a series, and of their targets if there are any.

    Shapes: of `(steps, ...)`, windows `(batch, sequence_length, ...)`.

    Args:
        data: The series, in time along axis 0.
        targets: `targets[i]` is that of the window that starts at step `i`; None for none.
        sequence_length: Steps in a window.
        sequence_stride: Steps from the start of a window to that of the next.
        sampling_rate: Steps from one step of a window to the next.
        batch_size: None for single windows.
        shuffle: Whether windows come in an order of their own in each epoch.
        seed: Of the orders.
        start_index, end_index: Only steps from `start_index` to before `end_index` are used.
        format: "tf" or "grain", which give the same here.
    """
    series, goals = (_as_array(given) for given in (data, targets))
    size = len(series)
    if format not in ("tf", "grain"):
        raise ValueError(f'`format` should be either "tf" or "grain". Received: format={format}')
    _check("start_index", start_index, 0, "0 or greater", size)
    _check("end_index", end_index, 1, "higher than 0", size)
    if start_index and end_index and end_index <= start_index:
        raise ValueError(
            "`end_index` must be higher than `start_index`. Received: "
            f"start_index={start_index}, and end_index={end_index}"
        )
    _check("sampling_rate", sampling_rate, 1, "higher than 0", size)
    _check("sequence_stride", sequence_stride, 1, "higher than 0", size)
    _check("sequence_length", sequence_length, 1, "higher than 0")
    end = size if end_index is None else end_index
    end -= (sequence_length - 1) * sampling_rate
    if goals is not None:
        end = min(end, len(goals))
    starts = np.arange(start_index or 0, end, sequence_stride)
    steps = np.arange(sequence_length) * sampling_rate
    dataset = Dataset.from_tensor_slices(starts)
    if shuffle:
        dataset = dataset.shuffle(seed=seed)
    if batch_size is not None:
        dataset = dataset.batch(batch_size)

    def windows(at: Any) -> Any:
        found = series[np.asarray(at)[..., None] + steps]
        return found if goals is None else (found, goals[at])

    return dataset.map(windows).prefetch(AUTOTUNE)


def _as_array(value: Any) -> Any:
    return value if value is None else as_element(value if hasattr(value, "dtype") else list(value))


def _check(name: str, value: Any, least: int, must: str, size: float = math.inf) -> None:
    if value is not None and value < least:
        raise ValueError(f"`{name}` must be {must}. Received: {name}={value}")
    if value is not None and value >= size:
        raise ValueError(
            f"`{name}` must be lower than the length of the data. Received: {name}={value}, for "
            f"data of length {size}"
        )


def split_dataset(
    dataset: Any,
    left_size: Any = None,
    right_size: Any = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Dataset, Dataset]:
    """Two datasets: the first samples of one, and the last.

    Args:
        dataset: A `keras.data.Dataset`, which is split by samples and batched again; an array; a
            list or tuple of arrays; a dataset of PyTorch or TensorFlow.
        left_size, right_size: A number of samples, or their share as a float; what the other
            leaves by default.
        shuffle: Whether samples are put in another order first.
        seed: Of that order.
        preferred_backend: Accepted; both parts are a `keras.data.Dataset`.
    """
    rows, batch_size = _rows(dataset)
    left, right = _sizes(left_size, right_size, len(rows))
    order = list(range(len(rows)))
    if shuffle:
        random.Random(seed).shuffle(order)
    parts = [_chosen(rows, chosen) for chosen in (order[:left], order[len(order) - right :])]
    first, last = parts if batch_size is None else (part.batch(batch_size) for part in parts)
    return first, last


def _chosen(rows: Any, places: list[int]) -> Dataset:
    item = lambda i: rows[places[i]]
    run = lambda _, start: map(item, range(start, len(places)))
    return Dataset(run, len(places), item=item)


def _rows(dataset: Any) -> tuple[Any, int | None]:
    """The samples by number, and how many of them made a batch."""
    if isinstance(dataset, Dataset):
        if dataset.cardinality() == INFINITE_CARDINALITY:
            raise ValueError("The dataset never ends: split `dataset.take(n)`.")
        batch_size = dataset.batch_size
        return list(dataset if batch_size is None else dataset.unbatch()), batch_size
    if isinstance(dataset, np.ndarray):
        if not len(dataset):
            raise ValueError("Received an empty dataset: there are no samples to split.")
        return dataset, None
    if isinstance(dataset, (list, tuple)):
        return _Columns(dataset), None
    makers = {base.__module__.partition(".")[0] for base in type(dataset).__mro__}
    if not makers & {"torch", "tensorflow"}:
        raise TypeError(f"Unsupported dataset type: {type(dataset)}")
    if hasattr(dataset, "__getitem__"):
        return [as_element(dataset[i]) for i in range(len(dataset))], None
    return [as_element(sample) for sample in dataset], None


class _Columns:
    """Arrays of one length; a sample is a tuple of their rows."""

    def __init__(self, arrays: Any):
        kind = type(arrays).__name__
        if not arrays:
            raise ValueError(
                f"Received an empty {kind} dataset. Please provide a non-empty {kind} of arrays."
            )
        for i, array in enumerate(arrays):
            if not isinstance(array, (np.ndarray, jax.Array)):
                raise ValueError(
                    f"Expected a {kind} of `numpy.ndarray` objects, Received: {type(array)} at "
                    f"index {i}."
                )
            if len(array) != len(arrays[0]):
                raise ValueError(
                    f"Received a {kind} of NumPy arrays with different lengths. Mismatch found at "
                    f"index {i}, Expected shape={arrays[0].shape} Received shape={array.shape}. "
                    f"Please provide a {kind} of NumPy arrays of the same length."
                )
        self.arrays = [np.asarray(array) for array in arrays]

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, i: int) -> tuple:
        return tuple(array[i] for array in self.arrays)


def _sizes(left: Any, right: Any, total: int) -> tuple[int, int]:
    """How many samples go to either side."""
    if left is None and right is None:
        raise ValueError(
            "At least one of the `left_size` or `right_size` must be specified. Received: "
            "left_size=None and right_size=None"
        )
    for name, size in (("left_size", left), ("right_size", right)):
        if size is not None and (isinstance(size, bool) or not isinstance(size, (int, float))):
            raise TypeError(
                f"Invalid `{name}` Type. Expected: int or float or None, Received: "
                f"type({name})={type(size)}."
            )
        if size is not None and not 0 < size < (total if isinstance(size, int) else 1):
            raise ValueError(
                f"`{name}` should be either a positive integer smaller than {total}, or a float "
                f"within the range `[0, 1]`. Received: {name}={size}"
            )
    if isinstance(left, float) and isinstance(right, float) and left + right > 1:
        raise ValueError(
            "The sum of `left_size` and `right_size` is greater than 1. It must be less than or "
            "equal to 1."
        )
    left, right = (round(s * total) if isinstance(s, float) else s for s in (left, right))
    left = total - right if left is None else left
    right = total - left if right is None else right
    if left + right > total:
        raise ValueError(
            f"The sum of `left_size` and `right_size` should be smaller than the {total}. "
            f"Received: left_size + right_size = {left + right} and total_length = {total}"
        )
    for name, size in (("left", left), ("right", right)):
        if not size:
            raise ValueError(
                f"With `dataset` of length={total}, `left_size`={left} and `right_size`={right}. "
                f"Resulting {name} side dataset split will be empty. Adjust any of the "
                "aforementioned parameters"
            )
    return left, right
