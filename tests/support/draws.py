"""Draws many batches at once, and counts the batches that a sampler has drawn."""

import functools
from dataclasses import replace

import tensorflow as tf

from merlin_popsampler.core.draws import make_draws
from merlin_popsampler.tf import ranks

ARRIVALS = "arrival times"
"""Selects arrival times, as names of TensorFlow's algorithms select a sequence."""


@functools.lru_cache(maxsize=None)
def _draws(distribution, num_sampled, unique, algorithm):
    draws = make_draws(distribution, num_sampled, unique)
    if algorithm == "auto":
        return draws
    return replace(draws, by_arrival_times=algorithm == ARRIVALS)


def draw_ranks(distribution, key, position, num_sampled, unique=True, algorithm="auto"):
    """Draws a batch of a distribution, int64 `[num_sampled]`."""
    draws = _draws(distribution, num_sampled, unique, algorithm)
    algorithm = "auto" if algorithm == ARRIVALS else algorithm
    return ranks.draw_ranks(draws, key, position, algorithm)


def batches_of(distribution, num_sampled, count, algorithm, unique=True, key=11):
    """Draws `count` consecutive batches in one graph, `[count, num_sampled]`."""

    @tf.function(jit_compile=algorithm == "hash")
    def draw_all():
        return tf.map_fn(
            lambda position: draw_ranks(
                distribution, key, position, num_sampled, unique, algorithm
            ),
            tf.range(count, dtype=tf.int64),
        )

    return draw_all().numpy()


def batches_drawn(layer):
    """Returns the number of batches that a sampler has drawn, from its weight."""
    counter = int(layer.get_weights()[0][0])
    assert counter % 256 == 0
    return counter // 256


def many_batches(layer, batches):
    """Draws batches of ranks in one graph, `[batches, max_num_samples]`."""
    loop = tf.function(
        lambda: tf.map_fn(
            lambda _: layer.sample_ids(), tf.zeros(batches), tf.int64, parallel_iterations=1
        )
    )
    return loop().numpy() - layer.min_id
