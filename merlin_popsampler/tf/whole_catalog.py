"""Computes loss and rank of a positive among all items of a catalog, block by block."""

from typing import Any, Tuple

import tensorflow as tf

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.scores import BLOCK_BYTES, MASKED

from .blocks import add_to_log_sums, block_size, over_blocks
from .hits import count_ahead, own_scores, tie_threshold
from .item_table import check_width, look_up
from .logits import accidental_hits, clip_finite, scale_by_temperature


def score_catalog(
    query: tf.Tensor,
    true_ids: tf.Tensor,
    item_vectors: tf.Tensor,
    domain: Any,
    temperature: Any = 1.0,
    excluded_ids: Any = None,
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Scores each positive against all items for an evaluation, without a gradient.

    Args:
      query: floats `[rows, dim]`.
      true_ids: integers `[rows]`, ids of items.
      item_vectors: floats `[max_id + 1 or more, dim]`, or a function from int64 ids `[n]` to
        vectors `[n, dim]`; ids outside the domain are never ranked.
      domain: an `IdDomain` or `MappedIdsInWeights`, the ids that stand for an item.
      temperature: positive number or scalar; scores are divided by it.
      excluded_ids: integers `[rows, n]`, dense or ragged, or `IdLists`: ids to leave out for a row.

    Returns:
      Cross-entropy of the full softmax in nats (float32 `[rows]`), and the rank (int32 `[rows]`, 0
      for the best) among the items that are not left out, as `core.scores` defines it.
    """
    # A matrix of rows x catalog would not fit in memory; each block adds to two numbers of a row.
    query = tf.stop_gradient(scale_by_temperature(query, temperature))
    true_ids = tf.cast(true_ids, tf.int64)
    true_vectors = tf.stop_gradient(clip_finite(look_up(item_vectors, true_ids)))
    check_width(query, true_vectors)
    true_scores = own_scores(query, true_vectors)
    threshold = tie_threshold(true_scores, query, true_vectors)
    block = block_size(query, domain.size, BLOCK_BYTES)

    def score_block(
        start: tf.Tensor, seen: tf.Tensor, log_sum: tf.Tensor, ahead: tf.Tensor
    ) -> Tuple[Any, ...]:
        ids = domain.id(tf.cast(start, tf.int64) + tf.range(tf.cast(block, tf.int64)))
        # A slice copies less, where the ids of a block are consecutive.
        if isinstance(domain, IdDomain) and not callable(item_vectors):
            corner = [domain.id(start), 0]
            vectors = tf.slice(item_vectors, corner, [block, item_vectors.shape[1]])
        else:
            vectors = look_up(item_vectors, ids)
        scores = tf.matmul(query, clip_finite(tf.stop_gradient(vectors)), transpose_b=True)
        masked = accidental_hits(true_ids, ids, excluded_ids) | seen
        ahead += count_ahead(scores, threshold, masked)
        return add_to_log_sums(log_sum, tf.where(masked, MASKED, scores)), ahead

    start = (true_scores, tf.zeros_like(true_ids, tf.int32))
    log_sum, ahead = over_blocks(domain.size, block, score_block, *start)
    return log_sum - true_scores, ahead
