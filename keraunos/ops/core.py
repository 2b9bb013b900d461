"""What tensors are and how programs are made of them: conversion, control flow, updates."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from keraunos.core import naming
from keraunos.core.dtypes import is_float_dtype, standardize_dtype
from keraunos.core.graph import (
    OpCall,
    Tensor,
    Tensors,
    abstract,
    is_symbolic,
    op,
    symbolic_in,
    tensor,
)
from keraunos.core.state import Variable

# Conversion ------------------------------------------------------------------------------


def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Any:
    """`x`, anything an array can be made of, as a tensor; a tensor is returned as it is.

    Args:
        dtype: That of `x` by default; `floatx()` for Python floats, int32 for integers.
        sparse, ragged: False makes a sparse or ragged tensor dense; there are none on JAX.
    """
    if sparse or ragged:
        raise ValueError("convert_to_tensor() makes dense tensors only: JAX has no other kind.")
    if is_symbolic(x):
        same = dtype is None or standardize_dtype(dtype) == x.dtype
        return x if same else cast(x, dtype)
    if dtype is None and not hasattr(x, "dtype"):
        dtype = "float32" if isinstance(x, float) else None
        x = jnp.asarray(_arrays(x), dtype)
        return x.astype(standardize_dtype("float")) if is_float_dtype(x.dtype) else x
    if isinstance(x, jax.Array) and dtype is None:
        return x
    return jnp.asarray(tensor(x), None if dtype is None else standardize_dtype(dtype))


def _arrays(x: Any) -> Any:
    """`x` with the variables in it replaced by their values."""
    return jax.tree.map(tensor, x, is_leaf=lambda leaf: isinstance(leaf, Variable))


def convert_to_numpy(x: Any) -> np.ndarray:
    """The values of `x` as a NumPy array."""
    if is_symbolic(x):
        return np.asarray(x)  # says why it cannot be
    return np.array(tensor(x))


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor with values; a variable, a NumPy array or a symbol is none."""
    return isinstance(x, jax.Array)


def shape(x: Any) -> tuple:
    """The size of each axis, with None for those that are not known."""
    return tuple(x.shape) if hasattr(x, "shape") else jnp.shape(x)


def dtype(x: Any) -> str:
    """The name of the dtype of `x`."""
    return standardize_dtype(x.dtype if hasattr(x, "dtype") else jnp.result_type(x))


@op
def cast(x: Tensor, dtype: Any):
    """`x` with its elements converted to `dtype`."""
    return jnp.asarray(x).astype(standardize_dtype(dtype))


@op
def saturate_cast(x: Tensor, dtype: Any):
    """`x` converted to `dtype`; what is too large or too small for it becomes its limit."""
    x, dtype = jnp.asarray(x), standardize_dtype(dtype)
    info = jnp.finfo if is_float_dtype(dtype) else jnp.iinfo
    if dtype == "bool" or x.dtype == bool or jnp.issubdtype(x.dtype, jnp.complexfloating):
        return x.astype(dtype)
    low, high = info(dtype).min, info(dtype).max
    mine = jnp.finfo(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype)
    result = x.astype(dtype)
    if mine.min < low:
        result = jnp.where(x < low, jnp.asarray(low, dtype), result)
    if mine.max > high:
        result = jnp.where(x > high, jnp.asarray(high, dtype), result)
    return result


@op
def stop_gradient(variable: Tensor):
    """`variable` as a constant: no gradient passes through it."""
    return jax.lax.stop_gradient(variable)


name_scope = naming.name_scope

# Updates ---------------------------------------------------------------------------------


@op
def scatter(indices: Tensor, values: Tensor, shape: Any):
    """Zeros in `shape`, with `values` added at `indices`.

    Shapes: `indices` is `(..., n)`, of elements or slices by their first `n` axes; `values` is
    `(..., *shape[n:])`.
    """
    values = jnp.asarray(values)
    return jnp.zeros(shape, values.dtype).at[_places(indices)].add(values)


def _places(indices) -> tuple:
    return tuple(jnp.moveaxis(jnp.asarray(indices), -1, 0))


@op
def scatter_update(inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None):
    """`inputs` with the values at `indices` replaced, or combined, with `updates`.

    Args:
        indices: `(..., n)`, of elements or slices by their first `n` axes.
        reduction: How to combine: "add", "max", "min" or "mul"; None replaces.
    """
    how = {None: "set", "add": "add", "max": "max", "min": "min", "mul": "mul"}
    if reduction not in how:
        raise ValueError(
            f"scatter_update() needs one of {list(how)} for `reduction`, got {reduction!r}."
        )
    inputs = jnp.asarray(inputs)
    place = inputs.at[_places(indices)]
    return getattr(place, how[reduction])(jnp.asarray(updates, inputs.dtype))


@op
def slice(inputs: Tensor, start_indices: Tensors, shape: Any):
    """The block of `inputs` that starts at `start_indices` and has the given shape.

    A size of -1 is all that follows the start.
    """
    inputs = jnp.asarray(inputs)
    sizes = [
        size - int(start) if isinstance(wanted, int) and wanted == -1 else wanted
        for size, start, wanted in zip(inputs.shape, start_indices, shape)
    ]
    return jax.lax.dynamic_slice(inputs, _starts(start_indices), sizes)


def _starts(start_indices) -> list:
    return [jnp.asarray(start, "int32") for start in start_indices]


@op
def slice_update(inputs: Tensor, start_indices: Tensors, updates: Tensor):
    """`inputs` with the block that starts at `start_indices` replaced by `updates`."""
    inputs = jnp.asarray(inputs)
    updates = jnp.asarray(updates, inputs.dtype)
    return jax.lax.dynamic_update_slice(inputs, updates, _starts(start_indices))


@op
def unstack(x: Tensor, num: int | None = None, axis: int = 0):
    """The slices of `x` along `axis`, as a list; `num` of them, if that size is not known."""
    x = jnp.asarray(x)
    count = x.shape[axis] if num is None else num
    if not isinstance(count, int):
        raise ValueError(f"unstack() needs `num`: the size of axis {axis} is not known.")
    return [jnp.take(x, i, axis=axis) for i in range(count)]


# Control flow ----------------------------------------------------------------------------


def _or_symbolic(name: str, fn: Callable, *args, **kwargs) -> Any:
    """`fn(*args)`, or a node of the graph if there are symbolic tensors among them."""
    if not symbolic_in((args, kwargs)):
        return fn(*args, **kwargs)
    node = OpCall(fn)
    node.name = naming.auto_name(name)
    return node.symbolic_call(*args, **kwargs)


def cond(pred: Any, true_fn: Callable, false_fn: Callable) -> Any:
    """`true_fn()` if `pred` holds, else `false_fn()`; both return the same structure."""
    if is_symbolic(pred):
        node = OpCall(cond)
        outputs = abstract(true_fn)
        node.compute_output_spec = lambda *args, **kwargs: outputs
        return node.symbolic_call(pred, true_fn, false_fn)
    return jax.lax.cond(tensor(pred), lambda: _arrays(true_fn()), lambda: _arrays(false_fn()))


def switch(index: Any, branches: Sequence[Callable], *operands: Any) -> Any:
    """`branches[index](*operands)`; an index out of range is taken for the nearest in it."""
    run = lambda index, *operands: jax.lax.switch(tensor(index), branches, *_arrays(operands))
    return _or_symbolic("switch", run, index, *operands)


def map(f: Callable, xs: Any) -> Any:
    """`f` of each slice of `xs` along the first axis, one after another, stacked.

    Shapes: each tensor of `xs` is `(n, ...)`, so is each of the result.
    """
    return _or_symbolic("map", lambda xs: jax.lax.map(f, _arrays(xs)), xs)


def vectorized_map(function: Callable, elements: Any) -> Any:
    """`function` of each slice of `elements` along the first axis, all at once, stacked."""
    return _or_symbolic("vectorized_map", lambda xs: jax.vmap(function)(_arrays(xs)), elements)


def scan(
    f: Callable,
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> Any:
    """Carry a value through `carry, y = f(carry, x)` for each slice `x` of `xs`.

    Args:
        init: The first carry; its structure, shapes and dtypes never change.
        length: How many steps, if `xs` is None.
        reverse: From the last slice to the first; the results are stacked in the order of `xs`.
        unroll: How many steps a pass of the compiled loop takes; True for all.
    Returns:
        The last carry, and the results `y` stacked along a new first axis.
    """
    if not callable(f):
        raise TypeError(f"scan() needs a callable for `f`, got {f!r}.")
    if not isinstance(unroll, int) or (unroll < 1 and unroll is not False):
        raise ValueError(f"scan() needs a positive integer or a bool for `unroll`, got {unroll!r}.")
    if xs is None and length is None:
        raise ValueError("scan() needs `xs` or `length`, got neither.")
    run = lambda init, xs: jax.lax.scan(
        f, _arrays(init), _arrays(xs), length=length, reverse=reverse, unroll=unroll
    )
    return _or_symbolic("scan", run, init, xs)


def associative_scan(f: Callable, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """The running combinations `x0, f(x0, x1), f(f(x0, x1), x2), ...` along `axis`.

    They are found in parallel, so `f` must not care for how they are grouped.
    """
    if not callable(f):
        raise TypeError(f"associative_scan() needs a callable for `f`, got {f!r}.")
    run = lambda elems: jax.lax.associative_scan(f, _arrays(elems), reverse=reverse, axis=axis)
    return _or_symbolic("associative_scan", run, elems)


def fori_loop(lower: Any, upper: Any, body_fun: Callable, init_val: Any) -> Any:
    """`val = body_fun(i, val)` for each `i` from `lower` to below `upper`."""
    run = lambda lower, upper, val: jax.lax.fori_loop(
        tensor(lower), tensor(upper), body_fun, _arrays(val)
    )
    return _or_symbolic("fori_loop", run, lower, upper, init_val)


def while_loop(
    cond: Callable, body: Callable, loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Repeat `loop_vars = body(*loop_vars)` while `cond(*loop_vars)` holds.

    Args:
        loop_vars: A tuple or list of tensors, or one thing that is passed on as it is.
        maximum_iterations: When to stop at the latest.
    """

    def run(loop_vars):
        many = isinstance(loop_vars, (tuple, list))
        start = tuple(_arrays(loop_vars)) if many else (_arrays(loop_vars),)
        start = jax.tree.map(jnp.asarray, start)

        def step(state):
            count, held = state
            new = body(*held)
            return count + 1, tuple(new) if isinstance(new, (tuple, list)) else (new,)

        def goes_on(state):
            count, held = state
            more = cond(*held)
            if maximum_iterations is None:
                return more
            return jnp.logical_and(more, count < maximum_iterations)

        end = jax.lax.while_loop(goes_on, step, (0, start))[1]
        return type(loop_vars)(end) if many else end[0]

    return _or_symbolic("while_loop", run, loop_vars)


def custom_gradient(f: Callable) -> Callable:
    """Decorator: `f` returns its value and a function that makes gradients of gradients.

    That function takes the gradient of the value, as its first argument or as `upstream`, and
    returns that of each argument of `f`.
    """

    @functools.wraps(f)
    def call(*args, **kwargs):
        return jax.custom_gradient(f)(*_arrays(args), **_arrays(kwargs))

    return call


__all__ = [
    "associative_scan", "cast", "cond", "convert_to_numpy", "convert_to_tensor",
    "custom_gradient", "dtype", "fori_loop", "is_tensor", "map", "name_scope", "saturate_cast",
    "scan", "scatter", "scatter_update", "shape", "slice", "slice_update", "stop_gradient",
    "switch", "unstack", "vectorized_map", "while_loop",
]  # fmt: skip
