"""Initializers give the numbers of Keras on JAX, to the bit, for the same seeds."""

import math

import keras
import numpy as np
import pytest

import keraunos
from keraunos import initializers

DRAWN = [
    ("RandomNormal", {"mean": 0.5, "stddev": 2.0}),
    ("RandomUniform", {"minval": -1.0, "maxval": 2.0}),
    ("TruncatedNormal", {"mean": 0.5, "stddev": 2.0}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_avg", "distribution": "uniform"}),
    ("VarianceScaling", {"mode": "fan_out", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"input_axes": (0,), "output_axes": (1, 2)}),
    ("GlorotUniform", {}),
    ("GlorotNormal", {}),
    ("HeUniform", {}),
    ("HeNormal", {}),
    ("LecunUniform", {}),
    ("LecunNormal", {}),
    ("Orthogonal", {"gain": 2.0}),
]
KNOWN = [
    ("Zeros", {}, (3, 2)),
    ("Ones", {}, (3, 2)),
    ("Constant", {"value": 3.0}, (3, 2)),
    ("Constant", {"value": [1.0, 2.0]}, (3, 2)),
    ("Identity", {"gain": 2.0}, (3, 2)),
    *(
        ("STFT", {"side": side, "window": window, "scaling": scaling, "periodic": periodic}, s)
        for side, window, scaling, periodic, s in [
            ("real", "hann", "density", False, (6, 1, 4)),
            ("imag", "hamming", "spectrum", True, (6, 1, 5)),
            ("real", None, "density", False, (8, 1, 5)),
            ("imag", "hann", None, True, (8, 1, 5)),
        ]
    ),
]


@pytest.mark.parametrize(("name", "arguments"), DRAWN, ids=str)
def test_drawn_numbers(name, arguments):
    ours = getattr(initializers, name)(**arguments, seed=3)
    theirs = getattr(keras.initializers, name)(**arguments, seed=3)
    for shape, dtype in (((4, 3, 2), None), ((4, 3, 2), "float16")):
        if name == "Orthogonal" and dtype:
            continue  # Keras has none in half precision
        a, b = ours(shape, dtype=dtype), theirs(shape, dtype=dtype)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert ours.get_config() == theirs.get_config()
    assert initializers.serialize(ours) == keras.initializers.serialize(theirs)
    again = initializers.deserialize(keras.initializers.serialize(theirs))
    for other in (again, ours.clone()):
        np.testing.assert_array_equal(other((4, 3, 2)), ours((4, 3, 2)))


@pytest.mark.parametrize(("name", "arguments", "shape"), KNOWN, ids=str)
def test_known_numbers(name, arguments, shape):
    ours = getattr(initializers, name)(**arguments)
    theirs = getattr(keras.initializers, name)(**arguments)
    a, b = ours(shape), theirs(shape)
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, 1e-6, 1e-6)
    assert theirs.get_config().items() <= ours.get_config().items()
    np.testing.assert_array_equal(initializers.get(initializers.serialize(ours))(shape), a)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (7, 2, 3), (2, 3, 4, 5)])
def test_fans(shape):
    for mode in initializers.MODES:
        arguments = {"mode": mode, "distribution": "uniform", "seed": 1}
        ours, theirs = initializers.VarianceScaling, keras.initializers.VarianceScaling
        np.testing.assert_array_equal(ours(**arguments)(shape), theirs(**arguments)(shape))
    assert initializers.fans((2, 3, 4), 1, -1) == (3, 4)


@pytest.mark.parametrize(
    ("name", "deviation", "most"),
    [
        ("he_normal", math.sqrt(2 / 200), 0.2274),
        ("glorot_uniform", math.sqrt(2 / 500), math.sqrt(6 / 500)),
        ("random_normal", 0.05, 0.4),
        ("truncated_normal", 0.05 * 0.8796, 0.1),
        ("uniform", 0.1 / math.sqrt(12), 0.05),
    ],
)
def test_distributions(name, deviation, most):
    x = np.asarray(initializers.get(name)((200, 300)))
    assert abs(x.mean()) < deviation / 50
    assert abs(x.std() / deviation - 1) < 0.02
    assert np.abs(x).max() <= most * 1.001


def test_orthogonal_is_orthogonal():
    for shape in ((6, 3), (3, 6), (2, 3, 4)):
        x = np.asarray(initializers.Orthogonal()(shape)).reshape(-1, shape[-1])
        product = x.T @ x if x.shape[0] >= x.shape[1] else x @ x.T
        np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-6)
    assert initializers.Orthogonal()((3, 3), dtype="bfloat16").dtype == "bfloat16"


@pytest.mark.parametrize(
    "name", [n for n in dir(keras.initializers) if n[0] != "_" and n[0].islower()]
)
def test_names(name):
    if name in ("get", "serialize", "deserialize"):
        assert callable(getattr(initializers, name))
        return
    theirs, ours = getattr(keras.initializers, name), getattr(initializers, name)
    assert ours.__name__ == theirs.__name__
    assert isinstance(initializers.get(name), ours)


@pytest.mark.parametrize("name", ["normal", "uniform", "zero", "one", "IdentityInitializer"])
def test_other_names(name):
    assert (
        initializers.get(name).__class__.__name__ == keras.initializers.get(name).__class__.__name__
    )


def test_get():
    assert initializers.get(None) is None
    assert isinstance(initializers.get(initializers.Zeros), initializers.Zeros)
    fn = lambda shape, dtype: np.ones(shape, dtype)
    assert initializers.get(fn) is fn
    np.testing.assert_array_equal(initializers.get(np.arange(3.0))((3,)), [0, 1, 2])
    with pytest.raises(ValueError, match="Did you mean 'glorot_uniform'"):
        initializers.get("glorot_unifrom")


def test_seeds():
    drawn = initializers.GlorotUniform()
    np.testing.assert_array_equal(drawn((2, 3)), drawn((2, 3)))
    assert drawn.get_config()["seed"] is None
    assert not np.array_equal(drawn((2, 3)), drawn.clone()((2, 3)))
    generator = initializers.GlorotUniform(seed=keraunos.random.SeedGenerator(4))
    assert not np.array_equal(generator((2, 3)), generator((2, 3)))
    again = initializers.GlorotUniform.from_config(generator.get_config())
    theirs = keras.initializers.GlorotUniform(seed=keras.random.SeedGenerator(4))
    np.testing.assert_array_equal(again((2, 3)), theirs((2, 3)))


def test_an_array_starts_a_weight():
    layer = keraunos.layers.Dense(2, kernel_initializer=np.eye(2))
    layer.build((None, 2))
    np.testing.assert_array_equal(layer.kernel.numpy(), np.eye(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.VarianceScaling(scale=0), "VarianceScaling needs a number above 0"),
        (lambda: initializers.VarianceScaling(mode="x"), "one of fan_in, fan_out, fan_avg"),
        (lambda: initializers.VarianceScaling(distribution="x"), "for `distribution`, got 'x'"),
        (lambda: initializers.GlorotUniform(seed="a"), "`SeedGenerator` for `seed`, got 'a'"),
        (lambda: initializers.Identity()((2,)), r"makes matrices.*\(2,\)"),
        (lambda: initializers.Orthogonal()((2,)), r"two or more axes.*\(2,\)"),
        (lambda: initializers.STFT(side="x"), "one of real, imag"),
        (lambda: initializers.STFT(scaling="x"), "for `scaling`, got 'x'"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
    with pytest.raises(NotImplementedError, match="must define `__call__"):
        initializers.Initializer()((2,))
