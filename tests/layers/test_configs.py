"""Configs of layers go back and forth between Keras and us."""

import warnings

import keras
import pytest

from keraunos import layers
from tests.laws.test_layers import TABLE

# The oracle makes these only beside TensorFlow; tests/layers/preprocessing has their configs.
OF_TENSORFLOW = {"Hashing", "HashedCrossing", "IntegerLookup"}
PLAIN = [
    row
    for row in TABLE
    if row.name not in OF_TENSORFLOW and not any(map(callable, row.arguments.values()))
]
LOST = {"SimpleRNN": {"seed"}, "RandomGrayscale": {"seed"}}  # what Keras does not write
UNREADABLE = {"RandomShear"}  # Keras cannot read its own config of a single factor


@pytest.mark.parametrize("row", PLAIN, ids=str)
def test_configs(row):
    ours, theirs = getattr(layers, row.name), getattr(keras.layers, row.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's about its own choices
        config = theirs(**row.arguments, name="a").get_config()
        mine = ours.from_config(config).get_config()
        given = ours(**row.arguments, name="a").get_config()
        lost = LOST.get(row.name, set())
        assert {k: v for k, v in given.items() if k not in lost} == {
            k: v for k, v in mine.items() if k not in lost
        }
        again = mine if row.name in UNREADABLE else theirs.from_config(mine).get_config()
    assert again == config
