"""ConvLSTM against Keras."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from tests.layers.test_recurrent import output
from tests.oracle import close, same_layer, same_weights

X = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, 4, 2)).astype("float32")


@pytest.mark.parametrize(
    "rank, arguments",
    [
        (1, {"strides": 2, "go_backwards": True, "use_bias": False}),
        (2, {"padding": "same", "dilation_rate": 2, "return_sequences": True}),
        (2, {"data_format": "channels_first", "return_state": True}),
        (3, {"kernel_size": (2, 1, 2)}),
    ],
)
def test_numbers(rank, arguments):
    x = X[:, :, :, 0] if rank == 1 else X if rank == 2 else X[..., None]
    if "data_format" in arguments:
        x = np.moveaxis(x, -1, 2)
    arguments = {"filters": 2, "kernel_size": 2, "seed": 1, "name": "a", **arguments}
    ours, theirs = same_layer(f"ConvLSTM{rank}D", arguments, x)
    close(ours.get_initial_state(2), theirs.get_initial_state(2))
    mine, yours = ours.get_config(), theirs.get_config()
    assert mine.keys() == yours.keys() and mine == yours
    again = type(ours).from_config(yours)
    again.build(x.shape)
    assert [v.shape for v in again.weights] == [v.shape for v in theirs.weights]


def test_dropout_mask_and_states():
    make = lambda library: library.layers.ConvLSTM1D(
        2, 2, dropout=0.3, recurrent_dropout=0.4, seed=3, stateful=True
    )
    ours, theirs = make(keraunos), make(keras)
    x = X[:, :, :, 0]
    for layer in (ours, theirs):
        layer.build(x.shape)
    same_weights(ours, theirs)
    close(output(ours, x, training=True), output(theirs, x, training=True))
    close(ours(x), theirs(x))
    close(ours(x), theirs(x))
    ours.reset_states()
    theirs.reset_states()
    close(ours(x), theirs(x))
    # A mask, which Keras cannot apply here, leaves out its steps.
    layer = keraunos.layers.ConvLSTM1D(2, 2)
    mask = jnp.array([[1, 0, 1], [1, 0, 1]], bool)
    close(layer(x, mask=mask), layer(x[:, ::2]))
    assert layer(keraunos.KerasTensor((None, None, None, 2))).shape == (None, None, 2)


def test_error():
    with pytest.raises(ValueError, match=r"steps or has gaps, not both.*\(2, 2\)"):
        keraunos.layers.ConvLSTM2D(2, 3, strides=2, dilation_rate=2)
