"""Names of Keras 2's first optimizers; today's take their arguments, `lr` and `decay` included."""

from keraunos.optimizers.adam import Adam
from keraunos.optimizers.adaptive import Adagrad, Ftrl, RMSprop
from keraunos.optimizers.descent import SGD
from keraunos.optimizers.optimizer import Optimizer

__all__ = ["SGD", "Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop"]
