"""The same model again, with new weights."""

from collections.abc import Callable
from typing import Any

import jax

from keraunos.layers import InputLayer
from keraunos.layers.layer import Layer
from keraunos.models.model import Model
from keraunos.models.sequential import Sequential


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable | None = None,
    call_function: Callable | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Any:
    """A model with the same layers, made anew from their configs, and new weights.

    Args:
        input_tensors: Symbolic tensors to build on, instead of new inputs.
        clone_function: Called with each layer; returns what stands in its place.
        call_function: Called as `call_function(layer, *args, **kwargs)` for each call of a
            layer; returns its output.
        recursive: Whether layers of nested models go through `clone_function` too.
    """
    if model._graph is None and not isinstance(model, Sequential):
        if clone_function or input_tensors is not None:
            raise ValueError(
                f"`{model.name}` is a subclass with its own `call`: it can only be cloned whole, "
                "without `clone_function` and `input_tensors`."
            )
        return type(model).from_config(model.get_config())
    made: dict[int, Layer] = {}

    def clone(layer: Any) -> Any:
        if id(layer) not in made:
            if isinstance(layer, Model) and recursive:
                copy = clone_model(
                    layer,
                    clone_function=clone_function,
                    call_function=call_function,
                    recursive=True,
                )
            elif clone_function is not None and not isinstance(layer, InputLayer):
                copy = clone_function(layer)
            else:
                copy = type(layer).from_config(layer.get_config())
            made[id(layer)] = copy
        return made[id(layer)]

    if isinstance(model, Sequential):
        head = [] if model._head is None else [clone(_source(model._head))]
        if input_tensors is not None:
            head = [input_tensors[0] if isinstance(input_tensors, list) else input_tensors]
        return Sequential([*head, *map(clone, model.layers)], name=model.name)

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        target = clone(operation) if isinstance(operation, Layer) else operation
        if call_function is not None and isinstance(operation, Layer):
            return call_function(target, *args, **kwargs)
        return target(*args, **kwargs)

    graph: Any = model._graph
    inputs = input_tensors
    if inputs is None:
        inputs = jax.tree.map(lambda t: clone(_source(t)).output, graph._inputs_struct)
    outputs = graph.run(inputs, call)
    return type(model)(inputs, outputs, name=model.name)


def _source(tensor: Any) -> Any:
    """The `InputLayer` that made a tensor."""
    return tensor.node.operation
