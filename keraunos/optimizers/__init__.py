"""Rules by which training changes variables."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keraunos.core import registry
from keraunos.core.past import names_of
from keraunos.optimizers import legacy, schedules
from keraunos.optimizers.adam import Adam, Adamax, AdamW, Lamb, Nadam, ScheduleFreeAdamW
from keraunos.optimizers.adaptive import Adadelta, Adafactor, Adagrad, Ftrl, RMSprop
from keraunos.optimizers.descent import SGD, Lion, Muon
from keraunos.optimizers.optimizer import Optimizer
from keraunos.optimizers.wrappers import (
    LossScaleOptimizer,
    MultiOptimizer,
    OptaxOptimizer,
    OptimizerMap,
)

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "OptaxOptimizer",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "legacy",
    "schedules",
    "serialize",
]


def get(identifier: Any) -> Optimizer | None:
    """The optimizer that a name, a config, an instance or an optax transformation stands for."""
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if hasattr(identifier, "init") and hasattr(identifier, "update"):
        return OptaxOptimizer(identifier)
    if isinstance(identifier, str) and registry.custom(identifier) is None:
        identifier = identifier.lower()
    found = registry.find("optimizers", identifier)
    if found is not None and not isinstance(found, Optimizer):
        raise ValueError(
            f"An optimizer is needed: its name, its config, an instance or an optax "
            f"transformation. Got {identifier!r}."
        )
    return found


def serialize(optimizer: Any) -> Any:
    """What `deserialize` makes the optimizer of."""
    return registry.serialize(optimizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The optimizer that `serialize` described."""
    name = config.get("class_name") if isinstance(config, dict) else None
    if isinstance(name, str) and registry.lookup("optimizers", name.lower()):
        known = registry.lookup("optimizers", name)
        config = config if known else {**config, "class_name": name.lower()}
    return registry.deserialize(config, custom_objects, kind="optimizers")


if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
