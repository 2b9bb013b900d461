"""The table of a model's layers, their output shapes and numbers of parameters."""

import io
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from keraunos.core import console
from keraunos.core.graph import Node, OpCall, Operation
from keraunos.layers.layer import Layer
from keraunos.models import opnames

# Widths of tables where there is room.
_WIDTH, _WIDTH_CONNECTED, _WIDTH_OF_TRAINABLE = 88, 108, 12
# Where columns end, as shares of the width.
_POSITIONS = (0.45, 0.80, 1.0)
_POSITIONS_CONNECTED = (0.3, 0.56, 0.74, 1.0)
_TYPE, _NUMBER, _NONE = "color(33)", "color(34)", "color(45)"


class _Row(NamedTuple):
    depth: int
    operation: Operation
    nodes: list[Node]


def summary(
    model: Any,
    line_length: int | None = None,
    positions: Any = None,
    print_fn: Callable | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Any = None,
) -> None:
    """Print the layers of a model, their output shapes and numbers of parameters.

    Args:
        line_length: Width of the table; by default that of the terminal, up to 120.
        positions: Where the columns end, in characters, or as shares of the width.
        print_fn: Called with the whole text, instead of printing it.
        expand_nested: Whether the layers of inner models are shown below these.
        show_trainable: Whether there is a column that says which layers are trained.
        layer_range: Names of a first and a last layer, or patterns of them, that limit
            what is shown.
    """
    from rich.console import Console

    own = io.StringIO() if print_fn or not console.is_interactive_logging_enabled() else None
    screen = Console(file=own, highlight=False, force_jupyter=False if own else None)
    connected = not _is_chain(model)
    wanted = _WIDTH_CONNECTED if connected else _WIDTH
    wanted += _WIDTH_OF_TRAINABLE * show_trainable
    width = line_length or min(wanted, screen.width - 4)
    if not screen.is_terminal and width > screen.width:
        screen.width = width
    rows = _rows(model, expand_nested, layer_range)
    table = _table(rows, connected, show_trainable, width, positions)
    heading = _text((f'Model: "{model.name}"', "bold"))
    for line in (heading, table, *_totals(model)):
        screen.print(line)
    if print_fn is not None:
        print_fn(own.getvalue())  # type: ignore[union-attr]
    elif own is not None:
        console.say(own.getvalue())


def _graph(model: Any) -> Any:
    """The graph of a functional model; a Sequential and a subclass have none to show."""
    return vars(model).get("_graph")


def _is_chain(model: Any) -> bool:
    """Whether each operation only continues what the one before it returned."""
    graph = _graph(model)
    if graph is None:
        return True
    nodes = graph.nodes
    if len({id(node.operation) for node in nodes}) < len(nodes):
        return False
    return (
        all(
            len(node.inputs) <= 1 and all(t.node is before for t in node.inputs)
            for before, node in zip([None, *nodes], nodes)
        )
        and sum(not node.inputs for node in nodes) == 1
    )


def _rows(model: Any, expand_nested: bool, layer_range: Any) -> Iterator[_Row]:
    graph = _graph(model)
    own = model.layers if graph is None else graph.ordered_operations
    first, last = _range(own, layer_range)
    yield from _rows_of(own[first:last], graph, expand_nested, 0)


def _rows_of(operations: list, graph: Any, expand_nested: bool, depth: int) -> Iterator[_Row]:
    kept = None if graph is None else set(map(id, graph.nodes))
    for operation in operations:
        nodes = [n for n in operation._inbound_nodes if kept is None or id(n) in kept]
        yield _Row(depth, operation, nodes)
        if expand_nested and hasattr(operation, "layers"):
            inner = _graph(operation)
            within = operation.layers if inner is None else inner.ordered_operations
            yield from _rows_of(within, inner, True, depth + 1)


def _range(operations: list, layer_range: Any) -> tuple[int, int]:
    if layer_range is None:
        return 0, len(operations)
    if len(layer_range) != 2:
        raise ValueError(
            "layer_range must be a list or tuple of length 2. Received: "
            f"layer_range = {layer_range} of length {len(layer_range)}"
        )
    starts, ends = (
        [i for i, operation in enumerate(operations) if re.match(pattern, operation.name)]
        for pattern in layer_range
    )
    if not starts or not ends:
        raise ValueError(
            f"Passed layer_names do not match the layer names in the model. Received: {layer_range}"
        )
    first, last = sorted((starts[0], ends[-1]))
    return first, last + 1


def _table(rows: Iterator[_Row], connected: bool, trainable: bool, width: int, positions: Any):
    from rich.table import Column, Table

    headings = ["Layer (type)", "Output Shape", "Param #"]
    headings += ["Connected to"] * connected + ["Trainable"] * trainable
    ends = positions or _default_positions(connected, trainable)
    if len(ends) < len(headings):
        raise ValueError(
            f"`positions` must have {len(headings)} numbers, for the columns "
            f"{', '.join(headings)}; got {positions}."
        )
    if ends[-1] <= 1:
        ends = [int(width * end) for end in ends]
    widths = np.diff([0, *ends[: len(headings)]]).tolist()
    if min(widths) < 4:  # a frame, two spaces, one character
        raise ValueError("Insufficient console width to print summary.")
    sides = {"Param #": "right", "Trainable": "center"}
    columns = [
        Column(heading, justify=sides.get(heading, "left"), width=size)  # type: ignore[arg-type]
        for heading, size in zip(headings, widths)
    ]
    table = Table(*columns, width=width, show_lines=True)
    for row in rows:
        cells = [_name(row), _shapes(row), _count(row.operation)]
        cells += [_sources(row)] * connected + [_trained(row.operation)] * trainable
        table.add_row(*cells)
    return table


def _default_positions(connected: bool, trainable: bool) -> list[float]:
    ends = list(_POSITIONS_CONNECTED if connected else _POSITIONS)
    return [*(end * 0.9 for end in ends), 1.0] if trainable else ends


def _text(*parts: Any):
    from rich.text import Text

    return Text.assemble(*parts)


def _name(row: _Row):
    operation = row.operation
    kind = type(operation).__name__
    if isinstance(operation, OpCall):
        kind = opnames.written(operation.fn)[1]
    indent = "   " * row.depth + "└ " if row.depth else ""
    return _text(f"{indent}{operation.name} (", (kind, _TYPE), ")")


def _shapes(row: _Row):
    text = str(_output_shapes(row))
    cell = _text(text)
    cell.highlight_regex(r"\d+", _NUMBER)
    cell.highlight_regex("None", _NONE)
    return cell


def _output_shapes(row: _Row) -> Any:
    if row.nodes:
        shapes = [tensor.shape for tensor in row.nodes[-1].outputs]
        return shapes[0] if len(shapes) == 1 else shapes
    given = getattr(row.operation, "_build_shapes", None)
    if not given:
        return "?"
    try:
        return row.operation.compute_output_shape(**given)  # type: ignore[attr-defined]
    except Exception:  # a user's code, which need not work on shapes
        return "?"


def _count(operation: Operation):
    if not isinstance(operation, Layer) or _has_nothing_to_build(operation):
        return _text(("0", _NUMBER))
    if not operation.built:
        return _text(("0", _NUMBER), " (unbuilt)")
    return _text((f"{operation.count_params():,}", _NUMBER))


def _has_nothing_to_build(layer: Layer) -> bool:
    ours = type(layer).__module__.startswith("keraunos.layers")
    return ours and type(layer).build is Layer.build and not layer._flatten_layers(False)


def _sources(row: _Row):
    places = []
    for node in () if row.depth else row.nodes:
        for tensor in node.inputs:
            operation, call, index = tensor._keras_history  # type: ignore[misc]
            places.append(f"{operation.name}[{call}][{index}]")
    cell = _text(", ".join(places) or "-")
    cell.highlight_regex(r"(?<=\[)\d+(?=\])", _NUMBER)
    return cell


def _trained(operation: Operation):
    if not getattr(operation, "weights", None):
        return _text(("-", "bold"))
    return _text(("Y", f"bold {_NUMBER}") if operation.trainable else ("N", "bold bright_red"))  # type: ignore[attr-defined]


def _totals(model: Any) -> Iterator[Any]:
    trained, others = model.trainable_weights, model.non_trainable_weights
    optimizer = getattr(model, "optimizer", None)
    slots = optimizer.variables if optimizer is not None and optimizer.built else []
    yield _total("Total", [*trained, *others, *slots])
    yield _total("Trainable", trained)
    yield _total("Non-trainable", others)
    if slots:
        yield _total("Optimizer", slots)


def _total(what: str, variables: list):
    variables = list({id(variable): variable for variable in variables}.values())
    count = sum(variable.size for variable in variables)
    size = sum(variable.size * jnp.dtype(variable.dtype).itemsize for variable in variables)
    told = (f"{count:,}", _NUMBER), f" ({console.readable(size)})"
    return _text((f" {what} params: ", "bold"), *told)
