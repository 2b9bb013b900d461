"""Which timesteps of a tensor are real: a mask travels beside its tensor, not inside it.

Arrays and symbolic tensors carry the mask in the attribute `_keras_mask`. Tracers take no
attributes; theirs are kept here for as long as the tracer lives.
"""

import weakref

_of_tracers: dict[int, object] = {}


def get_mask(tensor):
    """The mask of `tensor`, or None."""
    mask = getattr(tensor, "_keras_mask", None)
    return _of_tracers.get(id(tensor)) if mask is None else mask


def set_mask(tensor, mask) -> None:
    """Attach `mask` to `tensor` for as long as the tensor lives; None detaches it."""
    try:
        tensor._keras_mask = mask
    except AttributeError:
        if id(tensor) not in _of_tracers:
            weakref.finalize(tensor, _of_tracers.pop, id(tensor), None)
        _of_tracers[id(tensor)] = mask
