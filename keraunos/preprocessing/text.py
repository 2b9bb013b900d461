"""What was `keras.preprocessing.text`."""

from keraunos.utils.directories import text_dataset_from_directory

__all__ = ["text_dataset_from_directory"]
