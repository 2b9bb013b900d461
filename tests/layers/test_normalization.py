"""Normalization layers against Keras: numbers, moving averages, gradients."""

import keras
import numpy as np
import pytest

import keraunos
from keraunos import layers
from tests.oracle import close, same_layer, same_weights

RNG = np.random.default_rng(0)
X2, X3 = (RNG.normal(1, 2, size).astype("float32") for size in ((4, 3), (4, 5, 4)))
X4 = RNG.normal(1, 2, (2, 2, 3, 4)).astype("float32")
TRAINING = {"training": True}
CLIPS = {"rmax": 1.2, "rmin": 0.9, "dmax": 0.3}


@pytest.mark.parametrize(
    ("name", "arguments", "x", "call"),
    [
        ("BatchNormalization", {}, X2, TRAINING),
        ("BatchNormalization", {}, X4, {}),
        ("BatchNormalization", {"axis": 1, "center": False, "momentum": 0.9}, X4, TRAINING),
        ("BatchNormalization", {"scale": False, "epsilon": 0.1}, X3, TRAINING),
        ("BatchNormalization", {"renorm": True}, X3, TRAINING),
        ("BatchNormalization", {"renorm": True, "renorm_clipping": CLIPS}, X3, TRAINING),
        ("BatchNormalization", {"renorm": True, "renorm_momentum": 0.5}, X3, {}),
        ("LayerNormalization", {}, X3, {}),
        ("LayerNormalization", {"axis": (1, 3), "scale": False}, X4, {}),
        ("LayerNormalization", {"axis": [3, 1], "center": False}, X4, {}),
        ("LayerNormalization", {"rms_scaling": True}, X3, {}),
        ("GroupNormalization", {"groups": 2}, X4, {}),
        ("GroupNormalization", {"groups": -1, "axis": 1}, X4, {}),
        ("RMSNormalization", {}, X3, {}),
        ("RMSNormalization", {"axis": (1, 2), "epsilon": 0.1}, X3, {}),
        ("UnitNormalization", {}, X3, {}),
        ("UnitNormalization", {"axis": (1, 2)}, X3, {}),
    ],
    ids=lambda v: str(v) if not isinstance(v, np.ndarray) else "",
)
def test_same_as_keras(name, arguments, x, call):
    ours, theirs = same_layer(name, arguments, x, call=call, rtol=2e-5)
    assert (
        keras.saving.serialize_keras_object(theirs)["config"].items()
        >= {
            k: v
            for k, v in ours.get_config().items()
            if k not in ("name", "axis", "renorm_clipping")
        }.items()
    )


def test_masked_batch_normalization():
    mask = RNG.integers(0, 2, (4, 5)).astype(bool)
    pair = [library.layers.BatchNormalization() for library in (keraunos, keras)]
    for layer in pair:
        layer.build(X3.shape)
    same_weights(*pair)
    ours, theirs = (layer(X3, mask=mask, training=True) for layer in pair)
    close(ours, np.asarray(theirs))
    close([v.value for v in pair[0].weights], [np.asarray(v) for v in pair[1].weights])


def test_frozen_batch_normalization_infers():
    layer = layers.BatchNormalization()
    layer.build(X2.shape)
    layer.trainable = False
    close(layer(X2, training=True), layer(X2, training=False))
    np.testing.assert_array_equal(layer.moving_mean.numpy(), np.zeros(3))


@pytest.mark.parametrize("name", ["BatchNormalization", "LayerNormalization", "RMSNormalization"])
def test_half_precision_measures_in_full(name):
    x = (X3 * 100 + 1000).astype("float16")
    pair = [getattr(library.layers, name)(dtype="mixed_float16") for library in (keraunos, keras)]
    ours, theirs = (np.asarray(layer(x)) for layer in pair)
    close(ours, theirs, 2e-3, 2e-3)


def test_spectral_normalization():
    pair = [
        library.layers.SpectralNormalization(library.layers.Dense(4), power_iterations=3)
        for library in (keraunos, keras)
    ]
    for layer in pair:
        layer.build(X2.shape)
    same_weights(*pair)
    for training in (False, True, True):
        close(*(np.asarray(layer(X2, training=training)) for layer in pair))
    close([v.numpy() for v in pair[0].weights], [np.asarray(v) for v in pair[1].weights])
    assert np.linalg.svd(pair[0].layer.kernel.numpy())[1][0] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.BatchNormalization().build((None, None)), "to know the sizes along"),
        (lambda: layers.BatchNormalization(axis=5)(X2), "to know the sizes along"),
        (lambda: layers.BatchNormalization(renorm_clipping={"q": 1}), "rmax', 'rmin', 'dmax'"),
        (lambda: layers.GroupNormalization(3)(X3), "cannot split 4 channels into 3"),
        (lambda: layers.GroupNormalization(0), "positive integer, or -1, for|or -1 for `groups`"),
        (lambda: layers.SpectralNormalization(layers.ReLU())(X2), "`kernel` or `embeddings`"),
    ],
)
def test_errors(make, message):
    with pytest.raises((ValueError, AttributeError), match=message):
        make()
    with pytest.raises(TypeError, match="an integer for `axis`"):
        layers.BatchNormalization(axis=(1, 2))
