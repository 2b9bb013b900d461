"""Numbers in few bits, beside Keras."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import dtype_policies, quantizers
from tests.oracle import close

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 5)).astype("float32")
MATRIX = RNG.normal(size=(10, 7)).astype("float32")
CONSTANT = np.array([[0, 1e-3, -2, 2], [0, -1e-9, 2, 2], [0, 0, 1, 2]], "float32")

CALLS = {
    "absmax rows": ("abs_max_quantize", (X, 1), {}),
    "absmax all": ("abs_max_quantize", (X, None), {}),
    "absmax both": ("abs_max_quantize", (X, (0, 1)), {"value_range": (-63, 63)}),
    "grouped": ("abs_max_quantize_grouped_with_zero_point", (MATRIX, 4), {}),
    "one group": ("abs_max_quantize_grouped_with_zero_point", (MATRIX, 100), {}),
    "constant": ("abs_max_quantize_grouped_with_zero_point", (CONSTANT, 3), {}),
    "to float8": ("quantize_and_dequantize", (X, jnp.float32(2), "float8_e4m3fn", "float32"), {}),
    "clipped": ("quantize_and_dequantize", (X * 1e3, jnp.float32(1), "float8_e5m2", "float32"), {}),
    "history": ("compute_float8_amax_history", (X, jnp.arange(4.0)), {}),
    "scale": (
        "compute_float8_scale",
        (jnp.array([3.0, 0.0, jnp.inf]), jnp.array([1.0, 2.0, 3.0]), 448.0, 1),
        {},
    ),
}


@pytest.mark.parametrize(("name", "args", "kwargs"), CALLS.values(), ids=CALLS)
def test_function(name, args, kwargs):
    ours, theirs = (getattr(lib.quantizers, name)(*args, **kwargs) for lib in (keraunos, keras))
    close(ours, theirs)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_four_bits(axis, dtype):
    low = -8 if dtype == "int8" else 0
    given = RNG.integers(low, low + 16, (3, 5, 2)).astype(dtype)
    packed, shape, size = quantizers.pack_int4(given, axis, dtype)
    theirs = keras.quantizers.pack_int4(given, axis=axis, dtype=dtype)
    np.testing.assert_array_equal(packed, theirs[0])
    assert (tuple(shape), size) == (packed.shape, given.shape[axis])
    back = quantizers.unpack_int4(packed, size, axis, dtype)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, given)


ENDS = [
    ((-1.3, 2.1), {}),
    ((-1.3, 2.1), {"num_bits": 3, "narrow_range": True}),
    ((1.0, 2.1), {}),
    ((-3.0, -1.0), {"num_bits": 4}),
    ((-np.arange(1.0, 6.0), np.arange(0.1, 0.6, 0.1)), {"axis": 1}),
]


@pytest.mark.parametrize(("ends", "kwargs"), ENDS)
def test_fake_quantization_and_its_gradient(ends, kwargs):
    ends = [jnp.asarray(end, "float32") for end in ends]
    weights = RNG.normal(size=X.shape)
    results = []
    for lib in (keraunos, keras):
        fake = lambda *args, lib=lib: lib.quantizers.fake_quant_with_min_max_vars(*args, **kwargs)
        total = lambda *args, fake=fake: jnp.sum(fake(*args) * weights)
        results.append((fake(X, *ends), jax.grad(total, (0, 1, 2))(jnp.asarray(X), *ends)))
    close(*results)


def test_fake_quantization_between_zeros_is_zero():
    assert not np.any(quantizers.fake_quant_with_min_max_vars(X, 0.0, 0.0))


def test_symbols():
    x = keraunos.KerasTensor((None, 5))
    integers, scale = quantizers.abs_max_quantize(x, axis=-1)
    assert (integers.shape, integers.dtype, scale.shape) == ((None, 5), "int8", (None, 1))
    assert quantizers.fake_quant_with_min_max_vars(x, -1.0, 1.0).shape == (None, 5)


def test_absmax_quantizer():
    for arguments in ({"axis": 1}, {"axis": (0, 1), "value_range": (-7, 7)}, {}):
        ours, theirs = (lib.quantizers.AbsMaxQuantizer(**arguments) for lib in (keraunos, keras))
        close(ours(X, axis=1), theirs(X, axis=1))
        assert quantizers.serialize(ours) == keras.quantizers.serialize(theirs)
        again = keras.quantizers.deserialize(quantizers.serialize(ours))
        assert quantizers.deserialize(keras.quantizers.serialize(again)).axis == ours.axis
    assert quantizers.get("abs_max_quantizer", axis=2).axis == (2,)
    assert quantizers.get(quantizers.AbsMaxQuantizer, axis=2).axis == (2,)
    assert quantizers.get(None) is None
    assert keraunos.Quantizer()(3) == 3
    with pytest.raises(NotImplementedError, match="Quantizer needs a `get_config` to be saved"):
        keraunos.Quantizer().get_config()


REFUSED = [
    (
        lambda: quantizers.pack_int4(np.zeros((2, 2), "int32")),
        TypeError,
        "int8 or uint8, got int32",
    ),
    (lambda: quantizers.pack_int4(np.zeros(2, "int8"), dtype="int4"), ValueError, "got 'int4'"),
    (lambda: quantizers.unpack_int4(np.zeros(2, "int32"), 4), TypeError, "`unpack_int4` needs"),
    (
        lambda: quantizers.abs_max_quantize_grouped_with_zero_point(X, 0),
        ValueError,
        "a positive `block_size`",
    ),
    (lambda: quantizers.get("abs_max"), ValueError, "Known names: abs_max_quantizer"),
    (
        lambda: quantizers.Int4QuantizationConfig(block_size=0),
        ValueError,
        "None, -1, or a positive integer for `block_size`, got 0",
    ),
    (
        lambda: quantizers.Int4QuantizationConfig(quantizers.AbsMaxQuantizer(0, (-7, 7))),
        ValueError,
        r"a quantizer of value_range=\(-8, 7\)",
    ),
    (
        lambda: quantizers.Int4QuantizationConfig(quantizers.AbsMaxQuantizer(0, (-8, 7))),
        ValueError,
        "Leave out yours, or set `block_size=-1`",
    ),
    (
        lambda: quantizers.Int8QuantizationConfig(
            quantizers.AbsMaxQuantizer(0, output_dtype="int16")
        ),
        ValueError,
        "output_dtype='int8'",
    ),
    (lambda: quantizers.Int8QuantizationConfig(3), ValueError, "3 is not one of keras.quantizers"),
    (lambda: quantizers.QuantizationConfig().mode, NotImplementedError, "has no `mode`"),
    (
        lambda: quantizers.GPTQConfig(None, None, weight_bits=5),
        ValueError,
        r"one of \(2, 3, 4, 8\) for `weight_bits`, got 5",
    ),
    (lambda: quantizers.AWQConfig(None, None, weight_bits=8), ValueError, r"one of \(4,\)"),
    (lambda: quantizers.AWQConfig(None, None, group_size=0), ValueError, "`group_size`, got 0"),
    (lambda: quantizers.GPTQConfig(None, None, num_samples=0), ValueError, "`num_samples`, got 0"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


CONFIGS = [
    ("Int8QuantizationConfig", {}),
    ("Int8QuantizationConfig", {"activation_quantizer": None}),
    ("Int4QuantizationConfig", {}),
    ("Int4QuantizationConfig", {"block_size": None}),
    ("Float8QuantizationConfig", {}),
    ("GPTQConfig", {"dataset": [1], "tokenizer": 2, "group_size": -1, "symmetric": True}),
    ("AWQConfig", {"dataset": [1], "tokenizer": 2, "num_grid_points": 5}),
]


@pytest.mark.parametrize(("name", "arguments"), CONFIGS)
def test_config_in_files(name, arguments):
    ours, theirs = (getattr(lib.quantizers, name)(**arguments) for lib in (keraunos, keras))
    assert ours.mode == theirs.mode
    assert quantizers.serialize(ours) == keras.quantizers.serialize(theirs)
    again = quantizers.deserialize(keras.quantizers.serialize(theirs))
    assert type(again) is type(ours)
    assert quantizers.serialize(again) == quantizers.serialize(ours)


POLICIES = [
    "int8_from_float32",
    "int8_from_mixed_bfloat16",
    "int4_from_float32",
    "int4/32_from_bfloat16",
    "int4/-1_from_float32",
    "float8_from_mixed_bfloat16",
    "gptq/3/128_from_float32",
    "gptq/4/-1_from_float32",
    "awq/4/64_from_float32",
]


@pytest.mark.parametrize("name", POLICIES)
def test_policy(name):
    ours, theirs = (lib.dtype_policies.get(name) for lib in (keraunos, keras))
    assert repr(ours) == repr(theirs)
    for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert dtype_policies.serialize(ours) == keras.dtype_policies.serialize(theirs)
    assert dtype_policies.deserialize(keras.dtype_policies.serialize(theirs)) == ours


NO_POLICIES = [
    ("int4/0_from_float32", "`block_size` in 'int4/0' must be -1"),
    ("int4/x_from_float32", "`block_size` in 'int4/x' must be an integer"),
    ("gptq_from_float32", "needs a mode 'gptq/<weight_bits>/<group_size>', got 'gptq'"),
    ("gptq/5/128_from_float32", "`weight_bits` in 'gptq/5/128' must be one of"),
    ("awq/8/128_from_float32", "must be one of"),
    ("int8_from_float16", "float16 overflows in int8"),
    ("int8_from_what", "'what' is not a dtype policy"),
    ("int8", "'int8_from_float32'"),
]


@pytest.mark.parametrize(("name", "message"), NO_POLICIES)
def test_no_policy(name, message):
    with pytest.raises(ValueError, match=message):
        dtype_policies.get(name)


def test_float8_policy_has_a_history():
    policy = dtype_policies.QuantizedFloat8DTypePolicy("float8", "float32", 16)
    assert policy.amax_history_length == 16
    assert dtype_policies.deserialize(dtype_policies.serialize(policy)) == policy
    with pytest.raises(TypeError, match="an integer for `amax_history_length`, got 'x'"):
        dtype_policies.QuantizedFloat8DTypePolicy("float8", "float32", "x")
