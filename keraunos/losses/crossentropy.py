"""Losses of probabilities: how surprised predictions are by targets.

Shapes: predictions are `(..., classes)`, with the classes on `axis`. Targets are the same, or
class numbers `(...)` for the functions named sparse. The result is `(...)`.
"""

from typing import Any

import jax
import jax.numpy as jnp

from keraunos.core import config, errors, masks
from keraunos.core.fields import Numbers, needs
from keraunos.core.graph import Tensor, op
from keraunos.core.registry import export
from keraunos.losses.loss import LossFunctionWrapper, of
from keraunos.losses.regression import matched, pair
from keraunos.ops import targets
from keraunos.ops.ctc import ctc_loss


@export("losses.binary_crossentropy", "bce", "BCE")
@op
def binary_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
):
    """Mean over `axis` of the crossentropies of yes-or-no predictions.

    `label_smoothing` moves that share of each target to the middle.
    """
    y_true, y_pred = pair(y_true, y_pred)
    _same_shape("binary_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, 2)
    return jnp.mean(targets.binary_crossentropy(y_true, y_pred, from_logits), axis=axis)


@export("losses.binary_focal_crossentropy")
@op
def binary_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
):
    """Binary crossentropy, times `(1 - p) ** gamma` of the probability of what is true.

    With `apply_class_balancing`, ones also weigh `alpha` and zeros `1 - alpha`.
    Lin et al., Focal Loss for Dense Object Detection, 2017.
    """
    y_true, y_pred = pair(y_true, y_pred)
    _same_shape("binary_focal_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, 2)
    y_pred = jax.nn.sigmoid(y_pred) if from_logits else y_pred
    of_true = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    losses = jnp.power(1 - of_true, gamma) * targets.binary_crossentropy(y_true, y_pred)
    if apply_class_balancing:
        losses *= y_true * alpha + (1 - y_true) * (1 - alpha)
    return jnp.mean(losses, axis=axis)


@export("losses.categorical_crossentropy")
@op
def categorical_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
):
    """Nats that `y_pred` needs to code the distribution `y_true`, one-hot or not.

    `label_smoothing` moves that share of the target evenly over all classes.
    """
    y_true, y_pred = pair(y_true, y_pred)
    _one_number_per_class("categorical_crossentropy", y_true, y_pred, axis)
    y_true = _smooth(y_true, label_smoothing, y_pred.shape[axis])
    return targets.categorical_crossentropy(y_true, y_pred, from_logits, axis)


@export("losses.categorical_focal_crossentropy")
@op
def categorical_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
):
    """Categorical crossentropy, each class times `alpha * (1 - p) ** gamma`.

    `alpha` may hold a number for each class. Lin et al., Focal Loss for Dense Object
    Detection, 2017.
    """
    y_true, y_pred = pair(y_true, y_pred)
    _one_number_per_class("categorical_focal_crossentropy", y_true, y_pred, axis)
    y_true = _smooth(y_true, label_smoothing, y_pred.shape[axis])
    y_pred = jax.nn.softmax(y_pred, axis) if from_logits else y_pred
    y_pred = y_pred / jnp.sum(y_pred, axis=axis, keepdims=True)
    y_pred = jnp.clip(y_pred, config.epsilon(), 1 - config.epsilon())
    weight = jnp.asarray(alpha, y_pred.dtype) * jnp.power(1 - y_pred, gamma)
    return -jnp.sum(weight * y_true * jnp.log(y_pred), axis=axis)


@export("losses.sparse_categorical_crossentropy")
@op
def sparse_categorical_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
):
    """Nats that `y_pred` needs to code the class numbers `y_true`, `(...)` or `(..., 1)`.

    Targets equal to `ignore_class` cost nothing, and a loss does not count them.
    """
    _, y_pred = pair(y_true, y_pred)
    y_true = jnp.asarray(y_true)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    _class_numbers(y_true, y_pred, axis)
    losses = targets.sparse_categorical_crossentropy(y_true, y_pred, from_logits, axis)
    if ignore_class is None:
        return losses
    counts = y_true.astype("int32") != ignore_class
    losses = jnp.where(counts, losses, 0)
    masks.set_mask(losses, counts)
    return losses


@export("losses.categorical_generalized_cross_entropy")
@op
def categorical_generalized_cross_entropy(y_true: Tensor, y_pred: Tensor, q: float):
    """`(1 - p ** q) / q` of the probability of the class numbers `y_true`.

    Between crossentropy (`q` near 0) and absolute error (`q` near 1), which bears wrong
    labels better. Zhang and Sabuncu, Generalized Cross Entropy Loss, 2018.
    """
    _, y_pred = pair(y_true, y_pred)
    y_true = jnp.asarray(y_true)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    _class_numbers(y_true, y_pred, -1)
    chosen = jax.nn.one_hot(y_true.astype("int32"), y_pred.shape[-1], dtype=y_pred.dtype)
    return (1 - jnp.power(jnp.sum(chosen * y_pred, axis=-1), q)) / q


@export("losses.kl_divergence", "kld", "KLD", "kullback_leibler_divergence")
@op
def kl_divergence(y_true: Tensor, y_pred: Tensor):
    """Kullback-Leibler divergence: what `y_pred` costs above the entropy of `y_true`."""
    y_true, y_pred = matched("kl_divergence", y_true, y_pred)
    y_true, y_pred = (jnp.clip(y, config.epsilon(), 1) for y in (y_true, y_pred))
    return jnp.sum(y_true * jnp.log(y_true / y_pred), axis=-1)


@export("losses.poisson")
@op
def poisson(y_true: Tensor, y_pred: Tensor):
    """Mean of what counts `y_true` cost under Poisson distributions of mean `y_pred`."""
    y_true, y_pred = matched("poisson", y_true, y_pred)
    return jnp.mean(y_pred - y_true * jnp.log(y_pred + config.epsilon()), axis=-1)


@export("losses.ctc")
@op
def ctc(y_true: Tensor, y_pred: Tensor):
    """Nats that logits over time need to code sequences of labels, wherever these are in time.

    Class 0 is the blank, and fills up the labels of a short sequence.
    Graves et al., Connectionist Temporal Classification, 2006.

    Shapes: `(batch, length)` and `(batch, frames, classes)` to `(batch,)`.
    """
    y_true, (_, y_pred) = jnp.asarray(y_true), pair(0, y_pred)
    if y_true.ndim != 2 or y_pred.ndim != 3:
        raise ValueError(
            "ctc needs labels of shape (batch, length) and logits of shape (batch, frames, "
            f"classes), {_shapes(y_true, y_pred)}."
        )
    labels = jnp.sum(y_true != 0, axis=1)
    frames = jnp.full(y_pred.shape[:1], y_pred.shape[1])
    return ctc_loss(y_true, y_pred, labels, frames)


@export("losses.BinaryCrossentropy")
@of(binary_crossentropy)
class BinaryCrossentropy(LossFunctionWrapper):
    """Crossentropy of yes-or-no predictions."""

    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1


@export("losses.BinaryFocalCrossentropy")
@of(binary_focal_crossentropy)
class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Crossentropy of yes-or-no predictions, in which the certain ones count little."""

    apply_class_balancing: bool = False
    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1


@export("losses.CategoricalCrossentropy")
@of(categorical_crossentropy)
class CategoricalCrossentropy(LossFunctionWrapper):
    """Crossentropy of distributions over classes, with distributions as targets."""

    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1


@export("losses.CategoricalFocalCrossentropy")
@of(categorical_focal_crossentropy)
class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Crossentropy of distributions over classes, in which the certain ones count little."""

    alpha: Numbers = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1


@export("losses.SparseCategoricalCrossentropy")
@of(sparse_categorical_crossentropy)
class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Crossentropy of distributions over classes, with class numbers as targets."""

    from_logits: bool = False
    ignore_class: int | None = None
    reduction: str | None = "sum_over_batch_size"
    axis: int = -1


@export("losses.CategoricalGeneralizedCrossEntropy")
@of(categorical_generalized_cross_entropy)
class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """Crossentropy with class numbers as targets, some of which may be wrong."""

    q: float = 0.5

    def __post_init__(self):
        if not 0 < self.q < 1:
            raise ValueError(needs(self, "a number between 0 and 1", "q", self.q))


@export("losses.KLDivergence")
@of(kl_divergence)
class KLDivergence(LossFunctionWrapper):
    """Kullback-Leibler divergence of predictions from targets, both distributions."""


@export("losses.CTC")
@of(ctc)
class CTC(LossFunctionWrapper):
    """Crossentropy of logits over time, with sequences of labels as targets."""


@export("losses.Poisson")
@of(poisson)
class Poisson(LossFunctionWrapper):
    """What counts cost under Poisson distributions whose means are predicted."""


# Pieces of the above ------------------------------------------------------------------------


def _smooth(y_true: jax.Array, share: Any, classes) -> jax.Array:
    return y_true * (1 - share) + share / classes if share else y_true


def _fits(a, b) -> bool:
    """Whether two shapes agree where both are known."""
    known = lambda n: isinstance(n, int)
    return len(a) == len(b) and all(m == n or not (known(m) and known(n)) for m, n in zip(a, b))


def _shapes(y_true, y_pred) -> str:
    return f"got y_true of shape {y_true.shape} and y_pred of shape {y_pred.shape}"


_TWO = (
    " For yes or no use one unit, `Dense(1, activation='sigmoid')`; with two units and a softmax, "
    "sparse_categorical_crossentropy."
)


def _same_shape(who: str, y_true, y_pred) -> None:
    if not _fits(y_true.shape, y_pred.shape):
        raise ValueError(
            f"{who} needs a target for each prediction, {_shapes(y_true, y_pred)}. "
            f"Both must have the shape of y_pred.{_TWO if y_pred.shape[-1:] == (2,) else ''}"
        )


def _one_number_per_class(who: str, y_true, y_pred, axis: int) -> None:
    _several_classes(who, y_pred, axis)
    if _fits(y_true.shape, y_pred.shape):
        return
    shape = list(y_pred.shape)
    classes = shape.pop(axis)
    short = y_true.ndim == y_pred.ndim - 1
    if _fits(y_true.shape, shape) or (not short and y_true.shape[axis] == 1):
        way_out = (
            f"If the targets are class numbers, use sparse_{who.replace('focal_', '')}, or "
            f"make them one-hot by keras.utils.to_categorical(y_true, {classes})."
        )
    elif y_pred.ndim > 2 and y_true.ndim == 2 and y_true.shape[-1] == classes:
        way_out = "Put `Flatten`, or a global pooling layer, before the last layer."
    else:
        got = y_true.shape[axis] if -y_true.ndim <= axis < y_true.ndim else 1
        way_out = f"The targets have {got} numbers each, so the last layer must have {got} units."
    raise ValueError(
        f"{who} needs targets with a number for each of the {classes} classes, "
        f"{_shapes(y_true, y_pred)}. {way_out}"
    )


def _several_classes(who: str, y_pred, axis: int) -> None:
    if y_pred.ndim and y_pred.shape[axis] == 1:
        errors.warn(
            f"{who} compares classes, but y_pred of shape {y_pred.shape} has only one on axis "
            f"{axis}, whose probability is always 1. For yes or no use binary_crossentropy; for "
            "more classes give the last layer as many units.",
            SyntaxWarning,
        )


def _class_numbers(y_true, y_pred, axis: int) -> None:
    who = "sparse_categorical_crossentropy"
    _several_classes(who, y_pred, axis)
    shape = list(y_pred.shape)
    classes = shape.pop(axis)
    if _fits(y_true.shape, shape):
        return
    if _fits(y_true.shape, y_pred.shape):
        way_out = "Targets with a number for each class are for categorical_crossentropy."
    else:
        way_out = "y_true needs the shape of y_pred without its classes."
    raise ValueError(
        f"{who} needs one class number, below {classes}, for each prediction, "
        f"{_shapes(y_true, y_pred)}. {way_out}"
    )
