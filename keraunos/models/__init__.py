"""Models: layers made of layers, which can be trained, looked at and saved."""

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
