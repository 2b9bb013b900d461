"""Policies of dtypes under the names that Keras 2 gave them."""

from keraunos.core.dtypes import (
    DTypePolicy,
    DTypePolicy as Policy,
    dtype_policy,
    dtype_policy as global_policy,
    set_dtype_policy,
    set_dtype_policy as set_global_policy,
)
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
