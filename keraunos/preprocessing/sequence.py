"""Public `keras.preprocessing.sequence`."""

from typing import TYPE_CHECKING

from keraunos.core.past import names_of
from keraunos.utils.arrays import pad_sequences

__all__ = ["pad_sequences"]

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
