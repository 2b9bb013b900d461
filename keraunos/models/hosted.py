"""The part of a graph that runs in Python, before a compiled program begins.

Strings never enter a program, and integers of 64 bits not without loss. What a graph does with
them at its inputs is done on NumPy arrays when data come in; the program starts from what came
out, a `Ready`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from keraunos.core.graph import Function, KerasTensor, Node, OpCall

_HELD = ("string", "int64", "uint64")


class Ready(NamedTuple):
    """What a program of a graph starts from: arrays, in the order of `Hosted.starts`."""

    values: tuple


class Hosted:
    """A graph cut in two.

    Args:
        graph: Of a model.
        halves: Whether an operation has a first half for the host, `_prepare`, and a second one
            for the program, `_finish`.
    """

    def __init__(self, graph: Function, halves: Callable[[Any], bool]):
        self.graph = graph
        self.before: list[Node] = []
        self.cut: list[Node] = []  # the second half of these belongs to the program
        self.after: list[Node] = []
        there = {id(t) for t in graph._inputs}
        for node in graph._nodes:
            held = any(t.dtype in _HELD for t in node.inputs)
            strings = any(t.dtype == "string" for t in [*node.inputs, *node.outputs])
            here = held and all(id(t) in there for t in node.inputs)
            if here and halves(node.operation) and node.outputs[0].dtype != "string":
                self.cut.append(node)
            elif here and strings:
                self.before.append(node)
                there |= {id(t) for t in node.outputs}
            else:
                self.after.append(node)
        made = [t for node in self.before for t in node.outputs]
        wanted = {id(t) for node in self.after for t in node.inputs} | set(map(id, graph._outputs))
        self.starts = [
            t for t in [*graph._inputs, *made] if id(t) in wanted and t.dtype != "string"
        ]

        self.gives_strings = any(t.dtype == "string" for t in graph._outputs)

    def __bool__(self) -> bool:
        return bool(self.before or self.cut)

    def prepare(self, inputs: Any) -> Ready:
        """Run the host's part on arrays in the structure of the graph's inputs."""
        leaves = jax.tree.leaves(inputs)
        known = {id(t): _fitted(x, t) for t, x in zip(self.graph._inputs, leaves, strict=True)}
        for node in self.before:
            args, kwargs = _filled(node, known)
            run = node.operation.fn if isinstance(node.operation, OpCall) else node.operation
            outputs = jax.tree.leaves(run(*args, **kwargs))
            known |= {id(t): np.asarray(x) for t, x in zip(node.outputs, outputs, strict=True)}
        halves = []
        for node in self.cut:
            args, kwargs = _filled(node, known)
            layer: Any = node.operation
            halves.append(layer._prepare(layer._read(*args, **kwargs)))
        return Ready((*(known[id(t)] for t in self.starts), *halves))

    def finish(self, ready: Ready) -> Any:
        """Run the program's part; the outputs."""
        count = len(self.starts)
        known = {id(t): x for t, x in zip(self.starts, ready.values)}
        for node, half in zip(self.cut, ready.values[count:], strict=True):
            layer: Any = node.operation
            outputs = jax.tree.leaves(layer._finish(half))
            known |= {id(t): x for t, x in zip(node.outputs, outputs, strict=True)}
        return self.graph.run_nodes(self.after, known)

    def batch(self, parts: Callable, arranged: Callable[[Any], Any], batch: Any) -> tuple:
        """A batch of a stream, of which `parts` makes arrays, with its inputs made ready."""
        x, *rest = parts(batch)
        return (self.prepare(arranged(x)), *rest)


def _filled(node: Node, known: dict[int, Any]) -> tuple:
    fill = lambda leaf: known[id(leaf)] if isinstance(leaf, KerasTensor) else leaf
    return jax.tree.map(fill, (node.args, node.kwargs))


def _fitted(value: Any, symbol: KerasTensor) -> np.ndarray:
    """An array with the axes that an input has, one of size 1 more or less, in its dtype."""
    array = np.asarray(value)
    array = array if symbol.dtype == "string" else array.astype(jnp.dtype(symbol.dtype))
    if array.ndim == len(symbol.shape) - 1:
        return array[..., None]
    return array[..., 0] if array.ndim == len(symbol.shape) + 1 else array
