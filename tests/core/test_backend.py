"""`keras.backend`, `keras.config` and the rules of dtypes against Keras."""

import itertools

import jax
import jax.numpy as jnp
import keras
import pytest

import keraunos
from keraunos import backend, config

DTYPES = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16",
    "bfloat16", "float32", "float64", "complex64", None, int, float, bool,
]  # fmt: skip


@pytest.mark.parametrize("first", DTYPES, ids=str)
def test_result_type(first):
    assert backend.result_type(first) == keras.backend.result_type(first)
    for second in DTYPES:
        theirs = keras.backend.result_type(first, second)
        assert backend.result_type(first, second) == theirs, second


def test_result_type_of_many():
    for dtypes in itertools.combinations(["int8", "bfloat16", int, float, "uint8"], 3):
        assert backend.result_type(*dtypes) == keras.backend.result_type(*dtypes), dtypes
    assert backend.result_type() == "float32"
    with pytest.raises(ValueError, match="'string' cannot be promoted"):
        backend.result_type("string", "int32")


def test_public_names():
    for mine, theirs in ((backend, keras.backend), (config, keras.config)):
        missing = {n for n in dir(theirs) if not n.startswith("_")} - set(dir(mine))
        assert not missing


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "uint16", "bool", "float64"])
def test_kinds_of_dtypes(dtype):
    assert backend.is_float_dtype(dtype) == keras.backend.is_float_dtype(dtype)
    assert backend.is_int_dtype(dtype) == keras.backend.is_int_dtype(dtype)
    assert backend.standardize_dtype(jnp.dtype(dtype)) == dtype


def test_asking():
    assert backend.backend() == "jax"
    assert backend.is_keras_tensor(keraunos.KerasTensor((2,)))
    assert not backend.is_keras_tensor(jnp.ones(2))
    assert [backend.get_uid("a"), backend.get_uid("a"), backend.get_uid()] == [1, 2, 1]


def test_clear_session():
    config.set_dtype_policy("mixed_bfloat16")
    config.disable_interactive_logging()
    config.disable_traceback_filtering()
    assert keraunos.layers.Dense(2).name == "dense"
    assert keraunos.layers.Dense(2).name == "dense_1"
    backend.clear_session()
    assert keraunos.layers.Dense(2).name == "dense"
    assert config.dtype_policy().name == "float32"
    assert config.is_interactive_logging_enabled() and config.is_traceback_filtering_enabled()


def test_settings():
    assert config.epsilon() == 1e-7 and config.image_data_format() == "channels_last"
    config.set_image_data_format("channels_first")
    assert backend.image_data_format() == "channels_first"
    config.set_image_data_format("channels_last")
    with pytest.raises(ValueError, match=r"`data_format` must be one of .* got 'x'"):
        config.set_image_data_format("x")
    with pytest.raises(ValueError, match=r"`floatx` must be one of .* got 'int32'"):
        config.set_floatx("int32")
    config.set_backend("jax")
    with pytest.raises(ValueError, match=r"computes with JAX alone.*'torch'"):
        config.set_backend("torch")


def test_limits_and_switches():
    assert config.max_epochs() is None and config.max_steps_per_epoch() is None
    config.set_max_epochs(3)
    assert config.max_epochs() == 3
    config.set_max_epochs(None)
    assert config.is_flash_attention_enabled() is None and not config.is_nnx_enabled()
    config.disable_flash_attention()
    assert config.is_flash_attention_enabled() is False
    config.enable_flash_attention()
    assert config.is_flash_attention_enabled() is None


def test_device():
    with keraunos.device("cpu:0"):
        assert jnp.ones(2).devices() == {jax.devices("cpu")[0]}
    with keraunos.device(jax.devices("cpu")[0]):
        pass
    with pytest.raises(ValueError, match="There is no device 'cpu:9'"):
        keraunos.device("cpu:9")
    with pytest.raises(ValueError, match=r"or is a `jax.Device`; got 3"):
        keraunos.device(3)
