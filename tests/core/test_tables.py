"""Evaluates the tables for devices in NumPy, by the recipe in their docstring."""

import numpy as np
import pytest

from merlin_popsampler.core.distributions import Distribution, Empirical, LogUniform, Uniform
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.core.reference_draw import to_ranks
from merlin_popsampler.core.segments import Segments
from merlin_popsampler.core.tables import inverse_table, probs_by_id


class Shifted(Distribution):
    name = "shifted in a test"

    def __init__(self):
        super().__init__(Segments([0], [1.0], 60, shift=4.5))

    def get_config(self):
        return {"name": self.name}


COUNTS = [40, 22, 22, 9, 5, 5, 5, 2, 1, 1, 1]
DISTRIBUTIONS = {
    "log_uniform": LogUniform(60),
    "shifted": Shifted(),
    "uniform": Uniform(60),
    "steps": Empirical(PopularityCurve.from_counts(COUNTS)),
    "one step": Empirical(PopularityCurve.from_counts([3, 3, 3])),
}
GRID = (np.arange(2**20) + 0.5) / 2**20


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("head_segment", [0, 1, 3])
@pytest.mark.parametrize("behind", [False, True])
def test_uniforms_become_ranks_in_proportion(name, head_segment, behind):
    distribution = DISTRIBUTIONS[name]
    heads, masses = distribution.segments.heads()
    head_segment = min(head_segment, len(heads) - 1)
    table = inverse_table(distribution, int(heads[head_segment]))
    counts = np.bincount(to_ranks(table, GRID, behind), minlength=distribution.size) / len(GRID)
    probs = distribution.probs()
    if behind:
        probs[: heads[head_segment]] = 0.0
        probs /= 1 - masses[head_segment]
    # A rank has one interval of uniforms for each column whose alias is its segment.
    assert np.abs(counts - probs).max() < 2 * (1 + len(distribution.segments.starts)) / len(GRID)


def test_a_table_of_256_segments_is_short():
    distribution = Empirical(
        PopularityCurve.from_counts((1e9 / np.arange(1, 10**6)).astype(np.int64))
    )
    table = inverse_table(distribution)
    assert len(distribution.segments.starts) == 256
    assert table.cuts.nbytes + table.lines.nbytes <= 40 * 256


def test_probabilities_by_id_are_the_distribution_s_behind_the_reserved_ids():
    distribution, domain = LogUniform(3 * 2**20 + 5), IdDomain(4, 3 * 2**20 + 8)
    probs = probs_by_id(distribution, domain)
    assert probs.dtype == np.float32 and len(probs) == domain.cardinality
    assert not probs[:4].any()
    np.testing.assert_array_equal(probs[4:], distribution.probs().astype(np.float32))
