"""The first K distinct values of a sequence of integers, in their order: TensorFlow functions.

Three algorithms with one answer:

- "host": `tf.unique`, the fastest in a plain graph on a CPU; the size of its output is a number
  that a GPU would have to tell the host.
- "sort": fixed shapes, one sort by value and one by place; what a GPU does best, and what a
  vectorized loop can stack.
- "hash": fixed shapes, a hash table filled in rounds; what XLA does best on a CPU.
"""

from typing import Any, Callable, Optional, Tuple

import numpy as np
import tensorflow as tf


def completed(draws: tf.Tensor, num_sampled: int) -> tf.Tensor:
    """A sequence closed by the first ranks of the catalog, which complete it where it falls short.

    So every algorithm ends, with distinct ranks, without drawing again.
    """
    return tf.concat([draws, tf.range(num_sampled, dtype=draws.dtype)], 0)


def first_distinct_host(
    draws: tf.Tensor, num_sampled: int, otherwise: Optional[Callable[[], tf.Tensor]] = None
) -> tf.Tensor:
    """The first distinct values of a sequence, by `tf.unique`; where it falls short, `otherwise`.

    By default it is completed.
    """
    found = tf.unique(draws).y

    def closed() -> tf.Tensor:
        return tf.unique(completed(found, num_sampled)).y[:num_sampled]

    enough = tf.cond(tf.size(found) < num_sampled, otherwise or closed, lambda: found[:num_sampled])
    return tf.ensure_shape(enough, [num_sampled])


def first_distinct_sort(draws: tf.Tensor, num_sampled: int) -> tf.Tensor:
    """The same by sorting: (value, place) ascending, then the places of first occurrences."""
    draws = completed(draws, num_sampled)
    length = draws.shape[0]
    bits = max(1, (length - 1).bit_length())
    places = tf.range(length, dtype=tf.int64)
    keys = tf.sort(tf.bitwise.left_shift(tf.cast(draws, tf.int64), np.int64(bits)) + places)
    values = tf.bitwise.right_shift(keys, np.int64(bits))
    is_first = tf.concat([[True], tf.not_equal(values[1:], values[:-1])], 0)
    places = tf.bitwise.bitwise_and(keys, np.int64((1 << bits) - 1))
    # Places of first occurrences, earliest first; all others behind them.
    order = tf.where(is_first, places, places + length)
    earliest = -tf.math.top_k(-order, num_sampled, sorted=True).values
    return tf.gather(draws, earliest)


def first_distinct_hash(draws: tf.Tensor, num_sampled: int) -> tf.Tensor:
    """The same by hashing, with a second run in the one case that the sequence falls short."""
    found, count = _hashed(draws, num_sampled)
    return tf.cond(
        count < num_sampled,
        lambda: _hashed(completed(draws, num_sampled), num_sampled)[0],
        lambda: found,
    )


def _hashed(draws: tf.Tensor, num_sampled: int) -> Tuple[tf.Tensor, tf.Tensor]:
    """First distinct values, and how many there are: the earliest place of each slot wins it.

    A draw whose slot was won by an equal value is settled: it is a first occurrence if it won
    itself. The others, whose slots were won by another value, go on to a round with another hash.
    The first round's slots are low bits, which keep the ranks of the head apart.
    """
    length = draws.shape[0]
    bits = (2 * length - 1).bit_length()
    places = tf.range(length, dtype=tf.int32)
    values = tf.cast(draws, tf.uint64)
    low = tf.cast(tf.bitwise.bitwise_and(values, np.uint64(2**bits - 1)), tf.int32)

    def one_round(number: tf.Tensor, open_: tf.Tensor, first: tf.Tensor) -> Tuple[Any, ...]:
        odd = tf.cast(2 * number + 1, tf.uint64) * np.uint64(0x9E3779B97F4A7C15)
        high = tf.cast(tf.bitwise.right_shift(values * odd, np.uint64(64 - bits)), tf.int32)
        slot = tf.where(open_, tf.where(tf.equal(number, 0), low, high), 2**bits)
        table = tf.fill([2**bits + 1], np.int32(length))
        winners = tf.gather(tf.tensor_scatter_nd_min(table, slot[:, None], places), slot)
        settled = open_ & tf.equal(tf.gather(draws, tf.minimum(winners, length - 1)), draws)
        return number + 1, open_ & ~settled, first | (settled & tf.equal(winners, places))

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


def _running_sum(values: tf.Tensor) -> tf.Tensor:
    """Inclusive sums by doubling strides; XLA's own on a CPU take quadratic time."""
    length, stride = values.shape[0], 1
    while stride < length:
        values += tf.concat([tf.zeros([stride], values.dtype), values[:-stride]], 0)
        stride *= 2
    return values
