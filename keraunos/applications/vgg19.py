"""Public `keras.applications.vgg19`."""

from keraunos.applications.imagenet_utils import decode_predictions
from keraunos.applications.vgg16 import preprocess_input, vgg

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]

VGG19 = vgg("VGG19", 2, 2, 4, 4, 4)
