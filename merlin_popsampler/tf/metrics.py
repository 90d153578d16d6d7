"""Defines a Keras mean that is NaN, not 0, if it has seen no values."""

from typing import Any

import tensorflow as tf


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class NanMean(tf.keras.metrics.Mean):  # type: ignore[misc]
    """Computes a mean that is NaN if it has seen no values.

    Keras's own mean would be 0, which looks like a loss or a recall.

    Examples:
      >>> mean = NanMean()
      >>> bool(tf.math.is_nan(mean.result()))
      True
      >>> _ = mean.update_state([1.0, 2.0])
      >>> float(mean.result())
      1.5
    """

    def result(self) -> Any:
        return tf.where(tf.equal(self.count, 0.0), float("nan"), super().result())
