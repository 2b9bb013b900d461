"""What `+`, `[]`, `@` and their like do on symbolic tensors.

As in Keras, `==` compares identities, so that symbolic tensors can be looked for in lists and
used as keys, and `&`, `|`, `^`, `~` are logical, not bitwise.
"""

from collections.abc import Callable

from keraunos.core.graph import KerasTensor
from keraunos.ops import elementwise, reducing, shaping


def operator(name: str, fn: Callable) -> Callable:
    """The method `__name__` that is `fn`, with the operands swapped for `__r...__`."""
    swapped = name.startswith("r") and name[1:] in _BINARY
    method = (
        (lambda self, other: fn(other, self)) if swapped else (lambda self, other: fn(self, other))
    )
    method.__name__ = f"__{name}__"
    return method


_BINARY = {
    "add": elementwise.add,
    "sub": elementwise.subtract,
    "mul": elementwise.multiply,
    "truediv": elementwise.divide,
    "floordiv": elementwise.floor_divide,
    "mod": elementwise.mod,
    "pow": elementwise.power,
    "matmul": reducing.matmul,
    "and": elementwise.logical_and,
    "or": elementwise.logical_or,
    "xor": elementwise.logical_xor,
}
_COMPARISONS = {
    "lt": elementwise.less,
    "le": elementwise.less_equal,
    "gt": elementwise.greater,
    "ge": elementwise.greater_equal,
    "ne": elementwise.not_equal,
}
_METHODS = {
    "__neg__": lambda self: elementwise.negative(self),
    "__abs__": lambda self: elementwise.absolute(self),
    "__invert__": lambda self: elementwise.logical_not(self),
    "__round__": lambda self, ndigits=None: elementwise.round(self, ndigits or 0),
    "__getitem__": lambda self, key: shaping.get_item(self, key),
    "reshape": lambda self, newshape: shaping.reshape(self, newshape),
    "squeeze": lambda self, axis=None: shaping.squeeze(self, axis),
    "__hash__": object.__hash__,
}

for _name, _fn in _BINARY.items():
    setattr(KerasTensor, f"__{_name}__", operator(_name, _fn))
    setattr(KerasTensor, f"__r{_name}__", operator(f"r{_name}", _fn))
for _name, _fn in _COMPARISONS.items():
    setattr(KerasTensor, f"__{_name}__", operator(_name, _fn))
for _name, _fn in _METHODS.items():
    setattr(KerasTensor, _name, _fn)
