"""Recurrent cells and layers against Keras: numbers, gradients, masks, states, configs."""

import functools
import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from tests.oracle import _forward_and_gradients, close, same_layer, same_weights

X = np.random.default_rng(0).uniform(-1, 1, (2, 4, 3)).astype("float32")
MASKS = {
    "left": [[0, 0, 1, 1], [0, 0, 0, 0]],
    "right": [[1, 1, 1, 0], [1, 1, 0, 0]],
    "holes": [[1, 0, 1, 1], [0, 1, 0, 0]],
}


@pytest.fixture(autouse=True)
def fresh_names():
    keras.utils.clear_session()


NAMES = ["SimpleRNN", "GRU", "LSTM"]


def both(make, *shape):
    """A layer of each library, built, with the same weights."""
    layers = [make(library) for library in (keraunos, keras)]
    for layer in layers:
        layer.build(shape or X.shape)
    same_weights(*layers)
    return layers


@pytest.mark.parametrize("name", [*NAMES, "SimpleRNNCell", "GRUCell", "LSTMCell"])
def test_signature(name):
    given = lambda library: [
        (p.name, p.default)
        for p in inspect.signature(getattr(library.layers, name).__init__).parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "zero_output_for_mask"
    ]
    assert given(keraunos) == given(keras)


def output(layer, x=X, **call):
    """What a layer returns, compiled as a whole: many small programs would take longer."""
    trained = [v.value for v in layer.trainable_variables]
    others = [v.value for v in layer.non_trainable_variables]
    return jax.jit(functools.partial(layer.stateless_call, **call))(trained, others, x)[0]


def agree(ours, theirs, x=X, **call):
    """The same outputs and gradients."""
    mine, yours = (_forward_and_gradients(layer, x, call) for layer in (ours, theirs))
    close(mine[0], yours[0], atol=2e-6)
    close(mine[2], yours[2], rtol=1e-4, atol=2e-5)


ARGUMENTS = [
    {},
    {"return_sequences": True, "return_state": True},
    {"go_backwards": True, "return_sequences": True, "use_bias": False},
    {"go_backwards": True, "return_state": True, "unroll": True, "activation": "relu"},
]


CASES = [(name, arguments) for name in NAMES for arguments in ARGUMENTS]


@pytest.mark.parametrize("name, arguments", [*CASES[1:5:3], *CASES[6:]])
def test_numbers(name, arguments):
    ours, theirs = same_layer(name, {"units": 2, "seed": 5, **arguments}, X)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    assert type(ours(X)) is type(theirs(X))


def test_reset_before():
    same_layer("GRU", {"units": 2, "seed": 5, "reset_after": False, "activation": "relu"}, X)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", MASKS)
def test_mask(name, kind):
    mask = jnp.array(MASKS[kind], bool)
    arguments = {"units": 2, "return_sequences": True, "return_state": True}
    arguments["go_backwards"] = kind in ("holes", "left")
    ours, theirs = both(lambda library: getattr(library.layers, name)(**arguments))
    close(output(ours, mask=mask), output(theirs, mask=mask))
    if name == "LSTM" and kind == "holes":
        agree(ours, theirs, mask=mask)


@pytest.mark.parametrize("sequences", [False, True])
def test_zero_output_for_mask(sequences):
    arguments = {"return_sequences": sequences, "return_state": True, "zero_output_for_mask": True}
    mask = jnp.array(MASKS["right"], bool)
    ours, theirs = both(lambda library: library.layers.GRU(2, **arguments))
    close(output(ours, mask=mask), output(theirs, mask=mask))
    ours.unroll = True  # Keras forgets about the zeros here
    close(output(ours, mask=mask), output(theirs, mask=mask))


def test_mask_of_the_input_is_found_and_passed_on():
    layer = keraunos.layers.LSTM(2, return_sequences=True, return_state=True)
    mask = jnp.array(MASKS["holes"], bool)
    x = jnp.array(X)
    expected = layer(x, mask=mask)
    keraunos.core.masks.set_mask(x, mask)
    y, h, _ = layer(x)
    close(y, expected[0])
    assert keraunos.core.masks.get_mask(y) is mask and keraunos.core.masks.get_mask(h) is None
    close(layer(X, mask=mask[:, :, None]), expected)


@pytest.mark.parametrize("name", NAMES)
def test_initial_state(name):
    states = [jnp.full((2, 2), v, "float32") for v in (0.3, -0.4)][: 2 if name == "LSTM" else 1]
    ours, theirs = both(lambda library: getattr(library.layers, name)(2))
    if name == "LSTM":
        agree(ours, theirs, initial_state=states)
    close(ours([X, *states]), output(theirs, initial_state=states))
    mask = jnp.array(MASKS["left"], bool)
    call = {"initial_state": states, "mask": mask}
    close(output(ours, **call), output(theirs, **call))


def test_symbolic_initial_state():
    shape = lambda *sizes: keraunos.KerasTensor(sizes)
    layer = keraunos.layers.LSTM(3, return_sequences=True, return_state=True)
    y, h, c = layer(shape(None, None, 5), initial_state=[shape(None, 3), shape(None, 3)])
    assert (y.shape, h.shape, c.shape) == ((None, None, 3), (None, 3), (None, 3))
    assert layer.compute_output_shape((None, 7, 5))[0] == (None, 7, 3)
    assert keraunos.layers.GRU(3, unroll=True)(shape(None, None, 5)).shape == (None, 3)


def test_stateful():
    ours, theirs = both(
        lambda library: library.layers.LSTM(2, stateful=True, return_sequences=True)
    )
    for _ in range(2):
        close(ours(X), theirs(X))
    close([v.value for v in ours.states], [v.value for v in theirs.states])
    ours.reset_states()
    theirs.reset_states()
    close(ours(X), theirs(X))
    assert [v.name for v in ours.weights] == ["kernel", "recurrent_kernel", "bias"]
    # Compiled, the states go out and in as other variables do.
    values = [v.value for v in ours.trainable_variables]
    others = [v.value for v in ours.non_trainable_variables]
    y, others = jax.jit(ours.stateless_call)(values, others, X)
    close(y, theirs(X))
    close(ours.stateless_call(values, others, X)[0], theirs(X))
    with pytest.raises(ValueError, match=r"keeps states for a batch of 2, got a batch of 1"):
        ours(X[:1])
    with pytest.raises(ValueError, match=r"stateful and needs a known batch size.*batch_shape"):
        keraunos.layers.GRU(2, stateful=True)(keraunos.KerasTensor((None, 4, 3)))


@pytest.mark.parametrize(
    "name, rates",
    [("LSTM", (0.5, 0.0)), ("GRU", (0.0, 0.4)), *((name, (0.3, 0.6)) for name in NAMES)],
)
def test_dropout_draws_as_keras_does(name, rates):
    make = lambda library: getattr(library.layers, name)(
        2, dropout=rates[0], recurrent_dropout=rates[1], seed=7, return_sequences=True
    )
    ours, theirs = both(make)
    close(output(ours, training=True), output(theirs, training=True))
    close(ours(X, training=True), theirs(X, training=True))
    assert np.abs(ours(X, training=True) - ours(X)).max() > 0  # other draws, and none
    close(ours(X), ours(X, training=False))


def test_dropout_is_drawn_once_for_a_sequence():
    layer = keraunos.layers.SimpleRNN(
        400, dropout=0.25, kernel_initializer="identity", activation=None,
        recurrent_initializer="zeros", return_sequences=True,
    )  # fmt: skip
    y = np.asarray(layer(np.ones((2, 3, 400), "float32"), training=True))
    assert (y == y[:, :1]).all() and set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert abs((y[:, 0] == 0).mean() - 0.25) < 0.06


@pytest.mark.parametrize("name", ["SimpleRNNCell", "GRUCell", "LSTMCell"])
def test_cell(name):
    ours, theirs = both(lambda library: getattr(library.layers, name)(2), 2, 3)
    states = ours.get_initial_state(2)
    close(states, theirs.get_initial_state(batch_size=2))
    states = [s + 0.5 for s in states]
    close(ours(X[:, 0], states), theirs(X[:, 0], states))
    assert (ours.state_size, ours.output_size) == (theirs.state_size, theirs.output_size)
    assert (ours.name, ours.get_build_config()) == (theirs.name, theirs.get_build_config())


def test_forget_bias_starts_at_one():
    for layer in (keraunos.layers.LSTM(2), keras.layers.LSTM(2)):
        layer.build(X.shape)
        np.testing.assert_array_equal(layer.get_weights()[2], [0, 0, 1, 1, 0, 0, 0, 0])
    layer = keraunos.layers.LSTM(2, unit_forget_bias=False)
    layer.build(X.shape)
    assert not layer.get_weights()[2].any()


def test_stacked_cells():
    def make(library):
        layers = library.layers
        cells = [layers.LSTMCell(2), minimal(library)(2), layers.GRUCell(2)]
        options = {"return_sequences": True, "return_state": True, "go_backwards": True}
        return layers.RNN(cells, **options)

    ours, theirs = both(make)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    for mask in (None, jnp.array(MASKS["holes"], bool)):
        mine, yours = output(ours, mask=mask), output(theirs, mask=mask)
        close(mine, yours)
        assert [a.shape for a in jax.tree.leaves(mine[1])] == [(2, 2), (2, 2)]
    assert ours.state_size == theirs.state_size and len(ours.get_initial_state(2)) == 3
    # A step of the stack by itself is the same as the chain of whole sequences.
    one = ours.cell(X[:, -1], ours.get_initial_state(2))
    close(one[0], ours(X)[0][:, 0])


def minimal(library):
    """The small cell of Keras's documentation."""

    class MinimalRNNCell(library.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.state_size = units

        def build(self, input_shape):
            self.kernel = self.add_weight(
                shape=(input_shape[-1], self.units), initializer="uniform", name="kernel"
            )
            self.recurrent_kernel = self.add_weight(
                shape=(self.units, self.units), initializer="uniform", name="recurrent_kernel"
            )

        def call(self, inputs, states):
            h = library.ops.matmul(inputs, self.kernel)
            output = h + library.ops.matmul(states[0], self.recurrent_kernel)
            return output, [output]

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    return MinimalRNNCell


@pytest.mark.parametrize("kind", [None, "left", "holes"])
def test_users_cell(kind):
    call = {} if kind is None else {"mask": jnp.array(MASKS[kind], bool)}
    make = lambda library: library.layers.RNN(minimal(library)(2), return_state=True)
    ours, theirs = both(make)
    close(output(ours, **call), output(theirs, **call))
    if kind == "holes":
        agree(ours, theirs, **call)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    again = keraunos.layers.RNN.from_config(
        ours.get_config() | {"cell": minimal(keraunos)(2), "return_sequences": True}
    )
    again.build(X.shape)
    again.set_weights(ours.get_weights())
    close(again(X, **call)[0][:, -1], ours(X, **call)[0])


def test_users_cell_with_states_of_its_own_structure():
    class Cell(keraunos.layers.Layer):
        state_size = 3

        def get_initial_state(self, batch_size=None):
            zeros = jnp.zeros((batch_size, 3))
            return [{"sum": zeros, "last": zeros}, jnp.zeros((batch_size, 2, 2))]

        def call(self, inputs, states):
            seen, grid = states
            total = seen["sum"] + inputs
            return {"total": total, "grid": grid}, ({"sum": total, "last": inputs}, grid + 1)

    layer = keraunos.layers.RNN(Cell(), return_sequences=True, return_state=True)
    y, seen, grid = layer(X)
    close(y["total"], np.cumsum(X, 1), atol=1e-5)
    close((seen["last"], grid), (X[:, -1], np.full((2, 2, 2), 4, "float32")))
    y, seen, grid = layer(keraunos.KerasTensor((None, None, 3)))
    assert y["grid"].shape == (None, None, 2, 2) and seen["sum"].shape == (None, 3)


def test_users_cell_may_have_variables_that_change():
    class Cell(keraunos.layers.Layer):
        state_size = 3

        def __init__(self):
            super().__init__()
            self.seed = keraunos.random.SeedGenerator(1)
            self.count = self.add_weight((), "zeros", trainable=False, name="count")

        def call(self, inputs, states, training=False):
            self.count.assign_add(1.0)
            noise = keraunos.random.uniform((3,), seed=self.seed) if training else 0.0
            return inputs * 0 + noise, states

    layer = keraunos.layers.RNN(Cell(), return_sequences=True)
    y = np.asarray(layer(X, training=True))
    assert len(np.unique(y[0])) == 12  # other numbers at each step
    assert float(layer.cell.count.value) == 4


@pytest.mark.parametrize("name", NAMES)
def test_config(name):
    arguments = {"return_sequences": True, "kernel_regularizer": "l2", "dropout": 0.25}
    ours, theirs = (
        getattr(library.layers, name)(3, unroll=True, name="a", **arguments)
        for library in (keraunos, keras)
    )
    mine, yours = ours.get_config(), theirs.get_config()
    assert mine.keys() - {"seed"} == yours.keys() - {"seed"}
    assert mine == {**yours, "seed": None}
    again = type(ours).from_config(yours)
    assert again.get_config() == mine
    keras.layers.deserialize(keraunos.core.registry.serialize(ours))
    ours.build((None, 4, 3))
    theirs.build((None, 4, 3))
    assert ours.get_build_config() == theirs.get_build_config()
    revived = keraunos.core.registry.deserialize(keraunos.core.registry.serialize(ours))
    assert revived.built and [v.shape for v in revived.weights] == [v.shape for v in ours.weights]
    assert len(ours.losses) == 1


def test_config_of_a_stack():
    make = lambda library: library.layers.RNN([library.layers.LSTMCell(3), minimal(library)(2)])
    ours, theirs = make(keraunos), make(keras)
    mine, yours = ours.get_config(), theirs.get_config()
    assert mine.keys() == yours.keys()
    assert mine["cell"]["config"]["cells"][0] == yours["cell"]["config"]["cells"][0]
    custom = {"MinimalRNNCell": minimal(keraunos)}
    with keraunos.core.registry.CustomObjectScope(custom):
        again = keraunos.layers.RNN.from_config(mine)
    again.build(X.shape)
    custom = lambda config: config["cell"]["config"]["cells"][1]["config"]
    assert custom(again.get_config()) == custom(mine)


def test_half_precision():
    layer = keraunos.layers.GRU(2, dtype="mixed_bfloat16", return_state=True)
    assert [y.dtype for y in layer(X)] == ["bfloat16", "bfloat16"]
    assert {v.dtype for v in layer.weights} == {"float32"}


def test_spellings_of_keras_2():
    layer = keraunos.layers.LSTM(2, time_major=True, return_sequences=True, implementation=1)
    usual = keraunos.layers.LSTM(2, return_sequences=True)
    usual(X)
    y = layer(np.swapaxes(X, 0, 1))
    layer.set_weights(usual.get_weights())
    y = layer(np.swapaxes(X, 0, 1))
    close(np.swapaxes(y, 0, 1), usual(X))
    assert keraunos.layers.LSTM.from_config(layer.get_config()).time_major


def test_activation_with_variables_is_not_frozen():
    slope = keraunos.Variable(1.0)
    layer = keraunos.layers.SimpleRNN(2, activation=lambda x: x * slope)
    first = layer(X)
    slope.assign(0.0)
    assert np.abs(first).max() > 0 and not np.abs(layer(X)).max()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda k: k.LSTM(0), r"LSTM needs a positive integer for `units`, got 0"),
        (lambda k: k.RNN(object()), r"RNN needs a cell with a method `call.*got <object"),
        (lambda k: k.RNN(k.Layer()), r"RNN needs a cell with an attribute `state_size`"),
        (lambda k: k.LSTM(2)(X[0]), r"expects an input of 3 axes, got an input of shape \(4, 3\)"),
        (
            lambda k: k.LSTM(2)(X, initial_state=[X[:, 0, :2]]),
            r"needs `initial_state` to be 2 tensors of shapes \[\(2, 2\), \(2, 2\)\], got 1",
        ),
        (lambda k: k.GRU(2, retrun_state=True), r"retrun_state.*Did you mean `return_state`"),
    ],
)
def test_errors(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make(keraunos.layers)
