"""What to do when training stops being finite: find the step, and in it where that began."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from keraunos.core.graph import OpCall
from keraunos.core.state import StatelessScope, Variable, lend, lending
from keraunos.data import Arrays
from keraunos.training import paths
from keraunos.training.program import Program
from keraunos.training.steps import unpack

KINDS = ("stop", "skip", "report")
_AFTER = {
    "stop": "Training stops; the variables are as they were before that step.",
    "skip": "The step is left out; the variables are as they were before it.",
    "report": "Training goes on.",
}


class Watch:
    """A training program that notices the first step whose loss or weights are not finite.

    Args:
        make: Makes the program, of a function that puts a guard around its step and of a
            further variable of its state.
        kind: "stop" leaves everything as it was before that step and stops; "skip" leaves out all
            such steps; "report" only says.
    """

    def __init__(self, model: Any, make: Callable[..., Program], kind: str):
        self.model, self.kind = model, kind
        compiled = model._compiled
        if compiled.seen is None:  # steps of this call, the first bad one, how many were bad
            compiled.seen = Variable(np.array([0, -1, 0], "int32"), trainable=False, name="seen")
        self.seen = compiled.seen
        self.program = make(functools.partial(_guarded, kind=kind), self.seen)
        self.epoch = self.done = self.left_out = 0
        self.told = False

    @property
    def groups(self) -> tuple[list[Variable], ...]:
        return self.program.groups

    def most(self, feed: Any) -> float:
        """How many steps a call may run."""
        return self.program.most(feed)

    def traced(self, batch: Any) -> Any:
        """The step that is watched, as a jaxpr: watching makes no other program of it."""
        groups = self.groups[:-1]
        return jax.make_jaxpr(self.model._pure_step("train", groups))(lend(*groups), batch).jaxpr

    def __call__(self, feed: Any, start: int, count: int) -> Any:
        with lending:
            self.program.most(feed)  # it finds out what moves
            moving = self.program._moving
            before = [v._array.copy() for v in moving] if self.kind != "stop" else []
            out = self._run(feed, start, count)
            _, first, bad = self.seen.numpy().tolist()
            if bad and not self.told:
                self._tell(feed, start, first, before)
            if bad and self.kind != "report":
                out = {**out, **self.model.get_metrics_result()}
        self.done += count
        self.left_out += bad
        return out

    def _run(self, feed: Any, start: int, count: int) -> Any:
        self.seen.assign(np.array([0, -1, 0], "int32"))
        return self.program(feed, start, count)

    def _tell(self, feed: Any, start: int, first: int, before: list) -> None:
        self.told, moving = True, self.program._moving
        after = [v._array for v in moving]
        try:
            if before:  # else the variables were kept as they had been
                _put(moving, before)
                if first:
                    self._run(feed, start, first)
            batch = jax.tree.map(jnp.asarray, self.program.pick(feed, start + first))
            samples = feed[1][start + first] if self.program.pick is Arrays.pick else None
            found = _diagnosis(self.model, batch, functools.partial(_told_rows, samples))
        finally:
            _put(moving, after)
        self.model.stop_training = self.model.stop_training or self.kind == "stop"
        warnings.warn(
            f"Training stopped being finite in epoch {self.epoch + 1}, step "
            f"{self.done + first + 1}: {found}. {_AFTER[self.kind]}",
            stacklevel=2,
        )

    def finish(self) -> None:
        """Say how many steps were left out, if there were several."""
        if self.kind == "skip" and self.left_out > 1:
            warnings.warn(
                f"{self.left_out} steps were left out because they were not finite.", stacklevel=2
            )


def _put(variables: list[Variable], arrays: list) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable._array = array


def _guarded(step: Callable, kind: str) -> Callable:
    """A step that also counts, and takes itself back where it was not finite."""

    def run(values: tuple, batch: Any) -> tuple:
        *old, (seen,) = values
        out, new = step(tuple(old), batch)
        steps, first, bad = seen
        good = _all_finite([out.get("loss", 0.0), *new[0]])
        first = jnp.where(~good & (first < 0), steps, first)
        back = {"stop": first >= 0, "skip": ~good, "report": False}[kind]
        if kind != "report":
            kept = lambda n, o: n if n is o else jnp.where(back, o, n)
            new = jax.tree.map(kept, tuple(new), tuple(old))
        return out, (*new, [jnp.stack([steps + 1, first, bad + ~good])])

    return run


def _all_finite(arrays: list) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in map(jnp.asarray, arrays)]))


# In the step ----------------------------------------------------------------------------------


def _diagnosis(model: Any, batch: Any, told_rows: Callable) -> str:
    """What was not finite first in a training step from the present values of variables."""
    x, y, sample_weight = unpack(batch)
    calls: list[tuple[str, Any, Any]] = []
    try:
        with StatelessScope(), _observed(model, calls):
            y_pred = model._call(x, True)
            loss = model.compute_loss(x, y, y_pred, sample_weight, True)
        if not calls and not (_bad(loss) or _bad((y, sample_weight))):
            return _backwards(model, batch)
    except Exception as error:  # whatever it is, training need not fail by it
        return f"the loss or a weight (the step could not be done again: {error})"
    for name, part in (("x", x if calls else None), ("y", y), ("sample_weight", sample_weight)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(part):
            if _bad(leaf):
                where = name + jax.tree_util.keystr(path)
                return f"the data: `{where}` holds {_what(leaf)}{told_rows(_rows(leaf, x))}"
    for variable, names in paths.variables(model).values():
        if _bad(variable._array):
            return f"the variable {names[0]} held {_what(variable._array)} before it"
    if calls:
        layer, inputs, output = calls[0]
        return f"{layer} gave {_what(output)}{told_rows(_rows(output, x))} for inputs {_to(inputs)}"
    rows = _rows_of_loss(model, y, y_pred, len(jax.tree.leaves(x)[0]))
    return f"the loss was {_what(loss)}{told_rows(rows)} for outputs {_to(y_pred)}"


def _backwards(model: Any, batch: Any) -> str:
    """Of a step whose loss is finite: the gradient, or the update, that is not."""
    groups = model._groups("train")
    values = lend(*groups)
    scale = lambda trainable: model._forward((trainable, values[1], values[3]), batch, True)[0][0]
    trained = groups[0]
    names = paths.variables(model)
    path = lambda v: names[id(v)][1][0] if id(v) in names else v.path
    bad = [v for v, g in zip(trained, jax.grad(scale)(values[0])) if _bad(g)]
    if bad:  # backwards, the last of them came first
        more = f", and those of {len(bad) - 1} variables before it" if bad[1:] else ""
        return f"the gradient of {path(bad[-1])} was not finite{more}; the loss was"
    _, state = model._pure_step("train", groups)(values, batch)
    bad = [v for v, new in zip(trained, state[0]) if _bad(new)]
    if bad:
        return f"{path(bad[0])} was not finite after the update by {model.optimizer.name}"
    return "the loss or a weight; all was finite when the step was done again, in other roundings"


@contextlib.contextmanager
def _observed(model: Any, calls: list) -> Iterator[None]:
    """Within it, the calls of layers and operations whose outputs are not finite are noted."""
    layers = [*paths.layers(model), (model.name, model)]
    whom = {id(layer): (f"layer {path!r} ({type(layer).__name__})", layer, "call")
            for path, layer in layers}  # fmt: skip
    for path, layer in layers:
        for node in getattr(getattr(layer, "_graph", None), "_nodes", ()):
            operation = node.operation
            if isinstance(operation, OpCall):
                name = f"operation {operation.name!r} of {path!r}"
                whom[id(operation)] = name, operation, "fn"

    def around(name: str, call: Callable) -> Callable:
        @functools.wraps(call)
        def observed(*args: Any, **kwargs: Any) -> Any:
            outputs = call(*args, **kwargs)
            for leaf in jax.tree.leaves(outputs):
                if _bad(leaf):
                    calls.append((name, (args, kwargs), leaf))
            return outputs

        return observed

    before = [vars(thing).get(attribute) for _, thing, attribute in whom.values()]
    for name, thing, attribute in whom.values():
        vars(thing)[attribute] = around(name, getattr(thing, attribute))
    try:
        yield
    finally:
        for own, (_, thing, attribute) in zip(before, whom.values()):
            vars(thing).pop(attribute) if own is None else vars(thing).update({attribute: own})


def _bad(values: Any) -> bool:
    """Whether there is an infinity or a NaN in nested arrays, as far as they are known."""
    for leaf in jax.tree.leaves(values):
        leaf = leaf.value if isinstance(leaf, Variable) else leaf
        known = hasattr(leaf, "dtype") and not isinstance(leaf, Tracer)
        if known and jnp.issubdtype(leaf.dtype, jnp.floating) and not jnp.isfinite(leaf).all():
            return True
    return False


def _to(values: Any) -> str:
    """How large numbers in nested arrays are."""
    sizes = [float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(values)
             if getattr(leaf, "size", 0) and not isinstance(leaf, Tracer)]  # fmt: skip
    return f"up to {max(sizes, default=0.0):.2g} in size"


def _what(array: Any) -> str:
    return "nan" if bool(jnp.isnan(array).any()) else "inf"


def _rows(array: Any, x: Any) -> list[int]:
    """The rows of a batch in which an array of it is not finite; none if it is not by rows."""
    if jnp.ndim(array) == 0 or len(array) != len(jax.tree.leaves(x)[0]):
        return []
    bad = ~np.isfinite(np.asarray(array, "float32")).reshape(len(array), -1).all(1)
    return np.flatnonzero(bad).tolist()


def _rows_of_loss(model: Any, y: Any, y_pred: Any, count: int) -> list[int]:
    loss = model._compiled.loss
    if loss is None or y is None or count > 256:
        return []
    row = lambda tree, i: jax.tree.map(lambda a: a[i : i + 1], tree)
    with StatelessScope():
        return [i for i in range(count) if _bad(loss(row(y, i), row(y_pred, i), None))]


def _told_rows(samples: Any, rows: list[int]) -> str:
    """Rows of the batch, and which samples they are where that is known."""
    if not rows:
        return ""
    many = "s" * (len(rows) > 1)
    listed = lambda numbers: ", ".join(map(str, numbers[:8])) + (", ..." if numbers[8:] else "")
    text = f" in row{many} {listed(rows)} of the batch"
    if samples is not None:
        text += f" (sample{many} {listed(np.asarray(samples)[rows].tolist())} of the data)"
    return text
