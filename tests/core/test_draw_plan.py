"""Tests the number of random numbers of a batch: enough, and fewer with a separate head."""

import numpy as np
import pytest

from merlin_popsampler.core.distributions import Empirical, LogUniform, Uniform
from merlin_popsampler.core.draw_plan import plan_draws
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.errors import PopSamplerError

ZIPF = Empirical(
    PopularityCurve.from_counts((1e9 / np.arange(1, 10**6 + 1) ** 1.1).astype(np.int64) + 1)
)
FLAT_HEAD = Empirical(
    PopularityCurve(np.array([0, 6000]), np.array([6 * 10**9, 10**6]), 10**6 + 6000)
)


@pytest.mark.parametrize(
    ("distribution", "num_sampled"),
    [(LogUniform(10**6), 100), (LogUniform(1000), 300), (ZIPF, 1000)],
)
def test_plain_draws_are_enough(distribution, num_sampled, rng):
    plan = plan_draws(distribution, num_sampled)
    assert (plan.head, plan.tail) == (0, 0)
    assert plan.few < plan.draws == plan.length < 4 * num_sampled + 500
    for draws, spreads in ((plan.few, 2.0), (plan.draws, 7.0)):
        found = [len(np.unique(distribution.inverse(rng.random(draws)))) for _ in range(60)]
        assert np.mean(found) - num_sampled > spreads * np.std(found)


def test_an_even_distribution_has_no_head_to_split_off():
    """Without a head, there are no separate draws of the tail."""
    for size, num_sampled in ((10**9, 4 * 10**8), (3 * 10**8, 10**8)):
        plan = plan_draws(Uniform(size), num_sampled)
        assert (plan.head, plan.tail) == (0, 0)
        assert plan.draws > num_sampled


def steep(heads, tail, distortion):
    masses = np.array([heads * 10**9, tail])
    return Empirical(PopularityCurve(np.array([0, heads]), masses, heads + tail), distortion)


@pytest.mark.parametrize("distortion", [1.5, 3.5])
@pytest.mark.parametrize("num_sampled", [2, 5, 6, 100, 2000, 100_004])
def test_ids_that_practically_never_arrive_take_too_many_draws(distortion, num_sampled):
    distribution = steep(5, 10**5, distortion)
    assert plan_draws(distribution, num_sampled).length > distribution.size


def test_what_neither_draws_nor_arrival_times_can_do_is_refused():
    distribution = steep(5, 3 * 10**9, 3.5)
    for num_sampled in (6, 10**6):
        with pytest.raises(PopSamplerError, match=f"{num_sampled} distinct ids.*unique=False"):
            plan_draws(distribution, num_sampled)
    with pytest.raises(PopSamplerError, match="distinct ids"):
        plan_draws(Uniform(2**31), 2**31)
    assert plan_draws(Uniform(2**40), 10**6).length < 2 * 10**6


@pytest.mark.parametrize(
    ("distribution", "num_sampled"),
    [(LogUniform(10**6), 10_000), (LogUniform(10**9), 30_000), (ZIPF, 3000), (ZIPF, 20_000)],
)
def test_a_head_is_planned_where_it_pays(distribution, num_sampled, rng):
    """At the time limit of the head too few ranks are distinct, at that of the draws enough are."""
    plan = plan_draws(distribution, num_sampled)
    assert plan.head > 100
    found, of_head = [], distribution.prob(np.arange(plan.head))
    assert plan.head_mass == pytest.approx(of_head.sum())
    for _ in range(20):
        uniforms = plan.head_mass + (1 - plan.head_mass) * rng.random(plan.tail)
        time = rng.gamma(plan.tail) / (1 - plan.head_mass)
        chances = -np.expm1(-time * of_head)
        head = np.flatnonzero(rng.random(plan.head) < chances)
        draws = distribution.inverse(rng.random(plan.draws))
        first = np.concatenate((distribution.inverse(uniforms), head))
        counts = (first, [first, draws[: plan.few]], [first, draws])
        found.append([len(np.unique(np.hstack(ranks))) for ranks in counts])
    before, few, surely = np.array(found).T
    for numbers, sign, spreads in ((before, -1, 5), (few, 1, 1.5), (surely, 1, 5)):
        assert sign * (np.mean(numbers) - num_sampled) > spreads * np.std(numbers)
    plain = np.mean([_draws_needed(distribution, num_sampled, rng) for _ in range(3)])
    assert plan.head + plan.tail + plan.few < 0.75 * plain


def _draws_needed(distribution, num_sampled, rng):
    """Draws until so many ranks are distinct, and returns the number of draws."""
    ranks = distribution.inverse(rng.random(8 * num_sampled))
    return 1 + np.sort(np.unique(ranks, return_index=True)[1])[num_sampled - 1]


def test_no_head_where_its_time_would_be_too_uncertain():
    """The head has nearly all of the mass, so few draws of the tail would estimate the time."""
    assert plan_draws(FLAT_HEAD, 5900).head == 0
