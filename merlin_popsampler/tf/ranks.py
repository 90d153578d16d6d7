"""Draws the ranks of a batch in TensorFlow, without state, by the algorithm that suits the device.

A batch of distinct draws is the first K distinct ranks of one sequence. The sequence consists of
independent draws, or, if that takes fewer random numbers, of a head and draws (see `sequence`). All
algorithms of `distinct` read the same sequence, and give the same ranks in the same order.

If the sequence would be about as long as the catalog, every rank gets an exponential arrival time
of rate p_i instead. The K earliest ranks are the batch. Arrivals are memoryless: the next one is
rank i with probability proportional to p_i. So the distribution is the same.

References:
  P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir", Information
  Processing Letters 97 (2006), section 2: arrival times.
"""

from typing import Any

import tensorflow as tf

from merlin_popsampler.core.draws import Draws
from merlin_popsampler.errors import PopSamplerError

from . import distinct, tracing
from .inverse_cdf import head_probs, inverse
from .sequence import sequence, uniforms

ALGORITHMS = ("auto", *distinct.ALGORITHMS)


def draw_ranks(draws: Draws, key: Any, position: Any, algorithm: str = "auto") -> tf.Tensor:
    """Draws the ranks of one batch, independent or distinct.

    Args:
      draws: the algorithm and its constants.
      key: Philox key, an integer scalar (int64 or uint64, number or tensor).
      position: number of the batch in the stream, an integer scalar as `key`. Equal keys and
        positions give equal draws. Different positions give independent draws.
      algorithm: how the distinct ranks of a sequence are found. "auto" selects it by context; tests
        force one of the other `ALGORITHMS`.

    Returns:
      int64 `[num_sampled]`, in `[0, distribution.size)`.

    Raises:
      PopSamplerError: the algorithm is unknown.
    """
    if algorithm not in ALGORITHMS:
        raise PopSamplerError(
            f"Expected algorithm in {ALGORITHMS}. Received: {algorithm!r}. Use 'auto'."
        )
    if not draws.distinct:
        return inverse(draws.table)(uniforms(key, position, draws.num_sampled), False)
    if draws.by_arrival_times:
        return tf.cast(_earliest_arrivals(draws, key, position), tf.int64)
    if algorithm == "auto":
        algorithm = _best_algorithm()
    return tf.cast(_first_distinct(draws, key, position, algorithm), tf.int64)


def _earliest_arrivals(draws: Draws, key: Any, position: Any) -> tf.Tensor:
    """Draws an exponential time of rate p_i for each rank i, and returns the earliest ranks."""
    size = draws.distribution.size
    rates = head_probs(draws.distribution.segments, size)
    times = -tf.math.log(1.0 - uniforms(key, position, size)) / rates
    return tf.math.top_k(-times, draws.num_sampled, sorted=True).indices


def _first_distinct(draws: Draws, key: Any, position: Any, algorithm: str) -> tf.Tensor:
    """Returns the first `num_sampled` distinct ranks of a sequence, int32 or int64.

    A sequence that is almost surely long enough has many unused draws. So the function first tries
    a shorter one, on devices where branches are cheap.
    """
    plan, num_sampled = draws.plan, draws.num_sampled
    # int32 is faster on a CPU. On a GPU, TensorFlow keeps int32 in host memory.
    narrow = algorithm != "sort" and draws.distribution.size < 2**31
    ranks = sequence(draws, key, position, tf.int32 if narrow else tf.int64)

    def surely() -> tf.Tensor:
        return distinct.ALGORITHMS[algorithm](ranks(plan.draws), num_sampled)

    if algorithm not in distinct.ATTEMPTS:
        return surely()
    found, count = distinct.ATTEMPTS[algorithm](ranks(plan.few), num_sampled)
    return tf.cond(count < num_sampled, surely, lambda: tf.slice(found, [0], [num_sampled]))


def _best_algorithm() -> str:
    """Selects the algorithm for the current device and tracing context."""
    if tf.config.list_logical_devices("GPU") or tracing.in_vectorized_loop():
        return "sort"
    return "hash" if tracing.in_xla() else "host"
