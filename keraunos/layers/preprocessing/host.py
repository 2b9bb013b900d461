"""What layers of raw data share: reading batches and strings, encoding indices, work on the host.

Strings have no tensors, and integers of 64 bits none without loss. A `HostLayer` therefore works
in two halves: `_prepare` runs in Python, on NumPy arrays, and gives indices; `_finish` computes
with these, inside of a compiled program or out of it. A model runs the first halves at its inputs
before a program begins (`models/hosted.py`).
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from keraunos.core import tree
from keraunos.core.fields import needs
from keraunos.core.graph import KerasTensor, abstract
from keraunos.core.listed import as_numpy
from keraunos.layers.layer import Layer

Array = Any


def mode_of(*modes: str | None) -> Callable:
    """The converter of `output_mode`."""

    def convert(value, name, owner):
        if value not in modes:
            raise ValueError(needs(owner, f"one of {', '.join(map(str, modes))}", name, value))
        return value

    return convert


def dense(value, name, owner):
    """The converter of `sparse` and `ragged`."""
    if value:
        raise ValueError(
            f"{type(owner).__name__} gives dense tensors only: `{name}=True` is not supported. "
            "Leave it out; the numbers are the same."
        )
    return False


def encode(indices: Array, mode: str, depth: int, dtype: str, weights: Array = None) -> jax.Array:
    """Indices as vectors of size `depth`: "one_hot", "multi_hot", "count" or "tf_idf".

    The first encodes each index, in a new last axis or in place of one of size 1; the others all
    indices along the last axis together. Indices out of range count nowhere.

    Args:
        weights: Of the indices, if they are counted; of their shape, or one that spreads to it.
    """
    indices = jnp.asarray(indices)
    if mode == "one_hot":
        flat = indices[..., 0] if indices.ndim and indices.shape[-1] == 1 else indices
        return jax.nn.one_hot(flat, depth, dtype=dtype)
    indices = jnp.atleast_1d(indices)
    indices = jnp.where(indices < 0, depth, indices)
    if mode == "multi_hot":
        add = lambda at, _: jnp.zeros(depth, dtype).at[at].set(1, mode="drop")
    else:
        add = lambda at, by: jnp.zeros(depth, dtype).at[at].add(by, mode="drop")
    weights = jnp.ones((), dtype) if weights is None else jnp.asarray(weights, dtype)
    by = jnp.broadcast_to(weights, indices.shape)
    return jnp.vectorize(add, signature="(n),(n)->(d)")(indices, by)


# Data -------------------------------------------------------------------------------------------


def as_array(value: Any) -> Any:
    """Lists, scalars and columns of tables as NumPy arrays; tensors as they are."""
    if isinstance(value, (KerasTensor, jax.Array, np.ndarray)):
        return value
    return as_numpy(value)


def batches(data: Any, steps: int | None = None) -> Iterator[Array]:
    """The batches of `data`, each an array: an array or a list is one batch.

    Anything else that can be iterated over, or that has a length and items by number, gives
    batches; at most `steps` of them are taken.
    """
    plain = isinstance(data, (str, bytes)) or hasattr(data, "__array__")
    listed = isinstance(data, (list, tuple))
    if plain or (listed and not _ragged(data)):
        yield as_array(data)
        return
    if listed or hasattr(data, "__iter__") or hasattr(data, "__next__"):
        parts: Iterable = data
    elif hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        parts = (data[i] for i in range(len(data)))
    else:
        raise TypeError(
            f"`adapt` needs an array, a list or an iterable of batches, got {type(data).__name__}."
        )
    for part in itertools.islice(parts, steps):
        if isinstance(part, (dict, tuple)):
            raise ValueError(
                f"`adapt` needs batches of inputs alone, got a {type(part).__name__}. Give it "
                "the inputs, as `(x for x, y in data)` does."
            )
        yield as_array(part)


def _ragged(data: Any) -> bool:
    """Whether a list holds arrays of several shapes, so that it is a list of batches."""
    return len({np.shape(item) for item in data if hasattr(item, "shape")}) > 1


def strings(value: Any, owner: Layer, encoding: str = "utf-8") -> tuple[list[str], tuple]:
    """The strings of an array, in a row, and its shape. Bytes are decoded."""
    if isinstance(value, Tracer):
        raise TypeError(
            f"{owner._who} needs strings, got {value.dtype}. Strings never enter a compiled "
            "program: call the layer on the data before, or put it where a functional or "
            "Sequential model begins."
        )
    array = as_numpy(value)
    if array.size and array.dtype.kind not in "USTO":
        raise TypeError(f"{owner._who} needs strings, got {array.dtype}.")
    flat = array.ravel().tolist()
    if set(map(type, flat)) <= {str}:
        return flat, array.shape
    return [_string(item, owner, encoding) for item in flat], array.shape


def _string(item: Any, owner: Layer, encoding: str) -> str:
    if isinstance(item, (bytes, str)):
        return item.decode(encoding) if isinstance(item, bytes) else str(item)
    raise TypeError(
        f"{owner._who} needs strings, but among them is {item!r}. Fill in what is missing, or "
        "convert it, as by `column.fillna('').astype(str)`."
    )


def array_of(flat: Iterable, shape: tuple) -> np.ndarray:
    """An array of Python objects."""
    found = np.empty(len(items := list(flat)), object)
    found[:] = items
    return found.reshape(shape)


def narrowed(array: np.ndarray) -> Any:
    """Integers as a tensor; as the NumPy array that they are, if a tensor cannot hold them."""
    small = not array.size or (array.min() >= -(2**31) and array.max() < 2**31)
    return jnp.asarray(array.astype("int32")) if small else array


def in_python(fn: Callable, *arrays: Array) -> Array:
    """`fn` of NumPy arrays, which gives int32 of their shape; called from programs too."""
    if not any(isinstance(x, Tracer) for x in arrays):
        return fn(*map(np.asarray, arrays))
    spec = jax.ShapeDtypeStruct(jnp.broadcast_shapes(*(x.shape for x in arrays)), jnp.int32)
    run = lambda *given: np.asarray(fn(*map(np.asarray, given)), "int32")
    return jax.pure_callback(run, spec, *arrays, vmap_method="expand_dims")


# Layers -----------------------------------------------------------------------------------------


class DataLayer(Layer):
    """A layer that is called on data as they are: lists, strings, NumPy arrays, columns."""

    def __call__(self, inputs, *args, **kwargs):
        return super().__call__(self._read(inputs), *args, **kwargs)

    def _read(self, inputs: Any) -> Any:
        return as_array(inputs)

    def convert_weight(self, weight: Any) -> jax.Array:
        """The value of a weight as a tensor."""
        return jnp.asarray(weight)


class HostLayer(DataLayer):
    """A layer in two halves, the first of which runs in Python; see above."""

    _holds: ClassVar[str | None] = None  # the dtype of a vocabulary, in place of the policy's

    @property
    def compute_dtype(self) -> str:
        return self._holds or super().compute_dtype

    @property
    def variable_dtype(self) -> str:
        """That of the vocabulary, if there is one."""
        return self._holds or super().variable_dtype

    def build(self, input_shape=None):
        pass

    def get_build_config(self):
        return None

    def build_from_config(self, config):
        self.build()

    def _cast(self, arguments):
        return arguments

    def _prepare(self, inputs: Any) -> Any:
        raise NotImplementedError

    def _finish(self, indices: Any) -> Any:
        raise NotImplementedError

    def _prepared_shape(self, shape: tuple) -> tuple:
        """The shape of what `_prepare` gives."""
        return shape

    def call(self, inputs):
        return self._finish(self._prepare(inputs))

    def compute_output_spec(self, inputs):
        shape = jax.tree.leaves(inputs)[0].shape
        return abstract(self._finish, KerasTensor(self._prepared_shape(shape), "int32"))

    def compute_output_shape(self, input_shape):
        symbols = tree.map_shapes(lambda shape: KerasTensor(shape, "int32"), input_shape)
        return self.compute_output_spec(symbols).shape
