"""Sequences whose head is drawn separately: the same distribution of the set, fewer numbers."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from merlin_popsampler.core.distributions import Empirical, LogUniform
from merlin_popsampler.core.draw_plan import DrawPlan, plan_draws
from merlin_popsampler.core.expected_counts import inclusion_probability
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.tf import distinct, sequence
from merlin_popsampler.tf.ranks import draw_ranks
from tests.support import statistics_checks as checks
from tests.support.distribution_examples import LARGE
from tests.support.draws import batches_of
from tests.support.oracles import enumerate_inclusion, enumerate_sequences

DISTINCT = ("host", "sort", "hash")


@pytest.mark.parametrize(
    "distribution", [LogUniform(10**6), LARGE["empirical"]], ids=["plain", "head"]
)
def test_a_first_try_that_fails_changes_nothing(distribution, monkeypatch):
    """One case in thousands, so made frequent: half of the batches need the longer sequence."""
    num = 500 if distribution.name == "log_uniform" else 12_000
    plan = plan_draws(distribution, num)
    assert (plan.head > 0) == (num == 12_000)
    lengths, found = [plan.few, plan.draws], []
    for place in range(12):
        draws = sequence.sequence(distribution, 5, place, plan)(plan.draws).numpy()
        ends = np.sort(np.unique(draws, return_index=True)[1])
        found.append(1 + ends[num - 1] - plan.head - plan.tail)
        first = draw_ranks(distribution, 5, place, num, algorithm="host").numpy()
        assert first.tolist() == draws[ends[:num]].tolist()
    assert lengths[0] < lengths[1]
    half = int(np.median(found))
    short = DrawPlan(plan.head, plan.head_mass, plan.tail, plan.draws, half)
    monkeypatch.setattr("merlin_popsampler.tf.ranks.plan_draws", lambda *_: short)
    expected = [draw_ranks(distribution, 5, place, num, algorithm="hash") for place in range(12)]
    ranks = batches_of(distribution, num, 12, "host", key=5)
    assert ranks.tolist() == np.stack(expected).tolist()


def by_hand(distribution, num_sampled, plan, count, algorithm):
    """Batches of a plan made by hand, `[count, num_sampled]`."""

    @tf.function(jit_compile=algorithm == "hash")
    def draw_all():
        def draw(position):
            ranks = sequence.sequence(distribution, 11, position, plan)(plan.draws)
            return distinct.ALGORITHMS[algorithm](ranks, num_sampled)

        return tf.map_fn(draw, tf.range(count, dtype=tf.int64))

    return draw_all().numpy()


FALLING = Empirical(PopularityCurve.from_counts([9, 9, 4, 2, 2, 1]))


@pytest.mark.parametrize("algorithm", DISTINCT)
@pytest.mark.parametrize(
    "distribution, head",
    [(LogUniform(6), 1), (LogUniform(6), 3), (FALLING, 2), (FALLING, 3)],
    ids=["log_uniform-1", "log_uniform-3", "empirical-2", "empirical-3"],
)
@pytest.mark.parametrize("tail", [1, 2])
def test_a_head_by_itself_against_enumeration(algorithm, distribution, head, tail):
    """Every set of 4 of 6 ranks is as frequent as successive sampling makes it."""
    if head + tail > 4:
        tail = 1
    chances = set_chances(distribution, 4)
    plan = DrawPlan(head, float(distribution.probs()[:head].sum()), tail, 300, 300)
    found = Counter(map(frozenset, by_hand(distribution, 4, plan, 20_000, algorithm).tolist()))
    names = sorted(chances, key=sorted)
    draws = np.repeat(np.arange(len(names)), [found[name] for name in names])
    assert len(draws) == 20_000
    assert checks.follows(draws, [chances[name] for name in names])


def set_chances(distribution, num_sampled):
    """Every set of ranks with its probability under successive sampling."""
    chances = Counter()
    for ranks, chance in enumerate_sequences(distribution.probs(), num_sampled):
        chances[frozenset(ranks)] += chance
    return chances


def test_enumeration_refuses_a_head_at_a_fixed_time(monkeypatch):
    """The control: the time of the last draw replaced by its mean."""
    monkeypatch.setattr(sequence, "_gamma", lambda shape, _: tf.constant(float(shape), tf.float64))
    distribution = LogUniform(6)
    batches = by_hand(
        distribution,
        4,
        DrawPlan(3, float(distribution.probs()[:3].sum()), 1, 300, 300),
        20_000,
        "host",
    )
    assert not checks.includes(batches, enumerate_inclusion(distribution.probs(), 4))


@pytest.mark.parametrize("algorithm", DISTINCT)
@pytest.mark.parametrize("name", ["log_uniform", "empirical"])
def test_inclusion_with_a_head_as_planned(name, algorithm, monkeypatch):
    """The planner's own choice on a catalog that is small enough to be counted."""
    monkeypatch.setattr("merlin_popsampler.core.draw_plan._WORTH", 0)
    monkeypatch.setattr("merlin_popsampler.core.draw_plan._STEADY", 100)
    distribution = {
        "log_uniform": LogUniform(3000),
        "empirical": Empirical(PopularityCurve.from_counts(10**6 // np.arange(1, 3001), 60)),
    }[name]
    plan_draws.cache_clear()
    plan = plan_draws(distribution, 500)
    assert plan.head > 10
    assert plan.length < 3000
    batches = batches_of(distribution, 500, 1500, algorithm)
    plan_draws.cache_clear()
    assert checks.includes(batches, inclusion_probability(distribution, 500, distribution.probs()))


@pytest.mark.parametrize(
    "distribution", [LogUniform(10**6), LARGE["empirical"]], ids=["plain", "steps"]
)
def test_a_planned_head_at_full_size(distribution):
    """Expected counts over the whole catalog, in bands of ranks: the right sum in every one."""
    num, batches = 12_000, 40
    chance = inclusion_probability(distribution, num, distribution.probs())
    ranks = batches_of(distribution, num, batches, "host").ravel()
    edges = np.unique(np.geomspace(1, distribution.size + 1, 40).astype(np.int64)) - 1
    expected = np.add.reduceat(chance, edges[:-1])
    spread = np.sqrt(np.add.reduceat(chance * (1 - chance), edges[:-1]) / batches)
    found = np.histogram(ranks, edges)[0] / batches
    assert (np.abs(found - expected) < 5.5 * spread + 1e-9).all()
    wrong = num * distribution.probs()
    off = np.abs(np.add.reduceat(wrong, edges[:-1]) - expected)
    assert (off > 5.5 * spread).any()


@pytest.mark.parametrize("shape", [1, 4, 9000])
def test_gamma_variates(shape, rng):
    uniforms = tf.constant(rng.random((4000, 24)))
    found = tf.map_fn(lambda u: sequence._gamma(shape, u), uniforms).numpy()
    assert stats.kstest(found, stats.gamma(shape).cdf).pvalue > checks.LEVEL
    wrong = stats.gamma(shape * 1.2 if shape < 5 else 9020)
    assert stats.kstest(found, wrong.cdf).pvalue < checks.LEVEL
