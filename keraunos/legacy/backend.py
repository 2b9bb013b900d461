"""`keras.backend` as it was in Keras 2: functions of tensors, symbolic or real.

Today's are in `keras.ops`; those here have the names, the order of arguments and the defaults of
then. Functions that are the same but for a name are in tables.
"""

import builtins
import contextlib
import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from keraunos import ops, random
from keraunos.core import naming
from keraunos.core.config import floatx, image_data_format, set_image_data_format
from keraunos.core.graph import KerasTensor, OpCall, Tensor, op
from keraunos.core.state import Variable
from keraunos.layers.layer import running
from keraunos.legacy.graphs import (
    Update,
    eval,
    function,
    get_session,
    gradients,
    in_test_phase,
    in_train_phase,
    int_shape,
    learning_phase,
    moving_average_update,
    placeholder,
    set_learning_phase,
    set_session,
    update,
    update_add,
    update_sub,
)  # fmt: skip
from keraunos.legacy.loops import ctc_batch_cost, ctc_decode, foldl, foldr, map_fn, rnn, switch

# Of `keras.ops`, with the same arguments, but for a `name`.
_SAME = """
abs all any cos cumprod cumsum elu equal exp greater greater_equal less less_equal log logsumexp max
maximum mean min minimum not_equal prod round sigmoid sign sin softmax softplus softsign square
stop_gradient sum std tanh tile transpose var ones_like zeros_like dot squeeze cast
binary_crossentropy categorical_crossentropy
""".split()
_DEFAULTS: dict[str, dict[str, Any]] = {
    "argmax": {"axis": -1},
    "argmin": {"axis": -1},
    "concatenate": {"axis": -1},
    "cumprod": {"axis": 0},
    "cumsum": {"axis": 0},
    "expand_dims": {"axis": -1},
    "stack": {"axis": 0},
}


def _of_ops(name: str) -> Callable:
    fn, given = getattr(ops, name), _DEFAULTS.get(name, {})

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("name", None)
        missing = {k: v for k, v in given.items() if len(args) < 2 and k not in kwargs}
        return fn(*args, **missing, **kwargs)

    return call


globals().update({name: _of_ops(name) for name in {*_SAME, *_DEFAULTS} - {"stack", "concatenate"}})


def _is_size(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) or hasattr(n, "_is_constant")  # of a traced shape


def stack(x: Any, axis: int = 0) -> Any:
    """Joined along a new axis; sizes stay a tuple, as a shape has to be."""
    return tuple(x) if builtins.all(map(_is_size, x)) else ops.stack(x, axis)


def concatenate(tensors: Any, axis: int = -1) -> Any:
    if builtins.all(isinstance(t, (tuple, list)) for t in tensors):
        return tuple(itertools.chain(*tensors))
    return ops.concatenate(list(tensors), axis)


# Variables and constants -------------------------------------------------------------------


def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Any:
    value = value.toarray() if hasattr(value, "toarray") else value
    name = name and name.replace("/", "_").replace(":", "_")
    dtype = jax.dtypes.canonicalize_dtype(dtype or floatx())  # 32 bits, where 64 are asked for
    return Variable(value, dtype=dtype.name, name=name, constraint=constraint)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: Any = None) -> Any:
    array = jnp.asarray(value, jax.dtypes.canonicalize_dtype(dtype or floatx()))
    return array if shape is None else jnp.broadcast_to(array, tuple(shape))


def _filled(make: Callable) -> Callable:
    def call(shape: Any, dtype: Any = None, name: Any = None) -> Any:
        value = make(shape, dtype or floatx())
        known = isinstance(value, jax.Array) and not isinstance(value, Tracer)
        return variable(value, value.dtype, name) if known and running()[0] is None else value

    return call


zeros, ones, eye = _filled(jnp.zeros), _filled(jnp.ones), _filled(lambda n, d: jnp.eye(n, dtype=d))


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = "int32") -> Any:
    return ops.arange(start, stop, step, dtype)


def get_value(x: Any) -> np.ndarray:
    return eval(x)


def batch_get_value(tensors: Any) -> list[np.ndarray]:
    return [eval(x) for x in tensors]


def set_value(x: Any, value: Any) -> None:
    x.assign(np.asarray(value).reshape(x.shape))


def batch_set_value(tuples: Any) -> None:
    for x, value in tuples:
        set_value(x, value)


def count_params(x: Any) -> int:
    return int(np.prod(x.shape))


def dtype(x: Any) -> str:
    return str(np.dtype(x.dtype)) if x.dtype != "string" else "string"


def ndim(x: Any) -> int:
    return len(x.shape)


def shape(x: Any) -> Any:
    """The sizes; of a symbolic tensor that does not know them all, as one."""
    sizes = ops.shape(x)
    return OpCall(_sizes).symbolic_call(x) if None in sizes else sizes


def _sizes(x: Any) -> Any:
    return jnp.stack([jnp.asarray(n, "int32") for n in x.shape])


def is_variable(x: Any) -> bool:
    return isinstance(x, Variable)


def is_tensor(x: Any) -> bool:
    return isinstance(x, (jax.Array, KerasTensor, Variable))


def is_symbolic(x: Any) -> bool:
    return isinstance(x, KerasTensor)


def is_placeholder(x: Any) -> bool:
    return isinstance(x, KerasTensor) and (x.node is None or not x.node.inputs)


def is_sparse(tensor: Any) -> bool:
    return False


def identity(x: Any, name: Any = None) -> Any:
    return x if isinstance(x, KerasTensor) else ops.convert_to_tensor(x)


to_dense = identity


def print_tensor(x: Any, message: str = "") -> Any:
    """`x`, whose values are printed when they are known."""
    if not isinstance(x, KerasTensor):
        jax.debug.print(f"{message.replace('{', '{{').replace('}', '}}')} {{x}}", x=x)
    return x


def control_dependencies(control_inputs: Any) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext()


def symbolic(func: Callable) -> Callable:
    return func


def manual_variable_initialization(value: bool) -> None:
    """Nothing is left to do: variables have values when they are made."""


def reset_uids() -> None:
    naming.reset()


def image_dim_ordering() -> str:
    return "tf" if image_data_format() == "channels_last" else "th"


def set_image_dim_ordering(dim_ordering: str) -> None:
    set_image_data_format({"tf": "channels_last", "th": "channels_first"}[dim_ordering])


# Shapes ------------------------------------------------------------------------------------


def reshape(x: Any, shape: Any) -> Any:
    sizes = np.asarray(shape).tolist() if hasattr(shape, "dtype") else shape
    return ops.reshape(x, tuple(-1 if isinstance(n, KerasTensor) else n for n in sizes))


def flatten(x: Any) -> Any:
    return ops.reshape(x, (-1,))


def batch_flatten(x: Any) -> Any:
    sizes = int_shape(x)[1:]  # type: ignore[index]
    return ops.reshape(x, (-1, int(np.prod(sizes)) if None not in sizes else -1))


def permute_dimensions(x: Any, pattern: Any) -> Any:
    return ops.transpose(x, tuple(pattern))


def repeat(x: Any, n: int) -> Any:
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    return ops.repeat(x, rep, axis=axis)


def reverse(x: Any, axes: Any) -> Any:
    return ops.flip(x, axes)


def gather(reference: Any, indices: Any) -> Any:
    return ops.take(reference, ops.cast(indices, "int32"), axis=0)


@op
def _slice(x: Tensor, start: Any, size: Any):
    ends = [None if n == -1 else s + n for s, n in zip(start, size)]
    return x[tuple(builtins.slice(s, e) for s, e in zip(start, ends))]


def cast_to_floatx(x: Any) -> Any:
    return np.asarray(x, floatx()) if not is_tensor(x) else ops.cast(x, floatx())


def one_hot(indices: Any, num_classes: int) -> Any:
    return ops.one_hot(ops.cast(indices, "int32"), num_classes)


def _space(data_format: Any, rank: int) -> builtins.slice:
    last = (data_format or image_data_format()) == "channels_last"
    return builtins.slice(1, 1 + rank) if last else builtins.slice(2, 2 + rank)


def _padded(rank: int, default: Any) -> Callable:
    def call(x: Any, padding: Any = default, data_format: Any = None) -> Any:
        margins = [(0, 0)] * (rank + 2)
        pairs = [padding] if rank == 1 else list(padding)
        margins[_space(data_format if rank > 1 else "channels_last", rank)] = pairs
        return ops.pad(x, [tuple(pair) for pair in margins[: len(x.shape)]])

    return call


temporal_padding = _padded(1, (1, 1))
spatial_2d_padding, spatial_3d_padding = _padded(2, ((1, 1),) * 2), _padded(3, ((1, 1),) * 3)


def resize_images(
    x: Any, height_factor: int, width_factor: int, data_format: Any = None,
    interpolation: str = "nearest",
) -> Any:  # fmt: skip
    if interpolation == "nearest":
        return _repeated(x, (height_factor, width_factor), data_format)
    sizes = int_shape(x)[_space(data_format, 2)]  # type: ignore[index]
    size = (sizes[0] * height_factor, sizes[1] * width_factor)
    return ops.image.resize(x, size, interpolation=interpolation, data_format=data_format)


def resize_volumes(x: Any, depth: int, height: int, width: int, data_format: Any = None) -> Any:
    return _repeated(x, (depth, height, width), data_format)


def _repeated(x: Any, factors: tuple, data_format: Any) -> Any:
    for axis, factor in enumerate(factors, _space(data_format, len(factors)).start):
        x = ops.repeat(x, factor, axis=axis)
    return x


# Numbers -----------------------------------------------------------------------------------


def clip(x: Any, min_value: Any, max_value: Any) -> Any:
    if builtins.all(isinstance(n, (int, float)) for n in (min_value, max_value)):
        max_value = builtins.max(min_value, max_value)
    low, high = (np.inf * s if n is None else n for n, s in ((min_value, -1), (max_value, 1)))
    return ops.clip(x, low, high)


def sqrt(x: Any) -> Any:
    return ops.sqrt(ops.maximum(x, 0.0))


def pow(x: Any, a: Any) -> Any:
    return ops.power(x, a)


def relu(x: Any, alpha: Any = 0.0, max_value: Any = None, threshold: Any = 0.0) -> Any:
    above = ops.where(ops.greater_equal(x, threshold), x, alpha * (x - threshold))
    return above if max_value is None else ops.minimum(above, max_value)


def hard_sigmoid(x: Any) -> Any:
    """A line of slope 0.2, as it was in Keras 2, cut at 0 and 1."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def l2_normalize(x: Any, axis: Any = None) -> Any:
    total = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x / ops.sqrt(ops.maximum(total, 1e-12))


def in_top_k(predictions: Any, targets: Any, k: int) -> Any:
    return ops.in_top_k(ops.cast(targets, "int32"), predictions, k)


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    return ops.sparse_categorical_crossentropy(
        ops.cast(target, "int32"), output, from_logits=from_logits, axis=axis
    )


@op
def batch_dot(x: Tensor, y: Tensor, axes: Any = None):
    """The products of the rows of `x` and `y`, summed over an axis of each."""
    if axes is None:
        axes = (x.ndim - 1, builtins.max(y.ndim - 2, 1))
    a, b = axes if isinstance(axes, (list, tuple)) else (axes, axes)
    a, b = a % x.ndim, b % y.ndim
    left = "zabcdef"[: x.ndim]
    right = "z" + "ghijkl"[: y.ndim - 1]
    left, right = left.replace(left[a], "s"), right.replace(right[b], "s")
    kept = "z" + left[1:].replace("s", "") + right[1:].replace("s", "")
    y = jnp.einsum(f"{left},{right}->{kept}", x, y)
    return y if y.ndim > 1 else y[:, None]


def bias_add(x: Any, bias: Any, data_format: Any = None) -> Any:
    first = (data_format or image_data_format()) == "channels_first" and len(x.shape) > 2
    sizes = tuple(bias.shape)
    if first:
        sizes = (sizes[-1], *sizes[:-1]) if len(sizes) > 1 else (*sizes, *(1,) * (len(x.shape) - 2))
        bias = bias if len(sizes) == 1 else ops.reshape(bias, sizes)
    return ops.add(x, bias)


def batch_normalization(
    x: Any, mean: Any, var: Any, beta: Any, gamma: Any, axis: int = -1, epsilon: float = 1e-3
) -> Any:
    flat = lambda v: None if v is None else ops.reshape(v, (-1,))
    mean, var, beta, gamma = map(flat, (mean, var, beta, gamma))
    return ops.batch_normalization(x, mean, var, axis, beta, gamma, epsilon)


def normalize_batch_in_training(
    x: Any, gamma: Any, beta: Any, reduction_axes: Any, epsilon: float = 1e-3
) -> tuple:
    axes = [axis % len(x.shape) for axis in reduction_axes]
    mean, var = ops.moments(x, axes, keepdims=True)
    broad = lambda v: None if v is None else ops.reshape(v, tuple(mean.shape))
    scale = 1 / ops.sqrt(var + epsilon)
    y = (x - mean) * scale * (1 if gamma is None else broad(gamma))
    y = y if beta is None else y + broad(beta)
    return y, ops.squeeze(mean, axes), ops.squeeze(var, axes)


# Windows -----------------------------------------------------------------------------------


def _conv(
    x: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: Any = None,
    dilation_rate: Any = 1,
) -> Any:  # fmt: skip
    if padding == "causal":
        steps = dilation_rate if isinstance(dilation_rate, int) else dilation_rate[0]
        x, padding = temporal_padding(x, (steps * (kernel.shape[0] - 1), 0)), "valid"
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


conv1d = conv2d = conv3d = _conv


def _conv_transpose(
    x: Any, kernel: Any, output_shape: Any, strides: Any = 1, padding: str = "valid",
    data_format: Any = None, dilation_rate: Any = 1,
) -> Any:  # fmt: skip
    return ops.conv_transpose(x, kernel, strides, padding, None, data_format, dilation_rate)


conv2d_transpose = conv3d_transpose = _conv_transpose


depthwise_conv2d, separable_conv1d = ops.depthwise_conv, ops.separable_conv
separable_conv2d = separable_conv1d


def _pool(
    x: Any, pool_size: Any, strides: Any = 1, padding: str = "valid", data_format: Any = None,
    pool_mode: str = "max",
) -> Any:  # fmt: skip
    pool = ops.max_pool if pool_mode == "max" else ops.average_pool
    return pool(x, pool_size, strides, padding, data_format)


pool2d = pool3d = _pool


@op
def local_conv(
    inputs: Tensor, kernel: Tensor, kernel_size: Any, strides: Any, output_shape: Any = None,
    data_format: Any = None,
):  # fmt: skip
    """A convolution with weights of its own at each place: `(places, window, filters)`."""
    rank, first = len(kernel_size), (data_format or image_data_format()) == "channels_first"
    x = jnp.moveaxis(inputs, 1, -1) if first else inputs
    space = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], kernel_size, strides)]
    windows = [
        x[(builtins.slice(None), *(
            builtins.slice(at, at + (n - 1) * s + 1, s) for at, n, s in zip(offset, space, strides)
        ))]
        for offset in itertools.product(*map(range, kernel_size))
    ]  # fmt: skip
    flat = jnp.stack(windows, -2).reshape(x.shape[0], int(np.prod(space)), -1)
    y = jnp.einsum("bpk,pkf->bpf", flat, kernel).reshape(x.shape[0], *space, kernel.shape[-1])
    return jnp.moveaxis(y, -1, 1) if first and rank else y


def local_conv1d(
    inputs: Any, kernel: Any, kernel_size: Any, strides: Any, data_format: Any = None
) -> Any:
    return local_conv(inputs, kernel, kernel_size, strides, None, data_format)


local_conv2d = local_conv


# Chance ------------------------------------------------------------------------------------


def _seed(seed: Any) -> Any:
    """A seed that goes on from call to call, also in compiled steps: kept by the layer."""
    layer = running()[0]
    if seed is not None or layer is None:
        return seed
    if "_drawn" not in vars(layer):
        vars(layer)["_drawn"] = random.SeedGenerator()
    return vars(layer)["_drawn"]


def _goes_on(fn: Callable) -> Callable:
    takes = inspect.signature(fn)

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = takes.bind(*args, **kwargs)
        given.arguments["seed"] = _seed(given.arguments.get("seed"))
        return fn(*given.args, **given.kwargs)

    return call


random_normal, random_uniform, truncated_normal, dropout = map(
    _goes_on, (random.normal, random.uniform, random.truncated_normal, random.dropout)
)


def random_binomial(shape: Any, p: float = 0.0, dtype: Any = None, seed: Any = None) -> Any:
    return ops.cast(random_uniform(shape, seed=seed) < p, dtype or floatx())


random_bernoulli = random_binomial


def random_normal_variable(
    shape: Any, mean: Any, scale: Any, dtype: Any = None, name: Any = None, seed: Any = None
) -> Any:
    return variable(random_normal(shape, mean, scale, dtype, seed), dtype, name)


def random_uniform_variable(
    shape: Any, low: Any, high: Any, dtype: Any = None, name: Any = None, seed: Any = None
) -> Any:
    return variable(random_uniform(shape, low, high, dtype, seed), dtype, name)


get_variable_shape = int_shape
globals()["slice"] = _slice


def _get_available_gpus() -> list[str]:
    return [str(d) for d in jax.devices() if d.platform == "gpu"]


__all__ = [
    "Update",
    "ctc_batch_cost",
    "ctc_decode",
    "eval",
    "foldl",
    "foldr",
    "function",
    "get_session",
    "gradients",
    "in_test_phase",
    "in_train_phase",
    "int_shape",
    "learning_phase",
    "map_fn",
    "moving_average_update",
    "placeholder",
    "rnn",
    "set_learning_phase",
    "set_session",
    "switch",
    "update",
    "update_add",
    "update_sub",
]  # fmt: skip
