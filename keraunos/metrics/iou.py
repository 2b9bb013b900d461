"""Intersection over union: how well predicted regions cover the true ones.

For each class, the number of places where targets and predictions both name it, over those
where either does. Shapes: any; the classes of one-hot targets or of probabilities are on `axis`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from keraunos.core import config
from keraunos.core.fields import Listed, Positive, checked, fields, owned
from keraunos.core.graph import tensor
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.losses.loss import align, same_rank
from keraunos.metrics.metric import Metric, divide_no_nan


def confusion_matrix(y_true, y_pred, classes: int, weight, dtype: str) -> jax.Array:
    """Counts of pairs of classes, `(true, predicted)`; other numbers are not counted."""
    known = (y_true >= 0) & (y_true < classes) & (y_pred >= 0) & (y_pred < classes)
    place = jnp.where(known, y_true * classes + y_pred, classes**2)
    counts = jax.ops.segment_sum(weight.astype(dtype), place, classes**2 + 1)
    return counts[:-1].reshape(classes, classes)


@export("metrics.IoU")
@fields
class IoU(Metric):
    """Mean intersection over union of the classes `target_class_ids`.

    Args:
        dtype: Of the counts, "int32" by default; weights that are not whole need a float.
        ignore_class: A class number in the targets that is not counted.
        sparse_y_true, sparse_y_pred: Whether these are class numbers; one-hot if not.
    """

    num_classes: Positive
    target_class_ids: Listed
    name: str | None = None
    dtype: Any = None
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1

    total_cm: Variable = owned()
    _direction = "up"
    _default_dtype = "int32"
    _fixed: ClassVar[Sequence[str]] = ()  # arguments of this class that a subclass does not take

    def __post_init__(self):
        self.target_class_ids = list(self.target_class_ids)
        for number in self.target_class_ids:
            if not 0 <= number < self.num_classes:
                raise ValueError(
                    f"{type(self).__name__} has {self.num_classes} classes, so "
                    f"`target_class_ids` go from 0 to {self.num_classes - 1}, got {number}."
                )
        shape = (self.num_classes, self.num_classes)
        self.total_cm = self.add_variable(shape, None, name="total_confusion_matrix")

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        y_true, y_pred = jnp.asarray(tensor(y_true)), jnp.asarray(tensor(y_pred))
        if not self.sparse_y_true:
            y_true = jnp.argmax(y_true, axis=self.axis)
        if not self.sparse_y_pred:
            y_pred = jnp.argmax(y_pred, axis=self.axis)
        self._add(y_true.astype("int32"), y_pred.astype("int32"), sample_weight)

    def _add(self, y_true, y_pred, sample_weight) -> None:
        weight = jnp.ones((), self.dtype)
        if sample_weight is not None:
            weight = jnp.asarray(tensor(sample_weight), self.dtype)
            weight = align(same_rank(y_true, weight)[1], y_true)
        weight = jnp.broadcast_to(weight, y_true.shape)
        if self.ignore_class is not None:
            weight = jnp.where(y_true == self.ignore_class, 0, weight)
        flat = (y_true.ravel(), y_pred.ravel(), self.num_classes, weight.ravel(), self.dtype)
        self.total_cm.assign_add(confusion_matrix(*flat))

    def result(self):
        counts = self.total_cm.value.astype("float32")
        both = jnp.diagonal(counts)
        either = jnp.sum(counts, axis=0) + jnp.sum(counts, axis=1) - both
        chosen = jnp.asarray(self.target_class_ids, "int32")
        seen = jnp.sum(either[chosen] > 0)
        return divide_no_nan(jnp.sum(divide_no_nan(both, either)[chosen]), seen)

    def get_config(self) -> dict[str, Any]:
        return {k: v for k, v in super().get_config().items() if k not in self._fixed}


@export("metrics.BinaryIoU")
class BinaryIoU(IoU):
    """Mean intersection over union of yes (1) and no (0), or one of them.

    Predictions from `threshold` on are a yes; those of None are class numbers already.
    """

    _fixed = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")

    @checked
    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float | None = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        y_pred = jnp.asarray(tensor(y_pred), config.floatx())
        decided = y_pred if self.threshold is None else y_pred >= self.threshold
        super().update_state(y_true, decided, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"threshold": self.threshold}


@export("metrics.MeanIoU")
class MeanIoU(IoU):
    """Mean intersection over union of all classes that occur."""

    _fixed = ("target_class_ids",)

    @checked
    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        rest = (name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)
        super().__init__(num_classes, range(num_classes), *rest)


@export("metrics.OneHotIoU")
class OneHotIoU(IoU):
    """Mean intersection over union of some classes, with one-hot targets."""

    _fixed = ("sparse_y_true",)

    @checked
    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        rest = (name, dtype, ignore_class, False, sparse_y_pred, axis)
        super().__init__(num_classes, target_class_ids, *rest)


@export("metrics.OneHotMeanIoU")
class OneHotMeanIoU(MeanIoU):
    """Mean intersection over union of all classes that occur, with one-hot targets."""

    _fixed = ("target_class_ids", "sparse_y_true")

    @checked
    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
