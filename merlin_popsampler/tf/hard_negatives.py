"""Adds hard negatives: ids that are in the softmax of a row with an expected count of 1."""

from typing import Any, NamedTuple

import tensorflow as tf

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.scores import MASKED

from .id_lists import IdLists, first_in_row, join
from .logits import clip_finite, scale_by_temperature


class HardNegatives(NamedTuple):
    """Holds the hard negatives of all rows, concatenated.

    Attributes:
      lists: ids and rows `[m]`, as the caller passed them. Samples of these ids are masked in their
        rows.
      counts: bool `[m]`, whether the id enters the softmax of its row.
      safe_ids: int64 `[m]`, the ids to look up: the id if it enters the softmax, otherwise the
        row's positive, which is a valid id.
    """

    lists: IdLists
    counts: tf.Tensor
    safe_ids: tf.Tensor


def hard_negatives(
    lists: IdLists, true_ids: tf.Tensor, domain: IdDomain, excluded: Any = None
) -> HardNegatives:
    """Finds the hard negatives that enter the softmax.

    These are the first occurrences of items that are neither the row's positive nor excluded.

    Args:
      lists: ids as the caller passed them; ids that do not stand for an item are padding.
      true_ids: int64 `[rows]`, the positives, ids of items.
      domain: the ids that stand for an item.
      excluded: `IdLists` of excluded ids, or None.
    """
    positives = IdLists(true_ids, tf.range(tf.size(true_ids)))
    # The positive and the excluded ids come first, so a hard negative that equals one is a repeat.
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
      hard: the result of `hard_negatives`.
      vectors: floats `[m, dim]`, the vectors of `hard.safe_ids`.
      temperature: positive number or scalar; scores are divided by it.

    Returns:
      float32 `[rows]`, in nats; about `core.scores.MASKED` for a row without hard negatives.
    """
    query, row = scale_by_temperature(query, temperature), hard.lists.rows
    scores = tf.reduce_sum(tf.gather(query, row) * clip_finite(vectors), 1)
    scores, rows = tf.where(hard.counts, scores, MASKED), tf.shape(query)[0]
    largest = tf.math.unsorted_segment_max(tf.stop_gradient(scores), row, rows)
    largest = tf.maximum(largest, MASKED)
    sums = tf.math.unsorted_segment_sum(tf.exp(scores - tf.gather(largest, row)), row, rows)
    return largest + tf.math.log(sums + tf.exp(MASKED - largest))
