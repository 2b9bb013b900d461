"""The diagram of a model: labelled parts, what flows between them, and its DOT text."""

import html
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from keraunos.core.graph import KerasTensor, Node, OpCall, Operation
from keraunos.core.registry import export
from keraunos.layers import InputLayer
from keraunos.layers.layer import Layer
from keraunos.models import opnames
from keraunos.models.model import Model
from keraunos.models.sequential import Sequential
from keraunos.models.summary import _range

_RANKDIRS = ("TB", "LR", "BT", "RL")
_SPLINES = ("ortho", "curved", "polyline", "spline", "line")
_COLORS = {"input": "#4a7c59", "weights": "#2f4b7c", "model": "#6a4c93", "plain": "#5b6470"}
TRAINED, FROZEN = "Trainable", "Non-trainable"


class Asked(NamedTuple):
    """What a label tells, and whether inner models are opened."""

    shapes: bool = False
    dtype: bool = False
    names: bool = False
    activations: bool = False
    trainable: bool = False
    nested: bool = False


@dataclass
class Label:
    """The words of a part: a name or nothing, a type, and rows of (caption, value)."""

    name: str
    kind: str
    rows: list[list[tuple[str, str]]]
    color: str


class End(NamedTuple):
    """A place where an edge starts or ends: a part, and if it is a diagram, which of its own."""

    part: int
    index: int


@dataclass
class Diagram:
    """Parts in the order they run, and edges between them; a part may be a diagram itself."""

    title: str
    parts: list["Label | Diagram"] = field(default_factory=list)
    edges: list[tuple[End, End]] = field(default_factory=list)
    inputs: list[list[End]] = field(default_factory=list)
    outputs: list[list[End]] = field(default_factory=list)


def diagram(model: Any, asked: Asked, layer_range: Any = None) -> Diagram:
    """The diagram of a model that has a graph."""
    if not isinstance(model, Model):
        raise TypeError(f"Only a model can be drawn, got {model!r}.")
    if model._graph is None:
        kind = type(model).__name__
        if isinstance(model, Sequential) or not model.built:
            raise ValueError(
                f"`{model.name}` ({kind}) cannot be drawn: this model has not yet been built. "
                "Build the model first by calling `build()` or by calling the model on a batch "
                "of data."
            )
        raise ValueError(
            f"`{model.name}` ({kind}) cannot be drawn: it is a subclass of `keras.Model`, and what "
            "its `call` does is not known as a graph. Draw `keras.Model(inputs, outputs)`, made "
            "by calling the layers on a `keras.Input`; `model.summary()` lists its layers."
        )
    return _diagram(model, asked, layer_range)


def _diagram(model: Model, asked: Asked, layer_range: Any = None) -> Diagram:
    graph: Any = model._graph
    hidden = isinstance(model, Sequential)  # its input is no layer that the user made
    nodes = [n for n in graph.nodes if not (hidden and isinstance(n.operation, InputLayer))]
    operations = list({id(node.operation): node.operation for node in nodes}.values())
    first, last = _range(operations, layer_range)
    place = {id(operation): i for i, operation in enumerate(operations[first:last])}
    nodes = [node for node in nodes if id(node.operation) in place]
    kept = {id(node) for node in nodes}

    def source(tensor: KerasTensor) -> list[End]:
        node = tensor.node
        if node is None or id(node) not in kept:
            return []
        index = next(i for i, output in enumerate(node.outputs) if output is tensor)
        return [end(node, index)]

    def end(node: Node, index: int) -> End:
        part = place[id(node.operation)]
        return End(part, index if isinstance(parts[part], Diagram) else 0)

    parts = [_part(operation, asked, kept) for operation in operations[first:last]]
    uses = [(tensor, end(node, i)) for node in nodes for i, tensor in enumerate(node.inputs)]
    return Diagram(
        model.name,
        parts,
        list(dict.fromkeys((start, use) for tensor, use in uses for start in source(tensor))),
        [source(t) or [use for used, use in uses if used is t] for t in graph._inputs],
        [source(t) for t in graph._outputs],
    )


def _part(operation: Operation, asked: Asked, kept: set[int]) -> Label | Diagram:
    if asked.nested and isinstance(operation, Model) and operation._graph is not None:
        return _diagram(operation, asked)
    nodes = [node for node in operation._inbound_nodes if id(node) in kept]
    kind = type(operation).__name__
    if isinstance(operation, OpCall):
        kind = opnames.written(operation.fn)[1]
    name = operation.name if asked.names else ""
    return Label(name, kind, list(_rows(operation, nodes, asked)), _COLORS[_family(operation)])


def _family(operation: Operation) -> str:
    if isinstance(operation, InputLayer):
        return "input"
    if isinstance(operation, Model):
        return "model"
    return "weights" if getattr(operation, "weights", None) else "plain"


def _rows(operation: Any, nodes: list[Node], asked: Asked) -> Iterator[list[tuple[str, str]]]:
    activation = getattr(operation, "activation", None)
    if asked.activations and activation is not None:
        name = getattr(activation, "name", None) or getattr(activation, "__name__", None)
        yield [("Activation", name or type(activation).__name__)]
    cells = []
    if asked.shapes and not isinstance(operation, InputLayer):
        cells.append(("Input shape", _each([node.inputs for node in nodes], "shape")))
    if asked.shapes:
        cells.append(("Output shape", _each([node.outputs for node in nodes], "shape")))
    if asked.dtype:
        cells.append(("Output dtype", _each([node.outputs for node in nodes], "dtype")))
    if asked.trainable and isinstance(operation, Layer) and operation.weights:
        cells.append(("", TRAINED if operation.trainable else FROZEN))
    if cells:
        yield cells


def _each(calls: list[list[KerasTensor]], attribute: str) -> str:
    """The shapes or dtypes of the tensors of every call, those that differ one by one."""
    values = [[getattr(tensor, attribute) for tensor in tensors] for tensors in calls]
    texts = [f"{call[0]}" if len(call) == 1 else _listed(call) for call in values]
    return " or ".join(dict.fromkeys(texts))


def _listed(values: list) -> str:
    return f"[{', '.join(map(str, values))}]"


# DOT --------------------------------------------------------------------------------------


class Dot:
    """The text of a graph in the DOT language, which Graphviz and many others read."""

    def __init__(self, text: str):
        self._text = text

    def to_string(self) -> str:
        return self._text

    def __str__(self) -> str:
        return self._text

    def write(self, path: str | os.PathLike) -> None:
        """Write the text to a file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._text)


@export("utils.model_to_dot")
def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Dot:
    """The graph of a model in the DOT language; `str` gives the text, `write` a file.

    Args:
        rankdir: Where the graph goes: "TB" down, "LR" to the right, "BT" up, "RL" to the left.
        expand_nested: Whether inner models are drawn as frames around their layers.
        subgraph: Whether the text is that of a cluster, to be put into another graph.
        splines: How edges run: "ortho", "curved", "polyline", "spline" or "line".
    """
    layer_range = checked(rankdir, splines, kwargs)
    asked = Asked(
        show_shapes,
        show_dtype,
        show_layer_names,
        show_layer_activations,
        show_trainable,
        expand_nested,
    )
    drawn = diagram(model, asked, layer_range)
    if subgraph:
        return Dot("\n".join(_cluster(drawn, "n")) + "\n")
    head = f"rankdir={rankdir}; dpi={dpi}; splines={splines}; concentrate=true;"
    lines = ["digraph G {", f"  graph [{head}]", "  node [shape=plain, fontname=Helvetica];"]
    return Dot("\n".join([*lines, *_inside(drawn, "n", "  "), "}"]) + "\n")


def checked(rankdir: str, splines: str, others: dict[str, Any]) -> Any:
    """Complain of arguments that mean nothing; the `layer_range` among the others."""
    layer_range = others.pop("layer_range", None)
    if others:
        raise ValueError(f"Unrecognized keyword arguments: {others}")
    for name, value, known in (("rankdir", rankdir, _RANKDIRS), ("splines", splines, _SPLINES)):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {', '.join(known)}; got {value!r}.")
    return layer_range


def _cluster(drawn: Diagram, key: str, indent: str = "") -> Iterator[str]:
    yield f"{indent}subgraph cluster_{key} {{"
    yield f"{indent}  label={_quoted(drawn.title)}; labeljust=l; style=dashed;"
    yield from _inside(drawn, key, indent + "  ")
    yield indent + "}"


def _inside(drawn: Diagram, key: str, indent: str) -> Iterator[str]:
    for i, part in enumerate(drawn.parts):
        if isinstance(part, Diagram):
            yield from _cluster(part, f"{key}_{i}", indent)
        else:
            yield f"{indent}{key}_{i} [label=<{_table(part)}>];"
    arrows = [
        f"{indent}{start} -> {end};"
        for source, target in drawn.edges
        for start in _leaves(drawn, source, key, "outputs")
        for end in _leaves(drawn, target, key, "inputs")
    ]
    yield from dict.fromkeys(arrows)


def _leaves(drawn: Diagram, end: End, key: str, side: str) -> Iterator[str]:
    """The layers in which an edge of a diagram starts or ends, inside inner ones too."""
    part, key = drawn.parts[end.part], f"{key}_{end.part}"
    if isinstance(part, Label):
        yield key
        return
    for inner in getattr(part, side)[end.index]:
        yield from _leaves(part, inner, key, side)


def _table(label: Label) -> str:
    name = f"<b>{html.escape(label.name)}</b> ({html.escape(label.kind)})"
    heading = name if label.name else f"<b>{html.escape(label.kind)}</b>"
    span = max(map(len, label.rows), default=1)
    rows = [
        f'<tr><td colspan="{span}" bgcolor="{label.color}">'
        f'<font color="white">{heading}</font></td></tr>'
    ]
    for row in label.rows:
        wide = f' colspan="{span}"' if len(row) == 1 else ""
        cells = [f"<td{wide}>{_cell(caption, value)}</td>" for caption, value in row]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    body = "".join(rows)
    return f'<table border="0" cellborder="1" cellspacing="0" cellpadding="8">{body}</table>'


def _cell(caption: str, value: str) -> str:
    return f"{caption}{': ' * bool(caption)}<b>{html.escape(value)}</b>"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
