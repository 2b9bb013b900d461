"""Values computed again for the gradient: less is kept, and the numbers stay."""

import jax
import numpy as np
import pytest

import keraunos
from keraunos import layers


def model(mode):
    keraunos.utils.set_random_seed(1)
    options = {"output_size_threshold": 20, "layer_names": ["second"]}
    with keraunos.RematScope(mode, **options):
        made = keraunos.Sequential(
            [
                keraunos.Input((4,)),
                layers.Dense(8, activation="tanh", name="first"),
                layers.BatchNormalization(),
                layers.Dropout(0.3, seed=1),
                layers.Dense(8, activation="tanh", activity_regularizer="l2", name="second"),
                layers.Dense(2),
            ]
        )
    made.compile("adam", "mse")
    return made


def kept(layer, x) -> int:
    """How many times the gradient of a layer computes something again."""
    of = lambda values: layer.stateless_call(values, [], x)[0].sum()
    return str(jax.make_jaxpr(jax.grad(of))([v.value for v in layer.trainable_variables])).count(
        "remat"
    )


@pytest.mark.parametrize(
    "mode, first, second",
    [(None, 0, 0), ("full", 1, 1), ("activations", 1, 1), ("list_of_layers", 0, 1)],
)
def test_training_is_the_same(mode, first, second):
    x = np.random.RandomState(0).rand(16, 4).astype("float32")
    y = np.ones((16, 2), "float32")
    plain, again = model(None), model(mode)
    losses = [m.fit(x, y, shuffle=False, verbose=0).history["loss"] for m in (plain, again)]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    for a, b in zip(plain.get_weights(), again.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert kept(again.get_layer("first"), x) == first
    assert kept(again.get_layer("second"), np.ones((16, 8), "float32")) == second


def test_only_large_outputs():
    with keraunos.RematScope("larger_than", output_size_threshold=20):
        layer = layers.Dense(4)
    layer.build((None, 3))
    assert kept(layer, np.ones((2, 3), "float32")) == 0
    assert kept(layer, np.ones((6, 3), "float32")) == 1


def test_masks_and_losses_pass():
    class Adds(layers.Layer):
        supports_masking = True

        def call(self, x, mask=None):
            self.add_loss(x.sum())
            return x * mask[..., None]

    with keraunos.RematScope():
        embed = layers.Embedding(3, 2, mask_zero=True)
        adds = Adds()
    ids = np.array([[1, 0]])
    out = adds(embed(ids))
    assert not np.asarray(out[0, 1]).any() and len(adds.losses) == 1
    assert np.asarray(out._keras_mask).tolist() == [[True, False]]


def test_a_function_of_a_users():
    twice = keraunos.remat(lambda x: keraunos.ops.sin(x) * 2)
    assert "remat" in str(jax.make_jaxpr(jax.grad(lambda x: twice(x)))(1.0))
    np.testing.assert_allclose(jax.grad(lambda x: twice(x))(1.0), 2 * np.cos(1.0), rtol=1e-6)


def test_an_unknown_mode():
    with pytest.raises(ValueError, match=r"RematScope needs one of .*'full'.* got 'all'"):
        keraunos.RematScope("all")
