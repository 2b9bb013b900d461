"""Layers of Keras 1 and 2 that are gone, and some that took their arguments in another way."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keraunos import layers, ops
from keraunos.activations import Activation
from keraunos.core.fields import DataFormat, PerAxis, Positive, fields, owned
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.layers.conv import Windowed
from keraunos.layers.layer import Layer
from keraunos.layers.spec import Constraint, Initializer, Regularizer
from keraunos.legacy import arguments, backend
from keraunos.models import Model

# Convolutions under their names of Keras 1 -------------------------------------------------


class _Window(type):
    """`Convolution2D(32, 3, 3)` is a `Conv2D` with windows of 3 by 3."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        now: Any = cls.__mro__[1]
        if "now" not in vars(cls):  # a subclass of the user's
            return super().__call__(*args, **kwargs)
        return now(*arguments.window(args, now.rank, cls.__name__), **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__mro__[1])


def _of_keras_1(now: Any) -> Any:
    about = {"now": now, "__doc__": now.__doc__, "__module__": __name__}
    return _Window(now.__name__, (now,), about)


Convolution2D = AtrousConvolution2D = _of_keras_1(layers.Conv2D)
Convolution3D = _of_keras_1(layers.Conv3D)
Deconvolution2D = _of_keras_1(layers.Conv2DTranspose)
Deconvolution3D = _of_keras_1(layers.Conv3DTranspose)
SeparableConvolution2D = _of_keras_1(layers.SeparableConv2D)


# Merging -----------------------------------------------------------------------------------

_MODES = {
    "sum": layers.Add,
    "mul": layers.Multiply,
    "ave": layers.Average,
    "max": layers.Maximum,
}


def _merging(mode: Any, concat_axis: int, dot_axes: Any, output_shape: Any, given: Any, name: Any):
    if callable(mode):
        return layers.Lambda(mode, output_shape, arguments=given, name=name)
    if mode == "concat":
        return layers.Concatenate(axis=concat_axis, name=name)
    if mode in ("dot", "cos"):
        axes = dot_axes if isinstance(dot_axes, int) else np.ravel(dot_axes).tolist()
        return layers.Dot(axes=axes, normalize=mode == "cos", name=name)
    if mode not in _MODES:
        known = ", ".join([*_MODES, "concat", "dot", "cos"])
        raise ValueError(f"merge needs one of {known}, or a function, for `mode`, got {mode!r}.")
    return _MODES[mode](name=name)


def merge(
    inputs: Sequence, mode: Any = "sum", concat_axis: int = -1, dot_axes: Any = -1,
    output_shape: Any = None, output_mask: Any = None, arguments: Any = None, name: Any = None,
) -> Any:  # fmt: skip
    """Symbolic tensors made one: by their sum, product, mean, or joined, or by a function."""
    layer = _merging(mode, concat_axis, dot_axes, output_shape, arguments, name)
    return layer(list(inputs))


def Merge(
    layers: Sequence | None = None, mode: Any = "sum", concat_axis: int = -1, dot_axes: Any = -1,
    output_shape: Any = None, output_mask: Any = None, arguments: Any = None, name: Any = None,
    **kwargs: Any,
) -> Any:  # fmt: skip
    """The layer that does what `merge` does; the model that merges the outputs of `layers`."""
    layer = _merging(mode, concat_axis, dot_axes, output_shape, arguments, name)
    if not layers:
        return layer
    inputs = {id(t): t for part in layers for t in _list(part.input)}
    return Model(list(inputs.values()), layer([part.output for part in layers]))


def _list(value: Any) -> list:
    return value if isinstance(value, list) else [value]


# Layers of their own -----------------------------------------------------------------------


@fields
class _Local(Windowed):
    """Like a convolution, but with weights of its own at each place.

    Shapes: those of a convolution without padding; `kernel` is `(places, window * channels,
    filters)`, `bias` is `(*new_space, filters)`.
    """

    filters: Positive
    kernel_size: PerAxis
    strides: PerAxis = 1  # type: ignore[assignment]
    padding: str = "valid"
    data_format: DataFormat = None  # type: ignore[assignment]
    activation: Activation = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    implementation: int = 1

    kernel: Variable = owned()
    bias: Variable = owned()

    def __post_init__(self):
        if self.padding != "valid":
            raise ValueError(
                f"{type(self).__name__} has weights for each place, so `padding` must be 'valid', "
                f"got {self.padding!r}."
            )
        self.expect_space()

    def build(self, input_shape):
        channels = self.channels(input_shape)
        first = self.data_format == "channels_first"
        space = input_shape[2:] if first else input_shape[1:-1]
        if None in space:
            raise ValueError(
                f"{self._who} has weights for each place, so it must know the sizes of its input; "
                f"they are {tuple(input_shape)}."
            )
        sizes = zip(space, self.kernel_size, self.strides)
        new = [(n - k) // s + 1 for n, k, s in sizes]
        window = int(np.prod(self.kernel_size)) * channels
        self.weight("kernel", (int(np.prod(new)), window, self.filters))
        if self.use_bias:
            self.weight("bias", (*new, self.filters))

    def call(self, inputs):
        y = backend.local_conv(
            inputs, self.kernel, self.kernel_size, self.strides, None, self.data_format
        )
        if self.use_bias:
            first = self.data_format == "channels_first"
            y = y + (ops.moveaxis(self.bias, -1, 0) if first else self.bias)
        return self.activation(y)


@export("layers.LocallyConnected1D")
@fields
class LocallyConnected1D(_Local):
    __doc__ = _Local.__doc__
    rank = 1


@export("layers.LocallyConnected2D")
@fields
class LocallyConnected2D(_Local):
    __doc__ = _Local.__doc__
    rank = 2


@export("layers.ThresholdedReLU")
@fields
class ThresholdedReLU(Layer):
    """`x` where it is above `theta`, else 0."""

    theta: float = 1.0
    supports_masking = True

    def call(self, inputs):
        return ops.where(ops.greater(inputs, self.theta), inputs, 0.0)


@export("layers.MaxoutDense")
@fields
class MaxoutDense(Layer):
    """The largest of `nb_feature` linear maps; Goodfellow et al., 2013 (arXiv:1302.4389)."""

    units: Positive
    nb_feature: Positive = 4
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    use_bias: bool = True

    kernel: Variable = owned()

    def build(self, input_shape):
        self.weight("kernel", (self.nb_feature, input_shape[-1], self.units))
        self.bias: Any = 0.0
        if self.use_bias:
            self.weight("bias", (self.nb_feature, self.units))

    def call(self, inputs):
        return ops.max(ops.einsum("...i,fio->...fo", inputs, self.kernel) + self.bias, axis=-2)


@export("layers.Highway")
@fields
class Highway(Layer):
    """A gate chooses between the input and a dense map of it; Srivastava et al., 2015."""

    kernel_initializer: Initializer = "glorot_uniform"
    activation: Activation = None
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    use_bias: bool = True
    transform_bias: float = -1.0

    kernel: Variable = owned()
    carry: Variable = owned()

    def build(self, input_shape):
        size = input_shape[-1]
        self.weight("kernel", (size, size))
        self.weight("carry", (size, size), "kernel")
        self.bias: Any = 0.0
        self.carry_bias: Any = 0.0
        if self.use_bias:
            self.bias = self.add_weight((size,), "zeros", name="bias")
            start = lambda shape, dtype=None: np.full(shape, self.transform_bias, dtype)
            self.carry_bias = self.add_weight((size,), start, name="carry_bias")

    def call(self, inputs):
        gate = ops.sigmoid(ops.matmul(inputs, self.carry) + self.carry_bias)
        new = self.activation(ops.matmul(inputs, self.kernel) + self.bias)
        return gate * new + (1 - gate) * inputs


__all__ = [
    "AtrousConvolution2D", "Convolution2D", "Convolution3D", "Deconvolution2D", "Deconvolution3D",
    "Highway", "LocallyConnected1D", "LocallyConnected2D", "MaxoutDense", "Merge",
    "SeparableConvolution2D", "ThresholdedReLU", "merge",
]  # fmt: skip
