"""The Triton kernel by Triton's interpreter, on the CPU: `test_kernel_draws` runs this module.

Triton reads TRITON_INTERPRET when it is imported, so these tests have a process of their own.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from merlin_popsampler.core import reference_draw
from merlin_popsampler.core.distributions import LogUniform
from merlin_popsampler.torch import PopularityBasedSampler, draw_kernel, kernel_draws
from merlin_popsampler.torch.kernel_draws import KernelDraws
from merlin_popsampler.torch.mapped_ids import MappedIdsOnDevice
from tests.support.distribution_examples import DISTRIBUTIONS, LARGE
from tests.support.golden_samplers import GOLDEN, sampler_of, summary
from tests.support.mapped_items import by_id
from tests.support.torch_draws import TRUE_IDS, assert_expected_counts, drawn_by

SMALL = "log-uniform, 20 of 400"
HUGE = LogUniform(2**32)
PLACES = [(17, 0), (-5, 2**40 + 3), (2**63 - 1, -1)]


def sampler_over(distribution, num_sampled, min_id=3):
    max_id = min_id + distribution.size - 1
    return PopularityBasedSampler(max_id, min_id, num_sampled, 17, distribution=distribution)


def assert_the_reference(sampler, key, position, true_ids, **changes):
    """Ids and expected counts, also where a sampler would take another algorithm."""
    draws = replace(sampler._draws.draws, by_arrival_times=False, **changes)
    kernel = KernelDraws(draws, sampler._expected_counts.table, sampler.domain)
    place = torch.tensor(key), torch.tensor(position)
    ids, counts = kernel(sampler.domain, *place, true_ids)
    assert ids.dtype == torch.int64 and counts.dtype == torch.float32
    ranks = reference_draw.sequence(draws, key, position, draws.plan.draws)
    ranks = torch.from_numpy(reference_draw.first_distinct(ranks, draws.num_sampled))
    assert ids.tolist() == sampler.domain.id(ranks).tolist()
    expected = sampler.expected_count(torch.cat([ids, true_ids]))
    np.testing.assert_allclose(counts, expected, rtol=3e-6)


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("num_sampled", [2, 20])
def test_draws_are_the_reference(name, num_sampled):
    sampler = sampler_over(DISTRIBUTIONS[name], num_sampled)
    for key, position in PLACES:
        assert_the_reference(sampler, key, position, torch.tensor([3, 402, 2, 403, -1, 2**62]))


@pytest.mark.parametrize("name", sorted(LARGE))
@pytest.mark.parametrize("num_sampled", [60, 1000])
def test_draws_of_large_catalogs_are_the_reference(name, num_sampled):
    sampler = sampler_over(LARGE[name], num_sampled)
    true_ids = torch.linspace(0, sampler.max_id + 5, 300).to(torch.int64)
    assert_the_reference(sampler, 11, num_sampled, true_ids)


def test_ids_above_32_bits():
    sampler = sampler_over(HUGE, 200, 2**40)
    assert_the_reference(sampler, 17, 3, 2**40 + torch.tensor([-1, 0, 2**31, 2**32 - 1, 2**32]))
    assert sampler._kernel.is_possible
    assert not sampler_over(LogUniform(2**32 + 1), 200)._kernel.is_possible


def test_ids_in_any_order():
    sampler = by_id(PopularityBasedSampler, max_num_samples=20, seed=17)
    assert isinstance(sampler.domain, MappedIdsOnDevice)
    for key, position in PLACES:
        assert_the_reference(sampler, key, position, torch.arange(-2, sampler.max_id + 3))


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_the_first_ranks_complete_a_batch(name):
    """With so few draws as no plan has."""
    sampler = sampler_over(DISTRIBUTIONS[name], 40)
    plan = replace(sampler._draws.draws.plan, draws=20)
    assert_the_reference(sampler, 5, 9, torch.arange(3), plan=plan)


@pytest.mark.parametrize("num", [0, 1, 256, 257])
def test_numbers_of_positives(num):
    sampler = sampler_over(LogUniform(400), 20)
    assert_the_reference(sampler, 17, 3, torch.arange(num + 1)[1:])  # which begins anywhere


@pytest.mark.parametrize("stride", [0, 1, 2])
def test_positives_that_are_views(stride):
    true_ids = torch.arange(7, 27)[2:].as_strided((5,), (stride,))
    assert_the_reference(sampler_over(LogUniform(400), 20), 17, 3, true_ids)


@pytest.fixture
def by_kernel(monkeypatch):
    """Lets the kernel draw on the CPU, after its comparison with the reference."""
    monkeypatch.setattr(kernel_draws, "DEVICE", "cpu")
    monkeypatch.setattr(kernel_draws, "_usable", {})
    monkeypatch.setattr(kernel_draws, "BATCHES", 3)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)


def test_a_sampler_draws_by_the_kernel(by_kernel):
    sampler, other = (sampler_of(PopularityBasedSampler, SMALL) for _ in range(2))
    other._kernel.is_possible = False
    with torch.autocast("cpu"):
        found = drawn_by(sampler)
    assert list(kernel_draws._usable.values()) == [True]
    assert [summary(values.sampled_ids.numpy()) for values in found] == GOLDEN[SMALL]
    assert found[0].true_expected_count.shape == TRUE_IDS.shape
    assert_expected_counts(found, drawn_by(other), rtol=3e-6)
    with torch.inference_mode():
        assert sampler.sample_ids().tolist() == other.sample_ids().tolist()
    assert copy.deepcopy(sampler).sample_ids().tolist() == other.sample_ids().tolist()
    assert len(kernel_draws._usable) == 1


def test_a_wrong_kernel_is_found(by_kernel, monkeypatch):
    right = draw_kernel._ranks
    monkeypatch.setattr(draw_kernel, "_ranks", lambda *args: right(*args) + 1)
    sampler, other = (sampler_of(PopularityBasedSampler, SMALL) for _ in range(2))
    with pytest.warns(UserWarning, match="Received: 3 of 3 batches that differ"):
        found = drawn_by(sampler)
    assert [summary(values.sampled_ids.numpy()) for values in found] == GOLDEN[SMALL]
    other._kernel.is_possible = False
    assert_expected_counts(found, drawn_by(other), rtol=0.0)
