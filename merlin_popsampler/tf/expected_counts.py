"""Looks expected counts up in TensorFlow, from the tables of `core.expected_counts`."""

from typing import Any

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.expected_counts import ExpectedCounts
from merlin_popsampler.core.segments import Floats, Ints

from .inverse_cdf import segment


def expected_count(table: ExpectedCounts, ranks: Any, outside: float = 1.0) -> tf.Tensor:
    """Looks up how often each rank is expected in a batch, by the formulas of `ExpectedCounts`.

    Args:
      table: the table of `core.expected_counts`.
      ranks: integers of any shape.
      outside: the result for ranks outside of `[0, size)`.

    Returns:
      float32 of the ranks' shape, within 1e-5 (relative) of the exact value, at least 1e-37.
    """
    ranks = tf.cast(ranks, tf.int64)
    safe = tf.clip_by_value(ranks, 0, table.size - 1)
    if table.starts is not None:
        expected_counts = _by_segment(table.starts, table.rows[:, 0], safe)
    else:
        expected_counts = _by_rank(table, safe) if len(table.rows) else _by_formula(table, safe)
    return tf.stop_gradient(tf.where(tf.equal(safe, ranks), expected_counts, outside))


def _by_segment(starts: Ints, expected_counts: Floats, ranks: tf.Tensor) -> tf.Tensor:
    if len(expected_counts) == 1:
        return tf.constant(expected_counts[0], tf.float32)
    index = segment(starts, tf.reshape(ranks, [-1]))
    return tf.gather(tf.constant(expected_counts, tf.float32), tf.reshape(index, tf.shape(ranks)))


def _by_rank(table: ExpectedCounts, ranks: tf.Tensor) -> tf.Tensor:
    """Looks expected counts up by rank, with few ops, since a batch has few ids."""
    shifted = tf.cast(ranks, tf.float32) + 1.0
    t = tf.math.log(shifted) * np.float32(table.scale)
    cell = tf.floor(t)
    rows = tf.constant(table.rows, tf.float32)
    v0, v1, v2, v3 = tf.unstack(tf.gather(rows, tf.cast(cell, tf.int32)), axis=-1)
    f = t - cell
    return tf.minimum((v0 + f * (v1 + f * (v2 + f * v3))) / shifted, 1.0)


def _by_formula(table: ExpectedCounts, ranks: tf.Tensor) -> tf.Tensor:
    """Computes `factor * log1p(1 / (rank + offset))`, with a relative error of 3e-7 at any rank.

    In float32, a difference of logarithms would lose all digits.
    """
    shifted = tf.cast(ranks, tf.float32) + table.offset
    return np.float32(table.factor) * tf.math.log1p(1.0 / shifted)
