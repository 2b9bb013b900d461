"""How many rows a step can take."""

import os
from collections.abc import Callable
from typing import Any

import jax

from keraunos.data.arrays import Arrays, standard

_SHARE = 0.5  # of the memory that a step may use; the rest is for data and for others
_TRIED = 8, 32  # rows, from whose steps the memory of others is foretold


def largest_batch(step: Callable, state: Any, data: Arrays) -> int:
    """The largest power of two that is no more than the rows of `data` and whose step fits.

    What a step needs is what the compiler says of two small ones, and grows in proportion.
    """
    one = jax.tree.map(lambda array: standard(array[:1]), data.data)

    def needed(rows: int) -> int:
        spec = lambda array: jax.ShapeDtypeStruct((rows, *array.shape[1:]), array.dtype)
        compiled = jax.jit(step).lower(state, jax.tree.map(spec, one)).compile()
        memory: Any = compiled.memory_analysis()
        return memory.temp_size_in_bytes + memory.argument_size_in_bytes

    few, many = map(needed, _TRIED)
    each = max((many - few) / (_TRIED[1] - _TRIED[0]), 1.0)
    whole = sum(array.nbytes for array in jax.tree.leaves(data.data))
    room = (_memory() - whole) * _SHARE - (few - each * _TRIED[0])
    return 2 ** (int(max(min(room / each, data.size), 1)).bit_length() - 1)


def _memory() -> int:
    """Bytes of the device; of the machine, where the device has none of its own."""
    known = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    return known or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
