"""Weights that are stored in another form, under the interface of a variable.

A layer asks for a product by `contract(product, x, weight)`, where `product(x, array)` is what it
computes with a plain array, a matrix product or an einsum. A weight that is stored in integers may
then quantize `x` too, and compute in integers; one that is trained in eight-bit floats may watch
the magnitudes of `x` and of the gradient.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from keraunos.core.state import Variable
from keraunos.quantizers.quantize import (
    compute_float8_amax_history,
    compute_float8_scale,
    pack_int4,
    quantize_and_dequantize,
    unpack_int4,
)

Product = Callable[..., Any]


class Layout(NamedTuple):
    """Which axes of a weight a product sums over, and where the others go.

    Letters as in an `einsum`; more axes may come before those of `source` and `target`.
    """

    source: str
    kernel: str
    target: str

    @property
    def contracted(self) -> tuple[int, ...]:
        """The axes of the weight that are summed over."""
        return tuple(i for i, c in enumerate(self.kernel) if c not in self.target)

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of the weight, those summed over first: it is then a matrix."""
        kept = tuple(i for i in range(len(self.kernel)) if i not in self.contracted)
        return self.contracted + kept

    def matrix(self, kernel: jax.Array) -> jax.Array:
        """`kernel` as a matrix from inputs to outputs."""
        return jnp.transpose(kernel, self.order).reshape(self.sizes(kernel.shape))

    def sizes(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The numbers of inputs and of outputs of a kernel of `shape`."""
        rows = math.prod(shape[axis] for axis in self.contracted)
        return rows, math.prod(shape) // rows

    def kernel_of(self, matrix: Any, shape: tuple[int, ...]) -> jax.Array:
        """The kernel of `shape` that `matrix` was made of."""
        turned = matrix.reshape([shape[axis] for axis in self.order])
        return jnp.transpose(turned, [self.order.index(axis) for axis in range(len(shape))])

    def input_axes(self) -> tuple[int, ...]:
        """The axes of the input that are summed over, from the last."""
        size = len(self.source)
        return tuple(i - size for i, c in enumerate(self.source) if c not in self.target)

    def rows(self, x: jax.Array) -> jax.Array:
        """The input as a matrix, with a column for each row of the matrix of the kernel."""
        axes = [self.source.index(self.kernel[axis]) for axis in self.contracted]
        axes = [axis - len(self.source) for axis in axes]
        ends = range(-len(axes), 0)
        return jnp.moveaxis(x, axes, [*ends]).reshape(-1, math.prod(x.shape[i] for i in axes))

    def at_output(self, scale: Any, letters: str) -> jax.Array:
        """`scale`, whose last axes are `letters`, to be multiplied with the output."""
        return _aligned(scale, letters, self.target)

    def at_kernel(self, scale: Any) -> jax.Array:
        """`scale`, which fits the output, to be multiplied with the weight."""
        return _aligned(scale, self.target, self.kernel)


def _aligned(array: Any, letters: str, target: str) -> jax.Array:
    """`array` with the axes of `target`; those that are not in both have size 1."""
    lead = array.ndim - len(letters)
    gone = [lead + i for i, c in enumerate(letters) if c not in target]
    array, letters = jnp.squeeze(array, gone), "".join(c for c in letters if c in target)
    order = [lead + letters.index(c) for c in target if c in letters]
    array = jnp.transpose(array, [*range(lead), *order])
    return jnp.expand_dims(array, [lead + i for i, c in enumerate(target) if c not in letters])


class Form(Variable):
    """A weight that is computed from variables. Its `value` is what is computed with."""

    def __init__(self, stored: Variable, shape: tuple[int, ...], dtype: str):
        self.stored, self.name, self.path = stored, stored.name, stored.path
        self.shape, self.dtype, self._trainable = tuple(shape), dtype, stored.trainable
        self.regularizer, self.constraint = stored.regularizer, stored.constraint

    @property
    def _array(self) -> jax.Array:
        return self.value

    def contract(self, product: Product, x: Any, ends_alike: bool = True) -> Any:
        return product(x, self.value)

    def assign(self, value: Any) -> Variable:
        raise TypeError(
            f"{self.path} is computed from other variables, it cannot be assigned. Assign those of "
            "`layer.weights`, or load weights into a layer before it is quantized."
        )


def contract(product: Product, x: Any, weight: Variable, ends_alike: bool = True) -> Any:
    """`product(x, weight)`, or what the form in which `weight` is stored makes of it.

    `ends_alike` says that the product ends with the last axis of the weight.
    """
    if isinstance(weight, Form):
        return weight.contract(product, x, ends_alike)
    return product(x, weight.value)


class Packing(NamedTuple):
    """How the integers of a matrix from inputs to outputs lie in a variable.

    Args:
        axis: Of the matrix, along which two share a byte; None if each has its own.
        transposed: Whether the matrix lies from outputs to inputs.
    """

    axis: int | None
    transposed: bool = False
    dtype: str = "int8"

    def shape(self, rows: int, columns: int) -> tuple[int, int]:
        """The shape of the variable."""
        sizes = [-(-n // 2) if axis == self.axis else n for axis, n in enumerate((rows, columns))]
        return self.turned(sizes)

    def turned(self, pair: Any) -> Any:
        """A matrix, or a shape, in the direction of the variable; and back."""
        if not self.transposed:
            return tuple(pair) if isinstance(pair, list) else pair
        return tuple(pair[::-1]) if isinstance(pair, list) else pair.T

    def pack(self, matrix: Any) -> jax.Array:
        if self.axis is not None:
            matrix = pack_int4(matrix, self.axis, self.dtype)[0]
        return self.turned(matrix)

    def unpack(self, stored: Any, sizes: tuple[int, int]) -> jax.Array:
        matrix = self.turned(stored)
        if self.axis is None:
            return matrix
        return unpack_int4(matrix, sizes[self.axis], self.axis, self.dtype)


class PerOutput(Form):
    """Integers, and a scale for each output; inputs become integers too, if so configured."""

    def __init__(self, stored, shape, dtype, layout: Layout, packing, scale, quantizer):
        super().__init__(stored, shape, dtype)
        self.layout, self.packing, self.scale = layout, packing, scale
        self.quantizer = quantizer

    @property
    def integers(self) -> jax.Array:
        if self.packing is None:
            return self.stored.value
        return self.packing.unpack(self.stored.value, self.layout.sizes(self.shape))

    @property
    def value(self) -> jax.Array:
        scale = self.scale.value
        if self.packing is None:
            return self.integers.astype(scale.dtype) / self.layout.at_kernel(scale)
        return self.packing.turned(self.integers.astype(scale.dtype) / scale).reshape(self.shape)

    def contract(self, product: Product, x: Any, ends_alike: bool = True) -> Any:
        if self.quantizer is None or not jnp.issubdtype(x.dtype, jnp.floating):
            return product(x, self.value)
        layout, weights = self.layout, self.scale.value
        integers = self.integers if self.packing is None else None

        @jax.custom_vjp
        def rounded(x, value):
            small, scale = self.quantizer(x, axis=layout.input_axes())
            scale = layout.at_output(scale, layout.source)
            if integers is None:
                return product(small.astype(x.dtype), value) / scale
            y = product(small, integers, preferred_element_type="int32").astype(x.dtype)
            return y / (scale * weights).astype(x.dtype)

        def forward(x, value):
            return rounded(x, value), (x, value)

        def backward(saved, dy):
            return jax.vjp(product, *saved)[1](dy)

        rounded.defvjp(forward, backward)
        return rounded(x, self.value)


class Grouped(Form):
    """Integers of few bits, and a scale and a zero point for each group of inputs.

    Args:
        group: The group of each input.
        factors: What each input's weights were multiplied by before they were rounded.
    """

    def __init__(
        self, stored, shape, dtype, layout: Layout, packing: Packing, scale, zero, group, factors
    ):
        super().__init__(stored, shape, dtype)
        self.layout, self.packing = layout, packing
        self.scale, self.zero, self.group, self.factors = scale, zero, group, factors

    @property
    def value(self) -> jax.Array:
        packing, scale = self.packing, self.packing.turned(self.scale.value)
        integers = packing.unpack(self.stored.value, self.layout.sizes(self.shape))
        group = jnp.asarray(self.group.value, "int32")
        zero = packing.turned(self.zero.value).astype(scale.dtype)
        matrix = (integers.astype(scale.dtype) - zero[group]) * scale[group]
        if self.factors is not None:
            matrix = matrix / self.factors.value[:, None]
        if self.packing.dtype == "int8":
            return packing.turned(matrix).reshape(self.shape)
        return self.layout.kernel_of(matrix, self.shape)


# Eight-bit floats: what "delayed scaling" calls a scale that follows earlier magnitudes. ------


class Float8(Form):
    """A weight whose products are computed of eight-bit floats.

    The scales and the histories of magnitudes behind them are trainable variables whose
    "gradients" are their next values, which the optimizer assigns.
    """

    def __init__(self, stored, inputs, kernel, gradient):
        super().__init__(stored, stored.shape, stored.dtype)
        self.states = (inputs, kernel, gradient)

    @property
    def value(self) -> jax.Array:
        return self.stored.value

    def contract(self, product: Product, x: Any, ends_alike: bool = True) -> Any:
        inputs, kernel, gradient = ([v.value for v in pair] for pair in self.states)
        y = product(_seen(x, *inputs), _seen(self.value, *kernel))
        return _seen_backwards(y, *gradient)


def _next(x, scale, history, dtype: str):
    largest = float(jnp.finfo(dtype).max)
    new = compute_float8_scale(jnp.max(history), scale, largest)
    return new, compute_float8_amax_history(x, history)


@jax.custom_vjp
def _seen(x, scale, history):
    return quantize_and_dequantize(x, scale, "float8_e4m3fn", x.dtype)


_seen.defvjp(
    lambda x, scale, history: (
        _seen(x, scale, history),
        _next(x, scale, history, "float8_e4m3fn"),
    ),
    lambda new, dy: (dy, *new),
)


@jax.custom_vjp
def _seen_backwards(y, scale, history):
    return y


_seen_backwards.defvjp(
    lambda y, scale, history: (y, (scale, history)),
    lambda saved, dy: (
        quantize_and_dequantize(dy, saved[0], "float8_e5m2", dy.dtype),
        *_next(dy, saved[0], saved[1], "float8_e5m2"),
    ),
)
