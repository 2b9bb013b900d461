"""What `keras.backend` did to graphs: placeholders, gradients, functions, sessions, phases."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from keraunos.core import state
from keraunos.core.graph import Function, KerasTensor, OpCall, symbolic_in
from keraunos.core.state import StatelessScope, Variable, pure
from keraunos.layers import Input
from keraunos.layers.holder import Holder
from keraunos.layers.layer import plain_shape, running, training_is
from keraunos.legacy.note import note
from keraunos.utils.graphs import get_source_inputs


class Phase(int):
    """The learning phase: 1 in training, 0 otherwise; `function` knows it among its inputs."""


_phase = [Phase(0)]


def learning_phase() -> int:
    """1 within a training step, 0 elsewhere, unless `set_learning_phase` said otherwise."""
    layer, training = running()
    return _phase[0] if layer is None or training is None else int(training)


def set_learning_phase(value: Any) -> None:
    """What `learning_phase` is outside of `fit`, `evaluate` and `predict`."""
    _phase[0] = Phase(int(value))


def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`x` in training, `alt` otherwise; either may be a function that gives it."""
    chosen = x if (learning_phase() if training is None else training) else alt
    return chosen() if callable(chosen) else chosen


def in_test_phase(x: Any, alt: Any, training: Any = None) -> Any:
    return in_train_phase(alt, x, training)


def placeholder(
    shape: Any = None, ndim: int | None = None, dtype: Any = None, sparse: bool = False,
    name: str | None = None,
) -> KerasTensor:  # fmt: skip
    """A symbolic tensor for `function` to fill in."""
    shape = (None,) * (ndim or 0) if shape is None else tuple(shape)
    return Input(batch_shape=shape, dtype=dtype, name=name)


# Updates -----------------------------------------------------------------------------------


class Update(NamedTuple):
    """An assignment that waits: for `add_update` in a layer, for `function` elsewhere."""

    target: Any
    value: Any


def update(x: Variable, new_x: Any) -> Any:
    """Assign `new_x`: at once, or within a layer and for symbolic values when it is its turn."""
    waits = running()[0] is not None or symbolic_in(new_x)
    return Update(x, new_x) if waits else x.assign(new_x)


def update_add(x: Variable, increment: Any) -> Any:
    return update(x, x + increment)


def update_sub(x: Variable, decrement: Any) -> Any:
    return update(x, x - decrement)


def moving_average_update(x: Variable, value: Any, momentum: float) -> Any:
    return update(x, x * momentum + value * (1.0 - momentum))


# Gradients and functions ---------------------------------------------------------------------


def gradients(loss: Any, variables: Any) -> list:
    """Gradients of the sum of a symbolic `loss`, by symbolic tensors and by variables."""
    wanted = list(variables) if isinstance(variables, (list, tuple)) else [variables]
    if not symbolic_in(loss):
        raise ValueError(
            "`K.gradients` needs a loss that was computed from symbolic tensors (an `Input`, a "
            f"`K.placeholder`, `model.output`), got {type(loss).__name__}: its value is known "
            "already, and how it was computed is not. Use `jax.grad` of a function."
        )
    tensors = [w for w in wanted if isinstance(w, KerasTensor)]
    held = [w for w in wanted if not isinstance(w, KerasTensor)]
    with _reconnected([loss, tensors]) as leaves:
        before, after = Function(leaves, tensors), Function([*leaves, *tensors], loss)

    def gradient(*values):
        at = before.run(list(values))

        def total(at, arrays):
            with StatelessScope(zip(held, arrays)):
                found = after.run([*values, *at])
                return sum(jnp.sum(part) for part in jax.tree.leaves(found))

        by_tensor, by_variable = jax.grad(total, (0, 1))(at, [v.value for v in held])
        order = iter(by_tensor), iter(by_variable)
        return [next(order[not isinstance(w, KerasTensor)]) for w in wanted]

    return OpCall(gradient).symbolic_call(*leaves)


@contextlib.contextmanager
def _reconnected(roots: Any) -> Iterator[list[KerasTensor]]:
    """The tensors that a graph starts from; an `Input(tensor=...)` is no start here."""
    cut: list[tuple[KerasTensor, Any]] = []
    while True:
        leaves = {id(t): t for root in symbolic_in(roots) for t in get_source_inputs(root)}
        made = lambda t: t.node and getattr(t.node.operation, "made_from", None)
        again = [t for t in leaves.values() if made(t)]
        if not again:
            break
        for t in again:
            cut.append((t, t.node))
            t.node = made(t)
    try:
        yield list(leaves.values())
    finally:
        for t, node in cut:
            t.node = node


class _Function:
    """A function from values of some symbolic tensors to those of others."""

    def __init__(self, inputs: Sequence, outputs: Any, updates: Any = None):
        self.inputs, self.alone = list(inputs), not isinstance(outputs, (list, tuple))
        self.outputs = [outputs] if self.alone else list(outputs)
        self.updates = [u for u in updates or () if isinstance(u, tuple)]
        fed = [t for t in self.inputs if isinstance(t, KerasTensor)]
        wanted = [self.outputs, [u.value for u in map(_update, self.updates)]]
        with _reconnected(wanted):
            self.graph = Function(fed, wanted)
        self.variables = _variables(self.graph)
        self._programs: dict[Any, Callable] = {}

    def __call__(self, inputs: Any = ()) -> Any:
        given = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        if len(given) != len(self.inputs):
            raise ValueError(f"The function takes {len(self.inputs)} inputs, got {len(given)}.")
        phase = next((v for t, v in zip(self.inputs, given) if isinstance(t, Phase)), _phase[0])
        fed = [
            jnp.asarray(value, t.dtype)
            for t, value in zip(self.inputs, given)
            if isinstance(t, KerasTensor)
        ]
        outputs, values = self._program(bool(phase))(fed)
        for pair, value in zip(self.updates, values):
            pair[0].assign(value)
        found = [np.asarray(_read(output)) for output in outputs]
        return found[0] if self.alone else found

    def _program(self, training: bool) -> Callable:
        if training not in self._programs:

            def run(fed):
                with training_is(training):
                    found = self.graph.run(fed)
                return jax.tree.map(_read, found, is_leaf=_is_variable)

            self._programs[training] = jax.jit(pure(run, self.variables))
        program = self._programs[training]

        def call(fed):
            found, (values,) = program(state.lend(self.variables), fed)
            state.give_back([self.variables], [values])
            return found

        return call


def _update(pair: Any) -> Update:
    return pair if isinstance(pair, Update) else Update(*pair)


def _is_variable(value: Any) -> bool:
    return isinstance(value, Variable)


def _read(value: Any) -> Any:
    return value.value if isinstance(value, Variable) else value


def _variables(graph: Function) -> list[Variable]:
    """What the nodes of a graph may read or assign."""
    found: dict[int, Variable] = {}
    for node in graph._nodes:
        held = jax.tree.leaves((node.args, node.kwargs), is_leaf=_is_variable)
        if isinstance(node.operation, Holder):
            held = [*held, *node.operation.variables]
        found |= {id(v): v for v in held if isinstance(v, Variable)}
    outputs = jax.tree.leaves(graph._outputs_struct, is_leaf=_is_variable)
    return list((found | {id(v): v for v in outputs if isinstance(v, Variable)}).values())


def function(
    inputs: Sequence, outputs: Any, updates: Any = None, name: str | None = None, **kwargs: Any
) -> _Function:
    """A compiled function from lists of arrays to lists of arrays.

    Args:
        inputs: Symbolic tensors, and perhaps `learning_phase()`.
        updates: What `update` returned, or `(variable, value)` pairs.
    """
    return _Function(inputs, outputs, updates)


def eval(x: Any) -> np.ndarray:
    """The value of a tensor or a variable."""
    return np.asarray(function([], [x])([])[0] if symbolic_in(x) else _read(x))


# Sessions ------------------------------------------------------------------------------------


class Session(contextlib.AbstractContextManager):
    """Stands where a TensorFlow session stood: values are computed without one."""

    def __init__(self, *args: Any, **kwargs: Any):
        self.graph = Graph()

    def run(self, fetches: Any, feed_dict: dict | None = None) -> Any:
        """The values of symbolic tensors, for values of others; of variables as they are."""
        if fetches is None:
            return None
        feed = feed_dict or {}
        if symbolic_in(fetches):
            return function(list(feed), fetches)(list(feed.values()))
        return jax.tree.map(lambda v: np.asarray(_read(v)), fetches, is_leaf=_is_variable)

    def as_default(self) -> "Session":
        return self

    def close(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        pass


class Graph(contextlib.AbstractContextManager):
    """Stands where a TensorFlow graph stood: there is none."""

    def as_default(self) -> "Graph":
        return self

    def finalize(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        pass


def get_session(op_input_list: Any = ()) -> Session:
    """A session; there is nothing to keep in one."""
    note("`K.get_session()`")
    return Session()


def set_session(session: Any) -> None:
    """Nothing is left to do."""
    note("`K.set_session(...)`")


def int_shape(x: Any) -> tuple | None:
    """The shape, with None for sizes that are not known."""
    return plain_shape(x) if hasattr(x, "shape") else None
