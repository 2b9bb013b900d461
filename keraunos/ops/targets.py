"""Classes as vectors, and how far predictions are from them."""

from typing import Any

import jax
import jax.numpy as jnp

from keraunos.core import config
from keraunos.core.dtypes import standardize_dtype
from keraunos.core.graph import Tensor, op
from keraunos.ops.families import inexact


@op
def one_hot(x: Tensor, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False):
    """For each integer a vector, along a new `axis`: 1 at that place, 0 elsewhere.

    Integers that are not from 0 to `num_classes - 1` give zeros only.
    """
    _dense("one_hot", sparse)
    return jax.nn.one_hot(jnp.asarray(x), num_classes, dtype=standardize_dtype(dtype), axis=axis)


@op
def multi_hot(
    inputs: Tensor,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
    **kwargs: Any,
):
    """For each set of integers a vector: 1 at their places, 0 elsewhere.

    Shapes: `(n,)` to `(num_classes,)`; `(batch, n, ...)` to `(batch, ..., num_classes)`.
    """
    num_classes = kwargs.get("num_tokens") if num_classes is None else num_classes
    if num_classes is None:
        raise ValueError("multi_hot needs `num_classes`, the size of the vectors.")
    _dense("multi_hot", sparse)
    x = jnp.asarray(inputs)
    return jnp.max(one_hot(x, num_classes, axis, dtype), axis=1 if x.ndim > 1 else 0)


def _dense(name: str, sparse: bool) -> None:
    if sparse:
        raise ValueError(f"{name} makes dense tensors only; got sparse=True. Leave it away.")


@op
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False):
    """`-target * log(output) - (1 - target) * log(1 - output)`, element by element.

    Probabilities are kept between `epsilon()` and `1 - epsilon()`. With `from_logits`, `output`
    is what a sigmoid would make probabilities of.
    """
    target, output, dtype = _pair("binary_crossentropy", target, output)
    if from_logits:
        loss = -target * jax.nn.log_sigmoid(output) - (1 - target) * jax.nn.log_sigmoid(-output)
    else:
        output = jnp.clip(output, config.epsilon(), 1 - config.epsilon())
        loss = -target * jnp.log(output) - (1 - target) * jnp.log(1 - output)
    return loss.astype(dtype)


@op
def categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
):
    """`-sum(target * log(output))` along `axis`.

    Probabilities are scaled to sum to 1, then kept between `epsilon()` and `1 - epsilon()`.
    With `from_logits`, `output` is what a softmax would make probabilities of.
    """
    if not jnp.ndim(target) or not jnp.ndim(output):
        raise ValueError(
            "categorical_crossentropy needs tensors with an axis of classes, got shapes "
            f"{jnp.shape(target)} for `target` and {jnp.shape(output)} for `output`."
        )
    target, output, dtype = _pair("categorical_crossentropy", target, output)
    return -jnp.sum(target * _log(output, from_logits, axis), axis).astype(dtype)


@op
def sparse_categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
):
    """`categorical_crossentropy` where `target` holds the number of the class.

    Shapes: `(batch, ..., classes)` for `output`, and that without the classes, or with 1 instead,
    for `target`. Numbers that are no class count nothing.
    """
    target, output = jnp.asarray(target), jnp.asarray(inexact(output))
    if not output.ndim:
        raise ValueError(
            "sparse_categorical_crossentropy needs an `output` with an axis of classes, got the "
            f"shape {output.shape}."
        )
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = jnp.squeeze(target, -1)
    classes = axis % output.ndim
    rest = output.shape[:classes] + output.shape[classes + 1 :]
    if target.shape != rest:
        raise ValueError(
            f"sparse_categorical_crossentropy needs a `target` of shape {rest}, that of `output` "
            f"without its axis of classes ({axis}); got {target.shape} for an `output` of shape "
            f"{output.shape}."
        )
    wide = output.astype(jnp.float32) if output.dtype.itemsize < 4 else output
    logs = _log(wide, from_logits, axis)
    hot = jax.nn.one_hot(target.astype("int32"), output.shape[axis], dtype=bool, axis=axis)
    chosen = jnp.where(hot, logs, 0)  # not a product: other logits may be minus infinity
    return -jnp.sum(chosen, axis).astype(output.dtype)


def _pair(name: str, target, output):
    """Both as floats of at least 32 bits, and the dtype of the result."""
    target, output = jnp.asarray(target), jnp.asarray(inexact(output))
    if target.shape != output.shape:
        raise ValueError(
            f"{name} needs a `target` and an `output` of the same shape, got {target.shape} and "
            f"{output.shape}."
        )
    dtype = output.dtype
    wide = jnp.float32 if dtype.itemsize < 4 else dtype  # 1 - epsilon is 1 in half precision
    return target.astype(wide), output.astype(wide), dtype


def _log(output, from_logits: bool, axis: int):
    """The logarithms of probabilities."""
    if from_logits:
        return jax.nn.log_softmax(output, axis)
    output = output / jnp.sum(output, axis, keepdims=True)
    return jnp.log(jnp.clip(output, config.epsilon(), 1 - config.epsilon()))


@op
def psnr(x1: Tensor, x2: Tensor, max_val: float):
    """The peak signal-to-noise ratio of two tensors in decibels; `max_val` is the peak."""
    x1, x2 = jnp.asarray(inexact(x1)), jnp.asarray(inexact(x2))
    if x1.shape != x2.shape:
        raise ValueError(f"psnr compares tensors of the same shape, got {x1.shape} and {x2.shape}.")
    error = jnp.mean(jnp.square(x1 - x2))
    return 20 * jnp.log10(jnp.asarray(max_val, error.dtype)) - 10 * jnp.log10(error)


__all__ = [
    "binary_crossentropy", "categorical_crossentropy", "multi_hot", "one_hot", "psnr",
    "sparse_categorical_crossentropy",
]  # fmt: skip
