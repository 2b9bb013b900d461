"""Layers that act in training only, by adding noise or a penalty."""

import math
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp

from keraunos import random
from keraunos.core.fields import DataFormat, Fraction, fields, needs
from keraunos.core.registry import export
from keraunos.layers.layer import Layer
from keraunos.layers.spec import InputSpec
from keraunos.regularizers import L1L2, Factor


class Noisy(Layer):
    """Base of layers that change their input at random, in training."""

    seed: Any
    supports_masking = True

    def __post_init__(self):
        if self._level > 0:
            self.seed_generator = random.SeedGenerator(self.seed)

    @property
    def _level(self) -> float:
        """How much noise there is; 0 for none."""
        return self.rate  # type: ignore[attr-defined]

    def call(self, inputs, training=False):
        return self._changed(inputs) if training and self._level > 0 else inputs

    def _changed(self, x):
        raise NotImplementedError


@export("layers.Dropout")
@fields
class Dropout(Noisy):
    """In training, zero a share `rate` of the input and scale up the rest.

    Shapes: unchanged. Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html

    Args:
        noise_shape: Where it has a 1, one draw serves the whole axis; None is the input's size.
    """

    _config_tells_shape = True

    rate: Fraction
    noise_shape: Any = None
    seed: int | None = None

    def __post_init__(self):
        if self.noise_shape is not None:
            self.noise_shape = _noise_shape(self.noise_shape, self)
        Noisy.__post_init__(self)

    def _changed(self, x):
        return random.dropout(x, self.rate, self.noise_shape, self.seed_generator)


def _noise_shape(value: Any, owner: Any) -> tuple:
    sizes = tuple(value) if isinstance(value, (list, tuple)) else ("",)
    if not all(n is None or (isinstance(n, int) and n > 0) for n in sizes):
        raise ValueError(needs(owner, "a tuple of sizes", "noise_shape", value))
    return sizes


class SpatialDropout(Noisy):
    """In training, zero a share `rate` of the channels, each as a whole. arXiv:1411.4280"""

    rank: ClassVar[int]
    rate: float
    data_format: Any = "channels_last"

    def __post_init__(self):
        self.input_spec = InputSpec(ndim=self.rank + 2)
        Noisy.__post_init__(self)

    def _changed(self, x):
        ones = (1,) * self.rank
        last = self.data_format == "channels_last"
        shape = (None, *ones, None) if last else (None, None, *ones)
        return random.dropout(x, self.rate, shape, self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("trainable")  # Keras's constructor does not take it, and there is no weight
        return config


@export("layers.SpatialDropout1D")
@fields
class SpatialDropout1D(SpatialDropout):
    """In training, zero a share `rate` of the features of `(batch, steps, features)`."""

    rank = 1
    rate: Fraction
    seed: int | None = None
    name: Any = None
    dtype: Any = None

    __post_init__ = SpatialDropout.__post_init__


@export("layers.SpatialDropout2D")
@fields
class SpatialDropout2D(SpatialDropout):
    """In training, zero a share `rate` of the channels of images."""

    rank = 2
    rate: Fraction
    data_format: DataFormat = None
    seed: int | None = None
    name: Any = None
    dtype: Any = None

    __post_init__ = SpatialDropout.__post_init__


@export("layers.SpatialDropout3D")
@fields
class SpatialDropout3D(SpatialDropout):
    """In training, zero a share `rate` of the channels of volumes."""

    rank = 3
    rate: Fraction
    data_format: DataFormat = None
    seed: int | None = None
    name: Any = None
    dtype: Any = None

    __post_init__ = SpatialDropout.__post_init__


@export("layers.AlphaDropout")
@fields
class AlphaDropout(Noisy):
    """Dropout for `selu` networks: keeps their mean 0 and variance 1. arXiv:1706.02515"""

    rate: Fraction
    noise_shape: Any = None
    seed: int | None = None

    __post_init__ = Dropout.__post_init__

    def _changed(self, x):
        low = -1.0507009873554805 * 1.6732632423543772  # where selu ends for small inputs
        sizes = [have if n is None else n for n, have in zip(self.noise_shape or (), x.shape)]
        drawn = random.uniform(sizes or x.shape, seed=self.seed_generator)
        y = jnp.where(drawn >= self.rate, x, low)
        scale = 1 / math.sqrt((1 - self.rate) * (1 + self.rate * low**2)) if self.rate < 1 else 0
        return scale * (y - low * self.rate)


def _below_1(value: Any, name: str, owner: Any) -> float:
    if not 0 <= value < 1:
        raise ValueError(needs(owner, "a number from 0 up, below 1", name, value))
    return value


@export("layers.GaussianDropout")
@fields
class GaussianDropout(Noisy):
    """In training, multiply by normal noise of mean 1 and variance `rate / (1 - rate)`."""

    rate: Annotated[float, _below_1]
    seed: int | None = None

    __post_init__ = Noisy.__post_init__

    def _changed(self, x):
        deviation = math.sqrt(self.rate / (1 - self.rate))
        return x * random.normal(x.shape, 1.0, deviation, x.dtype, self.seed_generator)


def _deviation(value: Any, name: str, owner: Any) -> float:
    if value < 0:
        raise ValueError(needs(owner, "a number from 0 up", name, value))
    return value


@export("layers.GaussianNoise")
@fields
class GaussianNoise(Noisy):
    """In training, add normal noise of mean 0 and deviation `stddev`."""

    stddev: Annotated[float, _deviation]
    seed: int | None = None

    __post_init__ = Noisy.__post_init__

    @property
    def _level(self) -> float:
        return self.stddev

    def _changed(self, x):
        return x + random.normal(x.shape, 0.0, self.stddev, x.dtype, self.seed_generator)


@export("layers.ActivityRegularization")
@fields
class ActivityRegularization(Layer):
    """The input, unchanged; adds `l1 * sum(|x|) + l2 * sum(x ** 2)` to the loss."""

    l1: Factor = 0.0
    l2: Factor = 0.0
    supports_masking = True

    def __post_init__(self):
        self.activity_regularizer = L1L2(self.l1, self.l2)

    def call(self, inputs):
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("activity_regularizer")  # made of l1 and l2
        return config
