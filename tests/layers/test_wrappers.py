"""Bidirectional and TimeDistributed against Keras."""

import functools

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from tests.oracle import close, same_layer, same_weights

X = np.random.default_rng(0).uniform(-1, 1, (2, 4, 3)).astype("float32")
HOLES = jnp.array([[1, 0, 1, 1], [0, 1, 0, 0]], bool)


@pytest.fixture(autouse=True)
def fresh_names():
    keras.utils.clear_session()


def both(make, *shape):
    """A layer of each library, built, with the same weights."""
    layers = [make(library.layers) for library in (keraunos, keras)]
    for layer in layers:
        layer.build(shape or X.shape)
    same_weights(*layers)
    return layers


def output(layer, x=X, **call):
    """What a layer returns, compiled as a whole: many small programs would take longer."""
    trained = [v.value for v in layer.trainable_variables]
    others = [v.value for v in layer.non_trainable_variables]
    return jax.jit(functools.partial(layer.stateless_call, **call))(trained, others, x)[0]


@pytest.mark.parametrize(
    "name, mode, options",
    [
        ("LSTM", "concat", {"return_sequences": True}),
        ("LSTM", None, {"return_state": True}),
        ("LSTM", "sum", {"return_sequences": True, "return_state": True}),
        ("GRU", "mul", {}),
        ("GRU", "ave", {"return_sequences": True}),
        ("GRU", None, {"return_sequences": True}),
    ],
)
def test_bidirectional(name, mode, options):
    layer = lambda library: getattr(library.layers, name)(2, seed=5, **options)
    make = lambda library: {"layer": layer(library), "merge_mode": mode, "name": "both"}
    ours, theirs = same_layer("Bidirectional", make, X)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    close(output(ours, mask=HOLES), output(theirs, mask=HOLES))
    assert type(ours(X)) is type(theirs(X))
    expected = theirs.compute_mask(X, HOLES)
    close(jax.tree.leaves(ours.compute_mask(X, HOLES)), jax.tree.leaves(expected))


def test_bidirectional_initial_state_and_backward_layer():
    def make(layers):
        backward = layers.GRU(2, go_backwards=True, return_sequences=True, name="other")
        forward = layers.GRU(2, return_sequences=True, name="one")
        return layers.Bidirectional(forward, backward_layer=backward, name="both")

    ours, theirs = both(make)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    states = [jnp.full((2, 2), v, "float32") for v in (0.2, -0.7)]
    close(output(ours, initial_state=states), output(theirs, initial_state=states))
    close(ours([X, *states]), output(theirs, initial_state=states))
    symbols = [keraunos.KerasTensor((None, 2)) for _ in states]
    assert ours(keraunos.KerasTensor((None, None, 3)), symbols).shape == (None, None, 4)


def test_bidirectional_config():
    ours, theirs = both(lambda layers: layers.Bidirectional(layers.LSTM(2, name="a"), name="b"))
    mine, yours = ours.get_config(), theirs.get_config()
    assert mine.keys() == yours.keys()
    names = lambda config: [config[k]["config"]["name"] for k in ("layer", "backward_layer")]
    assert names(mine) == names(yours) == ["forward_a", "backward_a"]
    again = keraunos.layers.Bidirectional.from_config(yours)
    again.build(X.shape)
    again.set_weights(ours.get_weights())
    close(again(X), ours(X))
    assert again.get_config() == mine and ours.get_build_config() == theirs.get_build_config()
    fresh = keraunos.layers.Bidirectional(keraunos.layers.LSTM(2), weights=ours.get_weights())
    close(fresh(X), ours(X))


def test_bidirectional_stateful():
    make = lambda layers: layers.Bidirectional(layers.GRU(2, stateful=True))
    ours, theirs = both(make)
    for _ in range(2):
        close(ours(X), theirs(X))
    assert len(ours.states) == 2 and ours.stateful
    ours.reset_states()
    theirs.reset_states()
    close(ours(X), theirs(X))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda k: k.Bidirectional(k.GRU(2), "x"), "one of concat, sum, mul, ave, None"),
        (lambda k: k.Bidirectional(k.Dense(2)), r"a recurrent layer.*`layer`, got <Dense"),
        (lambda k: k.Bidirectional(k.GRU(2), backward_layer=k.GRU(2)), "differ in `go_backwards`"),
        (
            lambda k: k.Bidirectional(
                k.GRU(2), backward_layer=k.GRU(2, go_backwards=True, return_sequences=True)
            ),
            "the same `return_sequences`, got False for the forward layer",
        ),
        (
            lambda k: k.Bidirectional(k.LSTM(2))(X, initial_state=[X[:, 0, :2]]),
            "as many states for the forward",
        ),
        (lambda k: k.TimeDistributed(3), "TimeDistributed needs a layer for `layer`, got 3"),
        (lambda k: k.TimeDistributed(k.Dense(2))(X[0]), r"axes for the batch.*shape \(4, 3\)"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make(keraunos.layers)


@pytest.mark.parametrize(
    "make, shape",
    [
        (lambda k: k.layers.Dense(2), (2, 4, 3)),
        (lambda k: k.layers.Conv2D(2, 2), (2, 3, 4, 4, 2)),
        (lambda k: k.layers.LSTM(2, seed=5), (2, 3, 4, 2)),
        (
            lambda k: k.Sequential(
                [k.layers.Input((3,)), k.layers.Dense(2, "relu"), k.layers.Dense(1)]
            ),
            (2, 4, 3),
        ),
    ],
)
def test_time_distributed(make, shape, rng):
    x = rng.uniform(-1, 1, shape).astype("float32")
    ours, theirs = same_layer("TimeDistributed", lambda library: {"layer": make(library)}, x)
    if not isinstance(ours.layer, keraunos.Sequential):
        assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    assert ours(keraunos.KerasTensor((None, None, *shape[2:]))).shape[:2] == (None, None)


def test_time_distributed_steps_see_each_other_assign():
    """Averages move from step to step; each step has its own draw of dropout."""
    make = lambda layers: layers.TimeDistributed(layers.BatchNormalization(momentum=0.5))
    ours, theirs = both(make)
    close(ours(X, training=True), theirs(X, training=True), atol=1e-5)
    close(ours.get_weights(), theirs.get_weights())
    close(ours(X), theirs(X))
    layer = keraunos.layers.TimeDistributed(keraunos.layers.Dropout(0.5, seed=1))
    y = np.asarray(layer(np.ones((1, 6, 50), "float32"), training=True))
    assert len({step.tobytes() for step in y[0]}) == 6


def test_time_distributed_mask():
    class Spy(keraunos.layers.Layer):
        supports_masking = True

        def call(self, x, mask=None):
            return x * mask[:, None]

    layer = keraunos.layers.TimeDistributed(Spy())
    x = jnp.array(X)
    close(layer(x, mask=HOLES), X * np.asarray(HOLES)[:, :, None])
    keraunos.core.masks.set_mask(x, HOLES)
    y = layer(x)
    assert keraunos.core.masks.get_mask(y) is HOLES
    # A mask of words is used up by the layer over words; what is left is a mask of sentences.
    words = jnp.zeros((2, 3, 4), bool).at[:, :2, :2].set(True)
    layer = keraunos.layers.TimeDistributed(keraunos.layers.GRU(2))
    sentences = layer.compute_mask(jnp.ones((2, 3, 4, 5)), words)
    np.testing.assert_array_equal(sentences, [[True, True, False]] * 2)


def test_time_distributed_losses():
    layer = keraunos.layers.TimeDistributed(
        keraunos.layers.Dense(2, activity_regularizer=keraunos.regularizers.L2(1.0))
    )
    y = layer(X)
    assert np.isclose(float(sum(layer.losses)), float((y**2).sum()) / 2, rtol=1e-5)


def test_wrapper():
    class Twice(keraunos.layers.Wrapper):
        def call(self, x):
            return 2 * self.layer(x)

    layer = Twice(keraunos.layers.Dense(2))
    assert layer(X).shape == (2, 4, 2) and len(layer.weights) == 2
    assert layer.get_config()["layer"]["class_name"] == "Dense"
