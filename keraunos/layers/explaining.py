"""What is said of a layer's mistakes: which layer, what it was given, what came before, the fix."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

from keraunos.core import errors
from keraunos.core.fields import did_you_mean
from keraunos.core.graph import is_symbolic, symbolic_in
from keraunos.layers.spec import InputSpec, plain

# Names and output shapes of the layers that have run within the `call` around us.
so_far: contextvars.ContextVar[list | None] = contextvars.ContextVar("so_far", default=None)


@contextlib.contextmanager
def explaining(layer: Any, given: dict[str, Any]) -> Iterator[None]:
    """Say of an error which layer it came from, with what arguments, and what came before it.

    Of layers within layers the innermost says the first two.
    """
    try:
        yield
    except Exception as error:
        said = vars(error)
        if isinstance(error, AttributeError) and hasattr(error.obj, "made_at"):
            error.args = (f"{error}{unmade(error.obj, str(error.name))}",)
        if "_called" not in said:
            said["_called"] = True
            who = "It was" if layer._who in str(error) else f"In {layer._who}"
            if told := errors.shapes(given):
                error.add_note(f"{who} called with {told}.")
        led = trail(given)
        if led and "_trail" not in said:
            said["_trail"] = True
            error.add_note(f"What came before it: {led}.")
        raise


def way_out(layer: Any, spec: InputSpec, value: Any, shape: tuple) -> str:
    """What to do about an input that is not as expected; with a space before it."""
    least, most = spec.ndim or spec.min_ndim or 0, spec.ndim or spec.max_ndim or len(shape)
    before: Any = value.node and value.node.operation if is_symbolic(value) else None
    if len(shape) == least - 1:
        if getattr(before, "return_sequences", True) is False:
            return f" Give '{before.name}' `return_sequences=True`, so that it hands on all steps."
        return (
            " If there is one number (channel, feature) at each place, add the axis: "
            "`keras.ops.expand_dims(x, -1)`, or `x[..., None]` of an array."
        )
    if len(shape) > most:
        return (
            " Take an axis away, by `Flatten`, a global pooling layer or, after a recurrent "
            "layer, `return_sequences=False`."
        )
    if layer.built and least <= len(shape) <= most:
        return " It was built for that; make a new layer for another size."
    return ""


def trail(given: dict[str, Any]) -> str:
    """The operations that led to the arguments of a call, and the shapes they gave."""
    steps = [f"{name} {plain(shape)}" for name, shape in (so_far.get() or ())[-4:]]
    symbols = symbolic_in(given)
    while symbols and symbols[0].node and len(steps) < 4:
        steps.insert(0, f"{symbols[0].node.operation.name} {symbols[0].shape}")
        symbols = symbols[0].node.inputs
    return " > ".join(steps)


def no_tensor(value: Any) -> str:
    """What to say of an argument that is none."""
    if hasattr(value, "made_at"):
        return f"the layer {value.name!r} itself. Call it, and hand on what it gives: `layer(x)`."
    if value is None:
        return "None. Does the `call` of the layer before it `return` its output?"
    return f"{errors.brief(value)}. Make it an array: `np.array(...)`."


def unmade(layer: Any, name: str) -> str:
    """What to do about an attribute that a layer lacks."""
    if hint := did_you_mean(name, vars(layer)):
        return hint
    return (
        f". Make it in `build(self, input_shape)`, as `self.{name} = self.add_weight(...)`, or in "
        f"`__init__`"
    )
