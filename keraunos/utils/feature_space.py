"""FeatureSpace: the columns of a table, each preprocessed and encoded in its own way."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from keraunos import layers, ops, saving
from keraunos.core import config as settings, registry
from keraunos.core.fields import did_you_mean
from keraunos.core.graph import KerasTensor
from keraunos.core.naming import auto_name
from keraunos.core.registry import export
from keraunos.layers.layer import Layer
from keraunos.layers.preprocessing.host import as_array

_KINDS = (
    "float",
    "float_rescaled",
    "float_normalized",
    "integer_categorical",
    "string_categorical",
)
_MODES = {"feature": ("int", "one_hot", "float"), "cross": ("int", "one_hot")}


@export("layers.TFDIdentity")
class TFDIdentity(Layer):
    """Nothing: a feature as it is."""

    def build(self, input_shape=None):
        pass

    def call(self, x):
        return x


@export("layers.Cross")
class Cross:
    """Several features as one: their values hashed together into `crossing_dim` bins."""

    def __init__(self, feature_names: Any, crossing_dim: int, output_mode: str = "one_hot"):
        self.feature_names, self.crossing_dim = tuple(feature_names), crossing_dim
        self.output_mode = settings.one_of("output_mode", output_mode, _MODES["cross"])

    @property
    def name(self) -> str:
        return "_X_".join(self.feature_names)

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Cross":
        return cls(**config)


@export("layers.Feature")
class Feature:
    """How a feature is read, preprocessed by a layer, and encoded: "int", "one_hot" or "float"."""

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str):
        self.dtype = dtype
        self.preprocessor = (
            registry.deserialize(preprocessor, kind="layers")
            if isinstance(preprocessor, Mapping)
            else preprocessor
        )
        self.output_mode = settings.one_of("output_mode", output_mode, _MODES["feature"])

    def get_config(self) -> dict[str, Any]:
        return {name: registry.serialize(value) for name, value in vars(self).items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Feature":
        return cls(**config)


@export("utils.FeatureSpace")
class FeatureSpace(Layer):
    """The columns of a table as one vector, or as a dict of vectors.

        space = FeatureSpace({"age": "float_normalized", "city": "string_categorical"})
        space.adapt(table)  # a dict of columns, or batches of such dicts
        vectors = space({"age": [31, 59], "city": ["Graz", "Linz"]})

    Args:
        features: By the name of each column a type, such as "integer_hashed", or what a class
            method of that name gives for other arguments than the default ones.
        output_mode: "concat": all features side by side, in the order of their names, then the
            crosses; or "dict".
        crosses: Tuples of names of features that also count together, or `FeatureSpace.cross`.
        crossing_dim, hashing_dim, num_discretization_bins: The sizes that types and crosses
            without arguments have.
    """

    def __init__(
        self,
        features: Any,
        output_mode: str = "concat",
        crosses: Any = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ):
        super().__init__(name=name)
        if not isinstance(features, Mapping) or not features:
            raise ValueError(f"FeatureSpace needs a dict of features, got {features!r}.")
        self.crossing_dim, self.hashing_dim = crossing_dim, hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.output_mode = settings.one_of("output_mode", output_mode, ("concat", "dict"))
        self.features = {key: self._feature(key, value) for key, value in features.items()}
        self.crosses = [self._cross(value) for value in crosses or ()]
        self.crosses_by_name = {cross.name: cross for cross in self.crosses}
        self.inputs = {
            key: layers.Input((1,), dtype=feature.dtype, name=key)
            for key, feature in self.features.items()
        }
        self.preprocessors = {key: each.preprocessor for key, each in self.features.items()}
        self.crossers = {
            cross.name: layers.HashedCrossing(num_bins=cross.crossing_dim, name=cross.name)
            for cross in self.crosses
        }
        self.one_hot_encoders: dict[str, Layer] = {}
        self.encoded_features: Any = None

    # Kinds of features --------------------------------------------------------------------------

    @classmethod
    def cross(cls, feature_names: Any, crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Several features as one."""
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """A feature of a preprocessor of one's own, a layer."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Numbers as they are."""
        return Feature("float32", TFDIdentity(name=_named("float", name)), "float")

    @classmethod
    def float_rescaled(
        cls, scale: Any = 1.0, offset: Any = 0.0, name: str | None = None
    ) -> Feature:
        """Numbers times `scale` plus `offset`."""
        own = _named("float_rescaled", name)
        return Feature("float32", layers.Rescaling(scale, offset, name=own), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers with mean 0 and variance 1."""
        own = _named("float_normalized", name)
        return Feature("float32", layers.Normalization(axis=-1, name=own), "float")

    @classmethod
    def float_discretized(
        cls,
        num_bins: int,
        bin_boundaries: Any = None,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Numbers by the bin they lie in: `num_bins` of even share, or those between bounds."""
        count = num_bins if bin_boundaries is None else None
        own = _named("float_discretized", name)
        bins = layers.Discretization(bin_boundaries, count, name=own)
        return Feature("float32", bins, output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Integers by their places in a vocabulary."""
        own = _named("integer_categorical", name)
        sizes = {"max_tokens": max_tokens, "num_oov_indices": num_oov_indices}
        lookup = layers.IntegerLookup(**sizes, name=own)
        return Feature("int32", lookup, output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Strings by their places in a vocabulary."""
        own = _named("string_categorical", name)
        sizes = {"max_tokens": max_tokens, "num_oov_indices": num_oov_indices}
        lookup = layers.StringLookup(**sizes, name=own)
        return Feature("string", lookup, output_mode)

    @classmethod
    def integer_hashed(
        cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Integers by their hash."""
        own = _named("integer_hashed", name)
        return Feature("int32", layers.Hashing(num_bins=num_bins, name=own), output_mode)

    @classmethod
    def string_hashed(
        cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Strings by their hash."""
        own = _named("string_hashed", name)
        return Feature("string", layers.Hashing(num_bins=num_bins, name=own), output_mode)

    def _feature(self, key: str, value: Any) -> Feature:
        if isinstance(value, Mapping):
            return registry.deserialize(value)
        if isinstance(value, Feature):
            return value
        kinds = dict.fromkeys(_KINDS, ()) | {
            "float_discretized": (self.num_discretization_bins,),
            "integer_hashed": (self.hashing_dim,),
            "string_hashed": (self.hashing_dim,),
        }
        if value not in kinds:
            raise ValueError(
                f"The feature {key!r} needs a type, one of {', '.join(kinds)}, or a `Feature`; got "
                f"{value!r}{did_you_mean(str(value), kinds)}"
            )
        return getattr(self, value)(*kinds[value], name=key)

    def _cross(self, value: Any) -> Cross:
        if isinstance(value, Mapping):
            value = registry.deserialize(value)
        elif not isinstance(value, Cross):
            value = Cross(value, self.crossing_dim)
        if unknown := [name for name in value.feature_names if name not in self.features]:
            raise ValueError(
                f"The cross {value.feature_names} names {unknown[0]!r}, which is no feature; there "
                f"are {', '.join(self.features)}."
            )
        return value

    # Learning ---------------------------------------------------------------------------------

    def adapt(self, dataset: Any) -> None:
        """Let all preprocessors learn from a dict of columns, or from an iterable of dicts.

        The dicts hold batches, or single rows.
        """
        wanted = [key for key, layer in self.preprocessors.items() if _learns(layer)]
        columns: dict[str, list] = {key: [] for key in wanted}
        for part in [dataset] if isinstance(dataset, Mapping) else dataset:
            if not isinstance(part, Mapping):
                raise ValueError(
                    f"FeatureSpace.adapt needs dicts of features, got a {type(part).__name__}. "
                    "Give it the inputs, as `(x for x, y in data)` does."
                )
            for key in wanted:
                column, _ = _column(part[key], self.features[key].dtype)
                columns[key].append(np.asarray(column))
        for key in wanted:
            layer: Any = self.preprocessors[key]
            column = np.concatenate(columns[key])
            texts = isinstance(layer, layers.TextVectorization)
            layer.adapt(column[:, 0] if texts else column)
        self.get_encoded_features()

    def _check_adapted(self) -> None:
        missing = [key for key, layer in self.preprocessors.items() if _unlearned(layer)]
        if missing:
            raise ValueError(
                f"{self._who} has not seen data yet, which the feature {missing[0]!r} needs: call "
                "`adapt(dataset)` first."
            )

    # Encoding ---------------------------------------------------------------------------------

    def get_inputs(self) -> dict[str, KerasTensor]:
        """The symbolic inputs of a model that begins with these features."""
        self._check_adapted()
        return self.inputs

    def get_encoded_features(self) -> Any:
        """What becomes of `get_inputs()`."""
        self._check_adapted()
        if self.encoded_features is None:
            self.encoded_features = self._encoded(self.inputs)
            self.built = True
        return self.encoded_features

    def __call__(self, data: Mapping[str, Any]) -> Any:
        """Encode a dict of columns, or of the values of a single row."""
        self._check_adapted()
        if absent := [key for key in self.features if key not in data]:
            raise ValueError(
                f"{self._who} needs the feature {absent[0]!r}, which is missing from the data; "
                f"their keys are {', '.join(map(str, data))}."
            )
        read = {key: _column(data[key], self.features[key].dtype) for key in self.features}
        encoded = self._encoded({key: column for key, (column, _) in read.items()})
        if all(alone for _, alone in read.values()):
            return jax.tree.map(lambda x: ops.squeeze(x, 0), encoded)
        return encoded

    def _encoded(self, columns: Mapping[str, Any]) -> Any:
        values = {key: self.preprocessors[key](columns[key]) for key in sorted(self.features)}
        modes = {key: self.features[key].output_mode for key in values}
        for name in sorted(self.crossers):
            cross = self.crosses_by_name[name]
            values[name] = self.crossers[name]([values[key] for key in cross.feature_names])
            modes[name] = cross.output_mode
        found = {}
        for name, value in values.items():
            integer = str(value.dtype).startswith(("int", "uint"))
            if modes[name] == "one_hot":
                value = self._encoder(name, value, integer)(value)
            elif self.output_mode == "concat" and not str(value.dtype).startswith("float"):
                raise ValueError(
                    f"The feature {name!r} is not encoded, it has the dtype {value.dtype}: it "
                    "cannot be joined to the others. `output_mode='dict'` keeps them apart."
                )
            found[name] = value
        return found if self.output_mode == "dict" else ops.concatenate(list(found.values()), -1)

    def _encoder(self, name: str, value: Any, integer: bool) -> Layer:
        layer: Any = self.preprocessors.get(name) or self.crossers[name]
        if not integer:
            raise ValueError(
                f"The feature {name!r} is to be encoded as 'one_hot', but its preprocessor gives "
                f"{value.dtype}, not integers."
            )
        if name not in self.one_hot_encoders:
            self.one_hot_encoders[name] = layers.CategoryEncoding(_size(name, layer), "one_hot")
        return self.one_hot_encoders[name]

    # Files --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        names = ("crossing_dim", "hashing_dim", "num_discretization_bins")
        return {
            "features": registry.serialize(self.features),
            "output_mode": self.output_mode,
            "crosses": registry.serialize(self.crosses),
        } | {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FeatureSpace":
        return cls(**config)

    def get_build_config(self) -> dict[str, Any]:
        return {
            key: getattr(layer, "get_build_config", lambda: None)()
            for key, layer in self.preprocessors.items()
        }

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the preprocessors, before their variables are read."""
        for key, shapes in config.items():
            layer = self.preprocessors[key]
            if shapes and not layer.built:
                layer.build_from_config(shapes)

    def save(self, filepath: Any) -> None:
        """Write it to a `.keras` file, for `keras.models.load_model`."""
        saving.save_model(self, filepath)


def _named(kind: str, name: str | None) -> str:
    return f"{name or auto_name(kind)}_preprocessor"


def _column(values: Any, dtype: str) -> tuple[Any, bool]:
    """A feature as a column, and whether it was a single value."""
    array = as_array(values)
    array = array.astype(dtype) if dtype.startswith("float") else array
    if array.ndim == 0:
        return array.reshape(1, 1), True
    return (array[:, None] if array.ndim == 1 else array), False


def _learns(layer: Any) -> bool:
    """Whether a layer is to learn from data, not told what it needs."""
    if isinstance(layer, layers.Normalization):
        return layer.input_mean is None
    if isinstance(layer, layers.Discretization):
        return layer.num_bins is not None
    return hasattr(layer, "adapt") and getattr(layer, "vocabulary", None) is None


def _unlearned(layer: Any) -> bool:
    if isinstance(layer, layers.Discretization):
        return layer.bin_boundaries is None
    if isinstance(layer, layers.Normalization):
        return _learns(layer) and not layer.built
    lookup = getattr(layer, "_lookup_layer", layer)
    return hasattr(lookup, "_tokens") and lookup._tokens is None


def _size(name: str, layer: Any) -> int:
    """How many integers a preprocessor may give."""
    if hasattr(layer, "vocabulary_size"):
        return layer.vocabulary_size()
    if isinstance(layer, layers.Discretization):
        return len(layer.bin_boundaries or ()) + 1
    for attribute in ("num_bins", "num_tokens"):
        if hasattr(layer, attribute):
            return getattr(layer, attribute)
    raise ValueError(
        f"The feature {name!r} cannot be encoded as 'one_hot': how many integers "
        f"{type(layer).__name__} may give is not known. `output_mode='int'` leaves them so."
    )
