"""Where arrays live, if a distribution says so: `keraunos.distribution` sets it, it answers here.

With none set, every function returns what it was given, in the form that programs take.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec

_distribution: Any = None  # has device_mesh, get_data_layout(shape), get_variable_layout(variable)


def current() -> Any:
    """The distribution that is set, or None."""
    return _distribution


def set_current(distribution: Any) -> None:
    """Ask `distribution` from now on; nobody if it is None."""
    global _distribution
    _distribution = distribution


def put(x: Any, layout: Any, who: str = "A tensor") -> Any:
    """`x` on the devices that a layout or JAX sharding names; in a program, a constraint.

    Errors: ValueError if the layout has more axes than `x`, or one that does not divide.
    """
    sharding = getattr(layout, "backend_layout", layout)
    if sharding is None:
        return x
    if isinstance(x, Tracer):
        return jax.lax.with_sharding_constraint(x, sharding)
    if not _fits(sharding, x.shape):
        spec, mesh = getattr(sharding, "spec", sharding), getattr(sharding, "mesh", None)
        raise ValueError(
            f"{who} of shape {tuple(x.shape)} cannot be laid out as {tuple(spec)} on a mesh of "
            f"{dict(mesh.shape) if mesh else mesh}: a layout has one entry for each axis, and the "
            "mesh must divide its size. Use None for an axis that stays whole."
        )
    return jax.device_put(x, sharding)


def layout_of(variable: Any) -> Any:
    """The layout that a variable has, or that the distribution wants for it."""
    if variable.layout is not None or _distribution is None:
        return variable.layout
    return _distribution.get_variable_layout(variable)


def pinned(moving: list, still: list) -> dict[str, Any]:
    """What a program is told, so that variables stay where they are; they are brought there."""
    if _distribution is None:
        return {}
    for variable in (*moving, *still):
        if variable.layout is None:
            variable.layout = layout_of(variable)
            variable._array = put(variable._array, variable.layout, variable.path)
    everywhere = _sharding() if jax.process_count() > 1 else None  # for each process to read
    return {
        "out_shardings": (everywhere, [variable._array.sharding for variable in moving]),
    }


def gathered(x: Any) -> Any:
    """`x`, for this process to read; where others hold parts of it, all of them must ask."""
    if isinstance(x, Tracer) or x.is_fully_addressable:
        return x
    return jax.device_put(x, NamedSharding(x.sharding.mesh, PartitionSpec()))


def batch(tree: Any) -> Any:
    """A batch inside of a program, its rows spread over devices, evenly or not."""
    if _distribution is None:
        return tree
    layout = lambda x: _distribution.get_data_layout(x.shape)
    return jax.tree.map(lambda x: put(x, layout(x)) if isinstance(x, Tracer) else x, tree)


def whole(array: Any) -> Any:
    """`array` as an array of the device; of every device."""
    if _distribution is None:
        return jnp.asarray(array)
    if _differs():
        raise ValueError(
            "With `auto_shard_dataset=False` each process reads other data, and must get it in "
            "batches: from a Dataset, a generator. Arrays are for `auto_shard_dataset=True`."
        )
    return _spread(array, _sharding())


def stacked(tree: Any) -> Any:
    """Stacks of batches, the rows of each batch spread over devices if that is even."""
    return tree if _distribution is None else jax.tree.map(_stack, tree)


def _stack(array: Any) -> Any:
    rows = _distribution.get_data_layout(array.shape[1:]).axes
    sharding = _sharding(None, *rows)
    if _differs():
        return jax.make_array_from_process_local_data(sharding, array)
    return _spread(array, sharding if _fits(sharding, array.shape) else _sharding())


def _spread(array: Any, sharding: NamedSharding) -> Any:
    if jax.process_count() == 1:
        return jax.device_put(array, sharding)
    return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])


def _differs() -> bool:
    """Whether other processes are given other data than this one."""
    return jax.process_count() > 1 and not _distribution.auto_shard_dataset


def _sharding(*axes: Any) -> NamedSharding:
    return NamedSharding(_distribution.device_mesh.backend_mesh, PartitionSpec(*axes))


def _fits(sharding: Any, shape: Any) -> bool:
    try:
        sharding.shard_shape(tuple(shape))
    except (ValueError, IndexError):
        return False
    return True
