"""Public `keras.utils`: what is useful around a model."""

from typing import TYPE_CHECKING

from keraunos.backend import clear_session, is_keras_tensor, standardize_dtype
from keraunos.callbacks.progress import Progbar
from keraunos.core.console import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from keraunos.core.past import names_of
from keraunos.data import PyDataset
from keraunos.models.diagram import model_to_dot
from keraunos.models.drawing import plot_model
from keraunos.random import set_random_seed
from keraunos.saving import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from keraunos.utils import bounding_boxes, legacy
from keraunos.utils.arrays import (
    normalize,
    pack_x_y_sample_weight,
    pad_sequences,
    to_categorical,
    unpack_x_y_sample_weight,
)
from keraunos.utils.directories import (
    audio_dataset_from_directory,
    image_dataset_from_directory,
    text_dataset_from_directory,
)
from keraunos.utils.feature_space import FeatureSpace
from keraunos.utils.files import get_file
from keraunos.utils.graphs import get_source_inputs
from keraunos.utils.images import array_to_img, img_to_array, load_img, save_img
from keraunos.utils.settings import Config
from keraunos.utils.windows import split_dataset, timeseries_dataset_from_array

__all__ = [
    "Config",
    "CustomObjectScope",
    "FeatureSpace",
    "Progbar",
    "PyDataset",
    "array_to_img",
    "audio_dataset_from_directory",
    "bounding_boxes",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "legacy",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
