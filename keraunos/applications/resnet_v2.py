"""Public `keras.applications.resnet_v2`."""

from keraunos.applications.imagenet_utils import decode_predictions, preprocessing
from keraunos.applications.resnet import resnet

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]

ResNet50V2 = resnet("ResNet50V2", 3, 4, 6, 3)
ResNet101V2 = resnet("ResNet101V2", 3, 4, 23, 3)
ResNet152V2 = resnet("ResNet152V2", 3, 8, 36, 3)
preprocess_input = preprocessing("tf")
