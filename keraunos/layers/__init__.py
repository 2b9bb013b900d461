"""The table of contents: every layer, grouped by the file it is in."""

from keraunos.layers.input import Input, InputLayer
from keraunos.layers.layer import Layer
from keraunos.layers.spec import InputSpec

__all__ = ["Input", "InputLayer", "InputSpec", "Layer"]
