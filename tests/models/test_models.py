"""Models as graphs and as rows of layers: what they hold, in Keras's order and names."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest

import keraunos
from tests.oracle import close

LIBRARIES = keraunos, keras


def branches(k):
    a, b = k.Input((5,), name="a"), k.Input((3,), name="b")
    x = k.layers.Dense(4, name="left")(b)
    y = k.layers.Dense(4, name="right")(a)
    z = k.layers.Add(name="sum")([x, y])
    return k.Model([a, b], [k.layers.Dense(2, name="o")(z), k.ops.add(z, 1.0) * 2])


def shared(k):
    dense = k.layers.Dense(4, name="shared")
    a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
    joined = k.layers.Concatenate(name="both")([dense(a), dense(b)])
    return k.Model(inputs=[a, b], outputs=k.layers.Dense(1, name="out")(joined))


def nested(k):
    inner = k.Sequential([k.Input((4,)), k.layers.Dense(3, name="in")], name="inner")
    x = k.Input((4,), name="x")
    return k.Model(x, k.layers.Dense(2, name="last")(inner(inner.layers[0].__class__(4)(x))))


def in_dicts(k):
    a, b = k.Input((5,), name="a"), k.Input((5,), name="b")
    d = k.layers.Dense(2, name="d")
    return k.Model({"p": a, "q": b}, {"r": d(a), "s": d(b)})


def deep(k):
    x = inputs = k.Input((6, 6, 2), name="image")
    for i in range(3):
        y = k.layers.Conv2D(2, 3, padding="same", name=f"conv{i}")(x)
        x = k.layers.Add(name=f"add{i}")([x, k.layers.Activation("relu", name=f"relu{i}")(y)])
    return k.Model(inputs, k.layers.GlobalAveragePooling2D(name="pool")(x), name="resnet")


GRAPHS = [branches, shared, nested, in_dicts, deep]


@pytest.mark.parametrize("build", GRAPHS, ids=lambda f: f.__name__)
def test_names_order_shapes_and_numbers(build):
    ours, theirs = [build(k) for k in LIBRARIES]
    unnumbered = lambda model: [layer.name.split("_")[0] for layer in model.layers]
    assert unnumbered(ours) == unnumbered(theirs)
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    assert ours.input_shape == theirs.input_shape and ours.output_shape == theirs.output_shape
    assert ours.count_params() == theirs.count_params()
    ours.set_weights(theirs.get_weights())
    rng = np.random.default_rng(0)
    x = keraunos.tree.map_structure(
        lambda t: rng.normal(size=(2, *t.shape[1:])).astype("float32"), ours.input
    )
    close(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-4)


@pytest.mark.parametrize("build", GRAPHS, ids=lambda f: f.__name__)
def test_configs_json_clones_copies_and_pickles(build):
    model = build(keraunos)
    x = keraunos.tree.map_structure(lambda t: np.ones((2, *t.shape[1:]), "float32"), model.input)
    expected = model.predict(x, verbose=0)
    again = keraunos.models.model_from_json(model.to_json())
    assert json.loads(again.to_json())["config"] == json.loads(model.to_json())["config"]
    for other in (
        again,
        type(model).from_config(model.get_config()),
        keraunos.models.clone_model(model),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ):
        assert [w.shape for w in other.weights] == [w.shape for w in model.weights]
        other.set_weights(model.get_weights())
        close(other.predict(x, verbose=0), expected)
        other.set_weights([w + 1 for w in other.get_weights()])
    close(model.predict(x, verbose=0), expected)


def test_layers_of_a_graph():
    model = branches(keraunos)
    assert model.get_layer("left") is model.layers[2] is model.get_layer(index=2)
    assert model.get_layer("sum").output.shape == (None, 4)
    assert [t.shape for t in model.get_layer("sum").input] == [(None, 4), (None, 4)]
    part = keraunos.Model(model.inputs, model.get_layer("sum").output)
    assert part.predict([np.ones((2, 5)), np.ones((2, 3))], verbose=0).shape == (2, 4)
    both = shared(keraunos).get_layer("shared")
    assert len(both.inbound_nodes) == 2 and both.get_output_at(1).shape == (None, 4)
    with pytest.raises(AttributeError, match=r"called 2 times.*get_output_at\(node_index\)"):
        both.output  # noqa: B018


def test_a_trained_model_is_a_layer_that_shares_its_weights():
    x = keraunos.Input((4,))
    model = keraunos.Model(x, keraunos.layers.Dense(2)(x))
    sequence = keraunos.Input((3, 4))
    steps = keraunos.Model(sequence, keraunos.layers.TimeDistributed(model)(sequence))
    data = np.random.default_rng(0).normal(size=(5, 3, 4)).astype("float32")
    model.compile("sgd", "mse")
    model.fit(data[:, 0], np.ones((5, 2)), verbose=0)
    close(steps.predict(data, verbose=0)[:, 1], model.predict(data[:, 1], verbose=0), rtol=1e-4)
    assert steps.weights[0] is model.weights[0]


@pytest.mark.parametrize("k", LIBRARIES, ids=lambda k: k.__name__)
def test_a_row_grows_and_shrinks(k):
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3), k.layers.Dense(2)])
    assert model.built and len(model.layers) == 2 and model.output_shape == (None, 2)
    model.pop()
    model.add(k.layers.Dense(7))
    assert model.output_shape == (None, 7) and len(model.weights) == 4
    assert model.predict(np.ones((2, 4)), verbose=0).shape == (2, 7)


def test_a_row_without_input_is_built_by_the_first_data():
    model = keraunos.Sequential([keraunos.layers.Dense(3), keraunos.layers.Dense(2)])
    assert not model.built and model.weights == []
    assert model(np.ones((2, 4), "float32")).shape == (2, 2)
    assert model.input_shape == (None, 4) and model(np.ones((5, 4), "float32")).shape == (5, 2)
    other = keraunos.Sequential([keraunos.layers.Dense(3)])
    other.build((None, 6))
    assert other.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("first", "shape"),
    [
        (lambda layers: layers.Dense(2, input_shape=(4,)), (None, 4)),
        (lambda layers: layers.Dense(2, input_dim=4), (None, 4)),
        (lambda layers: layers.Dense(2, batch_input_shape=(8, 4)), (8, 4)),
        (lambda layers: layers.Dense(2, batch_size=8, input_shape=(4,)), (8, 4)),
        (lambda layers: layers.Embedding(9, 2, input_length=4), (None, 4)),
        (lambda layers: layers.LSTM(2, input_dim=3, input_length=5), (None, 5, 3)),
        (lambda layers: layers.TimeDistributed(layers.Dense(2), input_shape=(5, 4)), (None, 5, 4)),
    ],
)
def test_first_layers_of_keras_2(first, shape):
    assert keraunos.Sequential([first(keraunos.layers)]).input_shape == shape


def test_starting_weights():
    w, b = np.ones((4, 2), "float32"), np.full(2, 3, "float32")
    model = keraunos.Sequential([keraunos.layers.Dense(2, weights=[w, b], input_dim=4)])
    close(model.get_weights(), [w, b])


def test_masks_travel_through_graphs():
    def build(k):
        x = k.Input((6,), dtype="int32")
        y = k.layers.Embedding(5, 3, mask_zero=True)(x)
        y = k.layers.LSTM(4, return_sequences=True)(y)
        return k.Model(x, k.layers.LSTM(2)(k.layers.Dropout(0.1)(y)))

    ours, theirs = [build(k) for k in LIBRARIES]
    ours.set_weights(theirs.get_weights())
    ids = np.array([[1, 2, 3, 0, 0, 0], [4, 3, 2, 1, 0, 0]])
    close(ours.predict(ids, verbose=0), theirs.predict(ids, verbose=0), rtol=1e-4)


def test_a_subclass_may_call_the_functional_constructor():
    class Named(keraunos.Model):
        def __init__(self, width):
            x = keraunos.Input((4,))
            super().__init__(inputs=x, outputs=keraunos.layers.Dense(width)(x), name="named")

    model = Named(3)
    assert model.output_shape == (None, 3) and model.name == "named"
    assert model.predict(np.ones((2, 4)), verbose=0).shape == (2, 3)


def test_mixed_precision():
    for k in LIBRARIES:
        x = k.Input((4,))
        y = k.layers.Dense(3, dtype="mixed_bfloat16")(x)
        model = k.Model(x, k.layers.Dense(1, dtype="float32")(y))
        assert model.layers[1].kernel.dtype == "float32"
        assert str(model.layers[1].output.dtype) == "bfloat16"
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 4)), np.ones((4, 1)), verbose=0)


def test_a_thousand_layers():
    x = inputs = keraunos.Input((2,))
    dense = keraunos.layers.Activation("relu")
    for _ in range(1000):
        x = dense(x)
    model = keraunos.Model(inputs, x)
    assert len(model._graph.nodes) == 1001
