"""Random numbers are those of Keras on JAX, to the bit, for the same seeds."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import random
from keraunos.core import masks

X = jnp.arange(12, dtype="float32").reshape(3, 4)
DRAWS = [
    ("uniform", ((3, 2),), {}),
    ("uniform", ((3,), -2.0, 3.0), {"dtype": "bfloat16"}),
    ("uniform", ((3,),), {"minval": np.zeros(3, "f"), "maxval": np.array([1, 2, 3], "f")}),
    ("normal", ((3, 2), 1.0, 2.0), {}),
    ("normal", ((3,),), {"dtype": "float16"}),
    ("truncated_normal", ((3, 2), 1.0, 2.0), {}),
    ("truncated_normal", ((3,),), {"dtype": "bfloat16", "mean": 0.3}),
    ("randint", ((5,), 0, 100), {}),
    ("randint", ((3,), np.array([0, 1, 5]), 10), {"dtype": "uint8"}),
    ("categorical", (X, 5), {}),
    ("categorical", (X, 2), {"dtype": "uint8"}),
    ("dropout", (X, 0.3), {}),
    ("dropout", (X, 0.3), {"noise_shape": (None, 1)}),
    ("dropout", (X.astype("float16"), 0.1), {}),
    ("dropout", (X, 1.0), {}),
    ("shuffle", (X,), {}),
    ("shuffle", (X,), {"axis": 1}),
    ("beta", ((3,), 2.0, 3.0), {}),
    ("gamma", ((2,), np.array([1.0, 2.0], "f")), {}),
    ("binomial", ((4,), 10.0, 0.3), {}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), DRAWS)
def test_same_numbers(name, args, kwargs):
    theirs = getattr(keras.random, name)(*args, **kwargs, seed=5)
    ours = getattr(random, name)(*args, **kwargs, seed=5)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    generators = random.SeedGenerator(5), keras.random.SeedGenerator(5)
    for _ in range(2):  # a generator goes on, and goes on alike
        ours = getattr(random, name)(*args, **kwargs, seed=generators[0])
        theirs = getattr(keras.random, name)(*args, **kwargs, seed=generators[1])
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    np.testing.assert_array_equal(generators[0].state.numpy(), generators[1].state.numpy())


def test_generator_and_its_config():
    ours, theirs = random.SeedGenerator(3, name="seeds"), keras.random.SeedGenerator(3, "seeds")
    assert ours.get_config() == theirs.get_config()
    for attribute in ("path", "shape", "dtype", "trainable"):
        assert getattr(ours.state, attribute) == getattr(theirs.state, attribute)
    for ordered in (True, False, False, True):
        np.testing.assert_array_equal(ours.next(ordered), theirs.next(ordered))
    again = random.SeedGenerator.from_config(ours.get_config())
    np.testing.assert_array_equal(again.state.numpy(), [3, 0])
    assert ours.variables == [ours.state]


def test_set_random_seed_sets_everything():
    keras.utils.set_random_seed(7)
    theirs = [keras.random.uniform((2,)), keras.random.normal((2,)), np.random.rand()]
    random.set_random_seed(7)
    ours = [random.uniform((2,)), random.normal((2,)), np.random.rand()]
    for a, b in zip(ours, theirs):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="must be an integer, got 'a'"):
        random.set_random_seed("a")


@pytest.mark.parametrize("name", ["Dense", "Embedding", "EinsumDense"])
def test_initial_weights_are_those_of_keras(name):
    arguments = {"Dense": (3,), "Embedding": (4, 3), "EinsumDense": ("ab,bc->ac", 3)}[name]
    values = []
    for library, set_seed in (
        (keraunos, random.set_random_seed),
        (keras, keras.utils.set_random_seed),
    ):
        set_seed(11)
        made = [getattr(library.layers, name)(*arguments) for _ in range(2)]
        drop = library.layers.Dropout(0.5)
        for layer in made:
            layer.build((None, 4))
        values.append([layer.weights[0].numpy() for layer in made] + [drop.seed_generator.state])
    for a, b in zip(*values):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: random.SeedGenerator("a"), "must be an integer .* got 'a'"),
        (lambda: random.SeedGenerator(-1), "integer from 0"),
        (lambda: random.SeedGenerator(1, name="a/b"), "without '/'"),
        (lambda: random.SeedGenerator(1, other=2), "unexpected"),
        (lambda: random.uniform((2,), seed=1.5), "or a `SeedGenerator`, got 1.5"),
        (lambda: random.uniform((None, 2)), "without unknown sizes"),
        (lambda: random.uniform((2,), dtype="int32"), "float `dtype`, got int32"),
        (lambda: random.randint((2,), 0, 3, dtype="float32"), "integer `dtype`"),
        (lambda: random.categorical(np.ones(3), 2), r"shape \(batch, classes\)"),
        (lambda: jax.jit(lambda: random.normal((2,)))(), "SeedGenerator"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_keys_of_jax_are_seeds():
    key = jnp.array([1, 2], "uint32")
    np.testing.assert_array_equal(
        random.normal((2,), seed=key), keras.random.normal((2,), seed=key)
    )
    random.normal((2,), seed=jax.random.key(1))


def test_symbolic_inputs():
    x = keraunos.KerasTensor((None, 3))
    assert random.dropout(x, 0.5).shape == random.shuffle(x).shape == (None, 3)
    assert random.categorical(x, 4).shape == (None, 4)
    assert masks.get_mask(x) is None


def test_without_a_seed_only_shapes_may_be_traced():
    class Noisy(keraunos.layers.Layer):
        def call(self, x):
            return x + random.normal((3,))

    layer = Noisy()
    assert layer(keraunos.KerasTensor((None, 3))).shape == (None, 3)
    with pytest.raises(ValueError, match="SeedGenerator"):
        jax.jit(lambda x: layer.stateless_call([], [], x))(jnp.ones((2, 3)))


def test_dropout_of_everything_has_a_gradient():
    gradient = jax.grad(lambda x: random.dropout(x, 1.0, seed=1).sum())(jnp.ones(3))
    np.testing.assert_array_equal(gradient, np.zeros(3))
