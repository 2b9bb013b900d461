"""Schedules say what Keras's say, at every step."""

import jax
import keras
import numpy as np
import pytest

import keraunos
from keraunos.optimizers import schedules

from .cases import agree, both, run

CASES = [
    ("ExponentialDecay", (0.1, 3, 0.5)),
    ("ExponentialDecay", (0.1, 3, 0.5, True)),
    ("InverseTimeDecay", (0.1, 3, 0.5)),
    ("InverseTimeDecay", (0.1, 3, 0.5, True)),
    ("PiecewiseConstantDecay", ([2, 5], [0.3, 0.2, 0.1])),
    ("PolynomialDecay", (0.1, 4)),
    ("PolynomialDecay", (0.1, 4, 0.01, 0.5)),
    ("PolynomialDecay", (0.1, 4, 0.01, 2.0, True)),
    ("CosineDecay", (0.1, 5)),
    ("CosineDecay", (0.1, 5, 0.2)),
    ("CosineDecay", (0.1, 5, 0.2, "warm", 0.7, 4)),
    ("CosineDecay", (0.1, 5, 0.0, "warm", 0.7)),
    ("CosineDecayRestarts", (0.1, 3)),
    ("CosineDecayRestarts", (0.1, 3, 1.0, 0.5, 0.1)),
    ("CosineDecayRestarts", (0.1, 3, 1.5, 0.8)),
]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_same_rates(name, arguments):
    ours, theirs = (
        getattr(library.optimizers.schedules, name)(*arguments) for library in (keraunos, keras)
    )
    mine, yours = (jax.jit(jax.vmap(schedule))(np.arange(14)) for schedule in (ours, theirs))
    np.testing.assert_allclose(mine, yours, rtol=1e-5, atol=1e-7)
    for step in (0, 6):
        rate = ours(step)
        assert rate.dtype == "float32" and rate.shape == ()
        np.testing.assert_allclose(rate, mine[step], rtol=1e-5, atol=1e-7)
    assert ours.get_config() == theirs.get_config()
    assert schedules.serialize(ours) == keras.optimizers.schedules.serialize(theirs)
    again = schedules.deserialize(schedules.serialize(ours))
    assert type(again) is type(ours) and again.get_config() == ours.get_config()


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        (
            "Adam",
            lambda library: {"learning_rate": library.optimizers.schedules.CosineDecay(0.1, 7)},
        ),
        (
            "SGD",
            lambda library: {
                "learning_rate": library.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5, True),
                "gradient_accumulation_steps": 2,
                "weight_decay": 0.1,
            },
        ),
    ],
)
def test_optimizer_follows_schedule(name, rate):
    ours, theirs = both(name, rate)
    agree(run(keraunos, ours), run(keras, theirs))
    assert ours.get_config() == theirs.get_config() | {"name": ours.name}
    again = type(ours).from_config(ours.get_config())
    assert again.get_config() == ours.get_config()


def test_own_schedule():
    class Halving(schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.5 ** (step + 1)

    optimizer = keraunos.optimizers.SGD(Halving())
    assert float(optimizer.learning_rate) == 0.5
    with pytest.raises(NotImplementedError, match=r"Halving must define `get_config\(\)`"):
        optimizer.get_config()
    with pytest.raises(NotImplementedError, match="must define `__call__"):
        schedules.LearningRateSchedule()(1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: schedules.ExponentialDecay(0.1, 0, 0.5),
            "ExponentialDecay needs a number above 0 for `decay_steps`, got 0.",
        ),
        (lambda: schedules.CosineDecayRestarts(0.1, -1), "`first_decay_steps`, got -1"),
        (
            lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]),
            "one more of `values` than of `boundaries`, got 2 and 2",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
