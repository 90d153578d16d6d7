"""Serializes layers that several other layers share, so that loading restores one layer."""

from typing import Any, Dict

import tensorflow as tf

_KERAS_3 = hasattr(tf.keras, "Variable")


def shareable(layer: Any) -> Dict[str, Any]:
    """Returns the configuration of a layer, marked as shared if a model is being saved.

    Keras marks a layer as shared when it serializes it a second time, and then also marks the first
    configuration. But if that is a part of another layer's configuration, it was copied before, and
    stays unmarked. It would be loaded as a separate layer, whose variables are not in the file. So
    this function serializes the layer twice.

    For a `.h5` file, Keras 2 of TensorFlow 2.13 and later marks layers only in its legacy format.
    """
    config = _serialized_twice(layer)
    if "shared_object_id" in config or _KERAS_3:
        return config
    return _serialized_twice(layer, use_legacy_format=True)


def _serialized_twice(layer: Any, **options: Any) -> Dict[str, Any]:
    tf.keras.layers.serialize(layer, **options)
    config: Dict[str, Any] = tf.keras.layers.serialize(layer, **options)
    return config
