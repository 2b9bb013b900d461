"""Activation functions by name: what a layer's `activation` argument may be.

In a config a function of this module is a plain string, such as "relu".
"""

from collections.abc import Callable
from typing import Annotated, Any

import jax.numpy as jnp

from keraunos.core import registry
from keraunos.core.fields import via
from keraunos.core.graph import Tensor, op
from keraunos.core.registry import export
from keraunos.ops import activations as _ops
from keraunos.ops.activations import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    tanh_shrink,
    threshold,
)


@export("activations.linear")
def linear(x):
    """`x`, unchanged."""
    return x


@export("activations.relu")
@op
def relu(
    x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
):
    """`x` where it is at least `threshold`, and lines below and above it.

    Args:
        negative_slope: Below `threshold`, the slope of the line that is 0 there.
        max_value: What the result never exceeds.
    """
    x = jnp.asarray(x)
    if not negative_slope and not threshold:
        y = _ops.relu(x)
    else:
        below = (x - threshold) * negative_slope if negative_slope else jnp.zeros_like(x)
        y = jnp.where(x > threshold if threshold else x > 0, x, below)
    return y if max_value is None else jnp.minimum(y, max_value)


@export("activations.tanh")
@op
def tanh(x: Tensor):
    """The hyperbolic tangent, between -1 and 1."""
    return jnp.tanh(x)


@export("activations.exponential")
@op
def exponential(x: Tensor):
    """`exp(x)`."""
    return jnp.exp(x)


@export("activations.mish")
@op
def mish(x: Tensor):
    """`x * tanh(softplus(x))` (Misra, 2019)."""
    return x * jnp.tanh(_ops.softplus(x))


@export("activations.gelu")
@op
def gelu(x: Tensor, approximate: bool = False):
    """`x` times the share of a normal distribution below it; through a tanh if `approximate`."""
    return _ops.gelu(x, approximate)


swish, hard_swish = silu, hard_silu
export("activations.silu", "swish")(silu)
export("activations.hard_silu", "hard_swish")(hard_silu)
for _fn in (
    celu, elu, glu, hard_shrink, hard_sigmoid, hard_tanh, leaky_relu, log_sigmoid, log_softmax,
    relu6, selu, sigmoid, soft_shrink, softmax, softplus, softsign, sparse_plus, sparse_sigmoid,
    sparsemax, squareplus, tanh_shrink, threshold,
):  # fmt: skip
    export(f"activations.{_fn.__name__}")(_fn)
for _fn in (_ops.relu, _ops.gelu):  # as an activation they are written by name, too
    export(f"ops.{_fn.__name__}")(_fn)


def get(identifier: Any) -> Callable:
    """The function that a name, a config, a callable or None (`linear`) stands for."""
    return linear if identifier is None else registry.find("activations", identifier)


def serialize(activation: Callable) -> Any:
    """What a config holds for an activation: a name, or a dict for one that is not ours."""
    return registry.serialize(activation)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Callable:
    """The activation that `serialize` described."""
    with registry.CustomObjectScope(custom_objects):
        return get(config)


Activation = Annotated[Any, via(get)]
