"""Public `keras.utils.legacy`: configs as Keras 2 wrote them."""

from keraunos.legacy.saving import deserialize_keras_object, serialize_keras_object

__all__ = ["deserialize_keras_object", "serialize_keras_object"]
