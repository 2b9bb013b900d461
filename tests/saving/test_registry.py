"""`serialize_keras_object` says what Keras says, and `deserialize_keras_object` undoes it."""

import json

import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import saving
from keraunos.core import registry


def plain(x):
    return x


@saving.register_keras_serializable("pkg", "named")
@keras.saving.register_keras_serializable("pkg", "named")
def registered(x):
    return x


class Point:
    def __init__(self, x=1):
        self.x = x

    def get_config(self):
        return {"x": self.x}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@saving.register_keras_serializable("pkg")
@keras.saving.register_keras_serializable("pkg")
class Registered(Point):
    pass


SAME = [
    None,
    True,
    1,
    1.5,
    "text",
    b"ab",
    (1, (2,)),
    [1, (2,)],
    {"a": (1,), "b": {"c": None}},
    np.float32(2),
    np.int64(3),
    np.bool_(True),
    np.arange(3),
    np.ones((2, 1), "float16"),
    jnp.asarray([1.0, 2.0]),
    slice(1, None),
    Ellipsis,
    plain,
    registered,
    Point(2),
    Registered(3),
]
OURS = {
    "initializer": lambda k: k.initializers.GlorotUniform(seed=1),
    "nested": lambda k: [k.initializers.Zeros(), {"a": k.initializers.Constant(2.0)}],
    "regularizer": lambda k: k.regularizers.L2(0.1),
    "constraint": lambda k: k.constraints.MaxNorm(2.0),
    "policy": lambda k: k.DTypePolicy("mixed_float16"),
    "schedule": lambda k: k.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9),
    "optimizer": lambda k: k.optimizers.Adam(0.5, name="adam"),
    "loss": lambda k: k.losses.MeanSquaredError(),
    "metric": lambda k: k.metrics.MeanAbsoluteError(name="m"),
    "activation": lambda k: k.activations.relu,
    "loss function": lambda k: k.losses.mean_squared_error,
}


@pytest.mark.parametrize("thing", SAME, ids=lambda thing: repr(thing)[:20])
def test_plain_things_are_written_as_keras_writes_them(thing):
    ours, theirs = saving.serialize_keras_object(thing), keras.saving.serialize_keras_object(thing)
    assert ours == theirs and type(ours) is type(theirs)
    back = saving.deserialize_keras_object(ours, {"plain": plain, "Point": Point})
    if isinstance(thing, Point):
        assert type(back) is type(thing) and back.x == thing.x
    elif hasattr(thing, "dtype") and np.ndim(thing):
        assert np.array_equal(back, thing) and back.dtype == thing.dtype
    else:
        assert back == thing


@pytest.mark.parametrize("make", OURS.values(), ids=OURS)
def test_our_things_are_written_as_keras_writes_them(make):
    ours = saving.serialize_keras_object(make(keraunos))
    theirs = keras.saving.serialize_keras_object(make(keras))
    assert json.loads(json.dumps(ours)) == json.loads(json.dumps(theirs))
    again = saving.serialize_keras_object(saving.deserialize_keras_object(theirs))
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(theirs))


def test_a_lambda_is_refused_unless_it_is_trusted():
    number = 3
    config = json.loads(json.dumps(registry.serialize(lambda x, y=2: x + y + number)))
    with pytest.raises(ValueError, match=r"Python lambda.*`safe_mode=False`"):
        saving.deserialize_keras_object(config)
    assert saving.deserialize_keras_object(config, safe_mode=False)(1) == 6
    with pytest.warns(UserWarning, match="lambda"):
        theirs = keras.saving.serialize_keras_object(lambda x: x + 1)
    assert saving.deserialize_keras_object(theirs, safe_mode=False)(1) == 2


def test_an_object_met_twice_is_one_object_again():
    one = keraunos.initializers.Zeros()
    with registry.sharing():
        config = registry.serialize([one, one, keraunos.initializers.Zeros()])
    assert config[0]["shared_object_id"] == config[1]["shared_object_id"]
    assert "shared_object_id" not in config[2]
    with registry.sharing():
        first, second, other = registry.deserialize(config)
    assert first is second and first is not other


def test_unknown_names_say_what_to_do():
    config = {"module": None, "class_name": "Nobody", "config": {}, "registered_name": "Nobody"}
    with pytest.raises(TypeError, match=r"'Nobody', which is not known here. Register it with"):
        saving.deserialize_keras_object(config)
    with pytest.raises(TypeError, match=r"it has no `get_config` method"):
        saving.serialize_keras_object({1, 2})


def test_names_of_users_objects():
    assert saving.get_registered_name(Registered) == "pkg>Registered"
    assert saving.get_registered_name(Point) == "Point"
    assert saving.get_registered_object("pkg>named") is registered
    assert saving.get_registered_object("Point") is None
    assert saving.get_registered_object("P", {"P": Point}) is Point
    assert saving.get_registered_object("P", module_objects={"P": Point}) is Point
    with saving.custom_object_scope({"Mine": Point}):
        assert saving.get_registered_object("Mine") is Point
    assert saving.get_registered_object("Mine") is None
    assert saving.get_custom_objects()["pkg>named"] is registered
    with pytest.raises(ValueError, match=r"needs a `get_config` method"):
        saving.register_keras_serializable()(type("Bare", (), {}))
