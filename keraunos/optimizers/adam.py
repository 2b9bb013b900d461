"""Adam and its descendants: a mean of gradients over the root of a mean of their squares."""

from typing import Any

import jax
import jax.numpy as jnp

from keraunos.core.fields import Epsilon, Fraction, fields, needs
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.optimizers.optimizer import Optimizer


def means(gradient, momentum, velocity, beta_1, beta_2) -> dict[str, jax.Array]:
    """The running means of the gradient and of its square."""
    return {
        "momentum": momentum + (gradient - momentum) * (1 - beta_1),
        "velocity": velocity + (jnp.square(gradient) - velocity) * (1 - beta_2),
    }


def bias(beta_1: float, beta_2: float, t: jax.Array) -> jax.Array:
    """What makes up for means that start from zero: the factor of their quotient."""
    return jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)


@export("optimizers.Adam")
@fields
class Adam(Optimizer):
    """Step by the mean of the gradients over the root of the mean of their squares.

    Both means decay, at `beta_1` and `beta_2`, and start from zero, which is made up for.
    `amsgrad` divides by the largest mean square so far. `epsilon` is the "epsilon hat" of
    the paper (Kingma and Ba, 2014, arXiv:1412.6980; Reddi et al., 2018).
    """

    learning_rate: Any = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Epsilon = 1e-7
    amsgrad: bool = False

    @property
    def slots(self):
        means = ("momentum", "velocity")
        return (means, "velocity_hat") if self.amsgrad else (means,)

    def step(self, gradient, learning_rate, t, momentum, velocity, velocity_hat=None):
        new = means(gradient, momentum, velocity, self.beta_1, self.beta_2)
        rate = learning_rate * bias(self.beta_1, self.beta_2, t)
        squares = new["velocity"]
        if velocity_hat is not None:
            squares = new["velocity_hat"] = jnp.maximum(velocity_hat, squares)
        return rate * new["momentum"] / (jnp.sqrt(squares) + self.epsilon), new


@export("optimizers.AdamW")
@fields
class AdamW(Adam):
    """Adam with weight decay that is not divided by the root of the mean square.

    `exclude_from_weight_decay` spares some variables, such as biases (Loshchilov and
    Hutter, 2019, arXiv:1711.05101).
    """

    learning_rate: Any = 0.001
    weight_decay: float = 0.004

    def __post_init__(self):
        if self.weight_decay is None:
            expected = "a number (Adam does without)"
            raise ValueError(needs(self, expected, "weight_decay", None))


@export("optimizers.Adamax")
@fields
class Adamax(Optimizer):
    """Adam with a decaying maximum in place of the mean square (Kingma and Ba, 2014)."""

    learning_rate: Any = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Epsilon = 1e-7

    slots = (("momentum", "norm"),)

    def step(self, gradient, learning_rate, t, momentum, norm):
        mean = momentum + (gradient - momentum) * (1 - self.beta_1)
        largest = jnp.maximum(self.beta_2 * norm, jnp.abs(gradient))
        rate = learning_rate / (1 - self.beta_1**t)
        return rate * mean / (largest + self.epsilon), {"momentum": mean, "norm": largest}


@export("optimizers.Nadam")
@fields
class Nadam(Optimizer):
    """Adam with Nesterov's momentum, which is warmed up (Dozat, 2015)."""

    learning_rate: Any = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Epsilon = 1e-7

    slots = (("momentum", "velocity"),)

    def build(self, variables):
        if self.built:
            return
        variables = list(variables)
        dtype = variables[0].dtype if variables else None
        self._product = Variable(1.0, dtype=dtype)  # of the momenta of all updates so far
        super().build(variables)

    def _momentum(self, t):
        return self.beta_1 * (1 - 0.5 * 0.96**t)

    def update_all(self, grads, variables, learning_rate):
        super().update_all(grads, variables, learning_rate)
        t = self._updates_so_far() + 1
        self._product.assign(self._product.value * self._momentum(t))

    def step(self, gradient, learning_rate, t, momentum, velocity):
        now, then = self._momentum(t), self._momentum(t + 1)
        product = self._product.value.astype(gradient.dtype) * now
        # Rounded here as in the powers that make up for them, so that the errors cancel.
        beta_1, beta_2 = (jnp.asarray(beta, t.dtype) for beta in (self.beta_1, self.beta_2))
        new = means(gradient, momentum, velocity, beta_1, beta_2)
        mean = then * new["momentum"] / (1 - product * then) + (1 - now) * gradient / (1 - product)
        squares = new["velocity"] / (1 - beta_2**t)
        return learning_rate * mean / (jnp.sqrt(squares) + self.epsilon), new


@export("optimizers.Lamb")
@fields
class Lamb(Optimizer):
    """Adam with steps in proportion to the norm of the variable, for large batches
    (You et al., 2019, arXiv:1904.00962)."""

    learning_rate: Any = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Epsilon = 1e-7

    slots = (("momentum", "velocity"),)
    reads_value = True

    def step(self, gradient, learning_rate, t, value, momentum, velocity):
        new = means(gradient, momentum, velocity, self.beta_1, self.beta_2)
        mean, squares = (
            new["momentum"] / (1 - self.beta_1**t),
            new["velocity"] / (1 - self.beta_2**t),
        )
        step = mean / (jnp.sqrt(squares) + self.epsilon)
        size, length = jnp.linalg.norm(value), jnp.linalg.norm(step)
        ratio = jnp.where((size > 0) & (length > 0), size / jnp.where(length > 0, length, 1), 1)
        return learning_rate * ratio * step, new


@export("optimizers.ScheduleFreeAdamW")
@fields
class ScheduleFreeAdamW(Optimizer):
    """Adam whose weights are a mean of all its steps, so that its learning rate need not fall
    (Defazio et al., 2024, arXiv:2405.15682).

    The slot `momentum` is where the steps lead; during training a variable stands between
    that point and the mean, at `beta_1` of the way.

    Args:
        warmup_steps: The learning rate rises from 0 for that many steps.
    """

    learning_rate: Any = 0.0025
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: float = 1e-8
    warmup_steps: int = 0

    slots = (("momentum", "velocity"),)
    reads_value = True

    def start(self, slot, variable):
        return variable._array if slot == "momentum" else "zeros"

    def step(self, gradient, learning_rate, t, value, momentum, velocity):
        if self.warmup_steps:
            learning_rate = learning_rate * jnp.minimum(1.0, t / self.warmup_steps)
        beta_2 = jnp.asarray(self.beta_2, t.dtype)  # rounded here as in its power
        velocity = beta_2 * velocity + (1 - beta_2) * jnp.square(gradient)
        step = gradient / (jnp.sqrt(velocity / (1 - beta_2**t)) + self.epsilon)
        mean = (value - (1 - self.beta_1) * momentum) / self.beta_1
        momentum = momentum - learning_rate * step
        mean = mean + (momentum - mean) / t
        new = self.beta_1 * mean + (1 - self.beta_1) * momentum
        return value - new, {"momentum": momentum, "velocity": velocity}
