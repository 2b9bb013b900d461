"""Quantize the layers of a model; some modes look at data while they do."""

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp

from keraunos.layers.layer import Layer
from keraunos.layers.quantized import Quantizable
from keraunos.quantizers.calibrate import Hessian, Magnitudes, awq, gptq, samples
from keraunos.quantizers.configs import Calibrated, resolved

_CALIBRATIONS: dict[str, tuple[type, Callable]] = {
    "gptq": (Hessian, gptq),
    "awq": (Magnitudes, awq),
}


def quantize(model: Any, mode: str | None, config: Any, filters: Any, type_check: bool) -> None:
    """What `Model.quantize` does."""
    config, wanted = resolved(mode, config), _wanted(filters)
    model._check_built_for("quantize")
    if isinstance(config, Calibrated):
        _calibrate(model, config, wanted, type_check)
    else:
        _quantize(model, config, wanted, type_check)
    for forget in ("make_train_function", "make_test_function", "make_predict_function"):
        getattr(model, forget)(force=True)


def _wanted(filters: Any) -> Callable[[Layer], bool]:
    """Whether a layer is to be quantized: a function, or regular expressions for its name."""
    if filters is None:
        return lambda layer: True
    if callable(filters):
        return lambda layer: bool(filters(layer))
    patterns = [filters] if isinstance(filters, str) else filters
    if not isinstance(patterns, (list, tuple)) or not all(isinstance(p, str) for p in patterns):
        raise ValueError(
            "`filters` must be a regular expression for names of layers, a list of them, or a "
            f"function of a layer, got {filters!r}."
        )
    return lambda layer: any(re.search(pattern, layer.name) for pattern in patterns)


def _quantize(layer: Any, config: Any, wanted: Callable, type_check: bool) -> None:
    left = []
    for inner in layer._flatten_layers():
        if inner._flatten_layers(include_self=False) or not wanted(inner):
            continue
        try:
            inner.quantize(type_check=type_check, config=config)
        except NotImplementedError:
            if inner.weights:
                left.append(f"{inner.name} ({type(inner).__name__})")
    if left:
        warnings.warn(
            f"These layers cannot be quantized to {config.mode!r}, their weights stay floats: "
            f"{', '.join(left)}.",
            stacklevel=4,
        )


# Calibration ----------------------------------------------------------------------------------


def _calibrate(model: Any, config: Calibrated, wanted: Callable, type_check: bool) -> None:
    """Quantize one block after the other, each on what those before it make of the data."""
    structure = config.quantization_layer_structure
    if structure is None:
        structure = model.get_quantization_layer_structure(config.mode)
    if not isinstance(structure, dict) or not structure.get("sequential_blocks"):
        raise ValueError(
            f"{config.mode!r} needs to know which layers come one after the other: set "
            "`quantization_layer_structure` of the config, or let the model's "
            "`get_quantization_layer_structure(mode)` return it, as `{'pre_block_layers': "
            f"[embedding, ...], 'sequential_blocks': [block, ...]}}`; got {structure!r}."
        )
    passed = [jnp.asarray(piece)[None] for piece in samples(config)]
    for layer in structure.get("pre_block_layers", ()):
        passed = [layer(x) for x in passed]
    seen, rounded = _CALIBRATIONS[config.mode]
    for block in structure["sequential_blocks"]:
        layers = [
            layer
            for layer in block._flatten_layers()
            if isinstance(layer, Quantizable) and config.mode in layer.modes and wanted(layer)
        ]
        statistics = {layer: seen() for layer in layers}
        with _watching(statistics):
            for x in passed:
                block(x)
        for layer, statistic in statistics.items():
            name = layer.adapted
            weights = layer.layouts[name].matrix(layer.base(name).value).T
            layer.quantize(type_check=type_check, config=config)
            layer.set_calibrated(name, rounded(weights, statistic, config))
        passed = [block(x) for x in passed]


@contextlib.contextmanager
def _watching(statistics: dict[Quantizable, Any]) -> Iterator[None]:
    """Within it, what layers are called with is shown to their statistics."""

    def watched(layer: Quantizable, statistic: Any) -> Callable:
        call = layer.call

        def seeing(inputs, *args, **kwargs):
            statistic.see(layer.layouts[layer.adapted].rows(inputs))
            return call(inputs, *args, **kwargs)

        return seeing

    for layer, statistic in statistics.items():
        vars(layer)["call"] = watched(layer, statistic)
    try:
        yield
    finally:
        for layer in statistics:
            del vars(layer)["call"]
