"""Configs and weights of Keras 1 and 2, put as Keras 3 writes them.

Tables, and what no table can say. Nothing in them applies to a class that the user gave.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from keraunos.core import registry

_CLASSES = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Container": "Functional",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "CuDNNGRU": "GRU",
    "CuDNNLSTM": "LSTM",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "L1L2Regularizer": "L1L2",
    "Network": "Functional",
    "Policy": "DTypePolicy",
    "PolicyV1": "DTypePolicy",
    "SeparableConvolution2D": "SeparableConv2D",
    "SyncBatchNormalization": "BatchNormalization",
    "ThresholdedReLU": "ReLU",
    "UnifiedGRU": "GRU",
    "UnifiedLSTM": "LSTM",
}

# Names of arguments, and after the dash the class whose they are; without one, of every class.
_NAMES: dict[str, str] = dict(
    tuple(row.split(": "))  # type: ignore[misc]
    for row in """
U_regularizer: recurrent_regularizer
W_constraint: kernel_constraint
W_constraint-Embedding: embeddings_constraint
W_regularizer: kernel_regularizer
W_regularizer-Embedding: embeddings_regularizer
alpha-LeakyReLU: negative_slope
atrous_rate: dilation_rate
b_constraint: bias_constraint
b_regularizer: bias_regularizer
beta_init: beta_initializer
bias: use_bias
border_mode: padding
dim_ordering: data_format
dropout_U: recurrent_dropout
dropout_W: dropout
filter_length: kernel_size
forget_bias_init: unit_forget_bias
gamma_init: gamma_initializer
init: kernel_initializer
init-Embedding: embeddings_initializer
init-PReLU: alpha_initializer
inner_activation: recurrent_activation
inner_init: recurrent_initializer
input_dtype-InputLayer: dtype
length: size
lr: learning_rate
m: max_value
nb_filter: filters
output_dim: units
output_dim-Embedding: output_dim
p: rate
pool_length: pool_size
sigma: stddev
stride: strides
subsample: strides
subsample_length: strides
theta-ReLU: threshold
""".strip().splitlines()
)
_VALUES = {"tf": "channels_last", "th": "channels_first", "default": None}
_SIZES = ("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")

# Arguments that mean nothing now: of every layer, and of some classes.
_GONE = frozenset(
    "consume_less implementation input_dim input_dtype input_length truncate_gradient".split()
)
_GONE_OF = {
    "Attention": "causal",
    "BatchNormalization": "mode fused renorm renorm_clipping renorm_momentum virtual_batch_size "
    "adjustment",
    "Conv2DTranspose": "output_shape groups",
    "DTypePolicy": "loss_scale",
    "DepthwiseConv2D": "groups filters kernel_initializer kernel_regularizer kernel_constraint",
    "Embedding": "dropout",
    "MultiHeadAttention": "query_shape key_shape value_shape",
    "Nadam": "decay schedule_decay",  # of the momentum, and not of the learning rate
    **dict.fromkeys(
        ("SeparableConv1D", "SeparableConv2D"),
        "groups kernel_initializer kernel_regularizer kernel_constraint",
    ),
}  # fmt: skip

# What was so where the config does not say otherwise, and what is so of cuDNN's layers.
_ONCE = {
    "Adagrad": {"initial_accumulator_value": 0.0},
    "GRU": {"reset_after": False},
    "GRUCell": {"reset_after": False},
}
_CUDNN = {"recurrent_activation": "sigmoid", "activation": "tanh", "use_bias": True}
_MERGES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum"}
_MERGES |= {"concat": "Concatenate", "dot": "Dot", "cos": "Dot"}

# Functions of TensorFlow that symbols were given to, by the names of `keras.ops`.
_OF_TENSORFLOW = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
_SAME = """abs add cos divide exp log maximum minimum multiply negative sigmoid sin sqrt square
subtract tanh"""
_OPS = {
    **{f"math.{name}": name for name in _SAME.split()},
    **{f"math.reduce_{name}": name for name in ("max", "mean", "min", "prod", "sum")},
    **{f"nn.{name}": name for name in "elu gelu relu relu6 selu sigmoid silu softmax tanh".split()},
    "__operators__.add": "add",
    "__operators__.getitem": "get_item",
    "math.pow": "power",
    "math.truediv": "true_divide",
}


@registry.export("activations.hard_sigmoid_of_keras_2")
def hard_sigmoid_of_keras_2(x: Any) -> jax.Array:
    """`0.2 x + 0.5`, between 0 and 1; today's `hard_sigmoid` has the slope 1/6."""
    return jnp.clip(0.2 * x + 0.5, 0.0, 1.0)


# Configs ------------------------------------------------------------------------------------


def upgraded(config: Any) -> Any:
    """A config of Keras 1 or 2 as Keras 3 would have it; others stay as they are.

    Raises `ValueError` if it holds code, or a function of TensorFlow that has no successor.
    """
    if isinstance(config, list):
        return [upgraded(item) for item in config]
    if not isinstance(config, dict):
        return config
    name, inner = config.get("class_name"), config.get("config")
    if not isinstance(name, str) or not isinstance(inner, (dict, list)):
        return {key: upgraded(item) for key, item in config.items()}
    if name.startswith("Custom>") and registry.custom(name) is None:
        name = name.removeprefix("Custom>")
    if registry.custom(name) is not None:
        return {**config, "class_name": name, "config": upgraded(inner)}
    if isinstance(inner, list):  # Keras 1 and 2.0 wrote only the layers of a Sequential
        return {**config, "config": {"name": config.get("name"), "layers": upgraded(inner)}}
    if isinstance(inner.get("layers"), list) and "input_layers" in inner:
        inner = inner | _graph(inner)
        return {**config, "class_name": _CLASSES.get(name, name), "config": inner}
    now = _CLASSES.get(name, re.sub(r"(?<=[a-zN])V[12]$", "", name))
    if name == "Merge":
        now, inner = _merge(inner)
    elif name == "Lambda":
        inner = _function(inner)
    elif name.startswith("CuDNN"):
        inner = {**inner, **_CUDNN} | ({"reset_after": True} if now == "GRU" else {})
    elif now == "DTypePolicy":
        return inner["name"]
    return {**config, "class_name": now, "config": _arguments(now, inner)}


def _arguments(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a class by the names of today."""
    of_layer = registry.lookup("layers", name) is not None
    gone = {*_GONE_OF.get(name, "").split(), *(_GONE if of_layer else ())}
    gone -= {"Embedding": {"input_dim"}, "InputLayer": {"input_dtype"}}.get(name, set())
    if registry.lookup("initializers", name):
        gone |= {"dtype"}
    for sizes in _SIZES:
        if sizes[0] in given:
            gone |= {*sizes}
            given = {**given, "kernel_size": [given[size] for size in sizes if size in given]}
    found = dict(_ONCE.get(name, {}))
    for key, value in given.items():
        now = _NAMES.get(f"{key}-{name}") or _NAMES.get(key, key)
        if key not in gone and (now == key or now not in given) and (key, value) != ("name", None):
            found[now] = _value(key, value)
    if name == "BatchNormalization" and isinstance(found.get("axis"), list):
        (found["axis"],) = found["axis"]
    return found


def _value(key: str, value: Any) -> Any:
    if key == "dim_ordering":
        return _VALUES.get(value, value)
    if key == "forget_bias_init":
        return value in ("one", "ones")
    if key.endswith("activation") and value == "hard_sigmoid":
        return hard_sigmoid_of_keras_2.__name__
    first = isinstance(value, dict) and "name" in value and "class_name" not in value
    if first and key.endswith(("_regularizer", "_constraint")):  # of Keras 1
        inner = {k: v for k, v in value.items() if k != "name"}
        return upgraded({"class_name": value["name"], "config": inner})
    return value if callable(value) else upgraded(value)


def _merge(config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The layer of today that does what `Merge` did in one of its modes."""
    mode = config["mode"]
    if config.get("mode_type", "raw") != "raw" or mode not in _MERGES:
        raise ValueError(_code(config, "Merge", "the function that merges"))
    options = {"name": config.get("name")}
    if mode == "concat":
        options["axis"] = config["concat_axis"]
    elif mode in ("dot", "cos"):
        options |= {"axes": np.ravel(config["dot_axes"]).tolist(), "normalize": mode == "cos"}
    return _MERGES[mode], options


def _function(config: dict[str, Any]) -> dict[str, Any]:
    """What a `Lambda` calls, from the user; code within a file is never run."""
    function = config.get("function")
    if isinstance(function, dict):  # as Keras 3 writes it, who refuses code itself
        return config
    named = config.get("function_type") == "function" and isinstance(function, str)
    found = registry.custom(str(function)) if named else None
    if found is None and config.get("name"):
        found = registry.custom(config["name"])
    if found is None:
        known = function if named else config.get("name")
        raise ValueError(_code(config, "Lambda", f"the function {known!r}", known))
    shape = config.get("output_shape")
    shape = None if isinstance(shape, str) or config.get("output_shape_type") == "lambda" else shape
    kept = {
        key: config[key] for key in ("name", "trainable", "dtype", "arguments") if key in config
    }
    return {**kept, "function": found} | ({"output_shape": shape} if shape else {})


def _code(config: dict[str, Any], kind: str, what: str, known: Any = None) -> str:
    name = config.get("name")
    return (
        f"The {kind} layer {name!r} of the file needs {what}. A file may hold it as code of "
        "Python, which is never run. Pass the function yourself: "
        f"`custom_objects={{{(known or name)!r}: ...}}`."
    )


# Graphs -------------------------------------------------------------------------------------


def _graph(config: dict[str, Any]) -> dict[str, Any]:
    """The layers of a graph, and their calls, which Keras 1 and 2 wrote in rows."""
    entries = config["layers"]
    counts = {_name(e): len(e.get("inbound_nodes") or []) for e in entries}
    ends = {key: config[key] for key in ("input_layers", "output_layers")}
    used: dict[str, int] = {}
    _look([[entry.get("inbound_nodes") for entry in entries], *ends.values()], used)
    # of a model within, older files count the call that made it, too
    late = {name: used[name] + 1 - n for name, n in counts.items() if 0 < n <= used.get(name, 0)}
    layers = [_called(upgraded(_made(entry)), late) for entry in entries]
    return {"layers": layers} | {key: _moved(end, late) for key, end in ends.items()}


def _name(entry: dict[str, Any]) -> str:
    return entry.get("name") or entry["config"]["name"]


def _is_history(value: Any) -> bool:
    """Whether `value` is a tensor as `[layer, call, output]`, or a row that begins with one."""
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(type(n) is int for n in value[1:3])
    )


def _look(value: Any, used: dict[str, int]) -> None:
    """Note the last call of each layer that `value` names."""
    if _is_history(value):
        used[value[0]] = max(used.get(value[0], 0), value[1])
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (list, dict)):
            _look(item, used)


def _moved(value: Any, late: dict[str, int]) -> Any:
    if _is_history(value):
        return [value[0], value[1] - late.get(value[0], 0), value[2]]
    if isinstance(value, dict):
        return {key: _moved(item, late) for key, item in value.items()}
    return [_moved(item, late) for item in value] if isinstance(value, list) else value


def _made(entry: dict[str, Any]) -> dict[str, Any]:
    """A layer; the operation of today, if it stands for a function of TensorFlow."""
    kind, config = entry["class_name"], entry["config"]
    if kind not in _OF_TENSORFLOW or registry.custom(kind) is not None:
        return entry
    function = config.get("function", "")
    if function not in _OPS:
        raise ValueError(
            f"The layer {config.get('name')!r} of the file calls a function of TensorFlow, "
            f"{str(function or config.get('node_def'))[:80]!r}, which is not known here. Pass a "
            f"class for it in `custom_objects={{{kind!r}: YourLayer}}`."
        )
    name = "".join(part.capitalize() for part in _OPS[function].split("_"))
    given = [_rows(node)[0][3] for node in entry["inbound_nodes"] if len(_rows(node)[0]) > 3]
    static = {k: given[0][k] for k in ("axis", "keepdims", "dtype") if given and k in given[0]}
    op = {"class_name": name, "registered_name": name, "config": static}
    return {**entry, "name": _name(entry), "module": "keras.src.ops.numpy", **op}


def _rows(node: list) -> list:
    return node if node and isinstance(node[0], list) else [node]


def _called(entry: dict[str, Any], late: dict[str, int]) -> dict[str, Any]:
    """A layer whose calls are of the form `{"args": ..., "kwargs": ...}`."""
    if not all(isinstance(node, list) for node in entry.get("inbound_nodes") or []):
        return entry
    op = ".ops." in entry.get("module", "")

    def tensor(value: Any) -> Any:
        if _is_history(value):
            config = {"shape": None, "dtype": None, "keras_history": _moved(value, late)}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, list):
            if value[:1] == ["_CONSTANT_VALUE"]:
                return value[2]
            return [tensor(item) for item in value]
        if isinstance(value, dict) and value.keys() == {"start", "stop", "step"}:
            return {"class_name": "__slice__", "config": value}
        return value

    nodes = []
    for node in entry.get("inbound_nodes") or []:
        rows = _rows(node)
        args = [tensor(row[:3]) for row in rows]
        kwargs = rows[0][3] if len(rows[0]) > 3 else {}
        kwargs = {key: tensor(value) for key, value in kwargs.items()}
        if op:
            names = [key for key in kwargs if key not in (*entry["config"], "name")]
            args, kwargs = [*args, *(kwargs[key] for key in names)], {}
        nodes.append({"args": args if op or len(args) == 1 else [args], "kwargs": kwargs})
    return {**entry, "inbound_nodes": nodes}


# How a model was compiled -------------------------------------------------------------------


def compiled(config: Mapping[str, Any], outputs: list[str]) -> dict[str, Any]:
    """The arguments of `compile` that a file of Keras 1 or 2 holds, as objects."""
    given = {
        "optimizer": _object(config.get("optimizer_config") or config["optimizer"], "optimizers")
    }
    kinds = {"loss": "losses", "metrics": "metrics", "weighted_metrics": "metrics"}
    for name, kind in kinds.items():
        value = config.get(name)
        if kind == "metrics" and isinstance(value, list) and len(outputs) == 1 == len(value):
            value = value[0] if isinstance(value[0], list) else value
        given[name] = _objects(value, kind, outputs if len(outputs) > 1 else []) or None
    for name in ("loss_weights", "run_eagerly", "jit_compile"):
        if config.get(name) is not None:
            given[name] = config[name]
    return given


def _objects(value: Any, kind: str, outputs: list[str]) -> Any:
    if isinstance(value, list):
        return [_objects(item, kind, outputs) for item in value]
    if isinstance(value, dict):
        if "class_name" not in value:
            return {key: _objects(item, kind, outputs) for key, item in value.items()}
        return _object(value, kind, outputs)
    found = registry.custom(value) if isinstance(value, str) else None
    return value if found is None else found


def _object(config: Any, kind: str, outputs: list[str] = []) -> Any:  # noqa: B006
    config = upgraded(config)
    if isinstance(config, str):
        return config
    if not isinstance(config["config"], dict):  # the name of a function of the user's
        return registry.deserialize(config, kind=kind)
    inner = dict(config["config"])
    for output in outputs:  # whose name comes before that of a metric, which we do ourselves
        if str(inner.get("name")).startswith(f"{output}_"):
            inner["name"] = inner["name"].removeprefix(f"{output}_")
    if kind == "losses" and inner.get("reduction") == "auto":
        inner["reduction"] = "sum_over_batch_size"
    fn = inner.get("fn")
    if isinstance(fn, str) and config["class_name"] == "MeanMetricWrapper":
        inner["fn"] = found = registry.function(fn, "metrics")
        if isinstance(found, type):
            return found(name=inner.get("name"))
    elif isinstance(fn, str):
        inner.pop("fn")
    return registry.deserialize({**config, "config": inner}, kind=kind)


_ASIDE = re.compile("learning_rate|momentum_cache|current_ema")


def slots(optimizer: Any, saved: dict[str, np.ndarray], origin: "Origin") -> list | None:
    """The state of an optimizer in the order of its variables; None where it does not fit.

    Older files have one kind of slot after the other; from Keras 2.11 on, where `iteration`
    comes first, they are as today, without the learning rate. Keras 1 does not say which slot
    belongs to which weight.
    """
    steps = [array for name, array in saved.items() if "iter" in name or not array.shape][:1]
    rest = [a for name, a in saved.items() if not _ASIDE.search(name)]
    rest = rest[len(steps) :] if steps and rest and rest[0] is steps[0] else rest
    held = [list(slots.values()) for slots in optimizer._slots]
    kinds = max(map(len, held), default=0)
    if kinds and (origin.first or len(rest) < kinds * len(held)):
        return None
    today = next(iter(saved), "").startswith("iteration")
    own = {id(v) for slots in held for v in slots}
    order = [v for v in optimizer.variables if id(v) in own]
    if not today:
        order = [slots[kind] for kind in range(kinds) for slots in held]
    found = {id(v): array for v, array in zip(order, rest)}
    if steps:
        found[id(optimizer._iterations)] = steps[0]
    if (product := getattr(optimizer, "_product", None)) is not None:  # of Nadam
        cached = [array for name, array in saved.items() if "momentum_cache" in name]
        past = np.prod(optimizer._momentum(np.arange(1.0, 1.0 + int(*steps or [0]))))
        found[id(product)] = (cached or [np.asarray(past)])[0]
    values = [found.get(id(v), v) for v in optimizer.variables]
    shapes = [np.asarray(value).shape for value in values]
    fits = shapes == [tuple(v.shape) for v in optimizer.variables]
    return [np.asarray(value) for value in values] if fits else None


# Weights ------------------------------------------------------------------------------------

# Keras 1 had three arrays for each gate; which of its gates is which of ours.
_GATES = {12: (0, 2, 1, 3), 9: (0, 1, 2)}
_TURNED = {  # Keras 1: by class, and whether channels come first
    ("Conv2D", True): (2, 3, 1, 0),
    ("Conv3D", True): (2, 3, 4, 1, 0),
    ("Conv2DTranspose", True): (2, 3, 0, 1),
    ("Conv2DTranspose", False): (0, 1, 3, 2),
}
_FLIPPED = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2DCell")


class Origin(NamedTuple):
    """Who wrote a file: Keras 1 or not, and whether on Theano, which turns kernels around."""

    first: bool = False
    theano: bool = False

    @classmethod
    def of(cls, version: str, backend: str, names: list[str]) -> "Origin":
        """Keras 1 does not say on what it ran; names of weights that are TensorFlow's do."""
        first = version.startswith("1.") or not version
        plain = not any(name.endswith(":0") for name in names)
        return cls(first, backend == "theano" or (first and not backend and plain))


def fitted(layer: Any, variables: list, arrays: list[np.ndarray], origin: Origin) -> list:
    """The arrays of a layer in the forms that its variables have today.

    Those of cuDNN's layers, and of Keras 1, where gates were apart and kernels turned.
    """
    owners: dict[int, tuple[Any, str]] = {}
    for inner in layer._flatten_layers():
        for name in ("kernel", "bias"):
            if (variable := getattr(inner, name, None)) is not None:
                owners[id(variable)] = inner, name
    places = [owners.get(id(variable), (None, "")) for variable in variables]
    apart = origin.first and len(arrays) > len(variables)
    waiting, found = list(arrays), []
    while waiting and len(found) < len(variables):
        owner, name = places[len(found)]
        count = 3 * getattr(owner, "gates", 0)
        if apart and name == "kernel" and count in _GATES:
            parts, waiting = waiting[:count], waiting[count:]
            kinds = [[parts[3 * gate + kind] for gate in _GATES[count]] for kind in range(3)]
            found += [np.concatenate(kind, -1) for kind in kinds]
        else:
            array = waiting.pop(0)
            found.append(_kernel(owner, array, origin) if name == "kernel" else array)
    for i, (owner, name) in enumerate(places[: len(found)]):
        gates = getattr(owner, "gates", 0)
        if name == "bias" and found[i].shape == (2 * gates * getattr(owner, "units", 0),):
            found[i - 2 : i + 1] = _from_cudnn(found[i - 2], found[i - 1], found[i], gates)
    return found + waiting


def _kernel(owner: Any, array: np.ndarray, origin: Origin) -> np.ndarray:
    kind = type(owner).__name__
    if origin.first and kind == "Conv1D" and array.ndim == 4:
        if array.shape[:2] != (*owner.kernel_size, 1) or array.shape[3] != owner.filters:
            array = array.transpose(2, 3, 1, 0)
        array = array[:, 0]
    first = getattr(owner, "data_format", "") == "channels_first"
    if origin.first and (kind, first) in _TURNED:
        array = array.transpose(_TURNED[kind, first])
    if origin.theano and kind in _FLIPPED:
        array = np.flip(array, tuple(range(array.ndim - 2)))
    return array


def _from_cudnn(kernel: Any, recurrent: Any, bias: Any, gates: int) -> list[np.ndarray]:
    """cuDNN keeps the matrix of a gate transposed, and two biases, which an LSTM only adds."""
    kernel = [k.reshape(k.shape[::-1]).T for k in np.split(kernel, gates, -1)]
    recurrent = [k.T for k in np.split(recurrent, gates, -1)]
    both = bias.reshape(2, -1)
    return [np.concatenate(kernel, -1), np.concatenate(recurrent, -1),
            both.sum(0) if gates == 4 else both]  # fmt: skip
