"""What `compile` is told about losses and metrics, spread over the outputs of a model.

An argument of `compile` or `fit` (losses, weights, metrics, targets, sample weights) may be
one thing for all outputs, a list in their order, or a dict by their names. `Outputs` turns
each of these into a list in the order of the outputs.
"""

import contextlib
import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from keraunos import losses as losses_module, metrics as metrics_module
from keraunos.core import errors, registry
from keraunos.core.naming import snake_case
from keraunos.losses import Loss, LossFunctionWrapper
from keraunos.metrics import Mean, MeanMetricWrapper, Metric


class Outputs:
    """The outputs of a model: their names and their order.

    Args:
        y_pred: What the model returns: a tensor, or nested lists and dicts of them.
        names: What the outputs are called if `y_pred` is no dict.
    """

    def __init__(self, y_pred: Any, names: Sequence[str] | None = None):
        self.leaves, self.treedef = jax.tree.flatten(y_pred)
        self.alone = not isinstance(y_pred, (list, tuple, dict))
        self.names = list(names or ())
        if isinstance(y_pred, Mapping) and len(y_pred) == len(self.leaves):
            self.names = sorted(y_pred)  # the order in which a dict is flattened
        elif len(self.names) != len(self.leaves):
            self.names = [f"output_{i}" for i in range(1, len(self.leaves) + 1)]

    def spread(self, value: Any, argument: str, is_one: Callable[[Any], bool]) -> list:
        """`value` for each output; `is_one` says that it stands for all of them."""
        count = len(self.names)
        if value is None:
            return [None] * count
        if isinstance(value, Mapping) and not is_one(value):
            self._check_names(value, argument)
            return [value.get(name) for name in self.names]
        if is_one(value):
            return [value] * count
        items = list(value) if isinstance(value, (list, tuple)) else jax.tree.leaves(value)
        if len(items) == count:
            return items
        if self.treedef == jax.tree.structure(value):
            return jax.tree.leaves(value)
        raise ValueError(
            f"`{argument}` has {len(items)} entries, but the model has {count} "
            f"output{'s' if count > 1 else ''}: {', '.join(self.names)}. Give one for each, in "
            "that order or as a dict by name."
        )

    def _check_names(self, value: Mapping, argument: str) -> None:
        for key in value:
            if key not in self.names:
                close = difflib.get_close_matches(str(key), self.names, 1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                raise ValueError(
                    f"`{argument}` has the key {key!r}, which is no output of the model. Its "
                    f"outputs are {', '.join(self.names)}.{hint}"
                )

    def targets(self, y: Any, argument: str = "y") -> list:
        """The targets, or sample weights, of each output."""
        if y is None or (self.alone and not isinstance(y, (list, tuple, dict))):
            return [y] * len(self.names)
        if isinstance(y, Mapping):
            self._check_names(y, argument)
            return [y.get(name) for name in self.names]
        return self.spread(y, argument, is_tensor)


def checked_names(kind: str, wanted: Any) -> None:
    """Raise if a string in lists and dicts of losses or metrics names none."""
    if isinstance(wanted, str) and wanted.lower() not in ("crossentropy", "ce", "accuracy", "acc"):
        registry.find(kind, wanted)
    elif isinstance(wanted, (list, tuple)):
        for item in wanted:
            checked_names(kind, item)
    elif isinstance(wanted, Mapping) and not _is_config(wanted):
        checked_names(kind, list(wanted.values()))


def is_tensor(value: Any) -> bool:
    return hasattr(value, "shape")


def is_loss(value: Any) -> bool:
    """Whether `value` names one loss: a string, a config, a function or a `Loss`."""
    return isinstance(value, str) or callable(value) or _is_config(value)


def _is_config(value: Any) -> bool:
    return isinstance(value, Mapping) and "class_name" in value


def _kind(y_true: Any, y_pred: Any) -> str:
    """What targets and predictions of these shapes look like: see `accuracy` in Keras's docs."""
    target, output = tuple(np.shape(y_true)), tuple(y_pred.shape)
    if output and output[-1] == 1:
        return "binary"
    sparse = len(target) < len(output) or (target and target[-1] == 1)
    return "sparse_categorical" if sparse and output and output[-1] != 1 else "categorical"


_CROSSENTROPIES = {
    "binary": "BinaryCrossentropy",
    "sparse_categorical": "SparseCategoricalCrossentropy",
    "categorical": "CategoricalCrossentropy",
}
_ACCURACIES = {
    "binary": "BinaryAccuracy",
    "sparse_categorical": "SparseCategoricalAccuracy",
    "categorical": "CategoricalAccuracy",
}


def _loss_of(identifier: Any, y_true: Any, y_pred: Any) -> Loss | None:
    if identifier is None:
        return None
    if identifier in ("crossentropy", "ce"):
        return registry.find("losses", _CROSSENTROPIES[_kind(y_true, y_pred)])
    found = losses_module.get(identifier)
    if isinstance(found, Loss):
        return found
    name = getattr(found, "__name__", type(found).__name__)
    with contextlib.suppress(ValueError):  # a function of C tells no signature
        try:
            inspect.signature(found).bind(y_true, y_pred)
        except TypeError:
            raise TypeError(
                f"The loss `{name}`{errors.defined_at(found)}, takes the arguments "
                f"{inspect.signature(found)}, but losses are called as `loss(y_true, y_pred)`."
            ) from None
    return LossFunctionWrapper(found, name=name)


class CompiledLoss:
    """The weighted sum of the losses of all outputs.

    Its parts are tracked as metrics, `<output>_loss`, if there are several outputs.
    """

    def __init__(self, loss: Any, loss_weights: Any = None, names: Sequence[str] | None = None):
        self.loss, self.loss_weights, self.names = loss, loss_weights, names
        self.metrics: list[Metric] = []
        self._parts: list[Loss | None] = []
        self.built = False

    def build(self, y: Any, y_pred: Any) -> None:
        """Find the loss of each output, by the shapes of targets and predictions."""
        outputs = Outputs(y_pred, self.names)
        wanted = outputs.spread(self.loss, "loss", is_loss)
        targets = outputs.targets(y)
        self._parts = [
            _loss_of(loss, target, output)
            for loss, target, output in zip(wanted, targets, outputs.leaves)
        ]
        one = lambda value: isinstance(value, (int, float)) or is_tensor(value)
        self._weights = outputs.spread(self.loss_weights, "loss_weights", one)
        if sum(part is not None for part in self._parts) > 1:
            self.metrics = [
                Mean(name=f"{name}_loss")
                for name, part in zip(outputs.names, self._parts)
                if part is not None
            ]
        self.built = True

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if not self.built:
            self.build(y, y_pred)
        outputs = Outputs(y_pred, self.names)
        targets = outputs.targets(y)
        sample_weights = outputs.targets(sample_weight, "sample_weight")
        trackers = iter(self.metrics)
        total: Any = 0.0
        for name, part, weight, target, output, each in zip(
            outputs.names, self._parts, self._weights, targets, outputs.leaves, sample_weights
        ):
            if part is None:
                continue
            if target is None:
                raise ValueError(
                    f"The output {name!r} has the loss {part.name!r}, but `y` has no targets for "
                    "it. Give them, or leave the output out of `loss`."
                )
            with errors.noting(f"In the loss {part.name!r} of the output {name!r}."):
                value = part(target, output, sample_weight=each)
            if self.metrics:
                rows = jax.tree.leaves(output)[0].shape[0]
                next(trackers).update_state(value, sample_weight=rows)
            total = total + (value if weight is None else value * weight)
        return total


def _metric_of(identifier: Any, y_true: Any, y_pred: Any) -> Metric:
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        found, name = registry.find("metrics", _ACCURACIES[_kind(y_true, y_pred)]), identifier
    elif isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        found, name = registry.find("metrics", _CROSSENTROPIES[_kind(y_true, y_pred)]), identifier
    else:
        found = metrics_module.get(identifier)
        if isinstance(found, Metric) and not isinstance(identifier, str):
            return found
        name = identifier if isinstance(identifier, str) else _name_of(found)
    metric = found if isinstance(found, Metric) else MeanMetricWrapper(found, name=_name_of(found))
    metric.name = name
    return metric


def _name_of(fn: Any) -> str:
    return getattr(fn, "name", None) or snake_case(getattr(fn, "__name__", type(fn).__name__))


class CompiledMetrics(Metric):
    """All metrics of all outputs, as one metric whose result is a dict."""

    def __init__(
        self,
        metrics: Any,
        weighted_metrics: Any = None,
        name: str = "compile_metrics",
        names: Sequence[str] | None = None,
    ):
        super().__init__(name=name)
        self._wanted, self._names = (metrics, weighted_metrics), names
        self._rows: list[tuple[str, int, bool, Metric]] = []  # key, output, weighted, metric
        self.built = False

    @property
    def metrics(self) -> list[Metric]:
        return [metric for *_, metric in self._rows]

    @property
    def names(self) -> list[str]:
        """What the metrics are called in logs; before they are built, as they were asked for."""
        if self.built:
            return [key for key, *_ in self._rows]
        asked = [m for part in self._wanted for m in (part if isinstance(part, list) else [])]
        return [m if isinstance(m, str) else _name_of(m) for m in asked if not _several(m)]

    @property
    def variables(self) -> list:
        return [variable for metric in self.metrics for variable in metric.variables]

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Find the metrics of each output, by the shapes of targets and predictions."""
        outputs = Outputs(y_pred, self._names)
        targets = outputs.targets(y_true)
        rows: list[tuple[str, int, bool, Metric]] = []
        for wanted, weighted in zip(self._wanted, (False, True)):
            for i, several in enumerate(self._spread(outputs, wanted, weighted)):
                for identifier in several if isinstance(several, (list, tuple)) else [several]:
                    if identifier is None:
                        continue
                    metric = _metric_of(identifier, targets[i], outputs.leaves[i])
                    prefix = "" if len(outputs.names) == 1 else f"{outputs.names[i]}_"
                    key = prefix + metric.name
                    taken = [row[0] for row in rows]
                    if weighted and key in taken:
                        key = f"{prefix}weighted_{metric.name}"
                    key = _unused(key, taken)
                    rows.append((key, i, weighted, metric))
        self._rows = rows
        self.built = True

    def _spread(self, outputs: Outputs, wanted: Any, weighted: bool) -> list:
        argument = "weighted_metrics" if weighted else "metrics"
        if len(outputs.names) == 1 and isinstance(wanted, (list, tuple)):
            nested = len(wanted) == 1 and isinstance(wanted[0], (list, tuple))
            return list(wanted) if nested else [wanted]
        flat = isinstance(wanted, (list, tuple)) and not any(
            isinstance(item, (list, tuple, dict)) or item is None for item in wanted
        )
        if flat and len(wanted) != len(outputs.names):  # Keras 2: a plain list is for each output
            return [list(wanted)] + [[_again(item) for item in wanted] for _ in outputs.names[1:]]
        one = lambda value: not isinstance(value, (list, tuple)) and is_loss(value)
        return outputs.spread(wanted, argument, one)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if not self.built:
            self.build(y_true, y_pred)
        outputs = Outputs(y_pred, self._names)
        targets = outputs.targets(y_true)
        weights = outputs.targets(sample_weight, "sample_weight")
        for _, i, weighted, metric in self._rows:
            if targets[i] is None:
                continue
            given = weighted and weights[i] is not None
            kwargs = {"sample_weight": weights[i]} if given else {}
            with errors.noting(
                f"In the metric {metric.name!r} of the output {outputs.names[i]!r}."
            ):
                metric.update_state(targets[i], outputs.leaves[i], **kwargs)

    def reset_state(self) -> None:
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, _, _, metric in self._rows:
            value = metric.result()
            if isinstance(value, Mapping):
                found |= value
            else:
                found[key] = value
        return found

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError("The metrics of a model are saved with `get_compile_config`.")


def _several(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict)) or value is None


def _again(identifier: Any) -> Any:
    """Another metric like `identifier`, for another output."""
    return (
        identifier.from_config(identifier.get_config())
        if isinstance(identifier, Metric)
        else identifier
    )


def _unused(key: str, taken: list[str]) -> str:
    number, name = 1, key
    while name in taken:
        name, number = f"{key}_{number}", number + 1
    return name
