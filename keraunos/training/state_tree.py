"""The state of a model as nested dicts of arrays, by what it is for and by path."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keraunos.core.fields import did_you_mean
from keraunos.core.state import Variable

FORMATS = {"backend_tensor": lambda v: v.value, "numpy_array": lambda v: v.numpy()}


def read(groups: Mapping[str, list[Variable]], value_format: str = "backend_tensor") -> dict:
    """The values of the variables of each group, nested by the parts of their paths."""
    if value_format not in FORMATS:
        raise ValueError(
            f"`get_state_tree` needs one of {', '.join(FORMATS)} for `value_format`, "
            f"got {value_format!r}."
        )
    found: dict[str, Any] = {}
    for name, variables in groups.items():
        found[name] = {}
        for variable in variables:
            *parents, last = variable.path.split("/")
            place = found[name]
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = FORMATS[value_format](variable)
    return found


def assign(groups: Mapping[str, list[Variable]], values: Mapping[str, Any]) -> None:
    """Give variables the values that a tree has at their paths; all of them or none.

    Errors: ValueError for groups and paths that the model does not have, and other shapes.
    """
    found = []
    for name, branch in values.items():
        if name not in groups:
            raise ValueError(f"A model has no group {name!r}{did_you_mean(name, groups)}")
        known = {variable.path: variable for variable in groups[name]}
        for path, value in _flat(branch):
            if path not in known:
                hint = did_you_mean(path, known)
                raise ValueError(f"The model has no variable {path!r} among `{name}`{hint}")
            if np.shape(value) != known[path].shape:
                raise ValueError(
                    f"Variable {path} has shape {known[path].shape}, the tree's value has shape "
                    f"{np.shape(value)}."
                )
            found.append((known[path], value))
    for variable, value in found:
        variable.assign(value)


def _flat(branch: Mapping[str, Any], start: str = ""):
    for name, value in branch.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{start}{name}/")
        else:
            yield f"{start}{name}", value
