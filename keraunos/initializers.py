"""How variables start. An initializer is called with a shape and a dtype."""

# A first few; this file is about to be written in full.
import math
from typing import Annotated, Any
import jax, jax.numpy as jnp
from keraunos.core.fields import Configurable, fields
from keraunos.core.registry import export, find


class Initializer(Configurable):
    """Base class: define `__call__(shape, dtype)`."""


@export("initializers.Zeros")
class Zeros(Initializer):
    def __call__(self, shape, dtype=None):
        return jnp.zeros(shape, dtype)


@export("initializers.Ones")
class Ones(Initializer):
    def __call__(self, shape, dtype=None):
        return jnp.ones(shape, dtype)


@export("initializers.GlorotUniform")
@fields
class GlorotUniform(Initializer):
    seed: Any = None

    def __call__(self, shape, dtype=None):
        fan_in, fan_out = (shape[-2], shape[-1]) if len(shape) > 1 else (shape[0], shape[0])
        limit = math.sqrt(6 / (fan_in + fan_out))
        return jax.random.uniform(jax.random.key(0), shape, dtype, -limit, limit)
