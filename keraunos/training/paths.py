"""Where layers and variables are in a model: names joined by "/"."""

from collections.abc import Iterator
from typing import Any

from keraunos.core import state
from keraunos.core.state import Variable
from keraunos.layers.layer import Layer


def layers(owner: Layer, start: str = "") -> Iterator[tuple[str, Layer]]:
    """The layers within a layer with their paths, outer ones first; shared ones at each path."""
    for child in state.walk(owner):
        if isinstance(child, Layer):
            yield start + child.name, child
            yield from layers(child, f"{start}{child.name}/")


def variables(model: Layer) -> dict[int, tuple[Variable, list[str]]]:
    """The variables of a model by their `id`, each with its paths."""
    found: dict[int, tuple[Variable, list[str]]] = {}
    for path, holder in [("", model), *layers(model)]:
        for variable in _own(holder):
            name = f"{path}/{variable.name}" if path else variable.name
            found.setdefault(id(variable), (variable, []))[1].append(name)
    return found


def _own(holder: Any) -> Iterator[Variable]:
    """The variables of a layer, also in what it holds that is no layer."""
    for child in state.walk(holder):
        if isinstance(child, Variable):
            yield child
        elif not isinstance(child, Layer):
            yield from _own(child)
