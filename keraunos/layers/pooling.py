"""Pooling over windows, over all of space, or into a given number of windows."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp

from keraunos.core.fields import DataFormat, Padding, PerAxis, fields, option, per_axis
from keraunos.core.registry import export
from keraunos.layers.conv import spread
from keraunos.layers.layer import Layer
from keraunos.layers.spec import InputSpec
from keraunos.ops.pool import adaptive_average_pool, adaptive_max_pool, average_pool, max_pool


class _Pooling(Layer):
    _config_tells_shape = True

    rank: ClassVar[int]
    data_format: str

    def expect_space(self) -> None:
        """Refuse inputs of another rank."""
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def space(self) -> tuple[int, ...]:
        """The axes of space."""
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))


def _strides(value, name, owner):
    return per_axis(owner.pool_size if value is None else value, name, owner)


Strides = Annotated[Any, _strides]


class _Windows(_Pooling):
    pool: ClassVar[Callable]
    pool_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str

    def call(self, inputs):
        shape = tuple(inputs.shape[axis] for axis in self.space)
        if self.padding == "valid" and any(
            isinstance(have, int) and have < size for have, size in zip(shape, self.pool_size)
        ):
            raise ValueError(
                f"{self._who[:-1]}: the output would be empty, for windows of `pool_size` "
                f"{self.pool_size} do not fit into a space of {shape}. Use a smaller `pool_size`, "
                "or padding='same'."
            )
        return type(self).pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


@fields
class MaxPooling(_Windows):
    """The largest element of each window, channel by channel.

    Shapes: `(batch, *space, channels)` to `(batch, *new_space, channels)`. Windows are
    `pool_size` wide and `strides` apart, which is `pool_size` by default.
    """

    pool: ClassVar[Callable] = staticmethod(max_pool)
    pool_size: PerAxis = 2
    strides: Strides = None
    padding: Padding = "valid"
    data_format: DataFormat = None
    name: str | None = option(default=None)

    def __post_init__(self):
        self.expect_space()


@fields
class AveragePooling(_Windows):
    """The mean of each window, channel by channel; what padding adds does not count.

    Shapes: `(batch, *space, channels)` to `(batch, *new_space, channels)`. Windows are
    `pool_size` wide and `strides` apart, which is `pool_size` by default.
    """

    pool: ClassVar[Callable] = staticmethod(average_pool)
    pool_size: PerAxis
    strides: Strides = None
    padding: Padding = "valid"
    data_format: DataFormat = None
    name: str | None = option(default=None)

    def __post_init__(self):
        self.expect_space()


@export("layers.MaxPooling1D", "MaxPool1D")
@spread
class MaxPooling1D(MaxPooling):
    """`MaxPooling` of sequences, `(batch, steps, channels)`."""

    rank = 1


@export("layers.MaxPooling2D", "MaxPool2D")
@spread
class MaxPooling2D(MaxPooling):
    """`MaxPooling` of images, `(batch, height, width, channels)`."""

    rank = 2


@export("layers.MaxPooling3D", "MaxPool3D")
@spread
class MaxPooling3D(MaxPooling):
    """`MaxPooling` of volumes, `(batch, depth, height, width, channels)`."""

    rank = 3


@export("layers.AveragePooling1D", "AvgPool1D")
class AveragePooling1D(AveragePooling):
    """`AveragePooling` of sequences, `(batch, steps, channels)`."""

    rank = 1


@export("layers.AveragePooling2D", "AvgPool2D")
class AveragePooling2D(AveragePooling):
    """`AveragePooling` of images, `(batch, height, width, channels)`."""

    rank = 2


@export("layers.AveragePooling3D", "AvgPool3D")
class AveragePooling3D(AveragePooling):
    """`AveragePooling` of volumes, `(batch, depth, height, width, channels)`."""

    rank = 3


@fields
class GlobalPooling(_Pooling):
    """One number for each channel.

    Shapes: `(batch, *space, channels)` to `(batch, channels)`; with `keepdims`, all axes
    stay, those of space with size 1.
    """

    data_format: DataFormat = None
    keepdims: bool = False

    def __post_init__(self):
        self.expect_space()


class GlobalMaxPooling(GlobalPooling):
    """The largest element of each channel."""

    def call(self, inputs):
        return jnp.max(inputs, self.space, keepdims=self.keepdims)


class GlobalAveragePooling(GlobalPooling):
    """The mean of each channel."""

    def call(self, inputs):
        return jnp.mean(inputs, self.space, keepdims=self.keepdims)


@export("layers.GlobalMaxPooling1D", "GlobalMaxPool1D")
class GlobalMaxPooling1D(GlobalMaxPooling):
    """The largest element of each channel of a sequence."""

    rank = 1


@export("layers.GlobalMaxPooling2D", "GlobalMaxPool2D")
class GlobalMaxPooling2D(GlobalMaxPooling):
    """The largest element of each channel of an image."""

    rank = 2


@export("layers.GlobalMaxPooling3D", "GlobalMaxPool3D")
class GlobalMaxPooling3D(GlobalMaxPooling):
    """The largest element of each channel of a volume."""

    rank = 3


@export("layers.GlobalAveragePooling1D", "GlobalAvgPool1D")
class GlobalAveragePooling1D(GlobalAveragePooling):
    """The mean of each channel of a sequence; of the steps that the mask lets pass."""

    rank = 1
    supports_masking = True

    def compute_mask(self, inputs, previous_mask):
        return None

    def call(self, inputs, mask=None):
        if mask is None:
            return super().call(inputs)
        (axis,) = self.space
        mask = jnp.expand_dims(jnp.asarray(mask, inputs.dtype), 3 - axis)
        total = jnp.sum(inputs * mask, axis, keepdims=self.keepdims)
        return total / jnp.sum(mask, axis, keepdims=self.keepdims)


@export("layers.GlobalAveragePooling2D", "GlobalAvgPool2D")
class GlobalAveragePooling2D(GlobalAveragePooling):
    """The mean of each channel of an image."""

    rank = 2


@export("layers.GlobalAveragePooling3D", "GlobalAvgPool3D")
class GlobalAveragePooling3D(GlobalAveragePooling):
    """The mean of each channel of a volume."""

    rank = 3


@fields
class AdaptivePooling(_Pooling):
    """Pool over windows that cover space evenly, as many as `output_size` says.

    Shapes: `(batch, *space, channels)` to `(batch, *output_size, channels)`. Window i of n, over
    a size s, reaches from `floor(i * s / n)` to `ceil((i + 1) * s / n)`.
    """

    pool: ClassVar[Callable]
    output_size: PerAxis
    data_format: DataFormat = None

    def __post_init__(self):
        self.expect_space()

    def call(self, inputs):
        return type(self).pool(inputs, self.output_size, self.data_format)


class AdaptiveMaxPooling(AdaptivePooling):
    """The largest element of each of `output_size` windows."""

    pool = staticmethod(adaptive_max_pool)


class AdaptiveAveragePooling(AdaptivePooling):
    """The mean of each of `output_size` windows."""

    pool = staticmethod(adaptive_average_pool)


@export("layers.AdaptiveMaxPooling1D")
class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """The largest elements of `output_size` windows of a sequence."""

    rank = 1


@export("layers.AdaptiveMaxPooling2D")
class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """The largest elements of `output_size` windows of an image."""

    rank = 2


@export("layers.AdaptiveMaxPooling3D")
class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """The largest elements of `output_size` windows of a volume."""

    rank = 3


@export("layers.AdaptiveAveragePooling1D")
class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """The means of `output_size` windows of a sequence."""

    rank = 1


@export("layers.AdaptiveAveragePooling2D")
class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """The means of `output_size` windows of an image."""

    rank = 2


@export("layers.AdaptiveAveragePooling3D")
class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """The means of `output_size` windows of a volume."""

    rank = 3


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = (
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)
