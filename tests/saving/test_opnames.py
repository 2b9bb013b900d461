"""Operations in the graph of a model have the names that Keras gives them in files."""

import json

import keras
import numpy as np
import pytest

import keraunos
from keraunos.models import opnames
from keraunos.saving import deserialize_keras_object, serialize_keras_object

CALLS = {
    "add": lambda k, x: x + 1.0,
    "swapped": lambda k, x: 1.0 - x,
    "mean": lambda k, x: k.ops.mean(x, axis=-1, keepdims=True),
    "sum": lambda k, x: k.ops.sum(x),
    "reshape": lambda k, x: k.ops.reshape(x, (-1, 2, 2)),
    "transpose": lambda k, x: k.ops.transpose(k.ops.reshape(x, (-1, 2, 2)), (0, 2, 1)),
    "concatenate": lambda k, x: k.ops.concatenate([x, x], axis=1),
    "stack": lambda k, x: k.ops.stack([x, x], axis=1),
    "expand_dims": lambda k, x: k.ops.expand_dims(x, 1),
    "relu": lambda k, x: k.ops.relu(x),
    "softmax": lambda k, x: k.ops.softmax(x, axis=-1),
    "leaky_relu": lambda k, x: k.ops.leaky_relu(x, 0.1),
    "slice": lambda k, x: x[:, 1:3],
    "matmul": lambda k, x: k.ops.matmul(x, k.ops.transpose(x)),
    "clip": lambda k, x: k.ops.clip(x, -0.5, 0.5),
    "cast": lambda k, x: k.ops.cast(x, "float16"),
    "where": lambda k, x: k.ops.where(x > 0, x, 0.0),
    "logsumexp": lambda k, x: k.ops.logsumexp(x, axis=-1),
    "split": lambda k, x: k.ops.split(x, 2, axis=-1)[1],
    "top_k": lambda k, x: k.ops.top_k(x, 2)[0],
    "einsum": lambda k, x: k.ops.einsum("ij,kj->ik", x, x),
}


def config_of(k, call):
    x = k.Input((4,))
    model = k.Model(x, call(k, x))
    config = json.loads(json.dumps(serialize_keras_object(model)))
    if k is keras:
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    return model, config


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_operations_are_written_and_read_as_in_keras(call):
    data = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    ours, mine = config_of(keraunos, call)
    theirs, yours = config_of(keras, call)
    names = [[(e["module"], e["class_name"]) for e in c["config"]["layers"]] for c in (mine, yours)]
    assert names[0] == names[1]
    expected = np.asarray(theirs(data))
    there = keras.saving.deserialize_keras_object(mine)
    here = deserialize_keras_object(yours)
    for model in (ours, there, here):
        np.testing.assert_allclose(np.asarray(model(data)), expected, rtol=1e-5, atol=1e-6)


def test_every_operation_is_found_under_its_name():
    """Against what Keras's own modules hold."""
    import importlib

    homes = ("numpy", "nn", "core", "math", "linalg", "image", "einops")
    theirs = {home: importlib.import_module(f"keras.src.ops.{home}") for home in homes}
    for name in dir(keraunos.ops):
        fn = getattr(keraunos.ops, name)
        if not hasattr(fn, "tensor_arguments") or not hasattr(keras.ops, name):
            continue
        module, kind = opnames.written(fn)
        assert opnames.found(module, kind).__name__ == fn.__name__, name
        known = [home for home in homes if isinstance(getattr(theirs[home], kind, None), type)]
        assert not known or module.rpartition(".")[2] in known, (name, module, known)
