"""Weights and inputs in few bits."""

from typing import Any

from keraunos.core import registry
from keraunos.quantizers.configs import (
    AWQConfig,
    Float8QuantizationConfig,
    GPTQConfig,
    Int4QuantizationConfig,
    Int8QuantizationConfig,
    QuantizationConfig,
)
from keraunos.quantizers.quantize import (
    AbsMaxQuantizer,
    Quantizer,
    abs_max_quantize,
    abs_max_quantize_grouped_with_zero_point,
    compute_float8_amax_history,
    compute_float8_scale,
    fake_quant_with_min_max_vars,
    pack_int4,
    quantize_and_dequantize,
    unpack_int4,
)

__all__ = [
    "AWQConfig",
    "AbsMaxQuantizer",
    "Float8QuantizationConfig",
    "GPTQConfig",
    "Int4QuantizationConfig",
    "Int8QuantizationConfig",
    "QuantizationConfig",
    "Quantizer",
    "abs_max_quantize",
    "abs_max_quantize_grouped_with_zero_point",
    "compute_float8_amax_history",
    "compute_float8_scale",
    "deserialize",
    "fake_quant_with_min_max_vars",
    "get",
    "pack_int4",
    "quantize_and_dequantize",
    "serialize",
    "unpack_int4",
]


def serialize(initializer: Any) -> Any:
    """What a saved file holds for a quantizer or a config of quantization."""
    return registry.serialize(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The object that `serialize` described."""
    return registry.deserialize(config, custom_objects, kind="quantizers")


def get(identifier: Any, **kwargs: Any) -> Any:
    """The quantizer that a name, a config, an instance or a callable stands for.

    `kwargs` are arguments for one that is given as a name or a class.
    """
    if kwargs and isinstance(identifier, str):
        identifier = registry.lookup("quantizers", identifier) or identifier
    if kwargs and isinstance(identifier, type):
        return identifier(**kwargs)
    return registry.find("quantizers", identifier)
