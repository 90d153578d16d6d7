"""Compares inverse CDFs on a device with NumPy's, on grids of uniforms."""

import numpy as np
import pytest
import torch

from merlin_popsampler.core.distributions import Empirical, LogUniform, Uniform
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.core.tables import inverse_table
from merlin_popsampler.torch.inverse_cdf import Edges, HeadProbs, InverseCDF
from tests.support import distribution_examples

DISTRIBUTIONS = {
    **distribution_examples.DISTRIBUTIONS,
    "one step": Empirical(PopularityCurve.from_counts([2, 2, 2])),
    "one item": LogUniform(1),
}
HUGE = {
    "log_uniform 1e9": LogUniform(10**9),
    "uniform 1e9": Uniform(10**9),
    "empirical 1e9": Empirical(PopularityCurve([0, 9], [900, 10**9 - 9], 10**9)),
}
GRID = torch.from_numpy((np.arange(2**21) + 0.5) / 2**21)
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("steps_of_head", [0, 1, 7])
def test_the_share_of_uniforms_of_every_rank(name, steps_of_head):
    """One module has the whole distribution, and the distribution behind a head."""
    distribution = DISTRIBUTIONS[name]
    head = min(steps_of_head, distribution.size - 1)
    if isinstance(distribution, Empirical):
        head = int(distribution.segments.starts[min(steps_of_head, len(distribution.steps) - 1)])
    ranks = InverseCDF(inverse_table(distribution, head))
    for behind in (False, True):
        counts = np.bincount(ranks(GRID, behind), minlength=distribution.size)
        probs = distribution.probs()
        if behind:
            assert counts[:head].sum() == 0
            probs[:head] = 0.0
        # A rank has one interval of uniforms for each column whose alias is its step.
        segments = 2 + 2 * len(distribution.steps) if isinstance(distribution, Empirical) else 2
        excess = counts / len(GRID) - probs / probs.sum()
        assert np.abs(excess).max() <= segments / len(GRID)
        assert np.abs(np.cumsum(excess)).max() < segments / len(GRID)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2.0**-53])
@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("head", [0, 9])
def test_the_ends_of_the_uniforms(uniform, name, head):
    distribution = HUGE[name]
    for behind in (False, True):
        (rank,) = InverseCDF(inverse_table(distribution, head))(
            torch.tensor([uniform], dtype=torch.float64), behind
        ).tolist()
        first = head if behind else 0
        assert first <= rank < distribution.size
        if not isinstance(distribution, Empirical):  # whose columns are not sorted
            assert rank == (first if uniform == 0 else distribution.size - 1)


@pytest.mark.parametrize("name", [*DISTRIBUTIONS, *HUGE])
def test_probabilities_of_the_head(name):
    distribution = {**DISTRIBUTIONS, **HUGE}[name]
    head = min(distribution.size, 5000)
    found = HeadProbs(distribution.segments, head, Edges(distribution.segments))(CPU).numpy()
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, distribution.prob(np.arange(head)), rtol=1e-12)
