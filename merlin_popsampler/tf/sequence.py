"""Ranks drawn on a device: TensorFlow functions without state.

Randomness is counter based: the Philox generator with key `key` and counter (block, `position`), so
equal key and position give equal draws in eager mode, in a graph and under XLA, and a trace draws
nothing. (Compilers may round the last of 53 bits differently: none of 60 million ranks showed it.)

A batch of unique draws is the first K distinct ranks of one sequence: independent draws or, where
that takes fewer random numbers, one that gives the same sets (`sequence`). All algorithms of
`distinct` read the same sequence and give the same ranks in the same order. Another way, the race,
draws an exponential arrival time for every rank and takes the K earliest, which is the same law
(memoryless arrivals: the next one is rank i with probability proportional to p_i). It serves where
the sequence would be about as long as the catalog.

References:
  P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir", Information
  Processing Letters 97 (2006), section 2: the race.
  J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, section 4: Philox.
"""

import math
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.draw_plan import Plan, plan
from merlin_popsampler.core.laws import Law

from . import distinct
from .inverse import head_probs, inverse

_MANTISSA = 2**53 - 1
_PROPOSALS = 8


def independent(law: Law, key: Any, position: Any, num: int) -> tf.Tensor:
    """`num` draws with repetition: int64 `[num]`, in `[0, law.size)`."""
    return inverse(law)(_uniforms(key, position, num), False)


def race(law: Law, key: Any, position: Any, num_sampled: int) -> tf.Tensor:
    """The `num_sampled` ranks that arrive first, rank i at an exponential time of rate p_i."""
    rates = head_probs(law, law.size)
    times = -tf.math.log(1.0 - _uniforms(key, position, law.size)) / rates
    return tf.math.top_k(-times, num_sampled, sorted=True).indices


def first_distinct(
    law: Law, key: Any, position: Any, num_sampled: int, algorithm: str
) -> tf.Tensor:
    """The first `num_sampled` distinct ranks of a sequence: int32 or int64 `[num_sampled]`.

    A sequence that is surely long enough has many draws to spare, so a first try with fewer is made
    where branches are cheap.
    """
    parts = plan(law, num_sampled)
    # Faster on a CPU; on a GPU TensorFlow keeps int32 in host memory, for shapes' sake.
    narrow = algorithm != "sort" and law.size < 2**31
    ranks = sequence(law, key, position, parts, tf.int32 if narrow else tf.int64)

    def surely() -> tf.Tensor:
        return distinct.ALGORITHMS[algorithm](ranks(parts.draws), num_sampled)

    if algorithm != "host":
        return surely()
    return distinct.first_distinct_host(ranks(parts.few), num_sampled, otherwise=surely)


def sequence(
    law: Law, key: Any, position: Any, parts: Plan, integer: tf.DType = tf.int64
) -> Callable[[int], tf.Tensor]:
    """Ranks whose first K distinct ones are a batch: plain draws, or a head by itself and draws.

    With a head the sequence is, first, the draws of the tail; then the ranks of the head that have
    arrived by the time of the last of them, in no order (the others repeat the first draw); then
    draws from the whole law. Arrivals have no memory, so from that random time on all is as if the
    draws before had been made one by one: the same law of the set of the first K, at a fraction of
    the draws.

    Args:
      law: the law of one draw.
      key: of the stream.
      position: in the stream.
      parts: how long the parts are.
      integer: int64, or int32 where it holds the ranks.

    Returns:
      From the length of the last part (`parts.few` or `parts.draws`; the shorter sequence is a
      prefix) to integers `[parts.head + parts.tail + length]`.
    """
    ranks = inverse(law, integer, parts.head)
    if not parts.head:
        return lambda last: ranks(_uniforms(key, position, last), False)
    head, rates = tf.range(parts.head, dtype=integer), head_probs(law, parts.head)

    def draws(last: int) -> tf.Tensor:
        lengths = [3 * _PROPOSALS, parts.tail, parts.head, last]
        u = tf.split(_uniforms(key, position, sum(lengths)), lengths)
        time = _gamma(parts.tail, u[0]) / (1.0 - parts.head_mass)
        tail = ranks(u[1], True)
        arrived = u[2] >= tf.exp(-time * rates)
        return tf.concat([tail, tf.where(arrived, head, tail[0]), ranks(u[3], False)], 0)

    return draws


def _gamma(shape: int, uniforms: tf.Tensor) -> tf.Tensor:
    """A gamma variate, float64: the time of the `shape`-th arrival at rate 1.

    The first that is accepted of a few proposals, of which few are refused.

    References:
      G. Marsaglia, W. W. Tsang, "A simple method for generating gamma variables", ACM Transactions
      on Mathematical Software 26 (2000).
    """
    radius, angle, test = tf.split(uniforms, 3)
    normal = tf.sqrt(-2.0 * tf.math.log(1.0 - radius)) * tf.cos(2.0 * math.pi * angle)
    scale = shape - 1.0 / 3.0
    root = 1.0 + normal / math.sqrt(9.0 * scale)
    cube = root * root * root
    log_cube = 3.0 * tf.math.log(tf.maximum(root, 1e-300))
    accepted = tf.math.log(1.0 - test) < 0.5 * normal * normal + scale * (1.0 - cube + log_cube)
    return scale * tf.gather(cube, tf.argmax(tf.cast(accepted, tf.float32)))


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
