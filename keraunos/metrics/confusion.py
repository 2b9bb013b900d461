"""Metrics of yes-or-no predictions, from what they count at one or many thresholds.

Shapes: targets and predictions of one shape, of any rank; what is not 0 in the targets is a yes.
Arguments that these metrics share:

* `thresholds`: A number from 0 to 1, or a list of them; a prediction above it is a yes. The
  result has one value for each, and is a scalar if there is one. 0.5 by default.
* `top_k`: Only the `k` largest predictions of each sample can be a yes.
* `class_id`: Only this entry of the last axis is looked at.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from keraunos.core import config, untrusted
from keraunos.core.fields import (
    Fraction,
    Numbers,
    Positive,
    fields,
    needs,
    numbers,
    option,
    optional,
    owned,
    positive,
)
from keraunos.core.graph import tensor
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.losses.loss import align, same_rank
from keraunos.metrics.metric import Metric, divide_no_nan

_THRESHOLD = 32  # bytes of a number in a list

COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")
NEVER = -1e10  # what predictions become that are not among the `top_k`

OptionalPositive = Annotated[int | None, optional(positive)]


def _thresholds(value, name: str, owner) -> list[float]:
    values = [float(t) for t in np.atleast_1d(numbers(value, name, owner)).astype("float64")]
    if not values or not all(0 <= t <= 1 for t in values):
        raise ValueError(needs(owner, "numbers from 0 to 1", name, value))
    return values


class Counts(Metric):
    """Base class of metrics that count right and wrong answers at `self.thresholds`.

    Class attribute `counted`: which of `COUNTS`, each a variable of that name.
    """

    counted: ClassVar[Sequence[str]] = COUNTS
    thresholds: list[float]
    true_positives: Variable
    false_positives: Variable
    true_negatives: Variable
    false_negatives: Variable

    def _start(self, thresholds: Sequence[float], labels: tuple[int, ...] = ()) -> None:
        """Make the variables: a number for each threshold, and for each label if there are."""
        self.thresholds = list(thresholds)
        for name in self.counted:
            shape = (len(self.thresholds), *labels)
            setattr(self, name, self.add_variable(shape, None, name=name))

    def _add(self, y_true, y_pred, sample_weight, *, class_id=None, top_k=None, **how) -> None:
        y_pred = jnp.asarray(tensor(y_pred), self.dtype)
        y_true = jnp.asarray(tensor(y_true))
        y_true, y_pred = same_rank(y_true, y_pred)
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{self.name} needs a target for each prediction, got y_true of shape "
                f"{y_true.shape} and y_pred of shape {y_pred.shape}."
            )
        weight = jnp.ones((), self.dtype)
        if sample_weight is not None:
            weight = jnp.asarray(tensor(sample_weight), self.dtype)
            weight = align(same_rank(y_pred, weight)[1], y_pred)
        weight = jnp.broadcast_to(weight, y_pred.shape)
        if top_k is not None:
            y_pred = _only_top(y_pred, top_k)
        if class_id is not None:
            y_true, y_pred, weight = (x[..., class_id] for x in (y_true, y_pred, weight))
        counts = count(y_true != 0, y_pred, weight, self.thresholds, **how)
        for name in self.counted:
            getattr(self, name).assign_add(counts[name])

    def _squeezed(self, values: jax.Array) -> jax.Array:
        return values[0] if len(self.thresholds) == 1 else values


def _only_top(y_pred: jax.Array, k: int) -> jax.Array:
    best = jax.lax.top_k(y_pred, k)[1]
    chosen = jnp.sum(jax.nn.one_hot(best, y_pred.shape[-1], dtype=bool), axis=-2) > 0
    return jnp.where(chosen, y_pred, NEVER)


def count(y_true, y_pred, weight, thresholds, labels: bool = False) -> dict[str, jax.Array]:
    """The weights of right and wrong answers at each threshold, by `COUNTS`.

    A prediction is sorted into one bin, which says how many thresholds it is above; sums over
    the bins follow. So the cost does not grow with the number of thresholds.

    Args:
        labels: Whether to count each entry of the last axis by itself.
    """
    width = y_pred.shape[-1] if labels else 1
    bins = len(thresholds) + 1
    order = np.argsort(thresholds, kind="stable")
    ascending = jnp.asarray(np.asarray(thresholds)[order], y_pred.dtype)
    passed = jnp.searchsorted(ascending, y_pred, side="left")
    place = passed.reshape(-1, width) + bins * jnp.arange(width)
    summed = lambda w: jax.ops.segment_sum(w.ravel(), place.ravel(), bins * width)
    back = np.argsort(order)

    def above(w):
        """For each threshold, the sum of the weights of predictions above it; and of all."""
        tails = jnp.cumsum(summed(w).reshape(width, bins)[:, ::-1], axis=1)[:, ::-1].T
        tails = tails if labels else tails[:, 0]
        return tails[1:][back], tails[0]

    positive, all_positive = above(weight * y_true)
    negative, all_negative = above(weight * ~y_true)
    values = (positive, negative, all_negative - negative, all_positive - positive)
    return dict(zip(COUNTS, values))


# One count ----------------------------------------------------------------------------------


@fields
class _OneCount(Counts):
    thresholds: Any = None
    name: str | None = None
    dtype: Any = None

    accumulator: Variable = owned()

    def __post_init__(self):
        self.init_thresholds = self.thresholds
        given = 0.5 if self.thresholds is None else self.thresholds
        self.thresholds = _thresholds(given, "thresholds", self)
        shape = (len(self.thresholds),)
        self.accumulator = self.add_variable(shape, None, name="accumulator")
        setattr(self, self.counted[0], self.accumulator)

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        self._add(y_true, y_pred, sample_weight)

    def result(self):
        return self._squeezed(self.accumulator.value)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"thresholds": self.init_thresholds}


@export("metrics.TruePositives")
class TruePositives(_OneCount):
    """How many yeses were predicted rightly."""

    counted = ("true_positives",)


@export("metrics.FalsePositives")
class FalsePositives(_OneCount):
    """How many yeses were predicted wrongly."""

    counted = ("false_positives",)


@export("metrics.TrueNegatives")
class TrueNegatives(_OneCount):
    """How many noes were predicted rightly."""

    counted = ("true_negatives",)


@export("metrics.FalseNegatives")
class FalseNegatives(_OneCount):
    """How many noes were predicted wrongly."""

    counted = ("false_negatives",)


# Quotients of counts ------------------------------------------------------------------------


@fields
class _Share(Counts):
    thresholds: Any = None
    top_k: OptionalPositive = None
    class_id: int | None = None
    name: str | None = None
    dtype: Any = None

    _direction = "up"

    def __post_init__(self):
        self.init_thresholds = self.thresholds
        default = 0.5 if self.top_k is None else NEVER
        given = self.thresholds
        self._start([default] if given is None else _thresholds(given, "thresholds", self))

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        self._add(y_true, y_pred, sample_weight, class_id=self.class_id, top_k=self.top_k)

    def result(self):
        right, wrong = (getattr(self, name).value for name in self.counted)
        return self._squeezed(divide_no_nan(right, right + wrong))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"thresholds": self.init_thresholds}


@export("metrics.Precision")
class Precision(_Share):
    """How many of the predicted yeses are right."""

    counted = ("true_positives", "false_positives")


@export("metrics.Recall")
class Recall(_Share):
    """How many of the true yeses are predicted."""

    counted = ("true_positives", "false_negatives")


# The best of one quotient, given another ----------------------------------------------------


def _even(count: int, owner: Any) -> list[float]:
    untrusted.take(_THRESHOLD * count, f"`num_thresholds` of {type(owner).__name__}")
    return np.linspace(0, 1, count).tolist()


@fields
class _AtConstraint(Counts):
    num_thresholds: Positive = option(default=200)
    class_id: int | None = option(default=None)
    name: str | None = option(default=None)
    dtype: Any = option(default=None)

    _direction = "up"

    def __post_init__(self):
        n = self.num_thresholds
        self._start([0.5] if n == 1 else _even(n, self))

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        y_pred = jnp.clip(jnp.asarray(tensor(y_pred), self.dtype), 0, 1)
        self._add(y_true, y_pred, sample_weight, class_id=self.class_id)

    def _share(self, right: str, wrong: str) -> jax.Array:
        right, wrong = getattr(self, right).value, getattr(self, wrong).value
        return divide_no_nan(right, right + wrong)

    def _sensitivities(self):
        return self._share("true_positives", "false_negatives")

    def _specificities(self):
        return self._share("true_negatives", "false_positives")

    def _precisions(self):
        return self._share("true_positives", "false_positives")


def _best(values: jax.Array, given: jax.Array, least: float) -> jax.Array:
    return jnp.max(jnp.where(given >= least, values, 0))


@export("metrics.SensitivityAtSpecificity")
@fields
class SensitivityAtSpecificity(_AtConstraint):
    """The best share of yeses found, by a threshold that finds this share of noes."""

    specificity: Fraction

    def result(self):
        return _best(self._sensitivities(), self._specificities(), self.specificity)


@export("metrics.SpecificityAtSensitivity")
@fields
class SpecificityAtSensitivity(_AtConstraint):
    """The best share of noes found, by a threshold that finds this share of yeses."""

    sensitivity: Fraction

    def result(self):
        return _best(self._specificities(), self._sensitivities(), self.sensitivity)


@export("metrics.PrecisionAtRecall")
@fields
class PrecisionAtRecall(_AtConstraint):
    """The best precision, by a threshold with this recall."""

    recall: Fraction

    def result(self):
        return _best(self._precisions(), self._sensitivities(), self.recall)


@export("metrics.RecallAtPrecision")
@fields
class RecallAtPrecision(_AtConstraint):
    """The best recall, by a threshold with this precision."""

    precision: Fraction

    def result(self):
        return _best(self._sensitivities(), self._precisions(), self.precision)


# Areas --------------------------------------------------------------------------------------


def _choice(*choices: str):
    """A converter to one of `choices`, given in any case."""

    def convert(value, name, owner):
        for choice in choices:
            if str(value).lower() == choice.lower():
                return choice
        raise ValueError(needs(owner, f"one of {', '.join(choices)}", name, value))

    return convert


@export("metrics.AUC")
@fields
class AUC(Counts):
    """Area under a curve that a threshold draws, approximated by `num_thresholds` points.

    Args:
        curve: "ROC" (recall over the share of false alarms), "PR" (precision over recall), or
            "PRGAIN" (the same, against always saying yes: Flach and Kull, Precision-Recall-Gain
            Curves, 2015).
        summation_method: "interpolation" between the points, or the rectangles above
            ("majoring") or below ("minoring"). Interpolation of "PR" follows Davis and
            Goadrich, The relationship between Precision-Recall and ROC curves, 2006.
        thresholds: Those between 0 and 1, instead of `num_thresholds` even ones.
        multi_label: Whether the result is the mean of one area for each entry of the last axis.
        num_labels: Their number; found in the first update if it is not given.
        label_weights: Their weights; in the mean if `multi_label`, else of the predictions.
        from_logits: Whether predictions still need a sigmoid.
    """

    num_thresholds: int = 200
    curve: Annotated[str, _choice("ROC", "PR", "PRGAIN")] = "ROC"
    summation_method: Annotated[str, _choice("interpolation", "majoring", "minoring")] = (
        "interpolation"
    )
    name: str | None = None
    dtype: Any = None
    thresholds: Any = None
    multi_label: bool = False
    num_labels: int | None = None
    label_weights: Numbers = None
    from_logits: bool = False

    _direction = "up"

    def __post_init__(self):
        self.init_thresholds = self.thresholds
        if self.thresholds is not None:
            inner = sorted(_thresholds(self.thresholds, "thresholds", self))
        elif self.num_thresholds > 1:
            inner = _even(self.num_thresholds, self)[1:-1]
        else:
            expected = "an integer above 1"
            raise ValueError(needs(self, expected, "num_thresholds", self.num_thresholds))
        if self.num_labels and not self.multi_label:
            raise ValueError(needs(self, "`multi_label=True`", "num_labels", self.num_labels))
        small = config.epsilon()
        self.thresholds = [-small, *inner, 1 + small]
        self.num_thresholds = len(self.thresholds)
        self._built = False
        if not self.multi_label or self.num_labels:
            self._build(self.num_labels)

    def _build(self, labels: int | None) -> None:
        self._start(self.thresholds, (labels,) if self.multi_label else ())  # type: ignore
        self._built = True

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        y_pred = jnp.asarray(tensor(y_pred), self.dtype)
        if not self._built:
            self._build(y_pred.shape[-1])
        y_pred = jax.nn.sigmoid(y_pred) if self.from_logits else jnp.clip(y_pred, 0, 1)
        if self.label_weights is not None and not self.multi_label:
            weight = jnp.asarray(self.label_weights, self.dtype)
            if sample_weight is not None:
                given = jnp.asarray(tensor(sample_weight), self.dtype)
                weight = align(same_rank(y_pred, given)[1], y_pred) * weight
            sample_weight = jnp.broadcast_to(weight, y_pred.shape)
        self._add(y_true, y_pred, sample_weight, labels=self.multi_label)

    def result(self):
        areas = self._areas()
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return jnp.mean(areas)
        weights = jnp.asarray(self.label_weights, self.dtype)
        return divide_no_nan(jnp.sum(areas * weights), jnp.sum(weights))

    def _areas(self) -> jax.Array:
        if not self._built:
            raise ValueError(f"{self.name} has seen no data yet; call `update_state` first.")
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self.interpolate_pr_auc()
        x, y = self._points()
        if self.summation_method == "interpolation":
            heights = (y[:-1] + y[1:]) / 2
        else:
            pick = jnp.minimum if self.summation_method == "minoring" else jnp.maximum
            heights = pick(y[:-1], y[1:])
        return jnp.sum((x[:-1] - x[1:]) * heights, axis=0)

    def _points(self) -> tuple[jax.Array, jax.Array]:
        tp, fp, tn, fn = (getattr(self, name).value for name in COUNTS)
        recall = divide_no_nan(tp, tp + fn)
        if self.curve == "ROC":
            return divide_no_nan(fp, fp + tn), recall
        if self.curve == "PR":
            return recall, divide_no_nan(tp, tp + fp)
        odds = divide_no_nan(tp + fn, fp + tn)
        recall_gain = jnp.maximum(1 - odds * fn / (tp + config.epsilon()), 0)
        return recall_gain, 1 - odds * divide_no_nan(fp, tp)

    def interpolate_pr_auc(self) -> jax.Array:
        """The area of "PR", where between two points the counts grow evenly, not the shares."""
        tp, fp, _, fn = (getattr(self, name).value for name in COUNTS)
        said_yes = tp + fp
        gained, said = tp[:-1] - tp[1:], said_yes[:-1] - said_yes[1:]
        slope = divide_no_nan(gained, jnp.maximum(said, 0))
        intercept = tp[1:] - slope * said_yes[1:]
        both = (said_yes[:-1] > 0) & (said_yes[1:] > 0)
        ratio = jnp.where(both, divide_no_nan(said_yes[:-1], said_yes[1:]), 1)
        area = slope * (gained + intercept * jnp.log(ratio))
        return jnp.sum(divide_no_nan(area, jnp.maximum(tp[1:] + fn[1:], 0)), axis=0)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["thresholds"]
        if self.init_thresholds is not None:
            config["thresholds"] = self.thresholds[1:-1]
        return config
