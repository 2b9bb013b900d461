"""What a loss is: a number for each sample, weighted, masked and reduced to one.

Arguments that all losses share:

* `reduction`: "sum_over_batch_size" or "mean" divides the sum by the number of values;
  "mean_with_sample_weight" divides it by the sum of the weights; "sum" does not divide;
  "none" or None returns the values themselves.
* `name`: For logs; that of the function by default.
* `dtype`: Of the computation; `floatx()` by default.
"""

import functools
import inspect
import numbers
import typing
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from keraunos.core import config, dtypes, errors, masks, naming, registry
from keraunos.core.facts import Fact
from keraunos.core.fields import (
    Configurable,
    Field,
    checked,
    converters,
    declare,
    fields,
    option,
)
from keraunos.core.graph import known, tensor
from keraunos.core.registry import export

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


def get(identifier: Any) -> Any:
    """The loss that a name, a class, a config, a function or an instance stands for.

    A name in snake_case gives the function, that of a class an instance.
    """
    return registry.find("losses", identifier)


def serialize(loss: Any) -> Any:
    """What a saved file holds for a loss, or for a function that is used as one."""
    return serialize_function(loss) if inspect.isfunction(loss) else registry.serialize(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The loss that `serialize` described, or that has this name."""
    return registry.deserialize(name, custom_objects, kind="losses")


def serialize_function(fn: Callable) -> Any:
    """A named function, in the form that Keras writes into its files."""
    if fn.__name__ == "<lambda>":
        return registry.serialize(fn)
    name = registry.get_registered_name(fn)
    registered = name if name != fn.__name__ else "function"
    described = {"module": "builtins", "class_name": "function", "config": name}
    return described | {"registered_name": registered}


@export("losses.Loss")
@export("Loss")
class Loss(Configurable):
    """Base class: define `call(y_true, y_pred)`, which returns a number for each sample."""

    dtype = Fact[str]()

    @checked
    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ):
        self.name = name or naming.auto_name(type(self).__name__)
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__} needs one of {', '.join(map(repr, REDUCTIONS))} for "
                f"`reduction`, got {reduction!r}."
            )
        self.reduction = reduction
        self.dtype = dtypes.get(dtype or config.floatx()).compute_dtype

    def call(self, y_true, y_pred):
        """A number for each sample; `y_true` and `y_pred` may be nested structures."""
        raise NotImplementedError(f"{type(self).__name__} must define `call(y_true, y_pred)`.")

    @errors.door
    def __call__(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = numbers_to_arrays(y_true), numbers_to_arrays(y_pred)
        found: list[Any] = [masks.get_mask(leaf) for leaf in jax.tree.leaves(y_pred)]
        y_true = jax.tree.map(functools.partial(as_target, dtype=self.dtype), y_true)
        y_pred = jax.tree.map(lambda leaf: jnp.asarray(tensor(leaf), self.dtype), y_pred)
        losses = known(self.call(y_true, y_pred))
        if losses is None:
            fn = getattr(self, "fn", self.call)
            raise TypeError(
                f"The loss `{getattr(fn, '__name__', self.name)}`{errors.defined_at(fn)}, returned "
                "None. Let it `return` a number for each sample."
            )
        found = [m for m in (*found, masks.get_mask(losses)) if m is not None]
        mask = functools.reduce(jnp.logical_and, found) if found else None
        return reduce(jnp.asarray(losses), sample_weight, mask, self.reduction, self.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, save the dtype, which is that of a run."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        """A loss like the one that `get_config` described."""
        return cls(**{key: registry.deserialize(value) for key, value in config.items()})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, reduction={self.reduction}>"


@export("losses.LossFunctionWrapper")
@fields
class LossFunctionWrapper(Loss):
    """The loss that calls `fn(y_true, y_pred, **kwargs)`."""

    reduction: str | None = option(default="sum_over_batch_size")
    name: str | None = option(default=None)
    dtype: Any = option(default=None)

    @checked
    def __init__(
        self,
        fn: Callable,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn, self._fn_kwargs = fn, kwargs

    def call(self, y_true, y_pred):
        if isinstance(y_true, jax.Array) and isinstance(y_pred, jax.Array):
            y_true, y_pred = same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        given = {key: registry.serialize(value) for key, value in self._fn_kwargs.items()}
        own = {} if "fn" in vars(type(self)) else {"fn": serialize_function(self.fn)}
        return super().get_config() | own | given


@typing.dataclass_transform(field_specifiers=(option,))
def of(fn: Callable, name: str | None = None) -> Callable[[type], type]:
    """Make a `LossFunctionWrapper` the loss of `fn`.

    Annotated names of the class are arguments of `fn`; `reduction`, `name` and `dtype`
    follow them, unless they are given another place.
    """
    shared = {"reduction": "sum_over_batch_size", "name": name or fn.__name__, "dtype": None}
    return calling(fn, shared, Loss.__init__, lambda own: own | shared)


def calling(fn: Callable, shared: dict, base_init: Callable, order: Callable):
    """Make a class of `fn`: its annotated names and `shared`, in `order`, are its arguments."""
    taken = list(inspect.signature(fn).parameters)[2:]

    def decorate(cls: type) -> type:
        own = {key: vars(cls)[key] for key in inspect.get_annotations(cls)}
        own = {key: shared.get(key, value) for key, value in own.items()}
        hints = typing.get_type_hints(cls, include_extras=True)
        post_init = vars(cls).get("__post_init__")

        def __post_init__(self):
            self._fn_kwargs = {key: getattr(self, key) for key in own if key in taken}
            if post_init:
                post_init(self)

        cls.fn, cls.__post_init__ = staticmethod(fn), __post_init__  # type: ignore[attr-defined]
        found = [Field(*pair, *converters(hints.get(pair[0]))) for pair in order(own).items()]
        return declare(cls, found, base_init)

    return decorate


# Pieces of the above, shared with the metrics -----------------------------------------------


def numbers_to_arrays(structure: Any) -> Any:
    """`structure`, in which nested lists of plain numbers are arrays, not structures."""
    if type(structure) not in (list, tuple):
        return structure
    if all(isinstance(leaf, numbers.Number) for leaf in jax.tree.leaves(structure)):
        return jnp.asarray(structure)
    return type(structure)(map(numbers_to_arrays, structure))


def as_target(value, dtype: str) -> jax.Array:
    """`value` as floats; class numbers in no less than float32, which is exact for them."""
    value = jnp.asarray(tensor(value))
    whole = not jnp.issubdtype(value.dtype, jnp.floating)
    return value.astype(jnp.promote_types(dtype, "float32") if whole else dtype)


def same_rank(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The two, with a last axis of size 1 removed from one, or put behind it, if that fits.

    Shapes: `(n,)` beside `(n, 1)` becomes `(n, 1)`; else the longer shape loses its 1.
    """
    if a.ndim == b.ndim + 1:
        b, a = same_rank(b, a)
        return a, b
    if b.ndim != a.ndim + 1 or b.shape[-1] != 1:
        return a, b
    return (a[:, None], b) if a.ndim == 1 else (a, b[..., 0])


def align(weight: jax.Array, values: jax.Array) -> jax.Array:
    """`weight` with the axes of size 1 behind it that it needs to go along the batch."""
    missing = values.ndim - weight.ndim
    if weight.ndim and missing > 0 and weight.shape == values.shape[: weight.ndim]:
        return weight.reshape(weight.shape + (1,) * missing)
    return weight


def reduce(
    losses: jax.Array,
    weight: Any = None,
    mask: Any = None,
    reduction: str | None = "sum_over_batch_size",
    dtype: Any = None,
) -> jax.Array:
    """Weigh the losses and reduce them. Masked ones count for nothing, not for zero."""
    losses = losses.astype(dtype or losses.dtype)
    total_weight = None
    if weight is not None:
        weight = jnp.asarray(tensor(weight), losses.dtype)
        losses, weight = same_rank(losses, weight)
        total_weight = weight = align(weight, losses)
        losses = losses * weight
    if mask is not None:
        mask = align(jnp.asarray(mask, bool), losses)
        losses = jnp.where(mask, losses, 0)
        total_weight = mask if weight is None else weight * mask
    if reduction in (None, "none"):
        return losses
    if reduction == "sum":
        return jnp.sum(losses)
    if reduction == "mean_with_sample_weight" and total_weight is not None:
        return _quotient(losses, jnp.sum(total_weight, dtype="float32"))
    if mask is None:
        return jnp.mean(losses)
    return _quotient(losses, jnp.sum(jnp.broadcast_to(mask, losses.shape), dtype="float32"))


def _quotient(losses, count):
    total = jnp.sum(losses, dtype=jnp.promote_types(losses.dtype, "float32"))
    return jnp.where(count == 0, 0, total / jnp.where(count == 0, 1, count)).astype(losses.dtype)
