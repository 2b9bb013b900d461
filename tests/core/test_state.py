"""Variables are cells; within a scope, code that assigns them is a pure function."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

from keraunos.core.state import Stateful, StatelessScope, Variable, give_back, lend, pure


def variable(value=1.0, **options):
    return Variable(np.asarray(value, "float32"), **options)


def test_assign_keeps_shape_and_dtype():
    v = variable([1.0, 2.0], name="v")
    v.assign([3, 4])
    assert v.dtype == "float32" and v.shape == (2,) and v.numpy().tolist() == [3.0, 4.0]
    with pytest.raises(ValueError, match=r"Variable v has shape \(2,\).*shape \(3,\)"):
        v.assign([1, 2, 3])


def test_a_scope_takes_assignments_and_leaves_the_variable_alone():
    v = variable(1.0)
    with StatelessScope([(v, jnp.float32(5.0))]) as scope:
        v.assign_add(1)
        assert v.value == 6.0
        assert scope.get_current_value(v) == 6.0
    assert v.value == 1.0


def test_an_inner_scope_reads_through_to_the_outer_one():
    a, b = variable(1.0), variable(2.0)
    with StatelessScope([(a, jnp.float32(10.0))]), StatelessScope([(b, jnp.float32(20.0))]):
        assert a.value + b.value == 30.0


def test_assignment_inside_a_transformation_says_what_to_do():
    v = variable(1.0, name="v")

    @jax.jit
    def wrong(x):
        v.assign(x)
        return x

    with pytest.raises(RuntimeError, match=r"Variable v was assigned inside a JAX.*stateless_call"):
        wrong(jnp.float32(2.0))
    assert v.value == 1.0


@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=5))
def test_pure_gives_what_running_gives(values):
    a, b = variable(1.0), variable(values)

    def work(x):
        b.assign_add(a * x)
        a.assign(jnp.sum(b.value))
        return b.value * 2

    run = pure(work, [a], [b])
    start = lend([a], [b])
    outputs, new = run(start, 3.0)
    before = np.asarray(start[1][0])
    assert np.array_equal(b.numpy(), before)  # nothing happened outside
    expected = work(3.0)
    assert np.array_equal(outputs, expected)
    assert np.array_equal(new[0][0], a.numpy()) and np.array_equal(new[1][0], b.numpy())


def test_lend_and_give_back():
    a, b = variable(1.0), variable(2.0)
    values = lend([a], [b])
    give_back(([a], [b]), [[v + 1 for v in group] for group in values])
    assert (a.value, b.value) == (2.0, 3.0)


def test_variables_do_not_share_buffers():
    a = variable([1.0, 2.0])
    b = variable([0.0, 0.0])
    b.assign(a.value)
    jax.jit(lambda x: x + 1, donate_argnums=0)(a._array)
    assert b.numpy().tolist() == [1.0, 2.0]


def test_numpy_is_a_copy():
    v = variable([1.0])
    v.numpy()[0] = 9
    assert v.value[0] == 1.0


def test_variables_are_real_inside_a_trace():
    made = []

    def trace(x):
        made.append(Variable(lambda shape, dtype: jnp.ones(shape, dtype), (2,)))
        return x * made[0].value.sum()

    jax.eval_shape(trace, jax.ShapeDtypeStruct((), "float32"))
    assert made[0].numpy().tolist() == [1.0, 1.0]


def test_operators():
    v = variable(3.0)
    assert (v + 1, 1 + v, v - 1, 7 - v, v * 2, v / 2, 6 / v) == (4, 4, 2, 4, 6, 1.5, 2)
    assert (-v, abs(-v), v**2, v % 2, v // 2) == (-3, 3, 9, 1, 1)
    assert v > 2 and v >= 3 and v < 4 and float(v) == 3.0


class Owner(Stateful):
    def __init__(self, *things):
        self.things = list(things)


def test_walking_finds_each_variable_once_through_lists_dicts_and_circles():
    a, b, c = (variable(name=n) for n in "abc")
    inner = Owner({"b": b}, [a])
    outer = Owner(a, inner, (c, inner))
    inner.up = outer
    assert [v.name for v in outer.variables] == ["a", "c", "b"]  # own ones first
    assert [v.name for v in inner.variables] == ["b", "a", "c"]


def test_trainable_variables_come_first():
    a, b = variable(name="a", trainable=False), variable(name="b")
    assert [v.name for v in Owner(a, b).variables] == ["b", "a"]


def test_copies_and_pickles():
    v = variable([1.0, 2.0], name="v")
    for other in (copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        other.assign([5.0, 6.0])
        assert v.numpy().tolist() == [1.0, 2.0] and other.name == "v"


def test_names():
    assert variable().name == "variable" and variable().name == "variable_1"
    with pytest.raises(ValueError, match="cannot contain '/'"):
        variable(name="a/b")
