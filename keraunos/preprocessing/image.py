"""Public `keras.preprocessing.image`."""

from typing import TYPE_CHECKING

from keraunos.core.past import names_of
from keraunos.utils.directories import image_dataset_from_directory
from keraunos.utils.images import array_to_img, img_to_array, load_img, save_img, smart_resize

__all__ = [
    "array_to_img",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "save_img",
    "smart_resize",
]

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
