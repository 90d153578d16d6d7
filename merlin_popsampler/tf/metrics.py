"""A mean that says so where there was nothing to take it over."""

from typing import Any

import tensorflow as tf


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class NanMean(tf.keras.metrics.Mean):  # type: ignore[misc]
    """Keras's mean, but NaN, not 0, of nothing: a loss or a recall of 0 would be a result."""

    def result(self) -> Any:
        return tf.where(tf.equal(self.count, 0.0), float("nan"), super().result())
