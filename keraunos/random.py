"""Random numbers. A seed is an integer, or a `SeedGenerator`, which gives a new key each time.

With the seed left out, numbers come from a generator of the whole process, which
`set_random_seed` sets. `seed` is described here once: an integer gives the same numbers
every time; a `SeedGenerator` goes on from where it stands.
"""

import random as _python
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from keraunos.core import config, naming, registry
from keraunos.core.dtypes import is_float_dtype, is_int_dtype, standardize_dtype
from keraunos.core.fields import Configurable
from keraunos.core.graph import Tensor, in_symbolic_scope, op, tensor
from keraunos.core.state import Stateful, Variable

Shape = Iterable[int]


@registry.export("random.SeedGenerator")
class SeedGenerator(Stateful, Configurable):
    """A stream of keys whose position is a variable, so that compiled steps can advance it.

    Args:
        seed: An integer from 0 to 2**32 - 1; drawn from Python's `random` by default.
        name: Goes into the path of the variable.
    """

    _within_layers = True

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any):
        if kwargs:
            raise ValueError(f"SeedGenerator() got unexpected arguments: {kwargs}.")
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(f"SeedGenerator needs a `name` without '/', got {name!r}.")
        self.name = name or naming.auto_name("seed_generator")
        self._initial_seed = make_default_seed() if seed is None else _whole(seed)
        with naming.name_scope(self.name):
            self.state = Variable(
                np.array([self._initial_seed, 0], "uint32"),
                trainable=False,
                name="seed_generator_state",
            )

    def next(self, ordered: bool = True) -> jax.Array:
        """The key at the present position; the position moves on, by one if `ordered`."""
        key = self.state.value
        one_on = key + jnp.array([0, 1], key.dtype)
        self.state.assign(one_on if ordered else (key + 1) * 5387 % 933199)  # as Keras jumps
        return key

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._initial_seed, "name": self.name}


def _whole(seed: Any) -> int:
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(
            f"`seed` must be an integer from 0 to 2**32 - 1 or a `SeedGenerator`, got {seed!r}."
        )
    return int(seed)


def make_default_seed() -> int:
    """A seed drawn from Python's `random`, which `set_random_seed` sets."""
    return _python.randint(1, int(1e9))


_global: list[SeedGenerator] = []


def set_random_seed(seed: int) -> None:
    """Set all seeds of the process: Python's, NumPy's and ours. Then a program repeats itself."""
    if not isinstance(seed, (int, np.integer)):
        raise ValueError(f"`seed` must be an integer, got {seed!r}.")
    _python.seed(int(seed))
    np.random.seed(int(seed))
    _global.clear()


def global_variables() -> list[Variable]:
    """The position of the stream that functions without a seed draw from, if they did."""
    return [generator.state for generator in _global]


def _next_of_process() -> jax.Array:
    if not _global:
        _global.append(SeedGenerator(name="global_seed_generator"))
    if in_symbolic_scope():
        return jnp.zeros(2, "uint32")
    if isinstance(jnp.zeros(()), Tracer):
        raise ValueError(
            "Random numbers without a seed were asked for in code that JAX compiles: they would "
            "be the same in every call. Make a `keras.random.SeedGenerator` in the constructor "
            "of your layer or model (`self.seed_generator = ...`) and pass it as `seed`."
        )
    return _global[0].next(ordered=False)


def draw_seed(seed: Any) -> jax.Array:
    """The JAX key that a `seed` argument stands for."""
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, (jax.Array, np.ndarray)) and np.ndim(seed) <= 1 and np.size(seed) <= 2:
        return jnp.asarray(seed)
    if seed is None:
        return _next_of_process()
    return jnp.array([_whole(seed), 0], "uint32")


def _float(dtype: Any) -> str:
    dtype = standardize_dtype(dtype or config.floatx())
    if not is_float_dtype(dtype):
        raise ValueError(f"A random distribution over floats needs a float `dtype`, got {dtype}.")
    return dtype


def _shape(shape: Any) -> tuple:
    sizes = tuple(shape) if hasattr(shape, "__len__") else (shape,)
    if None in sizes:
        raise ValueError(
            f"Random numbers need a shape without unknown sizes, got {sizes}. In a layer, take "
            "the sizes from `keras.ops.shape(x)`."
        )
    return sizes


def uniform(
    shape: Shape, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None
) -> jax.Array:
    """Numbers from `minval` to `maxval`, the latter not included, all as likely."""
    low, high = tensor(minval), tensor(maxval)
    return jax.random.uniform(draw_seed(seed), _shape(shape), _float(dtype), low, high)


def normal(
    shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> jax.Array:
    """Numbers of the normal distribution with this mean and deviation."""
    dtype = _float(dtype)
    return _moved(jax.random.normal(draw_seed(seed), _shape(shape), dtype), mean, stddev)


def truncated_normal(
    shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> jax.Array:
    """As `normal`, without the numbers more than two `stddev` away from `mean`."""
    key, dtype = draw_seed(seed), _float(dtype)
    return _moved(jax.random.truncated_normal(key, -2.0, 2.0, _shape(shape), dtype), mean, stddev)


def _moved(x: jax.Array, mean: Any, stddev: Any) -> jax.Array:
    return x * jnp.asarray(tensor(stddev), x.dtype) + jnp.asarray(tensor(mean), x.dtype)


def randint(
    shape: Shape, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None
) -> jax.Array:
    """Integers from `minval` to `maxval`, the latter not included, all as likely."""
    if not is_int_dtype(dtype):
        raise ValueError(f"`keras.random.randint` needs an integer `dtype`, got {dtype!r}.")
    dtype = jax.dtypes.canonicalize_dtype(standardize_dtype(dtype))
    low, high = tensor(minval), tensor(maxval)
    return jax.random.randint(draw_seed(seed), _shape(shape), low, high, dtype)


@op
def categorical(
    logits: Tensor, num_samples: int, dtype: Any = "int32", seed: Any = None
) -> jax.Array:
    """Indices of classes, drawn by their unnormalized log-probabilities.

    Shapes: `(batch, classes)` to `(batch, num_samples)`.
    """
    logits = jnp.asarray(logits)
    if logits.ndim != 2:
        raise ValueError(
            f"`keras.random.categorical` needs `logits` of shape (batch, classes), got an array "
            f"of shape {logits.shape}."
        )
    shape = (logits.shape[0], num_samples)
    drawn = jax.random.categorical(draw_seed(seed), logits[..., None], axis=1, shape=shape)
    return drawn.astype(standardize_dtype(dtype))


@op
def dropout(inputs: Tensor, rate: float, noise_shape: Any = None, seed: Any = None) -> jax.Array:
    """Zero a share `rate` of the elements and scale up the rest, which keeps the mean.

    Where `noise_shape` has a 1, one draw serves the whole axis; None stands for the size
    that the input has there.
    """
    inputs = jnp.asarray(inputs)
    if isinstance(rate, (int, float)) and rate >= 1:
        return jnp.zeros_like(inputs)  # dividing by 0 would make gradients of NaN
    key = draw_seed(seed)
    if noise_shape is None:
        noise_shape = inputs.shape
    sizes = [have if n is None else n for n, have in zip(noise_shape, inputs.shape, strict=True)]
    kept = jnp.broadcast_to(jax.random.bernoulli(key, 1 - rate, tuple(sizes)), inputs.shape)
    return jnp.where(kept, inputs / (1 - rate), jnp.zeros_like(inputs))


@op
def shuffle(x: Tensor, axis: int = 0, seed: Any = None) -> jax.Array:
    """The elements of `x` in another order along `axis`; a new one for each of the other axes."""
    return jax.random.permutation(draw_seed(seed), jnp.asarray(x), axis, independent=True)


def gamma(shape: Shape, alpha: Any, dtype: Any = None, seed: Any = None) -> jax.Array:
    """Numbers of the gamma distribution with shape parameter `alpha` and scale 1."""
    return jax.random.gamma(draw_seed(seed), tensor(alpha), _shape(shape), _float(dtype))


def beta(shape: Shape, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> jax.Array:
    """Numbers of the beta distribution with parameters `alpha` and `beta`."""
    a, b = tensor(alpha), tensor(beta)
    return jax.random.beta(draw_seed(seed), a, b, _shape(shape), _float(dtype))


def binomial(
    shape: Shape, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None
) -> jax.Array:
    """How many of `counts` trials succeed, each with chance `probabilities`."""
    n, p = tensor(counts), tensor(probabilities)
    return jax.random.binomial(draw_seed(seed), n, p, _shape(shape), _float(dtype))


__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint",
    "shuffle", "truncated_normal", "uniform",
]  # fmt: skip
