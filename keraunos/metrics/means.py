"""Metrics that are means of a function: accuracies, errors, hinges, crossentropies."""

from typing import Any

import jax.numpy as jnp

from keraunos import losses
from keraunos.core import config
from keraunos.core.fields import fields
from keraunos.core.graph import Tensor, op, tensor
from keraunos.core.registry import export
from keraunos.losses.loss import same_rank
from keraunos.losses.regression import pair
from keraunos.metrics.metric import Mean, MeanMetricWrapper, mean_of

# Accuracies ---------------------------------------------------------------------------------


@op
def accuracy(y_true: Tensor, y_pred: Tensor):
    """1 where the two are equal, else 0, element by element."""
    y_true, y_pred = same_rank(*pair(y_true, y_pred))
    return (y_true == y_pred).astype(config.floatx())


@op
def binary_accuracy(y_true: Tensor, y_pred: Tensor, threshold: float = 0.5):
    """1 where a prediction is on the side of `threshold` that its target names, else 0.

    Targets are 0 and 1. Element by element.
    """
    y_true, y_pred = same_rank(*pair(y_true, y_pred))
    return (y_true == (y_pred > threshold)).astype(config.floatx())


@op
def categorical_accuracy(y_true: Tensor, y_pred: Tensor):
    """1 where the class predicted most likely is that of the targets, else 0.

    Shapes: twice `(..., classes)` to `(...)`.
    """
    return sparse_categorical_accuracy(jnp.argmax(jnp.asarray(y_true), axis=-1), y_pred)


@op
def sparse_categorical_accuracy(y_true: Tensor, y_pred: Tensor):
    """1 where the class predicted most likely has the number `y_true`, else 0.

    Shapes: `(...)` or `(..., 1)`, and `(..., classes)`, to `(...)`.
    """
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    best = jnp.argmax(y_pred, axis=-1)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    return (y_true == best).astype(config.floatx())


@op
def top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5):
    """1 where the class of the targets is among the `k` likeliest, else 0.

    Shapes: twice `(..., classes)` to `(...)`.
    """
    return sparse_top_k_categorical_accuracy(jnp.argmax(jnp.asarray(y_true), axis=-1), y_pred, k)


@op
def sparse_top_k_categorical_accuracy(
    y_true: Tensor, y_pred: Tensor, k: int = 5, from_sorted_ids: bool = False
):
    """1 where the class number `y_true` is among the `k` likeliest, else 0.

    With `from_sorted_ids`, `y_pred` are class numbers, the likeliest first.
    Equal predictions are all as likely as the likeliest of them.
    Shapes: `(...)` and `(..., classes)` to `(...)`, or `(..., 1)` to `(..., 1)`.
    """
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    shape = y_true.shape
    if y_true.ndim < y_pred.ndim:
        y_true = y_true[..., None]
    y_true = y_true.astype("int32")
    if from_sorted_ids:
        found = jnp.any(y_pred[..., :k].astype("int32") == y_true, axis=-1)
    else:
        score = jnp.take_along_axis(y_pred, y_true, axis=-1, mode="fill", fill_value=jnp.nan)
        better = jnp.sum(y_pred > score, axis=-1)
        found = (better < k) & jnp.isfinite(score[..., 0])
    return found.astype(config.floatx()).reshape(shape)


@export("metrics.Accuracy", "accuracy")
@mean_of(accuracy, direction="up")
class Accuracy(MeanMetricWrapper):
    """How often predictions equal targets."""


@export("metrics.BinaryAccuracy", "binary_accuracy")
@mean_of(binary_accuracy, direction="up")
class BinaryAccuracy(MeanMetricWrapper):
    """How often predictions are on the side of `threshold` that their targets are on."""

    threshold: float = 0.5


@export("metrics.CategoricalAccuracy", "categorical_accuracy")
@mean_of(categorical_accuracy, direction="up")
class CategoricalAccuracy(MeanMetricWrapper):
    """How often the class predicted most likely is the true one, with one-hot targets."""


@export("metrics.SparseCategoricalAccuracy", "sparse_categorical_accuracy")
@mean_of(sparse_categorical_accuracy, direction="up")
class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the class predicted most likely is the true one, with class numbers."""


@export("metrics.TopKCategoricalAccuracy", "top_k_categorical_accuracy")
@mean_of(top_k_categorical_accuracy, direction="up")
class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the true class is among the `k` likeliest, with one-hot targets."""

    k: int = 5
    name: str | None = None
    dtype: Any = None


@export("metrics.SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy")
@mean_of(sparse_top_k_categorical_accuracy, direction="up")
class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the true class is among the `k` likeliest, with class numbers."""

    k: int = 5
    name: str | None = None
    dtype: Any = None
    from_sorted_ids: bool = False


# Errors -------------------------------------------------------------------------------------


@op
def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1):
    """Cosine of the angle between the vectors along `axis`: 1 is best."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


@export("metrics.MeanSquaredError", "mse", "MSE")
@mean_of(losses.mean_squared_error, direction="down")
class MeanSquaredError(MeanMetricWrapper):
    """Mean of the squared differences."""


@export("metrics.RootMeanSquaredError", "rmse", "RMSE")
@fields
class RootMeanSquaredError(Mean):
    """Square root of the mean of the squared differences."""

    name: str | None = "root_mean_squared_error"
    dtype: Any = None
    _direction = "down"

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        y_true, y_pred = (jnp.asarray(tensor(y), self.dtype) for y in (y_true, y_pred))
        y_true, y_pred = same_rank(y_true, y_pred)
        super().update_state(jnp.square(y_true - y_pred), sample_weight)

    def result(self):
        return jnp.sqrt(super().result())


@export("metrics.MeanAbsoluteError", "mae", "MAE")
@mean_of(losses.mean_absolute_error, direction="down")
class MeanAbsoluteError(MeanMetricWrapper):
    """Mean of the absolute differences."""


@export("metrics.MeanAbsolutePercentageError", "mape", "MAPE")
@mean_of(losses.mean_absolute_percentage_error, direction="down")
class MeanAbsolutePercentageError(MeanMetricWrapper):
    """Mean of the absolute differences, as percentages of the targets."""


@export("metrics.MeanSquaredLogarithmicError", "msle", "MSLE")
@mean_of(losses.mean_squared_logarithmic_error, direction="down")
class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """Mean of the squared differences of `log(1 + y)`."""


@export("metrics.LogCoshError", "logcosh", "log_cosh")
@mean_of(losses.log_cosh, name="logcosh", direction="down")
class LogCoshError(MeanMetricWrapper):
    """Mean of `log(cosh(x))` of the differences."""


@export("metrics.CosineSimilarity", "cosine_proximity")
@mean_of(cosine_similarity, direction="up")
class CosineSimilarity(MeanMetricWrapper):
    """Mean cosine of the angle between targets and predictions."""

    axis: int = -1


# Hinges -------------------------------------------------------------------------------------


@export("metrics.Hinge")
@mean_of(losses.hinge, direction="down")
class Hinge(MeanMetricWrapper):
    """Mean of what `y_true * y_pred` lacks to 1."""


@export("metrics.SquaredHinge")
@mean_of(losses.squared_hinge, direction="down")
class SquaredHinge(MeanMetricWrapper):
    """Mean of the squares of what `y_true * y_pred` lacks to 1."""


@export("metrics.CategoricalHinge")
@mean_of(losses.categorical_hinge, direction="down")
class CategoricalHinge(MeanMetricWrapper):
    """Mean of what the score of the true class lacks to be 1 above the best other score."""


# Crossentropies -----------------------------------------------------------------------------


@export("metrics.BinaryCrossentropy", "bce", "BCE")
@mean_of(losses.binary_crossentropy, direction="down")
class BinaryCrossentropy(MeanMetricWrapper):
    """Mean crossentropy of yes-or-no predictions."""

    from_logits: bool = False
    label_smoothing: float = 0


@export("metrics.CategoricalCrossentropy")
@mean_of(losses.categorical_crossentropy, direction="down")
class CategoricalCrossentropy(MeanMetricWrapper):
    """Mean crossentropy of distributions over classes, with distributions as targets."""

    from_logits: bool = False
    label_smoothing: float = 0
    axis: int = -1


@export("metrics.SparseCategoricalCrossentropy")
@mean_of(losses.sparse_categorical_crossentropy, direction="down")
class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Mean crossentropy of distributions over classes, with class numbers as targets.

    Targets equal to `ignore_class` cost nothing, but count, unless there are sample weights.
    """

    from_logits: bool = False
    ignore_class: int | None = None
    axis: int = -1


@export("metrics.KLDivergence", "kld", "KLD", "kullback_leibler_divergence")
@mean_of(losses.kl_divergence, direction="down")
class KLDivergence(MeanMetricWrapper):
    """Mean Kullback-Leibler divergence of predictions from targets."""


@export("metrics.Poisson")
@mean_of(losses.poisson, direction="down")
class Poisson(MeanMetricWrapper):
    """Mean of what counts cost under Poisson distributions whose means are predicted."""
