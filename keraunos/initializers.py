"""How variables start. An initializer is called with a shape and a dtype.

`seed`, which many take: an integer; or a `SeedGenerator`; by default an integer is drawn
when the initializer is made. With an integer every call gives the same numbers.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import jax.numpy as jnp
import numpy as np

from keraunos import random
from keraunos.core import config, registry
from keraunos.core.fields import Axes, Configurable, fields, needs, numbers, one_of
from keraunos.core.graph import tensor
from keraunos.core.past import names_of
from keraunos.core.registry import export


def get(identifier: Any) -> Callable | None:
    """The initializer that a name, a config, a class, a callable or an array stands for."""
    if hasattr(identifier, "shape") and not callable(identifier):
        return Constant(identifier)
    return registry.find("initializers", identifier)


def serialize(initializer: Any) -> Any:
    """What a saved file holds for `initializer`."""
    return registry.serialize(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The initializer that `serialize` described."""
    return registry.deserialize(config, custom_objects, kind="initializers")


@export("initializers.Initializer")
@export("Initializer")
class Initializer(Configurable):
    """Base class: define `__call__(shape, dtype=None)`, and `get_config` to be saved."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define `__call__(shape, dtype)`.")

    def clone(self) -> "Initializer":
        """A new one of the same config."""
        return self.from_config(self.get_config())


# Numbers that are known -------------------------------------------------------------------


@export("initializers.Zeros", "zero")
class Zeros(Initializer):
    """All zeros."""

    def __call__(self, shape, dtype=None):
        return jnp.zeros(shape, dtype or config.floatx())


@export("initializers.Ones", "one")
class Ones(Initializer):
    """All ones."""

    def __call__(self, shape, dtype=None):
        return jnp.ones(shape, dtype or config.floatx())


@export("initializers.Constant")
@fields
class Constant(Initializer):
    """All `value`, a number or an array that broadcasts to the shape."""

    value: Any = 0.0

    def __call__(self, shape, dtype=None):
        value = jnp.asarray(tensor(self.value), dtype or config.floatx())
        return jnp.broadcast_to(value, shape)


@export("initializers.Identity", "IdentityInitializer")
@fields
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, zeros elsewhere."""

    gain: float = 1.0

    def __call__(self, shape, dtype=None):
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices, it was asked for the shape {shape}.")
        return self.gain * jnp.eye(*shape, dtype=dtype or config.floatx())


def _stft_window(value: Any, name: str, owner: Any) -> Any:
    if value is None or isinstance(value, (str, tuple)):
        return value
    return np.asarray(numbers(value, name, owner))


@export("initializers.STFT", "STFTInitializer", "stft")
@fields
class STFT(Initializer):
    """The kernel of a convolution that computes a short-time Fourier transform.

    Shapes: `(frame_length, 1, fft_length // 2 + 1)`.

    Args:
        side: "real" or "imag", the part of the transform.
        window: A window of `scipy.signal`, by name or as an array; None for all ones.
        scaling: "density" for windows whose squares sum up to 1, "spectrum" for windows that
            sum up to 1, or None.
        periodic: Whether the window is one period of a periodic one, not symmetric.
    """

    side: Annotated[str, one_of("real", "imag")] = "real"
    window: Annotated[Any, _stft_window] = "hann"
    scaling: str | None = "density"
    periodic: bool = False

    def __post_init__(self):
        if self.scaling not in (None, "density", "spectrum"):
            expected = "None, 'density' or 'spectrum'"
            raise ValueError(needs(self, expected, "scaling", self.scaling))

    def __call__(self, shape, dtype=None):
        length, _, bins = shape
        turns = np.outer(np.arange(length), np.arange(bins)) / ((bins - 1) * 2)
        part = np.cos if self.side == "real" else lambda angle: -np.sin(angle)
        kernel = part(2 * np.pi * turns) * self._weights(length)[:, None]
        return jnp.asarray(kernel[:, None, :], dtype or config.floatx())

    def _weights(self, length: int) -> Any:
        if self.window is None:
            return np.ones(length)
        if isinstance(self.window, np.ndarray):
            weights: Any = self.window
        else:
            from scipy import signal  # takes long to import, and few need it

            weights = signal.get_window(self.window, length, fftbins=self.periodic)
        if self.scaling is None:
            return weights
        return weights / (sum(weights) if self.scaling == "spectrum" else math.hypot(*weights))


# Random numbers ---------------------------------------------------------------------------


class RandomInitializer(Initializer):
    """An initializer that draws; its `seed` is in its config only if it was given."""

    seed: Any
    _given_seed: Any

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"seed": registry.serialize(self._given_seed)}


def _seed(value: Any, name: str, owner: Any) -> Any:
    """Keeps what was given beside the seed that is used."""
    owner._given_seed = int(value) if isinstance(value, np.integer) else value
    if value is None:
        return random.make_default_seed()
    if isinstance(value, dict):
        return registry.deserialize(value)
    if not isinstance(value, (int, np.integer, random.SeedGenerator)):
        raise ValueError(needs(owner, "an integer or a `SeedGenerator`", name, value))
    return owner._given_seed


Seed = Annotated[Any, _seed]


@export("initializers.RandomNormal", "normal")
@fields
class RandomNormal(RandomInitializer):
    """The normal distribution with this mean and deviation."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: Seed = None

    def __call__(self, shape, dtype=None):
        return random.normal(shape, self.mean, self.stddev, dtype, self.seed)


@export("initializers.TruncatedNormal")
@fields
class TruncatedNormal(RandomInitializer):
    """The normal distribution without what is more than two deviations from the mean."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: Seed = None

    def __call__(self, shape, dtype=None):
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self.seed)


@export("initializers.RandomUniform", "uniform")
@fields
class RandomUniform(RandomInitializer):
    """Any number from `minval` to `maxval`, all as likely."""

    minval: float = -0.05
    maxval: float = 0.05
    seed: Seed = None

    def __call__(self, shape, dtype=None):
        return random.uniform(shape, self.minval, self.maxval, dtype, self.seed)


@export("initializers.Orthogonal", "OrthogonalInitializer")
@fields
class Orthogonal(RandomInitializer):
    """Orthonormal rows or columns, whichever are fewer, times `gain`.

    All axes but the last count as rows. Saxe et al., 2014, https://arxiv.org/abs/1312.6120
    """

    gain: float = 1.0
    seed: Seed = None

    def __call__(self, shape, dtype=None):
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal makes arrays of two or more axes, it was asked for the shape {shape}."
            )
        dtype = jnp.dtype(dtype or config.floatx())
        rows, columns = math.prod(shape[:-1]), shape[-1]
        wide = jnp.promote_types(dtype, "float32")  # there is no QR of half precision
        tall = (max(rows, columns), min(rows, columns))
        q, r = jnp.linalg.qr(random.normal(tall, dtype=wide, seed=self.seed))
        q = q * jnp.sign(jnp.diagonal(r))
        return (self.gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype)


MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")
_CUT = 0.87962566103423978  # deviation of the normal distribution cut off at two deviations


def _distribution(value: str, name: str, owner: Any) -> str:
    value = "truncated_normal" if str(value).lower() == "normal" else value
    return one_of(*DISTRIBUTIONS)(value, name, owner)


def _above_zero(value: float, name: str, owner: Any) -> float:
    if value <= 0:
        raise ValueError(needs(owner, "a number above 0", name, value))
    return value


class Scaled(RandomInitializer):
    """Numbers of variance `scale / n`, where n is the fan in, the fan out or their mean."""

    scale: float
    mode: str
    distribution: str
    input_axes: Any
    output_axes: Any

    def __call__(self, shape, dtype=None):
        into, out = fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": into, "fan_out": out, "fan_avg": (into + out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return random.uniform(shape, -limit, limit, dtype, self.seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(variance), dtype, self.seed)
        deviation = math.sqrt(variance) / _CUT
        return random.truncated_normal(shape, 0.0, deviation, dtype, self.seed)


def fans(shape: Sequence[int], input_axes: Any = None, output_axes: Any = None) -> tuple[int, int]:
    """How many inputs and outputs one unit has: of a kernel `(*window, in, out)`, unless told."""
    if input_axes is not None and output_axes is not None:
        size = lambda axes: math.prod(shape[axis] for axis in np.atleast_1d(axes).astype(int))
        return size(input_axes), size(output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


@export("initializers.VarianceScaling")
@fields
class VarianceScaling(Scaled):
    """Numbers whose variance is `scale / n`, so that signals keep their size between layers.

    Args:
        mode: What n is: "fan_in" (inputs of a unit), "fan_out" (its outputs) or "fan_avg".
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
        input_axes, output_axes: Given together, the axes that fan in and fan out are sizes
            of. By default the last two axes, times all that stand before.
    """

    scale: Annotated[float, _above_zero] = 1.0
    mode: Annotated[str, one_of(*MODES)] = "fan_in"
    distribution: Annotated[str, _distribution] = "truncated_normal"
    seed: Seed = None
    input_axes: Axes = None
    output_axes: Axes = None


@fields
class _Named(Scaled):
    """A scaling with a name of its own."""

    seed: Seed = None
    input_axes: Axes = None
    output_axes: Axes = None


@export("initializers.GlorotUniform")
class GlorotUniform(_Named):
    """Uniform within ±sqrt(6 / (fan in + fan out)).

    Glorot & Bengio, 2010, https://proceedings.mlr.press/v9/glorot10a.html
    """

    scale, mode, distribution = 1.0, "fan_avg", "uniform"


@export("initializers.GlorotNormal")
class GlorotNormal(_Named):
    """Truncated normal of variance 2 / (fan in + fan out).

    Glorot & Bengio, 2010, https://proceedings.mlr.press/v9/glorot10a.html
    """

    scale, mode, distribution = 1.0, "fan_avg", "truncated_normal"


@export("initializers.HeUniform")
class HeUniform(_Named):
    """Uniform within ±sqrt(6 / fan in). He et al., 2015, https://arxiv.org/abs/1502.01852"""

    scale, mode, distribution = 2.0, "fan_in", "uniform"


@export("initializers.HeNormal")
class HeNormal(_Named):
    """Truncated normal of variance 2 / fan in.

    He et al., 2015, https://arxiv.org/abs/1502.01852
    """

    scale, mode, distribution = 2.0, "fan_in", "truncated_normal"


@export("initializers.LecunUniform")
class LecunUniform(_Named):
    """Uniform within ±sqrt(3 / fan in). Klambauer et al., 2017."""

    scale, mode, distribution = 1.0, "fan_in", "uniform"


@export("initializers.LecunNormal")
class LecunNormal(_Named):
    """Truncated normal of variance 1 / fan in. Klambauer et al., 2017."""

    scale, mode, distribution = 1.0, "fan_in", "truncated_normal"


constant, identity, ones, orthogonal = Constant, Identity, Ones, Orthogonal
random_normal, random_uniform, stft = RandomNormal, RandomUniform, STFT
truncated_normal, variance_scaling, zeros = TruncatedNormal, VarianceScaling, Zeros
glorot_normal, glorot_uniform = GlorotNormal, GlorotUniform
he_normal, he_uniform = HeNormal, HeUniform
lecun_normal, lecun_uniform = LecunNormal, LecunUniform
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
