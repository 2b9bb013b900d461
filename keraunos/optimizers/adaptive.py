"""Steps divided by the size that gradients had so far, each weight by its own."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from keraunos.core.fields import Epsilon, Fraction, fields, needs
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.optimizers.optimizer import Optimizer


def _not_negative(value, name, owner):
    if value < 0:
        raise ValueError(needs(owner, "a number of at least 0", name, value))
    return value


NotNegative = Annotated[float, _not_negative]


@export("optimizers.Adagrad")
@fields
class Adagrad(Optimizer):
    """Divide by the root of the sum of all squared gradients so far (Duchi et al., 2011)."""

    learning_rate: Any = 0.001
    initial_accumulator_value: NotNegative = 0.1
    epsilon: Epsilon = 1e-7

    slots = ("accumulator",)

    def start(self, slot, variable):
        return jnp.full(variable.shape, self.initial_accumulator_value)

    def step(self, gradient, learning_rate, t, accumulator):
        total = accumulator + jnp.square(gradient)
        return learning_rate * gradient / jnp.sqrt(total + self.epsilon), {"accumulator": total}


@export("optimizers.RMSprop")
@fields
class RMSprop(Optimizer):
    """Divide by the root of a running mean of squared gradients (Hinton, 2012).

    Args:
        rho: Decay of the mean.
        momentum: Decay of a sum of such steps, which is then what is subtracted.
        centered: Divide by the standard deviation instead.
    """

    learning_rate: Any = 0.001
    rho: Fraction = 0.9
    momentum: Fraction = 0.0
    epsilon: Epsilon = 1e-7
    centered: bool = False

    @property
    def slots(self):
        momentum = ("momentum",) if self.momentum > 0 else ()
        return ("velocity", *momentum, *(("average_gradient",) if self.centered else ()))

    def step(self, gradient, learning_rate, t, velocity, momentum=None, average_gradient=None):
        new = {"velocity": self.rho * velocity + (1 - self.rho) * jnp.square(gradient)}
        spread = new["velocity"]
        if average_gradient is not None:
            mean = self.rho * average_gradient + (1 - self.rho) * gradient
            new["average_gradient"] = mean
            spread = spread - jnp.square(mean)
        step = learning_rate * gradient / jnp.sqrt(spread + self.epsilon)
        if momentum is not None:
            step = new["momentum"] = self.momentum * momentum + step
        return step, new


@export("optimizers.Adadelta")
@fields
class Adadelta(Optimizer):
    """RMSprop with steps in the units of the variable: times the root of a running mean of
    squared steps (Zeiler, 2012, arXiv:1212.5701; there `learning_rate` is 1)."""

    learning_rate: Any = 0.001
    rho: Fraction = 0.95
    epsilon: Epsilon = 1e-7

    slots = (("accumulated_grad", "accumulated_delta_var"),)

    def step(self, gradient, learning_rate, t, accumulated_grad, accumulated_delta_var):
        mean = lambda old, x: self.rho * old + (1 - self.rho) * jnp.square(x)
        root = lambda x: jnp.sqrt(x + self.epsilon)
        squares = mean(accumulated_grad, gradient)
        delta = root(accumulated_delta_var) * gradient / root(squares)
        new = {
            "accumulated_grad": squares,
            "accumulated_delta_var": mean(accumulated_delta_var, delta),
        }
        return learning_rate * delta, new


def _not_positive(value, name, owner):
    if value > 0:
        raise ValueError(needs(owner, "a number of at most 0", name, value))
    return value


@export("optimizers.Ftrl")
@fields
class Ftrl(Optimizer):
    """Follow the regularized leader: for wide, shallow models with sparse inputs
    (McMahan et al., 2013).

    Args:
        learning_rate_power: How steps shrink with the sum of squared gradients; 0 for not.
        initial_accumulator_value: Where that sum starts.
        l1_regularization_strength: Holds small weights at zero.
        l2_regularization_strength: Makes steps smaller.
        l2_shrinkage_regularization_strength: Half the penalty on the squares of the weights.
        beta: The paper's; more of `l2_regularization_strength` the smaller the learning rate.
    """

    learning_rate: Any = 0.001
    learning_rate_power: Annotated[float, _not_positive] = -0.5
    initial_accumulator_value: NotNegative = 0.1
    l1_regularization_strength: NotNegative = 0.0
    l2_regularization_strength: NotNegative = 0.0
    l2_shrinkage_regularization_strength: NotNegative = 0.0
    beta: float = 0.0

    slots = (("accumulator", "linear"),)
    reads_value = True

    def start(self, slot, variable):
        first = self.initial_accumulator_value if slot == "accumulator" else 0.0
        return jnp.full(variable.shape, first)

    def step(self, gradient, learning_rate, t, value, accumulator, linear):
        l1, l2 = self.l1_regularization_strength, self.l2_regularization_strength
        l2 = l2 + self.beta / (2 * learning_rate)
        total = accumulator + jnp.square(gradient)
        power = lambda x: jnp.power(x, -self.learning_rate_power) / learning_rate
        pull = gradient + 2 * self.l2_shrinkage_regularization_strength * value
        linear = linear + pull - (power(total) - power(accumulator)) * value
        new = (jnp.clip(linear, -l1, l1) - linear) / (power(total) + 2 * l2)
        return value - new, {"accumulator": total, "linear": linear}


@export("optimizers.Adafactor")
@fields
class Adafactor(Optimizer):
    """Adam without momentum, whose mean squares of matrices are kept as a row and a column
    (Shazeer and Stern, 2018, arXiv:1804.04235).

    Args:
        beta_2_decay: The mean square decays at `1 - t**beta_2_decay`.
        epsilon_1: Added to squared gradients.
        epsilon_2: Least size of a variable, to which steps are proportional.
        clip_threshold: Largest root mean square of a step.
        relative_step: Whether the learning rate is at most `1 / sqrt(t)`.
    """

    learning_rate: Any = 0.001
    beta_2_decay: float = -0.8
    epsilon_1: float = 1e-30
    epsilon_2: float = 1e-3
    clip_threshold: float = 1.0
    relative_step: bool = True

    reads_value = True

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        for variable, held in zip(self._trainable_variables, self._slots):
            if variable.overwrite_with_gradient:
                continue
            if len(variable.shape) < 2:  # Keras's files hold two numbers in place of the factors
                for _ in range(2):
                    self._variables.append(
                        Variable(0, dtype="int32", trainable=False, name=variable.name)
                    )
            else:
                *rest, rows, columns = variable.shape
                for slot, size in (("row", rows), ("column", columns)):
                    held[slot] = self.add_variable(
                        (*rest, size), dtype=variable.dtype, name=variable.name
                    )
            held["velocity"] = self.add_variable_from_reference(variable, "velocity")

    def step(self, gradient, learning_rate, t, value, velocity, row=None, column=None):
        rate = jnp.minimum(learning_rate, t**-0.5) if self.relative_step else learning_rate
        decay = 1 - t**self.beta_2_decay
        mean = lambda old, new: decay * old + (1 - decay) * new
        squares, new = jnp.square(gradient) + self.epsilon_1, {}
        if row is None:
            new["velocity"] = mean(velocity, squares)
        else:
            row = new["row"] = mean(row, squares.mean(-1))
            column = new["column"] = mean(column, squares.mean(-2))
            share = row / row.mean(-1, keepdims=True)
            new["velocity"] = share[..., None] * column[..., None, :]
        step = gradient / jnp.sqrt(new["velocity"])
        step = step / jnp.maximum(1.0, _size(step) / self.clip_threshold)
        return jnp.maximum(self.epsilon_2, _size(value)) * rate * step, new


def _size(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(x)))
