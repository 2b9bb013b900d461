"""Steps along the gradient, its mean, its sign, or its singular directions."""

import re
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from keraunos.core.fields import Epsilon, Fraction, fields, listed, needs, optional
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.optimizers.adam import bias, means
from keraunos.optimizers.optimizer import Optimizer


@export("optimizers.SGD")
@fields
class SGD(Optimizer):
    """Step against the gradient; with `momentum`, along a decaying sum of such steps.

    `nesterov` looks one step of momentum ahead.
    """

    learning_rate: Any = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False

    @property
    def slots(self):
        return ("momentum",) if self.momentum else ()

    def step(self, gradient, learning_rate, t, momentum=None):
        step = learning_rate * gradient
        if momentum is None:
            return step, {}
        velocity = self.momentum * momentum - step
        ahead = self.momentum * velocity - step if self.nesterov else velocity
        return -ahead, {"momentum": velocity}


def _below_one(value, name, owner):
    if not 0 < value <= 1:
        expected = "a number above 0 and up to 1"
        raise ValueError(needs(owner, expected, name, value))
    return value


@export("optimizers.Lion")
@fields
class Lion(Optimizer):
    """Step by the sign of a mean of gradients (Chen et al., 2023, arXiv:2302.06675).

    `beta_1` mixes the mean with the gradient, `beta_2` is the mean's own decay. Steps are
    large: a learning rate of a third to a tenth of Adam's, and a weight decay as many times
    larger, suit it.
    """

    learning_rate: Any = 0.001
    beta_1: Annotated[float, _below_one] = 0.9
    beta_2: Fraction = 0.99

    slots = ("momentum",)

    def step(self, gradient, learning_rate, t, momentum):
        mixed = self.beta_1 * momentum + (1 - self.beta_1) * gradient
        mean = self.beta_2 * momentum + (1 - self.beta_2) * gradient
        return learning_rate * jnp.sign(mixed), {"momentum": mean}


@export("optimizers.Muon")
@fields
class Muon(Optimizer):
    """Step by momentum made orthogonal, for matrices (Jordan et al., 2024; Liu et al., 2025,
    arXiv:2502.16982); all other variables take the steps of AdamW.

    Args:
        exclude_layers: Regular expressions; matrices whose path matches one are left to AdamW.
            The last layer's should be.
        exclude_embeddings: Whether those of embeddings are left to it too.
        muon_a, muon_b, muon_c: The polynomial of the Newton-Schulz iteration.
        ns_steps: How often it is applied.
        adam_lr_ratio: AdamW's learning rate over Muon's.
        rms_rate: Root mean square of a step, so that Adam's learning rates and weight decays
            suit Muon too. With None a step's singular values are near the learning rate.
    """

    learning_rate: Any = 0.001
    adam_beta_1: Fraction = 0.9
    adam_beta_2: Fraction = 0.999
    adam_weight_decay: float | None = 0.004
    epsilon: Epsilon = 1e-7
    weight_decay: float | None = 0.004
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    ema_overwrite_frequency: int | None = None
    loss_scale_factor: float | None = None
    gradient_accumulation_steps: int | None = None
    name: str | None = None
    exclude_layers: Annotated[Any, optional(listed)] = None
    exclude_embeddings: bool = True
    muon_a: float = 3.4445
    muon_b: float = -4.775
    muon_c: float = 2.0315
    adam_lr_ratio: float = 1
    momentum: Fraction = 0.95
    ns_steps: int = 5
    nesterov: bool = True
    rms_rate: float | None = 0.2

    def __post_init__(self):
        self.exclude_layers = list(self.exclude_layers or ())

    def _by_adam(self, variable: Variable) -> bool:
        return (
            len(variable.shape) != 2
            or (self.exclude_embeddings and "embedding" in variable.path.lower())
            or any(re.search(pattern, variable.path) for pattern in self.exclude_layers)
        )

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        for variable, held in zip(self._trainable_variables, self._slots):
            if not variable.overwrite_with_gradient:
                for slot in ("momentum", "velocity")[: 1 + self._by_adam(variable)]:
                    held[slot] = self.add_variable_from_reference(variable, slot)

    def _apply_weight_decay(self, variables):
        rate = self._get_current_learning_rate()
        for variable in filter(self._use_weight_decay, variables):
            decay = self.adam_weight_decay if self._by_adam(variable) else self.weight_decay
            if decay:
                self.shrink(variable, decay, rate)

    def step(self, gradient, learning_rate, t, momentum, velocity=None):
        if velocity is not None:
            new = means(gradient, momentum, velocity, self.adam_beta_1, self.adam_beta_2)
            rate = learning_rate * self.adam_lr_ratio * bias(self.adam_beta_1, self.adam_beta_2, t)
            return rate * new["momentum"] / (jnp.sqrt(new["velocity"]) + self.epsilon), new
        total = self.momentum * momentum + gradient
        ahead = gradient + self.momentum * total if self.nesterov else total
        scale = 1 if self.rms_rate is None else max(gradient.shape) ** 0.5 * self.rms_rate
        return learning_rate * scale * self.orthogonal(ahead), {"momentum": total}

    def orthogonal(self, x: jax.Array) -> jax.Array:
        """`x` with its singular values near 1, by Newton and Schulz's iteration."""
        wide = x if x.shape[0] <= x.shape[1] else x.T
        wide = wide / (jnp.linalg.norm(wide) + 1e-7)
        for _ in range(self.ns_steps):
            square = wide @ wide.T
            wide = (
                self.muon_a * wide + (self.muon_b * square + self.muon_c * square @ square) @ wide
            )
        return wide if x.shape[0] <= x.shape[1] else wide.T
