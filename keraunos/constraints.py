"""Rules that a variable is put under after every update: from an array to one that keeps the rule.

`axis`, which many take: the axes along which a length is measured. For the kernel of `Dense`,
`(inputs, units)`, axis 0 means the weights that go into a unit; for that of `Conv2D` axes
`[0, 1, 2]` do.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from keraunos.core import config, registry
from keraunos.core.fields import Axes, Configurable, fields
from keraunos.core.graph import tensor
from keraunos.core.past import names_of
from keraunos.core.registry import export


def get(identifier: Any) -> Callable | None:
    """The constraint that a name, a config, a class or a callable stands for."""
    return registry.find("constraints", identifier)


def serialize(constraint: Any) -> Any:
    """What a saved file holds for `constraint`."""
    return registry.serialize(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The constraint that `serialize` described."""
    return registry.deserialize(config, custom_objects, kind="constraints")


def _lengths(w: Any, axis: Any) -> Any:
    axis = tuple(axis) if isinstance(axis, list) else axis
    return jnp.sqrt(jnp.sum(jnp.square(w), axis, keepdims=True))


@export("constraints.Constraint")
class Constraint(Configurable):
    """Base class: define `__call__(w)`, and `get_config` to be saved."""

    def __call__(self, w: Any) -> Any:
        return w


@export("constraints.MaxNorm", "maxnorm")
@fields
class MaxNorm(Constraint):
    """Vectors along `axis` are no longer than `max_value`.

    Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html
    """

    max_value: float = 2
    axis: Axes = 0

    def __call__(self, w):
        w = jnp.asarray(tensor(w))
        lengths = _lengths(w, self.axis)
        return w * (jnp.clip(lengths, 0, self.max_value) / (config.epsilon() + lengths))


@export("constraints.NonNeg", "nonneg")
class NonNeg(Constraint):
    """No element is below 0."""

    def __call__(self, w):
        return jnp.maximum(tensor(w), 0)


@export("constraints.UnitNorm", "unitnorm")
@fields
class UnitNorm(Constraint):
    """Vectors along `axis` have length 1."""

    axis: Axes = 0

    def __call__(self, w):
        w = jnp.asarray(tensor(w))
        return w / (config.epsilon() + _lengths(w, self.axis))


@export("constraints.MinMaxNorm", "minmaxnorm")
@fields
class MinMaxNorm(Constraint):
    """Vectors along `axis` have lengths from `min_value` to `max_value`.

    With a `rate` below 1 they are moved there by that share of the way.
    """

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: Axes = 0

    def __call__(self, w):
        w = jnp.asarray(tensor(w))
        lengths = _lengths(w, self.axis)
        within = jnp.clip(lengths, self.min_value, self.max_value)
        wanted = self.rate * within + (1 - self.rate) * lengths
        return w * (wanted / (config.epsilon() + lengths))


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
