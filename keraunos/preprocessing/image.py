"""Public `keras.preprocessing.image`."""

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
