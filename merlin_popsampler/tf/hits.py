"""The rank of a positive, by which every metric tells a hit from a miss.

An item's rank is the number of other items whose score is greater, equal or NaN. So ties count
against the positive, and a positive whose own score is NaN has the worst rank: all other items.
"""

import tensorflow as tf

from merlin_popsampler.core.scores import TIED

_ROWS = 64
"""Rows whose own scores are the diagonal of one product of matrices."""


def own_scores(query: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """The score of each row's own item, in the arithmetic of the other items' scores.

    A product of matrices may round its inputs (TensorFloat-32 on a GPU), which a sum of products
    does not. Equal vectors would then have different scores.

    Args:
      query: float32 `[rows, dim]`.
      vectors: float32 `[rows, dim]`, of each row's own item.

    Returns:
      float32 `[rows]`.
    """
    rows, dim = tf.shape(query)[0], query.shape[-1]

    def parts(matrix: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.pad(matrix, [[0, -rows % _ROWS], [0, 0]]), [-1, _ROWS, dim])

    products = tf.matmul(parts(query), parts(vectors), transpose_b=True)
    return tf.reshape(tf.linalg.diag_part(products), [-1])[:rows]


def tie_threshold(scores: tf.Tensor, query: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """The score below which an item is worse than a row's own item, and does not tie.

    Args:
      scores: float32 `[rows]`, of `own_scores`.
      query: float32 `[rows, dim]`.
      vectors: float32 `[rows, dim]`, of each row's own item.

    Returns:
      float32 `[rows]`; NaN where the own score is.
    """
    size = tf.norm(query, axis=1) * tf.norm(vectors, axis=1)
    rounding = TIED * tf.sqrt(tf.cast(tf.shape(query)[1], tf.float32))
    return scores - rounding * size


def count_ahead(scores: tf.Tensor, threshold: tf.Tensor, ranked: tf.Tensor) -> tf.Tensor:
    """The number of items that count against each row's own item: int32 `[rows]`.

    Args:
      scores: float32 `[rows, items]`.
      threshold: float32 `[rows]`, of `tie_threshold`.
      ranked: bool `[rows, items]`: false for the own item, and for what is left out.
    """
    # NaN is not below anything. (TensorFlow's graphs take ~(a < b) for a >= b, which NaN is not.)
    ahead = tf.where(scores < threshold[:, None], False, ranked)
    return tf.math.count_nonzero(ahead, 1, dtype=tf.int32)
