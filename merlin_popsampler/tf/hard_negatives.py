"""Adds hard negatives: ids that are in the sum of a row with certainty, at a count of 1."""

from typing import Any, NamedTuple

import tensorflow as tf

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.scores import MASKED

from .id_lists import IdLists, first_in_row, join
from .logits import clip_finite, scale_by_temperature


class HardNegatives(NamedTuple):
    """Holds the hard negatives of all rows, concatenated.

    Attributes:
      lists: ids and rows `[m]`, as given; samples of these ids are masked in their rows.
      counts: bool `[m]`, whether the id is in the sum of its row.
      safe_ids: int64 `[m]`, the ids that count, and the row's positive for any other id.
    """

    lists: IdLists
    counts: tf.Tensor
    safe_ids: tf.Tensor


def hard_negatives(
    lists: IdLists, true_ids: tf.Tensor, domain: IdDomain, excluded: Any = None
) -> HardNegatives:
    """Finds the hard negatives that count: once each, never the positive or an excluded id.

    Args:
      lists: ids as given; padding is an id that stands for no item.
      true_ids: int64 `[rows]`, ids that a table has.
      domain: the ids that stand for an item.
      excluded: `IdLists`, or None.
    """
    positives = IdLists(true_ids, tf.range(tf.size(true_ids)))
    # An id counts where it is the first of its row, behind what must not count.
    everything = join(positives, excluded, lists)
    others = tf.size(everything.ids) - tf.size(lists.ids)
    counts = first_in_row(everything, domain.cardinality)[others:] & domain.contains(lists.ids)
    safe_ids = tf.where(counts, lists.ids, tf.gather(true_ids, lists.rows))
    return HardNegatives(lists, counts, safe_ids)


def hard_log_sums(
    query: tf.Tensor, hard: HardNegatives, vectors: tf.Tensor, temperature: Any = 1.0
) -> tf.Tensor:
    """Computes the log of the sum of `exp(score)` over the hard negatives of each row.

    Args:
      query: floats `[rows, dim]`.
      hard: of `hard_negatives`.
      vectors: floats `[m, dim]`, of its `safe_ids`.
      temperature: positive number or scalar; scores are divided by it.

    Returns:
      float32 `[rows]`, nats; about `core.scores.MASKED` where a row has none.
    """
    query, row = scale_by_temperature(query, temperature), hard.lists.rows
    scores = tf.reduce_sum(tf.gather(query, row) * clip_finite(vectors), 1)
    scores, rows = tf.where(hard.counts, scores, MASKED), tf.shape(query)[0]
    largest = tf.math.unsorted_segment_max(tf.stop_gradient(scores), row, rows)
    largest = tf.maximum(largest, MASKED)
    sums = tf.math.unsorted_segment_sum(tf.exp(scores - tf.gather(largest, row)), row, rows)
    return largest + tf.math.log(sums + tf.exp(MASKED - largest))
