"""Layers that make one tensor out of a list of tensors, and the same as functions."""

import functools
import operator
from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import lax

from keraunos.core import errors, tree
from keraunos.core.fields import fields, needs
from keraunos.core.registry import export
from keraunos.layers.layer import Layer


class Merge(Layer):
    """Fold the inputs with `self.fold`, element by element.

    Shapes: a list of tensors that broadcast together, with the same batch. A tensor of fewer
    axes gets axes of size 1 after the batch.
    """

    _config_tells_shape = True

    fold: ClassVar[Callable]
    count: ClassVar[int | None] = None
    supports_masking = True

    def build(self, input_shape):
        shapes = self._listed(input_shape)
        batches = {shape[0] for shape in shapes if shape} - {None}
        if len(batches) > 1:
            raise ValueError(f"{self._who} merges batches of one size, got the shapes {shapes}.")
        known = [tuple(1 if n is None else n for n in shape[1:]) for shape in shapes]
        try:
            np.broadcast_shapes(*known)
        except ValueError:
            raise ValueError(
                f"{self._who} merges shapes that broadcast together, got the shapes {shapes}. "
                "Bring them to the same shape first, as by a Dense layer with as many units."
            ) from None

    def _listed(self, shapes) -> list[tuple]:
        """The shapes, if there are as many as it takes."""
        many = f"a list of {self.count}" if self.count else "a list of"
        if not isinstance(shapes, (list, tuple)) or tree.is_shape(shapes):
            raise ValueError(f"{self._who} needs {many} tensors, got one of shape {shapes}.")
        if len(shapes) != (self.count or len(shapes) or 1):
            raise ValueError(f"{self._who} needs {many} tensors, got {len(shapes)}: {shapes}.")
        return [tuple(shape) for shape in shapes]

    def call(self, inputs):
        rank = max(x.ndim for x in inputs)
        wide = [x if x.ndim == rank else _widened(x, rank) for x in inputs]
        return functools.reduce(type(self).fold, wide)

    def compute_mask(self, inputs, mask=None):
        """A step is real where any of the inputs has it; there is none if one has no mask."""
        if not isinstance(mask, (list, tuple)) or any(m is None for m in mask):
            return None
        return functools.reduce(jnp.logical_or, mask)


def _widened(x, rank: int):
    return x.reshape((*x.shape[:1], *(1,) * (rank - x.ndim), *x.shape[1:]))


@export("layers.Add")
class Add(Merge):
    """Sum of the inputs."""

    fold = operator.add


@export("layers.Subtract")
class Subtract(Merge):
    """First input minus the second."""

    fold = operator.sub
    count = 2


@export("layers.Multiply")
class Multiply(Merge):
    """Product of the inputs."""

    fold = operator.mul


@export("layers.Average")
class Average(Merge):
    """Mean of the inputs."""

    fold = operator.add

    def call(self, inputs):
        return super().call(inputs) / len(inputs)


@export("layers.Maximum")
class Maximum(Merge):
    """Largest of the inputs."""

    fold = jnp.maximum


@export("layers.Minimum")
class Minimum(Merge):
    """Smallest of the inputs."""

    fold = jnp.minimum


@export("layers.Concatenate")
@fields
class Concatenate(Merge):
    """The inputs, joined along `axis`. All other sizes must agree."""

    axis: int = -1

    def build(self, input_shape):
        shapes = self._listed(input_shape)
        rank = len(shapes[0])
        others = {tuple(n for i, n in enumerate(s) if i != self.axis % rank) for s in shapes}
        sizes = [set(along) - {None} for along in zip(*others)]
        ranks = {len(shape) for shape in shapes}
        if len(ranks) > 1 or not -rank <= self.axis < rank or any(len(s) > 1 for s in sizes):
            raise ValueError(
                f"{self._who} joins along axis {self.axis} what agrees in all other sizes, got "
                f"the shapes {shapes}."
            )

    def call(self, inputs):
        return jnp.concatenate(inputs, self.axis)

    def compute_mask(self, inputs, mask=None):
        """The masks, joined; without one a tensor is real everywhere."""
        if not isinstance(mask, (list, tuple)) or all(m is None for m in mask):
            return None
        rank = max(m.ndim for m in mask if m is not None)
        full = [
            jnp.ones(x.shape[:rank], bool) if m is None else jnp.asarray(m, bool)
            for m, x in zip(mask, inputs)
        ]
        axis = self.axis % inputs[0].ndim
        return jnp.concatenate(full, axis) if axis < rank else functools.reduce(operator.or_, full)


@export("layers.Dot")
@fields
class Dot(Merge):
    """Products of two tensors, example by example, summed along one axis of each.

    Shapes: `(batch, *n)` and `(batch, *m)` to the rest of both, `(batch, *n', *m')`; of two
    vectors, `(batch, 1)`.

    Args:
        axes: The axis to sum along, or one for each tensor; the batch is axis 0.
        normalize: Whether vectors along it are given length 1 first, which makes the products
            cosines.
    """

    axes: Any
    normalize: bool = False
    count = 2

    def __post_init__(self):
        if isinstance(self.axes, (int, np.integer)):
            return
        if not isinstance(self.axes, (list, tuple)):
            raise TypeError(needs(self, "an integer or two", "axes", self.axes))
        if len(self.axes) != 2 or not all(isinstance(a, (int, np.integer)) for a in self.axes):
            raise ValueError(needs(self, "an integer or two", "axes", self.axes))

    def _places(self, *shapes) -> list[int]:
        """The axis of each of two tensors, counted from the left."""
        axes = [self.axes] * 2 if isinstance(self.axes, (int, np.integer)) else self.axes
        for shape, axis in zip(shapes, axes):
            if not -len(shape) < axis < len(shape) or axis == 0:
                raise ValueError(
                    f"{self._who} cannot sum along axis {axis} of the shapes {list(shapes)}; the "
                    "batch, axis 0, does not count."
                )
        return [int(axis) % len(shape) for shape, axis in zip(shapes, axes)]

    def build(self, input_shape):
        shapes = self._listed(input_shape)
        sizes = [shape[axis] for shape, axis in zip(shapes, self._places(*shapes))]
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                f"{self._who} sums along axes of one size, got {sizes[0]} and {sizes[1]} in the "
                f"shapes {shapes}."
            )

    def call(self, inputs):
        one, two = inputs
        i, j = self._places(one.shape, two.shape)
        if self.normalize:
            one, two = _of_length_1(one, i), _of_length_1(two, j)
        dtype = jnp.promote_types(one.dtype, two.dtype)
        one, two = one.astype(dtype), two.astype(dtype)
        y = lax.dot_general(one, two, (((i,), (j,)), ((0,), (0,))))
        return y[:, None] if y.ndim == 1 else y

    def compute_mask(self, inputs, mask=None):
        return None


def _of_length_1(x, axis: int):
    return x * lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(x), axis, keepdims=True), 1e-12))


@errors.door
def add(inputs: Any, **kwargs: Any) -> Any:
    """Sum of the inputs."""
    return Add(**kwargs)(inputs)


@errors.door
def subtract(inputs: Any, **kwargs: Any) -> Any:
    """First input minus the second."""
    return Subtract(**kwargs)(inputs)


@errors.door
def multiply(inputs: Any, **kwargs: Any) -> Any:
    """Product of the inputs."""
    return Multiply(**kwargs)(inputs)


@errors.door
def average(inputs: Any, **kwargs: Any) -> Any:
    """Mean of the inputs."""
    return Average(**kwargs)(inputs)


@errors.door
def maximum(inputs: Any, **kwargs: Any) -> Any:
    """Largest of the inputs."""
    return Maximum(**kwargs)(inputs)


@errors.door
def minimum(inputs: Any, **kwargs: Any) -> Any:
    """Smallest of the inputs."""
    return Minimum(**kwargs)(inputs)


@errors.door
def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """The inputs, joined along `axis`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


@errors.door
def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """Products of two tensors, example by example, summed along `axes`."""
    return Dot(axes=axes, **kwargs)(inputs)
