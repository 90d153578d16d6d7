"""TensorFlow draws the ranks of `core.reference_draw`, in every algorithm, mode and trace."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core import reference_draw
from merlin_popsampler.core.distributions import LogUniform
from merlin_popsampler.core.draws import make_draws
from merlin_popsampler.tf import ranks
from tests.support.distribution_examples import DISTRIBUTIONS, LARGE
from tests.support.draws import ARRIVALS, batches_of, draw_ranks
from tests.support.expected_count_checks import STEEP, steep

DISTINCT = ("host", "sort", "hash")
ALGORITHMS = (*DISTINCT, ARRIVALS)


def expected(distribution, num_sampled, count, unique=True, **changes):
    """`count` consecutive batches of the reference."""
    draws = replace(make_draws(distribution, num_sampled, unique), **changes)
    return [reference_draw.draw_ranks(draws, 11, i).tolist() for i in range(count)]


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("num_sampled", [1, 2, 40, 399, 400])
def test_batches_are_the_reference(name, num_sampled, unique):
    found = batches_of(DISTRIBUTIONS[name], num_sampled, 12, "auto", unique)
    assert found.dtype == np.int64
    assert found.tolist() == expected(DISTRIBUTIONS[name], num_sampled, 12, unique)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", ["log_uniform", "empirical"])
def test_each_algorithm_is_the_reference(algorithm, name):
    """Each algorithm is selected by name, also where the plan would select another."""
    distribution = DISTRIBUTIONS[name]
    found = batches_of(distribution, 40, 30, algorithm).tolist()
    assert found == expected(distribution, 40, 30, by_arrival_times=algorithm == ARRIVALS)
    assert found != expected(distribution, 40, 30, by_arrival_times=algorithm != ARRIVALS)


@pytest.mark.parametrize("name", STEEP)
def test_batches_of_steep_distributions_are_the_reference(name):
    distribution, _ = steep(name)
    for num_sampled in sorted({2, 3, distribution.size // 2, distribution.size}):
        found = batches_of(distribution, num_sampled, 20, "auto")
        assert found.tolist() == expected(distribution, num_sampled, 20)


# ------------------------------------------------------------------ one stream, everywhere


@pytest.mark.parametrize(
    ("name", "num_sampled"),
    [
        ("log_uniform", 60),
        ("empirical", 60),
        ("log_uniform", 12_000),
        ("uniform", 12_000),
        ("distorted", 12_000),
    ],
)
def test_the_same_ranks_in_every_algorithm_and_mode(name, num_sampled):
    distribution = DISTRIBUTIONS[name] if num_sampled < 100 else LARGE[name]
    draws = replace(make_draws(distribution, num_sampled), by_arrival_times=False)
    correct = reference_draw.draw_ranks(draws, 5, 9).tolist()
    position = tf.constant(9, tf.int64)
    for algorithm in DISTINCT:

        def traced(place, algorithm=algorithm):
            return draw_ranks(distribution, 5, place, num_sampled, algorithm=algorithm)

        assert traced(9).numpy().tolist() == correct
        if algorithm != "hash":  # which is for XLA
            assert tf.function(traced)(position).numpy().tolist() == correct
        if algorithm != "host":
            assert tf.function(traced, jit_compile=True)(position).numpy().tolist() == correct


@pytest.mark.parametrize("algorithm", ["host", "hash"])
def test_an_attempt_with_too_few_draws_changes_nothing(algorithm):
    draws = make_draws(DISTRIBUTIONS["log_uniform"], 40)
    draws = replace(draws, plan=replace(draws.plan, few=40))

    def traced(place):
        return ranks.draw_ranks(draws, 11, place, algorithm)

    draw = tf.function(traced, jit_compile=algorithm == "hash")
    found = [draw(tf.constant(place, tf.int64)).numpy().tolist() for place in range(3)]
    assert found == expected(DISTRIBUTIONS["log_uniform"], 40, 3)


@pytest.mark.parametrize("unique, num_sampled", [(False, 50), (True, 390)])
def test_independent_draws_and_arrival_times_compile(unique, num_sampled):
    def traced(place):
        return draw_ranks(DISTRIBUTIONS["empirical"], 5, place, num_sampled, unique)

    position = tf.constant(2, tf.int64)
    eager = traced(position).numpy().tolist()
    assert tf.function(traced)(position).numpy().tolist() == eager
    assert tf.function(traced, jit_compile=True)(position).numpy().tolist() == eager


def test_keys_and_positions_tell_streams_apart():
    draws = {
        tuple(draw_ranks(LogUniform(10**6), key, place, 20).numpy())
        for key in (0, 1, -1, 2**63 - 1)
        for place in (0, 1, 2**40)
    }
    assert len(draws) == 12


def test_integers_of_any_kind_name_the_same_stream():
    draws = [
        draw_ranks(LogUniform(10**6), key, place, 20).numpy().tolist()
        for key, place in [(-1, 3), (2**64 - 1, 3), (tf.constant(-1, tf.int64), tf.constant(3))]
    ]
    assert draws[0] == draws[1] == draws[2]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_sampled": 401}, "at most 400 unique"),
        ({"num_sampled": 5, "algorithm": "guess"}, "algorithm"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(PopSamplerError, match=message):
        draw_ranks(LogUniform(400), 0, 0, **arguments)
