"""Ten steps from the same weights, on the same gradients, agree with Keras."""

import inspect

import keras
import numpy as np
import pytest

import keraunos

from .cases import CASES, IDS, SHAPES, agree, both, gradients, run, variables

NAMES = list(dict.fromkeys(name for name, _ in CASES))


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_same_numbers(name, arguments):
    ours, theirs = both(name, arguments)
    traced = "gradient_accumulation_steps" in arguments  # Keras compiles each of its steps
    agree(run(keraunos, ours), run(keras, theirs, jit=traced))
    assert ours.get_config() == theirs.get_config() | {"name": ours.name}
    # The names of what Keras numbers differ with what was made before in the process.
    plain = lambda text: text.rstrip("_0123456789")
    paths = [
        [(plain(v.path.replace(f"{o.name}/", "o/")), tuple(v.shape), v.dtype) for v in o.variables]
        for o in (ours, theirs)
    ]
    assert paths[0] == paths[1]


@pytest.mark.parametrize("name", NAMES)
def test_same_signature(name):
    mine, yours = (getattr(library.optimizers, name) for library in (keraunos, keras))
    described = lambda cls: [
        (p.name, p.kind, p.default) for p in inspect.signature(cls.__init__).parameters.values()
    ]
    assert described(mine) == described(yours)


def three_steps(library, name, dtype):
    optimizer = getattr(library.optimizers, name)(learning_rate=0.05)
    grads = gradients(SHAPES, dtype, steps=3)
    return run(library, optimizer, dtype, grads=grads, shapes=SHAPES)[: len(SHAPES)]


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16(name):
    """As in float32: Keras computes in bfloat16 itself, where its Adam stands still."""
    half, full = (three_steps(keraunos, name, dtype) for dtype in ("bfloat16", "float32"))
    assert all(v.dtype == "bfloat16" for v in half)
    agree([v.astype("float32") for v in half], full, 5e-2, 5e-2)
    start = variables(keraunos)[0].numpy()
    moved = np.abs(full[0] - start) > 0.01 + 0.01 * np.abs(start)
    assert np.all(half[0].astype("float32")[moved] != start[moved])


@pytest.mark.parametrize("name", ["SGD", "Adam", "Lamb"])
def test_float16(name):
    mine, yours = (three_steps(library, name, "float16") for library in (keraunos, keras))
    agree(mine, yours, 1e-2, 1e-2)
