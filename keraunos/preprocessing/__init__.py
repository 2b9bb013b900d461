"""Public `keras.preprocessing`: images and sequences before they meet a model."""

from keraunos.preprocessing import image, sequence

__all__ = ["image", "sequence"]
