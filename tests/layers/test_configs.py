"""Configs of layers go back and forth between Keras and us."""

import warnings

import keras
import pytest

from keraunos import layers
from tests.laws.test_layers import TABLE

PLAIN = [row for row in TABLE if not any(map(callable, row.arguments.values()))]


@pytest.mark.parametrize("row", PLAIN, ids=str)
def test_configs(row):
    ours, theirs = getattr(layers, row.name), getattr(keras.layers, row.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's about its own choices
        config = theirs(**row.arguments, name="a").get_config()
        mine = ours.from_config(config).get_config()
        given = ours(**row.arguments, name="a").get_config()
        lost = {"seed"} if row.name == "SimpleRNN" else set()  # Keras does not write it
        assert {k: v for k, v in given.items() if k not in lost} == {
            k: v for k, v in mine.items() if k not in lost
        }
        again = theirs.from_config(mine).get_config()
    assert again == config
