"""Inverse CDFs on a device against NumPy's, on even grids of uniforms."""

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler.core.distributions import Empirical, LogUniform, Uniform
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.core.tables import inverse_table
from merlin_popsampler.tf.inverse_cdf import head_probs, inverse, segment
from tests.support import distribution_examples

DISTRIBUTIONS = {
    **distribution_examples.DISTRIBUTIONS,
    "one step": Empirical(PopularityCurve.from_counts([2, 2, 2])),
    "one item": LogUniform(1),
}
HUGE = [
    LogUniform(10**9),
    Uniform(10**9),
    Empirical(PopularityCurve([0, 9], [900, 10**9 - 9], 10**9)),
]
GRID = (np.arange(2**21) + 0.5) / 2**21


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("steps_of_head", [0, 1, 7])
def test_the_share_of_uniforms_of_every_rank(name, steps_of_head):
    """The whole distribution, and the distribution behind a head, of one and the same function."""
    distribution = DISTRIBUTIONS[name]
    head = min(steps_of_head, distribution.size - 1)
    if isinstance(distribution, Empirical):
        head = int(distribution.segments.starts[min(steps_of_head, len(distribution.steps) - 1)])
    ranks = inverse(inverse_table(distribution, head))
    for behind in (False, True):
        counts = np.bincount(ranks(tf.constant(GRID), behind), minlength=distribution.size)
        probs = distribution.probs()
        if behind:
            assert counts[:head].sum() == 0
            probs[:head] = 0.0
        # A rank's uniforms lie in one segment for each column whose alias its step is.
        segments = 2 + 2 * len(distribution.steps) if isinstance(distribution, Empirical) else 2
        excess = counts / len(GRID) - probs / probs.sum()
        assert np.abs(excess).max() <= segments / len(GRID)
        assert np.abs(np.cumsum(excess)).max() < segments / len(GRID)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2.0**-53])
@pytest.mark.parametrize("distribution", HUGE)
@pytest.mark.parametrize("head", [0, 9])
def test_the_ends_of_the_uniforms(uniform, distribution, head):
    for behind in (False, True):
        ranks = inverse(inverse_table(distribution, head))
        rank = int(ranks(tf.constant([uniform], tf.float64), behind)[0])
        first = head if behind else 0
        assert first <= rank < distribution.size
        if not isinstance(distribution, Empirical):  # whose columns are in no order
            assert rank == (first if uniform == 0 else distribution.size - 1)


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_integers_of_both_widths(name):
    table = inverse_table(DISTRIBUTIONS[name])
    narrow, wide = (inverse(table, dtype) for dtype in (tf.int32, tf.int64))
    uniforms = tf.constant(GRID[::999])
    assert narrow(uniforms, False).dtype == tf.int32
    assert wide(uniforms, False).dtype == tf.int64
    assert narrow(uniforms, False).numpy().tolist() == wide(uniforms, False).numpy().tolist()


@pytest.mark.parametrize("distribution", [*DISTRIBUTIONS.values(), *HUGE])
def test_probabilities_of_the_head(distribution):
    head = min(distribution.size, 5000)
    found = head_probs(distribution.segments, head).numpy()
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, distribution.prob(np.arange(head)), rtol=1e-12)


def test_the_segment_of_a_rank():
    segments = DISTRIBUTIONS["empirical"].segments
    found = segment(segments.starts, tf.range(400, dtype=tf.int64)).numpy()
    assert found.tolist() == segments.index(np.arange(400)).tolist()
