"""Questions to the graph of symbolic tensors."""

from typing import Any

from keraunos.core.graph import KerasTensor, is_symbolic


def get_source_inputs(tensor: Any) -> list[KerasTensor]:
    """The inputs that a symbolic tensor was computed from, each once."""
    if not is_symbolic(tensor):
        raise ValueError(f"get_source_inputs() needs a symbolic tensor, got {tensor!r}.")
    found: dict[int, KerasTensor] = {}
    seen: set[int] = set()
    stack = [tensor]
    while stack:
        symbol = stack.pop()
        if id(symbol) in seen:
            continue
        seen.add(id(symbol))
        if symbol.node is None or not symbol.node.inputs:
            found[id(symbol)] = symbol
        else:
            stack += reversed(symbol.node.inputs)
    return list(found.values())
