"""Spectrograms beside Keras."""

import itertools

import keras
import numpy as np
import pytest

import keraunos
from keraunos import layers
from tests.oracle import close, same_layer

MODES = ["log", "magnitude", "psd", "real", "imag", "stft"]


def signal(rng, first: bool) -> np.ndarray:
    return rng.normal(size=(2, 3, 17) if first else (2, 17, 3)).astype("float32")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("first, wide, padding", [(0, 0, "valid"), (1, 0, "same"), (1, 1, "valid")])
def test_stft(mode, first, wide, padding, rng):
    data_format = "channels_first" if first else "channels_last"
    options = {"mode": mode, "frame_length": 5, "frame_step": 3, "padding": padding}
    options |= {"expand_dims": bool(wide), "data_format": data_format}
    same_layer("STFTSpectrogram", options, signal(rng, bool(first)), rtol=1e-4, atol=1e-5)


def test_start(rng):
    """The kernels that both start with, for all windows."""
    windows = ["hann", "hamming", None, [1.0, 2.0, 3.0, 4.0, 5.0]]
    for window, scaling, periodic in itertools.product(
        windows, ["density", "spectrum", None], [False, True]
    ):
        options = {"frame_length": 5, "window": window, "scaling": scaling, "periodic": periodic}
        ours, theirs = (lib.layers.STFTSpectrogram(**options) for lib in (keraunos, keras))
        for layer in (ours, theirs):
            layer.build((None, 9, 2))
        for mine, yours in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(mine, yours, 1e-5, 1e-5)
    x = signal(rng, False)
    ours, theirs = (lib.layers.STFTSpectrogram("angle", 5) for lib in (keraunos, keras))
    close(np.cos(ours(x)), np.cos(theirs(x)), 1e-4, 1e-5)
    assert ours.get_config() == theirs.get_config()
    frozen = layers.STFTSpectrogram(trainable=False, frame_length=1)
    assert frozen(x).shape == (2, 17, 3) and not frozen.trainable_variables


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"power_to_db": False, "mag_exp": 1.0},
        {"ref_power": 2.0, "top_db": 10.0},
        {"window": "hamming", "sequence_length": 10},
        {"window": None, "min_freq": 50.0, "max_freq": 300.0},
    ],
)
def test_mel(options, rng):
    options |= {"fft_length": 16, "sequence_stride": 4, "num_mel_bins": 5, "sampling_rate": 800}
    ours, theirs = (lib.layers.MelSpectrogram(**options) for lib in (keraunos, keras))
    assert ours.get_config() == theirs.get_config()
    for shape in ((64,), (2, 64), (2, 3, 64)):
        x = rng.normal(size=shape).astype("float32")
        close(ours(x), theirs(x), 1e-4, 1e-4)
        assert ours.compute_output_shape(shape) == ours(x).shape
    assert ours(keraunos.Input((None,))).shape == (None, 5, None)
    close(ours(x[0, 0].tolist()), ours(x[0, 0]))


def test_mel_matrix():
    ours, theirs = (lib.layers.MelSpectrogram() for lib in (keraunos, keras))
    for arguments in ((), (4, 9, 800, 20.0, 400.0)):
        mine = ours.linear_to_mel_weight_matrix(*arguments)
        close(mine, theirs.linear_to_mel_weight_matrix(*arguments), 1e-5, 2e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.STFTSpectrogram("x"), "needs one of log, magnitude, psd"),
        (lambda: layers.STFTSpectrogram(frame_length=0), "a positive integer for `frame_length`"),
        (lambda: layers.STFTSpectrogram(frame_step=300), "from 1 to `frame_length`, 256, for"),
        (lambda: layers.STFTSpectrogram(fft_length=100), "at least `frame_length`, 256, for"),
        (lambda: layers.STFTSpectrogram(window="x"), "needs 'hann', 'hamming', an array, or None"),
        (lambda: layers.STFTSpectrogram(window=[1.0]), "needs `frame_length`, 256, numbers for"),
        (lambda: layers.STFTSpectrogram(scaling="x"), "one of density, spectrum, None for"),
        (lambda: layers.STFTSpectrogram()(np.ones((1, 300))), "expects an input of 3 axes"),
        (lambda: layers.STFTSpectrogram()(np.ones((1, 300, 1), "int32")), "a signal of floats"),
        (lambda: layers.MelSpectrogram(8, sequence_length=9), "at most `fft_length`, 8, for"),
        (lambda: layers.MelSpectrogram(window="x"), "needs 'hann', 'hamming', an array, or None"),
    ],
)
def test_errors(make, message):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert message in str(error.value)
