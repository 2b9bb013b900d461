"""Nested tuples, lists and dicts; None is a leaf, as in `keras.tree`."""

from collections.abc import Callable
from typing import Any

import jax


def is_none(value: Any) -> bool:
    return value is None


def flatten(structure: Any) -> list:
    """The leaves, None included, in order; those of a dict by sorted key."""
    return jax.tree.leaves(structure, is_leaf=is_none)


def map_structure(fn: Callable, *structures: Any) -> Any:
    """The structure of the first, with each leaf replaced by `fn(leaf, ...)`."""
    return jax.tree.map(fn, *structures, is_leaf=is_none)


def is_shape(value: Any) -> bool:
    """Whether `value` is a tuple or list of sizes, each an integer or None."""
    return isinstance(value, (tuple, list)) and all(d is None or isinstance(d, int) for d in value)


def map_shapes(fn: Callable, shapes: Any) -> Any:
    """The structure of `shapes`, with each shape replaced by `fn(shape)`."""
    return jax.tree.map(lambda shape: fn(tuple(shape)), shapes, is_leaf=is_shape)
