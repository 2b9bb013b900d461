"""What was in Keras 1 and 2: `keras.legacy`, names and modules of the past."""

import importlib


def __getattr__(name: str):
    if name == "saving":
        return importlib.import_module("keraunos.legacy.saving")
    raise AttributeError(f"module 'keras.legacy' has no attribute {name!r}")
