"""What the tests of applications share."""

import keras
import pytest

from keraunos import initializers
from tests.applications import structure


@pytest.fixture
def empty(monkeypatch):
    """Initializers cost nothing."""
    monkeypatch.setattr(initializers.Scaled, "__call__", structure.zeros)
    for kind in (keras.initializers.VarianceScaling, keras.initializers.Zeros):
        monkeypatch.setattr(kind, "__call__", structure.zeros)
