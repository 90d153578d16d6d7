"""Times alternatives in turns in one process: medians, and ratios with their spread."""

import os
import statistics
import time
from typing import Any, Callable, Dict, List, Mapping

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf


def loop(step: Callable[[tf.Tensor], tf.Tensor], calls: int, overlap: bool) -> Any:
    """Returns a graph that runs `step(number)` in a loop, so that Python's time does not count.

    With `overlap`, TensorFlow may begin a call before the last one has ended, which it does for
    steps without state. Otherwise one call follows the other.

    `step` returns a float32 scalar that depends on all that it computes: nothing is pruned.
    """

    def looped(first: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(
            lambda i, _: i < calls,
            lambda i, total: (i + 1, total + step(first + i)),
            (tf.constant(0, tf.int64), tf.constant(0.0)),
            parallel_iterations=10 if overlap else 1,
        )[1]

    return tf.function(looped)


def compiled(step: Callable[[tf.Tensor], tf.Tensor]) -> Any:
    """Compiles a step by XLA."""
    return tf.function(step, jit_compile=True)


def race(
    steps: Mapping[str, Callable[[tf.Tensor], tf.Tensor]],
    calls: int,
    rounds: int,
    base: str,
    overlap: bool = False,
) -> Dict[str, Dict[str, float]]:
    """Times all steps in turns.

    Args:
      steps: by name.
      calls: of a step in one timed graph.
      rounds: timings of each step.
      base: the step that the ratios are to.
      overlap: whether calls may run side by side on several cores.

    Returns:
      By name, `ms` (median of one call), `ratio` (of medians), and `ratio_min`, `ratio_max` (of
      the rounds' own ratios).
    """
    looped = {name: loop(step, calls, overlap) for name, step in steps.items()}
    for function in looped.values():
        function(tf.constant(0, tf.int64)).numpy()
    seconds: Dict[str, List[float]] = {name: [] for name in steps}
    for round_ in range(rounds):
        names = sorted(steps, reverse=bool(round_ % 2))
        for name in names:
            first = tf.constant((round_ + 1) * calls, tf.int64)
            began = time.perf_counter()
            looped[name](first).numpy()
            seconds[name].append((time.perf_counter() - began) / calls)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    result = {}
    for name, times in seconds.items():
        ratios = [mine / other for mine, other in zip(times, seconds[base])]
        result[name] = {
            "ms": 1e3 * median[name],
            "ratio": median[name] / median[base],
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
        }
    return result


def calls_for(num_sampled: int) -> int:
    """Returns the number of calls in one timed graph: enough to measure, few enough to finish."""
    return max(3, min(300, 200_000 // num_sampled))


def checksum(*tensors: tf.Tensor) -> tf.Tensor:
    """Returns one float32 that depends on every value of the tensors."""
    return tf.add_n([tf.reduce_sum(tf.cast(tensor, tf.float32)) for tensor in tensors])
