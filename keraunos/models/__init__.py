"""Models: layers made of layers, which can be trained, looked at and saved."""

from typing import TYPE_CHECKING

from keraunos.core.past import names_of
from keraunos.layers import Input
from keraunos.models.cloning import clone_model
from keraunos.models.model import Functional, Model, load_model, model_from_json, save_model
from keraunos.models.sequential import Sequential

__all__ = [
    "Functional",
    "Input",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_json",
    "save_model",
]

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
