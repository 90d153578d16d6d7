"""Computes the full softmax in training, with every item as a negative, in bounded memory."""

from typing import Any, Dict, Tuple

import tensorflow as tf

from merlin_popsampler.contract.negatives import nothing_sampled_error
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.scores import LARGEST, MASKED

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
from .id_lists import IdLists, join
from .item_table import check_width, look_up
from .logits import clip_finite


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class AllItems(tf.keras.layers.Layer):  # type: ignore[misc]
    """Takes every item as a negative of every row: the loss is the full softmax.

    All expected counts are 1. So `correct_positive` and `logq_strength` change nothing, and hard
    negatives are in the sum anyway. Only the `excluded_ids` of a row are left out.

    Args:
      max_id: last id that stands for an item, inclusive.
      min_id: first id that stands for an item, inclusive.
      **kwargs: arguments of a Keras layer.

    Raises:
      PopSamplerError: the ids are not integers, or are out of range.

    Examples:
      >>> from merlin_popsampler.tf import SampledSoftmax
      >>> layer = SampledSoftmax(AllItems(max_id=1002, min_id=3), temperature=0.1)
      >>> table = tf.keras.layers.Embedding(1003, 64)
      >>> losses = layer(tf.zeros([2, 64]), tf.constant([3, 900]), table, training=True)
      >>> [round(loss, 4) for loss in losses.numpy().tolist()]  # log(1000), as all scores are equal
      [6.9078, 6.9078]
    """

    def __init__(self, max_id: int, min_id: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.domain = IdDomain(min_id, max_id)
        self.built = True

    def checked_values(self, sampled_values: Any) -> Any:
        """Raises a PopSamplerError, since nothing is sampled; `Mixture` checks the values."""
        raise nothing_sampled_error(sampled_values)

    def losses(
        self, query: tf.Tensor, true_ids: tf.Tensor, table: Any, excluded: Any = None
    ) -> tf.Tensor:
        """Computes the cross-entropy of the full softmax, with a gradient: float32 `[rows]`, nats.

        Args:
          query: float32 `[rows, dim]`, the result of `scale_by_temperature`.
          true_ids: int64 `[rows]`, ids of items.
          table: the result of `item_vectors`. Its gradient is dense.
          excluded: `IdLists` of ids that are left out for a row, or None.
        """
        domain = self.domain
        if callable(table):
            vectors, first = look_up(table, domain.id(tf.range(domain.size, dtype=tf.int64))), 0
        else:
            vectors, first = tf.convert_to_tensor(table), domain.min_id
        check_width(query, vectors)
        others, true = _scores(query, vectors, true_ids, domain, first, excluded)
        return tf.nn.softplus(others - true)

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        return {**config, "max_id": self.domain.max_id, "min_id": self.domain.min_id}


def _scores(
    query: tf.Tensor,
    vectors: tf.Tensor,
    true_ids: tf.Tensor,
    domain: IdDomain,
    first: int,
    excluded: Any,
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Computes the log-sum-exp of the scores of all other items, and each positive's score.

    Scores are recomputed block by block in the backward pass. The gradient of the vectors is one
    dense tensor, so that the memory does not hold a second one.

    Args:
      query: float32 `[rows, dim]`.
      vectors: floats `[n, dim]`, consecutive items from row `first` on.
      true_ids: int64 `[rows]`.
      domain: the ids of the items.
      first: the row of the first item.
      excluded: `IdLists` of excluded ids, or None.
    """
    block = block_size(query, domain.size, BLOCK_BYTES)
    own_rows = true_ids - domain.min_id + first
    hits = join(IdLists(true_ids, tf.range(tf.size(true_ids))), excluded)
    hits = in_order(tf.where(domain.contains(hits.ids), domain.rank(hits.ids), -1), hits.rows)

    def block_of(start: tf.Tensor, seen: tf.Tensor, query: tf.Tensor, vectors: tf.Tensor) -> Any:
        """Returns the rows of a block, their vectors and their scores."""
        part = tf.slice(vectors, [first + start, 0], [block, vectors.shape[1]])
        offset = tf.where(seen, MASKED, 0.0)
        scores = block_scores(query, clip_finite(part), offset, start, hits)
        return first + start + tf.range(block), tf.cast(part, tf.float32), scores

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def scores_of(query: tf.Tensor, vectors: tf.Tensor) -> Any:
        def add(start: tf.Tensor, seen: tf.Tensor, others: tf.Tensor) -> Any:
            return [add_to_log_sums(others, block_of(start, seen, query, vectors)[2])]

        (others,) = over_blocks(domain.size, block, add, tf.fill(tf.shape(own_rows), MASKED))
        true = tf.reduce_sum(query * clip_finite(tf.gather(vectors, own_rows)), 1)

        def gradients(of_others: tf.Tensor, of_true: tf.Tensor) -> Any:
            def add(start: tf.Tensor, seen: tf.Tensor, of_query: Any, of_vectors: Any) -> Any:
                rows, part, scores = block_of(start, seen, query, vectors)
                probs = tf.exp(scores - others[:, None])
                of_part = _unclipped(tf.matmul(probs, weighted, transpose_a=True), part)
                of_query += tf.matmul(probs, clip_finite(part))
                return of_query, add_to_rows(of_vectors, rows, of_part)

            weighted = query * of_others[:, None]
            own = tf.cast(tf.gather(vectors, own_rows), tf.float32)
            state = tf.zeros_like(query), tf.zeros_like(vectors)
            of_query, of_vectors = over_blocks(domain.size, block, add, *state)
            of_query = of_query * of_others[:, None] + of_true[:, None] * clip_finite(own)
            of_own = _unclipped(of_true[:, None] * query, own)
            result = of_query, add_to_rows(of_vectors, own_rows, of_own)
            return without_derivative(*result, query, vectors, of_others, of_true)[:2]

        return (others, true), gradients

    result: Tuple[tf.Tensor, tf.Tensor] = scores_of(query, vectors)
    return result


def _unclipped(gradient: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """Returns the gradient of vectors, given that of `clip_finite(vectors)`."""
    return gradient / tf.maximum(1.0, tf.abs(vectors) / LARGEST)
