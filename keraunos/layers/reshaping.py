"""Layers that move elements, cut them off or repeat them, and compute nothing."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from keraunos.core.fields import DataFormat, PerAxis, Positive, fields, needs, one_of
from keraunos.core.registry import export
from keraunos.layers.layer import Layer
from keraunos.layers.spec import InputSpec


@export("layers.Flatten")
@fields
class Flatten(Layer):
    """All axes but the batch, in one: `(batch, a, b, ...)` to `(batch, a * b * ...)`.

    With "channels_first" the channels are moved to the end before, so that the order of the
    elements does not depend on the data format.
    """

    _config_tells_shape = True

    data_format: DataFormat = None

    def __post_init__(self):
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs):
        if self.data_format == "channels_first" and inputs.ndim > 1:
            inputs = jnp.moveaxis(inputs, 1, -1)
        return inputs.reshape((inputs.shape[0], math.prod(inputs.shape[1:])))


def _sizes(value: Any, name: str, owner: Any) -> tuple[int, ...]:
    sizes = (value,) if isinstance(value, (int, np.integer)) else tuple(value)
    whole = all(isinstance(n, (int, np.integer)) and n >= -1 for n in sizes)
    if not whole or sizes.count(-1) > 1:
        raise ValueError(needs(owner, "a tuple of sizes, at most one of them -1", name, value))
    return tuple(int(n) for n in sizes)


@export("layers.Reshape")
@fields
class Reshape(Layer):
    """The same elements in the shape `(batch, *target_shape)`; one size may be -1."""

    _config_tells_shape = True

    target_shape: Annotated[Any, _sizes]

    def build(self, input_shape):
        want = math.prod(n for n in self.target_shape if n != -1)
        if None in input_shape[1:]:
            return
        have = math.prod(input_shape[1:])
        fits = have == want if -1 not in self.target_shape else want and have % want == 0
        if not fits:
            raise ValueError(
                f"{self._who} cannot give the {have} elements of an input of shape "
                f"{tuple(input_shape)} the shape {self.target_shape}."
            )

    def call(self, inputs):
        return inputs.reshape((inputs.shape[0], *self.target_shape))


@export("layers.Permute")
@fields
class Permute(Layer):
    """The axes in another order: `dims` names them from 1 on, for the batch stays where it is."""

    dims: Annotated[Any, lambda value, name, owner: tuple(value)]

    def __post_init__(self):
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            expected = f"each of 1 to {len(self.dims)} once"
            raise ValueError(needs(self, expected, "dims", self.dims))
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def _way_out(self, spec, value, shape) -> str:
        return f" Its `dims`, {self.dims}, must be one for each axis but the batch."

    def call(self, inputs):
        return jnp.transpose(inputs, (0, *self.dims))


@export("layers.RepeatVector")
@fields
class RepeatVector(Layer):
    """The input `n` times: `(batch, features)` to `(batch, n, features)`."""

    n: Positive

    def __post_init__(self):
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs):
        return jnp.repeat(inputs[:, None], self.n, axis=1)


# Layers that treat each axis of space by itself -------------------------------------------


@fields
class Spatial(Layer):
    """Base of layers on `(batch, *space, channels)`, or `(batch, channels, *space)`."""

    _config_tells_shape = True

    rank: ClassVar[int]
    data_format: ClassVar[str] = "channels_last"  # of layers that leave no choice

    def __post_init__(self):
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def _space(self) -> range:
        """The axes of space."""
        first = 1 if self.data_format == "channels_last" else 2
        return range(first, first + self.rank)


def _pairs(value: Any, name: str, owner: Any) -> Any:
    """What to do at both ends of each axis of space: `n`, `(n, m, ...)` or `((a, b), ...)`."""
    whole = lambda n: isinstance(n, (int, np.integer)) and n >= 0
    pair = lambda v: isinstance(v, (list, tuple)) and len(v) == 2 and all(map(whole, v))
    if whole(value):
        pairs = [(value, value)] * owner.rank
    elif owner.rank == 1 and pair(value):
        pairs = [value]
    elif isinstance(value, (list, tuple)) and len(value) == owner.rank:
        pairs = [(v, v) if whole(v) else v for v in value]
    else:
        pairs = []
    if not pairs or not all(map(pair, pairs)):
        many = "two integers" if owner.rank == 1 else f"{owner.rank} integers or pairs of them"
        raise ValueError(needs(owner, f"an integer from 0 up or {many}", name, value))
    pairs = tuple((int(a), int(b)) for a, b in pairs)
    return pairs[0] if owner.rank == 1 else pairs


Pairs = Annotated[Any, _pairs]


def _each(pairs: Sequence) -> Sequence:
    """The pairs of all axes; the pair of a single axis is kept by itself."""
    return [pairs] if isinstance(pairs[0], int) else pairs


class Cropping(Spatial):
    """Cut off some elements at both ends of each axis of space."""

    cropping: Any

    def build(self, input_shape):
        for axis, (a, b) in zip(self._space, _each(self.cropping)):
            size = input_shape[axis]
            if size is not None and a + b >= size:
                raise ValueError(
                    f"{self._who} would leave nothing of an input of shape {tuple(input_shape)}: "
                    f"axis {axis} has size {size}, and {a} + {b} are to be cut off. Crop less."
                )

    def call(self, inputs):
        for axis, (a, b) in zip(self._space, _each(self.cropping)):
            inputs = jax.lax.slice_in_dim(inputs, a, inputs.shape[axis] - b, axis=axis)
        return inputs


@export("layers.Cropping1D")
@fields
class Cropping1D(Cropping):
    """Cut `cropping = (start, end)` steps off: `(batch, n, c)` to `(batch, n - start - end, c)`."""

    rank = 1
    cropping: Pairs = (1, 1)


@export("layers.Cropping2D")
@fields
class Cropping2D(Cropping):
    """Cut rows and columns off images: `((top, bottom), (left, right))`."""

    rank = 2
    cropping: Pairs = ((0, 0), (0, 0))
    data_format: DataFormat = None


@export("layers.Cropping3D")
@fields
class Cropping3D(Cropping):
    """Cut elements off volumes, at both ends of three axes."""

    rank = 3
    cropping: Pairs = ((1, 1), (1, 1), (1, 1))
    data_format: DataFormat = None


class ZeroPadding(Spatial):
    """Put zeros at both ends of each axis of space."""

    padding: Any

    def call(self, inputs):
        widths = [(0, 0)] * inputs.ndim
        for axis, pair in zip(self._space, _each(self.padding)):
            widths[axis] = pair
        return jnp.pad(inputs, widths)


@export("layers.ZeroPadding1D")
@fields
class ZeroPadding1D(ZeroPadding):
    """Put `padding = (start, end)` zeros around a sequence."""

    rank = 1
    padding: Pairs = 1
    data_format: DataFormat = None


@export("layers.ZeroPadding2D")
@fields
class ZeroPadding2D(ZeroPadding):
    """Put zeros around images: `((top, bottom), (left, right))`."""

    rank = 2
    padding: Pairs = (1, 1)
    data_format: DataFormat = None


@export("layers.ZeroPadding3D")
@fields
class ZeroPadding3D(ZeroPadding):
    """Put zeros around volumes, at both ends of three axes."""

    rank = 3
    padding: Pairs = ((1, 1), (1, 1), (1, 1))
    data_format: DataFormat = None


class UpSampling(Spatial):
    """Repeat the elements along each axis of space."""

    size: Any

    def call(self, inputs):
        sizes = [self.size] * self.rank if isinstance(self.size, int) else self.size
        for axis, n in zip(self._space, sizes):
            inputs = jnp.repeat(inputs, n, axis=axis)
        return inputs


@export("layers.UpSampling1D")
@fields
class UpSampling1D(UpSampling):
    """Each step `size` times: `(batch, steps, c)` to `(batch, steps * size, c)`."""

    rank = 1
    size: Positive = 2


METHODS = {"bilinear": "linear", "bicubic": "cubic", "lanczos3": "lanczos3", "lanczos5": "lanczos5"}


@export("layers.UpSampling2D")
@fields
class UpSampling2D(UpSampling):
    """Images `size` times as large, `(rows, columns)`.

    Args:
        interpolation: "nearest" repeats pixels; "bilinear", "bicubic", "lanczos3" and
            "lanczos5" compute those between.
    """

    rank = 2
    size: PerAxis = (2, 2)
    data_format: DataFormat = None
    interpolation: Annotated[str, one_of("nearest", *METHODS)] = "nearest"

    def call(self, inputs):
        if self.interpolation == "nearest":
            return super().call(inputs)
        shape = list(inputs.shape)
        for axis, n in zip(self._space, self.size):
            shape[axis] *= n
        return jax.image.resize(inputs, shape, METHODS[self.interpolation], antialias=False)


@export("layers.UpSampling3D")
@fields
class UpSampling3D(UpSampling):
    """Volumes `size` times as large along three axes, by repeating elements."""

    rank = 3
    size: PerAxis = (2, 2, 2)
    data_format: DataFormat = None
