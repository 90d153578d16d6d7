"""Configurations of layers that several layers hold, and that are one layer again when loaded."""

from typing import Any, Dict

import tensorflow as tf


def shareable(layer: Any) -> Dict[str, Any]:
    """The configuration of a layer, marked as shared where a model is being saved.

    Keras marks what it meets a second time, and then marks the first configuration too. But that
    one has been copied by then, if it is a part of another layer's, and would be loaded as a layer
    of its own, whose variables are not in the file.
    """
    tf.keras.layers.serialize(layer)
    config: Dict[str, Any] = tf.keras.layers.serialize(layer)
    return config
