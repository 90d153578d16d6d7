"""Tests that PyTorch draws the same ids as TensorFlow, in the same order."""

import hashlib

import numpy as np
import pytest
import torch

from merlin_popsampler.torch import AllItems, PopularityBasedSampler, SampledSoftmaxLoss
from tests.support import golden_loss
from tests.support.golden_draws import DISTRIBUTIONS, GOLDEN
from tests.support.golden_samplers import BATCHES, CASES, sampler_of, summary
from tests.support.golden_samplers import GOLDEN as GOLDEN_SAMPLERS
from tests.support.processors import levels, run_on
from tests.support.torch_draws import batch_of, make_draws


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_draws(case):
    name, num_sampled, kind = case.split()
    ranks = batch_of(make_draws(DISTRIBUTIONS[name], int(num_sampled), kind == "unique"), 17, 3)
    assert ranks[:8].tolist() == GOLDEN[case]["first"]
    assert hashlib.sha256(ranks.astype("<i8").tobytes()).hexdigest() == GOLDEN[case]["sha256"]


@pytest.mark.parametrize("case", CASES)
def test_golden_samplers(case):
    """Covers seeds, keys, positions and ids."""
    sampler = sampler_of(PopularityBasedSampler, case)
    drawn = [summary(sampler.sample_ids().numpy()) for _ in range(BATCHES)]
    assert drawn == GOLDEN_SAMPLERS[case]


def test_another_seed_draws_otherwise():
    case = next(iter(CASES))
    sampler = sampler_of(PopularityBasedSampler, case, seed=18)
    assert summary(sampler.sample_ids().numpy()) not in GOLDEN_SAMPLERS[case]


SAMPLERS = """
import torch
from merlin_popsampler.torch import PopularityBasedSampler
from tests.support.golden_samplers import BATCHES, CASES, GOLDEN, sampler_of, summary

assert torch.backends.cpu.get_cpu_capability() == "DEFAULT"
for case in CASES:
    sampler = sampler_of(PopularityBasedSampler, case)
    assert [summary(sampler.sample_ids().numpy()) for _ in range(BATCHES)] == GOLDEN[case], case
"""


def test_golden_samplers_on_another_processor():
    """Regression: last bits change in NumPy's constants, and in PyTorch's exp and log."""
    run_on(levels()["oldest"], SAMPLERS, ATEN_CPU_CAPABILITY="default")


def test_the_full_softmax_that_tensorflow_gives_as_well():
    query, table, weights, true_ids, excluded = map(
        torch.tensor,
        (
            *(np.float32(x) for x in (golden_loss.QUERY, golden_loss.TABLE, golden_loss.WEIGHTS)),
            golden_loss.TRUE_IDS,
            golden_loss.EXCLUDED,
        ),
    )
    query.requires_grad_(), table.requires_grad_()
    losses = SampledSoftmaxLoss(AllItems(12, 3), 0.3, reduction="none")(
        query, true_ids, table, excluded
    )
    (losses * weights).sum().backward()
    found = losses.detach(), query.grad, table.grad
    for one, other in zip(found, golden_loss.full_softmax_with_excluded()):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
