"""keraunos: the Keras API on one engine, JAX/XLA.

Names are found when they are first used, so that importing takes no time.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

__version__ = "3.15.1+keraunos.0.1.0"  # the Keras API that this is, and our own version

_PACKAGES = frozenset(
    """activations applications backend callbacks config constraints data datasets distillation
    distribution dtype_policies export initializers layers legacy losses metrics
    mixed_precision models ops optimizers preprocessing quantizers random regularizers saving
    tree utils visualization wrappers""".split()
)
_NAMES = {
    "DTypePolicy": "core.dtypes",
    "FloatDTypePolicy": "core.dtypes",
    "Function": "core.graph",
    "Initializer": "initializers",
    "Input": "layers",
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
    "RematScope": "core.remat",
    "Sequential": "models",
    "StatelessScope": "core.state",
    "SymbolicScope": "core.graph",
    "Variable": "core.state",
    "device": "backend",
    "name_scope": "core.naming",
    "remat": "core.remat",
}

if TYPE_CHECKING:  # the same for editors and type checkers
    from keraunos import (
        activations as activations,
        applications as applications,
        backend as backend,
        callbacks as callbacks,
        config as config,
        constraints as constraints,
        data as data,
        datasets as datasets,
        distillation as distillation,
        distribution as distribution,
        dtype_policies as dtype_policies,
        export as export,
        initializers as initializers,
        layers as layers,
        legacy as legacy,
        losses as losses,
        metrics as metrics,
        mixed_precision as mixed_precision,
        models as models,
        ops as ops,
        optimizers as optimizers,
        preprocessing as preprocessing,
        quantizers as quantizers,
        random as random,
        regularizers as regularizers,
        saving as saving,
        tree as tree,
        utils as utils,
        visualization as visualization,
        wrappers as wrappers,
    )
    from keraunos.backend import device as device
    from keraunos.core.dtypes import (
        DTypePolicy as DTypePolicy,
        FloatDTypePolicy as FloatDTypePolicy,
    )
    from keraunos.core.graph import (
        Function as Function,
        KerasTensor as KerasTensor,
        Operation as Operation,
        SymbolicScope as SymbolicScope,
    )
    from keraunos.core.naming import name_scope as name_scope
    from keraunos.core.remat import RematScope as RematScope, remat as remat
    from keraunos.core.state import StatelessScope as StatelessScope, Variable as Variable
    from keraunos.initializers import Initializer as Initializer
    from keraunos.layers import (
        Input as Input,
        InputSpec as InputSpec,
        Layer as Layer,
    )
    from keraunos.losses import Loss as Loss
    from keraunos.metrics import Metric as Metric
    from keraunos.models import Model as Model, Sequential as Sequential
    from keraunos.optimizers import Optimizer as Optimizer
    from keraunos.quantizers import Quantizer as Quantizer
    from keraunos.regularizers import Regularizer as Regularizer


def version() -> str:
    """The Keras API that this is, and our own version behind the plus."""
    return __version__


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
