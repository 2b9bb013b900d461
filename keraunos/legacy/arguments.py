"""Arguments by the names that they had in Keras 1 and 2, put under those of today.

Two tables: what an old name may be now (the first that its owner takes), and what meant something
then and means nothing now. A row applies only where the old name is unknown, so that it never
changes what today's Keras accepts.
"""

import functools
import inspect
import re
from collections.abc import Callable, Collection
from typing import Any

from keraunos.legacy.note import note

_RENAMED = """
W_constraint: kernel_constraint embeddings_constraint
W_regularizer: kernel_regularizer embeddings_regularizer
U_regularizer: recurrent_regularizer
U_constraint: recurrent_constraint
atrous_rate: dilation_rate
b_constraint: bias_constraint
b_regularizer: bias_regularizer
batch_input_shape: batch_shape
beta_init: beta_initializer
bias: use_bias
border_mode: padding
cropping_dims: cropping
dim_ordering: data_format
dropout_U: recurrent_dropout
dropout_W: dropout
epsilon: min_delta
filter_length: kernel_size
forget_bias_init: unit_forget_bias
gamma_init: gamma_initializer
grayscale: color_mode
init: kernel_initializer embeddings_initializer alpha_initializer
inner_activation: recurrent_activation
inner_init: recurrent_initializer
input: inputs
l: l2 l1
m: max_value
length: size
max_q_size: max_queue_size
nb_classes: num_classes
nb_epoch: epochs
nb_filter: filters
nb_words: num_words
output: outputs
output_dim: units
p: rate
pool_length: pool_size
sample_weights: sample_weight
samples_per_epoch: steps_per_epoch
scale: stddev
sigma: stddev
stride: strides
subsample: strides
subsample_length: strides
val_samples: steps
X: x
Y: y
"""
_NOW = {
    old: tuple(now.split())
    for old, now in (row.split(":") for row in _RENAMED.strip().splitlines())
}

_SIZES = ("nb_row", "nb_col", "kernel_dim1", "kernel_dim2", "kernel_dim3")

# By class or method: arguments that no longer mean anything.
_GONE = {
    "BatchNormalization": "mode",
    "Embedding": "dropout mask_value",
    "Layer": "input_dtype consume_less truncate_gradient",
    "Nadam": "schedule_decay",
    "Conv2DTranspose": "output_shape",
    "Conv3DTranspose": "output_shape",
    "add_loss": "inputs",
    "add_weight": "partitioner use_resource synchronization getter collections",
    "compile": "class_mode sample_weight_mode target_tensors theano_mode options run_metadata "
    "distribute experimental_run_tf_function",
    "evaluate": "show_accuracy max_queue_size workers use_multiprocessing",
    "fit": "show_accuracy max_queue_size workers use_multiprocessing validation_split_shuffle",
    "predict": "max_queue_size workers use_multiprocessing",
    "train_on_batch": "accuracy",
    "test_on_batch": "accuracy",
}


def of_today(
    owner: Any, known: Collection[str], args: tuple, kwargs: dict[str, Any]
) -> tuple[tuple, dict[str, Any]]:
    """The arguments of a call of the class `owner`, which knows the names `known`."""
    kinds = [kind.__name__ for kind in owner.__mro__]
    old = {name for name in kwargs if name not in known and (name in _NOW or name in _SIZES)}
    args, kwargs = _window(kinds, old, args, dict(kwargs))
    return args, _renamed(kinds, known, kwargs, owner.__name__)


def _renamed(
    kinds: list[str], known: Collection[str], kwargs: dict[str, Any], shown: str
) -> dict[str, Any]:
    gone = {name for kind in kinds for name in _GONE.get(kind, "").split()}
    found: dict[str, Any] = {}
    for name, value in kwargs.items():
        now = name
        if name not in known:
            now = next((new for new in _NOW.get(name, ()) if new in known), name)
            now = None if now == name and name in gone else now
        if now != name:
            note(f"`{shown}({name}=...)`")
        if now is not None and (now == name or now not in kwargs):
            found[now] = value if now == name else _value(name, value)
    return found


def _value(old: str, value: Any) -> Any:
    """The value of an argument as it is written today."""
    if old == "dim_ordering":
        return {"tf": "channels_last", "th": "channels_first", "default": None}.get(value, value)
    if old == "forget_bias_init":
        return value in ("one", "ones")
    if old == "grayscale":
        return "grayscale" if value else "rgb"
    if old.endswith("init"):
        return initializer(value)
    return value


def initializer(given: Any) -> Any:
    """An initializer, also one that is a function of `(shape, name=None)` without a dtype."""
    if not inspect.isfunction(given) or "dtype" in inspect.signature(given).parameters:
        return given
    return functools.wraps(given)(lambda shape, dtype=None: given(shape))


def _window(
    kinds: list[str], old: set[str], args: tuple, kwargs: dict[str, Any]
) -> tuple[tuple, dict[str, Any]]:
    """`Convolution2D(32, 3, 3)` and `nb_row=3, nb_col=3` as one `kernel_size`."""
    convs = [found for kind in kinds if (found := re.search(r"Conv([23])D", kind))]
    if not convs:
        return args, kwargs
    rank = int(convs[0][1])
    names = _SIZES[:2] if rank == 2 else _SIZES[2:]
    if old and len(args) > rank:
        args = window(args, rank, kinds[0])
        extra = dict(zip(("init", "activation", "weights", "border_mode"), args[2:]))
        args, kwargs = args[:2], {**extra, **kwargs}
    elif old.issuperset(names):
        kwargs["kernel_size"] = tuple(kwargs.pop(name) for name in names)
    return args, kwargs


def window(args: tuple, rank: int, shown: str) -> tuple:
    """The arguments of a layer of Keras 1, where the sizes of a window follow one another."""
    sizes = args[1 : 1 + rank]
    if len(sizes) < rank or not all(isinstance(n, int) for n in sizes):
        return args
    note(f"`{shown}({', '.join(map(repr, args))})`")
    return (args[0], sizes, *args[1 + rank :])


# Methods of models ----------------------------------------------------------------------------


def of_method(
    owner: Any, method: Callable, known: Collection[str], args: tuple, kwargs: dict[str, Any]
) -> tuple[tuple, dict[str, Any]]:
    """The arguments of a call of a method of `owner`."""
    name = method.__name__
    if name == "compile" and len(args) > 2 and _names_metrics(args[2]):
        names = ("metrics", "loss_weights")  # in this order in Keras 2
        kwargs = {**kwargs, **dict(zip(names, args[2:4]))}
        args = args[:2]
    if kwargs.get("show_accuracy") or kwargs.get("accuracy"):
        show_accuracy(owner)
    shown = f"{type(owner).__name__}.{name}" if name != "__init__" else type(owner).__name__
    kinds = [name, *(kind.__name__ for kind in type(owner).__mro__)]
    return args, _renamed(kinds, known, kwargs, shown)


def show_accuracy(model: Any) -> None:
    """Have a model report its accuracy, if it was compiled without metrics."""
    if model._needs_compile("fit").metrics is None:
        given = {**model._compiled.config, "optimizer": model.optimizer, "metrics": ["acc"]}
        model.compile(**given)


def _names_metrics(value: Any) -> bool:
    items = value if isinstance(value, (list, tuple)) else [value]
    return any(isinstance(item, str) or callable(item) for item in items)


def of_function(fn: Callable) -> Callable:
    """`fn`, which also takes its arguments by the names that they had."""
    known = inspect.signature(fn).parameters

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **_renamed([fn.__name__], known, kwargs, fn.__name__))

    return call
