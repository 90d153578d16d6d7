"""Looks expected counts up in TensorFlow, from the tables of `core.expected_counts`."""

from typing import Any

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.expected_counts import CELL_SHIFT, FIRST_CELL, ExpectedCounts
from merlin_popsampler.core.segments import Floats, Ints

from .inverse_cdf import segment


def expected_count(table: ExpectedCounts, ranks: Any, outside: float = 1.0) -> tf.Tensor:
    """Looks up how often each rank is expected in a batch, by the formulas of `ExpectedCounts`.

    Args:
      table: the table of `core.expected_counts`.
      ranks: integers of any shape.
      outside: the result for ranks outside of `[0, size)`.

    Returns:
      float32 of the ranks' shape, within 6e-6 (relative) of the exact value, at least 1e-37.
    """
    ranks = tf.cast(ranks, tf.int64)
    safe = tf.clip_by_value(ranks, 0, table.size - 1)
    if table.starts is not None:
        expected_counts = _by_segment(table.starts, table.rows[:, 0], safe)
    else:
        expected_counts = _by_cell(table.rows, safe)
    return tf.stop_gradient(tf.where(tf.equal(safe, ranks), expected_counts, outside))


def _by_segment(starts: Ints, expected_counts: Floats, ranks: tf.Tensor) -> tf.Tensor:
    if len(expected_counts) == 1:
        return tf.constant(expected_counts[0], tf.float32)
    index = segment(starts, tf.reshape(ranks, [-1]))
    return tf.gather(tf.constant(expected_counts, tf.float32), tf.reshape(index, tf.shape(ranks)))


def _by_cell(rows: Floats, ranks: tf.Tensor) -> tf.Tensor:
    """Looks expected counts up by cell, with few ops, since a batch has few ids."""
    x = tf.cast(ranks, tf.float64) + 1.0
    bits = tf.bitwise.right_shift(tf.bitcast(x, tf.int64), np.int64(CELL_SHIFT))
    b, a = tf.unstack(tf.gather(tf.constant(rows, tf.float32), bits - FIRST_CELL), axis=-1)
    return b + a / tf.cast(x, tf.float32)
