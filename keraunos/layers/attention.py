"""Attention as layers: with heads and kernels of their own, and without."""

import functools
import math
import string
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp

from keraunos import ops, random
from keraunos.core import config, masks, registry, tree
from keraunos.core.fields import (
    Axes,
    Fraction,
    OptionalPositive,
    Positive,
    fields,
    needs,
    one_of,
    owned,
)
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.layers.activation import Softmax
from keraunos.layers.core import EinsumDense
from keraunos.layers.layer import Layer
from keraunos.layers.regularization import Dropout
from keraunos.layers.spec import Constraint, Initializer, InputSpec, Regularizer


class Heads(Layer):
    """Base of layers that project queries, keys and values to heads, and the result back.

    A call takes `query` `(batch, T, n)`, `value` `(batch, S, m)` and `key`, by default the value.

    * `query_mask`, `value_mask`, `key_mask`: which steps are real, `(batch, T)` or `(batch, S)`;
      the masks that the tensors carry, by default.
    * `attention_mask`: which keys a query sees, `(batch, T, S)` or `(batch, heads, T, S)`.
    * `use_causal_mask`: whether a query sees only the keys up to its own place.
    * `return_attention_scores`: whether to return the shares `(batch, heads, T, S)` too.
    """

    takes_query_mask: ClassVar[bool]
    dropout: float
    use_bias: bool
    use_gate: bool
    sliding_window: int | None
    flash_attention: bool | None
    seed: Any
    supports_masking = True
    _inside: Any = None
    _axes: tuple[int, ...] = (1,)

    def _choose_kernel(self):
        if self.flash_attention is None:
            self.flash_attention = config.get("flash_attention")
        if self.flash_attention and self.dropout > 0:
            raise ValueError(
                f"{self._who} cannot drop shares (`dropout={self.dropout}`) in a fused kernel; "
                "leave out `flash_attention=True` or set `dropout=0.0`."
            )

    @property
    def _sizes(self) -> tuple[int, int, int, int]:
        """How many heads queries and keys have, and how wide those of keys and values are."""
        raise NotImplementedError

    def _output_sizes(self, query_shape) -> tuple[int, ...]:
        return (query_shape[-1],)

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        if not len(query_shape) == len(value_shape) == len(key_shape) >= 3:
            raise ValueError(
                f"{self._who} needs a query, a value and a key of as many axes, at least three; "
                f"got the shapes {query_shape}, {value_shape} and {key_shape}."
            )
        heads, key_heads, width, value_width = self._sizes
        self._query_dense = self._to_heads("query", query_shape, heads, width)
        self._key_dense = self._to_heads("key", key_shape, key_heads, width)
        if self.use_gate:
            self._gate_dense = self._to_heads("gate", query_shape, heads, value_width, "sigmoid")
        self._value_dense = self._to_heads("value", value_shape, key_heads, value_width)
        places = len(self._axes)
        self._softmax = Softmax(tuple(range(-places, 0)), dtype=self._dtype_policy)
        self._dropout_layer = Dropout(self.dropout, seed=self.seed, dtype=self._dtype_policy)
        rank, sizes = len(query_shape), self._output_sizes(query_shape)
        source = string.ascii_letters[: rank + 1]
        target = string.ascii_letters[rank + 1 :][: len(sizes)]
        shape = (*query_shape[:-1], heads, value_width)
        equation = f"{source},{source[-2:]}{target}->{source[:-2]}{target}"
        self._output_dense = self._dense("attention_output", equation, shape, sizes, target)

    def _to_heads(self, name, shape, heads, width, activation=None) -> EinsumDense:
        rank = len(shape)
        source, target = string.ascii_letters[:rank], string.ascii_letters[rank : rank + 2]
        equation = f"{source},{source[-1]}{target}->{source[:-1]}{target}"
        return self._dense(name, equation, shape, (heads, width), target, activation)

    def _dense(self, name, equation, shape, sizes, letters, activation=None) -> EinsumDense:
        rules: dict[str, Any] = {
            f"{role}_{rule}": registry.deserialize(
                registry.serialize(getattr(self, f"{role}_{rule}"))
            )  # a copy, since an initializer without a seed draws the same for one shape
            for role in ("kernel", "bias")
            for rule in ("initializer", "regularizer", "constraint")
        }
        rules["activity_regularizer"] = self._inside or self.activity_regularizer
        others = equation.partition("->")[2][1 : -len(sizes)]  # the axes of the output between
        dense = EinsumDense(
            equation,
            (*(None,) * len(others), *sizes),
            activation=activation,
            bias_axes=letters if self.use_bias else None,
            dtype=self._dtype_policy,
            name=name,
            **rules,
        )
        dense.supports_masking = True
        dense.build(shape)
        dense.input_spec = InputSpec(ndim=len(shape), axes={-1: shape[-1]})
        return dense

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        if return_attention_scores and self.flash_attention:
            raise ValueError(
                f"{self._who} has no scores to return, since a fused kernel keeps them to itself; "
                "leave out `flash_attention=True` or `return_attention_scores=True`."
            )
        mask = self._mask(query, value, query_mask, value_mask, key_mask, attention_mask)
        if use_causal_mask or self.sliding_window is not None:
            near = self._near(query, value, use_causal_mask)
            mask = near if mask is None else mask & near
        q = self._query_dense(query)
        k = self._key_dense(value if key is None else key)
        v = self._value_dense(value)
        plain = q.ndim == 4 and self.dropout == 0 and not return_attention_scores
        if plain:
            flash = self.flash_attention
            y, shares = ops.dot_product_attention(q, k, v, None, mask, flash_attention=flash), None
        else:
            y, shares = self._attended(q, k, v, mask, training)
        if self.use_gate:
            y = y * self._gate_dense(query)
        y = self._output_dense(y)
        return (y, shares) if return_attention_scores else y

    def _attended(self, q, k, v, mask, training):
        """The mean of the values for each query, and the shares that they have in it."""
        groups = q.shape[-2] // k.shape[-2]
        k, v = (x if groups == 1 else jnp.repeat(x, groups, -2) for x in (k, v))
        *places, h, n = string.ascii_lowercase[: q.ndim]
        others = [p for i, p in enumerate(places) if i not in self._axes]
        asked = [places[i] for i in self._axes]
        seen = "".join(p.upper() if i in self._axes else p for i, p in enumerate(places)) + h + n
        scores = "".join([*others, h, *asked]) + "".join(asked).upper()
        query = "".join(places) + h + n
        x = jnp.einsum(f"{query},{seen}->{scores}", q * (1 / math.sqrt(q.shape[-1])), k)
        shares = self._softmax(x, mask=mask)
        kept = self._dropout_layer(shares, training=training)
        return jnp.einsum(f"{scores},{seen}->{query}", kept, v), shares

    def _mask(self, query, value, query_mask, value_mask, key_mask, attention_mask):
        """All masks in one, with the axes of the scores; None if there is none."""
        n, rank = len(self._axes), query.ndim + len(self._axes)
        found = []
        if attention_mask is not None:
            found.append(_widened(jnp.asarray(attention_mask, bool), rank, 2 * n))
        for mask in (value_mask, key_mask):
            if mask is not None:
                found.append(_widened(self._places_last(mask, value), rank, n))
        if not self.takes_query_mask:
            query_mask = masks.get_mask(query)
        if query_mask is not None:
            mask = _widened(self._places_last(query_mask, query), rank - n, n)
            found.append(mask.reshape((*mask.shape, *(1,) * n)))
        return functools.reduce(jnp.logical_and, found) if found else None

    def _places_last(self, mask, x):
        mask = jnp.asarray(mask, bool)
        whole = mask.ndim == x.ndim - 1
        return jnp.moveaxis(mask, self._axes, range(-len(self._axes), 0)) if whole else mask

    def _near(self, query, value, causal: bool):
        """Where keys are among those that a query may see by its place."""
        asked, seen = ([x.shape[axis] for axis in self._axes] for x in (query, value))
        away = jnp.arange(math.prod(asked))[:, None] - jnp.arange(math.prod(seen))
        near = away >= 0 if causal else jnp.ones(away.shape, bool)
        if self.sliding_window is not None:
            near &= jnp.abs(away) < self.sliding_window
        rank = query.ndim + len(self._axes)
        return _widened(near.reshape(*asked, *seen), rank, len(asked + seen))


def _widened(mask, rank: int, last: int):
    """`mask`, with axes of size 1 before its last ones."""
    first = mask.ndim - last
    ones = (1,) * (rank - mask.ndim)
    return mask.reshape((*mask.shape[:first], *ones, *mask.shape[first:]))


def _window(value, name, owner):
    if value is not None and (not isinstance(value, int) or value <= 0):
        raise ValueError(needs(owner, "a positive integer or None", name, value))
    return value


Window = Annotated[int | None, _window]


@export("layers.MultiHeadAttention")
@fields
class MultiHeadAttention(Heads):
    """Each query's mean of the values, weighted by how well keys meet it, in several heads.

    Shapes: `query` `(batch, T, n)`, `value` and `key` `(batch, S, m)` to `(batch, T, n)`.
    Vaswani et al., 2017, arXiv:1706.03762

    Args:
        key_dim, value_dim: How wide a head is; `key_dim` is both by default.
        output_shape: What takes the place of `n`: a size or several.
        attention_axes: The axes along which queries see keys, of inputs of more than three axes;
            all but the first and the last by default.
        sliding_window: How far a query sees: keys at less than this distance.
        flash_attention: Whether a fused kernel computes it, on GPUs that have one.
        use_gate: Whether a sigmoid of the query scales what the heads give. arXiv:2505.06708
        activity_regularizer: Of each dense layer within.
    """

    num_heads: Positive
    key_dim: Positive
    value_dim: OptionalPositive = None
    dropout: Fraction = 0.0
    use_bias: bool = True
    output_shape: Any = None
    attention_axes: Axes = None
    sliding_window: Window = None
    flash_attention: bool | None = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    use_gate: bool = False
    seed: int | None = None

    takes_query_mask = False  # in Keras only the one that the tensor carries counts

    def __post_init__(self):
        self.value_dim = self.value_dim or self.key_dim
        given = self.output_shape
        if given is not None and not isinstance(given, (int, list, tuple)):
            raise ValueError(needs(self, "a size or several", "output_shape", given))
        self.output_shape = (given,) if isinstance(given, int) else given and tuple(given)
        axes = self.attention_axes
        self.attention_axes = (axes,) if isinstance(axes, int) else axes and tuple(axes)
        self._inside, self.activity_regularizer = self.activity_regularizer, None
        self._choose_kernel()

    @property
    def _sizes(self):
        return self.num_heads, self.num_heads, self.key_dim, self.value_dim

    def _output_sizes(self, query_shape):
        return self.output_shape or super()._output_sizes(query_shape)

    @property
    def query_dense(self) -> EinsumDense:
        return self._query_dense

    @property
    def key_dense(self) -> EinsumDense:
        return self._key_dense

    @property
    def value_dense(self) -> EinsumDense:
        return self._value_dense

    @property
    def output_dense(self) -> EinsumDense:
        return self._output_dense

    def build(self, query_shape, value_shape, key_shape=None):
        rank = len(query_shape)
        axes = range(1, rank - 1) if self.attention_axes is None else self.attention_axes
        if any(not -rank <= axis < rank or axis % rank in (0, rank - 1) for axis in axes):
            raise ValueError(
                f"{self._who} attends along axes between the first and the last, got "
                f"`attention_axes` {self.attention_axes} and a query of shape {query_shape}."
            )
        self.attention_axes = self._axes = tuple(axis % rank for axis in axes)
        super().build(query_shape, value_shape, key_shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"activity_regularizer": registry.serialize(self._inside)}


@export("layers.GroupQueryAttention", "GroupedQueryAttention")
@fields
class GroupedQueryAttention(Heads):
    """`MultiHeadAttention` in which neighbouring heads of the query share a key and a value.

    Shapes: `query` `(batch, T, n)`, `value` and `key` `(batch, S, m)` to `(batch, T, n)`.
    Ainslie et al., 2023, arXiv:2305.13245

    Args:
        num_key_value_heads: Divides `num_query_heads`.
        sliding_window, flash_attention, use_gate: As in `MultiHeadAttention`.
    """

    head_dim: Positive
    num_query_heads: Positive
    num_key_value_heads: Positive
    dropout: Fraction = 0.0
    use_bias: bool = True
    sliding_window: Window = None
    flash_attention: bool | None = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    use_gate: bool = False
    seed: int | None = None

    takes_query_mask = True

    def __post_init__(self):
        if self.num_query_heads % self.num_key_value_heads:
            raise ValueError(
                f"{self._who} needs `num_query_heads` to be a multiple of `num_key_value_heads`, "
                f"got {self.num_query_heads} and {self.num_key_value_heads}."
            )
        self._choose_kernel()

    @property
    def _sizes(self):
        return self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim


GroupQueryAttention = GroupedQueryAttention


@export("layers.Attention")
@fields
class Attention(Layer):
    """Each query's mean of the values, weighted by the product of keys and query (Luong, 2015).

    Shapes: `[query, value]` or `[query, value, key]`, `(batch, T, n)`, `(batch, S, m)` and
    `(batch, S, n)`, to `(batch, T, m)`. The mask is a list, too: of queries, whose result is 0
    where it is False, and of values. With `return_attention_scores` the shares `(batch, T, S)`
    are returned too; with `use_causal_mask` a query sees only keys up to its own place.

    Args:
        use_scale: Whether products are scaled by a number that is learned.
        score_mode: "dot", or "concat" for the sum of `tanh(query + key)`.
        dropout: The share of the weights that training drops.
    """

    use_scale: bool = False
    score_mode: Annotated[str, one_of("dot", "concat")] = "dot"
    dropout: Fraction = 0.0
    seed: int | None = None

    scale: Variable | None = owned()
    concat_score_weight: Any = owned()
    supports_masking = True

    def __post_init__(self):
        self.scale = self.concat_score_weight = None
        if self.dropout > 0:
            self.seed_generator = random.SeedGenerator(self.seed)

    def build(self, input_shape):
        self._listed(input_shape)
        if self.use_scale:
            self.weight("scale", (), initializer="ones")
        if self.score_mode == "concat":
            self.weight("concat_score_weight", (), initializer="ones")

    def _listed(self, inputs) -> list:
        listed = isinstance(inputs, (list, tuple)) and not tree.is_shape(inputs)
        if not listed or len(inputs) not in (2, 3):
            came = f"{len(inputs)} inputs" if listed else f"one of shape {tuple(inputs)}"
            raise ValueError(
                f"{self._who} needs a list [query, value] or [query, value, key], got {came}."
            )
        return list(inputs)

    def _masks(self, inputs, mask) -> list:
        """The masks of queries and of values."""
        if mask is None:
            return [None, None]
        if not isinstance(mask, (list, tuple)) or not 2 <= len(mask) <= len(inputs):
            count = f"{len(mask)} masks" if isinstance(mask, (list, tuple)) else "a single one"
            raise ValueError(
                f"{self._who} needs its `mask` to be a list [query_mask, value_mask], got {count}."
            )
        return list(mask[:2])

    def call(
        self,
        inputs,
        mask=None,
        training=False,
        return_attention_scores=False,
        use_causal_mask=False,
    ):
        query, value, *key = inputs
        query_mask, value_mask = self._masks(inputs, mask)
        scores = self._scores(query, key[0] if key else value)
        kept = None if value_mask is None else jnp.asarray(value_mask, bool)[..., None, :]
        if use_causal_mask:
            places = jnp.arange(scores.shape[-1]) <= jnp.arange(scores.shape[-2])[:, None]
            kept = places if kept is None else kept & places
        if kept is not None:
            much = 65504.0 if scores.dtype == "float16" else 1e9
            scores = scores - much * jnp.logical_not(kept).astype(scores.dtype)
        shares = jax.nn.softmax(scores, -1)
        if training and self.dropout > 0:
            shares = random.dropout(shares, self.dropout, seed=self.seed_generator)
        y = shares @ value
        if query_mask is not None:
            y = y * jnp.asarray(query_mask)[..., None].astype(y.dtype)
        return (y, shares) if return_attention_scores else y

    def _scores(self, query, key):
        if self.score_mode == "dot":
            scores = query @ jnp.swapaxes(key, -1, -2)
            return scores if self.scale is None else scores * self.scale
        sums = query[..., :, None, :] + key[..., None, :, :]
        sums = sums if self.scale is None else sums * self.scale
        return jnp.sum(jnp.tanh(sums), -1) * self.concat_score_weight

    def compute_mask(self, inputs, mask=None):
        """The mask of the queries."""
        return self._masks(inputs, mask)[0]


@export("layers.AdditiveAttention")
@fields
class AdditiveAttention(Attention):
    """`Attention` by the sum of `scale * tanh(query + key)` (Bahdanau, 2015, arXiv:1409.0473).

    Shapes: as of `Attention`; `scale` is `(n,)`.
    """

    use_scale: bool = True
    dropout: Fraction = 0.0

    def build(self, input_shape):
        self._listed(input_shape)
        if self.use_scale:
            self.weight("scale", (input_shape[0][-1],), initializer="glorot_uniform")

    def _scores(self, query, key):
        sums = jnp.tanh(query[..., :, None, :] + key[..., None, :, :])
        return jnp.sum(sums if self.scale is None else sums * self.scale, -1)


AdditiveAttention.__fields__.pop("score_mode")  # there is one only
for _cls in (MultiHeadAttention, GroupedQueryAttention):
    _cls.__fields__.pop("flash_attention")  # a matter of the machine, not of the layer
