"""Formats log-probabilities of candidates for the Keras loss and for Merlin's top-k metrics.

Both get a matrix of outputs, whose first column is the positive, and a matrix of targets. Targets
are 1 in the first column of rows with an item, and 0 elsewhere.
"""

from typing import Any, Optional

import tensorflow as tf

from merlin_popsampler.core.scores import MASKED
from merlin_popsampler.tf.logits import cross_entropy, row_weights

PLACES = 1000
"""Number of ranks that top-k metrics can distinguish."""
_LOSSES = "_popsampler_losses"
"""Name of the attribute of outputs that holds the losses of the rows, the negated first column."""


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class CandidateCrossEntropy(tf.keras.losses.Loss):  # type: ignore[misc]
    """Computes the mean cross-entropy of the positives over the rows with an item.

    The mean is over the rows of all replicas. Sample weights multiply losses, but do not change the
    number of rows. Outputs are `[rows, columns]`, with the log-probability of the positive in the
    first column. Targets have the same shape, with 1 in the first column of rows with an item. A
    row whose loss is NaN always counts, so that the mean shows it.
    """

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        losses = getattr(y_pred, _LOSSES, None)
        losses = -y_pred[:, 0] if losses is None else losses
        # A NaN has no target, but must not be hidden.
        counting = (y_true[:, 0] > 0.0) | tf.math.is_nan(losses)
        return tf.where(counting, losses, 0.0) * row_weights(counting)


def log_probabilities(
    true_logits: tf.Tensor, logits: tf.Tensor, hard: Optional[tf.Tensor] = None
) -> tf.Tensor:
    """Computes log-probabilities of each row's candidates, the positive first.

    Args:
      true_logits: float32 `[rows]`, logits of the positives.
      logits: float32 `[rows, n]`, logits of the negatives.
      hard: float32 `[rows]`, the `hard_log_sums` of the rows, if they have hard negatives.

    Returns:
      float32 `[rows, 1 + n]`. With hard negatives, one more column at the end has the probability
      of all of them together.
    """
    losses = cross_entropy(true_logits, logits, hard)
    if hard is not None:
        logits = tf.concat([logits, hard[:, None]], 1)
    outputs = tf.concat([-losses[:, None], logits - (losses + true_logits)[:, None]], 1)
    # Keras's softmax passes its logits to Keras's loss in the same way. A gradient through one
    # column of the matrix would be a matrix itself.
    setattr(outputs, _LOSSES, losses)
    return outputs


def of_full_softmax(losses: tf.Tensor) -> tf.Tensor:
    """Computes log-probabilities of each row's positive, and of all other items together.

    Args:
      losses: float32 `[rows]`, losses of the full softmax in nats.

    Returns:
      float32 `[rows, 2]`.
    """
    others = -tf.math.expm1(-losses)
    log_others = tf.math.log(tf.where(others > 0.0, others, 1.0))
    outputs = tf.stack([-losses, tf.where(others > 0.0, log_others, MASKED)], 1)
    setattr(outputs, _LOSSES, losses)
    return outputs


def targets_of(counting: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Builds the targets of outputs.

    Args:
      counting: bool `[rows]`, whether a row has an item.
      outputs: floats `[rows, columns]`.

    Returns:
      The shape and dtype of `outputs`: 1 in the first column of rows with an item, 0 elsewhere.
    """
    first = tf.cast(counting, outputs.dtype)[:, None]
    return tf.pad(first, [[0, 0], [0, tf.shape(outputs)[1] - 1]])


def ranked(losses: tf.Tensor, rank: tf.Tensor, num_items: int) -> tf.Tensor:
    """Builds outputs for which top-k metrics compute the rank of the positive among all items.

    Args:
      losses: float32 `[rows]`, losses of the full softmax in nats.
      rank: int32 `[rows]`, the rank of the positive, 0 for the best.
      num_items: number of items of the catalog.

    Returns:
      float32 `[rows, 1 + PLACES]`, or fewer columns for fewer items. The first column is the
      log-probability of the positive, or `MASKED` if it is NaN. The other columns are above it for
      each item that ranks ahead, and below it otherwise.
    """
    positions = tf.range(min(num_items - 1, PLACES))
    first = tf.where(tf.math.is_nan(losses), MASKED, -losses)[:, None]
    others = tf.where(positions[None, :] < rank[:, None], 1.0, 2.0 * first - 1.0)
    outputs = tf.concat([first, others], 1)
    setattr(outputs, _LOSSES, losses)
    return outputs
