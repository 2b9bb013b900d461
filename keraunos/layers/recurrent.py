"""Layers that run a cell along a sequence."""

from typing import Any

import jax
import jax.numpy as jnp

from keraunos.core import naming, state, tree
from keraunos.core.fields import Field, fields
from keraunos.core.registry import export
from keraunos.core.state import Stateful, StatelessScope, Variable
from keraunos.layers import cells as cell_rules
from keraunos.layers.cells import (
    Cell,
    ForgetBias,
    GRUCell,
    Kernels,
    LSTMCell,
    Reset,
    SimpleRNNCell,
    StackedRNNCells,
    Units,
    arranged,
)
from keraunos.layers.layer import Layer
from keraunos.layers.spec import InputSpec, Regularizer

# The loop -----------------------------------------------------------------------------------


def loop(step, shared, xs, states, others, mask, zeroed, backwards, unroll, sequences):
    """Apply `step(shared, x, states) -> (output, states)` to each of `xs`, in order.

    Where `mask` is False the states stay, and so does the output, if it is the first state;
    otherwise it is the output before (zeros at first), or zeros always if `zeroed`. All of
    `xs` and `mask` have time as their first axis. `others` is a tuple of what a step changes
    whatever the mask; it takes and returns them behind the rest.

    Returns the last output, all of them (if `sequences`), the last states, the last others.
    """
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), xs)
    length, structure = jax.tree.leaves(xs)[0].shape[0], jax.tree.structure(states)
    repeats = False  # whether the output is the first state, and need not be carried

    def proceed(x, states, others):
        nonlocal repeats
        output, new, *others = step(shared, x, states, *others)
        new, old = jax.tree.leaves(new), jax.tree.leaves(states)
        if len(new) != len(old):
            raise ValueError(f"A cell was given {len(old)} states, and returned {len(new)}.")
        repeats = bool(new) and output is new[0]
        new = [jnp.asarray(a, b.dtype) for a, b in zip(new, old)]
        return output, jax.tree.unflatten(structure, new), tuple(others)

    with StatelessScope():
        output, *_ = jax.eval_shape(proceed, one, states, others)
    zeroed = zeroed and mask is not None
    stays = repeats and not zeroed
    carries = not stays and (not sequences or (mask is not None and not zeroed))
    start = jax.tree.map(lambda y: jnp.zeros(y.shape, y.dtype), output) if carries else None

    def body(carry, inputs):
        (x, real), (past, states, others) = inputs, carry
        output, new, others = proceed(x, states, others)
        if real is not None:
            keep = lambda a, b: jnp.where(real.reshape(-1, *(1,) * (a.ndim - 1)), a, b)
            new = jax.tree.map(keep, new, states)
            if stays:
                output = jax.tree.leaves(new)[0]
            else:
                past = jax.tree.map(jnp.zeros_like, output) if zeroed else past
                output = jax.tree.map(keep, output, past)
        return (output if carries else None, new, others), output if sequences else None

    (last, states, others), outputs = jax.lax.scan(
        body,
        (start, states, others),
        (xs, mask),
        reverse=backwards,
        unroll=bool(unroll) and isinstance(length, int) and length > 0,
    )
    if stays:
        last = jax.tree.leaves(states)[0]
    elif not carries:
        last = jax.tree.map(lambda y: y[0 if backwards else -1], outputs)
    if sequences and backwards:
        outputs = jax.tree.map(lambda y: y[::-1], outputs)
    return last, outputs, states, others


_compiled_loop = jax.jit(
    loop, static_argnames=("step", "zeroed", "backwards", "unroll", "sequences")
)


def run(cell, xs, states, mask, training, **how):
    """Run any cell along axis 1 of `xs`: the last output, all outputs or None, the states."""
    if type(cell) is StackedRNNCells:
        return _run_stacked(cell, xs, states, mask, training, **how)
    each = _run_ours if isinstance(cell, Cell) and type(cell).call is Cell.call else _run_users
    mask = None if mask is None else jnp.swapaxes(mask, 0, 1)
    last, ys, states = each(cell, xs, states, mask, training, how)
    return last, jax.tree.map(lambda y: jnp.swapaxes(y, 0, 1), ys), states


def _run_ours(cell, xs, states, mask, training, how):
    with state.autocast(cell._cast_dtype):
        xs, states = cell._cast((xs, states))
        steps = jnp.swapaxes(cell.project(xs, training), 0, 1)
        shared = cell.recurrent(states, training)
    each = _compiled_loop if cell.shares_compiled else loop
    return each(cell.step, shared, steps, states, (), mask, **how)[:3]


def _run_stacked(cell, xs, states, mask, training, backwards, sequences, **how):
    """Each cell over the whole sequence: its states never depend on a later cell's."""
    ended, last = [], None
    for place, (inner, own) in enumerate(zip(cell.cells, states, strict=True)):
        if place == 1 and backwards and mask is not None:
            mask = mask[:, ::-1]  # the first one's outputs are in the order it ran
        options = {"backwards": backwards and not place, **how}
        wanted = sequences or inner is not cell.cells[-1]
        last, xs, new = run(inner, xs, own, mask, training, sequences=wanted, **options)
        ended.append(new)
    return last, xs, ended


def _run_users(cell, xs, states, mask, training, how):
    """Run a cell of which nothing is known; the variables that it assigns travel along.

    So a cell may count steps, or draw random numbers, which differ from step to step.
    """
    steps = jnp.swapaxes(xs, 0, 1)
    call = lambda x, states: cell_rules.call_cell(cell, x, states, training)
    with StatelessScope():  # what it builds in its first call is there from here on
        jax.eval_shape(call, jax.ShapeDtypeStruct(steps.shape[1:], steps.dtype), states)
    variables = [v for v in getattr(cell, "variables", []) if not v.trainable]
    pure = state.pure(call, variables)

    def step(_, x, states, values):
        (output, new), (values,) = pure([values], x, states)
        return output, new, values

    values = [v.value for v in variables]
    last, ys, states, (values,) = loop(step, None, steps, states, (values,), mask, **how)
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return last, ys, states


# The layer ----------------------------------------------------------------------------------


class Memory(Stateful):
    """The states that a stateful layer keeps from one call to the next; not in saved files."""

    _within_layers = True

    def __init__(self, states, shape):
        self.shape = shape  # of the sequences
        make = lambda s: Variable(s, trainable=False, autocast=False, name="rnn_state")
        self.states = jax.tree.map(make, states)


@export("layers.RNN")
class RNN(Layer):
    """Run a cell along axis 1 of a sequence, from step to step with its states.

    A cell is a layer with `call(inputs, states) -> (output, new_states)`, where `inputs` is one
    step, and an attribute `state_size`, a size or a list of them. It may have an attribute
    `output_size`, and `get_initial_state(batch_size)`; the states are zeros without it.

    Shapes: `(batch, steps, *n)` to the last output, `(batch, *m)`, or to all of them,
    `(batch, steps, *m)`, if `return_sequences`; followed by the last states if `return_state`.

    Args:
        cell: A cell, or a list of them, which are stacked.
        go_backwards: Whether to begin at the end; outputs come in the order of running.
        stateful: Whether a call goes on with the states where the last one ended, until
            `reset_state()`. The batch size must be known: `batch_shape=` of the input.
        unroll: Whether to compile the steps one after the other, which takes longer to compile.
        zero_output_for_mask: Whether the output is 0, not the one before, at masked steps.

    Args of the call:
        initial_state: The states to start from; may also follow the sequence in one list.
        mask: `(batch, steps)`; at a step that is False the states stay as they are.
    """

    __fields__ = {
        name: Field(name)
        for name in (
            "cell",
            "return_sequences",
            "return_state",
            "go_backwards",
            "stateful",
            "unroll",
            "zero_output_for_mask",
        )
    }
    supports_masking = True
    cell: Any
    time_major: bool

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ):
        begin_layer(self, **kwargs)
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful, self.unroll = go_backwards, stateful, unroll
        self.zero_output_for_mask = zero_output_for_mask
        self._runs(cell)

    def _runs(self, cell) -> None:
        self.cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        cell_rules.check_cell(self.cell, type(self).__name__)
        self.input_spec, self.memory = InputSpec(ndim=3), None

    @property
    def state_size(self):
        return self.cell.state_size

    @property
    def states(self):
        """The variables that a stateful layer keeps its states in; None if it is not stateful."""
        return None if self.memory is None else self.memory.states

    def build(self, sequences_shape, initial_state_shape=None):
        batch, *rest = self._batch_first(sequences_shape)
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((batch, *rest[1:]))
        if not self.stateful:
            return
        if batch is None:
            raise ValueError(
                f"{self._who} is stateful and needs a known batch size, got an input of shape "
                f"{tuple(sequences_shape)}. Give the input a `batch_shape` or a `batch_size`."
            )
        self.memory = Memory(self._start((batch, *rest)), (batch, *rest))

    def get_initial_state(self, batch_size):
        """The states that a sequence starts from, unless others are given."""
        return cell_rules.initial_state(self.cell, batch_size, self.compute_dtype)

    def _start(self, shape):
        """The states that sequences of this shape start from."""
        return self.get_initial_state(shape[0])

    def __call__(self, sequences, initial_state=None, *args, **kwargs):
        if isinstance(sequences, (list, tuple)) and initial_state is None and len(sequences) > 1:
            sequences, *initial_state = sequences
        return super().__call__(sequences, initial_state, *args, **kwargs)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if self.time_major:
            sequences = jnp.swapaxes(sequences, 0, 1)
            mask = None if mask is None else jnp.swapaxes(mask, 0, 1)
        if isinstance(mask, (list, tuple)):
            mask = mask[0]
        if mask is not None:
            mask = jnp.asarray(mask, bool).reshape(mask.shape[:2])
        states = self._states_for(sequences, initial_state)
        last, outputs, states = self.inner_loop(sequences, states, mask, training)
        if self.memory is not None:
            jax.tree.map(lambda v, s: v.assign(s), self.memory.states, states)
        y = outputs if self.return_sequences else last
        if self.time_major and self.return_sequences:
            y = jax.tree.map(lambda y: jnp.swapaxes(y, 0, 1), y)
        if not self.return_state:
            return y
        return (y, *(states if isinstance(states, (list, tuple)) else [states]))

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """The last output, all outputs (or None) and the last states, from `initial_state` on."""
        return run(
            self.cell,
            sequences,
            initial_state,
            mask,
            training,
            zeroed=bool(self.zero_output_for_mask),
            backwards=bool(self.go_backwards),
            unroll=bool(self.unroll),
            sequences=bool(self.return_sequences),
        )

    def _states_for(self, sequences, given):
        """The states to start from: those given, those kept, or the cell's."""
        batch = sequences.shape[0]
        if given is None and self.memory is not None:
            kept = jax.tree.map(lambda v: v.value, self.memory.states)
            size = jax.tree.leaves(kept)[0].shape[0]
            if isinstance(batch, int) and batch != size:
                raise ValueError(
                    f"{self._who} is stateful and keeps states for a batch of {size}, got a batch "
                    f"of {batch}."
                )
            return kept
        expected = self._start(sequences.shape)
        if given is None:
            return expected
        leaves, wanted = jax.tree.leaves(given), jax.tree.leaves(expected)
        shapes = [a.shape for a in leaves], [a.shape for a in wanted]
        fits = lambda a, b: (
            len(a) == len(b)
            and all(m == n or not (isinstance(m, int) and isinstance(n, int)) for m, n in zip(a, b))
        )
        if len(leaves) != len(wanted) or not all(map(fits, *shapes)):
            raise ValueError(
                f"{self._who} needs `initial_state` to be {len(wanted)} tensors of shapes "
                f"{shapes[1]}, got {len(leaves)} of shapes {shapes[0]}."
            )
        return jax.tree.unflatten(jax.tree.structure(expected), leaves)

    def compute_mask(self, _, mask):
        """That of the steps, if all of them are returned; the states have none."""
        mask = tree.flatten(mask)[0] if isinstance(mask, (list, tuple)) else mask
        mask = mask if self.return_sequences else None
        if not self.return_state:
            return mask
        return [mask, *(None for _ in jax.tree.leaves(self.state_size))]

    def reset_state(self) -> None:
        """Let a stateful layer start from the initial states again."""
        if self.memory is not None:
            start = self._start(self.memory.shape)
            jax.tree.map(lambda v, s: v.assign(s), self.memory.states, start)

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    def _batch_first(self, shape):
        return (shape[1], shape[0], *shape[2:]) if self.time_major else tuple(shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("use_cudnn", None)  # says how, not what
        return config | ({"time_major": True} if self.time_major else {})


def begin_layer(self, *, implementation: Any = None, time_major: bool = False, **options):
    """Keras 2's `implementation` chose among formulations; there is one here."""
    Layer.__init__(self, **options)
    self.time_major = bool(time_major)


def make_cell(layer: RNN, cell_type: type, **options) -> Any:
    """A cell of `cell_type` with the arguments that `layer` has for it."""
    given = {name: getattr(layer, name) for name in cell_type.__fields__}
    stem = naming.snake_case(cell_type.__name__)
    policy, trainable = layer.dtype_policy, layer.trainable
    return cell_type(**given, name=stem, dtype=policy, trainable=trainable, **options)


# The three ----------------------------------------------------------------------------------


@fields
class Running:
    """Arguments of a layer that makes its cell itself."""

    activity_regularizer: Regularizer = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False


@fields
class Cudnn(Running):
    """Of a layer that Keras may run by cuDNN."""

    use_cudnn: Any = "auto"


@export("layers.SimpleRNN")
@arranged(begin_layer, late="seed")
class SimpleRNN(Running, Kernels, Units, RNN):
    """A plain recurrence, `h = activation(x @ kernel + h @ recurrent_kernel + bias)`.

    The arguments of the cell are those of `SimpleRNNCell`, the others those of `RNN`.

    Shapes: `(batch, steps, n)` to `(batch, units)`, or `(batch, steps, units)` if
    `return_sequences`; with `return_state` followed by `h`, `(batch, units)`.
    """

    def __post_init__(self):
        self._runs(make_cell(self, SimpleRNNCell))


@export("layers.GRU")
@arranged(begin_layer, late="reset_after")
class GRU(Cudnn, Reset, Units, RNN):
    """Gated recurrent unit; Cho et al., 2014 (arXiv:1406.1078).

    The arguments of the cell are those of `GRUCell`, the others those of `RNN`; `use_cudnn`
    changes nothing.

    Shapes: `(batch, steps, n)` to `(batch, units)`, or `(batch, steps, units)` if
    `return_sequences`; with `return_state` followed by `h`, `(batch, units)`.
    """

    def __post_init__(self):
        self._runs(make_cell(self, GRUCell))


@export("layers.LSTM")
@arranged(begin_layer)
class LSTM(Cudnn, ForgetBias, Units, RNN):
    """Long short-term memory; Hochreiter and Schmidhuber, 1997.

    The arguments of the cell are those of `LSTMCell`, the others those of `RNN`; `use_cudnn`
    changes nothing.

    Shapes: `(batch, steps, n)` to `(batch, units)`, or `(batch, steps, units)` if
    `return_sequences`; with `return_state` followed by `h` and `c`, `(batch, units)` each.
    """

    def __post_init__(self):
        self._runs(make_cell(self, LSTMCell))


__all__ = ["GRU", "LSTM", "RNN", "SimpleRNN"]
