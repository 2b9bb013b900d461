"""Numbers and categories: Normalization, Discretization, CategoryEncoding, Hashing, crossing."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from keraunos.core import config, registry
from keraunos.core.fields import Axes, Numbers, Positive, checked, fields, needs, positive
from keraunos.core.listed import as_numpy
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.layers.layer import plain_shape
from keraunos.layers.preprocessing import hashing
from keraunos.layers.preprocessing.host import (
    DataLayer,
    HostLayer,
    as_array,
    batches,
    dense,
    encode,
    in_python,
    mode_of,
    strings,
)

_mode = mode_of("int", "one_hot", "multi_hot", "count")
Mode = Annotated[str, _mode]
Dense = Annotated[bool, dense]


@export("layers.Normalization")
class Normalization(DataLayer):
    """Shift and scale to mean 0 and variance 1: `(x - mean) / sqrt(variance)`.

    Mean and variance are given, or learned by `adapt`.

    Args:
        axis: An axis or several, each place along which has a mean and variance of its own;
            None for one pair for all.
        mean, variance: Numbers or arrays that spread over these axes; both or none.
        invert: Undo it instead.
    """

    adapt_mean: Variable
    adapt_variance: Variable
    count: Variable

    @checked
    def __init__(
        self,
        axis: Axes = -1,
        mean: Numbers = None,
        variance: Numbers = None,
        invert: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError(
                "Normalization needs both `mean` and `variance`, or none of them and `adapt`; "
                f"got mean={mean!r} and variance={variance!r}."
            )
        self.axis = () if axis is None else (axis,) if np.ndim(axis) == 0 else tuple(axis)
        self.input_mean = None if mean is None else np.asarray(mean).tolist()
        self.input_variance = None if variance is None else np.asarray(variance).tolist()
        self.invert = bool(invert)

    def build(self, input_shape):
        rank = len(input_shape)
        if any(not -rank <= axis < rank for axis in self.axis):
            raise ValueError(
                f"{self._who} keeps the axes {self.axis}, but its input has the shape "
                f"{tuple(input_shape)}."
            )
        self._kept = sorted({axis % rank for axis in self.axis})
        sizes = tuple(input_shape[axis] for axis in self._kept)
        if None in sizes:
            raise ValueError(
                f"{self._who} needs to know the sizes of the axes {self.axis} of its input, which "
                f"has the shape {tuple(input_shape)}."
            )
        self._spread = [n if i in self._kept else 1 for i, n in enumerate(input_shape)]
        if self.input_mean is None:
            make = lambda start, name, shape=sizes, dtype=None: self.add_weight(
                shape, start, dtype, trainable=False, autocast=False, name=name
            )
            self.adapt_mean, self.adapt_variance = make("zeros", "mean"), make("ones", "variance")
            self.count = make("zeros", "count", (), "int32")
            return
        given = [np.asarray(v, "float32") for v in (self.input_mean, self.input_variance)]
        try:
            self._constants = [np.broadcast_to(value, sizes) for value in given]
        except ValueError:
            raise ValueError(
                f"{self._who} cannot spread mean={self.input_mean} and "
                f"variance={self.input_variance} over the sizes {sizes} of the axes {self.axis}."
            ) from None

    def _moment(self, which: int) -> jax.Array:
        self._check_built_for("mean" if which == 0 else "variance")
        if self.input_mean is None:
            return jnp.reshape((self.adapt_mean, self.adapt_variance)[which].value, self._spread)
        return jnp.reshape(self._constants[which], self._spread)

    @property
    def mean(self) -> jax.Array:
        """In a shape that spreads over the input."""
        return self._moment(0)

    @property
    def variance(self) -> jax.Array:
        """In a shape that spreads over the input."""
        return self._moment(1)

    def adapt(self, data: Any) -> None:
        """Learn mean and variance of an array, or of batches of them, anew."""
        if self.input_mean is not None:
            raise ValueError(f"{self._who} was given `mean` and `variance`; it cannot `adapt`.")
        count, mean, squares = 0, np.zeros(()), np.zeros(())  # Chan et al., 1979: merging moments
        for batch in batches(data):
            x = np.asarray(batch, "float64")
            if not x.size:
                continue
            if not self.built:
                self.build(x.shape)
            axes = tuple(i for i in range(x.ndim) if i not in self._kept)
            more = x.size // max(int(np.prod([x.shape[i] for i in self._kept])), 1)
            shift = x.mean(axes) - mean
            squares = squares + x.var(axes) * more + shift**2 * (count * more / (count + more))
            count, mean = count + more, mean + shift * (more / (count + more))
        if not count:
            raise ValueError(f"{self._who} cannot adapt to data without a batch.")
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(squares / count)
        self.finalize_state()

    def finalize_state(self) -> None:
        """Say if there is nothing to normalize by; `mean` and `variance` follow the variables."""
        self._check_built_for("finalize_state")

    def call(self, inputs):
        x = jnp.asarray(inputs, jnp.promote_types(jnp.asarray(inputs).dtype, self.compute_dtype))
        deviation = jnp.maximum(jnp.sqrt(self.variance), config.epsilon())
        y = self.mean + x * deviation if self.invert else (x - self.mean) / deviation
        return y.astype(self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"axis": self.axis, "invert": self.invert}
        return super().get_config() | own | {
            "mean": self.input_mean,
            "variance": self.input_variance,
        }  # fmt: skip


@export("layers.Discretization")
class Discretization(DataLayer):
    """The number of the bin that each value lies in: `(-inf, b0)`, `[b0, b1)`, ..., `[bn, inf)`.

    Args:
        bin_boundaries: The bounds, in ascending order; or
        num_bins: how many bins of even share `adapt` is to find.
        epsilon: The share of values by which these may be uneven.
        output_mode: "int", or how bins are encoded: "one_hot", "multi_hot" or "count".
    """

    @checked
    def __init__(
        self,
        bin_boundaries: Numbers = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, dtype=dtype, **kwargs)
        if (num_bins is None) == (bin_boundaries is None):
            raise ValueError(
                "Discretization needs either `bin_boundaries`, or `num_bins` and `adapt`; got "
                f"bin_boundaries={bin_boundaries!r} and num_bins={num_bins!r}."
            )
        if num_bins is not None and num_bins < 0:
            raise ValueError(needs(self, "a count", "num_bins", num_bins))
        self.bin_boundaries = None if num_bins is not None else np.asarray(bin_boundaries).tolist()
        self.num_bins, self.epsilon = num_bins, epsilon
        self.output_mode = _mode(output_mode, "output_mode", self)
        self.sparse = dense(sparse, "sparse", self)
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what `update_state` was given."""
        self.summary = np.zeros((2, 0))

    def update_state(self, data: Any) -> None:
        """Add values to the summary, at most `1 / epsilon` values with their weights."""
        values = np.sort(np.asarray(data, "float64"), axis=None)
        weight = max(values.size * self.epsilon, 1.0)
        values = values[int(weight) - 1 :: int(weight)]
        seen = np.concatenate([self.summary, [values, np.full(values.size, weight)]], 1)
        self.summary = _compressed(seen[:, np.argsort(seen[0], kind="stable")], self.epsilon)

    def finalize_state(self) -> None:
        """Find the boundaries of bins of even share."""
        if self.num_bins is not None and self.summary.size:
            found = _compressed(self.summary, 1 / max(self.num_bins, 1))
            self.bin_boundaries = found[0, :-1].astype("float32").tolist()

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the boundaries from an array, or from batches, at most `steps` of them, anew."""
        if self.num_bins is None:
            raise ValueError(f"{self._who} was given `bin_boundaries`; it cannot `adapt`.")
        self.reset_state()
        for batch in batches(data, steps):
            self.update_state(batch)
        self.finalize_state()

    @property
    def output_dtype(self) -> str:
        """Of what `call` returns."""
        return "int32" if self.output_mode == "int" else self.compute_dtype

    @property
    def input_dtype(self) -> str:
        """Of the input that a first layer asks for."""
        return "float32"

    def build(self, input_shape=None):
        pass

    def get_build_config(self):
        return None

    def call(self, inputs):
        if self.bin_boundaries is None:
            raise ValueError(
                f"{self._who} has no boundaries yet: call `adapt(data)` first, or give it "
                "`bin_boundaries`."
            )
        bounds = jnp.asarray(self.bin_boundaries, "float32")
        bins = jnp.searchsorted(bounds, jnp.asarray(inputs, "float32"), side="right")
        if self.output_mode == "int":
            return bins.astype("int32")
        return encode(bins, self.output_mode, len(self.bin_boundaries) + 1, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        names = ("bin_boundaries", "num_bins", "epsilon", "output_mode", "sparse", "name")
        return {name: getattr(self, name) for name in names} | {"dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None):
        given = {name: registry.deserialize(value) for name, value in config.items()}
        learned = given.get("num_bins") is not None and given.pop("bin_boundaries", None)
        layer = cls(**given)
        layer.bin_boundaries = list(learned) if learned else layer.bin_boundaries
        return layer


def _compressed(summary: np.ndarray, share: float) -> np.ndarray:
    """Values and weights, of which each but the last stands for `share` of the total weight."""
    if summary.shape[1] * share < 1:
        return summary
    shares = np.minimum(share * np.arange(1, np.ceil(1 / share - 1e-6) + 1), 1)
    weights = np.cumsum(summary[1])
    values = np.interp(shares * weights[-1], weights, summary[0])
    return np.stack([values, np.diff(shares * weights[-1], prepend=0)])


def _tokens(value, name, owner):
    if value is None:
        raise ValueError(
            "CategoryEncoding needs `num_tokens`. If it is not known how many there are, use "
            "`IntegerLookup`, which learns it."
        )
    return positive(value, name, owner)


@export("layers.CategoryEncoding")
@fields
class CategoryEncoding(DataLayer):
    """Integers from 0 to `num_tokens - 1` as vectors of that size.

    Args:
        output_mode: "one_hot": each integer by itself; "multi_hot": which ones occur along the
            last axis; "count": how often they do.
    """

    num_tokens: Annotated[Any, _tokens] = None
    output_mode: Annotated[str, mode_of("one_hot", "multi_hot", "count")] = "multi_hot"
    sparse: Dense = False

    def build(self, input_shape=None):
        pass

    def call(self, inputs, count_weights=None):
        """Encode `inputs`; with `count_weights`, count each of them by its weight."""
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(
                f"{self._who} does not count in the mode {self.output_mode!r}: `count_weights` is "
                "for the mode 'count'."
            )
        indices = jnp.asarray(inputs).astype("int32")
        return encode(indices, self.output_mode, self.num_tokens, self.compute_dtype, count_weights)

    def get_config(self) -> dict[str, Any]:
        return {name: v for name, v in super().get_config().items() if name != "sparse"}


def _salt(value, name, owner):
    if value is None or (isinstance(value, (list, tuple)) and len(value) == 2):
        return value and tuple(value)
    if isinstance(value, (int, np.integer)):
        return (int(value), int(value))
    raise ValueError(needs(owner, "an integer or two of them", name, value))


Salt = Annotated[Any, _salt]


def words(value: Any, owner: HostLayer) -> tuple[list[bytes], tuple]:
    """Strings, or integers as they are written, as bytes; and their shape."""
    array = as_numpy(value)
    if array.dtype.kind in "iu":
        return [b"%d" % n for n in array.ravel().tolist()], array.shape
    if array.dtype.kind in "fbc":
        raise TypeError(f"{owner._who} needs strings or integers, got {array.dtype}.")
    if array.dtype.kind == "O" and all(isinstance(n, int) for n in array.flat):
        return words(array.astype("int64"), owner)
    flat, shape = strings(value, owner)
    return [text.encode() for text in flat], shape


@export("layers.Hashing")
@fields
class Hashing(HostLayer):
    """Strings or integers as numbers below `num_bins`, alike on all machines and at all times.

    The hash is FarmHash's fingerprint, or SipHash with a salt; that of an integer is that of its
    digits.

    Args:
        mask_value: An input that gives 0, which then no other does.
        salt: An integer, or two, that make the hash another one.
        output_mode: "int", or how bins are encoded: "one_hot", "multi_hot" or "count".
    """

    num_bins: Positive
    mask_value: Any = None
    salt: Salt = None
    output_mode: Mode = "int"
    sparse: Dense = False

    def _prepare(self, inputs):
        if isinstance(inputs, Tracer):
            return in_python(self._bins, inputs)
        return self._bins(inputs)

    def _bins(self, inputs: Any) -> np.ndarray:
        given, shape = words(inputs, self)
        masked = self.mask_value is not None and self.num_bins > 1
        bins = np.array(hashing.buckets(given, self.num_bins - masked, self.salt), "int32")
        if masked:
            (mask,), _ = words([self.mask_value], self)
            bins = np.where([word == mask for word in given], 0, bins + 1)
        return bins.reshape(shape).astype("int32")

    def _finish(self, indices):
        if self.output_mode == "int":
            return jnp.asarray(indices, "int32")
        return encode(indices, self.output_mode, self.num_bins, self.compute_dtype)


@export("layers.HashedCrossing")
@fields
class HashedCrossing(HostLayer):
    """Several categories as one: the hash of all their values together, below `num_bins`.

    Shapes: a list of arrays of strings or integers, `()`, `(batch,)` or `(batch, 1)` each.

    Args:
        output_mode: "int" or "one_hot".
    """

    num_bins: Positive
    output_mode: Annotated[str, mode_of("int", "one_hot")] = "int"
    sparse: Dense = False
    name: Any = None
    dtype: Any = None

    def _read(self, inputs):
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ValueError(f"{self._who} crosses a list of at least two arrays, got {inputs!r}.")
        features = [as_array(feature) for feature in inputs]
        shapes = [plain_shape(feature) for feature in features]
        known = {shape[:1] for shape in shapes if shape[:1] != (None,)}
        if (
            len({shape[1:] for shape in shapes}) > 1
            or shapes[0][1:] not in ((), (1,))
            or len(known) > 1
        ):
            raise ValueError(
                f"{self._who} needs arrays of one shape, (), (batch,) or (batch, 1); got "
                f"{', '.join(map(str, shapes))}."
            )
        return features

    def _prepare(self, inputs):
        if any(isinstance(x, Tracer) for x in inputs):
            return in_python(lambda *given: self._bins(given), *inputs)
        return self._bins(inputs)

    def _bins(self, inputs: Any) -> np.ndarray:
        columns = []
        for feature in map(np.asarray, inputs):
            if feature.dtype.kind not in "iu":
                given, shape = words(feature, self)
                feature = hashing.hashed(given, hashing.fingerprint).reshape(shape)
            columns.append(np.atleast_1d(feature))
        bins = hashing.crossed(columns) % np.uint64(self.num_bins)
        return bins.astype("int32").reshape(np.shape(inputs[0]))

    def _finish(self, indices):
        if self.output_mode == "int":
            return jnp.asarray(indices, "int32")
        return encode(indices, "one_hot", self.num_bins, self.compute_dtype)
