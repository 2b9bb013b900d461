"""Layers whose weights lie in few bits, and LoRA, beside Keras."""

import copy
import json
import pickle

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import layers
from tests.oracle import close

BOTH = (keraunos, keras)
RNG = np.random.default_rng(0)
DENSE = ("Dense", {"units": 5}, (3, 6), {})
HEADS = (
    "EinsumDense",
    {"equation": "abc,cde->abde", "output_shape": (None, 5, 3), "bias_axes": "de"},
    (2, 4, 6),
    {},
)
MERGED = ("EinsumDense", {"equation": "abcd,cde->abe", "output_shape": (None, 5)}, (2, 4, 2, 6), {})
TURNED = ("EinsumDense", {"equation": "abc,dce->abde", "output_shape": (None, 5, 3)}, (2, 4, 6), {})
TABLE = ("Embedding", {"input_dim": 7, "output_dim": 6}, (3, 4), {})
REVERSE = ("ReversibleEmbedding", {"input_dim": 7, "output_dim": 6}, (3, 4, 6), {"reverse": True})
UNTIED = (*REVERSE[:1], {**REVERSE[1], "tie_weights": False}, *REVERSE[2:])

MODES = {
    "int8": lambda lib: {"mode": "int8"},
    "int8 weights": lambda lib: {
        "config": lib.quantizers.Int8QuantizationConfig(activation_quantizer=None)
    },
    "int4": lambda lib: {"mode": "int4"},
    "int4/4": lambda lib: {"config": lib.quantizers.Int4QuantizationConfig(block_size=4)},
    "int4/-1": lambda lib: {"config": lib.quantizers.Int4QuantizationConfig(block_size=-1)},
    "int4 inputs": lambda lib: {
        "config": lib.quantizers.Int4QuantizationConfig(
            activation_quantizer=lib.quantizers.AbsMaxQuantizer(), block_size=None
        )
    },
    "float8": lambda lib: {"mode": "float8"},
}


def pair(case, lora=None, **arguments):
    """The layer of both libraries, with the same weights; and an input."""
    name, given, shape, _ = case
    made = []
    for lib in BOTH:
        layer = getattr(lib.layers, name)(**given, **arguments, name="a")
        layer.build((None, *shape[1:]))
        if lora:
            layer.enable_lora(lora, lora_alpha=3)
        made.append(layer)
    same(*made)
    integers = "mbedding" in name and not case[3]
    x = RNG.integers(0, 7, shape) if integers else RNG.normal(size=shape).astype("float32")
    return (*made, x)


def same(ours, theirs):
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        value = RNG.normal(size=a.shape).astype("float32")
        a.assign(value)
        b.assign(value)


def described(layer):
    return [(v.name, v.path, tuple(v.shape), v.dtype, v.trainable) for v in layer.variables]


def stored(layer):
    store = {}
    layer.save_own_variables(store)
    return list(store), [np.asarray(value) for value in store.values()]


def config_of(layer):
    config = json.loads(json.dumps(layer.get_config()))
    config.pop("activity_regularizer", None)
    return config


def call_and_gradients(layer, x, call):
    def total(trained, x):
        others = [v.value for v in layer.non_trainable_variables]
        y, _ = layer.stateless_call(trained, others, x, **call)
        return jnp.sum(jnp.sin(y)), y

    trained = [v.value for v in layer.trainable_variables]
    gradient = jax.grad(total, (0, 1) if x.dtype == "float32" else 0, has_aux=True)
    return jax.jit(gradient)(trained, x)


CASES = [
    *((case, mode) for case in (DENSE, HEADS) for mode in MODES),
    *((case, mode) for case in (MERGED, TURNED) for mode in ("int8", "int4/4")),
    *((case, "int8") for case in (TABLE, REVERSE, UNTIED)),
    (TABLE, "int4/4"),
    (REVERSE, "int4/-1"),
    (UNTIED, "int4/4"),
]


@pytest.mark.parametrize(("case", "mode"), CASES, ids=lambda v: v if isinstance(v, str) else v[0])
def test_mode(case, mode):
    ours, theirs, x = pair(case)
    for lib, layer in zip(BOTH, (ours, theirs)):
        layer.quantize(**MODES[mode](lib))
    call = case[3] or ({"training": True} if "Dense" in case[0] else {})
    assert described(ours) == described(theirs)
    assert ours.quantization_mode == theirs.quantization_mode == mode.split("/")[0].split(" ")[0]
    close([v.value for v in ours.variables], [v.value for v in theirs.variables])
    mine, yours = (call_and_gradients(layer, x, call) for layer in (ours, theirs))
    close(mine[1], yours[1], 1e-5, 1e-5)
    if not case[3]:  # Keras has no gradient with respect to what is multiplied with a table
        close(mine[0], yours[0], 1e-4, 1e-4)
    assert stored(ours)[0] == stored(theirs)[0]
    close(stored(ours)[1], stored(theirs)[1])
    assert config_of(ours) == config_of(theirs)
    assert ours.variable_serialization_spec == theirs.variable_serialization_spec


CONV1 = ("Conv1D", {"filters": 4, "kernel_size": 2, "groups": 2}, (2, 5, 4), {})
CONV2 = ("Conv2D", {"filters": 4, "kernel_size": 2}, (2, 3, 4, 2), {})
CONV3 = ("Conv3D", {"filters": 2, "kernel_size": 1}, (1, 2, 1, 2, 2), {})
PLAIN = (DENSE, HEADS, TABLE, REVERSE, CONV1, CONV2, CONV3)
LORA = [
    *((case, None) for case in PLAIN),
    *((case, mode) for case in (DENSE, TABLE) for mode in ("int8", "int4/4")),
    (HEADS, "int8"),
    (HEADS, "int4/-1"),
]


@pytest.mark.parametrize(
    ("case", "mode"), LORA, ids=lambda v: v if isinstance(v, str) else str(v and v[0])
)
def test_lora(case, mode):
    ours, theirs, x = pair(case, lora=2)
    if mode:
        for lib, layer in zip(BOTH, (ours, theirs)):
            layer.quantize(**MODES[mode](lib))
    assert described(ours) == described(theirs)
    mine, yours = (call_and_gradients(layer, x, case[3]) for layer in (ours, theirs))
    close(mine, yours, 1e-4, 1e-4)
    assert config_of(ours) == config_of(theirs)
    assert (ours.lora_rank, ours.lora_alpha, ours.lora_enabled) == (2, 3, True)
    assert stored(ours)[0] == stored(theirs)[0]
    close(stored(ours)[1], stored(theirs)[1])  # the change added to the weight
    before = ours(x, **case[3])
    ours.load_own_variables(dict(zip(*stored(ours))))
    if mode is None:
        close(ours(x, **case[3]), before, 1e-4, 1e-4)
    assert not np.any(getattr(ours, f"lora_{ours.adapted}_b"))


def test_lora_trains_only_the_change():
    model = keraunos.Sequential([keraunos.Input((4,)), layers.Dense(3), layers.Dense(2)])
    first = model.layers[0]
    first.enable_lora(2)
    model.layers[1].trainable = False
    model.trainable = True
    model.layers[1].trainable = False
    assert [v.name for v in model.trainable_variables] == ["bias", "lora_kernel_a", "lora_kernel_b"]
    before = {v.path: v.numpy() for v in model.variables}
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 2)), epochs=2, verbose=0)
    changed = {v.path.split("/", 1)[1] for v in model.variables if np.any(v != before[v.path])}
    assert {path.split("/")[-1] for path in changed} == {"bias", "lora_kernel_a", "lora_kernel_b"}
    close(
        first.kernel.value,
        before[first.base("kernel").path] + first.lora_kernel_a @ first.lora_kernel_b,
    )


def test_lora_given_to_the_constructor():
    ours, theirs, x = pair(DENSE, lora_rank=2)
    assert described(ours) == described(theirs)
    close(ours(x), theirs(x))
    ours = layers.Dense(5, lora_rank=2, lora_alpha=1.0)  # Keras forgets it here
    ours.build((None, 6))
    assert (ours.lora_rank, ours.lora_alpha) == (2, 1.0)
    again = layers.Dense.from_config(ours.get_config())
    assert (again.lora_rank, again.lora_alpha) == (2, 1.0)
    assert layers.Dense(2, lora_rank=0).lora_rank is None


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_lora_of_a_quantized_layer(mode):
    ours, theirs, x = pair(DENSE)
    for layer in (ours, theirs):
        layer.quantize(mode)
        layer.enable_lora(2, b_initializer="ones")
    theirs.lora_kernel_a.assign(ours.lora_kernel_a.numpy())
    assert described(ours) == described(theirs)
    close(ours(x), theirs(x))
    close(stored(ours)[1], stored(theirs)[1])


def test_float8_learns_its_scales():
    ours, theirs, x = pair(DENSE)
    losses = []
    for lib, layer in zip(BOTH, (ours, theirs)):
        layer.quantize("float8")
        model = lib.Sequential([lib.Input((6,)), layer])
        model.compile(lib.optimizers.SGD(0.1), "mse")
        history = model.fit(x, np.ones((3, 5)), epochs=4, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    close([v.value for v in ours.variables], [v.value for v in theirs.variables], 1e-4, 1e-5)
    assert float(ours.inputs_scale) != 1


@pytest.mark.parametrize(
    "mode", ["int8", "int4/4", "int4/-1", "int4", "float8", "gptq/4/4", "awq/4/4"]
)
def test_layer_of_a_quantized_policy(mode):
    described_both = []
    for lib in BOTH:
        layer = lib.layers.Dense(5, dtype=f"{mode}_from_float32", name="a")
        layer.build((None, 6))
        described_both.append(described(layer))
        if lib is keraunos:
            assert layer(np.ones((2, 6), "float32")).shape == (2, 5)
    assert described_both[0] == described_both[1]


def test_mixed_precision():
    ours, _, x = pair(DENSE, dtype="mixed_bfloat16")
    for mode in ("int8", "int4"):
        mine, yours = (copy.deepcopy(layer) for layer in (ours, ours))
        mine.quantize(mode)
        assert mine.dtype_policy.name.endswith("from_mixed_bfloat16")
        assert mine(x).dtype == "bfloat16"
        close(mine(x).astype("float32"), yours(x).astype("float32"), 0.3, 1.0)


def test_symbols_copies_and_pickles():
    ours, _, x = pair(HEADS, lora=2)
    ours.quantize("int8")
    assert ours(keraunos.KerasTensor((None, None, 6))).shape == (None, None, 5, 3)
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        close(other(x), ours(x))
    assert ours.quantized_call(jnp.asarray(x)).shape == (2, 4, 5, 3)
    kernel = ours.kernel
    assert (kernel.shape, kernel.dtype, np.asarray(kernel).shape) == (
        (6, 5, 3),
        "float32",
        (6, 5, 3),
    )
    assert ours.kernel_scale.path == "a/kernel_scale"


def _dense(**arguments):
    layer = layers.Dense(2, **arguments)
    layer.build((None, 3))
    return layer


def _quantized(mode):
    layer = _dense()
    layer.quantize(mode)
    return layer


class Own(layers.Dense):
    pass


def _own():
    layer = Own(2)
    layer.build((None, 3))
    return layer


def _gptq():
    layer = _dense()
    layer.quantize(config=keraunos.quantizers.GPTQConfig(None, None))
    return layer


def _embedding():
    layer = layers.Embedding(3, 4)
    layer.build()
    return layer


ERRORS = [
    (lambda: layers.Dense(2).quantize("int8"), ValueError, "has no weights to quantize yet"),
    (lambda: _dense().quantize(), ValueError, "`quantize` needs a `mode`, such as 'int8', or a"),
    (lambda: _dense().quantize("int9"), ValueError, "'int9' is not a mode .* int8, float8, int4"),
    (lambda: _dense().quantize("gptq"), ValueError, r"pass `config=keras.quantizers.GPTQConfig\("),
    (lambda: _dense().quantize(config=3), ValueError, "must be a .*QuantizationConfig`, got 3"),
    (
        lambda: _dense().quantize("int4", config=keraunos.quantizers.Int8QuantizationConfig()),
        ValueError,
        "`mode` is 'int4', but `config` is one for 'int8'",
    ),
    (
        lambda: _quantized("int8").quantize("int4"),
        ValueError,
        "already quantized: .*'int8_from_float",
    ),
    (lambda: _own().quantize("int8"), NotImplementedError, "type_check=False"),
    (lambda: _embedding().quantize("float8"), NotImplementedError, "'float8', but to int8, int4"),
    (lambda: layers.Dropout(0.1).quantize("int8"), NotImplementedError, "has no `quantize`: its"),
    (lambda: _dense().quantized_call(np.ones((1, 3))), NotImplementedError, "is not quantized"),
    (lambda: layers.Dense(2).enable_lora(2), ValueError, "must be built before `enable_lora`"),
    (lambda: _dense(lora_rank=1).enable_lora(2), ValueError, "LoRA is already enabled"),
    (lambda: _dense().enable_lora(0), ValueError, "positive integer for `lora_rank`, got 0"),
    (lambda: layers.Dense(2, lora_rank=-1), ValueError, "positive integer for `lora_rank`, got -1"),
    (
        lambda: _dense(kernel_constraint="non_neg").enable_lora(2),
        ValueError,
        "`kernel_constraint`, which a change of low rank cannot keep",
    ),
    (
        lambda: _gptq().enable_lora(2),
        NotImplementedError,
        "quantized by GPTQ; a change of low rank",
    ),
    (lambda: layers.Dense(2).kernel, AttributeError, "has no `kernel` before it is built"),
    (lambda: _quantized("int8").kernel.assign(np.ones((3, 2))), TypeError, "cannot be assigned"),
    (lambda: layers.Dense(2, quantization_config=3), TypeError, "`quantization_config`"),
    (
        lambda: _dense().quantize(
            config=keraunos.quantizers.Int8QuantizationConfig(
                keraunos.quantizers.AbsMaxQuantizer(axis=1)
            )
        ),
        ValueError,
        r"the `axis` of its `weight_quantizer` must be \(0,\)",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_subclass_that_is_trusted():
    layer = _own()
    layer.quantize("int8", type_check=False)
    assert layer.quantization_mode == "int8"


def test_own_quantizer_of_weights():
    ours, theirs, x = pair(DENSE)
    for lib, layer in zip(BOTH, (ours, theirs)):
        quantizer = lib.quantizers.AbsMaxQuantizer(axis=0, value_range=(-63, 63))
        layer.quantize(config=lib.quantizers.Int8QuantizationConfig(quantizer))
    close(ours(x), theirs(x))
    assert np.max(np.abs(ours.base("kernel").numpy())) == 63
