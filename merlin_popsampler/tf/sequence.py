"""Draws sequences of ranks and their random numbers in TensorFlow, without state.

Randomness is counter based: the Philox generator with key `key` and counter (block, `position`). So
equal keys and positions give equal draws in eager mode, in a graph and under XLA. A trace draws
nothing. Compilers may round the last of 53 bits differently; 60 million ranks showed no difference.

References:
  J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, section 4: Philox.
"""

import math
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.draw_plan import PROPOSALS
from merlin_popsampler.core.draws import Draws
from merlin_popsampler.core.philox import MANTISSA

from .inverse_cdf import head_probs, inverse


def sequence(
    draws: Draws, key: Any, position: Any, integer: tf.DType = tf.int64
) -> Callable[[int], tf.Tensor]:
    """Builds a function that draws ranks, whose first K distinct ones are a batch.

    The sequence is that of `core.reference_draw.sequence`, which explains it.

    Args:
      draws: the algorithm and its constants.
      key: key of the stream.
      position: position in the stream.
      integer: dtype of the ranks: int64, or int32 if the catalog is small enough.

    Returns:
      A function of the length of the last part, `plan.few` or `plan.draws`. It returns integers
      `[plan.head + plan.tail + length]`. The shorter sequence is a prefix of the longer one.
    """
    plan, ranks = draws.plan, inverse(draws.table, integer)
    if not plan.head:
        return lambda last: ranks(uniforms(key, position, last), False)
    head = tf.range(plan.head, dtype=integer)
    rates = head_probs(draws.distribution.segments, plan.head)

    def with_head(last: int) -> tf.Tensor:
        lengths = [3 * PROPOSALS, plan.tail, plan.head, last]
        u = tf.split(uniforms(key, position, sum(lengths)), lengths)
        time = _gamma(plan.tail, u[0]) / (1.0 - plan.head_mass)
        tail = ranks(u[1], True)
        arrived = u[2] >= tf.exp(-time * rates)
        return tf.concat([tail, tf.where(arrived, head, tail[0]), ranks(u[3], False)], 0)

    return with_head


def _gamma(shape: int, u: tf.Tensor) -> tf.Tensor:
    """Draws a gamma variate, float64: the time of the `shape`-th arrival at rate 1.

    It returns the first accepted one of a few proposals, most of which are accepted.

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
    """Draws uniforms of 53 bits, float64 `[num]` in [0, 1).

    It draws integers, since XLA's float uniforms differ from those of a graph.
    """
    bits = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[num],
        key=tf.reshape(_uint64(key), [1]),
        counter=tf.stack([tf.constant(0, tf.uint64), _uint64(position)]),
        alg=1,  # Philox
        dtype=tf.int64,
    )
    return tf.cast(tf.bitwise.bitwise_and(bits, np.int64(MANTISSA)), tf.float64) * 2.0**-53


def _uint64(value: Any) -> tf.Tensor:
    """Converts a scalar of any integer type to uint64 with the same bits."""
    if isinstance(value, (int, np.integer)):
        return tf.constant(int(value) % 2**64, tf.uint64)
    return value if value.dtype == tf.uint64 else tf.cast(value, tf.uint64)
