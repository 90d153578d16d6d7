"""Ranks drawn on a device: TensorFlow functions without state.

Randomness is counter based: the Philox generator with key `key` and counter (block, `position`), so
equal key and position give equal draws in eager mode, in a graph and under XLA, and a trace draws
nothing.

A batch of unique draws is, by definition, the first K distinct ranks of one sequence of independent
draws. Three algorithms read the same sequence and give the same ranks in the same order:

- "host": `tf.unique`, the fastest in a plain graph on a CPU; the size of its output is a number
  that a GPU would have to tell the host.
- "sort": fixed shapes, one sort by rank and one by place; what a GPU does best.
- "hash": fixed shapes, a hash table filled in rounds; what XLA does best on a CPU.

A fourth, "race", draws an exponential arrival time for every rank and takes the K earliest, which
is the same law (memoryless arrivals: the next one is rank i with probability proportional to p_i).
It serves where K is a large part of the catalog, which the others would draw many times over.

References:
  P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir", Information
  Processing Letters 97 (2006), section 2: the race.
  J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, section 4: Philox.
"""

import math
from typing import Any, Tuple

import numpy as np
import tensorflow as tf

from .alias import alias_table
from .errors import PopSamplerError
from .laws import Empirical, Law, LogUniform, Uniform

_SHORTFALL = 50.0
"""A sequence falls short of K distinct ranks with probability below exp(-50)."""
_RACE = 0.75
"""The race is run where the sequence would be longer than this share of the catalog."""
_MANTISSA = 2**53 - 1


def independent(
    law: Law, key: Any, position: Any, num: int, dtype: tf.DType = tf.int64
) -> tf.Tensor:
    """`num` draws with repetition: integers `[num]` in `[0, law.size)`."""
    return _inverse(law, _uniforms(key, position, num), dtype)


def length_of_sequence(law: Law, num_sampled: int) -> int:
    """Draws that hold `num_sampled` distinct ranks, but for a chance below exp(-50).

    The number of distinct ranks in t draws is a sum of negatively associated indicators of mean
    `D = sum(q)` and variance at most `V = sum(q (1 - q))`, `q = 1 - (1 - p)^t`, so Bernstein's
    inequality holds: it is at most `D - d` with probability below `exp(-d^2 / (2 (V + d / 3)))`.
    """
    probs, multiplicities = law.nodes()
    log_misses = np.log1p(-np.minimum(probs, 1 - 1e-16))

    def enough(draws: float) -> bool:
        misses = np.exp(draws * log_misses)
        distinct = np.sum(multiplicities * (1 - misses))
        variance = np.sum(multiplicities * (1 - misses) * misses)
        third = _SHORTFALL / 3
        return bool(
            distinct - num_sampled >= third + math.sqrt(third**2 + 2 * _SHORTFALL * variance)
        )

    low, high = float(num_sampled), float(num_sampled)
    limit = 2.0 * law.size + num_sampled
    while not enough(high) and high < limit:
        low, high = high, 2 * high
    while high - low > 0.5 + 1e-3 * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return math.ceil(high)


def prefers_race(law: Law, num_sampled: int) -> bool:
    """Whether arrival times of the whole catalog cost less than a sequence of draws."""
    return length_of_sequence(law, num_sampled) > _RACE * law.size


def race(law: Law, key: Any, position: Any, num_sampled: int) -> tf.Tensor:
    """The `num_sampled` ranks that arrive first, rank i at an exponential time of rate p_i."""
    probs = tf.constant(law.probs())
    times = -tf.math.log(1.0 - _uniforms(key, position, law.size)) / probs
    return tf.math.top_k(-times, num_sampled, sorted=True).indices


def sequence(
    law: Law, key: Any, position: Any, num_sampled: int, narrow: bool = False
) -> tf.Tensor:
    """Draws that hold `num_sampled` distinct ranks, but for one case in exp(50).

    With `narrow` in int32, where the ranks fit: faster on a CPU, but TensorFlow keeps int32 in host
    memory on a GPU, for shapes' sake.
    """
    dtype = tf.int32 if narrow and law.size < 2**31 else tf.int64
    return independent(law, key, position, length_of_sequence(law, num_sampled), dtype)


def completed(draws: tf.Tensor, num_sampled: int) -> tf.Tensor:
    """A sequence closed by the first ranks of the catalog, which complete it where it falls short.

    So every algorithm ends, with distinct ranks, without drawing again.
    """
    return tf.concat([draws, tf.range(num_sampled, dtype=draws.dtype)], 0)


def first_distinct_host(draws: tf.Tensor, num_sampled: int) -> tf.Tensor:
    """The first distinct values of a sequence, by `tf.unique`."""
    found = tf.unique(draws).y
    enough = tf.cond(
        tf.size(found) < num_sampled,
        lambda: tf.unique(completed(found, num_sampled)).y[:num_sampled],
        lambda: found[:num_sampled],
    )
    return tf.ensure_shape(enough, [num_sampled])


def first_distinct_sort(draws: tf.Tensor, num_sampled: int) -> tf.Tensor:
    """The same by sorting: (value, place) ascending, then the places of first occurrences."""
    draws = completed(draws, num_sampled)
    length = draws.shape[0]
    bits = max(1, (length - 1).bit_length())
    places = tf.range(length, dtype=tf.int64)
    keys = tf.sort(tf.bitwise.left_shift(tf.cast(draws, tf.int64), np.int64(bits)) + places)
    values = tf.bitwise.right_shift(keys, np.int64(bits))
    is_first = tf.concat([[True], values[1:] != values[:-1]], 0)
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
        slot = tf.where(open_, tf.where(number == 0, low, high), 2**bits)
        table = tf.fill([2**bits + 1], np.int32(length))
        winners = tf.gather(tf.tensor_scatter_nd_min(table, slot[:, None], places), slot)
        settled = open_ & (tf.gather(draws, tf.minimum(winners, length - 1)) == draws)
        return number + 1, open_ & ~settled, first | (settled & (winners == places))

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


def _running_sum(values: tf.Tensor) -> tf.Tensor:
    """Inclusive sums by doubling strides; XLA's own on a CPU take quadratic time."""
    length, stride = values.shape[0], 1
    while stride < length:
        values += tf.concat([tf.zeros([stride], values.dtype), values[:-stride]], 0)
        stride *= 2
    return values


def _uniforms(key: Any, position: Any, num: int) -> tf.Tensor:
    """float64 `[num]` in [0, 1) of 53 bits; XLA's own float uniforms differ from the graph's."""
    bits = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[num],
        key=tf.reshape(_uint64(key), [1]),
        counter=tf.stack([tf.constant(0, tf.uint64), _uint64(position)]),
        alg=1,  # Philox
        dtype=tf.int64,
    )
    return tf.cast(tf.bitwise.bitwise_and(bits, np.int64(_MANTISSA)), tf.float64) * 2.0**-53


def _uint64(value: Any) -> tf.Tensor:
    """A scalar of any integer type as uint64, bit by bit."""
    if isinstance(value, (int, np.integer)):
        return tf.constant(int(value) % 2**64, tf.uint64)
    return tf.cast(value, tf.uint64)


def _inverse(law: Law, uniforms: tf.Tensor, integer: tf.DType = tf.int64) -> tf.Tensor:
    """The law's inverse distribution function: ranks as integers of a dtype."""
    if isinstance(law, LogUniform):
        ranks = tf.cast(tf.exp(uniforms * math.log1p(law.size)), integer) - 1
    elif isinstance(law, Uniform):
        ranks = tf.cast(uniforms * float(law.size), integer)
    elif isinstance(law, Empirical):
        ranks = tf.cast(_staircase(law, uniforms), integer)
    else:
        raise PopSamplerError(
            f"Expected a law of merlin_popsampler.laws. Received: {law!r}. "
            "Give the measured popularity as Empirical steps instead."
        )
    return tf.minimum(ranks, tf.cast(law.size - 1, integer))  # what rounding makes of u next to 1


def _staircase(law: Empirical, uniforms: tf.Tensor) -> tf.Tensor:
    """A step by the alias method, then an affine map inside the step; float64, to be cut to ranks.

    What the choice of the step leaves of the uniform, 53 bits less those of the number of steps,
    chooses the rank inside it.
    """
    cuts, aliases = alias_table(law.step_probs * law.steps.lengths)
    steps = np.stack([np.arange(len(cuts)), aliases], axis=1).ravel()
    low = np.stack([np.zeros_like(cuts), cuts], axis=1).ravel()
    width = np.stack([cuts, 1.0 - cuts], axis=1).ravel()
    lengths, firsts = law.steps.lengths[steps], law.starts[steps]
    scale = lengths / np.where(width > 0, width, 1.0)
    table = tf.constant(np.stack([firsts - low * scale, scale], axis=1))
    column = uniforms * float(len(cuts))
    whole = tf.floor(column)
    inside, index = column - whole, tf.cast(whole, tf.int64)
    above = tf.cast(inside >= tf.gather(tf.constant(cuts), index), tf.int64)
    offset, scales = tf.unstack(tf.gather(table, 2 * index + above), axis=1)
    # Rounding moves the ends of a step by 1e-16 of their rank or so; those of the catalog hold.
    return tf.maximum(offset + inside * scales, 0.0)
