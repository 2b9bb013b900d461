"""From floats to integers of few bits and to eight-bit floats, and back."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from keraunos.core import dtypes
from keraunos.core.fields import Configurable
from keraunos.core.graph import Tensor, op
from keraunos.core.registry import export


@export("quantizers.Quantizer")
@export("Quantizer")
class Quantizer(Configurable):
    """Base class: `quantizer(x)` returns integers and their scale; this one returns `x`."""

    def __init__(self, output_dtype: Any = "int8"):
        self.output_dtype = output_dtype

    def __call__(self, x: Any) -> Any:
        return x

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError(f"{type(self).__name__} needs a `get_config` to be saved.")


@export("quantizers.AbsMaxQuantizer")
class AbsMaxQuantizer(Quantizer):
    """Scale so that the largest magnitude along `axis` becomes the largest integer.

    Args:
        axis: May be given in the call instead.
        epsilon: Keeps the scale of zeros finite.
    """

    def __init__(
        self,
        axis: Any = None,
        value_range: tuple[int, int] = (-127, 127),
        epsilon: float = 1e-7,
        output_dtype: Any = "int8",
    ):
        super().__init__(output_dtype)
        self.axis = (axis,) if isinstance(axis, int) else axis and tuple(axis)
        self.value_range, self.epsilon = (value_range[0], value_range[1]), epsilon

    def __call__(self, x: Any, axis: Any = None, to_numpy: bool = False) -> tuple[Any, Any]:
        """Integers, and the scale they were multiplied by; `axis` has size 1 in it."""
        return abs_max_quantize(
            x,
            self.axis if axis is None else axis,
            self.value_range,
            self.output_dtype,
            self.epsilon,
            to_numpy,
        )

    def get_config(self) -> dict[str, Any]:
        names = ("value_range", "epsilon", "output_dtype")
        axis = {} if self.axis is None else {"axis": self.axis}
        return {name: getattr(self, name) for name in names} | axis


@op
def abs_max_quantize(
    inputs: Tensor,
    axis: Any,
    value_range: tuple[int, int] = (-127, 127),
    dtype: Any = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
):
    """Integers, and the scale that `inputs` were multiplied by; `axis` has size 1 in it.

    Args:
        axis: Along which numbers share a scale; all of them if None.
        to_numpy: Compute in numpy, which saves memory of the device.
    """
    lib: Any = np if to_numpy else jnp
    x = lib.asarray(inputs)
    axis = tuple(axis) if isinstance(axis, (list, tuple)) else axis
    scale = value_range[1] / (lib.max(lib.abs(x), axis, keepdims=True) + epsilon)
    scale = scale.astype(x.dtype)
    return lib.clip(lib.round(x * scale), *value_range).astype(dtype), scale


def scale_and_zero(
    x: Any,
    bits: int,
    group_size: int = -1,
    symmetric: bool = False,
    per_channel: bool = True,
    epsilon: float = 0.0,
) -> tuple[Any, Any]:
    """Scale and zero point of each group along the last axis of a matrix.

    Shapes: `(rows, columns)` to twice `(rows, groups)`. `round(x / scale) + zero` is within 0 and
    `2**bits - 1`. A last group that is not full is filled with zeros.

    Args:
        symmetric: Put the zero in the middle.
        per_channel: Whether rows differ; if not, there are no groups.
    """
    lib: Any = np if isinstance(x, np.ndarray) else jnp
    rows, columns = x.shape
    if not per_channel:
        x = lib.broadcast_to(x.reshape(1, -1), (rows, x.size))
    elif group_size > 0:
        filled = lib.pad(x, ((0, 0), (0, -columns % group_size)))
        x = filled.reshape(rows, -1, group_size)
    else:
        x = x[:, None]
    low, high = lib.min(x, -1).reshape(rows, -1), lib.max(x, -1).reshape(rows, -1)
    if symmetric:
        high = lib.maximum(lib.abs(low), high)
        low = lib.where(low < 0, -high, low)
    constant = low == high
    low, high = lib.where(constant, low - 1, low), lib.where(constant, high + 1, high)
    levels = 2**bits - 1
    scale = (high - low + epsilon) / levels
    zero = lib.full_like(scale, (levels + 1) / 2) if symmetric else lib.round(-low / scale)
    return scale, zero


@op
def abs_max_quantize_grouped_with_zero_point(
    inputs: Tensor,
    block_size: int,
    value_range: tuple[int, int] = (-8, 7),
    dtype: Any = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
):
    """Integers `q`, scales and zero points: `inputs` is about `(q - zero) * scale`.

    Shapes: `(n, m)` to `(n, m)` and twice `(groups, m)`: each `block_size` rows are a group. The
    zero point is kept within `value_range`, so numbers of one sign are best put in larger groups.
    """
    lib: Any = np if to_numpy else jnp
    x = lib.asarray(inputs)
    if x.ndim != 2 or block_size < 1:
        raise ValueError(
            "`abs_max_quantize_grouped_with_zero_point` needs a matrix and a positive "
            f"`block_size`, got the shape {x.shape} and {block_size}."
        )
    low, high = value_range
    bits = (high - low).bit_length()
    scale, zero = (part.T for part in scale_and_zero(x.T, bits, block_size, epsilon=epsilon))
    zero = lib.clip(zero + low, low, high)
    group = np.arange(x.shape[0]) // block_size
    integers = lib.clip(lib.round(x / scale[group]) + zero[group], low, high)
    return integers.astype(dtype), scale, zero.astype("int8")


# Two integers of four bits in one of eight -------------------------------------------------


def _eight_bits(given: Any, dtype: str, name: str) -> None:
    if dtype not in ("int8", "uint8"):
        raise ValueError(f"`{name}` needs the dtype 'int8' or 'uint8', got {dtype!r}.")
    if given.dtype not in ("int8", "uint8"):
        raise TypeError(f"`{name}` needs a tensor of int8 or uint8, got {given.dtype}.")


def pack_int4(arr: Any, axis: int = 0, dtype: str = "int8") -> tuple[Any, tuple, int]:
    """Join each two numbers along `axis`, the first in the low bits.

    Returns `(packed, its shape, size of axis before)`; an odd size is filled up with a zero.
    """
    x = jnp.asarray(arr)
    _eight_bits(x, dtype, "pack_int4")
    size = x.shape[axis]
    x = jnp.moveaxis(x, axis, 0).astype("uint8")
    x = jnp.pad(x, [(0, size % 2), *[(0, 0)] * (x.ndim - 1)])
    packed = jnp.moveaxis((x[::2] & 15) | (x[1::2] << 4), 0, axis).astype(dtype)
    return packed, packed.shape, size


def unpack_int4(packed: Any, orig_len: int, axis: int = 0, dtype: str = "int8") -> Any:
    """The numbers that `pack_int4` joined: from -8 to 7, or from 0 to 15 for "uint8"."""
    x = jnp.asarray(packed)
    _eight_bits(x, dtype, "unpack_int4")
    x = jnp.moveaxis(x, axis, 0).astype("uint8")
    pairs = jnp.stack([x & 15, x >> 4], axis=1).reshape(-1, *x.shape[1:])[:orig_len]
    if dtype == "int8":
        pairs = (pairs ^ 8).astype("int8") - 8
    return jnp.moveaxis(pairs, 0, axis).astype(dtype)


# Eight-bit floats ---------------------------------------------------------------------------


def quantize_and_dequantize(inputs: Any, scale: Any, quantized_dtype: Any, compute_dtype: Any):
    """What is left of `inputs / scale` in `quantized_dtype`, times `scale`."""
    largest = float(ml_dtypes.finfo(dtypes.standardize_dtype(quantized_dtype)).max)
    scale = jnp.asarray(scale, compute_dtype)
    x = jnp.clip(jnp.asarray(inputs) / scale, -largest, largest)
    return x.astype(quantized_dtype).astype(compute_dtype) * scale


def compute_float8_scale(amax: Any, scale: Any, dtype_max: float, margin: int = 0) -> Any:
    """The scale that makes `amax` the largest float, `dtype_max`, `margin` powers of two below.

    It stays `scale` where `amax` is not positive and finite.
    """
    new = dtype_max / jnp.asarray(amax) / 2**margin
    scale = 1 / jnp.asarray(scale)
    return 1 / jnp.where(jnp.isfinite(amax) & (jnp.asarray(amax) > 0), new, scale)


def compute_float8_amax_history(x: Any, amax_history: Any) -> Any:
    """The history, a step later: its newest entry, the first, is the largest magnitude in `x`."""
    now = jnp.max(jnp.abs(jnp.asarray(x))).astype(jnp.asarray(amax_history).dtype)
    return jnp.roll(jnp.asarray(amax_history), -1).at[0].set(now)


# Training for integers ----------------------------------------------------------------------


@op
def fake_quant_with_min_max_vars(
    inputs: Tensor,
    min_vals: Tensor,
    max_vals: Tensor,
    num_bits: int = 8,
    narrow_range: bool = False,
    axis: int | None = None,
):
    """Round to the `2**num_bits` numbers between `min_vals` and `max_vals`, zero among them.

    The gradient passes where `inputs` are in between; below and above it goes to the ends.

    Args:
        narrow_range: Use one number less, so that they may be symmetric.
        axis: Along which each place has ends of its own, as many as its size.
    """
    x, *ends = (jnp.asarray(v) for v in (inputs, min_vals, max_vals))
    if dtypes.is_int_dtype(x.dtype):
        return x
    shape = [1] * x.ndim
    if axis is not None:
        shape[axis] = x.shape[axis]
    ends = (jnp.broadcast_to(end, shape) if end.ndim == 0 else end.reshape(shape) for end in ends)
    return _fake_quantized(x, *ends, num_bits, narrow_range)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _fake_quantized(x, low, high, num_bits, narrow_range):
    return _fake_forward(x, low, high, num_bits, narrow_range)[0]


def _fake_forward(x, low, high, num_bits, narrow_range):
    first, last = float(narrow_range), 2.0**num_bits - 1
    flat = low == high
    step = jnp.where(flat, 1, high - low) / (last - first)
    zero = jnp.clip(jnp.round(first - low / step), first, last)
    low, high = (first - zero) * step, (last - zero) * step
    rounded = jnp.floor((jnp.clip(x, low, high) - low) / step + 0.5) * step + low
    return jnp.where(flat, 0, rounded).astype(x.dtype), (x < low, x > high, low)


def _fake_backward(num_bits, narrow_range, saved, dy):
    below, above, low = saved
    ends = [_summed(jnp.where(outside, dy, 0), low) for outside in (below, above)]
    return jnp.where(below | above, 0, dy), *ends


def _summed(dy, like):
    axes = tuple(axis for axis, size in enumerate(like.shape) if size == 1)
    return jnp.sum(dy, axes, keepdims=True, dtype=like.dtype)


_fake_quantized.defvjp(_fake_forward, _fake_backward)


__all__ = [
    "AbsMaxQuantizer",
    "Quantizer",
    "abs_max_quantize",
    "abs_max_quantize_grouped_with_zero_point",
    "compute_float8_amax_history",
    "compute_float8_scale",
    "fake_quant_with_min_max_vars",
    "pack_int4",
    "quantize_and_dequantize",
    "unpack_int4",
]
