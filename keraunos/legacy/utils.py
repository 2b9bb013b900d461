"""What was in `keras.utils`: readers of data, and helpers of the years of several engines."""

import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from keraunos.core import registry
from keraunos.data.threads import in_order
from keraunos.legacy.arguments import of_function
from keraunos.legacy.note import note
from keraunos.models import model_from_json
from keraunos.models.drawing import plot_model as plot
from keraunos.utils import arrays

to_categorical = of_function(arrays.to_categorical)


class HDF5Matrix:
    """A data set of an HDF5 file, read in parts where an array is expected.

    Args:
        datapath: Of the file.
        dataset: Its name in the file.
        start, end: The rows to use.
        normalizer: A function of each part that is read.
    """

    def __init__(
        self, datapath: Any, dataset: str, start: int = 0, end: int | None = None,
        normalizer: Callable | None = None,
    ):  # fmt: skip
        import h5py

        self.data: Any = h5py.File(datapath, "r")[dataset]
        self.start, self.end = start, len(self.data) if end is None else end
        self.normalizer = normalizer or (lambda part: part)

    def __len__(self) -> int:
        return self.end - self.start

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, slice):
            first, last, step = key.indices(len(self))
            part = self.data[self.start + first : self.start + max(first, last) : step]
        elif isinstance(key, (int, np.integer)):
            part = self.data[self.start + int(key) % len(self)]
        else:
            places, back = np.unique(np.asarray(key), return_inverse=True)
            part = self.data[self.start + places][back]
        return self.normalizer(part)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.normalizer(self.data[self.start : self.start + 1]).shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self.normalizer(self.data[self.start : self.start + 1]).dtype

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: int(np.prod(self.shape)))


class SequenceEnqueuer:
    """Reads batches ahead, by threads.

    Args:
        sequence: A `Sequence`, or a generator.
        shuffle: Whether its batches come in another order each time.
    """

    def __init__(
        self, sequence: Any, use_multiprocessing: bool = False, shuffle: bool = False, **_: Any
    ):
        self.sequence, self.shuffle = sequence, shuffle
        self.workers, self.max_queue_size = 1, 10
        self._running = False

    def is_running(self) -> bool:
        return self._running

    def start(self, workers: int = 1, max_queue_size: int = 10) -> None:
        self.workers, self.max_queue_size, self._running = max(workers, 1), max_queue_size, True

    def stop(self, timeout: Any = None) -> None:
        self._running = False

    def get(self) -> Iterator:
        """The batches, without end if they are those of a `Sequence`."""
        if not hasattr(self.sequence, "__getitem__"):
            while self._running:
                try:
                    yield next(self.sequence)
                except StopIteration:
                    return
        while self._running:
            places = np.arange(len(self.sequence))
            if self.shuffle:
                np.random.shuffle(places)
            room = max(self.workers, self.max_queue_size)
            yield from in_order(self.sequence.__getitem__, places.tolist(), self.workers, room)
            self.sequence.on_epoch_end()


OrderedEnqueuer = GeneratorEnqueuer = SequenceEnqueuer


def multi_gpu_model(
    model: Any, gpus: Any = None, cpu_merge: bool = True, cpu_relocation: bool = False
) -> Any:
    """The model itself; `keras.distribution` spreads batches over devices."""
    note("`multi_gpu_model(...)`, which returns the model itself: use `keras.distribution`, that")
    return model


def print_summary(
    model: Any, line_length: Any = None, positions: Any = None, print_fn: Any = None
) -> None:
    model.summary(line_length, positions, print_fn)


def count_params(weights: Iterable) -> int:
    """How many numbers the variables hold, each counted once."""
    return int(sum(np.prod(w.shape) for w in {id(w): w for w in weights}.values()))


def convert_all_kernels_in_model(model: Any) -> None:
    """Nothing is left to do: there is one engine, and it does not flip kernels."""


convert_dense_weights_data_format = convert_all_kernels_in_model


def convert_kernel(kernel: np.ndarray) -> np.ndarray:
    """A kernel for the engine that flips them: turned about in all axes of space."""
    kernel = np.asarray(kernel)
    return kernel[(slice(None, None, -1),) * (kernel.ndim - 2)].copy()


def layer_from_config(config: dict, custom_objects: Any = None) -> Any:
    return registry.deserialize(config, custom_objects, kind="layers")


def model_from_yaml(yaml_string: str, custom_objects: Any = None) -> Any:
    """The model that `to_yaml` described."""
    try:
        import yaml
    except ImportError:
        return model_from_json(yaml_string, custom_objects)
    return model_from_json(json.dumps(yaml.safe_load(yaml_string)), custom_objects)


def has_arg(fn: Callable, name: str, accept_all: bool = False) -> bool:
    """Whether a function takes an argument of this name."""
    known = inspect.signature(fn).parameters
    return name in known or (accept_all and any(p.kind is p.VAR_KEYWORD for p in known.values()))


def to_list(x: Any, allow_tuple: bool = False) -> list:
    return list(x) if isinstance(x, list) or (allow_tuple and isinstance(x, tuple)) else [x]


def unpack_singleton(x: Any) -> Any:
    return x[0] if len(x) == 1 else x


def slice_arrays(arrays: Any, start: Any = None, stop: Any = None) -> Any:
    """Rows of each array of a list."""
    if isinstance(arrays, list):
        return [slice_arrays(array, start, stop) for array in arrays]
    return arrays[start] if hasattr(start, "__len__") else arrays[start:stop]


def probas_to_classes(y_pred: np.ndarray) -> np.ndarray:
    return y_pred.argmax(-1) if np.ndim(y_pred) > 1 and y_pred.shape[1] > 1 else y_pred > 0.5


def categorical_probas_to_classes(p: np.ndarray) -> np.ndarray:
    return np.argmax(p, axis=1)


def conv_output_length(
    input_length: Any, filter_size: int, padding: str, stride: int, dilation: int = 1
) -> Any:
    """The length of the output of a convolution; `padding` may be "full" too."""
    if input_length is None:
        return None
    window = filter_size + (filter_size - 1) * (dilation - 1)
    less = {"same": 0, "causal": 0, "valid": window - 1, "full": 1 - window}[padding]
    return (input_length - less + stride - 1) // stride


def normalize_tuple(value: Any, n: int, name: str) -> tuple[int, ...]:
    return (value,) * n if isinstance(value, int) else tuple(value)


__all__ = ["plot", "to_categorical"]
