"""Segments, the largest elements, frames and Fourier transforms, functions of probability."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from keraunos.core.graph import KerasTensor, OpCall, Tensor, Tensors, op, symbolic_in
from keraunos.ops.families import Axis, inexact, plain_axis, promoted, sized, smooth

erf = smooth(jax.lax.erf, "The error function of each element.", "erf")
erfc = smooth(jax.lax.erfc, "1 less the error function of each element.", "erfc")
erfinv = smooth(jax.lax.erf_inv, "The inverse of the error function of each element.", "erfinv")
rsqrt = smooth(jax.lax.rsqrt, "1 divided by the square root of each element.", "rsqrt")


@op
def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False):
    """`log(sum(exp(x)))` over `axis`, without overflow in between."""
    return jax.nn.logsumexp(inexact(x), axis=plain_axis(axis), keepdims=keepdims)


@op
def top_k(x: Tensor, k: int, sorted: bool = True):
    """The `k` largest elements along the last axis, in falling order, and their indices."""
    return tuple(jax.lax.top_k(jnp.asarray(x), k))


@op
def in_top_k(targets: Tensor, predictions: Tensor, k: int):
    """Whether the prediction of each target class is among the `k` largest.

    Shapes: `(batch,)` and `(batch, classes)` to `(batch,)`. Classes that are equally likely at
    the edge all count as among them.
    """
    targets, predictions = jnp.asarray(targets), jnp.asarray(predictions)
    least = jax.lax.top_k(predictions, k)[0][..., -1]
    return jnp.take_along_axis(predictions, targets[..., None], axis=-1)[..., 0] >= least


@op
def cdist(x: Tensor, y: Tensor):
    """Euclidean distance of each vector of `x` from each of `y`.

    Shapes: `(..., m, d)` and `(..., n, d)` to `(..., m, n)`.
    """
    x, y = promoted(inexact(x), inexact(y))
    apart = jnp.asarray(x)[..., :, None, :] - jnp.asarray(y)[..., None, :, :]
    return jnp.sqrt(jnp.sum(jnp.square(apart), axis=-1))


# Segments --------------------------------------------------------------------------------


def _segments(
    compute: Callable, data: KerasTensor, segment_ids: Any, num_segments: int | None = None,
    sorted: bool = False,
) -> KerasTensor:  # fmt: skip
    return KerasTensor((num_segments, *data.shape[1:]), data.dtype)


def _segmented(fn: Callable, doc: str, name: str) -> Callable:
    """A reduction of the rows of `data` that have the same number in `segment_ids`."""

    def call(
        data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False
    ):
        segment_ids = jnp.asarray(segment_ids)
        if segment_ids.ndim != 1:
            raise ValueError(
                f"{name}() needs a vector for `segment_ids`, got shape {segment_ids.shape}."
            )
        if num_segments is None:
            if isinstance(segment_ids, Tracer):
                raise ValueError(f"{name}() needs `num_segments` where values are not known yet.")
            num_segments = int(jnp.max(segment_ids, initial=-1)) + 1
        return fn(jnp.asarray(data), segment_ids, num_segments, indices_are_sorted=sorted)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"""{doc}

    Args:
        segment_ids: One integer for each row; rows of a negative one do not count.
        num_segments: How many rows to return; as many as are needed by default, which cannot
            be known within `jit`.
        sorted: Whether `segment_ids` rises.
    """
    return sized(_segments)(call)


segment_sum = _segmented(jax.ops.segment_sum, "Sum of the rows of each segment.", "segment_sum")
segment_max = _segmented(jax.ops.segment_max, "Largest of the rows of each segment.", "segment_max")
segment_min = _segmented(
    jax.ops.segment_min, "Smallest of the rows of each segment.", "segment_min"
)
segment_prod = _segmented(
    jax.ops.segment_prod, "Product of the rows of each segment.", "segment_prod"
)

# Fourier transforms ----------------------------------------------------------------------


def _complex(name: str, x: Any):
    """The complex tensor of a pair `(real, imaginary)`."""
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(f"{name}() needs a pair of tensors `(real, imaginary)`, got {x!r}.")
    real, imaginary = (jnp.asarray(part) for part in x)
    if real.shape != imaginary.shape:
        raise ValueError(
            f"{name}() needs parts of equal shapes, got {real.shape} and {imaginary.shape}."
        )
    if not all(jnp.issubdtype(part.dtype, jnp.floating) for part in (real, imaginary)):
        raise ValueError(f"{name}() needs floats, got {real.dtype} and {imaginary.dtype}.")
    return jax.lax.complex(real, imaginary)


def _parts(x) -> tuple:
    return jnp.real(x), jnp.imag(x)


@op
def fft(x: Tensors):
    """Fourier transform along the last axis, of and to a pair `(real, imaginary)`."""
    return _parts(jnp.fft.fft(_complex("fft", x)))


@op
def fft2(x: Tensors):
    """Fourier transform along the last two axes, of and to a pair `(real, imaginary)`."""
    return _parts(jnp.fft.fft2(_complex("fft2", x)))


@op
def ifft2(x: Tensors):
    """The inverse of `fft2`."""
    return _parts(jnp.fft.ifft2(_complex("ifft2", x)))


@op
def rfft(x: Tensor, fft_length: int | None = None):
    """Fourier transform of real numbers along the last axis, to a pair `(real, imaginary)`.

    Shapes: `(..., n)` to `(..., fft_length // 2 + 1)` twice; `n` is cut or filled up with zeros
    to `fft_length`.
    """
    return _parts(jnp.fft.rfft(jnp.asarray(inexact(x)), n=fft_length))


@op
def irfft(x: Tensors, fft_length: int | None = None):
    """The inverse of `rfft`, of a pair `(real, imaginary)`; of even length by default."""
    return jnp.fft.irfft(_complex("irfft", x), n=fft_length)


@op
def extract_sequences(x: Tensor, sequence_length: int, sequence_stride: int):
    """Windows of `sequence_length` along the last axis, each `sequence_stride` after the last.

    Shapes: `(..., n)` to `(..., (n - sequence_length) // sequence_stride + 1, sequence_length)`.
    """
    return _frames(jnp.asarray(x), sequence_length, sequence_stride)


def _frames(x, length: int, stride: int):
    count = (x.shape[-1] - length) // stride + 1
    starts = jnp.arange(count) * stride
    return jnp.take(x, starts[:, None] + jnp.arange(length), axis=-1)


def _window(name: str, window: Any, length: int, fft_length: int, dtype: Any):
    """The window, put into the middle of `fft_length`."""
    if window is None:
        return jnp.ones(fft_length, dtype)
    if isinstance(window, str):
        make = {"hann": jnp.hanning, "hamming": jnp.hamming}.get(window)
        if make is None:
            raise ValueError(f"{name}() needs 'hann' or 'hamming' for `window`, got {window!r}.")
        window = make(length + 1)[:-1]
    window = jnp.asarray(window, dtype)
    if window.shape != (length,):
        raise ValueError(
            f"{name}() needs a window of {length} numbers, got one of shape {window.shape}."
        )
    left = (fft_length - length) // 2
    return jnp.pad(window, (left, fft_length - length - left))


def _check_lengths(name: str, sequence_length: int, fft_length: int) -> None:
    if fft_length < sequence_length:
        raise ValueError(
            f"{name}() needs an `fft_length` of at least `sequence_length`, "
            f"{sequence_length}, got {fft_length}."
        )


@op
def stft(
    x: Tensor,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
):
    """Fourier transform of windows along the last axis, to a pair `(real, imaginary)`.

    Shapes: `(..., n)` to `(..., windows, fft_length // 2 + 1)` twice.

    Args:
        window: "hann", "hamming", None for no window, or `sequence_length` numbers.
        center: Whether the windows are centered around their places: the ends are mirrored.
    """
    _check_lengths("stft", sequence_length, fft_length)
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"stft() needs floats, got {x.dtype}.")
    window = _window("stft", window, sequence_length, fft_length, x.dtype)
    if center:
        around = [(0, 0)] * (x.ndim - 1) + [(fft_length // 2, fft_length // 2)]
        x = jnp.pad(x, around, mode="reflect")
    return _parts(jnp.fft.rfft(_frames(x, fft_length, sequence_stride) * window))


@op
def istft(
    x: Tensors,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
):
    """The inverse of `stft`: windows added up, and divided by the sum of squared windows.

    Args:
        length: Of the result; what the windows fill by default.
        window, center: What `stft` was given.
    """
    _check_lengths("istft", sequence_length, fft_length)
    frames = jnp.fft.irfft(_complex("istft", x), n=fft_length)
    count, total = frames.shape[-2], fft_length + sequence_stride * (frames.shape[-2] - 1)
    places = jnp.arange(count)[:, None] * sequence_stride + jnp.arange(fft_length)
    weights = _window("istft", window, sequence_length, fft_length, frames.dtype)
    signal = jnp.zeros((*frames.shape[:-2], total), frames.dtype)
    signal = signal.at[..., places].add(frames * weights)
    norm = jnp.zeros(total, frames.dtype)
    norm = norm.at[places].add(jnp.broadcast_to(jnp.square(weights), places.shape))
    signal = jnp.where(norm > 1e-11, signal / jnp.where(norm > 1e-11, norm, 1), signal)
    start = fft_length // 2 if center else 0
    if length is None:
        return signal[..., start : total - start]
    missing = max(0, start + length - total) if isinstance(total, int) else 0
    signal = jnp.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(0, missing)])
    return signal[..., start : start + length]


# Derivatives -----------------------------------------------------------------------------


def jvp(fun: Callable, primals: Any, tangents: Any, has_aux: bool = False) -> tuple:
    """`fun(*primals)`, and how it changes when the primals change by `tangents`.

    Args:
        has_aux: Whether `fun` returns `(value, auxiliary)`; then the latter comes third.
    """
    run = functools.partial(jax.jvp, fun, has_aux=has_aux)
    primals, tangents = tuple(primals), tuple(tangents)
    if symbolic_in((primals, tangents)):
        return OpCall(lambda primals, tangents: run(primals, tangents)).symbolic_call(
            primals, tangents
        )
    return run(jax.tree.map(jnp.asarray, primals), jax.tree.map(jnp.asarray, tangents))


__all__ = [
    "cdist", "erf", "erfc", "erfinv", "extract_sequences", "fft", "fft2", "ifft2", "in_top_k",
    "irfft", "istft", "jvp", "logsumexp", "rfft", "rsqrt", "segment_max", "segment_min",
    "segment_prod", "segment_sum", "stft", "top_k",
]  # fmt: skip
