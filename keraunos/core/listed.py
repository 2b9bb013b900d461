"""Lists of Python objects, and tensors of others, as NumPy arrays."""

from typing import Any

import numpy as np


def as_numpy(value: Any) -> np.ndarray:
    """`value` as an array; strings in lists as objects.

    NumPy would give each the room of the longest, and take the zero bytes at its end away.
    """
    if hasattr(value, "detach"):  # PyTorch's
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    first = value
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    texts = isinstance(value, (list, tuple)) and isinstance(first, (str, bytes))
    return np.array(value, object) if texts else np.asarray(value)
