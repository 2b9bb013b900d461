"""What was in Keras 1 and 2: `keras.legacy`, names and modules of the past."""

import importlib

_PLACES = {"saving": "saving", "quiet": "note"}


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module 'keras.legacy' has no attribute {name!r}")
    module = importlib.import_module(f"keraunos.legacy.{_PLACES[name]}")
    return module if name == _PLACES[name] else getattr(module, name)
