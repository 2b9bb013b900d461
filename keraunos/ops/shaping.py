"""Operations that make, join, cut, turn and index tensors."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from keraunos.core.dtypes import result_type, standardize_dtype
from keraunos.core.graph import KerasTensor, Tensor, Tensors, abstract, op, tensor
from keraunos.ops.families import sized

Shape = int | Sequence[int]

# Making ----------------------------------------------------------------------------------


def zeros(shape: Shape, dtype: Any = None):
    """Zeros, of `floatx()` by default."""
    return jnp.zeros(shape, standardize_dtype(dtype))


def ones(shape: Shape, dtype: Any = None):
    """Ones, of `floatx()` by default."""
    return jnp.ones(shape, standardize_dtype(dtype))


def empty(shape: Shape, dtype: Any = None):
    """A tensor whose values do not matter; they are zeros."""
    return jnp.empty(shape, standardize_dtype(dtype))


@op
def full(shape: Any, fill_value: Tensor, dtype: Any = None):
    """`fill_value` everywhere, as `floatx()` by default."""
    return jnp.full(shape, fill_value, standardize_dtype(dtype))


def _like(dtype: Any) -> str | None:
    return None if dtype is None else standardize_dtype(dtype)


@op
def zeros_like(x: Tensor, dtype: Any = None):
    """Zeros in the shape of `x`."""
    return jnp.zeros_like(x, _like(dtype))


@op
def ones_like(x: Tensor, dtype: Any = None):
    """Ones in the shape of `x`."""
    return jnp.ones_like(x, _like(dtype))


@op
def empty_like(x: Tensor, dtype: Any = None):
    """A tensor in the shape of `x` whose values do not matter; they are zeros."""
    return jnp.empty_like(x, _like(dtype))


@op
def full_like(x: Tensor, fill_value: Tensor, dtype: Any = None):
    """`fill_value` everywhere, in the shape of `x`."""
    return jnp.full_like(x, fill_value, _like(dtype))


@op
def array(x: Tensor, dtype: Any = None):
    """`x` as a tensor."""
    return jnp.array(x, _like(dtype))


@op
def copy(x: Tensor):
    """A tensor with the values of `x`."""
    return jnp.copy(x)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None):
    """Ones on the `k`-th diagonal of an N by M matrix, zeros elsewhere."""
    return jnp.eye(N, M, k, standardize_dtype(dtype))


def identity(n: int, dtype: Any = None):
    """Ones on the diagonal of an n by n matrix, zeros elsewhere."""
    return jnp.identity(n, standardize_dtype(dtype))


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None):
    """Ones on and below the `k`-th diagonal of an N by M matrix, zeros above."""
    return jnp.tri(N, M, k, standardize_dtype(dtype))


def _kinds(*values: Any) -> list:
    """The dtypes of tensors, the types of Python numbers."""
    return [getattr(value, "dtype", type(value)) for value in values if value is not None]


@op
def arange(start: Tensor, stop: Tensor = None, step: Tensor = None, dtype: Any = None):
    """Numbers from `start`, or 0, to below `stop` in steps of `step`, or 1."""
    dtype = result_type(*_kinds(start, stop, step)) if dtype is None else standardize_dtype(dtype)
    return jnp.arange(start, stop, step, dtype)


def _evenly(start, stop, dtype):
    kinds = _kinds(start, stop)
    ends = result_type(*kinds, float) if dtype is None else standardize_dtype(dtype)
    return jnp.asarray(start), jnp.asarray(stop), ends


@op
def linspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
):
    """`num` numbers from `start` to `stop`, equally far apart; and how far, if `retstep`."""
    start, stop, dtype = _evenly(start, stop, dtype)
    return jnp.linspace(start, stop, num, endpoint, retstep, dtype, axis=axis)


@op
def logspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    base: float = 10,
    dtype: Any = None,
    axis: int = 0,
):
    """`num` numbers from `base**start` to `base**stop`, each the same multiple of the last."""
    start, stop, dtype = _evenly(start, stop, dtype)
    return jnp.logspace(start, stop, num, endpoint, base, dtype, axis=axis)


@op
def geomspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
):
    """`num` numbers from `start` to `stop`, each the same multiple of the last."""
    start, stop, dtype = _evenly(start, stop, dtype)
    return jnp.geomspace(start, stop, num, endpoint, dtype, axis=axis)


@op
def meshgrid(*x: Tensor, indexing: str = "xy"):
    """The coordinates of a grid whose axes are the given vectors, one tensor for each."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid() needs 'xy' or 'ij' for `indexing`, got {indexing!r}.")
    return jnp.meshgrid(*x, indexing=indexing)


@op
def vander(x: Tensor, N: int | None = None, increasing: bool = False):
    """The powers of each element of a vector, N - 1 to 0, or 0 to N - 1 if `increasing`."""
    x = jnp.asarray(x)
    if x.ndim != 1:
        raise ValueError(f"vander() needs a vector, got shape {x.shape}.")
    return jnp.vander(x, N, increasing)


# Joining and cutting ---------------------------------------------------------------------


def _tensors(xs: Any) -> Any:
    return xs if hasattr(xs, "shape") else [jnp.asarray(x) for x in xs]


@op
def concatenate(xs: Tensors, axis: int | None = 0):
    """The tensors `xs` joined along an existing axis."""
    return jnp.concatenate(_tensors(xs), axis=axis)


@op
def stack(x: Tensors, axis: int = 0):
    """The tensors of a list joined along a new axis."""
    return jnp.stack(_tensors(x), axis=axis)


@op
def hstack(xs: Tensors):
    """The tensors `xs` joined along axis 1, vectors along axis 0."""
    return jnp.hstack(_tensors(xs))


@op
def vstack(xs: Tensors):
    """The tensors `xs` joined along axis 0, vectors as rows."""
    return jnp.vstack(_tensors(xs))


@op
def dstack(xs: Tensors):
    """The tensors `xs` joined along axis 2."""
    return jnp.dstack(_tensors(xs))


@op
def append(x1: Tensor, x2: Tensor, axis: int | None = None):
    """`x2` behind `x1` along `axis`; both flattened if that is None."""
    return jnp.append(x1, x2, axis=axis)


@op
def split(x: Tensor, indices_or_sections: Any, axis: int = 0):
    """`x` cut into a number of equal parts, or at indices, along `axis`."""
    return jnp.split(jnp.asarray(x), indices_or_sections, axis=axis)


@op
def array_split(x: Tensor, indices_or_sections: Any, axis: int = 0):
    """`x` cut into a number of parts that are as equal as can be, along `axis`."""
    return jnp.array_split(jnp.asarray(x), indices_or_sections, axis=axis)


@op
def hsplit(x: Tensor, indices_or_sections: Any):
    """`x` cut along axis 1, a vector along axis 0."""
    return jnp.hsplit(jnp.asarray(x), indices_or_sections)


@op
def vsplit(x: Tensor, indices_or_sections: Any):
    """`x` cut along axis 0."""
    return jnp.vsplit(jnp.asarray(x), indices_or_sections)


@op
def dsplit(x: Tensor, indices_or_sections: Any):
    """`x` cut along axis 2."""
    return jnp.dsplit(jnp.asarray(x), indices_or_sections)


@op
def repeat(x: Tensor, repeats: Any, axis: int | None = None):
    """Each element `repeats` times, along `axis` or flattened; `repeats` may be one for each."""
    if isinstance(repeats, Tracer):
        return jnp.repeat(x, repeats, axis=axis)
    if np.size(repeats) == 1:
        return jnp.repeat(x, int(np.ravel(repeats)[0]), axis=axis)
    repeats = np.asarray(repeats)
    return jnp.repeat(x, repeats, axis=axis, total_repeat_length=int(repeats.sum()))


@op
def tile(x: Tensor, repeats: Any):
    """The whole of `x`, `repeats` times along each axis."""
    return jnp.tile(jnp.asarray(x), repeats)


@op
def pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: Any = None):
    """`x` with elements added before and after, along each axis.

    Args:
        pad_width: `(before, after)` for each axis, one pair for all, or one number for all.
        mode: Any of NumPy's, such as "constant", "reflect", "symmetric" and "edge".
        constant_values: What is added in mode "constant"; 0 by default.
    """
    x = jnp.asarray(x)
    if constant_values is None:
        return jnp.pad(x, pad_width, mode)
    if mode != "constant":
        raise ValueError(f"pad() takes `constant_values` in mode 'constant' only, got {mode!r}.")
    return jnp.pad(x, pad_width, mode, constant_values=constant_values)


# Turning ---------------------------------------------------------------------------------


def _reshaped(compute: Callable, x: KerasTensor, newshape: Any) -> KerasTensor:
    """A size of -1 is unknown where it divides an unknown number of elements."""
    try:
        return abstract(compute, x, newshape)
    except Exception:
        new = (newshape,) if isinstance(newshape, int) else tuple(newshape)
        if None not in x.shape or (-1 not in new and None not in new):
            raise
        return KerasTensor([None if n in (-1, None) else n for n in new], x.dtype)


@sized(_reshaped)
def reshape(x: Tensor, newshape: Any):
    """The elements of `x`, in order, in another shape; one size may be -1 and follows.

    A size of None is the one that `x` has on that axis, or follows if it is the only one.
    """
    x = jnp.asarray(x)
    sizes: list[Any] = [newshape] if isinstance(newshape, int) else list(newshape)
    if sizes.count(None) == 1 and -1 not in sizes:
        sizes[sizes.index(None)] = -1
    sizes = [x.shape[i] if size is None else size for i, size in enumerate(sizes)]
    return jnp.reshape(x, sizes)


@op
def ravel(x: Tensor):
    """`x` with all its axes made one."""
    return jnp.ravel(x)


@op
def transpose(x: Tensor, axes: Sequence[int] | None = None):
    """`x` with its axes permuted; reversed if `axes` is None."""
    return jnp.transpose(x, axes)


@op
def swapaxes(x: Tensor, axis1: int, axis2: int):
    """`x` with two axes exchanged."""
    return jnp.swapaxes(x, axis1, axis2)


@op
def moveaxis(x: Tensor, source: Any, destination: Any):
    """`x` with the axes `source` at the places `destination`, the others in order."""
    return jnp.moveaxis(x, source, destination)


@op
def expand_dims(x: Tensor, axis: Any):
    """`x` with new axes of size 1 at `axis`."""
    return jnp.expand_dims(x, tuple(axis) if isinstance(axis, list) else axis)


@op
def squeeze(x: Tensor, axis: Any = None):
    """`x` without axes of size 1: all, or those at `axis`."""
    x = jnp.asarray(x)
    if axis is None:
        axis = [i for i, size in enumerate(x.shape) if isinstance(size, int) and size == 1]
    return jnp.squeeze(x, tuple(axis) if isinstance(axis, list) else axis)


def _spread(compute: Callable, x: KerasTensor, shape: Any) -> KerasTensor:
    if None not in x.shape:
        return abstract(compute, x, shape)
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    kept = (None,) * (len(sizes) - x.ndim) + x.shape
    return KerasTensor([k if n is None else n for n, k in zip(sizes, kept)], x.dtype)


@sized(_spread)
def broadcast_to(x: Tensor, shape: Any):
    """`x` repeated to fill `shape`; None keeps the size of `x`."""
    x = jnp.asarray(x)
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    ahead = len(sizes) - x.ndim
    sizes = [x.shape[i - ahead] if size is None else size for i, size in enumerate(sizes)]
    return jnp.broadcast_to(x, sizes)


@op
def flip(x: Tensor, axis: Any = None):
    """`x` in reverse order along `axis`, or along all axes."""
    return jnp.flip(x, tuple(axis) if isinstance(axis, list) else axis)


@op
def fliplr(x: Tensor):
    """`x` in reverse order along axis 1."""
    return jnp.fliplr(x)


@op
def flipud(x: Tensor):
    """`x` in reverse order along axis 0."""
    return jnp.flipud(x)


@op
def rot90(array: Tensor, k: int = 1, axes: tuple[int, int] = (0, 1)):
    """`array` turned by 90 degrees, `k` times, in the plane of two axes."""
    array = jnp.asarray(array)
    if array.ndim < 2:
        raise ValueError(f"rot90() needs at least 2 axes, got shape {array.shape}.")
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ValueError(f"rot90() needs two different `axes`, got {axes}.")
    return jnp.rot90(array, k, axes)


@op
def roll(x: Tensor, shift: Any, axis: Any = None):
    """`x` moved by `shift` places along `axis`; what falls off comes in at the other end."""
    return jnp.roll(x, shift, tuple(axis) if isinstance(axis, list) else axis)


@op
def diag(x: Tensor, k: int = 0):
    """The `k`-th diagonal of a matrix, or the matrix that has a vector on it."""
    return jnp.diag(x, k)


@op
def diagflat(x: Tensor, k: int = 0):
    """The matrix that has the elements of `x` on its `k`-th diagonal."""
    return jnp.diagflat(x, k)


@op
def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1):
    """A diagonal of the planes of two axes, as a new last axis."""
    return jnp.diagonal(x, offset, axis1, axis2)


@op
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1):
    """Sum of a diagonal of the planes of two axes."""
    return jnp.trace(x, offset, axis1, axis2)


@op
def tril(x: Tensor, k: int = 0):
    """`x` with zeros above the `k`-th diagonal of its last two axes."""
    return jnp.tril(x, k)


@op
def triu(x: Tensor, k: int = 0):
    """`x` with zeros below the `k`-th diagonal of its last two axes."""
    return jnp.triu(x, k)


# Indexing --------------------------------------------------------------------------------


def _chosen(compute: Callable, condition: Any, x1: Any = None, x2: Any = None):
    if x1 is None and x2 is None:
        return _found(compute, condition)
    return abstract(compute, condition, x1, x2)


@sized(_chosen)
def where(condition: Tensor, x1: Tensor = None, x2: Tensor = None):
    """`x1` where `condition` holds, `x2` elsewhere; the indices where it holds without them."""
    if (x1 is None) != (x2 is None):
        raise ValueError("where() needs both of `x1` and `x2`, or none of them; got one.")
    if x1 is None:
        return jnp.nonzero(condition)
    return jnp.where(condition, x1, x2)


def _found(compute: Callable, x: KerasTensor) -> tuple[KerasTensor, ...]:
    return tuple(KerasTensor((None,), "int32") for _ in x.shape)


@sized(_found)
def nonzero(x: Tensor):
    """The indices of the elements that are not zero, one vector for each axis."""
    return jnp.nonzero(x)


@op
def take(x: Tensor, indices: Tensor, axis: int | None = None):
    """The slices of `x` at `indices` along `axis`, or elements of the flattened `x`."""
    return jnp.take(jnp.asarray(x), jnp.asarray(indices), axis=axis)


@op
def take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None):
    """The elements of `x` at `indices` along `axis`; the other axes go side by side."""
    return jnp.take_along_axis(jnp.asarray(x), jnp.asarray(indices), axis=axis)


@op
def get_item(x: Tensor, key: Any):
    """`x[key]`, for all keys that NumPy takes."""
    x = jnp.asarray(x)
    return x[tuple(map(_part, key)) if isinstance(key, tuple) else _part(key)]


def _part(key: Any) -> Any:
    """A part of a key, where a list of indices is an array."""
    if isinstance(key, (slice, int, np.integer)) or key is None or key is Ellipsis:
        return key
    return jnp.asarray(tensor(key))


@op
def select(condlist: Tensors, choicelist: Tensors, default: Tensor = 0):
    """Of each choice the elements where its condition is the first to hold, else `default`."""
    return jnp.select(condlist, choicelist, default)


@op
def unravel_index(indices: Tensor, shape: Any):
    """The indices along each axis of elements that are counted through the whole of `shape`."""
    return jnp.unravel_index(jnp.asarray(indices), tuple(shape))


@op
def ndim(x: Tensor):
    """The number of axes."""
    return jnp.ndim(x)


@op
def size(x: Tensor):
    """The number of elements."""
    return jnp.size(x)


def vectorize(pyfunc: Callable, *, excluded: Any = None, signature: str | None = None):
    """`pyfunc`, a function of numbers or small tensors, applied along all other axes.

    Args:
        excluded: Positions of arguments that are passed on whole.
        signature: The axes `pyfunc` is written for, as in "(n),(n)->()".
    """
    if not callable(pyfunc):
        raise ValueError(f"vectorize() needs a callable, got {pyfunc!r}.")
    return jnp.vectorize(pyfunc, excluded=frozenset(excluded or ()), signature=signature)


__all__ = [
    "append", "arange", "array", "array_split", "broadcast_to", "concatenate", "copy", "diag",
    "diagflat", "diagonal", "dsplit", "dstack", "empty", "empty_like", "expand_dims", "eye",
    "flip", "fliplr", "flipud", "full", "full_like", "geomspace", "get_item", "hsplit",
    "hstack", "identity", "linspace", "logspace", "meshgrid", "moveaxis", "ndim", "nonzero",
    "ones", "ones_like", "pad", "ravel", "repeat", "reshape", "roll", "rot90", "select",
    "size", "split", "squeeze", "stack", "swapaxes", "take", "take_along_axis", "tile",
    "trace", "transpose", "tri", "tril", "triu", "unravel_index", "vander", "vectorize",
    "vsplit", "vstack", "where", "zeros", "zeros_like",
]  # fmt: skip
