"""The distribution of the draws, exactly the same in every way of drawing."""

from collections import Counter

import numpy as np
import pytest
import torch

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core.distributions import Empirical, LogUniform, Uniform
from merlin_popsampler.core.expected_counts import inclusion_probability
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.torch.ranks import (
    FirstDistinct,
    Independent,
    Race,
    first_distinct,
    gamma,
)
from tests.support import statistics_checks as checks
from tests.support.distribution_examples import DISTRIBUTIONS
from tests.support.expected_count_checks import STEEP, steep
from tests.support.oracles import enumerate_inclusion, enumerate_sequences, log_uniform_probs
from tests.support.torch_draws import batch_of, batches_of, make_draws, way

WAYS = [FirstDistinct, Race]


# ------------------------------------------------------------------ with replacement


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_independent_draws_follow_the_distribution(name):
    assert checks.follows(
        batch_of(Independent(DISTRIBUTIONS[name], 400_000)), DISTRIBUTIONS[name].probs()
    )


@pytest.mark.parametrize("size", [29, 31])
def test_the_check_refuses_a_catalog_one_off(size):
    ranks = batch_of(Independent(LogUniform(size), 400_000))
    assert checks.follows(ranks, checks.log_uniform(size))
    assert not checks.follows(ranks, checks.log_uniform(30))


@pytest.mark.parametrize("wrong", sorted(checks.WRONG_DISTRIBUTIONS))
def test_the_check_refuses_wrong_distributions(wrong):
    right = batch_of(Independent(LogUniform(30), 400_000))
    assert checks.follows(right, checks.log_uniform(30))
    assert not checks.follows(right, checks.WRONG_DISTRIBUTIONS[wrong](30))


@pytest.mark.parametrize("distribution", [LogUniform(8), Uniform(32)], ids=repr)
def test_every_rank_of_a_small_catalog_is_drawn(distribution):
    assert set(batch_of(Independent(distribution, 20_000))) == set(range(distribution.size))


@pytest.mark.parametrize("size", [10**9, 2**31 + 5])
def test_the_tail_of_huge_catalogs(size):
    """Octave by octave, evenly inside the last one, and no gaps between neighbours."""
    ranks = batch_of(Independent(LogUniform(size), 1_000_000))
    assert checks.covers_octaves(ranks, size)
    assert checks.reaches_odd_and_even(ranks, above=size // 2)
    assert checks.collides_seldom(ranks, size // 2, size)
    shorter = batch_of(Independent(LogUniform(size - size // 20), 1_000_000))
    assert not checks.covers_octaves(shorter, size)


# ------------------------------------------------------------------ unique


@pytest.mark.parametrize("kind", WAYS)
@pytest.mark.parametrize(("size", "num_sampled"), [(4, 2), (5, 3)])
def test_ordered_samples_against_enumeration(kind, size, num_sampled):
    """Not the sets alone: the order of arrival has the distribution of successive sampling too."""
    chances = dict(enumerate_sequences(log_uniform_probs(size), num_sampled))
    drawn = batches_of(way(kind, LogUniform(size), num_sampled), 8000)
    found = Counter(map(tuple, drawn.tolist()))
    names = sorted(chances)
    assert set(found) <= set(names)
    draws = np.repeat(np.arange(len(names)), [found[name] for name in names])
    expected = [chances[name] for name in names]
    assert checks.follows(draws, expected)
    assert not checks.follows(draws, np.roll(expected, 1))


@pytest.mark.parametrize("kind", WAYS)
def test_inclusion_against_enumeration(kind):
    inclusion = enumerate_inclusion(log_uniform_probs(8), 3)
    batches = batches_of(way(kind, LogUniform(8), 3), 8000)
    assert checks.includes(batches, inclusion)
    for wrong in (LogUniform(7), LogUniform(9), Uniform(8)):
        assert not checks.includes(batches_of(way(Race, wrong, 3), 8000), inclusion)


@pytest.mark.parametrize("kind", WAYS)
@pytest.mark.parametrize("name", ["log_uniform", "empirical"])
def test_inclusion_on_larger_catalogs(kind, name):
    distribution = DISTRIBUTIONS[name]
    batches = batches_of(way(kind, distribution, 40), 3000)
    assert checks.includes(batches, inclusion_probability(distribution, 40, distribution.probs()))
    assert not checks.includes(
        batches, inclusion_probability(distribution, 44, distribution.probs())
    )


def test_the_smallest_of_the_distinct_are_refused():
    """The bug of keeping the smallest of what was drawn, instead of the earliest."""
    draws = Independent(LogUniform(8), 9)
    batches = [np.unique(batch) for batch in batches_of(draws, 8000)]
    smallest = np.array([batch[:3] for batch in batches if len(batch) >= 3])
    assert not checks.includes(smallest, enumerate_inclusion(log_uniform_probs(8), 3))


@pytest.mark.parametrize("name", ["log_uniform", "measured"])
def test_a_head_by_itself_leaves_the_distribution_as_it_is(name):
    """Ranks in 40 groups, by the shares that the expected counts say."""
    size, num_sampled = 10**5, 8000
    distribution = LogUniform(size)
    if name == "measured":
        distribution = Empirical(PopularityCurve.from_counts(10**8 // np.arange(10, 10 + size)))
    draws = make_draws(distribution, num_sampled, unique=True)
    assert draws.plan.head
    batches = batches_of(draws, 60)
    assert all(len(set(batch)) == num_sampled for batch in batches.tolist())
    expected_counts = inclusion_probability(distribution, num_sampled, distribution.probs())
    edges = np.unique(np.geomspace(1, size, 41).astype(int)) - 1
    groups = list(zip(edges[:-1], edges[1:]))
    wrong = inclusion_probability(distribution, num_sampled + 300, distribution.probs())
    assert max(apart(batches, expected_counts, *group) for group in groups) < 5.5
    assert max(apart(batches, wrong, *group) for group in groups) > 5.5


def apart(batches, expected_counts, start, stop):
    """Standard deviations between the draws of a group of ranks and its expected counts."""
    counted = ((batches >= start) & (batches < stop)).sum()
    expected = len(batches) * expected_counts[start:stop].sum()
    # Unique draws vary less than independent ones.
    spread = np.sqrt(
        len(batches) * (expected_counts[start:stop] * (1 - expected_counts[start:stop])).sum()
    )
    return abs(counted - expected) / max(spread, 1.0)


@pytest.mark.parametrize("name", STEEP)
def test_rare_ids_are_drawn_where_they_must_be(name):
    """Batches that the likely ids cannot fill hold rare ones, by their odds; the others none."""
    distribution, exact_expected_counts = steep(name)
    for num_sampled in {2, 3, distribution.size // 2, distribution.size - 1, distribution.size}:
        batches = batches_of(make_draws(distribution, num_sampled, unique=True), 2000)
        assert all(len(set(batch)) == num_sampled for batch in batches.tolist())
        assert checks.includes(batches, exact_expected_counts(num_sampled))


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("num_sampled", [1, 2, 40, 399, 400])
def test_exactly_so_many_distinct_ranks(name, num_sampled):
    ranks = batch_of(make_draws(DISTRIBUTIONS[name], num_sampled, unique=True))
    assert len(set(ranks)) == len(ranks) == num_sampled
    assert ranks.dtype == np.int64
    assert ranks.min() >= 0 and ranks.max() < 400


def test_consecutive_batches_are_independent():
    """The overlap of two batches is what two independent ones have."""
    distribution = LogUniform(1000)
    chance = inclusion_probability(distribution, 100, distribution.probs())
    batches = batches_of(way(FirstDistinct, distribution, 100), 1001).tolist()
    overlaps = [len(set(a) & set(b)) for a, b in zip(batches, batches[1:])]
    spread = np.std(overlaps) / np.sqrt(len(overlaps))
    assert abs(np.mean(overlaps) - np.sum(chance**2)) < 5 * spread


# ------------------------------------------------------------------ the parts


@pytest.mark.parametrize(
    ("draws", "expected"),
    [
        ([5, 5, 2, 5, 9, 2, 1], [5, 2, 9]),
        ([7, 7, 7, 7], [7, 0, 1]),
        ([1, 1, 1, 1], [1, 0, 2]),
        ([2, 1, 0], [2, 1, 0]),
    ],
)
def test_the_first_distinct_in_order(draws, expected):
    assert first_distinct(torch.tensor(draws), 3).tolist() == expected


def test_the_first_distinct_of_long_sequences(rng):
    for _ in range(20):
        draws = rng.zipf(1.3, 500).clip(max=10**6)
        expected = list(dict.fromkeys(draws.tolist()))[:50]
        assert first_distinct(torch.tensor(draws), 50).tolist() == expected


def test_the_time_of_an_arrival(rng):
    from scipy import stats

    numbers = torch.tensor(rng.random((4000, 24)))
    times = np.concatenate([gamma(1500, row).numpy() for row in numbers])
    assert stats.kstest(times, stats.gamma(1500).cdf).pvalue > 1e-6
    assert stats.kstest(times, stats.gamma(1510).cdf).pvalue < 1e-6


@pytest.mark.parametrize("num_sampled", [0, 401, 2.5])
def test_numbers_that_cannot_be_drawn(num_sampled):
    with pytest.raises(PopSamplerError, match="max_num_samples"):
        make_draws(LogUniform(400), num_sampled, unique=True)
