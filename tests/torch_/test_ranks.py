"""Tests that every algorithm of PyTorch draws the ranks of `core.reference_draw`."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core import reference_draw
from merlin_popsampler.core.distributions import LogUniform
from merlin_popsampler.core.draw_plan import plan_draws
from merlin_popsampler.core.draws import make_draws as describe_draws
from merlin_popsampler.torch.ranks import EarliestArrivals, FirstDistinct, first_distinct, gamma
from tests.support.distribution_examples import DISTRIBUTIONS, LARGE
from tests.support.expected_count_checks import STEEP, steep
from tests.support.torch_draws import batch_of, batches_of, make_draws, way

OPERATOR = torch.ops.merlin_popsampler.first_distinct


def expected(distribution, num_sampled, count, unique=True, **changes):
    """Returns `count` consecutive batches of the reference."""
    draws = replace(describe_draws(distribution, num_sampled, unique), **changes)
    return [reference_draw.draw_ranks(draws, 11, i).tolist() for i in range(count)]


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("num_sampled", [1, 2, 7, 40, 399, 400])
def test_batches_are_the_reference(name, num_sampled, unique):
    draws = make_draws(DISTRIBUTIONS[name], num_sampled, unique)
    found = batches_of(draws, 12)
    assert found.dtype == np.int64
    assert found.tolist() == expected(DISTRIBUTIONS[name], num_sampled, 12, unique)


@pytest.mark.parametrize("name", sorted(LARGE))
@pytest.mark.parametrize("num_sampled", [60, 12_000])
def test_batches_of_large_catalogs_are_the_reference(name, num_sampled):
    draws = make_draws(LARGE[name], num_sampled, unique=True)
    with_head = num_sampled > 60 and name in ("log_uniform", "empirical")
    assert bool(plan_draws(LARGE[name], num_sampled).head) == with_head
    assert batches_of(draws, 2).tolist() == expected(LARGE[name], num_sampled, 2)


@pytest.mark.parametrize("kind", [FirstDistinct, EarliestArrivals])
def test_each_way_is_the_reference(kind):
    """Each algorithm is run, even if the plan prefers another."""
    distribution = DISTRIBUTIONS["empirical"]
    found = batches_of(way(kind, distribution, 40), 20).tolist()
    by_arrival_times = kind is EarliestArrivals
    assert found == expected(distribution, 40, 20, by_arrival_times=by_arrival_times)
    assert found != expected(distribution, 40, 20, by_arrival_times=not by_arrival_times)


@pytest.mark.parametrize("name", STEEP)
def test_batches_of_steep_distributions_are_the_reference(name):
    distribution, _ = steep(name)
    for num_sampled in sorted({2, 3, distribution.size // 2, distribution.size}):
        found = batches_of(make_draws(distribution, num_sampled, unique=True), 20)
        assert found.tolist() == expected(distribution, num_sampled, 20)


# ------------------------------------------------------------------ the parts


@pytest.mark.parametrize(
    "draws", [[5, 5, 2, 5, 9, 2, 1], [7, 7, 7, 7], [1, 1, 1, 1], [2, 1, 0]], ids=repr
)
def test_the_first_distinct_in_order(draws):
    expected = reference_draw.first_distinct(np.array(draws), 3).tolist()
    assert first_distinct(torch.tensor(draws), 3).tolist() == expected
    for few in range(2, len(draws) + 1):
        assert OPERATOR(torch.tensor(draws), few, 3).tolist() == expected


@pytest.mark.parametrize("compiler", [None, "inductor"])
def test_a_sort_finds_the_first_distinct_ranks(compiler):
    """Other devices than the CPU sort."""
    sort = torch.compile(first_distinct, backend=compiler) if compiler else first_distinct
    module, key = way(FirstDistinct, LARGE["empirical"], 12_000), torch.tensor(11)
    for position in torch.arange(3):
        ranks = sort(module._sequence(key, position), 12_000)
        assert ranks.tolist() == module(key, position).tolist()


def test_compiled_code_that_needs_more_draws():
    module = way(FirstDistinct, LogUniform(400), 40)
    module.plan = replace(module.plan, few=40)
    draw = torch.compile(module, fullgraph=True)
    found = [batch_of(draw, 11, i).tolist() for i in range(3)]
    assert found == expected(LogUniform(400), 40, 3)


def test_the_operator_is_known_to_compilers_and_transforms():
    torch.library.opcheck(OPERATOR, (torch.tensor([5, 5, 2, 7]), 3, 2))
    in_columns = torch.tensor([[5, 5, 2, 7], [1, 2, 2, 2]]).T
    found = torch.vmap(lambda draws: OPERATOR(draws, 3, 2), in_dims=1)(in_columns)
    assert found.tolist() == [[5, 2], [1, 2]]


def test_the_time_of_an_arrival(rng):
    for row in rng.random((200, 24)):
        found = gamma(1500, torch.tensor(row)).item()
        assert found == pytest.approx(reference_draw.gamma(1500, row), rel=1e-12)


def test_single_batches_are_those_of_many():
    draws = make_draws(LogUniform(400), 40, unique=True)
    assert batch_of(draws, 11, 3).tolist() == expected(LogUniform(400), 40, 4)[3]


@pytest.mark.parametrize("num_sampled", [0, 401, 2.5])
def test_numbers_that_cannot_be_drawn(num_sampled):
    with pytest.raises(PopSamplerError, match="max_num_samples"):
        make_draws(LogUniform(400), num_sampled, unique=True)
