"""What every test shares: the oracle on JAX, float32 as the default, fresh names and seeds."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests compile much and compute little: a third of the time, and the same numbers.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
)

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile("quiet", deadline=None, max_examples=25)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=500)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quiet"))


@pytest.fixture(autouse=True)
def fresh():
    """Same names and seeds in whatever order tests run."""
    import random

    from keraunos.core import naming

    random.seed(1)
    np.random.seed(1)
    naming.reset()
    if oracle := sys.modules.get("keras"):
        oracle.utils.clear_session(free_memory=False)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
