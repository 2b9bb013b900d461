"""Models that tests save: the same in both libraries, with starts that compile nothing."""

import functools
from typing import Any

import numpy as np


def _dense(k: Any):
    return functools.partial(k.layers.Dense, kernel_initializer="zeros")


def sequential(k: Any):
    L, Dense = k.layers, _dense(k)
    return k.Sequential(
        [
            L.Input((4,)),
            Dense(3, activation="relu", name="first"),
            L.BatchNormalization(),
            L.Dropout(0.0),
            Dense(2),
        ]
    )


def functional(k: Any):
    L, Dense = k.layers, _dense(k)
    x = L.Input((4,), name="x")
    shared = Dense(4, activation="tanh")
    y = shared(x)
    y = Dense(4)(y)
    y = shared(y)
    y = k.Sequential([Dense(3), Dense(4)], name="inner")(y)
    y = L.Add()([y, x]) * 2.0
    y = k.ops.mean(k.ops.relu(y), axis=-1, keepdims=True)
    return k.Model(x, [Dense(2, name="a")(y), Dense(2, name="b")(x)])


def recurrent(k: Any):
    L, Dense = k.layers, _dense(k)
    x = L.Input((3, 2))
    plain = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}
    y = L.Bidirectional(L.GRU(2, return_sequences=True, **plain))(x)
    y = L.TimeDistributed(Dense(3))(y)
    y = L.RNN([L.LSTMCell(2, **plain), L.SimpleRNNCell(2, **plain)])(y)
    return k.Model(x, y)


def two_inputs(k: Any):
    L, Dense = k.layers, _dense(k)
    words, numbers = L.Input((3,), dtype="int32", name="words"), L.Input((4,), name="numbers")
    y = L.Concatenate()([L.Flatten()(L.Embedding(5, 2, "zeros")(words)), numbers])
    return k.Model({"words": words, "numbers": numbers}, {"out": Dense(2, name="out")(y)})


def subclassed(k: Any):
    """A class for each library, known to its files under one name."""
    L, Dense = k.layers, _dense(k)

    class Net(k.Model):
        def __init__(self, units=3, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.zero = Dense(units)
            self.blocks = [Dense(units), (Dense(units),), {"in": L.LayerNormalization()}]
            self.along = {"b": Dense(units), "a": [Dense(units)]}
            self._private = Dense(units)
            self.again = self.zero
            self.scale = self.add_weight(shape=(units,), initializer="ones", name="scale")

        def call(self, x):
            x = self.zero(x)
            for layer in (self.blocks[0], self.blocks[1][0], self.blocks[2]["in"]):
                x = layer(x)
            x = self.along["b"](x) + self.along["a"][0](x)
            return self._private(x) * self.scale

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    k.saving.register_keras_serializable("tests")(Net)
    model = Net()
    model(np.zeros((2, 4), "float32"))
    return model


MODELS = [sequential, functional, recurrent, two_inputs, subclassed]


def inputs(model: Any, seed: int = 0) -> Any:
    """Random data for a model, as a list, or by name."""
    rng = np.random.default_rng(seed)
    specs = getattr(model, "inputs", None) or [
        type("Input", (), {"shape": (None, 4), "dtype": "float32"})
    ]
    arrays = [
        rng.integers(0, 5, (4, *s.shape[1:])).astype("int32")
        if "int" in str(s.dtype)
        else rng.normal(size=(4, *s.shape[1:])).astype("float32")
        for s in specs
    ]
    if len(arrays) == 1:
        return arrays[0]
    return {s.name: a for s, a in zip(specs, arrays)}


def targets(outputs: Any) -> Any:
    """Ones in the shapes of some outputs."""
    if isinstance(outputs, dict):
        return {name: np.ones_like(value) for name, value in outputs.items()}
    if isinstance(outputs, list):
        return [np.ones_like(value) for value in outputs]
    return np.ones_like(outputs)
