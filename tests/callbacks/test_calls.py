"""Hooks are called as Keras calls them."""

import json

import keras
import pytest

from tests.callbacks import calls

TABLE = json.loads(calls.TABLE.read_text())


@pytest.fixture(scope="module")
def live():
    return calls.record(keras)


@pytest.mark.parametrize("run", TABLE)
def test_the_table_is_what_keras_does(live, run):
    assert live[run] == TABLE[run]
