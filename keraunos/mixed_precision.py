"""Policies of dtypes under the names that Keras 2 gave them."""

from keraunos.core.dtypes import DTypePolicy, dtype_policy, set_dtype_policy
from keraunos.core.dtypes import DTypePolicy as Policy
from keraunos.core.dtypes import dtype_policy as global_policy
from keraunos.core.dtypes import set_dtype_policy as set_global_policy
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
