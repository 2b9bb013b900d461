"""Recurrent cells: what happens in one step of a sequence.

Our cells split their step in two: `project(x)`, the part that needs no state and is computed
for all steps at once, and a `Step`, a pure function that `RNN` scans. A step holds no weights,
only what makes it compile differently, so two calls of a layer share one compiled loop.
"""

import typing
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from keraunos import random
from keraunos.activations import Activation
from keraunos.core import registry, tree
from keraunos.core.fields import (
    Field,
    Fraction,
    Listed,
    Positive,
    checked,
    declare,
    fields,
    option,
    owned,
)
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.layers.layer import Layer
from keraunos.layers.spec import Constraint, Initializer, Regularizer

# Arguments ----------------------------------------------------------------------------------

# A cell and the layer that runs it take the same arguments, in an order that only a list can
# say; the classes below hold each argument once.
_ORDER = """filters kernel_size strides padding data_format dilation_rate
units activation recurrent_activation use_bias kernel_initializer recurrent_initializer
bias_initializer unit_forget_bias kernel_regularizer recurrent_regularizer bias_regularizer
activity_regularizer kernel_constraint recurrent_constraint bias_constraint dropout
recurrent_dropout reset_after seed return_sequences return_state go_backwards stateful unroll
LATE use_cudnn zero_output_for_mask"""


@typing.dataclass_transform(field_specifiers=(owned, option))
def arranged(begin: Callable, late: str = "") -> Callable:
    """Class decorator: `fields`, with inherited arguments, in Keras's order.

    `begin` is the `__init__` of what is no argument of the class's own; the argument `late`
    comes behind `unroll`.
    """
    order = {name: place for place, name in enumerate(_ORDER.split())}
    if late:
        order[late] = order["LATE"]

    def decorate(cls):
        found: dict[str, Field] = {}
        for base in reversed(cls.__mro__):
            if "__fields__" in vars(base) and not issubclass(base, Layer):
                found |= base.__fields__
        return declare(cls, sorted(found.values(), key=lambda f: order[f.name]), begin)

    return decorate


@fields
class Units:
    """Arguments of what has units."""

    units: Positive


@fields
class Kernels:
    """Arguments of whatever has a kernel for inputs, one for states, and a bias."""

    activation: Activation = "tanh"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    seed: Any = None


@fields
class Gates(Kernels):
    """Arguments of cells with gates."""

    recurrent_activation: Activation = "sigmoid"


@fields
class ForgetBias(Gates):
    """Arguments of cells that can start out remembering."""

    unit_forget_bias: bool = True


@fields
class Reset(Gates):
    """Arguments of cells with a reset gate."""

    reset_after: bool = True


def begin(self, *, implementation: Any = None, **options):
    """`implementation` chose among Keras 2's formulations; there is one here."""
    Layer.__init__(self, **options)


# Steps --------------------------------------------------------------------------------------


class Recurrent(NamedTuple):
    """What a step needs besides inputs and states: weights, and masks of dropout."""

    kernel: Any  # (units, gates * units)
    bias: Any = None  # (gates * units,)
    masks: Any = None  # (gates, batch, units)

    def __call__(self, h, first: int = 0, last: int | None = None):
        """`h @ kernel + bias`, for the gates from `first` to `last`."""
        units = self.kernel.shape[0]
        columns = slice(first * units, None if last is None else last * units)
        kernel = self.kernel[:, columns]
        if self.masks is None:
            y = h @ kernel
        else:
            dropped = h * self.masks[first:last]
            y = jnp.concatenate(
                [x @ kernel[:, i * units : (i + 1) * units] for i, x in enumerate(dropped)], -1
            )
        return y if self.bias is None else y + self.bias[columns]


class SimpleStep(NamedTuple):
    """`h = activation(x + h @ R)`."""

    activation: Callable

    def __call__(self, recurrent: Recurrent, projected, states):
        h = self.activation(projected + recurrent(states[0]))
        return h, [h]


class GRUStep(NamedTuple):
    """`h = z * h + (1 - z) * g`, where `g` sees of `h` what the reset gate `r` lets through."""

    activation: Callable
    gate: Callable
    reset_after: bool

    def __call__(self, recurrent: Recurrent, projected, states):
        (h,) = states
        x_z, x_r, x_g = jnp.split(projected, 3, -1)
        if self.reset_after:
            h_z, h_r, h_g = jnp.split(recurrent(h), 3, -1)
        else:
            h_z, h_r = jnp.split(recurrent(h, 0, 2), 2, -1)
        z, r = self.gate(x_z + h_z), self.gate(x_r + h_r)
        g = self.activation(x_g + (r * h_g if self.reset_after else recurrent(r * h, 2, 3)))
        h = z * h + (1 - z) * g
        return h, [h]


class LSTMStep(NamedTuple):
    """`c = f * c + i * g`, `h = o * activation(c)`."""

    activation: Callable
    gate: Callable
    axis: int = -1

    def __call__(self, recurrent: Callable, projected, states):
        h, c = states
        i, f, g, o = jnp.split(projected + recurrent(h), 4, self.axis)
        c = self.gate(f) * c + self.gate(i) * self.activation(g)
        h = self.gate(o) * self.activation(c)
        return h, [h, c]


# Cells --------------------------------------------------------------------------------------


class Cell(Kernels, Layer):
    """What our cells share: two kernels and a bias, with a block of columns for each gate."""

    gates: ClassVar[int]
    units: int
    kernel: Variable
    recurrent_kernel: Variable
    bias: Variable | None

    def _set_up(self):
        self.state_size = self.output_size = self.units
        given = isinstance(self.seed, random.SeedGenerator)
        self.seed_generator = self.seed if given else random.SeedGenerator(self.seed)
        self._dropout_masks: dict[str, Any] = {}

    def build(self, input_shape):
        width = self.units * self.gates
        self.weight("kernel", (input_shape[-1], width))
        self.weight("recurrent_kernel", (self.units, width), role="recurrent")
        if self.use_bias:
            self._make_bias(width)
        else:
            self.bias = None

    def _make_bias(self, width):
        self.weight("bias", (width,))

    @property
    def step(self) -> Callable:
        """A pure function of `recurrent(...)`, `project(...)` and the states."""
        raise NotImplementedError

    @property
    def shares_compiled(self) -> bool:
        """Whether equal steps compute the same: unless a user's activation holds variables."""
        functions = [self.activation, getattr(self, "recurrent_activation", self.activation)]
        return not any(registry.is_custom(function) for function in functions)

    def project(self, x, training: bool = False):
        """The part of the gates that comes from `(batch, ..., n)` alone, for all steps at once.

        Dropout draws once for a sequence.
        """
        kernel = self.kernel.value
        if training and self.dropout:
            # A mask for each gate, as Gal and Ghahramani (2016) have it; one where that allows
            # one matrix product, as in Keras.
            shape = (x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1])
            count = self.gates if self.recurrent_dropout else 1
            masks = self._draw(count, self.dropout, shape, x.dtype)
            parts = [(x * m) @ k for m, k in zip(masks, jnp.split(kernel, count, -1))]
            y = jnp.concatenate(parts, -1)
        else:
            y = x @ kernel
        bias, _ = self._biases()
        return y if bias is None else y + bias

    def _biases(self) -> tuple:
        """What is added to the projection, and to the product with the states."""
        return None if self.bias is None else self.bias.value, None

    def recurrent(self, states, training: bool = False) -> tuple:
        """The weights that a step uses, and the masks of dropout for a sequence."""
        masks = None
        if training and self.recurrent_dropout:
            shape, dtype = states[0].shape, states[0].dtype
            masks = jnp.stack(self._draw(self.gates, self.recurrent_dropout, shape, dtype))
        return Recurrent(self.recurrent_kernel.value, self._biases()[1], masks)

    def _draw(self, count, rate, shape, dtype) -> list:
        ones = jnp.ones(shape, dtype)
        return [random.dropout(ones, rate, seed=self.seed_generator) for _ in range(count)]

    def get_dropout_mask(self, step_input) -> Any:
        """What `dropout` multiplies inputs with: a mask, or one for each gate; None for rate 0.

        The same until `reset_dropout_mask`.
        """
        count = self.gates if self.recurrent_dropout else 1
        return self._kept_mask("dropout", count, step_input)

    def get_recurrent_dropout_mask(self, step_input) -> Any:
        """The same for states, until `reset_recurrent_dropout_mask`."""
        return self._kept_mask("recurrent_dropout", self.gates, step_input)

    def _kept_mask(self, name: str, count: int, like) -> Any:
        rate = getattr(self, name)
        if rate and name not in self._dropout_masks:
            drawn = self._draw(count, rate, like.shape, like.dtype)
            self._dropout_masks[name] = drawn[0] if count == 1 else drawn
        return self._dropout_masks.get(name)

    def reset_dropout_mask(self) -> None:
        """Forget the mask of the inputs."""
        self._dropout_masks.pop("dropout", None)

    def reset_recurrent_dropout_mask(self) -> None:
        """Forget the mask of the states."""
        self._dropout_masks.pop("recurrent_dropout", None)

    def call(self, inputs, states, training=False):
        states = states if isinstance(states, (list, tuple)) else [states]
        recurrent = self.recurrent(states, training)
        return self.step(recurrent, self.project(inputs, training), states)

    def get_initial_state(self, batch_size=None):
        """Zeros for each of the states, in a list."""
        sizes = tree.flatten(self.state_size)
        return [jnp.zeros((batch_size, size), self.compute_dtype) for size in sizes]


@export("layers.SimpleRNNCell")
@arranged(begin)
class SimpleRNNCell(Cell, Units):
    """One step of a plain recurrence: `h = activation(x @ kernel + h @ recurrent_kernel + bias)`.

    Called as `cell(inputs, [h])`; returns `(h, [h])`.

    Shapes: `(batch, n)` to `(batch, units)`.
    """

    gates = 1

    def __post_init__(self):
        self._set_up()

    @property
    def step(self) -> Callable:
        return SimpleStep(self.activation)


@export("layers.GRUCell")
@arranged(begin)
class GRUCell(Cell, Reset, Units):
    """One step of a gated recurrent unit; Cho et al., 2014 (arXiv:1406.1078).

    Called as `cell(inputs, [h])`; returns `(h, [h])`. The columns of the kernels are the
    update gate, the reset gate and the candidate.

    Shapes: `(batch, n)` to `(batch, units)`.

    Args:
        reset_after: Whether the reset gate acts behind the product with the recurrent kernel
            (as cuDNN does; the bias has then a second row) or before it.
    """

    gates = 3

    def __post_init__(self):
        self._set_up()

    def _make_bias(self, width):
        self.weight("bias", (2, width) if self.reset_after else (width,))

    def _biases(self) -> tuple:
        bias, _ = super()._biases()
        return (bias[0], bias[1]) if bias is not None and self.reset_after else (bias, None)

    @property
    def step(self) -> Callable:
        return GRUStep(self.activation, self.recurrent_activation, bool(self.reset_after))


@export("layers.LSTMCell")
@arranged(begin)
class LSTMCell(Cell, ForgetBias, Units):
    """One step of long short-term memory; Hochreiter and Schmidhuber, 1997.

    Called as `cell(inputs, [h, c])`; returns `(h, [h, c])`. The columns of the kernels are the
    input gate, the forget gate, the candidate and the output gate.

    Shapes: `(batch, n)` to `(batch, units)`.

    Args:
        unit_forget_bias: Whether the bias of the forget gate starts at 1.
    """

    gates = 4

    def __post_init__(self):
        self._set_up()
        self.state_size = [self.units, self.units]

    def _make_bias(self, width):
        self.weight("bias", (width,), initializer=remembering(self))

    @property
    def step(self) -> Callable:
        return LSTMStep(self.activation, self.recurrent_activation)


def remembering(cell) -> Callable:
    """The initializer of the bias of an LSTM: ones for the second gate of four."""

    def initial(shape, dtype=None):
        bias = jnp.asarray(cell.bias_initializer(shape, dtype=dtype))
        n = shape[0] // 4
        return bias.at[n : 2 * n].set(1) if cell.unit_forget_bias else bias

    return initial


@export("layers.StackedRNNCells")
class StackedRNNCells(Layer):
    """Several cells as one: the output of each is the input of the next.

    The states are a list with the states of each cell.

    Args:
        cells: Cells, first to last.
    """

    @checked
    def __init__(self, cells: Listed, **kwargs):
        super().__init__(**kwargs)
        for cell in cells:
            check_cell(cell, type(self).__name__)
        self.cells = list(cells)

    @property
    def state_size(self) -> list:
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self):
        return output_size(self.cells[-1])

    def get_initial_state(self, batch_size=None) -> list:
        """The initial states of each cell."""
        return [initial_state(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def build(self, input_shape):
        shape = tuple(input_shape)
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(shape)
            size = output_size(cell)
            shape = (shape[0], *(size if isinstance(size, (list, tuple)) else [size]))

    def call(self, inputs, states, training=False, **kwargs):
        new = []
        for cell, own in zip(self.cells, states, strict=True):
            inputs, changed = call_cell(cell, inputs, own, training)
            new.append(changed)
        return inputs, new

    def get_config(self) -> dict[str, Any]:
        cells = [registry.serialize(cell) for cell in self.cells]
        return {**super().get_config(), "cells": cells}


# Any cell -----------------------------------------------------------------------------------


def check_cell(cell, owner: str) -> None:
    """Object to what cannot be used as a cell."""
    for needed, what in (
        ("call", "a method `call(inputs, states)` that returns `(output, new_states)`"),
        ("state_size", "an attribute `state_size`, an integer for each state"),
    ):
        if not hasattr(cell, needed):
            raise ValueError(f"{owner} needs a cell with {what}, got {cell!r}, which has none.")


def call_cell(cell, inputs, states, training):
    """One step of any cell."""
    if isinstance(cell, Layer):
        return cell(inputs, states, training=training)
    return cell.call(inputs, states)


def output_size(cell):
    """The size of what a cell returns; that of its first state, unless it says otherwise."""
    size = getattr(cell, "output_size", None)
    return tree.flatten(cell.state_size)[0] if size is None else size


def initial_state(cell, batch_size, dtype):
    """The states a cell starts from: its own, or zeros of its `state_size`, in a list."""
    if hasattr(cell, "get_initial_state"):
        states = cell.get_initial_state(batch_size=batch_size)
    else:
        sizes = cell.state_size
        sizes = sizes if isinstance(sizes, (list, tuple)) else [sizes]
        states = [
            jnp.zeros((batch_size, *(n if isinstance(n, (list, tuple)) else [n])), dtype)
            for n in sizes
        ]
    if isinstance(states, (list, tuple)):
        return list(states)
    return [states] if isinstance(states, jax.Array) or hasattr(states, "shape") else states


__all__ = ["GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"]
