"""Sound as spectrograms: STFTSpectrogram, by convolutions, and MelSpectrogram."""

import math
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np

from keraunos import ops
from keraunos.core import config, untrusted
from keraunos.core.fields import (
    DataFormat,
    OptionalPositive,
    Padding,
    Positive,
    fields,
    needs,
    numbers,
    optional,
    owned,
    positive,
)
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.layers.layer import Layer
from keraunos.layers.preprocessing.host import DataLayer, mode_of
from keraunos.layers.spec import InputSpec

_WINDOWS = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46)}


def _window(value, name, owner):
    """The converter of a window: a name, an array, or None."""
    if isinstance(value, str) and value not in _WINDOWS:
        raise ValueError(needs(owner, "'hann', 'hamming', an array, or None", name, value))
    if value is None or isinstance(value, str):
        return value
    return np.asarray(numbers(value, name, owner)).tolist()


Window = Annotated[Any, _window]


@export("layers.STFTSpectrogram")
@fields
class STFTSpectrogram(Layer):
    """The short-time Fourier transform of each channel of a signal, by convolutions.

    The kernels start as windowed waves, and are trained unless `trainable=False`.

    Shapes: `(batch, time, channels)` to `(batch, frames, channels * bins)`, where there are
    `fft_length // 2 + 1` bins, twice as many in the mode "stft"; with `expand_dims`,
    `(batch, frames, bins, channels)`. Channels first: `(batch, channels * bins, frames)` and
    `(batch, channels, frames, bins)`.

    Args:
        mode: "log" of the magnitude, "magnitude", "psd" (power), "real", "imag", "angle", or "stft"
            for real and imaginary parts side by side.
        frame_length: Samples in a window.
        frame_step: Samples from one window to the next; half a window by default.
        fft_length: The next power of two by default.
        window: "hann", "hamming", `frame_length` numbers, or None.
        periodic: Whether the window is one period, not symmetric.
        scaling: "density", "spectrum" or None: what the window is divided by.
    """

    mode: Annotated[str, mode_of("log", "magnitude", "psd", "real", "imag", "angle", "stft")] = (
        "log"
    )
    frame_length: Positive = 256
    frame_step: OptionalPositive = None
    fft_length: OptionalPositive = None
    window: Window = "hann"
    periodic: bool = False
    scaling: Annotated[Any, mode_of("density", "spectrum", None)] = "density"
    padding: Padding = "valid"
    expand_dims: bool = False
    data_format: DataFormat = None

    real_kernel: Variable = owned()
    imag_kernel: Variable = owned()

    def __post_init__(self):
        length = self.frame_length
        if self.frame_step is not None and self.frame_step > length:
            expected = f"an integer from 1 to `frame_length`, {length},"
            raise ValueError(needs(self, expected, "frame_step", self.frame_step))
        if self.fft_length is not None and self.fft_length < length:
            expected = f"at least `frame_length`, {length},"
            raise ValueError(needs(self, expected, "fft_length", self.fft_length))
        if isinstance(self.window, list) and len(self.window) != length:
            raise ValueError(
                needs(self, f"`frame_length`, {length}, numbers", "window", self.window)
            )
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape):
        size = self.fft_length or 2 ** math.ceil(math.log2(self.frame_length))
        untrusted.take(8 * self.frame_length * size, f"The waves of {self._who}")
        time = np.arange(self.frame_length)[:, None, None]
        phase = np.pi / max(size // 2, 1) * time * np.arange(size // 2 + 1)
        window = self._windowed()[:, None, None]
        waves = (("real", np.cos(phase), "imag"), ("imag", -np.sin(phase), "real"))
        for name, wave, without in waves:
            if self.mode != without:
                kernel = window * wave
                start = lambda shape, dtype, kernel=kernel: kernel
                self.weight(f"{name}_kernel", kernel.shape, initializer=start)

    def _windowed(self) -> np.ndarray:
        length = self.frame_length
        if self.window is None or length == 1:
            return np.ones(length)
        if isinstance(self.window, str):
            mean, height = _WINDOWS[self.window]
            period = max(length - (not self.periodic), 1)
            window = mean - height * np.cos(2 * np.pi * np.arange(length) / period)
        else:
            window = np.asarray(self.window)
        if self.scaling == "density":
            return window / np.sqrt(np.sum(window**2))
        return window / np.sum(window) if self.scaling == "spectrum" else window

    def call(self, inputs):
        if not jnp.issubdtype(inputs.dtype, jnp.floating):
            raise TypeError(f"{self._who} needs a signal of floats, got {inputs.dtype}.")
        first = self.data_format == "channels_first"
        signal = inputs if first else jnp.swapaxes(inputs, 1, 2)
        batch, channels, time = signal.shape
        step = self.frame_step or max(self.frame_length // 2, 1)
        apply = lambda kernel: ops.conv(
            signal.reshape((batch * channels, time, 1)), kernel, step, self.padding, "channels_last"
        )
        y = self._spectrum(apply)
        y = y.reshape((batch, channels, *y.shape[1:]))
        if self.expand_dims:
            return y if first else jnp.moveaxis(y, 1, 3)
        y = jnp.moveaxis(y, 2, 1).reshape((batch, y.shape[2], channels * y.shape[3]))
        return jnp.swapaxes(y, 1, 2) if first else y

    def _spectrum(self, apply):
        if self.mode in ("real", "imag"):
            return apply(self.real_kernel.value if self.mode == "real" else self.imag_kernel.value)
        real, imag = apply(self.real_kernel.value), apply(self.imag_kernel.value)
        if self.mode == "stft":
            return jnp.concatenate([real, imag], -1)
        if self.mode == "angle":
            return jnp.arctan2(imag, real)
        power = jnp.square(real) + jnp.square(imag)
        if self.mode == "psd":  # of real signals the other half of the spectrum mirrors this one
            bins = np.arange(power.shape[-1])
            inner = (bins > 0) & (bins < len(bins) - 1)
            return power * jnp.asarray(1 + inner, power.dtype)
        magnitude = jnp.sqrt(jnp.maximum(power, config.epsilon()))
        return magnitude if self.mode == "magnitude" else jnp.log(magnitude)


@export("layers.MelSpectrogram")
@fields
class MelSpectrogram(DataLayer):
    """The power of a signal over time, in bands that are even to the ear.

    Shapes: `(..., samples)` to `(..., num_mel_bins, samples // sequence_stride + 1)`.

    Args:
        sequence_stride: Samples from one window to the next.
        sequence_length: Samples in a window; `fft_length` by default.
        window: "hann", "hamming", `sequence_length` numbers, or None.
        sampling_rate: Samples in a second.
        min_freq, max_freq: Of the bands, in Hz; half the sampling rate by default.
        power_to_db: Whether to give decibels.
        top_db: The range of decibels below the highest.
        mag_exp: 1 for magnitudes, 2 for power.
        min_power: The smallest power that is told from 0.
        ref_power: The power of 0 decibels.
    """

    fft_length: Positive = 2048
    sequence_stride: Positive = 512
    sequence_length: Annotated[Any, optional(positive)] = None
    window: Window = "hann"
    sampling_rate: Positive = 16000
    num_mel_bins: Positive = 128
    min_freq: float = 20.0
    max_freq: float | None = None
    power_to_db: bool = True
    top_db: float = 80.0
    mag_exp: float = 2.0
    min_power: float = 1e-10
    ref_power: float = 1.0

    def __post_init__(self):
        self.sequence_length = self.sequence_length or self.fft_length
        if self.max_freq is None:
            half = self.sampling_rate / 2
            self.max_freq = int(half) if half == int(half) else half
        untrusted.take(8 * self.fft_length * self.num_mel_bins, f"The bands of {self._who}")
        if self.sequence_length > self.fft_length:
            expected = f"at most `fft_length`, {self.fft_length},"
            raise ValueError(needs(self, expected, "sequence_length", self.sequence_length))

    def build(self, input_shape=None):
        pass

    def call(self, inputs):
        x = jnp.asarray(inputs, jnp.promote_types(self.compute_dtype, "float32"))
        real, imag = ops.stft(
            x, self.sequence_length, self.sequence_stride, self.fft_length, self.window
        )
        magnitude = jnp.sqrt(jnp.square(real) + jnp.square(imag)) ** self.mag_exp
        bands = self.linear_to_mel_weight_matrix(
            self.num_mel_bins,
            self.fft_length // 2 + 1,
            self.sampling_rate,
            self.min_freq,
            self.max_freq,
            x.dtype.name,
        )
        mel = jnp.swapaxes(magnitude @ bands, -1, -2)
        return (self._decibels(mel) if self.power_to_db else mel).astype(self.compute_dtype)

    def _decibels(self, power):
        scaled = lambda x: 10 * jnp.log10(jnp.maximum(x, self.min_power))
        found = scaled(power) - scaled(self.ref_power)
        return jnp.maximum(found, jnp.max(found) - self.top_db)

    def linear_to_mel_weight_matrix(
        self,
        num_mel_bins: int = 20,
        num_spectrogram_bins: int = 129,
        sampling_rate: int = 8000,
        lower_edge_hertz: float = 125.0,
        upper_edge_hertz: float | None = 3800.0,
        dtype: str = "float32",
    ):
        """`(num_spectrogram_bins, num_mel_bins)` weights: triangles, even on the mel scale."""
        mel = lambda hertz: 1127 * np.log1p(np.asarray(hertz) / 700)
        edges = np.linspace(mel(lower_edge_hertz), mel(upper_edge_hertz), num_mel_bins + 2)
        hertz = np.linspace(0, sampling_rate / 2, num_spectrogram_bins)[1:]  # the mean is left out
        at, low, top, high = mel(hertz)[:, None], edges[:-2], edges[1:-1], edges[2:]
        triangles = np.minimum((at - low) / (top - low), (high - at) / (high - top))
        return jnp.asarray(np.pad(np.maximum(triangles, 0), [(1, 0), (0, 0)]), dtype)
