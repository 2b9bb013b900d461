"""`summary` prints what Keras prints, to the character."""

import io
import sys

import keras
import numpy as np
import pytest

import keraunos

LIBRARIES = [keraunos, keras]


def sequential(lib):
    layers = lib.layers
    return lib.Sequential(
        [
            lib.Input((8,)),
            layers.Dense(4, activation="relu", name="d1"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(1, name="d2"),
        ],
        name="seq",
    )


def frozen(lib):
    model = sequential(lib)
    model.layers[0].trainable = False
    return model


def unbuilt(lib):
    layers = lib.layers
    row = [layers.Dense(4, name="a"), layers.Dropout(0.5, name="b"), layers.ReLU(name="c")]
    return lib.Sequential([*row, layers.Conv2D(2, 3, name="d")], name="unbuilt")


def two_inputs(lib):
    layers = lib.layers
    a, b = lib.Input((4,), name="a"), lib.Input((4,), name="b")
    x, y = layers.Dense(4, name="d1")(a), layers.Dense(4, name="d2")(b)
    both = layers.Concatenate(name="both")([x, y])
    return lib.Model(
        [a, b], [layers.Dense(2, name="o1")(both), layers.Add(name="o2")([x, y])], name="two"
    )


def shared(lib):
    a, dense = lib.Input((4,), name="a"), lib.layers.Dense(4, name="d")
    return lib.Model(a, dense(dense(a)), name="shared")


def chain(lib):
    a = lib.Input((4,), name="a")
    return lib.Model(a, lib.layers.Dense(2, name="d")(a), name="chain")


def mid_output(lib):
    a = lib.Input((4,), name="a")
    x = lib.layers.Dense(2, name="d")(a)
    return lib.Model(a, [x, lib.layers.Dense(3, name="e")(x)], name="mid")


def nested(lib):
    layers = lib.layers
    row = lib.Sequential([lib.Input((4,)), layers.Dense(2, name="i1")], name="row")
    rows = lib.Sequential([lib.Input((4,)), row, layers.Dense(2, name="i2")], name="rows")
    i = lib.Input((4,), name="in")
    return lib.Model(i, layers.Add(name="sum")([rows(i), chain(lib)(i)]), name="nested")


def functions(lib):
    keras.utils.clear_session()  # names of functions start again
    i = lib.Input((4,), name="i")
    x = lib.layers.Dense(4, name="d")(i)
    return lib.Model(i, lib.layers.Dense(1, name="o")(lib.ops.relu(x) + i), name="functions")


class Two:
    """Returns a dict of tensors."""

    def call(self, x):
        return {"b": x, "a": [x, x]}


def several_outputs(lib):
    i = lib.Input((3,), name="i")
    many = type("Two", (Two, lib.Layer), {})(name="t_1")(i)
    return lib.Model(i, many["b"], name="several")


def normalized(lib):
    layers = lib.layers
    row = [layers.BatchNormalization(name="bn"), layers.Embedding(5, 3, dtype="float16", name="e")]
    return lib.Sequential([lib.Input((4,), batch_size=2), *row], name="normal[x]ized")


def large(lib):
    name = "a_very_long_name_for_a_dense_layer_that_is_cut_and_followed_by_its_class"
    return lib.Sequential([lib.Input((300,)), lib.layers.Dense(5000, name=name)], name="large")


def subclass(lib):
    class Subclass(lib.Model):
        def __init__(self):
            super().__init__(name="sub")
            self.one, self.two = lib.layers.Dense(3, name="one"), lib.layers.Dense(2, name="two")

        def call(self, x):
            return self.two(self.one(x))

    return Subclass()


def called(lib):
    model = subclass(lib)
    model(np.ones((2, 4), "float32"))
    return model


def compiled(lib):
    model = sequential(lib)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def compiled_only(lib):
    model = sequential(lib)
    model.compile("adam", "mse")
    return model


MODELS = [
    sequential, frozen, unbuilt, two_inputs, shared, chain, mid_output, nested, functions,
    several_outputs, normalized, large, subclass, called, compiled, compiled_only,
]  # fmt: skip
OPTIONS = [{}, {"show_trainable": True, "expand_nested": True}]


def text(model, **options):
    lines = []
    assert model.summary(print_fn=lines.append, **options) is None
    (whole,) = lines
    return whole


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("make", MODELS)
def test_print_fn(make, options):
    ours, theirs = (text(make(library), **options) for library in LIBRARIES)
    assert ours == theirs


@pytest.mark.parametrize("columns", ["60", "100", "200"])
@pytest.mark.parametrize("make", [sequential, two_inputs, nested])
@pytest.mark.parametrize("term", [None, "xterm", "xterm-256color"])
def test_terminal_and_pipe(monkeypatch, make, columns, term):
    class Stream(io.StringIO):
        def isatty(self):
            return term is not None

    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", term or "dumb")
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    written = []
    for library in LIBRARIES:
        model, stream = make(library), Stream()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            model.summary(show_trainable=True, expand_nested=True)
        written.append(stream.getvalue())
    assert written[0] == written[1]
    assert ("\x1b[" in written[0]) == (term is not None)


@pytest.mark.parametrize("make", [sequential, two_inputs])
@pytest.mark.parametrize("trainable", [False, True])
def test_widths(make, trainable):
    models = [make(library) for library in LIBRARIES]
    for length in range(8, 81, 3):
        ours, theirs = (_or_error(model, length, trainable) for model in models)
        assert ours == theirs


def _or_error(model, length, trainable):
    try:
        return text(model, line_length=length, show_trainable=trainable)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(
    ("make", "positions"),
    [
        (sequential, [0.3, 0.7, 1.0]),
        (sequential, (20, 40, 60)),
        (sequential, [0.1, 0.2, 0.3, 0.4]),
        (two_inputs, [0.2, 0.4, 0.6, 1.0]),
    ],
)
def test_positions(make, positions):
    ours, theirs = (text(make(library), positions=positions) for library in LIBRARIES)
    assert ours == theirs


RANGES = [
    ["d1", "d2"], ["d1", "d1"], ("drop", "d2"), ["d2", "drop"], [".*2", "d"], ["d", "dr"],
    ["d1", "nope"], ["i1", "sum"], ["d1"], [], "d1",
]  # fmt: skip


@pytest.mark.parametrize("layer_range", RANGES)
def test_range(layer_range):
    said = []
    for library in LIBRARIES:
        try:
            said.append(text(sequential(library), layer_range=layer_range))
        except ValueError as error:
            said.append(str(error))
    assert said[0] == said[1]


def test_wider_than_the_pipe():
    lines = text(sequential(keraunos), line_length=120).splitlines()
    assert {len(line) for line in lines[1:-3]} == {120}


def test_wrong_positions():
    with pytest.raises(ValueError, match=r"must have 3 numbers, for the columns Layer"):
        sequential(keraunos).summary(positions=[0.5, 1.0])
    with pytest.raises(ValueError, match="Insufficient console width to print summary"):
        sequential(keraunos).summary(positions=[0.3, 0.2, 1.0])


def test_shapes_of_called_layers_of_users():
    class Plain(keraunos.Layer):
        def call(self, x):
            return x[:, :2]

    class Holder(keraunos.Model):
        def __init__(self):
            super().__init__()
            self.plain = Plain(name="plain")

        def call(self, x):
            return self.plain(x)

    model = Holder()
    assert "│ ?  " in text(model) and "0 (unbuilt)" in text(model)
    model(np.ones((3, 5), "float32"))
    assert "(3, 2)" in text(model)


def test_no_interactive_logging(capsys, caplog):
    keraunos.core.console.disable_interactive_logging()
    try:
        with caplog.at_level("INFO", "keraunos"):
            sequential(keraunos).summary()
    finally:
        keraunos.core.console.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    assert caplog.messages[0].startswith('Model: "seq"\n')
