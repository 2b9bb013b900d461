"""Conversion, control flow and updates against Keras."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import KerasTensor, ops
from tests.ops.table import rand, same_numbers, shape_differences
from tests.oracle import close

X, Y = rand(3, 2), rand(3, 2)
CASES = [
    ("cast", [X, "float16"]),
    ("cast", [X, "bool"]),
    ("stop_gradient", [X]),
    ("scatter", [np.array([[0], [2], [0]]), Y, (4, 2)]),
    ("scatter", [np.array([[0, 1], [1, 1], [0, 0]]), Y[:, 0].copy(), (2, 2)]),
    ("scatter_update", [X, np.array([[0], [2]]), Y[:2].copy()]),
    ("scatter_update", [X, np.array([[0, 0], [2, 1]]), Y[0].copy(), "add"]),
    *(
        ("scatter_update", [X, np.array([[0, 0], [0, 0]]), Y[0].copy()], {"reduction": how})
        for how in ("add", "max", "min", "mul")
    ),
    ("slice", [X, (0, 1), (2, 1)]),
    ("slice", [X, np.array([1, 0]), (1, 2)]),
    ("slice_update", [X, (1, 0), Y[:2].copy()]),
    ("unstack", [X], {"axis": 1}),
    ("map", [lambda row: row * 2, X]),
    ("vectorized_map", [lambda row: row * 2, X]),
    ("scan", [lambda carry, row: (carry + row, carry * row), Y[0].copy(), X]),
    ("scan", [lambda carry, row: (carry + row, None), Y[0].copy(), X], {"reverse": True}),
    ("associative_scan", [lambda a, b: a * b, X]),
    ("associative_scan", [lambda a, b: a + b, X], {"reverse": True, "axis": 1}),
    ("fori_loop", [0, 3, lambda i, x: x * i + 1.0, X]),
    ("switch", [1, [lambda x: x, lambda x: x * 2], X]),
]
REARRANGED = [
    ("rearrange", [rand(2, 6, 3), "b (h w) c -> b c h w"], {"h": 2}),
    ("rearrange", [rand(2, 6, 3), "b h c -> (b h) c"]),
]
CONSTANT = [
    ("saturate_cast", [np.array([300.0, -5.0, 1.5], "float32"), "uint8"]),
    ("saturate_cast", [np.array([300, -5, 1]), "int8"]),
    ("saturate_cast", [np.array([1e6, -1e6, np.nan], "float32"), "float16"]),
    ("saturate_cast", [np.array([3e9, -3e9], "float32"), "int32"]),
    ("while_loop", [lambda x: jnp.sum(x) < 50, lambda x: x + 4.0, X]),
    (
        "while_loop",
        [lambda i, x: i < 5, lambda i, x: (i + 1, x * 2), (0, X)],
        {"maximum_iterations": 2},
    ),
]


def test_numbers_and_gradients_are_those_of_keras():
    same_numbers(CASES)
    same_numbers(CONSTANT, gradients=False)


@pytest.mark.parametrize("unknown", [0, None])
def test_symbolic_shapes_are_those_of_keras(unknown):
    different = shape_differences(CASES + CONSTANT, unknown)
    assert {name: pair for name, pair in different.items() if name != "while_loop"} == {}


def test_rearrange():
    for path, args, *kwargs in REARRANGED:
        named = kwargs[0] if kwargs else {}
        close(getattr(ops, path)(*args, **named), getattr(keras.ops, path)(*args, **named))
    x = rand(2, 3, 4)
    close(ops.rearrange(x, "... c -> c ..."), np.moveaxis(x, -1, 0))
    assert ops.rearrange(KerasTensor((None, 6)), "b (h w) -> b w h", h=2).shape == (None, 3, 2)


def test_convert_to_tensor():
    variable = keraunos.Variable([1.0, 2.0])
    tensor = jnp.ones(2)
    assert ops.convert_to_tensor(tensor) is tensor
    for value in (2.0, 2, True, [1, 2.5], np.ones(2), np.ones(2, "int64"), [True], ((1,), (2,))):
        close(ops.convert_to_tensor(value), keras.ops.convert_to_tensor(value))
    close(ops.convert_to_tensor(np.ones(2), "float16"), np.ones(2, "float16"))
    close(ops.convert_to_tensor([variable, [3.0, 4.0]]), np.array([[1, 2], [3, 4]], "float32"))
    close(ops.convert_to_tensor(variable), np.array([1, 2], "float32"))
    symbol = KerasTensor((None, 2))
    assert ops.convert_to_tensor(symbol) is symbol
    assert ops.convert_to_tensor(symbol, "int32").dtype == "int32"


def test_asking():
    variable, symbol = keraunos.Variable([1.0, 2.0]), KerasTensor((None, 2), "int8")
    assert [ops.is_tensor(x) for x in (jnp.ones(1), variable, np.ones(1), symbol, 1)] == [
        True, False, False, False, False
    ]  # fmt: skip
    assert ops.shape(symbol) == (None, 2) and ops.shape(jnp.ones((2, 3))) == (2, 3)
    assert ops.dtype(symbol) == "int8" and ops.dtype(variable) == "float32"
    array = ops.convert_to_numpy(variable)
    assert isinstance(array, np.ndarray) and array.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="not known yet"):
        ops.convert_to_numpy(symbol)


def test_cond():
    close(ops.cond(True, lambda: 1, lambda: 2), keras.ops.cond(True, lambda: 1, lambda: 2))
    x = keraunos.Variable(3.0)
    close(ops.cond(jnp.array(False), lambda: 1.0, lambda: x), np.float32(3))
    out = ops.cond(KerasTensor((), "bool"), lambda: jnp.ones(2), lambda: jnp.zeros(2))
    assert out.shape == (2,)


def test_custom_gradient():
    @ops.custom_gradient
    def log1pexp(x):
        e = ops.exp(x)

        def grad(*args, upstream=None):
            (upstream,) = args if upstream is None else (upstream,)
            return ops.multiply(upstream, 1.0 - 1.0 / ops.add(1, e))

        return ops.log(1 + e), grad

    assert float(jax.grad(log1pexp)(100.0)) == 1.0
    close(log1pexp(keraunos.Variable(0.0)), np.float32(np.log(2)))


def test_files_name_operations():
    config = keraunos.core.registry.serialize(ops.sin)
    assert config == keras.saving.serialize_keras_object(keras.ops.sin)
    assert keraunos.core.registry.deserialize(config) is ops.sin


def test_slice_to_the_end():
    close(ops.slice(X, (1, 0), (-1, 1)), X[1:, :1])


def test_unstack_needs_a_size():
    assert [t.shape for t in ops.unstack(KerasTensor((None, 3)), num=2)] == [(3,), (3,)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.scatter_update(X, [[0]], X[:1], "foo"), ValueError, "got 'foo'"),
        (lambda: ops.scan(3, 1), TypeError, "needs a callable for `f`, got 3"),
        (lambda: ops.scan(lambda c, x: c, 1), ValueError, "`xs` or `length`, got neither"),
        (lambda: ops.associative_scan(3, X), TypeError, "needs a callable"),
        (lambda: ops.convert_to_tensor(X, sparse=True), ValueError, "dense tensors only"),
        (lambda: ops.rearrange(X, "a b c -> a"), ValueError, "of 2 axes for the 3"),
        (lambda: ops.rearrange(X, "a b -> a"), ValueError, "the same names on both sides"),
        (lambda: ops.rearrange(X, "(a c) b -> a b c"), ValueError, "a size for one of"),
        (lambda: ops.rearrange(X, "(a c) b -> a b c", a=2), ValueError, "axis of size 3"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()
