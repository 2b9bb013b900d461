"""Where a graph starts: `Input` makes a symbolic tensor, `InputLayer` is the layer behind it."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from keraunos.core import config, errors
from keraunos.core.dtypes import standardize_dtype
from keraunos.core.facts import Fact
from keraunos.core.graph import KerasTensor, Node
from keraunos.core.registry import export
from keraunos.layers.layer import Layer

Sizes = Iterable[int | None]


def _sizes(shape: Any) -> tuple[int | None, ...]:
    try:
        sizes = tuple(shape)
    except TypeError:
        sizes = ("",)
    if not all(n is None or (isinstance(n, (int, np.integer)) and n >= 0) for n in sizes):
        raise ValueError(
            f"`shape` must be a tuple of sizes, None for those that are not known, got {shape!r}."
        )
    return tuple(n if n is None else int(n) for n in sizes)


@export("layers.InputLayer")
class InputLayer(Layer):
    """The start of a graph; `layer.output` is the symbolic tensor. Usually made by `Input`.

    Args:
        shape: Without the batch.
        batch_size: How many examples a batch has, if that is fixed.
        batch_shape: With the batch, instead of the former two.
        input_tensor: A symbolic tensor to take, instead of making one.
        optional: Whether None may be given for this input.
    """

    batch_shape = Fact[tuple[int | None, ...]]()

    def __init__(
        self,
        shape: Sizes | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sizes | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        if shape is None:
            shape = kwargs.pop("input_shape", None)
        if batch_shape is None:
            batch_shape = kwargs.pop("batch_input_shape", None)
        trainable = kwargs.pop("trainable", True)
        if kwargs:
            raise ValueError(f"InputLayer() got unexpected arguments: {kwargs}.")
        for other, value in (("shape", shape), ("batch_size", batch_size)):
            if batch_shape is not None and value is not None:
                raise ValueError(f"Give either `batch_shape` or `{other}`, not both.")
        if ragged:
            raise ValueError(
                "Ragged tensors are not supported; pad them (`keras.utils.pad_sequences`) and "
                "use a mask."
            )
        if input_tensor is not None:
            if not isinstance(input_tensor, KerasTensor):
                raise ValueError(f"`input_tensor` must be a KerasTensor, got {input_tensor!r}.")
            dtype, sparse = dtype or input_tensor.dtype, sparse or input_tensor.sparse
            whole = input_tensor.shape
        elif batch_shape is not None:
            whole = _sizes(batch_shape)
        elif shape is not None:
            whole = (batch_size, *_sizes(shape))
        else:
            raise ValueError("An input needs a `shape`, or a `batch_shape`.")
        dtype = standardize_dtype(dtype or config.floatx())
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.batch_shape, self.sparse, self.optional = tuple(whole), bool(sparse), bool(optional)
        self.built, self._dtype_name = True, dtype
        tensor = input_tensor
        if tensor is None:
            tensor = KerasTensor(whole, dtype, sparse=self.sparse, name=name)
        self.made_from = tensor.node  # the call that made it, if it is not new
        Node(self, (), {}, tensor)

    @property
    def dtype(self) -> str:
        """The dtype of the tensor; of any kind, not only of a float kind."""
        return self._dtype_name

    def call(self, inputs=None):
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": self.sparse,
            "ragged": False,
            "name": self.name,
            "optional": self.optional,
        }


@errors.door
def Input(
    shape: Sizes | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sizes | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """A symbolic tensor from which models are built.

        x = keras.Input((28, 28, 1))
        y = keras.layers.Flatten()(x)
        model = keras.Model(x, y)

    Args:
        shape: Without the batch.
        batch_size: How many examples a batch has, if that is fixed.
        batch_shape: With the batch, instead of the former two.
        tensor: A symbolic tensor to take, instead of making one.
        optional: Whether None may be given for this input.
    """
    layer = InputLayer(
        shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name
    )
    return layer.output
