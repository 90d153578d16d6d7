"""Sequences whose head is drawn separately: the same distribution of the set, fewer numbers."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler.core import reference_draw
from merlin_popsampler.core.distributions import Empirical, LogUniform
from merlin_popsampler.core.draw_plan import DrawPlan
from merlin_popsampler.core.draws import Draws, make_draws
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.core.tables import inverse_table
from merlin_popsampler.tf import ranks, sequence
from tests.support.distribution_examples import LARGE
from tests.support.draws import draw_ranks


@pytest.mark.parametrize(
    "distribution", [LogUniform(10**6), LARGE["empirical"]], ids=["plain", "head"]
)
def test_a_first_try_that_fails_changes_nothing(distribution):
    """One case in thousands, so made frequent: half of the batches need the longer sequence."""
    num = 500 if distribution.name == "log_uniform" else 12_000
    draws = make_draws(distribution, num)
    plan = draws.plan
    assert (plan.head > 0) == (num == 12_000)
    lengths, found = [plan.few, plan.draws], []
    for place in range(12):
        drawn = sequence.sequence(draws, 5, place)(plan.draws).numpy()
        ends = np.sort(np.unique(drawn, return_index=True)[1])
        found.append(1 + ends[num - 1] - plan.head - plan.tail)
        first = draw_ranks(distribution, 5, place, num, algorithm="host").numpy()
        assert first.tolist() == drawn[ends[:num]].tolist()
    assert lengths[0] < lengths[1]
    half = int(np.median(found))
    short = replace(draws, plan=replace(plan, few=half))
    graph = tf.function(lambda place: ranks.draw_ranks(short, 5, place, "host"))
    for place in range(12):
        expected = draw_ranks(distribution, 5, place, num, algorithm="hash").numpy().tolist()
        assert ranks.draw_ranks(short, 5, place, "host").numpy().tolist() == expected
        assert graph(tf.constant(place, tf.int64)).numpy().tolist() == expected


FALLING = Empirical(PopularityCurve.from_counts([9, 9, 4, 2, 2, 1]))


@pytest.mark.parametrize(
    "distribution, head", [(LogUniform(6), 1), (LogUniform(6), 3), (FALLING, 2), (FALLING, 3)]
)
@pytest.mark.parametrize("tail", [1, 2])
def test_a_separate_head_is_the_reference(distribution, head, tail):
    """Small heads, which the planner would not choose, and the lengths of all parts."""
    plan = DrawPlan(head, float(distribution.probs()[:head].sum()), tail, 30, 30)
    draws = Draws(distribution, 6, plan, inverse_table(distribution, head), True, False)
    for position in range(40):
        found = sequence.sequence(draws, 11, position)(plan.draws).numpy()
        expected = reference_draw.sequence(draws, 11, position, plan.draws)
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("shape", [1, 4, 9000])
def test_gamma_variates_are_the_reference(shape, rng):
    for uniforms in rng.random((100, 24)):
        found = sequence._gamma(shape, tf.constant(uniforms)).numpy()
        assert found == pytest.approx(reference_draw.gamma(shape, uniforms), rel=1e-12)
