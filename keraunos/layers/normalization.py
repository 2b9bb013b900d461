"""Layers that give their input a mean and a scale."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from keraunos.core.fields import Positive, fields, needs, owned
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.layers.layer import Layer
from keraunos.layers.spec import Constraint, Initializer, InputSpec, Regularizer
from keraunos.layers.wrappers import Wrapper


def wide(x):
    """`x` in float32 if it has less: half precision overflows in a variance."""
    return x.astype(jnp.promote_types(x.dtype, "float32"))


def _sizes(layer: Layer, shape: Sequence[int | None], axes: Sequence[int]) -> tuple[int, ...]:
    """The sizes of `shape` along `axes`, which must be there and be known."""
    rank = len(shape)
    if any(not -rank <= axis < rank or shape[axis] is None for axis in axes):
        raise ValueError(
            f"{layer._who} needs to know the sizes along {list(axes)} of its input, which has the "
            f"shape {tuple(shape)}. The last axis is `axis=-1`."
        )
    return tuple(shape[axis] for axis in axes)  # type: ignore[misc]


def _along(values: Any, axes: Sequence[int], rank: int):
    """`values`, one for each place on `axes`, shaped to broadcast over `rank` axes."""
    places = {axis % rank for axis in axes}
    sizes = iter(values.shape)
    return values.reshape([next(sizes) if i in places else 1 for i in range(rank)])


def _has_beta(layer: Any) -> bool:
    return layer.center and not getattr(layer, "rms_scaling", False)


def _make_gamma_beta(layer: Any, shape: tuple[int, ...]) -> None:
    """Make those of `gamma` and `beta` that a layer has."""
    if layer.scale:
        layer.weight("gamma", shape, autocast=False)
    if _has_beta(layer):
        layer.weight("beta", shape, autocast=False)


def _gamma_beta(layer: Any, y: Any, axes: Sequence[int]):
    """`y`, scaled by `gamma` and shifted by `beta`."""
    if layer.scale:
        y = y * _along(layer.gamma.value, axes, y.ndim)
    return y + _along(layer.beta.value, axes, y.ndim) if _has_beta(layer) else y


def _check_axis(value: Any, name: str, owner: Any) -> int:
    if not isinstance(value, (int, np.integer)):
        raise TypeError(needs(owner, "an integer", name, value))
    return int(value)


def _clipping(value: Any, name: str, owner: Any) -> dict | None:
    names = ["rmax", "rmin", "dmax"]
    if value is not None and (not isinstance(value, dict) or set(value) - set(names)):
        raise ValueError(needs(owner, f"a dict with keys among {names}", name, value))
    return value


@export("layers.BatchNormalization", "BatchNorm")
@fields
class BatchNormalization(Layer):
    """Shift and scale each channel to mean `beta` and deviation `gamma`.

    In training the mean and variance are those of the batch, and their moving averages
    are kept; otherwise, and when `trainable` is False, the moving averages are used.
    Ioffe & Szegedy, 2015, https://arxiv.org/abs/1502.03167

    Shapes: unchanged. All variables are `(channels,)`, the size of `axis`.

    Args:
        renorm: Whether training corrects the batch's mean and deviation towards their moving
            averages, as far as `renorm_clipping` (keys rmax, rmin, dmax) lets it. Ioffe, 2017,
            https://arxiv.org/abs/1702.03275
        synchronized: For the signature. A batch that is spread over devices always counts as one.
    """

    _config_tells_shape = True

    axis: Annotated[int, _check_axis] = -1
    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    moving_mean_initializer: Initializer = "zeros"
    moving_variance_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None
    renorm: bool = False
    renorm_clipping: Annotated[dict | None, _clipping] = None
    renorm_momentum: float = 0.99
    synchronized: bool = False

    gamma: Variable = owned()
    beta: Variable = owned()
    moving_mean: Variable = owned()
    moving_variance: Variable = owned()
    moving_stddev: Variable = owned()
    renorm_mean: Variable = owned()
    renorm_stddev: Variable = owned()
    supports_masking = True

    def build(self, input_shape):
        shape = _sizes(self, input_shape, [self.axis])
        _make_gamma_beta(self, shape)
        fixed: dict[str, Any] = {"trainable": False, "autocast": False}
        self.weight("moving_mean", shape, **fixed)
        self.weight("moving_variance", shape, **fixed)
        if self.renorm:
            deviation = lambda shape, dtype: jnp.sqrt(self.moving_variance.value)
            self.weight("moving_stddev", shape, initializer=deviation, **fixed)
            self.weight("renorm_mean", shape, role="moving_mean", **fixed)
            self.weight("renorm_stddev", shape, initializer=deviation, **fixed)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: shape[0]})

    def call(self, inputs, training=None, mask=None):
        x = wide(inputs)
        if mask is not None and len(mask.shape) >= x.ndim:
            raise ValueError(
                f"{self._who} needs a mask of fewer axes than its input, got the shapes "
                f"{mask.shape} and {x.shape}."
            )
        if training and self.trainable:
            mean, variance = self._moments(x, mask)
            y = self._renormed(x, mean, variance) if self.renorm else None
            if not self.renorm:
                self._average(self.moving_mean, mean)
                self._average(self.moving_variance, variance)
        else:
            mean, variance, y = self.moving_mean.value, self.moving_variance.value, None
        if y is None:
            y = self._spread(x, -mean) * self._scaled(variance, x.ndim)
        elif self.scale:
            y = y * self._wide(self.gamma.value, x.ndim)
        if self.center:
            y = self._spread(y, self.beta.value)
        return y.astype(self.compute_dtype)

    def _wide(self, values, rank: int):
        return _along(values, [self.axis], rank)

    def _spread(self, x, values):
        return x + self._wide(values, x.ndim)

    def _scaled(self, variance, rank: int):
        inverse = lax.rsqrt(variance + self.epsilon)
        return self._wide(inverse * self.gamma.value if self.scale else inverse, rank)

    def _moments(self, x, mask):
        """Mean and variance of each channel, over the steps that are real."""
        axes = tuple(i for i in range(x.ndim) if i != self.axis % x.ndim)
        if mask is None:
            mean = jnp.mean(x, axes)
            return mean, jnp.mean(jnp.square(self._spread(x, -mean)), axes)
        share = jnp.asarray(mask, x.dtype).reshape((*mask.shape, *(1,) * (x.ndim - mask.ndim)))
        share = jnp.broadcast_to(share, x.shape)
        count = jnp.sum(share, axes) + 1e-7  # a batch may be all padding
        mean = jnp.sum(x * share, axes) / count
        return mean, jnp.sum(jnp.square(self._spread(x, -mean)) * share, axes) / count

    def _average(self, moving: Variable, now, momentum: float | None = None):
        momentum = self.momentum if momentum is None else momentum
        moving.assign(moving.value * momentum + now.astype(moving.dtype) * (1 - momentum))

    def _renormed(self, x, mean, variance):
        deviation = jnp.sqrt(variance + self.epsilon)
        clip = self.renorm_clipping or {}
        r = deviation / self.renorm_stddev.value
        r = jnp.clip(r, clip.get("rmin"), clip.get("rmax"))
        d = (mean - self.renorm_mean.value) / self.renorm_stddev.value
        if (limit := clip.get("dmax")) is not None:
            d = jnp.clip(d, -limit, limit)
        r, d = lax.stop_gradient(r), lax.stop_gradient(d)
        y = self._spread(self._spread(x, -mean) * self._wide(r / deviation, x.ndim), d)
        self._average(self.renorm_mean, mean, self.renorm_momentum)
        self._average(self.renorm_stddev, deviation, self.renorm_momentum)
        self._average(self.moving_mean, mean)
        self._average(self.moving_stddev, deviation)
        spread = jnp.square(self.moving_stddev.value) - self.epsilon
        self.moving_variance.assign(jnp.maximum(spread, 0))
        return y


def _axes(value: Any, name: str, owner: Any) -> Any:
    if isinstance(value, (int, np.integer)):
        return int(value)
    if not isinstance(value, (list, tuple)) or not value:
        raise TypeError(needs(owner, "an integer or a list of them", name, value))
    return list(value)


Axes = Annotated[Any, _axes]


class _RMSScaling(Layer):
    """Takes an argument from before there was `RMSNormalization`."""

    def __init__(self, **kwargs: Any):
        self.rms_scaling = bool(kwargs.pop("rms_scaling", False))
        super().__init__(**kwargs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rms_scaling": self.rms_scaling}


@export("layers.LayerNormalization", "LayerNorm")
@fields
class LayerNormalization(_RMSScaling):
    """Give each example mean 0 and variance 1 along `axis`, then scale and shift each place.

    Ba et al., 2016, https://arxiv.org/abs/1607.06450

    Shapes: unchanged. `gamma` and `beta` have the sizes of `axis`, an axis or several.

    The old argument `rms_scaling=True` leaves the mean where it is, and `beta` out.
    """

    _config_tells_shape = True

    axis: Axes = -1
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None

    gamma: Variable = owned()
    beta: Variable = owned()
    supports_masking = True

    def build(self, input_shape):
        self.axis = _in_order(self.axis, len(input_shape))
        shape = _sizes(self, input_shape, _listed(self.axis))
        _make_gamma_beta(self, shape)

    def call(self, inputs):
        axes = [axis % inputs.ndim for axis in _listed(self.axis)]
        x = wide(inputs)
        mean = jnp.mean(x, tuple(axes), keepdims=True)
        variance = jnp.var(x, tuple(axes), keepdims=True)
        y = (x if self.rms_scaling else x - mean) * lax.rsqrt(variance + self.epsilon)
        return _gamma_beta(self, y, axes).astype(self.compute_dtype)


def _listed(axis: Any) -> list[int]:
    return axis if isinstance(axis, list) else [axis]


def _in_order(axis: Any, rank: int) -> Any:
    """Several axes from left to right, in which order their sizes make up a shape."""
    return (
        sorted(i % rank if -rank <= i < rank else i for i in axis)
        if isinstance(axis, list)
        else axis
    )


def _groups(value: Any, name: str, owner: Any) -> int:
    whole = isinstance(value, (int, np.integer))
    if not whole or (value <= 0 and value != -1):
        raise ValueError(needs(owner, "a positive integer, or -1", name, value))
    return int(value)


@export("layers.GroupNormalization", "GroupNorm")
@fields
class GroupNormalization(Layer):
    """Give each group of channels of each example mean 0 and variance 1, then scale and shift.

    Wu & He, 2018, https://arxiv.org/abs/1803.08494

    Args:
        groups: How many groups; -1 for one for each channel.
    """

    groups: Annotated[int, _groups] = 32
    axis: int = -1
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None

    gamma: Variable = owned()
    beta: Variable = owned()
    supports_masking = True

    def build(self, input_shape):
        (channels,) = shape = _sizes(self, input_shape, [self.axis])
        if self.groups == -1:
            self.groups = channels
        if channels % self.groups:
            raise ValueError(
                f"{self._who} cannot split {channels} channels into {self.groups} even groups."
            )
        _make_gamma_beta(self, shape)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs):
        axis = self.axis % inputs.ndim
        before, channels, after = inputs.shape[:axis], inputs.shape[axis], inputs.shape[axis + 1 :]
        x = wide(inputs).reshape((*before, self.groups, channels // self.groups, *after))
        within = tuple(i for i in range(1, x.ndim) if i != axis)
        mean = jnp.mean(x, within, keepdims=True)
        variance = jnp.var(x, within, keepdims=True)
        y = ((x - mean) * lax.rsqrt(variance + self.epsilon)).reshape(inputs.shape)
        return _gamma_beta(self, y, [axis]).astype(self.compute_dtype)


@export("layers.RMSNormalization")
@fields
class RMSNormalization(Layer):
    """Divide by the root of the mean square along `axis`, then scale each place.

    Zhang & Sennrich, 2019, https://arxiv.org/abs/1910.07467
    """

    axis: Axes = -1
    epsilon: float = 1e-6

    scale: Variable = owned()

    def build(self, input_shape):
        self.axis = _in_order(self.axis, len(input_shape))
        shape = _sizes(self, input_shape, _listed(self.axis))
        self.weight("scale", shape, initializer="ones", autocast=False)

    def call(self, x):
        axes = [axis % x.ndim for axis in _listed(self.axis)]
        x = wide(x)
        square = jnp.mean(jnp.square(x), tuple(axes), keepdims=True)
        y = x * lax.rsqrt(square + self.epsilon) * _along(self.scale.value, axes, x.ndim)
        return y.astype(self.compute_dtype)


@export("layers.UnitNormalization")
@fields
class UnitNormalization(Layer):
    """Give vectors along `axis`, an axis or several, length 1."""

    axis: Axes = -1
    supports_masking = True

    def call(self, inputs):
        square = jnp.sum(jnp.square(inputs), tuple(_listed(self.axis)), keepdims=True)
        return inputs * lax.rsqrt(jnp.maximum(square, 1e-12))


@export("layers.SpectralNormalization")
@fields
class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided, in training, by its largest singular value.

    Miyato et al., 2018, https://arxiv.org/abs/1802.05957

    Args:
        layer: One with a `kernel` or `embeddings`.
        power_iterations: How many steps to take towards the singular value at each call.
    """

    layer: Any
    power_iterations: Positive = 1

    kernel: Variable = owned()
    vector_u: Variable = owned()

    def build(self, input_shape=None):
        super().build(input_shape)
        for name in ("kernel", "embeddings"):
            if isinstance(found := getattr(self.layer, name, None), Variable):
                self.kernel = found
                break
        else:
            raise AttributeError(
                f"{self._who} needs a layer with a `kernel` or `embeddings`, got {self.layer!r}."
            )
        self.input_spec = self.layer.input_spec
        options = {"initializer": "truncated_normal", "trainable": False}
        self.weight("vector_u", (1, self.kernel.shape[-1]), **options)

    def call(self, inputs, training=False):
        if training:
            for variable, value in zip((self.vector_u, self.kernel), self.normalized_weights()):
                variable.assign(value)
        return self.layer(inputs)

    def normalized_weights(self) -> tuple:
        """What `vector_u` and the kernel are after a step of normalization."""
        kernel = self.kernel
        matrix = kernel.value.reshape((math.prod(kernel.shape[:-1]), kernel.shape[-1]))
        u = self.vector_u.value
        for _ in range(self.power_iterations):
            v = _unit(u @ matrix.T)
            u = _unit(v @ matrix)
        u, v = lax.stop_gradient(u), lax.stop_gradient(v)
        largest = v @ matrix @ u.T
        return u, kernel.value / largest.reshape(())


def _unit(x):
    return x * lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(x)), 1e-12))
