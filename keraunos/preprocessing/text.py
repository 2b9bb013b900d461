"""What was `keras.preprocessing.text`."""

from typing import TYPE_CHECKING

from keraunos.core.past import names_of
from keraunos.utils.directories import text_dataset_from_directory

__all__ = ["text_dataset_from_directory"]

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
