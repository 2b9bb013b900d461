"""Long short-term memory whose states are images: matrix products become convolutions."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from keraunos.core.fields import DataFormat, Padding, PerAxis, Positive, fields
from keraunos.core.registry import export
from keraunos.layers.cells import Cell, ForgetBias, LSTMStep, arranged, begin, remembering
from keraunos.layers.recurrent import RNN, Running, begin_layer, make_cell
from keraunos.layers.spec import InputSpec
from keraunos.ops.conv import channel_axis, conv

# Cell ---------------------------------------------------------------------------------------


class Convolved(NamedTuple):
    """The product of a state with the recurrent kernel: a convolution that keeps its size."""

    kernel: Any
    masks: Any  # of dropout, one for each gate
    data_format: str

    def __call__(self, h):
        if self.masks is None:
            return conv(h, self.kernel, 1, "same", self.data_format)
        kernels = jnp.split(self.kernel, len(self.masks), -1)
        parts = [conv(h * m, k, 1, "same", self.data_format) for m, k in zip(self.masks, kernels)]
        return jnp.concatenate(parts, channel_axis(self.data_format))


class ConvLSTMStep(NamedTuple):
    """As `LSTMStep`, with the gates along the axis of the channels."""

    activation: Callable
    gate: Callable
    data_format: str

    def __call__(self, shared, projected, states):
        kernel, masks = shared
        step = LSTMStep(self.activation, self.gate, channel_axis(self.data_format))
        return step(Convolved(kernel, masks, self.data_format), projected, states)


@fields
class Converted:
    """The arguments of `Windows` as a layer has them."""

    filters: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    data_format: str
    dilation_rate: tuple[int, ...]


@arranged(begin)
class ConvLSTMCell(Cell, ForgetBias, Converted):
    """One step of a `ConvLSTM`."""

    gates = 4
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]

    def __post_init__(self):
        self.units = self.filters
        self._set_up()
        self.state_size = [self.filters, self.filters]
        self.rank = len(self.kernel_size)

    def build(self, input_shape):
        channels = input_shape[channel_axis(self.data_format)]
        width = self.filters * self.gates
        self.weight("kernel", (*self.kernel_size, channels, width))
        size = (*self.kernel_size, self.filters, width)
        self.weight("recurrent_kernel", size, role="recurrent")
        self.bias = None
        if self.use_bias:
            self.weight("bias", (width,), initializer=remembering(self))
        self.image = tuple(input_shape[1:])

    @property
    def step(self) -> Callable:
        return ConvLSTMStep(self.activation, self.recurrent_activation, self.data_format)

    def project(self, x, training: bool = False):
        """The part of the gates that comes from `(batch, *steps, *image)` alone."""
        steps = x.shape[: -self.rank - 1]
        masks, kernels = [1], [self.kernel.value]
        if training and self.dropout:
            shape = (steps[0], *(1,) * (len(steps) - 1), *x.shape[-self.rank - 1 :])
            masks = self._draw(self.gates, self.dropout, shape, x.dtype)
            kernels = jnp.split(self.kernel.value, self.gates, -1)
        flat = lambda x: x.reshape(-1, *x.shape[len(steps) :])
        parts = [self._over(flat(x * m), k) for m, k in zip(masks, kernels)]
        y = jnp.concatenate(parts, channel_axis(self.data_format))
        if self.bias is not None:
            ones = (1,) * (0 if self.data_format == "channels_last" else self.rank)
            y = y + self.bias.value.reshape(-1, *ones)
        return y.reshape(*steps, *y.shape[1:])

    def _over(self, x, kernel):
        return conv(x, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)

    def recurrent(self, states, training: bool = False) -> tuple:
        kernel, _, masks = super().recurrent(states, training)
        return kernel, masks

    def get_initial_state(self, batch_size=None):
        """Zeros of the size that an image has behind the convolution."""
        return self.states_for((batch_size, *self.image))

    def states_for(self, shape) -> list:
        """The initial states for a step of this shape."""
        size = (*self.kernel_size, shape[channel_axis(self.data_format)], self.filters)
        of = lambda shape: jax.ShapeDtypeStruct(shape, self.compute_dtype)
        state = jax.eval_shape(self._over, of(shape), of(size))
        return [jnp.zeros(state.shape, state.dtype) for _ in range(2)]


# Layers -------------------------------------------------------------------------------------


@fields
class Windows:
    """Arguments of what slides windows over space."""

    filters: Positive
    kernel_size: PerAxis
    strides: PerAxis = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: PerAxis = 1


class ConvLSTM(Running, ForgetBias, Windows, RNN):
    """What the three share: an `RNN` of a `ConvLSTMCell`."""

    rank: ClassVar[int]
    cell: ConvLSTMCell
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    data_format: str

    def _set_up(self) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{type(self).__name__} takes steps or has gaps, not both: `strides` is "
                f"{self.strides}, `dilation_rate` is {self.dilation_rate}. Make one of them 1."
            )
        self._runs(make_cell(self, ConvLSTMCell))
        self.input_spec = InputSpec(ndim=self.rank + 3)

    def _start(self, shape):
        return self.cell.states_for((shape[0], *shape[2:]))


@export("layers.ConvLSTM1D")
@arranged(begin_layer)
class ConvLSTM1D(ConvLSTM):
    """Long short-term memory over sequences of rows; Shi et al., 2015 (arXiv:1506.04214).

    The kernel slides over each row of the input by `strides`, the recurrent kernel over the
    states by 1. The other arguments are those of `LSTM`.

    Shapes: `(batch, steps, width, channels)` to `(batch, new_width, filters)`, or
    `(batch, steps, new_width, filters)` if `return_sequences`; with `return_state` followed by
    `h` and `c`. With "channels_first" the channels are in front of the width.
    """

    rank = 1

    def __post_init__(self):
        self._set_up()


@export("layers.ConvLSTM2D")
@arranged(begin_layer)
class ConvLSTM2D(ConvLSTM):
    """Long short-term memory over sequences of images; see `ConvLSTM1D`.

    Shapes: `(batch, steps, height, width, channels)` to `(batch, new_height, new_width,
    filters)`, or with the steps if `return_sequences`.
    """

    rank = 2

    def __post_init__(self):
        self._set_up()


@export("layers.ConvLSTM3D")
@arranged(begin_layer)
class ConvLSTM3D(ConvLSTM):
    """Long short-term memory over sequences of volumes; see `ConvLSTM1D`.

    Shapes: `(batch, steps, depth, height, width, channels)` to `(batch, new_depth, new_height,
    new_width, filters)`, or with the steps if `return_sequences`.
    """

    rank = 3

    def __post_init__(self):
        self._set_up()


__all__ = ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"]
