"""`+`, `[]`, `@` and their like on symbolic tensors."""

import operator

import keras
import numpy as np
import pytest

import keraunos
from keraunos import KerasTensor
from keraunos.core.graph import Function
from tests.ops.table import ints, rand
from tests.oracle import close

X, Y, K = rand(2, 3), rand(2, 3), ints(2, 3, low=1)
B = X > 0

TWO = [
    *((getattr(operator, name), X, Y) for name in (
        "add", "sub", "mul", "truediv", "floordiv", "mod", "lt", "le", "gt", "ge", "ne",
    )),
    *((getattr(operator, name), X, 2.0) for name in ("add", "sub", "mul", "truediv", "pow")),
    *((getattr(operator, name), 2.0, X) for name in ("add", "sub", "mul", "truediv", "pow")),
    *((getattr(operator, name), K, 2) for name in ("floordiv", "mod", "truediv", "pow")),
    *((getattr(operator, name), 7, K) for name in ("floordiv", "mod", "truediv")),
    *((getattr(operator, name), B, ~B) for name in ("and_", "or_", "xor")),
    *((getattr(operator, name), True, B) for name in ("and_", "or_", "xor")),
    (operator.matmul, X, Y.T.copy()),
]  # fmt: skip
ONE = [
    lambda x: -x,
    abs,
    lambda x: ~(x > 0),
    lambda x: round(x, 1),
    lambda x: x[0],
    lambda x: x[:, 1],
    lambda x: x[..., None],
    lambda x: x[:, -2:],
    lambda x: x.reshape((3, 2)),
    lambda x: x[:, :1].squeeze(),
    lambda x: x[:, :1].squeeze(1),
]


def run(library, fn, *values):
    """What `fn` makes of symbolic tensors, and the graph's answer for the values."""
    of = lambda v: library.KerasTensor(v.shape, str(v.dtype)) if hasattr(v, "shape") else v
    symbols = [of(value) for value in values]
    given = [s for s in symbols if isinstance(s, library.KerasTensor)]
    out = fn(*symbols)
    graph = Function if library is keraunos else keras.Function
    result = graph(given, out)([v for v in values if hasattr(v, "shape")])
    return (out.shape, out.dtype), result


@pytest.mark.parametrize("case", range(len(TWO)))
def test_two_operands(case):
    fn, a, b = TWO[case]
    (mine, ours), (yours, theirs) = run(keraunos, fn, a, b), run(keras, fn, a, b)
    assert mine == yours
    close(ours, theirs)


@pytest.mark.parametrize("case", range(len(ONE)))
def test_one_operand(case):
    (mine, ours), (yours, theirs) = run(keraunos, ONE[case], X), run(keras, ONE[case], X)
    assert mine == yours
    close(ours, theirs)


def test_unknown_sizes_of_slices():
    x = KerasTensor((None, 6, 2))
    assert x[2:5].shape == (None, 6, 2)
    assert x[::2, ::2].shape == (None, 3, 2)
    assert x[:, None, 1].shape == (None, 1, 2)


def test_identity_and_hash():
    x, y = KerasTensor((2,)), KerasTensor((2,))
    assert (x == x) is True and (x == y) is False and x in [y, x]
    assert {x: 1}[x] == 1 and len({x, y}) == 2
    assert (x != y).dtype == "bool"


def test_numpy_on_the_left():
    assert (np.ones((2, 3)) + KerasTensor((None, 3))).shape == (2, 3)
    assert (np.ones((4, 2)) @ KerasTensor((2, None))).shape == (4, None)


def test_what_a_symbolic_tensor_cannot_do():
    x = KerasTensor((2, 3))
    for call, message in (
        (lambda: len(x), "has no length"),
        (lambda: iter(x), "cannot be iterated"),
        (lambda: bool(x), "no truth value"),
    ):
        with pytest.raises(TypeError, match=message):
            call()
