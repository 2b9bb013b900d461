"""The shapes that most operations have. Each family states its signature once.

Results have the dtype that NumPy's rules give on JAX, where Python numbers adapt to tensors;
only what JAX would make float32 of integers is `floatx()` here.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from keraunos.core import config
from keraunos.core.dtypes import result_type
from keraunos.core.graph import F, OpCall, Tensor, op, symbolic_in

Axis = int | Sequence[int] | None


def inexact(x: Any) -> Any:
    """`x`, with integers and bools as `floatx()`."""
    if jnp.issubdtype(jnp.result_type(x), jnp.inexact):
        return x
    return jnp.asarray(x, config.floatx())


def promoted(*values: Any) -> tuple:
    """`values` such that JAX's promotion gives the dtype of `result_type`."""
    if config.floatx() == "float32":
        return values
    dtype = result_type(*(getattr(value, "dtype", type(value)) for value in values))
    return tuple(jnp.asarray(value, dtype) for value in values)


def plain_axis(axis: Any) -> Any:
    """`axis`, where a list of axes is a tuple."""
    return tuple(axis) if isinstance(axis, list) else axis


def _made(call: F, fn: Callable, doc: str, name: str | None) -> F:
    call.__name__ = call.__qualname__ = name or fn.__name__
    call.__doc__ = doc
    call.__module__ = sys._getframe(2).f_globals["__name__"]  # where pickle will look for it
    return op(call)


def sized(spec: Callable) -> Callable:
    """Decorator: `spec` says the symbolic outputs of an op, for sizes that depend on values."""

    def decorate(fn: Callable) -> Callable:
        compute = op(fn)

        @functools.wraps(compute)
        def call(*args, **kwargs):
            if not symbolic_in((args, kwargs)):
                return compute(*args, **kwargs)
            operation = OpCall(call)
            operation.compute_output_spec = functools.partial(spec, compute)
            return operation.symbolic_call(*args, **kwargs)

        return call

    return decorate


def unary(fn: Callable, doc: str, name: str | None = None) -> Callable:
    """An operation of one tensor, `f(x)`."""

    def call(x: Tensor):
        return fn(x)

    return _made(call, fn, doc, name)


def smooth(fn: Callable, doc: str, name: str | None = None) -> Callable:
    """An operation of one tensor of floats, `f(x)`; integers are taken as floats."""

    def call(x: Tensor):
        return fn(inexact(x))

    return _made(call, fn, doc, name)


def binary(fn: Callable, doc: str, name: str | None = None) -> Callable:
    """An operation of two tensors that broadcast together, `f(x1, x2)`."""

    def call(x1: Tensor, x2: Tensor):
        return fn(*promoted(x1, x2))

    return _made(call, fn, doc, name)


def quotient(fn: Callable, doc: str, name: str | None = None) -> Callable:
    """An operation of two tensors that broadcast together; integers are taken as floats."""

    def call(x1: Tensor, x2: Tensor):
        x1, x2 = promoted(x1, x2)
        if jnp.issubdtype(jnp.result_type(x1, x2), jnp.inexact):
            return fn(x1, x2)
        return fn(inexact(x1), inexact(x2))

    return _made(call, fn, doc, name)


def bitwise(fn: Callable, doc: str, name: str | None = None) -> Callable:
    """An operation on the bits of two tensors of integers, `f(x, y)`."""

    def call(x: Tensor, y: Tensor):
        return fn(x, y)

    return _made(call, fn, doc, name)


def reduction(fn: Callable, doc: str, name: str | None = None) -> Callable:
    """An operation that removes axes, `f(x, axis=None, keepdims=False)`; all axes if None."""

    def call(x: Tensor, axis: Axis = None, keepdims: bool = False):
        return fn(jnp.asarray(x), axis=plain_axis(axis), keepdims=keepdims)

    return _made(call, fn, doc, name)


def averaging(fn: Callable, doc: str, name: str | None = None) -> Callable:
    """A reduction to floats, `f(x, axis=None, keepdims=False)`; integers are taken as floats."""

    def call(x: Tensor, axis: Axis = None, keepdims: bool = False):
        return fn(jnp.asarray(inexact(x)), axis=plain_axis(axis), keepdims=keepdims)

    return _made(call, fn, doc, name)


def extreme(fn: Callable, doc: str, name: str | None = None) -> Callable:
    """A reduction that may be told a value to start from."""

    def call(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Any = None):
        return fn(jnp.asarray(x), axis=plain_axis(axis), keepdims=keepdims, initial=initial)

    return _made(call, fn, doc, name)


def quantiles(fn: Callable, doc: str, name: str | None = None) -> Callable:
    """A reduction to values of rank `q`, which may be several: they come on a new first axis."""

    def call(
        x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False
    ):
        x, axis = jnp.asarray(inexact(x)), plain_axis(axis)
        return fn(x, jnp.asarray(q, x.dtype), axis=axis, method=method, keepdims=keepdims)

    return _made(call, fn, doc, name)


def cumulative(fn: Callable, doc: str, name: str | None = None) -> Callable:
    """A running reduction along `axis`, or over the flattened tensor if that is None."""

    def call(x: Tensor, axis: int | None = None, dtype: Any = None):
        return fn(x, axis=axis, dtype=dtype)

    return _made(call, fn, doc, name)


def window(fn: Callable, doc: str, name: str | None = None) -> Callable:
    """A window function, `f(x)`, of length `x`."""

    def call(x: Tensor):
        return fn(int(x)).astype(config.floatx())

    return _made(call, fn, doc, name)
