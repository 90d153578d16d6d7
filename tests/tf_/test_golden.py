"""A new version, another machine, another TensorFlow: the same draws as ever."""

import hashlib

import pytest

from merlin_popsampler.tf.ranks import draw_ranks
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.support.golden_draws import GOLDEN, LAWS
from tests.support.golden_samplers import BATCHES, CASES, sampler_of, summary
from tests.support.golden_samplers import GOLDEN as GOLDEN_SAMPLERS


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_draws(case):
    name, num_sampled, kind = case.split()
    ranks = draw_ranks(LAWS[name], 17, 3, int(num_sampled), unique=kind == "unique").numpy()
    assert ranks[:8].tolist() == GOLDEN[case]["first"]
    digest = hashlib.sha256(ranks.astype("<i8").tobytes()).hexdigest()
    assert digest == GOLDEN[case]["sha256"]


def test_every_law_is_there():
    assert {case.split()[0] for case in GOLDEN} == set(LAWS)


@pytest.mark.parametrize("case", CASES)
def test_golden_samplers(case):
    """What PyTorch's side must draw as well."""
    sampler = sampler_of(PopularityBasedSampler, case)
    drawn = [summary(sampler.sample_ids().numpy()) for _ in range(BATCHES)]
    assert drawn == GOLDEN_SAMPLERS[case]
