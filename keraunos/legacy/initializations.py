"""Rules of Keras 1 that were functions: of a shape to a variable, of a factor to a penalty."""

from collections.abc import Callable
from typing import Any

from keraunos import initializers, regularizers
from keraunos.core.state import Variable
from keraunos.legacy.arguments import initializer

_NAMES = """
uniform normal zero one identity orthogonal glorot_uniform glorot_normal he_uniform he_normal
lecun_uniform
""".split()


def get(identifier: Any) -> Callable:
    """The function that makes a variable: `get("uniform")((3, 4), name="W")`."""
    if callable(identifier) and not isinstance(identifier, initializers.Initializer):
        rule = initializer(identifier)
    else:
        rule = initializers.get(identifier)

    def make(shape: Any, name: str | None = None, **kwargs: Any) -> Variable:
        return Variable(rule, shape=tuple(shape), name=name and name.replace("/", "_"))

    return make


def _named(name: str) -> Callable:
    def make(shape: Any, scale: Any = None, name: Any = None, **kwargs: Any) -> Variable:
        chosen = {
            "uniform": lambda: initializers.RandomUniform(-scale, scale),
            "normal": lambda: initializers.RandomNormal(0.0, scale),
            "identity": lambda: initializers.Identity(scale),
            "orthogonal": lambda: initializers.Orthogonal(scale),
        }
        rule = chosen[of]() if scale is not None and of in chosen else of
        return get(rule)(shape, name)

    of = name
    return make


globals().update({name: _named(name) for name in _NAMES})


def activity_l1(l: float = 0.01) -> Any:  # noqa: E741
    return regularizers.L1(l)


def activity_l2(l: float = 0.01) -> Any:  # noqa: E741
    return regularizers.L2(l)


def activity_l1l2(l1: float = 0.01, l2: float = 0.01) -> Any:
    return regularizers.L1L2(l1, l2)
