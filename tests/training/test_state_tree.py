"""The state of a model as a tree, and what a gradient is taken of, beside the oracle."""

import keras
import numpy as np
import pytest

import keraunos
from tests.oracle import close, same_weights

X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")


def trained(lib):
    inputs = lib.Input((3,))
    x = lib.layers.Dropout(0.5)(inputs)
    x = lib.layers.Dense(2, name="dense")(x)
    made = lib.Model(inputs, lib.layers.BatchNormalization(name="norm")(x))
    made.compile(lib.optimizers.Adam(), "mse", metrics=["mae"])
    made.fit(X, Y, verbose=0)
    return made


def paths(tree, start=""):
    if not isinstance(tree, dict):
        return [(start, np.shape(tree))]
    return sorted(p for k, v in tree.items() for p in paths(v, f"{start}/{k}"))


def test_tree_has_the_oracles_form():
    ours, theirs = trained(keraunos).get_state_tree(), trained(keras).get_state_tree()
    assert paths(ours) == paths(theirs)


def test_round_trip():
    model = trained(keraunos)
    tree, weights = model.get_state_tree("numpy_array"), model.get_weights()
    model.fit(X, Y * 2, epochs=2, verbose=0)
    assert not np.array_equal(model.get_weights()[0], weights[0])
    model.set_state_tree(tree)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights))
    assert int(model.optimizer.iterations) == 1


@pytest.mark.parametrize(
    "tree, said",
    [
        ({"trainable": {}}, "no group 'trainable'. Did you mean `trainable_variables`?"),
        ({"trainable_variables": {"dense": {"kernal": X}}}, "Did you mean `dense/kernel`?"),
        ({"trainable_variables": {"dense": {"kernel": X}}}, "shape \\(3, 2\\).*\\(4, 3\\)"),
    ],
)
def test_what_does_not_fit_changes_nothing(tree, said):
    model = trained(keraunos)
    before = model.get_weights()
    with pytest.raises(ValueError, match=said):
        model.set_state_tree(tree)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_an_unknown_format():
    with pytest.raises(ValueError, match=r"backend_tensor, numpy_array .* got 'torch'"):
        trained(keraunos).get_state_tree("torch")


def test_loss_and_updates():
    def of(lib):
        inputs = lib.Input((3,))
        model = lib.Model(inputs, lib.layers.Dense(2)(inputs))
        model.compile("sgd", "mse", metrics=["mae"])
        return model

    ours, theirs = of(keraunos), of(keras)
    for model in (theirs, ours):
        model.fit(X, Y, verbose=0)
    same_weights(ours, theirs)
    results = []
    for model in (ours, theirs):
        groups = (
            [v.value for v in group]
            for group in (
                model.trainable_variables,
                model.non_trainable_variables,
                model.metrics_variables,
                model.optimizer.variables,
            )
        )
        trainable, frozen, meters, slots = groups
        args = (trainable, frozen, meters, X, Y, None)
        results.append(
            model.compute_loss_and_updates(*args, training=True, optimizer_variables=slots)
        )
    (ours_scaled, (loss, y_pred, frozen, _)), (scaled, expected) = results
    close(ours_scaled, scaled)
    close(loss, expected[0])
    close(y_pred, expected[1])
    assert frozen == [] == expected[2]


def test_programs_are_traced_anew():
    model, seen = trained(keraunos), []
    model.predict(X, verbose=0)
    model.layers[-1].call = lambda x, **_: seen.append(x) or x
    model.predict(X, verbose=0)
    assert not seen
    model.make_predict_function(force=True)
    model.predict(X, verbose=0)
    assert seen
