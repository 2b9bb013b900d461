"""Dense, EinsumDense, Embedding; Lambda, Identity, Masking: layers that need no introduction."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from keraunos.activations import Activation
from keraunos.core import registry, tree
from keraunos.core.dtypes import is_int_dtype, standardize_dtype
from keraunos.core.fields import Positive, fields, mapping, needs, option, optional, owned, via
from keraunos.core.graph import KerasTensor, abstract, draws, rehearse, symbolic_in
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.layers.layer import Layer, plain_shape
from keraunos.layers.lora import Adapted, Rank
from keraunos.layers.quantized import Config, Quantizable
from keraunos.layers.spec import Constraint, Initializer, InputSpec, Regularizer
from keraunos.quantizers.packed import Layout, Packing, contract


@export("layers.Dense")
@fields
class Dense(Quantizable):
    """Multiply by a matrix, add a bias: `activation(x @ kernel + bias)`.

    Shapes: `(batch, ..., n)` to `(batch, ..., units)`; `kernel` is `(n, units)`.

    Args:
        lora_rank, lora_alpha: As of `enable_lora`, which is called when the layer is built.
        quantization_config: How the variables of a layer with a quantized dtype policy lie.
    """

    _config_tells_shape = True

    units: Positive
    activation: Activation = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    lora_rank: Rank = None
    lora_alpha: float | None = None
    quantization_config: Config = None

    bias: Variable = owned()
    kernel = Adapted()
    adapted = "kernel"
    layouts = {"kernel": Layout("x", "xy", "y")}
    supports_masking = True

    def __post_init__(self):
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape):
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                f"{self._who} needs to know the last of at least two axes of its input, which "
                f"has the shape {tuple(input_shape)}. Fix the sizes in the Input, or use a global "
                "pooling layer instead of `Flatten`."
            )
        self.weight("kernel", (input_shape[-1], self.units))
        if self.use_bias:
            self.weight("bias", (self.units,))
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, inputs, training=None):
        y = contract(jnp.matmul, inputs, self.kernel)
        return self.activation(self.with_bias(y))


def _sizes(value, name, owner) -> tuple:
    return (value,) if isinstance(value, int) else tuple(value)


@export("layers.EinsumDense")
@fields
class EinsumDense(Quantizable):
    """`Dense` along any axes, as an `einsum` equation says it.

    `EinsumDense("abc,cd->abd", (None, 64))` is `Dense(64)` on sequences; `"...x,xy->...y"` is so
    on inputs of any rank. The kernel has the axes of the second operand.

    Args:
        output_shape: Of the output without the batch; None for what the input says.
        bias_axes: The letters of the output along which the bias has values of its own.
        lora_rank, lora_alpha, quantization_config: As of `Dense`.
        gptq_unpacked_column_size: Found by itself; kept for the signature.
    """

    equation: str
    output_shape: Annotated[Any, _sizes]
    activation: Activation = None
    bias_axes: str | None = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    lora_rank: Rank = None
    lora_alpha: float | None = None
    gptq_unpacked_column_size: int | None = None
    quantization_config: Config = None

    bias: Variable | None = owned()
    kernel = Adapted()
    adapted = "kernel"
    zero_name = "zero_point"

    def __post_init__(self):
        self.bias = None

    def build(self, input_shape):
        kernel, bias = _einsum_shapes(self, input_shape)
        self.weight("kernel", kernel)
        if bias is not None:
            self.weight("bias", bias)

    def call(self, inputs, training=None):
        product = functools.partial(jnp.einsum, self.equation)
        y = contract(product, inputs, self.kernel, self.equation[-1] == self._letters[1][-1])
        return self.activation(self.with_bias(y))

    def get_config(self):
        config = super().get_config()
        if config["gptq_unpacked_column_size"] is None:
            del config["gptq_unpacked_column_size"]
        return config

    @property
    def _letters(self) -> tuple[str, str, str]:
        return _split(self)

    @property
    def layouts(self) -> dict[str, Layout]:
        if self._letters[0].endswith("..."):
            raise NotImplementedError(
                f"{self._who} cannot be quantized with {self.equation!r}: give the axes behind its "
                "letters letters too."
            )
        return {"kernel": Layout(*(part.replace("...", "") for part in self._letters))}


def _split(owner: EinsumDense) -> tuple[str, str, str]:
    """The letters of the input, of the kernel and of the output."""
    found = re.fullmatch(r"([\w.]*),(\w*)->([\w.]*)", owner.equation.replace(" ", ""))
    if found is None or found[1].count("...") != found[3].count("..."):
        expected = "of the form 'ab,bc->ac', '...b,bc->...c' or 'ab...,bc->ac...'"
        raise ValueError(needs(owner, f"an equation {expected}", "equation", owner.equation))
    return found[1], found[2], found[3]


def _einsum_shapes(owner: EinsumDense, input_shape) -> tuple[tuple, tuple | None]:
    """The shapes of kernel and bias; of the latter None if there is none."""
    source, kernel, target = _split(owner)
    batch = None if target.startswith("...") else input_shape[0]
    output_shape = (batch, *owner.output_shape)
    sizes = dict(_aligned(source, input_shape))
    for letter, size in _aligned(target, output_shape):
        known = sizes.get(letter)
        if known is not None and size not in (None, known):
            raise ValueError(
                f"{owner._who} was told {owner.equation!r} and `output_shape` "
                f"{owner.output_shape}: axis {letter!r} has size {size} there, but {known} in the "
                f"input of shape {tuple(input_shape)}."
            )
        sizes[letter] = size if known is None else known
    if unknown := [letter for letter in kernel if sizes.get(letter) is None]:
        raise ValueError(
            f"{owner._who} cannot tell the size of the axes {unknown} of its kernel from an input "
            f"of shape {tuple(input_shape)} and `output_shape` {owner.output_shape}."
        )
    letters = target.replace("...", "")
    if not owner.bias_axes:
        return tuple(sizes[letter] for letter in kernel), None
    if missing := set(owner.bias_axes) - set(letters):
        raise ValueError(
            f"{owner._who} cannot have `bias_axes` {owner.bias_axes!r}: {sorted(missing)} are not "
            f"among the axes {letters!r} of its output."
        )
    first = min(letters.index(letter) for letter in owner.bias_axes)
    bias = [sizes[letter] if letter in owner.bias_axes else 1 for letter in letters[first:]]
    if target.endswith("..."):
        bias += [1] * (len(input_shape) - len(source.replace("...", "")))
    return tuple(sizes[letter] for letter in kernel), tuple(bias)


def _aligned(letters: str, shape) -> list[tuple[str, int | None]]:
    """Each letter with its size; from the right if an ellipsis stands on the left."""
    if letters.startswith("..."):
        letters = letters[3:]
        shape = shape[len(shape) - len(letters) :]
    return list(zip(letters.replace("...", ""), shape))


@export("layers.Embedding")
@fields
class Embedding(Quantizable):
    """A vector for each integer: row `i` of the table `embeddings`.

    Shapes: integers `(batch, ...)` to `(batch, ..., output_dim)`; `embeddings` is
    `(input_dim, output_dim)`. Integers that are out of range give NaN.

    Args:
        input_dim: How many integers there are: 0 to `input_dim - 1`.
        mask_zero: Whether 0 stands for padding, which layers that know masks then skip.
        weights: The table to start from.
        lora_rank, lora_alpha, quantization_config: As of `Dense`.
    """

    input_dim: Positive  # type: ignore[assignment]  # here it is no size of an input
    output_dim: Positive  # type: ignore[misc]
    embeddings_initializer: Initializer = "uniform"
    embeddings_regularizer: Regularizer = None
    embeddings_constraint: Constraint = None
    mask_zero: bool = False
    weights: Any = option(default=None)
    lora_rank: Rank = None
    lora_alpha: float | None = None
    quantization_config: Config = None

    embeddings = Adapted()
    adapted = "embeddings"
    modes = ("int8", "int4")
    layouts = {"embeddings": Layout("y", "xy", "x")}
    packings = {"embeddings": Packing(0, True), "reverse_embeddings": Packing(0)}

    def __post_init__(self):
        self.supports_masking = self.mask_zero
        self.autocast = False  # integers given as floats must not lose digits
        start = self._initial_weights
        if start is not None:
            self._initial_weights = start if isinstance(start, (list, tuple)) else [start]
            self.build((None,))

    def build(self, input_shape=None):
        self.weight("embeddings", (self.input_dim, self.output_dim))

    def quantized_build(self, embeddings_shape, mode, config=None):
        super().quantized_build(embeddings_shape, mode, config)

    def call(self, inputs):
        rows = inputs if is_int_dtype(inputs.dtype) else inputs.astype("int32")
        return contract(_take, rows, self.embeddings).astype(self.compute_dtype)

    def compute_mask(self, inputs, mask=None):
        return jnp.not_equal(inputs, 0) if self.mask_zero else None


def _take(rows, table):
    return jnp.take(table, rows, axis=0)


@export("layers.ReversibleEmbedding")
@fields
class ReversibleEmbedding(Embedding):
    """An `Embedding` that can be called with `reverse=True` to give logits for vectors.

    Shapes: reversed, `(batch, ..., output_dim)` to `(batch, ..., input_dim)`.

    Args:
        tie_weights: Whether the way back uses the table itself, or one of its own.
        reverse_dtype: What the logits are computed in; the compute dtype by default.
        logit_soft_cap: Keeps logits within ± this value, by `cap * tanh(logits / cap)`.
    """

    input_dim: Positive  # type: ignore[assignment]
    output_dim: Positive  # type: ignore[misc]  # declared again for its place
    tie_weights: bool = True
    embeddings_initializer: Initializer = "uniform"
    embeddings_regularizer: Regularizer = None
    embeddings_constraint: Constraint = None
    mask_zero: bool = False
    reverse_dtype: Annotated[Any, optional(via(standardize_dtype))] = None
    logit_soft_cap: float | None = None

    reverse_embeddings = Adapted()

    @property
    def layouts(self) -> dict[str, Layout]:
        back = {} if self.tie_weights else {"reverse_embeddings": Layout("y", "yx", "x")}
        return Embedding.layouts | back

    def build(self, input_shape=None):
        super().build(input_shape)
        if not self.tie_weights:
            shape = (self.output_dim, self.input_dim)
            self.weight("reverse_embeddings", shape, role="embeddings")

    def call(self, inputs, reverse=False):
        if not reverse:
            return super().call(inputs)
        dtype = self.reverse_dtype or self.compute_dtype
        table = self.embeddings if self.tie_weights else self.reverse_embeddings
        logits = contract(self._back, inputs.astype(dtype), table, ends_alike=False)
        if self.logit_soft_cap is not None:
            logits = jnp.tanh(logits / self.logit_soft_cap) * self.logit_soft_cap
        return logits

    def _back(self, x, table, **options):
        table = table.T if self.tie_weights else table
        return jnp.matmul(x, table if options else table.astype(x.dtype), **options)

    def compute_mask(self, inputs, mask=None):
        return super().compute_mask(inputs, mask) if is_int_dtype(inputs.dtype) else mask


for _cls in (Embedding, ReversibleEmbedding):
    _cls.__fields__.pop("weights", None)  # where the table starts does not describe the layer


@export("layers.Lambda")
@fields
class Lambda(Layer):
    """Any function of tensors as a layer. A class with `call` can be saved, a lambda hardly.

    Args:
        function: Takes the inputs, and may take `mask` and `training`.
        output_shape: Without the batch, or a function of the input's shape; found by tracing
            the function if None.
        mask: The mask of the output, or a function of the inputs and their mask.
        arguments: Passed on to the function by keyword.
    """

    function: Callable
    output_shape: Any = None
    mask: Any = None
    arguments: Annotated[Any, optional(mapping)] = None

    def __post_init__(self):
        if not callable(self.function):
            raise TypeError(needs(self, "a function", "function", self.function))
        if self.mask is not None and not callable(self.mask) and not hasattr(self.mask, "shape"):
            raise TypeError(needs(self, "a mask, or a function that makes one", "mask", self.mask))
        shape = self.output_shape
        if not (shape is None or callable(shape) or isinstance(shape, (tuple, list))):
            raise TypeError(needs(self, "a shape, or a function of one", "output_shape", shape))
        self.arguments = dict(self.arguments or {})
        self.supports_masking = self.mask is not None
        self._wants = set(inspect.signature(self.function).parameters) & {"mask", "training"}

    def call(self, inputs, mask=None, training=None):
        given = {"mask": mask, "training": training}
        options = self.arguments | {name: given[name] for name in self._wants}
        return self.function(inputs, **options)

    def compute_output_spec(self, inputs, *args, **kwargs):
        if self.output_shape is None:
            return abstract(self, inputs, *args, **kwargs)
        if draws(self.function):
            rehearse(self, inputs, *args, **kwargs)
        shape = jax.tree.map(plain_shape, inputs)
        dtype = symbolic_in(inputs)[0].dtype
        if callable(self.output_shape):
            whole = self.output_shape(shape)
        else:
            first = shape if tree.is_shape(shape) else shape[0]
            whole = tree.map_shapes(lambda rest: (first[0], *rest), self.output_shape)
        return tree.map_shapes(lambda sizes: KerasTensor(sizes, dtype), whole)

    def compute_output_shape(self, input_shape):
        spec = self.compute_output_spec(
            tree.map_shapes(lambda shape: KerasTensor(shape, self.compute_dtype), input_shape)
        )
        return jax.tree.map(lambda symbol: symbol.shape, spec)

    def compute_mask(self, inputs, mask=None):
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    @classmethod
    def from_config(cls, config, custom_objects=None, safe_mode=None):
        with registry.CustomObjectScope(custom_objects), registry.safe_mode(safe_mode):
            function = config["function"]
            if isinstance(function, dict) and function.get("class_name") == "function":
                function = function["config"]
            if isinstance(function, str):  # files have only the name of what is not a lambda
                config = config | {"function": registry.function(function)}
            return super().from_config(config)


@export("layers.Identity")
class Identity(Layer):
    """The input, unchanged."""

    supports_masking = True

    def call(self, inputs):
        return inputs


@export("layers.Masking")
@fields
class Masking(Layer):
    """Mark the steps of a sequence at which all features are `mask_value` as padding.

    Shapes: `(batch, steps, features)`, unchanged; marked steps become zeros.
    """

    mask_value: Any = 0.0
    supports_masking = True

    def call(self, inputs):
        return inputs * self.compute_mask(inputs)[..., None].astype(inputs.dtype)

    def compute_mask(self, inputs, mask=None):
        return jnp.any(jnp.not_equal(inputs, self.mask_value), axis=-1)
