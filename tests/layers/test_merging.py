"""Layers of several inputs against Keras: numbers, masks, functions, errors."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import layers
from tests.oracle import close, same_layer

RNG = np.random.default_rng(0)
A, B, C = (RNG.normal(size=(2, 4, 3)).astype("float32") for _ in range(3))
ROW, COLUMN = A[:, 0], A[:, :, :1]
M1 = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
M2 = np.array([[1, 0, 0, 0], [1, 1, 1, 0]], bool)
FOLDS = ["Add", "Multiply", "Average", "Maximum", "Minimum"]


@pytest.mark.parametrize(
    ("name", "arguments", "x"),
    [
        *((name, {}, [A, B, C]) for name in FOLDS),
        ("Subtract", {}, [A, B]),
        ("Add", {}, [A, ROW]),
        ("Multiply", {}, [COLUMN, A]),
        ("Add", {}, [A]),
        ("Concatenate", {}, [A, B]),
        ("Concatenate", {"axis": 1}, [A, B[:, :2], C]),
        ("Dot", {"axes": 1}, [ROW, ROW]),
        ("Dot", {"axes": (2, 1)}, [A, B.swapaxes(1, 2)]),
        ("Dot", {"axes": -1, "normalize": True}, [A, B[:, :2]]),
        ("Dot", {"axes": -1}, [A, ROW]),
    ],
    ids=lambda v: str(v) if not isinstance(v, list) else "",
)
def test_same_as_keras(name, arguments, x):
    same_layer(name, arguments, x)


@pytest.mark.parametrize("name", ["Add", "Multiply", "Subtract", "Concatenate", "Dot"])
@pytest.mark.parametrize("masks", [(M1, M2), (M1, None), (None, None)], ids=["two", "one", "no"])
def test_masks(name, masks):
    for axis in (1, 2, 0) if name == "Concatenate" else (None,):
        arguments = {"Concatenate": {"axis": axis}, "Dot": {"axes": 2}}.get(name, {})
        given = [None if m is None else jnp.asarray(m) for m in masks]
        x = [jnp.asarray(A), jnp.asarray(B)]
        ours, theirs = (
            getattr(library.layers, name)(**arguments).compute_mask(x, given)
            for library in (keraunos, keras)
        )
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", [*FOLDS, "Subtract", "Concatenate", "Dot"])
def test_functions(name):
    ours, theirs = getattr(layers, name.lower()), getattr(keras.layers, name.lower())
    x = [ROW, ROW[::-1]]
    close(ours(x), np.asarray(theirs(x)))
    assert ours([keraunos.KerasTensor((None, 3))] * 2).shape[0] is None


def test_integers():
    x = [np.array([[1, 2]]), np.array([[2, 5]])]
    for name in ("Average", "Add"):
        ours, theirs = getattr(layers, name)()(x), getattr(keras.layers, name)()(x)
        close(ours, np.asarray(theirs))


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(None, 3), (None, 4, 3)], (None, 4, 3)),
        ([(None, 1), (None, 4)], (None, 4)),
        ([(None, None, 3), (None, None, 3)], (None, None, 3)),
        ([(None, None, 3), (None, 5, 3)], (None, 5, 3)),
    ],
)
def test_unknown_sizes(shapes, expected):
    assert layers.Add()([keraunos.KerasTensor(shape) for shape in shapes]).shape == expected


SYMBOLS = lambda *shapes: [keraunos.KerasTensor(shape) for shape in shapes]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: layers.Add(name="sum")(SYMBOLS((None, 3), (None, 4))),
            r"Add layer 'sum'.* broadcast together, got the shapes \[\(None, 3\), \(None, 4\)\]",
        ),
        (lambda: layers.Add()(SYMBOLS((2, 3), (3, 3))), "batches of one size"),
        (lambda: layers.Add()(A), r"needs a list of tensors, got one of shape \(2, 4, 3\)"),
        (lambda: layers.Subtract()([A, A, A]), "a list of 2 tensors, got 3"),
        (lambda: layers.Concatenate()(SYMBOLS((None, 2, 4), (None, 3, 4))), "along axis -1"),
        (lambda: layers.Concatenate(axis=5)([A, A]), "along axis 5"),
        (lambda: layers.Concatenate()([A, ROW]), "agrees in all other sizes"),
        (lambda: layers.Dot(1)([ROW, A]), r"got 3 and 4 in the shapes"),
        (lambda: layers.Dot(0)([ROW, ROW]), "cannot sum along axis 0"),
        (lambda: layers.Dot(3)([ROW, ROW]), "cannot sum along axis 3"),
        (lambda: layers.Dot((1, 2, 3)), r"an integer or two for `axes`, got \(1, 2, 3\)"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
