"""Names whose form is part of the API: what they are called with, and what they are."""

import keras
import numpy as np
import pytest

import keraunos
from keraunos.core import naming


@pytest.mark.parametrize(
    "package, argument",
    [
        ("dtype_policies", "dtype_policy"),
        ("optimizers", "optimizer"),
        ("optimizers.schedules", "learning_rate_schedule"),
    ],
)
def test_serialize_names_its_argument(package, argument):
    made = {
        "dtype_policies": lambda m: m.dtype_policies.DTypePolicy("mixed_bfloat16"),
        "optimizers": lambda m: m.optimizers.SGD(0.5),
        "optimizers.schedules": lambda m: m.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9),
    }[package]
    configs = []
    for library in (keraunos, keras):
        module = library
        for part in package.split("."):
            module = getattr(module, part)
        configs.append(module.serialize(**{argument: made(library)}))
        assert module.deserialize(dict(configs[-1])).get_config() == configs[-1]["config"]
    ours, theirs = configs
    assert {k: ours[k] for k in ("module", "class_name")} == {
        k: theirs[k] for k in ("module", "class_name")
    }


def test_name_scope_is_a_class():
    scope = keraunos.name_scope("outer", caller=None)
    assert isinstance(keraunos.name_scope, type) and isinstance(keras.name_scope, type)
    with scope as entered, keraunos.name_scope("inner"):
        assert entered is scope and naming.path("w") == "outer/inner/w"
    assert naming.path("w") == "w"
    for wrong in ({"name": 3}, {"name": "a", "other": 1}):
        with pytest.raises(ValueError, match="name_scope needs a string"):
            keraunos.name_scope(**wrong)


def test_optimizers_of_the_past_work_as_those_of_today():
    legacy = keraunos.optimizers.legacy
    adam = legacy.Adam(0.5, decay=0.1)
    assert isinstance(adam, keraunos.optimizers.Adam) and isinstance(adam, legacy.Optimizer)
    assert adam.learning_rate is not None and not isinstance(adam, legacy.SGD)
    config = keraunos.optimizers.serialize(legacy.SGD(lr=0.5, momentum=0.9))
    again = keraunos.optimizers.deserialize(config)
    assert type(again) is keraunos.optimizers.SGD and again.momentum == 0.9
    for name in ("Adagrad", "Ftrl", "RMSprop"):
        model = keraunos.Sequential([keraunos.Input((2,)), keraunos.layers.Dense(1)])
        model.compile(getattr(legacy, name)(0.1), "mse")
        before = model.get_weights()[0]
        model.train_on_batch(np.ones((2, 2)), np.full((2, 1), 9.0))
        assert np.abs(model.get_weights()[0] - before).max() > 0


def test_configs_of_keras_2():
    module = keraunos.utils.legacy
    config = module.serialize_keras_object(keraunos.layers.Dense(2, name="d"))
    theirs = keras.utils.legacy.serialize_keras_object(keras.layers.Dense(2, name="d"))
    assert config["class_name"] == theirs["class_name"] == "Dense"
    again = module.deserialize_keras_object(config, {"Dense": keraunos.layers.Dense})
    assert again.units == 2 and again.name == "d"
