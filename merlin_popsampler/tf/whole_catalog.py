"""Cross-entropy and rank of a positive among all items of a catalog, block by block."""

from typing import Any, Tuple

import tensorflow as tf

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.scores import BLOCK_BYTES, MASKED

from .logits import bounded, is_no_negative, tempered


def score_catalog(
    query: tf.Tensor,
    true_ids: tf.Tensor,
    item_vectors: tf.Tensor,
    domain: IdDomain,
    temperature: Any = 1.0,
    excluded_ids: Any = None,
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Each positive against every other item, as an evaluation wants it: without a gradient.

    Args:
      query: floats `[rows, dim]`.
      true_ids: integers `[rows]`, ids of items.
      item_vectors: floats `[max_id + 1 or more, dim]`; ids outside the domain are never ranked.
      domain: the ids that stand for an item.
      temperature: positive number or scalar; scores are divided by it.
      excluded_ids: integers `[rows, n]`, dense or ragged: ids to leave out for a row.

    Returns:
      Cross-entropy of the full softmax in nats (float32 `[rows]`), and the number of items with a
      better score than the positive's (int32 `[rows]`, 0 for the best).
    """
    # A matrix of rows x catalog would not fit; what is kept of a block is two numbers a row.
    query = tf.stop_gradient(tempered(query, temperature))
    item_vectors = tf.stop_gradient(item_vectors)
    true_ids = tf.cast(true_ids, tf.int64)
    true_scores = tf.reduce_sum(query * bounded(tf.gather(item_vectors, true_ids)), 1)
    block = _block_of(query, domain.size)

    def score_block(first: tf.Tensor, log_sum: tf.Tensor, better: tf.Tensor) -> Tuple[Any, ...]:
        # The last block ends with the catalog, and masks what the one before it has scored.
        start = domain.id(tf.minimum(first, domain.size - block))
        ids = tf.cast(start, tf.int64) + tf.range(tf.cast(block, tf.int64))
        vectors = tf.slice(item_vectors, [start, 0], [block, item_vectors.shape[1]])
        scores = tf.matmul(query, bounded(vectors), transpose_b=True)
        masked = is_no_negative(true_ids, ids, excluded_ids)
        masked |= (ids < tf.cast(domain.id(first), tf.int64))[None, :]
        scores = tf.where(masked, MASKED, scores)
        better += tf.math.count_nonzero(scores > true_scores[:, None], 1, dtype=tf.int32)
        largest = tf.maximum(log_sum, tf.reduce_max(scores, 1))
        others = tf.reduce_sum(tf.exp(scores - largest[:, None]), 1)
        log_sum = largest + tf.math.log(others + tf.exp(log_sum - largest))
        return first + block, log_sum, better

    start = (tf.constant(0), true_scores, tf.zeros_like(true_ids, tf.int32))
    _, log_sum, better = tf.while_loop(
        lambda first, *_: first < domain.size, score_block, start, parallel_iterations=1
    )
    return log_sum - true_scores, better


def _block_of(query: tf.Tensor, size: int) -> Any:
    """Items of a block: a number, which XLA wants, where the number of rows is one."""
    rows = query.shape[0]
    if rows is not None:
        return min(max(BLOCK_BYTES // (4 * max(rows, 1)), 1), size)
    return tf.clip_by_value(BLOCK_BYTES // (4 * tf.maximum(tf.shape(query)[0], 1)), 1, size)
