"""Prices on a device, by the tables of `core.prices`: TensorFlow functions without state."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.laws import Empirical, Law, LogUniform
from merlin_popsampler.core.prices import PriceTable

from .inverse import step


def prob(law: Law, ranks: Any) -> tf.Tensor:
    """Probability of one draw, float32 of the ranks' shape; 0.0 outside `[0, size)`."""
    ranks = tf.cast(ranks, tf.int64)
    inside = (ranks >= 0) & (ranks < law.size)
    ranks = tf.where(inside, ranks, tf.zeros_like(ranks))
    if isinstance(law, LogUniform):
        # log1p keeps 3e-7 at any rank, where a float32 difference of logs loses all digits.
        values = tf.math.log1p(1.0 / (tf.cast(ranks, tf.float32) + 1.0)) / math.log1p(law.size)
    elif isinstance(law, Empirical):
        values = tf.gather(tf.constant(law.step_probs, tf.float32), step(law, ranks))
    else:
        values = tf.fill(tf.shape(ranks), np.float32(1.0 / law.size))
    return tf.where(inside, values, tf.zeros_like(values))


def expected_count(law: Law, table: PriceTable, ranks: Any) -> tf.Tensor:
    """Expected number of times a rank is in one batch, by the recipe of `PriceTable`.

    Args:
      law: the law of one draw.
      table: its prices for batches of the size that is drawn.
      ranks: integers of any shape.

    Returns:
      float32 of the ranks' shape, within 1e-5 (relative) of the exact value; 1.0 outside
      `[0, size)`.
    """
    ranks = tf.cast(ranks, tf.int64)
    safe = tf.clip_by_value(ranks, 0, law.size - 1)
    if table.kind == "draws":
        prices = np.float32(table.num_sampled) * prob(law, safe)
    elif table.kind == "constant":
        prices = tf.constant(table.values[0], tf.float32)
    elif table.kind == "by_step" and isinstance(law, Empirical):
        prices = tf.gather(tf.constant(table.values, tf.float32), step(law, safe))
    else:
        prices = _by_rank(table, safe)
    return tf.stop_gradient(tf.where(safe == ranks, prices, 1.0))


def _by_rank(table: PriceTable, ranks: tf.Tensor) -> tf.Tensor:
    """Rows of their own for the head, a cubic in the logarithm of the rank for the tail.

    A batch has few ids, so the number of ops counts more than their work: the head's cubics are
    constants, whatever is put into them, and a last row holds the end of the last cell.
    """
    rows = table.values.copy()
    rows[: table.head, 1:] = 0.0
    rows = np.concatenate([rows, [[rows[-1].sum(), 0.0, 0.0, 0.0]]])
    rank = tf.cast(ranks, tf.float32)
    shifted = rank + 1.5
    t = tf.math.log(shifted) * np.float32(table.scale)
    t -= np.float32(np.float32(table.origin) * np.float32(table.scale))
    # Below 0 in the head, and rounding may put the first rank of the tail there too.
    cell = tf.maximum(tf.floor(t), 0.0)
    row = tf.cast(tf.minimum(rank, float(table.head)) + cell, tf.int32)
    v0, v1, v2, v3 = tf.unstack(tf.gather(tf.constant(rows, tf.float32), row), axis=-1)
    f = t - cell
    return tf.minimum(tf.exp(v0 + f * (v1 + f * (v2 + f * v3))) / shifted, 1.0)
