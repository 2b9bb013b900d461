"""Which dtypes layers compute with and store."""

from keraunos.core.dtypes import DTypePolicy, DTypePolicyMap, FloatDTypePolicy, get
from keraunos.core.registry import deserialize, serialize

__all__ = ["DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "deserialize", "get", "serialize"]
