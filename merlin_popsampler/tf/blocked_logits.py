"""Computes the log-sum-exp of the negatives' logits, for large batches block by block."""

from functools import partial
from typing import Any, Tuple

import tensorflow as tf

from merlin_popsampler.core.scores import LARGE_BYTES, MASKED

from .blocks import (
    BLOCK_BYTES,
    add_to_log_sums,
    add_to_rows,
    block_scores,
    block_size,
    in_order,
    over_blocks,
    without_derivative,
)
from .id_lists import IdLists, as_id_lists, join
from .logits import (
    Candidates,
    clip_finite,
    contrastive_logits,
    discounts,
    positive_discounts,
    scale_by_temperature,
)
from .tracing import in_xla


def sampled_log_sums(
    query: tf.Tensor,
    positive: Candidates,
    negative: Candidates,
    domain: Any,
    temperature: Any = 1.0,
    excluded_ids: Any = None,
    correct_positive: bool = True,
    logq_strength: float = 1.0,
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Computes the logits of `contrastive_logits`, with the log-sum-exp over the negatives.

    A large matrix of logits is computed block by block in the forward pass, and again in the
    backward pass. The arguments are those of `contrastive_logits`.

    Returns:
      The logits of the positives (float32 `[rows]`), and the log-sum-exp of the logits of the
      negatives (float32 `[rows]`), for `loss_of_sums`.
    """
    items = (positive, negative, domain)
    settings = (temperature, excluded_ids, correct_positive, logq_strength)
    in_blocks = partial(_blocked_log_sums, query, *items, *settings)
    at_once = partial(_log_sums, query, *items, *settings)
    rows, num = query.shape[0], negative.ids.shape[0]
    if rows is not None and num is not None:
        return in_blocks() if _is_large(rows, num) else at_once()
    if in_xla():  # XLA cannot differentiate the tf.cond below
        return at_once()
    size = tf.size(query[:, 0], tf.int64), tf.size(negative.ids, tf.int64)
    result: Tuple[tf.Tensor, tf.Tensor] = tf.cond(_is_large(*size), in_blocks, at_once)
    return result


def _is_large(rows: Any, num_sampled: Any) -> Any:
    """Tests whether a matrix of logits is so large that it is computed in blocks."""
    return 4 * rows * num_sampled > LARGE_BYTES


def _log_sums(*arguments: Any) -> Tuple[tf.Tensor, tf.Tensor]:
    true_logits, logits = contrastive_logits(*arguments)
    return true_logits, tf.reduce_logsumexp(logits, 1)


def _blocked_log_sums(
    query: tf.Tensor,
    positive: Candidates,
    negative: Candidates,
    domain: Any,
    temperature: Any,
    excluded_ids: Any,
    correct_positive: bool,
    logq_strength: float,
) -> Tuple[tf.Tensor, tf.Tensor]:
    query = scale_by_temperature(query, temperature)
    true_logits = tf.reduce_sum(query * clip_finite(positive.vectors), 1)
    true_logits -= positive_discounts(positive, correct_positive, logq_strength)
    ids, offset, order = _one_of_each(negative.ids, discounts(negative, domain, logq_strength))
    vectors = tf.gather(clip_finite(negative.vectors), order)
    hits = IdLists(tf.cast(positive.ids, tf.int64), tf.range(tf.shape(query)[0]))
    if excluded_ids is not None:
        hits = join(hits, as_id_lists("excluded_ids", excluded_ids, positive.ids))
    hits = in_order(_position(ids, hits.ids), hits.rows)
    size = tf.size(ids) if ids.shape[0] is None else ids.shape[0]
    block = block_size(query, size, BLOCK_BYTES)

    def logits_of(start: tf.Tensor, seen: tf.Tensor, query: tf.Tensor, part: tf.Tensor) -> Any:
        added = tf.where(seen, MASKED, tf.slice(offset, [start], [block]))
        return block_scores(query, part, added, start, hits)

    def part_of(vectors: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
        return tf.slice(vectors, [start, 0], [block, vectors.shape[1]])

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def log_sums(query: tf.Tensor, vectors: tf.Tensor) -> Any:
        def add(start: tf.Tensor, seen: tf.Tensor, sums: tf.Tensor) -> Any:
            part = part_of(vectors, start)
            return [add_to_log_sums(sums, logits_of(start, seen, query, part))]

        (sums,) = over_blocks(size, block, add, tf.fill(tf.shape(query)[:1], MASKED))

        def gradients(gradient: tf.Tensor) -> Any:
            weighted = query * gradient[:, None]

            def add(start: tf.Tensor, seen: tf.Tensor, of_query: Any, of_vectors: Any) -> Any:
                part = part_of(vectors, start)
                probs = tf.exp(logits_of(start, seen, query, part) - sums[:, None])
                of_part = tf.matmul(probs, weighted, transpose_a=True)
                of_vectors = add_to_rows(of_vectors, start + tf.range(block), of_part)
                return of_query + tf.matmul(probs, part), of_vectors

            state = tf.zeros_like(query), tf.zeros_like(vectors)
            of_query, of_vectors = over_blocks(size, block, add, *state)
            result = of_query * gradient[:, None], of_vectors
            return without_derivative(*result, query, vectors, gradient)[:2]

        return sums, gradients

    return true_logits, log_sums(query, vectors)


def _one_of_each(ids: tf.Tensor, discount: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Sorts candidates by id, and replaces repeated ids by one candidate of the same total weight.

    Args:
      ids: integers `[n]`.
      discount: float32 `[n]`, the logQ correction, to be subtracted from the score.

    Returns:
      The sorted ids (int64 `[n]`); the numbers to be added to their scores (float32 `[n]`,
      `MASKED` for repeats); and the position of each sorted id in `ids`.
    """
    order = tf.argsort(ids)
    ids, discount = tf.cast(tf.gather(ids, order), tf.int64), tf.gather(discount, order)
    first = tf.searchsorted(ids, ids)
    # Relative to each id's largest weight, since the sum of many large ones would overflow.
    least = tf.math.unsorted_segment_min(discount, first, tf.size(ids))
    relative = tf.exp(tf.gather(least, first) - discount)
    weights = tf.math.unsorted_segment_sum(relative, first, tf.size(ids))
    offset = tf.math.log(tf.where(weights > 0.0, weights, 1.0)) - least
    return ids, tf.where(weights > 0.0, offset, MASKED), order


def _position(ordered: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Returns the first position of each id in a sorted list, int32; -1 if it is absent."""
    position = tf.minimum(tf.searchsorted(ordered, ids), tf.size(ordered) - 1)
    return tf.where(tf.equal(tf.gather(ordered, position), ids), position, -1)
