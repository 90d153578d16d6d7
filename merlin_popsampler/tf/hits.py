"""Computes ranks, and so hits, as `core.scores` defines them."""

import tensorflow as tf

from merlin_popsampler.core.scores import OWN_ROWS, tie_tolerance


def own_scores(query: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """Computes the score of each row's own item, with the rounding of a matrix product.

    Args:
      query: float32 `[rows, dim]`.
      vectors: float32 `[rows, dim]`, the vector of each row's own item.

    Returns:
      float32 `[rows]`.
    """
    rows, dim = tf.shape(query)[0], query.shape[-1]

    def parts(matrix: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.pad(matrix, [[0, -rows % OWN_ROWS], [0, 0]]), [-1, OWN_ROWS, dim])

    products = tf.matmul(parts(query), parts(vectors), transpose_b=True)
    return tf.reshape(tf.linalg.diag_part(products), [-1])[:rows]


def tie_threshold(scores: tf.Tensor, query: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """Computes the score below which an item ranks behind a row's own item, without a tie.

    Args:
      scores: float32 `[rows]`, the result of `own_scores`.
      query: float32 `[rows, dim]`.
      vectors: float32 `[rows, dim]`, the vector of each row's own item.

    Returns:
      float32 `[rows]`; NaN if the own score is NaN.
    """
    size = tf.norm(query, axis=1) * tf.norm(vectors, axis=1)
    return scores - tie_tolerance(query.shape[1]) * size


def count_ahead(scores: tf.Tensor, threshold: tf.Tensor, left_out: tf.Tensor) -> tf.Tensor:
    """Counts the items that rank ahead of each row's own item, or tie with it.

    Args:
      scores: float32 `[rows, items]`.
      threshold: float32 `[rows]`, the result of `tie_threshold`.
      left_out: bool `[rows, items]`; true for the own item and for items that are not ranked.

    Returns:
      int32 `[rows]`.
    """
    # Counts the other items, since a comparison with NaN is false. TensorFlow's graphs replace
    # ~(a < b) by a >= b, which differs.
    behind = (scores < threshold[:, None]) | left_out
    return tf.shape(scores)[1] - tf.reduce_sum(tf.cast(behind, tf.int32), 1)
