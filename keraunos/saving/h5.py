"""Whole models, and weights, in the one HDF5 file that Keras 1 and 2 wrote.

    model_config, training_config       attributes of the file: JSON
    model_weights/<layer>/<weight>      with the lists `layer_names` and `weight_names`
    optimizer_weights/<weight>

Layers follow each other as in `model.layers`, and weights as `weight_names` lists them.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from keraunos.core import registry
from keraunos.core.state import Variable
from keraunos.core.untrusted import FileError
from keraunos.saving import configs, hdf5, old

_NAMES_PER_CHUNK = 500  # an attribute of HDF5 holds 64 kB


def asked_for(save_format: str | None, otherwise: bool) -> bool:
    """Whether the argument `save_format` of Keras 2 means these files; `otherwise` without it."""
    if save_format in (None, "h5", "hdf5", "keras"):
        return otherwise if save_format is None else save_format != "keras"
    raise ValueError(
        f"`save_format={save_format!r}` is not written here. Leave it out, with a name that ends "
        "in `.keras` (or `.h5`); `model.export(path, 'stablehlo')` writes a program to serve."
    )


def is_old(file: Any) -> bool:
    """Whether an HDF5 file holds weights as Keras 1 and 2 wrote them."""
    return any(name in _weights_of(file).attrs for name in ("layer_names", "layer_names0"))


def _weights_of(file: Any) -> Any:
    return file.get("model_weights", file)


# Writing ------------------------------------------------------------------------------------


def save_model(model: Any, path: Path, version: str, include_optimizer: bool = True) -> None:
    """Write a model, its weights and its optimizer."""
    with hdf5.written(path) as file:
        file.attrs["keras_version"], file.attrs["backend"] = version, "jax"
        config = registry.serialize(model)
        file.attrs["model_config"] = json.dumps(_plain(config))
        _write_weights(model, file.create_group("model_weights"), version)
        if include_optimizer and config.get("compile_config"):
            compiled = dict(config["compile_config"])
            compiled["optimizer_config"] = _plain(compiled.pop("optimizer"))
            file.attrs["training_config"] = json.dumps(compiled)
            _write_group(file.create_group("optimizer_weights"), model.optimizer.variables)


def save_weights(model: Any, path: Path, version: str) -> None:
    """Write the weights of a model."""
    with hdf5.written(path) as file:
        _write_weights(model, file, version)


def _write_weights(model: Any, group: Any, version: str) -> None:
    group.attrs["backend"], group.attrs["keras_version"] = "jax", version
    _write_names(group, "layer_names", [layer.name for layer in model.layers])
    for layer in model.layers:
        _write_group(group.create_group(layer.name), in_order(layer))
    within = {id(v) for layer in model.layers for v in layer.weights}
    own = [v for v in in_order(model) if id(v) not in within]
    _write_group(group.create_group("top_level_model_weights"), own)


def in_order(layer: Any) -> list[Variable]:
    """The weights of a layer as these files list them: those that are trained first."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _write_group(group: Any, variables: list[Variable]) -> None:
    names: list[str] = []
    for variable in variables:
        name, number = variable.path, 1
        while name in names:
            number += 1
            name = f"{variable.path}_{number}"
        names.append(name)
        group.create_dataset(name, data=np.asarray(variable))
    _write_names(group, "weight_names", names)


def _write_names(group: Any, key: str, names: list[str]) -> None:
    """A list of names, in several attributes if it is long."""
    if len(names) <= _NAMES_PER_CHUNK:
        group.attrs[key] = names
        return
    for start in range(0, len(names), _NAMES_PER_CHUNK):
        chunk = names[start : start + _NAMES_PER_CHUNK]
        group.attrs[f"{key}{start // _NAMES_PER_CHUNK}"] = chunk


def _plain(config: Any) -> Any:
    """A config without what Keras 2 does not know: the modules of classes, shapes of building."""
    if not isinstance(config, dict) or "class_name" not in config:
        return config
    inner = dict(config["config"])
    if isinstance(inner.get("layers"), list):
        inner["layers"] = [_plain(layer) for layer in inner["layers"]]
    if str(config.get("module")).startswith("keras.src.ops"):
        return config
    rest = {key: config[key] for key in ("name", "inbound_nodes") if key in config}
    name = config.get("registered_name") or config["class_name"]
    return {"class_name": name, "config": inner, **rest}


# Reading ------------------------------------------------------------------------------------


def load_model(file: Any, path: Path, compile: bool) -> Any:
    """The model that an open file of Keras 1 or 2 holds."""
    text = hdf5.text(file, "model_config")
    if text is None:
        raise FileError(
            f"{path} holds weights only. Make the model first, then call `model.load_weights`."
        )
    config = configs.mapping(text)
    if not (hdf5.text(file, "keras_version") or "").startswith("3."):
        config = old.upgraded(config)
    model = registry.deserialize(config, kind="models")
    load_weights(model, file, path)
    training = hdf5.text(file, "training_config") if compile else None
    if training is not None:
        _compile(model, configs.mapping(training), file)
    return model


def load_weights(
    model: Any, file: Any, path: Path, by_name: bool = False, skip_mismatch: bool = False
) -> None:
    """Read weights in the order of the layers, or by the names of layers."""
    group = _weights_of(file)
    saved = {name: _read_group(group[name]) for name in _names(group, "layer_names")}
    origin = _origin(file)
    if by_name:
        layers = [layer for layer in model.layers if layer.name in saved]
        pairs = [(layer, saved[layer.name]) for layer in layers]
    else:
        layers = [layer for layer in model.layers if in_order(layer)]
        filled = {name: arrays for name, arrays in saved.items() if arrays}
        if len(layers) != len(filled):
            raise FileError(
                f"{path} holds weights of {len(filled)} layers ({_listed(filled)}), but "
                f"{model.name!r} has {len(layers)} layers with weights "
                f"({_listed(layer.name for layer in layers)}). Nothing was loaded. "
                "`by_name=True` loads the layers that have the same name."
            )
        pairs = list(zip(layers, filled.values()))
    fitting = []
    for layer, arrays in pairs:
        variables = in_order(layer)
        arrays = old.fitted(layer, variables, arrays, origin)
        have, want = [a.shape for a in arrays], [v.shape for v in variables]
        if have == want:
            fitting += zip(variables, arrays)
        elif not skip_mismatch:
            raise FileError(
                f"The layer {layer.name!r} has weights of shapes {want}, {path} holds {have} for "
                "it. Nothing was loaded. `skip_mismatch=True` leaves such layers as they are."
            )
        else:
            warnings.warn(
                f"The layer {layer.name!r} was left as it is: its weights have shapes {want}, "
                f"those in {path} {have}.",
                stacklevel=6,
            )
    if "top_level_model_weights" in group and not by_name:
        within = {id(v) for layer in model.layers for v in layer.weights}
        own = [v for v in in_order(model) if id(v) not in within]
        arrays = _read_group(group["top_level_model_weights"])
        if [a.shape for a in arrays] == [v.shape for v in own]:
            fitting += zip(own, arrays)
    for variable, array in fitting:
        variable.assign(array)


def _origin(file: Any) -> old.Origin:
    group = _weights_of(file)
    version, backend = (
        hdf5.text(group, key) or hdf5.text(file, key) or "" for key in ("keras_version", "backend")
    )
    layers = _names(group, "layer_names")
    return old.Origin.of(
        version,
        backend,
        [name for layer in layers for name in _names(group[layer], "weight_names")],
    )


def _listed(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _read_group(group: Any) -> list[np.ndarray]:
    return [np.asarray(group[name]) for name in _names(group, "weight_names")]


def _names(group: Any, key: str) -> list[str]:
    found = list(group.attrs.get(key, ()))
    chunk = 0
    while f"{key}{chunk}" in group.attrs:
        found += list(group.attrs[f"{key}{chunk}"])
        chunk += 1
    return [_text(name) for name in found]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _compile(model: Any, config: dict[str, Any], file: Any) -> None:
    """Compile as the file says; warn, and leave it to the user, if that cannot be done."""
    try:
        model.compile(**old.compiled(config, list(model.output_names or [])))
    except Exception as error:
        warnings.warn(
            f"The model was not compiled as it was saved ({error}). Call `compile` before you "
            "train or evaluate it.",
            stacklevel=6,
        )
        return
    weights = file.get("optimizer_weights")
    if weights is None:
        return
    model.optimizer.build(model.trainable_variables)
    arrays, variables = _read_group(weights), model.optimizer.variables
    names = _names(weights, "weight_names")
    if [a.shape for a in arrays] != [v.shape for v in variables]:
        arrays = old.slots(model.optimizer, dict(zip(names, arrays)), _origin(file))
    if arrays is None:
        warnings.warn(
            f"The state of the optimizer was not loaded: the file has {len(names)} variables "
            f"of it, {model.optimizer.name!r} has {len(variables)}. It starts afresh.",
            stacklevel=6,
        )
        return
    for variable, array in zip(variables, arrays):
        variable.assign(array)
