"""Penalties on the size or the shape of a tensor, which training adds to the loss."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import jax.numpy as jnp

from keraunos.core import registry
from keraunos.core.fields import Configurable, fields, needs, one_of
from keraunos.core.graph import tensor
from keraunos.core.past import names_of
from keraunos.core.registry import export


def get(identifier: Any) -> Callable | None:
    """The regularizer that a name, a config, a class or a callable stands for."""
    return registry.find("regularizers", identifier)


def serialize(regularizer: Any) -> Any:
    """What a saved file holds for `regularizer`."""
    return registry.serialize(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The regularizer that `serialize` described."""
    return registry.deserialize(config, custom_objects, kind="regularizers")


def _factor(value: Any, name: str, owner: Any) -> float:
    """The converter for the weight of a penalty; None is 0."""
    try:
        factor = 0.0 if value is None else float(value)
    except (TypeError, ValueError):
        factor = math.nan
    if not 0 <= factor < math.inf:
        raise ValueError(needs(owner, "a number from 0 up", name, value))
    return factor


Factor = Annotated[Any, _factor]


@export("regularizers.Regularizer")
@export("Regularizer")
class Regularizer(Configurable):
    """Base class: define `__call__(x)`, which gives a scalar, and `get_config` to be saved."""

    def __call__(self, x: Any) -> Any:
        return 0.0


@export("regularizers.L1")
@fields
class L1(Regularizer):
    """`l1 * sum(|x|)`, which makes many elements 0."""

    l1: Factor = 0.01

    def __call__(self, x):
        return self.l1 * jnp.sum(jnp.abs(tensor(x)))


@export("regularizers.L2")
@fields
class L2(Regularizer):
    """`l2 * sum(x ** 2)`, which keeps elements small."""

    l2: Factor = 0.01

    def __call__(self, x):
        return self.l2 * jnp.sum(jnp.square(tensor(x)))


@export("regularizers.L1L2", "l1_l2")
@fields
class L1L2(Regularizer):
    """The sum of `L1` and `L2`."""

    l1: Factor = 0.0
    l2: Factor = 0.0

    def __call__(self, x):
        x = tensor(x)
        return self.l1 * jnp.sum(jnp.abs(x)) + self.l2 * jnp.sum(jnp.square(x))


@export("regularizers.OrthogonalRegularizer", "orthogonal")
@fields
class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean |cosine| between the rows, or the columns, of a matrix."""

    factor: Factor = 0.01
    mode: Annotated[str, one_of("rows", "columns")] = "rows"

    def __call__(self, inputs):
        x = jnp.asarray(tensor(inputs))
        if x.ndim != 2:
            raise ValueError(
                f"OrthogonalRegularizer needs a matrix, got an array of shape {x.shape}."
            )
        x = x if self.mode == "rows" else x.T
        length = jnp.sqrt(jnp.maximum(jnp.sum(jnp.square(x), 1, keepdims=True), 1e-12))
        rows = x / length
        cosines = jnp.abs(rows @ rows.T) * (1 - jnp.eye(len(x), dtype=x.dtype))
        return self.factor * 0.5 * jnp.sum(cosines) / (len(x) * (len(x) - 1) / 2)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
