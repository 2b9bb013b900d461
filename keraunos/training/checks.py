"""What `fit` looks for before the first step: mistakes that would go on in silence.

What must be wrong is an error; what could be meant is a warning. Arrays are looked at as a
whole, of streams the first batch; where a pass over all rows costs too much, some thousands of
rows, evenly spread.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from keraunos.callbacks.monitors import Monitor
from keraunos.core import errors, masks
from keraunos.core.errors import did_you_mean
from keraunos.core.graph import KerasTensor
from keraunos.data import Arrays
from keraunos.layers import BatchNormalization, Dense, Embedding
from keraunos.layers.conv import Windowed
from keraunos.layers.recurrent import RNN
from keraunos.training.compiled import Outputs

_MANY = 2**22  # numbers that are looked at without a thought; 2 ms
_MIXES = (Dense, Windowed, RNN, BatchNormalization)  # NaN that goes in comes out
_PROBABILITY = ("softmax", "sigmoid")
_NO_PROBABILITY = ("linear", "relu", "tanh", "elu", "selu", "gelu", "silu", "softplus", "relu6")
_CROSSENTROPIES = {
    "binary_crossentropy": "sigmoid",
    "binary_focal_crossentropy": "sigmoid",
    "categorical_crossentropy": "softmax",
    "categorical_focal_crossentropy": "softmax",
    "sparse_categorical_crossentropy": "softmax",
}


def arguments(
    model: Any, x: Any, y: Any, validation_split: Any, validation_data: Any, class_weight: Any
) -> None:
    """Look at arguments of `fit` before anything is made of them."""
    graph: Any = getattr(model, "_graph", None)
    if not isinstance(validation_split, (int, float)) or not 0 <= validation_split < 1:
        raise ValueError(
            f"`validation_split` must lie between 0 and 1, got {validation_split!r}. It is the "
            "share of the rows, the last ones, to validate on, as 0.2."
        )
    if validation_split and validation_data is None and not _has_rows(x):
        raise ValueError(
            f"`validation_split` needs arrays to split, got a {type(x).__name__}. Keep some "
            "batches back, as `validation_data`."
        )
    if graph is not None and isinstance(x, dict):
        own = graph._inputs_struct
        names = list(own) if isinstance(own, dict) else graph.input_names
        if not set(names) - x.keys() and (unused := [key for key in x if key not in names]):
            errors.warn(
                f"`x` has the key {unused[0]!r}, which no input of the model reads; the inputs are "
                f"{', '.join(names)}."
            )
    text_inputs = graph is None or any(t.dtype == "string" for t in graph._inputs)
    for name, part in (("x", x), ("y", y)):
        if not _is_arrays(part):
            continue
        for path, leaf in jax.tree_util.tree_leaves_with_path(part):
            if isinstance(leaf, np.ndarray) and (name == "y" or not text_inputs):
                _are_numbers(f"`{name}{jax.tree_util.keystr(path)}`", leaf, name)
    if validation_data is not None and hasattr(validation_data, "shape") and _needs_targets(model):
        raise ValueError(
            f"`validation_data` must hold targets too, as the tuple `(x, y)`, got one array of "
            f"shape {tuple(validation_data.shape)}."
        )
    if class_weight is not None:
        _are_classes(class_weight)


def data(model: Any, source: Any, held_out: Any, class_weight: Any) -> None:
    """Look at what a model, built and compiled, is to be trained and validated on."""
    for prefix, each in (("", source), ("validation_data: ", held_out)):
        if each is None:
            continue
        parts = each.data if isinstance(each, Arrays) else each.first()
        x, y, weights = (*parts, None, None)[:3]
        inputs = list(_inputs(model, x, prefix))
        for one in inputs:
            _input(one)
        if not _needs_targets(model):
            continue
        if y is None:
            raise ValueError(
                f"{prefix}`{model.name}` was compiled with the loss "
                f"{model._compiled.config['loss']!r}, which needs targets, but `y` is None. Call "
                "`fit(x, y)`, or have the batches be `(x, y)`."
            )
        for target in _targets(model, y, weights, prefix):
            for check in _OF_TARGETS:
                check(target)
            if class_weight is not None and not prefix:
                _known_classes(target, class_weight)


def _needs_targets(model: Any) -> bool:
    """Whether the loss of `compile` is what is minimized, by steps of our own."""
    own = all(
        getattr(type(model), name).__module__.startswith("keraunos.")
        for name in ("train_step", "compute_loss")
    )
    return own and model._compiled.loss is not None


# Inputs -------------------------------------------------------------------------------------


class _Input(NamedTuple):
    label: str
    array: np.ndarray
    readers: list[Any] | None  # the operations that take it; None if nobody knows


def _inputs(model: Any, x: Any, prefix: str) -> Iterator[_Input]:
    graph: Any = getattr(model, "_graph", None)
    plain = type(x) in (dict, list, tuple)  # else a half of the graph has been at it
    if graph is not None and plain and len(x) >= len(graph._inputs):
        x = graph.arranged(x)
    paths = [(jax.tree_util.keystr(p), a) for p, a in jax.tree_util.tree_leaves_with_path(x)]
    symbols = [] if graph is None else graph._inputs
    names = [] if graph is None else graph.input_names
    for i, (path, array) in enumerate(paths):
        known = len(symbols) == len(paths)
        several = known and len(paths) > 1
        name = f"`x` of the input {names[i]!r}" if several else None
        readers = list(_readers(graph, symbols[i])) if known else None
        yield _Input(f"{prefix}{name or f'`x{path}`'}", np.asarray(array), readers)


def _readers(graph: Any, symbol: KerasTensor) -> Iterator[Any]:
    """The operations that take an input as it is, those of inner models among them."""
    for node in graph._nodes:
        for i, tensor in enumerate(node.inputs):
            inner = getattr(node.operation, "_graph", None)
            if tensor is not symbol:
                continue
            if inner is not None and len(inner._inputs) == len(node.inputs):
                yield from _readers(inner, inner._inputs[i])
            else:
                yield node.operation


def _input(given: _Input) -> None:
    array, readers = given.array, given.readers
    if array.dtype.kind not in "biuf" or not array.size:
        return
    for reader in readers or ():
        if isinstance(reader, Embedding):
            _ids(given, reader)
    mixed = bool(readers) and all(isinstance(reader, _MIXES) for reader in readers or ())
    if bad := _not_finite(array):
        text = (
            f"{given.label} holds {bad}. One of them makes the outputs, the loss and then all "
            "weights NaN. Find them by `np.isfinite`, and drop or fill these rows."
        )
        if mixed:
            raise ValueError(text)
        errors.warn(text)
        return
    if array.dtype.kind != "f" or len(array) < 100 or not mixed:
        return
    low, high = _bounds(_some(array))
    if low == high and array.min() == array.max():
        errors.warn(
            f"{given.label} is {low:g} everywhere, in all {len(array)} rows: nothing "
            "can be learned from it. Look at how it is read; a division of integers, or a cast, "
            "may have made it."
        )
        return
    takers = [reader for reader in readers or () if not isinstance(reader, BatchNormalization)]
    if high - low > 200 and takers:
        errors.warn(
            f"{given.label} has values from {low:g} to {high:g}, and goes into {_who(takers[0])} "
            "as it is. Networks learn badly from such numbers: divide (`x / 255`), or begin with a "
            "`Rescaling` or `Normalization` layer."
        )


def _ids(given: _Input, layer: Any) -> None:
    low, high = _bounds(given.array)
    if low >= 0 and high < layer.input_dim:
        return
    wrong = high if high >= layer.input_dim else low
    way_out = (
        f"Give it `input_dim={int(high) + 1}`, or limit the vocabulary to {layer.input_dim} words."
        if high >= layer.input_dim
        else f"Ids are 0 to {layer.input_dim - 1}; for padding use 0, with `mask_zero=True`."
    )
    raise ValueError(
        f"{given.label} holds the id {wrong:g}, first in row {_first(given.array == wrong)}, but "
        f"{_who(layer)} has rows for 0 to {layer.input_dim - 1} only. {way_out}"
    )


# Targets ------------------------------------------------------------------------------------


class _Target(NamedTuple):
    label: str
    array: np.ndarray
    weight: np.ndarray | None
    output: Any  # a symbolic tensor
    loss: Any
    name: str  # of the function behind the loss; "" if it is none of ours
    options: dict[str, Any]

    @property
    def maker(self) -> Any:
        """The operation that gives the output, if that is known."""
        return _maker(self.output)

    @property
    def who(self) -> str:
        return f"{_who(self.maker)} which gives the output," if self.maker else "the output"

    @property
    def classes(self) -> int | None:
        """How many classes the output has a number for."""
        return self.output.shape[self.options.get("axis", -1)] if self.output.shape else None


def _targets(model: Any, y: Any, weights: Any, prefix: str) -> Iterator[_Target]:
    compiled = model._compiled
    if compiled.outputs is None or not compiled.loss.built:
        return
    outputs = Outputs(compiled.outputs, compiled.loss.names)
    rows = zip(
        outputs.names,
        compiled.loss._parts,
        outputs.targets(y),
        outputs.targets(weights, "sample_weight"),
        outputs.leaves,
    )
    for name, loss, target, weight, output in rows:
        if loss is None or not hasattr(target, "shape") or not isinstance(output, KerasTensor):
            continue
        label = prefix + ("`y`" if len(outputs.names) == 1 else f"`y` of the output {name!r}")
        fn = getattr(loss, "fn", None)
        path = getattr(fn, "_path", "")
        ours = path.rpartition(".")[2] if path.startswith("losses.") else ""
        options = getattr(loss, "_fn_kwargs", {})
        weight = None if weight is None else np.asarray(weight)
        yield _Target(label, np.asarray(target), weight, output, loss, ours, options)


def _targets_are_finite(t: _Target) -> None:
    if t.array.dtype.kind != "f" or not (bad := _not_finite(t.array)):
        return
    text = (
        f"{t.label} holds {bad}. One of them makes the loss and then all weights NaN. Find them by "
        "`np.isfinite`, and drop or fill these rows."
    )
    if t.name:
        raise ValueError(text)
    errors.warn(text)  # a loss of one's own may leave them out


def _labels_are_classes(t: _Target) -> None:
    if t.name != "sparse_categorical_crossentropy" or not t.classes or not t.array.size:
        return
    low, high = _bounds(t.array)
    last = t.classes - 1
    if (low < 0 or high > last) and masks.get_mask(t.output) is None:
        values = _counted(t)
        if not values.size:
            return
        low, high = _bounds(values)
        if low < 0 or high > last:
            wrong = high if high > last else low
            raise ValueError(
                f"{t.label} holds the class {wrong:g}, first in row {_first(t.array == wrong)}, "
                f"but {t.who} has {t.classes} units, for the classes 0 to {last}. "
                + _numbered(low, high, t.classes)
            )
    if t.array.dtype.kind == "f" and np.any(_some(t.array) % 1):
        values = _some(t.array).ravel()
        raise ValueError(
            f"{t.label} holds {values[values % 1 != 0][0]:g}, but {t.name} takes class numbers, "
            "which are integers. For numbers to be predicted as they are use 'mse'; for shares of "
            "classes categorical_crossentropy."
        )


def _numbered(low: float, high: float, classes: int) -> str:
    if low >= 1 and high == classes:
        return "Classes are numbered from 0: use `y - 1`."
    if low < 0:
        return (
            f"If {low:g} means that there is no label, use the loss "
            f"`SparseCategoricalCrossentropy(ignore_class={low:g})`, or a `sample_weight` of 0."
        )
    return f"Give that layer {high + 1:g} units, or number the classes from 0 to {classes - 1}."


def _counted(t: _Target) -> np.ndarray:
    """The labels that the loss does not leave out."""
    values = t.array
    if t.weight is not None and t.weight.shape == values.shape[: t.weight.ndim]:
        values = values[t.weight != 0]
    ignored = t.options.get("ignore_class")
    return values if ignored is None else values[values != ignored]


def _yes_or_no(t: _Target) -> None:
    if t.name not in ("binary_crossentropy", "binary_focal_crossentropy") or not t.array.size:
        return
    low, high = _bounds(_some(t.array))
    if (low >= 0 and high <= 1) or masks.get_mask(t.output) is not None:
        return
    values = _counted(t)
    if not values.size or (values.min() >= 0 and values.max() <= 1):
        return
    if low >= -1 and high <= 1:
        way_out = "Map -1 and 1 by `(y + 1) / 2`, or use the loss 'hinge'."
    elif high > 2 and t.array.dtype.kind == "f":
        way_out = f"Scale it: `y / {high:g}`."
    else:
        way_out = "For more than two classes use sparse_categorical_crossentropy, with a softmax."
    raise ValueError(
        f"{t.label} has values from {low:g} to {high:g}, but {t.name} takes targets from 0 to 1. "
        f"{way_out}"
    )


def _one_class_each(t: _Target) -> None:
    if not t.name.startswith("categorical") or t.array.shape[1:] != t.output.shape[1:]:
        return
    part = _some(t.array, 2**16)
    sums = part.sum(t.options.get("axis", -1))
    if part.size and sums.max() > 1.001 and set(np.unique(part)) <= {0, 1}:
        errors.warn(
            f"{t.label} names up to {sums.max():g} classes in one row, but {t.name} takes rows "
            "that sum to 1. If several classes can be true at once, use 'binary_crossentropy' and "
            "`activation='sigmoid'` in the last layer."
        )


def _does_not_broadcast(t: _Target) -> None:
    """Elementwise losses compare whatever broadcasts."""
    module = getattr(getattr(t.loss, "fn", None), "__module__", "")
    if not t.name or not module.endswith(("regression", "margins")):
        return
    target, output = t.array.shape, (t.array.shape[:1] or (1,)) + t.output.shape[1:]
    have, want = target, output
    if len(have) == len(want) - 1 and want[-1] == 1:
        want = want[:-1]
    elif len(have) == len(want) + 1 and have[-1] == 1:
        have = have[:-1]
    elif len(have) == len(want) == 1 or not have:
        return
    pairs = list(zip(have[::-1], want[::-1]))
    if all(None in pair or pair[0] == pair[1] for pair in pairs) and len(have) == len(want):
        return
    shown = f"{t.label} has the shape {target}, {t.who} gives {t.output.shape}"
    if len(have) != len(want):
        raise ValueError(
            f"{shown}: {t.name} would compare targets with outputs for other rows. Give one target "
            f"for each output, as `y[:, None]`, or let the last layer have 1 unit."
        )
    if any(None not in pair and pair[0] != pair[1] and 1 not in pair for pair in pairs):
        return  # the loss says so itself
    way_out = (
        "If there is one target for a whole sequence, give the last recurrent layer "
        "`return_sequences=False`."
        if len(want) > 1 and len(output) > 2
        else f"Give the last layer {target[-1]} units, as `Dense({target[-1]})`, or `y` as many "
        "columns as there are outputs."
    )
    errors.warn(f"{shown}: each single number would be compared with several. {way_out}")


def _probabilities(t: _Target) -> None:
    wanted = _CROSSENTROPIES.get(t.name)
    found = _activation(t.maker)
    if not wanted or not found or t.array.ndim < len(t.output.shape) - 1:
        return
    if t.options.get("from_logits") and found in _PROBABILITY:
        errors.warn(
            f"The loss {t.name} has from_logits=True, but {t.who} has the activation {found!r} "
            "already, so that it would be taken twice. Use `from_logits=False`, or the layer "
            "without an activation."
        )
    elif not t.options.get("from_logits") and found in _NO_PROBABILITY:
        errors.warn(
            f"The loss {t.name} takes probabilities, but {t.who} has the activation {found!r}: "
            f"what is not from 0 to 1 is cut off and not learned. Use `activation={wanted!r}` "
            "there, or `from_logits=True` in the loss."
        )


def _weights_fit(t: _Target) -> None:
    if t.weight is None or not t.name:
        return
    losses, have = t.array.shape[:1] + t.output.shape[1:-1], t.weight.shape
    if len(have) == len(losses) + 1 and have[-1] == 1:
        have = have[:-1]
    if len(have) > len(losses) or any(
        n is not None and m not in (n, 1) for m, n in zip(have, losses)
    ):
        raise ValueError(
            f"`sample_weight` has the shape {t.weight.shape}, but the loss is one number for each "
            f"of {losses}. Give one weight for each sample, an array of shape {losses[:1]}."
        )


_OF_TARGETS = (
    _targets_are_finite,
    _labels_are_classes,
    _yes_or_no,
    _one_class_each,
    _does_not_broadcast,
    _probabilities,
    _weights_fit,
)


def _known_classes(t: _Target, class_weight: Mapping) -> None:
    if not t.name.endswith("categorical_crossentropy") or not t.classes or t.classes == 1:
        return
    for key in class_weight:
        if not 0 <= int(key) < t.classes:
            errors.warn(
                f"`class_weight` has a weight for the class {key!r}, but {t.who} has the classes 0 "
                f"to {t.classes - 1}. Its keys are class numbers."
            )


# Callbacks ----------------------------------------------------------------------------------


def monitors(model: Any, callbacks: Any, held_out: Any) -> None:
    """Warn of a number that a callback follows, but that nobody will log."""
    if not _needs_targets(model) or any(
        not type(c).__module__.startswith("keraunos.") for c in callbacks
    ):
        return  # others may log what they like
    own = [m for metric in model.metrics for m in getattr(metric, "metrics", None) or [metric]]
    if any(not type(metric).__module__.startswith("keraunos.") for metric in own):
        return  # a result may be a dict
    names = {metric.name for metric in own} | {"loss"}
    names |= {row[0] for row in getattr(model._compiled.metrics, "_rows", ())}
    held = set() if held_out is None else {f"val_{name}" for name in names}
    for callback in callbacks:
        if not isinstance(callback, Monitor) or callback.monitor in names | held:
            continue
        if callback.monitor in ("lr", "learning_rate") or not _follows(callback):
            continue
        hint = did_you_mean(callback.monitor, sorted(names | held)).removeprefix(".")
        if held_out is None and callback.monitor.startswith("val_"):
            hint = " Give `fit` a `validation_split` or `validation_data`, or follow 'loss'."
        errors.warn(
            f"{type(callback).__name__} follows {callback.monitor!r}, which will not be logged; "
            f"there will be {', '.join(sorted(names | held))}.{hint}"
        )


def _follows(callback: Any) -> bool:
    """Whether it looks at the number at all."""
    return getattr(callback, "save_best_only", True)


# Pieces of the above ------------------------------------------------------------------------


def frozen(model: Any) -> None:
    """Warn of layers whose `trainable` was changed since `compile`."""
    before = model._compiled.trainable
    changed = [
        layer
        for layer in model._flatten_layers()
        if before.get(id(layer), layer.trainable) != layer.trainable and layer.weights
    ]
    if changed:
        state = "can be trained" if changed[0].trainable else "is frozen"
        more = f"as {len(changed) - 1} others, " if len(changed) > 1 else ""
        errors.warn(
            f"{_who(changed[0])} {more}{state} since `compile`: from now on, in whatever `fit` or "
            "`train_on_batch` of this model. Set `trainable` before `compile`, or call it again."
        )


def _is_arrays(x: Any) -> bool:
    return isinstance(x, (np.ndarray, jax.Array, list, tuple, dict))


def _has_rows(x: Any) -> bool:
    """Whether rows can be taken from it: arrays, tables, sparse matrices."""
    return _is_arrays(x) or hasattr(x, "shape")


def _are_numbers(label: str, array: np.ndarray, name: str) -> None:
    if array.dtype.kind not in "USO" or not array.size:
        return
    first = array.ravel()[0]
    if isinstance(first, (str, bytes)):
        way_out = (
            "Number the words: `keras.layers.StringLookup`, or "
            "`classes, y = np.unique(y, return_inverse=True)`."
            if name == "y"
            else "Numbers written as text: `x.astype('float32')`; words: begin with a "
            "`StringLookup` or `TextVectorization` layer and an `Input(dtype='string')`."
        )
        raise ValueError(f"{label} holds text, as {str(first)!r}, not numbers. {way_out}")
    if hasattr(first, "__len__"):
        raise ValueError(
            f"{label} is an array of objects: its rows, as {str(first)[:40]}, have different "
            "lengths. "
            "Make them alike by `keras.utils.pad_sequences`."
        )


def _are_classes(class_weight: Any) -> None:
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"`class_weight` must be a dict of class numbers and weights, got {class_weight!r:.80}."
        )
    for key in class_weight:
        if not (isinstance(key, (int, np.integer, float)) or str(key).lstrip("-").isdigit()):
            raise ValueError(
                f"`class_weight` has the key {key!r}; its keys must be class numbers, from 0 on, "
                "as in {0: 1.0, 1: 2.5}."
            )


def _some(array: np.ndarray, most: int = _MANY) -> np.ndarray:
    """The array, or rows evenly spread in it if it is large."""
    each = max(1, array[:1].size)
    return array if array.size <= most else array[:: -(-len(array) * each // most)]


def _bounds(array: np.ndarray) -> tuple[float, float]:
    return array.min(), array.max()


def _not_finite(array: np.ndarray) -> str:
    """ "NaN in 1 of 8 rows, first in row 3", or nothing."""
    if array.dtype.kind != "f":
        return ""
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        total = flat @ flat if array.dtype.itemsize >= 4 else flat.sum(dtype="float32")
    if np.isfinite(total):
        return ""
    wrong = ~np.isfinite(array.reshape(len(array), -1)).all(1)
    if not wrong.any():  # only large
        return ""
    kind = "NaN" if np.isnan(array[wrong]).any() else "infinity"
    return f"{kind} in {wrong.sum()} of {len(array)} rows, first in row {wrong.argmax()}"


def _first(where: np.ndarray) -> int:
    return int(where.reshape(len(where), -1).any(1).argmax())


def _who(layer: Any) -> str:
    return layer._who if hasattr(layer, "_who") else f"{layer.name!r},"


def _maker(output: Any) -> Any:
    """The operation that made an output, within inner models too."""
    node = output.node
    inner = getattr(node.operation, "_graph", None) if node else None
    if inner is None:
        return node and node.operation
    return _maker(inner._outputs[next(i for i, t in enumerate(node.outputs) if t is output)])


def _activation(maker: Any) -> str:
    """The name of the activation that an output has gone through last, or nothing."""
    if hasattr(maker, "activation"):
        return getattr(maker.activation, "__name__", "")
    name = type(maker).__name__.lower()
    fn = getattr(maker, "fn", None)
    name = fn.__name__ if fn is not None else name
    return name if name in _PROBABILITY else ""
