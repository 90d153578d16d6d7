"""Serializes layers that several other layers share, so that loading restores one layer."""

from typing import Any, Dict

import tensorflow as tf


def shareable(layer: Any) -> Dict[str, Any]:
    """Returns the configuration of a layer, marked as shared if a model is being saved.

    Keras marks a layer that it serializes a second time, and then marks the first configuration as
    well. If that configuration is a part of another layer's, it has been copied before, and stays
    unmarked. It would be loaded as a separate layer, whose variables are not in the file. So this
    function serializes the layer twice.
    """
    tf.keras.layers.serialize(layer)
    config: Dict[str, Any] = tf.keras.layers.serialize(layer)
    return config


def deserialized(config: Dict[str, Any]) -> Any:
    """Builds a layer from the configuration that `shareable` returned.

    For a `.h5` file, Keras of TensorFlow 2.13 and later writes the class and the registered name of
    a layer apart, and reads it by the class alone, which it does not find.
    """
    name = config.get("registered_name")
    return tf.keras.layers.deserialize({**config, "class_name": name} if name else config)
