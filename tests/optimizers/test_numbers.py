"""Ten steps from the same weights, on the same gradients, agree with Keras."""

import keras
import numpy as np
import pytest

import keraunos

from .cases import CASES, IDS, both, run, variables


def agree(ours, theirs, rtol, atol):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a.astype("float64"), b.astype("float64"), rtol=rtol, atol=atol)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_same_numbers(name, arguments):
    ours, theirs = both(name, arguments)
    traced = "gradient_accumulation_steps" in arguments  # Keras compiles each of its steps
    agree(run(keraunos, ours), run(keras, theirs, jit=traced), 1e-5, 1e-6)
    config = theirs.get_config()
    assert ours.get_config() == config | {"name": ours.name}
    described = lambda optimizer: [
        (v.path.removeprefix(optimizer.name), v.name, tuple(v.shape), v.dtype)
        for v in optimizer.variables
    ]
    drop = lambda described: [(p.rstrip("_0123456789"), *rest[1:]) for p, *rest in described]
    assert drop(described(ours)) == drop(described(theirs))
