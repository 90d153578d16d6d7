"""Tests the statistics of draws once for all frameworks, which repeat this algorithm exactly."""

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from merlin_popsampler.core import reference_draw
from merlin_popsampler.core.distributions import Empirical, LogUniform, Uniform
from merlin_popsampler.core.draw_plan import DrawPlan
from merlin_popsampler.core.draws import Draws, make_draws
from merlin_popsampler.core.expected_counts import inclusion_probability
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.core.reference_draw import distinct, draw_ranks, first_distinct
from merlin_popsampler.core.tables import inverse_table
from tests.support import golden_draws
from tests.support import statistics_checks as checks
from tests.support.distribution_examples import DISTRIBUTIONS, LARGE
from tests.support.expected_count_checks import STEEP, steep
from tests.support.oracles import enumerate_inclusion, enumerate_sequences, log_uniform_probs

FALLING = Empirical(PopularityCurve.from_counts([9, 9, 4, 2, 2, 1]))


def batches_of(distribution, num_sampled, count, key=11):
    """Returns `count` consecutive batches of unique ranks, `[count, num_sampled]`."""
    draws = make_draws(distribution, num_sampled)
    return np.stack([draw_ranks(draws, key, i) for i in range(count)])


def independent(distribution, num_sampled):
    """Returns one batch of independent ranks."""
    return draw_ranks(make_draws(distribution, num_sampled, unique=False), 5, 0)


def by_plan(distribution, num_sampled, plan, by_arrival_times=False):
    """Returns draws of unique ranks by a given plan."""
    table = inverse_table(distribution, plan.head)
    return Draws(distribution, num_sampled, plan, table, True, by_arrival_times)


PLAIN = DrawPlan(0, 0.0, 0, 120, 120)


@pytest.mark.parametrize("case", golden_draws.GOLDEN)
def test_golden_draws(case):
    name, num_sampled, kind = case.split()
    distribution = golden_draws.DISTRIBUTIONS[name]
    ranks = draw_ranks(make_draws(distribution, int(num_sampled), kind == "unique"), 17, 3)
    assert ranks[:8].tolist() == golden_draws.GOLDEN[case]["first"]
    digest = hashlib.sha256(ranks.astype("<i8").tobytes()).hexdigest()
    assert digest == golden_draws.GOLDEN[case]["sha256"]


# ------------------------------------------------------------------ with replacement


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_independent_draws_follow_the_distribution(name):
    distribution = DISTRIBUTIONS[name]
    ranks = independent(distribution, 400_000)
    assert checks.follows(ranks, distribution.probs())


@pytest.mark.parametrize("wrong", sorted(checks.WRONG_DISTRIBUTIONS))
def test_the_check_refuses_wrong_distributions(wrong, rng):
    ranks = checks.draw(checks.WRONG_DISTRIBUTIONS[wrong](30), 400_000, rng)
    assert not checks.follows(ranks, checks.log_uniform(30))
    right = independent(LogUniform(30), 400_000)
    assert checks.follows(right, checks.log_uniform(30))
    assert not checks.follows(right, checks.WRONG_DISTRIBUTIONS[wrong](30))


@pytest.mark.parametrize("distribution", [LogUniform(8), LogUniform(32), Uniform(32)], ids=repr)
def test_every_rank_of_a_small_catalog_is_drawn(distribution):
    ranks = independent(distribution, 20_000)
    assert set(ranks) == set(range(distribution.size))


@pytest.mark.parametrize("size", [10**8, 10**9, 2**31 + 5])
def test_the_tail_of_huge_catalogs(size):
    """Checks each octave, evenness inside the last one, and gaps between neighbours."""
    ranks = independent(LogUniform(size), 1_000_000)
    assert checks.covers_octaves(ranks, size)
    assert checks.reaches_odd_and_even(ranks, above=size // 2)
    assert checks.collides_seldom(ranks, size // 2, size)
    shorter = independent(LogUniform(size - size // 20), 1_000_000)
    assert not checks.covers_octaves(shorter, size)


@pytest.mark.parametrize("size", [10**8, 10**9])
def test_single_precision_uniforms_are_refused(size, rng):
    uniforms = rng.integers(0, 2**24, 1_000_000) * np.float32(2**-24)
    ranks = np.exp(uniforms.astype(np.float64) * np.log1p(size)).astype(np.int64) - 1
    assert not checks.collides_seldom(ranks, size // 2, size)
    assert not checks.reaches_odd_and_even(ranks.astype(np.float32), above=size // 2)


# ------------------------------------------------------------------ unique


@pytest.mark.parametrize("by_arrival_times", [False, True])
@pytest.mark.parametrize("size, num_sampled", [(4, 2), (5, 3), (6, 5)])
def test_ordered_samples_against_enumeration(by_arrival_times, size, num_sampled):
    """Checks sets and their order of arrival, which is that of successive sampling."""
    chances = dict(enumerate_sequences(log_uniform_probs(size), num_sampled))
    drawn = by_plan(LogUniform(size), num_sampled, PLAIN, by_arrival_times)
    found = Counter(tuple(draw_ranks(drawn, 11, i).tolist()) for i in range(8000))
    names = sorted(chances)
    assert set(found) <= set(names)
    draws = np.repeat(np.arange(len(names)), [found[name] for name in names])
    expected = [chances[name] for name in names]
    assert checks.follows(draws, expected)
    assert not checks.follows(draws, np.roll(expected, 1))


@pytest.mark.parametrize("tail", [1, 2])
@pytest.mark.parametrize(
    "distribution, head", [(LogUniform(6), 1), (LogUniform(6), 3), (FALLING, 2), (FALLING, 3)]
)
def test_a_separate_head_against_enumeration(distribution, head, tail):
    """Each set of 4 of 6 ranks has its frequency under successive sampling."""
    tail = min(tail, 4 - head)
    plan = DrawPlan(head, float(distribution.probs()[:head].sum()), tail, 120, 120)
    drawn, chances = by_plan(distribution, 4, plan), Counter()
    for ranks, chance in enumerate_sequences(distribution.probs(), 4):
        chances[frozenset(ranks)] += chance
    found = Counter(frozenset(draw_ranks(drawn, 11, i).tolist()) for i in range(8000))
    names = sorted(chances, key=sorted)
    draws = np.repeat(np.arange(len(names)), [found[name] for name in names])
    assert len(draws) == 8000
    assert checks.follows(draws, [chances[name] for name in names])


def test_enumeration_refuses_a_head_at_a_fixed_time(monkeypatch):
    """Negative control: the time of the last draw is replaced by its mean."""
    monkeypatch.setattr(reference_draw, "gamma", lambda shape, _: float(shape))
    distribution = LogUniform(6)
    plan = DrawPlan(3, float(distribution.probs()[:3].sum()), 1, 120, 120)
    drawn = by_plan(distribution, 4, plan)
    batches = np.stack([draw_ranks(drawn, 11, i) for i in range(20_000)])
    assert not checks.includes(batches, enumerate_inclusion(distribution.probs(), 4))


@pytest.mark.parametrize("num_sampled", [1, 3, 8])
def test_inclusion_against_enumeration(num_sampled):
    batches = batches_of(LogUniform(8), num_sampled, 8000)
    assert checks.includes(batches, enumerate_inclusion(log_uniform_probs(8), num_sampled))


@pytest.mark.parametrize("wrong", sorted(checks.WRONG_DISTRIBUTIONS))
def test_inclusion_refuses_wrong_distributions(wrong, rng):
    inclusion = enumerate_inclusion(log_uniform_probs(8), 3)
    batches = checks.first_distinct(checks.WRONG_DISTRIBUTIONS[wrong](8), 3, 20_000, rng)
    assert not checks.includes(batches, inclusion)


def test_inclusion_refuses_the_smallest_of_the_distinct(rng):
    inclusion = enumerate_inclusion(log_uniform_probs(8), 3)
    assert not checks.includes(checks.first_sorted(log_uniform_probs(8), 3, 20_000, rng), inclusion)
    assert checks.includes(checks.first_distinct(log_uniform_probs(8), 3, 20_000, rng), inclusion)


@pytest.mark.parametrize("name", ["log_uniform", "empirical"])
def test_inclusion_on_larger_catalogs(name):
    distribution = DISTRIBUTIONS[name]
    batches = batches_of(distribution, 40, 3000)
    assert checks.includes(batches, inclusion_probability(distribution, 40, distribution.probs()))
    other = inclusion_probability(distribution, 44, distribution.probs())
    assert not checks.includes(batches, other)


@pytest.mark.parametrize("name", ["log_uniform", "empirical"])
def test_inclusion_with_a_head_as_planned(name, monkeypatch):
    """Uses the head that the planner chooses, on a catalog that is small enough to enumerate."""
    monkeypatch.setattr("merlin_popsampler.core.draw_plan._WORTH", 0)
    monkeypatch.setattr("merlin_popsampler.core.draw_plan._STEADY", 100)
    distribution = {
        "log_uniform": LogUniform(3000),
        "empirical": Empirical(PopularityCurve.from_counts(10**6 // np.arange(1, 3001), 60)),
    }[name]
    plan = make_draws(distribution, 500).plan
    assert plan.head > 10
    assert plan.length < 3000
    batches = batches_of(distribution, 500, 1500)
    assert checks.includes(batches, inclusion_probability(distribution, 500, distribution.probs()))


@pytest.mark.parametrize(
    "distribution", [LogUniform(10**6), LARGE["empirical"]], ids=["log_uniform", "empirical"]
)
def test_a_planned_head_at_full_size(distribution):
    """In each band of ranks, draws match the sum of the expected counts."""
    num, batches = 12_000, 40
    assert make_draws(distribution, num).plan.head
    chance = inclusion_probability(distribution, num, distribution.probs())
    ranks = batches_of(distribution, num, batches).ravel()
    edges = np.unique(np.geomspace(1, distribution.size + 1, 40).astype(np.int64)) - 1
    expected = np.add.reduceat(chance, edges[:-1])
    spread = np.sqrt(np.add.reduceat(chance * (1 - chance), edges[:-1]) / batches)
    found = np.histogram(ranks, edges)[0] / batches
    assert (np.abs(found - expected) < 5.5 * spread + 1e-9).all()
    off = np.abs(np.add.reduceat(num * distribution.probs(), edges[:-1]) - expected)
    assert (off > 5.5 * spread).any()


@pytest.mark.parametrize("name", STEEP)
def test_rare_ids_are_drawn_where_they_must_be(name):
    """If frequent ids cannot fill a batch, rare ids fill it by their odds; otherwise none do."""
    distribution, exact_expected_counts = steep(name)
    for num_sampled in sorted({2, 3, distribution.size // 2, distribution.size - 1}):
        batches = batches_of(distribution, num_sampled, 2000)
        assert all(len(set(batch)) == num_sampled for batch in batches.tolist())
        assert checks.includes(batches, exact_expected_counts(num_sampled))


@pytest.mark.parametrize("unique", [False, True])
def test_rare_ids_of_a_long_catalog(unique):
    """Ten frequent ids, a thousand at 1e-9 of their probability, and a tail at 1e-18."""
    steps = PopularityCurve.from_counts([10**9] * 10 + [10**6] * 1000 + [10**3] * 10**5, 256)
    ranks = draw_ranks(make_draws(Empirical(steps, 3.0), 500, unique), 5, 0)
    head, middle = np.sum(ranks < 10), np.sum((ranks >= 10) & (ranks < 1010))
    assert (head, middle) == ((10, 490) if unique else (500, 0))


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("num_sampled", [1, 2, 40, 399, 400])
def test_exactly_so_many_distinct_ranks(name, num_sampled):
    ranks = draw_ranks(make_draws(DISTRIBUTIONS[name], num_sampled), 5, 0)
    assert len(set(ranks)) == len(ranks) == num_sampled
    assert ranks.dtype == np.int64
    assert ranks.min() >= 0 and ranks.max() < 400


def test_consecutive_batches_are_independent():
    """Two batches overlap as much as independent ones do."""
    distribution = LogUniform(1000)
    chance = inclusion_probability(distribution, 100, distribution.probs())
    batches = batches_of(distribution, 100, 1001).tolist()
    overlaps = [len(set(a) & set(b)) for a, b in zip(batches, batches[1:])]
    spread = np.std(overlaps) / np.sqrt(len(overlaps))
    assert abs(np.mean(overlaps) - np.sum(chance**2)) < 5 * spread
    assert len({tuple(batch) for batch in batches}) == 1001


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
    assert first_distinct(np.array(draws), 3).tolist() == expected


@pytest.mark.parametrize("step", [1, 2**10, 2**20, 2**40])
def test_the_distinct_of_ranks_that_share_slots(step, rng):
    ranks = rng.integers(0, 300, 1000) * step
    assert distinct(ranks).tolist() == list(dict.fromkeys(ranks.tolist()))
    assert distinct(ranks[:0]).tolist() == []


@pytest.mark.parametrize("head", [0, 3])
def test_the_shorter_attempt_changes_nothing(head):
    """First attempts that are always, mostly or never too short give the same draws."""
    mass = float(FALLING.probs()[:head].sum())
    for few in (1, 6, 60):
        plan = DrawPlan(head, mass, min(head, 1), 60, few)
        for position in range(40):
            expected = by_plan(FALLING, 6, replace(plan, few=60))
            found = by_plan(FALLING, 6, plan)
            assert (
                draw_ranks(found, 11, position).tolist()
                == draw_ranks(expected, 11, position).tolist()
            )


@pytest.mark.parametrize("shape", [1, 4, 9000])
def test_gamma_variates(shape, rng):
    found = [reference_draw.gamma(shape, uniforms) for uniforms in rng.random((4000, 24))]
    assert stats.kstest(found, stats.gamma(shape).cdf).pvalue > checks.LEVEL
    wrong = stats.gamma(shape * 1.2 if shape < 5 else 9020)
    assert stats.kstest(found, wrong.cdf).pvalue < checks.LEVEL
