"""Ranks drawn on a device: TensorFlow functions without state.

Randomness is counter based: the Philox generator with key `key` and counter (block, `position`), so
equal key and position give equal draws in eager mode, in a graph and under XLA, and a trace draws
nothing.

A batch of unique draws is, by definition, the first K distinct ranks of one sequence of independent
draws. All algorithms of `distinct` read the same sequence and give the same ranks in the same
order. Another way, the race, draws an exponential arrival time for every rank and takes the K
earliest, which is the same law (memoryless arrivals: the next one is rank i with probability
proportional to p_i). It serves where the sequence would be about as long as the catalog.

References:
  P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir", Information
  Processing Letters 97 (2006), section 2: the race.
  J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, section 4: Philox.
"""

import math
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from . import distinct
from .alias import alias_table
from .errors import PopSamplerError
from .laws import Empirical, Law, LogUniform, Uniform

_SHORTFALL = 50.0
"""A sequence falls short of K distinct ranks with probability below exp(-50)."""
_FIRST_TRY = 8.0
"""The part of it that is drawn first falls short with probability below exp(-8)."""
_RACE = 0.75
"""The race is run where the sequence would be longer than this share of the catalog."""
_MANTISSA = 2**53 - 1


def independent(law: Law, key: Any, position: Any, num: int) -> tf.Tensor:
    """`num` draws with repetition: int64 `[num]`, in `[0, law.size)`."""
    return inverse(law)(_uniforms(key, position, num))


def length_of_sequence(law: Law, num_sampled: int, shortfall: float = _SHORTFALL) -> int:
    """Draws that hold `num_sampled` distinct ranks, but for a chance below exp(-shortfall).

    The number of distinct ranks in t draws is a sum of negatively associated indicators of mean
    `D = sum(q)` and variance at most `V = sum(q (1 - q))`, `q = 1 - (1 - p)^t`, so Bernstein's
    inequality holds: it is at most `D - d` with probability below `exp(-d^2 / (2 (V + d / 3)))`.
    """
    probs, multiplicities = law.nodes()
    log_misses = np.log1p(-np.minimum(probs, 1 - 1e-16))

    def enough(draws: float) -> bool:
        misses = np.exp(draws * log_misses)
        mean = np.sum(multiplicities * (1 - misses))
        variance = np.sum(multiplicities * (1 - misses) * misses)
        third = shortfall / 3
        spare = third + math.sqrt(third**2 + 2 * shortfall * variance)
        return bool(mean - num_sampled >= spare)

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


def first_distinct(
    law: Law, key: Any, position: Any, num_sampled: int, algorithm: str
) -> tf.Tensor:
    """The first `num_sampled` distinct ranks of a sequence: int32 or int64 `[num_sampled]`.

    A sequence that is long enough but for one case in exp(50) has many draws to spare, so a first
    try at its beginning is made where branches are cheap.
    """
    # Faster on a CPU; on a GPU TensorFlow keeps int32 in host memory, for shapes' sake.
    narrow = algorithm != "sort" and law.size < 2**31
    ranks = inverse(law, tf.int32 if narrow else tf.int64)

    def whole() -> tf.Tensor:
        length = length_of_sequence(law, num_sampled)
        return distinct.ALGORITHMS[algorithm](ranks(_uniforms(key, position, length)), num_sampled)

    if algorithm != "host":
        return whole()
    length = length_of_sequence(law, num_sampled, _FIRST_TRY)
    found = tf.unique(ranks(_uniforms(key, position, length))).y
    enough = tf.cond(tf.size(found) < num_sampled, whole, lambda: found[:num_sampled])
    return tf.ensure_shape(enough, [num_sampled])


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


def inverse(law: Law, integer: tf.DType = tf.int64) -> Callable[[tf.Tensor], tf.Tensor]:
    """The law's inverse distribution function: from float64 uniforms to ranks of a dtype.

    The constants that it needs are made here, once for all its calls.
    """
    if isinstance(law, LogUniform):
        scale = math.log1p(law.size)
        real = lambda uniforms: tf.exp(uniforms * scale) - 1.0  # noqa: E731
    elif isinstance(law, Uniform):
        real = lambda uniforms: uniforms * float(law.size)  # noqa: E731
    elif isinstance(law, Empirical):
        real = _staircase(law)
    else:
        raise PopSamplerError(
            f"Expected a law of merlin_popsampler.laws. Received: {law!r}. "
            "Give the measured popularity as Empirical steps instead."
        )
    return lambda uniforms: tf.minimum(  # what rounding makes of u next to 1
        tf.cast(real(uniforms), integer), tf.cast(law.size - 1, integer)
    )


def _staircase(law: Empirical) -> Callable[[tf.Tensor], tf.Tensor]:
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
    table, edges = tf.constant(np.stack([firsts - low * scale, scale], axis=1)), tf.constant(cuts)

    def real(uniforms: tf.Tensor) -> tf.Tensor:
        column = uniforms * float(len(cuts))
        whole = tf.floor(column)
        inside, index = column - whole, tf.cast(whole, tf.int64)
        above = tf.cast(inside >= tf.gather(edges, index), tf.int64)
        offset, scales = tf.unstack(tf.gather(table, 2 * index + above), axis=1)
        # Rounding moves the ends of a step by 1e-16 of their rank or so; those of the catalog hold.
        return tf.maximum(offset + inside * scales, 0.0)

    return real
