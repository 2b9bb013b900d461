"""Optimizers made of others: scaled losses, several at once, optax's transformations."""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import optimizers

from .cases import SHAPES, agree, gradients, run, variables


def scaled(library, **inner):
    return library.optimizers.LossScaleOptimizer(
        library.optimizers.SGD(0.1, **inner),
        initial_scale=4.0,
        dynamic_growth_steps=3,
        name="scaled",
    )


def some_infinite():
    grads = gradients()
    for step, bad in ((1, np.inf), (5, np.nan)):
        grads[step][1] = grads[step][1].at[0].set(bad)
    return grads


@pytest.mark.parametrize(
    "inner", [{"momentum": 0.5}, {"gradient_accumulation_steps": 2, "use_ema": True}]
)
def test_loss_scale(inner):
    ours, theirs = scaled(keraunos, **inner), scaled(keras, **inner)
    mine = run(keraunos, ours, grads=some_infinite())
    agree(mine, run(keras, theirs, grads=some_infinite()))
    agree(run(keraunos, scaled(keraunos, **inner), grads=some_infinite(), jit=False), mine)
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
    assert ours.get_config().keys() == theirs.get_config().keys()


def test_loss_scale_delegates():
    optimizer = scaled(keraunos)
    assert optimizer.scale_loss(2.0) == 8.0
    run(keraunos, optimizer, grads=some_infinite(), jit=False)
    assert float(optimizer.scale_loss(2.0)) == 2.0 * float(optimizer.dynamic_scale)
    assert int(optimizer.iterations) == 8
    optimizer.learning_rate = 0.5
    assert float(optimizer.inner_optimizer.learning_rate) == float(optimizer.learning_rate) == 0.5
    again = optimizers.get(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config() and again.initial_scale == 4.0


def chosen(library):
    o = library.optimizers
    by_path = o.OptimizerMap(o.SGD(0.1), {"ker.*": o.Adam(0.1)})
    return o.MultiOptimizer(by_path, loss_scale_factor=4.0, name="several")


def test_several():
    ours, theirs = chosen(keraunos), chosen(keras)
    agree(run(keraunos, ours), run(keras, theirs, jit=False))
    names = [[v.name for v in o.variables] for o in (ours, theirs)]
    assert names[0] == names[1]
    assert ours.get_config().keys() == theirs.get_config().keys()
    assert [type(o).__name__ for o in ours.optimizers] == ["Adam", "SGD"]
    assert ours.scale_loss(2.0) == 8.0
    again = optimizers.deserialize(optimizers.serialize(ours))
    assert again.get_config() == ours.get_config()
    with pytest.raises(AttributeError, match="as many learning rates as it has optimizers"):
        ours.learning_rate = 0.1
    assert not hasattr(ours, "learning_rate")


def test_several_by_function():
    sgd, adam = optimizers.SGD(1.0), optimizers.Adam()
    several = optimizers.MultiOptimizer(lambda v: sgd if v.name == "bias" else adam)
    trained = variables(keraunos)
    before = trained[1].numpy()
    with pytest.warns(UserWarning, match="does not depend on kernel"):
        several.apply([None, jnp.ones(SHAPES["bias"])], trained)
    np.testing.assert_allclose(trained[1].numpy(), before - 1, rtol=1e-6)
    assert several.optimizers == [adam, sgd] and int(several.iterations) == 1


@pytest.mark.parametrize(
    ("path", "keys", "key"),
    [
        ("dense/kernel", ["dense/.*"], 0),
        ("dense/kernel", ["dense"], None),
        ("dense/kernel", ["kernel"], None),
        ("dense/kernel", ["dense.*", "dense/kernel"], 1),
        ("model/dense/kernel", ["dense/.*"], None),
    ],
)
def test_map(path, keys, key):
    for library in (keraunos, keras):
        default, *others = [library.optimizers.SGD() for _ in range(1 + len(keys))]
        by_path = library.optimizers.OptimizerMap(default, dict(zip(keys, others)))
        assert by_path[path] is (default if key is None else others[key])
        assert list(by_path) == keys and len(by_path) == len(keys)


class Pair(NamedTuple):
    init: object
    update: object


def momentum(rate, decay):
    """As optax writes it: a pair of pure functions and a state of arrays."""

    def update(grads, state, params=None):
        assert len(params) == len(grads)
        count, trace = state
        trace = jax.tree.map(lambda g, t: g + decay * t, grads, trace)
        return jax.tree.map(lambda t: -rate * t, trace), (count + 1, trace)

    return Pair(
        lambda params: (jnp.zeros((), "int32"), jax.tree.map(jnp.zeros_like, params)), update
    )


@pytest.mark.parametrize("jit", [True, False])
def test_optax(jit):
    ours = optimizers.get(momentum(0.1, 0.9))
    assert isinstance(ours, optimizers.OptaxOptimizer)
    mine = run(keraunos, ours, jit=jit)
    yours = run(keraunos, optimizers.SGD(0.1, momentum=0.9), jit=jit)
    agree(mine[: len(SHAPES)], yours[: len(SHAPES)])
    assert [v.dtype for v in ours.variables[2:]] == ["int32", "float32", "float32"]


def test_optax_with_the_rest():
    arguments = {"clipnorm": 0.5, "weight_decay": 0.1, "gradient_accumulation_steps": 2}
    ours = optimizers.OptaxOptimizer(momentum(1.0, 0.5), learning_rate=0.1, **arguments)
    yours = optimizers.SGD(0.1, momentum=0.5, **arguments)
    agree(run(keraunos, ours)[: len(SHAPES)], run(keraunos, yours)[: len(SHAPES)])
    optimizer, trained = optimizers.get(momentum(0.1, 0.9)), variables(keraunos)
    with pytest.warns(UserWarning, match="does not depend on bias"):
        optimizer.apply([jnp.ones(SHAPES["kernel"]), None], trained)
    with pytest.raises(ValueError, match="compile=False"):
        optimizers.deserialize(optimizers.serialize(optimizer))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda o: o.LossScaleOptimizer(o.SGD(), clipnorm=1.0),
            ValueError,
            "does not take `clipnorm`: give it to the inner optimizer.",
        ),
        (
            lambda o: o.LossScaleOptimizer(o.SGD(), inital_scale=1.0),
            ValueError,
            "no argument `inital_scale`. Did you mean `initial_scale`?",
        ),
        (
            lambda o: o.LossScaleOptimizer(len),
            TypeError,
            "needs an optimizer for `inner_optimizer`",
        ),
        (lambda o: o.MultiOptimizer({"a": o.SGD()}), TypeError, "an OptimizerMap, or a callable"),
        (
            lambda o: o.OptimizerMap("sgd"),
            TypeError,
            "needs an optimizer for `default_optimizer`, got 'sgd'.",
        ),
        (
            lambda o: o.OptimizerMap(o.SGD(), {"a": "sgd"}),
            ValueError,
            "needs an optimizer for `a`, got 'sgd'.",
        ),
        (
            lambda o: o.OptimizerMap(o.SGD(), {"a.*": o.SGD(), ".*b": o.SGD()})["ab"],
            ValueError,
            "'ab' matches several keys of the map: ['a.*', '.*b'].",
        ),
        (
            lambda o: o.OptimizerMap(o.SGD(), {"a": o.SGD()}).__setitem__("a", o.SGD()),
            ValueError,
            "already has an optimizer for 'a'",
        ),
        (
            lambda o: o.OptimizerMap(o.SGD()).__setitem__(3, o.SGD()),
            ValueError,
            "a string for each key, got 3.",
        ),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make(optimizers)
