"""keraunos: the Keras API on one engine, JAX/XLA.

Names are found when they are first used, so that importing takes no time.
"""

import importlib
import sys
from typing import Any

__version__ = "0.1.0"

_PACKAGES = frozenset(
    """activations applications backend callbacks config constraints datasets distillation
    distribution dtype_policies export initializers layers legacy losses metrics
    mixed_precision models ops optimizers preprocessing quantizers random regularizers saving
    tree utils visualization wrappers""".split()
)
_NAMES = {
    "DTypePolicy": "dtype_policies",
    "FloatDTypePolicy": "dtype_policies",
    "Function": "models",
    "Initializer": "initializers",
    "Input": "models",
    "InputSpec": "layers",
    "KerasTensor": "core.graph",
    "Layer": "layers",
    "Loss": "losses",
    "Metric": "metrics",
    "Model": "models",
    "Operation": "core.graph",
    "Optimizer": "optimizers",
    "Quantizer": "quantizers",
    "Regularizer": "regularizers",
    "Sequential": "models",
    "StatelessScope": "core.state",
    "SymbolicScope": "core.graph",
    "Variable": "core.state",
    "device": "backend",
    "name_scope": "core.naming",
    "remat": "core.state",
}


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"keraunos.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"keraunos.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    if name.startswith("__"):
        raise AttributeError(f"module 'keraunos' has no attribute {name!r}")
    past = importlib.import_module("keraunos.legacy.modules")
    return past.answer("", name, sys._getframe(1))


def __dir__() -> list[str]:
    return sorted({*globals(), *_PACKAGES, *_NAMES})
