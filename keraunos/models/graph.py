"""The graph between a model's inputs and outputs: names, order of layers, config."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from keraunos import ops
from keraunos.core import errors, masks, registry, tree
from keraunos.core.graph import Function, KerasTensor, Node, OpCall, Operation, symbolic_in
from keraunos.layers.layer import Layer
from keraunos.models import opnames


class Graph(Function):
    """A `Function` whose inputs and outputs have names, and which knows its layers."""

    def __init__(self, inputs: Any, outputs: Any, name: str):
        for argument, value in (("inputs", inputs), ("outputs", outputs)):
            for leaf in tree.flatten(value):
                if not isinstance(leaf, KerasTensor):
                    raise ValueError(
                        f"`{argument}` of a model must be symbolic tensors, made by `keras.Input` "
                        f"and by calling layers on them; got {errors.brief(leaf)}."
                    )
        super().__init__(inputs, outputs, name)
        self.hosted: Any = None  # how it is cut in two, when somebody asked
        seen: set[int] = set()
        for tensor in self._inputs:
            if id(tensor) in seen:
                raise ValueError(f"The input {tensor.name!r} is given twice in `inputs`.")
            seen.add(id(tensor))
        sources = [t.node for t in self._inputs if t.node is not None and not t.node.inputs]
        self.nodes = _by_depth(sources, self._nodes)
        ordered = {id(node.operation): node.operation for node in self.nodes}
        self.ordered_operations: list[Operation] = list(ordered.values())
        self.layers = [op for op in self.ordered_operations if isinstance(op, Layer)]
        self._check_unique_names()
        self.input_names = [t.node.operation.name if t.node else t.name for t in self._inputs]
        self.output_names = _numbered([t.node.operation.name for t in self._outputs if t.node])

    def _check_unique_names(self) -> None:
        seen: dict[str, Layer] = {}
        for layer in self.layers:
            if layer.name in seen:
                raise ValueError(
                    f"Two layers of the model are called {layer.name!r}; names must be unique. "
                    f"They were made at {seen[layer.name].made_at} and {layer.made_at}."
                )
            seen[layer.name] = layer

    # Inputs ------------------------------------------------------------------------------

    def arranged(self, inputs: Any) -> Any:
        """`inputs`, given as a list or a dict by name, in the structure of the graph's own."""
        own = self._inputs_struct
        names = list(own) if isinstance(own, Mapping) else self.input_names
        if isinstance(inputs, Mapping):
            missing = [name for name in names if name not in inputs]
            if missing:
                extra = [key for key in inputs if key not in names]
                close = difflib.get_close_matches(missing[0], map(str, extra), 1)
                hint = f" Did you mean {missing[0]!r} by {close[0]!r}?" if close else ""
                raise ValueError(
                    f"The model has an input {missing[0]!r}, which is missing from the dict of "
                    f"inputs; its keys are {', '.join(map(str, inputs))}.{hint}"
                )
            if isinstance(own, Mapping):
                return {name: inputs[name] for name in names}
            leaves = [inputs[name] for name in names]
        elif isinstance(own, Mapping) and not isinstance(inputs, (list, tuple)):
            leaves = [inputs]
        elif jax.tree.structure(inputs, is_leaf=_is_data) == jax.tree.structure(own):
            return inputs
        else:
            leaves = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if len(leaves) != len(self._inputs):
            pair = " Inputs and targets are two arguments: `fit(x, y)`." if len(names) == 1 else ""
            raise ValueError(
                f"The model has {len(self._inputs)} input{'s' if len(names) > 1 else ''} "
                f"({', '.join(map(str, names))}), but got {len(leaves)} arrays.{pair}"
            )
        return jax.tree.unflatten(jax.tree.structure(own), leaves)

    def fitted(self, inputs: Any) -> Any:
        """Inputs in the graph's structure, checked against its shapes, in its dtypes."""
        leaves = jax.tree.leaves(inputs, is_leaf=_is_data)
        fitted = [
            _fitted(value, symbol, name)
            for value, symbol, name in zip(leaves, self._inputs, self.input_names, strict=True)
        ]
        return jax.tree.unflatten(jax.tree.structure(self._inputs_struct), fitted)

    # Config ------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """Layers, their calls, inputs and outputs, as Keras writes them."""
        kept = set(map(id, self.nodes))
        calls = {
            id(operation): [node for node in operation._inbound_nodes if id(node) in kept]
            for operation in self.ordered_operations
        }
        place = lambda t: _history(t, calls)
        layers = []
        for operation in self.ordered_operations:
            entry = _operation_config(operation)
            entry["name"] = operation.name
            entry["inbound_nodes"] = [
                _node_config(node, place) for node in calls[id(operation)] if node.inputs
            ]
            layers.append(entry)
        return {
            "layers": layers,
            "input_layers": jax.tree.map(place, self._inputs_struct),
            "output_layers": jax.tree.map(place, self._outputs_struct),
        }


def _by_depth(sources: list[Node], nodes: list[Node]) -> list[Node]:
    """The nodes as Keras orders them: the farthest from the outputs first."""
    every = list({id(node): node for node in [*_sources_first(sources, nodes), *nodes]}.values())
    depth: dict[int, int] = {id(node): 0 for node in every}
    of_operation: dict[int, int] = {}
    for node in reversed(every):
        mine = max(depth[id(node)], of_operation.get(id(node.operation), 0))
        depth[id(node)] = of_operation[id(node.operation)] = mine
        for parent in node.parent_nodes:
            if id(parent) in depth:
                depth[id(parent)] = max(depth[id(parent)], mine + 1)
    return sorted(every, key=lambda node: -of_operation[id(node.operation)])


def _sources_first(sources: list[Node], nodes: list[Node]) -> list[Node]:
    """The nodes, each input just before the first node that uses it."""
    waiting = {id(node): node for node in sources}
    found: list[Node] = []
    for node in nodes:
        for parent in node.parent_nodes:
            if id(parent) in waiting:
                found.append(waiting.pop(id(parent)))
        found.append(node)
    return [*found, *waiting.values()]


def _numbered(names: list[str]) -> list[str]:
    """The names, with a number behind those that occur again."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, -1) + 1
        found.append(f"{name}_{seen[name]}" if seen[name] else name)
    return found


def _is_data(value: Any) -> bool:
    return hasattr(value, "shape")


def _fitted(value: Any, symbol: KerasTensor, name: str) -> Any:
    """`value` as the input `symbol` wants it: one axis of size 1 more or less, and its dtype."""
    check(value.shape, symbol, name)
    if value.ndim == len(symbol.shape) - 1:
        value = ops.expand_dims(value, -1) if symbol.dtype != "string" else value[..., None]
    elif value.ndim == len(symbol.shape) + 1:
        value = ops.squeeze(value, -1) if symbol.dtype != "string" else value[..., 0]
    if isinstance(value, KerasTensor) or symbol.dtype == "string":
        return value
    dtype = jax.dtypes.canonicalize_dtype(symbol.dtype)  # 32 bits, where 64 are asked for
    if value.dtype == dtype:
        return value
    cast, mask = jnp.asarray(value, dtype), masks.get_mask(value)
    if mask is not None:
        masks.set_mask(cast, mask)
    return cast


def check(shape: tuple, symbol: KerasTensor, name: str, rows_only: bool = False) -> None:
    """Raise if data of `shape` does not fit an input; `rows_only` leaves the batch size out."""
    have, want = tuple(shape), tuple(symbol.shape)
    if len(have) == len(want) - 1 and want[-1] == 1:
        have = (*have, 1)
    elif len(have) == len(want) + 1 and have[-1] == 1:
        have = have[:-1]
    sizes = list(zip(have, want))[1 if rows_only else 0 :]
    plain = [(h, w) for h, w in sizes if isinstance(h, (int, np.integer)) and w is not None]
    if len(have) != len(want) or any(h != w for h, w in plain):
        raise ValueError(wrong_shape(tuple(shape), symbol, name))


def wrong_shape(shape: tuple, symbol: KerasTensor, name: str) -> str:
    """What to say of data that does not fit an input."""
    shown = tuple(n if isinstance(n, int) else None for n in shape)
    layer: Any = symbol.node.operation if symbol.node else None
    made = f"made at {layer.made_at}" if layer is not None and layer.made_at else "of the model"
    if symbol.shape[:1] != (None,) and shown[1:] == symbol.shape[1:]:
        way = (
            f"The batch size of this model is fixed: give batches of exactly {symbol.shape[0]} rows"
        )
    elif shown == symbol.shape[1:]:
        way = (
            "Axis 0 counts samples: one sample is `x[None]`. If these are the samples, the shape "
            f"of the Input, {made}, must leave the batch out: {shown[1:]}"
        )
    elif len(shown) > len(symbol.shape):
        way = "Axis 0 counts samples: take the axis too many away, as by `x[0]` or a reshape"
    elif sorted(shown[1:], key=str) == sorted(symbol.shape[1:], key=str):
        way = "The axes are in another order: `np.moveaxis(x, 1, -1)` puts channels last"
    else:
        way = f"Give such data, or another shape to the Input, {made}"
    want = f"The input {name!r} of the model has shape {symbol.shape}"
    return f"{want}, got data of shape {shown}. {way}."


def _history(tensor: KerasTensor, calls: dict[int, list[Node]]) -> list:
    """`[layer, which of its calls, which output]`, by which files name a tensor."""
    node = tensor.node
    if node is None or id(node.operation) not in calls:
        raise ValueError(
            f"The model cannot be saved: it starts at {tensor}, which is no `keras.Input`."
        )
    call = next(i for i, n in enumerate(calls[id(node.operation)]) if n is node)
    output = next(i for i, t in enumerate(node.outputs) if t is tensor)
    return [node.operation.name, call, output]


def _operation_config(operation: Operation) -> dict[str, Any]:
    if not isinstance(operation, OpCall):
        return registry.serialize(operation)
    fn, node = operation.fn, operation._inbound_nodes[0]
    _, settings = opnames.divided(fn, _arguments(node))
    module, name = opnames.written(fn)
    return {
        "module": module,
        "class_name": name,
        "config": {"name": operation.name} | registry.serialize(settings),
        "registered_name": name,
    }


def _arguments(node: Any) -> dict[str, Any]:
    return dict(inspect.signature(node.operation.fn).bind(*node.args, **node.kwargs).arguments)


def _node_config(node: Node, place) -> dict[str, Any]:
    def written(value):
        if isinstance(value, KerasTensor):
            config = {
                "shape": list(value.shape),
                "dtype": value.dtype,
                "keras_history": place(value),
            }
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, (list, tuple)) and symbolic_in(value):
            return [written(item) for item in value]
        if isinstance(value, Mapping) and symbolic_in(value):
            return {key: written(item) for key, item in value.items()}
        return registry.serialize(value)

    args, kwargs = node.args, node.kwargs
    if isinstance(node.operation, OpCall):
        args, _ = opnames.divided(node.operation.fn, _arguments(node))
        kwargs = {}
    return {
        "args": [written(value) for value in args],
        "kwargs": {name: written(value) for name, value in kwargs.items()},
    }
