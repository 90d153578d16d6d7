"""The laws on a device against the laws in NumPy: no chance in it, but even grids of uniforms."""

import numpy as np
import pytest
import torch

from merlin_popsampler.core.laws import Empirical, LogUniform, Uniform
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.torch.inverse import Edges, FirstProbs, Inverse
from tests.support import law_examples

LAWS = {
    **law_examples.LAWS,
    "one step": Empirical(Steps.from_counts([2, 2, 2])),
    "one item": LogUniform(1),
}
HUGE = {
    "log_uniform 1e9": LogUniform(10**9),
    "uniform 1e9": Uniform(10**9),
    "empirical 1e9": Empirical(Steps([0, 9], [900, 10**9 - 9], 10**9)),
}
GRID = torch.from_numpy((np.arange(2**21) + 0.5) / 2**21)
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", sorted(LAWS))
@pytest.mark.parametrize("steps_of_head", [0, 1, 7])
def test_the_share_of_uniforms_of_every_rank(name, steps_of_head):
    """The whole law, and the law behind a head, of one and the same module."""
    law = LAWS[name]
    head = min(steps_of_head, law.size - 1)
    if isinstance(law, Empirical):
        head = int(law.pieces.starts[min(steps_of_head, len(law.steps) - 1)])
    ranks = Inverse(law, head=head)
    for behind in (False, True):
        counts = np.bincount(ranks(GRID, behind), minlength=law.size)
        probs = law.probs()
        if behind:
            assert counts[:head].sum() == 0
            probs[:head] = 0.0
        # A rank's uniforms lie in one piece for each column whose alias its step is.
        pieces = 2 + 2 * len(law.steps) if isinstance(law, Empirical) else 2
        excess = counts / len(GRID) - probs / probs.sum()
        assert np.abs(excess).max() <= pieces / len(GRID)
        assert np.abs(np.cumsum(excess)).max() < pieces / len(GRID)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2.0**-53])
@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("head", [0, 9])
def test_the_ends_of_the_uniforms(uniform, name, head):
    law = HUGE[name]
    for behind in (False, True):
        (rank,) = Inverse(law, head)(torch.tensor([uniform], dtype=torch.float64), behind).tolist()
        first = head if behind else 0
        assert first <= rank < law.size
        if not isinstance(law, Empirical):  # whose columns are in no order
            assert rank == (first if uniform == 0 else law.size - 1)


@pytest.mark.parametrize("name", [*LAWS, *HUGE])
def test_probabilities_of_the_head(name):
    law = {**LAWS, **HUGE}[name]
    head = min(law.size, 5000)
    found = FirstProbs(law.pieces, head, Edges(law.pieces))(CPU).numpy()
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, law.prob(np.arange(head)), rtol=1e-12)
