"""Sequences of ranks on a device, and the random numbers that they are made of, without state.

Randomness is counter based: the Philox generator with key `key` and counter (block, `position`), so
equal key and position give equal draws in eager mode, in a graph and under XLA, and a trace draws
nothing. (Compilers may round the last of 53 bits differently: none of 60 million ranks showed it.)

References:
  J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, section 4: Philox.
"""

import math
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.distributions import Distribution
from merlin_popsampler.core.draw_plan import PROPOSALS, DrawPlan
from merlin_popsampler.core.philox import MANTISSA

from .inverse_cdf import head_probs, inverse


def sequence(
    distribution: Distribution,
    key: Any,
    position: Any,
    plan: DrawPlan,
    integer: tf.DType = tf.int64,
) -> Callable[[int], tf.Tensor]:
    """Ranks whose first K distinct ones are a batch: plain draws, or a head by itself and draws.

    With a head the sequence is, first, the draws of the tail; then the ranks of the head that have
    arrived by the time of the last of them, in no order (the others repeat the first draw); then
    draws from the whole distribution. Arrivals have no memory, so from that random time on all is
    as if the
    draws before had been made one by one: the same distribution of the set of the first K, at a
    fraction of the draws.

    Args:
      distribution: the distribution of one draw.
      key: of the stream.
      position: in the stream.
      plan: how long the parts are.
      integer: int64, or int32 where it holds the ranks.

    Returns:
      From the length of the last part (`plan.few` or `plan.draws`; the shorter sequence is a
      prefix) to integers `[plan.head + plan.tail + length]`.
    """
    ranks = inverse(distribution, integer, plan.head)
    if not plan.head:
        return lambda last: ranks(uniforms(key, position, last), False)
    head, rates = tf.range(plan.head, dtype=integer), head_probs(distribution.segments, plan.head)

    def draws(last: int) -> tf.Tensor:
        lengths = [3 * PROPOSALS, plan.tail, plan.head, last]
        u = tf.split(uniforms(key, position, sum(lengths)), lengths)
        time = _gamma(plan.tail, u[0]) / (1.0 - plan.head_mass)
        tail = ranks(u[1], True)
        arrived = u[2] >= tf.exp(-time * rates)
        return tf.concat([tail, tf.where(arrived, head, tail[0]), ranks(u[3], False)], 0)

    return draws


def _gamma(shape: int, u: tf.Tensor) -> tf.Tensor:
    """A gamma variate, float64: the time of the `shape`-th arrival at rate 1.

    The first that is accepted of a few proposals, of which few are refused.

    References:
      G. Marsaglia, W. W. Tsang, "A simple method for generating gamma variables", ACM Transactions
      on Mathematical Software 26 (2000).
    """
    radius, angle, test = tf.split(u, 3)
    normal = tf.sqrt(-2.0 * tf.math.log(1.0 - radius)) * tf.cos(2.0 * math.pi * angle)
    scale = shape - 1.0 / 3.0
    root = 1.0 + normal / math.sqrt(9.0 * scale)
    cube = root * root * root
    log_cube = 3.0 * tf.math.log(tf.maximum(root, 1e-300))
    accepted = tf.math.log(1.0 - test) < 0.5 * normal * normal + scale * (1.0 - cube + log_cube)
    return scale * tf.gather(cube, tf.argmax(tf.cast(accepted, tf.float32)))


def uniforms(key: Any, position: Any, num: int) -> tf.Tensor:
    """float64 `[num]` in [0, 1) of 53 bits; XLA's own float uniforms differ from the graph's."""
    bits = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[num],
        key=tf.reshape(_uint64(key), [1]),
        counter=tf.stack([tf.constant(0, tf.uint64), _uint64(position)]),
        alg=1,  # Philox
        dtype=tf.int64,
    )
    return tf.cast(tf.bitwise.bitwise_and(bits, np.int64(MANTISSA)), tf.float64) * 2.0**-53


def _uint64(value: Any) -> tf.Tensor:
    """A scalar of any integer type as uint64, bit by bit."""
    if isinstance(value, (int, np.integer)):
        return tf.constant(int(value) % 2**64, tf.uint64)
    return value if value.dtype == tf.uint64 else tf.cast(value, tf.uint64)
