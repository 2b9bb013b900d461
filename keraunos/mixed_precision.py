"""Policies of dtypes under the names that Keras 2 gave them."""

from typing import TYPE_CHECKING

from keraunos.core.dtypes import (
    DTypePolicy,
    DTypePolicy as Policy,
    dtype_policy,
    dtype_policy as global_policy,
    set_dtype_policy,
    set_dtype_policy as set_global_policy,
)
from keraunos.core.past import names_of
from keraunos.optimizers import LossScaleOptimizer

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
