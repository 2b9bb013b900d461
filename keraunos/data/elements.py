"""The elements of a dataset: nested tuples and dicts of NumPy arrays, and their specs."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from keraunos.core.dtypes import standardize_dtype


@dataclass(frozen=True)
class TensorSpec:
    """The shape of an array, None where sizes vary, and its dtype; "string" for text."""

    shape: tuple[int | None, ...] | None
    dtype: str = "float32"


def stacked(elements: list) -> Any:
    """Elements as one, with a new first axis."""
    return jax.tree.map(lambda *leaves: _stack(leaves), *elements)


def _stack(leaves: tuple) -> np.ndarray:
    if isinstance(leaves[0], (str, bytes)):
        return np.array(leaves, object)
    shapes = {np.shape(leaf) for leaf in leaves}
    if len(shapes) > 1:
        raise ValueError(
            f"`batch` needs elements of one shape, got {sorted(shapes)}. Make them alike with "
            "`map`, or use `padded_batch`."
        )
    return np.stack(leaves)


def padded(column: tuple, shape: Any, fill: Any) -> np.ndarray:
    """Arrays as one, each with `fill` at its ends up to `shape`, or up to the largest of them."""
    arrays = [np.asarray(a, object if isinstance(a, (str, bytes)) else None) for a in column]
    largest = [max(sizes) for sizes in zip(*(array.shape for array in arrays))]
    wanted = (None,) * len(largest) if shape is None else sizes_of(shape) or ()
    sizes = [most if size is None else size for size, most in zip(wanted, largest)]
    if len(wanted) != len(largest) or any(s < most for s, most in zip(sizes, largest)):
        raise ValueError(
            f"`padded_shapes` must have room for every element: got {wanted} for arrays of shape "
            f"{tuple(largest)}."
        )
    dtype = arrays[0].dtype
    nothing = "" if dtype.kind == "O" else 0
    result = np.full((len(arrays), *sizes), nothing if fill is None else fill, dtype)
    for i, array in enumerate(arrays):
        result[(i, *map(slice, array.shape))] = array
    return result


def as_element(value: Any) -> Any:
    """Nested tuples and dicts of arrays; lists become arrays, Python's numbers 32 bits."""
    return jax.tree.map(_array, value, is_leaf=lambda part: isinstance(part, list))


def _array(value: Any) -> Any:
    if isinstance(value, (str, bytes)):
        return value
    array = value if isinstance(value, (np.ndarray, np.generic)) else np.asarray(value)
    if array.dtype.kind in "US":
        return array.astype(object)
    if not hasattr(value, "dtype") and array.dtype in ("int64", "float64"):
        return array.astype(str(array.dtype).replace("64", "32"))
    return array


def cast(spec: TensorSpec, value: Any) -> Any:
    """What a generator yielded, in the dtype it promised; an error if the shape is another."""
    if spec.dtype == "string":
        return value if isinstance(value, (str, bytes)) else np.asarray(value, object)
    array = np.asarray(value, spec.dtype)
    fits = spec.shape is None or (
        len(spec.shape) == array.ndim
        and all(s in (None, n) for s, n in zip(spec.shape, array.shape))
    )
    if not fits:
        raise ValueError(
            f"The generator yielded an array of shape {array.shape} where `output_signature` has "
            f"{spec.shape}."
        )
    return array


def described(leaf: Any, free: Any = ()) -> TensorSpec:
    """The spec of an array; its first size is left open if it is one of `free`."""
    shape = np.shape(leaf)
    if shape and shape[0] in free:
        shape = (None, *shape[1:])
    return TensorSpec(shape, dtype_of(leaf))


def dtype_of(leaf: Any) -> str:
    dtype = getattr(leaf, "dtype", None)
    return "string" if dtype is None or dtype.kind == "O" else dtype.name


def dtype_name(dtype: Any) -> str:
    return "string" if dtype is str else standardize_dtype(dtype)


def sizes_of(shape: Any) -> tuple[int | None, ...] | None:
    if shape is None:
        return None
    return tuple(None if size in (None, -1) else int(size) for size in shape)
