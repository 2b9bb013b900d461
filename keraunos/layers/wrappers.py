"""Layers around other layers: in both directions of time, or at every step of it."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from keraunos.core import registry, tree
from keraunos.core.fields import fields, needs
from keraunos.core.registry import export
from keraunos.core.state import StatelessScope
from keraunos.layers.layer import Layer


def _a_layer(value, name, owner) -> Layer:
    if not isinstance(value, Layer):
        raise ValueError(needs(owner, "a layer", name, value))
    return value


@export("layers.Wrapper")
@fields
class Wrapper(Layer):
    """Base class of layers that do something with another layer; subclasses define `call`.

    Args:
        layer: The layer within; it is built with this one.
    """

    layer: Annotated[Layer, _a_layer]

    def build(self, input_shape=None):
        if not self.layer.built:
            self.layer.build(input_shape)


@export("layers.TimeDistributed")
class TimeDistributed(Wrapper):
    """Apply a layer to each step of a sequence by itself.

    A mask of the sequence is split likewise, if the layer takes one.

    Shapes: `(batch, steps, *n)` to `(batch, steps, *m)`, where the layer makes `(batch, *m)` of
    `(batch, *n)`.
    """

    supports_masking = True

    def build(self, input_shape):
        for shape in jax.tree.leaves(input_shape, is_leaf=tree.is_shape):
            if len(shape) < 3:
                raise ValueError(
                    f"{self._who} needs an input with axes for the batch, the steps and the "
                    f"features of a step, got one of shape {tuple(shape)}."
                )
        if not self.layer.built:
            self.layer.build(tree.map_shapes(lambda shape: (shape[0], *shape[2:]), input_shape))

    def call(self, inputs, training=None, mask=None):
        mask = mask if "mask" in self.layer._takes else None

        def one(x, mask):
            given = {} if mask is None else {"mask": mask}
            return self.layer(x, training=training, **given)

        return over_time(self.layer, one, inputs, mask)

    def compute_mask(self, inputs, previous_mask):
        """The mask of the steps: one is real if any part of it that was reduced away is."""
        if getattr(previous_mask, "ndim", 0) < 3:
            return previous_mask
        within = self.layer.compute_mask(inputs[:, 0], previous_mask[:, 0])
        axes = tuple(range(2, previous_mask.ndim))
        return jnp.any(previous_mask, axes) if within is None else previous_mask


def over_time(layer: Layer, call, *inputs):
    """`call` for each index of axis 1 of `inputs`, joined along that axis.

    All at once, if a call leaves the variables of `layer` alone; else in order, since each call
    sees what the one before assigned (averages, the position of a random stream).
    """

    def pure(values, inputs):
        with StatelessScope(zip(touched, values, strict=True)) as scope:
            outputs = call(*inputs)
            losses = [loss for _, loss in scope.collected]
            return outputs, [scope.get_current_value(v) for v in touched], losses

    one = lambda x: jax.ShapeDtypeStruct((x.shape[0], *x.shape[2:]), x.dtype)
    touched: list = []
    with StatelessScope() as scope:
        jax.eval_shape(call, *jax.tree.map(one, inputs))
    touched = [v for v in layer.variables if id(v) in scope.values]
    if touched:
        swap = lambda x: jnp.swapaxes(x, 0, 1)

        def step(values, inputs):
            outputs, values, losses = pure(values, inputs)
            return values, (outputs, losses)

        start = [v.value for v in touched]
        values, (outputs, losses) = jax.lax.scan(step, start, jax.tree.map(swap, inputs))
        outputs = jax.tree.map(swap, outputs)
        for variable, value in zip(touched, values, strict=True):
            variable.assign(value)
    else:
        at_once = jax.vmap(lambda *x: pure([], x)[::2], 1, (1, 0))
        outputs, losses = at_once(*inputs)
    for (owner, _), loss in zip(scope.collected, losses, strict=True):
        owner.add_loss(jnp.sum(loss))
    return outputs


_MERGES = {
    "concat": lambda a, b: jnp.concatenate([a, b], -1),
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
    None: lambda a, b: (a, b),
}


@export("layers.Bidirectional")
class Bidirectional(Layer):
    """Run a recurrent layer from the beginning and a twin of it from the end; merge the outputs.

    Both are made from the config of `layer`; `layer` itself is not used.

    Shapes: those of `layer`, with twice the features if they are concatenated. With
    `return_state`, the states of the forward layer follow, then those of the backward layer;
    `initial_state` is a list of the same order.

    Args:
        layer: An `RNN`, or a layer with its arguments `go_backwards`, `return_sequences`,
            `return_state` and `stateful`.
        merge_mode: "concat", "sum", "mul", "ave", or None for both outputs.
        weights: Arrays to start from.
        backward_layer: The layer for the other direction, with another `go_backwards`.
    """

    supports_masking = True

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(weights=weights, **kwargs)
        if merge_mode not in _MERGES:
            expected = "one of concat, sum, mul, ave, None"
            raise ValueError(needs(self, expected, "merge_mode", merge_mode))
        for name, value in (("layer", layer), ("backward_layer", backward_layer)):
            missing = [a for a in ("go_backwards", "return_sequences") if not hasattr(value, a)]
            if missing and not (name == "backward_layer" and value is None):
                raise ValueError(
                    needs(self, f"a recurrent layer (with `{missing[0]}`)", name, value)
                )
        self.merge_mode = merge_mode
        stem = layer.name.removeprefix("forward_")
        self.forward_layer = _twin(layer, name=f"forward_{stem}")
        self.backward_layer = backward_layer
        if backward_layer is None:
            backwards = not layer.go_backwards
            self.backward_layer = _twin(layer, name=f"backward_{stem}", go_backwards=backwards)
        self._compare()
        self.return_sequences = layer.return_sequences
        self.return_state = getattr(layer, "return_state", False)
        self.stateful = getattr(layer, "stateful", False)
        for twin in (self.forward_layer, self.backward_layer):
            # The last output at a masked step is another one for each direction; they would
            # not belong together.
            twin.zero_output_for_mask = bool(self.return_sequences)
        self.input_spec = layer.input_spec

    def _compare(self) -> None:
        ours, theirs = self.forward_layer, self.backward_layer
        if bool(ours.go_backwards) == bool(theirs.go_backwards):
            raise ValueError(
                f"{type(self).__name__} needs layers that differ in `go_backwards`, got "
                f"{ours.go_backwards} for both."
            )
        for name in ("stateful", "return_sequences", "return_state"):
            a, b = getattr(ours, name, False), getattr(theirs, name, False)
            if a != b:
                raise ValueError(
                    f"{type(self).__name__} needs layers with the same `{name}`, got {a} for the "
                    f"forward layer and {b} for the backward layer."
                )

    def build(self, sequences_shape, initial_state_shape=None):
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)

    def __call__(self, sequences, initial_state=None, *args, **kwargs):
        if isinstance(sequences, (list, tuple)) and initial_state is None and len(sequences) > 1:
            sequences, *initial_state = sequences
        return super().__call__(sequences, initial_state, *args, **kwargs)

    def call(self, sequences, initial_state=None, mask=None, training=None):
        both, given = [], [{}, {}]
        if initial_state is not None:
            half, odd = divmod(len(initial_state), 2)
            if odd:
                raise ValueError(
                    f"{self._who} needs `initial_state` to hold as many states for the forward "
                    f"layer as for the backward layer, got {len(initial_state)} in all."
                )
            given = [{"initial_state": s} for s in (initial_state[:half], initial_state[half:])]
        if mask is not None:
            given = [options | {"mask": mask} for options in given]
        for layer, options in zip((self.forward_layer, self.backward_layer), given):
            both.append(layer(sequences, training=training, **options))
        states: list = []
        if self.return_state:
            (y, *states), (y_back, *more) = both
            states += more
        else:
            y, y_back = both
        if self.return_sequences:
            time = 0 if getattr(self.forward_layer, "time_major", False) else 1
            y_back = jnp.flip(y_back, time)
        y = _MERGES[self.merge_mode](y, y_back)
        if not self.return_state:
            return y
        return (*(y if self.merge_mode is None else [y]), *states)

    def compute_mask(self, _, mask):
        """That of the steps, if all of them are returned."""
        mask = tree.flatten(mask)[0] if isinstance(mask, (list, tuple)) else mask
        mask = mask if self.return_sequences else None
        return (mask, mask) if self.merge_mode is None else mask

    @property
    def states(self):
        """The states that the two keep, if they are stateful, else None."""
        if getattr(self.forward_layer, "states", None) is None:
            return None
        return (*self.forward_layer.states, *self.backward_layer.states)

    def reset_state(self) -> None:
        """Let stateful layers start from their initial states again."""
        if self.stateful:
            self.forward_layer.reset_state()
            self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "merge_mode": self.merge_mode,
            "layer": registry.serialize(self.forward_layer),
            "backward_layer": registry.serialize(self.backward_layer),
        }


def _twin(layer, **changes):
    """A layer with the config of another, but for `changes`; its weights are its own."""
    twin = type(layer).from_config({**layer.get_config(), **changes})
    if layer.built and not twin.built:
        twin.build_from_config(layer.get_build_config())
    return twin


__all__ = ["Bidirectional", "TimeDistributed", "Wrapper"]
