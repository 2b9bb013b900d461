"""Quantized models: which layers, what data is looked at, and files of both libraries."""

import re
import warnings

import keras
import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.quantizers import AWQConfig, GPTQConfig, calibrate
from keraunos.quantizers.packed import Layout
from tests.oracle import close

RNG = np.random.default_rng(0)


def dense(lib=keraunos, **arguments):
    model = lib.Sequential([lib.Input((6,)), lib.layers.Dense(5), lib.layers.Dense(4, name="last")])
    for variable, value in zip(model.weights, VALUES, strict=True):
        variable.assign(value)
    return model


VALUES = [RNG.normal(size=shape) for shape in ((6, 5), (5,), (5, 4), (4,))]
X = RNG.normal(size=(3, 6)).astype("float32")

FILTERS = [
    (None, ["int8", "int8"]),
    ("last", [None, "int8"]),
    (["^nothing", "^las"], [None, "int8"]),
    (lambda layer: layer.name != "last", ["int8", None]),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS)
def test_filters(filters, expected):
    ours, theirs = dense(), dense(keras)
    ours.quantize("int8", filters=filters)
    with warnings.catch_warnings(action="ignore"):
        theirs.quantize("int8", filters=filters)
    assert [layer.quantization_mode for layer in ours.layers] == expected
    assert [layer.quantization_mode for layer in theirs.layers] == expected
    close(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), 1e-5, 1e-5)


def test_programs_are_made_anew():
    model = dense()
    model.compile("sgd", "mse")
    before = model.predict(X, verbose=0)
    model.quantize("int4")
    close(model.predict(X, verbose=0), np.asarray(model(X)), 1e-5, 1e-5)
    assert np.any(model.predict(X, verbose=0) != before)
    model.fit(X, np.ones((3, 4)), verbose=0)


def test_what_stays_as_it_is_is_named():
    inner = keraunos.Sequential([layers.Dense(3), layers.BatchNormalization(name="norm")])
    model = keraunos.Sequential([keraunos.Input((4,)), inner, layers.Dropout(0.1)])
    with pytest.warns(UserWarning, match=r"'int8', their weights stay floats: norm \(BatchN"):
        model.quantize("int8")
    assert inner.layers[0].quantization_mode == "int8"


REFUSED = [
    (lambda m: m.quantize(), "needs a `mode`"),
    (lambda m: m.quantize("int8", filters=3), "function of a layer, got 3"),
    (lambda m: m.quantize("int8", nothing=1), "unexpected argument 'nothing'"),
    (lambda m: (m.quantize("int8"), m.quantize("int8")), "already quantized"),
    (lambda m: keraunos.Sequential([layers.Dense(3)]).quantize("int8"), "must be built before"),
    (lambda m: m.quantize(config=GPTQConfig([1], None)), "needs to know which layers come"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(dense())


# Files ----------------------------------------------------------------------------------------


def several(lib):
    inputs = lib.Input((None,), dtype="int32")
    x = lib.layers.Embedding(11, 6, name="table")(inputs)
    x = lib.layers.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="de", name="heads")(x)
    x = lib.layers.EinsumDense("abde,dec->abc", (None, 6), name="merged")(x)
    return lib.Model(inputs, lib.layers.Dense(3, name="last")(x))


STORED = [(None, True), ("int8", False), ("int8", True), ("int4", False), ("float8", False)]


@pytest.mark.parametrize(("mode", "lora"), STORED)
@pytest.mark.parametrize("writer", [keraunos, keras])
def test_files(writer, mode, lora, tmp_path):
    model = several(writer)
    for variable in model.weights:
        variable.assign(RNG.normal(size=variable.shape) / 2)
    tokens = RNG.integers(0, 11, (2, 5))
    with warnings.catch_warnings(action="ignore"):
        if lora:
            model.get_layer("last").enable_lora(2, b_initializer="ones")
            model.get_layer("table").enable_lora(2)
        if mode:
            model.quantize(mode)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    read = [lib.saving.load_model(tmp_path / "m.keras") for lib in (keraunos, keras)]
    other = several(keraunos)
    with warnings.catch_warnings(action="ignore"):
        if mode:
            other.quantize(mode)
    other.load_weights(tmp_path / "m.weights.h5")
    ours, theirs, weights_only = (np.asarray(m(tokens)) for m in (*read, other))
    close(ours, theirs, 1e-5, 1e-5)
    close(weights_only, theirs, 1e-5, 1e-5)
    if not lora or mode is None:
        close(ours, np.asarray(model(tokens)), 1e-4, 1e-5)
    policies = [[layer.dtype_policy.name for layer in model.layers[1:]] for model in read]
    assert policies[0] == policies[1]


# Calibration ------------------------------------------------------------------------------------

ROUNDED = [
    (GPTQConfig, {"group_size": 5, "symmetric": True}),
    (GPTQConfig, {"group_size": 4, "activation_order": True, "weight_bits": 3}),
    (GPTQConfig, {"per_channel": False, "weight_bits": 2, "group_size": -1}),
    (AWQConfig, {"group_size": 5, "num_grid_points": 7}),
]


def keras_rounded(config, weights, batches):
    """A layer of Keras, rounded by what its `quantize` uses."""
    from keras.src.quantizers.awq import AWQ
    from keras.src.quantizers.gptq import GPTQ

    layer = keras.layers.Dense(weights.shape[1])
    layer.build((None, len(weights)))
    layer.kernel.assign(weights)
    name = type(config).__name__
    arguments = {k: v for k, v in config.get_config().items() if k not in ("dataset", "tokenizer")}
    given = getattr(keras.quantizers, name)(None, None, **arguments)
    layer.quantize(config=given)
    rounding = (GPTQ if config.mode == "gptq" else AWQ)(layer, given)
    for batch in batches:
        if config.mode == "gptq":
            rounding.update_hessian_with_batch(batch)
        else:
            rounding.update_activation_magnitudes(batch)
    if config.mode == "gptq":
        rounding.quantize_and_correct_layer()
    else:
        rounding.quantize_layer()
    return layer


@pytest.mark.parametrize(("cls", "arguments"), ROUNDED)
def test_rounding(cls, arguments):
    config = cls(None, None, **arguments)
    weights = RNG.normal(size=(12, 3)).astype("float32")
    scales = np.linspace(0.1, 3, 12) * (np.arange(12) != 4)  # one input is never seen
    seen = [np.diag(scales), RNG.normal(size=(30, 12)) * scales]
    batches = [b.astype("float32") for b in (seen[:1] if config.mode == "gptq" else seen)]
    theirs = keras_rounded(config, weights, batches)
    seen = calibrate.Hessian() if config.mode == "gptq" else calibrate.Magnitudes()
    for batch in batches:
        seen.see(batch)
    rounded = getattr(calibrate, config.mode)(weights.T, seen, config)
    ours = layers.Dense(3)
    ours.build((None, 12))
    ours.quantize(config=config)
    ours.set_calibrated("kernel", rounded)
    x = RNG.normal(size=(5, 12)).astype("float32")
    close(ours(x), theirs(x), 1e-5, 1e-5)
    close(ours.kernel.value, rounded.value.T)
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        assert (a.name, a.shape, a.dtype) == (b.name, tuple(b.shape), b.dtype)
        close(
            np.floor(a.numpy()) if a.name == "g_idx" else a.numpy(),
            np.floor(b) if a.name == "g_idx" else np.asarray(b),
        )


def test_rows_of_inputs():
    x = RNG.normal(size=(2, 4, 3, 5)).astype("float32")
    kernel = RNG.normal(size=(5, 3, 6)).astype("float32")
    layout = Layout("abcd", "dce", "abe")
    product = layout.rows(keraunos.ops.convert_to_tensor(x)) @ layout.matrix(kernel)
    close(product.reshape(2, 4, 6), np.einsum("abcd,dce->abe", x, kernel), 1e-5, 1e-5)


class Words:
    def tokenize(self, text):
        return [ord(letter) % 11 for letter in text]


def text_model(structured=True):
    """A table, two blocks, a last layer; and the blocks."""
    table = layers.Embedding(11, 6, name="table", embeddings_initializer="normal")
    first = keraunos.Sequential([layers.Dense(12, "relu", name="wide"), layers.Dense(6)])
    second = keraunos.Sequential(
        [
            keraunos.Input((None, 6)),
            layers.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="de", name="heads"),
            layers.EinsumDense("abde,dec->abc", (None, 6), name="merged"),
        ]
    )
    inputs = keraunos.Input((None,), dtype="int32")
    outputs = layers.Dense(11, name="last")(second(first(table(inputs))))
    model = keraunos.Model(inputs, outputs)
    return model, {"pre_block_layers": [table], "sequential_blocks": [first, second]}


@pytest.mark.parametrize("cls", [GPTQConfig, AWQConfig])
def test_calibrated_model(cls, tmp_path):
    keraunos.utils.set_random_seed(3)
    model, structure = text_model()
    texts = ["hello world", "some other words", "and more of them"]
    tokens = np.array([Words().tokenize(t)[:10] for t in texts])
    before = model.predict(tokens, verbose=0)
    config = cls(
        texts, Words(), num_samples=8, sequence_length=10, weight_bits=4, group_size=-1,
        quantization_layer_structure=structure,
    )  # fmt: skip
    model.quantize(config=config)
    modes = {layer.name: layer.quantization_mode for layer in model._flatten_layers()}
    assert modes["wide"] == modes["heads"] == modes["merged"] == config.mode
    assert modes["table"] is modes["last"] is None
    assert all(v.dtype == "uint8" for v in model.variables if re.search("wide/kernel$", v.path))
    after = model.predict(tokens, verbose=0)
    assert 0 < np.mean(np.square(after - before)) < 0.05 * np.var(before)
    model.save(tmp_path / "m.keras")
    close(keraunos.saving.load_model(tmp_path / "m.keras").predict(tokens, verbose=0), after)
    close(np.asarray(keras.saving.load_model(tmp_path / "m.keras")(tokens)), after, 1e-5, 1e-5)


def test_looking_at_data_makes_it_better():
    """Rounding that looks at inputs loses less than rounding to the nearest does."""
    few = RNG.normal(size=(200, 4)) @ RNG.normal(size=(4, 16))  # causes of sixteen inputs
    x = (few + 0.1 * RNG.normal(size=(200, 16))).astype("float32")
    weights = RNG.normal(size=(16, 24)).astype("float32")
    config = GPTQConfig(None, None, weight_bits=3, group_size=-1)
    hessian, nothing = calibrate.Hessian(), calibrate.Hessian()
    hessian.see(x)
    nothing.total = np.eye(16)
    lost = lambda seen: np.linalg.norm(
        x @ (calibrate.gptq(weights.T, seen, config).value.T - weights)
    )
    assert lost(hessian) < 0.7 * lost(nothing)


def test_long_inputs():
    """More inputs than a block has, with one scale for all, which Keras cannot store."""
    weights = RNG.normal(size=(4, 200)).astype("float32")
    hessian = calibrate.Hessian()
    hessian.see(RNG.normal(size=(400, 200)))
    for size in (-1, 48):
        rounded = calibrate.gptq(weights, hessian, GPTQConfig(None, None, group_size=size))
        assert rounded.scale.shape == (4, 1 if size == -1 else 5)
        assert np.mean(np.square(rounded.value - weights)) < 0.06


SAMPLES = [
    ([np.arange(20)], None, [[0, 1, 2, 3], [5, 6, 7, 8], [10, 11, 12, 13]]),
    ([[0, 1, 2], [3, 4]], None, [[0, 1, 2, 3], [4, 0, 1, 2], [3, 4, 0, 1]]),
    (["ab", "cd"], lambda s: [ord(c) - 97 for c in s], [[0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]]),
]


@pytest.mark.parametrize(("dataset", "tokenizer", "expected"), SAMPLES)
def test_samples(dataset, tokenizer, expected):
    config = GPTQConfig(dataset, tokenizer, num_samples=3, sequence_length=4)
    np.testing.assert_array_equal(calibrate.samples(config), expected)


NO_SAMPLES = [
    ("text", None, TypeError, "texts or arrays of tokens for `dataset`.* got 'text'"),
    (None, None, TypeError, "got None"),
    ([], None, ValueError, "`dataset` of AWQConfig is empty"),
    (["text"], None, ValueError, "needs a `tokenizer` for texts, got None"),
]


@pytest.mark.parametrize(("dataset", "tokenizer", "error", "message"), NO_SAMPLES)
def test_no_samples(dataset, tokenizer, error, message):
    with pytest.raises(error, match=message):
        calibrate.samples(AWQConfig(dataset, tokenizer))


def test_layers_within_layers():
    made = []
    for lib in (keraunos, keras):
        x = lib.Input((5, 8))
        y = lib.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
        made.append(lib.Model(x, lib.layers.LayerNormalization(name="norm")(y)))
    for ours, theirs in zip(*(model.weights for model in made), strict=True):
        value = RNG.normal(size=ours.shape)
        ours.assign(value)
        theirs.assign(value)
    with warnings.catch_warnings(action="ignore"):
        for model in made:
            model.quantize("int8")
    x = RNG.normal(size=(2, 5, 8)).astype("float32")
    assert [v.path for v in made[0].variables] == [v.path for v in made[1].variables]
    close(*(np.asarray(model(x)) for model in made), 1e-5, 1e-5)
