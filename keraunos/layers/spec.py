"""What a layer expects of its input, and the kinds of argument that layers share.

Shared arguments, described once for all layers that have them:

* `kernel_initializer`, `bias_initializer`, ...: how the variable of that name starts; a name
  ("glorot_uniform"), an `Initializer`, or a function of `(shape, dtype)`.
* `kernel_regularizer`, ...: a penalty on the variable, added to the loss.
* `kernel_constraint`, ...: a rule that the variable is put under after every update.
* `data_format`: "channels_last", "channels_first", or None for `image_data_format()`.
* `padding`: "valid" adds nothing; "same" adds zeros so that stride 1 keeps the size.
* `strides`, `kernel_size`, `pool_size`, `dilation_rate`: an integer for all spatial axes,
  or one for each.
"""

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from keraunos import constraints, initializers, regularizers
from keraunos.core import registry
from keraunos.core.dtypes import standardize_dtype
from keraunos.core.fields import checked, fields, listed, mapping, option, optional, via

Initializer = Annotated[Any, via(initializers.get)]
Regularizer = Annotated[Any, via(regularizers.get)]
Constraint = Annotated[Any, via(constraints.get)]


if TYPE_CHECKING:

    @fields
    class Options:
        trainable: Any = option(default=True)
        dtype: Any = option(default=None)
        autocast: bool = option(default=True)
        name: Any = option(default=None)
        input_shape: Any = option(default=None)
        batch_input_shape: Any = option(default=None)
        input_dim: Any = option(default=None)
        input_length: Any = option(default=None)
        batch_size: Any = option(default=None)
        weights: Any = option(default=None)

else:

    class Options:
        """The arguments that all layers take by keyword, as editors and type checkers see them."""


@registry.export("layers.InputSpec")
@registry.export("InputSpec")
class InputSpec:
    """What is expected of one input tensor. All arguments are optional.

    Args:
        dtype: Its dtype.
        shape: Its whole shape; None for an unknown size.
        ndim, max_ndim, min_ndim: Its number of axes, or bounds on it.
        axes: `{axis: size}` for axes of a known size.
        allow_last_axis_squeeze: Whether a last axis of size 1 may be missing or be extra.
        name: The key under which it is found in a dict of inputs.
        optional: Whether the input may be None.
    """

    @checked
    def __init__(
        self,
        dtype: Any = None,
        shape: Annotated[Any, optional(listed)] = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Annotated[Any, optional(mapping)] = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ):
        self.dtype = None if dtype is None else standardize_dtype(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze, self.name, self.optional = (
            allow_last_axis_squeeze,
            name,
            optional,
        )

    def __repr__(self) -> str:
        given = {name: value for name, value in self.get_config().items() if value}
        return f"InputSpec({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "InputSpec":
        return cls(**config)

    def objection(self, shape: tuple) -> str | None:
        """What is wrong with an input of `shape`, or None."""
        if self.shape is not None and self.allow_last_axis_squeeze:
            if shape and shape[-1] == 1 and len(shape) == len(self.shape) + 1:
                shape = shape[:-1]
            elif self.shape[-1:] == (1,) and len(shape) == len(self.shape) - 1:
                shape = (*shape, 1)
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            return f"an input of {self.ndim} axes"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"an input of at most {self.max_ndim} axes"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"an input of at least {self.min_ndim} axes"
        for axis, size in self.axes.items():
            have = shape[axis] if -rank <= axis < rank else 0
            if None not in (have, size) and have != size:
                return f"size {size} on axis {axis}"
        for have, want in zip(shape, self.shape or ()):
            if have is not None and want is not None and have != want:
                return f"shape {self.shape}"
        return None


def plain(shape: Any) -> tuple[int | None, ...]:
    """A shape, with None for sizes that are not known."""
    return tuple(int(n) if isinstance(n, (int, np.integer)) else None for n in shape)


def plain_shape(value) -> tuple[int | None, ...]:
    """The shape of a tensor, with None for sizes that are not known."""
    return plain(value.shape)


def batch_input_shape(given: dict[str, Any]) -> tuple | None:
    """What a first layer says of the model's input, batch included; taken out of `given`."""
    batch = given.pop("batch_size", None)
    whole, shape = given.pop("batch_input_shape", None), given.pop("input_shape", None)
    whole = given.pop("batch_shape", whole)
    length, width = given.pop("input_length", None), given.pop("input_dim", None)
    if whole is not None:
        return tuple(whole)
    if shape is None and width is not None:
        shape = (width,) if length is None else (length, width)
    if shape is None:
        return None if length is None else (batch, length)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return (batch, *shape)
