"""Finds the first K distinct values of a sequence of integers, in their order.

Three algorithms give the same result, for catalogs that a table of embeddings can have:

- "host": `tf.unique`, the fastest in a plain graph on a CPU. On a GPU, the host would have to wait
  for the size of its output.
- "sort": one sort by value and one by position, with fixed shapes. It is the fastest on a GPU, and
  works in a vectorized loop (`tf.vectorized_map`), which needs fixed shapes.
- "hash": a hash table filled in rounds, with fixed shapes. It is the fastest under XLA on a CPU.
"""

from typing import Any, Tuple

import numpy as np
import tensorflow as tf


def completed(draws: tf.Tensor, num_sampled: int) -> tf.Tensor:
    """Appends the first ranks of the catalog to a sequence.

    So every algorithm finds enough distinct ranks, even in a sequence that has too few.
    """
    return tf.concat([draws, tf.range(num_sampled, dtype=draws.dtype)], 0)


def first_distinct_host(draws: tf.Tensor, num_sampled: int) -> tf.Tensor:
    """Finds the first distinct values of a sequence by `tf.unique`.

    Args:
      draws: integers `[n]`.
      num_sampled: K, the number of distinct values. If the sequence has too few, the first ranks of
        the catalog complete them.

    Returns:
      Integers `[num_sampled]`.
    """
    return tf.slice(tf.unique(completed(draws, num_sampled)).y, [0], [num_sampled])


def first_distinct_sort(draws: tf.Tensor, num_sampled: int) -> tf.Tensor:
    """Finds the first distinct values by sorting; see `first_distinct_host`.

    It sorts by (value, position), and then the positions of first occurrences. A pair is one int64,
    so values must be below `2**63 / n`, with n rounded up to a power of 2: 8e12 for a million.
    """
    draws = completed(draws, num_sampled)
    length = draws.shape[0]
    bits = max(1, (length - 1).bit_length())
    indices = tf.range(length, dtype=tf.int64)
    keys = tf.sort(tf.bitwise.left_shift(tf.cast(draws, tf.int64), np.int64(bits)) + indices)
    values = tf.bitwise.right_shift(keys, np.int64(bits))
    is_first = tf.concat([[True], tf.not_equal(values[1:], values[:-1])], 0)
    indices = tf.bitwise.bitwise_and(keys, np.int64((1 << bits) - 1))
    # Positions of first occurrences, earliest first; then all other positions.
    order = tf.where(is_first, indices, indices + length)
    earliest = -tf.math.top_k(-order, num_sampled, sorted=True).values
    return tf.gather(draws, earliest)


def first_distinct_hash(draws: tf.Tensor, num_sampled: int) -> tf.Tensor:
    """Finds the first distinct values by hashing; see `first_distinct_host`."""
    return _hashed(completed(draws, num_sampled), num_sampled)[0]


def _unique(draws: tf.Tensor, _: int) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns all distinct values, and their number."""
    found = tf.unique(draws).y
    return found, tf.size(found)


def _hashed(draws: tf.Tensor, num_sampled: int) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns the first distinct values `[num_sampled]`, and the number of all of them.

    In each round, the earliest position wins each slot of the hash table. A draw is settled if an
    equal value won its slot. It is a first occurrence if it won the slot itself. The remaining
    draws take part in the next round, with another hash. The slots of the first round are low bits,
    which separate the ranks of the head.
    """
    length = draws.shape[0]
    bits = (2 * length - 1).bit_length()
    indices = tf.range(length, dtype=tf.int32)
    values = tf.cast(draws, tf.uint64)
    low = tf.cast(tf.bitwise.bitwise_and(values, np.uint64(2**bits - 1)), tf.int32)

    def one_round(number: tf.Tensor, open_: tf.Tensor, first: tf.Tensor) -> Tuple[Any, ...]:
        odd = tf.cast(2 * number + 1, tf.uint64) * np.uint64(0x9E3779B97F4A7C15)
        high = tf.cast(tf.bitwise.right_shift(values * odd, np.uint64(64 - bits)), tf.int32)
        slot = tf.where(open_, tf.where(tf.equal(number, 0), low, high), 2**bits)
        table = tf.fill([2**bits + 1], np.int32(length))
        winners = tf.gather(tf.tensor_scatter_nd_min(table, slot[:, None], indices), slot)
        settled = open_ & tf.equal(tf.gather(draws, tf.minimum(winners, length - 1)), draws)
        return number + 1, open_ & ~settled, first | (settled & tf.equal(winners, indices))

    everywhere = tf.fill([length], True)
    _, _, first = tf.while_loop(
        lambda _, open_, __: tf.reduce_any(open_),
        one_round,
        (tf.constant(0, tf.int64), everywhere, ~everywhere),
    )
    rank = _running_sum(tf.cast(first, tf.int32)) - 1
    target = tf.where(first & (rank < num_sampled), rank, num_sampled)
    found = tf.scatter_nd(target[:, None], tf.where(first, draws, 0), [num_sampled + 1])
    return found[:num_sampled], rank[-1] + 1


ALGORITHMS = {
    "host": first_distinct_host,
    "sort": first_distinct_sort,
    "hash": first_distinct_hash,
}
ATTEMPTS = {"host": _unique, "hash": _hashed}
"""Functions that return distinct values and their number, which may be too small."""


def _running_sum(values: tf.Tensor) -> tf.Tensor:
    """Computes inclusive sums by doubling strides, since XLA's own take quadratic time on a CPU."""
    length, stride = values.shape[0], 1
    while stride < length:
        values += tf.concat([tf.zeros([stride], values.dtype), values[:-stride]], 0)
        stride *= 2
    return values
