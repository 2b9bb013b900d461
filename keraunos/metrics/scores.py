"""Scores of whole data sets: F-scores, R2, correlations."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from keraunos.core.fields import Axes, fields, needs, owned
from keraunos.core.graph import Tensor, op, tensor
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.losses.loss import align, same_rank
from keraunos.losses.regression import pair
from keraunos.metrics.metric import MeanMetricWrapper, Metric, divide_no_nan, mean_of


def _one_of(*choices: str | None):
    """A converter that accepts exactly `choices`."""

    def convert(value, name, owner):
        if value not in choices:
            expected = f"one of {', '.join(map(repr, choices))}"
            raise ValueError(needs(owner, expected, name, value))
        return value

    return convert


def _above_zero(value, name, owner):
    if isinstance(value, (bool, str)) or not value > 0:
        raise ValueError(needs(owner, "a number above 0", name, value))
    return float(value)


def _share(value, name, owner):
    if value is not None and (isinstance(value, (bool, str)) or not 0 < value <= 1):
        raise ValueError(needs(owner, "a number above 0, at most 1, or None", name, value))
    return value


def _count(value, name, owner):
    if not isinstance(value, int) or value < 0:
        raise ValueError(needs(owner, "an integer from 0 on", name, value))
    return value


class _Columns(Metric):
    """Base class of metrics of each column of `(batch, columns)`, built by the first update."""

    _direction = "up"
    _built = False

    def _build(self, columns: int) -> None:
        raise NotImplementedError

    def _read(self, y_true, y_pred, sample_weight) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Targets, predictions and weights of one shape; variables are made if there are none."""
        y_true = jnp.asarray(tensor(y_true), self.dtype)
        y_pred = jnp.asarray(tensor(y_pred), self.dtype)
        if y_true.ndim != 2 or y_true.shape != y_pred.shape:
            raise ValueError(
                f"{self.name} needs targets and predictions of shape (batch, columns), got y_true "
                f"of shape {y_true.shape} and y_pred of shape {y_pred.shape}."
            )
        if not self._built:
            self._build(y_pred.shape[1])
            self._built = True
        weight = jnp.ones((), self.dtype)
        if sample_weight is not None:
            weight = align(jnp.asarray(tensor(sample_weight), self.dtype), y_true)
        return y_true, y_pred, jnp.broadcast_to(weight, y_true.shape)

    def _seen(self) -> None:
        if not self._built:
            raise ValueError(f"{self.name} has seen no data yet; call `update_state` first.")


@export("metrics.FBetaScore", "fbeta_score")
@fields
class FBetaScore(_Columns):
    """Harmonic mean of precision and recall, recall being worth `beta` times as much.

    Shapes: targets, 0 and 1, and predictions are `(batch, classes)`.

    Args:
        average: None for a score of each class; "macro" for their mean, "weighted" by how often
            each is true; "micro" for the score of all answers together.
        threshold: Predictions above it are a yes; if None, the largest of a row is.
    """

    average: Annotated[str | None, _one_of(None, "micro", "macro", "weighted")] = None
    beta: Annotated[float, _above_zero] = 1.0
    threshold: Annotated[float | None, _share] = None
    name: str | None = "fbeta_score"
    dtype: Any = None

    true_positives: Variable = owned()
    false_positives: Variable = owned()
    false_negatives: Variable = owned()
    intermediate_weights: Variable = owned()

    def _build(self, columns: int) -> None:
        shape = () if self.average == "micro" else (columns,)
        for name in ("true_positives", "false_positives", "false_negatives"):
            setattr(self, name, self.add_variable(shape, None, name=name))
        self.intermediate_weights = self.add_variable(shape, None, name="intermediate_weights")

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        y_true, y_pred, weight = self._read(y_true, y_pred, sample_weight)
        if self.threshold is None:
            largest = jnp.max(y_pred, axis=-1, keepdims=True)
            y_pred = (y_pred >= largest) & (jnp.abs(y_pred) > 1e-9)
        else:
            y_pred = y_pred > self.threshold
        y_pred = y_pred.astype(self.dtype)
        axis = None if self.average == "micro" else 0
        summed = lambda values: jnp.sum(values * weight, axis=axis)
        self.true_positives.assign_add(summed(y_pred * y_true))
        self.false_positives.assign_add(summed(y_pred * (1 - y_true)))
        self.false_negatives.assign_add(summed((1 - y_pred) * y_true))
        self.intermediate_weights.assign_add(summed(y_true))

    def result(self):
        self._seen()
        right = self.true_positives.value
        precision = divide_no_nan(right, right + self.false_positives.value)
        recall = divide_no_nan(right, right + self.false_negatives.value)
        square = self.beta**2
        scores = divide_no_nan((1 + square) * precision * recall, square * precision + recall)
        if self.average == "weighted":
            weights = self.intermediate_weights.value
            return jnp.sum(scores * divide_no_nan(weights, jnp.sum(weights)))
        return scores if self.average is None else jnp.mean(scores)


@export("metrics.F1Score")
class F1Score(FBetaScore):
    """Harmonic mean of precision and recall; see `FBetaScore`, of which this has `beta` 1."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ):
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "beta"}


@export("metrics.R2Score")
@fields
class R2Score(_Columns):
    """Share of the variance of the targets that predictions explain; 1 is best.

    Shapes: targets and predictions are `(batch, columns)`.

    Args:
        class_aggregation: None for a score of each column; "uniform_average" for their mean,
            "variance_weighted_average" weighted by the variances of the targets.
        num_regressors: Number of inputs of the model, for which the score is adjusted if it is
            not 0 and there are more samples.
    """

    class_aggregation: Annotated[
        str | None, _one_of(None, "uniform_average", "variance_weighted_average")
    ] = "uniform_average"
    num_regressors: Annotated[int, _count] = 0
    name: str | None = "r2_score"
    dtype: Any = None

    num_samples: Variable = owned()
    squared_sum: Variable = owned()
    sum: Variable = owned()
    total_mse: Variable = owned()
    count: Variable = owned()

    def __post_init__(self):
        self.num_samples = self.add_variable((), None, name="num_samples")

    def _build(self, columns: int) -> None:
        self.squared_sum = self.add_variable((columns,), None, name="squared_sum")
        self.sum = self.add_variable((columns,), None, name="sum")
        self.total_mse = self.add_variable((columns,), None, name="residual")
        self.count = self.add_variable((columns,), None, name="count")

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        y_true, y_pred, weight = self._read(y_true, y_pred, sample_weight)
        summed = lambda values: jnp.sum(values * weight, axis=0)
        self.sum.assign_add(summed(y_true))
        self.squared_sum.assign_add(summed(jnp.square(y_true)))
        self.total_mse.assign_add(summed(jnp.square(y_true - y_pred)))
        self.count.assign_add(jnp.sum(weight, axis=0))
        self.num_samples.assign_add(y_true.size)

    def result(self):
        self._seen()
        total = self.squared_sum.value - self.sum.value**2 / self.count.value
        raw = 1 - self.total_mse.value / total
        raw = jnp.where(jnp.isinf(raw), 0, raw)
        if self.class_aggregation == "uniform_average":
            raw = jnp.mean(raw)
        elif self.class_aggregation == "variance_weighted_average":
            raw = jnp.sum(total * raw) / jnp.sum(total)
        if not self.num_regressors:
            return raw
        samples, free = self.num_samples.value, self.num_samples.value - self.num_regressors - 1
        adjusted = 1 - (1 - raw) * (samples - 1) / jnp.where(free > 0, free, 1)
        return jnp.where(free > 0, adjusted, raw)


# Correlations -------------------------------------------------------------------------------


@op
def pearson_correlation(y_true: Tensor, y_pred: Tensor, axis: Any = -1):
    """Pearson's correlation of the values along `axis`, from -1 to 1.

    Shapes: twice `(..., n)` to `(...)`. Not a number where one of the two is constant.
    """
    y_true, y_pred = (_centred(y, axis) for y in same_rank(*pair(y_true, y_pred)))
    product = jnp.sum(y_true * y_pred, axis=axis)
    squares = jnp.sum(jnp.square(y_true), axis=axis) * jnp.sum(jnp.square(y_pred), axis=axis)
    return product / jnp.sqrt(squares)


@op
def concordance_correlation(y_true: Tensor, y_pred: Tensor, axis: Any = -1):
    """Correlation along `axis` that also wants means and variances to agree, from -1 to 1.

    Shapes: twice `(..., n)` to `(...)`. Lin, A Concordance Correlation Coefficient to Evaluate
    Reproducibility, 1989.
    """
    y_true, y_pred = same_rank(*pair(y_true, y_pred))
    apart = jnp.mean(y_true, axis=axis) - jnp.mean(y_pred, axis=axis)
    y_true, y_pred = _centred(y_true, axis), _centred(y_pred, axis)
    variances = jnp.mean(jnp.square(y_true) + jnp.square(y_pred), axis=axis)
    together = 2 * jnp.mean(y_true * y_pred, axis=axis)
    return together / (variances + jnp.square(apart))


def _centred(y: jax.Array, axis) -> jax.Array:
    return y - jnp.mean(y, axis=axis, keepdims=True)


@export("metrics.PearsonCorrelation", "pearson_correlation")
@mean_of(pearson_correlation, direction="up")
class PearsonCorrelation(MeanMetricWrapper):
    """Mean of Pearson's correlations along `axis`."""

    axis: Axes = -1


@export("metrics.ConcordanceCorrelation", "concordance_correlation")
@mean_of(concordance_correlation, direction="up")
class ConcordanceCorrelation(MeanMetricWrapper):
    """Mean of the concordance correlations along `axis`."""

    axis: Axes = -1
