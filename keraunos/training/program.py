"""A step, compiled to run any number of times in one call of the device.

Nothing here knows of epochs, callbacks or progress bars. A `Program` is a pure
`step(state, batch) -> (out, state)` and the variables whose values are its state. A
`Pacer` says how many steps may pass before somebody looks.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxprs_in_params

from keraunos.core import placement
from keraunos.core.state import Variable, give_back, lend, lending
from keraunos.training.interrupts import uninterrupted
from keraunos.training.rowwise import ROWS, rowwise


class Program:
    """Runs a step over the batches of a feed, on the values of some variables.

    While it runs, the arrays of variables that the step changes are its own (they are donated);
    when it returns, the variables hold the new ones. How many steps a call runs is data, not
    shape, so one compilation serves every count, and the numbers do not depend on it. Threads
    take turns.

    Args:
        step: `(state, batch) -> (out, state)`, pure; the state is a tuple of lists of arrays.
        groups: The lists of variables that the state stands for, in the same order.
        pick: `(feed, i) -> batch`, inside of the program.
        keep: "last" returns the last step's out; "all" every step's, stacked.
        eager: Run the step as it is, uncompiled, batch by batch.
    """

    def __init__(
        self,
        step: Callable,
        groups: tuple[list[Variable], ...],
        pick: Callable,
        keep: str = "last",
        eager: bool = False,
    ):
        self.step = step if eager else jax.jit(step, inline=True)  # traced once, used twice
        self.groups, self.pick, self.keep, self.eager = groups, pick, keep, eager
        self._loops = False  # nor does anything else is known before a batch is seen
        self._rowwise: bool | None = False if eager else None
        self._moves: list[bool] | None = None  # of each variable, whether the step changes it

    def __call__(self, feed: Any, start: int, count: int, room: int = 0) -> Any:
        """Run `count` steps from `start` on; the out of the last, or of all, `room` at most."""
        with uninterrupted(), lending:
            self._look(feed)
            moving, still = lend(self._moving, self._still)
            out, moved = self._run(moving, still, feed, np.int32(start), np.int32(count), room=room)
            give_back([self._moving], [moved])
        return out

    def most(self, feed: Any) -> float:
        """How many steps a call may run: any number, or one if a loop would be slow."""
        self._look(feed)
        return math.inf if self._loops else 1

    def traced(self, batch: Any) -> Any:
        """The step as a jaxpr: what it computes, whatever its code looks like."""
        return jax.make_jaxpr(self.step)(lend(*self.groups), batch).jaxpr

    def rowwise(self, batch: Any) -> bool:
        """Whether a step changes no variable, and what it does to a row depends on no other row."""
        if self._rowwise is None:
            grown = lambda a: jax.ShapeDtypeStruct((ROWS, *a.shape[1:]), a.dtype)
            try:
                with lending:
                    jaxpr = self.traced(jax.tree.map(grown, batch))
            except Exception:  # the step may need a number of rows of its own
                self._rowwise = False
                return False
            held = sum(map(len, self.groups))
            outs = len(jaxpr.outvars) - held
            still = jaxpr.outvars[outs:] == jaxpr.invars[:held]
            self._rowwise = still and rowwise(jaxpr.replace(outvars=jaxpr.outvars[:outs]))
        return bool(self._rowwise)

    def _look(self, feed: Any) -> None:
        """See from the step itself which variables it changes, and whether it may loop."""
        if self._moves is not None:
            return
        variables = [variable for group in self.groups for variable in group]
        moves, self._run = [True] * len(variables), self._eagerly
        if not self.eager:
            jaxpr = self.traced(jax.eval_shape(lambda feed: self.pick(feed, 0), feed))
            self._loops = jax.default_backend() != "cpu" or not slow_in_a_loop(jaxpr)
            values = jaxpr.outvars[len(jaxpr.outvars) - len(variables) :]
            moves = [new is not old for new, old in zip(values, jaxpr.invars)]
        self._moving = [v for v, moved in zip(variables, moves) if moved]
        self._still = [v for v, moved in zip(variables, moves) if not moved]
        if not self.eager:
            options = {"donate_argnums": 0, "static_argnames": "room"}
            pinned = placement.pinned(self._moving, self._still)
            self._run = jax.jit(self._compiled, **options, **pinned)
        self._moves = moves

    def _step(self, moving: list, still: list, batch: Any) -> tuple[Any, list]:
        """The step, on the values of what it changes and of what it does not."""
        ours, others = iter(moving), iter(still)
        values = iter([next(ours if moved else others) for moved in self._moves or ()])
        out, state = self.step(tuple([next(values) for _ in group] for group in self.groups), batch)
        flat = [value for group in state for value in group]
        return out, [value for value, moved in zip(flat, self._moves or ()) if moved]

    def _compiled(self, moving, still, feed, start, count, room):
        if not self._loops:
            out, moving = self._step(moving, still, self.pick(feed, start))
            return (jax.tree.map(lambda x: x[None], out) if self.keep == "all" else out), moving
        spec, _ = jax.eval_shape(self._step, moving, still, self.pick(feed, start))
        rows = (room,) if self.keep == "all" else ()
        outs = jax.tree.map(lambda x: jnp.zeros((*rows, *x.shape), x.dtype), spec)

        def body(i, carry):
            moving, outs = carry
            out, moving = self._step(moving, still, self.pick(feed, start + i))
            if self.keep == "all":
                out = jax.tree.map(lambda room, x: room.at[i].set(x), outs, out)
            return moving, out

        moving, outs = jax.lax.fori_loop(0, count, body, (moving, outs))
        return outs, moving

    def _eagerly(self, moving, still, feed, start, count, room):
        batch = jax.tree.map(jnp.asarray, self.pick(feed, int(start)))
        out, moving = self._step(moving, still, batch)
        if self.keep == "all":
            out = jax.tree.map(lambda x: x[None], out)
        return out, moving


def slow_in_a_loop(jaxpr: Any) -> bool:
    """Whether XLA's code for the CPU would be 10 to 20 times slower inside of a loop.

    So it is for convolutions whose axes do not carry the usual labels, as JAX's own gradients
    of convolutions have them (jax issue 12868); those of `keras.ops.conv` are written
    otherwise. Decided from the program alone, so that a run can be repeated bit for bit.
    """
    for equation in _live(jaxpr):
        if equation.primitive.name == "conv_general_dilated":
            last = len(equation.invars[0].aval.shape) - 1
            inputs, kernel, outputs = equation.params["dimension_numbers"]
            usual = inputs[:2] == outputs[:2] == (0, last) and kernel[:2] == (last, last - 1)
            if not usual:
                return True
        if any(slow_in_a_loop(inner) for inner in jaxprs_in_params(equation.params)):
            return True
    return False


def _live(jaxpr: Any) -> list:
    """The equations that the results depend on; XLA drops the others."""
    wanted, found = set(map(id, jaxpr.outvars)), []
    for equation in reversed(jaxpr.eqns):
        if equation.effects or any(id(variable) in wanted for variable in equation.outvars):
            wanted.update(map(id, equation.invars))
            found.append(equation)
    return found


class Pacer:
    """Says how many steps to run before control comes back.

    Few at first, then as many as fit into `patience` seconds, which is never so long that
    Ctrl-C would go unheard.

    Args:
        patience: Seconds that callbacks can wait; 0 means every step.
        fixed: A number the user asked for, as `steps_per_execution`.
    """

    longest = 0.5

    def __init__(self, patience: float = math.inf, fixed: int | None = None):
        self.patience = min(patience, self.longest)
        self.fixed = 1 if patience == 0 and not fixed else fixed
        self.length = self.fixed or 1

    def runs(self, steps: range, most: Callable | float = math.inf) -> Iterator[tuple[int, int]]:
        """Pairs `(start, count)` that cover `steps`, each timed while it is out.

        Args:
            most: How many one may cover; a function if that changes on the way.
        """
        start = steps.start
        while start < steps.stop:
            room = most() if callable(most) else most
            count = int(min(self.length, steps.stop - start, room))
            began = time.perf_counter()
            yield start, count
            self._ran(count, time.perf_counter() - began)
            start += count

    def _ran(self, count: int, seconds: float) -> None:
        if self.fixed:
            return
        fit = count * self.patience / max(seconds, 1e-9)
        self.length = max(1, int(min(fit, 8 * count)))  # the first runs also compile
