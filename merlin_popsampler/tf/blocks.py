"""Runs loops over blocks of candidates, so that the whole matrix of scores is never in memory."""

from typing import Any, Callable, Tuple

import tensorflow as tf

from merlin_popsampler.core.scores import MASKED
from merlin_popsampler.errors import PopSamplerError

from .id_lists import IdLists
from .tracing import in_xla

BLOCK_BYTES = 2**23
"""Size of a block of scores in training, 8 MB, which fits into the cache of a processor."""


def block_size(query: tf.Tensor, size: Any, num_bytes: int) -> Any:
    """Returns how many candidates a block has, from 1 to `size`.

    Args:
      query: floats `[rows, dim]`.
      size: number of candidates, an integer or a scalar.
      num_bytes: largest size in bytes of the vectors of a block, and of its scores.

    Returns:
      An integer if the shapes are known, otherwise an int32 scalar.
    """
    rows, dim = query.shape
    if rows is not None and isinstance(size, int):
        return min(max(num_bytes // (4 * max(rows, dim)), 1), size)
    widest = tf.maximum(num_bytes // (4 * tf.maximum(tf.shape(query)[0], dim)), 1)
    return tf.minimum(widest, size)


def over_blocks(size: Any, block: Any, step: Callable[..., Any], *state: Any) -> Tuple[Any, ...]:
    """Runs a step for each block of candidates, one after the other.

    All blocks have the same size, since XLA needs fixed shapes. So the last block may begin with
    candidates that were in the block before it.

    Args:
      size: number of candidates.
      block: number of candidates in a block, at most `size`.
      step: function that returns the next state. Its arguments are the position of the block's
        first candidate, a bool `[block]` that is true for candidates of an earlier block, and the
        state.
      *state: the initial state, tensors.

    Returns:
      The final state.
    """

    def body(first: tf.Tensor, *state: Any) -> Tuple[Any, ...]:
        start = tf.minimum(first, size - block)
        return (first + block, *step(start, tf.range(block) < first - start, *state))

    first = tf.constant(0)
    result: Tuple[Any, ...] = tf.while_loop(
        lambda first, *_: first < size, body, (first, *state), parallel_iterations=1
    )
    return result[1:]


def add_to_log_sums(log_sums: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Updates a running log-sum-exp `[rows]` with more scores `[rows, n]`."""
    largest = tf.maximum(log_sums, tf.reduce_max(scores, 1))
    others = tf.reduce_sum(tf.exp(scores - largest[:, None]), 1)
    return largest + tf.math.log(others + tf.exp(log_sums - largest))


def add_to_rows(matrix: tf.Tensor, rows: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Adds floats `[n, dim]` to the rows `[n]` of a matrix, in its dtype."""
    return add_at(matrix, rows[:, None], tf.cast(values, matrix.dtype))


def add_at(tensor: tf.Tensor, index: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Computes `tf.tensor_scatter_nd_add`, in place if nothing else uses the tensor.

    TensorFlow's function always copies the tensor, which takes a quarter of the time of the product
    that made it. XLA has no operation of the other name.
    """
    if in_xla():
        return tf.tensor_scatter_nd_add(tensor, index, values)
    return tf.raw_ops.ScatterNdNonAliasingAdd(input=tensor, indices=index, updates=values)


def in_order(positions: tf.Tensor, rows: tf.Tensor) -> IdLists:
    """Sorts hits by position, for `block_scores`; a hit is a candidate to mask in one row.

    Args:
      positions: integers `[m]`, position of each hit among all candidates; negative for ids that
        are not candidates.
      rows: int32 `[m]`, the row in which each hit is masked.

    Returns:
      `IdLists` of the positions, int32, ascending, and of their rows.
    """
    order = tf.argsort(positions)
    return IdLists(tf.cast(tf.gather(positions, order), tf.int32), tf.gather(rows, order))


def block_scores(
    query: tf.Tensor, vectors: tf.Tensor, offset: tf.Tensor, start: tf.Tensor, hits: IdLists
) -> tf.Tensor:
    """Computes the scores of a block, and masks candidates that are not negatives of a row.

    Only the hits are visited, since a comparison of all pairs would take as long as the scores.

    Args:
      query: float32 `[rows, dim]`.
      vectors: float32 `[n, dim]`, vectors of the block's candidates.
      offset: float32 `[n]`, added to all scores of a candidate.
      start: position of the block's first candidate.
      hits: the result of `in_order`.

    Returns:
      float32 `[rows, n]`.
    """
    # TensorFlow fuses a product and a bias into one operation.
    scores = tf.nn.bias_add(tf.matmul(query, vectors, transpose_b=True), offset)
    num = tf.size(offset)
    if not in_xla():  # XLA needs fixed shapes, so it processes all hits for each block
        first, last = tf.unstack(tf.searchsorted(hits.ids, tf.stack([start, start + num])))
        hits = IdLists(hits.ids[first:last], hits.rows[first:last])
    columns = hits.ids - start
    inside = (columns >= 0) & (columns < num)
    index = tf.stack([hits.rows, tf.clip_by_value(columns, 0, num - 1)], 1)
    return add_at(scores, index, tf.where(inside, MASKED, 0.0))


@tf.custom_gradient  # type: ignore[untyped-decorator]
def without_derivative(*tensors: tf.Tensor) -> Any:
    """Returns the same tensors, and raises an error if a derivative of them is computed.

    They are gradients, and the tensors on which these depend. Second derivatives would need all
    scores at once.

    Raises:
      PopSamplerError: raised when a derivative of the result is computed.
    """

    def refuse(*_: tf.Tensor) -> Any:
        raise PopSamplerError(
            "Expected first derivatives of a loss whose scores are computed in blocks. Received: "
            "a second derivative. Take it of contrastive_logits, which holds all scores, or of a "
            "smaller batch with a sampler as negatives."
        )

    return [tf.identity(each) for each in tensors], refuse
