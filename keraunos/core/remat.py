"""Values that are computed again for the gradient, instead of being kept for it.

Chen et al., 2016 (arXiv:1604.06174). A scope says what the calls of the layers made in it keep;
a call with its variables, losses and masks becomes a pure function, which JAX can replay.
"""

import contextvars
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from keraunos.core import masks
from keraunos.core.state import StatelessScope, Variable, current_scope

MODES = ("full", "activations", "larger_than", "list_of_layers", None)


class RematScope:
    """Layers made within it compute values again in the backward pass: less memory, more time.

    Args:
        mode: "full" keeps nothing between the inputs and outputs of a layer; "activations"
            only the results of matrix products; "larger_than" is "full" for layers whose outputs
            have more than `output_size_threshold` values; "list_of_layers" for those in
            `layer_names`; None ends an outer scope.
    """

    def __init__(
        self,
        mode: str | None = "full",
        output_size_threshold: int = 1024,
        layer_names: Sequence[str] | None = None,
    ):
        if mode not in MODES:
            raise ValueError(f"RematScope needs one of {MODES} for `mode`, got {mode!r}.")
        self.mode, self.output_size_threshold = mode, output_size_threshold
        self.layer_names = list(layer_names or ())

    def __enter__(self) -> "RematScope":
        self._outer = _scope.get()
        _scope.set(self)
        return self

    def __exit__(self, *_):
        _scope.set(self._outer)

    def around(self, call: Callable, name: str, variables: list[Variable]) -> Callable:
        """`call` of the layer `name`, as this scope wants it."""
        if self.mode is None or (self.mode == "list_of_layers" and name not in self.layer_names):
            return call
        again = rematerialized(call, variables, activations_only=self.mode == "activations")
        if self.mode != "larger_than":
            return again

        @functools.wraps(call)
        def measured(*args, **kwargs):
            out = jax.eval_shape(lambda: _quietly(call, args, kwargs))
            size = sum(leaf.size for leaf in jax.tree.leaves(out))
            return (again if size > self.output_size_threshold else call)(*args, **kwargs)

        return measured


_scope: contextvars.ContextVar[RematScope | None] = contextvars.ContextVar("remat", default=None)


def current() -> RematScope | None:
    """The scope we are in, if any."""
    return _scope.get()


def remat(f: Callable) -> Callable:
    """`f`, or a layer, whose inner values are computed again in the backward pass."""
    return rematerialized(f, getattr(f, "variables", []))


def rematerialized(fn: Callable, variables: list[Variable], activations_only: bool = False):
    """`fn` with its inner values computed again; it may read and assign `variables`."""
    policy = jax.checkpoint_policies.dots_saveable if activations_only else None

    def call(*args, **kwargs):
        leaves, treedef = jax.tree.flatten((args, kwargs))
        places = [i for i, x in enumerate(leaves) if isinstance(x, (jax.Array, np.ndarray))]
        arrays = [leaves[i] for i in places]
        values = [_raw(variable) for variable in variables]
        known: dict[str, Any] = {}

        def run(values, arrays):
            inside = list(leaves)
            for place, array in zip(places, arrays):
                if (mask := masks.get_mask(leaves[place])) is not None:
                    masks.set_mask(array, mask)
                inside[place] = array
            args, kwargs = jax.tree.unflatten(treedef, inside)
            with StatelessScope(zip(variables, values)) as scope:
                out = fn(*args, **kwargs)
            new = [scope.get_current_value(v) for v in variables]
            known["changed"] = [i for i, v in enumerate(new) if v is not values[i]]
            known["owners"] = [owner for owner, _ in scope.collected]
            found = [masks.get_mask(leaf) for leaf in jax.tree.leaves(out)]
            return out, [new[i] for i in known["changed"]], scope.losses, found

        out, new, losses, found = jax.checkpoint(run, policy=policy)(values, arrays)
        for place, value in zip(known["changed"], new):
            variables[place].assign(value)
        for owner, loss in zip(known["owners"], losses):
            owner.add_loss(loss)
        for leaf, mask in zip(jax.tree.leaves(out), found):
            if mask is not None:
                masks.set_mask(leaf, mask)
        return out

    return call


def _raw(variable: Variable) -> jax.Array:
    """The value as it is stored, whatever precision is computed with."""
    scope = current_scope()
    return variable._array if scope is None else scope.get_current_value(variable)


def _quietly(call: Callable, args, kwargs):
    with StatelessScope():
        return call(*args, **kwargs)
