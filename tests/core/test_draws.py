"""Tests the choice of the algorithm for batches, and the consistency of its constants."""

import pytest

from merlin_popsampler.core.distributions import LogUniform, Uniform
from merlin_popsampler.core.draw_plan import DrawPlan
from merlin_popsampler.core.draws import make_draws
from merlin_popsampler.errors import PopSamplerError
from tests.support.expected_count_checks import STEEP, steep


@pytest.mark.parametrize("distribution", [LogUniform(400), Uniform(400), LogUniform(2)])
def test_a_large_part_of_the_catalog_is_drawn_by_arrival_times(distribution):
    assert make_draws(distribution, distribution.size).by_arrival_times
    assert make_draws(distribution, max(2, distribution.size * 7 // 8)).by_arrival_times
    assert make_draws(LogUniform(10**6), 10**6).by_arrival_times


@pytest.mark.parametrize("name", STEEP)
def test_rare_ids_that_must_be_drawn_are(name):
    distribution, _ = steep(name)
    assert make_draws(distribution, distribution.size - 1).by_arrival_times


def test_a_small_part_is_drawn_by_a_sequence():
    assert not make_draws(LogUniform(10**6), 100_000).by_arrival_times
    assert not make_draws(Uniform(400), 100).by_arrival_times


@pytest.mark.parametrize("unique", [False, True])
def test_one_draw_is_independent(unique):
    draws = make_draws(LogUniform(2), 1, unique)
    assert not draws.distinct and not draws.by_arrival_times
    assert draws.plan == DrawPlan(0, 0.0, 0, 1, 1)


def test_the_table_leaves_out_the_head_of_the_plan():
    draws = make_draws(LogUniform(10**6), 100_000)
    assert draws.table.head == draws.plan.head == 32_767


@pytest.mark.parametrize(("num_sampled", "unique"), [(401, True), (0, True), (2.5, False)])
def test_refused(num_sampled, unique):
    with pytest.raises(PopSamplerError, match="max_num_samples"):
        make_draws(LogUniform(400), num_sampled, unique)
