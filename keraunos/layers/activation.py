"""Activation functions as layers, for those that have parameters."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from keraunos import activations
from keraunos.core.fields import Axes, fields, needs, optional, owned
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.layers.layer import Layer
from keraunos.layers.spec import Constraint, Initializer, InputSpec, Regularizer


def _zero_or_more(value: Any, name: str, owner: Any) -> Any:
    if value is None or value < 0:
        raise ValueError(needs(owner, "a number from 0 up", name, value))
    return value


NonNegative = Annotated[float, _zero_or_more]


@export("layers.Activation")
@fields
class Activation(Layer):
    """Apply an activation function, given by name or as a function."""

    _config_tells_shape = True

    activation: activations.Activation
    supports_masking = True

    def call(self, inputs):
        return self.activation(inputs)


@export("layers.ReLU")
@fields
class ReLU(Layer):
    """`x` above `threshold` and up to `max_value`; below, `negative_slope * (x - threshold)`."""

    _config_tells_shape = True

    max_value: Annotated[float | None, optional(_zero_or_more)] = None
    negative_slope: NonNegative = 0.0
    threshold: NonNegative = 0.0
    supports_masking = True

    def call(self, inputs):
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class _Alpha(Layer):
    """Takes the old name of `negative_slope`."""

    def __init__(self, **kwargs: Any):
        self._alpha = kwargs.pop("alpha", None)
        super().__init__(**kwargs)


@export("layers.LeakyReLU")
@fields
class LeakyReLU(_Alpha):
    """`x` above 0, `negative_slope * x` below. `alpha` is the old name of the slope."""

    negative_slope: NonNegative = 0.3
    supports_masking = True

    def __post_init__(self):
        if self._alpha is not None:
            self.negative_slope = _zero_or_more(self._alpha, "alpha", self)

    def call(self, inputs):
        return activations.leaky_relu(inputs, self.negative_slope)


@export("layers.ELU")
@fields
class ELU(Layer):
    """`x` above 0, `alpha * (exp(x) - 1)` below. Clevert et al., 2016, arXiv:1511.07289."""

    alpha: float = 1.0
    supports_masking = True

    def call(self, inputs):
        return activations.elu(inputs, self.alpha)


@export("layers.PReLU")
@fields
class PReLU(Layer):
    """`x` above 0, `alpha * x` below, where `alpha` is learned. He et al., 2015, arXiv:1502.01852.

    Args:
        shared_axes: The axes along which all elements have the same `alpha`: `[1, 2]` after a
            convolution over images gives one for each channel.
    """

    alpha_initializer: Initializer = "Zeros"
    alpha_regularizer: Regularizer = None
    alpha_constraint: Constraint = None
    shared_axes: Axes = None

    alpha: Variable = owned()
    supports_masking = True

    def __post_init__(self):
        if self.shared_axes is not None:
            self.shared_axes = np.atleast_1d(self.shared_axes).tolist()

    def build(self, input_shape):
        shared = {axis % len(input_shape) for axis in self.shared_axes or ()}
        shape = [1 if i in shared else n for i, n in enumerate(input_shape)][1:]
        if None in shape:
            raise ValueError(
                f"{self._who} needs to know the sizes of its input, which has the shape "
                f"{tuple(input_shape)}; put axes of unknown size into `shared_axes`."
            )
        self.weight("alpha", tuple(shape))
        sizes = {i: n for i, n in enumerate(input_shape) if i and i not in shared}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=sizes)

    def call(self, inputs):
        return jnp.maximum(inputs, 0) + self.alpha.value * jnp.minimum(inputs, 0)


@export("layers.Softmax")
@fields
class Softmax(Layer):
    """`exp(x)`, scaled to sum 1 along `axis`, an axis or several; 0 where `mask` is False.

    A mask that does not broadcast to the input, as one of the steps of a sequence, is taken
    to hold for all that lies behind its axes.
    """

    axis: Axes = -1
    supports_masking = True

    def call(self, inputs, mask=None):
        axis = tuple(self.axis) if isinstance(self.axis, (list, tuple)) else self.axis
        if mask is None:
            return jax.nn.softmax(inputs, axis)
        mask = jnp.asarray(mask, bool)
        aligned = zip(reversed(mask.shape), reversed(inputs.shape))
        if any(m not in (1, n) for m, n in aligned):
            mask = mask.reshape((*mask.shape, *(1,) * (inputs.ndim - mask.ndim)))
        kept = jnp.broadcast_to(mask, inputs.shape)
        return jnp.where(kept, jax.nn.softmax(inputs, axis, where=kept), 0)
