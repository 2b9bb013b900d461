"""Layers made of functions of JAX and modules of Flax; layers of other engines, refused."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.layers import FlaxLayer, JaxLayer
from tests.oracle import close

X = np.arange(6, dtype="float32").reshape(2, 3)


def scale(params, inputs):
    return inputs * params["w"][0] + params["b"]


def count(params, state, inputs, training):
    return inputs * params["w"] + state["n"], {"n": state["n"] + (2 if training else 1)}


def linear(params, inputs):
    return inputs @ params["w"] + params["b"]


def normal(rng, inputs):
    return {"w": jax.random.normal(rng, (inputs.shape[-1], 4)), "b": jnp.zeros(4)}


def test_given_params_are_used_as_in_keras():
    params = {"w": [np.full(3, 2.0)], "b": np.ones(())}
    ours, theirs = (m.layers.JaxLayer(scale, params=params) for m in (keraunos, keras))
    close(ours(X), theirs(X))
    shapes = lambda layer: [(v.shape, v.dtype, v.trainable) for v in layer.weights]
    assert shapes(ours) == shapes(theirs)
    assert ours(keraunos.Input((3,))).shape == (None, 3)
    assert [v.name for v in ours.weights] == ["b", "w_0"]


def test_state_goes_on_as_in_keras():
    given = {"params": {"w": np.ones(3)}, "state": {"n": np.zeros(())}}
    ours, theirs = (m.layers.JaxLayer(count, **given) for m in (keraunos, keras))
    for training in (False, True, False):
        close(ours(X, training=training), theirs(X, training=training))
    assert float(ours.state["n"].value) == float(theirs.variables[1].value) == 4
    values = [v.value for v in ours.trainable_variables], [jnp.asarray(7.0)]
    outputs, (new,) = ours.stateless_call(*values, X, training=True)
    assert outputs[0, 0] == 7 and new == 9 and float(ours.state["n"].value) == 4


def test_init_fn_makes_the_variables_and_a_model_trains_and_is_saved(tmp_path):
    model = keraunos.Sequential([keraunos.Input((3,)), JaxLayer(linear, normal, seed=1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, X[:, :1].repeat(4, 1), verbose=0)
    assert np.abs(model.get_weights()[1] - before[1]).max() > 0
    again = JaxLayer(linear, normal, seed=1)
    again.build((None, 3))
    close(again.get_weights(), before)
    with keraunos.saving.CustomObjectScope({"linear": linear, "normal": normal}):
        model.save(tmp_path / "m.keras")
        loaded = keraunos.models.load_model(tmp_path / "m.keras")
    close(loaded(X), model(X))


def test_rng_is_a_new_key_in_each_call():
    noise = lambda inputs, rng: inputs + jax.random.normal(rng, inputs.shape)
    first, second = (JaxLayer(noise, seed=5) for _ in range(2))
    close(first(X), second(X))
    assert np.abs(first(X) - second(X + 1) + 1).max() < 1e-5
    assert np.abs(first(X) - first(X)).max() > 0.1


def test_init_fn_with_state_and_nested_inputs():
    def init(rng, inputs, training):
        assert training is True
        return {"w": jnp.ones(inputs["a"].shape[-1])}, {"n": jnp.zeros(())}

    def call(params, state, inputs):
        return inputs["a"] * params["w"] + inputs["b"], state

    layer = JaxLayer(call, init)
    assert layer({k: keraunos.Input((3,)) for k in "ab"}).shape == (None, 3)
    close(layer({"a": X, "b": X}), 2 * X)
    with pytest.raises(ValueError, match=r"needs an `init_fn` that returns `\(params, state\)`"):
        JaxLayer(count, lambda rng, inputs: {"w": 1.0})(X)


class Scaler:
    """What FlaxLayer asks of a module."""

    def init(self, rngs, inputs, method=None, training=False):
        assert training is True
        stats = {"mean": jnp.zeros(inputs.shape[-1])}
        return {"params": {"w": jax.random.normal(rngs["params"], (3,))}, "stats": stats}

    def apply(self, variables, inputs, rngs, mutable, method=None, training=False):
        assert mutable == ["stats"] and set(rngs) >= {"params", "dropout"}
        mean = variables["stats"]["mean"]
        new = jnp.mean(inputs, 0) if training else mean
        return (inputs - mean) * variables["params"]["w"], {"stats": {"mean": new}}

    def __call__(self, inputs, training=False): ...


def test_flax_layer():
    layer = FlaxLayer(Scaler(), seed=2)
    first = layer(X, training=True)
    w = np.asarray(layer.params["w"])
    close(first, X * w)
    close(layer(X), (X - X.mean(0)) * w)
    assert [(v.path, v.trainable) for v in layer.weights] == [
        ("flax_layer/w", True),
        ("flax_layer/stats_mean", False),
    ]
    given = FlaxLayer(Scaler(), variables={"params": {"w": w}, "stats": {"mean": np.zeros(3)}})
    close(given(X), X * w)
    with pytest.raises(ValueError, match="needs a module of `flax"):
        FlaxLayer(3)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: JaxLayer(linear), "needs `init_fn`, `params` or `state`"),
        (lambda: JaxLayer(lambda params: 1, normal), "with an argument `inputs`"),
        (lambda: JaxLayer(lambda inputs, x: 1), "got one with `x`"),
        (lambda: JaxLayer(linear, lambda inputs, params: 1), "`init_fn` whose arguments"),
    ],
)
def test_functions_of_other_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_call_cannot_change_the_structure_of_the_state():
    layer = JaxLayer(lambda state, inputs: (inputs, {}), state={"n": np.zeros(())})
    with pytest.raises(ValueError, match="a call cannot change it"):
        layer(X)


def test_layers_of_other_engines_say_what_to_use_instead():
    for make, message in (
        (lambda: layers.TFSMLayer("folder"), "TFSMLayer needs an engine .*`load_model`"),
        (lambda: layers.TorchModuleWrapper(None), "TorchModuleWrapper needs .*`JaxLayer`"),
        (lambda: layers.TFSMLayer.from_config({"filepath": "folder"}), "TFSMLayer needs"),
    ):
        with pytest.raises(NotImplementedError, match=message):
            make()
