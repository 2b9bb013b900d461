"""Public `keras.preprocessing.sequence`."""

from keraunos.utils.arrays import pad_sequences

__all__ = ["pad_sequences"]
