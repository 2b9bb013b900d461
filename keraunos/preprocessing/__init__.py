"""Public `keras.preprocessing`: images, texts and sequences before they meet a model."""

from keraunos.preprocessing import image, sequence, text
from keraunos.utils.directories import image_dataset_from_directory, text_dataset_from_directory
from keraunos.utils.windows import timeseries_dataset_from_array

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]
