"""What a metric is: variables that `update_state` adds to and `result` reads."""

import typing
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

import keraunos.initializers  # noqa: F401  so that their names are known
from keraunos.core import config, dtypes, errors, masks, naming, registry
from keraunos.core.facts import Fact
from keraunos.core.fields import Configurable, checked, fields, option, owned
from keraunos.core.graph import tensor
from keraunos.core.registry import export
from keraunos.core.state import Stateful, Variable, pure
from keraunos.losses.loss import (
    align,
    as_target,
    calling,
    numbers_to_arrays,
    same_rank,
    serialize_function,
)


def get(identifier: Any) -> Any:
    """The metric that a name, a class, a config, a function or an instance stands for."""
    return registry.find("metrics", identifier)


def serialize(metric: Any) -> Any:
    """What a saved file holds for a metric, or for a function that is used as one."""
    return serialize_function(metric) if callable_only(metric) else registry.serialize(metric)


def callable_only(thing: Any) -> bool:
    """Whether `thing` is a plain function."""
    return callable(thing) and not isinstance(thing, (Metric, type)) and hasattr(thing, "__name__")


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The metric that `serialize` described, or that has this name."""
    return registry.deserialize(config, custom_objects, kind="metrics")


@export("metrics.Metric")
@export("Metric")
class Metric(Stateful, Configurable):
    """Base class: make variables with `add_variable`, define `update_state` and `result`.

    Args:
        dtype: Of the variables and the computation; `floatx()` by default.
        name: For logs and for the paths of the variables.
    """

    dtype = Fact[str]()
    _is_metric: ClassVar[bool] = True
    _within_layers: ClassVar[bool] = False
    _direction: str | None = None  # "up" if more is better, "down" if less is
    _default_dtype: ClassVar[str | None] = None  # `floatx()`

    @checked
    def __init__(self, dtype: Any = None, name: str | None = None):
        self._made: list[Variable] = []
        self.name = name or naming.auto_name(type(self).__name__)
        self.dtype = dtypes.get(dtype or self._default_dtype or config.floatx()).compute_dtype

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any,
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """A variable of this metric, not trained, saved and reset with it."""
        if not hasattr(self, "_made"):
            raise RuntimeError(
                f"{type(self).__name__}.__init__ must call `super().__init__()` before it makes "
                "variables."
            )
        with naming.name_scope(self.name.replace("/", ">")):
            variable = Variable(
                registry.find("initializers", "zeros" if initializer is None else initializer),
                tuple(shape),
                dtype or self.dtype,
                trainable=False,
                aggregation=aggregation,
                name=name,
            )
        self._made.append(variable)
        return variable

    def add_weight(
        self, shape: Sequence[int] = (), initializer: Any = None, dtype: Any = None, name=None
    ) -> Variable:
        """`add_variable`, by its older name; a scalar that starts at 0 by default."""
        return self.add_variable(shape, initializer, dtype=dtype, name=name)

    def update_state(self, *args, **kwargs) -> None:
        """Add what is known of a batch, usually `(y_true, y_pred, sample_weight=None)`."""
        raise NotImplementedError(f"{type(self).__name__} must define `update_state`.")

    def result(self) -> Any:
        """The value for all that was added since the last reset: a scalar, or a dict of them."""
        raise NotImplementedError(f"{type(self).__name__} must define `result`.")

    def reset_state(self) -> None:
        """Forget all that was added: every variable becomes 0."""
        for variable in self.variables:
            variable.assign(jnp.zeros(variable.shape, variable.dtype))

    @errors.door
    def __call__(self, *args, **kwargs) -> Any:
        self.update_state(*args, **kwargs)
        return self.result()

    def stateless_update_state(self, metric_variables: Sequence, *args, **kwargs) -> list:
        """New values of the variables, as `update_state` would assign them to these."""
        _, (values,) = self._pure(self.update_state)([metric_variables], *args, **kwargs)
        return values

    def stateless_result(self, metric_variables: Sequence) -> Any:
        """`result`, were the variables these."""
        return self._pure(self.result)([metric_variables])[0]

    def stateless_reset_state(self) -> list:
        """The values of the variables after a reset."""
        _, (values,) = self._pure(self.reset_state)([[v.value for v in self.variables]])
        return values

    def _pure(self, method: Callable) -> Callable:
        run, variables = pure(method, self.variables), self.variables

        def call(values, *args, **kwargs):
            if len(values[0]) != len(variables):
                raise ValueError(
                    f"{self.name} has {len(variables)} variables, got {len(values[0])} values in "
                    f"`metric_variables`. Give one for each of {[v.path for v in variables]}."
                )
            return run(values, *args, **kwargs)

        return call

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"name": self.name, "dtype": self.dtype} | Configurable.get_config(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


@export("metrics.Sum")
@fields
class Sum(Metric):
    """Weighted sum of all the values since the last reset."""

    name: str | None = "sum"
    dtype: Any = None

    total: Variable = owned()

    def __post_init__(self):
        self.total = self.add_variable((), None, name="total")

    def update_state(self, values, sample_weight=None) -> None:
        values, weight = weighable(values, sample_weight, self.dtype)
        self.total.assign_add(jnp.sum(values if weight is None else values * weight))

    def result(self):
        return self.total.value


@export("metrics.Mean")
@fields
class Mean(Metric):
    """Weighted mean of all the values since the last reset.

    Values of more than one axis are averaged for each sample first. A scalar weight is that
    of the whole batch.
    """

    name: str | None = "mean"
    dtype: Any = None

    total: Variable = owned()
    count: Variable = owned()

    def __post_init__(self):
        self.total = self.add_variable((), None, name="total")
        self.count = self.add_variable((), None, name="count")

    def update_state(self, values, sample_weight=None) -> None:
        if sample_weight is not None and (mask := masks.get_mask(values)) is not None:
            sample_weight = masked(sample_weight, mask, self.dtype)
        values, weight = weighable(values, sample_weight, self.dtype)
        if weight is not None and weight.ndim == 0:
            self.total.assign_add(jnp.mean(values) * weight)
            self.count.assign_add(weight)
            return
        weight = jnp.broadcast_to(1 if weight is None else weight, values.shape)
        self.total.assign_add(jnp.sum(_per_sample(values * weight)))
        self.count.assign_add(jnp.sum(_per_sample(weight.astype(self.dtype))))

    def result(self):
        return divide_no_nan(self.total.value, self.count.value)


@export("metrics.MeanMetricWrapper")
@fields
class MeanMetricWrapper(Mean):
    """Weighted mean of `fn(y_true, y_pred, **kwargs)`; steps that are masked do not count."""

    name: str | None = option(default=None)
    dtype: Any = option(default=None)

    @checked
    def __init__(self, fn: Callable, name: str | None = None, dtype: Any = None, **kwargs: Any):
        super().__init__(name=name, dtype=dtype)
        self.fn, self._fn_kwargs = fn, kwargs
        self._direction = getattr(fn, "_direction", self._direction)

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        mask = masks.get_mask(y_pred)
        y_true, y_pred = numbers_to_arrays(y_true), numbers_to_arrays(y_pred)
        y_true = jax.tree.map(lambda leaf: as_target(leaf, self.dtype), y_true)
        y_pred = jax.tree.map(lambda leaf: jnp.asarray(tensor(leaf), self.dtype), y_pred)
        values = self.fn(y_true, y_pred, **self._fn_kwargs)
        if mask is not None:
            sample_weight = masked(sample_weight, mask, self.dtype)
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        given = {key: registry.serialize(value) for key, value in self._fn_kwargs.items()}
        own = {} if "fn" in vars(type(self)) else {"fn": serialize_function(self.fn)}
        return {"name": self.name, "dtype": self.dtype} | own | given


@typing.dataclass_transform(field_specifiers=(option,))
def mean_of(fn: Callable, name: str | None = None, direction: str | None = None):
    """Make a `MeanMetricWrapper` the mean of `fn`.

    Annotated names of the class are arguments of `fn`; they follow `name` and `dtype`,
    unless these are given another place.
    """
    shared = {"name": name or fn.__name__, "dtype": None}
    first = lambda own: {key: shared[key] for key in shared if key not in own} | own
    decorate = calling(fn, shared, Mean.__init__, first)

    def decorated(cls: type) -> type:
        cls._direction = direction  # type: ignore[attr-defined]
        return decorate(cls)

    return decorated


# Pieces of the above ------------------------------------------------------------------------


def weighable(values, weight, dtype) -> tuple[jax.Array, jax.Array | None]:
    """Values and weights as `dtype`, with axes so that they can be multiplied."""
    values = jnp.asarray(tensor(values), dtype)
    if weight is None:
        return values, None
    values, weight = same_rank(values, jnp.asarray(tensor(weight), dtype))
    return values, align(weight, values)


def masked(weight, mask, dtype) -> jax.Array:
    """Weights that are 0 where `mask` is False."""
    mask = jnp.asarray(mask, dtype)
    if weight is None:
        return mask
    mask, weight = same_rank(mask, jnp.asarray(tensor(weight), dtype))
    return align(weight, mask) * align(mask, weight)


def _per_sample(values: jax.Array) -> jax.Array:
    return jnp.mean(values, axis=tuple(range(1, values.ndim))) if values.ndim > 1 else values


def divide_no_nan(a, b):
    """`a / b`, and 0 where `b` is 0."""
    return jnp.where(b == 0, 0, a / jnp.where(b == 0, 1, b))
