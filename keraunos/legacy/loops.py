"""Loops and choices of `keras.backend`, and the CTC loss."""

import builtins
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from keraunos import ops
from keraunos.core import config
from keraunos.core.graph import Tensor, Tensors, op


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """One of two tensors, or of what two functions give; element by element if need be."""
    value = lambda part: part() if callable(part) else part
    rank = len(getattr(condition, "shape", ()))
    if rank == 0:
        pick = lambda part: lambda: ops.convert_to_tensor(value(part))
        chosen = pick(then_expression), pick(else_expression)
        return ops.cond(ops.cast(condition, "bool"), *chosen)
    yes, no = value(then_expression), value(else_expression)
    more = builtins.max(len(getattr(yes, "shape", ())), len(getattr(no, "shape", ()))) - rank
    for _ in range(more):
        condition = ops.expand_dims(condition, -1)
    return ops.where(ops.cast(condition, "bool"), yes, no)


@op
def map_fn(fn: Callable, elems: Tensors, name: Any = None, dtype: Any = None):
    return jax.lax.map(fn, elems)


@op
def foldl(fn: Callable, elems: Tensor, initializer: Tensor = None, name: Any = None):
    """`fn(fn(start, elems[0]), elems[1])` and so on; the start is the first if not given."""
    start, rest = (elems[0], elems[1:]) if initializer is None else (initializer, elems)
    return jax.lax.scan(lambda so_far, x: (fn(so_far, x), None), start, rest)[0]


@op
def foldr(fn: Callable, elems: Tensor, initializer: Tensor = None, name: Any = None):
    return foldl(fn, elems[::-1], initializer)


@op
def rnn(
    step_function: Callable, inputs: Tensor, initial_states: Tensors, go_backwards: bool = False,
    mask: Tensor = None, constants: Tensors = None, unroll: bool = False, input_length: Any = None,
):  # fmt: skip
    """Run over axis 1: `(last output, outputs, new states)`.

    Args:
        step_function: `(input, states)` to `(output, new states)`; `constants` follow the states.
        mask: `(batch, steps)`; a step that is masked repeats the output and the states before it.
    """
    along = jnp.moveaxis(inputs, 1, 0)
    along = along[::-1] if go_backwards else along
    constants = list(constants or ())
    one = lambda x, states: step_function(x, [*states, *constants])
    real = None
    if mask is not None:
        real = jnp.moveaxis(jnp.reshape(mask, mask.shape[:2]).astype(bool), 1, 0)
        real = real[::-1] if go_backwards else real
    spec, _ = jax.eval_shape(one, along[0], list(initial_states))

    def step(carry, now):
        before, states = carry
        x, on = now
        output, new = one(x, states)
        if on is not None:
            keep = lambda a, b: jnp.where(jnp.reshape(on, (-1, *(1,) * (a.ndim - 1))), a, b)
            output = keep(output, before)
            new = [keep(a, b) for a, b in zip(new, states)]
        return (output, [jnp.asarray(a, b.dtype) for a, b in zip(new, states)]), output

    states = [jnp.asarray(s) for s in initial_states]
    start = jnp.zeros(spec.shape, spec.dtype), states
    (last, states), outputs = jax.lax.scan(step, start, (along, real))
    return last, jnp.moveaxis(outputs, 0, 1), states


def ctc_batch_cost(y_true: Any, y_pred: Any, input_length: Any, label_length: Any) -> Any:
    """The CTC loss of each row, `(batch, 1)`; the last class is the blank."""
    logs = ops.log(y_pred + config.epsilon())
    flat = lambda n: ops.cast(ops.reshape(n, (-1,)), "int32")
    blank = y_pred.shape[-1] - 1
    loss = ops.ctc_loss(y_true, logs, flat(label_length), flat(input_length), mask_index=blank)
    return ops.expand_dims(loss, 1)


def ctc_decode(
    y_pred: Any, input_length: Any, greedy: bool = True, beam_width: int = 100, top_paths: int = 1,
    merge_repeated: bool = False,
) -> tuple:  # fmt: skip
    """`([labels, padded by -1, ...], log-probabilities)` of the likeliest paths."""
    found, scores = ops.ctc_decode(
        ops.log(y_pred + config.epsilon()),
        ops.cast(ops.reshape(input_length, (-1,)), "int32"),
        strategy="greedy" if greedy else "beam_search",
        beam_width=beam_width,
        top_paths=top_paths,
        mask_index=y_pred.shape[-1] - 1,
        **({} if greedy else {"merge_repeated": merge_repeated}),
    )
    return [found[i] for i in range(top_paths)], scores
