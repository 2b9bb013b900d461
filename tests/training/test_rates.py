"""Learning rates: one for each part of a model; one that is found."""

import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.optimizers import SGD, Adam, MultiOptimizer

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
