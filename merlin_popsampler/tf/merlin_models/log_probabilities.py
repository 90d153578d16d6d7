"""The form in which a positive's log-probability goes to Keras's loss and to Merlin's metrics.

Both get one matrix: a row's first column is its positive, and the target says 1 there. A row whose
positive stands for no item has no 1 at all.
"""

from typing import Any

import tensorflow as tf

from merlin_popsampler.core.scores import MASKED
from merlin_popsampler.tf.logits import cross_entropy, row_weights

PLACES = 1000
"""Places of a ranking that top-k metrics can tell apart."""
_LOSSES = "_popsampler_losses"
"""Attribute of outputs: minus their first column."""


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class CandidateCrossEntropy(tf.keras.losses.Loss):  # type: ignore[misc]
    """Minus the log-probability of each row's positive, a mean over the rows that have one.

    The mean is over the rows of all replicas; sample weights multiply without changing their
    number. It expects outputs `[rows, columns]` whose first column is that log-probability, and
    targets of that shape with 1 in the first column of the rows that count. A NaN counts always.
    """

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        losses = getattr(y_pred, _LOSSES, None)
        losses = -y_pred[:, 0] if losses is None else losses
        # A NaN has no target, and must be seen all the same.
        counting = (y_true[:, 0] > 0.0) | tf.math.is_nan(losses)
        return tf.where(counting, losses, 0.0) * row_weights(counting)


def log_probabilities(true_logits: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Log-probabilities of each row's candidates, the positive first: float32 `[rows, 1 + n]`.

    Args:
      true_logits: float32 `[rows]`, of the positives.
      logits: float32 `[rows, n]`, of the others.
    """
    losses = cross_entropy(true_logits, logits)
    outputs = tf.concat([-losses[:, None], logits - (losses + true_logits)[:, None]], 1)
    # As Keras's softmax leaves its logits to Keras's loss: a gradient through one column of the
    # matrix would be a matrix itself.
    setattr(outputs, _LOSSES, losses)
    return outputs


def targets_of(counting: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Targets of outputs `[rows, columns]`: 1 in the first column of the rows that count."""
    first = tf.cast(counting, outputs.dtype)[:, None]
    return tf.pad(first, [[0, 0], [0, tf.shape(outputs)[1] - 1]])


def ranked(losses: tf.Tensor, rank: tf.Tensor, num_items: int) -> tf.Tensor:
    """Outputs of which top-k metrics find the positive at its place among all items.

    Args:
      losses: float32 `[rows]`, nats.
      rank: int32 `[rows]`, of the positive, 0 for the best.
      num_items: of the catalog.

    Returns:
      float32 `[rows, 1 + PLACES]`, or fewer columns for fewer items: the log-probability of the
      positive (`MASKED` where it is NaN, which has no order), then a number above it for each item
      that counts against it, and below it for the others.
    """
    places = tf.range(min(num_items - 1, PLACES))
    first = tf.where(tf.math.is_nan(losses), MASKED, -losses)[:, None]
    others = tf.where(places[None, :] < rank[:, None], 1.0, 2.0 * first - 1.0)
    outputs = tf.concat([first, others], 1)
    setattr(outputs, _LOSSES, losses)
    return outputs
