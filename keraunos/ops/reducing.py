"""Operations along axes: reductions, statistics, running sums, order, products of matrices."""

from typing import Any

import jax.numpy as jnp

from keraunos.core import config
from keraunos.core.graph import KerasTensor, Tensor, op
from keraunos.ops.families import (
    Axis,
    averaging,
    cumulative,
    extreme,
    inexact,
    plain_axis,
    promoted,
    quantiles,
    reduction,
    sized,
    window,
)

all = reduction(jnp.all, "Whether every element is true, over `axis`.")
any = reduction(jnp.any, "Whether some element is true, over `axis`.")
amax = reduction(jnp.amax, "Largest element over `axis`.", "amax")
amin = reduction(jnp.amin, "Smallest element over `axis`.", "amin")
max = extreme(jnp.max, "Largest element over `axis`; at least `initial`.", "max")
min = extreme(jnp.min, "Smallest element over `axis`; at most `initial`.", "min")
ptp = reduction(jnp.ptp, "Largest less smallest element over `axis`.")
sum = reduction(jnp.sum, "Sum over `axis`.")
mean = averaging(jnp.mean, "Average over `axis`.")
median = averaging(jnp.median, "Median over `axis`.")
std = averaging(jnp.std, "Standard deviation over `axis`, that of the whole population.")
var = averaging(jnp.var, "Variance over `axis`, that of the whole population.")
argmax = reduction(jnp.argmax, "Index of the largest element along `axis`, the first of equals.")
argmin = reduction(jnp.argmin, "Index of the smallest element along `axis`, the first of equals.")

nanargmax = reduction(jnp.nanargmax, "`argmax` of what is not NaN; -1 where all is.")
nanargmin = reduction(jnp.nanargmin, "`argmin` of what is not NaN; -1 where all is.")
nanmax = reduction(jnp.nanmax, "Largest element that is not NaN, over `axis`.")
nanmin = reduction(jnp.nanmin, "Smallest element that is not NaN, over `axis`.")
nanprod = reduction(jnp.nanprod, "Product over `axis`, NaN taken for 1.")
nansum = reduction(jnp.nansum, "Sum over `axis`, NaN taken for 0.")
nanmean = averaging(jnp.nanmean, "Average over `axis` of what is not NaN.")
nanmedian = averaging(jnp.nanmedian, "Median over `axis` of what is not NaN.")
nanstd = averaging(jnp.nanstd, "Standard deviation over `axis` of what is not NaN.")
nanvar = averaging(jnp.nanvar, "Variance over `axis` of what is not NaN.")

percentile = quantiles(jnp.percentile, "The value that `q` percent are below, over `axis`.")
quantile = quantiles(jnp.quantile, "The value that a share `q` is below, over `axis`.")
nanpercentile = quantiles(jnp.nanpercentile, "`percentile` of what is not NaN.")
nanquantile = quantiles(jnp.nanquantile, "`quantile` of what is not NaN.")

cumprod = cumulative(jnp.cumprod, "Running product along `axis`.")
cumsum = cumulative(jnp.cumsum, "Running sum along `axis`.")
nancumprod = cumulative(jnp.nancumprod, "Running product along `axis`, NaN taken for 1.")
nancumsum = cumulative(jnp.nancumsum, "Running sum along `axis`, NaN taken for 0.")

bartlett = window(jnp.bartlett, "The Bartlett window of length `x`: a triangle.")
blackman = window(jnp.blackman, "The Blackman window of length `x`.")
hamming = window(jnp.hamming, "The Hamming window of length `x`.")
hanning = window(jnp.hanning, "The Hann window of length `x`.")


@op
def kaiser(x: Tensor, beta: float):
    """The Kaiser window of length `x`; the larger `beta`, the narrower."""
    return jnp.kaiser(int(x), beta).astype(config.floatx())


@op
def prod(x: Tensor, axis: Axis = None, keepdims: bool = False, dtype: Any = None):
    """Product over `axis`."""
    return jnp.prod(jnp.asarray(x), axis=plain_axis(axis), keepdims=keepdims, dtype=dtype)


@op
def average(x: Tensor, axis: Axis = None, weights: Tensor = None):
    """Average over `axis`, with `weights` of the shape of `x` or of the one axis."""
    x = jnp.asarray(inexact(x))
    weights = None if weights is None else jnp.asarray(weights)
    return jnp.average(x, axis=plain_axis(axis), weights=weights)


@op
def count_nonzero(x: Tensor, axis: Axis = None):
    """How many elements are not zero, over `axis`."""
    return jnp.count_nonzero(x, axis=plain_axis(axis))


@op
def corrcoef(x: Tensor):
    """Correlation of each two rows of a matrix."""
    return jnp.corrcoef(jnp.asarray(inexact(x)))


@op
def correlate(x1: Tensor, x2: Tensor, mode: str = "valid"):
    """Products of two vectors at every offset; `mode` is "valid", "same" or "full"."""
    return jnp.correlate(*promoted(x1, x2), mode=mode)


@op
def diff(a: Tensor, n: int = 1, axis: int = -1):
    """Each element less the one before it along `axis`, `n` times over."""
    return jnp.diff(a, n=n, axis=axis)


@op
def trapezoid(y: Tensor, x: Tensor = None, dx: float = 1.0, axis: int = -1):
    """Integral of `y` by the trapezoid rule, at points `x` or every `dx`."""
    return jnp.trapezoid(jnp.asarray(inexact(y)), x, dx=dx, axis=axis)


# Order -----------------------------------------------------------------------------------


@op
def sort(x: Tensor, axis: int | None = -1):
    """The elements along `axis` in rising order."""
    return jnp.sort(x, axis=axis)


@op
def argsort(x: Tensor, axis: int | None = -1):
    """The indices that sort `x` along `axis`; equal elements keep their order."""
    return jnp.argsort(jnp.asarray(x), axis=axis)


@op
def argpartition(x: Tensor, kth: int, axis: int = -1):
    """Indices along `axis` that put the smallest `kth` elements first, in any order."""
    return jnp.argpartition(jnp.asarray(x), kth, axis)


@op
def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left"):
    """The indices where `values` would be put into a sorted vector."""
    sorted_sequence = jnp.asarray(sorted_sequence)
    if sorted_sequence.ndim != 1:
        raise ValueError(
            "searchsorted() needs a vector for `sorted_sequence`, got shape "
            f"{sorted_sequence.shape}. Use `vectorized_map` to search in several."
        )
    return jnp.searchsorted(sorted_sequence, values, side=side)


@op
def digitize(x: Tensor, bins: Tensor):
    """In which of the bins with edges `bins` each element falls."""
    return jnp.digitize(jnp.asarray(x), jnp.asarray(bins))


@op
def histogram(x: Tensor, bins: int = 10, range: tuple[float, float] | None = None):
    """How many elements of a vector fall into each of `bins` equal bins; and their edges."""
    x = jnp.asarray(x)
    if x.ndim != 1:
        raise ValueError(f"histogram() needs a vector, got shape {x.shape}.")
    if range is not None and (len(range) != 2 or range[0] > range[1]):
        raise ValueError(f"histogram() needs `range=(low, high)`, got {range}.")
    return jnp.histogram(x, bins=bins, range=range)


def _bins(compute, x, weights=None, minlength=0, sparse=False):
    dtype = "int32" if weights is None else weights.dtype
    return KerasTensor((*x.shape[:-1], None), dtype)


@sized(_bins)
def bincount(x: Tensor, weights: Tensor = None, minlength: int = 0, sparse: bool = False):
    """How often each integer occurs, or the sum of `weights` there, along the last axis.

    Shapes: `(n,)` to `(bins,)`, `(batch, n)` to `(batch, bins)`; as many bins as the largest
    integer needs, but at least `minlength`.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.integer) and x.dtype != bool:
        raise TypeError(f"bincount() needs integers, got {x.dtype}.")
    if sparse:
        raise ValueError("bincount() with `sparse=True` needs sparse tensors, which JAX lacks.")
    if x.ndim == 1:
        return jnp.bincount(x, weights, minlength=minlength)
    length = int(jnp.maximum(jnp.max(x, initial=0) + 1, minlength))
    rows = jnp.arange(x.shape[0])[:, None]
    dtype = "int32" if weights is None else jnp.asarray(weights).dtype
    counts = jnp.zeros((x.shape[0], length), dtype)
    return counts.at[rows, x].add(1 if weights is None else weights)


def _distinct(compute, x, sorted=True, return_index=False, return_inverse=False,
              return_counts=False, axis=None, size=None, fill_value=None):  # fmt: skip
    shape = list(x.shape) if axis is not None else [None]
    shape[axis or 0] = size
    outputs = [KerasTensor(shape, x.dtype)]
    outputs += [KerasTensor((size,), "int32")] * bool(return_index)
    inverse = x.shape if axis is None else (x.shape[axis],)
    outputs += [KerasTensor(inverse, "int32")] * bool(return_inverse)
    outputs += [KerasTensor((size,), "int32")] * bool(return_counts)
    return tuple(outputs) if len(outputs) > 1 else outputs[0]


@sized(_distinct)
def unique(
    x: Tensor,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
):
    """The distinct elements, or slices along `axis`, in rising order.

    Args:
        return_index: Also return where each was first found.
        return_inverse: Also return, for each element of `x`, which of them it is.
        return_counts: Also return how often each was found.
        size: How many to return; needed within `jit`. The rest is `fill_value`, or the smallest.
    """
    return jnp.unique(
        x, return_index, return_inverse, return_counts, axis, size=size, fill_value=fill_value
    )


# Products --------------------------------------------------------------------------------


def _wide(*values) -> Any:
    """The dtype to add up products in: int32 for 8-bit integers, which would overflow."""
    return "int32" if {str(jnp.result_type(value)) for value in values} == {"int8"} else None


@op
def matmul(x1: Tensor, x2: Tensor):
    """Matrix product over the last two axes; int32 for two tensors of int8."""
    x1, x2 = promoted(x1, x2)
    return jnp.matmul(x1, x2, preferred_element_type=_wide(x1, x2))


@op
def einsum(subscripts: str, *operands: Tensor, **kwargs: Any):
    """Sum of products by Einstein's convention: "ij,jk->ik" is the product of two matrices."""
    operands = promoted(*operands)
    kwargs.setdefault("preferred_element_type", _wide(*operands))
    return jnp.einsum(subscripts, *operands, **kwargs)


@op
def dot(x1: Tensor, x2: Tensor):
    """Product over the last axis of `x1` and the last but one of `x2`."""
    return jnp.dot(*promoted(x1, x2))


@op
def inner(x1: Tensor, x2: Tensor):
    """Product over the last axes of both."""
    return jnp.inner(*promoted(x1, x2))


@op
def outer(x1: Tensor, x2: Tensor):
    """Product of each element of `x1` with each of `x2`, both flattened."""
    return jnp.outer(*promoted(x1, x2))


@op
def vdot(x1: Tensor, x2: Tensor):
    """Sum of products of all elements, those of `x1` conjugated."""
    return jnp.vdot(*promoted(x1, x2))


@op
def kron(x1: Tensor, x2: Tensor):
    """Kronecker product: `x1` with each element replaced by it times `x2`."""
    return jnp.kron(*promoted(x1, x2))


@op
def tensordot(x1: Tensor, x2: Tensor, axes: Any = 2):
    """Product over `axes`: a number of last and first axes, or a pair of lists of axes."""
    return jnp.tensordot(*promoted(x1, x2), axes=axes)


@op
def cross(
    x1: Tensor,
    x2: Tensor,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
):
    """Cross product of vectors of 2 or 3 components on `axis`, or on `axisa` and `axisb`."""
    x1, x2 = promoted(x1, x2)
    return jnp.cross(jnp.asarray(x1), jnp.asarray(x2), axisa, axisb, axisc, axis)


__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "argpartition", "argsort", "average",
    "bartlett", "bincount", "blackman", "corrcoef", "correlate", "count_nonzero", "cross",
    "cumprod", "cumsum", "diff", "digitize", "dot", "einsum", "hamming", "hanning",
    "histogram", "inner", "kaiser", "kron", "matmul", "max", "mean", "median", "min",
    "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian",
    "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar", "outer",
    "percentile", "prod", "ptp", "quantile", "searchsorted", "sort", "std", "sum", "tensordot",
    "trapezoid", "unique", "var", "vdot",
]  # fmt: skip
