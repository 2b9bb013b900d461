"""Constraints move variables to where those of Keras do."""

import keras
import numpy as np
import pytest

from keraunos import constraints
from tests.oracle import close

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MaxNorm", {}),
        ("MaxNorm", {"max_value": 1.0, "axis": 1}),
        ("NonNeg", {}),
        ("UnitNorm", {}),
        ("UnitNorm", {"axis": [0, 1]}),
        ("MinMaxNorm", {}),
        ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.5, "axis": 1}),
    ],
    ids=str,
)
def test_same_arrays(name, arguments):
    ours = getattr(constraints, name)(**arguments)
    theirs = getattr(keras.constraints, name)(**arguments)
    for x in (X, np.zeros((2, 2), "float32")):
        close(ours(x), np.asarray(theirs(x)))
    assert ours.get_config() == theirs.get_config()
    assert constraints.serialize(ours) == keras.constraints.serialize(theirs)
    close(constraints.deserialize(constraints.serialize(ours))(X), ours(X))


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        (name, cls)
        for cls, names in {
            "MaxNorm": ("max_norm", "maxnorm", "MaxNorm"),
            "NonNeg": ("non_neg", "nonneg", "NonNeg"),
            "UnitNorm": ("unit_norm", "unitnorm", "UnitNorm"),
            "MinMaxNorm": ("min_max_norm", "minmaxnorm", "MinMaxNorm"),
        }.items()
        for name in names
    ],
)
def test_names(name, cls):
    assert isinstance(constraints.get(name), getattr(constraints, cls))


def test_users_own():
    class Halved(constraints.Constraint):
        def __call__(self, w):
            return w * 0.5

    close(Halved()(X), X * 0.5)
    close(constraints.Constraint()(X), X)
    assert constraints.get(None) is None
