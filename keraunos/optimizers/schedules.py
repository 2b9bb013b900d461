"""Learning rates as functions of the number of steps done.

A schedule is called with that number, which may be traced, and returns a scalar. Each one's
`name` is kept for its config alone.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from keraunos.core import config as settings, registry
from keraunos.core.fields import Configurable, Listed, fields, needs
from keraunos.core.registry import export

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


def serialize(learning_rate_schedule: Any) -> Any:
    """What `deserialize` makes the schedule of."""
    return registry.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The schedule that `serialize` described."""
    return registry.deserialize(config, custom_objects, kind="optimizers.schedules")


@export("optimizers.schedules.LearningRateSchedule")
class LearningRateSchedule(Configurable):
    """Base class: define `__call__(step)`, and `get_config()` if it is to be saved."""

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define `__call__(self, step)`.")

    def get_config(self) -> dict[str, Any]:
        if not self.__fields__:
            raise NotImplementedError(
                f"{type(self).__name__} must define `get_config()` to be saved."
            )
        return super().get_config()


def _above_zero(value, name, owner):
    if value <= 0:
        raise ValueError(needs(owner, "a number above 0", name, value))
    return value


Steps = Annotated[Any, _above_zero]


def _number(step: Any) -> jax.Array:
    return jnp.asarray(step).astype(settings.floatx())


class _Ratio(LearningRateSchedule):
    """A schedule of the number of times `decay_steps` has passed, in whole or in part."""

    decay_steps: Any
    staircase: bool

    def _passed(self, step: Any) -> jax.Array:
        passed = _number(step) / self.decay_steps
        return jnp.floor(passed) if self.staircase else passed


@export("optimizers.schedules.ExponentialDecay")
@fields
class ExponentialDecay(_Ratio):
    """Multiply by `decay_rate` every `decay_steps` steps; smoothly, unless `staircase`."""

    initial_learning_rate: float
    decay_steps: Steps
    decay_rate: float
    staircase: bool = False
    name: str = "ExponentialDecay"

    def __call__(self, step: Any) -> jax.Array:
        return self.initial_learning_rate * jnp.power(self.decay_rate, self._passed(step))


@export("optimizers.schedules.InverseTimeDecay")
@fields
class InverseTimeDecay(_Ratio):
    """Divide by `1 + decay_rate * (step / decay_steps)`; by its whole part if `staircase`."""

    initial_learning_rate: float
    decay_steps: Steps
    decay_rate: float
    staircase: bool = False
    name: str = "InverseTimeDecay"

    def __call__(self, step: Any) -> jax.Array:
        return self.initial_learning_rate / (1 + self.decay_rate * self._passed(step))


@export("optimizers.schedules.PiecewiseConstantDecay")
@fields
class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[i]` up to and with step `boundaries[i]`; the last of `values` after that."""

    boundaries: Listed
    values: Listed
    name: str = "PiecewiseConstant"

    def __post_init__(self):
        if len(self.boundaries) != len(self.values) - 1:
            raise ValueError(
                "PiecewiseConstantDecay needs one more of `values` than of `boundaries`, got "
                f"{len(self.values)} and {len(self.boundaries)}."
            )

    def __call__(self, step: Any) -> jax.Array:
        values = jnp.asarray(self.values, settings.floatx())
        if not len(self.boundaries):
            return values[0]
        boundaries = jnp.asarray(self.boundaries)
        return values[jnp.sum(jnp.asarray(step) > boundaries)]


@export("optimizers.schedules.PolynomialDecay")
@fields
class PolynomialDecay(LearningRateSchedule):
    """Go down to `end_learning_rate` within `decay_steps` steps, on a curve of degree `power`.

    With `cycle`, start again from there, each time over one more multiple of `decay_steps`.
    """

    initial_learning_rate: float
    decay_steps: Steps
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str = "PolynomialDecay"

    def __call__(self, step: Any) -> jax.Array:
        step = _number(step)
        if self.cycle:
            length = self.decay_steps * jnp.maximum(1.0, jnp.ceil(step / self.decay_steps))
        else:
            length = self.decay_steps
            step = jnp.minimum(step, length)
        drop = self.initial_learning_rate - self.end_learning_rate
        return drop * jnp.power(1 - step / length, self.power) + self.end_learning_rate


@export("optimizers.schedules.CosineDecay")
@fields
class CosineDecay(LearningRateSchedule):
    """Go down as a cosine does, to the share `alpha` (Loshchilov and Hutter, 2016).

    With a `warmup_target`, first rise to it evenly for `warmup_steps` steps (Goyal et al.,
    2017), and go down from there.
    """

    initial_learning_rate: float
    decay_steps: Steps
    alpha: float = 0.0
    name: str = "CosineDecay"
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __call__(self, step: Any) -> jax.Array:
        step = _number(step)
        if self.warmup_target is None:
            return self._fall(step, self.initial_learning_rate)
        share = step / max(self.warmup_steps, 1)
        rise = self.warmup_target - self.initial_learning_rate
        return jnp.where(
            step < self.warmup_steps,
            self.initial_learning_rate + rise * share,
            self._fall(step - self.warmup_steps, self.warmup_target),
        )

    def _fall(self, step: jax.Array, top: float) -> jax.Array:
        done = jnp.minimum(step, self.decay_steps) / self.decay_steps
        return top * ((1 - self.alpha) * 0.5 * (1 + jnp.cos(math.pi * done)) + self.alpha)


@export("optimizers.schedules.CosineDecayRestarts")
@fields
class CosineDecayRestarts(LearningRateSchedule):
    """Go down as a cosine does, again and again (SGDR; Loshchilov and Hutter, 2016).

    Args:
        first_decay_steps: Length of the first period.
        t_mul: How many times longer each period is than the one before.
        m_mul: How many times higher each one starts.
        alpha: The share it goes down to.
    """

    initial_learning_rate: float
    first_decay_steps: Steps
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str = "SGDRDecay"

    def __call__(self, step: Any) -> jax.Array:
        passed = _number(step) / self.first_decay_steps
        if self.t_mul == 1:
            restarts = jnp.floor(passed)
            done = passed - restarts
        else:  # periods before this one are a geometric sum, solved for their number
            ratio = jnp.log(1 - passed * (1 - self.t_mul)) / math.log(self.t_mul)
            restarts = jnp.floor(ratio)
            scale = jnp.power(self.t_mul, restarts)
            done = (passed - (1 - scale) / (1 - self.t_mul)) / scale
        height = 0.5 * jnp.power(self.m_mul, restarts) * (1 + jnp.cos(math.pi * done))
        return self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha)
