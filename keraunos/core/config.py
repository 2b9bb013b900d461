"""The few settings that every other module reads; their defaults are in `keras.json`."""

import json
import os
from pathlib import Path
from typing import Any

FLOATS = ("bfloat16", "float16", "float32", "float64")
DATA_FORMATS = ("channels_last", "channels_first")


def home() -> Path:
    """The folder of settings and downloads: `$KERAS_HOME`, or `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def _saved() -> dict[str, Any]:
    try:
        found = json.loads((home() / "keras.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


_saved_settings = _saved()
_settings: dict[str, Any] = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "interactive_logging": True,
    "traceback_filtering": True,
    "flash_attention": None,
    "nnx_enabled": False,
    "unsafe_deserialization": False,
    "max_epochs": None,
    "max_steps_per_epoch": None,
    "note_old_names": True,
}
_settings |= {key: _saved_settings[key] for key in _settings.keys() & _saved_settings.keys()}


def get(name: str) -> Any:
    """The setting `name`, one of those above."""
    return _settings[name]


def put(name: str, value) -> None:
    """Change the setting `name` for the rest of the process."""
    _settings[name] = value


def one_of(name: str, value, choices: tuple[str, ...]) -> str:
    """`value`, if it is one of `choices`."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(choices)}, got {value!r}.")
    return value


def backend() -> str:
    """Name of the engine; always "jax"."""
    return "jax"


def floatx() -> str:
    """Name of the default float type, e.g. "float32"."""
    return _settings["floatx"]


def set_floatx(value: str) -> None:
    """Set the default float type: bfloat16, float16, float32 or float64."""
    _settings["floatx"] = one_of("floatx", value, FLOATS)


def epsilon() -> float:
    """The small number added where a division or a logarithm could meet zero; 1e-7."""
    return _settings["epsilon"]


def set_epsilon(value: float) -> None:
    """Set what `epsilon()` returns."""
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Where images keep their channels: "channels_last" or "channels_first"."""
    return _settings["image_data_format"]


def set_image_data_format(data_format: str) -> None:
    """Set what `image_data_format()` returns."""
    _settings["image_data_format"] = one_of("data_format", data_format, DATA_FORMATS)


def standardize_data_format(data_format: str | None) -> str:
    """`data_format`, checked; the default one if None."""
    if data_format is None:
        return image_data_format()
    return one_of("data_format", str(data_format).lower(), DATA_FORMATS)
