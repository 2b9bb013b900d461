"""Convolutions over one, two and three axes of space, written once."""

from typing import Annotated, Any, ClassVar, TypeVar

import jax.numpy as jnp

from keraunos.activations import Activation
from keraunos.core.fields import (
    DataFormat,
    PerAxis,
    Positive,
    declare,
    fields,
    needs,
    one_of,
    owned,
    per_axis,
)
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.layers.layer import Layer
from keraunos.layers.lora import AdaptableByOption, Adapted
from keraunos.layers.spec import Constraint, Initializer, InputSpec, Regularizer
from keraunos.ops.conv import channel_axis, conv, conv_transpose, depthwise_conv

C = TypeVar("C", bound=type)


def _padding(value, name, owner):
    causal = ("causal",) if owner.causal else ()
    return one_of("valid", "same", *causal)(value, name, owner)


def _output_padding(value, name, owner):
    if value is None:
        return None
    sizes = tuple(value) if hasattr(value, "__len__") else (value,) * owner.rank
    if len(sizes) != owner.rank or any(int(n) != n or n < 0 for n in sizes):
        expected = f"an integer that is not negative or {owner.rank} of them"
        raise ValueError(needs(owner, expected, name, value))
    return tuple(int(n) for n in sizes)


ConvPadding = Annotated[str, _padding]
OutputPadding = Annotated[Any, _output_padding]


def spread(cls: C) -> C:
    """Let `cls` say defaults for each axis, as `(1, 1)`, where its base says one for all."""
    own = [
        field._replace(default=(field.default,) * cls.rank)
        if field.convert is per_axis and isinstance(field.default, int) and cls.rank > 1
        else field
        for field in cls.__fields__.values()
    ]
    return declare(cls, own, cls.__init__)  # type: ignore[misc]


class Windowed(Layer):
    """What layers share whose windows slide over `rank` axes of space."""

    _config_tells_shape = True

    rank: ClassVar[int]
    causal: ClassVar[bool] = False
    data_format: str
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    activation: Any
    use_bias: bool
    bias: Variable

    def expect_space(self) -> None:
        """Refuse inputs of a lower rank."""
        self.input_spec = InputSpec(min_ndim=self.rank + 2)

    def steps_or_gaps(self) -> None:
        """Refuse to have both, as Keras does."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{type(self).__name__} takes steps or has gaps, not both: `strides` is "
                f"{self.strides}, `dilation_rate` is {self.dilation_rate}. Make one of them 1."
            )

    def channels(self, input_shape) -> int:
        """The number of channels of the input; from now on others are refused."""
        axis = channel_axis(self.data_format)
        if len(input_shape) != self.rank + 2 or input_shape[axis] is None:
            raise ValueError(
                f"{self._who} needs an input of {self.rank + 2} axes, with a known size on axis "
                f"{axis}, the channels; it has the shape {tuple(input_shape)}."
            )
        self.input_spec = InputSpec(min_ndim=self.rank + 2, axes={axis: input_shape[axis]})
        return input_shape[axis]

    def finish(self, y):
        """The bias, and the activation."""
        if self.use_bias:
            last = self.data_format == "channels_last"
            bias = self.bias.value
            y = y + (bias if last else bias.reshape(-1, *(1,) * self.rank))
        return self.activation(y)


@fields
class Conv(AdaptableByOption, Windowed):
    """Slide a window of weights over the input, add a bias.

    Shapes: `(batch, *space, channels)` to `(batch, *new_space, filters)`, or with the channels
    right after the batch if `data_format` is "channels_first"; `kernel` is
    `(*kernel_size, channels // groups, filters)`.

    Args:
        padding: In one dimension also "causal": zeros only before, so that no output
            depends on what comes after it.
        dilation_rate: The distance of the weights' positions in the input.
        groups: Into how many equal parts channels and filters are split; every part of
            the filters sees one part of the channels.
    """

    filters: Positive
    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: ConvPadding = "valid"
    data_format: DataFormat = None
    dilation_rate: PerAxis = 1
    groups: Positive = 1
    activation: Activation = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    kernel = Adapted()
    adapted = "kernel"

    def __post_init__(self):
        self.expect_space()
        self.steps_or_gaps()
        if self.filters % self.groups:
            raise ValueError(
                f"{type(self).__name__}: {self.filters} `filters` do not split into "
                f"{self.groups} equal `groups`."
            )

    def build(self, input_shape):
        channels = self.channels(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{self._who[:-1]}: the {channels} channels of an input of shape "
                f"{tuple(input_shape)} do not split into {self.groups} equal `groups`."
            )
        self.weight("kernel", (*self.kernel_size, channels // self.groups, self.filters))
        if self.use_bias:
            self.weight("bias", (self.filters,))

    def convolution_op(self, inputs, kernel):
        """The convolution, without bias and activation."""
        padding = self.padding
        if padding == "causal":
            before = (self.kernel_size[0] - 1) * self.dilation_rate[0]
            axis = 1 if self.data_format == "channels_last" else 2
            around = [(before if i == axis else 0, 0) for i in range(3)]
            inputs, padding = jnp.pad(inputs, around), "valid"
        return conv(inputs, kernel, self.strides, padding, self.data_format, self.dilation_rate)

    def call(self, inputs):
        return self.finish(self.convolution_op(inputs, self.kernel))


@export("layers.Conv1D", "Convolution1D")
@spread
class Conv1D(Conv):
    """`Conv` over sequences, `(batch, steps, channels)`."""

    rank, causal = 1, True


@export("layers.Conv2D", "Convolution2D")
@spread
class Conv2D(Conv):
    """`Conv` over images, `(batch, height, width, channels)`."""

    rank = 2


@export("layers.Conv3D", "Convolution3D")
@spread
class Conv3D(Conv):
    """`Conv` over volumes, `(batch, depth, height, width, channels)`."""

    rank = 3


@fields
class ConvTranspose(Windowed):
    """Let every element of the input add a multiple of the window of weights to the output.

    The gradient of a convolution with respect to its input: it turns the shape of what a
    `Conv` with the same arguments returns into the shape it was given. Shapes:
    `(batch, *space, channels)` to `(batch, *new_space, filters)`; `kernel` is
    `(*kernel_size, filters, channels)`.

    Args:
        output_padding: How many more elements the output has after each axis; less than the
            stride. It decides between the sizes that a strided convolution makes the same.
    """

    filters: Positive
    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: ConvPadding = "valid"
    output_padding: OutputPadding = None
    data_format: DataFormat = None
    dilation_rate: PerAxis = 1
    activation: Activation = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    kernel: Variable = owned()

    def __post_init__(self):
        self.expect_space()
        self.steps_or_gaps()
        if self.output_padding and any(
            more >= step for more, step in zip(self.output_padding, self.strides)
        ):
            raise ValueError(
                f"{type(self).__name__} needs an `output_padding` less than the strides on every "
                f"axis, got {self.output_padding} with `strides` {self.strides}."
            )

    def build(self, input_shape):
        self.weight("kernel", (*self.kernel_size, self.filters, self.channels(input_shape)))
        if self.use_bias:
            self.weight("bias", (self.filters,))

    def call(self, inputs):
        y = conv_transpose(
            inputs,
            self.kernel,
            self.strides,
            self.padding,
            self.output_padding,
            self.data_format,
            self.dilation_rate,
        )
        return self.finish(y)


@export("layers.Conv1DTranspose", "Convolution1DTranspose")
@spread
class Conv1DTranspose(ConvTranspose):
    """`ConvTranspose` over sequences, `(batch, steps, channels)`."""

    rank = 1


@export("layers.Conv2DTranspose", "Convolution2DTranspose")
@spread
class Conv2DTranspose(ConvTranspose):
    """`ConvTranspose` over images, `(batch, height, width, channels)`."""

    rank = 2


@export("layers.Conv3DTranspose", "Convolution3DTranspose")
@spread
@fields
class Conv3DTranspose(ConvTranspose):
    """`ConvTranspose` over volumes, `(batch, depth, height, width, channels)`."""

    rank: ClassVar[int] = 3

    # The same arguments; only here Keras has these two in the other order.
    filters: Positive  # pyright: ignore
    kernel_size: PerAxis  # pyright: ignore
    strides: PerAxis = 1
    padding: ConvPadding = "valid"
    data_format: DataFormat = None
    output_padding: OutputPadding = None


@fields
class DepthwiseConv(Windowed):
    """Slide windows of weights over the input, over every channel its own.

    Shapes: `(batch, *space, channels)` to `(batch, *new_space, channels * depth_multiplier)`;
    `kernel` is `(*kernel_size, channels, depth_multiplier)`.

    Args:
        depth_multiplier: How many windows each channel has.
    """

    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: ConvPadding = "valid"
    depth_multiplier: Positive = 1
    data_format: DataFormat = None
    dilation_rate: PerAxis = 1
    activation: Activation = None
    use_bias: bool = True
    depthwise_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    depthwise_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    depthwise_constraint: Constraint = None
    bias_constraint: Constraint = None

    kernel: Variable = owned()

    def __post_init__(self):
        self.expect_space()

    def build(self, input_shape):
        channels = self.channels(input_shape)
        self.weight("kernel", (*self.kernel_size, channels, self.depth_multiplier), "depthwise")
        if self.use_bias:
            self.weight("bias", (channels * self.depth_multiplier,))

    def call(self, inputs):
        y = depthwise_conv(
            inputs, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )
        return self.finish(y)


@export("layers.DepthwiseConv1D")
@spread
class DepthwiseConv1D(DepthwiseConv):
    """`DepthwiseConv` over sequences, `(batch, steps, channels)`."""

    rank = 1


@export("layers.DepthwiseConv2D")
@spread
class DepthwiseConv2D(DepthwiseConv):
    """`DepthwiseConv` over images, `(batch, height, width, channels)`."""

    rank = 2


@fields
class SeparableConv(Windowed):
    """A convolution of each channel by itself, then a `Dense` layer over the channels.

    Shapes: `(batch, *space, channels)` to `(batch, *new_space, filters)`; `depthwise_kernel` is
    `(*kernel_size, channels, depth_multiplier)`, `pointwise_kernel` is
    `(1, ..., channels * depth_multiplier, filters)`.

    Args:
        depth_multiplier: How many windows each channel has.
    """

    filters: Positive
    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: ConvPadding = "valid"
    data_format: DataFormat = None
    dilation_rate: PerAxis = 1
    depth_multiplier: Positive = 1
    activation: Activation = None
    use_bias: bool = True
    depthwise_initializer: Initializer = "glorot_uniform"
    pointwise_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    depthwise_regularizer: Regularizer = None
    pointwise_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    depthwise_constraint: Constraint = None
    pointwise_constraint: Constraint = None
    bias_constraint: Constraint = None

    depthwise_kernel: Variable = owned()
    pointwise_kernel: Variable = owned()

    def __post_init__(self):
        self.expect_space()

    def build(self, input_shape):
        channels, multiplier = self.channels(input_shape), self.depth_multiplier
        one = (1,) * self.rank
        self.weight("depthwise_kernel", (*self.kernel_size, channels, multiplier), "depthwise")
        self.weight("pointwise_kernel", (*one, channels * multiplier, self.filters), "pointwise")
        if self.use_bias:
            self.weight("bias", (self.filters,))

    def call(self, inputs):
        y = depthwise_conv(
            inputs,
            self.depthwise_kernel,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )
        return self.finish(conv(y, self.pointwise_kernel, data_format=self.data_format))


@export("layers.SeparableConv1D", "SeparableConvolution1D")
@spread
class SeparableConv1D(SeparableConv):
    """`SeparableConv` over sequences, `(batch, steps, channels)`."""

    rank = 1


@export("layers.SeparableConv2D", "SeparableConvolution2D")
@spread
class SeparableConv2D(SeparableConv):
    """`SeparableConv` over images, `(batch, height, width, channels)`."""

    rank = 2


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
