"""Learning rates: one for each part of a model; one that is found."""

import random

import jax.numpy as jnp
import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.data import Arrays
from keraunos.optimizers import SGD, Adam, MultiOptimizer
from keraunos.training import sizes
from keraunos.training.rates import judged

X = np.random.RandomState(0).rand(32, 3).astype("float32")
Y = X.sum(1, keepdims=True)


def built(optimizer):
    """A model around another, as it is loaded from a file."""
    ones = {"kernel_initializer": "ones"}
    backbone = keraunos.Sequential(
        [
            keraunos.Input((3,)),
            layers.Dense(2, name="low", **ones),
            layers.Dense(2, name="high", **ones),
        ],
        name="backbone",
    )
    model = keraunos.Sequential(
        [keraunos.Input((3,)), backbone, layers.Dense(1, name="head", **ones)], name="net"
    )
    model.compile(optimizer, "mse")
    return model


def moves(model):
    """How far a step moves each kernel, by its layer."""
    before = [w.copy() for w in model.get_weights()]
    model.train_on_batch(X, Y)
    names = [variable.path.split("/")[-2] + "/" + variable.name for variable in model.weights]
    after = model.get_weights()
    return {n: float(np.abs(a - b).max()) for n, a, b in zip(names, after, before)}


def test_the_first_pattern_that_fits_counts():
    plain = moves(built(SGD(1.0)))
    found = moves(
        built({"backbone/low": SGD(0.0), "*/bias": "sgd", "backbone/*": SGD(0.1), "*": SGD(1.0)})
    )
    assert found["low/kernel"] == found["low/bias"] == 0
    np.testing.assert_allclose(found["high/kernel"], 0.1 * plain["high/kernel"], rtol=1e-4)
    np.testing.assert_allclose(found["head/bias"], 0.01 * plain["head/bias"], rtol=1e-4)
    np.testing.assert_allclose(found["head/kernel"], plain["head/kernel"], rtol=1e-4)


def test_a_model_comes_back_from_its_file(tmp_path):
    model = built({"backbone/*": Adam(1e-5), "*": Adam(1e-2, beta_1=0.8)})
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(tmp_path / "net.keras")
    again = keraunos.saving.load_model(tmp_path / "net.keras")
    assert isinstance(again.optimizer, MultiOptimizer)
    mine, theirs = (list(m._compiled.config["optimizer"].items()) for m in (model, again))
    assert [(k, o.get_config()) for k, o in mine] == [(k, o.get_config()) for k, o in theirs]
    for one, other in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    for each in (model, again):
        each.fit(X, Y, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_is_built_later_and_frozen_layers():
    model = keraunos.Sequential([layers.Dense(2, name="a"), layers.Dense(1, name="b")])
    model.layers[0].trainable = False
    model.compile({"a": "adam", "b": SGD(0.1)}, "mse")
    model.fit(X, Y, verbose=0)
    assert model.optimizer.optimizers[-1].iterations.numpy() == 1


@pytest.mark.parametrize(
    "optimizer, error",
    [
        ({"backbon/*": "sgd", "*": "sgd"},
         r"'backbon/\*' of `optimizer` fits no layer and no variable of `net` \(the nearest is "),
        ({"backbone/*": "sgd"}, "No pattern of `optimizer` fits the variable 'head/kernel'; there"),
        ({"*": "sgd", "head": "adam"}, r"'head' .* is never reached: all .* goes to '\*', which"),
        ({"*": None}, r"an optimizer for each value, got '\*': None"),
    ],
)  # fmt: skip
def test_mistakes(optimizer, error):
    with pytest.raises(ValueError, match=error):
        built(optimizer)


def searched(optimizer="adam"):
    keraunos.utils.set_random_seed(0)
    model = keraunos.Sequential(
        [
            keraunos.Input((3,)),
            layers.Dropout(0.1),
            layers.Dense(8, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


@pytest.mark.parametrize("trained", [False, True])
def test_a_search_leaves_no_trace(trained):
    model, untouched = searched(), searched()
    for each in (model, untouched) if trained else ():
        each.fit(X, Y, verbose=0, shuffle=False)
    for variable, other in zip(model.variables, untouched.variables):
        other.assign(variable)
    before, optimizer = random.getstate(), model.optimizer
    found = model.find_learning_rate(X, Y, batch_size=8, steps=40)
    assert model.optimizer is optimizer and optimizer.built == trained
    assert random.getstate() == before
    for variable, other in zip(model.variables, untouched.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), other.numpy())
    np.testing.assert_allclose(found.rates, np.geomspace(1e-7, 10, 40)[: len(found.losses)])
    assert found.losses[0] > 0 and found.suggestion in found.rates


def test_a_search_finds_the_rate_at_which_losses_fall():
    rates = np.geomspace(1e-6, 1, 100)
    falling = 1 - 0.9 / (1 + (1e-2 / rates) ** 2)
    losses = np.where(rates < 0.3, falling, 50.0)
    found = judged(1e-6, 1, 100, iter(losses), 0.5)
    assert 3e-3 < found.suggestion < 3e-2 and len(found.losses) < 98
    assert judged(1e-3, 1, 3, iter([1.0, np.nan, 1.0]), 0.5).losses.shape == (2,)


def test_a_search_needs_one_rate():
    with pytest.raises(ValueError, match="one optimizer with one learning rate, got <"):
        searched({"*": SGD(0.1)}).find_learning_rate(X, Y)
    with pytest.raises(
        ValueError, match="`lowest` must be positive and less than `highest`, got 1"
    ):
        searched().find_learning_rate(X, Y, lowest=1, highest=0.1)


def test_the_largest_batch(capsys, monkeypatch):
    model = searched("sgd")
    history = model.fit(X, Y, batch_size="auto", verbose=2)
    assert history.params["batch_size"] == 32 and history.params["steps"] == 1
    assert "batch_size='auto': 32 rows, 1 steps an epoch" in capsys.readouterr().out
    data = Arrays((np.zeros((1000, 3), "float32"),), 2)
    step = lambda state, batch: jnp.sin(batch[0])  # 12 bytes of input for each of 300 rows
    for memory, rows in ((12_000 + 2 * 12 * 300, 256), (10**12, 512), (0, 1)):
        monkeypatch.setattr(sizes, "_memory", lambda memory=memory: memory)
        assert sizes.largest_batch(step, (), data) == rows
    with pytest.raises(ValueError, match="`batch_size='auto'` needs arrays; loaders make batches"):
        model.fit(iter([(X, Y)]), batch_size="auto")
