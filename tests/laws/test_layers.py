"""Laws that every layer keeps, and the table of layers they are tried on.

A layer joins with a line in the table of its package, below: its name, the shape of its input
(nested for several) and its arguments; `options` say what its inputs are and which laws do not
concern it. Shapes are tiny: a row takes a fraction of a second.
"""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.core import masks, registry, tree


class Row(NamedTuple):
    """A layer and an input for it."""

    name: str
    shape: Any  # with the batch; nested for several inputs
    arguments: dict[str, Any] = {}  # a callable among them is called first
    inputs: str = "float"  # or "int", from 0 to 2
    unknown: bool | tuple[int, ...] = True  # the axes whose size may be None, besides the batch
    half: bool = True  # whether mixed_bfloat16 gives bfloat16
    masked: bool = True  # whether a layer that supports masks passes on one of (batch, steps)
    training: bool = True  # what the laws about numbers call it with
    gradient: bool = True  # whether gradients are finite

    def __str__(self) -> str:
        said = ", ".join(f"{k}={v}" for k, v in self.arguments.items() if not callable(v))
        return f"{self.name}({said})"


def row(name: str, shape: Any, options: dict[str, Any] | None = None, **arguments: Any) -> Row:
    return Row(name, shape, arguments, **(options or {}))


INT = {"inputs": "int"}


@keraunos.saving.register_keras_serializable("laws")
def scaled(params, inputs):
    return inputs * params["scale"]


@keraunos.saving.register_keras_serializable("laws")
def ones(rng, inputs):
    return {"scale": jnp.ones(inputs.shape[-1], inputs.dtype)}


CORE = [
    row("Dense", (2, 3), {"unknown": False}, units=4),
    row("Dense", (2, 5, 3), {"unknown": (1,)}, units=4, activation="relu", use_bias=False),
    row("EinsumDense", (2, 5, 3), {"unknown": (1,)}, equation="...x,xy->...y", output_shape=4),
    row("EinsumDense", (2, 5, 3), {"unknown": (1,)}, equation="abc,cde->abde",
        output_shape=(None, 2, 4), bias_axes="de"),
    row("Embedding", (2, 5), INT, input_dim=3, output_dim=4),
    row("Embedding", (2, 5), INT, input_dim=3, output_dim=4, mask_zero=True),
    row("ReversibleEmbedding", (2, 5), INT, input_dim=3, output_dim=4, tie_weights=False),
    row("Identity", (2, 5, 3)),
    row("Masking", (2, 5, 3)),
    row("Lambda", (2, 3), function=lambda: keraunos.ops.abs),
    row("JaxLayer", (2, 5, 3), {"unknown": (1,)}, call_fn=lambda: scaled, init_fn=lambda: ones),
]  # fmt: skip

ACTIVATION = [
    row("Activation", (2, 5, 3), activation="tanh"),
    row("ReLU", (2, 5, 3), max_value=1.0, negative_slope=0.1),
    row("LeakyReLU", (2, 5, 3)),
    row("PReLU", (2, 5, 3), {"unknown": (1,)}, shared_axes=[1]),
    row("ELU", (2, 5, 3)),
    row("Softmax", (2, 5, 3)),
]

TWO = [(2, 5, 3), (2, 5, 3)]
MERGING = [
    *(row(name, TWO) for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
    row("Add", [(2, 5, 3), (2, 3), (2, 1, 3)], {"masked": False, "unknown": False}),
    row("Concatenate", TWO, axis=1),
    row("Dot", [(2, 5, 3), (2, 4, 3)], {"masked": False, "unknown": False}, axes=2, normalize=True),
]

RESHAPING = [
    row("Flatten", (2, 5, 3)),
    row("Flatten", (2, 3, 2, 2), data_format="channels_first"),
    row("Reshape", (2, 4, 3), target_shape=(-1, 6)),
    row("Permute", (2, 5, 3), dims=(2, 1)),
    row("RepeatVector", (2, 3), n=4),
    row("Cropping1D", (2, 5, 3), cropping=(1, 2)),
    row("Cropping2D", (2, 5, 4, 3), cropping=((1, 2), (0, 1))),
    row("Cropping3D", (2, 3, 4, 5, 1)),
    row("ZeroPadding1D", (2, 5, 3), padding=(1, 2)),
    row("ZeroPadding2D", (2, 3, 5, 4), padding=(1, 2), data_format="channels_first"),
    row("ZeroPadding3D", (2, 1, 2, 3, 1)),
    row("UpSampling1D", (2, 5, 3), size=3),
    row("UpSampling2D", (2, 2, 3, 1), size=(2, 3)),
    row("UpSampling2D", (2, 2, 3, 1), interpolation="bilinear"),
    row("UpSampling3D", (1, 1, 2, 3, 1), {"unknown": False}),
]

REGULARIZATION = [
    row("Dropout", (2, 5, 3), rate=0.5, seed=1),
    row("Dropout", (2, 5, 3), rate=0.5, noise_shape=(None, 1, 3), seed=1),
    row("SpatialDropout1D", (2, 5, 3), rate=0.5, seed=1),
    row("SpatialDropout2D", (2, 2, 3, 3), rate=0.5, data_format="channels_first", seed=1),
    row("SpatialDropout3D", (2, 1, 2, 2, 3), rate=0.5, seed=1),
    row("AlphaDropout", (2, 5, 3), rate=0.5, seed=1),
    row("GaussianDropout", (2, 5, 3), rate=0.5, seed=1),
    row("GaussianNoise", (2, 5, 3), stddev=0.5, seed=1),
    row("ActivityRegularization", (2, 5, 3), l1=0.1, l2=0.1),
]

LAST = {"unknown": (1,)}
NORMALIZATION = [
    row("BatchNormalization", (4, 5, 3), LAST),
    row("BatchNormalization", (4, 3, 5), {"unknown": (2,), "training": False}, axis=1, scale=False),
    row("BatchNormalization", (4, 5, 3), LAST, renorm=True, renorm_clipping={"rmax": 1.5}),
    row("LayerNormalization", (2, 5, 3), LAST),
    row("LayerNormalization", (2, 5, 3), {"unknown": False}, axis=[1, 2]),
    row("GroupNormalization", (2, 5, 4), LAST, groups=2),
    row("RMSNormalization", (2, 5, 3), LAST),
    row("UnitNormalization", (2, 5, 3)),
    row(
        "SpectralNormalization",
        (2, 3),
        {"unknown": False, "half": False},
        layer=lambda: layers.Dense(4),
    ),
]

ENDS = {"unknown": (1,), "masked": False}  # one output for all steps
ALL = {"return_sequences": True}
OWN = {"half": False}  # the layer within has a precision of its own
RECURRENT = [
    row("SimpleRNN", (2, 4, 3), ENDS, units=2, dropout=0.5, seed=1),
    row("GRU", (2, 4, 3), LAST, units=2, zero_output_for_mask=True, **ALL),
    row("GRU", (2, 4, 3), ENDS, units=2, reset_after=False, go_backwards=True),
    row("LSTM", (2, 4, 3), ENDS, units=2, return_state=True, recurrent_dropout=0.5, seed=1),
    row("LSTM", (2, 4, 3), LAST, units=2, unroll=True, use_bias=False, **ALL),
    row("RNN", (2, 4, 3), ENDS | OWN, cell=lambda: [layers.LSTMCell(2), layers.GRUCell(3)]),
    row("ConvLSTM1D", (2, 3, 4, 2), ENDS, filters=2, kernel_size=2, strides=2),
    row("ConvLSTM2D", (2, 2, 3, 3, 1), LAST, filters=2, kernel_size=2, padding="same", **ALL),
    row("ConvLSTM3D", (1, 2, 2, 3, 2, 1), ENDS, filters=2, kernel_size=2),
]

WRAPPERS = [
    row("Bidirectional", (2, 4, 3), LAST | OWN, layer=lambda: layers.LSTM(2, **ALL)),
    row("Bidirectional", (2, 4, 3), ENDS | OWN, layer=lambda: layers.GRU(2), merge_mode=None),
    row("TimeDistributed", (2, 4, 3), LAST | OWN, layer=lambda: layers.Dense(2)),
    row("TimeDistributed", (2, 3, 4, 2), LAST | OWN, layer=lambda: layers.BatchNormalization()),
]

ATTENTION = [
    row("Attention", [(2, 5, 3), (2, 4, 3)], use_scale=True, dropout=0.5, seed=1),
    row("Attention", TWO, {"unknown": (1,)}, score_mode="concat"),
    row("AdditiveAttention", [(2, 5, 3), (2, 4, 3)], {"unknown": (1,)}),
]

EXACT = {"half": False}  # places and their counts
PREPROCESSING = [
    row("Normalization", (2, 5, 3), LAST),
    row("Normalization", (2, 5, 3), {"unknown": False}, axis=(1, 2), mean=0.5, variance=2.0),
    row("Discretization", (2, 5), EXACT, bin_boundaries=[0.0, 1.0]),
    row("Discretization", (2, 5), bin_boundaries=[0.0, 1.0], output_mode="one_hot"),
    row("CategoryEncoding", (2, 5), INT, num_tokens=3, output_mode="count"),
    row("CategoryEncoding", (2, 1), INT | {"unknown": False}, num_tokens=3, output_mode="one_hot"),
    row("Hashing", (2, 5), INT | EXACT, num_bins=3),
    row("Hashing", (2, 5), INT, num_bins=3, output_mode="multi_hot", salt=1, mask_value=0),
    row("HashedCrossing", [(2, 1), (2, 1)], INT | EXACT | {"unknown": False}, num_bins=3),
    row("IntegerLookup", (2, 5), INT | EXACT, vocabulary=[2, 0]),
    row("IntegerLookup", (2, 5), INT | EXACT, vocabulary=[2], output_mode="multi_hot"),
    row("STFTSpectrogram", (2, 9, 2), LAST, frame_length=4),
    row("MelSpectrogram", (2, 24), fft_length=8, sequence_stride=4, num_mel_bins=2,
        sampling_rate=80),
]  # fmt: skip

PHOTO = (2, 4, 5, 3)
SPACE = {"unknown": (1, 2)}  # there are three channels
BYTE = {"seed": 1, "value_range": (-4, 4)}
IMAGES = [
    row("Resizing", PHOTO, height=3, width=4, crop_to_aspect_ratio=True),
    row("Rescaling", PHOTO, SPACE, scale=[1.0, 2.0, 3.0], offset=0.5),
    row("CenterCrop", PHOTO, height=3, width=4),
    row("MaxNumBoundingBoxes", PHOTO, max_number=2),
    row("Pipeline", PHOTO, OWN, layers=lambda: [layers.Rescaling(2), layers.RandomFlip(seed=1)]),
    row("RandomFlip", PHOTO, seed=1),
    row("RandomCrop", PHOTO, height=4, width=5, seed=1),
    row("RandomRotation", PHOTO, factor=0.1, seed=1),
    row("RandomTranslation", PHOTO, height_factor=0.2, width_factor=(0.1, 0.3), seed=1),
    row("RandomZoom", PHOTO, height_factor=0.2, fill_mode="constant", seed=1),
    row("RandomShear", PHOTO, x_factor=0.2, interpolation="nearest", seed=1),
    row("RandomPerspective", PHOTO, scale=0.4, seed=1),
    row("RandomElasticTransform", PHOTO, **BYTE),
    row("RandomErasing", PHOTO, fill_value=1.0, **BYTE),
    row("RandomBrightness", PHOTO, factor=0.2, **BYTE),
    row("RandomContrast", PHOTO, factor=(0.2, 0.4), **BYTE),
    row("RandomHue", PHOTO, SPACE, factor=0.3, **BYTE),
    row("RandomSaturation", PHOTO, SPACE, factor=(0.3, 0.4), **BYTE),
    row("RandomColorJitter", PHOTO, SPACE, brightness_factor=0.2, contrast_factor=0.2, **BYTE),
    row("RandomColorDegeneration", PHOTO, SPACE, factor=0.3, **BYTE),
    row("RandomGrayscale", PHOTO, SPACE, seed=1),
    row("RandomInvert", PHOTO, **BYTE),
    row("RandomPosterization", PHOTO, factor=4, **BYTE),
    row("RandomSharpness", PHOTO, factor=0.3, **BYTE),
    row("RandomGaussianBlur", PHOTO, kernel_size=(3, 5), **BYTE),
    row("Solarization", PHOTO, addition_factor=0.1, threshold_factor=0.5, **BYTE),
    row("AutoContrast", PHOTO, value_range=(-4, 4)),
    row("Equalization", PHOTO, value_range=(-4, 4), bins=8),
    row("ContrastLimitedAdaptiveHistogramEqualization", PHOTO, value_range=(-4, 4),
        tile_grid_size=(2, 2)),
    row("MixUp", PHOTO, seed=1),
    row("CutMix", PHOTO, seed=1),
    row("AugMix", PHOTO, SPACE, num_chains=2, chain_depth=2, all_ops=False, **BYTE),
    row("RandAugment", PHOTO, SPACE, **BYTE),
]  # fmt: skip

TABLE = [
    *CORE,
    *ACTIVATION,
    *MERGING,
    *RESHAPING,
    *REGULARIZATION,
    *NORMALIZATION,
    *RECURRENT,
    *WRAPPERS,
    *ATTENTION,
    *PREPROCESSING,
    *IMAGES,
]
rows = pytest.mark.parametrize("row", TABLE, ids=str)


# What the laws share ----------------------------------------------------------------------


def made(row: Row, **more: Any) -> layers.Layer:
    given = {k: v() if isinstance(v, Callable) else v for k, v in row.arguments.items()}
    return getattr(layers, row.name)(**given, **more)


def data(row: Row) -> Any:
    rng = np.random.default_rng(1)
    if row.inputs == "int":
        return tree.map_shapes(lambda shape: rng.integers(0, 3, shape).astype("int32"), row.shape)
    return tree.map_shapes(lambda shape: rng.normal(0.2, 1, shape).astype("float32"), row.shape)


def symbols(x: Any, unknown: bool | tuple[int, ...]) -> Any:
    def one(x):
        axes = range(x.ndim) if unknown is True else (0, *(unknown or ()))
        shape = [None if axis in axes else n for axis, n in enumerate(x.shape)]
        return keraunos.KerasTensor(shape, x.dtype)

    return jax.tree.map(one, x)


def options(layer: layers.Layer, row: Row) -> dict[str, Any]:
    return {"training": row.training} if "training" in layer._takes else {}


def same(ours: Any, theirs: Any, rtol: float = 1e-5) -> None:
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol, 1e-6)


def fits(symbol: Any, real: Any) -> bool:
    """Whether a symbolic tensor says nothing wrong about a real one."""
    sizes = zip(symbol.shape, real.shape, strict=True)
    return symbol.dtype == real.dtype and all(n in (None, m) for n, m in sizes)


# The laws ---------------------------------------------------------------------------------


@rows
def test_numbers(row):
    """Jitted as eager; gradients are finite; symbolic shapes are those of the real outputs."""
    layer, x = made(row), data(row)
    inferred = layer(symbols(x, False))
    how = options(layer, row)
    trained = [v.value for v in layer.trainable_variables]
    others = [v.value for v in layer.non_trainable_variables]
    where = (0, 1) if row.inputs == "float" else 0

    def total(trained, x):
        outputs, updated = layer.stateless_call(trained, others, x, **how)
        parts = [jnp.sum(jnp.sin(y)) for y in jax.tree.leaves(outputs) if y.dtype == "float32"]
        return sum(parts, jnp.zeros(())), (outputs, updated)

    gradients, (outputs, updated) = jax.jit(jax.grad(total, where, has_aux=True))(trained, x)
    eager = layer(x, **how)
    same(outputs, eager)
    same(updated, [v.value for v in layer.non_trainable_variables])
    assert all(map(fits, jax.tree.leaves(inferred), jax.tree.leaves(outputs)))
    known = [None not in t.shape[1:] for t in jax.tree.leaves(inferred)]
    assert all(known), "a size that the input tells is not known in the output"
    if row.gradient:
        assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))
    anything = layer(symbols(x, row.unknown))
    assert all(map(fits, jax.tree.leaves(anything), jax.tree.leaves(outputs)))


@rows
def test_copies(row):
    """Config, JSON, deep copy and pickle give layers that compute the same."""
    layer, x = made(row), data(row)
    how = options(layer, row) | ({"training": False} if "training" in layer._takes else {})
    expected = layer(x, **how)
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    with registry.safe_mode(False):
        text = json.dumps(layers.serialize(layer))
        filed = layers.deserialize(json.loads(text))
    assert json.loads(json.dumps(layers.serialize(filed))) == json.loads(text)
    weights = layer.get_weights()
    for other in (again, filed):
        assert jax.tree.leaves(other.compute_output_shape(row.shape)) == [
            n for y in jax.tree.leaves(expected) for n in y.shape
        ]
        assert not other.built or len(other.weights) == len(weights)
    assert filed.built or not weights
    filed(x, **how)
    filed.set_weights(weights)
    copied, pickled = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))
    for other in (filed, copied, pickled):
        same(other(x, **how), expected)
    assert not {id(v) for v in copied.variables} & {id(v) for v in layer.variables}


@rows
def test_half_precision(row):
    """Under mixed_bfloat16 it computes in bfloat16 and keeps its variables in float32."""
    layer, x = made(row, dtype="mixed_bfloat16"), data(row)
    inferred = layer(symbols(x, False))
    outputs = layer(x, **options(layer, row))
    assert all(map(fits, jax.tree.leaves(inferred), jax.tree.leaves(outputs)))
    if row.half:
        assert {y.dtype.name for y in jax.tree.leaves(outputs)} == {"bfloat16"}
    assert {v.dtype for v in layer.trainable_variables} <= {"float32"}


@rows
def test_masks(row):
    """A layer that supports masks passes them on, alike for symbolic and real tensors."""
    layer, x = made(row), data(row)
    if not row.masked or not layer.supports_masking:
        return
    symbolic = symbols(x, False)
    for leaf, symbol in zip(jax.tree.leaves(x), jax.tree.leaves(symbolic)):
        if leaf.ndim > 2:
            masks.set_mask(symbol, keraunos.KerasTensor(symbol.shape[:2], "bool"))
    real = jax.tree.map(jnp.asarray, x)
    for leaf in jax.tree.leaves(real):
        if leaf.ndim > 2:
            masks.set_mask(leaf, jnp.ones(leaf.shape[:2], bool))
    wanted = any(leaf.ndim > 2 for leaf in jax.tree.leaves(x)) or row.inputs == "int"
    pairs = zip(jax.tree.leaves(layer(symbolic)), jax.tree.leaves(layer(real)))
    for symbol, output in pairs:
        assert (masks.get_mask(symbol) is not None) == wanted
        assert (masks.get_mask(output) is not None) == wanted


@rows
def test_trainable(row):
    """Off, it has nothing to train; on again, it has what it had."""
    layer, x = made(row), data(row)
    layer(symbols(x, False))
    trained, everything = layer.trainable_variables, layer.variables
    layer.trainable = False
    assert layer.trainable_variables == [] and len(layer.variables) == len(everything)
    assert {id(v) for v in layer.non_trainable_variables} == {id(v) for v in everything}
    layer.trainable = True
    assert [id(v) for v in layer.trainable_variables] == [id(v) for v in trained]
    assert all(v.path.startswith(layer.name) for v in layer.weights)
