"""The distribution of the draws, exactly the same in every algorithm, mode and trace."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core.distributions import Empirical, LogUniform, Uniform
from merlin_popsampler.core.expected_counts import inclusion_probability
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.tf.ranks import draw_ranks
from tests.support import statistics_checks as checks
from tests.support.distribution_examples import DISTRIBUTIONS, LARGE
from tests.support.draws import batches_of
from tests.support.expected_count_checks import STEEP, steep
from tests.support.oracles import enumerate_inclusion, enumerate_sequences, log_uniform_probs

DISTINCT = ("host", "sort", "hash")
ALGORITHMS = (*DISTINCT, "race")


# ------------------------------------------------------------------ with replacement


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_independent_draws_follow_the_distribution(name):
    distribution = DISTRIBUTIONS[name]
    ranks = draw_ranks(distribution, 5, 0, 400_000, unique=False).numpy()
    assert checks.follows(ranks, distribution.probs())


@pytest.mark.parametrize("wrong", sorted(checks.WRONG_DISTRIBUTIONS))
def test_the_check_refuses_wrong_distributions(wrong, rng):
    ranks = checks.draw(checks.WRONG_DISTRIBUTIONS[wrong](30), 400_000, rng)
    assert not checks.follows(ranks, checks.log_uniform(30))


def test_the_check_accepts_the_right_distribution(rng):
    assert checks.follows(checks.draw(checks.log_uniform(30), 400_000, rng), checks.log_uniform(30))


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("name", ["log_uniform", "uniform"])
def test_every_rank_of_a_small_catalog_is_drawn(size, name):
    distribution = LogUniform(size) if name == "log_uniform" else Uniform(size)
    assert set(draw_ranks(distribution, 5, 0, 20_000, unique=False).numpy()) == set(range(size))


@pytest.mark.parametrize("size", [10**8, 10**9, 2**31 + 5])
def test_the_tail_of_huge_catalogs(size):
    """Octave by octave, evenly inside the last one, and no gaps between neighbours."""
    ranks = draw_ranks(LogUniform(size), 5, 0, 1_000_000, unique=False).numpy()
    assert checks.covers_octaves(ranks, size)
    assert checks.reaches_odd_and_even(ranks, above=size // 2)
    assert checks.collides_seldom(ranks, size // 2, size)


@pytest.mark.parametrize("size", [10**8, 10**9])
def test_single_precision_uniforms_are_refused(size, rng):
    uniforms = rng.integers(0, 2**24, 1_000_000) * np.float32(2**-24)
    ranks = np.exp(uniforms.astype(np.float64) * np.log1p(size)).astype(np.int64) - 1
    assert not checks.collides_seldom(ranks, size // 2, size)
    assert not checks.reaches_odd_and_even(ranks.astype(np.float32), above=size // 2)


@pytest.mark.parametrize("size", [10**8, 10**9])
def test_octaves_refuse_a_shorter_catalog(size):
    ranks = draw_ranks(LogUniform(size - size // 20), 5, 0, 1_000_000, unique=False).numpy()
    assert not checks.covers_octaves(ranks, size)


# ------------------------------------------------------------------ unique


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size, num_sampled", [(4, 2), (5, 3), (6, 4), (6, 5)])
def test_ordered_samples_against_enumeration(algorithm, size, num_sampled):
    """Not the sets alone: the order of arrival has the distribution of successive sampling too."""
    chances = dict(enumerate_sequences(log_uniform_probs(size), num_sampled))
    found = Counter(
        map(tuple, batches_of(LogUniform(size), num_sampled, 20_000, algorithm).tolist())
    )
    names = sorted(chances)
    assert set(found) <= set(names)
    draws = np.repeat(np.arange(len(names)), [found[name] for name in names])
    assert checks.follows(draws, [chances[name] for name in names])


@pytest.mark.parametrize("algorithm", (*ALGORITHMS, "auto"))
@pytest.mark.parametrize("num_sampled", [1, 3, 8])
def test_inclusion_against_enumeration(algorithm, num_sampled):
    batches = batches_of(LogUniform(8), num_sampled, 20_000, algorithm)
    assert checks.includes(batches, enumerate_inclusion(log_uniform_probs(8), num_sampled))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", ["log_uniform", "empirical"])
def test_inclusion_on_larger_catalogs(algorithm, name):
    distribution = DISTRIBUTIONS[name]
    inclusion = inclusion_probability(distribution, 40, distribution.probs())
    assert checks.includes(batches_of(distribution, 40, 3000, algorithm), inclusion)


@pytest.mark.parametrize("name", STEEP)
def test_rare_ids_are_drawn_where_they_must_be(name):
    """Batches that the likely ids cannot fill hold rare ones, by their odds; the others none."""
    distribution, exact_expected_counts = steep(name)
    for num_sampled in {2, 3, distribution.size // 2, distribution.size - 1, distribution.size}:
        batches = batches_of(distribution, num_sampled, 2000, "auto")
        assert all(len(set(batch)) == num_sampled for batch in batches.tolist())
        assert checks.includes(batches, exact_expected_counts(num_sampled))


@pytest.mark.parametrize("unique", [False, True])
def test_rare_ids_of_a_long_catalog(unique):
    """A head of ten, a middle of a thousand at 1e-9 of it, a tail at 1e-18."""
    steps = PopularityCurve.from_counts([10**9] * 10 + [10**6] * 1000 + [10**3] * 10**5, 256)
    distribution = Empirical(steps, 3.0)
    ranks = draw_ranks(distribution, 5, 0, 500, unique=unique).numpy()
    head, middle = np.sum(ranks < 10), np.sum((ranks >= 10) & (ranks < 1010))
    assert (head, middle) == ((10, 490) if unique else (500, 0))


@pytest.mark.parametrize("wrong", sorted(checks.WRONG_DISTRIBUTIONS))
def test_inclusion_refuses_wrong_distributions(wrong, rng):
    inclusion = enumerate_inclusion(log_uniform_probs(8), 3)
    batches = checks.first_distinct(checks.WRONG_DISTRIBUTIONS[wrong](8), 3, 20_000, rng)
    assert not checks.includes(batches, inclusion)


def test_inclusion_refuses_the_smallest_of_the_distinct(rng):
    inclusion = enumerate_inclusion(log_uniform_probs(8), 3)
    assert not checks.includes(checks.first_sorted(log_uniform_probs(8), 3, 20_000, rng), inclusion)
    assert checks.includes(checks.first_distinct(log_uniform_probs(8), 3, 20_000, rng), inclusion)


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("num_sampled", [2, 40, 399, 400])
def test_exactly_so_many_distinct_ranks(name, num_sampled):
    for algorithm in ("auto", "race") + (DISTINCT if num_sampled <= 40 else ()):
        ranks = draw_ranks(DISTRIBUTIONS[name], 5, 0, num_sampled, algorithm=algorithm).numpy()
        assert len(set(ranks)) == num_sampled and ranks.dtype == np.int64
        assert ranks.min() >= 0 and ranks.max() < 400


# ------------------------------------------------------------------ streams


def test_consecutive_batches_are_independent():
    """The overlap of two batches is what two independent ones have, id by id."""
    distribution = LogUniform(1000)
    chance = inclusion_probability(distribution, 100, distribution.probs())
    batches = batches_of(distribution, 100, 1001, "host")
    overlaps = [len(set(a) & set(b)) for a, b in zip(batches.tolist(), batches[1:].tolist())]
    spread = np.std(overlaps) / np.sqrt(len(overlaps))
    assert abs(np.mean(overlaps) - np.sum(chance**2)) < 5 * spread
    assert len({tuple(batch) for batch in batches.tolist()}) == 1001


# ------------------------------------------------------------------ one stream, everywhere


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("num_sampled", [7, 60, 12_000])
def test_the_same_ranks_in_every_algorithm_and_mode(name, num_sampled):
    distribution = DISTRIBUTIONS[name] if num_sampled < 100 else LARGE[name]
    expected = draw_ranks(distribution, 5, 9, num_sampled, algorithm="host").numpy().tolist()
    position = tf.constant(9, tf.int64)
    for algorithm in DISTINCT:

        def traced(place, algorithm=algorithm):
            return draw_ranks(distribution, 5, place, num_sampled, algorithm=algorithm)

        assert traced(9).numpy().tolist() == expected
        assert tf.function(traced)(position).numpy().tolist() == expected
        if algorithm != "host":
            assert tf.function(traced, jit_compile=True)(position).numpy().tolist() == expected


@pytest.mark.parametrize("unique, num_sampled", [(False, 50), (True, 390)])
def test_independent_draws_and_races_compile(unique, num_sampled):
    def traced(place):
        return draw_ranks(DISTRIBUTIONS["empirical"], 5, place, num_sampled, unique)

    position = tf.constant(2, tf.int64)
    expected = traced(position).numpy().tolist()
    assert tf.function(traced)(position).numpy().tolist() == expected
    assert tf.function(traced, jit_compile=True)(position).numpy().tolist() == expected


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
