"""From the config of a graph back to its symbolic tensors."""

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from keraunos.core import registry
from keraunos.core.graph import KerasTensor, Operation, symbolic_in
from keraunos.layers import InputLayer
from keraunos.models import opnames

Call = tuple[str, int]  # a layer's name, and which of its calls


def read(config: dict[str, Any]) -> tuple[Any, Any]:
    """`(inputs, outputs)` of the graph that `config` describes, in time linear in its size."""
    made: dict[str, Any] = {}
    calls: dict[Call, Mapping] = {}
    results: dict[Call, list[KerasTensor]] = {}
    for entry in config["layers"]:
        name = entry.get("name") or entry["config"]["name"]
        made[name] = operation = _operation(entry)
        if isinstance(operation, InputLayer):
            results[name, 0] = symbolic_in(operation.output)
        for index, node in enumerate(entry.get("inbound_nodes") or []):
            calls[name, index] = node if isinstance(node, Mapping) else _old_node(node)

    waiting: dict[Call, int] = {}
    users: dict[Call, list[Call]] = defaultdict(list)
    for call, node in calls.items():
        sources = {(name, int(index)) for name, index, _ in _histories(node)} - results.keys()
        waiting[call] = len(sources)
        for source in sources:
            users[source].append(call)
    ready = deque(call for call, count in waiting.items() if not count)
    while ready:
        call = ready.popleft()
        args, kwargs = _filled(calls.pop(call), results)
        if not symbolic_in((args, kwargs)):
            raise ValueError(f"The call of {call[0]!r} in the graph is given no tensor of it.")
        results[call] = symbolic_in(made[call[0]](*args, **kwargs))
        for tensor in results[call]:
            if tensor.node is not None:  # functions of `keras.ops` get a name when they are called
                tensor.node.operation.name = call[0]
        for user in users[call]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    if calls:
        raise ValueError(
            f"The graph cannot be built: the call of {next(iter(calls))[0]!r} needs tensors that "
            "do not exist, or that depend on its own result."
        )
    return _places(config["input_layers"], results), _places(config["output_layers"], results)


def _places(value: Any, results: dict[Call, list[KerasTensor]]) -> Any:
    """Nested `[layer, call, output]` as the tensors that they name."""
    if isinstance(value, Mapping):
        return {key: _places(item, results) for key, item in value.items()}
    if len(value) >= 3 and isinstance(value[0], str):
        return _tensor(value, results)
    return [_places(item, results) for item in value]


def _tensor(history: Any, results: dict[Call, list[KerasTensor]]) -> KerasTensor:
    name, call, output = history[:3]
    return results[name, int(call)][int(output)]


def _operation(entry: dict[str, Any]) -> Any:
    module = entry.get("module") or ""
    if ".ops." in f"{module}." and not registry.custom(entry.get("registered_name") or ""):
        fn = opnames.found(module, entry["class_name"])
        if fn is None:
            raise ValueError(f"The file names {entry['class_name']!r}, which is no operation.")
        return opnames.bound(fn, registry.deserialize(entry["config"]))
    made = registry.deserialize(entry, kind="layers")
    if not isinstance(made, Operation):
        raise ValueError(f"The graph names {entry.get('class_name')!r}, which is no layer.")
    return made


def _histories(config: Any) -> list:
    """The tensors that a call is given, each `[layer, call, output]`."""
    if isinstance(config, Mapping):
        if config.get("class_name") == "__keras_tensor__":
            return [config["config"]["keras_history"]]
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        return [history for value in config for history in _histories(value)]
    return []


def _filled(node: Mapping, results: dict[Call, list[KerasTensor]]) -> tuple[list, dict]:
    """The arguments of a call."""

    def value(config):
        if isinstance(config, Mapping) and config.get("class_name") == "__keras_tensor__":
            return _tensor(config["config"]["keras_history"], results)
        if isinstance(config, Mapping) and "class_name" not in config:
            return {key: value(item) for key, item in config.items()}
        if isinstance(config, (list, tuple)):
            return [value(item) for item in config]
        return registry.deserialize(config)

    kwargs = {name: value(item) for name, item in node["kwargs"].items()}
    return [value(item) for item in node["args"]], {
        name: item for name, item in kwargs.items() if item is not None
    }


def _old_node(node: list) -> dict[str, Any]:
    """A call as Keras 2 wrote it: `[[layer, call, output, kwargs], ...]`."""
    rows = node if node and isinstance(node[0], list) else [node]
    tensors = [
        {
            "class_name": "__keras_tensor__",
            "config": {"shape": None, "dtype": None, "keras_history": list(row[:3])},
        }
        for row in rows
    ]
    kwargs = rows[0][3] if rows and len(rows[0]) > 3 else {}
    return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": kwargs}
