"""Draws the ranks of a batch in TensorFlow, without state, by the algorithm that suits the device.

A batch of distinct draws is the first K distinct ranks of one sequence. The sequence consists of
independent draws, or, if that takes fewer random numbers, of a head and draws (see `sequence`). All
algorithms of `distinct` read the same sequence, and give the same ranks in the same order.

If the sequence would be about as long as the catalog, the race is used instead. It draws an
exponential arrival time for every rank, and takes the K earliest. Arrivals are memoryless: the next
one is rank i with probability proportional to p_i. So the distribution is the same.

References:
  P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir", Information
  Processing Letters 97 (2006), section 2: the race.
"""

from typing import Any

import tensorflow as tf

from merlin_popsampler.core.checks import batch_size
from merlin_popsampler.core.distributions import Distribution
from merlin_popsampler.core.draw_plan import plan_draws, prefers_race
from merlin_popsampler.errors import PopSamplerError

from . import distinct, tracing
from .inverse_cdf import head_probs, inverse
from .sequence import sequence, uniforms

ALGORITHMS = ("auto", "race", *distinct.ALGORITHMS)


def draw_ranks(
    distribution: Distribution,
    key: Any,
    position: Any,
    num_sampled: int,
    unique: bool = True,
    algorithm: str = "auto",
) -> tf.Tensor:
    """Draws the ranks of one batch, independent or distinct.

    Args:
      distribution: the distribution of one draw.
      key: Philox key, an integer scalar (int64 or uint64, number or tensor).
      position: number of the batch in the stream, an integer scalar as `key`. Equal keys and
        positions give equal draws. Different positions give independent draws.
      num_sampled: number of ranks, a static number; at most `distribution.size` if `unique`.
      unique: whether the ranks are distinct (successive sampling) or independent.
      algorithm: "auto" selects one by context; tests force one of the other `ALGORITHMS`.

    Returns:
      int64 `[num_sampled]`, in `[0, distribution.size)`.

    Raises:
      PopSamplerError: more distinct draws than items, or another algorithm.
    """
    if algorithm not in ALGORITHMS:
        raise PopSamplerError(
            f"Expected algorithm in {ALGORITHMS}. Received: {algorithm!r}. Use 'auto'."
        )
    num_sampled = batch_size("num_sampled", num_sampled, distribution.size, unique)
    if not unique or num_sampled == 1:
        return inverse(distribution)(uniforms(key, position, num_sampled), False)
    if algorithm == "race" or (algorithm == "auto" and prefers_race(distribution, num_sampled)):
        return tf.cast(_race(distribution, key, position, num_sampled), tf.int64)
    if algorithm == "auto":
        algorithm = _best_algorithm()
    return tf.cast(_first_distinct(distribution, key, position, num_sampled, algorithm), tf.int64)


def _race(distribution: Distribution, key: Any, position: Any, num_sampled: int) -> tf.Tensor:
    """Draws an exponential time of rate p_i for each rank i, and returns the earliest ranks."""
    rates = head_probs(distribution.segments, distribution.size)
    times = -tf.math.log(1.0 - uniforms(key, position, distribution.size)) / rates
    return tf.math.top_k(-times, num_sampled, sorted=True).indices


def _first_distinct(
    distribution: Distribution, key: Any, position: Any, num_sampled: int, algorithm: str
) -> tf.Tensor:
    """Returns the first `num_sampled` distinct ranks of a sequence, int32 or int64.

    A sequence that is almost surely long enough has many unused draws. So the function first tries
    a shorter one, on devices where branches are cheap.
    """
    plan = plan_draws(distribution, num_sampled)
    # int32 is faster on a CPU. On a GPU, TensorFlow keeps int32 in host memory.
    narrow = algorithm != "sort" and distribution.size < 2**31
    ranks = sequence(distribution, key, position, plan, tf.int32 if narrow else tf.int64)

    def surely() -> tf.Tensor:
        return distinct.ALGORITHMS[algorithm](ranks(plan.draws), num_sampled)

    if algorithm != "host":
        return surely()
    return distinct.first_distinct_host(ranks(plan.few), num_sampled, otherwise=surely)


def _best_algorithm() -> str:
    """Selects the algorithm for the current device and tracing context."""
    if tf.config.list_logical_devices("GPU") or tracing.in_vectorized_loop():
        return "sort"
    return "hash" if tracing.in_xla() else "host"
