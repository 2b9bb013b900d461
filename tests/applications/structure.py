"""What the models of `keras.applications` are made of, as real Keras answers.

    python -m tests.applications.structure            write structure.json, from Keras
    python -m tests.applications.structure check      build all with keraunos, and compare

One line for each model: its number of layers and of parameters, and a digest of all layers in
order: class, name, what it is called on, output shape, and the paths and shapes of its weights.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

FILE = Path(__file__).with_suffix(".json")

# Further arguments that change what a model is made of.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "VGG16": [{"include_top": False, "pooling": "max"}],
    "ResNet50": [{"include_top": False, "pooling": "avg", "input_shape": (64, 33, 4)}],
    "MobileNet": [
        {"include_top": False, "pooling": "avg", "alpha": 0.5},
        {"alpha": 0.3, "depth_multiplier": 2, "dropout": 0.2, "classes": 7},
    ],
    "MobileNetV2": [
        {"alpha": 1.4, "input_shape": (97, 64, 3)},
        {"include_top": False, "pooling": "avg", "alpha": 0.35},
    ],
    "MobileNetV3Small": [
        {"minimalistic": True, "alpha": 0.75, "dropout_rate": 0.0},
        {"include_top": False, "pooling": "max", "include_preprocessing": False},
    ],
    "MobileNetV3Large": [{"minimalistic": True, "alpha": 1.5}],
    "NASNetMobile": [{"include_top": False, "pooling": "avg", "input_shape": (33, 40, 3)}],
    "EfficientNetB0": [{"include_top": False, "pooling": "max"}],
    "EfficientNetV2B0": [{"include_preprocessing": False, "classifier_activation": None}],
    "ConvNeXtTiny": [
        {"include_top": False, "pooling": "avg", "name": "mine"},
        {"include_preprocessing": False, "classes": 3},
    ],
}
# Data formats are a setting, not an argument.
FIRST = ["VGG16", "ResNet50V2", "InceptionV3", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0"]


def cases(names: list[str]) -> list[tuple[str, dict[str, Any], str]]:
    """Name, arguments, data format."""
    found: list[tuple[str, dict[str, Any], str]] = []
    for name in names:
        found += [(name, given, "channels_last") for given in ({}, *VARIANTS.get(name, []))]
        found += [(name, {}, "channels_first")] * (name in FIRST)
    return found


def key(name: str, given: dict[str, Any], data_format: str) -> str:
    words = [f"{k}={v!r}" for k, v in given.items()]
    return " ".join([name, *words, *[data_format] * (data_format == "channels_first")])


def facts(library: Any, name: str, given: dict[str, Any], data_format: str) -> list[Any]:
    """Number of layers, number of parameters, digest."""
    library.config.set_image_data_format(data_format)
    try:
        model = getattr(library.applications, name)(weights=None, **given)
    finally:
        library.config.set_image_data_format("channels_last")
    config = {entry["name"]: entry for entry in model.get_config()["layers"]}
    lines = [
        (
            type(layer).__name__,
            layer.name,
            _sources(config[layer.name]["inbound_nodes"]),
            [tuple(t.shape) for t in jax.tree.leaves(layer.output)],
            [(v.path, tuple(v.shape)) for v in layer.weights],
        )
        for layer in model.layers
    ]
    digest = hashlib.sha256(repr((model.name, lines)).encode()).hexdigest()[:16]
    return [len(model.layers), model.count_params(), digest]


def _sources(nodes: Any) -> list[str]:
    if isinstance(nodes, dict):
        if nodes.get("class_name") == "__keras_tensor__":
            return [nodes["config"]["keras_history"][0]]
        nodes = list(nodes.values())
    return [s for node in nodes for s in _sources(node)] if isinstance(nodes, (list, tuple)) else []


def zeros(self: Any, shape: Any, dtype: Any = None, **_: Any) -> np.ndarray:
    """An initializer for those who only look at shapes."""
    return np.zeros(shape, "float32")


def record() -> None:
    import keras

    for kind in (keras.initializers.VarianceScaling, keras.initializers.Zeros):
        kind.__call__ = zeros
    names = sorted(name for name in dir(keras.applications) if name[0].isupper())
    found = {}
    for case in cases(names):
        keras.utils.clear_session()
        found[key(*case)] = facts(keras, *case)
    lines = [f"  {json.dumps(name)}: {json.dumps(fact)}" for name, fact in found.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def check() -> None:
    import keraunos
    from keraunos import initializers
    from keraunos.core import naming

    initializers.Scaled.__call__ = zeros
    table, bad = json.loads(FILE.read_text()), 0
    for case in cases(sorted({name.split()[0] for name in table})):
        naming.reset()
        if (fact := facts(keraunos, *case)) != table.pop(key(*case)):
            bad += 1
            print(f"{key(*case)}: {fact}")
    print(f"{bad} differ, {len(table)} are missing." if bad or table else "All agree.")


if __name__ == "__main__":
    check() if "check" in sys.argv else record()
